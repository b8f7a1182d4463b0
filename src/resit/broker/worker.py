"""The broker as a worker of one pool sees it."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Self

from nats.aio.msg import Msg

from resit.broker import subjects
from resit.broker.delivery import NatsDelivery
from resit.broker.link import CONNECT_SECONDS, PAUSE, Address, Link, Missing
from resit.broker.streams import ACK_WAIT, ensure_pool, ensure_streams
from resit.ports import BrokerAway, Delivery, Job

REFUSAL = "Resit-Error"
"""The header of an answer that says why there is none."""


class NatsWorkerBroker:
    """Implements :class:`resit.ports.WorkerBroker`."""

    def __init__(self, link: Link, pool: str, ack_wait: float) -> None:
        self._link = link
        self._pool = subjects.check_pool(pool)
        self._ack_wait = ack_wait

    @classmethod
    async def connect(
        cls,
        address: Address,
        pool: str,
        *,
        name: str = "resit-worker",
        ack_wait: float = ACK_WAIT,
        within: float = CONNECT_SECONDS,
    ) -> Self:
        """Connect as a worker of ``pool``. Raises :class:`BrokerAway` when that fails for ``within`` seconds."""
        broker = cls(Link(address, name), pool, ack_wait)
        await broker._link.open(within)
        try:
            await broker._ensure()
        except BaseException:
            await broker.close()
            raise
        return broker

    async def _ensure(self) -> None:
        await ensure_streams(self._link)
        await ensure_pool(self._link, self._pool, self._ack_wait)

    async def jobs(self, limit: int, wait: float) -> Sequence[tuple[Job, Delivery]]:
        """Up to ``limit`` jobs of the pool; an empty list after ``wait`` seconds without any, or without a broker.

        Raises :class:`BrokerAway` only after :meth:`close`.
        """
        end = time.monotonic() + wait
        while True:
            left = max(0.0, end - time.monotonic())
            try:
                found = await self._link.pull(subjects.JOBS, subjects.pool_consumer(self._pool), limit, left)
                return [(subjects.parse_job(m.subject), NatsDelivery(self._link, m)) for m in found]
            except Missing:  # the broker lost its store: make what we need, the reconciler fills it again
                with contextlib.suppress(BrokerAway):
                    await self._ensure()
            except BrokerAway:
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
                found = await self._link.pull(subjects.BATCHES, subjects.run_consumer(run), 1, left)
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
        subject = subjects.events(self._pool, run)
        try:
            await self._link.store(subject, data, id)
        except Missing:
            await self._ensure()
            await self._link.store(subject, data, id)

    async def ask(self, question: str, data: bytes, wait: float) -> bytes:
        """Ask the control plane and wait for its answer, also while it is just restarting.

        Raises :class:`BrokerAway` when none answers in time, or when the one that tried could not.
        """
        end = time.monotonic() + wait
        while True:
            left = end - time.monotonic()
            try:
                answer = await self._link.request(
                    subjects.ask(self._pool, question), data, wait=left, what=f"ask {question}"
                )
            except Missing as missing:
                if end - time.monotonic() <= PAUSE:
                    raise BrokerAway(f"no control plane answers the question {question!r}") from missing
                await asyncio.sleep(PAUSE)
                continue
            if problem := (answer.headers or {}).get(REFUSAL):
                raise BrokerAway(f"the control plane could not answer the question {question!r}: {problem}")
            return answer.data

    async def on_cancel(self, handler: Callable[[int], None]) -> None:
        """Call ``handler`` with the run's number whenever a run of the pool is cancelled (or superseded)."""

        async def told(message: Msg) -> None:
            handler(subjects.parse_cancel(message.subject))

        await self._link.listen(subjects.pool_cancel(self._pool), told)

    async def on_told(self, address: str, handler: Callable[[bytes], None]) -> None:
        """Call ``handler`` with what control planes tell the ``address``. Raises :class:`BrokerAway`, ValueError."""

        async def told(message: Msg) -> None:
            handler(message.data)

        await self._link.listen(subjects.tell(self._pool, address), told)

    async def close(self) -> None:
        """Leave; leases that were not settled run out."""
        await self._link.close()
