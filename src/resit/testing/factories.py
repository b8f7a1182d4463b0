"""Values of the domain with defaults everywhere: a test says only what it is about."""

from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from resit.domain.access import Principal, Role, Scope
from resit.domain.attempt import Attempt
from resit.domain.events import DidNotRun, Failure, TestEvent, TestResult, TestStarted
from resit.domain.events import NotFound as NotCollected
from resit.domain.ids import case_uuid
from resit.domain.ledger import Row
from resit.domain.plan import PlannedTest
from resit.domain.project import Environment, Project
from resit.domain.run import Run
from resit.domain.status import ResultStatus
from resit.ports import Ledgered

NOW = 1_700_000_000.0
"""The time at which tests begin."""
ADMIN = Principal("admin", None, frozenset({Scope.ADMIN}), Role.ADMIN)
"""Who may do everything."""
ODD = "quotes '\" back\\slash % _ › ümläut 😀 \u2028 \t\n end "
"""A text that every store must give back as it was."""


class FakeClock:
    """A clock that stands until it is turned; see ``resit.ports.Clock``."""

    def __init__(self, time: float = NOW) -> None:
        self.time = time

    def now(self) -> float:
        """The time that was set."""
        return self.time

    def turn(self, seconds: float) -> None:
        """Let time pass."""
        self.time += seconds


class FakeIds:
    """Ids without chance, in order; see ``resit.ports.Ids``."""

    def __init__(self) -> None:
        self._made = 0

    def _next(self) -> int:
        self._made += 1
        return self._made

    def uuid(self) -> str:
        """The next UUID."""
        return uuid_of(f"made {self._next()}")

    def secret(self) -> str:
        """The next secret; no two share what is stored of them to find them by."""
        return f"{self._next():06d}-secret-{'x' * 32}"

    def short_of(self, *numbers: int) -> str:
        """Numbers in letters."""
        return "x".join(self.short(number) for number in numbers)

    def numbers(self, short: str, count: int) -> tuple[int, ...] | None:
        """The reverse of :meth:`short_of`."""
        found = [self.number(part) for part in short.split("x")]
        return tuple(n for n in found if n is not None) if len(found) == count and None not in found else None

    def short(self, number: int) -> str:
        """A number in letters."""
        return "run" + "".join(chr(ord("a") + int(digit)) for digit in str(number))

    def number(self, short: str) -> int | None:
        """The reverse of :meth:`short`."""
        digits = [str(ord(letter) - ord("a")) for letter in short.removeprefix("run")]
        if not short.startswith("run") or not digits or not all(digit in list("0123456789") for digit in digits):
            return None
        found = int("".join(digits))
        return found if self.short(found) == short else None


def uuid_of(name: str) -> str:
    """A UUID that follows from a name."""
    return str(uuid5(NAMESPACE_URL, name))


def planned(id: str = "tests/test_a.py::test_one", **members: Any) -> PlannedTest:
    """A planned test; file and title follow from the id."""
    file, _, title = id.partition("::")
    values: dict[str, Any] = {"id": id, "file": file, "title_path": (title or file,), **members}
    return PlannedTest(**values)


def suite(*files: int) -> list[PlannedTest]:
    """Planned tests of as many files as numbers, each with so many tests: ``suite(2, 1)`` has f1 a, b and f2 a."""
    return [
        planned(f"tests/test_{file}.py::test_{number}")
        for file, tests in enumerate(files, 1)
        for number in range(1, tests + 1)
    ]


def row(ordinal: int = 0, **members: Any) -> Row:
    """A row of a ledger, of batch 1."""
    values: dict[str, Any] = {"ordinal": ordinal, "test": f"test {ordinal}", "batch": 1, **members}
    return Row(**values)


def ledgered(tests: Sequence[PlannedTest], project: str, batch: int = 1) -> list[Ledgered]:
    """A ledger of tests nobody has begun, all in one batch; ``project`` is its UUID."""
    return [
        Ledgered(test, Row(ordinal, test.id, batch), case_uuid(project, test.id)) for ordinal, test in enumerate(tests)
    ]


def started(test: str, retry: int = 0) -> TestStarted:
    """A test began."""
    return TestStarted(test, NOW, retry)


def result(test: str, status: ResultStatus | str = ResultStatus.PASSED, **members: Any) -> TestResult:
    """A result; one that does not pass says why."""
    status = ResultStatus(status)
    wrong = status in (ResultStatus.FAILED, ResultStatus.TIMED_OUT, ResultStatus.ERRORED)
    values: dict[str, Any] = {
        "started_at": NOW,
        "duration": 0.5,
        "failures": (Failure("it went wrong", "it went wrong\n  at line 7", "tests/test_a.py:7"),) if wrong else (),
        **members,
    }
    return TestResult(test, status, **values)


def flaky(test: str) -> list[TestEvent]:
    """A test that fails and passes on its retry."""
    return [started(test), result(test, "failed", final=False), started(test, 1), result(test, retry=1)]


def not_collected(test: str) -> NotCollected:
    """A planned test that is gone."""
    return NotCollected(test)


def did_not_run(test: str, reason: str = "the one before it failed") -> DidNotRun:
    """A test that was left out."""
    return DidNotRun(test, reason)


def project(**members: Any) -> Project:
    """A project."""
    values: dict[str, Any] = {
        "id": 0, "slug": "shop", "name": "Shop", "source": "/srv/shop", "executor": "pytest", "created_at": NOW,
        **members,
    }  # fmt: skip
    return Project(uuid=values.pop("uuid", uuid_of(f"project {values['slug']}")), **values)


def environment(project_id: int, **members: Any) -> Environment:
    """An environment of a project."""
    values: dict[str, Any] = {"id": 0, "slug": "default", "created_at": NOW, **members}
    name = f"environment {project_id} {values['slug']}"
    return Environment(uuid=values.pop("uuid", uuid_of(name)), project_id=project_id, **values)


def run(project_id: int = 1, environment_id: int = 1, **members: Any) -> Run:
    """A run that was just requested."""
    values: dict[str, Any] = {"id": 0, "created_at": NOW, "touched_at": NOW, **members}
    uuid = values.pop("uuid", uuid_of(f"run {sorted(values.items(), key=str)}"))
    return Run(uuid=uuid, project_id=project_id, environment_id=environment_id, **values)


def attempt(run_id: int = 1, batch: int = 1, number: int = 1, **members: Any) -> Attempt:
    """An attempt that runs."""
    values: dict[str, Any] = {
        "claim": f"claim {run_id}/{batch}/{number}", "worker": f"worker {number}", "started_at": NOW, "seen_at": NOW,
        **members,
    }  # fmt: skip
    return Attempt(run_id=run_id, batch=batch, number=number, **values)
