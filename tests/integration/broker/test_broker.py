"""The broker's ports against a real nats-server: what is promised about leases, losses and restarts."""

import asyncio
import contextlib
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from resit.broker import streams
from resit.broker.server import MAX_PAYLOAD
from resit.ports import BrokerAway, Job
from resit.testing.brokers import Stage, one, play

PLAN = Job("plan", 1)


# ---------------------------------------------------------------- cancel, ask, tell


def test_a_cancellation_reaches_every_worker(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        told: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
        for n in range(3):
            worker = await stage.worker()
            await worker.on_cancel(lambda run, n=n: told.put_nowait((n, run)))
        said = await heard(told, lambda: stage.control.cancel("main", 42), 3)
        assert set(said) == {(0, 42), (1, 42), (2, 42)}

    play(tmp_path, scene)


def test_a_cancellation_reaches_no_other_pool(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        told: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
        for pool in ("main", "other"):
            worker = await stage.worker(pool)
            await worker.on_cancel(lambda run, pool=pool: told.put_nowait((pool, run)))
        for pool, run in {"other": 1, "main": 2}.items():
            assert await heard(told, lambda pool=pool, run=run: stage.control.cancel(pool, run)) == [(pool, run)]

    play(tmp_path, scene)


async def heard(told: asyncio.Queue[Any], say: Callable[[], Awaitable[None]], count: int = 1) -> list[Any]:
    """Say a word until it is heard by ``count``: it is said to who is connected at that moment, and may get lost."""
    while True:
        await say()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                return [await told.get() for _ in range(count)]
        while not told.empty():
            told.get_nowait()


def test_one_worker_is_told_and_every_control_plane_hears_a_signal(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        told: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        for pool, address in (("main", "w-1"), ("main", "w_2"), ("other", "w-1")):
            worker = await stage.worker(pool)
            await worker.on_told(address, lambda data, who=f"{pool}/{address}": told.put_nowait((who, data)))
        assert await heard(told, lambda: stage.control.tell("main", "w-1", b"drain")) == [("main/w-1", b"drain")]
        for control in (stage.control, await stage.new_control()):
            await control.on_signal(lambda data: told.put_nowait(("control", data)))
        assert await heard(told, lambda: stage.control.signal(b"changed"), 2) == [("control", b"changed")] * 2
        assert told.empty()
        for address in ("", "W", "a.b", "*", "x" * 65):
            with pytest.raises(ValueError, match="not a word"):
                await stage.control.tell("main", address, b"")

    play(tmp_path, scene)


def test_one_control_plane_answers(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        asked: list[bytes] = []

        async def handler(pool: str, data: bytes) -> bytes:
            assert pool == "main"
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
        assert (found[0].subject, found[0].pool) == ("events.main.3", "main")
        assert abs(found[0].stored_at - time.time()) < 5
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


def test_idle_pools_come_back_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "CHECK_SECONDS", 0.1)

    async def scene(stage: Stage) -> None:
        await stage.worker()
        other = await stage.new_control()
        waiting = asyncio.create_task((await stage.worker("idle")).jobs(1, 10))
        await stage.kill_server()
        shutil.rmtree(tmp_path / "nats" / "store")
        await stage.server.start(stage.data)
        while not {"EVENTS", "JOBS_main", "BATCHES_main", "JOBS_idle", "BATCHES_idle"} <= await stream_names(stage):
            await asyncio.sleep(0.05)
        await other.publish_job("idle", PLAN, b"")  # who never heard of the pool needs nothing for it
        assert await waiting

    play(tmp_path, scene)


def test_a_pool_is_made_when_a_worker_of_it_comes(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        stage.gate.write_down("secret", "fresh", 1)
        assert "JOBS_fresh" not in await stream_names(stage)
        worker = await stage.stranger("secret", "fresh")
        waiting = asyncio.create_task(worker.jobs(1, 10))  # while nothing is there yet it waits, and makes nothing
        while not {"JOBS_fresh", "BATCHES_fresh"} <= await stream_names(stage):
            await asyncio.sleep(0.02)
        await (await stage.new_control()).publish_job("fresh", PLAN, b"")
        assert await waiting

    play(tmp_path, scene)


def test_a_pool_that_a_worker_speaks_of_is_made(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        async def alive(_: str, data: bytes) -> bytes:
            return data

        worker = await stage.worker("fresh")
        await stage.control.close()
        stage.open.remove(stage.control)
        stage.control = await stage.new_control()  # who has never heard of it
        await stage.control.answer("alive", alive)
        for name in ("JOBS_fresh", "BATCHES_fresh"):
            await stage.control._link.api(f"STREAM.DELETE.{name}", {})
        waiting = asyncio.create_task(worker.jobs(1, 10))
        await worker.ask("alive", b"", 2)
        while not {"JOBS_fresh", "BATCHES_fresh"} <= await stream_names(stage):
            await asyncio.sleep(0.02)
        await stage.control.publish_job("fresh", PLAN, b"")
        assert await waiting

    play(tmp_path, scene)


def test_two_control_planes_share_one_broker(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        first, second, worker = stage.control, await stage.new_control(), await stage.worker()
        await first.publish_job("main", PLAN, b"")
        await second.publish_job("main", PLAN, b"")
        assert len(await worker.jobs(5, 1)) == 1
        await first.open_batches("main", 1, 2)
        await second.publish_batch("main", 1, 1, b"")
        assert (await first.held("main", 1)) == (await second.held("main", 1)) == ({PLAN}, {1})
        for n in range(20):
            await worker.publish(1, str(n).encode(), str(n))
        found: list[bytes] = []
        while len(found) < 20:
            for events in await asyncio.gather(first.events(3, 0.2), second.events(3, 0.2)):
                for delivery in events:
                    found.append(delivery.data)
                    await delivery.done()
        assert sorted(found, key=int) == [str(n).encode() for n in range(20)], "each was read once"
        await first.close()
        stage.open.remove(first)
        await worker.publish(1, b"to who is left", "x")
        assert [d.data for d in await second.events(1, 2)] == [b"to who is left"]

    play(tmp_path, scene, lease=10)


def test_a_closed_connection_says_so(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        worker = await stage.worker()
        await worker.close()
        for call in (worker.jobs(1, 1), worker.batch(1, 1), worker.publish(1, b"", "1"), worker.ask("q", b"", 1)):
            with pytest.raises(BrokerAway):
                await call

    play(tmp_path, scene)


async def stream_names(stage: Stage) -> set[str]:
    return await stage.control._streams._names()
