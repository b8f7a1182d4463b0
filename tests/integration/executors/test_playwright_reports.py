"""Blobs written from what is stored, beside those that Playwright's own blob reporter writes of the same suite."""

import asyncio
import json
import re
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from playwright_suites import NEWEST, NODE_MODULES, Place, Seen, make

from resit.domain.events import Attachment, Log, TestEvent, TestResult, TestStarted
from resit.domain.run import Run
from resit.domain.status import ResultStatus
from resit.domain.wire import to_wire
from resit.executors.playwright import PlaywrightExecutor
from resit.plugin import ExecutorError, NotASuite
from resit.ports import artifact_key
from resit.services import packed
from resit.testing.factories import ADMIN, uuid_of
from resit.testing.world import World, database
from resit.worker.html import pack, stubs_of

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(not (NODE_MODULES / "@playwright" / "test").exists(), reason="npm ci in tests/node"),
]

CONFIG = """
module.exports = {
  testDir: './tests', timeout: 4000, metadata: { 'build of': 'today' }, reporter: 'line', workers: 1,
  outputDir: process.env.OUTPUT,
  projects: [
    { name: 'setup', testMatch: /.*\\.setup\\.js/ },
    { name: 'app', dependencies: ['setup'], testMatch: /(rich|odd)\\.spec\\.js/, use: { trace: 'on' } },
    { name: 'retried [x]', testMatch: /(again|serial)\\.spec\\.js/, retries: 1, metadata: { owner: 'us' } },
    { name: 'twice', testMatch: /odd\\.spec\\.js/, repeatEach: 2, grep: /plain/ },
  ],
};
"""
SETUP = """
const { test } = require('@playwright/test');
test('log in', async () => { console.log('logged in'); });
"""
RICH = """
const { test, expect } = require('@playwright/test');
const fs = require('fs');
test.describe('outer', { tag: '@outer', annotation: { type: 'area', description: 'carts' } }, () => {
  test.describe('inner › group', () => {
    test.beforeAll(async () => { console.log('before all'); });
    test.afterEach(async () => {});
    const details = { tag: ['@slow', '@x'], annotation: { type: 'issue', description: '#1' } };
    test('steps and files', details, async ({}, info) => {
      console.log('to stdout'); console.error('to stderr'); process.stdout.write(Buffer.from('ümlaut\\n'));
      await test.step('one', async () => {
        await test.step('two', async () => {
          await info.attach('a note', { body: 'hi <b>', contentType: 'text/plain' });
        });
        await info.attach('numbers', { body: Buffer.from([0, 1, 2, 255]), contentType: 'application/octet-stream' });
      });
      const file = info.outputPath('page.html');
      fs.writeFileSync(file, '<p>page</p>');
      await info.attach('page', { path: file, contentType: 'text/html' });
      info.annotations.push({ type: 'measured', description: '12 ms' });
    });
  });
  test('soft errors', async () => {
    expect.soft(1, 'one').toBe(2);
    await test.step('fails softly', async () => { expect.soft('a').toBe('b'); });
    expect.soft([1, 2]).toEqual([1, 3]);
  });
});
test('fails as expected', async () => { test.fail(); expect(1).toBe(2); });
test('passes against expectation', async () => { test.fail(); });
test.skip('skipped', async () => {});
test.fixme('to be fixed', async () => {});
test('skipped while running', async () => { test.skip(true, 'not today'); });
test('hangs', async () => { test.setTimeout(300); await test.step('waits', () => new Promise(() => {})); });
test('throws what is no error', async () => { throw { code: 7 }; });
test('a hook fails too', async () => { test.info().annotations.push({ type: 'odd' }); throw new TypeError('bad'); });
test('many steps', async () => { for (let i = 0; i < 20; i++) await test.step(`step ${i}`, async () => {}); });
"""
AGAIN = """
const { test, expect } = require('@playwright/test');
test('flaky', async ({}, info) => { console.log(`try ${info.retry}`); if (!info.retry) expect('a').toBe('b'); });
test('fails again', async () => { await test.step('bad', async () => { throw new Error('no'); }); });
test('passes against expectation, twice', async () => { test.fail(); });
"""
ODD = """
const { test } = require('@playwright/test');
for (const title of ['plain', 'a › b', 'say "hi" & <bye>', "it's", 'ümläut ☃ 😀', 'new\\nline', ' blanks ',
    '(repeat 1)'])
  test(title, async () => {});
test.describe('', () => { test('in a nameless group', async () => {}); });
"""
SERIAL = """
const { test, expect } = require('@playwright/test');
test.describe.serial('recovers', () => {
  test('first', async () => {});
  test('second', async ({}, info) => { expect(info.retry).toBe(1); });
  test('third', async () => {});
});
test.describe.serial('fails', () => {
  test('first', async () => {});
  test('second', async () => { expect(1).toBe(2); });
  test('third', async () => {});
});
"""
FILES = {
    "playwright.config.js": CONFIG,
    "tests/log in.setup.js": SETUP,
    "tests/rich.spec.js": RICH,
    "tests/again.spec.js": AGAIN,
    "tests/odd.spec.js": ODD,
    "tests/deep/serial.spec.js": SERIAL,
}
# A reporter that writes down all that reporters are told at the end.
DUMP = """
const fs = require('fs'), crypto = require('crypto');
const sha = data => crypto.createHash('sha256').update(data).digest('hex').slice(0, 12);
const step = s => ({
  title: s.title, category: s.category, error: s.error && s.error.message, steps: s.steps.map(step),
  line: s.location && s.location.line, files: (s.attachments || []).map(a => a.name),
});
const content = a => a.body ? 'body ' + sha(a.body)
    : fs.existsSync(a.path) ? 'file ' + sha(fs.readFileSync(a.path)) : 'missing';
const file = a => ({ name: a.name, type: a.contentType, content: content(a) });
const text = chunks => chunks.map(c => typeof c === 'string' ? c : c.toString()).join('');
const result = r => ({
  status: r.status, retry: r.retry, errors: r.errors.map(e => e.message || e.value),
  at: r.errors.map(e => e.location && [e.location.file, e.location.line, e.location.column]),
  snippets: r.errors.map(e => e.snippet), stacks: r.errors.map(e => e.stack), attachments: r.attachments.map(file),
  stdout: text(r.stdout), stderr: text(r.stderr), annotations: r.annotations, steps: r.steps.map(step),
});
const one = t => ({
  path: t.titlePath(), id: t.id, outcome: t.outcome(), expected: t.expectedStatus, timeout: t.timeout,
  retries: t.retries, tags: t.tags, repeat: t.repeatEachIndex, location: t.location, results: t.results.map(result),
  annotations: t.annotations,
});
const project = p => ({
  name: p.name, testDir: p.testDir, retries: p.retries, repeatEach: p.repeatEach, timeout: p.timeout,
  dependencies: p.dependencies, metadata: p.metadata, testMatch: String(p.testMatch), grep: String(p.grep), use: p.use,
});
module.exports = class {
  onBegin(config, suite) { this.config = config; this.suite = suite; this.errors = []; }
  onError(error) { this.errors.push(error.message); }
  onEnd(end) {
    const { rootDir, configFile, version, metadata, workers } = this.config;
    fs.writeFileSync(process.env.DUMP, JSON.stringify({
      tests: this.suite.allTests().map(one), errors: this.errors, end: end.status,
      projects: this.suite.suites.map(s => project(s.project())),
      config: { rootDir, configFile, version, metadata, workers },
    }));
  }
};
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    folder = tmp_path / "resit"
    folder.mkdir()
    engine = database(folder)
    yield World(folder, engine)
    engine.dispose()


def cli(place: Place) -> list[str]:
    return ["node", str(place.suite.workdir / "node_modules" / "@playwright" / "test" / "cli.js")]


def call(place: Place, *args: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Playwright, called as its users do."""
    environ = {**place.suite.env, "FORCE_COLOR": "0", **env}
    return subprocess.run([*cli(place), *args], cwd=place.suite.workdir, env=environ, capture_output=True, text=True)


