"""Events of workers into the ledger: one transaction a batch of messages, settled with the broker after the commit.

Several control planes share the work: what one of them gets too early, because another has what comes before, goes back
to the broker for a moment. Workers hear how far they were taken, and say again what was lost on the way.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from collections.abc import Sequence

from resit.control.signals import Signals
from resit.domain.errors import Unavailable
from resit.domain.voice import patience
from resit.ports import BrokerAway, ControlBroker, Delivery
from resit.ports.telemetry import SILENT, Counted, Measured, Telemetry
from resit.services.ingest import Confirmed, Ingest, Taken, Told

log = logging.getLogger(__name__)
AT_ONCE = 256
"""Messages of one transaction at most, and how many more wait here meanwhile."""
IDLE_SECONDS = 1.0
"""What waits behind a batch of messages comes sooner than this."""
HOPELESS = 5
"""A report that has failed this often, alone, for no reason of the database's, is dropped with a loud log line."""


class Tray:
    """Messages that have come and are not taken yet. Those of a run are in one hand at a time, in their order."""

    def __init__(self) -> None:
        self._runs: dict[str, deque[tuple[float, Delivery]]] = {}
        self._out: dict[str, float] = {}
        self.size = 0

    def put(self, found: Sequence[Delivery], now: float) -> None:
        """More of them; ``now``: seconds since the epoch."""
        for delivery in found:
            age = max(0.0, now - delivery.stored_at)
            self._runs.setdefault(delivery.subject, deque()).append((time.monotonic() - age, delivery))
        self.size += len(found)

    def take(self, hands: int) -> list[Delivery]:
        """A share for one of so many hands, of runs that nobody else has in hand; empty: there is nothing to do.

        What is taken is in hand until :meth:`done`.
        """
        share, found = -(-self.size // hands), list[Delivery]()
        for subject in [subject for subject in self._runs if subject not in self._out]:
            waiting = self._runs.pop(subject)
            self._out[subject] = min(said for said, _ in waiting)
            some = [waiting.popleft()[1] for _ in range(min(len(waiting), AT_ONCE - len(found)))]
            found.extend(some)
            if waiting:
                self._runs[subject] = waiting
            if len(found) >= min(share, AT_ONCE):
                break
        self.size -= len(found)
        return found

    def done(self, found: Sequence[Delivery]) -> None:
        """Nobody has these in hand any more."""
        for delivery in found:
            self._out.pop(delivery.subject, None)

    def empty(self) -> list[Delivery]:
        """All that still waits, which is not here any more."""
        left = [delivery for waiting in self._runs.values() for _, delivery in waiting]
        self._runs.clear()
        self.size = 0
        return left

    @property
    def oldest(self) -> float | None:
        """When that was said of which nothing has been heard for longest, by the monotonic clock."""
        return min([*self._out.values(), *(waiting[0][0] for waiting in self._runs.values())], default=None)


class Intake:
    """A loop that fetches and some hands that take in, while the next comes; several control planes share the work."""

    def __init__(
        self,
        broker: ControlBroker,
        ingest: Ingest,
        signals: Signals,
        telemetry: Telemetry = SILENT,
        *,
        side_by_side: int = 1,
    ) -> None:
        """``side_by_side``: transactions at once, of different runs; more than one helps where the database is another
        process, which works while we do."""
        self._broker, self._ingest, self._signals, self._telemetry = broker, ingest, signals, telemetry
        self._hands = side_by_side
        self._tray = Tray()
        self._more, self._room = asyncio.Condition(), asyncio.Event()
        self._last = self._idle_since = time.monotonic()

    @property
    def behind(self) -> float:
        """How many seconds ago that was said which is taken in now; 0 when nothing waits."""
        now, oldest = time.monotonic(), self._tray.oldest
        if oldest is not None:
            self._last = oldest
        return max(0.0, now - self._last) if oldest is not None or now - self._idle_since < IDLE_SECONDS else 0.0

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._fetch())
                for _ in range(self._hands):
                    group.create_task(self._work())
        finally:
            # What was only fetched is somebody else's at once.
            with contextlib.suppress(BrokerAway):
                for delivery in self._tray.empty():
                    await delivery.give_back()

    async def _fetch(self) -> None:
        while True:
            try:
                while self._tray.size >= AT_ONCE:
                    self._room.clear()
                    await self._room.wait()
                found = await self._broker.events(AT_ONCE, 30.0)
                async with self._more:
                    self._tray.put(found, time.time())
                    self._more.notify_all()
            except BrokerAway as away:
                log.warning("ingest waits: %s", away)
                await asyncio.sleep(0.5)
            except Exception:
                log.exception("ingest failed; it goes on")
                await asyncio.sleep(1.0)

    async def _work(self) -> None:
        while True:
            async with self._more:
                while not (found := self._tray.take(self._hands)):
                    await self._more.wait()
            self._room.set()
            try:
                await self._take(found)
            except (BrokerAway, Unavailable) as away:
                log.warning("ingest waits: %s", away)
                await asyncio.sleep(0.5)
            except Exception:
                log.exception("ingest failed; it goes on")
                await asyncio.sleep(1.0)
            finally:
                self._last = self._tray.oldest or self._last
                self._tray.done(found)
                self._idle_since = time.monotonic()
            async with self._more:
                self._more.notify_all()

    async def _take(self, found: Sequence[Delivery]) -> None:
        reports = _told(found)
        try:
            taken = await asyncio.to_thread(self._ingest.take, reports)
        except Unavailable:
            await asyncio.gather(*(delivery.give_back(1.0) for delivery in found))
            raise
        except Exception:
            if len(found) > 1:
                for delivery in found:
                    await self._take([delivery])
                return
            log.exception("a report could not be taken")
            if found[0].deliveries < HOPELESS:
                await found[0].give_back(1.0)
                return
            log.error("a report is dropped after %s tries: %r", HOPELESS, found[0].data[:500])
            taken = Taken(dropped=["it can't be taken"])
        self._count(reports, taken)
        for reason in taken.dropped:
            log.warning("a report was dropped: %s", reason)
        await asyncio.gather(*(_settle(delivery, place in taken.early) for place, delivery in enumerate(found)))
        for word in taken.confirmed:
            await self._tell(word)
        if taken.changed:
            self._signals.changed(taken.changed)
            self._signals.outbox()

    def _count(self, reports: Sequence[Told], taken: Taken) -> None:
        early, dropped = len(taken.early), len(taken.dropped)
        for became, number in (("taken", len(reports) - early - dropped), ("early", early), ("dropped", dropped)):
            self._telemetry.count(Counted.REPORTS, number, became=became)
        self._telemetry.count(Counted.RESULTS, taken.results)
        for place, report in enumerate(reports):
            if place not in taken.early:
                self._telemetry.observe(Measured.INGEST_LAG, report.age)

    async def _tell(self, word: Confirmed) -> None:
        """A hint: a worker that does not hear it asks."""
        said = {"run": word.run, "from": word.name, "taken": word.taken, "missing": word.missing}
        try:
            await self._broker.tell(word.pool, word.address, json.dumps(said).encode())
        except (BrokerAway, ValueError) as error:
            log.debug("a worker was not told: %s", error)


def _told(found: Sequence[Delivery]) -> list[Told]:
    now = time.time()
    return [Told(delivery.data, delivery.pool, max(0.0, now - delivery.stored_at)) for delivery in found]


async def _settle(delivery: Delivery, early: bool) -> None:
    if early:
        await delivery.give_back(patience(delivery.deliveries))
    else:
        # What is not noted comes back, and is known by its number: nobody waits for a thousand confirmations.
        await delivery.done(wait=False)
