"""What is measured: a proxy in a process of its own, its panel and PBXes here, its browsers in another process."""

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from centralino.cti.ami.message import parse
from centralino.cti.web import amiws, frames
from tests.benchmarks.cti.fake_ami import SECRET, FakeAmi
from tests.contract.cti.certificates import Authority
from tests.contract.cti.panel import Panel, Signer
from tests.ports import free_port

TENANT = 175
EVENT = (
    b"Event: Newstate\r\nPrivilege: call,all\r\nChannel: PJSIP/t175-abcdefgh1234-00000001\r\nChannelState: 6\r\n"
    b"ChannelStateDesc: Up\r\nCallerIDNum: 101\r\nCallerIDName: Anna\r\nConnectedLineNum: 102\r\n"
    b"ConnectedLineName: Bert\r\nLanguage: en\r\nAccountCode: t175\r\nContext: t175-internal\r\nExten: 102\r\n"
    b"Priority: 1\r\nUniqueid: pbx01-1700000000.1\r\nLinkedid: pbx01-1700000000.1\r\n"
    b"Number: %09d\r\nStamp: %017.6f\r\n\r\n"
)
"""As Asterisk sends it and as long, as JSON, as those that amiws was measured with; told by number and time."""
MESSAGE_BYTES = len(frames.text(amiws.encode(parse((EVENT % (1, 1.0))[:-4]), 1, "pbx01")))
TICK = 0.001
"""Seconds between two writes of the fake Asterisk: what came in between is one write, as it is from a busy one."""


@dataclass
class Cluster:
    """Everything that runs."""

    folder: Path
    port: int
    signer: Signer
    pbxes: list[FakeAmi]
    proxy: asyncio.subprocess.Process
    readers: asyncio.subprocess.Process
    tls: bool

    async def order(self, order: dict[str, Any]) -> dict[str, Any]:
        """Tell the readers something and return their answer."""
        assert self.readers.stdin is not None
        self.readers.stdin.write(json.dumps(order).encode() + b"\n")
        return await self.answer()

    async def answer(self) -> dict[str, Any]:
        """Return the readers' next answer."""
        assert self.readers.stdout is not None
        line = await self.readers.stdout.readline()
        answer = json.loads(line)
        assert isinstance(answer, dict)
        return answer

    async def connect(self, clients: int, path: str = "/", tenants: tuple[int, ...] = (TENANT,)) -> dict[str, Any]:
        """Open connections, tenants taking turns."""
        tokens = [self.signer.token(tenants[number % len(tenants)]) for number in range(clients)]
        ca = str(self.folder / "test-CA.crt")
        answer = await self.order(
            {"connect": {"port": self.port, "tls": self.tls, "tokens": tokens, "path": path, "ca": ca}}
        )
        assert answer["clients"] == clients, f"{answer['clients']} of {clients} clients were served"
        return answer

    async def send(self, rate: int, seconds: float, patience: float = 3.0) -> dict[str, Any]:
        """Send numbered events at an even rate (0: all of ``seconds`` thousand at once) and wait for the readers."""
        total = int(rate * seconds) if rate else int(seconds * 1000)
        await self.order({"expect": {"frames": total, "bytes": MESSAGE_BYTES, "timeout": patience + seconds}})
        start, sent, cpu = time.monotonic(), 0, self.cpu()
        while sent < total:
            now = time.monotonic()
            due = min(total, int((now - start) * rate) + 1) if rate else total
            self.pbxes[0].send(b"".join([EVENT % (number, now) for number in range(sent + 1, due + 1)]))
            sent = due
            await asyncio.sleep(max(TICK, start + sent / rate - time.monotonic()) if rate else 0)
        behind = time.monotonic() - start - seconds if rate else 0.0
        last = time.monotonic()
        answer = await self.answer()
        return {
            **answer, "sent": total, "cpu": self.cpu() - cpu, "late": answer["finished"] - last, "behind": behind,
        }  # fmt: skip

    def cpu(self) -> float:
        """Return the proxy's CPU time so far (proc(5), fields 14 and 15)."""
        fields = Path(f"/proc/{self.proxy.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def megabytes(self) -> float:
        """Return the proxy's resident memory."""
        return int(Path(f"/proc/{self.proxy.pid}/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def _config(folder: Path, port: int, panel: Panel, ports: list[int], *, tls: bool) -> Path:
    pair = f'certificate = "{folder}/cti01.crt"\nkey = "{folder}/cti01.key"'
    servers = "".join(
        f'[[server]]\nname = "pbx{n:02}"\nhost = "127.0.0.1"\nport = {p}\nusername = "cti"\nsecret = "{SECRET}"\n'
        for n, p in enumerate(ports, start=1)
    )
    path = folder / "cti.toml"
    path.write_text(f"""
ca = "{folder}/test-CA.crt"
[listen]
addresses = ["127.0.0.1"]
port = {port}
{pair if tls else ""}
[clients]
origins = ["https://panel.example.org"]
total = 15000
per_user = 10000
per_address = 10000
[panel]
url = "https://127.0.0.1:{panel.port}"
{pair}
{servers}""")
    return path


@asynccontextmanager
async def running(
    folder: Path,
    *,
    tls: bool = False,
    hints: tuple[dict[tuple[int, str], int], ...] = (),
    dead: int = 0,
    before: str = "",
    python: str = sys.executable,
) -> AsyncIterator[Cluster]:
    """Start everything, with a PBX for each of ``hints`` and ``dead`` that nobody answers for; stop everything.

    ``before`` is a line of Python that the proxy's process runs first; ``python`` runs it.
    """
    authority = Authority(folder)
    hints = hints or ({(TENANT, "101"): 0},)
    issued = {name: authority.issue(name) for name in ("cti01", "web01")}
    signer = Signer()
    panel = Panel(issued["web01"], authority.path, [signer])
    pbxes = [FakeAmi(authority.issue(f"pbx{n:02}").server_context(), dict(h)) for n, h in enumerate(hints, start=1)]
    await panel.start()
    for pbx in pbxes:
        await pbx.start()
    port = free_port()
    path = _config(folder, port, panel, [p.port for p in pbxes] + [free_port() for _ in range(dead)], tls=tls)
    with (folder / "log").open("wb") as log:
        proxy = await asyncio.create_subprocess_exec(
            python, "-c", f"{before}\nfrom centralino.cti.main import main; main()", "serve", str(path),
            stderr=log, env={**os.environ, "STATE_DIRECTORY": str(folder)},
        )  # fmt: skip
    readers = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.cti.readers",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 20,
    )  # fmt: skip
    try:
        async with asyncio.timeout(20):
            while not all(pbx.logged_in for pbx in pbxes):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        yield Cluster(folder, port, signer, pbxes, proxy, readers, tls)
    finally:
        for process in (readers, proxy):
            if process.returncode is None:
                process.terminate()
            await process.wait()
        for pbx in pbxes:
            await pbx.stop()
        await panel.stop()
