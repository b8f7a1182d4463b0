"""The Playwright executor on real suites: outcomes as Playwright's own JSON report has them, and ways to go wrong."""

import asyncio
import json
import os
import re
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from playwright_suites import ENDS, NODE_MODULES, Place, Seen, alive, gone, make

from resit.domain.events import DidNotRun, Event, TestResult, TestStarted
from resit.domain.plan import PlannedTest
from resit.domain.status import ResultStatus
from resit.executors.playwright import PlaywrightExecutor
from resit.plugin import Batch, BatchEnd, CollectionFailed, ExecutorError, Listing, NotASuite, Suite

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(not (NODE_MODULES / "@playwright" / "test").exists(), reason="npm ci in tests/node"),
]

CONFIG = """
module.exports = { testDir: '.', reporter: 'line' };
"""

# One suite with every kind of outcome. Its own reporters are Playwright's JSON report, its HTML report (which would be
# served, and waited for, after a failure) and one that leaves a mark.
OUTCOMES_CONFIG = """
const reporter = [
  ['json', { outputFile: process.env.JSON_REPORT }], ['html', { outputFolder: './report' }], ['./mark.cjs'],
];
module.exports = {
  testDir: './tests', reporter, timeout: 2000, outputDir: './never-used', shard: { current: 2, total: 3 },
  projects: [
    { name: 'setup', testMatch: /.*\\.setup\\.js/ },
    { name: 'app', dependencies: ['setup'],
      testMatch: process.env.SHORT ? /titles\\.spec\\.js/ : /(titles|outcomes)\\.spec\\.js/ },
    { name: 'serial [x]', testMatch: /serial\\.spec\\.js/ },
    { name: 'retried', testMatch: /(serial|flaky|hooks)\\.spec\\.js/, retries: 1 },
  ],
};
"""
MARK = """
const fs = require('fs');
module.exports = class { onEnd() { fs.appendFileSync(process.env.MARK, 'x'); } };
"""
SETUP = """
const { test } = require('@playwright/test');
test('log in', async () => {});
test('seed › data', async () => {});
"""
TITLES = """
const { test } = require('@playwright/test');
for (const title of ['plain', 'a › b', 'a > b', 'say "hi"', "it's", 'x[1] (2) {3}', 'trailing blank ', ' leading',
    'ümläut ☃ 😀', 'tagged @slow', 'new\\nline', '$HOME `x` \\\\', '-G', '^a.*b$'])
  test(title, async () => {});
test.describe('group one', () => { test('same', async () => {}); });
test.describe('group', () => { test('one same', async () => {}); });
test.describe('', () => { test('in a nameless group', { tag: '@smoke' }, async () => {}); });
"""
OUTCOMES = """
const { test, expect } = require('@playwright/test');
const { execSync } = require('child_process');
test('passes', async ({}, info) => {
  console.log('to stdout'); console.error('to stderr');
  await info.attach('note', { body: 'a note', contentType: 'text/plain' });
  test.info().annotations.push({ type: 'issue', description: '#7' });
});
test('fails', async () => { expect(1, 'one is two').toBe(2); });
test('throws a string', async () => { throw 'just text'; });
test('times out', async () => { test.setTimeout(200); await new Promise(() => {}); });
test('fails as expected', async () => { test.fail(); expect(1).toBe(2); });
test('passes against expectation', async () => { test.fail(); });
test.skip('skipped', async () => {});
test.fixme('to be fixed', async () => {});
test('skipped while running', async () => { test.skip(true, 'not today'); });
test('sees nothing of us', async () => {
  expect(Object.keys(process.env).filter(name => /^(RESIT_PLAYWRIGHT|PW_TEST_REPORTER)$/.test(name))).toEqual([]);
});
test('dies', async () => { process.exit(0); });
test('comes after the death', async () => {});
"""
SERIAL = """
const { test, expect } = require('@playwright/test');
test.describe.serial('well', () => {
  test('first', async () => {});
  test.skip('second', async () => {});
  test('third', async () => {});
});
test.describe.serial('fails', () => {
  test('first', async () => {});
  test('second', async () => { expect(1).toBe(2); });
  test('third', async () => {});
});
test.describe.serial('recovers', () => {
  test('first', async () => {});
  test.describe('inner', () => {
    test('second', async ({}, info) => { expect(info.retry).toBe(1); });
  });
  test('third', async () => {});
});
"""
FLAKY = """
const { test, expect } = require('@playwright/test');
test('flaky', async ({}, info) => { expect(info.retry).toBe(1); });
test('steady', async () => {});
test('broken', async () => { throw new Error('broken'); });
test('skipped on the second try', async ({}, info) => {
  test.skip(info.retry === 1, 'enough');
  throw new Error('once');
});
"""
HOOKS = """
const { test } = require('@playwright/test');
test.describe('bad hook', () => {
  test.beforeAll(async () => { throw new Error('no database'); });
  test('one', async () => {});
  test('two', async () => {});
});
test.describe('good hook', () => { test('three', async () => {}); });
"""


