"""Secrets are taken out of texts and files, in every form in which they are written there."""

import html
import json
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from resit.domain.events import Failure, Log, Setting, Step, TestResult
from resit.domain.status import ResultStatus
from resit.worker.scrub import Scrubber

SECRET = "a \"b\" <c> & 'd' / ü \\ 🔑"
KEY = "-----BEGIN-----\nMIIEvQIBADANBgkq\nKkzJ8aXyQp3vTn5L\n-----END-----"


def json_as_it_is(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def quote_all(text: str) -> str:
    return quote(text, safe="")


@pytest.mark.parametrize("write", [str, json.dumps, json_as_it_is, quote_all, quote_plus, html.escape, repr])
def test_a_secret_is_masked_in_every_form(write) -> None:
    masked = Scrubber([SECRET]).text(f"before {write(SECRET)} after")
    assert masked.replace('"', "").replace("'", "") == "before *** after"


def test_a_secret_of_several_lines_is_masked_line_by_line_and_as_a_whole() -> None:
    scrubber = Scrubber([KEY])
    for text in (KEY, json.dumps(KEY), "log: MIIEvQIBADANBgkq", repr(KEY)):
        assert "MIIEvQ" not in scrubber.text(text)
        assert "***" in scrubber.text(text)


def test_results_and_logs() -> None:
    scrubber = Scrubber([SECRET])
    assert scrubber.event(Log(f"{SECRET}\n")) == Log("***\n")
    found = TestResult("t", ResultStatus.FAILED, failures=(Failure(f"m {SECRET}", f"s {SECRET!r}"),))
    masked = scrubber.event(found)
    assert isinstance(masked, TestResult)
    assert masked.failures == (Failure("m ***", "s '***'"),)


def test_nothing_that_is_for_reports_alone_leaves_with_a_secret() -> None:
    failure = Failure(SECRET, SECRET, "a:1", SECRET)
    step = Step(f"fill {SECRET}", "pw:api", subtitle=SECRET, failure=failure)
    setting = Setting(expected="failed", errors=(failure,))
    found = TestResult("t", ResultStatus.PASSED, steps=(step,), stdout=SECRET, stderr=SECRET, setting=setting)
    masked = Scrubber([SECRET]).event(found)
    assert SECRET not in repr(masked)
    assert repr(masked).count("***") == 10


def test_text_files_are_masked_and_others_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "f"
    for kind, masked in (("application/json", True), ("text/html; charset=utf-8", True), ("image/png", False)):
        file.write_text(json.dumps({"key": SECRET}))
        Scrubber([SECRET]).file(file, kind)
        assert (file.read_text() == '{"key": "***"}') is masked


def test_short_and_absent_secrets_mask_nothing() -> None:
    for secrets in ([], ["abc"], [""]):
        assert Scrubber(secrets).text("abc abc") == "abc abc"
