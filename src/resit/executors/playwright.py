"""The executor of Playwright Test suites, 1.44 and newer.

One process executes a batch on all lanes of the worker: Playwright's own dispatcher shares the tests out for nothing,
and a start costs more than most tests. Tests are chosen by id through a reporter that is added from outside; nothing
of the user's repository or configuration is touched.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from resit.domain.events import Log
from resit.domain.plan import PlannedTest, unique
from resit.domain.wire import MAX_SUITE
from resit.executors import playwright_command as command
from resit.executors.playwright_events import BatchFold, described, planned_tests
from resit.executors.process import Exit, SpoolTail, TestProcess
from resit.executors.watch import Overdue, Watch
from resit.plugin import Batch, BatchEnd, CollectionFailed, ExecutorError, Listing, Sink, Suite

__all__ = ["PlaywrightExecutor", "PlaywrightSession"]

_AFTER_TESTS = 10  # how much reports give way to tests, as nice(1) counts
_DISPATCH_COST = 2.4
_TAIL = 3000
_MOST_ERRORS = 10


class PlaywrightExecutor:
    """Lists and executes suites of Playwright Test."""

    @property
    def name(self) -> str:
        """The name of its entry point."""
        return "playwright"

    async def list(self, suite: Suite, sink: Sink) -> Listing:
        """Every test that a run of the suite would execute, in Playwright's order, setup and teardown projects too.

        A suite without tests is a listing without tests. Raises :class:`~resit.plugin.NotASuite` and
        :class:`~resit.plugin.CollectionFailed`.
        """
        installation = await asyncio.to_thread(command.find, suite)
        paths = command.Paths.new(suite.scratch, installation.release)
        command.prepare(suite, installation, paths, None)
        told = _ListingTold(sink)
        output = _Output(sink, skip_listing=True)
        process = _Process(
            command.list_command(suite, installation, paths),
            suite,
            command.environment(suite, installation, paths),
            Watch(suite.limits, "listing"),
        )
        exit_ = await process.run(paths, told.feed, output.write)
        if process.over is not None:
            said = "\n".join((*told.errors[:_MOST_ERRORS], output.tail)).strip()
            raise CollectionFailed(
                f"Playwright could not list the tests: {process.over.words}; it was loading the configuration and the "
                f"test files, which must not wait for anything\n{said}".strip()
            )
        if told.errors or not told.ended:
            cause = "\n".join(told.errors[:_MOST_ERRORS]) or output.tail or str(exit_)
            raise CollectionFailed(f"Playwright could not list the tests: {cause}")
        return Listing(
            tests=unique(told.tests),
            framework=f"Playwright {installation.version}",
            lanes=max(1, told.workers),
            shares_process=True,
            dispatch_cost=_DISPATCH_COST,
            suite=told.suite,
        )

    async def report(self, suite: Suite, blob: Path, to: Path, sink: Sink) -> None:
        """The HTML report, by the suite's own Playwright. See :meth:`resit.plugin.ReportMaker.report`.

        Raises :class:`~resit.plugin.NotASuite` and :class:`~resit.plugin.ExecutorError`.
        """
        installation = await asyncio.to_thread(command.find, suite)
        paths = command.Paths.new(suite.scratch, installation.release)
        output = _Output(sink)
        process = _Process(
            command.merge_command(installation, blob),
            suite,
            command.merge_environment(suite, to),
            Watch(suite.limits, "report"),
            _AFTER_TESTS,
        )
        exit_ = await process.run(paths, lambda _: None, output.write)
        if process.over is not None:
            raise ExecutorError(f"Playwright {installation.version} did not make the report: {process.over.words}")
        if exit_.code != 0 or not (to / "index.html").is_file():
            said = output.tail or str(exit_)
            raise ExecutorError(f"Playwright {installation.version} could not make the report: {said}")

    async def open(self, suite: Suite, lanes: int) -> "PlaywrightSession":
        """A session with ``lanes`` Playwright workers; raises :class:`~resit.plugin.NotASuite`."""
        return PlaywrightSession(suite, await asyncio.to_thread(command.find, suite), lanes)


class PlaywrightSession:
    """An open suite. Every batch has a process of its own; batches of one session run one after the other."""

    def __init__(self, suite: Suite, installation: command.Installation, lanes: int) -> None:
        self._suite = suite
        self._installation = installation
        self._lanes = max(1, lanes)
        self._current: _Process | None = None
        self._fold: BatchFold | None = None
        self._stopped = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def shares_process(self) -> bool:
        """True: a batch uses every lane."""
        return True

    async def hungry(self) -> None:
        """When no batch is under way: each has a process of its own, with a worker for every lane."""
        await self._idle.wait()

    async def last(self) -> None:
        """It makes no difference: nothing waits for a further batch."""

    async def run(self, batch: Batch, lane: int, sink: Sink) -> BatchEnd:
        """Execute ``batch``; ``lane`` is of no account. See :meth:`resit.plugin.Session.run`."""
        self._idle.clear()
        try:
            return await self._run(batch, sink)
        finally:
            self._idle.set()

    async def _run(self, batch: Batch, sink: Sink) -> BatchEnd:
        fold = self._fold = BatchFold(batch.tests)
        watch = Watch(batch.limits, tell=lambda: sink(Log("")))
        if self._stopped:
            fold.stop()
        while not self._stopped and (tests := fold.next_tests()):
            output = _Output(sink)
            try:
                exit_ = await self._execute(batch, tests, fold, output, sink, watch)
            except asyncio.CancelledError:
                _emit(sink, fold.flush())
                raise
            if self._stopped:
                _emit(sink, fold.flush())
                break
            events, obstacle = fold.after(exit_, output.tail)
            _emit(sink, events)
            if obstacle is not None and fold.untouched:
                raise ExecutorError(obstacle.message)
            if obstacle is not None:
                _emit(sink, fold.give_up(obstacle.message))
        return BatchEnd(tuple(fold.problems))

    async def _execute(
        self,
        batch: Batch,
        tests: tuple[PlannedTest, ...],
        fold: BatchFold,
        output: "_Output",
        sink: Sink,
        watch: Watch,
    ) -> Exit:
        suite, installation = self._suite, self._installation
        paths = command.Paths.new(suite.scratch, installation.release)
        seconds = [batch.expected.get(test.id, batch.usual) for test in tests] if self._lanes > 1 else []
        command.prepare(suite, installation, paths, tests, seconds)
        self._current = _Process(
            command.run_command(suite, installation, paths, tests, self._lanes),
            suite,
            command.environment(suite, installation, paths),
            watch,
        )

        def on_over(over: Overdue) -> None:
            fold.overdue(over)
            sink(Log(f"\nresit: {over.words}\n"))

        def on_line(line: dict[str, Any]) -> None:
            if line.get("t") == "complaint":
                sink(Log(f"Resit's reporter stumbled: {line['message']}\n"))
            elif line.get("t") == "start":
                watch.under_way()
            elif line.get("t") == "outside":  # a setup or teardown project that ran along
                sink(Log(f'project "{line["variant"]}": "{line["title"]}" failed: {line["message"]}\n'))
            _emit(sink, fold.feed(line))

        return await self._current.run(paths, on_line, output.write, on_over, fold.stop)

    async def stop(self) -> None:
        """End the running process and all that it started, politely first; :meth:`run` returns with what was done."""
        self._stopped = True
        if self._fold is not None:
            self._fold.stop()
        if self._current is not None:
            await self._current.stop()

    async def close(self) -> None:
        """End what still runs."""
        await self.stop()


class _Process:
    """One call of Playwright, from its start until nothing of it is left."""

    def __init__(self, argv: list[str], suite: Suite, env: dict[str, str], watch: Watch, nice: int = 0) -> None:
        self._nice = nice
        self._argv = argv
        self._suite = suite
        self._env = env
        self._watch = watch
        self.over: Overdue | None = None
        """The limit that the process was over when it was ended."""
        self._process: TestProcess | None = None
        self._stopped = False

    async def run(
        self,
        paths: command.Paths,
        on_line: Callable[[dict[str, Any]], None],
        on_output: Callable[[str], None],
        on_over: Callable[[Overdue], None] = lambda _: None,
        on_cancel: Callable[[], None] = lambda: None,
    ) -> Exit:
        """Run to the end; ``on_over`` is called before a process over a limit is ended, ``on_cancel`` before one that
        nobody wants any more.

        Raises :class:`ExecutorError` when the process can't be started.
        """
        try:
            process = await TestProcess.start(
                self._argv,
                cwd=self._suite.workdir,
                env=self._env,
                on_output=on_output,
                on_sign=self._watch.sign,
                nice=self._nice,
            )
        except OSError as error:
            raise ExecutorError(f"Playwright could not be started: {error}") from error
        self._process = process
        spool = SpoolTail(paths.spool, on_line, self._watch.sign)
        following = asyncio.create_task(spool.run())
        self._watch.start()
        try:
            return await (process.stop() if self._stopped else self._ended(process, spool, on_over))
        except asyncio.CancelledError:
            on_cancel()
            await process.stop()
            raise
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following
            spool.drain()
            await asyncio.to_thread(process.cleanup)

    async def _ended(self, process: TestProcess, spool: SpoolTail, on_over: Callable[[Overdue], None]) -> Exit:
        while isinstance(found := await self._watch.wait(process), Overdue):
            spool.drain()
            if found.final or self._watch.silent:  # else it said something a moment ago
                self.over = found
                on_over(found)
                return await process.stop()
        return found

    async def stop(self) -> None:
        self._stopped = True
        if self._process is not None:
            await self._process.stop()


class _Output:
    """Passes what Playwright prints on to the sink, and keeps the end of it for messages."""

    def __init__(self, sink: Sink, *, skip_listing: bool = False) -> None:
        self._sink = sink
        self._skip_listing = skip_listing
        self._tail = ""

    @property
    def tail(self) -> str:
        """The last lines, without blanks around them."""
        return self._tail.strip()

    def write(self, text: str) -> None:
        if self._skip_listing:  # a line a test, all of them known from the reporter
            lines = text.splitlines(keepends=True)
            text = "".join(line for line in lines if not (line.startswith("  ") and " › " in line))
        if text:
            self._tail = (self._tail + text)[-_TAIL:]
            self._sink(Log(text))


class _ListingTold:
    """What the reporter tells in a listing."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.tests: list[PlannedTest] = []
        self.errors: list[str] = []
        self.workers = 1
        self.suite = ""
        self.ended = False

    def feed(self, line: dict[str, Any]) -> None:
        match line.get("t"):
            case "tests":
                self.tests += planned_tests(line)
            case "config":
                self.workers = int(line["workers"])
            case "suite":
                self.suite = _compact(line["suite"])
            case "only":
                self._sink(Log(f"test.only: {line['kept']} of {line['all']} tests are listed\n"))
            case "error" | "complaint":
                self.errors.append(described(line))
            case "end":
                self.ended = True
            case _:
                pass


def _compact(suite: dict[str, Any]) -> str:
    """What is said of a suite, as short as it has to be: of very many projects no more than names and folders."""
    text = json.dumps(suite, ensure_ascii=False, separators=(",", ":"))
    if len(text) > MAX_SUITE:
        short = ("name", "dir", "repeat", "retries", "timeout", "needs")
        suite = {**suite, "projects": [{name: project.get(name) for name in short} for project in suite["projects"]]}
        text = json.dumps(suite, ensure_ascii=False, separators=(",", ":"))
    return text if len(text) <= MAX_SUITE else ""


def _emit(sink: Sink, events: list[Any]) -> None:
    for event in events:
        sink(event)
