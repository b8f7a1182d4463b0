"""The wire: what is said arrives as it was said; what can't be understood raises one error, and only that."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.domain import wire
from resit.domain.events import (
    Attachment,
    DidNotRun,
    Failure,
    NotFound,
    Setting,
    Step,
    TestEvent,
    TestResult,
    TestStarted,
    with_attachments,
)
from resit.domain.plan import PlannedTest
from resit.domain.status import ResultStatus

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
TIMES = st.floats(allow_nan=False, allow_infinity=False)
SMALL = st.integers(0, wire.SMALL)
FAILURES = st.builds(Failure, TEXT, TEXT, TEXT, TEXT, SMALL)
MILLISECONDS = st.integers(0, 10**6).map(lambda number: number / 1000)
STEPS = st.builds(
    Step, TEXT, TEXT, SMALL, MILLISECONDS, MILLISECONDS | st.just(-1.0), TEXT, TEXT, st.none() | FAILURES,
    st.lists(SMALL, max_size=2).map(tuple),
)  # fmt: skip
SETTINGS = st.builds(
    Setting, st.integers(-1, 9), st.integers(-1, 9), TEXT, TIMES, SMALL, TEXT, st.lists(TEXT, max_size=2).map(tuple),
    TEXT, st.lists(FAILURES, max_size=2).map(tuple),
)  # fmt: skip
EVENTS = st.one_of(
    st.builds(TestStarted, TEXT, TIMES, SMALL),
    st.builds(NotFound, TEXT, TEXT),
    st.builds(DidNotRun, TEXT, TEXT),
    st.builds(
        TestResult,
        TEXT,
        st.sampled_from(list(ResultStatus)),
        SMALL,
        st.booleans(),
        TIMES,
        TIMES,
        st.lists(FAILURES, max_size=2).map(tuple),
        st.lists(
            st.builds(Attachment, TEXT, TEXT, st.just(""), TEXT, st.integers(0, wire.LARGE), TEXT), max_size=2
        ).map(tuple),
        st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple),
        st.booleans(),
        st.lists(STEPS, max_size=3).map(tuple),
        SMALL,
        TEXT,
        TEXT,
        SETTINGS,
    ),
)  # fmt: skip
TESTS = st.builds(PlannedTest, TEXT, TEXT, st.lists(TEXT).map(tuple), TEXT, st.lists(TEXT).map(tuple), SMALL, TEXT)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = (
    "kind", "test", "status", "at", "retry", "final", "duration", "failures", "attachments", "annotations", "reason",
    "id", "file", "title", "variant", "tags", "line", "unit", "steps", "left_out", "stdout", "stderr", "setting",
)  # fmt: skip
SOUND = {"kind": "result", "test": "t", "status": "passed", "id": "t", "file": "f", "title": ["t"], "at": 1}
NESTED = st.lists(
    st.dictionaries(st.sampled_from(["message", "stack", "id", "name", "size", "type", "worker", "column"]), JSON)
    | st.tuples(TEXT, TEXT, JSON, JSON, JSON, JSON, JSON, JSON, JSON).map(list),
    max_size=2,
)
KINDS = st.sampled_from(["started", "result", "not_found", "did_not_run"])


@given(EVENTS)
def test_events_come_back_as_they_went(event: TestEvent) -> None:
    assert wire.from_wire(json.loads(json.dumps(wire.to_wire(event)))) == event


@given(TESTS)
def test_planned_tests_come_back_as_they_went(test: PlannedTest) -> None:
    assert wire.test_from_wire(json.loads(json.dumps(wire.test_to_wire(test)))) == test


@given(
    st.dictionaries(st.sampled_from(MEMBERS), st.one_of(JSON, NESTED)),
    KINDS | JSON,
    st.sets(st.sampled_from(MEMBERS)),
)
def test_what_is_malformed_raises_one_error_and_what_is_not_can_be_stored(
    odd: dict[str, object], kind: object, without: set[str]
) -> None:
    data = {name: value for name, value in {**SOUND, "kind": kind, **odd}.items() if name not in without}
    for read in (wire.from_wire, wire.test_from_wire):
        try:
            found = read(data)
        except wire.MalformedEvent:
            continue
        storable = json.dumps(
            wire.to_wire(found) if read is wire.from_wire else wire.test_to_wire(found), allow_nan=False
        )
        assert "\0" not in storable
        storable.encode()


@given(JSON)
def test_any_json_is_an_event_or_malformed(data: object) -> None:
    with pytest.raises(wire.MalformedEvent):
        wire.from_wire(data)
    with pytest.raises(wire.MalformedEvent):
        wire.test_from_wire(data)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "odd",
    [
        {"retry": -1},
        {"retry": 2**31},
        {"retry": float("inf")},
        {"duration": float("nan")},
        {"at": 10**400},
        {"status": "fine"},
        {"failures": ["just text"]},
        {"failures": [{"stack": "no message"}]},
        {"attachments": [{"name": "no id"}]},
        {"annotations": [["one"]]},
        {"test": None},
    ],
)
def test_malformed_results(odd: dict[str, object]) -> None:
    with pytest.raises(wire.MalformedEvent):
        wire.from_wire({**SOUND, **odd})


def test_texts_that_no_database_takes_are_mended() -> None:
    data = {**SOUND, "test": "a\0b\ud800", "failures": [{"message": "\udfff"}]}
    found = wire.from_wire(json.loads(json.dumps(data)))
    assert isinstance(found, TestResult)
    assert found.test == "a\ufffdb\ufffd"
    assert found.failures[0].message == "\ufffd"
    assert wire.text("😀 is whole") == "😀 is whole"


def test_members_that_are_unknown_or_absent() -> None:
    found = wire.from_wire({"kind": "result", "test": "t", "status": "passed", "new": {}})
    assert found == TestResult("t", ResultStatus.PASSED)


def test_what_an_older_worker_says_is_understood() -> None:
    found = wire.from_wire({"kind": "result", "test": "t", "status": "failed", "failures": [{"message": "m"}]})
    assert found == TestResult("t", ResultStatus.FAILED, failures=(Failure("m"),))


def test_a_failure_that_is_the_results_own_travels_once() -> None:
    failure = Failure("long" * 1000)
    step = Step("step", failure=failure)
    event = TestResult("t", ResultStatus.FAILED, failures=(failure,), steps=(step, Step("next")))
    data = json.loads(json.dumps(wire.to_wire(event)))
    assert data["steps"] == [["step", "", 0, 0, 0, "", "", 0], ["next", "", 0, 0, 0]]
    assert wire.from_wire(data) == event


def test_steps_without_end_are_cut() -> None:
    steps = [["s", "", 0, 0, 0]] * (wire.MAX_STEPS + 7)
    found = wire.from_wire({"kind": "result", "test": "t", "status": "passed", "steps": steps, "left_out": 3})
    assert isinstance(found, TestResult)
    assert (len(found.steps), found.steps_left_out) == (wire.MAX_STEPS, 10)


def test_steps_follow_their_attachments() -> None:
    files = tuple(Attachment(name, "") for name in "abc")
    steps = (Step("one", attachments=(0, 1)), Step("two", attachments=(2,)), Step("three"))
    found = with_attachments(
        TestResult("t", ResultStatus.PASSED, attachments=files, steps=steps), [files[0], None, files[2]]
    )
    assert [[found.attachments[n].name for n in step.attachments] for step in found.steps] == [["a"], ["c"], []]
