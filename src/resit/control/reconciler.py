"""Every second: what should be, against what is. It repairs by the same outbox that everything else goes through."""

import asyncio
import logging

from resit.control.signals import Signals
from resit.domain.errors import Unavailable
from resit.ports import BrokerAway, ControlBroker
from resit.services.recovery import Held, Recovery

log = logging.getLogger(__name__)
EVERY_SECONDS = 1.0
IDLE_SECONDS = 5.0
"""While nothing is open, there is nothing to lose: a look costs more than it finds."""


class Reconciler:
    """One loop a control plane; its actions are idempotent."""

    def __init__(self, recovery: Recovery, broker: ControlBroker, signals: Signals) -> None:
        self._recovery, self._broker, self._signals = recovery, broker, signals

    async def run(self) -> None:
        """Until cancelled."""
        busy = True
        while True:
            await asyncio.sleep(EVERY_SECONDS if busy else IDLE_SECONDS)
            try:
                busy = await self.once()
            except (BrokerAway, Unavailable) as away:
                log.warning("the reconciler waits: %s", away)
            except Exception:
                log.exception("the reconciler failed; it goes on")

    async def once(self) -> bool:
        """One look at everything that is open; False when nothing is."""
        sight = await asyncio.to_thread(self._recovery.look)
        touched = list(sight.ended)
        for run in sight.quiet:
            jobs, batches = await self._broker.held(run.pool, run.id)
            held = Held(frozenset(jobs), frozenset(batches))
            if await asyncio.to_thread(self._recovery.repair, run.id, held):
                log.info("run %s was repaired", run.id)
                touched.append(run.id)
        if touched:
            self._signals.changed(touched)
            self._signals.outbox()
        return sight.busy
