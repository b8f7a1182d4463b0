"""The broker's ports against a real nats-server: what is promised about leases, losses and restarts."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from resit.broker import streams
from resit.broker.address import Address
from resit.broker.control import NatsControlBroker
from resit.broker.server import MAX_PAYLOAD, BundledServer, ServerFailed, _binary
from resit.broker.worker import NatsWorkerBroker
from resit.ports import BrokerAway, Delivery, Job

PLAN = Job("plan", 1)
LEASE = 0.5


class Stage:
    """A running server, a control plane and as many workers as a test wants."""

    def __init__(self, server: BundledServer, data: Path) -> None:
        self.server = server
        self.data = data
        self.open: list[NatsWorkerBroker | NatsControlBroker] = []
        self.control: NatsControlBroker

    async def worker(self, pool: str = "main") -> NatsWorkerBroker:
        """A worker with the rights of the pool that the server was started with, else with all rights."""
        await self.control.ensure_pool(pool)
        worker = await NatsWorkerBroker.connect(self.server.local if pool == "main" else self.server.control, pool)
        self.open.append(worker)
        return worker

    async def new_control(self, lease: float = LEASE) -> NatsControlBroker:
        control = await NatsControlBroker.connect(
            self.server.control,
            issuer=self.server.issuer,
            system=self.server.system,
            ack_wait=lease,
            events_ack_wait=lease,
        )
        self.open.append(control)
        return control

    async def kill_server(self) -> None:
        ended = asyncio.create_task(self.server.ended())
        os.kill(self.server.pid, signal.SIGKILL)
        assert "SIGKILL" in (await ended or "")


@asynccontextmanager
async def staged(data: Path, lease: float = LEASE) -> AsyncGenerator[Stage]:
    stage = Stage(BundledServer(pool="main"), data)
    await stage.server.start(data)
    try:
        stage.control = await stage.new_control(lease)
        yield stage
    finally:
        for one in stage.open:
            await one.close()
        await stage.server.stop()


def play(data: Path, scene: Callable[[Stage], Awaitable[None]], lease: float = LEASE) -> None:
    async def run() -> None:
        async with staged(data, lease) as stage:
            await asyncio.wait_for(scene(stage), 15)

    asyncio.run(run())


async def one(call: Coroutine[Any, Any, Any]) -> Delivery:
    found = await call
    assert found, "nothing was delivered"
    return found[0][1] if isinstance(found[0], tuple) else found[0]


# ---------------------------------------------------------------- work


def test_a_job_reaches_one_worker_and_is_gone_when_settled(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        first, second = await stage.worker(), await stage.worker()
        waiting = [asyncio.create_task(w.jobs(4, 0.3)) for w in (first, second)]
        await stage.control.publish_job("main", Job("shard", 5, 2), b"do it")
        taken = [item for found in await asyncio.gather(*waiting) for item in found]
        assert [job for job, _ in taken] == [Job("shard", 5, 2)]
        delivery = taken[0][1]
        assert (delivery.data, delivery.deliveries) == (b"do it", 1)
        assert await stage.control.held("main", 5) == ({Job("shard", 5, 2)}, set())
        await delivery.done()
        assert await stage.control.held("main", 5) == (set(), set())
        await delivery.done()  # again: nothing left to settle

    play(tmp_path, scene, lease=10)


def test_several_jobs_come_at_once_and_never_more_than_asked_for(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        worker = await stage.worker()
        for n in range(1, 6):
            await stage.control.publish_job("main", Job("shard", 1, n), b"")
        first = await worker.jobs(3, 1.0)
        assert [job.number for job, _ in first] == [1, 2, 3]
        assert [job.number for job, _ in await worker.jobs(3, 1.0)] == [4, 5]
        assert await worker.jobs(3, 0.05) == []
        assert await worker.jobs(1, 0) == []

    play(tmp_path, scene, lease=10)


def test_pools_are_apart(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        here, there = await stage.worker("here"), await stage.worker("there")
        await stage.control.publish_job("there", PLAN, b"")
        assert await here.jobs(1, 0.1) == []
        assert len(await there.jobs(1, 1.0)) == 1

    play(tmp_path, scene)


def test_given_back_work_comes_again_at_once_or_after_a_delay(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        worker = await stage.worker()
        await stage.control.publish_job("main", PLAN, b"")
        delivery = await one(worker.jobs(1, 1))
        await delivery.give_back()
        delivery = await one(worker.jobs(1, 1))
        assert delivery.deliveries == 2
        before = time.monotonic()
        await delivery.give_back(0.3)
        delivery = await one(worker.jobs(1, 2))
        assert delivery.deliveries == 3
        assert 0.25 < time.monotonic() - before < 1.5

    play(tmp_path, scene, lease=10)


def test_a_lease_that_is_not_renewed_ends_and_one_that_is_goes_on(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        worker, other = await stage.worker(), await stage.worker()
        await stage.control.publish_job("main", PLAN, b"")
        delivery = await one(worker.jobs(1, 1))
        waiting = asyncio.create_task(other.jobs(1, 10))
        for _ in range(8):  # four leases long
            done, _ = await asyncio.wait({waiting}, timeout=LEASE / 2)
            assert not done, "the lease ended although it was renewed"
            await delivery.renew()
        again = await one(waiting)  # pyright: ignore[reportArgumentType]
        assert again.deliveries == 2

    play(tmp_path, scene)


def test_duplicates_are_harmless_also_while_the_first_is_out(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        worker = await stage.worker()
        await stage.control.open_batches("main", 1, 2)
        for _ in range(2):
            await stage.control.publish_job("main", PLAN, b"")
            await stage.control.publish_batch("main", 1, 1, b"")
        job = await one(worker.jobs(1, 1))
        batch = await worker.batch(1, 1)
        assert batch
        await stage.control.publish_job("main", PLAN, b"")
        await stage.control.publish_batch("main", 1, 1, b"")
        await job.done()
        await batch.done()
        assert await worker.jobs(1, 0.05) == []
        assert await worker.batch(1, 0.05) is None
        await stage.control.publish_job("main", PLAN, b"again")  # settled: it may be handed out again
        assert (await one(worker.jobs(1, 1))).data == b"again"

    play(tmp_path, scene)


def test_no_more_batches_are_out_than_the_run_has_lanes(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        worker = await stage.worker()
        await stage.control.open_batches("main", 7, 2)
        for n in range(4):
            await stage.control.publish_batch("main", 7, n, str(n).encode())
        first, second = await worker.batch(7, 1), await worker.batch(7, 1)
        assert first
        assert second
        assert await worker.batch(7, 0.1) is None
        waiting = asyncio.create_task(worker.batch(7, 5))
        await first.done()
        third = await waiting
        assert third
        assert third.data == b"2"
        await stage.control.open_batches("main", 7, 3)  # more lanes
        assert await worker.batch(7, 1)
        assert (await stage.control.held("main", 7))[1] == {1, 2, 3}

    play(tmp_path, scene, lease=10)


def test_batches_of_one_run_do_not_reach_another(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        worker = await stage.worker()
        for run in (1, 11):
            await stage.control.open_batches("main", run, 1)
        await stage.control.publish_batch("main", 11, 1, b"")
        assert await worker.batch(1, 0.05) is None
        assert await worker.batch(11, 1)

    play(tmp_path, scene)


def test_a_purge_takes_back_everything_of_the_run_and_nothing_else(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        control, worker = stage.control, await stage.worker()
        for run in (1, 11):
            await control.open_batches("main", run, 2)
            await control.publish_job("main", Job("shard", run, 1), b"")
            await control.publish_batch("main", run, 1, b"")
        out = await worker.batch(1, 1)
        assert out
        waiting = asyncio.create_task(worker.batch(1, 0.3))
        await control.purge("main", 1)
        assert await control.held("main", 1) == (set(), set())
        assert await control.held("main", 11) == ({Job("shard", 11, 1)}, {1})
        assert await waiting is None
        assert await worker.batch(1, 0.05) is None
        await out.done()  # nothing left to settle
        await control.purge("main", 1)
        await control.purge("main", 999)
        assert [job.run for job, _ in await worker.jobs(5, 1)] == [11]
        await control.open_batches("main", 1, 1)  # the same work may be handed out again at once
        await control.publish_batch("main", 1, 1, b"again")
        assert await worker.batch(1, 1)

    play(tmp_path, scene, lease=10)


def test_a_run_that_nobody_opened_has_no_batches(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        worker = await stage.worker()
        before = time.monotonic()
        assert await worker.batch(404, 0.2) is None
        assert 0.15 < time.monotonic() - before < 1
        waiting = asyncio.create_task(worker.batch(5, 5))
        await asyncio.sleep(0)
        await stage.control.open_batches("main", 5, 1)
        await stage.control.publish_batch("main", 5, 1, b"late")
        assert await waiting

    play(tmp_path, scene)


def test_work_on_its_way_to_a_caller_that_left_comes_back_at_once(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        worker, other = await stage.worker(), await stage.worker()
        at_once = 0
        for n in range(1, 21):
            leaving = asyncio.create_task(worker.jobs(1, 10))
            await asyncio.sleep(0.001 * (n % 4))
            publishing = asyncio.create_task(stage.control.publish_job("main", Job("shard", 1, n), b""))
            await asyncio.sleep(0.0003 * (n % 5))
            leaving.cancel()
            outcome = (await asyncio.gather(leaving, return_exceptions=True))[0]
            await publishing
            before = time.monotonic()
            found = await other.jobs(1, 5) if isinstance(outcome, BaseException) else outcome
            at_once += time.monotonic() - before < 1
            assert found
            await found[0][1].done()
        # Inside the server there is a moment between "somebody listens" and "nobody does": then the lease has to end.
        assert at_once >= 17

    play(tmp_path, scene, lease=2)


# ---------------------------------------------------------------- cancel, ask


def test_a_cancellation_reaches_every_worker(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        told: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
        for n in range(3):
            worker = await stage.worker()
            await worker.on_cancel(lambda run, n=n: told.put_nowait((n, run)))
        await stage.control.cancel("main", 42)
        assert {await told.get() for _ in range(3)} == {(0, 42), (1, 42), (2, 42)}

    play(tmp_path, scene)


def test_one_control_plane_answers(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        asked: list[bytes] = []

        async def handler(_: str, data: bytes) -> bytes:
            asked.append(data)
            await asyncio.sleep(0.05)
            return data.upper()

        async def broken(_: str, data: bytes) -> bytes:
            raise RuntimeError("no")

        for control in (stage.control, await stage.new_control()):
            await control.answer("lease", handler)
            await control.answer("broken", broken)
        worker = await stage.worker()
        before = time.monotonic()
        answers = await asyncio.gather(*(worker.ask("lease", f"a{n}".encode(), 2) for n in range(10)))
        assert answers == [f"A{n}".encode() for n in range(10)]
        assert time.monotonic() - before < 0.4, "questions are answered side by side"
        assert len(asked) == 10
        with pytest.raises(BrokerAway, match="could not answer"):
            await worker.ask("broken", b"", 2)

    play(tmp_path, scene)


def test_nobody_answers(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        worker = await stage.worker()
        with pytest.raises(BrokerAway, match="no control plane"):
            await worker.ask("lease", b"", 0.3)

        async def late(_: str, data: bytes) -> bytes:
            return b"here"

        waiting = asyncio.create_task(worker.ask("lease", b"", 5))
        await asyncio.sleep(0)
        await stage.control.answer("lease", late)
        assert await waiting == b"here"

    play(tmp_path, scene)


# ---------------------------------------------------------------- events


def test_events_reach_one_control_plane_once_and_again_when_not_settled(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        worker = await stage.worker()
        for n in range(5):
            await worker.publish(3, f"e{n}".encode(), f"id-{n}")
        await worker.publish(3, b"e0", "id-0")  # a repetition
        found = await stage.control.events(10, 1)
        assert [d.data for d in found] == [b"e0", b"e1", b"e2", b"e3", b"e4"]
        assert found[0].subject == "events.main.3"
        for delivery in found[:4]:
            await delivery.done()
        again = await stage.control.events(10, 5)
        assert [(d.data, d.deliveries) for d in again] == [(b"e4", 2)]

    play(tmp_path, scene)


def test_a_full_broker_refuses_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "EVENTS_BYTES", 64 * 1024)

    async def scene(stage: Stage) -> None:
        worker = await stage.worker()
        stored = 0

        async def fill() -> None:
            nonlocal stored
            while True:
                await worker.publish(1, b"x" * 8000, f"id-{stored}")
                stored += 1

        with pytest.raises(BrokerAway, match="maximum bytes"):
            await fill()
        found = await stage.control.events(100, 1)
        assert len(found) == stored > 3
        for delivery in found:
            await delivery.done()
        await worker.publish(1, b"again", f"id-{stored}")
        assert [d.data for d in await stage.control.events(100, 1)] == [b"again"]

    play(tmp_path, scene, lease=10)


def test_a_message_over_the_limit_is_the_callers_mistake(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        worker = await stage.worker()
        with pytest.raises(ValueError, match="larger"):
            await worker.publish(1, b"x" * (MAX_PAYLOAD + 1), "big")

    play(tmp_path, scene)


def test_events_survive_a_killed_server_and_everybody_comes_back(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        worker = await stage.worker()
        told: asyncio.Queue[int] = asyncio.Queue()
        await worker.on_cancel(told.put_nowait)

        async def echo(_: str, data: bytes) -> bytes:
            return data

        await stage.control.answer("echo", echo)
        await worker.publish(1, b"before", "1")
        waiting = asyncio.create_task(worker.jobs(1, 10))
        port = stage.server.url
        await stage.kill_server()
        with pytest.raises(BrokerAway):
            await worker.batch(1, 0.1)
        assert await stage.control.events(1, 0.1) == []
        during = asyncio.create_task(worker.publish(1, b"during", "2"))
        await stage.server.start(stage.data)
        assert stage.server.url == port
        await during
        found = await stage.control.events(10, 5)
        while len(found) < 2:
            found = [*found, *await stage.control.events(10, 5)]
        assert {d.data for d in found} == {b"before", b"during"}
        await stage.control.publish_job("main", PLAN, b"")
        assert len(await waiting) == 1
        await stage.control.cancel("main", 8)
        assert await told.get() == 8
        assert await worker.ask("echo", b"hello", 2) == b"hello"

    play(tmp_path, scene, lease=10)


@pytest.mark.parametrize("how", ["the server is restarted", "the client gives up"])
def test_everybody_comes_back_when(how: str, tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        worker = await stage.worker()
        told: asyncio.Queue[int] = asyncio.Queue()
        await worker.on_cancel(told.put_nowait)
        await stage.control.open_batches("main", 1, 1)
        waiting = asyncio.create_task(worker.batch(1, 10))
        if how == "the client gives up":  # as it does when the server breaks the protocol
            await worker._link._client.close()
        else:
            await stage.server.stop()
            await stage.server.start(stage.data)
        await stage.control.publish_batch("main", 1, 1, b"")
        assert await waiting
        await stage.control.cancel("main", 3)
        assert await told.get() == 3

    play(tmp_path, scene, lease=10)


def test_a_deleted_store_is_made_again(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        worker = await stage.worker()
        await stage.control.open_batches("main", 1, 1)
        await stage.control.publish_job("main", PLAN, b"")
        out = await one(worker.jobs(1, 1))
        await stage.kill_server()
        shutil.rmtree(tmp_path / "nats" / "store")
        await stage.server.start(stage.data)
        await out.done()  # nothing left to settle
        assert await stage.control.held("main", 1) == (set(), set())
        assert await worker.batch(1, 0.05) is None
        waiting = asyncio.create_task(worker.jobs(1, 10))
        listening = asyncio.create_task(stage.control.events(1, 10))
        await stage.control.publish_job("main", PLAN, b"again")
        await stage.control.open_batches("main", 1, 1)
        await stage.control.publish_batch("main", 1, 1, b"")
        await worker.publish(1, b"event", "1")
        assert (await waiting)[0][1].data == b"again"
        assert (await listening)[0].data == b"event"
        assert await worker.batch(1, 1)

    play(tmp_path, scene)


def test_a_closed_connection_says_so(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        worker = await stage.worker()
        await worker.close()
        for call in (worker.jobs(1, 1), worker.batch(1, 1), worker.publish(1, b"", "1"), worker.ask("q", b"", 1)):
            with pytest.raises(BrokerAway):
                await call

    play(tmp_path, scene)


# ---------------------------------------------------------------- the server


def test_no_broker_and_a_wrong_password_are_said_in_words(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        wrong = Address(stage.server.url, user="control", password="wrong")
        with pytest.raises(BrokerAway, match=r"(?i)authorization"):
            await NatsWorkerBroker.connect(wrong, "main", within=0.4)
        with pytest.raises(BrokerAway, match="no broker at"):
            await NatsWorkerBroker.connect(Address("nats://127.0.0.1:9"), "main", within=0.4)

    play(tmp_path, scene)


def test_the_server_keeps_its_secrets_and_its_port(tmp_path: Path) -> None:
    async def run() -> None:
        server = BundledServer()
        await server.start(tmp_path)
        url, known = server.url, (server.control, server.local, server.system, server.issuer.seed)
        words = Path(f"/proc/{server.pid}/cmdline").read_text()
        assert server.control.password not in words
        for name in ("keys", "keys/control", "keys/local", "keys/system", "keys/issuer", "config", "port", "pid"):
            assert (tmp_path / "nats" / name).stat().st_mode & 0o077 == 0
        with pytest.raises(ServerFailed, match="another Resit"):
            await BundledServer().start(tmp_path)
        ended = asyncio.create_task(server.ended())
        await asyncio.sleep(0)
        await server.stop()
        assert await ended is None
        await server.start(tmp_path)
        assert (server.url, known) == (url, (server.control, server.local, server.system, server.issuer.seed))
        await server.stop()

    asyncio.run(run())


def test_a_taken_port_is_left_alone(tmp_path: Path) -> None:
    async def run() -> None:
        first, second = BundledServer(), BundledServer()
        await first.start(tmp_path / "a")
        (tmp_path / "b" / "nats").mkdir(parents=True)
        (tmp_path / "b" / "nats" / "port").write_text(first.url.rpartition(":")[2])
        await second.start(tmp_path / "b")
        assert second.url != first.url
        await first.stop()
        await second.stop()

    asyncio.run(run())


def test_a_server_left_behind_is_ended_and_a_stranger_is_not(tmp_path: Path) -> None:
    async def run() -> None:
        server = BundledServer()
        await server.start(tmp_path)
        left = await asyncio.create_subprocess_exec("sleep", "60", start_new_session=True)
        await server.stop()
        (tmp_path / "nats" / "pid").write_text(str(left.pid))  # the id is in use again by another program
        await server.start(tmp_path)
        assert left.returncode is None
        left.kill()
        await left.wait()
        await server.stop()

        config = tmp_path / "nats" / "config"
        orphan = await asyncio.create_subprocess_exec(
            _binary(),
            "--config",
            str(config),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        (tmp_path / "nats" / "pid").write_text(str(orphan.pid))
        while not Path(f"/proc/{orphan.pid}/cmdline").read_bytes():  # a process that just begins has none
            await asyncio.sleep(0)
        await server.start(tmp_path)
        await asyncio.wait_for(orphan.wait(), 2)
        await server.stop()

    asyncio.run(run())


def test_the_server_dies_with_its_killed_parent(tmp_path: Path) -> None:
    script = """
import asyncio, os, pathlib, signal, sys
from resit.broker.server import BundledServer

async def main():
    server = BundledServer()
    await server.start(pathlib.Path(sys.argv[1]))
    print(server.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, timeout=10)
    assert done.returncode == -signal.SIGKILL
    end = time.monotonic() + 2
    while (state := _state(int(done.stdout))) not in ("", "Z") and time.monotonic() < end:
        time.sleep(0.01)
    assert state in ("", "Z")


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def test_a_server_that_can_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(words: str) -> None:
        with pytest.raises(ServerFailed, match=words):
            await BundledServer().start(tmp_path)

    (tmp_path / "nats" / "store").mkdir(parents=True)
    (tmp_path / "nats" / "store" / "jetstream").write_text("not a folder")
    asyncio.run(fails(r"(?i)jetstream"))
    monkeypatch.setenv("RESIT_NATS_SERVER", str(tmp_path / "missing"))
    asyncio.run(fails("RESIT_NATS_SERVER"))
