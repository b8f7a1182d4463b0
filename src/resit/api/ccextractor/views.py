"""What runs, tests and files look like in this API. Texts are cut to the contract's lengths."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resit.api.ccextractor import words
from resit.api.ccextractor.common import when
from resit.api.ccextractor.outputs import Output, found_in
from resit.api.context import Services
from resit.domain.access import Principal
from resit.domain.ids import case_uuid
from resit.domain.ledger import Counts
from resit.domain.run import Run
from resit.domain.status import Outcome, RunStatus
from resit.ports import Ledgered, StoredResult
from resit.ports.reads import FileView, LedgerFilter, RunView, TestCase

MAX_IDS = 500
"""Tests that the configuration of a run names (RunConfig of the contract)."""


def run_out(view: RunView, base: str) -> dict[str, Any]:
    """A run, with the members of the older design as extras (study, section 5, item 28)."""
    run = view.run
    number, sha = words.pull_request(run), words.commit_of(run)
    created = when(run.created_at)
    return {
        "run_id": run.id,
        "status": words.run_word(run.status, run.verdict).value,
        "platform": view.platform.value,
        "test_type": "commit" if number is None else "pr",
        "repository": view.repository[:100],
        "branch": words.branch_of(run) or None,
        "commit_sha": sha,
        "pr_number": number,
        "created_at": created,
        "queued_at": created,
        "started_at": when(run.planned_at),
        "completed_at": when(run.finished_at),
        "github_link": words.github_link(run, view.repository, view.source),
        "commit_short": sha[:7],
        "pull_request": number,
        "run_errors": _errors(run),
        "triggered_by": _by(run),
        "duration_ms": None if run.duration is None else round(run.duration * 1000),
        "links": _links(run, f"{base}/api/v1/runs/"),
    }


def _links(run: Run, runs: str) -> dict[str, str]:
    """Where the run is read, and for a retry the run that it was made from."""
    found = {"self": f"{runs}{run.id}"}
    return found if run.source_run_id is None else {**found, "source": f"{runs}{run.source_run_id}"}


def _errors(run: Run) -> str:
    if run.status.open:
        return "unknown"
    return "true" if run.counts.red or run.problems else "false"


def summary_out(run: Run, planned: int, seconds: float) -> dict[str, Any]:
    """Counts of outcomes; the four of them add up to the total.

    ``planned``: tests of a run that has no plan yet; ``seconds``: what the tests took in all.
    """
    counts = run.counts
    total = counts.total or planned
    passed, failed, missing = counts.passed + counts.flaky, counts.failed, counts.errored
    return {
        "run_id": run.id,
        "status": words.run_word(run.status, run.verdict).value,
        "total_samples": total,
        "pass_count": passed,
        "fail_count": failed,
        "skipped_count": total - passed - failed - missing,
        "missing_output_count": missing,
        "error_count": faulty(counts),
        "duration_ms": round(seconds * 1000) or None,
        "triggered_by": _by(run),
    }


def _by(run: Run) -> str | None:
    return (run.actor or run.triggered_by)[:100] or None


def faulty(counts: Counts) -> int:
    """How many tests are errors of a run: those that failed_only takes up."""
    return sum(getattr(counts, outcome.value) for outcome in words.FAULTS)


def progress_out(run: Run) -> list[dict[str, Any]]:
    """What became of a run, oldest first."""
    total = run.counts.total
    found = [_event(run.created_at, "queued", "Run queued")]
    # A run that ended before anybody worked on it has its end for a beginning.
    if run.started_at is not None and (run.planned_at is not None or run.started_at != run.finished_at):
        found.append(_event(run.started_at, "preparation", "Preparing the tests"))
    if run.planned_at is not None:
        found.append(_event(run.planned_at, "testing", f"Running {total} test{'' if total == 1 else 's'}"))
    if run.finished_at is not None:
        if run.status is RunStatus.CANCELLED:
            by = f" by {run.cancelled_by}" if run.cancelled_by else ""
            why = f": {run.cancel_reason}" if run.cancel_reason else ""
            found.append(_event(run.finished_at, "canceled", f"Canceled{by}{why}"))
        else:
            said = run.error.message if run.error else run.cancel_reason
            found.append(_event(run.finished_at, "completed", f"Run completed{f': {said}' if said else ''}"))
    return found


def _event(at: float, status: str, message: str) -> dict[str, Any]:
    return {"timestamp": when(at), "status": status, "message": message[:500], "step": None}


@dataclass(frozen=True, slots=True)
class Tests:
    """Tests of one run with the numbers that this API knows them and their files by, and their results that count."""

    __test__ = False

    cases: Mapping[str, TestCase]
    files: Mapping[str, int]
    results: Mapping[int, StoredResult]

    def sample_id(self, item: Ledgered) -> int | None:
        """The number of a test's file."""
        return self.files.get(item.test.file)

    def regression_id(self, item: Ledgered) -> int | None:
        """The number of a test."""
        case = self.cases.get(item.case_uuid)
        return case.id if case else None

    def outputs(self, item: Ledgered) -> list[Output]:
        """The outputs of a test's last execution."""
        result = self.results.get(item.row.ordinal)
        return found_in(result.found) if result else []


