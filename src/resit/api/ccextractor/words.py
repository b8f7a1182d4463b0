"""The Sample Platform's words for what Resit knows, and back. Every table here is complete in both directions."""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import assert_never

from resit.domain.access import Scope
from resit.domain.ledger import Row
from resit.domain.project import source_repository
from resit.domain.run import Problem, Run
from resit.domain.status import Outcome, RunStatus, Verdict
from resit.ports.reads import Kind

MAX_ID = 2**31 - 1
NO_COMMIT = "0" * 40
"""What a run that was made without a commit shows (study, section 5, item 29)."""
PULL_REQUEST = "pull_request"
"""The name under which a run's metadata keep the number of a pull request."""
_SHA = re.compile(r"[0-9a-fA-F]{40}")
_GITHUB = re.compile(r"(?:[a-z+]+://(?:[^/@]*@)?|[^/@]+@)(?:www\.)?github\.com[:/].*", re.IGNORECASE)


class RunWord(StrEnum):
    """How a run stands (RunStatus of the contract)."""

    QUEUED = "queued"
    RUNNING = "running"
    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    CANCELED = "canceled"
    ERROR = "error"
    INCOMPLETE = "incomplete"


def run_word(status: RunStatus, verdict: Verdict | None) -> RunWord:
    """The word for a run. A run that ended and tells nothing of what it was asked for is incomplete."""
    match status:
        case RunStatus.REQUESTED | RunStatus.ADMITTED:
            return RunWord.QUEUED
        case RunStatus.PLANNING | RunStatus.RUNNING | RunStatus.FINALIZING:
            return RunWord.RUNNING
        case RunStatus.CANCELLED:
            return RunWord.CANCELED
        case RunStatus.FINISHED:
            return _ended(verdict)
        case _:
            assert_never(status)


def _ended(verdict: Verdict | None) -> RunWord:
    match verdict:
        case Verdict.PASSED:
            return RunWord.PASS
        case Verdict.FAILED:
            return RunWord.FAIL
        case Verdict.ERRORED | None:
            return RunWord.ERROR
        case Verdict.SKIPPED:
            return RunWord.INCOMPLETE
        case _:
            assert_never(verdict)


def kinds(word: RunWord) -> tuple[Kind, ...]:
    """The runs that a word stands for: the reverse of :func:`run_word`."""
    match word:
        case RunWord.QUEUED:
            return ((RunStatus.REQUESTED, None), (RunStatus.ADMITTED, None))
        case RunWord.RUNNING:
            return ((RunStatus.PLANNING, None), (RunStatus.RUNNING, None), (RunStatus.FINALIZING, None))
        case RunWord.CANCELED:
            return ((RunStatus.CANCELLED, None),)
        case RunWord.PASS:
            return ((RunStatus.FINISHED, Verdict.PASSED),)
        case RunWord.FAIL:
            return ((RunStatus.FINISHED, Verdict.FAILED),)
        case RunWord.ERROR:
            return ((RunStatus.FINISHED, Verdict.ERRORED),)
        case RunWord.INCOMPLETE:
            return ((RunStatus.FINISHED, Verdict.SKIPPED),)
        case _:
            assert_never(word)


class SampleWord(StrEnum):
    """How a test of a run stands (SampleStatus of the contract)."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    SKIPPED = "skipped"
    MISSING_OUTPUT = "missing_output"
    RUNNING = "running"
    NOT_STARTED = "not_started"


def outcome_word(outcome: Outcome) -> SampleWord:
    """The word for a final state. What was never executed did not start; what broke has no output."""
    match outcome:
        case Outcome.PASSED | Outcome.FLAKY:
            return SampleWord.PASS
        case Outcome.FAILED:
            return SampleWord.FAIL
        case Outcome.ERRORED:
            return SampleWord.MISSING_OUTPUT
        case Outcome.SKIPPED:
            return SampleWord.SKIPPED
        case Outcome.LOST | Outcome.NOT_FOUND | Outcome.CANCELLED:
            return SampleWord.NOT_STARTED
        case _:
            assert_never(outcome)


def sample_word(row: Row) -> SampleWord:
    """The word for a planned test."""
    if row.outcome is not None:
        return outcome_word(row.outcome)
    return SampleWord.RUNNING if row.running else SampleWord.NOT_STARTED


def states(word: SampleWord) -> tuple[str, ...]:
    """The states of the ledger that a word stands for: the reverse of :func:`sample_word`."""
    found = tuple(outcome.value for outcome in Outcome if outcome_word(outcome) is word)
    match word:
        case SampleWord.RUNNING:
            return ("running",)
        case SampleWord.NOT_STARTED:
            return (*found, "planned")
        case SampleWord.PASS | SampleWord.FAIL | SampleWord.SKIPPED | SampleWord.MISSING_OUTPUT:
            return found
        case _:
            assert_never(word)


class ErrorType(StrEnum):
    """What went wrong with a test."""

    TEST_FAILURE = "test_failure"
    EXIT_CODE_MISMATCH = "exit_code_mismatch"
    MISSING_OUTPUT = "missing_output"
    DIFF_MISMATCH = "diff_mismatch"


class InfraType(StrEnum):
    """What went wrong outside any test."""

    QUEUE = "queue"
    VM_PROVISIONING = "vm_provisioning"
    CHECKOUT = "checkout"
    MERGE = "merge"
    BUILD = "build"
    WORKER = "worker"
    WEB_SERVER = "web_server"
    STORAGE = "storage"


class Severity(StrEnum):
    """How bad it is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