def own_blob(place: Place, to: Path) -> Path:
    """The folder with the blob that Playwright itself writes."""
    done = call(place, "test", "--reporter=blob", "--workers=1", PLAYWRIGHT_BLOB_OUTPUT_FILE=str(to / "report.zip"),
                PWTEST_BLOB_DO_NOT_REMOVE="1", PWTEST_BLOB_REPORT_NAME="report")  # fmt: skip
    found = to / "report.zip"
    assert found.is_file(), done.stdout + done.stderr
    return to


def merged(place: Place, blobs: Path, *more: str) -> dict[str, Any]:
    """What reporters are told of the blobs in a folder."""
    dump = place.suite.workdir / "dump.cjs"
    dump.write_text(DUMP)
    to = blobs / "dump.json"
    done = call(place, "merge-reports", f"--reporter={dump}", str(blobs), *more, DUMP=str(to))
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(to.read_text())


async def kept(world: World, place: Place, seen: Seen, **facts: Any) -> Run:
    """The run, stored: its plan, its results, its files."""
    world.project(slug="shop", executor="playwright")
    listing = place.listing
    run = world.plan(world.trigger(), listing.tests, framework=listing.framework, suite=listing.suite, **facts)
    with world.store.read() as tx:
        batches = {row.test: row.batch for row in tx.ledger.rows(run.id)}
    for number in sorted(set(batches.values())):
        voice = world.voice(run, number, claim=f"claim {number}")
        events = [event for event in seen.events if not isinstance(event, Log) and batches[event.test] == number]
        said = [to_wire(await stored(world, run, event)) for event in events]
        world.report({**voice, "what": "batch.started"}, {**voice, "what": "batch.events", "events": said},
                     {**voice, "what": "batch.ended", "problems": list(seen.end.problems)})  # fmt: skip
    world.settle()
    return world.run(run.id)


