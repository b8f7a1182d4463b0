"""Files about whole runs: every planned test is in them, in whatever state the run is."""

import tracemalloc
from xml.etree import ElementTree

from resit.domain.events import TestEvent, TestStarted
from resit.domain.junit import Links
from resit.domain.run import Run
from resit.domain.wire import to_wire
from resit.services.recovery import Held
from resit.testing import factories
from resit.testing.factories import ADMIN, NOW
from resit.testing.world import World

BOTH_DATABASES = True
LINKS = Links("http://resit.test/a/")


def junit(world: World, run: Run) -> ElementTree.Element:
    """The JUnit file of a run, read."""
    view = world.reads.run(run.id)
    assert view is not None
    text = "".join(world.reports.junit(view, "http://resit.test/1", LINKS))
    return ElementTree.fromstring(text)  # noqa: S314 - we wrote it


def numbers(root: ElementTree.Element) -> list[int]:
    return [int(root.attrib[name]) for name in ("tests", "failures", "errors", "skipped")]


def states(root: ElementTree.Element) -> list[str | None]:
    return [
        found.get("value")
        for case in root.iter("testcase")
        for found in case.iter("property")
        if found.get("name") == "state"
    ]


def test_a_finished_run(world: World) -> None:
    world.project()
    run = world.planned(*(f"tests/test_{file}.py::test_{n}" for n in range(3) for file in "ab"))
    one, two, three = (f"tests/test_a.py::test_{n}" for n in range(3))
    run = world.carry_out(
        run,
        {
            one: factories.flaky(one),
            two: [factories.result(two, "failed")],
            three: [factories.not_collected(three)],
        },
    )
    root = junit(world, run)
    assert [suite.get("name") for suite in root] == ["tests/test_a.py", "tests/test_b.py"]
    assert numbers(root) == [6, 1, 1, 0]
    assert states(root) == ["flaky", "failed", "not_found", "passed", "passed", "passed"]
    about = {found.get("name"): found.get("value") for found in root[0][0]}
    assert about["run"] == str(run.id)
    assert (about["commit"], about["environment"], about["verdict"]) == ("c0ffee", "default", "failed")
    assert {"name": "shard", "value": "1"} in [found.attrib for found in root.iter("property")]
    assert {"name": "worker", "value": "w1"} in [found.attrib for found in root.iter("property")]


def test_a_run_that_goes_on_and_its_cancellation(world: World) -> None:
    world.project()
    run = world.planned("a.py::one", "a.py::two", "a.py::three")
    voice = world.voice(run)
    events = [
        {"kind": "result", "test": "a.py::one", "status": "passed", "at": NOW, "duration": 1},
        {"kind": "started", "test": "a.py::two", "at": NOW + 1},
    ]
    world.report({**voice, "what": "batch.started"}, {**voice, "what": "batch.events", "events": events})
    assert states(junit(world, run)) == ["passed", "running", "planned"]
    assert numbers(junit(world, run)) == [3, 0, 0, 2]
    world.clock.turn(10)
    world.runs.cancel(ADMIN, str(run.id), "wrong branch")
    root = junit(world, run)
    assert states(root) == ["passed", "cancelled", "cancelled"]
    (error,) = root.iter("error")
    assert error.attrib == {
        "type": "interrupted", "message": "interrupted: the run was cancelled by admin: wrong branch",
    }  # fmt: skip
    assert [case.get("time") for case in root.iter("testcase")] == ["1.000", "9.000", "0.000"]
    # What its process says of it after that is part of it, and counts for nothing.
    late = factories.result("a.py::two", "interrupted", started_at=NOW + 1, stdout="so far")
    world.report({**voice, "what": "batch.events", "events": [wire(late)]})
    assert next(junit(world, run).iter("system-out")).text == "so far"


def wire(event: TestEvent) -> object:
    return to_wire(event)


def test_a_test_that_two_workers_died_of(world: World) -> None:
    world.project()
    run = world.planned("a.py::one", "a.py::two")
    for number in (1, 2):
        voice = world.voice(run, claim=f"claim {number}", worker=f"w{number}")
        started = wire(TestStarted("a.py::one", world.clock.now()))
        world.report({**voice, "what": "batch.started"}, {**voice, "what": "batch.events", "events": [started]})
        world.clock.turn(60)
        world.recovery.look()
        world.recovery.repair(run.id, Held(frozenset(), frozenset()))
    root = junit(world, run)
    assert states(root) == ["lost", "lost"]
    assert [error.get("message") for error in root.iter("error")] == [
        "interrupted: lost: worker w2 died, and so did the one before",
        "lost: worker w2 died, and so did the one before",
    ]


def test_a_run_without_a_plan_is_not_green(world: World) -> None:
    world.project()
    run = world.trigger()
    world.settle()
    said = {"run": run.id, "claim": "p"}
    world.report(
        {**said, "what": "plan.started"}, {**said, "what": "plan.failed", "code": "setup_failed", "message": "no"}
    )
    root = junit(world, run)
    assert numbers(root) == [1, 0, 1, 0]
    assert next(root.iter("error")).attrib == {"type": "setup_failed", "message": "no"}


def test_a_large_run_is_written_piece_by_piece(world: World) -> None:
    world.project()
    tests = [factories.planned(f"tests/test_{n % 400}.py::test_{n}") for n in range(10_000)]
    run = world.plan(world.trigger(), tests)
    view = world.reads.run(run.id)
    assert view is not None
    tracemalloc.start()
    size = 0
    for piece in world.reports.junit(view, "", LINKS):
        size += len(piece)
        assert len(piece) < 100_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"{size} characters, at most {peak / 1e6:.0f} MB at once")
    assert peak < 30e6
