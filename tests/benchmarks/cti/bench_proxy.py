"""How fast an event goes from Asterisk to browsers, through a proxy in a process of its own, TLS and tokens included.

    .venv/bin/python -m tests.benchmarks.cti.bench_proxy                 10 and 100 clients at 1000 events/s
    .venv/bin/python -m tests.benchmarks.cti.bench_proxy --clients 500 --rate 500 --seconds 5

Latency is from the fake Asterisk's write to a client's callback; one process plays Asterisk and all clients, so its own
work is in the figures. Results are printed, never judged: machines differ.
"""

import argparse
import asyncio
import json
import os
import resource
import ssl
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import override

import uvloop
from picows import WSFrame, WSListener, WSTransport, ws_connect

from tests.benchmarks.cti.fake_ami import SECRET, FakeAmi, event
from tests.contract.cti.certificates import Authority
from tests.contract.cti.conftest import free_port
from tests.contract.cti.panel import Panel, Signer

TENANT = 175
FILLER = "x" * 180
"""Makes an event as long as those that amiws was measured with: some 520 bytes as JSON."""


SAMPLES = 10
"""Clients that read the age of their messages; the others only count, or reading would be what is measured."""


class Counter(WSListener):
    """A client that counts its messages."""

    def __init__(self) -> None:
        super().__init__()
        self.received = -1  # the snapshot of the one extension

    @override
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self.received += 1


class Clock(Counter):
    """A client that notes how old each message is, too."""

    def __init__(self, ages: list[float]) -> None:
        super().__init__()
        self._ages = ages

    @override
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self.received += 1
        payload = frame.get_payload_as_bytes()
        mark = payload.find(b'"Stamp":"')
        if mark >= 0:
            self._ages.append(time.monotonic() - float(payload[mark + 9 : payload.index(b'"', mark + 9)]))


def stamped() -> bytes:
    """Return an event that carries when it was made."""
    return event(
        "Newstate",
        Privilege="call,all",
        Channel="PJSIP/t175-abcdefgh1234-00000001",
        ChannelState="6",
        ChannelStateDesc="Up",
        CallerIDNum="101",
        CallerIDName="Anna",
        AccountCode="t175",
        Context="t175-internal",
        Exten="102",
        Priority="1",
        Uniqueid="pbx01-1700000000.1",
        Filler=FILLER,
        Stamp=repr(time.monotonic()),
    )


def write_config(folder: Path, port: int, panel: Panel, pbx: FakeAmi) -> Path:
    """Write the proxy's configuration."""
    path = folder / "cti.toml"
    path.write_text(f"""
ca = "{folder}/test-CA.crt"
[listen]
addresses = ["127.0.0.1"]
port = {port}
certificate = "{folder}/cti01.crt"
key = "{folder}/cti01.key"
[clients]
origins = ["https://panel.example.org"]
total = 15000
per_user = 10000
per_address = 10000
[panel]
url = "https://127.0.0.1:{panel.port}"
certificate = "{folder}/cti01.crt"
key = "{folder}/cti01.key"
[[server]]
name = "pbx01"
host = "127.0.0.1"
port = {pbx.port}
username = "cti"
secret = "{SECRET}"
""")
    return path


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_megabytes(pid: int) -> float:
    """Return the memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


async def paced(pbx: FakeAmi, rate: int, seconds: float) -> int:
    """Send events at an even rate; return how many."""
    start, sent, total = time.monotonic(), 0, int(rate * seconds)
    while sent < total:
        due = min(total, int((time.monotonic() - start) * rate) + 1)
        for _ in range(due - sent):
            pbx.send(stamped())
        sent = due
        await asyncio.sleep(max(0.0, start + sent / rate - time.monotonic()))
    return sent


@dataclass(frozen=True)
class Bench:
    """What is measured and how to reach it."""

    port: int
    ca: Path
    signer: Signer
    pbx: FakeAmi
    pid: int
    options: argparse.Namespace

    async def measure(self, clients: int) -> None:
        """Connect clients, send, and print one line."""
        ages: list[float] = []
        connections = await self._connect(clients, ages)
        await asyncio.sleep(0.5)
        cpu = cpu_seconds(self.pid)
        if self.options.burst:
            sent = self.options.burst
            self.pbx.send(b"".join(stamped() for _ in range(sent)))
        else:
            sent = await paced(self.pbx, self.options.rate, self.options.seconds)
        for _ in range(750):
            if all(counter.received >= sent for _, counter in connections):
                break
            await asyncio.sleep(0.02)
        complete = sum(counter.received == sent for _, counter in connections)
        million = (cpu_seconds(self.pid) - cpu) / max(1, sent * clients) * 1e6
        ages = sorted(ages) or [float("nan")]
        times = [ages[min(len(ages) - 1, int(len(ages) * share))] * 1000 for share in (0.5, 0.99, 1.0)]
        sys.stdout.write(f"{clients:8d} {sent:8d} {complete:9d} {times[0]:8.2f} {times[1]:8.2f} {times[2]:8.2f} ")
        sys.stdout.write(f"{million:10.2f} {resident_megabytes(self.pid):8.1f}\n")
        for transport, _ in connections:
            transport.disconnect()
        await asyncio.sleep(0.3)

    async def _connect(self, clients: int, ages: list[float]) -> list[tuple[WSTransport, Counter]]:
        tls = ssl.create_default_context(cafile=self.ca)
        connections = []
        for number in range(clients):
            url = f"wss://127.0.0.1:{self.port}/?token={self.signer.token(TENANT)}"
            counter = Clock(ages) if number % max(1, clients // SAMPLES) == 0 else Counter()
            transport, _ = await ws_connect(lambda counter=counter: counter, url, ssl_context=tls)
            connections.append((transport, counter))
        return connections


async def bench(options: argparse.Namespace, folder: Path) -> None:
    """Start everything, measure each number of clients, stop everything."""
    authority = Authority(folder)
    issued = {name: authority.issue(name) for name in ("cti01", "web01", "pbx01")}
    signer = Signer()
    panel = Panel(issued["web01"], authority.path, [signer])
    pbx = FakeAmi(issued["pbx01"].server_context(), {(TENANT, "101"): 0})
    await panel.start()
    await pbx.start()
    port = free_port()
    path = write_config(folder, port, panel, pbx)
    with (folder / "log").open("wb") as log_file:
        proxy = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from centralino.cti.main import main; main()", "serve", str(path),
            stderr=log_file, env={**os.environ, "STATE_DIRECTORY": str(folder)},
        )  # fmt: skip
    try:
        async with asyncio.timeout(options.limit):
            while not pbx.logged_in:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)
            sys.stdout.write(" clients     sent  complete   p50 ms   p99 ms   max ms  CPU s/M.m   RSS MB\n")
            made = Bench(port, authority.path, signer, pbx, proxy.pid, options)
            for clients in options.clients:
                await made.measure(clients)
    finally:
        proxy.terminate()
        await proxy.wait()
        await pbx.stop()
        await panel.stop()


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description="Event to browser through the CTI proxy.")
    parser.add_argument("--clients", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--rate", type=int, default=1000, help="events a second")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--burst", type=int, default=0, help="so many events at once instead of a rate")
    parser.add_argument("--limit", type=float, default=120, help="seconds for all of it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(json.dumps({k: v for k, v in vars(options).items() if k != "limit"}) + "\n")
        uvloop.run(bench(options, Path(folder)))


if __name__ == "__main__":
    main()