async def stored(world: World, run: Run, event: TestEvent) -> TestEvent:
    """The event with its files handed over."""
    if not isinstance(event, TestResult):
        return event
    named: list[Attachment] = []
    for number, attachment in enumerate(event.attachments):
        id = uuid_of(f"{event.test} {event.retry} {number}")
        content = Path(attachment.path).read_bytes()

        async def pieces(content: bytes = content) -> Any:
            yield content

        await world.artifacts.put(artifact_key(run.id, id), pieces(), 10**9)
        world.work.uploaded(run.id, id, len(content))
        named.append(replace(attachment, id=id))
    return replace(event, attachments=tuple(named))


def our_blob(world: World, run: Run, to: Path, workdir: str = "") -> Path:
    """The folder with the blob that we write."""
    view = world.reads.run(run.id)
    assert view is not None
    to.mkdir()
    with (to / "report.zip").open("wb") as file:
        file.writelines(world.reports.blob(view, "http://resit.test/1", workdir))
    with zipfile.ZipFile(to / "report.zip") as found:
        assert found.testzip() is None
    return to


COLOURS = re.compile("\x1b\\[[0-9;]*m")


def plain(value: Any) -> Any:
    """Without colours, and without what differs from one execution to the next."""
    if isinstance(value, str):
        return COLOURS.sub("", value).rstrip("\n")
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value


def comparable(report: dict[str, Any]) -> dict[str, Any]:
    """What must be the same of each test, by project and titles."""
    found: dict[str, Any] = {}
    for test in report["tests"]:
        key = json.dumps([*test["path"], test["repeat"]], ensure_ascii=False)
        assert key not in found
        test["results"] = [result for result in test["results"] if not left_out(result, test)]
        for result in test["results"]:
            result["stacks"] = [(stack or "").split("\n    at ")[0] for stack in result["stacks"]]
            for attachment in result["attachments"]:
                if attachment["name"] in ("trace", "error-context"):
                    attachment["content"] = attachment["content"].split()[0]
        found[key] = plain({name: value for name, value in test.items() if name != "path"})
    return found


def left_out(result: dict[str, Any], test: dict[str, Any]) -> bool:
    """Playwright gives a test that it passed over a result of its own; ours has an annotation that says why."""
    return result["status"] == "skipped" and test["expected"] != "skipped"


