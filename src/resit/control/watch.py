"""How this server stands, for those who watch it: looked at when somebody asks, and not more often than it changes."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from resit.domain.errors import ResitError
from resit.ports import BrokerAway, Clock, ControlBroker, Duties, Plane
from resit.ports.broker import Unread
from resit.ports.telemetry import Gauge, Look, Standing, Standings

log = logging.getLogger(__name__)
KEEP_SECONDS = 5.0
"""How long what was seen is good."""
PLANES_SECONDS = 15.0
"""A control plane that was silent for longer does not count."""


Sample = tuple[Gauge, tuple[str, ...], float]
"""A gauge, the values of its labels, and its own."""


class Watch:
    """See the module. ``disk_free``: bytes free where the data folder is."""

    def __init__(
        self,
        standings: Standings,
        clock: Clock,
        duties: Duties,
        broker: Callable[[], ControlBroker | None],
        disk_free: Callable[[], int],
    ) -> None:
        self._standings, self._clock, self._duties = standings, clock, duties
        self._broker, self._disk_free = broker, disk_free
        self._lock = asyncio.Lock()
        self._kept: tuple[float, Look] | None = None
        self._first: tuple[int, float] = (0, 0.0)

    async def look(self) -> Look:
        """What there is to see; several who ask share one look."""
        async with self._lock:
            if self._kept is None or time.monotonic() - self._kept[0] > KEEP_SECONDS:
                found = await self._fresh()
                self._kept = (time.monotonic(), found)
            return self._kept[1]

    async def _fresh(self) -> Look:
        (standing, planes), unread = await asyncio.gather(asyncio.to_thread(self._database), self._unread())
        broker = self._broker()
        return Look(
            standing=standing,
            outbox_age=self._age_of(standing.outbox_first) if standing else 0.0,
            planes=planes,
            connected=broker is not None and broker.connected,
            reconnects=broker.reconnects if broker is not None else 0,
            unread=unread,
            connections=self._standings.connections(),
            disk_free=self._disk_free(),
        )

    def _database(self) -> tuple[Standing | None, Sequence[Plane] | None]:
        try:
            standing = self._standings.standing(self._clock.now())
            return standing, self._duties.planes(PLANES_SECONDS)
        except ResitError as away:
            log.info("the database does not say how things stand: %s", away)
            return None, None

    async def _unread(self) -> Unread | None:
        broker = self._broker()
        if broker is None or not broker.connected:
            return None
        try:
            return await broker.unread()
        except BrokerAway:
            return None

    def _age_of(self, first: int) -> float:
        """How long this has been the first message of the outbox: its rows don't say when they were written."""
        if first != self._first[0]:
            self._first = (first, time.monotonic())
        return time.monotonic() - self._first[1] if first else 0.0


def samples(look: Look) -> Iterator[Sample]:
    """What was seen, as gauges; of what nobody knows there is none."""
    yield Gauge.DATABASE_UP, (), float(look.standing is not None)
    used, idle = look.connections
    yield Gauge.CONNECTIONS, ("used",), used
    yield Gauge.CONNECTIONS, ("idle",), idle
    yield Gauge.BROKER_CONNECTED, (), float(look.connected)
    yield Gauge.BROKER_RECONNECTS, (), look.reconnects
    yield Gauge.DISK_FREE, (), look.disk_free
    if look.unread is not None:
        yield Gauge.INGEST_UNREAD, (), look.unread.messages
        yield Gauge.INGEST_OLDEST, (), look.unread.oldest_seconds
    if look.planes is not None:
        yield Gauge.PLANES, (), len(look.planes)
    if look.standing is not None:
        yield Gauge.OUTBOX_AGE, (), look.outbox_age
        yield from _of_standing(look.standing)


def _of_standing(standing: Standing) -> Iterable[Sample]:
    yield from ((Gauge.RUNS_OPEN, (status,), number) for status, number in standing.runs.items())
    yield Gauge.OLDEST_WAIT, (), standing.oldest_wait
    for name, pool in standing.pools.items():
        yield Gauge.WORK_WAITING, (name,), pool.waiting
        yield Gauge.WORKERS, (name, "ready"), pool.workers
        yield Gauge.WORKERS, (name, "draining"), pool.draining
        yield Gauge.SLOTS, (name,), pool.slots
        yield Gauge.SLOTS_BUSY, (name,), pool.busy
    yield Gauge.OUTBOX, (), standing.outbox
    yield Gauge.NOTICES_WAITING, (), standing.notices
    yield Gauge.NOTICES_FAILING, (), standing.notices_failing
    yield Gauge.SCHEDULES, (), standing.schedules
    yield Gauge.SCHEDULES_TROUBLED, (), standing.schedules_troubled
    yield Gauge.SCHEDULES_MISSED, (), standing.schedules_missed
