"""The tests that a session of pytest has to execute: of which batch they are, and which one is next."""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from resit.domain.events import TestEvent, TestResult, TestStarted
from resit.domain.plan import PlannedTest
from resit.domain.pull import Pull
from resit.executors.pytest_events import uncollected
from resit.plugin import Batch, ExecutorError, Sink

__all__ = ["Opened", "Work"]

GIVEN_SECONDS = 0.04
"""So much work a lane is given at once: what it costs to ask is small beside it, and so is what others can't take."""
MOST_GIVEN = 20
AHEAD_SECONDS = 0.5
"""With less work than this left for each lane, the next batch is wanted."""
SETUP_SECONDS = 0.05
"""A setup that takes longer is worth knowing: who helps with the file pays it again."""


@dataclass(eq=False)
class Opened:
    """A batch under way. ``left``: how many of its tests have no final event. ``over``: it may return."""

    batch: Batch
    sink: Sink
    left: int
    problems: list[str] = field(default_factory=list[str])
    error: ExecutorError | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Work:
    """The open batches of a session with so many ``lanes``."""

    def __init__(self, lanes: int) -> None:
        self._lanes = lanes
        self._pull = Pull(lanes)
        self._owner: dict[str, tuple[Opened, PlannedTest]] = {}
        self._pace: float | None = None
        self.open: dict[int, Opened] = {}

    @property
    def left(self) -> int:
        """How many tests no lane has yet."""
        return self._pull.left

    @property
    def short(self) -> bool:
        """True when lanes will soon have nothing to do."""
        return self._pull.left <= self._lanes or self._pull.seconds <= self._lanes * AHEAD_SECONDS

    def begin(self, opened: Opened) -> None:
        """A batch more."""
        for test in opened.batch.tests:
            self._owner[test.id] = opened, test
        self.offer(opened.batch.tests)

    def offer(self, tests: Iterable[PlannedTest]) -> None:
        """Tests for any lane; those that are over, or that nobody wants to know of any more, are left out."""
        by_batch: dict[int, list[PlannedTest]] = {}
        for test in tests:
            if test.id in self._owner:
                by_batch.setdefault(self._owner[test.id][0].batch.number, []).append(test)
        for number, found in by_batch.items():
            batch = self.open[number].batch
            usual = batch.usual if self._pace is None or batch.expected else self._pace
            self._pull.add(found, batch.expected, usual)

    def clear(self) -> list[PlannedTest]:
        """Take all that no lane has."""
        return [test for test in self._pull.clear() if test.id in self._owner]

    def resolve(self, skipped: Mapping[str, str], broken: Mapping[str, str]) -> None:
        """The collection has said what becomes of tests; see :func:`uncollected`."""
        if skipped or broken:
            waiting = self.clear()
            for event in uncollected([test.id for test in waiting], skipped, broken):
                self.tell(event)
            self.offer(waiting)

    def next(self, lane: int) -> Iterator[tuple[int, PlannedTest]]:
        """The next tests of a lane, with the numbers of their batches: one that takes long, or a few that don't."""
        filled, count = 0.0, 0
        while filled < GIVEN_SECONDS and count < MOST_GIVEN:
            tests = self._pull.take(lane)
            if not tests:
                return
            for test in tests:
                if found := self._owner.get(test.id):
                    batch = found[0].batch
                    usual = batch.usual if self._pace is None else min(self._pace, batch.usual)
                    filled += batch.expected.get(test.id, usual)
                    count += 1
                    yield batch.number, test

    def leave(self, lane: int) -> None:
        """A lane is gone."""
        self._pull.leave(lane)

    def tell(self, event: TestEvent) -> None:
        """Hand an event on to the batch of its test."""
        found = self._owner.get(event.test)
        if found is None:
            return
        opened, test = found
        opened.sink(event)
        if isinstance(event, TestResult):
            self._learn(event, test)
        if not isinstance(event, TestStarted) and not (isinstance(event, TestResult) and not event.final):
            del self._owner[event.test]
            opened.left -= 1

    def _learn(self, event: TestResult, test: PlannedTest) -> None:
        pace = self._pace
        self._pace = event.duration if pace is None else 0.9 * pace + 0.1 * event.duration
        setup = event.steps[0] if event.steps else None
        if setup is not None and setup.title == "setup" and setup.duration > SETUP_SECONDS:
            self._pull.learn(test.file, setup.duration)

    def check(self, busy: Collection[int]) -> None:
        """Batches may return whose tests are all final, but those that a process still has something to say of."""
        for number, opened in self.open.items():
            if opened.left <= 0 and number not in busy:
                opened.over.set()

    def opened(self, number: int) -> Opened | None:
        """The batch of that number, or any that is still open."""
        return self.open.get(number) or next((o for o in self.open.values() if not o.over.is_set()), None)

    def of(self, opened: Opened) -> set[str]:
        """The tests of a batch that are not over."""
        return {test for test, (owner, _) in self._owner.items() if owner is opened}

    def batches(self, tests: Iterable[str]) -> set[Opened]:
        """The batches of tests."""
        return {self._owner[test][0] for test in tests if test in self._owner}

    def forget(self, tests: Iterable[str]) -> None:
        """Nobody says a word on these any more."""
        for test in tests:
            if found := self._owner.pop(test, None):
                found[0].left -= 1

    def fail(self, error: ExecutorError | None) -> None:
        """No batch is carried through."""
        self._pull.clear()
        self._owner.clear()
        for opened in self.open.values():
            opened.error = opened.error or error
            opened.over.set()
