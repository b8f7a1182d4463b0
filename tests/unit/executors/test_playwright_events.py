"""What lines of the reporter and ends of processes mean for the tests of a batch."""

from typing import Any

from resit.domain.events import DidNotRun, Failure, NotFound, TestEvent, TestResult, TestStarted
from resit.domain.plan import PlannedTest
from resit.domain.status import ResultStatus
from resit.executors.playwright_events import BatchFold, CannotRun, described, planned_tests
from resit.executors.process import Exit
from resit.executors.watch import Overdue

OK, FAILED, KILLED = Exit(0, None), Exit(1, None), Exit(None, "SIGKILL")


def planned(*ids: str, unit: str = "", variant: str = "") -> tuple[PlannedTest, ...]:
    return tuple(PlannedTest(test, "a.spec.ts", (test,), variant, unit=unit) for test in ids)


def config(**more: Any) -> dict[str, Any]:
    return {"t": "config", "version": "1.65.1", "workers": 1, "fail_on_flaky": False, **more}


def begin(*ids: str, group: str = "") -> dict[str, Any]:
    return {"t": "begin", "ids": [[test, group] for test in ids]}


def start(test: str, retry: int = 0) -> dict[str, Any]:
    return {"t": "start", "id": test, "retry": retry, "at": 5.0}


def result(test: str, status: str = "passed", retry: int = 0, retries: int = 0) -> dict[str, Any]:
    return {
        "t": "result", "id": test, "retry": retry, "retries": retries, "ok": status in ("passed", "skipped"),
        "status": status, "at": 5.0, "duration": 0.25, "failures": [], "attachments": [], "annotations": [],
    }  # fmt: skip


def left(test: str, reason: str = "why", retry: int = 0, retries: int = 0) -> dict[str, Any]:
    return {"t": "left", "id": test, "retry": retry, "retries": retries, "reason": reason}


def error(message: str) -> dict[str, Any]:
    return {"t": "error", "stopped": False, "message": message, "stack": "", "location": ""}


END: dict[str, Any] = {"t": "end", "status": "passed"}


def feed(fold: BatchFold, *lines: dict[str, Any]) -> list[str]:
    return short([event for line in lines for event in fold.feed(line)])


def short(events: list[TestEvent]) -> list[str]:
    """Events as text: ``a0 failed`` for a try, ``a0 failed!`` for the final one."""
    texts: list[str] = []
    for event in events:
        match event:
            case TestStarted():
                texts.append(f"{event.test}{event.retry} starts")
            case TestResult():
                texts.append(f"{event.test}{event.retry} {event.status}{'!' if event.final else ''}")
            case DidNotRun():
                texts.append(f"{event.test} did not run: {event.reason}!")
            case NotFound():
                texts.append(f"{event.test} not found!")
    return texts


def after(fold: BatchFold, exit_: Exit, tail: str = "") -> list[str]:
    events, obstacle = fold.after(exit_, tail)
    assert obstacle is None, obstacle
    return short(events)


def opened(*tests: PlannedTest) -> BatchFold:
    fold = BatchFold(tests)
    fold.next_tests()
    feed(fold, config())
    return fold


# Retries.


def test_a_result_is_final_at_once_unless_a_try_may_follow() -> None:
    fold = opened(*planned("a", "b"))
    assert feed(fold, begin("a", "b"), start("a"), result("a", retries=1)) == ["a0 starts", "a0 passed!"]
    assert feed(fold, start("b"), result("b", "failed", retries=1)) == ["b0 starts"]
    assert feed(fold, start("b", 1)) == ["b0 failed", "b1 starts"]
    assert feed(fold, result("b", "failed", 1, 1), END) == ["b1 failed!"]
    assert after(fold, FAILED) == []
    assert fold.next_tests() == ()
    assert fold.problems == []


def test_a_try_that_is_not_followed_is_final_at_the_end() -> None:
    fold = opened(*planned("a"))
    assert feed(fold, begin("a"), start("a"), result("a", "failed", retries=2), END) == ["a0 starts"]
    assert after(fold, FAILED) == ["a0 failed!"]


def test_serial_groups_are_final_when_all_their_members_are_well() -> None:
    fold = opened(*planned("a", "b", unit="u"))
    feed(fold, begin("a", "b", group="g"))
    assert feed(fold, start("a"), result("a", retries=1)) == ["a0 starts"]
    assert feed(fold, start("b"), result("b", retries=1)) == ["b0 starts", "a0 passed!", "b0 passed!"]


