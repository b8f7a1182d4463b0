"""Every few minutes: runs beyond their limits go, in small steps, with a pause after each for those who have work."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from resit.domain.errors import Unavailable
from resit.ports.telemetry import SILENT, Counted, Telemetry
from resit.services.retention import Freed, Retention

log = logging.getLogger(__name__)
EVERY_SECONDS = 300.0
SWEEP_SECONDS = 24 * 3600.0
"""How often all files are looked at."""
FIRST_SECONDS = 1800.0
"""When they are, after the start."""
PAUSE_SECONDS = 0.02
T = TypeVar("T")


class Tidying:
    """One at a time does it, see ``control/steward.py``; two at a time do no harm."""

    def __init__(self, retention: Retention, telemetry: Telemetry = SILENT) -> None:
        self._retention, self._telemetry = retention, telemetry
        # The first time some while after the start, which has other things to do.
        self._swept_at = time.monotonic() - SWEEP_SECONDS + FIRST_SECONDS

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                freed = await self.once()
                if time.monotonic() - self._swept_at > SWEEP_SECONDS:
                    freed += await self.sweep()
                if freed:
                    log.info("retention: %s", in_words(freed))
            except Unavailable as away:
                log.warning("retention waits: %s", away)
            except Exception:
                log.exception("retention failed; it goes on")
            await asyncio.sleep(EVERY_SECONDS)

    async def once(self) -> Freed:
        """Everything that is beyond its limits now."""
        await self._gently(self._retention.begin)
        freed = Freed()
        while (gone := await self._gently(self._retention.step)) is not None:
            freed += gone
            self._count(gone)
        return freed

    async def sweep(self) -> Freed:
        """Files that nobody knows."""
        freed = await self._gently(self._retention.tidy)
        after: str | None = ""
        while after is not None:
            gone, after = await self._gently(lambda after=after: self._retention.sweep(after))
            freed += gone
        self._count(freed)
        self._swept_at = time.monotonic()
        return freed

    def _count(self, freed: Freed) -> None:
        for kind, number in (("runs", freed.runs), ("rows", freed.rows), ("files", freed.files)):
            self._telemetry.count(Counted.RETENTION_REMOVED, number, kind=kind)
        self._telemetry.count(Counted.RETENTION_FREED, freed.bytes)

    async def _gently(self, step: Callable[[], T]) -> T:
        """A step, and a pause as long as it took."""
        began = time.monotonic()
        done = await asyncio.to_thread(step)
        await asyncio.sleep(max(time.monotonic() - began, PAUSE_SECONDS))
        return done


def in_words(freed: Freed) -> str:
    """``2 runs, 1,200 rows, 40 files (12,345,678 bytes)``."""
    found = f"{freed.runs:,} runs, {freed.rows:,} rows, {freed.files:,} files ({freed.bytes:,} bytes)"
    return f"{found}, {freed.strays:,} of them known to nobody" if freed.strays else found
