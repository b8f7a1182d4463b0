"""Playwright under limits: whatever hangs is found, named with its place, ended, and costs no other test anything."""

import asyncio
import time
from pathlib import Path

import pytest
from playwright_suites import NEWEST, NODE_MODULES, Place, Seen, alive, make

from resit.domain.events import DidNotRun, TestResult
from resit.plugin import CollectionFailed, Limits

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(not (NODE_MODULES / "@playwright" / "test").exists(), reason="npm ci in tests/node"),
]

STALL = 2.0
WORDS = "no sign of life for 2 s: its process was ended (stall limit; what is silent for longer needs a higher one)"
HEAD = "const { test, expect } = require('@playwright/test');\ntest.setTimeout(0);\n"
CONFIG = "module.exports = { testDir: '.', timeout: 0, reporter: 'line', workers: 1, %s };\n"

START = 5.0
AT_START = WORDS.replace("2 s", "5 s")
FOREVER = "setInterval(() => {}, 1e6);\n"


def carry_out(
    folder: Path, text: str, *, config: str = "", version: str = "1.65", limits: Limits | None = None, lanes: int = 1
) -> tuple[Place, Seen, float]:
    """What came of a suite under limits, and how long it took; nothing of it is left."""
    place = make(
        folder,
        version,
        {
            "playwright.config.js": CONFIG % config,
            "a.spec.js": HEAD + text,
            "forever.js": "setInterval(() => {}, 1e6);",
        },
        env={"MARK": folder.name},
    )

    async def main() -> tuple[Seen, float]:
        await place.list()
        began = time.monotonic()
        seen = await place.run(limits=limits or Limits(stall=STALL), lanes=lanes)
        return seen, time.monotonic() - began

    seen, took = asyncio.run(main())
    assert gone(folder) == []
    return place, seen, took


def gone(folder: Path) -> list[str]:
    """What is still alive, after a moment for the system to clear away."""
    end = time.monotonic() + 2
    while (left := alive(f"MARK={folder.name}\0")) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def outcomes(place: Place, seen: Seen) -> dict[str, str]:
    return {test.title: seen.outcome(test.id) for test in place.listing.tests}


def final(place: Place, seen: Seen, title: str) -> TestResult:
    found = seen.finals()[place.named(title).id]
    assert isinstance(found, TestResult)
    return found


@pytest.mark.parametrize("version", NEWEST)
def test_a_test_that_hangs_costs_only_itself(tmp_path: Path, version: str) -> None:
    text = """
        test('one', async () => {});
        test('waits', async ({}, info) => {
          await info.attach('note', { body: 'kept', contentType: 'text/plain' });
          await test.step('the long step', async () => { await new Promise(() => {}); });
        });
        test('two', async () => {});
        test('spins', async () => { for (;;); });
        test('three', async () => {});
        """
    place, seen, _ = carry_out(tmp_path, text, version=version)
    assert outcomes(place, seen) == {
        "one": "passed", "waits": "errored", "two": "passed", "spins": "errored", "three": "passed",
    }  # fmt: skip
    waits, spins = final(place, seen, "waits"), final(place, seen, "spins")
    assert waits.failures[0].message.startswith(f"{WORDS}; it hung in the long step at a.spec.js:7")
    assert waits.failures[0].location.startswith("a.spec.js:7")
    assert [attachment.name for attachment in waits.attachments] == ["note"]
    assert spins.failures[0].message.startswith(WORDS)
    assert WORDS in seen.log
    assert not seen.end.problems


def test_steps_are_signs_of_life(tmp_path: Path) -> None:
    text = """
        test('long', async () => {
          for (let n = 0; n < 7; n++) await test.step(`${n}`, () => new Promise(done => setTimeout(done, 500)));
        });
        """
    place, seen, _ = carry_out(tmp_path, text)
    assert outcomes(place, seen) == {"long": "passed"}


def test_a_test_that_prints_for_ever_is_over_the_batch_limit(tmp_path: Path) -> None:
    text = """
        test('prints', async () => { for (;;) { console.log('x'); await new Promise(done => setTimeout(done, 50)); } });
        test('next', async () => {});
        """
    place, seen, took = carry_out(tmp_path, text, limits=Limits(stall=20, total=7))
    assert outcomes(place, seen) == {"prints": "errored", "next": "did not run"}
    words = "the batch took more than 7 s: its process was ended (batch limit; what needs longer needs a higher one)"
    assert final(place, seen, "prints").failures[0].message.startswith(words)
    left = seen.finals()[place.named("next").id]
    assert isinstance(left, DidNotRun)
    assert left.reason == f"left out: {words}"
    assert took < 7 + 6


def test_lanes_that_wait_for_each_other(tmp_path: Path) -> None:
    text = """
        test.describe.configure({ mode: 'parallel' });
        for (const n of [1, 2]) test(`waits ${n}`, async () => { await new Promise(() => {}); });
        for (const n of [1, 2, 3]) test(`quick ${n}`, async () => {});
        """
    place, seen, _ = carry_out(tmp_path, text, lanes=2)
    assert outcomes(place, seen) == {
        "waits 1": "errored", "waits 2": "errored", "quick 1": "passed", "quick 2": "passed", "quick 3": "passed",
    }  # fmt: skip


def test_a_serial_group_in_which_one_hangs(tmp_path: Path) -> None:
    text = """
        test.describe.serial('group', () => {
          test('first', async () => {});
          test('hangs', async () => { await new Promise(() => {}); });
          test('last', async () => {});
        });
        test('apart', async () => {});
        """
    place, seen, _ = carry_out(tmp_path, text)
    assert {title.rpartition(" ")[2]: outcome for title, outcome in outcomes(place, seen).items()} == {
        "first": "passed", "hangs": "errored", "last": "did not run", "apart": "passed",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("config", "about"),
    [
        ("globalSetup: './setup.js'", "before the first test began"),
        ("webServer: { command: 'node forever.js', url: 'http://127.0.0.1:9', timeout: 0 }", "before the first test"),
        ("globalTeardown: './setup.js'", "after its last test"),
    ],
)
def test_what_hangs_around_the_tests(tmp_path: Path, config: str, about: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resit.executors.watch.START_SECONDS", START)
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "setup.js").write_text(
        "module.exports = () => { setInterval(() => {}, 1e6); return new Promise(() => {}); };"
    )
    place, seen, _ = carry_out(tmp_path, "test('one', async () => {});", config=config)
    if "Teardown" in config:
        assert outcomes(place, seen) == {"one": "passed"}
        (problem,) = seen.end.problems
    else:
        assert outcomes(place, seen) == {"one": "errored"}
        problem = final(place, seen, "one").failures[0].message
    assert problem.startswith(WORDS if "Teardown" in config else AT_START)
    assert about in problem


def test_a_listing_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resit.executors.watch.START_SECONDS", START)
    files = {"playwright.config.js": CONFIG % "", "a.spec.js": "for (;;);\n"}
    place = make(tmp_path, "1.65", files, env={"MARK": tmp_path.name})
    place.suite = type(place.suite)(
        place.suite.root, place.suite.workdir, place.suite.env, place.suite.scratch, place.suite.cache, "",
        Limits(stall=STALL),
    )  # fmt: skip
    with pytest.raises(CollectionFailed, match="Playwright could not list the tests: no sign of life for 5 s"):
        asyncio.run(place.list())
    assert gone(tmp_path) == []
