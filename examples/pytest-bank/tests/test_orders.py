from datetime import date

from bank.orders import a_month_later


def test_a_month_later_is_the_same_day():
    assert a_month_later(date(2026, 1, 15)) == date(2026, 2, 15)


def test_december_is_followed_by_january():
    assert a_month_later(date(2026, 12, 1)) == date(2027, 1, 1)


def test_the_31st_becomes_the_last_day_of_a_short_month():
    assert a_month_later(date(2026, 1, 31)) == date(2026, 2, 28)  # fails: the bug in bank/orders.py
