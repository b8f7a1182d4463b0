"""Every way to stand has its words; *completed* always has a result, and nothing else has one (study 2.2 to 2.5)."""

import itertools

import pytest

from resit.api.qatech import words
from resit.api.qatech.words import Result, Status
from resit.domain.run import Via
from resit.domain.selection import Taken
from resit.domain.status import Outcome, RunStatus, Verdict
from resit.testing.factories import row

KINDS = list(itertools.product(RunStatus, [None, *Verdict]))


@pytest.mark.parametrize(("status", "verdict"), KINDS)
def test_every_kind_of_run(status: RunStatus, verdict: Verdict | None) -> None:
    said, result = words.of_run(status, verdict)
    assert (result is not None) == (said is Status.COMPLETED)
    assert (said in (Status.INITIATED, Status.RUNNING)) == status.open
    assert (said is Status.CANCELLED) == (status is RunStatus.CANCELLED)
    if status is RunStatus.FINISHED:
        carried_through = verdict in (Verdict.PASSED, Verdict.FAILED, Verdict.SKIPPED)
        assert said is (Status.COMPLETED if carried_through else Status.ERROR)
        assert not carried_through or result == str(verdict).upper()


@pytest.mark.parametrize("outcome", [None, *Outcome])
@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize("reason", ["", "because\nof this"])
def test_every_outcome_of_a_test(outcome: Outcome | None, running: bool, reason: str) -> None:
    found = row(outcome=outcome, running=running and outcome is None, reason=reason)
    said, result = words.of_test(found)
    assert (result is not None) == (said is Status.COMPLETED)
    assert said in Status
    passed = result is Result.PASSED
    title = words.title(found)
    assert (title is None) == (passed or outcome is None)
    assert title is None or "\n" not in title
    assert not title or not reason or title == "because"
    failing = (Outcome.FAILED, Outcome.ERRORED, Outcome.LOST, Outcome.NOT_FOUND, Outcome.CANCELLED)
    assert (words.error_code(outcome) is not None) == (outcome in failing)
    assert (words.error_code(outcome) == "TEST_FAILED") == (outcome is Outcome.FAILED)


def test_the_set_of_failed_tests_is_that_of_the_rerun() -> None:
    """Study 2.5: a result of FAILED or SKIPPED, or a status of ERROR or CANCELLED."""
    for outcome in Outcome:
        said, result = words.of_test(row(outcome=outcome))
        wanted = result in (Result.FAILED, Result.SKIPPED) or said in (Status.ERROR, Status.CANCELLED)
        assert (outcome.value in words.TESTS_FAILED) == wanted
        assert Taken.NOT_PASSED.takes(row(outcome=outcome)) == wanted


def test_badges_know_every_kind_of_trigger() -> None:
    assert {via for via in words.VIA.values() if via} == set(Via)
    assert set(words.VIA) == set(words.Trigger)
