"""The verdict: green only when everything that was promised is known and good."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.domain.ledger import Counts
from resit.domain.status import Verdict
from resit.domain.verdict import in_words, verdict

NAMES = ("passed", "failed", "flaky", "skipped", "errored", "lost", "not_found", "cancelled", "planned", "running")


@st.composite
def counts(draw: st.DrawFn) -> Counts:
    numbers = {name: draw(st.sampled_from([0, 0, 1, 5])) for name in NAMES}
    return Counts(**numbers, precluded=draw(st.integers(0, numbers["skipped"])))


@given(counts(), st.booleans(), st.booleans())
def test_green_if_and_only_if_nothing_speaks_against_it(found: Counts, problem: bool, cancelled: bool) -> None:
    against = [getattr(found, name) for name in NAMES if name not in ("passed", "flaky", "skipped")]
    green = not any([*against, found.precluded, problem, cancelled]) and found.passed + found.flaky > 0
    assert (verdict(found, problem=problem, cancelled=cancelled) is Verdict.PASSED) is green


@given(counts(), st.booleans(), st.booleans())
def test_skipped_means_nothing_but_skips(found: Counts, problem: bool, cancelled: bool) -> None:
    only_skips = found.skipped == found.total > 0 and not found.precluded and not problem and not cancelled
    assert (verdict(found, problem=problem, cancelled=cancelled) is Verdict.SKIPPED) is only_skips


@pytest.mark.parametrize(
    ("found", "problem", "cancelled", "expected"),
    [
        (Counts(), False, False, Verdict.ERRORED),
        (Counts(passed=3), False, False, Verdict.PASSED),
        (Counts(passed=3, flaky=1), False, False, Verdict.PASSED),
        (Counts(passed=3, skipped=1), False, False, Verdict.PASSED),
        (Counts(passed=3, failed=1), True, True, Verdict.FAILED),
        (Counts(passed=3, lost=1), False, False, Verdict.FAILED),
        (Counts(passed=3, not_found=1), False, False, Verdict.FAILED),
        (Counts(passed=3, skipped=2, precluded=1), False, False, Verdict.FAILED),
        (Counts(passed=3), True, False, Verdict.ERRORED),
        (Counts(passed=3), False, True, Verdict.ERRORED),
        (Counts(passed=3, cancelled=1), False, False, Verdict.ERRORED),
        (Counts(passed=3, running=1), False, False, Verdict.ERRORED),
        (Counts(skipped=2), False, False, Verdict.SKIPPED),
    ],
)
def test_verdicts(found: Counts, problem: bool, cancelled: bool, expected: Verdict) -> None:
    assert verdict(found, problem=problem, cancelled=cancelled) is expected


def test_counts_in_words_worst_first() -> None:
    found = Counts(passed=194, flaky=3, failed=2, lost=1, not_found=1, skipped=3, precluded=2)
    assert in_words(found) == "2 failed, 1 lost, 1 not found, 2 did not run, 3 flaky, 1 skipped, 194 passed"
    assert in_words(Counts()) == "no tests"
