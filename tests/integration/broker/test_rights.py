"""What a worker of another machine may do at the broker: all of its pool's work, and nothing else at all."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from nats.aio.msg import Msg

from resit.broker.callout import SUBJECT
from resit.broker.nkeys import Issuer
from resit.broker.worker import NatsWorkerBroker
from resit.ports import BrokerAway, Job
from resit.testing.brokers import Stage, one, play

A, B = "team-a", "team-b"
PLAN = Job("plan", 1)
QUIET = 0.3
"""Seconds after which what was refused would have happened."""


class Intruder:
    """A worker of pool A that speaks to the server as it likes."""

    def __init__(self, stage: Stage, worker: NatsWorkerBroker) -> None:
        self.stage, self.worker = stage, worker
        self.client = worker._link._client
        self.errors: list[str] = []
        self.heard: list[Msg] = []
        self.client._error_cb = self._error

    async def _error(self, error: Exception) -> None:
        self.errors.append(str(error).lower())

    async def refused(self, action: Awaitable[Any]) -> str:
        """Do it; the words with which the server refused."""
        self.errors.clear()
        await action
        await self.client.flush()
        end = time.monotonic() + 2
        while not self.errors and time.monotonic() < end:
            await asyncio.sleep(0.005)
        assert self.errors, "nothing was refused"
        return self.errors[0]

    async def say(self, subject: str, data: bytes = b"", reply: str = "") -> None:
        await self.client.publish(subject, data, reply=reply)

    async def hear(self, subject: str) -> None:
        async def heard(message: Msg) -> None:
            self.heard.append(message)

        await self.client.subscribe(subject, cb=heard)

    async def next_to(self, reply: str, of: str = f"JOBS_{A}.normal") -> None:
        """Have the server put the next message of our pool, or the word that there is none, under a subject."""
        await self.say(f"$JS.API.CONSUMER.MSG.NEXT.{of}", b'{"batch":1,"no_wait":true}', reply)
        await self.client.flush()


def break_in(data: Path, scene: Callable[[Intruder], Awaitable[None]], lease: float = 10) -> None:
    """Two pools with work, and a worker of the first that wants more."""

    async def play_it(stage: Stage) -> None:
        await stage.worker(B)
        worker = await stage.worker(A)
        for pool, run in ((A, 1), (B, 2)):
            await stage.control.publish_job(pool, Job("plan", run), b"secret of " + pool.encode())
            await stage.control.open_batches(pool, run, 2)
            await stage.control.publish_batch(pool, run, 1, b"")
        await scene(Intruder(stage, worker))

    play(data, play_it, lease)


# ---------------------------------------------------------------- what is allowed


def test_a_worker_of_another_machine_does_all_its_work(tmp_path: Path) -> None:
    async def scene(it: Intruder) -> None:
        control, worker = it.stage.control, it.worker

        async def answer(pool: str, data: bytes) -> bytes:
            return f"{pool}: ".encode() + data

        await control.answer("spec", answer)
        job = await one(worker.jobs(1, 2))
        await job.renew()
        await job.done()
        batch = await worker.batch(1, 2)
        assert batch
        await batch.give_back()
        batch = await worker.batch(1, 2)
        assert batch
        assert batch.deliveries == 2
        await batch.done()
        assert await control.held(A, 1) == (set(), set())
        await worker.publish(1, b"event", "1")
        event = await one(control.events(5, 2))
        assert (event.pool, event.data) == (A, b"event")
        assert await worker.ask("spec", b"1", 2) == b"team-a: 1"
        told: asyncio.Queue[object] = asyncio.Queue()
        await worker.on_cancel(told.put_nowait)
        await worker.on_told("w", told.put_nowait)
        await control.cancel(A, 1)
        await control.tell(A, "w", b"drain")
        assert [await told.get(), await told.get()] == [1, b"drain"]
        assert not it.errors

    break_in(tmp_path, scene)


# ---------------------------------------------------------------- what is refused

CALLS = [
    "STREAM.INFO.EVENTS",
    "STREAM.NAMES",
    "STREAM.LIST",
    "INFO",
    f"STREAM.CREATE.JOBS_{A}",
    "STREAM.CREATE.MINE",
    f"STREAM.UPDATE.JOBS_{A}",
    f"STREAM.DELETE.JOBS_{A}",
    "STREAM.DELETE.EVENTS",
    f"STREAM.PURGE.JOBS_{B}",
    "STREAM.MSG.GET.EVENTS",
    f"STREAM.MSG.DELETE.JOBS_{B}",
    "DIRECT.GET.EVENTS",
    f"CONSUMER.CREATE.EVENTS.mine.events.{B}.>",
    f"CONSUMER.CREATE.JOBS_{A}.mine",
    f"CONSUMER.DELETE.BATCHES_{A}.run-1",
    f"CONSUMER.INFO.JOBS_{A}.normal",
    f"CONSUMER.MSG.NEXT.JOBS_{B}.normal",
    f"CONSUMER.MSG.NEXT.BATCHES_{B}.run-2",
    "CONSUMER.MSG.NEXT.EVENTS.control",
]
SAID = [
    f"events.{B}.2",
    f"ask.{B}.spec",
    f"cancel.{A}.1",
    f"cancel.{B}.2",
    f"tell.{A}.w",
    "control.signal",
    f"jobs.{A}.high.plan.1.0",
    f"jobs.{B}.high.plan.2.0",
    f"batches.{B}.2.1",
    f"$JS.ACK.JOBS_{B}.normal.1.1.1.1.0",
    "$JS.ACK.EVENTS.control.1.1.1.1.0",
    f"$JS.ACK._.hash.JOBS_{B}.normal.1.1.1.1.0",
    "$JS.FC.EVENTS",
    SUBJECT,
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.USER.INFO",
    "$SYS.REQ.ACCOUNT.PING.CONNZ",
    "anything",
]
HEARD = [
    ">",
    "events.>",
    f"cancel.{B}.*",
    "cancel.>",
    f"ask.{A}.*",
    "ask.>",
    f"tell.{B}.>",
    "control.signal",
    "_INBOX.>",
    "jobs.>",
    "$JS.>",
    "$SYS.>",
    "_R_.>",
]


def test_every_call_beyond_the_pool_is_refused(tmp_path: Path) -> None:
    async def scene(it: Intruder) -> None:
        inbox = it.client.new_inbox()
        await it.hear(inbox)
        for subject in [f"$JS.API.{call}" for call in CALLS] + SAID:
            words = await it.refused(it.say(subject, b"{}", inbox))
            assert "permissions violation for publish" in words, subject
        await asyncio.sleep(QUIET)
        assert it.heard == []
        assert await it.stage.control.held(B, 2) == ({Job("plan", 2)}, {1})
        assert await it.stage.control.events(1, 0.05) == []

    break_in(tmp_path, scene)


def test_nothing_beyond_the_pool_can_be_heard(tmp_path: Path) -> None:
    async def scene(it: Intruder) -> None:
        neighbour = it.stage.open[1]
        assert isinstance(neighbour, NatsWorkerBroker)
        for subject in [*HEARD, f"{neighbour._link._client._inbox_prefix.decode()}.>"]:
            assert "permissions violation for subscription" in await it.refused(it.hear(subject)), subject
        assert len(await neighbour.jobs(1, 2)) == 1
        await neighbour.publish(2, b"", "1")
        await it.stage.control.cancel(B, 2)
        await asyncio.sleep(QUIET)
        assert it.heard == []

    break_in(tmp_path, scene)


@pytest.mark.parametrize(
    "place",
    [
        f"$JS.API.STREAM.PURGE.JOBS_{B}",
        f"$JS.API.STREAM.DELETE.JOBS_{B}",
        "$JS.API.STREAM.DELETE.EVENTS",
        f"$JS.API.CONSUMER.DELETE.BATCHES_{B}.run-2",
        f"$JS.API.CONSUMER.MSG.NEXT.JOBS_{B}.normal",
        f"$JS.ACK.JOBS_{B}.normal.1.1.1.1.0",
        f"events.{B}.2",
        f"ask.{B}.spec",
        f"cancel.{B}.2",
        f"tell.{B}.w",
        "control.signal",
    ],
)
def test_where_the_server_is_told_to_answer_nobody_takes_it_for_ours(place: str, tmp_path: Path) -> None:
    """The server puts an answer wherever it is told to, without a look at the rights of who told it."""

    async def scene(it: Intruder) -> None:
        heard: list[object] = []
        control, neighbour = it.stage.control, it.stage.open[1]
        assert isinstance(neighbour, NatsWorkerBroker)

        async def asked(pool: str, data: bytes) -> bytes:
            heard.append((pool, data))
            return b"{}"

        await control.answer("spec", asked)
        await control.on_signal(heard.append)
        await neighbour.on_cancel(heard.append)
        await neighbour.on_told("w", heard.append)
        for _ in range(2):  # the job of our pool, then the word that there is none
            await it.next_to(place)
        await it.say(f"events.{A}.1", b"{}", place)
        await it.client.flush()
        await asyncio.sleep(QUIET)
        assert heard == []
        assert [d.pool for d in await control.events(5, 0.1)] == []
        assert await control.held(B, 2) == ({Job("plan", 2)}, {1})
        assert [d.deliveries for _, d in await neighbour.jobs(1, 2)] == [1], "it came late"
        assert await neighbour.batch(2, 2)
        await it.worker.publish(1, b"the stream is there", "1")

    break_in(tmp_path, scene)


def test_an_event_that_no_other_can_pass_off_as_a_repetition(tmp_path: Path) -> None:
    async def scene(it: Intruder) -> None:
        neighbour = it.stage.open[1]
        assert isinstance(neighbour, NatsWorkerBroker)
        await it.worker.publish(1, b"ours", "worker-7.1")
        await it.client.publish(f"events.{A}.1", b"ours", headers={"Nats-Msg-Id": "worker-7.1"})
        await neighbour.publish(2, b"theirs", "worker-7.1")
        found = await it.stage.control.events(9, 1)
        assert b"theirs" in [delivery.data for delivery in found]

    break_in(tmp_path, scene)


# ---------------------------------------------------------------- who gets in


def test_wrong_secrets_are_refused(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        stage.gate.write_down("right", A, 1)
        assert await stage.stranger("right", A)
        for secret in ("wrong", "right ", "Right", "x" * 2000, "own.main.0123", f"own.main.{'0' * 64}"):
            with pytest.raises(BrokerAway, match=r"(?i)authorization"):
                await stage.stranger(secret, A, within=0.3)
        for user, password in (("control", "right"), ("local", "right"), ("system", "right"), ("", "")):
            with pytest.raises(BrokerAway, match=r"(?i)authorization"):
                await stage.stranger("", A, within=0.3, user=user, password=password)
        assert await stage.stranger("", A, user="anybody", password="right")
        assert "x" * 2000 not in stage.gate.asked

    play(tmp_path, scene)


def test_a_gate_that_fails_lets_nobody_in_and_stays_in_work(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        admit = stage.gate.admit

        def broken(secret: str) -> None:
            raise RuntimeError("the database is away")

        stage.gate.write_down("right", A, 1)
        stage.gate.admit = broken  # pyright: ignore[reportAttributeAccessIssue]
        with pytest.raises(BrokerAway, match=r"(?i)authorization"):
            await stage.stranger("right", A, within=0.3)
        coming = asyncio.create_task(stage.stranger("right", A))
        await asyncio.sleep(0.1)
        stage.gate.admit = admit
        assert await coming  # it tries until it is let in

    play(tmp_path, scene)


def test_any_control_plane_lets_workers_in(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        stage.gate.write_down("right", A, 1)
        await stage.new_control()
        for _ in range(6):
            assert await stage.stranger("right", A)
        await stage.control.close()
        stage.open.remove(stage.control)
        assert await stage.stranger("right", A)
        assert stage.gate.asked == ["right"] * 7, "each time one of them was asked"

    play(tmp_path, scene)


def test_answers_of_another_key_let_nobody_in(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.control.close()
        stage.open.remove(stage.control)
        false = await stage.new_control(guarded=False)
        false._issuer = Issuer.new()
        await false.guard(stage.gate)
        stage.gate.write_down("right", A, 1)
        with pytest.raises(BrokerAway, match=r"(?i)authorization"):
            await stage.stranger("right", A, within=0.5)
        assert stage.gate.asked

    play(tmp_path, scene)


def test_a_forged_question_for_rights_is_not_answered(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        stage.gate.write_down("right", A, 1)
        asked = Issuer.new().sign({"aud": "something else", "nats": {}})
        for data in (b"", b"{}", b"a.b.c", asked.encode(), asked[:-4].encode() + b"AAAA"):
            with pytest.raises(BrokerAway):
                await stage.control._link.request(SUBJECT, data, wait=0.1)
        assert stage.gate.asked == []
        assert await stage.stranger("right", A)

    play(tmp_path, scene)


# ---------------------------------------------------------------- the end of a credential


def test_a_revoked_credential_is_disconnected_at_once_and_does_not_come_back(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        stage.gate.write_down("good", A, 11)
        stage.gate.write_down("bad", A, 1)
        good = await stage.stranger("good", A)
        bad = [await stage.stranger("bad", A) for _ in range(3)]
        waiting = asyncio.create_task(bad[0].jobs(1, 10))
        del stage.gate.passes["bad"]
        before = time.monotonic()
        await stage.control.disconnect(1)
        while any(worker._link.connected for worker in bad):
            await asyncio.sleep(0.01)
        took = time.monotonic() - before
        assert took < 5
        await stage.control.ensure_pool(A)
        await stage.control.publish_job(A, PLAN, b"")
        assert len(await good.jobs(1, 5)) == 1
        await asyncio.sleep(1.5)
        assert not any(worker._link.connected for worker in bad)
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(BrokerAway):
            await bad[1].publish(1, b"", "1")

    play(tmp_path, scene)


def test_rights_end_with_the_credential(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        stage.gate.write_down("short", A, 1, time.time() + 1.5)
        worker = await stage.stranger("short", A)
        del stage.gate.passes["short"]
        end = time.monotonic() + 5
        while worker._link.connected and time.monotonic() < end:
            await asyncio.sleep(0.02)
        assert not worker._link.connected

    play(tmp_path, scene)


def test_rights_that_run_out_are_given_anew_without_a_word(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        stage.gate.write_down("short", A, 1, time.time() + 1.5)
        worker = await stage.stranger("short", A)
        told: asyncio.Queue[int] = asyncio.Queue()
        await worker.on_cancel(told.put_nowait)
        stage.gate.write_down("short", A, 1, time.time() + 60)
        waiting = asyncio.create_task(worker.jobs(1, 10))
        while len(stage.gate.asked) < 2 or not worker._link.connected:
            await asyncio.sleep(0.02)
        await stage.control.publish_job(A, PLAN, b"")
        assert len(await waiting) == 1
        await worker.publish(1, b"still here", "1")
        await stage.control.cancel(A, 7)
        assert await told.get() == 7

    play(tmp_path, scene)
