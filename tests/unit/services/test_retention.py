"""Runs go, rows and files both; whatever dies in between, all of it goes in the end, and nothing else."""

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import func, select, text

from resit.control import retention as control
from resit.control.retention import Tidying, in_words
from resit.domain.access import Principal, Scope
from resit.domain.errors import Forbidden, InvalidInput, NotFound, Unavailable
from resit.domain.events import Attachment
from resit.domain.rerun import Again
from resit.domain.retention import GRACE_SECONDS
from resit.domain.run import Run
from resit.domain.status import SelectionKind
from resit.ports.reads import LedgerFilter, RunFilter
from resit.services.retention import Freed, Retention
from resit.storage import tables
from resit.storage.connect import transaction
from resit.storage.retention import PARTS, SqlRetention
from resit.testing.artifacts import pieces
from resit.testing.factories import ADMIN, planned, result, uuid_of
from resit.testing.world import World

BOTH_DATABASES = True


def finished(world: World, *, key: str = "", tests: int = 3, size: int = 10) -> Run:
    """A run that is over, with rows in as many tables as can be, and a file of ``size`` bytes."""
    run = world.runs.trigger(ADMIN, "shop", _request(), key)[0]
    run = world.plan(run, [planned(f"t{n}") for n in range(tests)])
    id = uuid_of(f"file of {run.id}")
    attached = result("t0", attachments=(Attachment("a", "", id=id),))
    run = world.carry_out(run, {"t0": [attached]})
    asyncio.run(world.artifacts.put(f"{run.id}/{id}", pieces(b"x" * size), 10**6))
    world.work.uploaded(run.id, id, size)
    with world.store.write() as tx:
        tx.results.add_log(run.id, 1, "log " * 100, 10_000, 1.0)
        tx.ledger.stage(run.id, "c", 1, [planned("z")])
    return run


def _request() -> object:
    from resit.services.requests import Request

    return Request()


def limits(world: World, **changes: object) -> None:
    """Set limits of the project, an hour after all that happened."""
    world.catalog.change_project(ADMIN, "shop", changes)
    world.clock.turn(2 * GRACE_SECONDS)


def rows(world: World, run: int) -> dict[str, int]:
    """How many rows a run has in each table."""
    found: dict[str, int] = {}
    with transaction(world.engine, write=False) as db:
        for table in PARTS:
            found[table.name] = db.execute(select(func.count()).where(table.c.run_id == run)).scalar_one()
        runs = tables.runs
        found["runs"] = db.execute(select(func.count()).where(runs.c.id == run)).scalar_one()
    return {name: number for name, number in found.items() if number}


def drain(retention: Retention) -> Freed:
    freed = Freed()
    while (gone := retention.step()) is not None:
        freed += gone
    return freed


@pytest.fixture(autouse=True)
def shop(world: World) -> None:
    world.project()


def test_all_tables_of_a_run_are_known() -> None:
    """A new table with rows of runs has to be emptied, too."""
    with_runs = {table.name for table in tables.metadata.sorted_tables if "run_id" in table.c}
    assert {table.name for table in PARTS} == with_runs


def test_rows_and_files_go_and_what_stays_stays(world: World) -> None:
    old, new = finished(world, key="k1"), finished(world, key="k2")
    before = rows(world, new.id)
    assert set(before) >= {"ledger", "results", "logs", "artifacts", "attempts", "batches", "requests", "plan_parts"}
    limits(world, keep_runs=1)
    assert [(doom.project, list(doom.runs)) for doom in world.retention.foreseen(ADMIN)] == [("shop", [old.id])]
    wanted = sum(rows(world, old.id).values())
    freed, done = world.retention.remove(ADMIN)
    assert done
    assert freed == Freed(runs=1, rows=wanted, files=1, bytes=10)
    assert rows(world, old.id) == {}
    assert rows(world, new.id) == before
    assert [file.key.partition("/")[0] for file in world.artifacts.stored()] == [str(new.id)]
    assert world.retention.remove(ADMIN) == (Freed(), True)
    # A key of a request that went may be used anew.
    assert world.runs.trigger(ADMIN, "shop", _request(), "k1")[1]  # type: ignore[arg-type]


