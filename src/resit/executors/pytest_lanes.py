"""pytest by lanes: processes that have collected once pull the tests of all batches, one or a few at a time.

The first process of a session collects. Where nothing speaks against it, it then forks the lanes (see
``injected/resit_lanes.py``); where something does, or one lane is all that is wanted, it is a lane itself, and the
others are processes of their own that collect as well. Which test goes where is decided by :mod:`resit.domain.pull`;
what the end of a process means, by :func:`resit.executors.pytest_events.decide`, as for batches.
"""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from resit.domain.events import Event, Log, Setting, TestResult
from resit.domain.plan import PlannedTest
from resit.executors.process import Exit, SpoolTail
from resit.executors.pytest_batches import BatchesSession
from resit.executors.pytest_command import Command, Tail, process_of
from resit.executors.pytest_events import decide, out_of_time
from resit.executors.pytest_member import Bell, Channel, Forked, Member
from resit.executors.pytest_work import Opened, Work
from resit.executors.watch import Overdue, Watch, seconds
from resit.plugin import Batch, BatchEnd, ExecutorError, Limits, Sink

__all__ = ["LanesSession"]

LINGER_SECONDS = 0.5
"""So long lanes without work wait for the next batch."""
HOST_SECONDS = 2.0


class LanesSession:
    """An open suite with ``lanes`` lanes."""

    shares_process = True

    def __init__(self, command: Command, lanes: int) -> None:
        self._command, self._lanes = command, max(1, lanes)
        self._folder = Path(tempfile.mkdtemp(prefix="lanes-", dir=command.suite.scratch))
        self._bell = Bell(self._folder / "bell", self._drain)
        self._batches: BatchesSession | None = None
        self._work = Work(self._lanes)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._members: dict[int, Member] = {}
        self._starting = asyncio.Lock()
        self._forks: bool | None = None
        self._host: Member | None = None
        self._hosting: asyncio.Task[None] | None = None
        self._count = 0
        self._stopped = self._last = False
        self._linger: asyncio.TimerHandle | None = None
        self._wanted = asyncio.Event()
        # What is known over all processes of the session.
        self._shunned: list[str] = []
        self._skipped: dict[str, str] = {}
        self._broken: dict[str, str] = {}
        self._failed = self._started = False
        self._barren = self._stalls = 0
        self._troubles: set[str] = set()

    # ------------------------------------------------------------ what the worker asks for

    async def hungry(self) -> None:
        """Until the lanes have little left to do."""
        while not (self._stopped or self._is_hungry()):
            self._wanted.clear()
            await self._wanted.wait()

    def _is_hungry(self) -> bool:
        if self._batches is not None:
            return len(self._work.open) < self._lanes
        return self._work.short

    async def last(self) -> None:
        """Lanes without work need not wait any more."""
        self._last = True
        self._feed()

    async def run(self, batch: Batch, lane: int, sink: Sink) -> BatchEnd:
        """Execute a batch, beside the others that are under way."""
        opened = self._work.open[batch.number] = Opened(batch, sink, len(batch.tests))
        try:
            if self._batches is None and not self._stopped and batch.tests:
                self._take(opened)
                await self._within(opened)
            if self._batches is not None and not self._stopped:
                return await self._batches.run(batch, lane, sink)
        except asyncio.CancelledError:
            await self._drop(opened)
            raise
        finally:
            self._work.open.pop(batch.number, None)
            self._wanted.set()
        if opened.error is not None:
            raise opened.error
        return BatchEnd(tuple(opened.problems))

    async def stop(self) -> None:
        """End all processes; running batches return early."""
        self._stopped = True
        self._wanted.set()
        if self._batches is not None:
            await self._batches.stop()
        members = [member for member in self._members.values() if member is not self._host]
        await asyncio.gather(*(member.process.stop() for member in members if member.process is not None))
        if self._host is not None and self._host.process is not None:  # its lanes end with it
            await self._host.process.stop()
        await self._quiet()
        self._work.fail(None)

    async def close(self) -> None:
        """The host may end as pytest does; whatever is left is ended."""
        if self._host is not None and not self._stopped:
            self._host.tell()
            if self._hosting is not None:
                await asyncio.wait({self._hosting}, timeout=HOST_SECONDS)
        await self.stop()
        self._bell.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _quiet(self) -> None:
        tasks = [*self._tasks.values(), *([self._hosting] if self._hosting else [])]
        if tasks:
            await asyncio.wait(tasks, timeout=HOST_SECONDS)
        for task in tasks:
            task.cancel()

    # ------------------------------------------------------------ batches

    def _take(self, opened: Opened) -> None:
        self._work.begin(opened)
        self._last = False
        self._work.resolve(self._skipped, self._broken)
        self._feed()
        self._fill()

    async def _within(self, opened: Opened) -> None:
        """Until the batch is over, or its limit is."""
        total = opened.batch.limits.total
        waiting = asyncio.ensure_future(opened.over.wait())
        try:
            if not (await asyncio.wait({waiting}, timeout=total if total > 0 else None))[0]:
                await self._overdue(opened)
                await waiting
        finally:
            waiting.cancel()

    async def _drop(self, opened: Opened) -> None:
        """Nobody wants to know of this batch any more: what executes its tests is ended, the others' go on."""
        if self._batches is not None:
            return
        mine = self._work.of(opened)
        now = time.time()
        doomed = [m for m in self._members.values() if m.process is not None and mine & m.progress.left.keys()]
        for member in doomed:
            member.dropped = True
            for event in member.progress.interrupted(now):
                if event.test in mine:
                    opened.sink(event)
        self._work.forget(mine)
        self._work.offer(self._work.clear())
        await asyncio.gather(*(member.process.stop() for member in doomed if member.process is not None))

    async def _overdue(self, opened: Opened) -> None:
        """The batch has taken too long."""
        total = opened.batch.limits.total
        late = Overdue(
            f"the batch took more than {seconds(total)}: its process was ended (batch limit; what needs longer needs a "
            "higher one)",
            final=True,
        )
        mine = self._work.of(opened)
        rest = [test for test in self._work.clear() if test.id not in mine]
        flying = [m for m in self._members.values() if mine & m.progress.in_flight.keys()]
        given = {test for m in self._members.values() for test in m.progress.left}
        for event in out_of_time([t for t in mine if t not in given], late.words, known=bool(flying)):
            self._work.tell(event)
        self._work.offer(rest)
        for member in flying:
            if not member.overdue.done():
                member.overdue.set_result(late)
        self._check()

    # ------------------------------------------------------------ lanes

    def _fill(self) -> None:
        """Start lanes as long as there is something for them to do."""
        beginning = sum(1 for lane in self._tasks if lane not in self._members or not self._members[lane].last)
        for lane in range(self._lanes):
            if self._stopped or self._batches is not None or self._work.left <= beginning:
                return
            if lane not in self._tasks:
                beginning += 1
                task = self._tasks[lane] = asyncio.create_task(self._lane(lane))
                task.add_done_callback(lambda task, lane=lane: self._lane_over(lane, task))

    def _lane_over(self, lane: int, task: asyncio.Task[None]) -> None:
        self._tasks.pop(lane, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._work.fail(error if isinstance(error, ExecutorError) else ExecutorError(f"a lane broke: {error!r}"))
        self._check()
        self._fill()

    async def _lane(self, lane: int) -> None:
        """One process, from its start to its end."""
        async with self._starting:
            if self._stopped or self._batches is not None:
                return
            task: asyncio.Task[None] | None = None
            if self._forks is None or (self._forks and self._host is None):
                first = self._member(lane)
                task = asyncio.create_task(self._own(first, self._lanes))
                await asyncio.wait({task, first.ready}, return_when=asyncio.FIRST_COMPLETED)
                if task.done():
                    task.result()
                    return
                self._forks = bool(first.ready.result()["forks"])
                if self._forks:
                    self._host, self._hosting = first, task
                    self._members.pop(lane, None)
                elif self._lanes > 1:
                    why = first.ready.result()["reason"]
                    self._log(first, Log(f"resit: each lane is a pytest of its own, as {why}\n"))
        if self._forks:
            await self._forked(lane)
        else:
            await (task or self._own(self._member(lane), 1))

    def _member(self, lane: int) -> Member:
        self._count += 1
        limits = next((opened.batch.limits for opened in self._work.open.values()), Limits())
        watch = Watch(Limits(stall=limits.stall), tell=self._alive)
        channel = Channel(self._folder / f"{self._count}", self._bell.path)
        member = self._members[lane] = Member(self._count, lane, channel, watch, self._command.suite.workdir)
        member.progress.stalls, member.progress.barren = self._stalls, self._barren
        return member

    def _alive(self) -> None:
        """A sign of life, for all batches: those that wait for a lane live by those that have one."""
        for opened in self._work.open.values():
            opened.sink(Log(""))

    async def _own(self, member: Member, lanes: int) -> None:
        """A pytest of its own: a lane, or the host of many."""
        settings = {
            "mode": "lanes",
            "ids": [],
            "files": list(self._command.suite.files),
            "shunned": self._shunned,
            "lanes": lanes,
            "tasks": str(member.channel.tasks),
            "bell": str(member.channel.bell),
        }
        tail = Tail(lambda event: self._log(member, event))

        def on_line(line: dict[str, Any]) -> None:
            self._line(member, line)

        try:
            async with process_of(self._command, "lane", settings, on_line, tail, member.watch) as found:
                member.process, member.spool = found.process, found.spool
                if self._stopped:
                    await found.process.stop()
                exit = await self._ended(member, tail)
        finally:
            member.channel.close()
        self._settle(member, exit, tail)

    async def _forked(self, lane: int) -> None:
        """A lane that the host forks."""
        host = self._host
        if host is None:
            return
        member = self._member(lane)
        tail = Tail(lambda event: self._log(member, event))
        channel, watch = member.channel, member.watch
        forked = member.process = Forked(channel, tail.add, watch.sign)
        spool, outputs = channel.folder / "spool.jsonl", channel.folder / "outputs"
        outputs.mkdir()
        member.spool = SpoolTail(spool, lambda line: self._line(member, line), watch.sign)
        member.progress.keep_on, member.progress.collect_errors = host.progress.keep_on, dict(self._broken)
        following = asyncio.create_task(member.spool.run())
        watch.start()
        host.channel.say(
            lane=member.number,
            spool=str(spool),
            outputs=str(outputs),
            output=str(forked.path),
            tasks=str(channel.tasks),
            bell=str(channel.bell),
            marker=forked.marker,
        )
        try:
            exit = await self._ended(member, tail)
        finally:
            following.cancel()
            await forked.stop(grace=0)
            member.spool.drain()
            channel.close()
        self._settle(member, exit, tail)

    async def _ended(self, member: Member, tail: Tail) -> Exit:
        """Wait for the end of a process; end it when it hangs."""
        ended = await member.over()
        if isinstance(ended, Exit):
            return ended
        if member.process is None:
            raise AssertionError
        member.drain()
        member.progress.hang = ended
        self._log(member, Log(f"\nresit: {ended.message}\n{ended.stack}\n"))
        del tail
        return await member.process.stop()

    def _settle(self, member: Member, exit: Exit, tail: Tail) -> None:
        """A process is over: what that means for its tests, and for those that nobody has."""
        lane = next((n for n, found in self._members.items() if found is member), None)
        if lane is not None:
            self._work.leave(lane)
        try:
            if member is self._host:
                self._host = None
                for other in self._members.values():
                    if isinstance(other.process, Forked):
                        other.process.ended(Exit(None, "SIGKILL"))
            elif self._stopped:
                for event in member.progress.interrupted(time.time()):
                    self._work.tell(event)
            elif member.dropped:
                self._work.offer(test for test in member.progress.left.values())
            elif self._batches is None:
                self._judge(member, exit, tail.text)
        finally:
            if lane is not None:
                del self._members[lane]
            for trouble in member.progress.troubles:
                if trouble not in self._troubles and len(self._troubles) < 5:
                    self._troubles.add(trouble)
                    self._log(member, Log(f"resit: trouble in the pytest plugin:\n{trouble}"))
            self._check()

    def _judge(self, member: Member, exit: Exit, text: str) -> None:
        """The same as at the end of a batch of its own: with all the tests that no other process has."""
        progress, others = member.progress, list[PlannedTest]()
        if not (member.told and progress.end is not None and not progress.left):
            rest = self._work.clear()
            if progress.hang is not None and progress.hang.final:
                late = {test.id for test in progress.left.values() if test.id in progress.in_flight}
                own = {test for opened in self._work.batches(late) for test in self._work.of(opened)}
                others = [test for test in progress.left.values() if test.id not in own] + rest
                rest = []
                for test in others:
                    progress.left.pop(test.id, None)
            progress.left.update((test.id, test) for test in rest)
        progress.failed, progress.started = progress.failed or self._failed, progress.started or self._started
        progress.failed_now = progress.failed_now or bool(self._broken)  # pytest counts them in each process
        decision = decide(progress, exit, text)
        for event in progress.close(decision.events):
            self._work.tell(event)
        if decision.problems and (opened := self._work.opened(member.last)):
            opened.problems += decision.problems
        self._failed, self._started = progress.failed, progress.started
        self._stalls = progress.stalls
        if decision.error is not None:
            self._work.fail(decision.error)
            return
        self._barren = 0 if decision.events or progress.executed_now else self._barren + 1
        self._shunned += [place for place in progress.shunned if place not in self._shunned]
        if decision.again:
            self._work.offer(progress.left.values())
        else:
            self._work.forget(progress.left)  # without a word on them: the worker says so
        self._work.offer(others)

    # ------------------------------------------------------------ what processes say

    def _log(self, member: Member, event: Event) -> None:
        if opened := self._work.opened(member.last):
            opened.sink(replace(event, lane=member.lane) if isinstance(event, Log) else event)

    def _drain(self) -> None:
        for member in [*self._members.values(), *([self._host] if self._host else [])]:
            member.drain()

    def _line(self, member: Member, line: Mapping[str, Any]) -> None:
        """A line of the plugin."""
        match line["kind"]:
            case "want":
                member.waiting = True
                member.watch.rest()
                self._feed()
            case "ready":
                member.watch.rest()
                self._work.resolve(self._skipped, self._broken)
                if not member.ready.done():
                    member.ready.set_result(dict(line))
            case "classic":
                self._batches = BatchesSession(self._command)
                self._work.fail(None)
            case "lane" if isinstance(member.process, Forked):
                member.process.known(line["pid"])
            case "lane_over":
                self._lane_is_over(line)
            case "collect_skip":
                self._skipped[line["id"]] = line["reason"]
            case _:
                self._about_tests(member, line)

    def _lane_is_over(self, line: Mapping[str, Any]) -> None:
        """The host says how a lane ended; it may have refused one."""
        if line.get("reason"):
            self._forks = False
        found = next((m for m in self._members.values() if m.number == line["lane"]), None)
        if found is not None and isinstance(found.process, Forked):
            found.drain()
            if line.get("reason"):
                found.dropped = True
            found.process.ended(Exit.of(line["status"]))

    def _about_tests(self, member: Member, line: Mapping[str, Any]) -> None:
        progress = member.progress
        for event in progress.line(dict(line)):
            if isinstance(event, TestResult) and self._lanes > 1:
                event = replace(event, setting=Setting(worker=member.number, parallel=member.lane))  # noqa: PLW2901
            self._work.tell(event)
        if line["kind"] == "collect_error":
            self._broken[line["id"]] = line["text"]
        if line["kind"] == "end" and isinstance(member.process, Forked):
            member.process.ended(Exit(int(line["status"]), None))
        if progress.in_flight:
            member.watch.under_way()

    # ------------------------------------------------------------ what is next

    def _feed(self) -> None:
        """Give work to lanes that wait for it, or send them home."""
        idle = False
        for lane, member in list(self._members.items()):
            if not member.waiting:
                continue
            if self._give(lane, member):
                continue
            if self._last or self._stopped:
                member.tell()
            else:
                idle = True
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        if idle:
            self._linger = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._no_more)
        self._check()

    def _no_more(self) -> None:
        self._linger = None
        if not self._work.left:
            for member in self._members.values():
                if member.waiting:
                    member.tell()

    def _give(self, lane: int, member: Member) -> bool:
        """Tests for a lane that waits for some; False when there are none."""
        ids: list[str] = []
        for number, test in self._work.next(lane):
            member.progress.left[test.id] = test
            member.last = number
            ids.append(test.id)
        if ids:
            member.give(ids)
        return bool(ids)

    def _check(self) -> None:
        """See which batches are over: no process that executed one has still something to say of it."""
        self._work.check({member.last for member in self._members.values()})
        if self._is_hungry():
            self._wanted.set()
