"""A SIP phone in a container of its own: SIPp plays one scenario an act, nftables counts the RTP that arrives."""

import json
import re
import secrets
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from lab import containers, images
from lab.errors import LabError
from lab.paths import Paths
from lab.podman import Podman

RTP_PORTS = "20000-20100"
_SCENARIOS = Path(__file__).parent
_MOUNT = "/scenarios"
_ACT = f"{_MOUNT}/act.sh"
_ONCE = ("-m", "1")
_DONE = (0, 97)
"""SIPp: all calls were successful; the scenario itself ended the program."""
_MESSAGES = "/tmp/messages-call"  # noqa: S108 (inside the phone's container, by act.sh)
_SENT_BYE = re.compile(r"^-{10,} (\S+ \S+)\nUDP message sent[^\n]*\n\nBYE ", re.MULTILINE)
_COUNT_RTP = f"""
table inet phone {{
  counter rtp {{ }}
  chain input {{
    type filter hook input priority 0
    udp dport {RTP_PORTS} counter name rtp
  }}
}}
"""


@dataclass(frozen=True)
class Account:
    """What the phone is provisioned with."""

    endpoint: str
    secret: str


@dataclass
class Act:
    """A scenario under way."""

    phone: "Phone"
    scenario: str
    process: subprocess.Popen[str]

    def wait(self, seconds: float = 30) -> None:
        """Wait for its end. Raises :class:`LabError` where the other side did not do as the scenario expects."""
        try:
            output, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.phone.stop()
            self.process.communicate()
            raise LabError(f"{self.phone.name}: {self.scenario} did not end within {seconds:.0f} s") from None
        if self.process.returncode not in _DONE:
            raise LabError(f"{self.phone.name}: {self.scenario} failed: {_reason(output)}")


class Phone:
    """A phone that lives as long as its context."""

    def __init__(self, name: str, *, address: str, pbx: str, account: Account, podman: Podman, paths: Paths) -> None:
        self.name = name
        self.account = account
        self._address = address
        self._pbx = pbx
        self._podman = podman
        self._paths = paths
        self._registered = False

    def __enter__(self) -> Self:
        """Start the container and its RTP counter."""
        image = images.ensure(images.PHONE, self._podman, self._paths, lambda _: None)
        environment = {
            "PBX": f"{self._pbx}:5060",
            "ADDRESS": self._address,
            "RTP_PORTS": RTP_PORTS,
            "ACCOUNT": self.account.endpoint,
            "SECRET": self.account.secret,
        }
        options = [
            "--volume",
            f"{_SCENARIOS}:{_MOUNT}:ro",
            *(f"--env={key}={value}" for key, value in environment.items()),
        ]
        containers.run_plain(
            self._podman, self.name, self._address, image, options=options, command=["sleep", "infinity"]
        )
        self._podman("exec", "--interactive", self.name, "nft", "-f", "-", stdin=_COUNT_RTP)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Unregister and remove the container."""
        if self._registered:
            with suppress(LabError):  # a PBX that is gone has no use for it
                self.register(expires=0)
        self._podman.remove(self.name)

    def register(self, *, expires: int = 300) -> None:
        """Register at the PBX; ``expires=0`` unregisters. Raises :class:`LabError` where it is refused."""
        self._act("register", *_ONCE, "-key", "expires", str(expires)).wait(15)
        self._registered = expires > 0

    def answer(self, *, ring: float) -> Act:
        """Wait for one call, ring for so many seconds, answer, echo the audio, and end with the caller's hang-up."""
        # Without a limit: SIPp counts each OPTIONS as a call. The scenario ends the program.
        return self._act("answer", "-rtp_echo", "-d", str(int(ring * 1000)))

    def call(self, number: str, *, talk: float) -> Act:
        """Call a number, play a recording, and hang up so many seconds after the answer."""
        return self._act("call", *_ONCE, "-s", number, "-d", str(int(talk * 1000)))

    @property
    def received(self) -> int:
        """RTP packets that have arrived since the phone started."""
        told = json.loads(self._podman("exec", self.name, "nft", "-j", "list", "counters"))
        return sum(item["counter"]["packets"] for item in told["nftables"] if "counter" in item)

    @property
    def hung_up(self) -> datetime:
        """When the last call's BYE left this phone, by the clock that all containers share."""
        sent = _SENT_BYE.findall(self._podman("exec", self.name, "cat", _MESSAGES))
        if not sent:
            raise LabError(f"{self.name} has hung up no call")
        return datetime.fromisoformat(sent[-1]).replace(tzinfo=UTC)

    def stop(self) -> None:
        """Break off the act under way: the program goes on in the container when `podman exec` alone is ended."""
        self._podman("exec", self.name, _ACT)

    def _act(self, scenario: str, *options: str) -> Act:
        # SIPp makes its identifiers of its process id, which is the same in every new container.
        run = secrets.token_hex(6)
        once = ["-key", "run", run, "-cid_str", f"%u-{run}@%s", "-timeout", "180s", "-timeout_error"]
        process = subprocess.Popen(  # noqa: S603
            self._podman.command(["exec", self.name, _ACT, scenario, *once, *options]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return Act(self, scenario, process)


def _reason(output: str) -> str:
    """Return the line of SIPp's output that says what went wrong."""
    lines = [line.strip() for line in output.splitlines()]
    for mark in ("while expecting", "Aborting", "Error", "timeout"):
        for line in lines:
            if mark in line:
                return line[:300]
    return lines[-1][:300] if lines else "SIPp said nothing"
