"""What happens while tests run: the one event language from executor to worker, broker, ingest and live pages.

Times are seconds since the epoch (UTC), durations are seconds. Events name tests by their framework id
(:attr:`resit.domain.plan.PlannedTest.id`); batch, attempt and shard are said by the envelope that carries them.
"""

from dataclasses import dataclass

from resit.domain.status import ResultStatus


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an execution did not pass. ``location`` is ``file:line``; ``message`` is the short form of ``stack``."""

    message: str
    stack: str = ""
    location: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that a result refers to. ``path`` is on the worker's disk until it is uploaded as artifact ``id``."""

    name: str
    content_type: str
    path: str = ""
    id: str = ""
    size: int = 0


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
    group as a whole, and with it the members that had passed.
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
    """A piece of what the test processes (or checkout and setup) printed; whole lines, control codes kept."""

    text: str


TestEvent = TestStarted | TestResult | NotFound | DidNotRun
Event = TestEvent | Log
