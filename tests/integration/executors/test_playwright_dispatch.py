"""How a batch of Playwright tests is shared out over the workers of its process: order, starts, what stays whole."""

import asyncio
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from playwright_suites import NODE_MODULES, PACKAGES, Place, Seen, alive, make

from resit.domain.events import TestResult, TestStarted
from resit.executors.playwright import PlaywrightExecutor
from resit.plugin import Batch, BatchEnd, Limits

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(not (NODE_MODULES / "@playwright" / "test").exists(), reason="npm ci in tests/node"),
]

CONFIG = """
module.exports = {
  testDir: '.', reporter: [['json', { outputFile: process.env.JSON_REPORT }]], timeout: 60_000,
  projects: [
    { name: 'parallel', fullyParallel: true, testMatch: /par_.*/ },
    { name: 'plain', testMatch: /plain_.*/ },
  ],
};
"""
HEAD = "const { test } = require('@playwright/test');\n"
# One worker is held until the last test of all has begun: so the other one executes the rest one after the other.
PIN = """
const fs = require('fs');
test('pin', async () => {
  if (!process.env.PIN) return;
  await new Promise(done => {
    const look = () => fs.existsSync(process.env.PIN + '/done') && done();
    fs.watch(process.env.PIN, look);
    look();
  });
});
"""
FILES = {
    "playwright.config.js": CONFIG,
    "par_a.spec.js": HEAD + "for (const name of ['a1', 'a2', 'a3', 'a4']) test(name, async () => {});",
    "par_b.spec.js": HEAD
    + PIN
    + """
test('b1', async () => {});
test.describe.serial('chain', () => { test('c1', async () => {}); test('c2', async () => {}); });
test.describe('kept', () => {
  test.describe.configure({ mode: 'default' });
  test('k1', async () => {}); test('k2', async () => {});
});
""",
    "par_hooks.spec.js": HEAD
    + "test.beforeAll(() => {}); for (const name of ['h1', 'h2', 'h3', 'h4']) test(name, async () => {});",
    "plain_a.spec.js": HEAD
    + """
test('p1', async () => {}); test('p2', async () => {});
test.describe('beside', () => {
  test.describe.configure({ mode: 'parallel' });
  test('q1', async () => {});
  test('q2', async () => { if (process.env.PIN) require('fs').writeFileSync(process.env.PIN + '/done', ''); });
});
""",
    "plain_b.spec.js": HEAD + "test('s1', async () => {}); test('s2', async () => {});",
}
SECONDS = {"pin": 100, "a3": 50, "c1": 20, "c2": 20, "k1": 12, "k2": 13, "a1": 20, "b1": 10, "a2": 5, "a4": 1}
SECONDS |= {"h1": 15, "h2": 15, "h3": 15, "h4": 15, "p1": 5, "p2": 5, "q1": 20, "q2": 2, "s1": 15, "s2": 15}
LONGEST_FIRST = ["a3", "c1", "c2", "h1", "h2", "h3", "h4", "k1", "k2", "a1", "b1", "a2", "a4"]
LONGEST_FIRST += ["s1", "s2", "q1", "p1", "p2", "q2"]


@pytest.fixture(scope="module", params=list(PACKAGES))
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("dispatch")
    place = make(folder, request.param, FILES, env={"JSON_REPORT": str(folder / "report.json"), "PIN": str(folder)})
    asyncio.run(place.list())
    return place


async def execute(place: Place, lanes: int) -> Seen:
    seen = Seen()
    session = await place.open(lanes)
    expected = {test.id: float(SECONDS[test.title_path[-1]]) for test in place.listing.tests}
    batch = Batch(1, place.listing.tests, Limits(stall=60), expected=expected)
    seen.end = await asyncio.wait_for(session.run(batch, 0, seen.events.append), 180)
    await session.close()
    return seen


def began(place: Place, seen: Seen) -> list[str]:
    names = {test.id: test.title_path[-1] for test in place.listing.tests}
    starts = sorted((event for event in seen.events if isinstance(event, TestStarted)), key=lambda event: event.at)
    return [names[start.test] for start in starts]


def natural(report: Path) -> list[str]:
    """The tests in the order of Playwright's own report."""

    def inside(suite: dict[str, list[dict[str, object]]]) -> list[str]:
        found = [str(spec["title"]) for spec in suite.get("specs", [])]
        for child in suite.get("suites", []):
            found += inside(child)  # type: ignore[arg-type]
        return found

    return [name for suite in json.loads(report.read_text("utf-8"))["suites"] for name in inside(suite)]


