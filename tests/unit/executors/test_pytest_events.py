"""What follows from the end of a pytest process: the decisions, without a process."""

from pathlib import Path
from typing import Any

import pytest

from resit.domain.events import DidNotRun, Failure, NotFound, TestResult, TestStarted
from resit.domain.plan import PlannedTest
from resit.domain.status import ResultStatus
from resit.executors.process import Exit
from resit.executors.pytest_events import MAX_STALLS, Progress, collection_failure, decide
from resit.executors.stacks import Hang, hang
from resit.executors.watch import Overdue
from resit.plugin import CollectionFailed, ExecutorError

OK, KILLED = Exit(0, None), Exit(None, "SIGKILL")


def progress(*lines: dict[str, Any], tests: str = "abc") -> Progress:
    found = Progress(tuple(PlannedTest(f"f.py::{name}", "f.py", (name,)) for name in tests))
    for line in lines:
        found.line(line)
    return found


def start(name: str, retry: int = 0) -> dict[str, Any]:
    return {"kind": "start", "id": f"f.py::{name}", "at": 5.0, "retry": retry}


def result(name: str, status: str = "passed", *, retry: int = 0, final: bool = True) -> dict[str, Any]:
    return {
        "kind": "result", "id": f"f.py::{name}", "status": status, "retry": retry, "final": final,
        "at": 5.0, "duration": 1.0, "failures": [["m", "s", "f.py:1"]] if status == "failed" else [],
        "outputs": [], "notes": [], "printed": {}, "phases": [],
    }  # fmt: skip


def end(status: int, reason: str = "") -> dict[str, Any]:
    return {"kind": "end", "status": status, "reason": reason}


def error(place: str, text: str = "E   ImportError: no") -> dict[str, Any]:
    return {"kind": "collect_error", "id": place, "text": text}


def ends(found: Progress, exit: Exit) -> dict[str, str]:
    """The final events of the decision, by name of test."""
    return {
        event.test[-1]: str(event.status) if isinstance(event, TestResult) else type(event).__name__
        for event in decide(found, exit, "tail").events
    }


def test_a_test_has_one_final_event() -> None:
    found = progress()
    assert [type(event) for event in found.line(start("a"))] == [TestStarted]
    assert len(found.line(result("a", "failed", final=False))) == 1
    assert len(found.line(result("a", retry=1))) == 1
    assert found.line(result("a", retry=2)) == []
    assert found.line(result("a", "failed", final=False)) == []
    assert found.line({"kind": "not_found", "id": "f.py::a", "reason": "r"}) == []
    assert found.line(start("unplanned")) == []
    assert found.line(result("unplanned")) == []
    assert [*found.left] == ["f.py::b", "f.py::c"]
    assert found.line({"kind": "not_found", "id": "f.py::b", "reason": "r"}) == [NotFound("f.py::b", "r")]


def test_a_skipped_collector_skips_what_is_under_it() -> None:
    found = Progress(tuple(PlannedTest(name, "", ()) for name in ("p/m.py", "p/m.py::t", "p/m.pyx::t", "q/m.py::t")))
    events = found.line({"kind": "collect_skip", "id": "p/m.py", "reason": "why"})
    assert [event.test for event in events] == ["p/m.py", "p/m.py::t"]
    assert [event.test for event in found.line({"kind": "collect_skip", "id": "q", "reason": "why"})] == ["q/m.py::t"]
    assert events[0] == TestResult("p/m.py", ResultStatus.SKIPPED, annotations=(("skip", "why"),))


def test_death_is_the_fault_of_the_test_in_flight() -> None:
    found = progress(start("a"), result("a"), start("b"), result("b", "failed", final=False), start("b", 1))
    decision = decide(found, KILLED, "tail")
    (event,) = decision.events
    assert isinstance(event, TestResult)
    assert (event.test, event.status, event.retry, event.final) == ("f.py::b", ResultStatus.ERRORED, 1, True)
    assert event.failures[0].message == "the test process died: signal SIGKILL"
    assert decision.again
    assert decision.problems == ()


def test_death_of_the_last_test_needs_no_further_process() -> None:
    found = progress(start("a"), result("a"), start("b"), tests="ab")
    assert not decide(found, OK, "").again
    assert ends(found, OK) == {"b": "errored"}


def test_death_between_tests_is_a_problem_and_goes_on() -> None:
    decision = decide(progress(start("a"), result("a")), Exit(9, None), "tail")
    assert decision.again
    assert decision.problems == ("the test process exited with code 9 in mid-run (os._exit?), between two tests\ntail",)