# Outcomes.


@dataclass
class Whole:
    """The suite of all outcomes, listed and executed once with one version."""

    place: Place
    seen: Seen
    report: dict[tuple[str, ...], dict[str, Any]]


@pytest.fixture(scope="module", params=ENDS)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("whole")
    env = {"JSON_REPORT": str(folder / "report.json"), "MARK": str(folder / "mark")}
    if request.param != "1.65":  # each failing test costs a new worker process
        env["SHORT"] = "1"
    place = make(
        folder,
        request.param,
        {
            "playwright.config.js": OUTCOMES_CONFIG,
            "mark.cjs": MARK,
            "tests/login.setup.js": SETUP,
            "tests/titles.spec.js": TITLES,
            "tests/outcomes.spec.js": OUTCOMES,
            "tests/serial.spec.js": SERIAL,
            "tests/flaky.spec.js": FLAKY,
            "tests/hooks.spec.js": HOOKS,
        },
        env=env,
    )

    async def both() -> Seen:
        await place.list()
        return await place.run(lanes=2)

    seen = asyncio.run(both())
    return Whole(place, seen, json_report(folder / "report.json"))


def json_report(path: Path) -> dict[tuple[str, ...], dict[str, Any]]:
    """Playwright's own report: tests by project, file and titles."""
    tests: dict[tuple[str, ...], dict[str, Any]] = {}

    def visit(suite: dict[str, Any], titles: tuple[str, ...]) -> None:
        for spec in suite.get("specs", []):
            for test in spec["tests"]:
                tests[key(test["projectName"], (*titles, spec["title"]))] = test
        for child in suite.get("suites", []):
            visit(child, (*titles, child["title"]))

    for suite in json.loads(path.read_text("utf-8"))["suites"]:
        visit(suite, (suite["title"],))
    return tests


def key(project: str, titles: tuple[str, ...]) -> tuple[str, ...]:
    return (project, *(title for title in titles if title))


def test_every_outcome_is_playwrights_own(whole: Whole) -> None:
    names = {
        "expected": {"passed"},
        "unexpected": {"failed", "timed_out"},
        "flaky": {"flaky"},
        "skipped": {"skipped", "did not run"},
    }
    assert len(whole.report) == len(whole.place.listing.tests)
    for test in whole.place.listing.tests:
        theirs = whole.report[key(test.variant, (Path(test.file).name, *test.title_path))]
        assert whole.seen.outcome(test.id) in names[theirs["status"]], (test.title, theirs)
        real = [r for r in theirs["results"] if r["status"] != "skipped" or theirs["expectedStatus"] == "skipped"]
        assert [r.retry for r in whole.seen.results(test.id)] == [r["retry"] for r in real], test.title


def test_the_reporters_of_the_user_still_run(whole: Whole) -> None:
    assert Path(whole.place.suite.env["MARK"]).read_text() == "xx"  # once for the listing, once for the run
    assert whole.seen.end == BatchEnd()
    assert not (whole.place.suite.workdir / "never-used").exists()


