"""An executor whose tests pass at once: what is left is what Resit itself costs. ``config`` is the number of tests."""

import time

from resit.plugin import Batch, BatchEnd, Listing, PlannedTest, ResultStatus, Sink, Suite, TestResult, TestStarted

EACH = 20
"""Tests of a file."""


class Instant:
    """See the module."""

    name = "instant"

    async def list(self, suite: Suite, sink: Sink) -> Listing:
        """As many tests as the configuration says."""
        del sink
        tests = [
            PlannedTest(f"f{n // EACH}::t{n}", f"f{n // EACH}", (f"t{n}",)) for n in range(int(suite.config or 200))
        ]
        return Listing(tuple(tests), "instant 1", dispatch_cost=0.001)

    async def open(self, suite: Suite, lanes: int) -> "Session":
        """Nothing to open."""
        del suite, lanes
        return Session()


class Session:
    """See the module."""

    shares_process = False

    async def run(self, batch: Batch, lane: int, sink: Sink) -> BatchEnd:
        """Each test begins and passes."""
        del lane
        for test in batch.tests:
            now = time.time()
            sink(TestStarted(test.id, now))
            sink(TestResult(test.id, ResultStatus.PASSED, started_at=now, duration=0.001))
        return BatchEnd()

    async def stop(self) -> None:
        """Nothing goes on."""

    async def close(self) -> None:
        """Nothing is held."""