def test_death_after_the_last_test_is_a_problem() -> None:
    decision = decide(progress(start("a"), result("a"), tests="a"), OK, "")
    assert decision.problems == ("the test process exited with code 0 in mid-run (os._exit?), after its last test",)
    assert not decision.again


def test_death_before_anything_is_tried_twice() -> None:
    found = progress({"kind": "not_found", "id": "f.py::a", "reason": ""})
    assert decide(found, KILLED, "").again
    found.barren = 1
    assert not decide(found, KILLED, "").again
    assert ends(found, KILLED) == {"b": "errored", "c": "errored"}


@pytest.mark.parametrize("code", [3, 4])
def test_a_start_that_fails_is_an_error_of_the_batch(code: int) -> None:
    assert isinstance(decide(progress(), Exit(code, None), "tail").error, ExecutorError)
    assert isinstance(decide(progress(end(code)), Exit(code, None), "tail").error, ExecutorError)
    after_some = progress(start("a"), result("a"), start("b"), end(code, "boom"))
    decision = decide(after_some, Exit(code, None), "tail")
    assert decision.error is None
    assert decision.problems == (f"pytest ended with exit code {code}: boom\ntail",)
    assert ends(after_some, Exit(code, None)) == {"b": "errored", "c": "DidNotRun"}


def test_collection_errors() -> None:
    found = progress(error("f.py", "bla\nE   SyntaxError: bad\n\nf.py:3: SyntaxError"), error("g.py"), end(2))
    failure = decide(found, Exit(2, None), "").error
    assert isinstance(failure, CollectionFailed)
    assert str(failure) == "f.py: SyntaxError: bad (and 1 more: g.py)"
    found.keep_on = True
    assert decide(found, Exit(1, None), "").error is None
    assert ends(found, Exit(1, None)) == {"a": "errored", "b": "errored", "c": "errored"}
    late = progress(start("a"), result("a"))
    late.next_process()
    late.line(error("g.py"))
    late.line(end(2))
    assert ends(late, Exit(2, None)) == {"b": "errored", "c": "errored"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("E     File 'x'\nE       def (\nE   SyntaxError: invalid", "SyntaxError: invalid"),
        ("import file mismatch:\nimported module 'code' has\n  /x\nwhich", "import file mismatch: imported module"),
        ("Traceback (most recent call last):\n  File 'x'\nmy.Own: text", "my.Own: text"),
        ("", "unknown error"),
    ],
)
def test_the_line_that_says_what_is_wrong(text: str, line: str) -> None:
    assert str(collection_failure({"f.py": text})).startswith(f"f.py: {line}")


def test_stopping_early_after_a_failure_leaves_tests_out() -> None:
    found = progress(start("a"), result("a", "failed"), end(1, "stopping after 1 failures"))
    decision = decide(found, Exit(1, None), "")
    assert decision.events == tuple(DidNotRun(f"f.py::{name}", "stopping after 1 failures") for name in "bc")
    assert decision.problems == ()


def test_stopping_early_for_no_failure_is_an_error() -> None:
    assert ends(progress(start("a"), result("a"), end(0, "enough")), OK) == {"b": "errored", "c": "errored"}
    assert ends(progress(start("a"), end(2, "pytest.exit")), Exit(2, None)) == {
        "a": "errored",
        "b": "DidNotRun",
        "c": "DidNotRun",
    }


@pytest.mark.parametrize(
    ("exit", "problem"),
    [
        (OK, None),
        (Exit(1, None), "pytest ended with exit code 1, though no test failed"),
        (Exit(6, None), "pytest ended with exit code 6, though no test failed"),
        (Exit(5, None), "pytest ended with exit code 5, though no test failed"),
        (KILLED, "the test process died after its last test: signal SIGKILL"),
    ],
)
def test_an_exit_that_the_results_do_not_explain(exit: Exit, problem: str | None) -> None:
    found = progress(start("a"), result("a"), end(exit.code or 0), tests="a")
    assert decide(found, exit, "").problems == ((problem,) if problem else ())


def test_an_exit_that_the_results_explain() -> None:
    failed = progress(start("a"), result("a", "failed"), end(1), tests="a")
    assert decide(failed, Exit(1, None), "").problems == ()
    gone = progress({"kind": "not_found", "id": "f.py::a", "reason": ""}, end(5), tests="a")
    assert decide(gone, Exit(5, None), "").problems == ()


def hung(*lines: dict[str, Any], tests: str = "abc", final: bool = False) -> Progress:
    """A batch whose process is over a limit."""
    found = progress(*lines, tests=tests)
    found.hang = Hang("it hung in f.py:3 (b)", "stack", "f.py:3", final)
    return found


