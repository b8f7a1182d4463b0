"""Events of workers into the ledger: one transaction a batch of messages, settled with the broker after the commit.

Several control planes share the work: what one of them gets too early, because another has what comes before, goes back
to the broker for a moment. Workers hear how far they were taken, and say again what was lost on the way.
"""

import asyncio
import json
import logging
import time
from collections.abc import Sequence

from resit.control.signals import Signals
from resit.domain.errors import Unavailable
from resit.domain.voice import patience
from resit.ports import BrokerAway, ControlBroker, Delivery
from resit.ports.telemetry import SILENT, Counted, Measured, Telemetry
from resit.services.ingest import Confirmed, Ingest, Taken, Told

log = logging.getLogger(__name__)
AT_ONCE = 256
IDLE_SECONDS = 1.0
"""What waits behind a batch of messages comes sooner than this."""
HOPELESS = 5
"""A report that has failed this often, alone, for no reason of the database's, is dropped with a loud log line."""


class Intake:
    """One loop a control plane; several share the work."""

    def __init__(self, broker: ControlBroker, ingest: Ingest, signals: Signals, telemetry: Telemetry = SILENT) -> None:
        self._broker, self._ingest, self._signals, self._telemetry = broker, ingest, signals, telemetry
        self._oldest = self._idle_since = time.monotonic()
        self._busy = False

    @property
    def behind(self) -> float:
        """How many seconds ago that was said which is taken in now; 0 when nothing waits."""
        now = time.monotonic()
        return max(0.0, now - self._oldest) if self._busy or now - self._idle_since < IDLE_SECONDS else 0.0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                found = await self._broker.events(AT_ONCE, 30.0)
                if found:
                    self._busy = True
                    self._oldest = time.monotonic() - max(0.0, time.time() - min(each.stored_at for each in found))
                    await self._take(found)
                self._busy, self._idle_since = False, time.monotonic()
            except (BrokerAway, Unavailable) as away:
                log.warning("ingest waits: %s", away)
                await asyncio.sleep(0.5)
            except Exception:
                log.exception("ingest failed; it goes on")
                await asyncio.sleep(1.0)

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
        await delivery.done()
