"""Where a caller stands in its window."""

from hypothesis import given
from hypothesis import strategies as st

from resit.domain.rates import Rate, standing
from resit.testing.factories import NOW


@given(st.integers(1, 1000), st.integers(1, 2000), st.floats(0.1, 3600), st.floats(0, 1))
def test_a_window_lets_its_limit_through_and_no_more(limit: int, count: int, window: float, part: float) -> None:
    found = standing(Rate(limit, window), count, NOW)
    assert found.allowed is (count <= limit)
    assert found.remaining == max(limit - count, 0)
    assert found.limit == limit
    assert found.reset_at == NOW + window
    wait = found.retry_after(NOW + part * window)
    assert wait >= 1
    assert NOW + part * window + wait >= found.reset_at
    assert wait <= window + 1


@given(st.integers(1, 10**9))
def test_a_limit_of_nothing_lets_everything_through(count: int) -> None:
    assert standing(Rate(0, 60.0), count, NOW).allowed