@pytest.mark.parametrize("version", NEWEST)
def test_our_blob_says_what_playwrights_own_says(tmp_path: Path, world: World, version: str) -> None:
    place = make(tmp_path, version, FILES, env={"OUTPUT": str(tmp_path / "output")})
    theirs = merged(place, own_blob(place, tmp_path / "theirs"))

    async def ours_() -> Run:
        await place.list()
        return await kept(world, place, await place.run())

    run = asyncio.run(ours_())
    ours = merged(place, our_blob(world, run, tmp_path / "ours"))
    left, right = comparable(ours), comparable(theirs)
    assert set(left) == set(right)
    passed_over = [key for key in left if any(a["type"] == "did not run" for a in left[key]["annotations"])]
    assert [json.loads(key)[-2] for key in passed_over] == ["third"]
    for key in right:
        if key in passed_over:
            left[key]["annotations"] = right[key]["annotations"]
            left[key]["timeout"] = right[key]["timeout"]
            left[key]["location"]["column"] = right[key]["location"]["column"]
        assert left[key] == right[key], key
    for report in (ours, theirs):
        report["config"]["metadata"].pop("actualWorkers")
        report["config"]["metadata"].pop("ci", None)
        for project in report["projects"]:
            project["metadata"].pop("actualWorkers", None)
    assert ours["config"] == theirs["config"]
    assert ours["projects"] == theirs["projects"]
    assert (ours["end"], ours["errors"]) == (theirs["end"], theirs["errors"]) == ("failed", [])


SHORT = """
const { test } = require('@playwright/test');
for (const name of ['done', 'cut', 'waiting', 'again']) test(name, async () => {});
"""


@pytest.mark.parametrize("version", NEWEST)
def test_a_run_whose_workers_were_killed_and_that_was_cancelled(tmp_path: Path, world: World, version: str) -> None:
    """Playwright makes all its reports of what is left; who was cut off is interrupted, and says why."""
    place = make(tmp_path, version, {"playwright.config.js": "module.exports = {};", "a.spec.js": SHORT})
    asyncio.run(place.list())
    world.project(slug="shop", executor="playwright")
    listing = place.listing
    run = world.plan(world.trigger(), listing.tests, framework=listing.framework, suite=listing.suite)
    done, cut, _, again = (place.named(name).id for name in ("done", "cut", "waiting", "again"))
    first, second = (world.voice(run, claim=f"claim {n}", worker=f"w{n}") for n in (1, 2))
    now = world.clock.now()
    began: list[TestEvent] = [TestStarted(done, now), TestResult(done, ResultStatus.PASSED, started_at=now)]
    for voice, events in (
        (first, [*began, TestStarted(again, now)]),
        (second, [TestStarted(again, now + 20), TestResult(again, ResultStatus.PASSED, started_at=now + 20)]),
        (second, [TestStarted(cut, now + 30)]),
    ):
        said = [to_wire(event) for event in events]
        world.report({**voice, "what": "batch.started"}, {**voice, "what": "batch.events", "events": said})
    world.clock.turn(40)
    world.runs.cancel(ADMIN, str(run.id), "enough")
    blobs = our_blob(world, world.run(run.id), tmp_path / "blobs")
    report = merged(place, blobs)
    found = {test["path"][-1]: test for test in report["tests"]}
    assert {name: [result["status"] for result in test["results"]] for name, test in found.items()} == {
        "done": ["passed"], "cut": ["interrupted"], "waiting": [], "again": ["passed"],
    }  # fmt: skip
    why = "the run was cancelled by admin: enough"
    assert found["cut"]["results"][0]["errors"] == [f"interrupted: {why}"]
    assert found["waiting"]["annotations"] == [{"type": "cancelled", "description": why}]
    assert [annotation["type"] for annotation in found["again"]["annotations"]] == ["executed again"]
    assert report["end"] == "interrupted"
    assert why in report["errors"][0]
    env = {
        "PLAYWRIGHT_HTML_OPEN": "never",
        "PW_TEST_HTML_REPORT_OPEN": "never",
        "PLAYWRIGHT_HTML_REPORT": str(tmp_path / "html"),
        "PLAYWRIGHT_HTML_OUTPUT_DIR": str(tmp_path / "html"),
        "PLAYWRIGHT_JUNIT_OUTPUT_NAME": str(tmp_path / "junit.xml"),
        "PLAYWRIGHT_JUNIT_OUTPUT_FILE": str(tmp_path / "junit.xml"),
        "PLAYWRIGHT_JSON_OUTPUT_NAME": str(tmp_path / "report.json"),
        "PLAYWRIGHT_JSON_OUTPUT_FILE": str(tmp_path / "report.json"),
    }
    told = call(place, "merge-reports", "--reporter=list,html,junit,json", str(blobs), **env)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "cut" in told.stdout
    assert (tmp_path / "html" / "index.html").stat().st_size > 100_000
    assert len(ElementTree.parse(tmp_path / "junit.xml").findall(".//testcase")) == 4  # noqa: S314 - Playwright's
    specs = json.loads((tmp_path / "report.json").read_text())["suites"][0]["specs"]
    assert {spec["title"]: len(spec["tests"][0]["results"]) for spec in specs} == {
        "done": 1, "cut": 1, "waiting": 0, "again": 1,
    }  # fmt: skip


