"""``centralino-bans`` as systemd runs it: a panel over HTTPS, datagrams, and nftables in a network of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from centralino.contract.bans import Ban, BanList, Report
from tests.contract.agent.server import Authority, Panel, serve

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace and nft need root")

ATTACKER, OTHER = "203.0.113.7", "2001:db8::7"
TABLE = """
table inet centralino {
    set bans4 { type ipv4_addr; flags timeout; }
    set bans6 { type ipv6_addr; flags timeout; }
}
"""
LISTEN = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_FDS"] = "1"
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""
"""Hands a socket over as systemd does (sd_listen_fds(3))."""


class Cluster:
    """The panel's list; polls are answered as soon as it is another."""

    def __init__(self) -> None:
        self.listed = BanList()
        self.reports: list[Report] = []
        self.refuses = ""
        self.down = False

    def ban(self, address: str, seconds: float = 3600) -> None:
        now = datetime.now(UTC)
        ban = {"address": address, "part": "sip", "guest": "pbx01", "reason": "guesses", "since": now}
        self.listed = BanList(
            bans=(*self.listed.bans, Ban.model_validate(ban | {"until": now + timedelta(seconds=seconds)}))
        )

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        if self.down:
            status, body = 503, b""
        elif handler.command == "POST":
            status, body = self._take(handler)
        else:
            known = handler.headers.get("If-None-Match")
            end = time.monotonic() + 2
            while known == f'"{self.listed.etag}"' and time.monotonic() < end and not self.down:
                time.sleep(0.01)
            status, body = (304, b"") if known == f'"{self.listed.etag}"' else (200, self.listed.document())
        handler.send_response(status)
        handler.send_header("ETag", f'"{BanList.model_validate_json(body).etag if status == 200 else ""}"')
        if status != 304:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _take(self, handler: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        if self.refuses:
            return 409, json.dumps({"error": self.refuses}).encode()
        sent = [request.body for request in handler.panel.requests if request.method == "POST"]  # type: ignore[attr-defined]
        report = Report.model_validate_json(sent[-1])
        self.reports.append(report)
        self.ban(str(report.address), report.seconds)
        return 204, b""


class Guest:
    """A guest's network with the firewall's table, and the daemon in it."""

    def __init__(self, folder: Path, config: Path) -> None:
        self.namespace = f"bans{os.getpid()}"
        self.address = folder / "report.sock"
        self._config = config
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.address))
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        subprocess.run(["ip", "netns", "add", self.namespace], check=True)

    def nft(self, *arguments: str, stdin: str = "") -> str:
        command = ["ip", "netns", "exec", self.namespace, "nft", *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True).stdout

    def start(self) -> None:
        """Start the daemon; its own network has the firewall, its connections to the panel go through this one."""
        program = f"import centralino.agent.bans.firewall as f; f._NFT = {str(self._config.parent / 'nft')!r}; "
        program += "from centralino.agent.bans.main import main; main()"
        given = self._socket.fileno()
        command = [sys.executable, "-c", LISTEN, str(given), "-c", program, "--config", str(self._config), "run"]
        self._process = subprocess.Popen(command, stderr=self._log.open("ab"), pass_fds=(given,))

    def stop(self, how: int = signal.SIGTERM) -> int:
        """End the daemon and return its exit code."""
        assert self._process is not None
        self._process.send_signal(how)
        code = self._process.wait(20)
        self._process = None
        return code

    def close(self) -> None:
        if self._process is not None:
            self.stop(signal.SIGKILL)
        self._socket.close()
        subprocess.run(["ip", "netns", "delete", self.namespace], check=True)

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def kept(self) -> str:
        """What outlives a restart; a ban is in force before it is written."""
        return (self._config.parent / "bans.json").read_text()

    def bans(self) -> dict[str, int]:
        """Return who is dropped, and for how many seconds still."""
        left = {}
        for name in ("bans4", "bans6"):
            told = json.loads(self.nft("-j", "list", "set", "inet", "centralino", name))["nftables"]
            for element in (element["elem"] for item in told for element in item.get("set", {}).get("elem", [])):
                left[element["val"]] = element["expires"]
        return left

    def report(self, address: str, seconds: int = 3600) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            document = {"address": address, "part": "sip", "reason": "3 wrong passwords", "seconds": seconds}
            sender.sendto(json.dumps(document).encode(), str(self.address))


