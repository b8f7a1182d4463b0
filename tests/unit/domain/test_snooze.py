"""When a snooze holds, and for what."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.domain import ledger
from resit.domain.errors import InvalidInput
from resit.domain.ledger import Row
from resit.domain.snooze import MAX_DAYS, MAX_TESTS, Snooze, check_tests, check_until, covering, covers, names
from resit.domain.status import Outcome, Verdict
from resit.domain.verdict import verdict
from resit.testing.factories import row

TIMES = st.integers(0, 50).map(float)
NAMES = st.sampled_from(["a", "b", "c", "d"])
SNOOZES = st.lists(
    st.builds(
        Snooze,
        id=st.integers(1, 9),
        project_id=st.just(1),
        tests=st.lists(NAMES, max_size=3).map(tuple),
        until=TIMES,
        created_at=TIMES,
        environment_id=st.sampled_from([None, 1, 2]),
    ),
    max_size=5,
)


@given(SNOOZES, TIMES)
def test_a_snooze_holds_from_its_making_to_its_end_in_its_environment(snoozes: list[Snooze], at: float) -> None:
    held = covering(snoozes, 1, at)
    for snooze in snoozes:
        lasts = snooze.created_at <= at < snooze.until
        assert (snooze in held) == (lasts and snooze.environment_id in (None, 1))


@given(SNOOZES, st.lists(NAMES, max_size=3))
def test_all_names_at_once_say_the_same(snoozes: list[Snooze], asked: list[str]) -> None:
    assert covers(snoozes, *asked) == (not names(snoozes).isdisjoint(asked))


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    """Rows of a run that is over."""
    found: list[Row] = []
    for ordinal in range(draw(st.integers(1, 8))):
        outcome = draw(st.sampled_from([*Outcome]))
        precluded = outcome is Outcome.SKIPPED and draw(st.booleans())
        found.append(row(ordinal, outcome=outcome, precluded=precluded))
    return found


@given(rows(), st.data())
def test_a_snooze_takes_from_what_blocks_and_from_nothing_else(found: list[Row], data: st.DataObject) -> None:
    covered = data.draw(st.sets(st.integers(0, len(found) - 1)))
    before = ledger.count(found)
    after_rows = [ledger.snoozed(one) if one.ordinal in covered else one for one in found]
    after = ledger.count(after_rows)
    assert [one.outcome for one in after_rows] == [one.outcome for one in found], "a result is never edited"
    assert after.red == before.red
    assert after.blocking == before.red - sum(ledger.blocks(one) for one in found if one.ordinal in covered)
    assert 0 <= after.snoozed <= after.red
    gone = sum(one.outcome in (Outcome.LOST, Outcome.NOT_FOUND) for one in found)
    assert after.blocking >= gone, "what is lost or gone always blocks"
    moved = before
    for old, new in zip(found, after_rows, strict=True):
        moved = ledger.moved(moved, [(old, new)])
    assert moved == after


@given(rows())
def test_with_every_failure_snoozed_a_run_is_what_it_is_without_them(found: list[Row]) -> None:
    counts = ledger.count([ledger.snoozed(one) for one in found])
    said = verdict(counts)
    assert said is not Verdict.FAILED or any(one.outcome in (Outcome.LOST, Outcome.NOT_FOUND) for one in found)
    assert verdict(counts, problem=True) is not Verdict.PASSED
    if counts.snoozed and not counts.blocking and not counts.cancelled:
        assert said is Verdict.PASSED


@pytest.mark.parametrize("tests", [[], ["x"] * (MAX_TESTS + 1)])
def test_how_many_tests(tests: list[str]) -> None:
    with pytest.raises(InvalidInput):
        check_tests(tests)


@pytest.mark.parametrize("until", [-1.0, 100.0, 101.0 + MAX_DAYS * 86400, math.inf, -math.inf, math.nan])
def test_when_it_ends(until: float) -> None:
    check_until(100.5, 100.0)
    with pytest.raises(InvalidInput):
        check_until(until, 100.0)
