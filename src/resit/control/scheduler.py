"""What begins by the clock: schedules, and runs that were delayed. It looks every second, and finds by indexes."""

import asyncio
import logging
import time

from resit.control.signals import Signals
from resit.domain.errors import Unavailable
from resit.ports.telemetry import SILENT, Counted, Telemetry
from resit.services.queue import Queue
from resit.services.schedules import Fired, Schedules

log = logging.getLogger(__name__)
EVERY_SECONDS = 1.0
LOOK_SECONDS = 5.0
"""How often this looks while nothing is due soon."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 60.0
"""How long a schedule is left alone that can't be fired for a fault: it stays due, and others go on."""


class Scheduler:
    """One loop a control plane. Several may look at once: each time of a schedule makes one run all the same."""

    def __init__(self, schedules: Schedules, queue: Queue, signals: Signals, telemetry: Telemetry = SILENT) -> None:
        self._schedules, self._queue, self._signals, self._telemetry = schedules, queue, signals, telemetry
        self._looked_until = 0.0
        self._adopted = False
        self._paused: dict[int, tuple[float, float]] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.once()
            except Unavailable as away:
                log.warning("schedules wait: %s", away)
            except Exception:
                log.exception("looking for what is due failed; it goes on")
            if await self._quiet():
                await self._signals.wait_times(LOOK_SECONDS)
            else:
                await asyncio.sleep(EVERY_SECONDS)

    async def _quiet(self) -> bool:
        """True when nothing will be due before the next look but one."""
        try:
            return not await asyncio.to_thread(self._soon)
        except Unavailable:
            return False

    def _soon(self) -> bool:
        return self._schedules.soon(2 * LOOK_SECONDS) or self._queue.soon(2 * LOOK_SECONDS)

    async def once(self) -> None:
        """One look: all that is due now begins."""
        if not self._adopted:
            if number := await asyncio.to_thread(self._schedules.adopt):
                log.info("%s environments have a schedule that fires from now on", number)
            self._adopted = True
        changed, self._looked_until = await asyncio.to_thread(self._queue.admit_due, self._looked_until)
        self._tell(list(changed))
        for schedule in await asyncio.to_thread(self._schedules.due):
            until, pause = self._paused.get(schedule.id, (0.0, 0.0))
            if until > time.monotonic():
                continue
            try:
                self._told(await asyncio.to_thread(self._schedules.fire, schedule))
                self._paused.pop(schedule.id, None)
            except Unavailable:
                raise
            except Exception:
                log.exception("schedule %s (%s) can't be fired; it is tried again", schedule.id, schedule.name)
                pause = min(max(pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
                self._paused[schedule.id] = (time.monotonic() + pause, pause)

    def _told(self, fired: Fired | None) -> None:
        if fired is None:
            return
        schedule = fired.schedule
        became = "problem" if fired.problem else "skipped" if fired.run is None else "run"
        self._telemetry.count(Counted.SCHEDULES_FIRED, became=became)
        if fired.problem:
            log.warning("schedule %s (%s) did not fire: %s", schedule.id, schedule.name, fired.problem)
            self._signals.notices()
        elif fired.run is None:
            log.info("schedule %s (%s): %s", schedule.id, schedule.name, fired.note)
        else:
            about = {"run": fired.run.id, "pool": fired.run.pool}
            log.info("schedule %s (%s) began run %s", schedule.id, schedule.name, fired.run.id, extra=about)
            self._tell([fired.run.id])

    def _tell(self, runs: list[int]) -> None:
        if runs:
            self._signals.changed(runs)
            self._signals.outbox()
