"""Which tests of its source a re-run takes up, and what it asks of the source."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.domain.errors import InvalidInput, NothingToRun, ResitError, RunNotCarriedThrough, RunStillOpen
from resit.domain.ledger import Counts, Row, count
from resit.domain.plan import PlannedTest
from resit.domain.rerun import Again, SourceMust, carried_through
from resit.domain.run import Run
from resit.domain.selection import Selection, Taken, again, failed
from resit.domain.status import Outcome, RunStatus, SelectionKind, Verdict
from resit.testing import factories

ALL, FAILED, CHOSEN = SelectionKind.ALL, SelectionKind.FAILED, SelectionKind.CHOSEN
STATES = st.sampled_from([(None, False), *((outcome, False) for outcome in Outcome), (Outcome.SKIPPED, True)])


@st.composite
def ledgers(draw: st.DrawFn) -> list[Row]:
    states = draw(st.lists(STATES, max_size=8))
    return [factories.row(n, outcome=outcome, precluded=precluded) for n, (outcome, precluded) in enumerate(states)]


def plan(rows: list[Row], **members: object) -> list[PlannedTest]:
    return [factories.planned(row.test, **members) for row in rows]


def every_state() -> list[Row]:
    rows = [factories.row(n, test=outcome.value, outcome=outcome) for n, outcome in enumerate(Outcome)]
    rows.append(factories.row(len(rows), test="did_not_run", outcome=Outcome.SKIPPED, precluded=True))
    return [*rows, factories.row(len(rows), test="planned"), factories.row(len(rows) + 1, test="running", running=True)]


@pytest.mark.parametrize(
    ("taken", "takes"),
    [
        (Taken.RED, {"failed", "errored", "lost", "not_found", "did_not_run"}),
        (Taken.SHOWN_FAILED, {"failed", "errored", "lost", "not_found"}),
        (Taken.RAN_AND_FAILED, {"failed", "errored"}),
        (Taken.NOT_PASSED, {"failed", "errored", "lost", "not_found", "did_not_run", "skipped", "cancelled"}),
    ],
)
def test_what_each_set_takes(taken: Taken, takes: set[str]) -> None:
    assert set(failed(every_state(), taken)) == takes


@given(ledgers(), st.sampled_from(Taken))
def test_the_size_by_the_counts_is_the_size_by_the_rows(rows: list[Row], taken: Taken) -> None:
    assert taken.size(count(rows)) == len(failed(rows, taken))


@given(ledgers())
def test_sets_within_sets(rows: list[Row]) -> None:
    ran, shown, red, other = (
        set(failed(rows, taken)) for taken in (Taken.RAN_AND_FAILED, Taken.SHOWN_FAILED, Taken.RED, Taken.NOT_PASSED)
    )
    assert ran <= shown <= red <= other
    passed = {row.test for row in rows if row.outcome in (Outcome.PASSED, Outcome.FLAKY, None)}
    assert not other & passed


@given(ledgers(), st.sampled_from(Taken))
def test_a_rerun_of_failed_ones_is_exactly_the_set(rows: list[Row], taken: Taken) -> None:
    found = again(Selection(FAILED, taken=taken), plan(rows), rows)
    assert tuple(test.id for test in found) == failed(rows, taken)


@given(ledgers(), st.sampled_from(Taken))
def test_a_rerun_of_all_is_the_plan(rows: list[Row], taken: Taken) -> None:
    assert again(Selection(ALL, taken=taken), plan(rows), rows) == tuple(plan(rows))


@given(ledgers(), st.data())
def test_a_fixed_list_stays_whatever_the_ledger_says_by_now(rows: list[Row], data: st.DataObject) -> None:
    fixed = data.draw(st.lists(st.sampled_from([row.test for row in rows]), min_size=1)) if rows else ["gone"]
    for kind in (FAILED, CHOSEN):
        found = again(Selection(kind, tests=tuple(fixed)), plan(rows), rows)
        assert [test.id for test in found] == [row.test for row in rows if row.test in fixed]


def test_units_come_whole_but_not_over_the_tags() -> None:
    rows = [factories.row(n, test=f"t{n}", outcome=Outcome.FAILED if n == 1 else Outcome.PASSED) for n in range(4)]
    tests = [factories.planned(f"t{n}", unit="u" if n < 3 else "", tags=("@a",) if n else ()) for n in range(4)]
    assert [test.id for test in again(Selection(FAILED), tests, rows)] == ["t0", "t1", "t2"]
    assert [test.id for test in again(Selection(FAILED, tags=("a",)), tests, rows)] == ["t1", "t2"]
    assert [test.id for test in again(Selection(ALL, tags=("@a",)), tests, rows)] == ["t1", "t2", "t3"]
    assert again(Selection(ALL, tags=("b",)), tests, rows) == ()


# ---------------------------------------------------------------- the source


def source(status: RunStatus = RunStatus.FINISHED, verdict: Verdict | None = Verdict.FAILED, **counts: int) -> Run:
    return factories.run(status=status, verdict=verdict, counts=Counts(**(counts or {"failed": 1})), id=7)


def refusal(asked: Again, run: Run) -> type[ResitError] | None:
    try:
        asked.check_source(run)
    except ResitError as error:
        return type(error) if "run 7" in error.message else None
    return None


@given(st.sampled_from(SourceMust), st.sampled_from(RunStatus), st.sampled_from([ALL, CHOSEN]))
def test_only_a_rerun_of_failed_ones_asks_for_more(must: SourceMust, status: RunStatus, kind: SelectionKind) -> None:
    assert refusal(Again(kind=kind, source=must), source(status, None, passed=1)) is None


@pytest.mark.parametrize("status", RunStatus)
@pytest.mark.parametrize("verdict", Verdict)
def test_how_far_the_source_must_have_come(status: RunStatus, verdict: Verdict) -> None:
    run = source(status, verdict)
    found = {must: refusal(Again(kind=FAILED, source=must), run) for must in SourceMust}
    assert found[SourceMust.EXIST] is None
    assert found[SourceMust.CLOSED] is (RunStillOpen if status.open else None)
    if status.open:
        assert found[SourceMust.CARRIED_THROUGH] is RunStillOpen
    else:
        fine = status is RunStatus.FINISHED and verdict is not Verdict.ERRORED
        assert carried_through(run) is fine
        assert found[SourceMust.CARRIED_THROUGH] is (None if fine else RunNotCarriedThrough)


@given(ledgers(), st.sampled_from(Taken), st.sampled_from(SourceMust))
def test_nothing_to_run_exactly_when_the_set_is_empty(rows: list[Row], taken: Taken, must: SourceMust) -> None:
    run = factories.run(status=RunStatus.FINISHED, verdict=Verdict.FAILED, counts=count(rows), id=7)
    found = refusal(Again(kind=FAILED, taken=taken, source=must), run)
    assert found is (None if failed(rows, taken) else NothingToRun)


def test_what_can_not_be_meant() -> None:
    with pytest.raises(NothingToRun):
        Again(kind=CHOSEN).check()
    for kind in (ALL, FAILED):
        with pytest.raises(InvalidInput):
            Again(kind=kind, tests=("a",)).check()
        Again(kind=kind).check()
    Again(kind=CHOSEN, tests=("a",)).check()
