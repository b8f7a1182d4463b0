"""What people and programs get to see: clean text, words for times and verdicts, Rich consoles, JSON.

Titles, messages and logs come from users' suites. They reach the terminal through :func:`clean`, and consoles are made
without markup, so nothing in them can style, move or forge what Resit says.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from resit.client import RowDoc, RunDoc

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, movements
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|\x9c|$)"  # OSC, DCS and their like, up to their end
    r"|\x1b[ -/]*[0-~]?"
    r"|\x9b[0-?]*[ -/]*[@-~]",
    re.DOTALL,
)
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_BLANKS = re.compile(r"\s+")

STYLES = {
    "passed": "green",
    "failed": "red",
    "errored": "magenta",
    "lost": "dark_orange",
    "not_found": "orchid",
    "flaky": "yellow",
    "skipped": "bright_black",
    "cancelled": "blue",
    "running": "cyan",
    "planned": "bright_black",
}
"""A colour for each state; the word always stands beside it."""
SIGNS = {"passed": "✓", "failed": "✗", "errored": "!", "lost": "?", "not_found": "∅", "flaky": "~", "skipped": "-"}
RED_OUTCOMES = ("failed", "errored", "lost", "not_found")


def clean(text: object, *, lines: bool = False) -> str:
    """Text of a suite without what a terminal would obey; on one line unless ``lines``."""
    bare = _ESCAPES.sub("", str(text).replace("\r\n", "\n"))
    bare = _CONTROLS.sub("", bare)
    return bare if lines else _BLANKS.sub(" ", bare).strip()


def shorten(text: str, width: int) -> str:
    """The text, cut to ``width`` characters with an ellipsis."""
    return text if len(text) <= width else text[: max(width - 1, 0)].rstrip() + "…"


def first_line(text: object) -> str:
    """The first line that says something."""
    for line in clean(text, lines=True).splitlines():
        if line.strip():
            return clean(line)
    return ""


# Words


def verdict_word(run: "RunDoc") -> str:
    """How a run came out, or how far it got, in one word."""
    if run["status"] == "cancelled":
        return "cancelled"
    return clean(run["verdict"] or run["status"])


def title(row: "RowDoc") -> str:
    """A test as people name it: its file, its titles, its variant."""
    place = f"{row['file']}:{row['line']}" if row.get("line") else row["file"]
    variant = f" [{row['variant']}]" if row.get("variant") else ""
    name = " › ".join(row.get("title_path") or []) or row["title"]
    return clean(f"{place} › {name}{variant}" if place else f"{name}{variant}")


def state_word(row: "RowDoc") -> str:
    """The state of a row in one word of the glossary."""
    if row.get("did_not_run"):
        return "did not run"
    return clean(row.get("outcome") or row.get("state") or "").replace("_", " ")


def reason(row: "RowDoc") -> str:
    """Why a test came out as it did, on one line."""
    if said := first_line(row.get("reason") or ""):
        return said
    for result in reversed(row.get("results", [])):
        for failure in result["failures"]:
            if said := first_line(failure["message"]):
                return said
    return ""


def duration(seconds: float | None) -> str:
    """``12.3 s``, ``2 min 5 s``, ``1 h 20 min``."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{max(seconds, 0.0):.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def moment(value: str | float | None) -> datetime | None:
    """A time of the API in the local zone."""
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str):
            found = datetime.fromisoformat(value)
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone()
        return datetime.fromtimestamp(value, UTC).astimezone()
    except (ValueError, OverflowError, OSError):
        return None


def local_time(value: str | float | None) -> str:
    """``2026-07-01 14:03:09 CEST``."""
    found = moment(value)
    return found.strftime("%Y-%m-%d %H:%M:%S %Z") if found else ""


def ago(value: str | float | None, now: datetime | None = None) -> str:
    """``3 min ago``."""
    found = moment(value)
    if found is None:
        return ""
    seconds = ((now or datetime.now(UTC)) - found).total_seconds()
    for size, word in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {word} ago"
    return "just now"


def selection(run: "RunDoc") -> str:
    """Where the tests of a run come from: ``re-run of 12 (failed)``, or nothing for a plain run of everything."""
    if run["source_run_id"] is not None:
        return f"re-run of {run['source_run_id']} ({clean(run['selection'])})"
    return "" if run["selection"] == "all" else f"{clean(run['selection'])} tests"


# Printing


def color_wanted(no_color: bool) -> bool:
    """False when somebody asked for plain output."""
    return not (no_color or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb")


def console(*, no_color: bool = False, stderr: bool = False) -> "Console":
    """A console that takes text as it is. Where nobody looks, lines are not folded to a screen's width."""
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            """Rich would end the program with 1, which says that a run is red."""
            raise BrokenPipeError

    stream = sys.stderr if stderr else sys.stdout
    wide = None if stream.isatty() or os.environ.get("COLUMNS", "").isdigit() else 160
    color = color_wanted(no_color)
    return Plain(
        file=stream,
        markup=False,
        highlight=False,
        emoji=False,
        no_color=not color,
        color_system="auto" if color else None,
        width=wide,
    )


def print_json(document: object) -> None:
    """The one document of ``--json``. Nothing in it can reach the terminal as a control character."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    text = json.dumps(document, indent=2, ensure_ascii=not utf8)
    text = re.sub("[\x7f-\x9f\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say_error(message: str, hint: str = "") -> None:
    """One clear line on stderr, and what to do about it."""
    sys.stdout.flush()
    sys.stderr.write(f"resit: {clean(message)}\n")
    if hint:
        sys.stderr.write(f"       {clean(hint)}\n")
    sys.stderr.flush()


def headline(run: "RunDoc") -> "Text":
    """The verdict first, in words: ``FAILED  2 failed, 194 passed in 12.3 s``."""
    from rich.text import Text

    word = verdict_word(run)
    line = Text()
    line.append(word.upper(), f"bold {STYLES.get(word, 'cyan')}")
    line.append(f"  {clean(run['summary'])}")
    if run["duration"] is not None:
        line.append(f" in {duration(run['duration'])}")
    return line


def row_lines(row: "RowDoc", indent: str = "  ") -> "Iterator[Text]":
    """A test with its outcome, and its reason on a second line."""
    from rich.text import Text

    state = row.get("outcome") or row.get("state") or ""
    style = "red" if row.get("did_not_run") else STYLES.get(state, "")
    line = Text(indent)
    snoozed = " (snoozed)" if row.get("snoozed") else ""
    line.append(f"{SIGNS.get(state, '·')} {state_word(row)}{snoozed}", style)
    line.append(f"  {title(row)}")
    yield line
    if why := reason(row):
        yield Text(f"{indent}  {shorten(why, 300)}", "bright_black")


def fields(pairs: list[tuple[str, str]]) -> Any:
    """Names and values below each other; what is empty is left out."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bright_black", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        if value:
            grid.add_row(name, value)
    return grid


def table(*columns: str) -> Any:
    """An open table that fits any width."""
    from rich.table import Table

    made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def say(to: "Console", text: "Text | str" = "") -> None:
    """A line of text. Where nobody looks it stays one line, however long."""
    to.print(text, soft_wrap=not to.is_terminal)
