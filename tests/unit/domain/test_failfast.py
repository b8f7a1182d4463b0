"""When a run has failed often enough to stop."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.domain import failfast
from resit.domain.errors import InvalidInput
from resit.domain.ledger import Counts
from resit.domain.run import Run
from resit.domain.status import RunStatus
from resit.testing import factories

counts = st.builds(Counts, *[st.integers(0, 4)] * 11)


def run(counts: Counts, most: int, status: RunStatus = RunStatus.RUNNING) -> Run:
    return factories.run(counts=counts, max_failures=most, status=status)


@given(counts, st.integers(0, 5), st.integers(0, 5), st.sampled_from(RunStatus))
def test_it_stops_when_so_many_have_failed_and_something_is_left(
    counts: Counts, most: int, snoozed: int, status: RunStatus
) -> None:
    failed = counts.failed + counts.errored + counts.lost - snoozed
    left = counts.planned + counts.running
    wanted = status is RunStatus.RUNNING and most > 0 and failed >= most and left > 0
    assert failfast.enough(run(counts, most, status), snoozed) == wanted


def test_words() -> None:
    assert failfast.in_words(run(Counts(failed=1), 1)) == "stopped after 1 failure (--max-failures 1)"
    assert failfast.in_words(run(Counts(failed=2, lost=2), 2), 1) == "stopped after 3 failures (--max-failures 2)"


def test_bounds() -> None:
    failfast.check_max_failures(0)
    failfast.check_max_failures(failfast.MOST)
    for wrong in (-1, failfast.MOST + 1):
        with pytest.raises(InvalidInput):
            failfast.check_max_failures(wrong)
