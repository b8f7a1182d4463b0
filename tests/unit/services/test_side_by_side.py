"""Two control planes take the words of workers side by side: one and the same ledger comes of it, on both databases."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

from resit.domain import wire
from resit.domain.errors import Unavailable
from resit.domain.run import Run
from resit.services.ingest import Ingest, Told
from resit.testing.factories import planned, result
from resit.testing.world import World

TESTS = [f"{file}::{n}" for file in "ab" for n in range(4)]
BOTH_DATABASES = True


def words(world: World, run: Run) -> list[Told]:
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
    numbered = [{**report, "from": "w", "n": n, "to": "there"} for n, report in enumerate(said, 1)]
    return [Told(json.dumps(report).encode(), "default") for report in numbered]


def test_two_control_planes_take_the_words_of_many_runs_side_by_side(world: World) -> None:
    world.project(shards=2)
    runs = [world.plan(world.trigger(), [planned(test) for test in TESTS], claim=f"planner {n}") for n in range(4)]
    chance = random.Random(5)
    waiting = [word for run in runs for word in words(world, run)]
    chance.shuffle(waiting)
    lock = Lock()

    def plane() -> None:
        ingest = Ingest(world.store, world.clock, max_log=10_000)
        while True:
            with lock:
                some, waiting[:] = waiting[:7], waiting[7:]
            if not some:
                return
            try:
                early = ingest.take(some).early
            except Unavailable:
                early = set(range(len(some)))
            with lock:
                waiting.extend(some[place] for place in sorted(early))

    while waiting:
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(plane) for _ in range(2)]:
                done.result()
    for run in runs:
        assert set(world.outcomes(run).values()) == {"passed"}
        assert not world.run(run.id).status.open
        assert world.reads.log(run.id, 1, 0, 10_000) == "".join(f"{test}\n" for test in TESTS)
