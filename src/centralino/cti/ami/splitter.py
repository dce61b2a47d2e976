"""Cuts AMI's byte stream into frames, whatever the bytes are."""

_END = b"\r\n\r\n"
_PROMPT = b"Asterisk Call Manager/"
_OLD_OUTPUT = b"Response: Follows\r\n"
_OLD_OUTPUT_END = b"--END COMMAND--"

MAX_FRAME = 1_048_576
"""Bytes; a longer frame is skipped to its end. Asterisk's own stay far below."""


class Splitter:
    """Collects bytes and gives back whole frames, without their empty last line.

    The greeting (``Asterisk Call Manager/11.0.0``), which ends by a single line feed, is taken off the frame behind it.
    An old command's output (``Response: Follows``) may hold empty lines; it ends at ``--END COMMAND--``.
    """

    def __init__(self, max_frame: int = MAX_FRAME) -> None:
        self._max_frame = max_frame
        self._buffer = bytearray()
        self._searched = 0
        self._skipping = False
        self.dropped = 0

    def feed(self, data: bytes | bytearray | memoryview) -> list[bytes]:
        """Return the frames that ``data`` completes."""
        self._buffer += data
        if self._buffer.find(_END, self._searched) < 0:
            self._searched = max(0, len(self._buffer) - len(_END) + 1)
            self._drop_oversized()
            return []
        *frames, rest = bytes(self._buffer).split(_END)
        self._buffer = bytearray(rest)
        self._searched = 0
        if self._skipping:
            self._skipping = False
            del frames[0]
        return self._join_old_output([frame for frame in map(self._trim, frames) if frame])

    def _trim(self, frame: bytes) -> bytes:
        frame = frame.lstrip(b"\r\n")
        if frame.startswith(_PROMPT):
            frame = frame.partition(b"\n")[2]
        if len(frame) > self._max_frame:
            self.dropped += 1
            return b""
        return frame

    def _join_old_output(self, frames: list[bytes]) -> list[bytes]:
        joined: list[bytes] = []
        for frame in frames:
            last = joined[-1] if joined else b""
            if last.startswith(_OLD_OUTPUT) and _OLD_OUTPUT_END not in last:
                joined[-1] = last + _END + frame
            else:
                joined.append(frame)
        last = joined[-1] if joined else b""
        if last.startswith(_OLD_OUTPUT) and _OLD_OUTPUT_END not in last:
            self._buffer[:0] = joined.pop() + _END
            self._searched = len(last) + len(_END)
            self._drop_oversized()
        return joined

    def _drop_oversized(self) -> None:
        if len(self._buffer) <= self._max_frame:
            return
        # Keep what may be the first bytes of the end that is being waited for.
        del self._buffer[: -len(_END) + 1]
        self._searched = 0
        if not self._skipping:
            self._skipping = True
            self.dropped += 1