def test_a_hang_is_the_fault_of_the_test_in_flight_and_the_rest_goes_on() -> None:
    found = hung(start("a"), result("a"), start("b"))
    decision = decide(found, KILLED, "tail")
    (event,) = decision.events
    assert isinstance(event, TestResult)
    assert (event.test, event.status, event.started_at) == ("f.py::b", ResultStatus.ERRORED, 5.0)
    assert event.failures == (Failure("it hung in f.py:3 (b)", "stack", "f.py:3"),)
    assert (decision.again, decision.problems) == (True, ())


def test_what_a_process_says_after_it_was_over_a_limit_does_not_count() -> None:
    found = hung(start("a"))
    assert [found.line(line) for line in (result("a"), start("b"), result("b", "failed"), end(2))] == [[]] * 4
    assert ends(found, KILLED) == {"a": "errored"}


def test_after_the_time_of_a_batch_nothing_goes_on() -> None:
    found = hung(start("a"), final=True)
    decision = decide(found, KILLED, "")
    assert not decision.again
    assert [type(event) for event in decision.events] == [TestResult, DidNotRun, DidNotRun]
    # With nothing in flight each test says so itself: nobody else would be red.
    assert set(ends(hung(final=True), KILLED).values()) == {"errored"}
    assert set(ends(hung(start("a"), result("a"), final=True), KILLED).values()) == {"errored"}


def test_so_many_hangs_in_a_row_are_enough() -> None:
    names = "abcdefgh"
    found = progress(tests=names)
    for number, name in enumerate(names[:MAX_STALLS], 1):
        found.next_process()
        found.line(start(name))
        found.hang = Hang("words")
        decision = decide(found, KILLED, "")
        found.close(decision.events)
        assert decision.again == (number < MAX_STALLS)
    assert found.left == {}
    assert [type(event) for event in decision.events] == [TestResult, *[DidNotRun] * (len(names) - MAX_STALLS)]


def test_a_process_that_finished_a_test_begins_the_count_anew() -> None:
    found = progress(tests="abcdefghijklmnop")
    for first, second in zip("acegikm", "bdfhjln", strict=True):
        found.next_process()
        for line in (start(first), result(first), start(second)):
            found.line(line)
        found.hang = Hang("words")
        decision = decide(found, KILLED, "")
        assert decision.again
        found.close(decision.events)
    assert [*found.left] == ["f.py::o", "f.py::p"]


def test_the_module_that_is_imported_is_to_blame() -> None:
    tests = tuple(PlannedTest(f"{file}::t", file, ("t",)) for file in ("a.py", "b.py", "b.pyx"))
    found = Progress(tests)
    for line in (
        {"kind": "collecting", "id": "a.py", "pid": 1},
        {"kind": "collected", "pid": 1},
        {"kind": "collecting", "id": "b.py", "pid": 1},
    ):
        found.line(line)
    decision = decide(found, KILLED, "tail")
    (event,) = decision.events
    assert isinstance(event, TestResult)
    assert (event.test, event.status) == ("b.py::t", ResultStatus.ERRORED)
    assert event.failures[0].message == "the test process died: signal SIGKILL, while b.py was imported"
    assert decision.again
    assert found.shunned == ["b.py"]


def test_interrupted_are_the_tests_in_flight() -> None:
    found = progress(start("a"), result("a"), start("b"), result("b", "failed", final=False), start("b", 1))
    (event,) = found.interrupted(9.0)
    assert isinstance(event, TestResult)
    assert (event.test, event.status, event.retry, event.duration) == ("f.py::b", ResultStatus.INTERRUPTED, 1, 4.0)
    assert found.interrupted(9.0) == []


DUMP = """
Thread 0x00007f0000000001 [worker] (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 1 in other

Current thread 0x00007f0000000002 [python] (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 320 in wait
  File "/suite/.venv/lib/python3.11/site-packages/lib.py", line 7 in call
  File "/suite/helpers.py", line 3 in helper
  File "/suite/tests/test_a.py", line 12 in test_hangs
"""


@pytest.mark.parametrize(
    ("files", "where", "place"),
    [
        ([], "helpers.py:3 (helper)", "helpers.py:3"),
        (["tests/test_a.py"], "tests/test_a.py:12 (test_hangs)", "tests/test_a.py:12"),
    ],
)
def test_a_dump_is_read_for_people(files: list[str], where: str, place: str) -> None:
    found = hang(Overdue("words"), ["nothing", DUMP], Path("/suite"), files)
    if files:
        assert found.message == f"words; it hung in /usr/lib/python3.11/threading.py:320 (wait), under {where}"
        assert found.location == place
    assert DUMP in found.stack


def test_without_a_dump_there_are_the_words() -> None:
    assert hang(Overdue("words", final=True), [], Path("/suite"), []) == Hang("words", final=True)