def test_a_listing_tells_titles_projects_tags_and_serial_groups(whole: Whole) -> None:
    place = whole.place
    assert place.listing.shares_process
    assert re.fullmatch(r"Playwright 1\.(65|58|44)\.\d", place.listing.framework)
    titles = {t.title_path for t in place.listing.tests if t.file == "tests/titles.spec.js"}
    assert {("a › b",), ("trailing blank ",), ("new\nline",), ("ümläut ☃ 😀",), ("group", "one same")} <= titles
    assert place.named("tagged @slow").tags == ("@slow",)
    assert place.named("in a nameless group").tags == ("@smoke",)
    assert place.named("log in").variant == "setup"
    assert place.named("plain").line == 5
    units = {t.title: t.unit for t in place.listing.tests if t.variant == "retried"}
    assert (
        units["recovers › inner › second"] == units["recovers › first"] == "[retried] tests/serial.spec.js › recovers"
    )
    assert units["flaky"] == ""


def test_exactly_the_chosen_tests_run(whole: Whole) -> None:
    place = whole.place
    chosen = [
        place.named("a › b"),
        place.named("trailing blank "),
        place.named("new\nline"),
        place.named("group one › same"),
        place.named("flaky"),
        *[t for t in place.listing.tests if t.variant == "serial [x]" and t.title.startswith("well")],
    ]
    seen = asyncio.run(place.run([*chosen, gone(chosen[0])]))
    assert [seen.outcome(t.id) for t in chosen] == ["passed"] * 4 + ["flaky", "passed", "skipped", "passed"]
    assert seen.outcome(gone(chosen[0]).id) == "not found"
    ran = json_report(Path(place.suite.env["JSON_REPORT"]))
    names = {key(t.variant, (Path(t.file).name, *t.title_path)) for t in chosen}
    assert {test for test in ran if test[0] != "setup"} == names
    assert seen.end == BatchEnd()


@pytest.mark.parametrize("whole", ["1.65", "1.44"], indirect=True)
def test_one_test_of_a_setup_project_runs_alone(whole: Whole) -> None:
    seen = asyncio.run(whole.place.run([whole.place.named("seed › data")]))
    assert [r.status for r in seen.results(whole.place.named("seed › data").id)] == ["passed"]
    ran = json_report(Path(whole.place.suite.env["JSON_REPORT"]))
    assert list(ran) == [("setup", "login.setup.js", "seed › data")]


@pytest.mark.parametrize("whole", ["1.65", "1.44"], indirect=True)
def test_tests_of_a_lost_project_are_not_found_and_the_rest_runs(whole: Whole) -> None:
    setup, app = whole.place.named("log in"), whole.place.named("plain")
    lost = PlannedTest("lost", "tests/lost.spec.js", ("lost",), "renamed")
    seen = asyncio.run(whole.place.run([setup, gone(app), lost]))
    assert [seen.outcome(t.id) for t in (setup, gone(app), lost)] == ["passed", "not found", "not found"]
    assert seen.end == BatchEnd()


@pytest.mark.parametrize("whole", ["1.65"], indirect=True)
def test_results_carry_why_what_and_where(whole: Whole) -> None:
    place, seen = whole.place, whole.seen
    [failed] = seen.results(place.named("fails").id)
    [failure] = failed.failures
    assert failure.message.startswith("Error: one is two")
    assert failure.location == "tests/outcomes.spec.js:9"
    assert re.search(r">\s+9 \| test\('fails'", failure.stack)
    assert "\x1b" not in failure.message + failure.stack
    assert seen.results(place.named("throws a string").id)[0].failures[0].message == "'just text'"
    [timed_out] = seen.results(place.named("times out").id)
    assert timed_out.status == ResultStatus.TIMED_OUT
    assert 0.2 <= timed_out.duration < 2
    [surprise] = seen.results(place.named("passes against expectation").id)
    assert surprise.failures[0].message == "Expected to fail, but passed."
    assert seen.results(place.named("fails as expected").id)[0].failures == ()
    [died] = seen.results(place.named("dies").id)
    assert "worker process exited unexpectedly" in died.failures[0].message

    [passed] = seen.results(place.named("passes").id)
    assert ("issue", "#7") in passed.annotations
    texts = {a.name: (a.content_type, Path(a.path).read_text(), a.size) for a in passed.attachments}
    assert texts == {
        "note": ("text/plain", "a note", 6),
        "stdout": ("text/plain", "to stdout\n", 10),
        "stderr": ("text/plain", "to stderr\n", 10),
    }
    started = [e for e in seen.events if isinstance(e, TestStarted) and e.test == passed.test]
    assert [s.at for s in started] == [passed.started_at]


