"""Whether the processes of tests still do something: limits of silence and of time, kept at the loop of a process."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from resit.executors.process import Exit
from resit.plugin import Limits

__all__ = ["Ending", "Overdue", "Watch", "seconds"]

START_SECONDS = 10.0
"""So long a process may be silent before its first test, however short the limit: it loads, imports, compiles."""
_LONGEST_TICK = 1.0
_TICKS = 10
"""A limit is looked at this often within its length: it is late by so small a part of itself."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """A limit is over. ``words`` say which, and what to do; ``final``: nothing of the batch goes on afterwards."""

    words: str
    final: bool = False


class Ending(Protocol):
    """What ends."""

    async def wait(self) -> Exit:
        """Wait for the end."""
        ...


class Watch:
    """Watches over the processes of one batch, or of one listing; ``name`` is its word in messages.

    :meth:`sign` is to be called for each sign of life: an event, output. ``tell`` is called now and then while there
    are such, for who watches over the executor.
    """

    def __init__(self, limits: Limits, name: str = "batch", tell: Callable[[], None] = lambda: None) -> None:
        self._tell = tell
        self._signed = False
        self._limits = limits
        self._name = name
        self._began = time.monotonic()
        self._silent = 0.0
        self._under_way = False
        self._resting = False

    def start(self) -> None:
        """A new process begins."""
        self._silent = 0.0
        self._under_way = self._resting = False

    def rest(self, *, on: bool = True) -> None:
        """The process has nothing to do, and may be silent; ``on`` false: not any more."""
        self._resting = on
        self._silent = 0.0

    def under_way(self) -> None:
        """The process has begun with its tests."""
        self._under_way = True

    def sign(self) -> None:
        """Something was heard."""
        self._silent = 0.0
        self._signed = True

    @property
    def silent(self) -> bool:
        """True when the last thing that was heard is longer ago than the limit of silence."""
        return 0 < self._stall <= self._silent

    @property
    def _stall(self) -> float:
        stall = self._limits.stall
        return stall if self._under_way or stall <= 0 else max(stall, START_SECONDS)

    async def wait(self, process: Ending) -> "Exit | Overdue":
        """Wait for the end of the process, or of a limit. The process goes on in the latter case."""
        ending = asyncio.ensure_future(process.wait())
        try:
            while True:
                tick = self._tick()
                began = time.monotonic()
                done, _ = await asyncio.wait([ending], timeout=tick)
                if done:
                    return ending.result()
                if tick is None:
                    continue
                if self._signed:
                    self._signed = False
                    self._tell()
                # Not the time on the clock: a worker that was itself stopped, or whose machine slept, heard nothing.
                self._silent += 0.0 if self._resting else min(time.monotonic() - began, 2 * tick)
                if over := self._over():
                    return over
        finally:
            ending.cancel()

    def _tick(self) -> float | None:
        shortest = min((limit for limit in (self._limits.stall, self._limits.total) if limit > 0), default=None)
        return None if shortest is None else min(_LONGEST_TICK, shortest / _TICKS)

    def _over(self) -> Overdue | None:
        total = self._limits.total
        if 0 < total <= time.monotonic() - self._began:
            return Overdue(
                f"the {self._name} took more than {seconds(total)}: its process was ended ({self._name} limit; "
                "what needs longer needs a higher one)",
                final=True,
            )
        if self.silent:
            return Overdue(
                f"no sign of life for {seconds(self._stall)}: its process was ended (stall limit; "
                "what is silent for longer needs a higher one)"
            )
        return None


def seconds(number: float) -> str:
    """Seconds, for people: ``600 s``."""
    return f"{number:.3g} s" if number < 1000 else f"{number:.0f} s"
