"""A worker's share of a run with an executor that keeps no promise, and a control plane that says what we want."""

import asyncio
import json
import time
import zlib
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from resit.domain import wire
from resit.domain.events import Attachment, Failure, TestResult, TestStarted
from resit.domain.plan import PlannedTest
from resit.domain.status import ResultStatus
from resit.plugin import Batch, BatchEnd, Executor, ExecutorError, Listing, Session, Sink, Suite
from resit.ports import BrokerAway, Delivery, Uploads, WorkerBroker
from resit.worker import hearing, lease, shard, work
from resit.worker.lease import Held
from resit.worker.report import Voices
from resit.worker.shard import ShardWork
from resit.worker.work import PlanWork, Tools
from resit.worker.workspace import Workspaces

TEST = PlannedTest("a::1", "a.py", ("1",))
Scene = Callable[["World"], Coroutine[Any, Any, None]]


class Message:
    """A message of the broker."""

    pool = "default"
    stored_at = 0.0
    deliveries = 1

    def __init__(self, subject: str, data: bytes = b"") -> None:
        self.subject, self.data, self.did = subject, data, list[str]()

    async def renew(self) -> None:
        self.did.append("renew")

    async def done(self, *, wait: bool = True) -> None:
        self.did.append("done")

    async def give_back(self, delay: float = 0.0) -> None:
        self.did.append(f"back {delay:g}")


class World:
    """Broker, control plane, executor and session in one."""

    shares_process = False
    name = "odd"

    def __init__(self, folder: Path, **spec: Any) -> None:
        self.spec: dict[str, Any] = {
            "open": True, "source": {"url": str(folder)}, "executor": "odd", "config": "", "variables": {},
            "secrets": [], "total_shards": 1, "upload": {"url": "http://none", "token": "t"}, **spec,
        }  # fmt: skip
        self.folder = folder
        self.said: list[dict[str, Any]] = []
        self.stopped = asyncio.Event()
        self.begun = asyncio.Event()
        self.opening = False
        self.stubborn = False
        self.refuses = False
        self.answers = True
        self.attachment = ""
        self.shard = Message("jobs.default.shard.1.1")
        data = zlib.compress(json.dumps({"run": 1, "batch": 1, "tests": [wire.test_to_wire(TEST)]}).encode())
        self.message = Message("batches.default.1.1", data)
        self.batches = [self.message]
        self.held = Held()
        tools = Tools(
            name="w",
            broker=cast("WorkerBroker", self),
            workspaces=Workspaces(folder / "cache", allow_local=True),
            executors={"odd": cast("Executor", self)},
            uploads=cast("Uploads", self),
            voices=Voices("there"),
            scratch=folder / "scratch",
            cache=folder / "cache",
        )
        self.work = ShardWork(tools, 1, self.held)
        self.plan = PlanWork(tools, 1, self.held)

    # What the worker asks of the broker.

    async def ask(self, question: str, data: bytes, wait: float) -> bytes:
        del data, wait
        if not self.answers:
            raise BrokerAway("nobody")
        if question == "plan":
            return b'{"known": false}'
        assert question == "spec"
        return json.dumps(self.spec).encode()

    async def batch(self, run: int, wait: float) -> Delivery | None:
        del run, wait
        return cast("Delivery", self.batches.pop()) if self.batches else None

    async def publish(self, run: int, data: bytes, id: str) -> None:
        del run, id
        self.said.append(json.loads(data))

    async def send(self, url: str, token: str, artifact: str, path: Path, **words: str) -> bool:
        del url, token, artifact, path, words
        await asyncio.sleep(600)
        return True

    # What it asks of the executor.

    async def list(self, suite: Suite, sink: Sink) -> Listing:
        del suite, sink
        self.begun.set()
        await asyncio.sleep(600)
        raise AssertionError

    async def open(self, suite: Suite, lanes: int) -> Session:
        del suite, lanes
        if self.refuses:
            raise ExecutorError("no browser here")
        if self.opening:
            self.begun.set()
            await asyncio.sleep(600)
        return cast("Session", self)

    async def run(self, batch: Batch, lane: int, sink: Sink) -> BatchEnd:
        del lane
        (test,) = batch.tests
        files = (Attachment("a", "text/plain", self.attachment),) if self.attachment else ()
        if files:
            sink(TestResult(test.id, ResultStatus.PASSED, attachments=files))
            self.begun.set()
            return BatchEnd()
        sink(TestStarted(test.id, time.time()))
        self.begun.set()
        while not self.stopped.is_set():
            try:
                await asyncio.sleep(0.05 if self.stubborn else 600)
            except asyncio.CancelledError:
                sink(TestResult(test.id, ResultStatus.INTERRUPTED, failures=(Failure("interrupted"),)))
                if not self.stubborn:
                    raise
        return BatchEnd()

    async def hungry(self) -> None:
        await asyncio.sleep(0)

    async def last(self) -> None:
        await asyncio.sleep(0)

    async def stop(self) -> None:
        self.stopped.set()
        if self.stubborn:
            await asyncio.sleep(600)

    async def close(self) -> None:
        self.stopped.set()

    # What came of it.

    def kinds(self) -> Sequence[str]:
        return [report["what"] for report in self.said]

    def report(self, what: str) -> dict[str, Any]:
        (found,) = [report for report in self.said if report["what"] == what]
        return found

    def results(self) -> Sequence[dict[str, Any]]:
        events = [event for report in self.said if report["what"] == "batch.events" for event in report["events"]]
        return [event for event in events if "status" in event]

    async def execute(self) -> None:
        self.work.join(1, cast("Delivery", self.shard))
        await self.work.execute(0)


