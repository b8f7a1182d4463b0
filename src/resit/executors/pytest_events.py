"""What pytest's plugin wrote down, as events, and what follows when its process has ended.

:class:`Progress` folds the lines of the plugin for one batch, over as many processes as it takes. :func:`decide` says
what the end of a process means. Neither does any input or output.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from resit.domain.events import (
    OUTPUT,
    Attachment,
    DidNotRun,
    Failure,
    NotFound,
    Step,
    TestEvent,
    TestResult,
    TestStarted,
)
from resit.domain.plan import PlannedTest
from resit.domain.status import ResultStatus
from resit.executors.process import Exit
from resit.executors.stacks import Hang
from resit.plugin import CollectionFailed, ExecutorError

__all__ = ["Decision", "Progress", "collection_failure", "decide", "out_of_time", "uncollected"]

Line = dict[str, Any]
"""A line of the plugin: ``kind`` says what it is about."""

MAX_STALLS = 5
"""So many processes in a row may hang before the first test that they finish; then the rest of the batch is left out.
Each costs a whole limit, and a fixture that all tests share would cost one a test."""
_FAILING = (ResultStatus.FAILED, ResultStatus.ERRORED)
_ERROR_LINE = re.compile(r"^E\s+([\w.]*(?:Error|Exception|Exit|Warning|Failed|Interrupt)\b.*)", re.MULTILINE)


@dataclass
class Progress:
    """How far a batch has come. ``left`` are the planned tests without a final event, in order.

    What concerns the current process alone is reset by :meth:`next_process`. ``collecting``: what its processes (more
    than one under pytest-xdist) collect now. ``hang``: it is over a limit, and its words don't count any more.
    ``stacks``: how its processes are asked where they hang, by pid: a signal, and the file that they write.
    ``shunned``: folders and files whose collection was the end of a process.
    """

    tests: tuple[PlannedTest, ...]
    left: dict[str, PlannedTest] = field(init=False)
    failed: bool = False  # something in this batch failed
    started: bool = False  # something in this batch was executed
    barren: int = 0  # processes in a row that died before they did anything
    stalls: int = 0  # processes in a row that hung, and finished no test before
    shunned: list[str] = field(default_factory=list[str])
    in_flight: dict[str, TestStarted] = field(default_factory=dict[str, TestStarted])
    collect_errors: dict[str, str] = field(default_factory=dict[str, str])
    finished_now: int = 0
    executed_now: int = 0
    failed_now: bool = False
    keep_on: bool = False  # --continue-on-collection-errors
    end: Line | None = None
    hang: Hang | None = None
    collecting: dict[int, str] = field(default_factory=dict[int, str])
    stacks: dict[int, tuple[int, str]] = field(default_factory=dict[int, tuple[int, str]])
    troubles: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.left = {test.id: test for test in self.tests}

    def next_process(self) -> None:
        """Forget what belongs to the process that has ended."""
        self.in_flight.clear()
        self.collect_errors.clear()
        self.collecting.clear()
        self.stacks.clear()
        self.hang = None
        self.finished_now = self.executed_now = 0
        self.failed_now = False
        self.end = None

    def line(self, line: Line) -> list[TestEvent]:
        """Fold a line of the plugin; the events to pass on. Tests outside the batch are none of its business."""
        if self.hang is not None:
            return []
        match line["kind"]:
            case "start":
                return self._start(TestStarted(line["id"], line["at"], line["retry"]))
            case "result":
                return self._result(_result(line))
            case "not_found":
                return list(self._close(NotFound(line["id"], line["reason"])))
            case "collect_skip":
                return self._skipped_collector(line["id"], line["reason"])
            case "collect_error":
                self.collect_errors[line["id"]] = line["text"]
            case _:
                self._about_process(line)
        return []

    def _about_process(self, line: Line) -> None:
        match line["kind"]:
            case "collecting":
                self.collecting[line["pid"]] = line["id"]
            case "collected":
                self.collecting.pop(line["pid"], None)
            case "stacks":
                self.stacks[line["pid"]] = line["signal"], line["path"]
            case "session":
                self.keep_on = bool(line["keep_on"])
            case "trouble":
                self.troubles.append(line["text"])
            case "end":
                self.end = line
            case _:
                pass

    def close(self, events: Iterable[TestEvent]) -> list[TestEvent]:
        """Take final events that were decided on; those to pass on."""
        return [event for given in events for event in self._close(given)]

    def interrupted(self, now: float) -> list[TestEvent]:
        """The tests in flight, when the batch is stopped."""
        flying = [(test, begun) for test, begun in self.in_flight.items() if test in self.left]
        return self.close(
            TestResult(
                test,
                ResultStatus.INTERRUPTED,
                retry=begun.retry,
                started_at=begun.at,
                duration=max(0.0, now - begun.at),
                failures=(Failure("interrupted"),),
            )
            for test, begun in flying
        )

    def _start(self, event: TestStarted) -> list[TestEvent]:
        self.started = True
        if event.test not in self.left:
            return []
        self.in_flight[event.test] = event
        return [event]

    def _result(self, event: TestResult) -> list[TestEvent]:
        self.executed_now += 1
        if event.final:
            return list(self._close(event))
        return [event] if event.test in self.left else []

    def _skipped_collector(self, collector: str, reason: str) -> list[TestEvent]:
        """A skipped module is a row of its own; tests planned in it are skipped as pytest skips them: unseen."""
        found = [test for test in self.left if is_under(test, collector)]
        note = (("skip", reason),)
        return self.close(TestResult(test, ResultStatus.SKIPPED, annotations=note) for test in found)

    def _close(self, event: TestEvent) -> Iterator[TestEvent]:
        if self.left.pop(event.test, None) is None:  # each test has one final event
            return
        self.in_flight.pop(event.test, None)
        self.finished_now += 1
        if isinstance(event, TestResult) and event.status in _FAILING:
            self.failed = self.failed_now = True
        yield event


def is_under(test: str, collector: str) -> bool:
    """True for the id of a collector itself, and for tests of a module, class or package."""
    return test == collector or test.startswith((f"{collector}::", f"{collector}/"))


def _result(line: Line) -> TestResult:
    return TestResult(
        test=line["id"],
        status=ResultStatus(line["status"]),
        retry=line["retry"],
        final=line["final"],
        after_failure=line["retry"] > 0,
        started_at=line["at"],
        duration=line["duration"],
        failures=tuple(Failure(*failure) for failure in line["failures"]),
        attachments=tuple(
            Attachment(name, "text/plain", path, size=size, origin=OUTPUT) for name, path, size in line["outputs"]
        ),
        annotations=tuple((name, value) for name, value in line["notes"]),
        steps=tuple(Step(when, "phase", start=start, duration=duration) for when, start, duration in line["phases"]),
        stdout=line["printed"].get("stdout", ""),
        stderr="\n".join(line["printed"][name] for name in ("stderr", "log") if name in line["printed"]),
    )


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from the end of a process: final events, problems, and whether one more process goes on.

    ``error``: the batch can't be carried through at all.
    """

    events: tuple[TestEvent, ...] = ()
    problems: tuple[str, ...] = ()
    again: bool = False
    error: ExecutorError | None = None


