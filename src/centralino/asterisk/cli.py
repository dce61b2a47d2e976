"""Asterisk's command line (``asterisk -rx``): commands, reloads and what is loaded."""

import subprocess
from pathlib import Path

from centralino.asterisk import readback
from centralino.asterisk.objects import Objects

RELOADS = {
    "pjsip.conf": "module reload res_pjsip.so",
    "extensions.conf": "dialplan reload",
    "res_parking.conf": "module reload res_parking.so",
}
"""The narrowest command that makes a changed file live."""

_BINARY = "asterisk"
_SECONDS = 15.0
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TERM": "dumb"}


class AsteriskError(Exception):
    """Asterisk does not answer; the text says which and what to look at."""


class Asterisk:
    """A running Asterisk, found by its ``asterisk.conf``, which names its control socket."""

    def __init__(self, configuration: Path) -> None:
        self.configuration = configuration

    def command(self, text: str, *, seconds: float = _SECONDS) -> str:
        """Run one command and return what it printed.

        Raises:
            AsteriskError: where Asterisk is not running, or has not answered after ``seconds``.

        """
        arguments = [_BINARY, "-C", str(self.configuration), "-rx", text]
        try:
            done = subprocess.run(  # noqa: S603 (a list, no shell, and the caller's text is one argument)
                arguments,
                capture_output=True,
                check=False,
                env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            raise AsteriskError(f"Asterisk ({self.configuration}) did not answer '{text}' in {seconds:g} s") from None
        except FileNotFoundError:
            raise AsteriskError(f"the program '{_BINARY}' is missing: run role asterisk on this guest first") from None
        if done.returncode:
            raise AsteriskError(
                f"Asterisk ({self.configuration}) does not answer: see `systemctl status asterisk` and its log"
            )
        return done.stdout.decode(errors="replace")

    def reload(self, files: tuple[str, ...]) -> None:
        """Make the changed ``files`` of a release live."""
        for name in files:
            self.command(RELOADS[name])

    def objects(self) -> Objects:
        """Return the tenants' objects that are loaded, by the file that makes them."""
        endpoints, auths, aors = (self.command(f"pjsip list {kind}") for kind in ("endpoints", "auths", "aors"))
        return {
            "pjsip.conf": readback.endpoints(endpoints) | readback.auths(auths) | readback.aors(aors),
            "extensions.conf": readback.dialplan(self.command("dialplan show")),
            "res_parking.conf": readback.parking_lots(self.command("parking show")),
        }
