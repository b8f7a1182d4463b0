"""One worker's share of one run: a workspace, an executor session, lanes that pull batches until none is left."""

import asyncio
import json
import logging
import os
import shutil
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from resit.domain import wire
from resit.domain.events import Attachment, Log, TestResult
from resit.domain.plan import PlannedTest
from resit.plugin import Batch, Event, Executor, ExecutorError, Session, Sink, Suite
from resit.ports import BrokerAway, Delivery, Uploads, WorkerBroker
from resit.worker.environment import test_environment
from resit.worker.report import Reporter, Voices
from resit.worker.scrub import Scrubber
from resit.worker.workspace import Source, Workspace, WorkspaceError, Workspaces

log = logging.getLogger(__name__)
ANSWER_SECONDS = 5.0
JOIN_SECONDS = 0.05
"""How long the first lane of a run waits for the others of this worker, after the workspace is ready."""
NO_MORE_SECONDS = 0.3
"""A lane that gets no batch within this time leaves."""


class RunOver(Exception):
    """The run ended before the work began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a worker works with."""

    name: str
    broker: WorkerBroker
    workspaces: Workspaces
    executors: Mapping[str, Executor]
    uploads: Uploads
    voices: Voices
    scratch: Path
    cache: Path


@dataclass(slots=True)
class Held:
    """The messages under lease, and the attempts that this worker speaks for."""

    deliveries: dict[object, Delivery] = field(default_factory=dict[object, Delivery])
    claims: set[str] = field(default_factory=set[str])


def private_prefix(pid: int) -> str:
    """How the private folders of a worker process begin, under the system's folder for temporary files."""
    return f"resit-{pid}-"


async def ask(broker: WorkerBroker, question: str, about: Mapping[str, Any]) -> bytes:
    """The control plane's answer; waits as long as it is away."""
    data = json.dumps(dict(about)).encode()
    while True:
        try:
            return await broker.ask(question, data, ANSWER_SECONDS)
        except BrokerAway as away:
            log.info("question %r waits: %s", question, away)
            await asyncio.sleep(0.5)


class RunWork:
    """What planning and executing a run on this worker have in common."""

    def __init__(self, tools: Tools, run: int, held: Held) -> None:
        self.tools, self.run, self.held = tools, run, held
        self.claim = uuid4().hex
        self.reporter = Reporter(tools.broker, run, self.claim, tools.voices)
        self.scrubber = Scrubber(())
        self.session: Session | None = None
        self.stopping = self.leaving = False
        self._task: asyncio.Task[None] | None = None
        self._workspace: Workspace | None = None
        self._private: list[Path] = []
        self._tail: asyncio.Task[object] | None = None

    async def prepare(self, shard: int) -> tuple[dict[str, Any], Executor, Suite]:
        """The run's specification, and its suite ready on this machine.

        Raises :class:`RunOver`, :class:`WorkspaceError`, :class:`ExecutorError`.
        """
        spec = json.loads(await ask(self.tools.broker, "spec", {"run": self.run}))
        if not spec["open"]:
            raise RunOver
        self.scrubber = Scrubber(spec["secrets"])
        executor = self.tools.executors.get(spec["executor"])
        if executor is None:
            raise ExecutorError(
                f"this worker has no executor {spec['executor']!r}; it has {sorted(self.tools.executors)}"
            )
        self._workspace = await self.tools.workspaces.prepare(
            Source(**spec["source"]),
            lambda text: self._log(shard, text),
            env=spec["variables"],
        )
        scratch = self.tools.scratch / uuid4().hex
        scratch.mkdir(parents=True)
        # Short, because sockets in it have at most 108 characters of path.
        private = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix=private_prefix(os.getpid())))
        self._private = [scratch, private]
        home, tmp = private / "home", private / "tmp"
        home.mkdir()
        tmp.mkdir()
        suite = Suite(
            root=self._workspace.root,
            workdir=self._workspace.workdir,
            env=test_environment(spec["variables"], home=home, tmp=tmp, worker=self.tools.name),
            scratch=scratch,
            cache=self.tools.cache,
            config=spec["config"],
        )
        return spec, executor, suite

    def _log(self, shard: int, text: str) -> None:
        self.reporter.log(shard, self.scrubber.text(text if text.endswith("\n") else text + "\n"))

    @property
    def busy(self) -> bool:
        """True while there is something to stop; work that is at its end is left to end by itself."""
        return True

    @property
    def commit(self) -> str:
        """The commit that was checked out; empty for a plain folder."""
        return self._workspace.commit if self._workspace else ""

    @property
    def branch(self) -> str:
        """The branch that was taken, when there were two to choose from."""
        return self._workspace.branch if self._workspace else ""

    async def stop(self, *, leaving: bool = False) -> None:
        """End the tests: the run is over, or (``leaving``) the worker goes and nobody waits for its uploads."""
        self.stopping = True
        self.leaving = leaving
        if self.session is not None:
            await self.session.stop()
        elif self._task is not None:
            self._task.cancel()

    async def release(self) -> None:
        """Let others have the workspace; before a report that lets them begin, lest they make and set up another."""
        if self._workspace is not None:
            await asyncio.to_thread(self.tools.workspaces.release, self._workspace)

    async def clean(self) -> None:
        """Give back what the work held on this machine."""
        await self.release()
        await self.reporter.close()
        for folder in self._private:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


