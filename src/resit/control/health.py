"""Whether this control plane can do its work: a few short checks, each with a limit, for load balancers to ask."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

log = logging.getLogger(__name__)
LIMIT_SECONDS = 2.0
"""How long a check may take; one that takes longer has failed."""
KEEP_SECONDS = 1.0
"""How long an answer is good: whoever asks, a part is asked no more often."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check came to. ``words`` say what is wrong, for anybody; details are in the log."""

    name: str
    ok: bool
    ms: float
    words: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """``look`` runs in a thread and raises when it is not well; ``words`` say what that means."""

    look: Callable[[], None]
    words: str


class NotWell(Exception):
    """A check has failed; the message is for the log."""


class Health:
    """Its checks, by name, in their order. ``draining``: it is about to end and takes no new clients."""

    def __init__(self, checks: Mapping[str, Check], draining: Callable[[], bool]) -> None:
        self._checks = dict(checks)
        self._draining = draining
        self._running: dict[str, asyncio.Task[Checked]] = {}
        self._kept: dict[str, tuple[float, Checked]] = {}
        self._bad: set[str] = set()

    async def look(self) -> Sequence[Checked]:
        """What all of them came to."""
        found = await asyncio.gather(*(self._one(name) for name in self._checks))
        if self._draining():
            return [Checked("serving", ok=False, ms=0.0, words="it ends"), *found]
        return [Checked("serving", ok=True, ms=0.0), *found]

    async def _one(self, name: str) -> Checked:
        until, kept = self._kept.get(name, (0.0, None))
        if kept is not None and time.monotonic() < until:
            return kept
        task = self._running.get(name)
        if task is None:
            # One at a time: a part that hangs must not take a thread for each question.
            task = self._running[name] = asyncio.create_task(self._run(name))
            task.add_done_callback(lambda _: self._running.pop(name, None))
        try:
            return await asyncio.wait_for(asyncio.shield(task), LIMIT_SECONDS)
        except TimeoutError:
            words = f"{self._checks[name].words} (nothing was heard for {LIMIT_SECONDS:.0f} s)"
            return self._noted(Checked(name, ok=False, ms=LIMIT_SECONDS * 1000, words=words), "no answer in time")

    async def _run(self, name: str) -> Checked:
        check, began = self._checks[name], time.monotonic()
        reason = ""
        try:
            await asyncio.to_thread(check.look)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
        ms = round((time.monotonic() - began) * 1000, 1)
        found = Checked(name, ok=not reason, ms=ms, words=check.words if reason else "")
        self._kept[name] = (time.monotonic() + KEEP_SECONDS, found)
        return self._noted(found, reason)

    def _noted(self, found: Checked, reason: str) -> Checked:
        """Each change is logged once."""
        if found.ok == (found.name in self._bad):
            if found.ok:
                self._bad.discard(found.name)
                log.info("ready again: %s", found.name)
            else:
                self._bad.add(found.name)
                log.warning("not ready: %s: %s", found.name, reason)
        return found