def within(seconds: float, question: Callable[[], bool]) -> float:
    """Ask until the answer is yes; return how long that took."""
    start = time.monotonic()
    while not question():
        assert time.monotonic() - start < seconds, f"not within {seconds} s"
        time.sleep(0.02)
    return time.monotonic() - start


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def guest(tmp_path: Path, cluster: Cluster) -> Iterator[Guest]:
    authority = Authority(tmp_path / "pki")
    panel = Panel(cluster.answer)
    server = serve(panel, authority)
    certificate, key = authority.issue("pbx01")
    config = tmp_path / "bans.toml"
    config.write_text(
        f'state = "{tmp_path}"\n[panel]\nurl = "{panel.url}"\nca = "{authority.certificate}"\n'
        f'certificate = "{certificate}"\nkey = "{key}"\n'
    )
    made = Guest(tmp_path, config)
    wrapper = tmp_path / "nft"
    wrapper.write_text(f'#!/bin/sh\nexec ip netns exec {made.namespace} nft "$@"\n')
    wrapper.chmod(0o755)
    made.nft("-f", "-", stdin=TABLE)
    made.start()
    try:
        yield made
    finally:
        cluster.down = True
        made.close()
        server.shutdown()
        server.server_close()


def test_the_firewall_follows_the_list(guest: Guest, cluster: Cluster) -> None:
    within(30, lambda: "reported" not in guest.log and guest.bans() == {})
    cluster.ban(ATTACKER, 3600)
    cluster.ban(OTHER, 60)
    within(30, lambda: guest.bans().keys() == {ATTACKER, OTHER})
    assert 3590 < guest.bans()[ATTACKER] <= 3600
    assert 50 < guest.bans()[OTHER] <= 60
    cluster.listed = BanList()
    assert within(2, lambda: guest.bans() == {}) < 2
    cluster.ban(ATTACKER)
    assert within(2, lambda: ATTACKER in guest.bans()) < 2


def test_a_report_is_in_force_here_at_once_and_reaches_the_panel(guest: Guest, cluster: Cluster) -> None:
    guest.report(ATTACKER, 600)
    within(30, lambda: guest.bans().keys() == {ATTACKER})
    within(30, lambda: len(cluster.reports) == 1)
    assert cluster.reports[0].reason == "3 wrong passwords"
    assert 595 <= cluster.reports[0].seconds <= 600
    guest.report(OTHER)
    assert within(2, lambda: OTHER in guest.bans()) < 1
    within(30, lambda: len(cluster.reports) == 2)
    cluster.listed = BanList()  # an operator lifts both
    within(30, lambda: guest.bans() == {})


def test_what_the_panel_never_bans_is_lifted_here_too(guest: Guest, cluster: Cluster) -> None:
    cluster.refuses = "203.0.113.7 is in 203.0.113.0/24, which is never banned"
    guest.report(ATTACKER)
    within(30, lambda: "which is never banned" in guest.log)
    within(30, lambda: guest.bans() == {})


def test_the_panel_may_be_down_and_the_guest_restarted(guest: Guest, cluster: Cluster) -> None:
    cluster.ban(ATTACKER, 3600)
    within(30, lambda: guest.bans().keys() == {ATTACKER})
    cluster.ban("203.0.113.8", 8)
    within(30, lambda: len(guest.bans()) == 2)
    cluster.down = True
    guest.report(OTHER, 600)
    within(30, lambda: OTHER in guest.bans() and OTHER in guest.kept)
    assert guest.stop(signal.SIGKILL) == -signal.SIGKILL
    guest.nft("flush", "ruleset")
    guest.nft("-f", "-", stdin=TABLE)
    time.sleep(2)
    guest.start()
    within(30, lambda: guest.bans().keys() == {ATTACKER, OTHER})
    assert guest.bans()[ATTACKER] < 3599
    assert guest.bans()[OTHER] < 599
    cluster.down = False
    within(30, lambda: len(cluster.reports) == 1)
    assert cluster.reports[0].seconds < 599


def test_a_firewall_that_is_away_is_told_of_and_filled_when_it_is_back(guest: Guest, cluster: Cluster) -> None:
    within(30, lambda: guest.bans() == {})
    guest.nft("delete", "table", "inet", "centralino")
    cluster.ban(ATTACKER)
    within(30, lambda: "is centralino-firewall.service running?" in guest.log)
    guest.nft("-f", "-", stdin=TABLE)
    within(30, lambda: guest.bans().keys() == {ATTACKER})


def test_nonsense_is_told_of_and_harms_nothing(guest: Guest) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        for document in (b"", b"{", b"\xff" * 5000, b'{"address": "203.0.113.0/24", "part": "sip", "reason": "x"}'):
            sender.sendto(document, str(guest.address))
    guest.report(ATTACKER)
    within(30, lambda: guest.bans().keys() == {ATTACKER})
    assert guest.log.count("a report was not taken") == 4


def test_fifty_reports_at_once_are_all_in_force_and_all_delivered(guest: Guest, cluster: Cluster) -> None:
    within(30, lambda: guest.bans() == {})
    for number in range(50):
        with suppress(BlockingIOError):
            guest.report(f"198.51.100.{number}")
    within(30, lambda: len(guest.bans()) == 50)
    within(60, lambda: len(cluster.reports) == 50)
    assert guest.stop() == 0
