"""What is declared as missing or different is so, and the page for users says it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from resit.api.qatech.differences import DIFFERENCES, NOT_SUPPORTED

Refused = Callable[..., str]
PAGE = Path(__file__).parents[4] / "docs" / "dialects" / "qatech.md"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(("path", "message"), NOT_SUPPORTED)
def test_what_is_not_supported_says_so(
    anyone: TestClient, refused: Refused, method: str, path: str, message: str
) -> None:
    where = re.sub(r"\{\w+\}", "app_x", path)
    for end in ("", "/", "/x", "/x/status"):
        refused(anyone.request(method, f"{where}{end}"), 404, message, "not supported")


def test_the_page_lists_everything_and_nothing_else() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+) \| (.+) \|$", text, re.MULTILINE)
    for what, instead in (*((f"`{path}`", words) for path, words in NOT_SUPPORTED), *DIFFERENCES):
        assert (what, instead) in rows
    section = text.partition("## What differs")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| (.+) \| (.+) \|$", section, re.MULTILINE)[1:]
    assert listed == list(DIFFERENCES)
