"""The browsers of the benchmark: a process of its own that reads as fast as it can and checks what it reads.

It is told on standard input, one JSON object a line, and answers each on standard output:

    {"connect": {"port": 8777, "tls": false, "tokens": ["…"], "path": "/", "ca": "…"}}   → {"clients": 10, …}
    {"expect": {"frames": 5000, "bytes": 541, "timeout": 5}}                             → {}, then {"complete": 10, …}
    {"mute": 1}            stop reading from so many; they are not expected to be complete                 → {}
    {"close": true}                                                                                        → {}

Nearly all clients count bytes, for a Python that looked into a million messages a second would be what is measured: all
messages are equally long, so as many bytes as were expected, ended by the last one's number, are all of them in order.
:data:`SAMPLES` of them are read message by message: their numbers must follow each other, and their ages are noted.
"""

import contextlib
import json
import selectors
import socket
import ssl
import sys
import time
from dataclasses import dataclass, field
from typing import Any

SAMPLES = 4
_BUFFER = memoryview(bytearray(1 << 20))
_NUMBER = b'"Number":"'
_STAMP = b'"Stamp":"'


@dataclass(eq=False)
class Reader:
    """One client."""

    connection: socket.socket
    samples: bool
    received: int = 0
    frames: int = 0
    last: int = 0
    wrong: int = 0
    finished: float = 0.0
    rest: bytes = b""
    tail: bytes = b""
    ages: list[float] = field(default_factory=list)

    def clear(self) -> None:
        """Forget what was counted."""
        self.received = self.frames = self.last = self.wrong = 0
        self.finished, self.rest, self.tail, self.ages = 0.0, b"", b"", []

    def read(self) -> bool:
        """Read what there is; tell whether the connection is still there."""
        while True:
            try:
                size = self.connection.recv_into(_BUFFER)
            except (BlockingIOError, ssl.SSLWantReadError):
                return True
            except OSError:
                return False
            if size == 0:
                return False
            self.received += size
            if self.samples:
                self._look_into(self.rest + bytes(_BUFFER[:size]))
            else:
                self.tail = (self.tail + bytes(_BUFFER[max(0, size - 600) : size]))[-600:]
            if size < len(_BUFFER) and not isinstance(self.connection, ssl.SSLSocket):
                return True

    def last_number(self) -> int:
        """Return the number of the last message."""
        if self.samples:
            return self.last
        mark = self.tail.rfind(_NUMBER)
        return int(self.tail[mark + len(_NUMBER) : mark + len(_NUMBER) + 9]) if mark >= 0 else 0

    def _look_into(self, data: bytes) -> None:
        now = time.monotonic()
        start = 0
        while True:
            number = data.find(_NUMBER, start)
            end = data.find(b"}}", number)
            if number < 0 or end < 0:
                break
            stamp = data.find(_STAMP, number, end)
            value = int(data[number + len(_NUMBER) : number + len(_NUMBER) + 9])
            if value != self.last + 1:
                self.wrong += 1
            self.last = value
            self.frames += 1
            self.ages.append(now - float(data[stamp + len(_STAMP) : stamp + len(_STAMP) + 17]))
            start = end + 2
        self.rest = data[start:]


class Readers:
    """All clients."""

    def __init__(self) -> None:
        self.all: list[Reader] = []
        self.muted: list[Reader] = []
        self._selector = selectors.DefaultSelector()

    def connect(self, port: int, tokens: list[str], path: str = "/", *, tls: bool, ca: str) -> dict[str, Any]:
        """Open a connection a token, and read until nothing more comes."""
        start = time.monotonic()
        context = ssl.create_default_context(cafile=ca) if tls else None
        before = len(self.all)
        for token in tokens:
            self._open(port, f"{path}?token={token}", context)
        first = time.monotonic()
        self.drain(0.5)
        return {
            "clients": sum(reader.received > 0 for reader in self.all[before:]),
            "bytes": sum(reader.received for reader in self.all[before:]),
            "seconds": first - start,
        }

    def expect(self, frames: int, size: int, timeout: float) -> dict[str, Any]:
        """Read until every client has everything; return how many have it, and the ages."""
        end = time.monotonic() + timeout
        wanted = frames * size
        waiting = set(self.all)
        while waiting and time.monotonic() < end:
            for reader in self._round(0.05):
                if reader.received >= wanted and reader in waiting:
                    waiting.discard(reader)
                    reader.finished = time.monotonic()
        complete = [
            reader
            for reader in self.all
            # A ping may lie between the messages.
            if 0 <= reader.received - wanted < size and reader.last_number() == frames and reader.wrong == 0
        ]
        ages = sorted(age for reader in self.all if reader.samples for age in reader.ages)
        shares = {f"p{share}": ages[min(len(ages) - 1, len(ages) * share // 100)] for share in (50, 99)} if ages else {}
        return {
            "complete": len(complete),
            "finished": max((reader.finished for reader in self.all), default=0.0),
            "worst": ages[-1] if ages else None,
            **shares,
        }

    def drain(self, silence: float) -> None:
        """Read until nothing has come for a while, or a former trial would be counted as part of the next."""
        end = time.monotonic() + 20
        quiet = time.monotonic() + silence
        while time.monotonic() < min(quiet, end):
            if self._round(0.05):
                quiet = time.monotonic() + silence

    def mute(self, count: int) -> None:
        """Stop reading from some, as a page does whose machine sleeps."""
        for _ in range(count):
            reader = self.all.pop()
            self._selector.unregister(reader.connection)
            self.muted.append(reader)

    def clear(self) -> None:
        """Begin to count anew."""
        for reader in self.all:
            reader.clear()

    def close(self) -> None:
        """Close all connections."""
        for reader in (*self.all, *self.muted):
            with contextlib.suppress(KeyError):
                self._selector.unregister(reader.connection)
            reader.connection.close()
        self.all, self.muted = [], []

    def _open(self, port: int, target: str, context: ssl.SSLContext | None) -> None:
        connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        if context is not None:
            connection = context.wrap_socket(connection, server_hostname="127.0.0.1")
        connection.sendall(
            f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(4096)
            if not answer.startswith(b"HTTP/1.1 101"):
                raise ConnectionError(answer[:80])
        connection.setblocking(False)
        reader = Reader(connection, samples=False)
        reader.received = len(answer.partition(b"\r\n\r\n")[2])
        self.all.append(reader)
        self._selector.register(connection, selectors.EVENT_READ, reader)

    def _round(self, timeout: float) -> list[Reader]:
        ready = [key.data for key, _ in self._selector.select(timeout)]
        for reader in ready:
            if not reader.read():
                self._selector.unregister(reader.connection)
        return ready

    def sample(self, count: int) -> None:
        """Read so many clients message by message, spread over all."""
        step = max(1, len(self.all) // count)
        for number, reader in enumerate(self.all):
            reader.samples = number % step == step // 2


def main() -> None:
    """Do what standard input says, until it ends."""
    readers = Readers()
    for line in sys.stdin:
        order = json.loads(line)
        answer: dict[str, Any] = {}
        match order:
            case {"connect": {"port": port, "tls": tls, "tokens": tokens, "path": path, "ca": ca}}:
                answer = readers.connect(port, tokens, path, tls=tls, ca=ca)
                readers.sample(SAMPLES)
            case {"expect": {"frames": frames, "bytes": size, "timeout": timeout}}:
                readers.drain(0.2)
                readers.clear()
                sys.stdout.write("{}\n")
                sys.stdout.flush()
                answer = readers.expect(frames, size, timeout)
            case {"mute": count}:
                readers.mute(count)
            case {"close": _}:
                readers.close()
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