def test_a_listing_tells_which_tests_may_run_apart(place: Place) -> None:
    apart = {test.title_path[-1] for test in place.listing.tests if test.apart}
    assert apart == set(SECONDS) - {"k1", "k2", "p1", "p2", "s1", "s2"}
    assert {test.title_path[-1] for test in place.listing.tests if test.unit} == {"c1", "c2"}


def test_the_longest_groups_begin_first(place: Place) -> None:
    seen = asyncio.run(execute(place, 2))
    assert seen.end == BatchEnd()
    assert {str(seen.outcome(test.id)) for test in place.listing.tests} == {"passed"}
    order = began(place, seen)
    order.remove("pin")
    assert order == LONGEST_FIRST
    report = natural(Path(place.suite.env["JSON_REPORT"]))
    assert [name for name in report if name not in ("c1", "c2", "k1", "k2", "q1", "q2")] == [
        *("a1", "a2", "a3", "a4", "pin", "b1", "h1", "h2", "h3", "h4", "p1", "p2", "s1", "s2")
    ]


@pytest.mark.parametrize("place", ["1.65", "1.44"], indirect=True)
def test_one_lane_keeps_the_order_of_the_suite(place: Place) -> None:
    free = Place(replace(place.suite, env={k: v for k, v in place.suite.env.items() if k != "PIN"}), place.listing)
    order = began(free, asyncio.run(execute(free, 1)))
    assert order[:4] == ["a1", "a2", "a3", "a4"]
    assert order.index("p1") < order.index("s1")


# More lanes than processors: their workers start a few at a time.

CROWD = """
const { test } = require('@playwright/test');
for (let i = 0; i < 24; i++)
  test(`t${i}`, async () => {
    console.log(JSON.stringify([process.execPath, process.argv.length, process.execArgv, process.stdin.readable]));
    await new Promise(done => setTimeout(done, +process.env.WAIT));
  });
"""
LANES = (os.cpu_count() or 1) + 3


@pytest.fixture(params=list(PACKAGES))
def crowd(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    config = "module.exports = { testDir: '.', fullyParallel: true, reporter: 'line', timeout: 60_000 };"
    files = {"playwright.config.js": config, "crowd.spec.js": CROWD}
    place = make(tmp_path, request.param, files, env={"WAIT": "250", "CROWD": str(tmp_path)})
    asyncio.run(place.list())
    return place


def test_every_lane_gets_a_worker_and_workers_see_nothing_of_it(crowd: Place) -> None:
    crowd.suite.env["WAIT"] = "1500"  # type: ignore[index]
    seen = asyncio.run(crowd.run(lanes=LANES))
    results = [event for event in seen.events if isinstance(event, TestResult)]
    assert {result.status for result in results} == {"passed"}
    assert {result.setting.parallel for result in results} == set(range(LANES))
    said = {result.stdout.strip() for result in results}
    assert len(said) == 1
    node, _, flags, _ = json.loads(said.pop())
    assert Path(node).name == "node"
    assert flags == []


def test_a_stop_ends_workers_that_wait_for_their_turn(crowd: Place) -> None:
    crowd.suite.env["WAIT"] = "30000"  # type: ignore[index]

    async def stopped() -> tuple[Seen, float]:
        seen, started = Seen(), asyncio.Event()
        session = await PlaywrightExecutor().open(crowd.suite, LANES)

        def sink(event: object) -> None:
            seen.events.append(event)  # type: ignore[arg-type]
            if isinstance(event, TestStarted):
                started.set()

        run = asyncio.create_task(session.run(Batch(1, crowd.listing.tests), 0, sink))
        await asyncio.wait_for(started.wait(), 60)
        began = time.monotonic()
        await session.stop()
        seen.end = await asyncio.wait_for(run, 10)
        took = time.monotonic() - began
        await session.close()
        return seen, took

    seen, took = asyncio.run(stopped())
    assert took < 6
    assert {str(event.status) for event in seen.finals().values() if isinstance(event, TestResult)} <= {"interrupted"}
    assert seen.end == BatchEnd()
    assert alive(f"CROWD={crowd.suite.env['CROWD']}") == []