def tests_of(use: Services, view: RunView, items: Sequence[Ledgered]) -> Tests:
    """What has to be looked up for a page of a run's tests."""
    results: dict[int, StoredResult] = {}
    for ordinal, stored in use.reads.results(view.run.id, [item.row.ordinal for item in items]).items():
        counted = [result for result in stored if result.counted]
        if counted:
            results[ordinal] = counted[-1]
    return Tests(
        use.reads.cases_of([item.case_uuid for item in items]),
        use.reads.file_numbers(view.run.project_id, {item.test.file for item in items}),
        results,
    )


def sample_out(item: Ledgered, tests: Tests) -> dict[str, Any]:
    """A test of a run."""
    return {
        "regression_test_id": tests.regression_id(item),
        "sample_id": tests.sample_id(item),
        "sample_name": item.test.file[:255] or None,
        "categories": words.categories(item.test.file),
        "command": item.test.id[:500],
        "status": words.sample_word(item.row).value,
        "runtime_ms": round(item.row.duration * 1000) if item.row.final else None,
        "exit_code": None,
        "expected_rc": None,
        "outputs": [
            {
                "output_id": output.id,
                "filename": output.name[:255],
                "status": output.status(item.row.outcome in (Outcome.PASSED, Outcome.FLAKY)),
            }
            for output in tests.outputs(item)
        ],
    }


def numbers_of(use: Services, who: Principal, view: RunView) -> tuple[list[int], int]:
    """The numbers of a run's tests in their order, the first ones of them, and how many tests there are.

    For a run without a plan it is what is foreseen. A test that no suite has listed has no number and is left out.
    """
    total = view.run.counts.total
    if total:
        uuids = [item.case_uuid for item in use.reads.ledger_slice(view.run.id, LedgerFilter(), 0, MAX_IDS).items]
    else:
        planned = use.runs.foreseen(who, view.run.id)
        total, uuids = len(planned), [case_uuid(view.project_uuid, test.id) for test in planned[:MAX_IDS]]
    cases = use.reads.cases_of(uuids)
    return [cases[uuid].id for uuid in uuids if uuid in cases], total


def regression_out(case: TestCase, sample_id: int | None) -> dict[str, Any]:
    """A test case as the definition of a regression test."""
    return {
        "regression_test_id": case.id,
        "sample_id": sample_id,
        "sample_name": case.file[:255] or None,
        "command": case.test[:500],
        "input_type": "file",
        "output_type": "report",
        "expected_rc": None,
        "active": case.active,
        "categories": words.categories(case.file),
        "description": (case.goal or case.title)[:1024],
    }


def file_out(file: FileView, tags: Sequence[str]) -> dict[str, Any]:
    """A file of tests as a sample."""
    return {
        "sample_id": file.id,
        "sha": sha_of(file.path),
        "extension": words.extension(file.path),
        "original_name": file.path[:255],
        "filename": file.path.rpartition("/")[2][:255],
        "tags": [tag[:50] for tag in tags[:50]],
        "regression_test_count": file.tests,
        "active": file.tests > 0,
    }


def sha_of(path: str) -> str:
    """What stands for a file's content: the SHA-256 of its path, so that it stays."""
    return hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest()
