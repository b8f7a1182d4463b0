"""Standing orders."""

from datetime import date, timedelta


def a_month_later(day: date) -> date:
    """The same day of the next month, or its last day. Has a known bug: the 31st runs over into the month after."""
    first = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return first + timedelta(days=day.day - 1)