def test_tests_that_were_passed_over_did_not_run(whole: Whole) -> None:
    finals = whole.seen.finals()
    reasons = {
        ("fails › third", "serial [x]"): 'an earlier test of its serial group failed: "fails › second"',
        ("fails › third", "retried"): 'an earlier test of its serial group failed: "fails › second"',
        ("bad hook › two", "retried"): "a beforeAll hook failed: Error: no database",
    }
    for (title, variant), reason in reasons.items():
        assert finals[whole.place.named(title, variant).id] == DidNotRun(whole.place.named(title, variant).id, reason)
    third = whole.place.named("recovers › third", "retried")
    assert [(r.retry, r.final) for r in whole.seen.results(third.id)] == [(1, True)]
    first = whole.place.named("recovers › first", "retried")
    assert [(r.retry, r.final) for r in whole.seen.results(first.id)] == [(0, False), (1, True)]


# Trouble.

TROUBLE_CONFIG = """
const trouble = process.env.TROUBLE;
if (trouble === 'config') throw new Error('no such setting');
module.exports = {
  testDir: '.', timeout: 60_000, maxFailures: trouble === 'max' ? 1 : 0, reporter: 'line',
  globalSetup: /global-setup/.test(trouble) ? './global-setup.js' : undefined,
  globalTeardown: trouble === 'global-teardown' ? './global-teardown.js' : undefined,
  webServer: /server/.test(trouble)
    ? { command: trouble === 'bad server' ? 'exit 7' : 'node server.js', port: +process.env.PORT }
    : undefined,
  projects: [
    { name: 'setup', testMatch: /.*setup-project\\.js/ },
    { name: 'needs setup', dependencies: ['setup'], testMatch: /needy\\.spec\\.js/ },
    { name: 'app', testMatch: /(app|kills)\\.spec\\.js/ },
  ],
};
"""
GLOBAL_SETUP = """
module.exports = () => {
  if (process.env.TROUBLE === 'killed in global-setup') process.kill(process.pid, 'SIGKILL');
  throw new Error('no such host');
};
"""
APP = """
const { test } = require('@playwright/test');
const trouble = process.env.TROUBLE;
test('first', async () => {});
test('second', async () => { if (trouble === 'max') throw new Error('enough'); });
test('third', async () => { if (/hang/.test(trouble)) await new Promise(() => {}); });
"""
KILLS = """
const { test } = require('@playwright/test');
// The parent is told of a test's start a moment after it; killed before that, it would know of none.
const die = () => new Promise(() => { setTimeout(() => process.kill(process.ppid, 'SIGKILL'), 500); });
test('before', async () => {});
test('killer', async () => { await die(); });
test('after', async () => {});
test.describe.serial('chain', () => {
  test('one', async () => {});
  test('two', async () => { await die(); });
  test('three', async () => {});
});
test('last', async () => {});
"""


