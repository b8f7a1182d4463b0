"""What is not there and what is different: said on the page, and so."""

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from resit.api.empirical.differences import DIFFERENCES, NOT_SUPPORTED

Refused = Callable[..., str]
PAGE = Path(__file__).parents[4] / "docs" / "dialects" / "empirical.md"


def test_the_page_has_every_entry_and_no_other() -> None:
    text = PAGE.read_text(encoding="utf-8")
    different, gone = text.partition("## What is different\n")[2].split("## What is not there\n")
    head = ["", "| subject | in Resit |", "|---|---|"]
    assert different.splitlines() == [*head, *(f"| {what} | {instead} |" for what, instead in DIFFERENCES), ""]
    head = ["", "| request | what happens, and what to do |", "|---|---|"]
    assert gone.splitlines() == [*head, *(f"| `{what}` | {instead} |" for what, instead in NOT_SUPPORTED)]


@pytest.mark.parametrize(("what", "instead"), NOT_SUPPORTED, ids=[what for what, _ in NOT_SUPPORTED])
def test_what_is_not_supported_says_so_in_the_envelope(
    shop: TestClient, refused: Refused, what: str, instead: str
) -> None:
    method, path = what.split()
    refused(shop.request(method, path), int(instead[:3]))
