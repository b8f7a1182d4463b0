"""Executing: a session of the executor, and lanes that pull a run's batches until none is left."""

import asyncio
import json
import logging
import time
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from resit.domain import wire
from resit.plugin import Batch, BatchEnd, Executor, ExecutorError, Limits, Session, Suite
from resit.ports import BrokerAway, Delivery
from resit.telemetry import bind, bound
from resit.worker.hearing import Hearing
from resit.worker.lease import CANCEL_SECONDS, Held, Lease, Pulse
from resit.worker.work import STOP_SECONDS, RunOver, RunWork, Tools, ask
from resit.worker.workspace import WorkspaceError

log = logging.getLogger(__name__)
JOIN_SECONDS = 0.1
"""So long nobody has joined when the lanes of a run begin that are there; after the workspace is ready."""
JOINED_SECONDS = 1.0
LOOK_FOR_SECONDS = 0.01
NO_MORE_SECONDS = 0.3
"""A lane that gets no batch within this time leaves."""
OPEN_SECONDS = 120.0
LOOK_SECONDS = 1.0
RETRY_SECONDS = 2.0
"""A shard that could not be prepared here is handed out again after so long, to another worker if there is one."""


@dataclass(slots=True)
class Attempt:
    """A batch under way on one lane. ``lost``: another attempt has taken it over, or it is over without us."""

    claim: str
    number: int
    pulse: Pulse
    hearing: Hearing
    shard: int = 0
    began: float = field(default_factory=time.monotonic)
    task: "asyncio.Task[BatchEnd] | None" = None
    lost: bool = False
    problems: list[str] = field(default_factory=list[str])
    reason: str = ""
    """Why the tests that are left have no result."""


class ShardWork(RunWork):
    """Execute batches of a run on the lanes that this worker holds for it."""

    def __init__(self, tools: Tools, run: int, held: Held) -> None:
        super().__init__(tools, run, held)
        self.shards: list[tuple[int, Lease]] = []
        self.joinable = True
        self.failed = False
        """The shard could not be prepared: another worker shall try."""
        self._running: dict[int, Attempt] = {}

    @property
    def busy(self) -> bool:
        """Before the session is open, and while a batch runs."""
        return self.session is None or bool(self._running)

    def places(self) -> list[tuple[int, int, int, float]]:
        """See :meth:`RunWork.places`."""
        now, running = time.monotonic(), {attempt.shard: attempt for attempt in self._running.values()}
        found: list[tuple[int, int, int, float]] = []
        for shard, _ in self.shards:
            attempt = running.get(shard)
            number, began = (attempt.number, attempt.began) if attempt else (0, self.began)
            found.append((self.run, shard, number, round(now - began, 1)))
        return found

    def shard_of(self, lane: int, shard: int) -> int:
        """See :meth:`RunWork.shard_of`."""
        return self.shards[lane][0] if 0 < lane < len(self.shards) else shard

    def wind_up(self) -> bool:
        """No further batch is taken; without a session none has begun."""
        self.draining = True
        self.joinable = False
        return self.session is not None

    def join(self, shard: int, delivery: Delivery) -> None:
        """One more lane for this run, before its session is open."""
        lease = self.held.leases[delivery] = Lease(delivery, self.pulse)
        self.shards.append((shard, lease))

    async def stop(self, *, leaving: bool = False, why: str = "") -> None:
        """See :meth:`RunWork.stop`. What the executor does not end is cancelled."""
        await super().stop(leaving=leaving, why=why)
        if tasks := [attempt.task for attempt in self._running.values() if attempt.task is not None]:
            _, late = await asyncio.wait(tasks, timeout=LOOK_SECONDS)
            for task in late:
                task.cancel()

    def lost(self, claims: Collection[str]) -> None:
        """These attempts hold their batches no more: they end, and say nothing more of them."""
        for attempt in self._running.values():
            if attempt.claim in claims and not attempt.lost:
                log.warning("run %s: batch %s is somebody else's now", self.run, attempt.number)
                attempt.lost = True
                attempt.hearing.cut("another worker had taken its batch over")
                if attempt.task is not None:
                    attempt.task.cancel()

    async def execute(self, free: int) -> None:
        """Until no batch is left. ``free``: slots of this worker that may still join."""
        self.held.claims[self.claim] = self.pulse
        self._task = asyncio.create_task(self._execute(free))
        if self.stopping:
            self._task.cancel()
        try:
            await self._task
        except asyncio.CancelledError:
            if not self.stopping:
                raise
        finally:
            self.joinable = False
            self.held.claims.pop(self.claim, None)
            if not self.failed:
                self.reporter.put(self.claim, "shard.ended")
            await self.clean()
            for _, lease in self.shards:
                self.held.leases.pop(lease.delivery, None)
        for _, lease in self.shards:
            await lease.settle(
                back=self.leaving or self.draining or self.failed, delay=RETRY_SECONDS if self.failed else 0.0
            )

    async def _execute(self, free: int) -> None:
        first = self.shards[0][0]
        try:
            spec, executor, suite = await self.prepare(first)
            self.reporter.put(self.claim, "shard.started", commit=self.commit, branch=self.branch)
            await self._joined(min(1 + max(free, 0), int(spec["total_shards"])))
            self.joinable = False
            self.session = await self._open(executor, suite)
        except RunOver:
            return
        except (WorkspaceError, ExecutorError) as error:
            message = self.scrubber.text(str(error))
            self._log(first, f"\n{message}")
            self.failed = True
            about = {"shard": first, "worker": self.tools.name}
            self.reporter.put(self.claim, "shard.failed", **about, code=error.code, message=message)
            return
        session = self.session
        self.pulse.rest()
        limits = Limits(stall=float(spec.get("stall_limit", 0.0)), total=float(spec.get("batch_limit", 0.0)))
        try:
            async with asyncio.TaskGroup() as group:
                for lane, (shard, lease) in enumerate(self._lanes(session)):
                    group.create_task(_Lane(self, session, lane, shard, lease.pulse, limits, spec["upload"]).run())
        finally:
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await session.close()
            except TimeoutError:
                log.error("run %s: the executor did not close its session within %.0f s", self.run, STOP_SECONDS)

    async def _joined(self, most: int) -> None:
        """Until so many shards are here, or no more come: a session has its number of lanes for good."""
        began = last = time.monotonic()
        count = len(self.shards)
        while count < most and time.monotonic() - last < JOIN_SECONDS and time.monotonic() - began < JOINED_SECONDS:
            await asyncio.sleep(LOOK_FOR_SECONDS)
            if len(self.shards) != count:
                count, last = len(self.shards), time.monotonic()

    async def _open(self, executor: Executor, suite: Suite) -> Session:
        self.pulse.begin(Limits(total=OPEN_SECONDS))
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                return await executor.open(suite, len(self.shards))
        except TimeoutError as error:
            raise ExecutorError(f"the suite could not be opened within {OPEN_SECONDS:.0f} s") from error

    def _lanes(self, session: Session) -> list[tuple[int, Lease]]:
        """The places of the session. A lane that does not get on loses the job that it is for, too: so each has a pulse
        of its own, and those that share a process share one."""
        pulse = Pulse()
        for _, lease in self.shards:
            lease.pulse = pulse
            if not session.shares_process:
                pulse = Pulse()
        return self.shards[:1] if session.shares_process else list(self.shards)

    # What lanes need of the work.

    def hold(self, attempt: Attempt) -> None:
        """A batch begins."""
        self._running[attempt.number] = attempt
        self.held.claims[attempt.claim] = attempt.pulse

    def let_go(self, attempt: Attempt) -> None:
        """A batch is over."""
        self._running.pop(attempt.number, None)
        self.held.claims.pop(attempt.claim, None)


