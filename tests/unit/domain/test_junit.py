"""JUnit files: whatever is in a ledger can be read by any XML parser, and every test is in it once, as it came out."""

from collections import Counter
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.domain import junit, ledger
from resit.domain.events import Attachment, Failure, TestResult
from resit.domain.junit import Case, Links, Outline
from resit.domain.ledger import Row
from resit.domain.plan import PlannedTest
from resit.domain.run import Problem
from resit.domain.status import Outcome, ResultStatus
from resit.domain.tries import Shown, shown
from resit.ports import StoredResult
from resit.testing.factories import NOW, planned, result, row, run

LINKS = Links("http://resit.test/a/")
ANY = st.text(max_size=30)
"""Any text at all: control characters, half characters, what means something in XML."""
SHAPE = {
    "testsuites": ({"name", "time", "tests", "failures", "errors", "skipped"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "file"},
        {"properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set[str](), {"property"}),
    "property": ({"name", "value"}, set[str]()),
    "testcase": (
        {"name", "classname", "time", "file", "line"},
        {
            "properties", "skipped", "error", "failure", "rerunFailure", "rerunError", "flakyFailure", "flakyError",
            "system-out", "system-err",
        },
    ),
    "skipped": ({"message"}, set[str]()),
    "failure": ({"message", "type"}, set[str]()),
    "error": ({"message", "type"}, set[str]()),
    **{
        name: ({"message", "type"}, {"stackTrace", "system-out", "system-err"})
        for name in ("rerunFailure", "rerunError", "flakyFailure", "flakyError")
    },
    **{name: (set[str](), set[str]()) for name in ("stackTrace", "system-out", "system-err")},
}  # fmt: skip
"""The elements of junit-10.xsd of Jenkins' xUnit plugin that we use, with their attributes and children; ``file`` and
``line`` of a test are pytest's, and read by GitLab."""
REQUIRED = {"testsuite": {"name", "tests", "failures", "errors"}, "testcase": {"name"}}


def has_the_shape(element: ElementTree.Element) -> None:
    """The element, and all in it, are of the common shape."""
    attributes, children = SHAPE[element.tag]
    assert set(element.attrib) <= attributes
    assert REQUIRED.get(element.tag, set()) <= set(element.attrib)
    if element.tag == "testcase":
        assert sum(child.tag in ("skipped", "error", "failure") for child in element) <= 1
    if element.tag in ("testsuite", "testsuites"):
        cases = list(element.iter("testcase"))
        assert int(element.attrib["tests"]) == len(cases)
        for tag, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert int(element.attrib[name]) == sum(case.find(tag) is not None for case in cases), name
    for child in element:
        assert child.tag in children, (element.tag, child.tag)
        has_the_shape(child)


def write(*cases: Case, problems: tuple[Problem, ...] = ()) -> ElementTree.Element:
    """The file of these tests, read back."""
    text = whole(cases, problems)
    root = ElementTree.fromstring(text.encode("utf-8", "surrogatepass"))  # noqa: S314 - we wrote it
    has_the_shape(root)
    return root


def whole(cases: tuple[Case, ...], problems: tuple[Problem, ...] = ()) -> str:
    suites = junit.suites(Outline(case.test.file, case.test.variant, case.row) for case in cases)
    by_ordinal = {case.row.ordinal: case for case in cases}
    pieces = [junit.begin("shop run 1", suites, 1.5, len(problems)), junit.problems(problems, NOW, [])]
    for suite in suites:
        pieces.append(junit.begin_suite(suite, NOW, [("run", "1")]))
        pieces += [junit.case(by_ordinal[ordinal], LINKS) for ordinal in suite.ordinals]
        pieces.append(junit.END_SUITE)
    return "".join([*pieces, junit.END])


def told(row: Row, *results: TestResult, test: PlannedTest | None = None) -> Case:
    """A row with these results, all of which count."""
    kept = [StoredResult(row.ordinal, 1, True, found) for found in results]
    return Case(test or planned(), row, shown(run(cancelled_by="ann", cancel_reason="no"), row, kept, NOW))


def only(root: ElementTree.Element) -> ElementTree.Element:
    (found,) = root.iter("testcase")
    return found


def follow(*events: TestResult, before: Row | None = None) -> Case:
    now = before or row()
    for event in events:
        now = ledger.result(now, event)
    return told(now, *events)


FAILED = result("t", "failed", final=False)


def test_a_test_that_passed_is_a_case_and_nothing_more() -> None:
    found = only(write(follow(result("t"))))
    assert found.attrib == {
        "name": "test_one", "classname": "tests.test_a", "file": "tests/test_a.py", "time": "0.500",
    }  # fmt: skip
    assert list(found) == []


def test_a_flaky_test_counts_as_passed_and_tells_of_its_failures() -> None:
    found = only(write(follow(FAILED, replace(FAILED, retry=1), result("t", retry=2))))
    assert [child.tag for child in found] == ["flakyFailure", "flakyFailure"]
    assert found[0].attrib == {"message": "it went wrong", "type": "failed"}
    assert found[0].findtext("stackTrace") == "tests/test_a.py:7\nit went wrong\n  at line 7"


def test_a_failure_is_told_by_its_first_one() -> None:
    last = replace(FAILED, retry=1, final=True, failures=(Failure("another", "", ""),), stdout="printed")
    found = only(write(follow(FAILED, last)))
    assert [child.tag for child in found] == ["failure", "rerunFailure", "system-out"]
    assert found[0].attrib == {"message": "it went wrong", "type": "failed"}
    assert found[1].attrib["message"] == "another"
    assert found.findtext("system-out") == "printed"


@pytest.mark.parametrize(
    ("case", "tag", "kind", "words"),
    [
        (told(ledger.lost(row(), "lost: w died")), "error", "lost", "lost: w died"),
        (told(ledger.lost(ledger.started(row(), NOW), "w died")), "error", "lost", "interrupted: w died"),
        (told(ledger.not_found(row(), "gone")), "error", "not_found", "gone"),
        (told(ledger.did_not_run(row(), "before it")), "error", "did_not_run", "before it"),
        (told(ledger.batch_ended(row(), "time is up")), "error", "errored", "time is up"),
        (
            told(ledger.batch_ended(ledger.started(row(), NOW), "time is up")),
            "error", "errored", "interrupted: time is up",
        ),
        (
            told(ledger.cancelled(ledger.started(row(), NOW))),
            "error", "interrupted", "interrupted: the run was cancelled by ann: no",
        ),
        (told(ledger.cancelled(row())), "skipped", None, "cancelled: the run was cancelled by ann: no"),
        (told(row()), "skipped", None, "not finished: planned"),
        (told(ledger.started(row(), NOW)), "skipped", None, "not finished: running"),
        (follow(result("t", "skipped", annotations=(("skip", "later"),))), "skipped", None, "later"),
        (follow(result("t", "errored")), "error", "errored", "it went wrong"),
        (follow(result("t", "timed_out")), "failure", "timed_out", "it went wrong"),
    ],
)  # fmt: skip
def test_each_end_has_its_words(case: Case, tag: str, kind: str | None, words: str) -> None:
    (found,) = [child for child in only(write(case)) if child.tag in ("failure", "error", "skipped")]
    assert (found.tag, found.get("type"), found.get("message")) == (tag, kind, words)


def test_what_went_wrong_outside_the_tests_is_not_green() -> None:
    root = write(follow(result("t")), problems=(Problem(code="outside_tests", message="teardown\nfell"),))
    assert (root.get("tests"), root.get("errors")) == ("2", "1")
    assert next(root.iter("error")).text == "teardown\nfell"


def test_files_are_named_where_readers_look_for_them() -> None:
    files = (Attachment("a b/ü.png", "image/png", id="1-2"), Attachment("not handed over", "text/plain"))
    case = follow(result("t", attachments=files))
    assert only(write(case)).findtext("system-out") == "[[ATTACHMENT|http://resit.test/a/1-2]]"
    assert "[[ATTACHMENT|files/1-2-a-b-.png]]" in junit.case(case, Links("", "files"))


def test_the_same_test_in_two_projects_is_two() -> None:
    js = planned("id", file="a.spec.js", title_path=("group", "one"), variant="chromium", tags=("@slow",), line=3)
    root = write(told(row(0), test=js), told(row(1), test=replace(js, variant="firefox")))
    assert [suite.get("name") for suite in root] == ["[chromium] a.spec.js", "[firefox] a.spec.js"]
    assert [case.get("name") for case in root.iter("testcase")] == ["[chromium] group › one", "[firefox] group › one"]
    assert {"name": "tag", "value": "@slow"} in [found.attrib for found in root.iter("property")]


@given(
    st.lists(
        st.builds(
            lambda file, title, outcome, precluded, reason, began, kind, stack, out, seconds, note: told(
                Row(0, "t", outcome=outcome, precluded=precluded, reason=reason, began=began, tries=1),
                result("t", kind, failures=(Failure(reason, stack, file),), stdout=out, stderr=out, duration=seconds,
                       annotations=((note, out),)),
                test=PlannedTest("t", file, (title,), variant=note, tags=(note,)),
            ),
            ANY, ANY, st.sampled_from([None, *Outcome]), st.booleans(), ANY, st.sampled_from([0.0, NOW]),
            st.sampled_from(ResultStatus), ANY, ANY, st.floats(0, 1e9), ANY,
        ),
        max_size=5,
    )
)  # fmt: skip
def test_whatever_the_texts_are_the_file_is_xml_and_its_numbers_are_right(cases: list[Case]) -> None:
    cases = [replace(case, row=replace(case.row, ordinal=n)) for n, case in enumerate(cases)]
    root = write(*cases)
    names = Counter(junit.element(case.row) for case in cases)
    assert [int(root.attrib[name]) for name in ("tests", "failures", "errors", "skipped")] == [
        len(cases), names["failure"], names["error"], names["skipped"],
    ]  # fmt: skip


def test_an_attempt_that_does_not_count_is_not_shown() -> None:
    first = StoredResult(0, 1, True, FAILED)
    second = StoredResult(0, 2, True, result("t"))
    assert shown(run(), ledger.result(row(), second.found), [first, second], NOW) == Shown((second.found,), 2, "")
    # The second worker died as well, in the middle of the test; what the first one left unfinished is no part of it.
    lost = shown(run(), ledger.lost(ledger.started(row(), NOW), "two died"), [first], NOW)
    assert [(found.status, found.failures[0].message) for found in lost.tries] == [
        (ResultStatus.INTERRUPTED, "interrupted: two died")
    ]


def test_what_was_told_after_the_cut_belongs_to_it() -> None:
    late = result("t", "interrupted", failures=(Failure("interrupted"),), stdout="so far", started_at=NOW + 5)
    found = shown(run(cancelled_by="ann"), ledger.cancelled(ledger.started(row(), NOW + 5)),
                  [StoredResult(0, 1, False, late)], NOW + 9)  # fmt: skip
    assert found.attempt == 1
    assert found.tries[0].stdout == "so far"
    assert [f.message for f in found.tries[0].failures] == ["interrupted: the run was cancelled by ann"]


def test_a_test_that_was_cancelled_took_until_then() -> None:
    over = run(finished_at=NOW + 7)
    (found,) = shown(over, ledger.cancelled(ledger.started(row(), NOW + 5)), [], NOW + 900).tries
    assert (found.started_at, found.duration, found.retry) == (NOW + 5, 2, 0)
