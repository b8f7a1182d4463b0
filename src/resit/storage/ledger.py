"""Store of plans and ledgers. Statements are in bulk: a run of 20,000 tests is a few statements, not 20,000."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    case,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from resit.domain import timing, wire
from resit.domain.ledger import Counts, Row
from resit.domain.plan import PlannedTest
from resit.domain.run import Run
from resit.domain.selection import Taken
from resit.domain.status import Outcome
from resit.ports import Ledgered
from resit.storage import rows as convert
from resit.storage import tables
from resit.storage.cases import case_values, slices
from resit.storage.dialect import insert_all, listed, update_all, upsert
from resit.storage.queries import NOT_PASSED

_L = tables.ledger
_C = tables.test_cases
_D = tables.durations
_STATE = [_L.c[name] for name in convert.STATE]


def _how_many(flag: Column[bool]) -> ColumnElement[int]:
    return func.sum(case((flag, 1), else_=0))


class Ledger:
    """See ``resit.ports.storage.LedgerStore``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self._unsaved: dict[tuple[int, str], dict[str, Any]] = {}
        """States of rows by run and test that are still to be written. One transaction takes many reports, each of some
        tests: together they are written at once."""
        self._rows: dict[tuple[int, str], Row | None] = {}
        """Rows by run and test as they stand in this transaction; None: there is no such row."""
        self._foreseen: dict[int, set[str]] = {}

    def write_out(self) -> None:
        """Write what was saved; it is done before anything reads it, and at the end of the transaction."""
        values, self._unsaved = list(self._unsaved.values()), {}
        update_all(self._db, _L, ("run_id", "ordinal"), values)

    def add(self, run: Run, rows: Sequence[Ledgered]) -> None:
        if not rows:
            return
        self._rows.clear()
        insert_all(self._db, insert(_L), [convert.ledger_values(run.id, row, run.seq) for row in rows])
        # What was asked for and is not there needs a number too, for the API that knows tests by their numbers alone.
        gone = [case_values(run, row.case_uuid, row.test) for row in rows if row.row.outcome is Outcome.NOT_FOUND]
        insert_all(self._db, upsert(self._db, _C).on_conflict_do_nothing(), gone)

    def blocking(self, run_id: int) -> Sequence[Ledgered]:
        self.write_out()
        outcomes = [Outcome.FAILED.value, Outcome.ERRORED.value]
        query = (
            select(_L)
            .where(_L.c.run_id == run_id, NOT_PASSED, or_(_L.c.outcome.in_(outcomes), _L.c.precluded))
            .order_by(_L.c.ordinal)
        )
        return [convert.ledgered(row) for row in self._db.execute(query).mappings()]

    def taken(self, run_id: int, taken: Taken) -> Sequence[Ledgered]:
        self.write_out()
        outcomes = _L.c.outcome.in_(sorted(outcome.value for outcome in taken.outcomes))
        which = or_(outcomes, _L.c.precluded) if taken.precluded else outcomes
        query = select(_L).where(_L.c.run_id == run_id, NOT_PASSED, which)
        found = {row["ordinal"]: convert.ledgered(row) for row in self._db.execute(query).mappings()}
        for units in slices(sorted({each.test.unit for each in found.values()} - {""})):
            more = select(_L).where(_L.c.run_id == run_id, _L.c.unit.in_(units))
            found |= {row["ordinal"]: convert.ledgered(row) for row in self._db.execute(more).mappings()}
        return [found[ordinal] for ordinal in sorted(found)]

    def plan(self, run_id: int) -> Sequence[PlannedTest]:
        query = select(_L).where(_L.c.run_id == run_id).order_by(_L.c.ordinal)
        return [convert.test(row) for row in self._db.execute(query).mappings()]

    def files(self, run_id: int, limit: int) -> Sequence[str]:
        query = select(_L.c.file).where(_L.c.run_id == run_id, _L.c.batch > 0).distinct().order_by(_L.c.file)
        return list(self._db.execute(query.limit(limit)).scalars())

    def rows(self, run_id: int) -> Sequence[Row]:
        self.write_out()
        query = select(_L).where(_L.c.run_id == run_id).order_by(_L.c.ordinal)
        return [convert.ledger_row(row) for row in self._db.execute(query).mappings()]

    def foresee(self, run_id: int, tests: Collection[str]) -> None:
        self._foreseen.setdefault(run_id, set()).update(tests)

    def of_tests(self, run_id: int, tests: Collection[str]) -> Sequence[Row]:
        if any((run_id, test) not in self._rows for test in tests):
            self._look_up(run_id, {*tests, *self._foreseen.pop(run_id, ())})
        found = (self._rows[run_id, test] for test in set(tests))
        return sorted((row for row in found if row is not None), key=lambda row: row.ordinal)

    def _look_up(self, run_id: int, tests: Collection[str]) -> None:
        if any((run_id, test) in self._unsaved for test in tests):
            self.write_out()
        # With an IN list SQLite's planner, which has no statistics, reads all rows of the run: 6 ms of 20,000, for each
        # report. An outer join it can't turn round: for each name, a search in the index.
        names = listed(self._db, tests)
        query = select(*_STATE).select_from(names.outerjoin(_L, (_L.c.run_id == run_id) & (_L.c.test == names.c.value)))
        self._rows.update(((run_id, test), None) for test in tests)
        for row in self._db.execute(query).mappings():
            if row["ordinal"] is not None:
                self._rows[run_id, row["test"]] = convert.ledger_row(row)

    def _of_batch(self, run_id: int, batch: int) -> Select[Any]:
        self.write_out()
        # By way of the index: see of_tests.
        ordinals = select(_L.c.ordinal).where(_L.c.run_id == run_id, _L.c.batch == batch)
        return select(_L).where(_L.c.run_id == run_id, _L.c.ordinal.in_(ordinals)).order_by(_L.c.ordinal)

    def open_of_batch(self, run_id: int, batch: int) -> Sequence[Row]:
        query = self._of_batch(run_id, batch).where(_L.c.outcome.is_(None))
        return [convert.ledger_row(row) for row in self._db.execute(query).mappings()]

    def tests_of_batch(self, run_id: int, batch: int, open_only: bool = False) -> Sequence[PlannedTest]:
        query = self._of_batch(run_id, batch)
        if open_only:
            query = query.where(_L.c.outcome.is_(None))
        return [convert.test(row) for row in self._db.execute(query).mappings()]

    def open_rows(self, run_id: int) -> Sequence[Row]:
        self.write_out()
        query = select(_L).where(_L.c.run_id == run_id, _L.c.outcome.is_(None)).order_by(_L.c.ordinal)
        return [convert.ledger_row(row) for row in self._db.execute(query).mappings()]

    def save(self, run_id: int, rows: Iterable[Row], seq: int) -> None:
        for row in rows:
            state = convert.ledger_state(row)
            self._rows[run_id, row.test] = row
            self._unsaved[run_id, row.test] = {"run_id": run_id, "ordinal": row.ordinal, "seq": seq, **state}

    def counts(self, run_id: int) -> Counts:
        self.write_out()
        state = case(
            (_L.c.outcome.is_not(None), _L.c.outcome),
            (_L.c.running, "running"),
            else_="planned",
        )
        query = (
            select(state, func.count(), _how_many(_L.c.precluded), _how_many(_L.c.snoozed))
            .where(_L.c.run_id == run_id)
            .group_by(state)
        )
        found = self._db.execute(query).all()
        numbers = {row[0]: row[1] for row in found}
        return Counts(**numbers, precluded=sum(row[2] for row in found), snoozed=sum(row[3] for row in found))

    def stage(self, run_id: int, claim: str, number: int, tests: Sequence[PlannedTest]) -> None:
        text = convert.dumps([wire.test_to_wire(test) for test in tests])
        statement = upsert(self._db, tables.plan_parts).values(run_id=run_id, claim=claim, number=number, tests=text)
        self._db.execute(statement.on_conflict_do_nothing())

    def staged(self, run_id: int, claim: str) -> Sequence[tuple[int, Sequence[PlannedTest]]]:
        table = tables.plan_parts
        query = select(table).where(table.c.run_id == run_id, table.c.claim == claim).order_by(table.c.number)
        return convert.parts(list(self._db.execute(query).mappings()))

    def unstage(self, run_id: int) -> None:
        self._db.execute(delete(tables.plan_parts).where(tables.plan_parts.c.run_id == run_id))

    def expected(self, project_id: int, environment_id: int, tests: Sequence[str]) -> Mapping[str, float]:
        found: dict[str, float] = {}
        ages = [_D.c[f"seconds_{age}"] for age in range(timing.KEPT)]
        for some in slices(tests):
            # Outer joins by way of the names, for SQLite's planner: see _look_up.
            names = listed(self._db, some)
            case = (_C.c.project_id == project_id) & (_C.c.test == names.c.value)
            here = (_D.c.project_id == project_id) & (_D.c.environment_id == environment_id)
            found_at = names.outerjoin(_C, case).outerjoin(_D, here & (_D.c.test == names.c.value))
            for test, before, *seconds in self._db.execute(
                select(names.c.value, _C.c.expected, *ages).select_from(found_at)
            ):
                recent: list[float] = [known for known in seconds if known is not None]
                if recent or before is not None:
                    found[test] = timing.expected(recent) if recent else before
        return found

    def learn(self, project_id: int, run: Run) -> None:
        self.write_out()
        ran = _L.c.outcome.in_([Outcome.PASSED.value, Outcome.FAILED.value, Outcome.FLAKY.value])
        learnt = case(
            (or_(_L.c.outcome.is_(None), ~ran), _C.c.expected),
            (_C.c.expected.is_(None), _L.c.duration),
            # half of what was known, half of what is new: for environments in which the test has not run yet
            else_=_C.c.expected * 0.5 + _L.c.duration * 0.5,
        )
        self._db.execute(
            update(_C)
            .where(_L.c.run_id == run.id, _C.c.project_id == project_id, _C.c.test == _L.c.test)
            .values(expected=learnt, last_outcome=_L.c.outcome, last_run_id=run.id)
        )
        place = literal(project_id), literal(run.environment_id)
        new = select(*place, _L.c.test, _L.c.duration).where(_L.c.run_id == run.id, ran)
        statement = upsert(self._db, _D).from_select(["project_id", "environment_id", "test", "seconds_0"], new)
        older = {f"seconds_{age}": _D.c[f"seconds_{age - 1}"] for age in range(1, timing.KEPT)}
        latest = {"seconds_0": statement.excluded.seconds_0}
        keys = ["project_id", "environment_id", "test"]
        self._db.execute(statement.on_conflict_do_update(index_elements=keys, set_=latest | older))
