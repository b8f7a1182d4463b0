"""Runs that are over are counted once, and their traces handed over until somebody takes them."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from resit.control import storyteller
from resit.control.storyteller import LONGEST_PAUSE, MOST_WAITING, PATIENCE_SECONDS, Storyteller
from resit.domain.status import ResultStatus
from resit.domain.trace import Trace
from resit.ports.telemetry import METRICS, Counted, Measured
from resit.services.desk import Desk
from resit.storage.stories import SqlStories
from resit.testing.factories import planned, result
from resit.testing.world import World

UNSAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


class Listener:
    """A telemetry that remembers."""

    def __init__(self) -> None:
        self.counted: Counter[tuple[str, ...]] = Counter()
        self.measured: dict[str, list[float]] = {}

    def count(self, what: Counted, number: float = 1.0, /, **labels: str) -> None:
        assert set(labels) == set(METRICS[what].labels)
        self.counted[what.value, *labels.values()] += int(number)

    def observe(self, what: Measured, seconds: float, /, **labels: str) -> None:
        assert set(labels) == set(METRICS[what].labels)
        self.measured.setdefault(what.value, []).append(seconds)


class Taker:
    """Takes traces, or not."""

    def __init__(self) -> None:
        self.takes = True
        self.refused: set[str] = set()
        self.tries = 0
        self.taken: list[Trace] = []

    def export(self, trace: Trace) -> bool:
        self.tries += 1
        if not self.takes or trace.spans[0].name in self.refused:
            return False
        self.taken.append(trace)
        return True

    def close(self) -> None: ...


@pytest.fixture
def listener() -> Listener:
    return Listener()


def teller(world: World, listener: Listener, taker: Taker | None = None) -> Storyteller:
    return Storyteller(SqlStories(world.engine), world.clock, listener, taker)


def done(world: World, *tests: str, **request: Any) -> Any:
    return world.carry_out(world.planned(*tests, **request), {"b": [result("b", ResultStatus.FAILED)]})


def test_a_run_is_counted_once(world: World, listener: Listener) -> None:
    world.project()
    run = world.trigger()
    world.clock.turn(5)
    run = world.plan(run, [planned("a"), planned("b")])
    world.clock.turn(20)
    world.carry_out(run, {"b": [result("b", ResultStatus.FAILED)]})
    world.trigger()
    told = teller(world, listener)
    assert told.once() == 1
    assert told.once() == 0
    assert teller(world, listener).once() == 0
    assert listener.counted == {
        ("runs_ended", "shop", "finished", "failed"): 1,
        ("tests", "passed"): 1,
        ("tests", "failed"): 1,
        ("attempts", "ended"): 1,
    }
    assert listener.measured == {"run_wait_seconds": [5.0], "run_plan_seconds": [0.0], "run_seconds": [20.0]}


def test_a_run_that_never_began_has_no_times(world: World, listener: Listener) -> None:
    world.project()
    run = world.trigger()
    with world.store.write() as tx:
        desk = Desk(tx, world.clock.now())
        desk.cancel(desk.run(run.id), "me")
        desk.file()
    assert teller(world, listener).once() == 1
    assert [key for key in listener.counted if key[0] == "runs_ended"] == [
        ("runs_ended", "shop", "cancelled", "errored")
    ]
    assert listener.measured == {}


def test_a_trace_is_tried_until_it_is_taken(world: World, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    time = 100.0
    monkeypatch.setattr(storyteller.time, "monotonic", lambda: time)
    world.project()
    first, second = done(world, "a"), done(world, "a")
    taker = Taker()
    taker.takes = False
    told = teller(world, listener, taker)
    told.once()
    told.once()
    assert taker.tries == 1, "there is a pause after the first failure"
    pauses = 0
    while pauses < 10:
        time += LONGEST_PAUSE
        told.once()
        pauses += 1
    assert taker.tries == 11
    taker.takes = True
    time += LONGEST_PAUSE
    told.once()
    assert {trace.spans[0].attributes["resit.run.id"] for trace in taker.taken} == {first.id, second.id}
    told.once()
    assert len(taker.taken) == 2
    assert listener.counted["runs_ended", "shop", "finished", "passed"] == 2
    assert listener.counted["traces", "exported"] == 2
    assert listener.counted["traces", "failed"] == 11
    assert teller(world, listener, taker).once() == 0


def test_one_that_nobody_takes_holds_up_no_other(
    world: World, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = 100.0
    monkeypatch.setattr(storyteller.time, "monotonic", lambda: time)
    world.project()
    world.project("other")
    done(world, "a")
    done(world, "a", project="other")
    taker = Taker()
    taker.refused = {"run shop/default"}
    told = teller(world, listener, taker)
    told.once()
    time += LONGEST_PAUSE
    told.once()
    assert [trace.spans[0].name for trace in taker.taken] == ["run other/default"]


def test_what_is_old_is_given_up(world: World, listener: Listener) -> None:
    world.project()
    done(world, "a")
    taker = Taker()
    taker.takes = False
    told = teller(world, listener, taker)
    told.once()
    world.clock.turn(PATIENCE_SECONDS + 1)
    told.once()
    assert listener.counted["traces", "given_up"] == 1
    assert teller(world, listener, taker).once() == 0


def test_no_more_wait_than_that(world: World, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_WAITING >= storyteller.AT_ONCE
    monkeypatch.setattr(storyteller, "MOST_WAITING", 2)
    world.project()
    runs = [done(world, "a") for _ in range(4)]
    taker = Taker()
    taker.takes = False
    told = teller(world, listener, taker)
    told.once()
    assert listener.counted["traces", "given_up"] == 2
    assert [ended.run.id for ended in SqlStories(world.engine).untold(10)] == [runs[2].id, runs[3].id]


def test_nobody_wants_the_trace_of_a_request_that_is_not_sampled(world: World, listener: Listener) -> None:
    world.project()
    run = world.planned("a")
    with world.store.write() as tx:
        tx.runs.save(replace(run, trace=UNSAMPLED))
    world.carry_out(run)
    taker = Taker()
    assert teller(world, listener, taker).once() == 1
    assert taker.tries == 0
    assert SqlStories(world.engine).untold(10) == []