def decide(progress: Progress, exit: Exit, tail: str) -> Decision:
    """What the end of a process means for the tests that are left. ``tail`` is the last of what it printed."""
    if progress.hang is not None:
        return _hung(progress, progress.hang, tail)
    progress.stalls = 0
    return _died(progress, exit, tail) if progress.end is None else _ended(progress, progress.end, exit, tail)


def _died(progress: Progress, exit: Exit, tail: str) -> Decision:
    """The process is gone without a word of the plugin."""
    how = f"the test process died: {exit}"
    if exit.code is not None:
        how = f"the test process exited with code {exit.code}{' in mid-run' * progress.started} (os._exit?)"
    if found := _came_to_its_end(progress, how, tail):
        return found
    if exit.code in (3, 4) and not progress.started:
        what = "could not start: wrong usage or configuration" if exit.code == 4 else "failed: internal error"
        return Decision(error=ExecutorError(_with_tail(f"pytest {what} ({exit}).", tail)))
    if progress.barren < 1:
        return Decision(again=True)
    how = f"the test process died before its first test, twice: {exit}"
    return Decision(tuple(_errored(test, how, tail) for test in progress.left))


def _hung(progress: Progress, hang: Hang, tail: str) -> Decision:
    """The process was ended because it was over a limit."""
    progress.stalls = 1 if progress.finished_now else progress.stalls + 1
    found = _came_to_its_end(progress, hang.message, hang.stack or tail, hang.location)
    if found is None:
        if progress.barren < 1 and not hang.final:
            return Decision(again=True)
        how = f"{hang.message}, before its first test"
        return Decision(tuple(_errored(test, how, hang.stack or tail, place=hang.location) for test in progress.left))
    if not found.again or not (hang.final or progress.stalls >= MAX_STALLS):
        return found
    ended = {event.test for event in found.events}
    why = hang.message if hang.final else f"{MAX_STALLS} processes in a row hung: {hang.message}"
    rest = [test for test in progress.left if test not in ended]
    # Left out because of a test that says why; where there is none, each of them must.
    out = [DidNotRun(test, f"left out: {why}") if ended else _errored(test, f"did not run: {why}", "") for test in rest]
    return Decision((*found.events, *out), found.problems)


