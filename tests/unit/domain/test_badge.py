"""What badges say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.domain.badge import (
    MAX_HISTORY,
    Badge,
    BadgeState,
    BadgeStyle,
    Part,
    Sample,
    Trend,
    age,
    badge,
    badge_state,
    not_found,
    sample,
    trend,
)
from resit.domain.ledger import Counts
from resit.domain.run import Problem, Run
from resit.domain.status import RunStatus, Verdict
from resit.testing import factories

P, F, E = BadgeState.PASSING, BadgeState.FAILING, BadgeState.ERROR


def closed(verdict: Verdict | None = Verdict.PASSED, **members: object) -> Run:
    return factories.run(status=RunStatus.FINISHED, verdict=verdict, **members)


@pytest.mark.parametrize("status", RunStatus)
@pytest.mark.parametrize("verdict", [None, *Verdict])
def test_every_run_has_a_state(status: RunStatus, verdict: Verdict | None) -> None:
    found = badge_state(factories.run(status=status, verdict=verdict))
    if status.open:
        assert found is BadgeState.RUNNING
    elif status is RunStatus.CANCELLED:
        assert found is BadgeState.CANCELLED
    else:
        words = {"passed": "passing", "failed": "failing", "skipped": "skipped", "errored": "error", None: "error"}
        assert found == words[verdict]


def test_the_state_of_no_run() -> None:
    assert badge_state(None) is BadgeState.NO_RUNS


def test_finer_states() -> None:
    part = Counts(passed=1, cancelled=1)
    nothing = (Problem(code="no_tests", message="x"),)
    assert badge_state(factories.run(status=RunStatus.ADMITTED), fine=True) is BadgeState.PENDING
    assert badge_state(factories.run(status=RunStatus.PLANNING), fine=True) is BadgeState.RUNNING
    assert badge_state(closed(Verdict.ERRORED, counts=part), fine=True) is BadgeState.PARTIAL
    assert badge_state(closed(Verdict.ERRORED, counts=part)) is E
    assert badge_state(closed(Verdict.ERRORED, counts=Counts(cancelled=2)), fine=True) is E
    assert badge_state(closed(Verdict.ERRORED, counts=Counts(passed=2)), fine=True) is E
    assert badge_state(closed(Verdict.ERRORED, problems=nothing), fine=True) is BadgeState.NO_TESTS
    assert badge_state(closed(Verdict.ERRORED, problems=nothing)) is E


@pytest.mark.parametrize(
    ("history", "goes"),
    [
        ([], Trend.STABLE), ([F], Trend.STABLE), ([P, P], Trend.STABLE), ([F, P], Trend.IMPROVING),
        ([P, F], Trend.DECLINING), ([P, F, P], Trend.STABLE), ([P, F, P, E], Trend.FLUCTUATING),
        ([F, F, P], Trend.IMPROVING), ([E, F, BadgeState.SKIPPED], Trend.STABLE),
        ([P, P, F, BadgeState.RUNNING], Trend.DECLINING),
    ],
)  # fmt: skip
def test_trends(history: list[BadgeState], goes: Trend) -> None:
    assert trend(history) is goes


@given(st.lists(st.sampled_from([P, F])))
def test_a_trend_read_backwards_is_the_other_way_round(history: list[BadgeState]) -> None:
    other = {Trend.IMPROVING: Trend.DECLINING, Trend.DECLINING: Trend.IMPROVING}
    found = trend(history)
    assert trend(history[::-1]) is other.get(found, found)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "now"), (0, "now"), (59.9, "now"), (60, "1m ago"), (3_599, "59m ago"), (7_200, "2h ago"), (1e6, "11d ago")],
)
def test_ages(seconds: float, said: str) -> None:
    assert age(seconds) == said


def test_styles() -> None:
    counts = Counts(passed=7, failed=1, lost=1, not_found=1, skipped=3, precluded=1, errored=2, flaky=1, cancelled=1)
    runs = [closed(Verdict.FAILED, counts=counts, finished_at=100.0), closed(), closed()]
    assert badge("a", runs, BadgeStyle.MINIMAL) == Badge("", (Part("failing", F),))
    assert badge("a", runs) == Badge("a", (Part("failing", F),))
    assert badge("a", runs, now=160).parts[-1] == Part("1m ago")
    assert badge("a", runs, BadgeStyle.TREND, count=2) == Badge("a", (Part("failing", F), Part("declining")), (P, F))
    said = badge("a", runs, BadgeStyle.DETAILED).text
    assert said == "a: 4 failed, 2 errored, 1 flaky, 1 cancelled, 2 skipped, 7 passed"
    assert badge("a", [factories.run(counts=counts)], BadgeStyle.DETAILED).text == "a: pending"


@pytest.mark.parametrize("style", BadgeStyle)
def test_no_runs_in_any_style(style: BadgeStyle) -> None:
    found = badge("a", [], style, now=5.0)
    assert found.parts == (Part("no runs", BadgeState.NO_RUNS),)
    assert not found.history


@given(st.integers(-5, 500))
def test_a_trend_is_no_longer_than_a_badge_can_be(count: int) -> None:
    shown = badge("a", [closed()] * 200, BadgeStyle.TREND, count=count).history
    assert 1 <= len(shown) <= MAX_HISTORY
    if 1 <= count <= MAX_HISTORY:
        assert len(shown) == count


@pytest.mark.parametrize("which", Sample)
@pytest.mark.parametrize("style", BadgeStyle)
@pytest.mark.parametrize("dated", [True, False])
def test_every_sample_is_what_it_is_called(which: Sample, style: BadgeStyle, dated: bool) -> None:
    found = sample(which, "a", style, dated=dated)
    words = which.value.removeprefix("trend-").replace("zero-", "no ")
    if style is not BadgeStyle.DETAILED and which is not Sample.MIXED:
        assert words in found.text
    assert found.text.endswith("2h ago") is dated
    if which.value.startswith("trend-"):
        assert len(found.history) == 9


def test_not_found() -> None:
    assert not_found("a").text == "a: not found"
