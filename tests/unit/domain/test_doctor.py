"""The doctor's rules: what is a problem, what a warning, and that there is always something to do about it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.domain import doctor
from resit.domain.doctor import (
    DAY,
    MIB,
    Database,
    Finding,
    Level,
    Machine,
    Server,
    Target,
    WebhookFact,
    WorkerFact,
    of_database,
    of_machine,
    of_server,
    worst,
)

NOW = 1_000_000_000.0
OK, WARNING, PROBLEM = Level.OK, Level.WARNING, Level.PROBLEM
MACHINE = Machine(
    programs={"python": "3.12.1", "git": "2.47.0", "node": "22.1.0"},
    broker="2.12.0",
    data="/data",
    data_mode=0o700,
    disk_free=100 * 1024 * MIB,
    key_mode=0o600,
    certificates={"server.pem": NOW + 300 * DAY},
)
DATABASE = Database(kind="SQLite", version="3.45", at="0005", newest="0005", integrity="")
WORKER = WorkerFact("w1", "default", "1.0", draining=False, skew=0.0)
SERVER = Server(
    version="1.0",
    planes=[("a", "1.0")],
    workers=[WORKER],
    targets=[Target("shop/default", "default", "default")],
    unread=0,
    disk_free=100 * 1024 * MIB,
)


def machine(**members: Any) -> list[Finding]:
    return list(of_machine(replace(MACHINE, **members), NOW))


def server(**members: Any) -> list[Finding]:
    return list(of_server(replace(SERVER, **members), NOW))


def bad(findings: list[Finding]) -> list[tuple[str, Level]]:
    return [(found.name, found.level) for found in findings if found.level is not OK]


def test_where_all_is_well_there_is_nothing_to_do() -> None:
    found = [*machine(), *of_database(DATABASE), *server()]
    assert bad(found) == []
    assert worst(found) is OK
    assert all(not finding.advice for finding in found)
    assert worst([]) is OK


@pytest.mark.parametrize(
    ("members", "what"),
    [
        ({"programs": {"python": "3.10.9", "git": "2.47.0", "node": "20"}}, ("python", PROBLEM)),
        ({"programs": {"python": "3.12", "git": "", "node": "20"}}, ("git", PROBLEM)),
        ({"programs": {"python": "3.12", "git": "2.29.3", "node": "20"}}, ("git", PROBLEM)),
        ({"programs": {"python": "3.12", "git": "2.47.0.windows.1", "node": ""}}, ("node", WARNING)),
        ({"programs": {"python": "3.13.0rc1", "git": "2.47", "node": "16.1"}}, ("node", WARNING)),
        ({"broker": ""}, ("nats_server", PROBLEM)),
        ({"data_mode": 0o755}, ("data_folder", WARNING)),
        ({"data_writable": False}, ("data_folder", PROBLEM)),
        ({"disk_free": 4 * 1024 * MIB}, ("disk", WARNING)),
        ({"disk_free": 100 * MIB}, ("disk", PROBLEM)),
        ({"key_mode": 0o640}, ("secret_key", PROBLEM)),
        ({"certificates": {"x": NOW + 10 * DAY}}, ("certificate", WARNING)),
        ({"certificates": {"x": NOW + 2 * DAY}}, ("certificate", PROBLEM)),
        ({"certificates": {"x": NOW - 2 * DAY}}, ("certificate", PROBLEM)),
    ],
)
def test_what_is_wrong_with_a_machine(members: dict[str, Any], what: tuple[str, Level]) -> None:
    assert bad(machine(**members)) == [what]


def test_a_machine_where_nothing_was_started_yet_is_well() -> None:
    assert bad(machine(data_mode=None, key_mode=None, certificates={}, broker=None)) == []


@pytest.mark.parametrize(
    ("members", "what"),
    [
        ({"away": "no route"}, [("database", PROBLEM)]),
        ({"at": "0004"}, [("schema", WARNING)]),
        ({"at": "0006"}, [("schema", PROBLEM)]),
        ({"at": ""}, []),
        ({"integrity": "row 7 missing from index"}, [("integrity", PROBLEM)]),
        ({"integrity": None}, []),
        ({"skew": -3.0}, [("database_clock", WARNING)]),
        ({"skew": 60.0}, [("database_clock", PROBLEM)]),
    ],
)
def test_what_is_wrong_with_a_database(members: dict[str, Any], what: list[tuple[str, Level]]) -> None:
    assert bad(list(of_database(replace(DATABASE, **members)))) == what


@pytest.mark.parametrize(
    ("members", "what"),
    [
        ({"broker_connected": False, "unread": None}, [("broker", PROBLEM)]),
        ({"artifacts": "no such bucket"}, [("artifacts", PROBLEM)]),
        ({"planes": [("a", "1.0"), ("b", "0.9")]}, [("planes", WARNING)]),
        ({"planes": []}, []),
        ({"workers": []}, [("workers", PROBLEM), ("pools", PROBLEM)]),
        ({"workers": [replace(WORKER, version="0.9")]}, [("worker_versions", WARNING)]),
        ({"workers": [replace(WORKER, draining=True)]}, [("pools", PROBLEM)]),
        ({"workers": [replace(WORKER, skew=5.0)]}, [("worker_clock", WARNING)]),
        ({"targets": [Target("shop/a", "linux", "linux")]}, [("pools", PROBLEM)]),
        ({"targets": [Target("shop/a", "os=mac", None)]}, [("pools", PROBLEM)]),
        ({"targets": []}, []),
        ({"oldest_wait": 3600.0}, [("queue", WARNING)]),
        ({"outbox": 5, "outbox_seconds": 60.0}, [("outbox", PROBLEM)]),
        ({"outbox": 5000, "outbox_seconds": 1.0}, []),
        ({"unread": 7, "unread_seconds": 90.0}, [("ingest", WARNING)]),
        ({"unread": 0, "unread_seconds": 0.0}, []),
        ({"schedules": [("shop/nightly", "the environment is gone")]}, [("schedule", PROBLEM)]),
        ({"webhooks": [WebhookFact(1, "shop", 3, 2)]}, [("webhook", WARNING)]),
        ({"webhooks": [WebhookFact(1, "shop", 3, 9)]}, [("webhook", PROBLEM)]),
        ({"tokens": [("the token 'ci'", NOW - DAY), ("x", NOW + 5 * DAY)]}, [("token", WARNING), ("token", WARNING)]),
        ({"tokens": [("the token 'ci'", NOW + 90 * DAY)]}, []),
        ({"unbounded": 3}, []),
        ({"unbounded": 3, "disk_free": MIB}, [("retention", WARNING)]),
    ],
)
def test_what_is_wrong_with_a_server(members: dict[str, Any], what: list[tuple[str, Level]]) -> None:
    assert bad(server(**members)) == what


def test_names_are_some_and_the_number_of_the_others() -> None:
    targets = [Target(f"shop/e{n}", "linux", "linux") for n in range(9)]
    (found,) = [finding for finding in server(targets=targets) if finding.level is PROBLEM]
    assert found.words.endswith("shop/e0, shop/e1, shop/e2, shop/e3, shop/e4 and 4 more")
    assert "--pool linux" in found.advice


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_clocks(skew: float) -> None:
    found = doctor.clock("worker_clock", "w", skew)
    assert (found.level is OK) == (abs(skew) <= doctor.SKEW_WARNING)
    assert (found.level is PROBLEM) == (abs(skew) > doctor.SKEW_PROBLEM)


WORDS = st.text(max_size=5)
servers = st.builds(
    Server,
    version=WORDS,
    planes=st.lists(st.tuples(WORDS, WORDS), max_size=2),
    broker_connected=st.booleans(),
    unread=st.none() | st.integers(0, 9),
    unread_seconds=st.floats(0, 1e6),
    artifacts=WORDS,
    workers=st.lists(st.builds(WorkerFact, WORDS, WORDS, WORDS, st.booleans(), st.floats(-100, 100)), max_size=3),
    targets=st.lists(st.builds(Target, WORDS, WORDS, st.none() | WORDS), max_size=3),
    schedules=st.lists(st.tuples(WORDS, WORDS), max_size=2),
    webhooks=st.lists(st.builds(WebhookFact, st.integers(1), WORDS, st.integers(1), st.integers(1)), max_size=2),
    oldest_wait=st.floats(0, 1e6),
    outbox=st.integers(0, 9),
    outbox_seconds=st.floats(0, 1e6),
    tokens=st.lists(st.tuples(WORDS, st.floats(0, 2e9)), max_size=2),
    unbounded=st.integers(0, 3),
    disk_free=st.none() | st.integers(0, 2**40),
)


@given(servers)
def test_whatever_is_wrong_there_is_something_to_do(facts: Server) -> None:
    for found in of_server(facts, NOW):
        assert found.words
        assert bool(found.advice) == (found.level is not OK)
        assert "\n" not in found.advice
