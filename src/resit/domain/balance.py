"""How planned tests are cut into batches, and over how many lanes.

The figures behind the rules are in the performance notes and in ADR 19. Two costs rule the cut: what one more batch
costs an open session, and what a session costs. Where a batch costs the start of a process, batches follow (work per
place) / (cost of a batch): one balanced start a place for short work, shrinking batches for long work. Where it costs
next to nothing, the lanes of a worker pull single tests from what the worker holds (domain/pull.py), and batches only
share the work out among workers: they shrink from the beginning.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from statistics import median

from resit.domain.plan import PlannedTest

UNKNOWN_SECONDS = 0.5
"""Expected duration of a test when nothing is known of any test of the suite."""
_LEAST = 0.001
SHORT_BATCHES = 15
"""Up to this many costs of a batch of work per place, one balanced batch a place wins over pulling (measured)."""
JOINED_SECONDS = 2.0
"""Batches that cost next to nothing are joined up to so much work a lane."""
CHEAP_SECONDS = 0.2
"""What a batch may cost to be cheap."""


@dataclass(frozen=True)
class Load:
    """What is known of the work: expected seconds by test id, and seconds that one more session costs, one more
    ``batch`` and one more ``lane`` of an open session (both as much as a session unless told)."""

    expected: Mapping[str, float]
    session: float
    batch: float | None = None
    lane: float | None = None

    @cached_property
    def usual(self) -> float:
        """Expected duration of a test of which nothing is known, nor of its file."""
        return median(self.expected.values()) if self.expected else UNKNOWN_SECONDS

    @property
    def batch_cost(self) -> float:
        """Seconds that one more batch costs an open session."""
        return self.session if self.batch is None else self.batch

    @property
    def lane_cost(self) -> float:
        """Seconds that one more lane costs an open session."""
        return self.session if self.lane is None else self.lane

    def seconds(self, tests: Sequence[PlannedTest]) -> float:
        """Expected duration of ``tests`` one after the other."""
        return sum(self.expected.get(t.id, self.usual) for t in tests)

    def longest(self, tests: Sequence[PlannedTest]) -> float:
        """Expected duration of the longest piece."""
        return max((self.seconds(piece) for piece in pieces(tests)), default=0.0)


def filled(expected: Mapping[str, float], tests: Sequence[PlannedTest]) -> Mapping[str, float]:
    """``expected`` with the tests of which nothing is known: each takes the median of its file and variant, if
    something is known of that. Where nothing is, it has no entry."""
    known: dict[tuple[str, str], list[float]] = {}
    for test in tests:
        if test.id in expected:
            known.setdefault((test.file, test.variant), []).append(expected[test.id])
    usual = {file: median(seconds) for file, seconds in known.items()}
    found = {test.id: usual[test.file, test.variant] for test in tests if (test.file, test.variant) in usual}
    return found | dict(expected)


def units(tests: Sequence[PlannedTest]) -> list[tuple[PlannedTest, ...]]:
    """The tests by file and variant, in the framework's order; files that share a unit are one."""
    return _grouped(tests, lambda test: ("", test.file, test.variant))


def pieces(tests: Sequence[PlannedTest]) -> list[tuple[PlannedTest, ...]]:
    """What stays together whatever it costs, in the framework's order: units, and the rest of a file unless its tests
    may run apart."""
    return _grouped(tests, lambda test: (test.id, "", "") if test.apart else ("", test.file, test.variant))


def _grouped(
    tests: Sequence[PlannedTest], home: Callable[[PlannedTest], tuple[str, str, str]]
) -> list[tuple[PlannedTest, ...]]:
    above: dict[tuple[str, str, str], tuple[str, str, str]] = {}
    first: dict[str, tuple[str, str, str]] = {}

    def top(place: tuple[str, str, str]) -> tuple[str, str, str]:
        while above[place] != place:
            above[place] = above[above[place]]
            place = above[place]
        return place

    for test in tests:
        place = home(test)
        above.setdefault(place, place)
        if test.unit:
            above[top(place)] = top(first.setdefault(test.unit, place))
    found: dict[tuple[str, str, str], list[PlannedTest]] = {}
    for test in tests:
        found.setdefault(top(home(test)), []).append(test)
    return [tuple(group) for group in found.values()]


