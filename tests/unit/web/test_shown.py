"""What a page shows of a run, by value."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from resit.domain.ledger import Counts, Row
from resit.domain.run import Run
from resit.domain.status import Outcome, RunStatus
from resit.web.pages import ago, plural, seconds, size, web_address
from resit.web.shown import grouped, kind_of, time_left, tree

RUN = Run(id=1, uuid="u", project_id=1, environment_id=1, status=RunStatus.RUNNING)


def failed(ordinal: int, reason: str, outcome: Outcome = Outcome.FAILED) -> Any:
    return SimpleNamespace(row=Row(ordinal, f"t{ordinal}", outcome=outcome, reason=reason))


def test_tests_that_say_the_same_stand_together() -> None:
    items = [
        failed(0, "timeout after 31 ms at 0x7ffe"),
        failed(1, "another"),
        failed(2, "timeout after 45 ms at 0x1234\nmore"),
        failed(3, ""),
        failed(4, ""),
        failed(5, "another", Outcome.ERRORED),
    ]
    assert [[item.row.ordinal for item in group.rows] for group in grouped(items)] == [[0, 2], [1], [3], [4], [5]]


def test_the_time_left_is_told_once_something_is_known() -> None:
    run = replace(RUN, planned_at=100.0, counts=Counts(passed=10, planned=30))
    assert time_left(run, 120) == 60
    assert time_left(replace(run, counts=Counts(passed=2, planned=30)), 120) is None
    assert time_left(replace(run, status=RunStatus.FINISHED), 120) is None


def test_runs_stand_under_their_source() -> None:
    views: list[Any] = [
        SimpleNamespace(run=replace(RUN, id=id, source_run_id=source))
        for id, source in ((1, None), (2, 1), (3, 1), (4, 2), (5, 4))
    ]
    assert [(depth, view.run.id) for depth, view in tree(views)] == [(0, 1), (1, 2), (2, 4), (3, 5), (1, 3)]


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, ""), (0.0801, "80 ms"), (12.34, "12.3 s"), (125, "2 min 5 s"), (4800, "1 h 20 min"), (-1, "0 ms")],
)
def test_seconds(value: float | None, words: str) -> None:
    assert seconds(value) == words


def test_words() -> None:
    assert [size(number) for number in (0, 999, 3400, 123_456, 2e9)] == ["0 B", "999 B", "3.4 kB", "123 kB", "2.0 GB"]
    assert [ago(past) for past in (5, 65, 7300, 200_000, -7300, -5)] == [
        *("just now", "1 min ago", "2 h ago", "2 d ago", "in 2 h", "in a moment")
    ]
    assert (plural(1, "test"), plural(2000, "test")) == ("1 test", "2,000 tests")
    assert web_address("https://a") == "https://a"
    assert web_address("javascript:alert(1)") == web_address(" https://a") == ""
    assert [kind_of(kind) for kind in ("image/PNG; x=y", "image/svg+xml", "video/webm", "text/html")] == [
        *("image", "file", "video", "file")
    ]
