"""The SQL reader keeps the contract of readers, over both databases; and searches where it must not read everything."""

from typing import Any

import pytest
from sqlalchemy import Engine, event

from resit.domain.errors import InvalidInput
from resit.ports.reads import CaseFilter, LedgerFilter, RunFilter
from resit.storage.reads import SqlReads
from resit.storage.unit_of_work import SqlStore
from resit.testing.reads import ReadsContract
from resit.testing.world import empty

BOTH_DATABASES = True


@pytest.fixture
def store(engine: Engine) -> SqlStore:
    empty(engine)
    return SqlStore(engine)


@pytest.fixture
def reads(engine: Engine) -> SqlReads:
    return SqlReads(engine)


class TestSql(ReadsContract):
    pass


def test_what_no_database_can_look_for_is_refused(store: SqlStore, reads: SqlReads) -> None:
    half, beyond = "\ud800", 2**63
    asked: list[Any] = [
        lambda: reads.cases_slice(1, CaseFilter(names=(half,)), 0, 1),
        lambda: reads.cases_slice(1, CaseFilter(search=half), 0, 1),
        lambda: reads.runs_slice(RunFilter(branch=half), 0, 1),
        lambda: reads.ledger_slice(1, LedgerFilter(text=half), 0, 1),
        lambda: reads.runs_slice(RunFilter(), beyond, 1),
        lambda: reads.file(None, beyond),
        lambda: reads.run(beyond),
    ]
    for ask in asked:
        with pytest.raises(InvalidInput):
            ask()


@pytest.mark.sqlite
def test_the_indexes_are_used(engine: Engine, store: SqlStore, reads: SqlReads) -> None:
    plans: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        with engine.connect() as connection:
            cursor = connection.connection.cursor()
            plans.extend(row[3] for row in cursor.execute("EXPLAIN QUERY PLAN " + statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    reads.latest_run(1, "main")
    reads.runs_slice(RunFilter(project_id=1), 0, 5)
    reads.cases_slice(1, CaseFilter(active=True), 0, 5)
    reads.ledger_slice(1, LedgerFilter(states=("failed",)), 0, 5)
    reads.files_slice(1, "", 0, 5)
    reads.file_numbers(1, ["a"])
    event.remove(engine, "before_cursor_execute", note)
    assert "SEARCH runs USING INDEX ix_runs_environment_id_id (environment_id=?)" in plans
    assert any("ix_test_cases_project_id_file" in plan for plan in plans)
    for plan in plans:
        assert not plan.startswith(("SCAN runs", "SCAN ledger", "SCAN test_cases", "SCAN files")), plan
