"""Every second: what should be, against what is. It repairs by the same outbox that everything else goes through."""

import asyncio
import logging
import time
from collections.abc import Mapping

from resit.control.signals import Signals
from resit.domain.errors import Unavailable
from resit.domain.run import Run
from resit.domain.status import RunStatus
from resit.ports import BrokerAway, ControlBroker, Job
from resit.ports.telemetry import SILENT, Counted, Telemetry
from resit.services.html_reports import HtmlReports
from resit.services.recovery import Held, Recovery, Sight, complete

log = logging.getLogger(__name__)
EVERY_SECONDS = 1.0
AGAIN_SECONDS = 5.0
"""How often a quiet run is looked after."""
IDLE_SECONDS = 5.0
"""While nothing is open, there is nothing to lose: a look costs more than it finds."""


_KINDS = {
    RunStatus.REQUESTED: "admission",
    RunStatus.ADMITTED: "plan",
    RunStatus.PLANNING: "plan",
    RunStatus.RUNNING: "batches",
    RunStatus.FINALIZING: "batches",
}


class Reconciler:
    """One loop a control plane; its actions are idempotent."""

    def __init__(
        self,
        recovery: Recovery,
        broker: ControlBroker,
        signals: Signals,
        telemetry: Telemetry = SILENT,
        html: HtmlReports | None = None,
    ) -> None:
        self._recovery, self._broker, self._signals, self._telemetry = recovery, broker, signals, telemetry
        self._html = html
        self._looked: dict[int, float] = {}
        self._reports_at = -AGAIN_SECONDS

    async def run(self) -> None:
        """Until cancelled."""
        busy = True
        while True:
            await asyncio.sleep(EVERY_SECONDS if busy else IDLE_SECONDS)
            try:
                busy = await self.once()
            except (BrokerAway, Unavailable) as away:
                log.warning("the reconciler waits: %s", away)
                self._recovery.blind()
            except Exception:
                log.exception("the reconciler failed; it goes on")

    async def once(self) -> bool:
        """One look at everything that is open; False when nothing is."""
        await self._reports()
        sight = await asyncio.to_thread(self._recovery.look)
        touched = list(sight.ended)
        self._telemetry.count(Counted.REPAIRS, len(touched), kind="deadline")
        for pool, runs in self._due(sight).items():
            everything = await self._broker.held_in(pool)
            for run in runs:
                jobs, batches = everything.get(run.id, (set[Job](), set[int]()))
                held = Held(frozenset(jobs), frozenset(batches))
                if not complete(run, held) and await asyncio.to_thread(self._recovery.repair, run.id, held):
                    log.info("run %s was repaired", run.id, extra={"run": run.id, "pool": run.pool})
                    self._telemetry.count(Counted.REPAIRS, kind=_KINDS[run.status])
                    touched.append(run.id)
        if touched:
            self._signals.changed(touched)
            self._signals.outbox()
        return sight.busy

    async def _reports(self) -> None:
        """Reports that nobody has: their worker was lost with the broker's store, say."""
        if self._html is None or time.monotonic() - self._reports_at < AGAIN_SECONDS:
            return
        self._reports_at = time.monotonic()
        held: dict[str, Mapping[int, tuple[set[Job], set[int]]]] = {}
        seen: list[int] = []
        for report, pool in await asyncio.to_thread(self._html.quiet):
            if pool not in held:
                held[pool] = await self._broker.held_in(pool)
            jobs, _ = held[pool].get(report.run_id, (set[Job](), set[int]()))
            if Job("report", report.run_id) in jobs:
                seen.append(report.run_id)
            elif await asyncio.to_thread(self._html.again, report.run_id):
                log.info("the report of run %s was repaired", report.run_id, extra={"run": report.run_id})
                self._telemetry.count(Counted.REPAIRS, kind="report")
                self._signals.outbox()
        await asyncio.to_thread(self._html.seen, seen)

    def _due(self, sight: Sight) -> dict[str, list[Run]]:
        """The runs to look after now, by pool. Where nothing is urgent, every few seconds is enough: thousands of runs
        that wait for a worker must not cost more than the work itself."""
        now = time.monotonic()
        self._looked = {run.id: self._looked[run.id] for run in sight.quiet if run.id in self._looked}
        found: dict[str, list[Run]] = {}
        for run in sight.quiet:
            if run.id in sight.urgent or now - self._looked.get(run.id, -AGAIN_SECONDS) >= AGAIN_SECONDS:
                self._looked[run.id] = now
                found.setdefault(run.pool, []).append(run)
        return found
