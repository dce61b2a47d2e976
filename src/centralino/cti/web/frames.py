"""WebSocket frames (RFC 6455 §5.2), built once for all clients: a server's frames are not masked, so they are equal."""

_FINAL_TEXT = 0x81
PING = b"\x89\x00"
_SMALL = 126
_MEDIUM = 65536


def text(payload: bytes) -> bytes:
    """Return an unfragmented text frame."""
    size = len(payload)
    if size < _SMALL:
        return bytes((_FINAL_TEXT, size)) + payload
    if size < _MEDIUM:
        return b"\x81\x7e" + size.to_bytes(2) + payload
    return b"\x81\x7f" + size.to_bytes(8) + payload
