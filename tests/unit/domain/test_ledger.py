"""The ledger: whatever order, loss or repetition of events arrives, each row ends once, and never green by accident."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.domain import ledger
from resit.domain.events import DidNotRun, NotFound, TestEvent, TestResult, TestStarted
from resit.domain.ledger import Counts, Row
from resit.domain.status import Outcome, ResultStatus
from resit.testing.factories import result, row

STATUSES = st.sampled_from(list(ResultStatus))
FAILING = {ResultStatus.FAILED, ResultStatus.TIMED_OUT, ResultStatus.ERRORED}


@st.composite
def events(draw: st.DrawFn) -> TestEvent:
    """Any event of test "t", sensible or not."""
    retry = draw(st.integers(0, 3))
    match draw(st.sampled_from(["started", "result", "not found", "did not run"])):
        case "started":
            return TestStarted("t", draw(st.sampled_from([0.0, 7.0])), retry)
        case "result":
            failed = draw(st.booleans())
            return result("t", draw(STATUSES), retry=retry, final=draw(st.booleans()), after_failure=failed)
        case "not found":
            return NotFound("t")
        case _:
            return DidNotRun("t", "left out")


def follow(before: Row, event: TestEvent) -> Row:
    match event:
        case TestStarted():
            return ledger.started(before, event.at)
        case TestResult():
            return ledger.result(before, event)
        case NotFound():
            return ledger.not_found(before, event.reason)
        case DidNotRun():
            return ledger.did_not_run(before, event.reason)


ENDS = {
    "ended": lambda r: ledger.batch_ended(r, "ended"),
    "lost": lambda r: ledger.lost(r, "lost"),
    "cancelled": ledger.cancelled,
}
STEPS = st.lists(st.one_of(events(), st.just("restart")), max_size=12)


def walk(steps: list[TestEvent | str]) -> list[Row]:
    """The rows that a row becomes."""
    rows = [row()]
    for step in steps:
        rows.append(ledger.restart(rows[-1]) if isinstance(step, str) else follow(rows[-1], step))
    return rows


@given(STEPS, st.sampled_from(sorted(ENDS)))
def test_a_row_ends_in_exactly_one_state(steps: list[TestEvent | str], end: str) -> None:
    last = ENDS[end](walk(steps)[-1])
    assert last.final
    assert not last.running
    for again in ENDS.values():
        assert again(last) == last
    assert ledger.restart(last) == last


@given(STEPS, st.lists(events(), max_size=4))
def test_what_is_final_never_changes(steps: list[TestEvent | str], late: list[TestEvent]) -> None:
    last = ledger.lost(walk(steps)[-1], "lost")
    for event in late:
        assert follow(last, event) == last


@given(STEPS)
def test_a_row_is_green_only_by_a_final_pass(steps: list[TestEvent | str]) -> None:
    """No order, loss or repetition makes a pass of what did not pass."""
    rows = walk(steps)
    if rows[-1].outcome in (Outcome.PASSED, Outcome.FLAKY):
        closing = next(step for step, now in zip(steps, rows[1:], strict=True) if now.final)
        assert isinstance(closing, TestResult)
        assert closing.status is ResultStatus.PASSED
        assert closing.final


@given(STEPS)
def test_a_failure_of_this_attempt_is_never_forgotten(steps: list[TestEvent | str]) -> None:
    rows = walk(steps)
    failed = False
    for step, before, now in zip(steps, rows, rows[1:], strict=False):
        if isinstance(step, str):
            failed = False
        elif isinstance(step, TestResult) and not before.final:
            failed = failed or step.status in FAILING or step.after_failure
            if now.final and failed:
                assert now.outcome not in (Outcome.PASSED, Outcome.SKIPPED) or now.precluded


@given(st.lists(st.tuples(st.integers(0, 4), st.one_of(events(), st.sampled_from(["restart", *ENDS]))), max_size=40))
def test_counts_that_move_equal_a_recount(steps: list[tuple[int, TestEvent | str]]) -> None:
    rows = [row(n) for n in range(5)]
    counts = ledger.count(rows)
    for at, step in steps:
        before = rows[at]
        if isinstance(step, str):
            rows[at] = ledger.restart(before) if step == "restart" else ENDS[step](before)
        else:
            rows[at] = follow(before, step)
        counts = ledger.moved(counts, [(before, rows[at])])
        assert counts == ledger.count(rows)
        assert counts.total == 5


FAIL = result("t", "failed", final=False)


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ([result("t")], Outcome.PASSED),
        ([FAIL, result("t", retry=1)], Outcome.FLAKY),
        ([result("t", retry=1, after_failure=True)], Outcome.FLAKY),  # the event of the failure was lost
        ([result("t", retry=1)], Outcome.PASSED),  # repeated with its serial group
        ([result("t", final=False), result("t", retry=1)], Outcome.PASSED),
        ([FAIL, result("t", "failed", retry=1)], Outcome.FAILED),
        ([FAIL, result("t", "timed_out", retry=1)], Outcome.FAILED),
        ([FAIL, result("t", "errored", retry=1)], Outcome.ERRORED),
        ([FAIL, result("t", "skipped", retry=1)], Outcome.FAILED),
        ([result("t", "skipped", retry=1, after_failure=True)], Outcome.FAILED),
        ([result("t", "skipped")], Outcome.SKIPPED),
        ([FAIL, result("t", "interrupted", retry=1)], Outcome.FAILED),
        ([result("t", "interrupted", retry=1, after_failure=True)], Outcome.FAILED),
        ([result("t"), result("t", "failed")], Outcome.PASSED),
        ([result("t", "failed"), result("t", retry=1)], Outcome.FAILED),
    ],
)
def test_tries_fold_to_an_outcome(said: list[TestResult], outcome: Outcome) -> None:
    now = row()
    for event in said:
        now = ledger.result(now, event)
    assert now.outcome is outcome
    assert not now.precluded


def test_a_test_that_was_interrupted_did_not_run_and_keeps_the_run_red() -> None:
    now = ledger.result(row(), result("t", "interrupted"))
    assert (now.outcome, now.precluded) == (Outcome.SKIPPED, True)
    assert ledger.count([now]).red == 1


def test_a_batch_that_ends_in_the_middle_of_a_test_errors_it_and_fails_it_when_it_had_failed() -> None:
    assert ledger.batch_ended(ledger.started(row()), "gone").outcome is Outcome.ERRORED
    assert ledger.batch_ended(ledger.result(row(), FAIL), "gone").outcome is Outcome.FAILED
    passed_once = ledger.result(row(), result("t", final=False))
    assert ledger.batch_ended(passed_once, "gone").outcome is Outcome.ERRORED


def test_a_skip_says_why() -> None:
    skip = result("t", "skipped", annotations=(("issue", "#7"), ("skip", "not today")))
    assert ledger.result(row(), skip).reason == "not today"


def test_durations_add_up_and_begin_anew_with_an_attempt() -> None:
    once = ledger.result(row(), replace(FAIL, duration=2.0))
    assert ledger.result(once, result("t", retry=1, duration=1.0)).duration == 3.0
    assert ledger.result(row(), result("t", duration=-5.0)).duration == 0.0
    assert ledger.restart(once) == row()


def test_a_reason_is_short_however_long_the_message() -> None:
    now = ledger.lost(row(), "x" * 100_000)
    assert len(now.reason) == ledger.MAX_REASON
    assert now.reason.endswith("…")


def test_counts_speak_of_all_rows() -> None:
    rows = [ledger.started(row(0)), row(1), ledger.did_not_run(row(2), ""), ledger.lost(row(3), "")]
    assert ledger.count(rows) == Counts(running=1, planned=1, skipped=1, precluded=1, lost=1)
    assert [ledger.state(r) for r in rows] == ["running", "planned", "skipped", "lost"]
