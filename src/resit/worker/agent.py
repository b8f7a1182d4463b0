"""The worker: takes jobs of its pool while it has free slots, keeps their leases alive, stops what is cancelled."""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Collection, Coroutine, Mapping
from typing import Any

from resit.ports import BrokerAway, Delivery, Job
from resit.processes import Reaper
from resit.telemetry import bind
from resit.worker.html import ReportWork
from resit.worker.lease import Held, Lease, Pulse
from resit.worker.shard import RETRY_SECONDS, ShardWork
from resit.worker.work import PlanWork, RunWork, Tools

log = logging.getLogger(__name__)
doing = logging.getLogger("resit.worker.doing")
"""What a worker tells that nobody needs of the one beside a server."""
RENEW_SECONDS = 3.0
"""Leases last 10 seconds; three tries fit in."""
ALIVE_SECONDS = 3.0
IDLE_ALIVE_SECONDS = 10.0
AGAIN_SECONDS = 0.5
JOBS_SECONDS = 30.0
LEAST_SECONDS = 1.0
"""The least time between two words of this worker, however much happens."""
LAST_SECONDS = 1.0
"""How long a worker that leaves waits to be heard saying so."""
SHUN_SECONDS = 3.0
"""How long shards of a run are left to others after one could not be prepared here; doubled each time."""
SHUN_MOST_SECONDS = 30.0