class PlanWork(RunWork):
    """List the suite of a run."""

    async def execute(self, delivery: Delivery) -> None:
        """Report the plan, or why there is none."""
        key = object()
        self.held.deliveries[key] = delivery
        self._task = asyncio.create_task(self._list())
        try:
            await self._task
        except asyncio.CancelledError:
            if not self.stopping:
                raise
        finally:
            await self.clean()
            del self.held.deliveries[key]
        await delivery.done()

    async def _list(self) -> None:
        self.reporter.put(self.claim, "plan.started")
        try:
            _, executor, suite = await self.prepare(0)
            listing = await executor.list(suite, self._sink)
        except RunOver:
            return
        except (WorkspaceError, ExecutorError) as error:
            message = self.scrubber.text(str(error))
            self._log(0, f"\n{message}")
            self.reporter.put(self.claim, "plan.failed", code=error.code, message=message)
            return
        parts = self.reporter.plan(self.claim, listing.tests)
        facts = {
            "framework": listing.framework,
            "lanes": listing.lanes,
            "shares_process": listing.shares_process,
            "dispatch_cost": listing.dispatch_cost,
            "approximate": listing.approximate,
        }
        await self.release()
        self.reporter.put(self.claim, "plan.ended", parts=parts, facts=facts, commit=self.commit, branch=self.branch)

    def _sink(self, event: Event) -> None:
        if isinstance(event, Log):
            self._log(0, event.text)