def test_files_that_were_not_handed_over_say_so(tmp_path: Path, world: World) -> None:
    place = make(tmp_path, "1.65", {"playwright.config.js": "module.exports = {};", "a.spec.js": SHORT})
    asyncio.run(place.list())
    world.project(slug="shop", executor="playwright")
    listing = place.listing
    run = world.plan(world.trigger(), listing.tests, framework=listing.framework, suite=listing.suite)
    files = (Attachment("shot", "image/png", id=uuid_of("never came")),)
    results = {test.id: [TestResult(test.id, ResultStatus.PASSED, attachments=files)] for test in listing.tests}
    report = merged(place, our_blob(world, world.carry_out(run, results), tmp_path / "blobs"))
    (attachment,) = report["tests"][0]["results"][0]["attachments"]
    assert (attachment["name"], attachment["type"]) == ("shot", "text/plain")
    assert attachment["content"].startswith("body ")


@pytest.mark.parametrize("version", NEWEST)
def test_the_html_report_by_the_suites_own_playwright(tmp_path: Path, world: World, version: str) -> None:
    """Of a light blob: files of results are named in it, and stand elsewhere."""
    # What our users have set for their own reports does not lead ours astray.
    env = {"OUTPUT": str(tmp_path / "output"), "PLAYWRIGHT_HTML_ATTACHMENTS_BASE_URL": "http://elsewhere/"}
    place = make(tmp_path, version, FILES, env=env)
    blob, to = tmp_path / "blob", tmp_path / "html"

    async def made() -> Run:
        await place.list()
        run = await kept(world, place, await place.run())
        view = world.reads.run(run.id)
        assert view is not None
        blob.mkdir()
        with (blob / "report.zip").open("wb") as file:
            file.writelines(world.reports.blob(view, "http://resit.test/1", light=True))
        await PlaywrightExecutor().report(place.suite, blob, to, lambda event: None)
        return run

    run = asyncio.run(made())
    stubs = stubs_of(blob / "report.zip")
    pack(to, stubs, tmp_path / "report.zip")
    size = (tmp_path / "report.zip").stat().st_size
    with (tmp_path / "report.zip").open("rb") as file:
        found = packed.read(file, size)
    files = {artifact.id for artifact, _ in world.reads.artifacts(run.id, "", 1000).items}
    assert stubs <= files
    # Everything that stands for a file is named, and nothing of it is packed.
    assert set(found.elsewhere.values()) == stubs
    assert all(name.startswith("data/") for name in found.elsewhere)
    assert {Path(name).suffix for name in found.elsewhere} >= {".zip", ".html"}
    assert "trace/index.html" in found.files
    assert size < 20_000_000


def test_no_html_report_without_node(tmp_path: Path) -> None:
    place = make(tmp_path, "1.65", {"playwright.config.js": "module.exports = {};"}, env={"PATH": "/nowhere"})
    with pytest.raises(NotASuite, match=r"Node\.js is not installed"):
        asyncio.run(PlaywrightExecutor().report(place.suite, tmp_path, tmp_path / "html", lambda event: None))


def test_a_blob_that_playwright_cannot_read(tmp_path: Path) -> None:
    place = make(tmp_path, "1.44", {"playwright.config.js": "module.exports = {};"})
    blob = tmp_path / "blob"
    blob.mkdir()
    with zipfile.ZipFile(blob / "report.zip", "w") as file:
        file.writestr("report.jsonl", '{"method": "onBlobReportMetadata", "params": {"version": 99}}\n')
    with pytest.raises(ExecutorError, match=r"(?s)Playwright 1\.44\.1 could not make the report: .*version"):
        asyncio.run(PlaywrightExecutor().report(place.suite, blob, tmp_path / "html", lambda event: None))
