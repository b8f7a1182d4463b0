"""How planned tests are cut into batches, and over how many lanes.

The figures behind the rules are in the performance notes: a batch costs a dispatch (the start of a process), so
batches follow (work per lane) / (cost of a dispatch): one balanced start a lane for short work, shrinking batches for
long work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from resit.domain.plan import PlannedTest

UNKNOWN_SECONDS = 0.5
"""Expected duration of a test when nothing is known of any test of the suite."""
_LEAST = 0.001
SHORT_DISPATCHES = 15
"""Up to this many dispatch costs of work per lane, one balanced start a lane wins over pulling (measured)."""


@dataclass(frozen=True)
class Load:
    """What is known of the work: expected seconds by test id, and what one more process costs."""

    expected: Mapping[str, float]
    dispatch_cost: float

    @cached_property
    def usual(self) -> float:
        """Expected duration of a test of which nothing is known."""
        return median(self.expected.values()) if self.expected else UNKNOWN_SECONDS

    def seconds(self, tests: Sequence[PlannedTest]) -> float:
        """Expected duration of ``tests`` one after the other."""
        return sum(self.expected.get(t.id, self.usual) for t in tests)


def units(tests: Sequence[PlannedTest]) -> list[tuple[PlannedTest, ...]]:
    """What stays together, in the framework's order: the tests of a file and variant, and files that share a unit."""
    above: dict[tuple[str, str], tuple[str, str]] = {}
    first: dict[str, tuple[str, str]] = {}

    def top(file: tuple[str, str]) -> tuple[str, str]:
        while above[file] != file:
            file = above[file]
        return file

    for test in tests:
        file = (test.file, test.variant)
        above.setdefault(file, file)
        if test.unit:
            above[top(file)] = top(first.setdefault(test.unit, file))
    found: dict[tuple[str, str], list[PlannedTest]] = {}
    for test in tests:
        found.setdefault(top((test.file, test.variant)), []).append(test)
    return [tuple(group) for group in found.values()]


SHARED_LANE = 0.3
"""What one more lane of a shared process costs, in dispatch costs: a worker of its own, but no second start."""


def lanes(tests: Sequence[PlannedTest], wanted: int, load: Load, *, shared: bool = False) -> int:
    """How many lanes the work is worth: never more than wanted, and none whose start costs more than it saves.

    ``shared``: the lanes are one process, which may also cut up a file.
    """
    if not tests:
        return 1
    useful = wanted
    if load.expected:
        cost = load.dispatch_cost * (SHARED_LANE if shared else 1)
        useful = max(1, int(load.seconds(tests) / max(2 * cost, _LEAST)))
    return max(1, min(wanted, len(tests) if shared else len(units(tests)), useful))


def batches(tests: Sequence[PlannedTest], places: int, load: Load) -> list[tuple[PlannedTest, ...]]:
    """Cut ``tests`` into batches for ``places`` processes at a time; longest batch first, each in the suite's order."""
    if places <= 1 or len(tests) <= 1:
        return [tuple(tests)] if tests else []
    order = {t.id: n for n, t in enumerate(tests)}
    groups = sorted(units(tests), key=load.seconds, reverse=True)
    if load.seconds(tests) / places <= SHORT_DISPATCHES * load.dispatch_cost:
        cut = _even(groups, places, load)
    else:
        cut = _shrinking(groups, places, load)
    return [tuple(sorted(batch, key=lambda t: order[t.id])) for batch in cut if batch]


def _even(groups: list[tuple[PlannedTest, ...]], places: int, load: Load) -> list[list[PlannedTest]]:
    """Longest processing time first: each group to the batch that has least so far."""
    bins: list[tuple[float, list[PlannedTest]]] = [(0.0, []) for _ in range(places)]
    for group in groups:
        at = min(range(places), key=lambda n: bins[n][0])
        filled, batch = bins[at]
        batch.extend(group)
        bins[at] = (filled + load.seconds(group), batch)
    return [batch for _, batch in sorted(bins, key=lambda b: -b[0])]


def _shrinking(groups: list[tuple[PlannedTest, ...]], places: int, load: Load) -> list[list[PlannedTest]]:
    """Each batch takes a share of what is left, so that the last ones are small; never under three dispatch costs."""
    cut: list[list[PlannedTest]] = []
    left = sum(load.seconds(g) for g in groups)
    batch: list[PlannedTest] = []
    filled, target = 0.0, max(left / (1.3 * places), 3 * load.dispatch_cost)
    for group in groups:
        batch.extend(group)
        filled += load.seconds(group)
        if filled >= target:
            cut.append(batch)
            left -= filled
            batch, filled, target = [], 0.0, max(left / (1.3 * places), 3 * load.dispatch_cost)
    if batch:
        cut.append(batch)
    return cut