class ShardWork(RunWork):
    """Execute batches of a run on the lanes that this worker holds for it."""

    def __init__(self, tools: Tools, run: int, held: Held) -> None:
        super().__init__(tools, run, held)
        self.shards: list[tuple[int, Delivery]] = []
        self.joinable = True
        self._running: set[int] = set()

    @property
    def busy(self) -> bool:
        """Before the session is open, and while a batch runs."""
        return self.session is None or bool(self._running)

    def join(self, shard: int, delivery: Delivery) -> None:
        """One more lane for this run, before its session is open."""
        self.shards.append((shard, delivery))
        self.held.deliveries[delivery] = delivery

    async def execute(self, free: int) -> None:
        """Until no batch is left. ``free``: slots of this worker that may still join."""
        self._task = asyncio.create_task(self._execute(free))
        try:
            await self._task
        except asyncio.CancelledError:
            if not self.stopping:
                raise
        finally:
            self.joinable = False
            await self.clean()
            for _, delivery in self.shards:
                self.held.deliveries.pop(delivery, None)
        for _, delivery in self.shards:
            await self._settle(delivery)

    async def _execute(self, free: int) -> None:
        first = self.shards[0][0]
        try:
            spec, executor, suite = await self.prepare(first)
            self.reporter.put(self.claim, "shard.started", commit=self.commit, branch=self.branch)
            if free > 0 and len(self.shards) < spec["total_shards"]:
                await asyncio.sleep(JOIN_SECONDS)
            self.joinable = False
            self.session = await executor.open(suite, len(self.shards))
        except RunOver:
            return
        except (WorkspaceError, ExecutorError) as error:
            message = self.scrubber.text(str(error))
            self._log(first, f"\n{message}")
            self.reporter.put(self.claim, "shard.failed", code=error.code, message=message)
            return
        session = self.session
        lanes = self.shards[:1] if session.shares_process else self.shards
        try:
            async with asyncio.TaskGroup() as group:
                for lane, (shard, _) in enumerate(lanes):
                    group.create_task(self._lane(session, lane, shard, spec["upload"]))
        finally:
            await session.close()

    async def _lane(self, session: Session, lane: int, shard: int, upload: Mapping[str, str]) -> None:
        while not self.stopping:
            try:
                delivery = await self.tools.broker.batch(self.run, NO_MORE_SECONDS)
            except BrokerAway:
                await asyncio.sleep(0.5)
                continue
            if delivery is None:
                return
            number, tests = await self._tests(delivery)
            key = (self.run, number)  # other runs of this worker have batches of the same number
            if number in self._running:
                # It came back while it runs here: the broker was away for longer than a lease.
                self.held.deliveries[key] = delivery
                continue
            if not tests:
                await self._settle(delivery)
                continue
            self.held.deliveries[key] = delivery
            self._running.add(number)
            try:
                await self._batch(session, lane, shard, Batch(number, tests), upload)
            finally:
                # Not held any more, whatever happened: a lease that nobody renews is how a failure gets noticed.
                self._running.discard(number)
                delivery = self.held.deliveries.pop(key)
            await self._settle(delivery)

    async def _settle(self, delivery: Delivery) -> None:
        """Done; or, when the work was stopped in the middle, back to the broker."""
        try:
            await (delivery.give_back() if self.stopping else delivery.done())
        except BrokerAway as away:
            log.info("run %s: a message could not be settled, its lease will end: %s", self.run, away)

    async def _tests(self, delivery: Delivery) -> tuple[int, tuple[PlannedTest, ...]]:
        """The batch; what an earlier attempt finished is not executed again."""
        data = json.loads(zlib.decompress(delivery.data))
        tests = data["tests"]
        if delivery.deliveries > 1:
            answer = await ask(self.tools.broker, "batch", {"run": self.run, "batch": data["batch"]})
            tests = json.loads(zlib.decompress(answer))["tests"]
        return int(data["batch"]), tuple(wire.test_from_wire(test) for test in tests)

    async def _batch(self, session: Session, lane: int, shard: int, batch: Batch, upload: Mapping[str, str]) -> None:
        claim = uuid4().hex
        about = {"batch": batch.number, "worker": self.tools.name, "shard": shard}
        uploads: list[asyncio.Task[bool]] = []
        self.held.claims.add(claim)
        self.reporter.put(claim, "batch.started", **about)
        problems: list[str] = []
        reason = ""
        try:
            end = await session.run(batch, lane, self._batch_sink(claim, about, shard, upload, uploads))
            problems = [self.scrubber.text(problem) for problem in end.problems]
        except ExecutorError as error:
            reason = self.scrubber.text(str(error))
            problems = [reason]
            self._log(shard, f"\n{reason}")
        except Exception as error:
            # A fault of the executor's: its tests are errored and say so, the other batches go on.
            log.exception("run %s: the executor broke on batch %s", self.run, batch.number)
            reason = self.scrubber.text(f"the executor broke: {error!r}")
            problems = [reason]
        finally:
            if self.leaving:
                for task in uploads:
                    task.cancel()
            await asyncio.gather(*uploads, return_exceptions=True)
            if self.leaving:
                self.reporter.put(claim, "batch.returned", **about)
            elif not self.stopping:
                self.reporter.put(claim, "batch.ended", **about, problems=problems, reason=reason)
            await self.reporter.flush()
            self.held.claims.discard(claim)

    def _batch_sink(
        self,
        claim: str,
        about: Mapping[str, Any],
        shard: int,
        upload: Mapping[str, str],
        uploads: list[asyncio.Task[bool]],
    ) -> Sink:
        def sink(event: Event) -> None:
            event = self.scrubber.event(event)
            if isinstance(event, Log):
                self.reporter.log(shard, event.text)
                return
            if isinstance(event, TestResult) and event.attachments:
                named = [self._named(attachment) for attachment in event.attachments]
                event = replace(event, attachments=tuple(a for a in named if a is not None))
                uploads.extend(asyncio.create_task(self._upload(upload, a)) for a in event.attachments)
            self.reporter.event(claim, about, event)

        return sink

    def _named(self, attachment: Attachment) -> Attachment | None:
        """The attachment with the id under which it will be stored; None when its file is not there."""
        try:
            path = Path(attachment.path)
            self.scrubber.file(path, attachment.content_type)
            return replace(attachment, id=str(uuid4()), size=path.stat().st_size)
        except OSError as error:
            log.info("run %s: attachment %r can't be read: %s", self.run, attachment.name, error)
            return None

    async def _upload(self, upload: Mapping[str, str], attachment: Attachment) -> bool:
        return await self.tools.uploads.send(upload["url"], upload["token"], attachment.id, Path(attachment.path))