class Agent:
    """One worker process. :meth:`run` ends after :meth:`stop`."""

    def __init__(
        self, tools: Tools, *, pool: str, slots: int, version: str, about: Mapping[str, Any] | None = None
    ) -> None:
        """``about``: what else control planes are told of this worker: labels, host, credential."""
        self._tools, self._about, self._began = tools, dict(about or {}), time.monotonic()
        self._pool, self._slots, self._version = pool, slots, version
        self._held = Held()
        self._reaper = Reaper()
        self._shunned: dict[int, tuple[float, int]] = {}
        self._works: dict[RunWork, int] = {}
        self._used = 0
        self._freed = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopping = self._draining = False
        self._drain_seconds = 0.0
        self._hurry, self._speak = asyncio.Event(), asyncio.Event()
        self._main: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until :meth:`stop`."""
        await self._tools.broker.on_cancel(self._cancelled)
        await self._tools.broker.on_told(self._tools.voices.address, self._tools.voices.told)
        helpers = [asyncio.create_task(self._renew()), asyncio.create_task(self._alive())]
        self._main = asyncio.create_task(self._take_jobs())
        try:
            await asyncio.gather(self._main, return_exceptions=True)
            if self._draining:
                await self._finish()
        finally:
            await asyncio.gather(*(work.stop(leaving=True) for work in list(self._works)), return_exceptions=True)
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._tools.voices.close()
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            for lease in list(self._held.leases.values()):
                await lease.settle(back=True)
            with contextlib.suppress(BrokerAway):
                await self._tools.broker.ask("alive", self._report(leaving=True), LAST_SECONDS)

    def stop(self) -> None:
        """End politely: tests are stopped, and what is not done goes to another worker."""
        self._stopping = True
        self._hurry.set()
        if self._main is not None:
            self._main.cancel()

    def drain(self, seconds: float) -> None:
        """End politely: nothing new is taken, and what has not begun goes to another worker at once. Batches that run
        are finished, as far as they are within so many ``seconds``; the rest goes to another worker, too. A second
        time: at once."""
        if self._draining or self._stopping:
            doing.info("what is not done is given back")
            self.stop()
            return
        doing.info("this worker takes nothing new; what runs is given %.0f s to end", seconds)
        self._stopping = self._draining = True
        self._drain_seconds = seconds
        self._speak.set()
        if self._main is not None:
            self._main.cancel()

    async def _finish(self) -> None:
        """Wait until the works are done, as long as they may."""
        for work in list(self._works):
            if not work.wind_up():
                self._later(work.stop(leaving=True))
        hurry = asyncio.create_task(self._hurry.wait())
        works = [task for task in self._tasks if not task.done()]
        end = time.monotonic() + self._drain_seconds
        while works and not hurry.done() and (left := end - time.monotonic()) > 0:
            await asyncio.wait([hurry, *works], timeout=left, return_when=asyncio.FIRST_COMPLETED)
            works = [task for task in self._tasks if not task.done()]
        hurry.cancel()
        if self._works:
            doing.info("runs %s go on elsewhere", sorted({work.run for work in self._works}))

    async def outlive(self) -> None:
        """The server is gone for good: nothing new is taken, what was begun is finished, however long that takes."""
        self._stopping = True
        if self._main is not None and not self._works:
            self._main.cancel()
        while self._works:
            await asyncio.sleep(0.2)
        self.stop()

    async def _take_jobs(self) -> None:
        while not self._stopping:
            free = self._slots - self._used
            if free <= 0:
                self._freed.clear()
                await self._freed.wait()
                continue
            try:
                for job, delivery in await self._tools.broker.jobs(free, JOBS_SECONDS):
                    self._used += 1
                    self._take(job, delivery)
            except BrokerAway as away:
                log.info("no jobs, the broker is away: %s", away)
                await asyncio.sleep(0.5)

    def _take(self, job: Job, delivery: Delivery) -> None:
        if job.kind == "shard" and self._shuns(job.run):
            self._used -= 1
            self._later(Lease(delivery, Pulse()).settle(back=True, delay=RETRY_SECONDS))
            return
        if job.kind == "plan":
            work = PlanWork(self._tools, job.run, self._held)
            self._start(work, 1, work.execute(delivery))
            return
        if job.kind == "report":
            # One report is made beside the tests, and gives way to them; its slot is theirs.
            slots = int(any(isinstance(work, ReportWork) for work in self._works))
            self._used -= 1 - slots
            report = ReportWork(self._tools, job.run, self._held)
            self._start(report, slots, report.execute(delivery))
            return
        for known in self._works:
            if isinstance(known, ShardWork) and known.run == job.run and known.joinable:
                known.join(job.number, delivery)
                self._works[known] += 1
                return
        shards = ShardWork(self._tools, job.run, self._held)
        shards.join(job.number, delivery)
        self._start(shards, 1, shards.execute(self._slots - self._used))

    def _start(self, work: RunWork, slots: int, execution: Any) -> None:
        doing.info("run %s: %s", work.run, work.word)
        self._works[work] = slots
        self._speak.set()
        self._later(self._carry_out(work, execution), f"run {work.run}")

    def _later(self, what: Coroutine[Any, Any, None], name: str | None = None) -> None:
        task = asyncio.create_task(what, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _shuns(self, run: int) -> bool:
        """True for a while after a shard of the run could not be prepared here: others shall have it first."""
        return self._shunned.get(run, (0.0, 0))[0] > time.monotonic()

    def _shun(self, run: int) -> None:
        now = time.monotonic()
        self._shunned = {id: shun for id, shun in self._shunned.items() if now - shun[0] < SHUN_MOST_SECONDS}
        times = self._shunned.get(run, (0.0, 0))[1]
        self._shunned[run] = now + min(SHUN_SECONDS * 2**times, SHUN_MOST_SECONDS), times + 1

    async def _carry_out(self, work: RunWork, execution: Any) -> None:
        bind(run=work.run)
        try:
            await execution
        except Exception:
            log.exception("work on run %s failed; its lease will end and it is done elsewhere", work.run)
        finally:
            if isinstance(work, ShardWork) and work.failed:
                self._shun(work.run)
            self._used -= self._works.pop(work)
            self._speak.set()
            doing.info("run %s: is left", work.run)
            self._freed.set()

    def _cancelled(self, run: int) -> None:
        for work in list(self._works):
            if work.run == run and work.busy and not work.stopping:
                log.info("run %s is over: its tests are stopped", run)
                self._later(work.stop())

    def _lost(self, claims: Collection[str]) -> None:
        """Attempts that others have taken over: this worker was not heard for longer than a lease."""
        for work in list(self._works):
            if claims and isinstance(work, ShardWork):
                work.lost(claims)

    async def _renew(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(RENEW_SECONDS)
            if time.monotonic() - began > 2 * RENEW_SECONDS:
                log.warning("this worker stood still for %.0f s", time.monotonic() - began)
                self._held.forgive()
            for lease in list(self._held.leases.values()):
                await lease.renew()
            self._reaper.look()

    async def _alive(self) -> None:
        """Say that this worker lives and for which attempts; hear which runs are over, should a word have been lost."""
        while True:
            self._speak.clear()
            try:
                answer = await self._tools.broker.ask("alive", self._report(), ALIVE_SECONDS)
                said = json.loads(answer)
                for run in said["stop"]:
                    self._cancelled(run)
                self._lost(said.get("lost", ()))
                self._tools.voices.behind = float(said.get("behind", 0.0))
                for name, taken in said.get("taken", {}).items():
                    self._tools.voices.heard(name, int(taken))
            except BrokerAway:
                # Leases are short: try again soon.
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            except ValueError:
                log.exception("an answer that can't be read")
            busy = self._works or self._tools.voices.unheard()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ALIVE_SECONDS if busy else IDLE_ALIVE_SECONDS):
                    await asyncio.sleep(LEAST_SECONDS)
                    await self._speak.wait()

    def _report(self, *, leaving: bool = False) -> bytes:
        """What control planes are told."""
        about = {
            **self._about,
            "worker": self._tools.name,
            "pool": self._pool,
            "slots": self._slots,
            "version": self._version,
            "up": round(time.monotonic() - self._began, 1),
            "draining": self._stopping,
            "leaving": leaving,
            "holding": [place for work in self._works for place in work.places()],
            "claims": self._held.living(),
            "runs": sorted({work.run for work in self._works if work.stoppable}),
            "unheard": self._tools.voices.unheard(),
            "stuck": round(self._tools.voices.stuck(), 1),
            "clock": time.time(),
        }
        return json.dumps(about).encode()
