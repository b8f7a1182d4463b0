"""Jobs and batches against a real nats-server: under a lease, urgent ones first, nothing lost and nothing hoarded."""

import asyncio
import time
from pathlib import Path

import pytest

from resit.ports import Job, Urgency
from resit.testing.brokers import LEASE, Stage, one, play

PLAN = Job("plan", 1)


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


def test_a_consumer_that_is_made_anew_hands_out_again_what_is_not_done(tmp_path: Path) -> None:
    """However long the leases of those who have it still last."""

    async def scene(stage: Stage) -> None:
        worker = await stage.worker()
        await stage.control.open_batches("main", 1, 3)
        for number in (1, 2):
            await stage.control.publish_batch("main", 1, number, b"%d" % number)
        done, out = await worker.batch(1, 1), await worker.batch(1, 1)
        assert done
        assert out
        await done.done()
        assert await worker.batch(1, 0.05) is None
        await stage.control.open_batches("main", 1, 3)
        assert await worker.batch(1, 0.05) is None
        await stage.control.open_batches("main", 1, 3, anew=True)
        again = await worker.batch(1, 1)
        assert again
        assert again.data == out.data
        assert await worker.batch(1, 0.05) is None
        await stage.control.open_batches("main", 2, 1, anew=True)  # where there was none

    play(tmp_path, scene, lease=60.0)


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
        assert at_once == 20

    play(tmp_path, scene, lease=2)


# ---------------------------------------------------------------- urgency


def test_urgent_jobs_are_taken_first(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        worker = await stage.worker()
        for n, urgency in enumerate((Urgency.LOW, Urgency.NORMAL, Urgency.HIGH, Urgency.LOW, Urgency.HIGH), 1):
            await stage.control.publish_job("main", Job("shard", 1, n), b"", urgency)
        taken = [job.number for _ in range(2) for job, _ in await worker.jobs(1, 1)]
        taken += [job.number for job, _ in await worker.jobs(9, 1)]
        assert taken == [3, 5, 2, 1, 4]

    play(tmp_path, scene, lease=10)


def test_the_broker_holds_and_forgets_jobs_of_every_urgency(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        control = stage.control
        for n, urgency in enumerate(Urgency, 1):
            for run in (1, 11):
                await control.publish_job("main", Job("shard", run, n), b"", urgency)
        mine, other = ({Job("shard", run, n) for n in (1, 2, 3)} for run in (1, 11))
        assert await control.held("main", 1) == (mine, set())
        assert await control.held_in("main") == {1: (mine, set()), 11: (other, set())}
        await control.purge("main", 1)
        assert await control.held_in("main") == {11: (other, set())}

    play(tmp_path, scene)


@pytest.mark.parametrize("urgency", Urgency)
def test_who_waits_gets_a_job_of_any_urgency_at_once(urgency: Urgency, tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        worker = await stage.worker()
        for n in range(10):
            waiting = asyncio.create_task(worker.jobs(1, 10))
            await asyncio.sleep(0.005)
            before = time.monotonic()
            await stage.control.publish_job("main", Job("shard", 1, n), b"", urgency)
            delivery = await one(waiting)  # pyright: ignore[reportArgumentType]
            assert time.monotonic() - before < 0.2
            await delivery.done()

    play(tmp_path, scene, lease=10)


def test_jobs_of_two_urgencies_at_the_same_moment_are_both_there_at_once(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        worker, publish = await stage.worker(), stage.control.publish_job
        for n in range(100):
            waiting = asyncio.create_task(worker.jobs(1, 10))
            await asyncio.sleep(0.002)
            await asyncio.gather(
                publish("main", Job("shard", 1, n), b"", Urgency.HIGH),
                publish("main", Job("shard", 2, n), b"", Urgency.LOW),
            )
            before = time.monotonic()
            for delivery in (await one(waiting), await one(worker.jobs(1, 10))):  # pyright: ignore[reportArgumentType]
                await delivery.done()
            assert time.monotonic() - before < 1, "a job waited for the end of a lease that nobody holds"

    play(tmp_path, scene, lease=10)


def test_a_busy_worker_keeps_no_job_from_a_free_one(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        busy, free = await stage.worker(), await stage.worker()
        waiting = asyncio.create_task(busy.jobs(1, 10))
        await asyncio.sleep(0.01)
        await stage.control.publish_job("main", Job("shard", 1, 1), b"", Urgency.LOW)
        assert await waiting  # its requests for urgent jobs are still open
        before = time.monotonic()
        for n, urgency in enumerate(Urgency, 2):
            await stage.control.publish_job("main", Job("shard", 1, n), b"", urgency)
        taken = {job.number for _ in range(3) for job, _ in await free.jobs(1, 5)}
        assert taken == {2, 3, 4}
        assert time.monotonic() - before < 1

    play(tmp_path, scene, lease=10)
