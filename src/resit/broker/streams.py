"""How the streams and consumers are made. All of it is idempotent, and only control planes may: workers wait for it."""

import asyncio
import contextlib
import logging
from typing import Any

from resit.broker import subjects
from resit.broker.link import Link, Missing, Refused
from resit.ports import BrokerAway, Urgency

ACK_WAIT = 10.0
"""Seconds of a lease on a job or a batch; renewed with progress, so this bounds how late a dead worker is noticed."""
EVENTS_ACK_WAIT = 30.0
"""Seconds that a control plane has for the commit of what it took."""
EVENTS_BYTES = 1024**3
"""What may wait for the control plane. When it is full the broker refuses, workers keep their events and try again."""
DUPLICATES = 300.0
"""Seconds in which a repeated message id is recognized."""
CHECK_SECONDS = 2.0
"""How often we look whether the broker still has all streams: an idle pool's are missed by nobody else."""
COPIES = 3
"""Copies of each stream in a cluster of at least as many servers."""

_OTHER_SETTINGS = 10058
"""JetStream's error number of a stream that exists with other settings."""
_NO_COPIES = {10074, 10005}
"""JetStream's error numbers of a server, or a cluster, that has no place for so many copies."""
_UNLIMITED = -1
_LOG = logging.getLogger(__name__)


def _seconds(value: float) -> int:
    return int(value * 1e9)


def _stream(name: str, subject: str, **more: Any) -> dict[str, Any]:
    """A stream whose messages are gone once they are settled, and which refuses rather than forgets."""
    return {
        "name": name,
        "subjects": [subject],
        "retention": "workqueue",
        "discard": "new",
        "storage": "file",
        "max_consumers": _UNLIMITED,
        "max_msgs": _UNLIMITED,
        "max_bytes": _UNLIMITED,
        "duplicate_window": _seconds(DUPLICATES),
        **more,
    }


class Streams:
    """Makes what is missing for the pools that this control plane knows of, and again when the broker has lost it."""

    def __init__(self, link: Link, ack_wait: float, events_ack_wait: float, replicas: int) -> None:
        self._link = link
        self._ack_wait = ack_wait
        self._events_ack_wait = events_ack_wait
        self._replicas = replicas
        self._known: set[str] = set()
        self._made: set[str] = set()
        self._has_events = False
        self._changing = asyncio.Lock()

    # ------------------------------------------------------------ all of them

    async def begin(self) -> None:
        """Make the stream of events; remove what the first releases left. Raises :class:`BrokerAway`."""
        for name in await self._names() & subjects.FORMER:
            # The reconciler hands its content out again; events stay where they are.
            with contextlib.suppress(Missing):
                await self._link.api(f"STREAM.DELETE.{name}", {})
                _LOG.info("the stream %s of a former release was removed", name)
        await self.repair()

    async def repair(self) -> None:
        """Make everything anew that the broker has lost. Raises :class:`BrokerAway`."""
        async with self._changing:
            found = await self._names()
            if subjects.EVENTS not in found or not self._has_events:
                await self._make_events()
            for pool in tuple(self._known):
                streams = {subjects.jobs_stream(pool), subjects.batches_stream(pool)}
                if pool not in self._made or not streams <= found:
                    await self._make_pool(pool)

    async def watch(self) -> None:
        """Look now and then whether anything is missing; ends when it is cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            with contextlib.suppress(BrokerAway):
                await self.repair()

    async def _names(self) -> set[str]:
        found: set[str] = set()
        while True:
            page = await self._link.api("STREAM.NAMES", {"offset": len(found)})
            names: list[str] = page.get("streams") or []
            found.update(names)
            if not names or len(found) >= int(page.get("total", 0)):
                return found

    # ------------------------------------------------------------ one of them

    async def pool(self, pool: str) -> None:
        """Make the streams of a pool, and keep them from now on. Raises :class:`BrokerAway`, ValueError."""
        self._known.add(subjects.check_pool(pool))
        async with self._changing:
            await self._make_pool(pool)

    async def know(self, pool: str) -> None:
        """The same for a pool that work is handed out for: it costs nothing when the pool is known."""
        if pool not in self._made:
            await self.pool(pool)

    def heard_of(self, pool: str) -> None:
        """A worker of this pool has spoken: its streams are made soon, if they are not there."""
        if pool not in self._known:
            self._known.add(subjects.check_pool(pool))
            self._link.spawn(self._soon())

    async def _soon(self) -> None:
        with contextlib.suppress(BrokerAway):  # then the next look makes them
            await self.repair()

    async def lost(self, pool: str) -> None:
        """Something of the pool is not there: make it again. Raises :class:`BrokerAway`."""
        self._known.add(subjects.check_pool(pool))
        self._made.discard(pool)
        await self.repair()

    async def lost_events(self) -> None:
        """The events are not there: make them again. Raises :class:`BrokerAway`."""
        self._has_events = False
        await self.repair()

    async def run(self, pool: str, run: int, lanes: int) -> None:
        """Make the consumer of a run's batches, at most ``lanes`` of them out at once. Raises like :meth:`Link.api`."""
        await self._consumer(
            subjects.batches_stream(pool),
            subjects.run_consumer(run),
            subjects.run_batches(pool, run),
            ack_wait=self._ack_wait,
            out_at_once=lanes,
        )

    # ------------------------------------------------------------ making

    async def _make_events(self) -> None:
        # No limit of age: it would silently drop what no control plane has read yet.
        await self._make(_stream(subjects.EVENTS, "events.>", max_bytes=EVENTS_BYTES))
        await self._consumer(
            subjects.EVENTS,
            subjects.EVENTS_CONSUMER,
            "events.>",
            ack_wait=self._events_ack_wait,
            out_at_once=50_000,
        )
        self._has_events = True

    async def _make_pool(self, pool: str) -> None:
        once = {"max_msgs_per_subject": 1, "discard_new_per_subject": True}
        jobs, batches = subjects.jobs_stream(pool), subjects.batches_stream(pool)
        await self._make(_stream(jobs, subjects.pool_jobs(pool), **once))
        await self._make(_stream(batches, subjects.pool_batches(pool), **once))
        for urgency in Urgency:  # how many jobs are out is decided by who asks for them
            name, subject = subjects.urgency_consumer(urgency), subjects.pool_jobs(pool, urgency)
            await self._consumer(jobs, name, subject, ack_wait=self._ack_wait, out_at_once=_UNLIMITED)
        self._made.add(pool)

    async def _make(self, config: dict[str, Any]) -> None:
        """Make a stream that is missing; one that an operator has set differently stays as it is."""
        for copies in (self._replicas, 1):
            try:
                await self._link.api(f"STREAM.CREATE.{config['name']}", {**config, "num_replicas": copies})
            except Refused as refused:
                if refused.number == _OTHER_SETTINGS:
                    return
                if refused.number not in _NO_COPIES or copies == 1:
                    raise
            else:
                return

    async def _consumer(self, stream: str, name: str, subject: str, *, ack_wait: float, out_at_once: int) -> None:
        """Make a pull consumer, or give the existing one these limits."""
        config = {
            "name": name,
            "durable_name": name,
            "filter_subject": subject,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": _seconds(ack_wait),
            "max_deliver": _UNLIMITED,
            "max_ack_pending": out_at_once,
            "max_waiting": 4096,
            "replay_policy": "instant",
        }
        await self._link.api(
            f"CONSUMER.CREATE.{stream}.{name}.{subject}", {"stream_name": stream, "config": config, "action": ""}
        )
