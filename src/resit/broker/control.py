"""The broker as a control plane sees it."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Self

from nats.aio.msg import Msg

from resit.broker import subjects
from resit.broker.delivery import NatsDelivery
from resit.broker.link import CONNECT_SECONDS, PAUSE, Address, Link, Missing, Refused
from resit.broker.streams import (
    ACK_WAIT,
    EVENTS_ACK_WAIT,
    ensure_events,
    ensure_pool,
    ensure_run,
    ensure_streams,
)
from resit.broker.worker import REFUSAL
from resit.ports import BrokerAway, Delivery, Gate, Job, Urgency

_HELD_ALREADY = 10077
"""JetStream's error number of a message that could not be stored; one reason is that the subject is taken."""
_LOG = logging.getLogger(__name__)


class NatsControlBroker:
    """Implements :class:`resit.ports.ControlBroker`."""

    def __init__(self, link: Link, ack_wait: float, events_ack_wait: float, replicas: int) -> None:
        self._link = link
        self._ack_wait = ack_wait
        self._events_ack_wait = events_ack_wait
        self._replicas = replicas
        self._pools: set[str] = set()

    @classmethod
    async def connect(
        cls,
        address: Address,
        *,
        name: str = "resit-control",
        ack_wait: float = ACK_WAIT,
        events_ack_wait: float = EVENTS_ACK_WAIT,
        replicas: int = 1,
        within: float = CONNECT_SECONDS,
    ) -> Self:
        """Connect as a control plane. Raises :class:`BrokerAway` when that fails for ``within`` seconds.

        ``replicas``: copies of each stream in a cluster.
        """
        broker = cls(Link(address, name), ack_wait, events_ack_wait, replicas)
        await broker._link.open(within)
        try:
            await broker._ensure()
        except BaseException:
            await broker.close()
            raise
        return broker

    async def _ensure(self) -> None:
        await ensure_streams(self._link, self._replicas)
        await ensure_events(self._link, self._events_ack_wait)
        for pool in tuple(self._pools):
            await ensure_pool(self._link, pool, self._ack_wait)

    async def _hand_out(self, subject: str, data: bytes) -> None:
        """Store work under its own subject. No message id: work that was settled may be handed out again at once."""
        try:
            try:
                await self._link.store(subject, data)
            except Missing:
                await self._ensure()
                await self._link.store(subject, data)
        except Refused as refused:
            if refused.number != _HELD_ALREADY or "per subject" not in str(refused):
                raise

    async def ensure_pool(self, pool: str) -> None:
        """Make what workers of the pool need; idempotent. Raises :class:`BrokerAway`, ValueError."""
        await ensure_pool(self._link, pool, self._ack_wait)
        self._pools.add(pool)

    async def publish_job(self, pool: str, job: Job, data: bytes, urgency: Urgency = Urgency.NORMAL) -> None:
        """Hand out a job; harmless when the broker already holds it.

        Raises :class:`BrokerAway`; ValueError for a pool or kind with other characters than a-z, 0-9 and '-'.
        """
        subject = subjects.job(pool, job)
        if pool not in self._pools:  # so that the work of a pool without workers can be counted and taken back
            await ensure_pool(self._link, pool, self._ack_wait)
            self._pools.add(pool)
        await self._hand_out(subject, data)

    async def publish_batch(self, pool: str, run: int, number: int, data: bytes) -> None:
        """Hand out a batch; harmless when the broker already holds it. Raises :class:`BrokerAway`, ValueError."""
        await self._hand_out(subjects.batch(pool, run, number), data)

    async def held(self, pool: str, run: int) -> tuple[set[Job], set[int]]:
        """The jobs and the batch numbers of a run that the broker holds, delivered or not.

        Raises :class:`BrokerAway`.
        """
        jobs = await self._subjects_in(subjects.JOBS, subjects.run_jobs(run, subjects.check_pool(pool)))
        batches = await self._subjects_in(subjects.BATCHES, subjects.run_batches(run, pool))
        return {subjects.parse_job(s) for s in jobs}, {subjects.parse_batch(s) for s in batches}

    async def held_in(self, pool: str) -> dict[int, tuple[set[Job], set[int]]]:
        """The same for all runs of a pool at once; one that is not named holds nothing. Raises :class:`BrokerAway`."""
        found: dict[int, tuple[set[Job], set[int]]] = {}
        for subject in await self._subjects_in(subjects.JOBS, subjects.pool_jobs(pool)):
            job = subjects.parse_job(subject)
            found.setdefault(job.run, (set(), set()))[0].add(job)
        for subject in await self._subjects_in(subjects.BATCHES, subjects.pool_batches(pool)):
            run, number = subjects.parse_run_batch(subject)
            found.setdefault(run, (set(), set()))[1].add(number)
        return found

    async def _subjects_in(self, stream: str, pattern: str) -> set[str]:
        found: set[str] = set()
        while True:
            call = {"subjects_filter": pattern, "offset": len(found)}
            try:
                info = await self._link.api(f"STREAM.INFO.{stream}", call)
            except Missing:
                return set()
            page: dict[str, int] = info["state"].get("subjects") or {}
            found.update(page)
            if not page or len(found) >= int(info.get("total", 0)):
                return found

    async def open_batches(self, pool: str, run: int, lanes: int) -> None:
        """Make the consumer of a run's batches, with at most ``lanes`` of them out at once; idempotent.

        Called again with another number it changes the limit. Raises :class:`BrokerAway`.
        """
        subjects.check_pool(pool)
        try:
            await ensure_run(self._link, pool, run, lanes, self._ack_wait)
        except Missing:
            await self._ensure()
            await ensure_run(self._link, pool, run, lanes, self._ack_wait)

    async def purge(self, pool: str, run: int) -> None:
        """Take back all work of a run, of whatever pool, and the consumer of its batches; idempotent.

        Raises :class:`BrokerAway`.
        """
        for call, body in (
            (f"STREAM.PURGE.{subjects.JOBS}", {"filter": subjects.run_jobs(run)}),
            (f"CONSUMER.DELETE.{subjects.BATCHES}.{subjects.run_consumer(run)}", {}),
            (f"STREAM.PURGE.{subjects.BATCHES}", {"filter": subjects.run_batches(run)}),
        ):
            with contextlib.suppress(Missing):
                await self._link.api(call, body)

    async def cancel(self, pool: str, run: int) -> None:
        """Tell every worker of the pool that is connected now to stop the run. Raises :class:`BrokerAway`."""
        await self._link.send(subjects.cancel(pool, run), b"")

    async def tell(self, pool: str, address: str, data: bytes) -> None:
        """Tell the worker that listens at ``address``, if it is connected. Raises :class:`BrokerAway`, ValueError."""
        await self._link.send(subjects.tell(pool, address), data)

    async def signal(self, data: bytes) -> None:
        """Tell every control plane that is connected now, this one too. Raises :class:`BrokerAway`."""
        await self._link.send(subjects.SIGNAL, data)

    async def on_signal(self, handler: Callable[[bytes], None]) -> None:
        """Call ``handler`` with what any control plane signals. Raises :class:`BrokerAway`."""

        async def told(message: Msg) -> None:
            handler(message.data)

        await self._link.listen(subjects.SIGNAL, told)

    async def events(self, limit: int, wait: float) -> Sequence[Delivery]:
        """The next messages of any run's events, at most ``limit``; settle them after the commit.

        An empty list after ``wait`` seconds without any, or without a broker. Raises :class:`BrokerAway` only after
        :meth:`close`.
        """
        end = time.monotonic() + wait
        while True:
            left = max(0.0, end - time.monotonic())
            try:
                found = await self._link.pull(subjects.EVENTS, subjects.EVENTS_CONSUMER, limit, left)
                return [NatsDelivery(self._link, message) for message in found]
            except Missing:
                with contextlib.suppress(BrokerAway):
                    await self._ensure()
            except BrokerAway:
                if self._link.closed:
                    raise
            if (left := end - time.monotonic()) <= 0:
                return []
            await asyncio.sleep(min(PAUSE, left))

    async def answer(self, question: str, handler: Callable[[str, bytes], Awaitable[bytes]]) -> None:
        """Answer what workers ask; with several control planes one of them answers, questions side by side.

        A handler that raises is logged, and the worker is told at once that there is no answer.
        """

        async def reply(message: Msg) -> None:
            data, headers = b"", None
            try:
                data = await handler(subjects.pool_of(message.subject), message.data)
            except Exception as error:
                _LOG.exception("the question %r could not be answered", question)
                headers = {REFUSAL: type(error).__name__}
            await self._link.respond(message, data, headers)

        async def asked(message: Msg) -> None:
            self._link.spawn(reply(message))

        await self._link.listen(subjects.any_ask(question), asked, subjects.CONTROL_GROUP)

    async def guard(self, gate: Gate) -> None:
        """Let workers of other machines in by the word of ``gate``: not before the broker asks us."""
        del gate

    async def disconnect(self, credential: int) -> None:
        """End the connections that a credential has now: none is let in yet."""
        del credential

    async def close(self) -> None:
        """Leave; leases that were not settled run out."""
        await self._link.close()