def lanes(tests: Sequence[PlannedTest], wanted: int, load: Load) -> int:
    """How many lanes the work is worth: never more than wanted, and none whose start costs more than it saves."""
    if not tests:
        return 1
    useful = wanted
    if load.expected:
        useful = max(1, int(load.seconds(tests) / max(2 * load.lane_cost, _LEAST)))
    return max(1, min(wanted, len(pieces(tests)), useful))


def lanes_within(tests: Sequence[PlannedTest], target: float, most: int, load: Load) -> int:
    """The fewest lanes that are expected to be done within ``target`` seconds, at most ``most``.

    Where no number is enough, the one with the shortest end: more lanes cost their starts, and nothing is shorter than
    the longest piece.
    """
    total, longest = load.seconds(tests), load.longest(tests)

    def end(number: int) -> float:
        return load.session + (number - 1) * load.lane_cost + max(longest, total / number)

    numbers = range(1, max(1, min(most, len(pieces(tests)))) + 1)
    return next((number for number in numbers if end(number) <= target), None) or min(numbers, key=end)


def batches(tests: Sequence[PlannedTest], places: int, load: Load, lanes: int = 0) -> list[tuple[PlannedTest, ...]]:
    """Cut ``tests`` into batches for ``places`` sessions that take them at the same time; longest first, each in the
    suite's order. ``lanes``: how many places all of them have together (as many as ``places`` unless told)."""
    lanes = max(lanes, places, 1)
    cheap = load.batch_cost <= CHEAP_SECONDS
    if len(tests) <= 1 or (places <= 1 and not cheap) or (cheap and lanes == 1):
        return [tuple(tests)] if tests else []
    order = {t.id: n for n, t in enumerate(tests)}
    if cheap:
        least = JOINED_SECONDS * ceil(lanes / max(places, 1))
        cut = _shrinking(_handy(tests, lanes, load), max(places, 2), load, least)
    elif load.seconds(tests) / places <= SHORT_BATCHES * load.batch_cost:
        cut = _even(_handy(tests, lanes, load), places, load)
    else:
        cut = _shrinking(_handy(tests, lanes, load), places, load, 3 * load.batch_cost)
    return [tuple(sorted(batch, key=lambda t: order[t.id])) for batch in cut if batch]


def _handy(tests: Sequence[PlannedTest], lanes: int, load: Load) -> list[tuple[PlannedTest, ...]]:
    """Files, longest first; one that takes a good part of a lane's time is cut into its pieces where it may be."""
    most = load.seconds(tests) / lanes / 2
    found: list[tuple[PlannedTest, ...]] = []
    for file in units(tests):
        found += [file] if load.seconds(file) <= most else pieces(file)
    return sorted(found, key=load.seconds, reverse=True)


def _even(groups: list[tuple[PlannedTest, ...]], places: int, load: Load) -> list[list[PlannedTest]]:
    """Longest processing time first: each group to the batch that has least so far."""
    bins: list[tuple[float, list[PlannedTest]]] = [(0.0, []) for _ in range(places)]
    for group in groups:
        at = min(range(places), key=lambda n: bins[n][0])
        filled, batch = bins[at]
        batch.extend(group)
        bins[at] = (filled + load.seconds(group), batch)
    return [batch for _, batch in sorted(bins, key=lambda b: -b[0])]


def _shrinking(groups: list[tuple[PlannedTest, ...]], places: int, load: Load, least: float) -> list[list[PlannedTest]]:
    """Each batch takes a share of what is left, so that the last ones are small; never less than ``least`` seconds."""
    cut: list[list[PlannedTest]] = []
    left = sum(load.seconds(g) for g in groups)
    batch: list[PlannedTest] = []
    filled, target = 0.0, max(left / (1.3 * places), least)
    for group in groups:
        batch.extend(group)
        filled += load.seconds(group)
        if filled >= target:
            cut.append(batch)
            left -= filled
            batch, filled, target = [], 0.0, max(left / (1.3 * places), least)
    if batch:
        cut.append(batch)
    return cut
