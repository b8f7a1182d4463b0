"""What one control plane tells the others: hints, so that live pages and the outbox need not wait for the next look."""

import asyncio
import json
import logging
from uuid import uuid4

from resit.control.signals import Signals
from resit.ports import BrokerAway, ControlBroker

log = logging.getLogger(__name__)
GATHER_SECONDS = 0.03
"""Changes of the next moment travel along."""
MOST = 1000
"""Runs named in one message."""


class Peers:
    """One loop a control plane, where there may be others."""

    def __init__(self, broker: ControlBroker, signals: Signals) -> None:
        self._broker, self._signals = broker, signals
        self._name = uuid4().hex

    async def run(self) -> None:
        """Until cancelled."""
        await self._broker.on_signal(self._heard)
        self._signals.peers = True
        while True:
            await self._signals.wait_peers()
            await asyncio.sleep(GATHER_SECONDS)
            runs, outbox = self._signals.for_peers()
            for at in range(0, max(len(runs), 1), MOST):
                said = {"from": self._name, "runs": runs[at : at + MOST], "outbox": outbox}
                try:
                    await self._broker.signal(json.dumps(said).encode())
                except BrokerAway as away:
                    log.debug("other control planes were not told: %s", away)

    def _heard(self, data: bytes) -> None:
        try:
            said = json.loads(data)
            if said["from"] == self._name:
                return
            self._signals.heard([int(run) for run in said["runs"]], outbox=bool(said["outbox"]))
        except (KeyError, TypeError, ValueError):
            log.warning("a signal that can't be read: %r", data[:200])
