"""The real thing on PostgreSQL: a run, what failed of it again, everything that reads; and a database that goes away
in mid-run, while the tests go on."""

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from black_box import Resit, Suites, lines, until

from resit.testing.postgres import PostgresServer

PASSWORD = "sesame-4711"
SUITE = """
import os, pathlib, pytest, time
LOG = pathlib.Path(os.environ["LOG"])
@pytest.fixture(autouse=True)
def mark(request):
    with LOG.open("a") as log: log.write(request.node.name + "\\n")
def test_good(): print("some words")
def test_bad(): assert LOG.with_name("fixed").exists(), "not fixed"
@pytest.mark.parametrize("value", ["é", "日本", "it's", "a b"])
def test_odd(value): pass
@pytest.mark.skip(reason="later")
def test_skips(): pass
"""
WAITING = """
import os, pathlib, pytest, time
LOG = pathlib.Path(os.environ["LOG"])
@pytest.mark.parametrize("n", range(8))
def test_n(n):
    with LOG.open("a") as log: log.write(f"{n}\\n")
    end = time.monotonic() + 60
    while n == 2 and not LOG.with_name("go").exists() and time.monotonic() < end: time.sleep(0.02)
    assert n != 4
"""
Serving = Callable[..., Resit]
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server that loses nothing, with a role that needs its password."""
    with PostgresServer(careful=True) as made:
        made.execute(f"CREATE ROLE locked LOGIN PASSWORD '{PASSWORD}'")
        yield made


@pytest.fixture
def serving(server: PostgresServer, own: Callable[..., Resit]) -> Serving:
    """Resit on a database of its own."""

    def make(**options: Any) -> Resit:
        database = f"resit{next(_NUMBERS)}"
        server.create(database)
        server.execute(f'ALTER DATABASE "{database}" OWNER TO locked')
        server.execute("ALTER SCHEMA public OWNER TO locked", database)
        return own(database=server.url(database, user="locked", password=PASSWORD), **options)

    return make


def test_a_run_and_what_failed_again(serving: Serving, suite: Suites, log: Path) -> None:
    resit = serving()
    slug = resit.project(suite(SUITE))
    first = resit.execute(slug, variables={"LOG": str(log)}, build={"url": "https://build.example", "branch": "main"})
    assert first["verdict"] == "failed"
    assert {name: first["counts"][name] for name in ("total", "passed", "failed", "skipped")} == {
        "total": 7, "passed": 5, "failed": 1, "skipped": 1,
    }  # fmt: skip
    before = resit.http.get(f"/runs/{first['id']}/tests?limit=100").content

    log.with_name("fixed").touch()
    log.unlink()
    done = resit.cli("rerun", str(first["id"]), "--failed", "--wait", "--json")
    assert (done.code, done.json["verdict"], done.json["source_run_id"]) == (0, "passed", first["id"])
    assert lines(log) == ["test_bad"]
    assert resit.http.get(f"/runs/{first['id']}/tests?limit=100").content == before
    assert not (resit.data / "resit.db").exists()

    _reads(resit, slug, first["id"])
    checked = resit.cli("db", "check", env={"RESIT_DATABASE_URL": resit.database})
    assert checked.code == 0, checked.said
    assert "2 runs with 8 tests" in checked.out

    # The password is known to the server alone.
    texts = [
        resit.log(),
        Path(f"/proc/{resit.pid}/cmdline").read_text(),
        _environ(resit.worker),
        _environ(resit.broker),
    ]
    assert [PASSWORD in text for text in texts] == [False] * 4


def _environ(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_text()


def _reads(resit: Resit, slug: str, run: int) -> None:
    """Everything that lists or counts answers."""
    case = next(iter(resit.tests(run)))
    for path in (
        "/projects", f"/projects/{slug}/environments", f"/projects/{slug}/test-cases?q=BAD", f"/runs?project={slug}",
        f"/projects/{slug}/test-cases/{case}", f"/runs/{run}/lineage", f"/runs/{run}/artifacts",
        f"/projects/{slug}/insights/runs", f"/projects/{slug}/insights/tests", "/users", "/tokens", "/schedules",
    ):  # fmt: skip
        answer = resit.http.get(path)
        assert answer.status_code == 200, (path, answer.text)
    assert len(resit.get(f"/runs/{run}/tests", q="ODD")["items"]) == 4
    assert len(resit.get(f"/projects/{slug}/test-cases", q="bad")["items"]) == 1
    days = resit.get(f"/projects/{slug}/insights/runs")["days"]
    assert [(day["runs"], day["tests_failed"]) for day in days if day["runs"]] == [(2, 1)]
    key = resit.post("/tokens", {"project": slug})["token"]
    with httpx.Client(base_url=resit.url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as vendor:
        for path in (
            "/api/test-runs", "/api/v2/test-cases", "/api/environments", "/api/v2/analytics/test-runs",
            "/api/v2/analytics/test-count", "/api/v2/analytics/test-cases",
            "/api/v1/runs", "/api/v1/regression-tests", "/api/v1/samples", f"/api/v1/runs/{run}/samples",
            f"/api/v1/runs/{run}/errors", "/api/v1/system/health",
        ):  # fmt: skip
            answer = vendor.get(path)
            assert answer.status_code == 200, (path, answer.text)


def test_a_restart_in_the_middle(serving: Serving, server: PostgresServer, suite: Suites, log: Path) -> None:
    """The API says to come again, the tests go on, and what they did is counted when the database is back."""
    resit = serving()
    slug = resit.project(suite(WAITING))
    run = resit.trigger(slug, variables={"LOG": str(log)})
    until(lambda: resit.run(run)["counts"]["passed"] == 2, "the first results", 30)
    server.stop()
    for method, path in (("GET", f"/runs/{run}"), ("GET", "/projects"), ("POST", f"/projects/{slug}/runs")):
        answer = resit.http.request(method, path, json={} if method == "POST" else None)
        assert (answer.status_code, answer.headers.get("retry-after")) == (503, "2"), answer.text
        assert answer.json()["code"] == "unavailable"
        assert PASSWORD not in answer.text
    log.with_name("go").touch()
    until(lambda: len(lines(log)) == 8, "the tests go on", 30)
    server.start()
    ended = resit.end(run)
    assert list(resit.outcomes(run).values()) == ["passed"] * 4 + ["failed"] + ["passed"] * 3
    assert (ended["verdict"], ended["counts"]["passed"], ended["counts"]["failed"]) == ("failed", 7, 1)
    assert sorted(lines(log)) == [str(number) for number in range(8)], "each test ran once"
    # The next request makes a run as if nothing had been.
    log.unlink()
    assert resit.execute(slug, variables={"LOG": str(log)})["counts"]["total"] == 8
    assert PASSWORD not in resit.log()


@pytest.mark.thorough
def test_a_database_that_is_killed_over_and_over(
    serving: Serving, server: PostgresServer, suite: Suites, log: Path
) -> None:
    """At any moment: what was answered with success stays, nothing is counted twice."""
    resit = serving()
    slug = resit.project(suite(SUITE))
    made: list[int] = []
    enough = threading.Event()

    def trouble() -> None:
        for _ in range(4):
            enough.wait(0.7)
            server.kill()
            server.start()
        enough.set()

    troubles = threading.Thread(target=trouble)
    troubles.start()
    while not enough.is_set() or len(made) < 2:
        answer = resit.http.post(f"/projects/{slug}/runs", json={"variables": {"LOG": str(log)}})
        assert answer.status_code in (201, 503), answer.text
        if answer.status_code == 201:
            made.append(answer.json()["id"])
        threading.Event().wait(0.5)
    troubles.join()
    for run in made:
        counts = resit.end(run, 120)["counts"]
        assert (counts["total"], counts["passed"], counts["failed"], counts["skipped"]) == (7, 5, 1, 1)
    checked = resit.cli("db", "check", env={"RESIT_DATABASE_URL": resit.database})
    assert checked.code == 0, checked.said


def test_a_server_without_its_database_says_so_and_ends(server: PostgresServer, tmp_path: Path) -> None:
    resit = Resit(tmp_path, database=server.url("no-such", user="locked", password=PASSWORD))
    environ = {"RESIT_DATABASE_URL": resit.database}
    done = resit.cli("serve", "--data", str(resit.data), "--port", str(resit.port), env=environ)
    assert done.code == 69
    assert 'database "no-such" does not exist' in done.said
    assert PASSWORD not in done.said
