"""What the loops of a control plane count."""

import asyncio
import json
import time
from collections import Counter
from typing import Any, cast

from resit.control.dispatch import Dispatch
from resit.control.intake import Intake
from resit.control.notifier import Notifying
from resit.control.reconciler import Reconciler
from resit.control.retention import Tidying
from resit.control.scheduler import Scheduler
from resit.control.signals import Signals
from resit.domain import wire
from resit.ports import Job
from resit.ports.telemetry import METRICS, Counted, Measured
from resit.services.notices import Notices
from resit.services.requests import Request
from resit.storage.unit_of_work import SqlStore
from resit.testing.factories import ADMIN, planned, result
from resit.testing.world import World


class Listener:
    """A telemetry that remembers."""

    def __init__(self) -> None:
        self.counted: Counter[tuple[str, ...]] = Counter()
        self.measured: dict[str, list[float]] = {}

    def count(self, what: Counted, number: float = 1.0, /, **labels: str) -> None:
        assert set(labels) == set(METRICS[what].labels)
        if number:
            self.counted[what.value, *labels.values()] += int(number)

    def observe(self, what: Measured, seconds: float, /, **labels: str) -> None:
        assert set(labels) == set(METRICS[what].labels)
        self.measured.setdefault(what.value, []).append(seconds)


class Message:
    """A report, as the broker delivers it."""

    subject, pool, deliveries = "events.default.1", "default", 9

    def __init__(self, data: bytes, age: float = 0.0) -> None:
        self.data, self.stored_at = data, time.time() - age
        self.settled = ""

    async def done(self, *, wait: bool = True) -> None:
        self.settled = "done"

    async def give_back(self, delay: float = 0.0) -> None:
        del delay
        self.settled = "back"


class Broker:
    """One that holds nothing, and takes everything."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    async def publish_job(self, pool: str, job: Job, data: bytes, urgency: object) -> None:
        self.jobs.append(job)

    async def open_batches(self, pool: str, run: int, lanes: int, *, anew: bool = False) -> None: ...

    async def publish_batch(self, pool: str, run: int, number: int, data: bytes) -> None: ...

    async def tell(self, pool: str, address: str, data: bytes) -> None: ...

    async def held_in(self, pool: str) -> dict[int, Any]:
        return {}


def test_messages_to_the_broker(world: World) -> None:
    world.project()
    world.trigger()
    listener = Listener()

    async def scene() -> None:
        dispatch = Dispatch(world.store, cast("Any", Broker()), Signals(), world.planner, listener)
        await dispatch._some()
        await dispatch._some()

    asyncio.run(scene())
    assert listener.counted == {("outbox_messages_sent", "plan"): 1}


def test_reports_and_results(world: World) -> None:
    world.project()
    run = world.planned("a", "b")
    world.settle()
    voice = {**world.voice(run), "from": "v", "to": "w"}
    events = [wire.to_wire(result(test)) for test in ("a", "b")]
    said = [
        {**voice, "n": 1, "what": "batch.started"},
        {**voice, "n": 2, "what": "batch.events", "events": events},
        {**voice, "n": 4, "what": "batch.ended"},
        {**voice, "n": 2, "what": "batch.events", "events": events},
        {**voice, "n": 3, "what": "nonsense"},
    ]
    listener = Listener()
    messages = [Message(json.dumps(report).encode(), age=2.0) for report in said[:3]]
    later = [Message(json.dumps(report).encode()) for report in said[3:]]

    async def scene() -> None:
        intake = Intake(cast("Any", Broker()), world.ingest, Signals(), listener)
        await intake._take(cast("Any", messages))
        await intake._take(cast("Any", later))
        await intake._take(cast("Any", [Message(b"no json")]))

    asyncio.run(scene())
    assert [message.settled for message in messages] == ["done", "done", "back"]
    assert listener.counted == {
        ("reports", "taken"): 3,
        ("reports", "early"): 1,
        ("reports", "dropped"): 2,
        ("results",): 2,
    }
    lags = listener.measured["ingest_lag_seconds"]
    assert len(lags) == 5
    assert all(2.0 <= lag < 10 for lag in lags[:2])


def test_repairs(world: World) -> None:
    world.project()
    planless, at_work, late = world.trigger(), world.plan(world.trigger(), [planned("a")]), world.trigger()
    world.settle()
    world.clock.turn(60)
    listener = Listener()

    async def scene() -> None:
        reconciler = Reconciler(world.recovery, cast("Any", Broker()), Signals(), listener)
        await reconciler.once()
        world.settle()
        world.clock.turn(25 * 3600)
        await reconciler.once()

    asyncio.run(scene())
    assert listener.counted["repairs", "plan"] == 2
    assert listener.counted["repairs", "batches"] == 1
    assert listener.counted["repairs", "deadline"] == 3
    assert not any(world.run(run.id).status.open for run in (planless, at_work, late))


def test_notices(world: World) -> None:
    world.project()
    world.webhooks.add(ADMIN, "shop", url="https://hooks.example/x", events=["test_run.queued"])
    answers = [500, 200]
    listener = Listener()

    class Poster:
        async def post(self, url: str, body: bytes, headers: object) -> int:
            del url, body, headers
            return answers.pop(0)

    async def scene() -> None:
        notices = Notices(world.store, world.clock, world.signer)
        notifying = Notifying(notices, cast("Any", Poster()), Signals(), listener)
        world.trigger()
        for _ in range(2):
            await notifying._look()
            await asyncio.gather(*notifying._busy.values())
            world.clock.turn(3600)

    asyncio.run(scene())
    assert listener.counted == {("notices", "failed"): 1, ("notices", "delivered"): 1}


def test_schedules(world: World) -> None:
    world.project()
    world.schedules.add(ADMIN, "shop", name="nightly", cron="0 3 * * *", request=Request())
    listener = Listener()

    async def scene() -> None:
        scheduler = Scheduler(world.schedules, world.queue, Signals(), listener)
        await scheduler.once()
        next_at = world.schedules.page(ADMIN, "shop", 0, 10)[0].schedule.next_at
        world.clock.turn((next_at or 0.0) - world.clock.now() + 1)
        await scheduler.once()

    asyncio.run(scene())
    assert listener.counted == {("schedules_fired", "run"): 1}


def test_transactions(world: World) -> None:
    listener = Listener()
    store = SqlStore(world.engine, listener)
    with store.read():
        pass
    with store.write():
        pass
    assert len(listener.measured["transaction_seconds"]) == 2


def test_what_retention_removes(world: World) -> None:
    world.project()
    world.catalog.change_project(ADMIN, "shop", {"keep_runs": 1})
    for _ in range(3):
        world.carry_out(world.planned("a"))
        world.clock.turn(30 * 86400)
    listener = Listener()
    freed = asyncio.run(Tidying(world.retention, listener).once())
    assert freed.runs > 0
    assert listener.counted["retention_removed", "runs"] == freed.runs
    assert listener.counted["retention_removed", "rows"] == freed.rows
