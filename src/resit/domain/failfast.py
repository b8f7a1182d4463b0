"""When a run has failed often enough to stop (``--max-failures``), on all its shards."""

from resit.domain.errors import InvalidInput
from resit.domain.ledger import Counts
from resit.domain.run import Run
from resit.domain.status import RunStatus

MOST = 100_000
"""The greatest number of failures that can be waited for: the tests of the largest plan."""


def check_max_failures(number: int) -> None:
    """Raise :class:`InvalidInput` for what is no number of failures."""
    if not 0 <= number <= MOST:
        raise InvalidInput(f"max_failures: 1 to {MOST}, or 0 for no limit", field="max_failures")


def failures(counts: Counts) -> int:
    """The tests that ended badly where they were executed. What was not found or did not run was never tried."""
    return counts.failed + counts.errored + counts.lost


def enough(run: Run, snoozed: int = 0) -> bool:
    """True when a run has to stop: as many tests failed as it allows, and there is something left to spare.

    ``snoozed``: how many of its failures are covered by a snooze; they don't block, so they don't stop it either.
    """
    counts = run.counts
    return (
        run.status is RunStatus.RUNNING
        and 0 < run.max_failures <= failures(counts) - snoozed
        and counts.planned + counts.running > 0
    )


def in_words(run: Run, snoozed: int = 0) -> str:
    """Why it stopped: the reason of the tests that were spared, and of the run."""
    number = failures(run.counts) - snoozed
    return f"stopped after {number} {'failure' if number == 1 else 'failures'} (--max-failures {run.max_failures})"
