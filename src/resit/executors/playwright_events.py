"""What Resit's reporter writes about one batch of Playwright tests, folded into events.

:class:`BatchFold` is pure: lines of the spool and ends of processes go in, events and decisions come out. It carries
the one promise of an executor: every test of the batch has exactly one final event.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from resit.domain import wire
from resit.domain.events import Attachment, DidNotRun, Failure, NotFound, TestEvent, TestResult, TestStarted
from resit.domain.plan import PlannedTest
from resit.domain.status import ResultStatus
from resit.executors.process import Exit
from resit.executors.watch import Overdue

__all__ = ["BatchFold", "CannotRun", "described", "planned_tests", "result_of"]

_STATUS = {
    "passed": ResultStatus.PASSED,
    "failed": ResultStatus.FAILED,
    "timedOut": ResultStatus.TIMED_OUT,
    "skipped": ResultStatus.SKIPPED,
    "interrupted": ResultStatus.INTERRUPTED,
}
_GREEN = (ResultStatus.PASSED, ResultStatus.SKIPPED)
_DEATHS = 2
"""So many processes in a row may die before any test of the batch began; then the rest is given up."""
_STALLS = 5
"""So many processes in a row may hang before the first test that they finish; then the rest is left out."""


@dataclass(frozen=True, slots=True)
class CannotRun:
    """The process ended without running anything, and another one would fare no better."""

    message: str


def planned_tests(line: dict[str, Any]) -> tuple[PlannedTest, ...]:
    """The tests of a ``tests`` line."""
    return tuple(
        PlannedTest(
            id=test["id"],
            file=test["file"],
            title_path=tuple(test["titles"]),
            variant=test["variant"],
            tags=tuple(test["tags"]),
            line=test["line"],
            unit=test["unit"],
            apart=test["apart"],
        )
        for test in line["tests"]
    )


def described(error: dict[str, Any]) -> str:
    """An ``error`` line in one piece of text: where, then what."""
    location, message = error.get("location", ""), str(error.get("message", "")).strip()
    return f"{location}: {message}" if location and location not in message else message


def result_of(line: dict[str, Any], *, final: bool, after_failure: bool = False) -> TestResult:
    """The result that a ``result`` line tells."""
    failures = tuple(Failure(**failure) for failure in line["failures"])
    return TestResult(
        test=line["id"],
        status=_STATUS.get(line["status"], ResultStatus.ERRORED),
        retry=line["retry"],
        final=final,
        after_failure=after_failure,
        started_at=line["at"],
        duration=line["duration"],
        failures=failures,
        attachments=tuple(
            Attachment(name, kind, path, size=size, origin=origin)
            for name, kind, path, size, origin in line["attachments"]
        ),
        annotations=tuple((kind, text) for kind, text in line["annotations"]),
        **wire.account(line, failures),
    )


@dataclass(slots=True)
class _Told:
    """What one process told: reset for the next one."""

    configured: bool = False
    ended: str = ""
    fail_on_flaky: bool = False
    begun: set[str] = field(default_factory=set[str])
    touched: set[str] = field(default_factory=set[str])
    """Planned tests that started or got a result."""
    running: dict[str, TestStarted] = field(default_factory=dict[str, TestStarted])
    held: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """The last result of tests that may be tried again: final if nothing follows."""
    left: dict[str, str] = field(default_factory=dict[str, str])
    group_of: dict[str, str] = field(default_factory=dict[str, str])
    groups: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    errors: list[str] = field(default_factory=list[str])
    outside: list[str] = field(default_factory=list[str])
    reasons: list[str] = field(default_factory=list[str])
    """Why tests did not run."""
    over: Overdue | None = None
    """It is over a limit, and is asked to end; ``hung`` are the tests that were running then."""
    hung: set[str] = field(default_factory=set[str])
    finished: bool = False
    """A planned test had its final event."""


class BatchFold:
    """The state of one batch over the processes that execute it."""

    def __init__(self, tests: Iterable[PlannedTest]) -> None:
        self._batch = tuple(tests)
        self._pending = {test.id: test for test in self._batch}
        self._asked = self._batch
        self._apart: list[str] = []
        self._deaths = self._stalls = 0
        self._stopping = False
        self._red = False
        self._flaky = False
        self._failed_before: set[str] = set()
        self._told = _Told()
        self.problems: list[str] = []

    @property
    def untouched(self) -> bool:
        """True until the first test of the batch has its final event."""
        return len(self._pending) == len({test.id for test in self._batch})

    def next_tests(self) -> tuple[PlannedTest, ...]:
        """The tests of the next process, none when the batch is done; forgets what the last process told."""
        self._told = _Told()
        tests = tuple(test for test in self._batch if test.id in self._pending)
        while self._apart:
            variant = self._apart.pop()
            if some := tuple(test for test in tests if test.variant == variant):
                tests = some
                break
        self._asked = tests
        return tests

    def stop(self) -> None:
        """The process is asked to end: what it leaves out because of that is no news."""
        self._stopping = True

    def overdue(self, over: Overdue) -> None:
        """The process is over a limit, and is about to be asked to end."""
        self._told.over = over
        self._told.hung = set(self._told.running)

    # What a process tells.

    def feed(self, line: dict[str, Any]) -> list[TestEvent]:
        """The events that follow from a line of the spool."""
        told = self._told
        match line.get("t"):
            case "start":
                return self._start(line)
            case "result":
                return self._result(line)
            case "left":
                return self._left(line)
            case "begin":
                for test, group in line["ids"]:
                    told.begun.add(test)
                    if group:
                        told.group_of[test] = group
                        told.groups.setdefault(group, []).append(test)
            case "config":
                told.configured = True
                told.fail_on_flaky = line["fail_on_flaky"]
            case "error" if not line["stopped"]:
                told.errors.append(described(line))
            case "outside":
                told.outside.append(f'project "{line["variant"]}": "{line["title"]}" failed: {line["message"]}')
            case "end":
                told.ended = line["status"]
            case _:
                pass
        return []

    def _start(self, line: dict[str, Any]) -> list[TestEvent]:
        test = line["id"]
        told = self._told
        if test not in self._pending or told.over is not None:
            return []
        told.touched.add(test)
        told.left.pop(test, None)
        events: list[TestEvent] = self._released(test)
        started = TestStarted(test, line["at"], line["retry"])
        told.running[test] = started
        return [*events, started]

    def _released(self, test: str) -> list[TestEvent]:
        """The held result of a test that is tried again."""
        held = self._told.held.pop(test, None)
        if held is None:
            return []
        earlier = test in self._failed_before
        if not held["ok"]:
            self._flaky = True
            self._failed_before.add(test)
        return [result_of(held, final=False, after_failure=earlier)]

    def _result(self, line: dict[str, Any]) -> list[TestEvent]:
        test, told = line["id"], self._told
        if test not in self._pending:
            return []
        if told.over is not None and line["status"] == "interrupted":
            return self._cut_off(line, told.over)
        told.touched.add(test)
        told.running.pop(test, None)
        told.left.pop(test, None)
        held = told.held.get(test)
        again = held is not None and held["status"] == line["status"] == "skipped"
        events: list[TestEvent] = [] if again else self._released(test)
        group = told.group_of.get(test, "")
        told.held[test] = line
        if line["retry"] >= line["retries"] or line["status"] == "interrupted" or (line["ok"] and not group):
            return [*events, *self._final([test])]
        if group and line["ok"] and self._settled(group):
            return [*events, *self._final(told.groups[group])]
        return events

    def _cut_off(self, line: dict[str, Any], over: Overdue) -> list[TestEvent]:
        """The end of a test that was running when its process was over a limit: errored, with all that it left."""
        test, told = line["id"], self._told
        if test not in told.hung:
            return []
        events = self._released(test)
        told.running.pop(test, None)
        self._red = True
        del self._pending[test]
        found = result_of(line, final=True, after_failure=test in self._failed_before)
        stack = "\n\n".join(failure.stack or failure.message for failure in found.failures)
        failure = Failure(_where(over, line.get("where", "")), stack, line.get("place", ""))
        return [*events, replace(found, status=ResultStatus.ERRORED, failures=(failure,))]

    def _settled(self, group: str) -> bool:
        """True when every member of a serial group is well: Playwright repeats such a group only as a whole."""
        told = self._told
        return all(
            test not in self._pending or (test in told.held and told.held[test]["ok"] and test not in told.left)
            for test in told.groups[group]
        )

    def _left(self, line: dict[str, Any]) -> list[TestEvent]:
        test, told = line["id"], self._told
        if test not in self._pending or told.over is not None or self._stopping:
            return []
        told.running.pop(test, None)
        told.left[test] = line["reason"]
        return self._final([test]) if line["retry"] >= line["retries"] else []

    def _final(self, tests: Iterable[str]) -> list[TestEvent]:
        """The final events of tests that have a held result or were left out; the others stay pending."""
        told = self._told
        events: list[TestEvent] = []
        for test in list(tests):
            if test not in self._pending:
                continue
            if (held := told.held.pop(test, None)) is not None:
                result = result_of(held, final=True, after_failure=test in self._failed_before)
                self._red = self._red or result.status not in _GREEN
                events.append(result)
            elif test in told.left:
                self._red = True
                told.reasons.append(told.left[test])
                events.append(DidNotRun(test, told.left[test]))
            else:
                continue
            told.left.pop(test, None)
            told.finished = True
            del self._pending[test]
        return events

    # How a process ended.

    def flush(self) -> list[TestEvent]:
        """What was done, as final, when the batch is stopped; who was killed in the middle was interrupted."""
        running = self._told.running
        events = self._final([test for test in self._pending if test in self._told.held])
        for test in [test for test in running if test in self._pending]:
            began = running.pop(test)
            del self._pending[test]
            events.append(
                TestResult(
                    test,
                    ResultStatus.INTERRUPTED,
                    retry=began.retry,
                    started_at=began.at,
                    failures=(Failure("interrupted"),),
                    after_failure=test in self._failed_before,
                )
            )
        return events

    def after(self, exit_: Exit, tail: str) -> tuple[list[TestEvent], CannotRun | None]:
        """What follows from the end of a process; ``tail`` is the end of its output.

        Afterwards :meth:`next_tests` says whether another process is needed.
        """
        told = self._told
        if told.over is not None:
            return self._after_hang(told.over, tail), None
        self._stalls = 0
        if told.ended:
            return self._after_end(exit_, tail)
        if told.configured or exit_.signal is not None:
            return self._after_death(f"the test process died: {exit_}", tail), None
        if events := self._unknown_projects(tail):
            return events, None
        return [], CannotRun(f"Playwright ended with {exit_} before it ran any test{_quoted(tail)}")

    def _unknown_projects(self, tail: str) -> list[TestEvent]:
        """Playwright runs nothing when one of the projects asked for is gone: those tests are not found."""
        _, found, rest = tail.partition("Project(s) ")
        names, ended, _ = rest.partition(" not found")
        if not (found and ended):
            return []
        gone = [test.id for test in self._pending.values() if f'"{test.variant}"'.lower() in names.lower()]
        return [self._not_found(test, "its project is no longer in the configuration") for test in gone]

    def _not_found(self, test: str, reason: str = "") -> NotFound:
        self._red = True
        del self._pending[test]
        return NotFound(test, reason) if reason else NotFound(test)

    def _after_end(self, exit_: Exit, tail: str) -> tuple[list[TestEvent], CannotRun | None]:
        told = self._told
        if told.errors and not told.begun and self._pending:
            if events := self._unknown_projects("\n".join(told.errors)):
                return events, None
            return [], CannotRun("Playwright ran no test: " + "\n".join(told.errors))
        events = self._final(self._pending)
        silent = [test for test in self._pending if test in told.begun]
        for test in silent:
            events.append(self._silent(test))
        events += self._missing()
        problems = list(told.errors)
        problems += [text for text in told.outside if not self._blamed(text)]
        if exit_.code != 0 and not problems and not self._red:
            problems.append(self._unexplained(exit_, tail))
        self.problems += problems
        return events, None

    def _silent(self, test: str) -> TestEvent:
        """A test that was collected and of which no end was heard."""
        told = self._told
        cause = told.errors[0] if told.errors else ""
        if test in told.running:
            return self._errored(test, f"the test was cut off: {cause}" if cause else "no result was reported")
        if cause or self._red:
            told.left[test] = cause or "left out after a failure"
            return self._final([test])[0]
        return self._errored(test, "no result was reported")

    def _missing(self) -> list[TestEvent]:
        """Tests that were not collected.

        When nothing is left to run in a project, Playwright doesn't run the setup projects behind it either, planned
        or not: so a project of which nothing was collected is asked once more, alone.
        """
        missing = [test for test in self._asked if test.id in self._pending]
        variants = {test.variant for test in self._asked}
        apart = variants - {test.variant for test in self._asked if test.id in self._told.begun}
        if len(variants) > 1:
            self._apart += sorted(apart)
            missing = [test for test in missing if test.variant not in apart]
        return [self._not_found(test.id) for test in missing]

    def _blamed(self, outside: str) -> bool:
        """True when a failure outside the batch is already the reason of a test that did not run."""
        message = outside.partition(" failed: ")[2]
        return any(message in reason for reason in self._told.reasons)

    def _unexplained(self, exit_: Exit, tail: str) -> str:
        if self._flaky and self._told.fail_on_flaky:
            return "Playwright failed the run because of flaky tests (failOnFlakyTests)"
        return f"Playwright ended with {exit_} although every test passed{_quoted(tail)}"

    def _after_hang(self, over: Overdue, tail: str) -> list[TestEvent]:
        """The process was ended because it was over a limit; what it could still say of running tests is told."""
        told = self._told
        self._stalls = 1 if told.finished else self._stalls + 1
        errors = "\n".join(told.errors)
        message = over.words if told.begun else f"{over.words}, before the first test began"
        events = self._after_death(message, f"{errors}\n{tail}" if errors else tail)
        if self._pending and (over.final or self._stalls >= _STALLS):
            why = over.words if over.final else f"{_STALLS} processes in a row hung: {over.words}"
            if told.hung or events:
                told.left.update(dict.fromkeys(self._pending, f"left out: {why}"))
                events += self._final(self._pending)
            else:
                events += self.give_up(f"did not run: {why}")
        return events

    def _after_death(self, message: str, tail: str) -> list[TestEvent]:
        told = self._told
        done = not self._pending and not told.hung
        broken = {test.unit for test in self._batch if test.unit and test.id in told.touched}
        events: list[TestEvent] = [self._errored(test, message) for test in list(told.running)]
        events += self._final(self._pending)
        for test in [test for test in self._pending.values() if test.unit in broken]:
            told.left[test.id] = f"{message}, in the middle of its serial group"
            events += self._final([test.id])
        self._deaths = 0 if told.touched else self._deaths + 1
        if self._deaths >= _DEATHS:
            events += self.give_up(f"{message}{_quoted(tail)}")
        if done:
            self.problems.append(f"{message}, after its last test{_quoted(tail)}")
        return events

    def give_up(self, message: str) -> list[TestEvent]:
        """Everything that is left, as errored with ``message``."""
        return [self._errored(test, message) for test in list(self._pending)]

    def _errored(self, test: str, message: str) -> TestResult:
        started = self._told.running.pop(test, None)
        self._red = True
        del self._pending[test]
        return TestResult(
            test=test,
            status=ResultStatus.ERRORED,
            retry=started.retry if started else 0,
            started_at=started.at if started else 0.0,
            failures=(Failure(message),),
        )


def _where(over: Overdue, where: str) -> str:
    return f"{over.words}; it {'was' if over.final else 'hung'} in {where}" if where else over.words


def _quoted(tail: str) -> str:
    return f"; its output ended with:\n{tail}" if tail.strip() else ""
