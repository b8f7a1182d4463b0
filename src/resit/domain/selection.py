"""Which tests a run or a re-run executes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import assert_never

from resit.domain.ledger import Counts, Row
from resit.domain.plan import PlannedTest, unique
from resit.domain.status import Outcome, SelectionKind

RED = frozenset({Outcome.FAILED, Outcome.ERRORED, Outcome.LOST, Outcome.NOT_FOUND})
"""The outcomes that "re-run failed" takes up, besides tests that were precluded by a failure."""


class Taken(StrEnum):
    """Which tests of its source a re-run of the failed ones takes up; callers of the vendors' APIs mean other sets.

    ``RED``: all that kept the source from being green. ``SHOWN_FAILED``: those without the tests that did not run,
    which a client that knows no other state is shown as failed (Empirical, study 2.5). ``RAN_AND_FAILED``: only what
    ran and came to a bad end (CCExtractor, study 2.10). ``NOT_PASSED``: all that has an outcome and did not pass,
    skipped and cancelled ones too (QA.tech, study 2.5). ``NOT_GREEN``: RED, and what was cancelled before its end.
    """

    RED = "red"
    SHOWN_FAILED = "shown_failed"
    RAN_AND_FAILED = "ran_and_failed"
    NOT_PASSED = "not_passed"
    NOT_GREEN = "not_green"

    @property
    def outcomes(self) -> frozenset[Outcome]:
        """The outcomes that the set holds, besides tests that did not run."""
        match self:
            case Taken.RED | Taken.SHOWN_FAILED:
                return RED
            case Taken.RAN_AND_FAILED:
                return frozenset({Outcome.FAILED, Outcome.ERRORED})
            case Taken.NOT_PASSED:
                return RED | {Outcome.SKIPPED, Outcome.CANCELLED}
            case Taken.NOT_GREEN:
                return RED | {Outcome.CANCELLED}
            case _:
                assert_never(self)

    @property
    def precluded(self) -> bool:
        """True when the set holds tests that did not run, too."""
        return self in _PRECLUDED_TOO

    def takes(self, row: Row) -> bool:
        """True when the set holds the test."""
        return row.outcome in self.outcomes or (self.precluded and row.precluded)

    def size(self, counts: Counts) -> int:
        """How many tests the set holds, by the counts of the source."""
        found = sum(getattr(counts, outcome.value) for outcome in self.outcomes)
        return found + counts.precluded if self.precluded else found


_PRECLUDED_TOO = (Taken.RED, Taken.NOT_GREEN)
"""The sets that hold tests that did not run."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What was asked for. ``tests`` (framework ids) and ``tags`` (any of them) narrow; both empty: everything.

    ``lenient``: names that the suite does not have are left out instead of standing in the ledger as not found.
    ``taken``: for the kind *failed*, which set of its source's tests is meant.
    """

    kind: SelectionKind = SelectionKind.ALL
    tests: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    lenient: bool = False
    taken: Taken = Taken.RED


@dataclass(frozen=True, slots=True)
class Filters:
    """An environment's filters: globs over the variant (Playwright project), or the file where there is none."""

    match: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def admits(self, test: PlannedTest) -> bool:
        """True when a glob of ``match`` (none = all) and no glob of ``ignore`` fits the test."""
        subject = test.variant or test.file
        if self.match and not any(fnmatchcase(subject, glob) for glob in self.match):
            return False
        return not any(fnmatchcase(subject, glob) for glob in self.ignore)


@dataclass(frozen=True, slots=True)
class Resolution:
    """The plan that follows from a selection. ``missing``: ids asked for that can't be executed, with the reason."""

    planned: tuple[PlannedTest, ...]
    missing: tuple[tuple[str, str], ...] = ()


def resolve(selection: Selection, listed: Sequence[PlannedTest], filters: Filters) -> Resolution:
    """Narrow what the framework lists to what was asked for.

    An id that is not listed stays in the plan's account as missing: it was asked for, so it must not vanish.
    """
    tests = unique(listed)
    wanted = _bare(selection.tags)
    admitted = [t for t in tests if filters.admits(t) and (not wanted or wanted & _bare(t.tags))]
    if not selection.tests:
        return Resolution(tuple(admitted))
    ids = dict.fromkeys(selection.tests)
    known = {t.id for t in tests}
    within = {t.id for t in admitted}
    if selection.lenient:
        return Resolution(tuple(t for t in admitted if t.id in ids))
    missing = tuple(
        (
            id,
            "left out by the environment's filters or the tags" if id in known else "no such test in the suite",
        )
        for id in ids
        if id not in within
    )
    return Resolution(tuple(t for t in admitted if t.id in ids), missing)


def _bare(tags: Iterable[str]) -> frozenset[str]:
    """Tags without the leading ``@``, which people write or leave out."""
    return frozenset(tag.removeprefix("@") for tag in tags)


def failed(rows: Iterable[Row], taken: Taken = Taken.RED) -> tuple[str, ...]:
    """The tests that "re-run failed" takes up: if nothing else is said, all that kept the source from being green."""
    return tuple(row.test for row in rows if taken.takes(row))


def again(selection: Selection, plan: Sequence[PlannedTest], rows: Sequence[Row]) -> tuple[PlannedTest, ...]:
    """The tests of a re-run, from its source's plan and ledger. A list of tests that is fixed already stays."""
    wanted = _bare(selection.tags)
    within = [t for t in plan if not wanted or wanted & _bare(t.tags)]
    match selection.kind:
        case SelectionKind.ALL:
            return tuple(within)
        case SelectionKind.FAILED:
            return with_units(selection.tests or failed(rows, selection.taken), within)
        case SelectionKind.CHOSEN:
            return with_units(selection.tests or [t.id for t in within], within)


def with_units(chosen: Iterable[str], plan: Sequence[PlannedTest]) -> tuple[PlannedTest, ...]:
    """The chosen tests of a plan, in its order, each serial group whole.

    A member of a serial group fails by construction when it runs alone (performance.md, section 3).
    """
    ids = set(chosen)
    units = {t.unit for t in plan if t.unit and t.id in ids}
    return tuple(t for t in plan if t.id in ids or t.unit in units)
