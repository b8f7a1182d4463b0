"""The effective verdict: the newest word on each test, and problems that nobody has shown to be gone."""

import pytest

from resit.domain.lineage import Known, effective
from resit.domain.status import Verdict


def known(**outcomes: str | None) -> Known:
    return {test: (outcome, outcome == "skipped!", outcome == "snoozed!") for test, outcome in outcomes.items()}


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([], Verdict.ERRORED),
        ([known()], Verdict.ERRORED),
        ([known(a="passed", b="failed")], Verdict.FAILED),
        ([known(a="passed", b="failed"), known(b="passed")], Verdict.PASSED),
        ([known(a="passed", b="failed"), known(b="flaky")], Verdict.PASSED),
        ([known(a="passed", b="failed"), known(b=None)], None),
        ([known(a="passed", b="failed"), known(b="not_found")], Verdict.FAILED),
        ([known(a="passed", b="failed"), known(b="lost"), known(b="passed")], Verdict.PASSED),
        ([known(a="passed", b="failed"), known(b="cancelled")], Verdict.FAILED),
        ([known(a="passed", b="passed"), known(a="failed")], Verdict.FAILED),
        ([known(a="passed", b="cancelled")], Verdict.ERRORED),
        ([known(a="passed", b="cancelled"), known(b="passed")], Verdict.PASSED),
        ([known(a="skipped"), known()], Verdict.SKIPPED),
        ([{"a": ("passed", False, False), "b": ("skipped", True, False)}], Verdict.FAILED),
        ([{"a": ("passed", False, False), "b": ("skipped", True, False)}, known(b="passed")], Verdict.PASSED),
        ([{"a": ("passed", False, False), "b": ("failed", False, True)}], Verdict.PASSED),
        ([{"a": ("failed", False, False), "b": ("failed", False, True)}], Verdict.FAILED),
        ([known(a="failed"), {"a": ("failed", False, True)}], Verdict.PASSED),
    ],
)
def test_the_newest_word_on_each_test_counts(runs: list[Known], expected: Verdict | None) -> None:
    assert effective(runs) is expected


@pytest.mark.parametrize(
    ("runs", "problems", "expected"),
    [
        ([known(a="passed")], [True], Verdict.ERRORED),
        ([known(a="passed", b="failed"), known(b="passed")], [True, False], Verdict.ERRORED),
        ([known(a="passed", b="failed"), known(a="passed", b="passed")], [True, False], Verdict.PASSED),
        ([known(a="passed", b="failed"), known(a="passed"), known(b="passed")], [True, False, False], Verdict.PASSED),
        ([known(a="passed", b="failed"), known(b="passed")], [False, True], Verdict.ERRORED),
        ([known(), known(a="passed")], [True, False], Verdict.PASSED),
        ([known(), known()], [True, False], Verdict.ERRORED),
        ([known(a="passed"), known()], [True, False], Verdict.ERRORED),
        ([known(a="passed"), known(a="cancelled")], [True, False], Verdict.ERRORED),
    ],
)
def test_a_problem_stands_until_a_run_of_the_same_tests_has_none(
    runs: list[Known], problems: list[bool], expected: Verdict
) -> None:
    assert effective(runs, problems) is expected
