"""Tells of runs that are over: counts how they ended, and hands their traces over. It looks at what is, so no story is
lost when a process is killed; should one be told twice then, its trace has the same ids, and is still one.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from threading import Lock

from resit.control.signals import Signals
from resit.domain.errors import Unavailable
from resit.domain.status import Outcome
from resit.domain.trace import Ended, trace_of
from resit.ports import Clock
from resit.ports.telemetry import Counted, Measured, Stories, Telemetry, Tracer
from resit.telemetry import bound

log = logging.getLogger(__name__)
EVERY_SECONDS = 1.0
LOOK_SECONDS = 5.0
"""How often this looks without a hint that a run has ended."""
AT_ONCE = 100
MOST_SPANS = 1_000
"""Attempts, and results, of a run that become spans; the results that went wrong come first."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""How long traces wait after one was not taken."""
PATIENCE_SECONDS = 3600.0
"""How long after the end of a run its trace is tried."""
MOST_WAITING = 1_000
"""Traces that wait at a time; the oldest are given up first."""


class Storyteller:
    """One loop a control plane. ``tracer`` None: nobody takes traces."""

    def __init__(
        self,
        stories: Stories,
        clock: Clock,
        telemetry: Telemetry,
        tracer: Tracer | None = None,
        signals: Signals | None = None,
    ) -> None:
        self._stories, self._clock, self._telemetry, self._tracer = stories, clock, telemetry, tracer
        self._signals = signals
        self._waiting: dict[int, Ended] = {}
        self._pause = 0.0
        self._again_at = 0.0
        self._lock = Lock()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                while await asyncio.to_thread(self.once) == AT_ONCE:
                    pass
            except Unavailable as away:
                log.warning("what became of runs waits to be told: %s", away)
            except Exception:
                log.exception("telling of runs failed; it goes on")
            await asyncio.sleep(EVERY_SECONDS)
            if self._signals is not None and not self._waiting:
                await self._signals.wait_ends(LOOK_SECONDS)

    def once(self) -> int:
        """One look; how many runs had ended since the last one."""
        with self._lock:
            # A look of which nobody waits for the end any more may still go on, in its thread.
            return self._once()

    def _once(self) -> int:
        found = self._stories.untold(AT_ONCE, list(self._waiting))
        for ended in found:
            self._count(ended)
            _log(ended)
        done = [ended.run.id for ended in found] if self._tracer is None else self._traced(self._tracer, found)
        self._stories.told(done, self._clock.now())
        for id in done:
            self._waiting.pop(id, None)
        return len(found)

    def _count(self, ended: Ended) -> None:
        run, tell = ended.run, self._telemetry
        verdict = run.verdict.value if run.verdict else ""
        tell.count(Counted.RUNS_ENDED, project=ended.project, status=run.status.value, verdict=verdict)
        for outcome in Outcome:
            if number := getattr(run.counts, outcome.value):
                tell.count(Counted.TESTS, number, outcome=outcome.value)
        for state, number in self._stories.attempts(run.id).items():
            tell.count(Counted.ATTEMPTS, number, state=state)
        if run.started_at is None:
            return
        # Who was to wait for a time did not wait before it.
        tell.observe(Measured.RUN_WAIT, run.started_at - max(run.created_at, run.start_at or 0.0), pool=run.pool)
        if run.planned_at is not None:
            tell.observe(Measured.RUN_PLAN, run.planned_at - run.started_at, pool=run.pool)
        if run.duration is not None:
            tell.observe(Measured.RUN_SECONDS, run.duration, pool=run.pool)

    def _traced(self, tracer: Tracer, found: Sequence[Ended]) -> list[int]:
        """Hand over what waits; the numbers of the runs that need not be told any more."""
        self._waiting.update({ended.run.id: ended for ended in found})
        done: list[int] = []
        for id, ended in list(self._waiting.items()):
            late = self._clock.now() - (ended.run.finished_at or 0.0) > PATIENCE_SECONDS
            if late or len(self._waiting) - len(done) > MOST_WAITING:
                self._became("given_up")
                done.append(id)
            elif time.monotonic() >= self._again_at and self._handed_over(tracer, ended):
                done.append(id)
        return done

    def _handed_over(self, tracer: Tracer, ended: Ended) -> bool:
        with bound(run=ended.run.id):
            trace = trace_of(self._stories.story(ended, MOST_SPANS))
            if not trace.sampled:
                return True
            if tracer.export(trace):
                self._became("exported")
                self._pause = 0.0
                return True
            self._became("failed")
            self._pause = min(max(self._pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
            self._again_at = time.monotonic() + self._pause
            # The next try is another's: one that nobody takes must not hold up all the others.
            self._waiting[ended.run.id] = self._waiting.pop(ended.run.id)
            log.warning("the trace of run %s was not taken; it is tried again", ended.run.id)
            return False

    def _became(self, what: str) -> None:
        self._telemetry.count(Counted.TRACES, became=what)


def _log(ended: Ended) -> None:
    run = ended.run
    how = run.status.value if run.verdict is None else f"{run.status.value}, {run.verdict.value}"
    about = {"run": run.id, "pool": run.pool}
    log.info("run %s of %s/%s is over: %s", run.id, ended.project, ended.environment, how, extra=about)