def test_nobody_sees_half_a_run(world: World) -> None:
    old, new = finished(world, tests=200), finished(world)
    limits(world, keep_runs=1)
    assert world.retention.begin() == 1
    assert sum(rows(world, old.id).values()) > 200
    reads = world.reads
    assert reads.run(old.id) is None
    assert [view.run.id for view in reads.runs(RunFilter(), 10).items] == [new.id]
    assert [view.run.id for view in reads.lineage(old.id)] == []
    with world.store.write() as tx:
        assert tx.runs.get(old.id) is None
        assert tx.runs.hold([old.id]) == []
    with pytest.raises(NotFound):
        world.runs.rerun(ADMIN, old.id, Again(kind=SelectionKind.ALL))
    steps = [world.retention.step() for _ in range(4)]
    assert steps[0] == Freed(files=1, bytes=10)
    assert all(step and step.rows and not step.runs for step in steps[1:3])
    # Another process goes on where this one died.
    again = Retention(world.store, SqlRetention(world.engine), world.artifacts, world.clock, world.ids)
    assert drain(again).runs == 1
    assert rows(world, old.id) == {}


def test_a_source_goes_and_its_number_stays(world: World) -> None:
    source = finished(world)
    again, _ = world.runs.rerun(ADMIN, source.id, Again(kind=SelectionKind.ALL))
    limits(world, keep_days=0.01)
    # An open re-run needs its source.
    assert world.retention.foreseen(ADMIN) == []
    assert SqlRetention(world.engine).mark([source.id]) == 0
    world.carry_out(again)
    world.retention.remove(ADMIN)
    assert rows(world, source.id) == {}
    left = world.run(again.id)
    assert (left.source_run_id, left.source_gone) == (None, source.id)
    assert [view.run.id for view in world.reads.lineage(again.id)] == [again.id]
    assert world.reads.ledger(again.id, LedgerFilter(), 10).items
    newer, _ = world.runs.rerun(ADMIN, again.id, Again(kind=SelectionKind.ALL))
    assert newer.source_run_id == again.id


def test_a_run_that_was_saved_meanwhile_keeps_the_number_of_its_source(world: World) -> None:
    source = finished(world)
    again, _ = world.runs.rerun(ADMIN, source.id, Again(kind=SelectionKind.ALL))
    world.carry_out(again)
    limits(world, keep_days=0.01)
    SqlRetention(world.engine).mark([source.id])
    world.retention.keep(ADMIN, again.id, kept=True)
    drain(world.retention)
    assert world.run(again.id).source_gone == source.id


def test_the_run_that_listed_the_suite_may_go(world: World) -> None:
    listed = finished(world)
    limits(world, keep_days=0.01)
    with world.store.read() as tx:
        project = tx.projects.by_slug("shop")
    assert project is not None
    assert project.listed_in == listed.id
    active = [case.test for case in world.reads.test_cases(project.id, "", 0, 10).items]
    world.retention.remove(ADMIN)
    assert rows(world, listed.id) == {}
    assert [case.test for case in world.reads.test_cases(project.id, "", 0, 10).items] == active != []
    case = world.reads.test_case(project.id, active[0])
    assert case is not None
    assert case.active
    # What is known of the suite still plans runs of named tests, and new ones get new numbers.
    assert finished(world).id > listed.id