class _Lane:
    """One place of a session."""

    def __init__(
        self,
        work: ShardWork,
        session: Session,
        lane: int,
        shard: int,
        pulse: Pulse,
        limits: Limits,
        upload: Mapping[str, str],
    ) -> None:
        self._work, self._session, self._lane, self._shard = work, session, lane, shard
        self._pulse, self._limits, self._upload = pulse, limits, upload
        self._broken = False
        self._more = True
        """False once the last batch of the run was here: what comes after it is only what another worker gives back."""

    async def run(self) -> None:
        """Pull batches until none is left."""
        bind(shard=self._shard)
        if self._session.shares_process:
            await self._share()
            return
        while (delivery := await self._next()) is not None:
            await self._take(delivery, asyncio.Event())

    async def _share(self) -> None:
        """Batches beside each other, one more whenever the session is hungry."""
        running: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as batches:
            while True:
                if (delivery := await self._next()) is not None:
                    begun = asyncio.Event()
                    task = batches.create_task(self._take(delivery, begun))
                    task.add_done_callback(lambda _, begun=begun: begun.set())
                    running.add(task)
                    await begun.wait()
                    await self._session.hungry()
                    continue
                await self._session.last()
                running = {task for task in running if not task.done()}
                if not running:
                    return
                # The broker may hold more, and give it when what is out is done.
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)

    async def _next(self) -> Delivery | None:
        """The next batch; None when there is no more for this lane."""
        work = self._work
        while not (work.stopping or work.draining or self._broken):
            try:
                delivery = await work.tools.broker.batch(work.run, NO_MORE_SECONDS if self._more else 0.0)
            except BrokerAway:
                await asyncio.sleep(0.5)
                continue
            if delivery is None or not work.draining:
                return delivery
            await Lease(delivery, self._pulse).settle(back=True)
        return None

    async def _take(self, delivery: Delivery, begun: asyncio.Event) -> None:
        """Execute a batch. ``begun`` is set when the session has it."""
        work = self._work
        data = json.loads(zlib.decompress(delivery.data))
        number = int(data["batch"])
        self._more = number != int(data.get("last", 0))
        key = (work.run, number)  # other runs of this worker have batches of the same number
        if key in work.held.leases:
            # It came back while it runs here: the broker was away for longer than a lease.
            work.held.leases[key] = Lease(delivery, work.held.leases[key].pulse)
            return
        # Held from now on, also while a control plane is waited for.
        pulse = self._pulse.part()
        work.held.leases[key] = Lease(delivery, pulse)
        lost = False
        try:
            batch = await self._opened(delivery, data)
            if batch.tests and not work.stopping:
                claim = uuid4().hex
                with bound(batch=number, attempt=claim):
                    lost = await self._batch(batch, claim, pulse, begun)
        finally:
            # Not held any more, whatever happened: a lease that nobody renews is how a failure gets noticed.
            lease = work.held.leases.pop(key)
            self._pulse.drop(pulse)
        if not lost:
            await lease.settle(back=work.leaving)

    async def _opened(self, delivery: Delivery, data: Mapping[str, Any]) -> Batch:
        """The batch with its tests; what an earlier attempt finished is not executed again."""
        found = data
        if delivery.deliveries > 1:
            about = {"run": self._work.run, "batch": data["batch"]}
            found = json.loads(zlib.decompress(await ask(self._work.tools.broker, "batch", about)))
        tests = tuple(wire.test_from_wire(test) for test in found["tests"])
        seconds = zip(tests, found.get("expected", ()), strict=False)
        expected = {test.id: float(known) for test, known in seconds if known is not None}
        usual = float(found.get("usual", 0.5))
        return Batch(int(data["batch"]), tests, self._limits, expected=expected, usual=usual)

    async def _batch(self, batch: Batch, claim: str, pulse: Pulse, begun: asyncio.Event) -> bool:
        """Execute a batch and report its end. True when it was lost to another attempt meanwhile."""
        work = self._work
        log.debug("run %s: batch %s with %s tests", work.run, batch.number, len(batch.tests))
        about = {"batch": batch.number, "worker": work.tools.name, "shard": self._shard}
        hearing = Hearing(work, claim, about, self._upload, pulse)
        attempt = Attempt(claim, batch.number, pulse, hearing, self._shard)
        work.hold(attempt)
        work.reporter.put(claim, "batch.started", **about)
        pulse.begin(batch.limits)
        returned = True  # should this task itself be ended in the middle
        try:
            await self._execute(batch, attempt, begun)
            pulse.rest()
            await hearing.uploaded()
            returned = work.leaving
        finally:
            pulse.rest()
            if attempt.lost:
                pass  # all that is to be said of it says somebody else
            elif returned:
                work.reporter.put(claim, "batch.returned", **about)
            elif not work.stopping:
                work.reporter.put(claim, "batch.ended", **about, problems=attempt.problems, reason=attempt.reason)
            await work.reporter.flush()
            work.let_go(attempt)
            log.debug("run %s: batch %s is left", work.run, batch.number)
        return attempt.lost

    async def _execute(self, batch: Batch, attempt: Attempt, begun: asyncio.Event) -> None:
        work = self._work
        try:
            end = await self._supervised(batch, attempt, begun)
            attempt.problems = [work.scrubber.text(problem) for problem in end.problems]
        except ExecutorError as error:
            attempt.reason = work.scrubber.text(str(error))
            attempt.problems = [attempt.reason]
            attempt.hearing.log(f"\n{attempt.reason}\n")
        except Exception as error:
            # A fault of the executor's: its tests are errored and say so, the other batches go on.
            log.exception("run %s: the executor broke on batch %s", work.run, batch.number)
            attempt.reason = work.scrubber.text(f"the executor broke: {error!r}")
            attempt.problems = [attempt.reason]

    async def _supervised(self, batch: Batch, attempt: Attempt, begun: asyncio.Event) -> BatchEnd:
        """Execute; cancel what is over its limits and was not ended by the executor. Raises what the executor raises,
        and :class:`ExecutorError` for a limit."""
        attempt.task = task = asyncio.create_task(self._session.run(batch, self._lane, attempt.hearing.sink))
        await asyncio.sleep(0)  # it has taken the batch when it waits for the first time
        begun.set()
        try:
            while not (await asyncio.wait([task], timeout=LOOK_SECONDS))[0]:
                if words := attempt.pulse.overdue(CANCEL_SECONDS):
                    attempt.hearing.cut(words)
                    await self._give_up(task, batch)
                    raise ExecutorError(f"{words}, and was cancelled: the limits of the project, stall or batch")
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([task], timeout=STOP_SECONDS)
            raise
        if task.cancelled():  # lost, or stopped and not ended in time
            return BatchEnd()
        return task.result()

    async def _give_up(self, task: "asyncio.Task[BatchEnd]", batch: Batch) -> None:
        task.cancel()
        if not (await asyncio.wait([task], timeout=STOP_SECONDS))[0]:
            log.error("run %s: the executor can't be made to end batch %s", self._work.run, batch.number)
            self._broken = True
