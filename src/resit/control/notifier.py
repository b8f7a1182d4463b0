"""Notices to webhooks. One at a time to each webhook, several webhooks at once; what is not taken is tried again."""

import asyncio
import logging

from resit.control.signals import Signals
from resit.domain.errors import Unavailable
from resit.ports import Notifier, PostFailed
from resit.ports.telemetry import SILENT, Counted, Telemetry
from resit.services.notices import Notices, Post

log = logging.getLogger(__name__)
LOOK_SECONDS = 3.0
"""How often notices are looked for without being told."""
GATHER_SECONDS = 0.1
"""The least time between two looks: many runs in a moment are looked for once."""
AT_ONCE = 16
"""Webhooks that are told at the same time."""
STALE_LOOKS = 600
"""After how many looks what is stale is given up."""
PAUSE_SECONDS = 5.0
"""How long a webhook is left alone when what became of its notice can't be noted."""


class Notifying:
    """One loop a control plane."""

    def __init__(self, notices: Notices, notifier: Notifier, signals: Signals, telemetry: Telemetry = SILENT) -> None:
        self._notices, self._notifier, self._signals, self._telemetry = notices, notifier, signals, telemetry
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._looks = 0

    async def run(self) -> None:
        """Until cancelled; what is under way then is tried again by the next."""
        try:
            while True:
                try:
                    await self._look()
                    await asyncio.sleep(GATHER_SECONDS)
                    await self._signals.wait_notices(LOOK_SECONDS)
                except Unavailable as away:
                    log.warning("notices wait: %s", away)
                    await asyncio.sleep(0.5)
                except Exception:
                    log.exception("looking for notices failed; it goes on")
                    await asyncio.sleep(1.0)
        finally:
            tasks = list(self._busy.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        if self._looks % STALE_LOOKS == 0 and (gone := await asyncio.to_thread(self._notices.forget_stale)):
            log.warning("%s notices to webhooks never got their turn and are given up", gone)
            self._telemetry.count(Counted.NOTICES, gone, became="given_up")
        self._looks += 1
        free = AT_ONCE - len(self._busy)
        if free <= 0:
            return
        for post in await asyncio.to_thread(self._notices.due, free, frozenset(self._busy)):
            self._busy[post.notice.webhook_id] = asyncio.create_task(self._tell(post))

    async def _tell(self, post: Post) -> None:
        notice = post.notice
        try:
            words = await self._deliver(post)
            if not words:
                await asyncio.to_thread(self._notices.told, notice)
                self._telemetry.count(Counted.NOTICES, became="delivered")
            elif await asyncio.to_thread(self._notices.failed, notice):
                log.info("webhook %s: %s; it is tried again", notice.webhook_id, words)
                self._telemetry.count(Counted.NOTICES, became="failed")
            else:
                log.warning("webhook %s: %s; %s is given up", notice.webhook_id, words, notice.event.value)
                self._telemetry.count(Counted.NOTICES, became="given_up")
        except Exception:
            log.exception("webhook %s: what became of a notice can't be noted", notice.webhook_id)
            await asyncio.sleep(PAUSE_SECONDS)
        finally:
            del self._busy[notice.webhook_id]
            self._signals.notices()

    async def _deliver(self, post: Post) -> str:
        """Empty when it was taken, else why not. Addresses are not logged: some hold a secret."""
        try:
            status = await self._notifier.post(post.url, post.body, post.headers)
        except PostFailed as error:
            return str(error)
        except Exception:
            log.exception("webhook %s can't be told", post.notice.webhook_id)
            return "it can't be told"
        return "" if 200 <= status < 300 else f"it answered {status}"
