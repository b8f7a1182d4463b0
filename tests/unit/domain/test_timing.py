"""What a test is expected to take: the middle of what it took, the latest counting most."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.domain.timing import KEPT, expected


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=9))
def test_it_is_one_of_the_latest(seconds: list[float]) -> None:
    assert expected(seconds) in seconds[:KEPT]


@pytest.mark.parametrize(
    ("recent", "seconds"),
    [
        ((3.0,), 3.0),
        ((60.0, 2.0, 2.0, 2.0, 2.0), 2.0),
        ((9.0, 9.0, 2.0, 2.0, 2.0), 9.0),
        ((1.0, 2.0, 3.0), 2.0),
    ],
)
def test_one_bad_day_is_forgiven_and_a_change_is_followed(recent: tuple[float, ...], seconds: float) -> None:
    assert expected(recent) == seconds


def test_nothing_is_expected_of_nothing() -> None:
    with pytest.raises(ValueError, match="no duration"):
        expected(())
