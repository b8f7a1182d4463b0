"""pytest by batches: each is a process of its own, in which a plugin keeps the tests of the batch."""

import asyncio
import contextlib
import time
from typing import Any

from resit.domain.events import Log
from resit.executors.process import Exit, TestProcess
from resit.executors.pytest_command import Command, Tail, process_of
from resit.executors.pytest_events import Progress, decide
from resit.executors.watch import Watch
from resit.plugin import Batch, BatchEnd, Sink

__all__ = ["BatchesSession"]


class BatchesSession:
    """An open suite: each lane runs its batches in processes of its own.

    For suites that something else than pytest's own loop carries out (pytest-xdist): the tests must be known when the
    process starts.
    """

    shares_process = False

    def __init__(self, command: Command) -> None:
        self._command = command
        self._processes: set[TestProcess] = set()
        self._starting = asyncio.Lock()
        self._stopped = False

    async def hungry(self) -> None:
        """Nobody asks: each lane has a batch of its own."""

    async def last(self) -> None:
        """It makes no difference."""

    async def run(self, batch: Batch, lane: int, sink: Sink) -> BatchEnd:
        """Execute a batch: in one process, and in further ones as long as a process dies and leaves tests over."""
        progress, watch = Progress(batch.tests), Watch(batch.limits, tell=lambda: sink(Log("")))
        problems: list[str] = []
        while progress.left and not self._stopped:
            progress.next_process()
            tail = Tail(sink)
            try:
                exit = await self._process(progress, batch, sink, tail, watch)
            except asyncio.CancelledError:
                _cut_off(progress, sink)
                raise
            if self._stopped:
                _cut_off(progress, sink)
                break
            decision = decide(progress, exit, tail.text)
            problems.extend(decision.problems)
            for event in progress.close(decision.events):
                sink(event)
            if decision.error is not None:
                raise decision.error
            if not decision.again:
                break
            progress.barren = 0 if decision.events or progress.executed_now else progress.barren + 1
        for trouble in progress.troubles:
            sink(Log(f"resit: trouble in the pytest plugin:\n{trouble}"))
        return BatchEnd(tuple(problems))

    async def _process(self, progress: Progress, batch: Batch, sink: Sink, tail: Tail, watch: Watch) -> Exit:
        def on_line(line: dict[str, Any]) -> None:
            for event in progress.line(line):
                sink(event)
            if progress.in_flight:
                watch.under_way()

        settings = {
            "mode": "run",
            "ids": [*progress.left],
            "files": sorted({test.file for test in progress.left.values()}),
            "shunned": progress.shunned,
        }
        async with contextlib.AsyncExitStack() as stack:
            async with self._starting:
                if self._stopped:
                    return Exit(None, "SIGINT")
                starting = process_of(self._command, f"{batch.number}", settings, on_line, tail, watch)
                running = await stack.enter_async_context(starting)
                self._processes.add(running.process)
            try:
                ended = await running.ended(progress.stacks, lambda: self._files(progress))
                if isinstance(ended, Exit):
                    return ended
                progress.hang = ended
                sink(Log(f"\nresit: {ended.message}\n{ended.stack}\n"))
                return await running.process.stop()
            finally:
                self._processes.discard(running.process)

    @staticmethod
    def _files(progress: Progress) -> list[str]:
        """Where a process that hangs is expected to be."""
        return [progress.left[test].file for test in progress.in_flight if test in progress.left] or [
            *progress.collecting.values()
        ]

    async def stop(self) -> None:
        """End all processes; running batches return early."""
        self._stopped = True
        async with self._starting:  # a process that is being started is known afterwards
            await asyncio.gather(*(process.stop() for process in self._processes))

    async def close(self) -> None:
        """End what is still there."""
        await self.stop()


def _cut_off(progress: Progress, sink: Sink) -> None:
    for event in progress.interrupted(time.time()):
        sink(event)
