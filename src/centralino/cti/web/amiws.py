"""Messages in amiws' format, for the clients that speak it; docs/live-protocol.md has the differences."""

import orjson

from centralino.cti.ami.message import Kind, Message


def encode(message: Message, server_id: int, server_name: str, *, tls: bool = True) -> bytes:
    """Return the JSON object of a message; a repeated header becomes a repeated key, as amiws does it."""
    if message.repeated is None:
        return orjson.dumps(
            {
                "type": int(message.kind),
                "server_id": server_id,
                "server_name": server_name,
                "ssl": tls,
                "data": message.headers if message.numbers is None else message.numbers,
            }
        )
    empty = encode(message._replace(headers={}, repeated=None), server_id, server_name, tls=tls)
    data = b",".join(orjson.dumps(name) + b":" + orjson.dumps(value) for name, value in message.repeated)
    return empty.removesuffix(b"{}}") + b"{" + data + b"}}"


_STATUS = {"free": ("0", "Idle"), "busy": ("1", "InUse"), "unregistered": ("4", "Unavailable")} | {
    "ringing": ("8", "Ringing"),
    "held": ("16", "Hold"),
}


def extension_status(number: str, context: str, state: str) -> Message:
    """Return an extension's state as the event that Asterisk would send."""
    status, text = _STATUS[state]
    return Message(
        Kind.EVENT,
        "ExtensionStatus",
        {"Event": "ExtensionStatus", "Exten": number, "Context": context, "Status": status, "StatusText": text},
    )
