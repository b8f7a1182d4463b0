"""A run as it goes on: a live view on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Set
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from resit.cli import output
from resit.client import RowDoc, RunDoc

SUMMARY_SECONDS = 5.0
"""Plain lines: at most one summary in this time."""
SHOWN_FAILURES = 50
"""Red tests named while the run goes on; the rest are counted."""
SHOWN_RUNNING = 5


class View(Protocol):
    """What following a run tells."""

    def open(self) -> AbstractContextManager[Any]:
        """Show something until the context ends."""
        ...

    def run_changed(self, run: RunDoc) -> None:
        """The run stands so now."""
        ...

    def row_changed(self, row: RowDoc) -> None:
        """A test stands so now."""
        ...

    @property
    def named(self) -> Set[str]:
        """The red tests that were printed."""
        ...

    def log_line(self, line: str) -> None:
        """The plan's log says this now."""
        ...


def view(console: Console) -> View:
    """The view that fits the console."""
    return LiveView(console) if console.is_terminal and not console.is_dumb_terminal else PlainView(console)


class _Reds:
    """Prints each red test once, up to a number."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._seen: set[str] = set()
        self.named: set[str] = set()

    def show(self, row: RowDoc) -> None:
        red = row.get("outcome") in output.RED_OUTCOMES or row.get("did_not_run")
        if not red or row["id"] in self._seen:
            return
        self._seen.add(row["id"])
        if len(self._seen) <= SHOWN_FAILURES:
            self.named.add(row["id"])
            for line in output.row_lines(row):
                output.say(self._console, line)
        elif len(self._seen) == SHOWN_FAILURES + 1:
            output.say(self._console, "  … and more; they are counted, and listed by `resit show RUN --tests`")


def progress(run: RunDoc) -> str:
    """Phase and counts on one line."""
    counts = run["counts"]
    done = counts["total"] - counts["planned"] - counts["running"]
    phase = output.clean(run["status"])
    if not counts["total"]:
        waits = output.clean(run.get("waiting_for") or "")
        return f"{phase}: {waits}" if waits else f"{phase}…"
    return f"{phase}: {done} of {counts['total']} done, {output.clean(run['summary'])}"


class PlainView:
    """One line for each red test, and a summary every few seconds when it has changed."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._reds = _Reds(console)
        self._said = ""
        self._next = 0.0

    def open(self) -> AbstractContextManager[Any]:
        """Nothing to hold open."""
        return nullcontext()

    def run_changed(self, run: RunDoc) -> None:
        """Say where the run stands, not too often."""
        line = progress(run)
        if line == self._said or self._clock() < self._next or run["status"] in ("finished", "cancelled"):
            return
        self._said, self._next = line, self._clock() + SUMMARY_SECONDS
        output.say(self._console, line)

    def row_changed(self, row: RowDoc) -> None:
        """Name the test if it is red."""
        self._reds.show(row)

    @property
    def named(self) -> Set[str]:
        """The red tests that were printed."""
        return self._reds.named

    def log_line(self, line: str) -> None:
        """Plain output leaves the plan's log to ``resit logs``."""


class LiveView:
    """Phase, bar, counts and running tests at the bottom; red tests scroll by above."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._start = clock()
        self._reds = _Reds(console)
        self._run: RunDoc | None = None
        self._running: dict[str, str] = {}
        self._log = ""

    def open(self) -> AbstractContextManager[Any]:
        """The live region of the screen."""
        return Live(self, console=self._console, refresh_per_second=8, transient=True)

    def run_changed(self, run: RunDoc) -> None:
        """Redraw with the run as it stands."""
        self._run = run

    def row_changed(self, row: RowDoc) -> None:
        """Keep the list of running tests; print the red ones."""
        if row.get("state") == "running":
            self._running[row["id"]] = output.title(row)
        else:
            self._running.pop(row["id"], None)
        self._reds.show(row)

    @property
    def named(self) -> Set[str]:
        """The red tests that were printed."""
        return self._reds.named

    def log_line(self, line: str) -> None:
        """Show what the plan is doing."""
        self._log = output.clean(line)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._picture(options.max_width)

    def _picture(self, width: int) -> Group:
        run = self._run
        lines: list[Any] = []
        if run is None:
            return Group(Text("connecting…"))
        counts = run["counts"]
        done = counts["total"] - counts["planned"] - counts["running"]
        head = Table.grid(padding=(0, 2), expand=False)
        phase = Text(f"{output.clean(run['status'])}…", "bold cyan")
        elapsed = Text(output.duration(self._clock() - self._start), "bright_black")
        if counts["total"]:
            red = any(counts.get(outcome) for outcome in output.RED_OUTCOMES)
            style = "red" if red else "green"
            room = max(10, min(40, width - 40))
            bar = ProgressBar(counts["total"], done, width=room, complete_style=style, finished_style=style)
            head.add_row(phase, bar, Text(f"{done}/{counts['total']}"), elapsed)
        else:
            head.add_row(phase, elapsed)
        lines.append(head)
        if counts["total"]:
            lines.append(counts_line(run))
        elif self._log:
            lines.append(Text(f"  {output.shorten(self._log, width - 4)}", "bright_black"))
        now = list(self._running.values())
        lines.extend(Text(f"  ▸ {output.shorten(name, width - 5)}", "cyan") for name in now[:SHOWN_RUNNING])
        if len(now) > SHOWN_RUNNING:
            lines.append(Text(f"  ▸ and {len(now) - SHOWN_RUNNING} more", "cyan"))
        return Group(*lines)


def counts_line(run: RunDoc) -> Text:
    """The counts that are not zero, each in its colour."""
    line = Text("  ")
    for state, style in output.STYLES.items():
        number = run["counts"].get(state, 0)
        if isinstance(number, int) and number:
            line.append(f"{number} {'to do' if state == 'planned' else state.replace('_', ' ')}  ", style)
    return line
