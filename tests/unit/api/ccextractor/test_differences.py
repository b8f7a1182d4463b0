"""What is not there and what is different: said on the page, and so."""

import re
from pathlib import Path
from typing import Any

import pytest

from resit.api.ccextractor.differences import DIFFERENCES, NOT_SUPPORTED

PAGE = Path(__file__).parents[4] / "docs" / "dialects" / "ccextractor.md"
BODIES: dict[str, Any] = {
    "POST /runs/1/samples/1/baseline-approval": {"regression_id": 1, "output_id": 1},
    "POST /regression-tests": {"sample_id": 1, "command": "x", "categories": ["a"]},
    "PATCH /regression-tests/1": {"active": False},
}


def test_the_page_has_every_entry_and_no_other() -> None:
    text = PAGE.read_text(encoding="utf-8")
    different, gone = text.partition("## What is different\n")[2].split("## What is not there\n")
    head = ["", "| subject | in Resit |", "|---|---|"]
    assert different.splitlines() == [*head, *(f"| {what} | {instead} |" for what, instead in DIFFERENCES), ""]
    head = ["", "Paths are below `/api/v1`.", "", "| request | what happens, and what to do |", "|---|---|"]
    assert gone.splitlines() == [*head, *(f"| `{what}` | {instead} |" for what, instead in NOT_SUPPORTED)]


@pytest.mark.parametrize(("what", "instead"), NOT_SUPPORTED, ids=[what for what, _ in NOT_SUPPORTED])
def test_what_is_not_supported_says_so_in_the_envelope(admin: Any, red: int, what: str, instead: str) -> None:
    method, path = what.split()
    answer = admin.ask(method, path, json=BODIES.get(what))
    assert answer.status_code == int(instead[:3])
    assert set(answer.json()) == {"code", "message", "details"}
    said = re.match(r"\d+ `(\w+)`", instead)
    if said:
        assert answer.json()["code"] == said[1]


def test_no_request_that_is_not_supported_changes_anything(admin: Any, world: Any, red: int) -> None:
    before = world.dump(world.run(red)), admin.ask("GET", "/regression-tests").content
    for what, _ in NOT_SUPPORTED:
        method, path = what.split()
        admin.ask(method, path, json=BODIES.get(what))
    assert (world.dump(world.run(red)), admin.ask("GET", "/regression-tests").content) == before
    assert admin.get("/runs")["pagination"]["total"] == 1
