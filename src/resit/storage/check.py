"""What is wrong with a database, in words: its structure, and whether what it says of runs agrees with itself."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, case, func, select, text

from resit.domain.errors import Conflict
from resit.domain.status import RunStatus
from resit.ports import Artifacts, artifact_key
from resit.storage import migrate, tables
from resit.storage.connect import transaction
from resit.storage.rows import COUNTS

AT_ONCE = 200
"""Runs that are looked at in one transaction: the account of each is read as one moment has it."""
_WORDS = 20
"""Problems of one kind that are told in full."""
_R, _L, _A = tables.runs, tables.ledger, tables.artifacts
_CAREFUL = ("fsync", "full_page_writes", "synchronous_commit")
_OPEN = ("planned", "running")
_STATES = tuple(name for name in COUNTS if name not in ("precluded", "snoozed"))


@dataclass(slots=True)
class Looked:
    """How much was looked at."""

    runs: int = 0
    tests: int = 0
    files: int = 0


def structure(engine: Engine) -> Iterator[str]:
    """What is wrong with the schema and the pages on the disk. Changes nothing. Raises :class:`Unavailable`."""
    at = migrate.current(engine)
    if not at:
        yield "there is no schema: resit db upgrade makes it"
        return
    try:
        if at < migrate.newest():
            yield f"the schema is at version {at}, this Resit needs {migrate.newest()}: resit db upgrade"
            return
        migrate.refuse_newer(at)
    except Conflict as error:
        yield error.message
        return
    with transaction(engine, write=False) as db:
        yield from _shortened(migrate.differences(db), "differences between the schema and what this Resit makes")
        if db.dialect.name == "postgresql":
            yield from _postgresql(db)
        else:
            yield from _sqlite(db)


def _sqlite(db: Connection) -> Iterator[str]:
    broken = [str(row[0]) for row in db.execute(text("PRAGMA integrity_check")) if row[0] != "ok"]
    yield from _shortened([f"SQLite finds its file damaged: {words}" for words in broken], "damages")
    astray = [
        f"a row of {row[0]} refers to a row of {row[2]} that is not there"
        for row in db.execute(text("PRAGMA foreign_key_check"))
    ]
    yield from _shortened(astray, "rows that refer to what is not there")


def _postgresql(db: Connection) -> Iterator[str]:
    for name in _CAREFUL:
        if db.execute(select(func.current_setting(name))).scalar_one() == "off":
            yield f"PostgreSQL has {name} = off: what was said to be kept may be lost with the machine's power"
    invalid = text("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid ORDER BY 1")
    for name in db.execute(invalid).scalars():
        yield f"the index {name} is not valid: REINDEX INDEX {name}"


def runs(engine: Engine, looked: Looked, newest: int | None = None) -> Iterator[str]:
    """Where a run says otherwise than its ledger; of the ``newest`` runs, or of all."""
    before: int | None = None
    while newest is None or looked.runs < newest:
        limit = AT_ONCE if newest is None else min(AT_ONCE, newest - looked.runs)
        with transaction(engine, write=False) as db:
            query = select(_R.c.id, _R.c.status, *(_R.c[name] for name in COUNTS)).order_by(_R.c.id.desc()).limit(limit)
            found = db.execute(query if before is None else query.where(_R.c.id < before)).mappings().all()
            accounts = _accounts(db, [run["id"] for run in found])
        if not found:
            return
        before = found[-1]["id"]
        looked.runs += len(found)
        for run in found:
            account = accounts.get(run["id"], dict.fromkeys(COUNTS, 0))
            looked.tests += sum(account[name] for name in _STATES)
            for name in COUNTS:
                if run[name] != account[name]:
                    yield f"run {run['id']}: it says {run[name]} {name}, its ledger has {account[name]}"
            left = sum(account[name] for name in _OPEN)
            if left and not RunStatus(run["status"]).open:
                yield f"run {run['id']} is {run['status']}, and {left} of its tests are not final"


def _accounts(db: Connection, ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """What the ledgers of runs add up to."""
    other = case((_L.c.running, "running"), else_="planned")
    state = func.coalesce(_L.c.outcome, other).label("state")
    columns = (_L.c.run_id, state, _L.c.precluded, _L.c.snoozed)
    rows = select(*columns).where(_L.c.run_id.in_(ids)).subquery()
    query = select(rows, func.count().label("count")).group_by(*rows.c)
    found: dict[int, dict[str, int]] = {}
    for row in db.execute(query).mappings():
        account = found.setdefault(row["run_id"], dict.fromkeys(COUNTS, 0))
        account[row["state"]] += row["count"]
        for name in ("precluded", "snoozed"):
            account[name] += row["count"] if row[name] else 0
    return found


def files(engine: Engine, artifacts: Artifacts, looked: Looked, newest: int | None = None) -> Iterator[str]:
    """Files that the database calls stored and that are not there; of the ``newest`` runs that have any, or of all."""
    before: int | None = None
    seen = 0
    while newest is None or seen < newest:
        with transaction(engine, write=False) as db:
            of_runs = select(_A.c.run_id).where(_A.c.stored).distinct().order_by(_A.c.run_id.desc()).limit(1)
            id = db.execute(of_runs if before is None else of_runs.where(_A.c.run_id < before)).scalar()
            query = select(_A.c.id, _A.c.name).where(_A.c.run_id == id, _A.c.stored)
            wanted = {artifact_key(id, row[0]): row[1] for row in db.execute(query)} if id is not None else {}
        if id is None:
            return
        before, seen = id, seen + 1
        looked.files += len(wanted)
        missing = wanted.keys() - {file.key for file in artifacts.stored(f"{id}/")}
        if missing:
            # Unless both were deleted meanwhile.
            with transaction(engine, write=False) as db:
                missing &= {artifact_key(id, row[0]) for row in db.execute(query)}
        yield from _shortened(
            [f"run {id}: the file of {wanted[key] or 'an artifact'} ({key}) is missing" for key in sorted(missing)],
            f"missing files of run {id}",
        )


def _shortened(found: Collection[str], what: str) -> Iterator[str]:
    for number, words in enumerate(found):
        if number == _WORDS:
            yield f"... and {len(found) - _WORDS} more {what}"
            return
        yield words
