"""What planning and executing a run on a worker have in common, and planning: list the suite of a run."""

import asyncio
import contextlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from resit.domain.events import Log
from resit.plugin import Event, Executor, ExecutorError, Limits, Listing, Session, Suite
from resit.ports import BrokerAway, Delivery, Uploads, WorkerBroker
from resit.telemetry import bound, know
from resit.worker import listed
from resit.worker.environment import test_environment
from resit.worker.lease import CANCEL_SECONDS, Held, Lease, Pulse
from resit.worker.report import Reporter, Voices
from resit.worker.scrub import Scrubber
from resit.worker.workspace import Source, Workspace, WorkspaceError, Workspaces

log = logging.getLogger(__name__)
ANSWER_SECONDS = 5.0
PREPARE_SECONDS = 15 * 60.0
"""For checkout and setup together."""
LISTING_SECONDS = 15 * 60.0
STOP_SECONDS = 6.0
"""An executor has 5 for it."""
WHY_SECONDS = 0.25
"""How long a stop may wait to learn its reason: tests have to be told within a second."""
DEADLINE_SECONDS = 10.0
"""A control plane that is there ends a run at its deadline; the worker waits so long for it."""


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
    server: str = ""
    """Where this worker reaches the server with artifacts; empty: where the specification of a run says."""


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
    """One worker's share of one run."""

    word = "takes part"
    """What it does, for people."""
    stoppable = True
    """It ends when the run is over."""

    def __init__(self, tools: Tools, run: int, held: Held) -> None:
        self.tools, self.run, self.held = tools, run, held
        self.claim = uuid4().hex
        with bound(run=run):  # its own task tells of it
            self.reporter = Reporter(tools.broker, run, self.claim, tools.voices)
        self.scrubber = Scrubber(())
        self.session: Session | None = None
        self.pulse = Pulse()
        """Of what is not a batch."""
        self.stopping = self.leaving = self.draining = False
        self.began = time.monotonic()
        self.why = ""
        """Why it is stopped, for people."""
        self._task: asyncio.Task[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._stops: set[asyncio.Task[None]] = set()
        self._workspace: Workspace | None = None
        self._private: list[Path] = []

    def shard_of(self, lane: int, shard: int) -> int:
        """The number of the shard whose lane that is; ``shard`` if there is no such lane."""
        del lane
        return shard

    async def prepare(self, shard: int) -> tuple[dict[str, Any], Executor, Suite]:
        """The run's specification, and its suite ready on this machine.

        Raises :class:`RunOver`, :class:`WorkspaceError`, :class:`ExecutorError`.
        """
        spec = await self._asked(shard)
        self._go_on()
        if not spec["open"]:
            raise RunOver
        if self.tools.server:
            spec["upload"]["url"] = self.tools.server + spec["upload"]["path"]
        self.pulse.begin(Limits(total=PREPARE_SECONDS))
        self._set_alarm(spec.get("time_left"))
        self.scrubber = Scrubber(spec["secrets"])
        know(*spec["secrets"])
        executor = self.tools.executors.get(spec["executor"])
        if executor is None:
            raise ExecutorError(
                f"this worker has no executor {spec['executor']!r}; it has {sorted(self.tools.executors)}"
            )
        self._workspace = await self.tools.workspaces.prepare(
            Source(**spec["source"]),
            lambda text: self._log(shard, text),
            env=spec["variables"],
            time_limit=PREPARE_SECONDS,
        )
        try:
            scratch, home, tmp = await asyncio.to_thread(self._folders)
        except OSError as error:
            raise ExecutorError(
                f"this worker has no place for the files of a run: {error}; look at its disk"
            ) from error
        self._go_on()
        suite = Suite(
            root=self._workspace.root,
            workdir=self._workspace.workdir,
            env=test_environment(spec["variables"], home=home, tmp=tmp, worker=self.tools.name),
            scratch=scratch,
            cache=self.tools.cache,
            config=spec["config"],
            files=tuple(spec.get("files", ())),
            digest=str(spec.get("digest", "")),
            limits=Limits(stall=float(spec.get("stall_limit", 0.0)), total=LISTING_SECONDS),
        )
        return spec, executor, suite

    def _go_on(self) -> None:
        """A stop may have been lost on the way here: ``asyncio.wait_for`` of Python 3.11 forgets that it was cancelled
        when what it waits for comes at the same moment.
        """
        if self.stopping:
            raise asyncio.CancelledError

    async def _asked(self, shard: int) -> dict[str, Any]:
        """What is to be done: the control plane's answer."""
        return json.loads(await ask(self.tools.broker, "spec", self._about(shard)))

    def _about(self, shard: int) -> dict[str, Any]:
        """Who asks for the specification: a shard's attempt is known from then on."""
        about = {"run": self.run, "worker": self.tools.name}
        return {**about, "claim": self.claim, "shard": shard} if shard else about

    def _folders(self) -> tuple[Path, Path, Path]:
        scratch = self.tools.scratch / uuid4().hex
        scratch.mkdir(parents=True)
        self._private.append(scratch)
        # Short, because sockets in it have at most 108 characters of path.
        private = Path(tempfile.mkdtemp(prefix=private_prefix(os.getpid())))
        self._private.append(private)
        home, tmp = private / "home", private / "tmp"
        home.mkdir()
        tmp.mkdir()
        return scratch, home, tmp

    def _log(self, shard: int, text: str) -> None:
        self.reporter.log(shard, self.scrubber.text(text if text.endswith("\n") else text + "\n"))

    @property
    def busy(self) -> bool:
        """True while there is something to stop; work that is at its end is left to end by itself."""
        return True

    def places(self) -> list[tuple[int, int, int, float]]:
        """What each slot does that the work holds: run, shard, batch, and for how many seconds (domain/fleet.py)."""
        return [(self.run, 0, 0, round(time.monotonic() - self.began, 1))]

    def wind_up(self) -> bool:
        """The worker will go: begin nothing more of the run. False when nothing has begun that is worth waiting for."""
        self.draining = True
        return True

    @property
    def workspace(self) -> Workspace:
        """What :meth:`prepare` prepared."""
        if self._workspace is None:
            raise RunOver
        return self._workspace

    @property
    def commit(self) -> str:
        """The commit that was checked out; empty for a plain folder."""
        return self._workspace.commit if self._workspace else ""

    @property
    def branch(self) -> str:
        """The branch that was taken, when there were two to choose from."""
        return self._workspace.branch if self._workspace else ""

    # ------------------------------------------------------------ stopping

    def _set_alarm(self, time_left: float | None) -> None:
        """End at the run's deadline also when no control plane is there to say so."""
        if time_left is not None:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(max(0.0, float(time_left)) + DEADLINE_SECONDS, self._time_is_up)

    def _time_is_up(self) -> None:
        log.warning("run %s is past its deadline: its tests are stopped", self.run)
        task = asyncio.create_task(self.stop(why="the time limit of the run was over"))
        self._stops.add(task)
        task.add_done_callback(self._stops.discard)

    async def stop(self, *, leaving: bool = False, why: str = "") -> None:
        """End the tests: the run is over, or (``leaving``) the worker goes and others go on."""
        if not self.stopping:
            self.stopping, self.leaving, self.why = True, leaving, why
            if not (leaving or why):
                await self._learn_why()
        if self.session is not None:
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await self.session.stop()
            except TimeoutError:
                log.error("run %s: the executor did not stop its tests within %.0f s", self.run, STOP_SECONDS)
        elif self._task is not None:
            self._task.cancel()

    async def _learn_why(self) -> None:
        question = json.dumps({"run": self.run, "worker": self.tools.name}).encode()
        with contextlib.suppress(BrokerAway, TimeoutError, ValueError, AttributeError):
            async with asyncio.timeout(WHY_SECONDS):
                answer = json.loads(await self.tools.broker.ask("spec", question, WHY_SECONDS))
            self.why = str(answer.get("why", ""))

    async def release(self) -> None:
        """Let others have the workspace; before a report that lets them begin, lest they make and set up another."""
        if self._workspace is not None:
            await asyncio.to_thread(self.tools.workspaces.release, self._workspace)

    async def clean(self) -> None:
        """Give back what the work held on this machine."""
        self.pulse.rest()
        if self._alarm is not None:
            self._alarm.cancel()
        await self.release()
        await self.reporter.close()
        for folder in self._private:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


class PlanWork(RunWork):
    """List the suite of a run."""

    word = "lists its tests"

    async def execute(self, delivery: Delivery) -> None:
        """Report the plan, or why there is none."""
        lease = self.held.leases[self] = Lease(delivery, self.pulse)
        self._task = asyncio.create_task(self._list())
        if self.stopping:
            self._task.cancel()
        try:
            await self._task
        except asyncio.CancelledError:
            if not self.stopping:
                raise
        finally:
            if self.leaving:
                self.reporter.put(self.claim, "plan.returned")
            await self.clean()
            del self.held.leases[self]
        await lease.settle(back=self.leaving)

    async def _list(self) -> None:
        self.reporter.put(self.claim, "plan.started")
        try:
            spec, executor, suite = await self.prepare(0)
            key = await asyncio.to_thread(listed.key, spec, self.workspace, executor.name)
            if key and await self._known(key, look=True):
                # Others who take part shall find the workspace free.
                await self.release()
                if await self._known(key):
                    self._log(0, "Listing skipped: nothing that it depends on has changed")
                    return
                spec, executor, suite = await self.prepare(0)
            listing = await self._listing(executor, suite)
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
            "batch_cost": listing.batch_cost,
            "lane_cost": listing.lane_cost,
            "approximate": listing.approximate,
            "digest": listing.digest,
            "suite": self.scrubber.text(listing.suite),
        }
        await self.release()
        where = {"commit": self.commit, "branch": self.branch}
        self.reporter.put(self.claim, "plan.ended", parts=parts, facts=facts, key=key, **where)

    async def _known(self, key: str, *, look: bool = False) -> bool:
        """Whether the suite was listed before as it is now. Then the run is planned, unless this is a ``look``."""
        where = {"commit": self.commit, "branch": self.branch}
        about = {**self._about(0), "claim": self.claim, "key": key, "look": look, **where}
        try:
            answer = json.loads(await self.tools.broker.ask("plan", json.dumps(about).encode(), ANSWER_SECONDS))
            return bool(answer["known"])
        except (BrokerAway, ValueError, LookupError, TypeError):
            return False  # an older control plane does not know the question

    async def _listing(self, executor: Executor, suite: Suite) -> Listing:
        self.pulse.begin(Limits(total=LISTING_SECONDS))
        try:
            # An executor that keeps the limits of the suite ends earlier, and says where it was.
            async with asyncio.timeout(LISTING_SECONDS + CANCEL_SECONDS):
                return await executor.list(suite, self._sink)
        except TimeoutError as error:
            raise ExecutorError(
                f"the tests could not be listed within {LISTING_SECONDS / 60:.0f} minutes; "
                "list them by hand in a fresh checkout to see what they wait for"
            ) from error

    def _sink(self, event: Event) -> None:
        if isinstance(event, Log) and event.text:
            self._log(0, event.text)
