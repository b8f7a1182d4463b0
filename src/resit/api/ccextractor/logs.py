"""The logs of a run as lines. Lines are counted over all shards, so that a number of a line is a place to go on at."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from resit.api.dialect import iso
from resit.ports.reads import Reads

LogLevel = Literal["debug", "info", "warning", "error", "critical"]
LogSource = Literal["orchestrator", "worker", "build", "test_runner", "web"]
PIECE = 1_000_000
"""Characters that are read at once."""
MAX_SCAN = 100_000
"""Lines that one request looks at for what it is asked to find; then the cursor says where to go on."""
MAX_MESSAGE = 4000
_LEVELS: tuple[tuple[re.Pattern[str], LogLevel], ...] = (
    (re.compile(r"\b(critical|fatal|panic)\b", re.IGNORECASE), "critical"),
    (re.compile(r"\b(\w*errors?|\w*exception|traceback|fail(ed|ure|ures|s)?)\b", re.IGNORECASE), "error"),
    (re.compile(r"\bwarn(ing|ings)?\b", re.IGNORECASE), "warning"),
    (re.compile(r"\b(debug|trace)\b", re.IGNORECASE), "debug"),
)
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


def level_of(line: str) -> LogLevel:
    """The level of a line, guessed from its words."""
    for pattern, level in _LEVELS:
        if pattern.search(line):
            return level
    return "info"


def source_of(shard: int) -> LogSource:
    """What wrote the lines of a shard's log: number 0 is checkout, setup and listing."""
    return "test_runner" if shard else "build"


def read_lines(
    reads: Reads,
    run_id: int,
    cursor: int,
    limit: int,
    level: LogLevel | None,
    source: LogSource | None,
    contains: str,
) -> tuple[list[dict[str, Any]], int | None]:
    """The lines from a number on that are asked for, at most ``limit``, and the number to go on at."""
    found: list[dict[str, Any]] = []
    for number, shard, at, line in _lines(reads, run_id, cursor):
        if len(found) == limit or number - cursor >= MAX_SCAN:
            return found, number
        guessed, written_by = level_of(line), source_of(shard)
        if level not in (None, guessed) or source not in (None, written_by):
            continue
        if contains.lower() not in line.lower():
            continue
        found.append(
            {
                "timestamp": iso(at, "seconds") if at else None,
                "level": guessed,
                "source": written_by,
                "message": line[:MAX_MESSAGE],
                "run_id": run_id,
                "sample_id": None,
            }
        )
    return found, None


def _lines(reads: Reads, run_id: int, first: int) -> Iterator[tuple[int, int, float, str]]:
    """The lines from number ``first`` on, each with its number, its shard and the time at which it was told."""
    number = 0
    for part in reads.logs(run_id):
        rest = ""
        times = reads.log_times(run_id, part.shard)
        starts = [start for start, _ in times]

        def told(place: int, times: Sequence[tuple[int, float]] = times, starts: list[int] = starts) -> float:
            return times[bisect_right(starts, place) - 1][1]

        for start in range(0, part.size, PIECE):
            text = rest + reads.log(run_id, part.shard, start, PIECE)
            place = start - len(rest)
            whole = text.count("\n")
            if number + whole <= first and start + PIECE < part.size:
                # Nothing of this piece is asked for: it is counted, not cut.
                number, rest = number + whole, text[text.rfind("\n") + 1 :]
                continue
            *lines, rest = text.split("\n")
            for line in lines:
                if number >= first:
                    yield number, part.shard, told(place), _CONTROL.sub("", line)
                number += 1
                place += len(line) + 1
        if rest:
            if number >= first:
                yield number, part.shard, told(part.size - 1), _CONTROL.sub("", rest)
            number += 1
