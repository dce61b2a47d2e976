"""Runs a command as a named stage: shows that it moves, keeps its whole output, and tells how long it took."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

CHECKOUT = Path(__file__).resolve().parent.parent
LOGS = CHECKOUT / ".build" / "log"
REPORT_EVERY = 30.0
"""Seconds between progress lines where there is no terminal to redraw."""
PATIENCE = 30.0
"""Seconds that an interrupted command is given to end by itself."""

console = Console(highlight=False)
_running: list[subprocess.Popen[str]] = []


class StageError(Exception):
    """A stage failed; the text names it and its log."""


@dataclass
class Stage:
    """A command under way, with its output in a log file."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    part: str = ""
    """What a line begins with that begins a part of the stage, such as a playbook's play."""
    began: float = 0.0
    """When it was started, in seconds of the monotonic clock."""
    seconds: float = 0.0
    last_line: str = ""
    _parts: list[tuple[str, float]] = field(default_factory=list)
    _process: subprocess.Popen[str] | None = None
    _reader: threading.Thread | None = None

    def start(self) -> "Stage":
        """Start the command; returns at once."""
        self.began = time.monotonic()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(  # noqa: S603
            self.command,
            cwd=CHECKOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "ANSIBLE_FORCE_COLOR": "0", **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        _running.append(self._process)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def wait(self) -> "Stage":
        """Show the stage's progress until its end. Raises :class:`StageError` with the end of its output."""
        assert self._process is not None  # noqa: S101 (started before it is waited for)
        assert self._reader is not None  # noqa: S101
        try:
            self._watch(self._process)
        except KeyboardInterrupt:
            # The terminal sent it the same signal; what does not heed it is ended at the end of all.
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE)
            raise
        self._reader.join()
        code = self._process.returncode
        mark = "[green]✔[/green]" if code == 0 else "[red]✘[/red]"
        console.print(
            Text.assemble(Text.from_markup(mark), f" {self.name} {self.seconds:.1f} s  ", (self.last_line[:100], "dim"))
        )
        if code != 0:
            console.print(Text(self._tail(), style="dim"))
            raise StageError(f"{self.name} failed (exit code {code}); all of its output is in {_shown(self.log)}")
        return self

    @property
    def parts(self) -> list[tuple[str, float]]:
        """The stage's parts, each with its seconds; for a stage that has ended."""
        return [(name, after - began) for (name, began), (_, after) in pairwise([*self._parts, ("", self.ended)])]

    @property
    def ended(self) -> float:
        """When it ended, on the same clock; for a stage that has ended."""
        return self.began + self.seconds

    @property
    def output(self) -> str:
        """All that the command has printed."""
        return self.log.read_text(errors="replace")

    def _watch(self, process: subprocess.Popen[str]) -> None:
        if console.is_terminal:
            with Live(console=console, transient=True, refresh_per_second=8) as live:
                while process.poll() is None:
                    live.update(Spinner("dots", Text.assemble(f"{self.name} ", (self._progress(), "dim"))))
                    time.sleep(0.1)
            return
        console.print(f"… {self.name}")
        reported = time.monotonic()
        while process.poll() is None:
            if time.monotonic() - reported > REPORT_EVERY:
                reported = time.monotonic()
                console.print(f"  {self._progress()}", markup=False)
            time.sleep(0.1)

    def _progress(self) -> str:
        elapsed = int(time.monotonic() - self.began)
        return f"{elapsed // 60}:{elapsed % 60:02} {self.last_line[: max(20, console.width - len(self.name) - 12)]}"

    def _read(self) -> None:
        assert self._process is not None  # noqa: S101
        assert self._process.stdout is not None  # noqa: S101
        with self.log.open("w") as log:
            for line in self._process.stdout:
                log.write(line)
                log.flush()
                if self.part and line.startswith(self.part):
                    self._parts.append((line.removeprefix(self.part).rstrip(" *]\n"), time.monotonic()))
                if said := line.strip(" *\n"):
                    self.last_line = said
        self.seconds = time.monotonic() - self.began

    def _tail(self, lines: int = 40) -> str:
        return "\n".join(self.output.splitlines()[-lines:])


def stage(name: str, *command: str, log: str, part: str = "", **environment: str) -> Stage:
    """Make a stage; ``python`` and the virtual environment's programs are found by name."""
    environment = {"PATH": f"{CHECKOUT / '.venv' / 'bin'}:{os.environ['PATH']}", **environment}
    first = CHECKOUT / ".venv" / "bin" / command[0]
    program = str(first) if first.is_file() else command[0]
    return Stage(name, [program, *command[1:]], LOGS / f"{log}.log", environment, part)


def durations(stages: Sequence[Stage]) -> Table:
    """Return the table of how long each stage took."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("stage")
    table.add_column("seconds", justify="right")
    for done in stages:
        table.add_row(done.name, f"{done.seconds:.1f}")
        for name, seconds in done.parts:
            table.add_row(f"[dim]  {name}", f"[dim]{seconds:.1f}")
    whole = max(done.ended for done in stages) - min(done.began for done in stages)  # some ran side by side
    table.add_row("[bold]all", f"[bold]{whole:.1f}")
    return table


def run_to_end(main: Callable[[], None]) -> None:
    """Run a script's ``main`` so that the person who reads gets a sentence, never a traceback."""
    try:
        main()
    except StageError as error:
        console.print(f"[red]centralino:[/red] {error}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("\ncentralino: interrupted; the same command goes on from here")
        sys.exit(130)
    finally:
        for process in _running:  # a stage that runs beside the one that failed
            process.terminate()


def _shown(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))