def test_serial_groups_are_tried_again_as_a_whole() -> None:
    fold = opened(*planned("a", "b", "c", unit="u"))
    feed(fold, begin("a", "b", "c", group="g"))
    lines = [start("a"), result("a", retries=1), start("b"), result("b", "failed", retries=1), left("c", retries=1)]
    assert feed(fold, *lines) == ["a0 starts", "b0 starts"]
    assert feed(fold, start("a", 1), result("a", retry=1, retries=1)) == ["a0 passed", "a1 starts", "a1 passed!"]
    assert feed(fold, start("b", 1), result("b", retry=1, retries=1)) == ["b0 failed", "b1 starts", "b1 passed!"]
    assert feed(fold, start("c", 1), result("c", retry=1, retries=1)) == ["c1 starts", "c1 passed!"]


def test_a_member_that_failed_and_was_then_passed_over_keeps_its_failure() -> None:
    fold = opened(*planned("a", "b", unit="u"))
    feed(fold, begin("a", "b", group="g"))
    feed(fold, start("a"), result("a", retries=1), start("b"), result("b", "failed", retries=1))
    assert feed(fold, start("a", 1), result("a", "failed", 1, 1)) == ["a0 passed", "a1 starts", "a1 failed!"]
    assert feed(fold, left("b", "a failed", 1, 1), END) == ["b0 failed!"]


def test_a_skip_that_is_told_twice_is_one_result() -> None:
    fold = opened(*planned("a", "b", unit="u"))
    feed(fold, begin("a", "b", group="g"), start("b"), result("b", "failed", retries=1))
    assert feed(fold, result("a", "skipped", 0, 1), result("a", "skipped", 1, 1)) == ["a1 skipped!"]


def test_nothing_follows_a_final_event() -> None:
    fold = opened(*planned("a"))
    feed(fold, begin("a"), start("a"), result("a"))
    assert feed(fold, start("a", 1), result("a", "failed", 1, 1), left("a")) == []


def test_tests_that_were_not_asked_for_are_passed_over() -> None:
    fold = opened(*planned("a"))
    assert feed(fold, start("x"), result("x", "failed"), left("y")) == []


# Ends.


def test_what_was_not_collected_is_not_found() -> None:
    fold = opened(*planned("a", "gone"))
    feed(fold, begin("a"), start("a"), result("a"), END)
    assert after(fold, OK) == ["gone not found!"]
    assert fold.problems == []


def test_all_gone_is_no_problem_whatever_the_exit_code() -> None:
    fold = opened(*planned("a", "b"))
    feed(fold, END)
    assert after(fold, FAILED) == ["a not found!", "b not found!"]
    assert fold.problems == []


def test_a_project_of_which_nothing_was_collected_is_asked_once_more_alone() -> None:
    setup, gone = planned("s", variant="setup"), planned("g", variant="app")
    fold = opened(*setup, *gone)
    feed(fold, END)
    assert after(fold, OK) == []
    assert fold.next_tests() == setup
    feed(fold, config(), begin("s"), start("s"), result("s"), END)
    assert after(fold, OK) == []
    assert fold.next_tests() == gone
    feed(fold, config(), END)
    assert after(fold, OK) == ["g not found!"]
    assert fold.next_tests() == ()


def test_projects_that_are_no_longer_configured_take_only_their_own_tests_along() -> None:
    fold = BatchFold([*planned("a", variant="app"), *planned("b", variant="Old")])
    fold.next_tests()
    tail = 'Error: Project(s) "old" not found. Available projects: "app"'
    assert after(fold, FAILED, tail) == ["b not found!"]
    assert [test.id for test in fold.next_tests()] == ["a"]


def test_an_exit_code_that_nothing_explains_is_a_problem() -> None:
    fold = opened(*planned("a"))
    feed(fold, begin("a"), start("a"), result("a"), END)
    assert after(fold, FAILED, "some output") == []
    assert fold.problems == [
        "Playwright ended with exit code 1 although every test passed; its output ended with:\nsome output"
    ]


def test_flaky_tests_may_be_the_explanation() -> None:
    fold = BatchFold(planned("a"))
    fold.next_tests()
    feed(fold, config(fail_on_flaky=True), begin("a"), start("a"), result("a", "failed", 0, 1), start("a", 1))
    feed(fold, result("a", retry=1, retries=1), END)
    after(fold, FAILED)
    assert fold.problems == ["Playwright failed the run because of flaky tests (failOnFlakyTests)"]


