"""When a shard can't be prepared."""

from hypothesis import given
from hypothesis import strategies as st

from resit.domain.shard import MAX_TRIES, AfterFailure, after_failure

COUNTS = st.integers(0, 5)


@given(running=st.booleans(), known=st.booleans(), failures=COUNTS, at_work=COUNTS)
def test_a_run_ends_only_when_it_runs_nobody_works_and_enough_have_failed(
    running: bool, known: bool, failures: int, at_work: int
) -> None:
    found = after_failure(running=running, known=known, failures=failures, at_work=at_work)
    assert (found is AfterFailure.END) == (running and not known and not at_work and failures >= MAX_TRIES)
    assert (found is AfterFailure.IGNORE) == (known or not running)


@given(st.lists(st.booleans(), max_size=12))
def test_whoever_fails_while_somebody_works_ends_nothing_however_often(working: list[bool]) -> None:
    """``working``: for each failure, whether somebody else was at work. The first without, after another, ends it."""
    ends = [
        after_failure(running=True, known=False, failures=number, at_work=int(works)) is AfterFailure.END
        for number, works in enumerate(working, 1)
    ]
    assert ends == [not works and number >= MAX_TRIES for number, works in enumerate(working, 1)]
