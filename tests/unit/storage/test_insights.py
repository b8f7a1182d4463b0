"""Questions over many runs: the answers that plain Python gives, found by way of the indexes."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, event, literal, select
from sqlalchemy.dialects import postgresql

from resit.domain import ledger
from resit.domain.ids import case_uuid
from resit.domain.project import Platform
from resit.domain.run import Build, Run
from resit.domain.status import Outcome, RunStatus, Verdict
from resit.ports import Ledgered
from resit.ports.insights import Execution, HistoryFilter, Window
from resit.storage.insights import SqlInsights
from resit.storage.reads import SqlReads
from resit.storage.times import utc_day
from resit.storage.unit_of_work import SqlStore
from resit.testing import factories
from resit.testing.factories import NOW
from resit.testing.world import empty

BOTH_DATABASES = True
DAY = 86_400
TESTS = ("tests/test_a.py::one", "tests/test_a.py::two", "tests/test_b.py::three")
EVER = {"start": 0.0, "end": NOW * 2}
Said = dict[str, Outcome | None]


class Past:
    """Runs of one project with two environments, written as they shall have been."""

    def __init__(self, engine: Engine) -> None:
        empty(engine)
        self.store, self.insights, self.engine = SqlStore(engine), SqlInsights(engine), engine
        self.runs: list[tuple[Run, list[ledger.Row]]] = []
        with self.store.write() as tx:
            self.project = tx.projects.add(factories.project())
            self.linux = tx.projects.add_environment(factories.environment(self.project.id, slug="linux"), "").id
            windows = factories.environment(self.project.id, slug="windows", platform=Platform.WINDOWS)
            self.windows = tx.projects.add_environment(windows, "").id

    def uuid(self, test: str) -> str:
        return case_uuid(self.project.uuid, test)

    def run(self, said: Said, status: RunStatus = RunStatus.FINISHED, **members: Any) -> Run:
        """A run and what it said of its tests; those that it skipped and that end in ``!`` did not run."""
        rows = [
            factories.row(n, test=test.rstrip("!"), outcome=outcome, tries=n + 1, precluded=test.endswith("!"))
            for n, (test, outcome) in enumerate(said.items())
        ]
        snoozed = members.pop("snoozed", 0)
        tests = [factories.planned(row.test) for row in rows]
        with self.store.write() as tx:
            counts = replace(ledger.count(rows), snoozed=snoozed)
            words = {"environment_id": self.linux, "created_at": NOW, "uuid": f"run {len(self.runs)}", **members}
            run = tx.runs.add(factories.run(self.project.id, status=status, counts=counts, **words))
            tx.cases.sync(run, tests)
            tx.ledger.add(run, [Ledgered(test, row, self.uuid(test.id)) for test, row in zip(tests, rows, strict=True)])
        self.runs.append((run, rows))
        return run

    def window(self, **members: Any) -> Window:
        return Window(**{"project_id": self.project.id, **EVER, **members})

    @contextmanager
    def plans(self) -> Iterator[list[str]]:
        """Collects the plans of all queries in the block."""
        found: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            with self.engine.connect() as connection:
                cursor = connection.connection.cursor()
                rows = cursor.execute("EXPLAIN QUERY PLAN " + statement, parameters).fetchall()
                found.extend(row[3] for row in rows)

        event.listen(self.engine, "before_cursor_execute", note)
        try:
            yield found
        finally:
            event.remove(self.engine, "before_cursor_execute", note)


@pytest.fixture
def past(engine: Engine) -> Past:
    return Past(engine)


P, F, K, S, E, L, N, C = (
    Outcome.PASSED, Outcome.FAILED, Outcome.FLAKY, Outcome.SKIPPED,
    Outcome.ERRORED, Outcome.LOST, Outcome.NOT_FOUND, Outcome.CANCELLED,
)  # fmt: skip


def test_days(past: Past) -> None:
    past.run({"a": P, "b": K, "c": S}, verdict=Verdict.PASSED)
    past.run({"a": F, "b": E, "c": L, "d": N, "e!": S}, verdict=Verdict.FAILED, snoozed=2, source_run_id=1)
    past.run({"a": F, "b!": S}, verdict=Verdict.PASSED, snoozed=2)
    past.run({"a": S}, verdict=Verdict.SKIPPED)
    past.run({}, verdict=Verdict.ERRORED)
    past.run({"a": P, "b": C}, RunStatus.CANCELLED, verdict=Verdict.ERRORED)
    past.run({"a": F, "b": C}, RunStatus.CANCELLED, verdict=Verdict.FAILED, created_at=NOW + DAY)
    past.run({"a": P, "b": None}, RunStatus.RUNNING)
    first, second = past.insights.days(past.window())
    assert (first.date, second.date) == ("2023-11-14", "2023-11-15")
    assert (first.runs, first.passed, first.failed, first.errored, first.cancelled, first.reruns) == (6, 2, 1, 1, 1, 1)
    assert (first.tests, first.tests_passed, first.tests_failed) == (3 + 5 + 2 + 1 + 0 + 2, 3, 5)
    assert (first.tests_blocking, first.tests_flaky) == (2, 1)
    assert (second.runs, second.cancelled, second.failed, second.tests, second.tests_failed) == (1, 1, 0, 2, 1)


def test_a_window_is_of_one_project_and_of_when_runs_were_made(past: Past) -> None:
    past.run({"a": P}, verdict=Verdict.PASSED)
    past.run({"a": P}, verdict=Verdict.PASSED, created_at=NOW + 10)
    ask = past.insights.days
    assert [day.runs for day in ask(past.window(start=NOW, end=NOW + 10))] == [1]
    assert [day.runs for day in ask(past.window(start=NOW, end=NOW + 10.5))] == [2]
    assert not ask(past.window(start=NOW + 11))
    assert not ask(past.window(project_id=past.project.id + 1))


def test_a_window_of_an_environment_and_of_a_branch(past: Past) -> None:
    past.run({"a": P}, environment_id=past.windows)
    past.run({"a": P}, branch="main")
    past.run({"a": P}, branch="main", build=Build(branch="topic"))

    def found(**members: Any) -> int:
        return sum(day.runs for day in past.insights.days(past.window(**members)))

    assert [found(environment_id=n) for n in (past.linux, past.windows, 99)] == [2, 1, 0]
    assert [found(branch=b) for b in ("main", "topic", "' OR 1", "%")] == [1, 1, 0, 0]


@pytest.mark.parametrize("at", [0.0, 0.9999, 86_399.9999, 86_400.0, NOW, 951_782_400.0, 4_102_444_799.99])
def test_the_utc_day_of_a_time(engine: Engine, at: float) -> None:
    with engine.connect() as connection:
        found = connection.execute(select(utc_day(literal(at)))).scalar_one()
    assert found == datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%d")


def test_the_utc_day_in_the_words_of_postgresql() -> None:
    said = str(select(utc_day(literal(1.0))).compile(dialect=postgresql.dialect()))
    assert "to_char(to_timestamp(floor(" in said
    assert "AT TIME ZONE 'UTC'" in said


def test_tests_by_day_counts_a_test_once_a_day(past: Past) -> None:
    past.run({"a": P, "b": F, "c": S, "d": L, "e": N, "f": C})
    past.run({"a": K, "b": E})
    past.run({"a": P}, created_at=NOW + DAY)
    past.run({"a": S}, created_at=NOW + 2 * DAY)
    past.run({"z": P}, RunStatus.RUNNING)
    assert past.insights.tests_by_day(past.window()) == [("2023-11-14", 2), ("2023-11-15", 1)]


def test_metrics(past: Past) -> None:
    past.run({"a": P, "b": F, "c": S, "d": L}, finished_at=NOW + 5)
    past.run({"a": K, "b": E, "c!": S, "d": N}, started_at=NOW + 7)
    past.run({"a": P, "b": C}, RunStatus.CANCELLED, created_at=NOW + 1)
    past.run({"a": F}, RunStatus.RUNNING, created_at=NOW + 9)
    found = {item.case_uuid: item for item in past.insights.metrics(past.window())}
    assert set(found) == {past.uuid("a"), past.uuid("b")}
    a, b = found[past.uuid("a")], found[past.uuid("b")]
    assert (a.passed, a.failed, a.flaky, a.total, a.last_run_at) == (2, 0, 1, 3, NOW + 7)
    assert (b.passed, b.failed, b.flaky, b.total) == (0, 2, 0, 2)


def test_history(past: Past) -> None:
    past.run({"a": P, "b": F}, finished_at=NOW + 5, branch="main", commit="c0ffee")
    past.run({"b!": S, "a": C}, environment_id=past.windows)
    past.run({"a": F}, build=Build(branch="topic", commit="beef"), commit="c0ffee")
    past.run({"a": P, "b": None}, RunStatus.RUNNING)
    a, b, gone = past.uuid("a"), past.uuid("b"), past.uuid("gone")
    found = past.insights.history(past.window(), [a, b, gone, a], 1)
    assert found.truncated == {a, b}
    assert {uuid: [e.run_id for e in items] for uuid, items in found.by_case.items()} == {a: [3], b: [2]}
    found = past.insights.history(past.window(), [a, b], 2)
    assert not found.truncated
    last, first = found.by_case[a]
    assert first == Execution(
        case_uuid=a, run_id=1, environment_id=past.linux, outcome="passed", precluded=False, at=NOW + 5, duration=0,
        retries=0, reason="", case_id=1, branch="main", commit="c0ffee",
    )  # fmt: skip
    assert (last.run_id, last.outcome, last.branch, last.commit, last.at) == (3, "failed", "topic", "beef", NOW)
    assert [(e.precluded, e.platform, e.retries) for e in found.by_case[b]] == [
        (True, Platform.WINDOWS, 0), (False, Platform.LINUX, 1)
    ]  # fmt: skip
    assert not past.insights.history(past.window(), [], 5).by_case
    assert not past.insights.history(past.window(start=NOW + 1), [a], 5).by_case


OUTCOMES = st.dictionaries(st.sampled_from(TESTS), st.sampled_from([None, *Outcome]))


@given(st.lists(st.tuples(OUTCOMES, st.sampled_from([RunStatus.FINISHED, RunStatus.RUNNING])), max_size=6), st.data())
def test_what_plain_python_says(engine: Engine, runs: list[tuple[Said, RunStatus]], data: st.DataObject) -> None:
    past = Past(engine)
    for said, status in runs:
        past.run(said, status, created_at=NOW + len(past.runs) * DAY / 2)
    over = [(run, rows) for run, rows in past.runs if not run.status.open]

    counted: dict[str, Counter[Outcome]] = {}
    for _, rows in over:
        for row in rows:
            if row.outcome in (P, F, E, K):
                counted.setdefault(past.uuid(row.test), Counter())[row.outcome] += 1
    metrics = past.insights.metrics(past.window())
    assert {m.case_uuid: (m.passed, m.failed, m.flaky) for m in metrics} == {
        uuid: (c[P], c[F] + c[E], c[K]) for uuid, c in counted.items()
    }

    limit = data.draw(st.integers(1, 4))
    history = past.insights.history(past.window(), [past.uuid(test) for test in TESTS], limit)
    for test in TESTS:
        ids = [r.id for r, rows in reversed(over) for row in rows if row.test == test and row.outcome not in (None, C)]
        assert [e.run_id for e in history.by_case.get(past.uuid(test), [])] == ids[:limit]
        assert (past.uuid(test) in history.truncated) is (len(ids) > limit)

    file = [
        (run.id, row.test, str(row.outcome))
        for run, rows in reversed(past.runs)
        for row in rows
        if row.test.startswith("tests/test_a.py") and row.outcome is not None
    ]
    number = next(iter(past_file(past, "tests/test_a.py")), 0)  # a number that no file has
    size = data.draw(st.integers(1, 5))
    names = {past.uuid(test): test for test in TESTS}
    pages: list[tuple[int, str, str]] = []
    for offset in range(0, len(file) + size, size):
        items, total = past.insights.executions_of_file(past.project.id, number, HistoryFilter(), offset, size)
        assert total == len(file)
        pages += [(e.run_id, names[e.case_uuid], e.outcome) for e in items]
    assert pages == file


def past_file(past: Past, path: str) -> list[int]:
    return list(SqlReads(past.engine).file_numbers(past.project.id, [path]).values())


def test_executions_of_a_file(past: Past) -> None:
    one, two, three = TESTS
    past.run({one: P, two: F, three: F}, finished_at=NOW + 5)
    past.run({one: S, f"{two}!": S}, environment_id=past.windows, build=Build(branch="topic"), created_at=NOW + 1)
    past.run({one: L, two: None}, RunStatus.RUNNING, created_at=NOW + 2)
    (number,) = past_file(past, "tests/test_a.py")

    def found(**members: Any) -> list[tuple[int, str]]:
        items, total = past.insights.executions_of_file(None, number, HistoryFilter(**members), 0, 9)
        assert total == len(items)
        return [(e.run_id, e.outcome) for e in items]

    every = [(3, "lost"), (2, "skipped"), (2, "skipped"), (1, "passed"), (1, "failed")]
    assert found() == every
    assert found(outcomes=("failed", "lost")) == [every[0], every[4]]
    assert found(outcomes=("did_not_run",)) == [every[2]]
    assert found(outcomes=("%",)) == []
    assert found(branch="topic") == every[1:3]
    assert found(platform=Platform.WINDOWS) == every[1:3]
    assert found(platform=Platform.LINUX, created_to=NOW) == every[3:]
    assert found(created_from=NOW + 1, created_to=NOW + 1) == every[1:3]
    case = past.insights.executions_of_file(None, number, HistoryFilter(), 0, 9)[0][-1].case_id
    assert found(case_id=case) == [every[2], every[4]]
    assert past.insights.executions_of_file(past.project.id + 1, number, HistoryFilter(), 0, 9) == ([], 0)
    assert past.insights.executions_of_file(None, number + 7, HistoryFilter(), 0, 9) == ([], 0)


def test_many_cases_at_once(past: Past) -> None:
    tests = [f"tests/t.py::{n}" for n in range(1100)]
    past.run(dict.fromkeys(tests, P))
    found = past.insights.history(past.window(), [past.uuid(test) for test in tests], 3)
    assert len(found.by_case) == 1100


@pytest.mark.sqlite
def test_the_indexes_are_used(past: Past) -> None:
    past.run({TESTS[0]: P}, verdict=Verdict.PASSED)
    with past.plans() as plans:
        past.insights.days(past.window())
        past.insights.metrics(past.window())
        past.insights.tests_by_day(past.window())
        past.insights.history(past.window(), [past.uuid(TESTS[0])], 5)
        past.insights.executions_of_file(past.project.id, 1, HistoryFilter(), 0, 5)
    assert len(plans) > 15
    searched = {plan for plan in plans if plan.startswith("SEARCH ledger")}
    assert searched == {
        "SEARCH ledger USING PRIMARY KEY (run_id=?)",
        "SEARCH ledger USING INDEX ix_ledger_case_uuid_run_id (case_uuid=? AND run_id>? AND run_id<?)",
        "SEARCH ledger USING INDEX ix_ledger_case_uuid_run_id (case_uuid=?)",
    }
    for plan in plans:
        assert not plan.startswith(("SCAN runs", "SCAN ledger", "SCAN test_cases", "SCAN files")), plan
        if plan.startswith("SEARCH runs"):
            assert "ix_runs_project_id_created_at" in plan or "PRIMARY KEY" in plan, plan
