"""The executor protocol: the one module that third-party executors import.

An executor turns a folder of tests into a :class:`Listing`, and batches of planned tests into events. It holds no
database, no HTTP and no broker, runs in the worker's event loop, and is found through the entry-point group
``resit.executors`` (name = what ``resit project add --executor`` takes, value = a class without arguments).

The lanes that one worker holds for one run share **one session**: a session may keep one warm process a lane, one
process for all lanes, or start a process a batch. The worker only asks :attr:`Session.shares_process` and, if that is
true, :meth:`Session.hungry` and :meth:`Session.last`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from resit.domain.events import Attachment, DidNotRun, Event, Failure, Log, NotFound, TestEvent, TestResult, TestStarted
from resit.domain.plan import PlannedTest
from resit.domain.status import ResultStatus

__all__ = [
    "Attachment",
    "Batch",
    "BatchEnd",
    "CollectionFailed",
    "DidNotRun",
    "Event",
    "Executor",
    "ExecutorError",
    "Failure",
    "Limits",
    "Listing",
    "Log",
    "NotASuite",
    "NotFound",
    "PlannedTest",
    "ReportMaker",
    "ResultStatus",
    "Session",
    "Sink",
    "Suite",
    "TestEvent",
    "TestResult",
    "TestStarted",
]

Sink = Callable[[Event], None]
"""Receives events in the order in which they happen; never blocks, never raises."""


class ExecutorError(Exception):
    """The suite could not be carried through. The message is shown to the user as it stands: cause, then what to do."""

    code = "executor_failed"


class NotASuite(ExecutorError):
    """The folder holds no suite of this framework, or the framework is missing or too old."""

    code = "not_a_suite"


class CollectionFailed(ExecutorError):
    """The framework could not list its tests (import error, syntax error, bad configuration)."""

    code = "collection_failed"


@dataclass(frozen=True, slots=True)
class Limits:
    """When processes of tests are given up; seconds, 0: never.

    ``stall``: so long nothing was heard of them, neither an event nor output. ``total``: so long they took, all the
    processes of a batch together. What time a test may take is for the framework to say, not for these.
    """

    stall: float = 0.0
    total: float = 0.0


@dataclass(frozen=True, slots=True)
class Suite:
    """Where and how the tests of one run live on this worker.

    ``workdir`` is where the framework starts (inside ``root``, the checkout). ``env`` is the complete environment of
    its processes: nothing is inherited. ``scratch`` is private to the session and removed afterwards (spools, outputs,
    attachments until they are uploaded). ``cache`` is shared by all runs of this worker and may vanish at any time.
    ``config`` is the project's configuration file, relative to ``workdir``, or empty for the framework's default.
    ``limits`` are those of a listing; a batch has its own. ``files``: a session gets tests of these files alone
    (:attr:`PlannedTest.file`); empty: of any. ``digest``: that of an earlier listing whose tests the session will get;
    where a session sees all tests of a suite that has others by now, it says so in :attr:`BatchEnd.problems`.
    """

    root: Path
    workdir: Path
    env: Mapping[str, str]
    scratch: Path
    cache: Path
    config: str = ""
    limits: Limits = Limits()
    files: tuple[str, ...] = ()
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """The tests of a folder, in the framework's own order, and what the balance needs to know.

    ``lanes``: how many tests the suite's own settings run at once. ``shares_process``: as of its sessions.
    ``dispatch_cost``: seconds to start one more session. ``batch_cost`` and ``lane_cost``: seconds that one more batch
    and one more lane cost an open session; None: as much as a session (a lane of a session that shares its process: a
    third of that). ``framework``: for people, e.g. ``pytest 9.2.0``.
    ``approximate``: selection by id is not possible with this version. ``suite``: what the framework's own reports say
    of a suite besides its tests, as JSON of at most :data:`resit.domain.wire.MAX_SUITE` characters; kept as it is.
    ``digest``: of all tests, for :attr:`Suite.digest`; empty: the executor does not compare.
    """

    tests: tuple[PlannedTest, ...]
    framework: str
    lanes: int = 1
    shares_process: bool = False
    dispatch_cost: float = 1.0
    batch_cost: float | None = None
    lane_cost: float | None = None
    approximate: bool = False
    suite: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """Planned tests that are handed out together; what must be kept in order stands in it.

    ``expected``: seconds that tests will take, by id, of those of which something is known; ``usual``: of the others.
    ``limits``: a process that is over one of them is ended; the test in flight is *errored* and says so, with the place
    where it hung if that can be found out, and the rest goes on in a new process as after a death (after ``total``:
    nothing goes on). An executor that keeps no limits is cancelled by the worker a few seconds later, and every test
    of the batch that is not done is errored. Each event is a sign of life for the worker, an empty log too.
    """

    number: int
    tests: tuple[PlannedTest, ...]
    limits: Limits = Limits()
    expected: Mapping[str, float] = field(default_factory=dict[str, float])
    usual: float = 0.5


@dataclass(frozen=True, slots=True)
class BatchEnd:
    """How a batch ended. Every test of the batch has had its final event before, except after :meth:`Session.stop`.

    ``problems`` are errors outside any test (a global teardown that threw, an exit code that no failure explains):
    each makes the run red, whatever the tests said.
    """

    problems: tuple[str, ...] = ()


class Session(Protocol):
    """An open suite with ``lanes`` places on one worker."""

    @property
    def shares_process(self) -> bool:
        """True: a batch uses every lane, and the next one is taken when the session is :meth:`hungry`.
        False: each lane takes batches of its own, one after the other."""
        ...

    async def hungry(self) -> None:
        """Return when lanes would be idle without another batch: at once as long as there is none. The next one then
        begins beside those under way. Asked of sessions alone whose lanes share batches.
        """
        ...

    async def last(self) -> None:
        """No further batch will come: what waits for one may end. Said of sessions whose lanes share batches, and not
        always: a session must not wait for it for longer than a moment."""
        ...

    async def run(self, batch: Batch, lane: int, sink: Sink) -> BatchEnd:
        """Execute a batch on ``lane`` (0-based); returns when its processes are done with it.

        A process that dies makes the test in flight *errored*, naming the signal; the rest goes on in a new one.
        When the call is cancelled its processes are ended, politely first, within 5 s.
        Raises :class:`ExecutorError` when the batch could not be carried through at all.
        """
        ...

    async def stop(self) -> None:
        """End all processes: SIGINT to each process group, wait, SIGKILL the group, look for survivors. At most 5 s.

        Running :meth:`run` calls return early with what was done; a test that was cut off may have a result
        *interrupted*, to which the worker adds why.
        """
        ...

    async def close(self) -> None:
        """Free what the session holds; ends warm processes. The session is not used afterwards."""
        ...


class Executor(Protocol):
    """A framework."""

    @property
    def name(self) -> str:
        """The name of its entry point."""
        ...

    async def list(self, suite: Suite, sink: Sink) -> Listing:
        """List the tests of ``suite``; what the framework prints goes to ``sink`` as log.

        Raises :class:`NotASuite` or :class:`CollectionFailed`, each naming the cause.
        """
        ...

    async def open(self, suite: Suite, lanes: int) -> Session:
        """Open ``suite`` with ``lanes`` places."""
        ...


@runtime_checkable
class ReportMaker(Protocol):
    """What an executor may do besides: have its framework write a report of a whole run."""

    async def report(self, suite: Suite, blob: Path, to: Path, sink: Sink) -> None:
        """Make a report for people: a folder ``to`` with an ``index.html``, of the framework's blob in folder ``blob``.

        What the framework prints goes to ``sink`` as log; ``suite.limits`` hold. When the call is cancelled its
        processes are ended, politely first, within 5 s. Raises :class:`ExecutorError`, naming the cause.
        """
        ...