def test_errors_outside_of_tests_are_problems() -> None:
    fold = opened(*planned("a"))
    outside = {"t": "outside", "variant": "cleanup", "title": "tidy", "message": "could not"}
    feed(fold, begin("a"), start("a"), result("a"), error("teardown"), outside, END)
    after(fold, FAILED)
    assert fold.problems == ["teardown", 'project "cleanup": "tidy" failed: could not']


def test_nothing_runs_after_an_error_at_the_start() -> None:
    fold = opened(*planned("a"))
    feed(fold, error("no web server"), END)
    assert fold.after(FAILED, "") == ([], CannotRun("Playwright ran no test: no web server"))
    assert fold.untouched


def test_a_process_that_says_nothing_cannot_run_the_batch() -> None:
    fold = BatchFold(planned("a"))
    fold.next_tests()
    events, obstacle = fold.after(FAILED, "SyntaxError in config")
    assert events == []
    assert obstacle is not None
    assert "exit code 1 before it ran any test" in obstacle.message
    assert "SyntaxError in config" in obstacle.message


def test_silence_about_a_test_is_an_error_unless_something_failed() -> None:
    fold = opened(*planned("a"))
    feed(fold, begin("a"), END)
    assert after(fold, OK) == ["a0 errored!"]
    fold = opened(*planned("a", "b"))
    feed(fold, begin("a", "b"), start("b"), result("b", "failed"), END)
    assert after(fold, FAILED) == ["a did not run: left out after a failure!"]


def test_a_test_that_was_running_at_the_end_was_cut_off() -> None:
    fold = opened(*planned("a", "b"))
    feed(fold, begin("a", "b"), start("a"), error("global timeout"), left("b", "global timeout"), END)
    [final] = fold.after(FAILED, "")[0]
    assert isinstance(final, TestResult)
    assert (final.status, final.failures[0].message) == ("errored", "the test was cut off: global timeout")
    assert fold.problems == ["global timeout"]


# Deaths.


def test_a_death_costs_the_tests_in_flight_and_folds_the_tries() -> None:
    fold = opened(*planned("a", "b", "c", "d"))
    feed(fold, begin("a", "b", "c", "d"), start("a"), result("a"), start("b"), result("b", "failed", 0, 2))
    feed(fold, start("c"), result("c", "failed", 0, 1), start("c", 1))
    assert after(fold, KILLED) == ["c1 errored!", "b0 failed!"]
    assert [test.id for test in fold.next_tests()] == ["d"]
    assert fold.problems == []


def test_a_death_ends_the_serial_groups_that_had_begun() -> None:
    fold = opened(*planned("a", "b", "c", unit="u"), *planned("d", "e", unit="v"))
    feed(fold, begin("a", "b", "c", "d", "e"), start("a"), result("a"), start("b"))
    assert after(fold, KILLED) == [
        "b0 errored!",
        "c did not run: the test process died: signal SIGKILL, in the middle of its serial group!",
    ]
    assert [test.id for test in fold.next_tests()] == ["d", "e"]


def test_two_deaths_in_a_row_without_progress_are_enough() -> None:
    fold = opened(*planned("a", "b"))
    feed(fold, begin("a", "b"), start("a"))
    assert after(fold, KILLED) == ["a0 errored!"]  # progress: a started
    fold.next_tests()
    assert after(fold, KILLED) == []
    assert [test.id for test in fold.next_tests()] == ["b"]
    events, _ = fold.after(KILLED, "out of memory")
    assert short(events) == ["b0 errored!"]
    [final] = events
    assert isinstance(final, TestResult)
    assert final.failures[0].message.endswith("signal SIGKILL; its output ended with:\nout of memory")
    assert fold.next_tests() == ()


def test_an_end_without_its_mark_is_a_death_too() -> None:
    fold = opened(*planned("a"))
    feed(fold, begin("a"), start("a"))
    [final] = fold.after(Exit(0, None), "")[0]
    assert isinstance(final, TestResult)
    assert final.failures[0].message == "the test process died: exit code 0"
    assert final.started_at == 5.0


def test_a_death_after_the_last_test_is_a_problem() -> None:
    fold = opened(*planned("a"))
    feed(fold, begin("a"), start("a"), result("a"))
    assert after(fold, KILLED) == []
    assert fold.problems == ["the test process died: signal SIGKILL, after its last test"]


