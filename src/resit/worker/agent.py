"""The worker: takes jobs of its pool while it has free slots, keeps their leases alive, stops what is cancelled."""

import asyncio
import json
import logging
from typing import Any

from resit.ports import BrokerAway, Delivery, Job
from resit.worker.work import Held, PlanWork, RunWork, ShardWork, Tools

log = logging.getLogger(__name__)
RENEW_SECONDS = 3.0
"""Leases last 10 seconds; three tries fit in."""
ALIVE_SECONDS = 3.0
IDLE_ALIVE_SECONDS = 10.0
AGAIN_SECONDS = 0.5
JOBS_SECONDS = 30.0


class Agent:
    """One worker process. :meth:`run` ends after :meth:`stop`."""

    def __init__(self, tools: Tools, *, pool: str, slots: int, version: str) -> None:
        self._tools = tools
        self._pool, self._slots, self._version = pool, slots, version
        self._held = Held()
        self._works: dict[RunWork, int] = {}
        self._used = 0
        self._freed = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self._main: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until :meth:`stop`."""
        await self._tools.broker.on_cancel(self._cancelled)
        await self._tools.broker.on_told(self._tools.voices.address, self._tools.voices.told)
        helpers = [asyncio.create_task(self._renew()), asyncio.create_task(self._alive())]
        self._main = asyncio.create_task(self._take_jobs())
        try:
            await asyncio.gather(self._main, return_exceptions=True)
        finally:
            await asyncio.gather(*(work.stop(leaving=True) for work in list(self._works)), return_exceptions=True)
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._tools.voices.close()
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            for delivery in list(self._held.deliveries.values()):
                await _quietly(delivery.give_back())

    def stop(self) -> None:
        """End politely: tests are stopped, and what is not done goes to another worker."""
        self._stopping = True
        if self._main is not None:
            self._main.cancel()

    async def drain(self) -> None:
        """End politely the long way: nothing new is taken, what was begun is finished."""
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
        if job.kind == "plan":
            work = PlanWork(self._tools, job.run, self._held)
            self._start(work, 1, work.execute(delivery))
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
        self._works[work] = slots
        task = asyncio.create_task(self._carry_out(work, execution), name=f"run {work.run}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, work: RunWork, execution: Any) -> None:
        try:
            await execution
        except Exception:
            log.exception("work on run %s failed; its lease will end and it is done elsewhere", work.run)
        finally:
            self._used -= self._works.pop(work)
            self._freed.set()

    def _cancelled(self, run: int) -> None:
        for work in list(self._works):
            if work.run == run and work.busy and not work.stopping:
                log.info("run %s is over: its tests are stopped", run)
                task = asyncio.create_task(work.stop())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            for delivery in list(self._held.deliveries.values()):
                await _quietly(delivery.renew())

    async def _alive(self) -> None:
        """Say that this worker lives and for which attempts; hear which runs are over, should a word have been lost."""
        while True:
            about = {
                "worker": self._tools.name,
                "pool": self._pool,
                "slots": self._slots,
                "version": self._version,
                "claims": sorted(self._held.claims),
                "runs": sorted({work.run for work in self._works}),
                "unheard": self._tools.voices.unheard(),
            }
            try:
                answer = await self._tools.broker.ask("alive", json.dumps(about).encode(), ALIVE_SECONDS)
                said = json.loads(answer)
                for run in said["stop"]:
                    self._cancelled(run)
                for name, taken in said.get("taken", {}).items():
                    self._tools.voices.heard(name, int(taken))
            except BrokerAway:
                # Leases are short: try again soon.
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            except ValueError:
                log.exception("an answer that can't be read")
            busy = self._works or self._tools.voices.unheard()
            await asyncio.sleep(ALIVE_SECONDS if busy else IDLE_ALIVE_SECONDS)


async def _quietly(action: Any) -> None:
    try:
        await action
    except BrokerAway as away:
        log.info("the broker is away: %s", away)
