"""An AMI server of our own: logs in, lists hints, and sends what a test or a benchmark tells it to."""

import asyncio
import ssl
from dataclasses import dataclass, field

SECRET = "a-secret-of-the-test"


def event(name: str, **headers: str) -> bytes:
    """Return an event's frame; ``_`` in a header's name stands for a hyphen."""
    lines = [f"Event: {name}", *(f"{key.replace('_', '-')}: {value}" for key, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def hint(tenant: int, number: str, status: int, devices: str = "", **headers: str) -> bytes:
    """Return the event that tells an extension's state."""
    return event(
        "ExtensionStatus",
        **headers,
        Exten=number,
        Context=f"t{tenant}-internal",
        Hint=devices,
        Status=str(status),
        StatusText="x",
    )


@dataclass
class FakeAmi:
    """One fake Asterisk; ``hints`` and ``listed`` are what it lists, ``sent`` what the proxy sent.

    ``listed`` gives list actions (``QueueStatus``) the events that answer them, each a name and its headers; any
    action in ``answers`` is answered as told there, and every other is unknown, as to an Asterisk without its module.
    """

    tls: ssl.SSLContext | None = None
    hints: dict[tuple[int, str], int] = field(default_factory=dict)
    listed: dict[str, list[tuple[str, dict[str, str]]]] = field(default_factory=dict)
    answers: dict[str, tuple[str, str]] = field(default_factory=dict)
    devices: dict[tuple[int, str], str] = field(default_factory=dict)
    """Hints' devices, ``PJSIP/t175-…``."""
    mute: set[str] = field(default_factory=set)
    """Actions that are not answered."""
    sent: list[dict[str, str]] = field(default_factory=list)
    answers_pings: bool = True
    port: int = 0
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        """Listen on loopback; on the same port again after a stop."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Go away as a crash does."""
        if self._server is not None:
            self._server.close()
        self.drop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2)

    def drop(self) -> None:
        """Cut off everybody who is logged in."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    def send(self, data: bytes) -> None:
        """Send to everybody who is logged in."""
        for writer in self._writers:
            writer.write(data)

    def set(self, tenant: int, number: str, status: int) -> None:
        """Change a hint and tell it."""
        self.hints[tenant, number] = status
        self.send(hint(tenant, number, status, self.devices.get((tenant, number), ""), Privilege="call,all"))

    @property
    def logged_in(self) -> int:
        """How many proxies are logged in."""
        return len(self._writers)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        writer.write(b"Asterisk Call Manager/11.0.0\r\n")
        try:
            while True:
                frame = (await reader.readuntil(b"\r\n\r\n")).decode()
                action = dict(line.split(": ", 1) for line in frame.strip().split("\r\n"))
                self.sent.append(action)
                if action["Action"] not in self.mute:
                    self._answer(action, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def _answer(self, action: dict[str, str], writer: asyncio.StreamWriter) -> None:
        action_id = action["ActionID"]

        def response(result: str, **headers: str) -> None:
            lines = [f"Response: {result}", f"ActionID: {action_id}", *(f"{k}: {v}" for k, v in headers.items())]
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())

        match action["Action"]:
            case "Login" if action["Secret"] == SECRET:
                response("Success", Message="Authentication accepted")
                writer.write(event("FullyBooted", Privilege="system,all", Status="Fully Booted"))
                self._writers.add(writer)
            case "Login":
                response("Error", Message="Authentication failed")
            case "ExtensionStateList":
                response("Success", EventList="start", Message="Extension Statuses will follow")
                for (tenant, number), status in self.hints.items():
                    writer.write(
                        hint(tenant, number, status, self.devices.get((tenant, number), ""), ActionID=action_id)
                    )
                writer.write(event("ExtensionStateListComplete", ActionID=action_id, EventList="Complete"))
            case name if name in self.listed:
                response("Success", EventList="start")
                writer.write(self._list(action))
            case "Ping" if self.answers_pings:
                response("Success", Ping="Pong")
            case "Ping":
                pass
            case name:
                result, text = self.answers.get(name, ("Error", "Invalid/unknown command"))
                response(result, Message=text)

    def _list(self, action: dict[str, str]) -> bytes:
        room, same = action.get("Conference"), {"ActionID": action["ActionID"]}
        found = [(name, h) for name, h in self.listed[action["Action"]] if room in {None, h.get("Conference")}]
        found.append((f"{action['Action']}Complete", {"EventList": "Complete"}))
        return b"".join(event(name, **same, **headers) for name, headers in found)
