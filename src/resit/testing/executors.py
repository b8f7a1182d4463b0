"""What any executor must keep to: the rules of ``resit.plugin``, for ours and for those of third parties.

Derive a class of tests from :class:`ExecutorContract` and give it two fixtures: ``executor``, and ``suite``, a
:class:`resit.plugin.Suite` whose tests have titles that begin with ``passes``, ``fails``, ``skips`` and ``hangs``
(waits for longer than anybody has patience), at least two of them ``passes``, in two files or more. Where the framework
tries tests again, one that begins with ``flaky``: fails on its first try and passes on its second::

    class TestOurs(ExecutorContract):
        @pytest.fixture
        def executor(self): return OurExecutor()

        @pytest.fixture
        def suite(self, tmp_path): ...

Limits of a batch are the one promise that an executor may leave to the worker: ``keeps_limits = False``.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from resit.domain.events import DidNotRun, Event, Log, NotFound, TestEvent, TestResult, TestStarted
from resit.domain.plan import PlannedTest
from resit.domain.status import ResultStatus
from resit.plugin import Batch, BatchEnd, Executor, Limits, Listing, Session, Suite

T = TypeVar("T")
PATIENCE = 60.0
"""Seconds after which a wait is a failure."""
STOP_SECONDS = 5.0
STALL = 1.5
"""The limit of silence in the test of one that hangs."""
FAILING = (ResultStatus.FAILED, ResultStatus.TIMED_OUT, ResultStatus.ERRORED)
GRACE = 1.0
"""What a busy machine may add to a limit."""
MARK = "CONTRACT_OF_EXECUTORS"
"""Stands in the environment of all processes of a suite, so that survivors can be found."""


@dataclass
class Heard:
    """What came out of a batch."""

    events: list[TestEvent] = field(default_factory=list[TestEvent])
    end: BatchEnd = field(default_factory=BatchEnd)

    def sink(self, event: Event) -> None:
        """Take an event."""
        if not isinstance(event, Log):
            self.events.append(event)

    def finals(self, tests: Sequence[PlannedTest]) -> dict[str, str]:
        """How each test ended; checks that each ended once, and no result came before its start or after an end."""
        ended: dict[str, str] = {}
        begun: set[str] = set()
        failed: set[str] = set()
        ids = {test.id for test in tests}
        for event in self.events:
            if event.test not in ids:
                continue  # a setup project of the framework, run beside what was asked for
            assert event.test not in ended, f"{event} after {event.test} had ended"
            match event:
                case TestStarted():
                    begun.add(event.test)
                case TestResult():
                    assert event.duration >= 0
                    assert event.retry >= 0
                    if event.status not in (ResultStatus.SKIPPED, ResultStatus.ERRORED):
                        assert event.test in begun, f"a result of {event.test} before its start"
                    if event.test in failed:
                        # The event of the failure may get lost: the last try alone must show that the test is flaky.
                        assert event.after_failure, f"{event} came after a failed try and does not say so"
                    if event.final:
                        ended[event.test] = event.status.value
                    elif event.status in FAILING:
                        failed.add(event.test)
                case NotFound():
                    ended[event.test] = "not found"
                case DidNotRun():
                    ended[event.test] = "did not run"
        return ended


def called(tests: Sequence[PlannedTest], *words: str) -> tuple[PlannedTest, ...]:
    """The tests whose own title begins with one of the words."""
    return tuple(test for test in tests if test.title_path[-1].removeprefix("test_").startswith(words))


def unknown(test: PlannedTest) -> PlannedTest:
    """A test like ``test`` that the suite does not have."""
    return replace(test, id=test.id[:-1] + ("0" if test.id[-1] != "0" else "1"), title_path=("is gone",))


def survivors(mark: str) -> list[str]:
    """The command lines of processes that carry the mark (where the system tells)."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found


def gone(mark: str) -> list[str]:
    """The survivors, after a moment for the system to clear away what has ended."""
    end = time.monotonic() + GRACE
    while (left := survivors(mark)) and time.monotonic() < end:
        time.sleep(0.02)
    return left


