"""Which texts are cron expressions."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.domain.errors import InvalidInput
from resit.domain.schedule import check_schedule


@pytest.mark.parametrize(
    "text",
    [
        "", "* * * * *", "0 6 * * mon-fri", "*/15 0-6,22 1,15 jan-dec/2 SUN", "59 23 31 12 7", "0 0 * * 0",
        " 0  6 * * * ",
    ],
)  # fmt: skip
def test_schedules(text: str) -> None:
    assert check_schedule(text) == text


@pytest.mark.parametrize(
    "text",
    [
        " ", "daily", "@daily", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *",
        "* * * 13 *", "* * * 0 *", "* * * * 8", "*/0 * * * *", "5-1 * * * *", "1, * * * *", "-1 * * * *", "a * * * *",
        "mon * * * *", "* * * mon *", "*/9999 * * * *", "٣ * * * *", "1-2-3 * * * *", "* * * * *\0", "1" * 300,
        "1/ * * * *",
    ],
)  # fmt: skip
def test_what_is_no_schedule(text: str) -> None:
    with pytest.raises(InvalidInput):
        check_schedule(text)


@given(st.text(max_size=30) | st.from_regex(r"[0-9*,/ a-z-]{0,30}", fullmatch=True))
def test_any_text_is_a_schedule_or_refused(text: str) -> None:
    with suppress(InvalidInput):
        assert check_schedule(text) == text
