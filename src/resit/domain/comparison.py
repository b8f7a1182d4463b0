"""Two runs beside each other: what fails now that did not, what passes now, what is missing, new, slower.

States are words: an outcome, or ``planned``, ``running``, ``did_not_run``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from resit.domain.status import Outcome

Standing = tuple[str, int, str, float]
"""A test in a run: its id, its number there, its state, its seconds."""
RED = frozenset({*(o.value for o in (Outcome.FAILED, Outcome.ERRORED, Outcome.LOST, Outcome.NOT_FOUND)), "did_not_run"})
"""States that make a run red."""
GOOD = frozenset({Outcome.PASSED.value, Outcome.FLAKY.value})
SLOWER, SECONDS = 1.5, 0.5
"""A test is slower when it takes this many times as long, and so many seconds more: less is noise."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A test in two runs; an empty state: it is not part of that run.

    ``place`` and ``old_place``: its numbers in the later and the earlier one, or -1.
    """

    test: str
    place: int
    old_place: int
    before: str
    after: str
    took_before: float | None
    took_after: float | None

    @property
    def slower(self) -> bool:
        """True when it passed in both and took much longer in the later one."""
        if self.took_before is None or self.took_after is None or not {self.before, self.after} <= GOOD:
            return False
        return self.took_after > SLOWER * self.took_before and self.took_after - self.took_before > SECONDS

    @property
    def by(self) -> float:
        """Seconds by which it took longer."""
        return (self.took_after or 0.0) - (self.took_before or 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What differs. No test stands in two of the lists, but a slower one may be anywhere."""

    total: int = 0
    newly_failing: list[Pair] = field(default_factory=list[Pair])
    """Red now and not before."""
    newly_passing: list[Pair] = field(default_factory=list[Pair])
    """Passed now, if only at a later try, and red before."""
    still_failing: list[Pair] = field(default_factory=list[Pair])
    missing: list[Pair] = field(default_factory=list[Pair])
    """Not part of the later run."""
    new_failing: list[Pair] = field(default_factory=list[Pair])
    """Not part of the earlier run, and red at once."""
    new: list[Pair] = field(default_factory=list[Pair])
    """Not part of the earlier run, and not red."""
    slower: list[Pair] = field(default_factory=list[Pair])
    """The most seconds first."""


def pairs(before: Sequence[Standing], after: Sequence[Standing]) -> list[Pair]:
    """The tests of both runs, in the order of the later one; then those of the earlier one alone."""
    old, new = {each[0]: each for each in before}, {each[0]: each for each in after}
    absent: tuple[str, int, str, None] = ("", -1, "", None)
    found: list[Pair] = []
    for test in dict.fromkeys([*new, *old]):
        _, old_place, old_state, old_seconds = old.get(test, absent)
        _, place, state, seconds = new.get(test, absent)
        found.append(Pair(test, place, old_place, old_state, state, old_seconds, seconds))
    return found


def compare(before: Sequence[Standing], after: Sequence[Standing]) -> Comparison:
    """What differs between an earlier and a later run."""
    both = pairs(before, after)
    found = Comparison(total=len(both))
    for pair in both:
        if not pair.after:
            found.missing.append(pair)
        elif not pair.before:
            (found.new_failing if pair.after in RED else found.new).append(pair)
        elif pair.after in RED:
            (found.still_failing if pair.before in RED else found.newly_failing).append(pair)
        elif pair.before in RED and pair.after in GOOD:
            found.newly_passing.append(pair)
        if pair.slower:
            found.slower.append(pair)
    found.slower.sort(key=lambda pair: -pair.by)
    return found