class ExecutorContract:
    """One test a rule; ``executor`` and ``suite`` are fixtures of the derived class."""

    keeps_limits = True
    """False: the worker cancels a batch that is over its limits, and the tests that it had left are errored."""

    def listing(self, executor: Executor, suite: Suite) -> Listing:
        """What the executor lists."""
        return _wait(lambda: executor.list(suite, lambda _: None))

    def session(self, executor: Executor, suite: Suite, use: Callable[[Session], Awaitable[T]], lanes: int = 1) -> T:
        """Open a session, use it and close it; no process outlives it."""
        mark = uuid4().hex
        marked = replace(suite, env={**suite.env, MARK: mark})

        async def main() -> T:
            session = await executor.open(marked, lanes)
            try:
                return await use(session)
            finally:
                await session.close()

        found = _wait(main)
        assert gone(mark) == []
        return found

    def carry_out(self, executor: Executor, suite: Suite, *tests: PlannedTest) -> dict[str, str]:
        """How each test of one batch ended."""

        async def use(session: Session) -> Heard:
            heard = Heard()
            heard.end = await session.run(Batch(1, tests), 0, heard.sink)
            return heard

        return self.session(executor, suite, use).finals(tests)

    # ------------------------------------------------------------ listing

    def test_a_listing_is_whole_and_the_same_each_time(self, executor: Executor, suite: Suite) -> None:
        """Ids are unique and lasting; files are inside the suite; the facts make sense."""
        listing = self.listing(executor, suite)
        tests = listing.tests
        assert len({test.id for test in tests}) == len(tests)
        assert len(called(tests, "passes")) >= 2
        assert all(called(tests, word) for word in ("fails", "skips", "hangs"))
        for test in tests:
            assert test.id
            assert test.title_path
            assert test.file
            assert not Path(test.file).is_absolute()
        assert listing.framework
        assert listing.lanes >= 1
        assert listing.dispatch_cost > 0
        assert self.listing(executor, suite).tests == tests

    def test_an_executor_has_a_name(self, executor: Executor) -> None:
        """That of its entry point."""
        assert executor.name

    # ------------------------------------------------------------ running

    def test_every_test_of_a_batch_ends_exactly_once(self, executor: Executor, suite: Suite) -> None:
        """As the framework judges it."""
        tests = called(self.listing(executor, suite).tests, "passes", "fails", "skips")
        found = self.carry_out(executor, suite, *tests)
        assert set(found) == {test.id for test in tests}
        for word, status in (("passes", "passed"), ("fails", "failed"), ("skips", "skipped")):
            assert {found[test.id] for test in called(tests, word)} == {status}

    def test_nothing_runs_but_what_was_asked_for(self, executor: Executor, suite: Suite) -> None:
        """Exact selection."""
        listed = self.listing(executor, suite)
        tests = called(listed.tests, "passes")[-1:]
        heard = Heard()

        async def use(session: Session) -> None:
            await session.run(Batch(1, tests), 0, heard.sink)

        self.session(executor, suite, use)
        assert heard.finals(tests) == {tests[0].id: "passed"}
        if not listed.approximate:
            assert {event.test for event in heard.events} == {tests[0].id}

    def test_ids_that_are_gone_are_not_found_and_the_rest_runs(self, executor: Executor, suite: Suite) -> None:
        """Never a silent success, never a whole batch in ruins."""
        one, two, *_ = called(self.listing(executor, suite).tests, "passes")
        found = self.carry_out(executor, suite, one, unknown(one), two)
        assert found == {one.id: "passed", unknown(one).id: "not found", two.id: "passed"}

    def test_a_batch_of_nothing_but_ids_that_are_gone(self, executor: Executor, suite: Suite) -> None:
        """Each is told."""
        one, two, *_ = called(self.listing(executor, suite).tests, "passes")
        tests = unknown(one), unknown(two)
        assert self.carry_out(executor, suite, *tests) == dict.fromkeys((test.id for test in tests), "not found")

    def test_a_session_carries_out_one_batch_after_the_other(self, executor: Executor, suite: Suite) -> None:
        """The same test may come again: each batch is an account of its own."""
        tests = called(self.listing(executor, suite).tests, "passes")

        async def use(session: Session) -> list[Heard]:
            found: list[Heard] = []
            for number, batch in enumerate((tests[:1], tests[1:], tests), 1):
                found.append(Heard())
                found[-1].end = await session.run(Batch(number, batch), 0, found[-1].sink)
            return found

        for heard, batch in zip(self.session(executor, suite, use), (tests[:1], tests[1:], tests), strict=True):
            assert heard.finals(batch) == dict.fromkeys((test.id for test in batch), "passed")
            assert not heard.end.problems

    def test_lanes_run_beside_each_other(self, executor: Executor, suite: Suite) -> None:
        """Where lanes have processes of their own, each takes batches of its own."""
        tests = called(self.listing(executor, suite).tests, "passes")
        halves = tests[:1], tests[1:]

        async def use(session: Session) -> list[Heard]:
            heard = [Heard(), Heard()]
            runs = [
                session.run(Batch(number, batch), 0 if session.shares_process else number, heard[number].sink)
                for number, batch in enumerate(halves)
            ]
            if session.shares_process:
                for run in runs:
                    await run
            else:
                await asyncio.gather(*runs)
            return heard

        for heard, batch in zip(self.session(executor, suite, use, lanes=2), halves, strict=True):
            assert heard.finals(batch) == dict.fromkeys((test.id for test in batch), "passed")

    def test_a_retry_tells_of_the_failure_before_it(self, executor: Executor, suite: Suite) -> None:
        """Two results, the first not final, the second after a failure; nothing to see without a flaky test."""
        tests = called(self.listing(executor, suite).tests, "flaky")
        heard = Heard()

        async def use(session: Session) -> None:
            await session.run(Batch(1, tests), 0, heard.sink)

        if tests:
            self.session(executor, suite, use)
        assert heard.finals(tests) == dict.fromkeys((test.id for test in tests), "passed")
        for test in tests:
            tries = [event for event in heard.events if isinstance(event, TestResult) and event.test == test.id]
            assert [(found.final, found.after_failure) for found in tries] == [(False, False), (True, True)]
            assert [found.status in FAILING for found in tries] == [True, False]
            assert [found.retry for found in tries] == [0, 1]

    # ------------------------------------------------------------ limits

    def test_a_test_that_hangs_costs_only_itself(self, executor: Executor, suite: Suite) -> None:
        """It is found, ended and errored, and the others are executed; or the batch ends at once when cancelled."""
        listed = self.listing(executor, suite).tests
        hanging = called(listed, "hangs")
        tests = called(listed, "passes")[:1] + hanging + called(listed, "passes")[1:]
        mark = uuid4().hex
        marked = replace(suite, env={**suite.env, MARK: mark})
        heard = Heard()

        async def main() -> None:
            session = await executor.open(marked, 1)
            running = asyncio.create_task(session.run(Batch(1, tests, Limits(stall=STALL)), 0, heard.sink))
            if self.keeps_limits:
                heard.end = await running
            else:
                await asyncio.wait([running], timeout=STALL + GRACE)
                asked = time.monotonic()
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                assert time.monotonic() - asked < STOP_SECONDS + GRACE
            await session.close()

        _wait(main)
        assert gone(mark) == []
        found = heard.finals(tests)
        if self.keeps_limits:
            assert found == {test.id: "errored" if test in hanging else "passed" for test in tests}
            for event in heard.events:
                if isinstance(event, TestResult) and event.status is ResultStatus.ERRORED:
                    assert event.failures
                    assert event.failures[0].message
        else:
            assert not {test.id for test in hanging} & set(found)

    # ------------------------------------------------------------ stopping

    def test_stop_ends_everything_in_time(self, executor: Executor, suite: Suite) -> None:
        """Within five seconds the run has returned and no process is left; what was done before is kept."""
        listed = self.listing(executor, suite).tests
        tests = called(listed, "passes")[:1] + called(listed, "hangs")
        hanging = {test.id for test in called(listed, "hangs")}
        mark = uuid4().hex
        marked = replace(suite, env={**suite.env, MARK: mark})
        heard = Heard()

        async def main() -> float:
            session = await executor.open(marked, 1)
            begun = asyncio.Event()

            def sink(event: Event) -> None:
                heard.sink(event)
                if isinstance(event, TestStarted) and event.test in hanging:
                    begun.set()

            running = asyncio.create_task(session.run(Batch(1, tests), 0, sink))
            await begun.wait()
            asked = time.monotonic()
            await session.stop()
            await running
            took = time.monotonic() - asked
            assert gone(mark) == []
            await session.close()
            return took

        assert _wait(main) < STOP_SECONDS + GRACE
        found = heard.finals(tests)
        assert "passed" not in {found.get(test) for test in hanging}

    def test_stop_without_work_is_no_error(self, executor: Executor, suite: Suite) -> None:
        """Nor is a second one."""

        async def use(session: Session) -> None:
            await session.stop()
            await session.stop()

        self.session(executor, suite, use)


def _wait(what: Callable[[], Awaitable[T]]) -> T:
    async def main() -> T:
        async with asyncio.timeout(PATIENCE):
            return await what()

    return asyncio.run(main())