@pytest.fixture(scope="module")
def trouble(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = make(
        tmp_path_factory.mktemp("trouble"),
        "1.65",
        {
            "playwright.config.js": TROUBLE_CONFIG,
            "global-setup.js": GLOBAL_SETUP,
            "global-teardown.js": "module.exports = () => { throw new Error('could not tidy up'); };",
            "server.js": "require('http').createServer((q, s) => s.end()).listen(+process.env.PORT);",
            "setup-project.js": "require('@playwright/test').test('log in', async () => {"
            " if (process.env.TROUBLE === 'setup') throw new Error('wrong password'); });",
            "needy.spec.js": "require('@playwright/test').test('needs a login', async () => {});",
            "app.spec.js": APP,
            "kills.spec.js": KILLS,
        },
    )
    asyncio.run(place.list())
    return place


def troubled(place: Place, kind: str, **env: str) -> Place:
    return Place(replace(place.suite, env={**place.suite.env, "TROUBLE": kind, **env}), place.listing)


def of_file(place: Place, file: str) -> list[PlannedTest]:
    return [t for t in place.listing.tests if t.file == file]


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_a_killed_process_costs_the_tests_in_flight_and_the_rest_goes_on(trouble: Place) -> None:
    tests = of_file(trouble, "kills.spec.js")
    seen = asyncio.run(trouble.run(tests))
    assert [seen.outcome(t.id) for t in tests] == [
        "passed", "errored", "passed", "passed", "errored", "did not run", "passed",
    ]  # fmt: skip
    died = seen.finals()[tests[1].id]
    assert isinstance(died, TestResult)
    assert died.failures[0].message == "the test process died: signal SIGKILL"
    left = seen.finals()[tests[5].id]
    assert left == DidNotRun(left.test, "the test process died: signal SIGKILL, in the middle of its serial group")


def test_a_process_that_always_dies_is_given_up(trouble: Place) -> None:
    tests = of_file(trouble, "app.spec.js")
    seen = asyncio.run(troubled(trouble, "killed in global-setup").run(tests))
    assert [seen.outcome(t.id) for t in tests] == ["errored"] * 3
    first = seen.finals()[tests[0].id]
    assert isinstance(first, TestResult)
    assert "the test process died: signal SIGKILL" in first.failures[0].message


def test_a_failed_setup_project_is_the_reason_of_those_that_need_it(trouble: Place) -> None:
    tests = [*of_file(trouble, "needy.spec.js"), *of_file(trouble, "app.spec.js")]
    seen = asyncio.run(troubled(trouble, "setup").run(tests))
    assert [seen.outcome(t.id) for t in tests] == ["did not run", "passed", "passed", "passed"]
    reason = 'setup project "setup" failed: "log in": Error: wrong password'
    assert seen.finals()[tests[0].id] == DidNotRun(tests[0].id, reason)
    assert "wrong password" in seen.log
    assert seen.end == BatchEnd()  # the test that did not run makes the run red


def test_max_failures_leave_the_rest_undone(trouble: Place) -> None:
    tests = of_file(trouble, "app.spec.js")
    seen = asyncio.run(troubled(trouble, "max").run(tests))
    assert [seen.outcome(t.id) for t in tests] == ["passed", "failed", "did not run"]
    assert seen.finals()[tests[2].id] == DidNotRun(tests[2].id, "stopped after 1 failures (maxFailures)")
    assert seen.end == BatchEnd()


def test_a_global_teardown_that_throws_is_a_problem(trouble: Place) -> None:
    tests = of_file(trouble, "app.spec.js")
    seen = asyncio.run(troubled(trouble, "global-teardown").run(tests))
    assert [seen.outcome(t.id) for t in tests] == ["passed"] * 3
    [problem] = seen.end.problems
    assert "could not tidy up" in problem
    assert "global-teardown.js:1" in problem


@pytest.mark.parametrize(
    ("kind", "cause"), [("global-setup", "no such host"), ("bad server", "Process from config.webServer")]
)
def test_nothing_runs_without_its_surroundings(trouble: Place, kind: str, cause: str) -> None:
    with pytest.raises(ExecutorError, match=cause):
        asyncio.run(troubled(trouble, kind, PORT=free_port()).run(of_file(trouble, "app.spec.js")))


def test_a_web_server_is_gone_after_the_end(trouble: Place) -> None:
    port = free_port()
    place = troubled(trouble, "server", PORT=port)
    seen = asyncio.run(place.run(of_file(trouble, "app.spec.js")))
    assert set(seen.finals()) == {t.id for t in of_file(trouble, "app.spec.js")}
    assert alive(f"PORT={port}\0") == []


def test_a_stop_keeps_what_was_done_and_leaves_nothing_running(trouble: Place) -> None:
    port = free_port()
    place = troubled(trouble, "server, hang", PORT=port)
    tests = of_file(trouble, "app.spec.js")
    seen = Seen()

    async def stop_in_the_middle() -> None:
        hanging = asyncio.Event()

        def sink(event: Event) -> None:
            seen.events.append(event)
            if isinstance(event, TestStarted) and event.test == tests[2].id:
                hanging.set()

        session = await place.open()
        run = asyncio.create_task(session.run(Batch(1, tuple(tests)), 0, sink))
        await asyncio.wait_for(hanging.wait(), 60)
        assert alive(f"PORT={port}\0")
        await session.stop()
        await asyncio.wait_for(run, 5)
        await session.close()

    asyncio.run(stop_in_the_middle())
    assert [seen.outcome(t.id) for t in tests[:2]] == ["passed", "passed"]
    if tests[2].id in seen.finals():
        assert seen.outcome(tests[2].id) == "interrupted"
    assert alive(f"PORT={port}\0") == []


# Listings.


def test_a_bad_configuration_is_named(trouble: Place) -> None:
    with pytest.raises(CollectionFailed, match="no such setting"):
        asyncio.run(troubled(trouble, "config").list())


def test_a_syntax_error_is_named_and_spoils_no_other_file(tmp_path: Path) -> None:
    good = "require('@playwright/test').test('good', async () => {});"
    place = make(tmp_path, "1.65", {"playwright.config.js": CONFIG, "good.spec.js": good})
    [test] = asyncio.run(place.list()).tests
    place.write({"bad.spec.js": "const = ;"})
    with pytest.raises(CollectionFailed, match=r"bad\.spec\.js"):
        asyncio.run(place.list())
    place.listing = Listing((test,), "")
    assert asyncio.run(place.run()).outcome(test.id) == "passed"


def test_an_empty_suite_is_no_error_and_only_narrows_the_listing(tmp_path: Path) -> None:
    place = make(tmp_path, "1.65", {"playwright.config.js": CONFIG})
    assert asyncio.run(place.list()).tests == ()
    place.write(
        {
            "only.spec.js": "const { test } = require('@playwright/test');"
            "test.only('a', async () => {}); test('b', async () => {});"
            "test.describe.only('group', () => { test('c', async () => {}); test('d', async () => {}); });",
            "other.spec.js": "require('@playwright/test').test('e', async () => {});",
        }
    )
    assert [t.title for t in asyncio.run(place.list()).tests] == ["a", "group › c", "group › d"]


def test_a_linked_folder_and_odd_names_of_files(tmp_path: Path) -> None:
    one = "require('@playwright/test').test('one', async () => {});"
    place = make(
        tmp_path, "1.65", {"a (b)/my.config.js": "module.exports = { testDir: '..' };", "[id] $x+.spec.js": one}
    )
    link = tmp_path / "link"
    link.symlink_to(place.suite.workdir)
    linked = Place(replace(place.suite, root=link, workdir=link, config="a (b)/my.config.js"))
    [test] = asyncio.run(linked.list()).tests
    assert test.file == "[id] $x+.spec.js"
    assert asyncio.run(linked.run()).outcome(test.id) == "passed"


@pytest.mark.parametrize(
    ("package", "path", "message"),
    [
        (None, os.defpath, "Playwright is not installed in"),
        ('{"version": "1.40.0"}', os.environ["PATH"], "Playwright 1.40.0 is too old: Resit needs 1.44 or newer"),
        ('{"version": "1.65.1"}', "/nonexistent", "no `node` on the PATH"),
        ("{", os.environ["PATH"], "damaged"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, package: str | None, path: str, message: str) -> None:
    if package is not None:
        folder = tmp_path / "node_modules" / "playwright"
        folder.mkdir(parents=True)
        (folder / "cli.js").touch()
        (folder / "package.json").write_text(package)
    suite = Suite(tmp_path, tmp_path, {"PATH": path}, tmp_path / "scratch", tmp_path / "cache")
    with pytest.raises(NotASuite, match=re.escape(message)):
        asyncio.run(PlaywrightExecutor().list(suite, lambda event: None))