def test_by_size_and_kept_runs(world: World) -> None:
    first, second, third = (finished(world, size=100) for _ in range(3))
    kept = world.retention.keep(ADMIN, first.id, kept=True)
    assert kept.kept
    assert kept.seq == first.seq + 1
    limits(world, keep_bytes=150)
    assert [list(doom.runs) for doom in world.retention.foreseen(ADMIN)] == [[second.id]]
    world.retention.remove(ADMIN)
    assert rows(world, first.id)
    assert rows(world, third.id)
    world.retention.keep(ADMIN, first.id, kept=False)
    assert [list(doom.runs) for doom in world.retention.foreseen(ADMIN)] == [[first.id]]


def test_only_of_one_project(world: World) -> None:
    finished(world)
    world.project("other")
    limits(world, keep_days=0.01)
    assert world.retention.foreseen(ADMIN, "other") == []
    assert world.retention.remove(ADMIN, "other") == (Freed(), True)
    with pytest.raises(NotFound):
        world.retention.remove(ADMIN, "none")
    assert world.retention.remove(ADMIN, "shop")[0].runs == 1


def test_an_interrupted_removal_is_gone_on_with(world: World) -> None:
    finished(world)
    limits(world, keep_days=0.01)
    assert world.retention.remove(ADMIN, seconds=-1) == (Freed(), False)
    assert world.retention.foreseen(ADMIN) == []
    freed, done = world.retention.remove(ADMIN)
    assert (freed.runs, done) == (1, True)


def test_files_that_come_late_are_swept(world: World) -> None:
    run = finished(world)
    stored = [file.key for file in world.artifacts.stored()]
    strays = ["999999/a", f"{run.id}/{uuid_of('unknown')}", "resource-77"]
    for key in (*strays, "something/else"):
        asyncio.run(world.artifacts.put(key, pieces(b"stray"), 100))
    assert world.retention.sweep() == (Freed(), [file.key for file in world.artifacts.stored()][-1])
    world.clock.turn(4e9 - world.clock.now())
    freed, after = world.retention.sweep()
    assert freed == Freed(files=3, bytes=15, strays=3)
    assert world.retention.sweep(after or "") == (Freed(), None)
    assert [file.key for file in world.artifacts.stored()] == [*stored, "something/else"]


def test_files_of_open_runs_are_not_swept(world: World) -> None:
    run = world.trigger()
    asyncio.run(world.artifacts.put(f"{run.id}/{uuid_of('soon')}", pieces(b"x"), 100))
    world.clock.turn(4e9 - world.clock.now())
    assert world.retention.sweep()[0] == Freed()


def test_late_uploads_of_a_run_that_went_are_refused(world: World) -> None:
    run = finished(world)
    limits(world, keep_days=0.01)
    world.retention.begin()
    with pytest.raises(NotFound):
        world.work.uploaded(run.id, uuid_of("late"), 5)
    drain(world.retention)
    with pytest.raises(NotFound):
        world.work.uploaded(run.id, uuid_of("late"), 5)


def test_usage(world: World) -> None:
    first, _ = finished(world, size=7), finished(world, size=8)
    world.retention.keep(ADMIN, first.id, kept=True)
    world.project("empty")
    usage, room = world.retention.usage(ADMIN)
    empty, shop = usage
    assert (empty.slug, empty.runs, empty.bytes, empty.oldest) == ("empty", 0, 0, None)
    assert (shop.slug, shop.runs, shop.kept, shop.tests, shop.files, shop.bytes) == ("shop", 2, 1, 6, 2, 15)
    assert shop.oldest == first.created_at
    assert room is not None
    assert room.size > room.free >= 0
    bound = Principal("x", shop.project_id, frozenset({Scope.SYSTEM_READ}))
    usage, room = world.retention.usage(bound)
    assert [one.slug for one in usage] == ["shop"]
    assert room is None


