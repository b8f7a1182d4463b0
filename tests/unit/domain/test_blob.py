"""Blobs: whatever is stored, the events are such that Playwright's receiver of them can follow."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from resit.domain import ledger
from resit.domain.blob import Blob, has_blob
from resit.domain.events import OUTPUT, Attachment, Failure, Setting, Step, TestResult
from resit.domain.ledger import Counts, Row
from resit.domain.plan import PlannedTest
from resit.domain.run import PlanFacts, Problem, Run
from resit.domain.status import Outcome, ResultStatus, RunStatus, Verdict
from resit.domain.tries import Shown, shown
from resit.ports import StoredResult
from resit.testing.factories import NOW, result, row, run

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
SUITE = {
    "workdir": "/w",
    "root": "tests",
    "config": "playwright.config.ts",
    "version": "1.65.1",
    "projects": [{"name": "app", "dir": "tests", "retries": 2, "repeat": 2}],
}
FACTS = PlanFacts(framework="Playwright 1.65.1", suite=json.dumps(SUITE))


def one(id: str = "t", *titles: str, **members: Any) -> PlannedTest:
    values = {"variant": "app", "line": 7, **members}
    return PlannedTest(id, "tests/a.spec.ts", titles or (id,), **values)


class Receiver:
    """Follows the events as Playwright's own receiver does, and fails where that one would throw."""

    def __init__(self, lines: list[str]) -> None:
        self.tests: dict[str, dict[str, Any]] = {}
        self.paths: dict[str, list[str]] = {}
        self.results: dict[str, list[dict[str, Any]]] = {}
        self.errors: list[str] = []
        self.end: dict[str, Any] = {}
        self.config: dict[str, Any] = {}
        self.projects: list[str] = []
        events = [json.loads(line) for line in lines]
        assert all(line.endswith("\n") and line.count("\n") == 1 for line in lines)
        assert events[0]["method"] == "onBlobReportMetadata"
        assert events[0]["params"]["version"] == 2
        assert events[1]["method"] == "onConfigure"
        assert events[-1]["method"] == "onEnd"
        for event in events[1:]:
            getattr(self, event["method"])(**event.get("params", {}))

    def onConfigure(self, config: dict[str, Any]) -> None:  # noqa: N802 - Playwright's word
        self.config = config

    def onProject(self, project: dict[str, Any]) -> None:  # noqa: N802
        self.projects.append(project["name"])
        for suite in project["suites"]:
            self._suite(suite, [project["name"]])

    def _suite(self, suite: dict[str, Any], path: list[str]) -> None:
        for entry in suite["entries"]:
            if "testId" in entry:
                assert entry["testId"] not in self.tests
                self.tests[entry["testId"]] = entry
                self.paths[entry["testId"]] = [*path, suite["title"], entry["title"]]
                self.results[entry["testId"]] = []
            else:
                self._suite(entry, [*path, suite["title"]])

    def onBegin(self) -> None:  # noqa: N802
        pass

    def onTestBegin(self, testId: str, result: dict[str, Any]) -> None:  # noqa: N802, N803
        assert result["id"] not in [known["id"] for found in self.results.values() for known in found]
        self.results[testId].append({**result, "steps": {}, "open": [], "stdout": ""})

    def _result(self, test: str, id: str) -> dict[str, Any]:
        (found,) = [result for result in self.results[test] if result["id"] == id]
        assert "status" not in found
        return found

    def onStdIO(self, testId: str, resultId: str, type: str, data: str, isBase64: bool) -> None:  # noqa: N802, N803
        assert not isBase64
        self._result(testId, resultId)[type] = data

    def onStepBegin(self, testId: str, resultId: str, step: dict[str, Any]) -> None:  # noqa: N802, N803
        steps = self._result(testId, resultId)["steps"]
        assert step["id"] not in steps
        assert step.get("parentStepId") is None or step["parentStepId"] in steps
        steps[step["id"]] = step

    def onStepEnd(self, testId: str, resultId: str, step: dict[str, Any]) -> None:  # noqa: N802, N803
        found = self._result(testId, resultId)["steps"][step["id"]]
        assert "duration" not in found
        found.update(step)

    def onTestEnd(self, test: dict[str, Any], result: dict[str, Any]) -> None:  # noqa: N802
        found = self._result(test["testId"], result["id"])
        places = [n for step in found["steps"].values() for n in step.get("attachments", [])]
        assert all(place < len(result["attachments"]) for place in places)
        found.update(result)

    def onError(self, error: dict[str, Any]) -> None:  # noqa: N802
        self.errors.append(error["message"])

    def onEnd(self, result: dict[str, Any]) -> None:  # noqa: N802
        self.end = result
        assert all("status" in found for results in self.results.values() for found in results)


