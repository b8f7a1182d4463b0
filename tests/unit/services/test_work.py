"""What workers ask: a worker sees nothing beyond its pool."""

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from resit.control.answers import answer
from resit.control.signals import Signals
from resit.domain.run import Problem, Run
from resit.ports import ControlBroker
from resit.services.recovery import Held
from resit.testing import factories
from resit.testing.factories import ADMIN
from resit.testing.world import World

Handler = Callable[[str, bytes], Awaitable[bytes]]


class Asked:
    """In place of a broker: remembers who answers what."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}

    async def answer(self, question: str, handler: Handler) -> None:
        self.handlers[question] = handler


def ask(world: World, pool: str, question: str, /, **about: Any) -> bytes:
    """The answer that a worker of a pool gets."""

    async def scene() -> bytes:
        broker = Asked()
        await answer(cast("ControlBroker", broker), world.work, world.html, Signals(), lambda: 7.0)
        return await broker.handlers[question](pool, json.dumps(about).encode())

    return asyncio.run(scene())


def test_the_work_of_a_run_is_told_to_its_own_pool_alone(world: World) -> None:
    world.project()
    world.environment(secrets={"KEY": "hidden"})
    run = world.planned("a::1", environment="staging")
    mine = json.loads(ask(world, "default", "spec", run=run.id))
    assert (mine["open"], mine["secrets"]) == (True, ["hidden"])
    assert json.loads(ask(world, "other", "spec", run=run.id)) == {"open": False}


def test_what_is_left_of_a_batch_is_told_to_its_own_pool_alone(world: World) -> None:
    world.project()
    run = world.planned("a::1")
    for pool, found in (("default", ["a::1"]), ("other", [])):
        answered = json.loads(zlib.decompress(ask(world, pool, "batch", run=run.id, batch=1)))
        assert [test["id"] for test in answered["tests"]] == found


def test_a_run_of_another_pool_is_over_for_a_worker_whatever_pool_it_claims(world: World) -> None:
    world.project()
    run = world.planned("a::1")
    about = {"worker": "w1", "pool": "default", "slots": 1, "runs": [run.id]}
    assert json.loads(ask(world, "default", "alive", **about))["stop"] == []
    assert json.loads(ask(world, "other", "alive", **about))["stop"] == [run.id]


def test_the_limits_of_the_project_and_the_time_left_are_told(world: World) -> None:
    world.project(time_limit=100.0)
    with world.store.write() as tx:
        project = tx.projects.by_slug("shop")
        assert project
        tx.projects.save(replace(project, stall_limit=7.0, batch_limit=9.0))
    run = world.planned("a::1")
    world.clock.turn(30)
    said = json.loads(ask(world, "default", "spec", run=run.id))
    assert (said["stall_limit"], said["batch_limit"], said["time_left"]) == (7.0, 9.0, 70.0)


def test_a_run_that_is_over_says_why_to_its_own_pool_alone(world: World) -> None:
    world.project()
    run = world.planned("a::1")
    world.runs.cancel(ADMIN, run.id)
    said = json.loads(ask(world, "default", "spec", run=run.id))
    assert said["open"] is False
    assert said["why"].startswith("cancelled by ")
    assert json.loads(ask(world, "other", "spec", run=run.id)) == {"open": False}


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (factories.run(superseded_by=7, cancelled_by="ci"), "superseded by run 7"),
        (factories.run(cancelled_by="ada"), "cancelled by ada"),
        (factories.run(cancelled_by="ada", cancel_reason="wrong branch"), "cancelled by ada: wrong branch"),
        (factories.run(cancel_reason="stopped after 2 failures"), "stopped after 2 failures"),
        (factories.run(problems=(Problem(code="time_limit", message="too late"),)), "too late"),
        (factories.run(), "the run was over"),
    ],
)
def test_why_a_run_was_over(run: Run, why: str) -> None:
    assert run.why_over == why


def test_a_worker_hears_which_of_its_attempts_are_lost(world: World) -> None:
    world.project()
    run = world.planned("a::1")
    about = {"worker": "w1", "slots": 1, "runs": [run.id], "claims": ["first", "second", "unknown"]}
    world.report({**world.voice(run, claim="first"), "what": "batch.started"})
    assert json.loads(ask(world, "default", "alive", **about))["lost"] == []
    world.report({**world.voice(run, claim="second", worker="w2"), "what": "batch.started"})
    assert json.loads(ask(world, "default", "alive", **about))["lost"] == ["first"]
    world.report({**world.voice(run, claim="second", worker="w2"), "what": "batch.ended"})
    assert json.loads(ask(world, "default", "alive", **about))["lost"] == ["first"]


def test_a_worker_hears_that_its_batch_was_given_up(world: World) -> None:
    """Two workers fell silent with it, and then the second one speaks again."""
    world.project()
    run = world.planned("a::1", "b::1", shards=2)
    for claim in ("first", "second"):
        world.report({**world.voice(run, claim=claim, worker=claim), "what": "batch.started"})
        world.clock.turn(11)
        world.recovery.repair(run.id, Held(frozenset(), frozenset()))
    about = {"worker": "second", "slots": 1, "runs": [run.id], "claims": ["second"]}
    assert json.loads(ask(world, "default", "alive", **about))["lost"] == ["second"]


def test_who_asks_for_a_shard_is_known_from_then_on(world: World) -> None:
    world.project()
    run = world.planned("a::1")
    ask(world, "default", "spec", run=run.id, worker="w1", claim="mine", shard=1)
    ask(world, "default", "spec", run=run.id, worker="w1", claim="mine", shard=1)
    with world.store.read() as tx:
        found = tx.batches.attempt("mine")
    assert found
    assert (found.run_id, found.batch, found.worker, found.shard) == (run.id, 0, "w1", 1)
