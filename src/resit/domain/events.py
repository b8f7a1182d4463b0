"""What happens while tests run: the one event language from executor to worker, broker, ingest and live pages.

Times are seconds since the epoch (UTC), durations are seconds. Events name tests by their framework id
(:attr:`resit.domain.plan.PlannedTest.id`); batch, attempt and shard are said by the envelope that carries them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from resit.domain.status import ResultStatus


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an execution did not pass. ``location`` is ``file:line``, ``column`` where in that line (0: unknown).

    ``message`` is the short form of ``stack``. ``snippet``: the lines of code around; ``stack`` ends with them too.
    """

    message: str
    stack: str = ""
    location: str = ""
    snippet: str = ""
    column: int = 0


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that a result refers to. ``path`` is on the worker's disk until it is uploaded as artifact ``id``.

    ``origin``: empty for a file of the test's, :data:`BODY` for what it handed over without a file, :data:`OUTPUT` for
    what it printed, which nobody attached.
    """

    name: str
    content_type: str
    path: str = ""
    id: str = ""
    size: int = 0
    origin: str = ""


BODY = "body"
OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Step:
    """A part of an execution, for the framework's own report. Steps stand in the order of their beginnings.

    ``depth``: 0 for a part of the test itself, 1 for a part of the step before it of depth 0, and so on. ``start``:
    seconds since the execution began. ``duration``: -1 when it did not come to its end. ``location`` is
    ``file:line:column``. ``attachments``: places in the attachments of the result.
    """

    title: str
    category: str = ""
    depth: int = 0
    start: float = 0.0
    duration: float = 0.0
    location: str = ""
    subtitle: str = ""
    failure: Failure | None = None
    attachments: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """How a framework executed a test, for the framework's own report; what it does not say is left as it is here.

    ``worker`` and ``parallel``: numbers of the process and its place (-1: unknown). ``timeout`` in seconds. ``place``
    of the test: ``file:line:column``. ``annotated``: places of the annotations, in their order, empty where there is
    none. Of a test that is expected to fail or to be skipped: ``expected`` and ``status`` are the framework's words for
    what should be and what was, ``errors`` what went wrong as expected.
    """

    worker: int = -1
    parallel: int = -1
    expected: str = ""
    timeout: float = 0.0
    retries: int = 0
    place: str = ""
    annotated: tuple[str, ...] = ()
    status: str = ""
    errors: tuple[Failure, ...] = ()


UNKNOWN = Setting()


@dataclass(frozen=True, slots=True)
class TestStarted:
    """A test process began to execute a test (again, when ``retry`` > 0)."""

    __test__ = False

    test: str
    at: float
    retry: int = 0


@dataclass(frozen=True, slots=True)
class TestResult:
    """One execution of one test ended. ``final`` says that the framework will not execute it again in this process.

    ``after_failure``: an earlier try of the test failed. Not the same as ``retry`` > 0: Playwright repeats a serial
    group as a whole, and with it the members that had passed. ``stdout``, ``stderr``: what the test printed, cut to a
    few thousand characters; all of it may be among the attachments. ``steps_left_out``: how many there were besides
    ``steps``.
    """

    __test__ = False

    test: str
    status: ResultStatus
    retry: int = 0
    final: bool = True
    started_at: float = 0.0
    duration: float = 0.0
    failures: tuple[Failure, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    after_failure: bool = False
    steps: tuple[Step, ...] = ()
    steps_left_out: int = 0
    stdout: str = ""
    stderr: str = ""
    setting: Setting = UNKNOWN


def with_attachments(result: TestResult, named: Sequence[Attachment | None]) -> TestResult:
    """The result with these in place of its attachments, one for one; None: that one is left out, also of its steps."""
    place = {old: new for new, old in enumerate(old for old, found in enumerate(named) if found is not None)}
    steps = tuple(
        replace(step, attachments=tuple(place[n] for n in step.attachments if n in place)) if step.attachments else step
        for step in result.steps
    )
    return replace(result, attachments=tuple(found for found in named if found is not None), steps=steps)


@dataclass(frozen=True, slots=True)
class NotFound:
    """A planned test that the framework did not collect."""

    test: str
    reason: str = "planned, but not collected"


@dataclass(frozen=True, slots=True)
class DidNotRun:
    """A test that the framework collected and then left out because something before it went wrong."""

    test: str
    reason: str


@dataclass(frozen=True, slots=True)
class Log:
    """A piece of what the test processes (or checkout and setup) printed; whole lines, control codes kept.

    ``lane``: which of a session's lanes printed it (0-based), where lanes that share batches print apart.
    """

    text: str
    lane: int = 0


TestEvent = TestStarted | TestResult | NotFound | DidNotRun
Event = TestEvent | Log