def write(of: Run, *cases: tuple[PlannedTest, Row, Shown]) -> Receiver:
    blob = Blob(of, now=NOW + 100, about={"buildHref": "http://resit.test/1"})
    lines = [line for case in cases for line in blob.test(*case, lambda attachment: {"path": attachment.id})]
    return Receiver([*blob.head(), *lines, *blob.tail()])


def closed(**members: Any) -> Run:
    values: dict[str, Any] = {
        "facts": FACTS, "status": RunStatus.FINISHED, "verdict": Verdict.FAILED, "finished_at": NOW + 9, **members,
    }  # fmt: skip
    return run(started_at=NOW, **values)


def told(test: PlannedTest, now: Row, *found: TestResult, of: Run | None = None) -> tuple[PlannedTest, Row, Shown]:
    return test, now, shown(of or closed(), now, [StoredResult(now.ordinal, 1, True, each) for each in found], NOW)


def test_only_playwright_has_blobs() -> None:
    assert has_blob(closed())
    assert not has_blob(run(facts=PlanFacts(framework="pytest 9")))


def test_a_suite_as_it_was() -> None:
    case = told(one("t", "group", "inner", "title (repeat 1)", tags=("@x",)), ledger.result(row(), result("t")),
                result("t", setting=Setting(place="tests/a.spec.ts:7:3", retries=2, worker=4)))  # fmt: skip
    found = write(closed(), case)
    assert found.config["rootDir"] == "/w/tests"
    assert found.config["configFile"] == "../playwright.config.ts"
    assert found.config["metadata"]["ci"] == {"buildHref": "http://resit.test/1"}
    assert found.paths == {"t": ["app", "a.spec.ts", "group", "inner", "title"]}
    assert found.tests["t"] == {
        "testId": "t", "title": "title", "location": {"file": "a.spec.ts", "line": 7, "column": 3}, "retries": 2,
        "tags": ["@x"], "repeatEachIndex": 1, "annotations": [],
    }  # fmt: skip
    (only,) = found.results["t"]
    assert (only["status"], only["workerIndex"], only["duration"]) == ("passed", 0, 500)


def test_steps_begin_and_end_in_each_other() -> None:
    failure = Failure("bad", "bad\n  at x\n\n> 3 | code", "tests/a.spec.ts:3", "> 3 | code", 5)
    files = (Attachment("a", "", id="1"), Attachment("stdout", "", id="2", origin=OUTPUT))
    steps = (
        Step("one", "test.step", attachments=(0,)),
        Step("in one", "expect", 1, 0.5, 0.25, "tests/a.spec.ts:3:5", failure=failure),
        Step("deep", "pw:api", 3),
        Step("two", duration=-1),
    )
    found = result("t", "failed", failures=(failure,), steps=steps, steps_left_out=7, attachments=files)
    (only,) = write(closed(), told(one(), ledger.result(row(), found), found)).results["t"]
    begun = [(step["title"], step.get("parentStepId"), "duration" in step) for step in only["steps"].values()]
    assert begun == [
        ("one", None, True), ("in one", "0", True), ("deep", "1", True), ("two", None, False),
        ("… 7 more steps are not kept", None, True),
    ]  # fmt: skip
    error = {
        "message": "bad", "stack": "bad\n  at x", "snippet": "> 3 | code",
        "location": {"file": "/w/tests/a.spec.ts", "line": 3, "column": 5},
    }  # fmt: skip
    assert only["errors"] == [only["steps"]["1"]["error"]] == [error]
    assert only["attachments"] == [{"name": "a", "contentType": "", "path": "1"}]


