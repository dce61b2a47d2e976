"""Another Asterisk on the guest, beside the one that the role is for: folders of its own, the same program."""

from collections.abc import Mapping
from shlex import quote

from testinfra.host import Host

DIRECTORIES = ("etc", "lib", "run", "log", "db", "spool", "cache")
# the modules are the first one's, and the documentation, without which Asterisk does not start
SETTINGS = """[directories]
astetcdir => {folder}/etc
astmoddir => /usr/lib/x86_64-linux-gnu/asterisk/modules
astvarlibdir => {folder}/lib
astdatadir => /usr/share/asterisk
astdbdir => {folder}/db
astrundir => {folder}/run
astlogdir => {folder}/log
astspooldir => {folder}/spool
astcachedir => {folder}/cache
"""
LOGGER = "[general]\n[logfiles]\nmessages.log => notice,warning,error,verbose\n"


class Beside:
    """One such Asterisk, by the name of its unit."""

    def __init__(self, host: Host, unit: str) -> None:
        self._host = host
        self._unit = unit
        self._folder = f"/run/{unit}"

    def set_up(self, files: Mapping[str, str]) -> None:
        """Write its configuration anew."""
        self.remove()
        self._host.check_output("mkdir -p " + " ".join(f"{self._folder}/{name}" for name in DIRECTORIES))
        own = {"asterisk.conf": SETTINGS.format(folder=self._folder), "logger.conf": LOGGER}
        for name, text in {**own, **files}.items():
            self._host.check_output(f"printf %s {quote(text)} > {self._folder}/etc/{name}")
        self._host.check_output(f"cp /etc/asterisk/modules.conf {self._folder}/etc")

    def start(self) -> None:
        """Start it; systemd does not wait until it has booted."""
        run = f"asterisk -f -C {self._folder}/etc/asterisk.conf"
        self._host.check_output(f"systemd-run --quiet --collect --unit {self._unit} {run}")

    def stop(self) -> None:
        """Stop it at once."""
        self._host.run(f"systemctl kill --signal KILL {self._unit}; systemctl stop {self._unit}")

    def signal(self, name: str) -> None:
        """Send its processes a signal, ``STOP`` or ``CONT`` say."""
        self._host.check_output(f"systemctl kill --signal {name} {self._unit}")

    def remove(self) -> None:
        """Stop it and forget what it did."""
        self.stop()
        self._host.run(f"rm -rf {self._folder}")

    def command(self, text: str) -> str:
        """Run a command of its."""
        return str(self._host.check_output(f"asterisk -C {self._folder}/etc/asterisk.conf -rx {quote(text)}"))
