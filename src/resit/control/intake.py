"""Events of workers into the ledger: one transaction a batch of messages, settled with the broker after the commit."""

import asyncio
import logging
from collections.abc import Sequence

from resit.control.signals import Signals
from resit.domain.errors import Unavailable
from resit.ports import BrokerAway, ControlBroker, Delivery
from resit.services.ingest import Ingest

log = logging.getLogger(__name__)
AT_ONCE = 256
HOPELESS = 5
"""A report that has failed this often, alone, for no reason of the database's, is dropped with a loud log line."""


class Intake:
    """One loop a control plane; several share the work."""

    def __init__(self, broker: ControlBroker, ingest: Ingest, signals: Signals) -> None:
        self._broker, self._ingest, self._signals = broker, ingest, signals

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                found = await self._broker.events(AT_ONCE, 30.0)
                if found:
                    await self._take(found)
            except (BrokerAway, Unavailable) as away:
                log.warning("ingest waits: %s", away)
                await asyncio.sleep(0.5)
            except Exception:
                log.exception("ingest failed; it goes on")
                await asyncio.sleep(1.0)

    async def _take(self, found: Sequence[Delivery]) -> None:
        try:
            changed, dropped = await asyncio.to_thread(self._ingest.take, [delivery.data for delivery in found])
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
            changed, dropped = [], []
        for reason in dropped:
            log.warning("a report was dropped: %s", reason)
        await asyncio.gather(*(delivery.done() for delivery in found))
        self._signals.changed(changed)
        self._signals.outbox()