def test_a_stop_keeps_what_was_done() -> None:
    fold = opened(*planned("a", "b", "c"))
    feed(fold, begin("a", "b", "c"), start("a"), result("a", "failed", 0, 1), start("b"))
    fold.stop()
    assert feed(fold, left("c", 0, 0)) == []
    assert short(fold.flush()) == ["a0 failed!", "b0 interrupted!"]


# Limits.

WORDS = "no sign of life"


def over(fold: BatchFold, *lines: dict[str, Any], final: bool = False) -> list[str]:
    """The process is over a limit, and says this while it ends."""
    fold.overdue(Overdue(WORDS, final))
    return feed(fold, *lines)


def test_a_hang_costs_the_tests_in_flight_and_the_rest_goes_on() -> None:
    fold = opened(*planned("a", "b", "c"))
    feed(fold, begin("a", "b", "c"), start("a"), result("a"), start("b"))
    said = {**result("b", "interrupted", 0, 2), "where": "a step at a.js:3", "place": "a.js:3"}
    fold.overdue(Overdue(WORDS))
    (event,) = fold.feed(said)
    assert isinstance(event, TestResult)
    assert (event.status, event.final) == (ResultStatus.ERRORED, True)
    assert event.failures == (Failure(f"{WORDS}; it hung in a step at a.js:3", "", "a.js:3"),)
    assert feed(fold, left("c", "the run was interrupted"), {"t": "end", "status": "interrupted"}) == []
    assert after(fold, Exit(130, None)) == []
    assert [test.id for test in fold.next_tests()] == ["c"]
    assert fold.problems == []


def test_a_hang_of_who_says_nothing_more() -> None:
    fold = opened(*planned("a", "b"))
    feed(fold, begin("a", "b"), start("a"))
    assert over(fold) == []
    (event,) = fold.after(KILLED, "tail")[0]
    assert isinstance(event, TestResult)
    assert event.failures == (Failure(WORDS),)
    assert [test.id for test in fold.next_tests()] == ["b"]


def test_after_the_time_of_a_batch_nothing_goes_on() -> None:
    fold = opened(*planned("a", "b"))
    feed(fold, begin("a", "b"), start("a"))
    assert over(fold, result("a", "interrupted"), final=True) == ["a0 errored!"]
    assert after(fold, Exit(130, None)) == [f"b did not run: left out: {WORDS}!"]
    assert fold.next_tests() == ()
    fold = opened(*planned("a", "b"))
    over(fold, final=True)
    assert after(fold, KILLED) == ["a0 errored!", "b0 errored!"]


def test_so_many_hangs_in_a_row_are_enough() -> None:
    fold = BatchFold(planned(*"abcdefg"))
    for name in "abcde":
        assert next(test.id for test in fold.next_tests()) == name
        feed(fold, config(), begin(*"abcdefg"), start(name))
        over(fold)
        events = after(fold, KILLED)
    assert [event.split(":")[0] for event in events] == ["e0 errored!", "f did not run", "g did not run"]
    assert fold.next_tests() == ()


def test_a_hang_before_the_first_test_is_tried_twice() -> None:
    fold = opened(*planned("a"))
    over(fold)
    assert after(fold, Exit(130, None)) == []
    fold.next_tests()
    over(fold)
    (event,) = fold.after(Exit(130, None), "waiting for port 1")[0]
    assert isinstance(event, TestResult)
    assert event.failures[0].message.startswith(f"{WORDS}, before the first test began; its output ended with:")


def test_a_hang_after_the_last_test_is_a_problem() -> None:
    fold = opened(*planned("a"))
    feed(fold, begin("a"), start("a"), result("a"))
    over(fold)
    assert after(fold, KILLED) == []
    assert fold.problems == [f"{WORDS}, after its last test"]


# Lines.


def test_lines_of_a_listing_become_planned_tests() -> None:
    line = {
        "id": "1-2", "file": "a.spec.ts", "titles": ["g", "t"], "variant": "p", "tags": ["@x"], "line": 3, "unit": "u",
        "apart": True,
    }  # fmt: skip
    assert planned_tests({"t": "tests", "tests": [line]}) == (
        PlannedTest("1-2", "a.spec.ts", ("g", "t"), "p", ("@x",), 3, "u", apart=True),
    )


def test_errors_name_their_place_once() -> None:
    assert described({"message": "SyntaxError: no", "location": "a.ts:3"}) == "a.ts:3: SyntaxError: no"
    assert described({"message": "a.ts:3: no", "location": "a.ts:3"}) == "a.ts:3: no"
    assert described({"message": " no \n", "location": ""}) == "no"