FAULTS: Mapping[Outcome, tuple[ErrorType, Severity]] = {
    Outcome.FAILED: (ErrorType.TEST_FAILURE, Severity.ERROR),
    Outcome.ERRORED: (ErrorType.MISSING_OUTPUT, Severity.CRITICAL),
}
"""The outcomes that are errors of tests: exactly those that failed_only takes up (study 2.10)."""

INFRA_FAULTS: Mapping[Outcome, tuple[InfraType, Severity]] = {
    Outcome.LOST: (InfraType.WORKER, Severity.CRITICAL),
    Outcome.NOT_FOUND: (InfraType.BUILD, Severity.ERROR),
}
"""The outcomes of tests that never came to a result, for a reason outside of them."""

_PROBLEMS = {
    "no_worker": InfraType.QUEUE,
    "dispatch_failed": InfraType.QUEUE,
    "checkout_failed": InfraType.CHECKOUT,
    "source_missing": InfraType.CHECKOUT,
    "setup_failed": InfraType.BUILD,
    "not_a_suite": InfraType.BUILD,
    "collection_failed": InfraType.BUILD,
    "no_tests": InfraType.BUILD,
    "too_many_tests": InfraType.BUILD,
}


def problem_type(problem: Problem) -> InfraType:
    """The part that a problem of a run belongs to; executors bring codes of their own, which are the worker's."""
    return _PROBLEMS.get(problem.code, InfraType.WORKER)


SCOPES = tuple(scope for scope in Scope if scope is not Scope.ADMIN)
"""The scopes that the contract knows, in its order of reading; the operator's own one stands for all of them."""


def scope_words(scopes: Iterable[Scope]) -> list[str]:
    """Scopes as the contract names them."""
    have = set(scopes)
    return [scope.value for scope in SCOPES if scope in have or Scope.ADMIN in have]


def commit_of(run: Run) -> str:
    """The commit under test: what the request said of the build, else the test repository's, else zeros."""
    return next((sha for sha in (run.build.commit, run.commit) if _SHA.fullmatch(sha)), NO_COMMIT)


def commit_or_none(text: str) -> str | None:
    """A commit when it is one to the letter."""
    return text if _SHA.fullmatch(text) else None


def branch_of(run: Run) -> str:
    """The branch under test, or the test repository's; empty when neither is known."""
    return (run.build.branch or run.branch)[:100]


def pull_request(run: Run) -> int | None:
    """The number of the pull request that a run is for."""
    found = run.metadata.get(PULL_REQUEST)
    return found if isinstance(found, int) and not isinstance(found, bool) and 1 <= found <= MAX_ID else None


def github_link(run: Run, repository: str, source: str) -> str | None:
    """The page of the commit or pull request, where the source says that the repository is at GitHub."""
    if not _GITHUB.fullmatch(source) or source_repository(source).lower() != repository.lower():
        return None
    base, number, sha = f"https://github.com/{repository}", pull_request(run), commit_of(run)
    if number is not None:
        return f"{base}/pull/{number}"
    return None if sha == NO_COMMIT else f"{base}/commit/{sha}"


def categories(file: str) -> list[str]:
    """The category of a test: the first folder of its file's path."""
    folder, slash, _ = file.partition("/")
    return [folder[:100]] if folder and slash else []


def extension(path: str) -> str:
    """What stands after the last dot of a file's name."""
    name = path.rpartition("/")[2]
    return name.rpartition(".")[2][:10] if "." in name else ""
