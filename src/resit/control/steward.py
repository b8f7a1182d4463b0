"""Which control plane does what only one needs to do at a time: hand out, repair, notify, plan ahead, tidy up.

It is a lease in the database. Should two hold it for a moment (a process that was stopped and goes on), no harm is
done: all that they do may be done twice. With one control plane it is always its own.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from resit.domain.errors import Unavailable
from resit.ports import Duties

log = logging.getLogger(__name__)
NAME = "steward"
LEASE_SECONDS = 4.0
"""How long after its death the duty stays with a control plane."""
EVERY_SECONDS = 1.0
LEAST_SECONDS = 0.02
PRESENT_SECONDS = 5.0
"""How often a control plane says that it is there."""


class Steward:
    """One a control plane."""

    def __init__(self, duties: Duties) -> None:
        self._duties = duties
        self._until = 0.0
        self._mine = asyncio.Event()

    @property
    def mine(self) -> bool:
        """True while the duty is this control plane's."""
        return time.monotonic() < self._until

    async def turn(self) -> None:
        """Until the duty is this control plane's; returns at once while it is."""
        while not self.mine:
            self._mine.clear()
            await self._mine.wait()

    async def keep(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do the work while the duty is this control plane's; until cancelled."""
        while True:
            await self.turn()
            task = asyncio.create_task(work())
            try:
                while self.mine:
                    await asyncio.sleep(max(self._until - time.monotonic(), LEAST_SECONDS))
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def run(self) -> None:
        """Until cancelled; then the duty is free at once."""
        presented = -PRESENT_SECONDS
        had = False
        try:
            while True:
                try:
                    now = time.monotonic()
                    if now - presented >= PRESENT_SECONDS:
                        presented = now
                        await asyncio.to_thread(self._duties.present)
                    if await asyncio.to_thread(self._duties.hold, NAME, LEASE_SECONDS):
                        self._until = now + LEASE_SECONDS
                        self._mine.set()
                except Unavailable as away:
                    log.warning("the steward's duty waits: %s", away)
                except Exception:
                    log.exception("the steward's duty failed; it goes on")
                if had != self.mine:
                    had = self.mine
                    log.info("this control plane %s", "hands out and repairs now" if had else "leaves that to another")
                await asyncio.sleep(EVERY_SECONDS)
        finally:
            if self.mine:
                self._until = 0.0
                await asyncio.shield(asyncio.to_thread(self._release))

    def _release(self) -> None:
        try:
            self._duties.release(NAME)
        except Unavailable:
            log.info("the duty runs out by itself: the database does not answer")