def test_what_was_cut_off_is_interrupted_and_says_why() -> None:
    cancelled = closed(status=RunStatus.CANCELLED, cancelled_by="ann", cancel_reason="enough", verdict=Verdict.ERRORED,
                       counts=Counts(cancelled=2, lost=1))  # fmt: skip
    began = ledger.started(row(0), NOW + 3)
    found = write(
        cancelled,
        told(one("a"), ledger.cancelled(began), of=cancelled),
        told(one("b"), ledger.cancelled(row(1)), of=cancelled),
        told(one("c"), ledger.lost(ledger.started(row(2), NOW + 1), "w1 died"), of=cancelled),
    )
    (cut,) = found.results["a"]
    why = "interrupted: the run was cancelled by ann: enough"
    assert (cut["status"], cut["errors"], cut["duration"]) == ("interrupted", [{"message": why}], 6000)
    assert found.results["b"] == []
    why = "the run was cancelled by ann: enough"
    assert found.tests["b"]["annotations"] == [{"type": "cancelled", "description": why}]
    assert found.results["c"][0]["errors"] == [{"message": "interrupted: w1 died"}]
    assert found.end["status"] == "interrupted"
    assert "1 lost, 2 cancelled" in found.errors[0]
    assert why in found.errors[0]


def test_what_never_ran_says_why() -> None:
    gone = PlannedTest("no such test", "", ("no such test",))
    found = write(
        closed(counts=Counts(not_found=1), problems=(Problem(code="outside_tests", message="teardown fell"),)),
        told(gone, ledger.not_found(row(0), "gone")),
        told(one("b"), ledger.did_not_run(row(1), "setup failed")),
        told(one("c"), ledger.batch_ended(row(2), "time is up")),
        told(one("d"), row(3)),
    )
    assert [test["annotations"][0] for test in found.tests.values()] == [
        {"type": "not found", "description": "gone"},
        {"type": "did not run", "description": "setup failed"},
        {"type": "errored", "description": "time is up"},
        {"type": "not finished", "description": "planned"},
    ]
    assert found.paths["no such test"] == ["app", "not found", "no such test"]
    assert not any(found.results.values())
    assert found.errors[0] == "teardown fell"


def test_expectations_are_those_of_the_test() -> None:
    expected = Setting(expected="failed", status="failed", errors=(Failure("as it should"),))
    against = Setting(expected="failed", status="passed")
    skipped = Setting(expected="skipped", status="skipped")
    wrong = result("b", "failed", setting=against)
    found = write(
        closed(),
        told(one("a"), ledger.result(row(0), result("a")), result("a", setting=expected)),
        told(one("b"), ledger.result(row(1), wrong), wrong),
        told(one("c"), ledger.result(row(2), result("c", "skipped")), result("c", "skipped", setting=skipped)),
    )
    said = {test: (results[0]["status"], results[0]["errors"]) for test, results in found.results.items()}
    assert said == {
        "a": ("failed", [{"message": "as it should"}]), "b": ("passed", []), "c": ("skipped", []),
    }  # fmt: skip


def test_a_suite_of_which_nothing_is_known() -> None:
    of = closed(facts=PlanFacts(framework="Playwright 1.60.0"))
    found = write(of, told(one(), ledger.result(row(), result("t")), result("t")))
    assert (found.config["version"], found.config["rootDir"]) == ("1.60.0", "/")
    assert found.paths == {"t": ["app", "tests/a.spec.ts", "t"]}


@given(
    st.lists(
        st.tuples(
            st.lists(TEXT, max_size=3),
            TEXT,
            TEXT,
            st.sampled_from([None, *Outcome]),
            st.sampled_from([0.0, NOW]),
            st.lists(
                st.tuples(
                    st.sampled_from(ResultStatus), TEXT,
                    st.lists(st.tuples(TEXT, st.integers(0, 5), st.sampled_from([-1.0, 0.5]),
                                       st.lists(st.integers(0, 3), max_size=2)), max_size=5),
                ),
                max_size=3,
            ),
        ),
        max_size=4,
    )
)  # fmt: skip
def test_whatever_is_stored_can_be_followed(cases: list[Any]) -> None:
    made: list[tuple[PlannedTest, Row, Shown]] = []
    for number, (titles, file, variant, outcome, began, tries) in enumerate(cases):
        test = PlannedTest(f"{number}", file, tuple(titles), variant, tags=(variant,))
        now = Row(number, test.id, outcome=outcome, began=began, tries=len(tries), reason=file)
        results = [
            StoredResult(number, 1, True, TestResult(
                test.id, status, retry, stdout=text, failures=(Failure(text, text, text),),
                annotations=((text, text),), attachments=(Attachment(text, text, id="1"),),
                steps=tuple(Step(title, text, depth, 0.0, duration, text, attachments=tuple(places))
                            for title, depth, duration, places in steps),
            ))
            for retry, (status, text, steps) in enumerate(tries)
        ]  # fmt: skip
        made.append((test, now, shown(closed(), now, results, NOW)))
    found = write(closed(), *made)
    assert set(found.tests) == {test.id for test, _, _ in made}