def _came_to_its_end(progress: Progress, how: str, stack: str, place: str = "") -> Decision | None:
    """What a process leaves behind that was not done; None when it did nothing, and nobody knows what it was at."""
    left, flying = list(progress.left), progress.in_flight
    if flying:
        events = tuple(_errored(test, how, stack, flying[test], place) for test in flying)
        return Decision(events, again=len(left) > len(flying))
    if not left:
        return Decision(problems=(_with_tail(f"{how}, after its last test", stack),))
    if progress.executed_now:
        return Decision(problems=(_with_tail(f"{how}, between two tests", stack),), again=True)
    places = list(progress.collecting.values())
    found = [(test, next((at for at in places if is_under(test, at)), None)) for test in left]
    events = tuple(_errored(test, f"{how}, while {at} was imported", stack, place=place) for test, at in found if at)
    if not events:
        return None
    progress.shunned += places
    return Decision(events, again=len(left) > len(events))


def _ended(progress: Progress, end: Line, exit: Exit, tail: str) -> Decision:
    """The plugin saw the end of the session."""
    reason = str(end["reason"])
    if progress.collect_errors and not progress.keep_on:
        failure = collection_failure(progress.collect_errors)
        if not progress.started:
            return Decision(error=failure)
        reason = f"collection failed: {failure}"
    if end["status"] in (3, 4) and not progress.started:
        return Decision(error=ExecutorError(_with_tail(f"pytest failed ({exit}): {reason or 'internal error'}.", tail)))
    events = tuple(_left_out(progress, reason or f"pytest ended with {exit}"))
    failed = progress.failed_now or any(isinstance(event, TestResult) for event in events)
    return Decision(events, problems=tuple(_unexplained(progress, exit, reason, failed, tail)))


def _left_out(progress: Progress, reason: str) -> Iterator[TestEvent]:
    """The tests that a session which stopped early leaves behind."""
    failed = progress.failed
    for test in progress.left:
        broken = next((text for place, text in progress.collect_errors.items() if is_under(test, place)), None)
        if broken is not None:
            failed = True
            yield _errored(test, f"could not be collected: {_error_line(broken)}", broken)
        elif test in progress.in_flight:
            failed = True
            yield _errored(test, f"did not run to its end: {reason}", "", progress.in_flight[test])
    for test in progress.left:
        if test in progress.in_flight or any(is_under(test, place) for place in progress.collect_errors):
            continue
        # Left out after a failure is what -x means; left out for no failure at all must not look harmless.
        yield DidNotRun(test, reason) if failed else _errored(test, f"did not run: {reason}", "")


def _unexplained(progress: Progress, exit: Exit, reason: str, failed: bool, tail: str) -> Iterator[str]:
    """The problems of an exit that the results don't account for."""
    explained = (exit.code in (1, 2) and failed) or (exit.code == 5 and not progress.executed_now)
    if exit.signal is not None:
        yield _with_tail(f"the test process died after its last test: {exit}", tail)
    elif exit.code != 0 and not explained:
        because = f": {reason}" if reason else ", though no test failed"
        yield _with_tail(f"pytest ended with {exit}{because}", tail)


def _errored(test: str, message: str, stack: str, started: TestStarted | None = None, place: str = "") -> TestResult:
    return TestResult(
        test,
        ResultStatus.ERRORED,
        retry=started.retry if started else 0,
        started_at=started.at if started else 0.0,
        failures=(Failure(message, stack, place),),
    )


def uncollected(tests: Sequence[str], skipped: Mapping[str, str], broken: Mapping[str, str]) -> Iterator[TestEvent]:
    """What becomes of tests whose module was skipped at collection (by collector, why) or is broken (its error)."""
    for test in tests:
        if (reason := next((why for place, why in skipped.items() if is_under(test, place)), None)) is not None:
            yield TestResult(test, ResultStatus.SKIPPED, annotations=(("skip", reason),))
        elif (text := next((text for place, text in broken.items() if is_under(test, place)), None)) is not None:
            yield _errored(test, f"could not be collected: {_error_line(text)}", text)


def out_of_time(tests: Sequence[str], why: str, *, known: bool) -> Iterator[TestEvent]:
    """Tests that nobody had begun when the time of their batch was over. ``known``: another test says why."""
    for test in tests:
        yield DidNotRun(test, f"left out: {why}") if known else _errored(test, f"did not run: {why}", "")


def collection_failure(errors: dict[str, str]) -> CollectionFailed:
    """The first error in a line, and how many more there are."""
    (place, text), *more = errors.items()
    message = f"{place or 'pytest'}: {_error_line(text)}"
    if more:
        message += f" (and {len(more)} more: {', '.join(other for other, _ in more[:5])}{', ...' * (len(more) > 5)})"
    return CollectionFailed(message)


def _error_line(text: str) -> str:
    """The line of a traceback that says what is wrong."""
    found = _ERROR_LINE.search(text)
    if found:
        return found[1].strip()
    lines = [line.removeprefix("E ").strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return "unknown error"
    return lines[-1] if "Traceback" in text or text.startswith("E ") else " ".join(lines[:3])


def _with_tail(message: str, tail: str) -> str:
    return f"{message}\n{tail}" if tail.strip() else message
