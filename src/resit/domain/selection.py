"""Which tests a run or a re-run executes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from resit.domain.ledger import Row
from resit.domain.plan import PlannedTest, unique
from resit.domain.status import Outcome, SelectionKind

RED = frozenset({Outcome.FAILED, Outcome.ERRORED, Outcome.LOST, Outcome.NOT_FOUND})
"""The outcomes that "re-run failed" takes up, besides tests that were precluded by a failure."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What was asked for. ``tests`` (framework ids) and ``tags`` (any of them) narrow; both empty: everything."""

    kind: SelectionKind = SelectionKind.ALL
    tests: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


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


def failed(rows: Iterable[Row]) -> tuple[str, ...]:
    """The tests that "re-run failed" takes up: failed, errored, lost, not found, or precluded by a failure."""
    return tuple(row.test for row in rows if row.outcome in RED or row.precluded)


def with_units(chosen: Iterable[str], plan: Sequence[PlannedTest]) -> tuple[PlannedTest, ...]:
    """The chosen tests of a plan, in its order, each serial group whole.

    A member of a serial group fails by construction when it runs alone (performance.md, section 3).
    """
    ids = set(chosen)
    units = {t.unit for t in plan if t.unit and t.id in ids}
    return tuple(t for t in plan if t.id in ids or t.unit in units)
