"""The Asterisk that the role is for, and another on the guest beside it: folders of its own, the same program."""

from collections.abc import Callable, Mapping
from shlex import quote
from typing import NamedTuple

from scenario_fixtures import listens
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
SECOND = "test-second"
"""The unit of a second PBX."""
SECOND_MANAGER = 5049
"""Its manager interface's port, as in vars.yml."""
LOGGER = "[general]\n[logfiles]\nmessages.log => notice,warning,error,verbose\n"


class Pbx(NamedTuple):
    """An Asterisk that a tenant's phones are at."""

    release: str
    """Its folder for a release."""
    command: Callable[[str], str]
    """Runs a command of its."""
    port: int = 5060
    """Of SIP."""


class Beside:
    """One such Asterisk, by the name of its unit."""

    def __init__(self, host: Host, unit: str) -> None:
        self._host = host
        self._unit = unit
        self._folder = f"/run/{unit}"

    @property
    def release(self) -> str:
        """Its folder with what tenants configure."""
        return f"{self._folder}/etc/release"

    def set_up(self, files: Mapping[str, str], *, twin: bool = False) -> None:
        """Write its configuration anew; a twin has whatever the first one has and ``files`` does not name."""
        self.remove()
        self._host.check_output("mkdir -p " + " ".join(f"{self._folder}/{name}" for name in DIRECTORIES))
        if twin:
            self._host.check_output(f"cp -r /etc/asterisk/. {self._folder}/etc && rm -rf {self.release}")
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


def second_pbx(host: Host, files: Mapping[str, str], *, twin: bool = False) -> Beside:
    """Start a second PBX with the first one's manager interface at another port, and return it when it has booted."""
    made = Beside(host, SECOND)
    manager = host.file("/etc/asterisk/manager.conf").content_string
    manager = manager.replace("port = 5038", "port = 5048").replace(":5039", f":{SECOND_MANAGER}")
    made.set_up({"manager.conf": manager, **files}, twin=twin)
    made.start()
    listens(host, SECOND_MANAGER)
    made.command("core waitfullybooted")
    return made