def play(folder: Path, scene: Scene, **spec: Any) -> World:
    """A scene, and then what is left of it."""

    async def main() -> World:
        world = World(folder, **spec)
        async with asyncio.timeout(20):
            await scene(world)
        assert world.held.leases == {}
        assert world.held.claims == {}
        return world

    return asyncio.run(main())


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for long here."""
    for module, name, seconds in (
        (shard, "CANCEL_SECONDS", 0.2), (shard, "STOP_SECONDS", 0.3), (shard, "LOOK_SECONDS", 0.05),
        (shard, "NO_MORE_SECONDS", 0.01), (shard, "OPEN_SECONDS", 0.3), (lease, "START_SECONDS", 0.0),
        (work, "STOP_SECONDS", 0.3), (work, "DEADLINE_SECONDS", 0.1), (work, "LISTING_SECONDS", 0.3),
        (work, "CANCEL_SECONDS", 0.1), (hearing, "LAST_UPLOADS_SECONDS", 0.3),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, seconds)


def test_an_executor_that_keeps_no_limits_is_cancelled(tmp_path: Path) -> None:
    world = play(tmp_path, World.execute, stall_limit=0.3)
    ended = world.report("batch.ended")
    assert "no sign of life" in ended["reason"]
    assert ended["problems"] == [ended["reason"]]
    # What it still says of the test is kept, and final for nobody: the end of the batch errs it.
    (said,) = world.results()
    assert (said["status"], said["final"]) == ("interrupted", False)
    assert (world.message.did, world.shard.did) == (["done"], ["done"])
    assert world.kinds()[-1] == "shard.ended"


def test_a_session_that_shares_its_lanes_gets_the_next_batch_when_it_is_hungry(tmp_path: Path) -> None:
    """Beside the one under way; each has an attempt, a lease and limits of its own."""

    async def scene(world: World) -> None:
        world.shares_process = True
        data = {"run": 1, "batch": 2, "tests": [wire.test_to_wire(TEST)], "expected": [1.5]}
        second = Message("batches.default.1.2", zlib.compress(json.dumps(data).encode()))
        world.batches.append(second)
        executed = asyncio.create_task(world.execute())
        while len(world.held.claims) < 3:  # the two batches', and the shard's own
            await asyncio.sleep(0)
        world.stopped.set()
        for task in [attempt.task for attempt in world.work._running.values()]:
            assert task is not None
            task.cancel()
        await executed
        assert (world.message.did, second.did) == (["done"], ["done"])

    world = play(tmp_path, scene)
    begun = [report for report in world.said if report["what"] == "batch.started"]
    assert sorted(report["batch"] for report in begun) == [1, 2]
    assert len({report["claim"] for report in begun}) == 2


def test_an_executor_that_can_not_be_cancelled_costs_its_lane(tmp_path: Path) -> None:
    async def scene(world: World) -> None:
        world.stubborn = True
        await world.execute()
        world.stopped.set()

    world = play(tmp_path, scene, batch_limit=0.3)
    assert "took more than" in world.report("batch.ended")["reason"]


def test_a_batch_of_somebody_else_is_let_go(tmp_path: Path) -> None:
    async def scene(world: World) -> None:
        running = asyncio.create_task(world.execute())
        await world.begun.wait()
        (claim,) = [claim for claim in world.held.claims if claim != world.work.claim]
        world.work.lost([claim])
        await running

    world = play(tmp_path, scene)
    assert "batch.ended" not in world.kinds()
    assert world.message.did == []  # it is not ours to settle
    assert world.shard.did == ["done"]
    (said,) = world.results()
    assert said["final"] is False
    assert said["failures"][0]["message"] == "interrupted: another worker had taken its batch over"


def test_a_run_that_is_cancelled_is_told_why(tmp_path: Path) -> None:
    async def scene(world: World) -> None:
        running = asyncio.create_task(world.execute())
        await world.begun.wait()
        world.spec = {"open": False, "why": "cancelled by ada"}
        await world.work.stop()
        await running

    world = play(tmp_path, scene)
    (said,) = world.results()
    assert (said["final"], said["failures"][0]["message"]) == (True, "interrupted: cancelled by ada")
    assert "batch.ended" not in world.kinds()


def test_a_stop_that_the_executor_does_not_hear_of_ends_all_the_same(tmp_path: Path) -> None:
    async def scene(world: World) -> None:
        world.stubborn = True
        running = asyncio.create_task(world.execute())
        await world.begun.wait()
        await world.work.stop(why="enough")
        world.stopped.set()
        await running

    play(tmp_path, scene)


def test_a_worker_that_leaves_gives_everything_back(tmp_path: Path) -> None:
    async def scene(world: World) -> None:
        running = asyncio.create_task(world.execute())
        await world.begun.wait()
        await world.work.stop(leaving=True)
        await running

    world = play(tmp_path, scene)
    assert world.report("batch.returned")["batch"] == 1
    (said,) = world.results()
    assert said["final"] is False
    assert (world.message.did, world.shard.did) == (["back 0"], ["back 0"])


def test_files_are_not_waited_for_for_long_when_a_run_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    async def scene(world: World) -> None:
        world.attachment = str(tmp_path / "file")
        running = asyncio.create_task(world.execute())
        await world.begun.wait()
        began = time.monotonic()
        await world.work.stop(why="enough")
        await running
        assert time.monotonic() - began < 5

    assert play(tmp_path, scene).results()[0]["status"] == "passed"


def test_a_run_ends_at_its_deadline_though_nobody_says_so(tmp_path: Path) -> None:
    async def scene(world: World) -> None:
        running = asyncio.create_task(world.execute())
        await world.begun.wait()
        world.answers = False  # the control plane is gone
        await running

    (said,) = play(tmp_path, scene, time_left=0.3).results()
    assert said["failures"][0]["message"] == "interrupted: the time limit of the run was over"


def test_a_shard_that_can_not_be_opened_is_somebody_elses(tmp_path: Path) -> None:
    async def scene(world: World) -> None:
        world.refuses = True
        await world.execute()
        assert world.work.failed

    world = play(tmp_path, scene)
    failed = world.report("shard.failed")
    assert (failed["code"], failed["message"]) == ("executor_failed", "no browser here")
    assert (failed["shard"], failed["worker"], failed["claim"]) == (1, "w", world.work.claim)
    assert "shard.ended" not in world.kinds()
    assert world.shard.did == [f"back {shard.RETRY_SECONDS:g}"]


def test_a_suite_that_does_not_open_is_given_up(tmp_path: Path) -> None:
    async def scene(world: World) -> None:
        world.opening = True
        await world.execute()

    assert "could not be opened within" in play(tmp_path, scene).report("shard.failed")["message"]


def test_a_run_can_be_stopped_before_and_while_its_suite_is_opened(tmp_path: Path) -> None:
    async def before(world: World) -> None:
        await world.work.stop(why="enough")
        await world.execute()

    async def meanwhile(world: World) -> None:
        world.opening = True
        running = asyncio.create_task(world.execute())
        await world.begun.wait()
        await world.work.stop(why="enough")
        await running

    for scene in (before, meanwhile):
        assert "batch.started" not in play(tmp_path, scene).kinds()


def test_a_listing_that_the_executor_does_not_end_fails(tmp_path: Path) -> None:
    async def scene(world: World) -> None:
        await world.plan.execute(cast("Delivery", world.shard))

    world = play(tmp_path, scene)
    assert "could not be listed within" in world.report("plan.failed")["message"]
    assert world.shard.did == ["done"]


def test_a_batch_that_lapsed_meanwhile_is_not_settled(tmp_path: Path) -> None:
    """The worker stood still for longer than a lease: the message may be somebody else's."""

    async def scene(world: World) -> None:
        running = asyncio.create_task(world.execute())
        await world.begun.wait()
        for held in world.held.leases.values():
            held.renewed_at -= 11
        world.stopped.set()
        await world.work.stop(leaving=True)
        await running

    world = play(tmp_path, scene)
    assert world.message.did == world.shard.did == []
