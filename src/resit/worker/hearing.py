"""What an executor says of a batch, on its way to the reports: without secrets, and with its files uploaded."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from resit.domain.events import Attachment, DidNotRun, Failure, Log, TestEvent, TestResult, with_attachments
from resit.domain.status import ResultStatus
from resit.plugin import Event
from resit.worker.lease import Pulse
from resit.worker.work import RunWork

log = logging.getLogger(__name__)
LAST_UPLOADS_SECONDS = 4.0
"""How long the files of tests that are done are waited for when the work is stopped."""
LOOK_SECONDS = 0.2


class Hearing:
    """The ears of one attempt of a batch."""

    def __init__(
        self, work: RunWork, claim: str, about: Mapping[str, Any], upload: Mapping[str, str], pulse: Pulse
    ) -> None:
        self._work, self._claim, self._about, self._upload, self._pulse = work, claim, about, upload, pulse
        self._uploads: set[asyncio.Task[bool]] = set()
        self._cut = ""

    def cut(self, why: str) -> None:
        """From now on what is interrupted is so because of this, and counts for nothing."""
        self._cut = why

    def sink(self, event: Event) -> None:
        """Take an event of the executor; an empty log is a sign of life."""
        self._pulse.beat()
        event = self._work.scrubber.event(event)
        if isinstance(event, Log):
            self.log(event.text, event.lane)
            return
        found = self._as_stopped(event)
        if found is None:
            return
        if isinstance(found, TestResult) and found.attachments:
            found = with_attachments(found, [self._named(attachment) for attachment in found.attachments])
            self._uploads.update(asyncio.create_task(self._send(a)) for a in found.attachments)
        self._work.reporter.event(self._claim, self._about, found)

    def log(self, text: str, lane: int = 0) -> None:
        """Pass on what was printed, in the log of the shard whose lane it is."""
        if text:
            self._work.reporter.log(self._work.shard_of(lane, int(self._about["shard"])), text)

    async def uploaded(self) -> None:
        """Wait for the uploads; not for long when the work is stopped, and then what is not done is given up."""
        left, since = self._uploads, 0.0
        while left:
            if self._work.stopping or self._cut:
                since = since or time.monotonic()
                if time.monotonic() - since > LAST_UPLOADS_SECONDS:
                    log.warning("run %s: %s uploads are given up", self._work.run, len(left))
                    for task in left:
                        task.cancel()
            _, left = await asyncio.wait(left, timeout=LOOK_SECONDS)
        await asyncio.gather(*self._uploads, return_exceptions=True)

    def _as_stopped(self, event: TestEvent) -> TestEvent | None:
        """What was cut off because the work is stopped says why; what another attempt will execute is not final."""
        if not (self._work.stopping or self._cut):
            return event
        again = self._work.leaving or bool(self._cut)
        match event:
            case TestResult(status=ResultStatus.INTERRUPTED):
                why = self._cut or self._work.why or "the run was stopped"
                if self._work.leaving:
                    why = "its worker ended; another one executes the test again"
                rest = [failure for failure in event.failures if failure.message != "interrupted"]
                failures = (Failure(f"interrupted: {why}"), *rest)
                return replace(event, final=event.final and not again, failures=failures)
            case DidNotRun() if again:
                return None
            case _:
                return event

    def _named(self, attachment: Attachment) -> Attachment | None:
        """The attachment with the id under which it will be stored; None when its file is not there."""
        try:
            path = Path(attachment.path)
            self._work.scrubber.file(path, attachment.content_type)
            return replace(attachment, id=str(uuid4()), size=path.stat().st_size)
        except OSError as error:
            log.info("run %s: attachment %r can't be read: %s", self._work.run, attachment.name, error)
            return None

    async def _send(self, attachment: Attachment) -> bool:
        words = {"name": attachment.name, "content_type": attachment.content_type}
        return await self._work.tools.uploads.send(
            self._upload["url"], self._upload["token"], attachment.id, Path(attachment.path), **words
        )
