"""The verdict of a run, computed from its ledger and from nothing else that a framework says (product rule 1)."""

from resit.domain.ledger import Counts
from resit.domain.status import Verdict


def verdict(counts: Counts, *, problem: bool = False, cancelled: bool = False) -> Verdict:
    """How a closed run came out.

    ``problem``: something went wrong outside any test (setup, collection, a global teardown), so the run was not
    carried through, whatever the tests said. ``cancelled``: the run was stopped before its end; it is never green.
    A snoozed failure does not block, and it is no skip either.
    """
    if counts.blocking:
        return Verdict.FAILED
    if problem or cancelled or counts.cancelled or counts.planned or counts.running or not counts.total:
        return Verdict.ERRORED
    if counts.passed + counts.flaky + counts.snoozed:
        return Verdict.PASSED
    return Verdict.SKIPPED


def in_words(counts: Counts) -> str:
    """The counts as a person reads them, worst first: ``2 failed, 1 lost, 3 flaky, 194 passed (1 snoozed)``."""
    words = (
        (counts.failed, "failed"),
        (counts.errored, "errored"),
        (counts.lost, "lost"),
        (counts.not_found, "not found"),
        (counts.precluded, "did not run"),
        (counts.cancelled, "cancelled"),
        (counts.flaky, "flaky"),
        (counts.skipped - counts.precluded, "skipped"),
        (counts.passed, "passed"),
        (counts.running, "running"),
        (counts.planned, "to do"),
    )
    said = ", ".join(f"{number} {word}" for number, word in words if number) or "no tests"
    return f"{said} ({counts.snoozed} snoozed)" if counts.snoozed else said
