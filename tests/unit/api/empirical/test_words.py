"""Every way in which runs and tests stand has a word, and every word of a filter means something."""

import re
from pathlib import Path

import pytest

from resit.api.empirical import words
from resit.api.empirical.words import CaseStatus, ErrorCode, Result, State
from resit.domain.run import Problem
from resit.domain.status import Outcome, RunStatus, Verdict
from resit.testing import factories

PAIRS = [(status, verdict) for status in RunStatus for verdict in (None, *Verdict)]
SOURCES = Path(__file__).parents[4] / "src" / "resit"


@pytest.mark.parametrize(("status", "verdict"), PAIRS)
def test_every_run_has_a_state_and_only_ended_ones_a_result(status: RunStatus, verdict: Verdict | None) -> None:
    state, result = words.state(status, verdict), words.result(status, verdict)
    assert state in State
    assert state is not State.CANCELLING
    assert (state in (State.ENDED, State.ERROR, State.CANCELLED)) is not status.open
    if result is not None:
        assert state is State.ENDED
    if verdict is Verdict.PASSED and status is RunStatus.FINISHED:
        assert result is Result.PASSED
    if result is Result.PASSED:
        assert verdict is Verdict.PASSED, "only the verdict passed is green"


@pytest.mark.parametrize(
    ("status", "verdict", "state"),
    [
        (RunStatus.REQUESTED, None, "pending"),
        (RunStatus.ADMITTED, None, "queued"),
        (RunStatus.PLANNING, None, "started"),
        (RunStatus.RUNNING, None, "started"),
        (RunStatus.FINALIZING, None, "started"),
        (RunStatus.FINISHED, Verdict.PASSED, "ended"),
        (RunStatus.FINISHED, Verdict.FAILED, "ended"),
        (RunStatus.FINISHED, Verdict.SKIPPED, "ended"),
        (RunStatus.FINISHED, Verdict.ERRORED, "error"),
        (RunStatus.CANCELLED, Verdict.ERRORED, "cancelled"),
        (RunStatus.CANCELLED, Verdict.FAILED, "cancelled"),
    ],
)
def test_states(status: RunStatus, verdict: Verdict | None, state: str) -> None:
    assert words.state(status, verdict) == state


def test_every_outcome_is_one_of_the_four_words() -> None:
    assert {outcome: words.shown(outcome).value for outcome in Outcome} == {
        Outcome.PASSED: "passed",
        Outcome.FAILED: "failed",
        Outcome.FLAKY: "flaky",
        Outcome.SKIPPED: "skipped",
        Outcome.ERRORED: "failed",
        Outcome.LOST: "failed",
        Outcome.NOT_FOUND: "failed",
        Outcome.CANCELLED: "skipped",
    }
    assert {words.history_status(outcome) for outcome in Outcome} == {"pass", "fail", "flaky", "skip"}
    assert {words.shown(outcome) for outcome in Outcome} == set(CaseStatus)


def problem_codes() -> set[str]:
    """The codes of all problems that Resit itself names."""
    found: set[str] = set()
    for path in SOURCES.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r'Problem\(code="(\w+)"', text)) | set(re.findall(r'WorkspaceError\(\s*"(\w+)"', text))
    return found | set(re.findall(r'code = "(\w+)"', (SOURCES / "plugin.py").read_text(encoding="utf-8")))


def test_every_problem_is_one_of_the_vendors_error_codes() -> None:
    codes = problem_codes()
    assert len(codes) > 8
    assert set(words.ERROR_CODES) <= codes
    for code in codes | {"a_plugins_own"}:
        run = factories.run(
            status=RunStatus.FINISHED, verdict=Verdict.ERRORED, problems=(Problem(code=code, message="it broke"),)
        )
        assert words.error_code(run) in ErrorCode


def test_only_runs_in_the_state_error_have_a_code() -> None:
    problems = (Problem(code="dispatch_failed", message="nobody took it"),)
    for status, verdict in PAIRS:
        run = factories.run(status=status, verdict=verdict, problems=problems)
        shown = words.error_code(run)
        assert shown == ("dispatch_failed" if words.state(status, verdict) is State.ERROR else None)
    unnamed = factories.run(status=RunStatus.FINISHED, verdict=Verdict.ERRORED)
    assert words.error_code(unnamed) == "report_not_generated"


@pytest.mark.parametrize("state", [None, *State])
@pytest.mark.parametrize("result", [None, *Result])
def test_a_filter_lets_through_exactly_what_is_shown_as_its_words(state: State | None, result: Result | None) -> None:
    kinds = words.kinds(state, result)
    for status, verdict in PAIRS:
        if status is RunStatus.FINISHED and verdict is None:
            continue  # there is no such run
        wanted = state in (None, words.state(status, verdict)) and result in (None, words.result(status, verdict))
        through = kinds == () or (kinds is not None and any(k[0] is status and k[1] in (None, verdict) for k in kinds))
        assert through is wanted, (status, verdict, kinds)
