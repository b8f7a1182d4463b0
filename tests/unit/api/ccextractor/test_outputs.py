"""Outputs of tests: what was expected, what was produced, and the difference."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.api.ccextractor import outputs
from resit.domain.events import Attachment
from resit.testing.factories import result, uuid_of
from resit.testing.world import World

TEST = "a/b.py::c"
OUT = "/runs/1/samples/1/regression-tests/1/outputs"
OLD, NEW = b"one\ntwo\nthree\n", b"one\n2\nthree\nfour\n"


@pytest.fixture
def ran(world: World, http: Any) -> Callable[..., None]:
    """A run of one test with attachments; those with content are stored."""

    def make(files: Mapping[str, bytes | None], status: str = "failed", kind: str = "text/plain") -> None:
        attachments = tuple(Attachment(name, kind, id=uuid_of(name)) for name in files)
        run = world.planned(TEST)
        world.carry_out(run, {TEST: [result(TEST, status, attachments=attachments)]})
        right = world.work.upload_token(run, "w1")
        for name, content in files.items():
            if content is not None:
                url = f"/resit/v1/uploads/{uuid_of(name)}"
                put = http.put(url, content=content, headers={"Authorization": f"Bearer {right}"})
                assert put.status_code == 204

    return make


def test_a_pair_that_differs(cc: Any, ran: Callable[..., None]) -> None:
    ran({"home-actual.txt": NEW, "home-expected.txt": OLD, "trace": None})
    listed = cc.get("/runs/1/samples/1")["outputs"]
    assert {"output_id": 1, "filename": "home.txt", "status": "fail"} in listed
    expected = cc.get(f"{OUT}/1/expected")
    assert expected == {
        "run_id": 1,
        "sample_id": 1,
        "regression_id": 1,
        "output_id": 1,
        "filename": "home-expected.txt",
        "content_type": "text/plain",
        "encoding": "base64",
        "content": base64.b64encode(OLD).decode(),
        "truncated": False,
        "sha256": hashlib.sha256(OLD).hexdigest(),
        "download_url": f"http://resit.test/resit/v1/artifacts/{uuid_of('home-expected.txt')}",
        "storage_status": "ok",
    }
    actual = cc.get(f"{OUT}/1/actual", format="text")
    assert (actual["encoding"], actual["content"]) == ("utf-8", NEW.decode())
    diff = cc.get(f"{OUT}/1/diff")
    assert (diff["status"], diff["format"]) == ("different", "structured")
    assert diff["summary"] == {"added_lines": 2, "removed_lines": 1, "changed_hunks": 1}
    assert diff["hunks"] == [
        {
            "expected_start": 1,
            "actual_start": 1,
            "lines": [
                {"kind": "context", "expected_line": 1, "actual_line": 1, "text": "one"},
                {"kind": "removed", "expected_line": 2, "actual_line": None, "text": "two"},
                {"kind": "added", "expected_line": None, "actual_line": 2, "text": "2"},
                {"kind": "context", "expected_line": 3, "actual_line": 3, "text": "three"},
                {"kind": "added", "expected_line": None, "actual_line": 4, "text": "four"},
            ],
        }
    ]
    unified = cc.get(f"{OUT}/1/diff", format="unified", context_lines=1)
    assert unified["content"].splitlines()[:3] == ["--- expected", "+++ actual", "@@ -1,3 +1,4 @@"]
    for odd in ("0", "51", "x", ""):
        cc.get(f"{OUT}/1/diff", 400, context_lines=odd)


def test_outputs_that_are_equal_are_shown_once(cc: Any, ran: Callable[..., None]) -> None:
    ran({"home-actual.txt": OLD, "home-expected.txt": OLD})
    answer = cc.ask("GET", f"{OUT}/1/actual", params={"format": "text"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "expected?format=text"
    followed = str(answer.url.join(answer.headers["location"])).partition("/api/v1")[2]
    assert cc.ask("GET", followed).json()["content"] == OLD.decode()
    assert cc.get(f"{OUT}/1/diff")["status"] == "identical"


def test_a_test_that_passed_produced_what_was_expected(cc: Any, ran: Callable[..., None]) -> None:
    ran({"home-expected.txt": OLD}, "passed")
    assert cc.get("/runs/1/samples/1")["outputs"] == [{"output_id": 1, "filename": "home.txt", "status": "pass"}]
    assert cc.ask("GET", f"{OUT}/1/actual").status_code == 303
    assert cc.get(f"{OUT}/1/diff")["status"] == "identical"


def test_what_is_missing(cc: Any, ran: Callable[..., None]) -> None:
    ran({"a-expected": OLD, "stdout": NEW, "z-actual": None})
    assert [row["status"] for row in cc.get("/runs/1/samples/1")["outputs"]] == [
        "missing_output",
        "missing_expected",
        "missing_expected",
    ]
    assert cc.get(f"{OUT}/1/actual", 404)["code"] == "missing_output"
    assert cc.get(f"{OUT}/1/diff")["status"] == "missing_actual"
    assert cc.get(f"{OUT}/2/expected", 404)["code"] == "not_found"
    assert cc.get(f"{OUT}/2/diff")["status"] == "missing_expected"
    assert cc.get(f"{OUT}/2/diff", format="unified")["content"]
    assert cc.get(f"{OUT}/3/actual", 404)["code"] == "missing_output"
    assert cc.get(f"{OUT}/3/diff", 404)["code"] == "not_found"
    others = [OUT.replace(f"{part}/1", f"{part}/2") for part in ("samples", "regression-tests", "runs")]
    for path in (f"{OUT}/4/actual", *(f"{other}/1/actual" for other in others)):
        assert cc.get(path, 404)["code"] == "not_found"


def test_large_and_binary_files(cc: Any, ran: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "MAX_CONTENT", 10)
    ran({"a-expected": b"0123456789abc", "a-actual": b"\xff\xfe\x00"})
    found = cc.get(f"{OUT}/1/expected", format="text")
    assert (found["content"], found["truncated"]) == ("0123456789", True)
    assert found["sha256"] == hashlib.sha256(b"0123456789abc").hexdigest()
    assert cc.get(f"{OUT}/1/actual", format="text")["content"] == "\ufffd\ufffd\0"
    assert cc.get(f"{OUT}/1/diff", 422)["code"] == "unprocessable"
    monkeypatch.setattr(outputs, "MAX_DIFF", 5)
    assert "larger" in cc.get(f"{OUT}/1/diff", 422)["message"]


def test_too_many_lines_are_not_compared(cc: Any, ran: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "MAX_LINES", 2)
    ran({"a-expected": OLD, "a-actual": NEW})
    assert "lines" in cc.get(f"{OUT}/1/diff", 422)["message"]


def test_baselines_live_with_the_tests(admin: Any, ran: Callable[..., None]) -> None:
    ran({"a-expected": OLD, "a-actual": NEW})
    body = {"regression_id": 1, "output_id": 1}
    refused = admin.post("/runs/1/samples/1/baseline-approval", body, 404)
    assert (refused["code"], refused["details"]) == ("not_found", {"resource": "baseline"})
    assert "test repository" in refused["message"]
    for odd in ({}, {**body, "more": 1}, {**body, "remove_variants": 1}, {**body, "output_id": 0}):
        assert admin.post("/runs/1/samples/1/baseline-approval", odd, 400)["code"] == "validation_error"


LINES = st.lists(st.sampled_from("abc"), max_size=12)


@given(LINES, LINES, st.integers(1, 50))
def test_a_difference_gives_back_both_texts(expected: list[str], actual: list[str], context: int) -> None:
    found = outputs.structured(expected, actual, context)
    assert (found["status"] == "identical") == (expected == actual)
    for kind, number, text in (("removed", "expected_line", expected), ("added", "actual_line", actual)):
        lines = [line for hunk in found["hunks"] for line in hunk["lines"] if line["kind"] in ("context", kind)]
        assert all(text[line[number] - 1] == line["text"] for line in lines)
        shown = sum(line["kind"] == kind for line in lines)
        assert shown == found["summary"]["added_lines" if kind == "added" else "removed_lines"]


def test_at_most_twenty_outputs() -> None:
    attachments = tuple(Attachment(f"{n:02}-actual.txt", "text/plain") for n in range(30))
    found = outputs.found_in(result("a", attachments=attachments))
    assert [output.id for output in found] == list(range(1, 21))
    assert [output.name for output in found] == [f"{n:02}.txt" for n in range(20)]
