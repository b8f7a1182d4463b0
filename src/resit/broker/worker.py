"""The broker as a worker of one pool sees it."""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Self

from nats.aio.msg import Msg

from resit.broker import subjects, words
from resit.broker.address import Address
from resit.broker.delivery import NatsDelivery
from resit.broker.link import CONNECT_SECONDS, PATIENCE, PAUSE, Link, Missing
from resit.broker.pull import pull
from resit.broker.standing import Standing
from resit.ports import BrokerAway, Delivery, Job, Urgency

_URGENT_FIRST = [subjects.urgency_consumer(urgency) for urgency in Urgency]


class NatsWorkerBroker:
    """Implements :class:`resit.ports.WorkerBroker`. It may make nothing at the broker: it waits until control has."""

    def __init__(self, link: Link, pool: str) -> None:
        self._link = link
        self._pool = subjects.check_pool(pool)
        self._jobs = Standing(link, subjects.jobs_stream(pool), _URGENT_FIRST)
        # The broker compares ids over all pools: nobody may guess ours, and have our events taken for repetitions.
        self._voice = secrets.token_hex(16)

    @classmethod
    async def connect(
        cls, address: Address, pool: str, *, name: str = "resit-worker", within: float = CONNECT_SECONDS
    ) -> Self:
        """Connect as a worker of ``pool``. Raises :class:`BrokerAway` when that fails for ``within`` seconds."""
        broker = cls(Link(address, name), pool)
        await broker._link.open(within)
        return broker

    @property
    def refused(self) -> bool:
        """Whether the broker is there and does not let this worker in (any more)."""
        return self._link.refused

    async def jobs(self, limit: int, wait: float) -> Sequence[tuple[Job, Delivery]]:
        """Up to ``limit`` jobs of the pool, urgent ones first; an empty list after ``wait`` seconds without any, or
        without a broker.

        For one caller at a time. Raises :class:`BrokerAway` only after :meth:`close`.
        """
        end = time.monotonic() + wait
        while True:
            left = max(0.0, end - time.monotonic())
            try:
                found = await self._jobs.take(limit, left)
                return [(subjects.parse_job(m.subject), NatsDelivery(self._link, m)) for m in found]
            except BrokerAway:  # also when the pool is not made yet, or the broker lost its store: others make it
                if self._link.closed:
                    raise
            if (left := end - time.monotonic()) <= 0:
                return []
            await asyncio.sleep(min(PAUSE, left))

    async def batch(self, run: int, wait: float) -> Delivery | None:
        """The next batch of a run, or None when none came within ``wait`` seconds or the run has no batches (any more).

        Raises :class:`BrokerAway` when the broker was away at the end: then nobody knows whether there is one.
        """
        end = time.monotonic() + wait
        while True:
            left = max(0.0, end - time.monotonic())
            try:
                stream, consumer = subjects.batches_stream(self._pool), subjects.run_consumer(run)
                found = await pull(self._link, stream, consumer, 1, left)
            except Missing:  # it may be made again, so look now and then, but not in a tight loop
                if (left := end - time.monotonic()) <= 0:
                    return None
                await asyncio.sleep(min(PAUSE, left))
            else:
                return NatsDelivery(self._link, found[0]) if found else None

    async def publish(self, run: int, data: bytes, id: str) -> None:
        """Store events of a run; returns once the broker holds them on disk. ``id`` makes a repetition harmless.

        Raises :class:`BrokerAway`, also when the broker is full; ValueError when ``data`` is over its limit (8 MiB).
        """
        subject, end = subjects.events(self._pool, run), time.monotonic() + PATIENCE
        while True:
            try:
                await self._link.store(subject, data, {words.ID: f"{self._voice}.{id}"})
            except Missing:  # a control plane makes the stream again
                if time.monotonic() + PAUSE >= end:
                    raise
                await asyncio.sleep(PAUSE)
            else:
                return

    async def ask(self, question: str, data: bytes, wait: float) -> bytes:
        """Ask the control plane and wait for its answer, also while it is just restarting.

        Raises :class:`BrokerAway` when none answers in time, or when the one that tried could not.
        """
        subject, end = subjects.ask(self._pool, question), time.monotonic() + wait
        while True:
            left = end - time.monotonic()
            try:
                answer = await self._link.request(subject, data, wait=left, what=f"ask {question}")
            except Missing as missing:
                if end - time.monotonic() <= PAUSE:
                    raise BrokerAway(f"no control plane answers the question {question!r}") from missing
                await asyncio.sleep(PAUSE)
                continue
            if problem := (answer.headers or {}).get(words.REFUSAL):
                raise BrokerAway(f"the control plane could not answer the question {question!r}: {problem}")
            return answer.data

    async def on_cancel(self, handler: Callable[[int], None]) -> None:
        """Call ``handler`` with the run's number whenever a run of the pool is cancelled (or superseded)."""

        def told(message: Msg) -> None:
            handler(subjects.parse_cancel(message.subject))

        await words.listen(self._link, subjects.pool_cancel(self._pool), told)

    async def on_told(self, address: str, handler: Callable[[bytes], None]) -> None:
        """Call ``handler`` with what control planes tell the ``address``. Raises :class:`BrokerAway`, ValueError."""

        def told(message: Msg) -> None:
            handler(message.data)

        await words.listen(self._link, subjects.tell(self._pool, address), told)

    async def close(self) -> None:
        """Leave; leases that were not settled run out."""
        await self._jobs.close()
        await self._link.close()
