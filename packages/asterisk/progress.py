"""What a person sees of a build: stage, elapsed time, how far the compiler is."""

# ruff: noqa: INP001 - beside builder.py, on its path

import time
from types import TracebackType
from typing import Self, TextIO

# Seconds that a line of the build's output stands for, measured on two quiet cores. Only their proportions matter:
# they turn lines into a percentage that moves evenly.
_COSTS = {"checking": 0.1, "[pjproject]": 2.6, "[CC]": 0.23, "Installing": 0.02}
_TOTAL = 0.1 * 660 + 2.6 * 29 + 0.23 * 875 + 0.02 * 127 + 25
_EVERY = {True: 0.25, False: 20.0}
"""Seconds between two reports: on a terminal (one line that changes) and elsewhere (a new line each)."""
_WIDTH = 100


class Progress:
    """A context in which stages are reported on a stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._began = time.monotonic()
        self._reported = 0.0
        self._stage = ""
        self._cost = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._terminal:
            self._stream.write("\r\033[K")
            self._stream.flush()

    def begin(self, stage: str) -> None:
        """Report that a stage begins."""
        self._stage = stage
        self._cost = 0.0
        self._report("")

    def line(self, text: str) -> None:
        """Take a line of the stage's output; report if the last report is long enough ago."""
        words = text.split(maxsplit=1)
        if not words:
            return
        self._cost += _COSTS.get(words[0], 0.0)
        if time.monotonic() - self._reported >= _EVERY[self._terminal]:
            self._report(text.strip())

    def end(self) -> None:
        """Report that the stage is done."""
        if self._terminal:
            self._stream.write("\r\033[K")
        self._stream.write(f"asterisk: {self._elapsed()}  {self._stage}: done\n")
        self._stream.flush()

    def _elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        return f"{minutes:2}:{seconds:02}"

    def _report(self, detail: str) -> None:
        self._reported = time.monotonic()
        share = f" {min(99, round(100 * self._cost / _TOTAL)):2} %" if self._stage == "compile" else ""
        text = f"asterisk: {self._elapsed()}  {self._stage}{share}  {detail}"[:_WIDTH].rstrip()
        self._stream.write(f"\r\033[K{text}" if self._terminal else f"{text}\n")
        self._stream.flush()
