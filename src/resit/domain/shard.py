"""When a shard can't be prepared (checkout, setup, the executor): whose fault is that, the suite's or the machine's?

A second opinion decides: the shard is handed out again, to another worker if there is one. As long as anybody carries
the run out, or prepares to, a worker that can't is no reason to end it: whoever can pulls all of its batches.
"""

from enum import StrEnum

MAX_TRIES = 2
"""So many workers (or one, so often) may fail to prepare a run that nobody else works on; then it is errored."""


class AfterFailure(StrEnum):
    """What follows when a worker could not prepare its shard."""

    IGNORE = "ignore"
    """It is known, or the run is over."""
    AGAIN = "again"
    """The shard is handed out once more."""
    END = "end"
    """The run ends errored, with the worker's words."""


def after_failure(*, running: bool, known: bool, failures: int, at_work: int) -> AfterFailure:
    """What a worker's word means that it could not prepare its shard.

    ``known``: it was heard before. ``failures``: how many attempts to prepare a shard of the run have failed, this one
    included. ``at_work``: how many other attempts of the run live, to prepare a shard or to execute a batch.
    """
    if not running or known:
        return AfterFailure.IGNORE
    if at_work or failures < MAX_TRIES:
        return AfterFailure.AGAIN
    return AfterFailure.END
