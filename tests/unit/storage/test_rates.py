"""Counters of rate limits: counted together by all threads and processes, and never a reason for not answering."""

import logging
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from resit.domain.rates import Rate, Standing
from resit.storage import rates as counters
from resit.storage.rates import SqliteRates
from resit.testing.factories import NOW

RATE = Rate(3, 60.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rates.db"


@pytest.fixture
def rates(path: Path) -> Iterator[SqliteRates]:
    made = SqliteRates(path)
    yield made
    made.close()


def rows(path: Path) -> list[str]:
    db = sqlite3.connect(path)
    found = [key for (key,) in db.execute("SELECT key FROM windows ORDER BY key")]
    db.close()
    return found


def test_a_window_begins_with_the_first_request_and_ends_for_all_at_once(rates: SqliteRates) -> None:
    found = [rates.hit("a", RATE, NOW + second) for second in (0, 20, 40, 59.9, 60, 61)]
    assert [one.remaining for one in found] == [2, 1, 0, 0, 2, 1]
    assert [one.allowed for one in found] == [True, True, True, False, True, True]
    assert [one.reset_at for one in found] == [NOW + 60] * 4 + [NOW + 120] * 2


def test_keys_do_not_share_a_window(rates: SqliteRates) -> None:
    assert [rates.hit(key, RATE, NOW).remaining for key in ("a", "b", "a", "ümläut '\"", "b")] == [2, 2, 1, 2, 1]


def test_a_limit_of_nothing_counts_nothing(rates: SqliteRates, path: Path) -> None:
    assert rates.hit("a", Rate(0, 60.0), NOW).allowed
    assert not path.exists()


def test_a_clock_that_was_set_back_locks_nobody_out(rates: SqliteRates) -> None:
    for _ in range(4):
        late = rates.hit("a", RATE, NOW + 86400)
    assert not late.allowed
    assert rates.hit("a", RATE, NOW) == Standing(3, 2, NOW + 60, True)


def test_a_window_may_change_its_length_between_requests(rates: SqliteRates) -> None:
    rates.hit("a", Rate(3, 60.0), NOW)
    assert rates.hit("a", Rate(5, 900.0), NOW + 30).remaining == 3
    assert rates.hit("a", Rate(5, 900.0), NOW + 60) == Standing(5, 4, NOW + 960, True)


def test_threads_count_together(rates: SqliteRates) -> None:
    rate = Rate(500, 60.0)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: rates.hit("a", rate, NOW), range(600)))
    assert sum(one.allowed for one in found) == 500
    assert sorted(one.remaining for one in found) == [0] * 100 + list(range(500))


def test_processes_count_together(rates: SqliteRates, path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from resit.domain.rates import Rate; from resit.storage import rates\n"
        "rates.BUSY_SECONDS = 30\n"
        "counter = rates.SqliteRates(Path(sys.argv[1]))\n"
        f"for _ in range(2000): counter.hit('a', Rate(5000, 60.0), {NOW})\n"
    )
    children = [subprocess.Popen([sys.executable, "-c", program, str(path)]) for _ in range(2)]
    assert [child.wait(60) for child in children] == [0, 0]
    assert rates.hit("a", Rate(5000, 60.0), NOW).remaining == 5000 - 4001


def test_what_has_passed_is_forgotten_now_and_then(
    rates: SqliteRates, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "PRUNE_EVERY", 4)
    for key in ("a", "b", "c"):
        rates.hit(key, RATE, NOW)
    assert rows(path) == ["a", "b", "c"]
    rates.hit("d", RATE, NOW + 60)
    assert rows(path) == ["d"]


@pytest.mark.parametrize("content", [b"no database at all" * 500, b"SQLite format 3\0" + b"\xff" * 9000, b""])
def test_a_broken_file_is_made_anew(path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    path.write_bytes(content)
    rates = SqliteRates(path)
    with caplog.at_level(logging.WARNING):
        assert [rates.hit("a", RATE, NOW).remaining for _ in range(4)] == [2, 1, 0, 0]
    assert len(caplog.records) == (1 if content else 0)
    rates.close()


def test_a_file_that_breaks_while_it_is_open(rates: SqliteRates, path: Path) -> None:
    rates.hit("a", RATE, NOW)
    other = SqliteRates(path)
    other.hit("a", RATE, NOW)
    for end in ("", "-wal"):
        with path.with_name(path.name + end).open("r+b") as file:
            file.write(b"\xff" * 8192)
    found = [one.hit("a", RATE, NOW).remaining for one in (rates, other, rates, other)]
    assert found[-1] < found[0]
    rates.close()
    other.close()


def test_a_file_that_was_taken_away_is_made_anew(rates: SqliteRates, path: Path) -> None:
    rates.hit("a", RATE, NOW)
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    other = SqliteRates(path)
    assert [one.hit("a", RATE, NOW).remaining for one in (rates, other, rates)] == [2, 1, 0]
    other.close()


def test_a_table_that_was_dropped_is_made_anew(rates: SqliteRates, path: Path) -> None:
    rates.hit("a", RATE, NOW)
    db = sqlite3.connect(path)
    db.execute("DROP TABLE windows")
    db.close()
    assert [rates.hit("a", RATE, NOW).remaining for _ in range(2)] == [2, 1]


def test_a_file_that_others_keep_lets_requests_through(
    rates: SqliteRates, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(counters, "BUSY_SECONDS", 0.0)
    for _ in range(4):
        last = SqliteRates.hit(rates, "a", RATE, NOW)
    assert not last.allowed
    rates.close()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    with caplog.at_level(logging.WARNING):
        assert all(rates.hit("a", RATE, NOW) == Standing(3, 2, NOW + 60, True) for _ in range(5))
    assert len(caplog.records) == 1
    db.execute("ROLLBACK")
    db.close()
    # Not every request asks again, so the pause is ended by hand.
    rates._paused_until = 0.0
    assert not rates.hit("a", RATE, NOW).allowed


def test_a_folder_that_is_not_there_lets_requests_through(tmp_path: Path) -> None:
    rates = SqliteRates(tmp_path / "gone" / "rates.db")
    assert [rates.hit("a", RATE, NOW).remaining for _ in range(5)] == [2] * 5
