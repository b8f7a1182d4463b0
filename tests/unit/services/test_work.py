"""What workers ask: a worker sees nothing beyond its pool."""

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable
from typing import Any, cast

from resit.control.answers import answer
from resit.ports import ControlBroker
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
        await answer(cast("ControlBroker", broker), world.work)
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
