"""How far a report got: whatever workers say in whatever order, one claim at a time is heard."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.domain import report
from resit.domain.report import MAX_TRIES, Report, ReportState, safe_name

NEW = Report(run_id=1, created_at=1.0, touched_at=1.0)


def test_begun_and_made() -> None:
    begun = report.begun(NEW, "a", 2.0)
    assert begun == replace(NEW, state=ReportState.WORKING, claim="a", tries=1, touched_at=2.0)
    assert report.begun(begun, "a", 3.0) == begun
    made = report.ended(begun, "a", "1/x", 5, 4.0)
    assert (made.state, made.key, made.size, made.finished_at) == (ReportState.READY, "1/x", 5, 4.0)
    assert report.begun(made, "b", 5.0) == report.again(made, 5.0) == report.failed(made, "a", "no", 5.0) == made
    gone = report.removed(made, 9.0)
    assert (gone.state, gone.key, gone.size) == (ReportState.REMOVED, "", 0)
    assert gone.words


def test_who_was_overtaken_is_not_heard() -> None:
    second = report.begun(report.begun(NEW, "a", 2.0), "b", 3.0)
    assert second.tries == 2
    assert report.ended(second, "a", "1/x", 5, 4.0) == second
    assert report.failed(second, "a", "no", 4.0) == second
    assert report.returned(second, "a", 4.0) == second
    assert report.failed(second, "b", "no", 4.0).words == "no"


def test_what_is_given_back_is_no_loss() -> None:
    back = report.returned(report.begun(NEW, "a", 2.0), "a", 3.0)
    assert back == replace(NEW, touched_at=3.0)


def test_what_ends_three_workers_ends_the_fourth() -> None:
    found = NEW
    for n in range(MAX_TRIES):
        found = report.again(found, n)
        assert found.state is ReportState.WAITING
        found = report.begun(found, f"claim {n}", n)
    assert report.begun(found, "one more", 9.0).state is ReportState.FAILED
    given_up = report.again(found, 9.0)
    assert given_up.state is ReportState.FAILED
    assert "3 workers were lost" in given_up.words


CLAIMS = st.sampled_from(["a", "b", "c", "d", "e", ""])
WORDS = st.tuples(st.sampled_from(["begun", "returned", "ended", "failed", "again", "removed"]), CLAIMS)


@given(st.lists(WORDS, max_size=20))
def test_whatever_is_said(said: list[tuple[str, str]]) -> None:
    found, holder, closed = NEW, "", False
    for now, (word, claim) in enumerate(said, 2):
        before = found
        match word:
            case "begun":
                found = report.begun(found, claim, now)
            case "returned":
                found = report.returned(found, claim, now)
            case "ended":
                found = report.ended(found, claim, "1/x", 5, now)
            case "failed":
                found = report.failed(found, claim, "no", now)
            case "again":
                found = report.again(found, now)
            case _:
                found = report.removed(found, now)
        assert 0 <= found.tries <= MAX_TRIES
        assert (found.finished_at is None) == found.state.open
        assert bool(found.key) == (found.state is ReportState.READY)
        if word in ("returned", "ended", "failed") and found != before:
            assert claim == holder
        if closed:
            assert found.state in (before.state, ReportState.REMOVED)
        closed = not found.state.open
        holder = found.claim if found.state is ReportState.WORKING else ""


@pytest.mark.parametrize("name", ["index.html", "data/0a.png", "trace/assets/x y-Z_1.js", "a/ü.html"])
def test_names_that_may_be(name: str) -> None:
    assert safe_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".", "a/./b", "c:\\x", "a\\b", "x\0", "x\n", "x" * 301, " x",
     "con:", "a/b ", "a?b"],
)  # fmt: skip
def test_names_that_may_not(name: str) -> None:
    assert not safe_name(name)