def test_who_may(world: World) -> None:
    run = finished(world)
    with world.store.read() as tx:
        project = tx.projects.by_slug("shop")
    assert project is not None
    reader = Principal("x", project.id, frozenset({Scope.RUNS_READ}))
    for ask in (
        lambda: world.retention.keep(reader, run.id, kept=True),
        lambda: world.retention.usage(reader),
        lambda: world.retention.remove(reader),
        lambda: world.retention.foreseen(Principal("x", project.id, frozenset({Scope.ADMIN}))),
    ):
        with pytest.raises(Forbidden):
            ask()
    with pytest.raises(NotFound):
        world.retention.keep(ADMIN, 99, kept=True)
    for odd in ({"keep_days": -1.0}, {"keep_runs": -1}, {"keep_bytes": 2**63}):
        with pytest.raises(InvalidInput):
            world.catalog.change_project(ADMIN, "shop", odd)


def test_the_number_of_rows_follows_the_time_they_take(world: World) -> None:
    learn = world.retention._learn
    sizes: list[int] = []
    for took in (0.001, 0.001, 0.001, 0.5, 0.5, 0.5, 10):
        learn(world.retention._most, took)
        sizes.append(world.retention._most)
    assert sizes == [100, 200, 400, 200, 100, 50, 50]


# ---------------------------------------------------------------- the loop


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(control, "PAUSE_SECONDS", 0.0)
    return iter(())


def test_the_loop_removes_everything(world: World, quick: None) -> None:
    for _ in range(3):
        finished(world)
    limits(world, keep_days=0.01)
    freed = asyncio.run(Tidying(world.retention).once())
    assert (freed.runs, freed.files) == (3, 3)
    assert asyncio.run(Tidying(world.retention).once()) == Freed()
    assert in_words(freed).startswith("3 runs, ")


def test_the_loop_sweeps(world: World, quick: None) -> None:
    asyncio.run(world.artifacts.put("5/a", pieces(b"stray"), 100))
    (world.folder / "artifacts" / "5" / ".b.123").write_bytes(b"cut off")
    world.clock.turn(4e9 - world.clock.now())
    freed = asyncio.run(Tidying(world.retention).sweep())
    assert freed == Freed(files=1, bytes=12, strays=1)
    assert "1 of them known to nobody" in in_words(freed)


def test_the_loop_waits_for_a_store_that_is_away(world: World, monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
    finished(world)
    limits(world, keep_days=0.01)
    said: list[str] = []

    async def scene() -> None:
        loop = Tidying(world.retention)
        real, tries = world.artifacts.remove, 0

        def away(*keys: str) -> None:
            nonlocal tries
            tries += 1
            if tries == 1:
                raise Unavailable("the artifact store does not answer")
            real(*keys)

        done = asyncio.Event()

        def told(words: str, *more: object) -> None:
            said.append(words % more)
            done.set()

        monkeypatch.setattr(control, "EVERY_SECONDS", 0.01)
        monkeypatch.setattr(world.artifacts, "remove", away)
        monkeypatch.setattr(control.log, "info", told)
        task = asyncio.create_task(loop.run())
        await asyncio.wait_for(done.wait(), 20)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scene())
    assert said[0].startswith("retention: 1 runs, ")


def test_indexes_carry_the_work(world: World) -> None:
    """Deleting a run reads no table from end to end."""
    if world.engine.dialect.name != "sqlite":
        pytest.skip("the planner of PostgreSQL prefers to read small tables whole")
    queries = [
        "SELECT id FROM runs WHERE gone = 1 ORDER BY id LIMIT 1",
        *(f"SELECT 1 FROM {table.name} WHERE run_id = 1" for table in PARTS if table.name != "outbox"),  # noqa: S608
        "SELECT id FROM runs WHERE source_run_id = 1",
        "SELECT run_id, sum(size) FROM artifacts WHERE run_id = 1 AND stored",
    ]
    with transaction(world.engine, write=False) as db:
        for query in queries:
            plan = " ".join(str(row[3]) for row in db.execute(text(f"EXPLAIN QUERY PLAN {query}")))
            assert "SEARCH" in plan or "USING COVERING INDEX ix_runs_gone" in plan or "ix_runs_gone" in plan, plan
