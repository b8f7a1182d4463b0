"""Counters of rate limits in the database: counted together by all control planes, and no reason for no answer."""

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, func, select

from resit.domain.rates import Rate, Standing
from resit.storage import shared_rates, tables
from resit.storage.connect import transaction
from resit.storage.shared_rates import SqlRates
from resit.testing.factories import NOW, FakeClock
from resit.testing.postgres import PostgresServer
from resit.testing.world import empty, postgresql

BOTH_DATABASES = True

RATE = Rate(3, 60.0)


@pytest.fixture
def rates(engine: Engine) -> SqlRates:
    empty(engine)
    return SqlRates(engine)


def rows(engine: Engine) -> int:
    with transaction(engine, write=False) as db:
        return db.execute(select(func.count()).select_from(tables.rate_windows)).scalar_one()


def test_a_window_begins_with_the_first_request_and_ends_for_all_at_once(rates: SqlRates) -> None:
    found = [rates.hit("a", RATE, NOW + second) for second in (0, 20, 40, 59.9, 60, 61)]
    assert [one.remaining for one in found] == [2, 1, 0, 0, 2, 1]
    assert [one.allowed for one in found] == [True, True, True, False, True, True]
    assert [one.reset_at for one in found] == [NOW + 60] * 4 + [NOW + 120] * 2


def test_keys_do_not_share_a_window(rates: SqlRates) -> None:
    assert [rates.hit(key, RATE, NOW).remaining for key in ("a", "b", "a", "ümläut '\"", "b")] == [2, 2, 1, 2, 1]


def test_a_limit_of_nothing_counts_nothing(rates: SqlRates, engine: Engine) -> None:
    assert rates.hit("a", Rate(0, 60.0), NOW).allowed
    assert rows(engine) == 0


def test_a_clock_that_was_set_back_locks_nobody_out(rates: SqlRates) -> None:
    for _ in range(4):
        late = rates.hit("a", RATE, NOW + 86400)
    assert not late.allowed
    assert rates.hit("a", RATE, NOW) == Standing(3, 2, NOW + 60, True)


def test_windows_that_have_passed_are_forgotten(
    rates: SqlRates, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_rates, "PRUNE_EVERY", 5)
    for number in range(4):
        rates.hit(f"old {number}", RATE, NOW)
    rates.hit("new", RATE, NOW + 60)
    assert rows(engine) == 1


def test_control_planes_count_together(rates: SqlRates, engine: Engine) -> None:
    other = SqlRates(engine)
    limit = Rate(1000, 60.0)

    def hit(number: int) -> int:
        return (rates if number % 2 else other).hit("a", limit, NOW).remaining

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(hit, range(60))) == list(range(940, 1000))


def test_a_database_that_is_away_lets_everybody_through(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    clock = FakeClock()
    with PostgresServer() as server:
        engine = postgresql(server, "rates")
        rates = SqlRates(engine, clock.now)
        assert [rates.hit("a", RATE, NOW).remaining for _ in range(4)] == [2, 1, 0, 0]
        server.stop()
        for _ in range(5):
            assert rates.hit("a", RATE, NOW) == Standing(3, 2, NOW + 60, True)
        assert len(caplog.messages) == 1
        assert "rate limits are not kept for now" in caplog.messages[0]
        server.start()
        assert rates.hit("a", RATE, NOW).allowed, "for a moment nobody asks"
        clock.turn(shared_rates.PAUSE_SECONDS)
        assert not rates.hit("a", RATE, NOW).allowed
        engine.dispose()


def test_a_counter_that_somebody_holds_lets_through(postgres: PostgresServer) -> None:
    engine = postgresql(postgres, "busy-rates")
    rates = SqlRates(engine)
    assert rates.hit("a", RATE, NOW).remaining == 2
    with transaction(engine, write=True) as db:
        db.execute(select(tables.rate_windows).with_for_update())
        assert rates.hit("a", RATE, NOW) == Standing(3, 2, NOW + 60, True)
    engine.dispose()
    postgres.drop("busy-rates")
