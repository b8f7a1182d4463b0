"""The timeline of a run, by value."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from resit.domain.attempt import Attempt, AttemptState
from resit.domain.run import Run
from resit.domain.status import RunStatus
from resit.ports.reads import Execution
from resit.web.timeline import timeline

RUN = Run(id=1, uuid="u", project_id=1, environment_id=1, status=RunStatus.RUNNING)
NOW = 200.0


def attempt(shard: int, batch: int, start: float, end: float, **members: Any) -> Attempt:
    values: dict[str, Any] = {"number": 1, "state": AttemptState.ENDED, **members}
    return Attempt(
        claim=f"{batch}",
        run_id=1,
        batch=batch,
        worker=f"w{shard}",
        shard=shard,
        started_at=start,
        seen_at=end,
        **values,
    )


def execution(ordinal: int, batch: int, start: float, took: float, **members: Any) -> Execution:
    values: dict[str, Any] = {"attempt": 1, "status": "passed", "counted": True, "parallel": -1, **members}
    return Execution(ordinal, batch, started_at=start, duration=took, **values)


def test_the_lanes_of_one_process_are_told_apart_and_know_their_idle_time() -> None:
    found = timeline(
        RUN,
        [attempt(1, 1, 99, 110), attempt(1, 2, 99, 110), attempt(2, 3, 99, 110), attempt(0, 0, 1, 2)],
        [
            execution(0, 1, 100, 4, parallel=0),
            execution(1, 2, 100, 2, parallel=1, status="failed"),
            execution(2, 1, 103, 3, parallel=0),
            execution(3, 3, 104, 6),
        ],
        NOW,
    )
    assert [lane.name for lane in found.lanes] == ["1, lane 1", "1, lane 2", "shard 2"]
    assert [(lane.tests, lane.busy, lane.idle) for lane in found.lanes] == [(2, 6, 4), (1, 2, 8), (1, 6, 4)]
    assert (found.span, found.idle, found.total) == (10, 16, 30)
    assert [[block.kind for block in lane.blocks] for lane in found.lanes] == [["", ""], ["red"], [""]]
    assert [(block.start, block.width, block.ordinal) for block in found.lanes[2].blocks] == [(0.4, 0.6, 3)]
    assert found.lanes[1].blocks[0].words == "failed, 2.00 s, batch 2, on w1"


def test_what_left_no_test_is_there_too() -> None:
    running = attempt(1, 1, 100, 101, state=AttemptState.RUNNING)
    lost = attempt(2, 2, 100, 105, state=AttemptState.LOST)
    found = timeline(RUN, [running, lost], [], 110)
    assert found.span == 10
    assert [(lane.blocks[0].kind, lane.blocks[0].width) for lane in found.lanes] == [("now", 1), ("gone", 0.5)]
    assert timeline(RUN, [], [], 110).lanes == ()
    # Of an attempt that nobody knows, or without a time, nothing can be drawn.
    assert timeline(RUN, [lost], [execution(0, 9, 1, 1), execution(0, 2, 0, 1)], 110).span == 5


def test_what_does_not_count_looks_it() -> None:
    found = timeline(RUN, [attempt(1, 1, 100, 105)], [execution(0, 1, 100, 5, counted=False, status="failed")], NOW)
    assert found.lanes[0].blocks[0].kind == "gone"


def test_what_is_too_short_to_be_seen_is_drawn_together() -> None:
    many = [execution(n, 1, 100 + n * 0.001, 0.001, status="failed" if n == 500 else "passed") for n in range(1000)]
    found = timeline(RUN, [attempt(1, 1, 99, 201)], [*many, execution(1000, 1, 101, 100)], NOW)
    blocks = found.lanes[0].blocks
    assert [(block.kind, block.ordinal) for block in blocks] == [("", None), ("red", 500), ("", None), ("", 1000)]
    assert blocks[0].words.startswith("500 tests, 0.50 s")


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(-1, 2), st.floats(1, 50), st.floats(-1, 20)), min_size=1),
)
def test_a_lane_is_busy_or_idle(spells: list[tuple[int, int, float, float]]) -> None:
    found = timeline(
        RUN,
        [attempt(batch, batch, 1, 2) for batch in (1, 2, 3)],
        [execution(n, batch, start, took, parallel=place) for n, (batch, place, start, took) in enumerate(spells)],
        NOW,
    )
    for lane in found.lanes:
        assert abs(lane.busy + lane.idle - found.span) < 1e-6
        assert all(block.start >= -1e-9 and block.start + block.width <= 1 + 1e-6 for block in lane.blocks)
    assert sum(lane.tests for lane in found.lanes) == len(spells)
