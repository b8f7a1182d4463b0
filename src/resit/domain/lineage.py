"""What is known now of a build: the fold over a run and its re-runs (the effective verdict)."""

from collections.abc import Mapping, Sequence

from resit.domain.ledger import Counts
from resit.domain.status import Outcome, Verdict
from resit.domain.verdict import verdict

Said = tuple[str | None, bool, bool]
"""A test's outcome, whether it was precluded by a failure before it, and whether a snooze covers it."""
Known = Mapping[str, Said]
"""What one run said of each of its tests."""


def effective(runs: Sequence[Known], problems: Sequence[bool] = ()) -> Verdict | None:
    """The verdict of the newest word on each test; ``runs`` oldest first.

    A cancelled test says nothing new. None while a test has no outcome yet. ``problems``: which of the runs could not
    be carried through; that stands until later runs without a problem have been through all tests of that run, because
    a re-run of a few tests does not show that what broke around the others is mended.
    """
    latest: dict[str, Said] = {}
    for run in runs:
        for test, said in run.items():
            if said[0] != Outcome.CANCELLED or test not in latest:
                latest[test] = said
    if any(outcome is None for outcome, _, _ in latest.values()):
        return None
    numbers: dict[str, int] = {}
    for outcome, _, _ in latest.values():
        numbers[str(outcome)] = numbers.get(str(outcome), 0) + 1
    precluded = sum(precluded for _, precluded, _ in latest.values())
    counts = Counts(**numbers, precluded=precluded, snoozed=sum(snoozed for _, _, snoozed in latest.values()))
    return verdict(counts, problem=_unmended(runs, problems))


def _unmended(runs: Sequence[Known], problems: Sequence[bool]) -> bool:
    """True when a run had a problem that no later run has shown to be gone."""
    mended: set[str] = set()
    later = False
    for run, problem in reversed(list(zip(runs, problems, strict=False))):
        if not problem:
            mended.update(test for test, (outcome, _, _) in run.items() if outcome != Outcome.CANCELLED)
            later = later or bool(run)
        elif not later or not mended.issuperset(run):
            return True
    return False
