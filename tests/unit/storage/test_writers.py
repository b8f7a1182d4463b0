"""Several writers at the same time, as several control planes on one PostgreSQL are: nobody's work gets lost, limits
hold, and who stands in another's way is asked to try again."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Engine, text

from resit.domain.admission import Concurrency, OnConflict
from resit.domain.errors import AlreadyExists, Conflict, QuotaExceeded, ResitError, Unavailable
from resit.domain.run import Run
from resit.domain.status import Outcome, RunStatus
from resit.services.desk import Desk
from resit.services.requests import Request
from resit.storage.connect import transaction
from resit.testing import factories
from resit.testing.factories import ADMIN, NOW
from resit.testing.postgres import PostgresServer
from resit.testing.world import World, empty, postgresql

T = TypeVar("T")
MANY = 8


@pytest.fixture(scope="module")
def engine(postgres: PostgresServer) -> Iterator[Engine]:
    made = postgresql(postgres, "writers")
    yield made
    made.dispose()


@pytest.fixture
def planes(tmp_path: Path, engine: Engine) -> list[World]:
    """Several control planes on one database, with ids of their own."""
    empty(engine)
    found = [World(tmp_path, engine) for _ in range(MANY)]
    for number, world in enumerate(found):
        for _ in range(1000 * number):
            world.ids.uuid()
    return found


def at_once(*jobs: Callable[[], T]) -> list[T | ResitError]:
    """Do it all at the same time; what was refused is an answer too."""
    barrier = threading.Barrier(len(jobs))

    def do(job: Callable[[], T]) -> T | ResitError:
        barrier.wait(30)
        try:
            return job()
        except ResitError as error:
            return error

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(do, jobs))


def requested(planes: Sequence[World], key: str = "", **request: object) -> list[Run]:
    """The same request of every control plane at once; all are taken."""
    words = {"concurrency": Concurrency(), **request}
    found = at_once(*(lambda w=w: w.runs.trigger(ADMIN, "shop", Request(**words), key)[0] for w in planes))  # type: ignore[misc]
    assert all(isinstance(one, Run) for one in found), found
    return [one for one in found if isinstance(one, Run)]


def states(world: World) -> Counter[str]:
    with world.store.read() as tx:
        return Counter(place.status.value for place in tx.runs.queue(1))


def test_changes_of_one_run_follow_each_other(planes: list[World]) -> None:
    planes[0].project()
    run = planes[0].trigger()

    def note(world: World) -> None:
        for _ in range(10):
            with world.store.write() as tx:
                desk = Desk(tx, NOW)
                desk.put(desk.run(run.id))
                desk.file()

    assert at_once(*(lambda w=w: note(w) for w in planes)) == [None] * MANY
    assert planes[0].run(run.id).seq == run.seq + 10 * MANY


def test_a_limit_holds(planes: list[World]) -> None:
    planes[0].project(max_runs=2)
    requested(planes)
    assert states(planes[0]) == {"admitted": 2, "requested": MANY - 2}


def test_what_ends_together_lets_others_go_ahead(planes: list[World]) -> None:
    planes[0].project(max_runs=3)
    runs = [planes[0].trigger() for _ in range(9)]
    for _ in range(3):
        opened = [run for run in runs if planes[0].run(run.id).status is RunStatus.ADMITTED]
        assert len(opened) == 3
        found = at_once(
            *(lambda w=w, run=run: w.runs.cancel(ADMIN, run.id)[1] for w, run in zip(planes, opened, strict=False))
        )
        assert found == [True] * 3
    assert states(planes[0]) == {}


def test_one_of_a_group_is_left(planes: list[World]) -> None:
    """Whoever comes last: the others make way for it, and say so."""
    planes[0].project()
    runs = requested(planes, concurrency=Concurrency("main", OnConflict.CANCEL))
    last = max(run.id for run in runs)
    assert states(planes[0]) == {"admitted": 1}
    assert planes[0].run(last).status is RunStatus.ADMITTED
    for run in runs:
        if run.id != last:
            assert run.id < (planes[0].run(run.id).superseded_by or 0) <= last


def test_one_of_a_group_goes_ahead(planes: list[World]) -> None:
    planes[0].project()
    requested(planes, concurrency=Concurrency("main"))
    assert states(planes[0]) == {"admitted": 1, "requested": MANY - 1}


def test_a_key_makes_one_run(planes: list[World]) -> None:
    planes[0].project()
    runs = requested(planes, "the key")
    assert {run.id for run in runs} == {runs[0].id}
    assert states(planes[0]) == {"admitted": 1}


def test_a_quota_holds(planes: list[World]) -> None:
    planes[0].project()
    planes[0].organizations.set(ADMIN, {"monthly_runs": 3})
    found = at_once(*(lambda w=w: w.runs.trigger(ADMIN, "shop", Request())[0] for w in planes))
    assert Counter(type(one) for one in found) == {Run: 3, QuotaExceeded: MANY - 3}


def test_a_name_is_given_once(planes: list[World]) -> None:
    found = at_once(*(lambda w=w: w.project("bank") for w in planes))
    assert Counter(type(one).__name__ for one in found) == {"Project": 1, "AlreadyExists": MANY - 1}
    assert all("bank" in one.message for one in found if isinstance(one, AlreadyExists))


def test_a_name_that_was_taken_behind_ones_back(planes: list[World]) -> None:
    """Without the order of those who write alone, the database itself has the last word."""
    projects = [factories.project(uuid=f"u{number}", slug="same") for number in range(2)]
    inside = threading.Barrier(2)

    def add(world: World, number: int) -> None:
        with world.store.write() as tx:
            inside.wait(30)
            tx.projects.add(projects[number])

    found = at_once(*(lambda n=n: add(planes[n], n) for n in range(2)))
    assert Counter(type(one) for one in found) == {type(None): 1, AlreadyExists: 1}


def test_a_setting_is_not_lost_to_a_listing(planes: list[World]) -> None:
    """A listing that is taken while somebody changes the project: both stay."""
    planes[0].project()
    run = planes[0].planned("a")
    begun, go = threading.Event(), threading.Event()

    def listing() -> None:
        with planes[1].store.write() as tx:
            tx.cases.sync(replace(run, id=run.id), [factories.planned("b")])
            begun.set()
            assert go.wait(30)

    def change() -> None:
        assert begun.wait(30)
        threading.Timer(0.2, go.set).start()
        planes[2].catalog.change_project(ADMIN, "shop", {"branch": "next"})

    with planes[0].store.write() as tx:
        project = tx.projects.get(1)
        assert project is not None
        tx.projects.save(replace(project, listed_in=None))
    assert at_once(listing, change) == [None, None]
    with planes[0].store.read() as tx:
        project = tx.projects.get(1)
    assert project is not None
    assert (project.branch, project.listed_in) == ("next", run.id)


def test_suites_are_listed_and_runs_end_all_at_once(planes: list[World]) -> None:
    """They write to the same test cases, in orders of their own."""
    planes[0].project()
    tests = [f"test-{number}" for number in range(40)]

    def live(world: World, number: int) -> Run:
        order = tests[number:] + tests[:number]
        run = world.plan(world.trigger(), [factories.planned(test) for test in order], claim=f"plan-{number}")
        return world.carry_out(run)

    worlds = planes[:4]
    for world in worlds:
        # The outbox has one reader, which is no part of this.
        world.settle = list  # type: ignore[method-assign]
    found = at_once(*(lambda w=w, n=n: live(w, 7 * n) for n, w in enumerate(worlds)))
    assert [type(one) for one in found] == [Run] * 4, found
    for one in found:
        assert isinstance(one, Run)
        assert (one.status, one.counts.passed) == (RunStatus.FINISHED, 40)


def test_runs_are_held_in_one_order(planes: list[World]) -> None:
    planes[0].project()
    runs = [planes[0].trigger().id for _ in range(6)]

    def touch(world: World, ids: list[int]) -> None:
        for _ in range(5):
            with world.store.write() as tx:
                desk = Desk(tx, NOW)
                for id in desk.load(ids):
                    desk.put(desk.run(id))
                desk.file()

    orders = [runs, runs[::-1], runs[3:] + runs[:3], runs[::2] + runs[1::2]]
    assert at_once(*(lambda w=w, o=o: touch(w, o) for w, o in zip(planes, orders, strict=False))) == [None] * 4
    assert {planes[0].run(id).seq for id in runs} == {20}


def test_who_is_in_each_others_way_tries_again(planes: list[World]) -> None:
    planes[0].project()
    first, second = planes[0].trigger().id, planes[0].trigger().id
    both = threading.Barrier(2)

    def hold(world: World, ids: tuple[int, int]) -> None:
        with world.store.write() as tx:
            tx.runs.hold([ids[0]])
            both.wait(30)
            tx.runs.hold([ids[1]])

    found = at_once(lambda: hold(planes[0], (first, second)), lambda: hold(planes[1], (second, first)))
    assert Counter(type(one) for one in found) == {type(None): 1, Unavailable: 1}
    assert [one.message for one in found if one] == [
        "the database asks to try again: it was changed by somebody else at the same time (a deadlock)"
    ]


def test_nobody_waits_for_ever(planes: list[World], engine: Engine) -> None:
    planes[0].project()
    run = planes[0].trigger()

    def wait(setting: str) -> None:
        with transaction(engine, write=True) as db:
            db.execute(text(f"SET LOCAL {setting} TO '50ms'"))
            db.execute(text("SELECT id FROM runs FOR NO KEY UPDATE"))

    with planes[0].store.write() as tx:
        tx.runs.hold([run.id])
        with pytest.raises(Unavailable, match="held by somebody else for too long"):
            wait("lock_timeout")
        with pytest.raises(Unavailable, match="statement timeout"):
            wait("statement_timeout")
        # Who only reads does not wait at all, nor who writes of the run without changing it.
        assert planes[1].run(run.id) == run
        with planes[1].store.write() as other:
            other.results.add_log(run.id, 0, "text", 100, NOW)


def test_what_was_taken_away_meanwhile(planes: list[World]) -> None:
    with pytest.raises(Conflict, match="taken away"), planes[0].store.write() as tx:
        tx.runs.add(factories.run(77, 77))


def test_a_run_that_is_held_waits_for_its_turn(planes: list[World]) -> None:
    """Its holder may wait for the project: nobody who has that waits for the run."""
    planes[0].project(max_runs=1)
    first, second = planes[0].trigger(), planes[0].trigger()
    with planes[1].store.write() as other:
        other.runs.hold([second.id])
        planes[0].runs.cancel(ADMIN, first.id)
        assert planes[0].run(second.id).status is RunStatus.REQUESTED
        desk = Desk(other, NOW)
        desk.cancel(desk.run(second.id), "somebody")
        desk.file()
    assert states(planes[0]) == {}


def test_reads_see_one_moment(planes: list[World]) -> None:
    planes[0].project()
    run = planes[0].trigger()
    with planes[0].store.read() as tx:
        before = tx.runs.get(run.id)
        planes[1].runs.cancel(ADMIN, run.id)
        assert tx.runs.get(run.id) == before
        assert tx.runs.queue(1)
    assert planes[0].run(run.id).verdict is not None


def test_reports_of_one_run_come_to_several(planes: list[World]) -> None:
    """Every result is counted once, whoever takes it."""
    planes[0].project()
    run = planes[0].planned(*(f"t{number}" for number in range(16)))
    voices = planes[0].voice(run, 1, claim="c")
    planes[0].report({**voices, "what": "batch.started"})
    told = [factories.result(f"t{number}") for number in range(16)]

    def say(world: World, number: int) -> None:
        from resit.domain import wire

        for test in told[number * 2 : number * 2 + 2]:
            assert world.report({**voices, "what": "batch.events", "events": [wire.to_wire(test)]}) == []

    assert at_once(*(lambda n=n: say(planes[n], n) for n in range(MANY))) == [None] * MANY
    planes[0].report({**voices, "what": "batch.ended"})
    ended = planes[0].run(run.id)
    assert (ended.status, ended.counts.passed) == (RunStatus.FINISHED, 16)
    assert set(planes[0].outcomes(run).values()) == {Outcome.PASSED.value}
