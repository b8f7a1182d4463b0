"""Numbered reports through ingest: shuffled, repeated and shared by control planes, they make the same ledger."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from resit.domain import wire
from resit.domain.run import Run
from resit.domain.voice import GAP_SECONDS
from resit.services.ingest import Taken, Told
from resit.services.recovery import Held
from resit.testing.factories import planned, result
from resit.testing.world import World, empty

TESTS = [f"{file}::{n}" for file in "ab" for n in range(4)]
BOTH_DATABASES = True


def run_of_two_batches(world: World) -> Run:
    world.project(shards=2)
    return world.plan(world.trigger(), [planned(test) for test in TESTS])


def reports(world: World, run: Run) -> list[dict[str, Any]]:
    """All that a worker says of a run, in its order."""
    said: list[dict[str, Any]] = [{"run": run.id, "claim": "w", "what": "shard.started", "commit": ""}]
    for number in (1, 2):
        voice = world.voice(run, number, f"claim {run.id}.{number}")
        with world.store.read() as tx:
            tests = tx.ledger.tests_of_batch(run.id, number)
        said.append({**voice, "what": "batch.started"})
        said += [{"run": run.id, "claim": "", "what": "log", "shard": 1, "text": f"{test.id}\n"} for test in tests]
        said += [{**voice, "what": "batch.events", "events": [wire.to_wire(result(test.id))]} for test in tests]
        said.append({**voice, "what": "batch.ended"})
    return [{**report, "from": "w", "n": n, "to": "there"} for n, report in enumerate(said, 1)]


def told(said: Sequence[dict[str, Any]], age: float = 0.0, pool: str = "default") -> list[Told]:
    return [Told(json.dumps(report).encode(), pool, age) for report in said]


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False))
def test_every_order_makes_the_same_ledger_and_the_same_log(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory, chance: random.Random
) -> None:
    empty(engine)
    world = World(tmp_path_factory.getbasetemp(), engine)
    run = run_of_two_batches(world)
    said = reports(world, run)
    waiting = told([*said, *chance.sample(said, 5)])
    chance.shuffle(waiting)
    rounds = 0
    while waiting:
        some, waiting = waiting[: (size := chance.randint(1, 6))], waiting[size:]
        taken = world.ingest.take(some)
        assert not taken.dropped
        waiting += [some[place] for place in sorted(taken.early)]
        rounds += 1
        assert rounds < 2000
    assert set(world.outcomes(run).values()) == {"passed"}
    assert not world.run(run.id).status.open
    found = {test: len(some) for test, some in world.reads.results(run.id, range(8)).items()}
    assert found == dict.fromkeys(range(8), 1)
    assert world.reads.log(run.id, 1, 0, 10_000) == "".join(f"{test}\n" for test in TESTS)


def test_the_worker_hears_how_far_it_was_taken_and_what_is_missing(world: World) -> None:
    run = run_of_two_batches(world)
    said = reports(world, run)
    heard = lambda taken: [(c.address, c.name, c.taken, c.missing) for c in taken.confirmed]  # noqa: E731
    assert heard(world.ingest.take(told(said[:3]))) == [("there", "w", 3, False)]
    assert heard(world.ingest.take(told(said[5:6]))) == [("there", "w", 3, True)]
    assert heard(world.ingest.take(told(said[:1]))) == [("there", "w", 3, False)]
    assert heard(world.ingest.take(told(said[3:5]))) == [("there", "w", 5, False)]
    about = {"worker": "w1", "slots": 1, "unheard": {"w": run.id, "other": run.id, "gone": 999}}
    found = world.work.alive("default", about)["taken"]
    assert (found["w"], found["other"]) == (5, 0)
    assert found["gone"] > 1_000_000


def test_what_is_lost_with_its_worker_is_executed_again(world: World) -> None:
    run = run_of_two_batches(world)
    said = reports(world, run)
    del said[7]  # a result of the first batch: it was in the broker alone, and so was the worker's memory
    early = world.ingest.take(told(said)).early
    assert early == set(range(7, len(said)))
    world.ingest.take(told(said[7:], age=GAP_SECONDS + 1))
    assert world.run(run.id).status.open
    world.recovery.repair(run.id, Held(frozenset(), frozenset()))
    assert {m.number for m in world.settle() if m.kind == "batch"} >= {1}
    assert sorted(world.outcomes(run).values(), key=str) == [None, *["passed"] * 7]
    world.carry_out(run)
    assert set(world.outcomes(run).values()) == {"passed"}


def test_nobody_speaks_of_another_pools_run(world: World) -> None:
    run = run_of_two_batches(world)
    before = world.dump(run)
    taken: Taken = world.ingest.take(told(reports(world, run), pool="other"))
    assert len(taken.dropped) == len(reports(world, run))
    assert not taken.changed
    assert world.dump(run) == before


def test_a_numbered_report_that_makes_no_sense_holds_up_nobody(world: World) -> None:
    run = run_of_two_batches(world)
    said = reports(world, run)
    said[2] = {**said[2], "what": "nonsense"}
    taken = world.ingest.take(told(said))
    assert len(taken.dropped) == 1
    assert not world.run(run.id).status.open


def test_a_voice_of_a_run_that_is_gone_is_let_go(world: World, tmp_path: Path) -> None:
    del tmp_path
    taken = world.ingest.take(
        told([{"run": 99, "claim": "c", "what": "log", "shard": 1, "from": "w", "n": 4, "to": "x"}])
    )
    assert [(c.name, c.taken) for c in taken.confirmed] == [("w", 4)]
    assert len(taken.dropped) == 1
