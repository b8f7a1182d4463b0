"""How a server stands, and the stories of its runs, on both databases."""

from typing import Any

import pytest
from sqlalchemy import event

from resit.domain.attempt import AttemptState
from resit.domain.events import TestResult
from resit.domain.rerun import Again
from resit.domain.status import ResultStatus, SelectionKind
from resit.ports import Outgoing
from resit.ports.telemetry import PoolStanding, Standing
from resit.services.requests import Request
from resit.storage.standing import SqlStandings
from resit.storage.stories import SqlStories
from resit.testing.factories import ADMIN, planned, result
from resit.testing.world import World

BOTH_DATABASES = True
NOBODY = {"requested": 0, "admitted": 0, "planning": 0, "running": 0, "finalizing": 0}


@pytest.fixture
def standings(world: World) -> SqlStandings:
    return SqlStandings(world.engine)


@pytest.fixture
def stories(world: World) -> SqlStories:
    return SqlStories(world.engine)


def failed(test: str) -> TestResult:
    return result(test, ResultStatus.FAILED)


def alive(world: World, worker: str, pool: str = "default", **more: Any) -> None:
    world.work.alive(pool, {"worker": worker, "pool": pool, "slots": 2, "version": "1", **more})


def test_of_an_empty_database_nothing_is_told(world: World, standings: SqlStandings, stories: SqlStories) -> None:
    assert standings.standing(world.clock.now()) == Standing(runs=NOBODY)
    assert stories.untold(10) == []
    used, idle = standings.connections()
    assert used == 0
    assert idle >= 1


def test_what_is_open_is_counted_by_status_and_pool(world: World, standings: SqlStandings) -> None:
    world.project(max_runs=2)
    runs = [world.trigger() for _ in range(3)]
    began = world.clock.now()
    world.plan(runs[0], [planned("a"), planned("b")])
    world.clock.turn(40)
    alive(world, "w1", holding=[[runs[0].id, 1, 1, 0.0]])
    alive(world, "w2", draining=True)
    alive(world, "w3", "linux")
    found = standings.standing(world.clock.now())
    assert found.runs == {**NOBODY, "requested": 1, "admitted": 1, "running": 1}
    assert found.oldest_wait == world.clock.now() - began
    assert found.pools["default"] == PoolStanding(1, 1, 4, 1, 2, frozenset({"1"}))
    assert found.pools["linux"] == PoolStanding(1, 0, 2, 0, 0, frozenset({"1"}))
    world.clock.turn(60)
    assert standings.standing(world.clock.now()).pools == {"default": PoolStanding(waiting=2)}


def test_delayed_runs_wait_for_nothing_before_their_time(world: World, standings: SqlStandings) -> None:
    world.project()
    world.trigger(start_at=world.clock.now() + 100)
    assert standings.standing(world.clock.now()).oldest_wait == 0
    world.clock.turn(110)
    assert standings.standing(world.clock.now()).oldest_wait == pytest.approx(10)


def test_what_waits_to_be_told_is_counted(world: World, standings: SqlStandings) -> None:
    with world.store.write() as tx:
        tx.outbox.add(*(Outgoing(kind="plan", run_id=n, pool="p") for n in (5, 6)))
    found = standings.standing(world.clock.now())
    assert found.outbox == 2
    assert found.outbox_first > 0


def test_schedules_that_do_not_fire_are_counted(world: World, standings: SqlStandings) -> None:
    world.project()
    world.schedules.add(ADMIN, "shop", name="nightly", cron="0 3 * * *", request=Request())
    assert standings.standing(world.clock.now()).schedules == 1
    world.clock.turn(3 * 86400)
    found = standings.standing(world.clock.now())
    assert (found.schedules, found.schedules_troubled) == (1, 1)


def test_a_run_is_told_once_with_all_that_was(world: World, stories: SqlStories) -> None:
    world.project()
    run = world.carry_out(world.planned("a", "b", "c"), {"b": [failed("b")]})
    open_still = world.trigger()
    (ended,) = stories.untold(10)
    assert (ended.run, ended.project, ended.environment) == (run, "shop", "default")
    assert stories.untold(10, besides=[run.id]) == []
    assert stories.attempts(run.id) == {"ended": 1}
    story = stories.story(ended, 100)
    (attempt,) = story.attempts
    assert (attempt.batch, attempt.number, attempt.worker, attempt.state) == (1, 1, "w1", AttemptState.ENDED)
    assert [found.test for found in attempt.results] == ["b", "a", "c"]
    assert attempt.results[0].status is ResultStatus.FAILED
    assert story.left_out == 0
    short = stories.story(ended, 2)
    assert [found.test for found in short.attempts[0].results] == ["b", "a"]
    assert short.left_out == 1

    stories.told([run.id], 5.0)
    assert stories.untold(10) == []
    assert world.run(run.id) == run
    with world.store.write() as tx:
        tx.runs.save(run)
    assert stories.untold(10) == [], "to save the run again does not make it untold"
    assert world.run(open_still.id).finished_at is None


def test_a_story_knows_the_source(world: World, stories: SqlStories) -> None:
    world.project()
    source = world.carry_out(world.planned("a"), {"a": [failed("a")]})
    again = world.runs.rerun(ADMIN, source.id, Again(kind=SelectionKind.FAILED))[0]
    world.settle()
    again = world.carry_out(world.run(again.id))
    first, second = stories.untold(10)
    assert (first.run, second.run) == (source, again)
    assert stories.story(second, 10).source == source
    assert stories.story(first, 10).source is None


@pytest.mark.sqlite
def test_nothing_is_read_through(world: World, standings: SqlStandings, stories: SqlStories) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        asked.append((statement, parameters))

    event.listen(world.engine, "before_cursor_execute", note)
    standings.standing(1.0)
    stories.untold(10)
    stories.attempts(1)
    event.remove(world.engine, "before_cursor_execute", note)
    small = ("workers", "schedules", "outbox", "notices")
    with world.engine.connect() as connection:
        for statement, parameters in asked:
            for row in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters):
                words: str = row[3]
                assert not words.startswith("SCAN") or words.split()[1] in (*small, "(subquery-1)", "anon_1"), words
