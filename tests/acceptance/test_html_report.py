"""The HTML report of finished runs: made by real workers with real Playwright, read by a real browser."""

import base64
import json
import os
import re
import signal
import subprocess
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from black_box import BROWSER, NODE, NODE_MODULES, Resit, Suites, alive, lines, pids, until
from chaos import delete_store

Own = Callable[..., Resit]
pytestmark = NODE
needs_browser = pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAoAAAAFCAIAAADzBuo/AAAAEklEQVR4nGP4z8CAB+GTG8HSALfKY52fTcuYAAAAAElFTkSuQmCC"
SUITE = """
const { test, expect } = require('@playwright/test');
const fs = require('fs');
test('passes', async () => {});
test('fails with files', async ({}, info) => {
  await info.attach('note', { body: 'a short note', contentType: 'text/plain' });
  const file = info.outputPath('shot.png');
  fs.writeFileSync(file, Buffer.from('PNG', 'base64'));
  await info.attach('screenshot', { path: file, contentType: 'image/png' });
  await test.step('Attach', async () => {});
  expect('apples').toBe('pears');
});
""".replace("'PNG'", f"'{PNG}'")
CONFIG = "module.exports = { workers: 1, use: { trace: 'on' } };"


def report(resit: Resit, run: int, seconds: float = 60) -> dict[str, Any]:
    """The report of a run, when it is made or given up."""
    return until(
        lambda: (found := resit.get(f"/runs/{run}/report"))["state"] in ("ready", "failed") and found,
        f"the report of run {run}",
        seconds,
    )  # type: ignore[return-value]


def look(url: str, picture: Path | None = None, *args: str) -> dict[str, Any]:
    """What a browser finds at an address."""
    command = ["node", str(Path(__file__).with_name("report_browser.cjs")), BROWSER, url, str(picture or ""), *args]
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "MODULES": str(NODE_MODULES)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_browser
def test_a_browser_reads_it_apart_from_our_own_pages(resit: Resit, suite: Suites, tmp_path: Path) -> None:
    run = resit.execute(resit.project(suite.playwright(SUITE, CONFIG), "playwright"))
    found = report(resit, run["id"])
    assert (found["state"], found["words"], found["tries"]) == ("ready", "", 1)
    seen = look(found["url"], tmp_path / "report.png")
    content = resit.url.replace("127.0.0.1", "localhost")
    assert (seen["status"], seen["policy"], seen["origin"], seen["errors"]) == (200, "", content, [])
    assert "fails with files" in seen["page"]
    assert "passes" in seen["page"]
    assert "apples" in seen["failed"]
    assert "pears" in seen["failed"]
    assert seen["image"][:2] == [10, 5]
    assert seen["image"][2].startswith(f"{content}/reports/")
    assert seen["traceLink"].startswith(f"{content}/reports/")
    assert seen["tracePolicy"] == ""
    assert 'Expect "toBe"' in seen["trace"]


@needs_browser
def test_without_a_content_origin_it_is_shown_in_a_sandbox(own: Own, suite: Suites, tmp_path: Path) -> None:
    resit = Resit(tmp_path)
    name = f"http://resit.test:{resit.port}"
    try:
        resit.start("--url", name)
        run = resit.execute(resit.project(suite.playwright(SUITE, CONFIG), "playwright"))
        found = report(resit, run["id"])
        assert found["url"].startswith(f"{name}/reports/")
        seen = look(found["url"], tmp_path / "report.png", "--host-resolver-rules=MAP resit.test 127.0.0.1")
        assert (seen["status"], seen["origin"], seen["at"]) == (200, "null", found["url"])
        assert seen["policy"].startswith("sandbox allow-scripts")
        assert "allow-same-origin" not in seen["policy"]
        assert "apples" in seen["failed"]
        assert seen["image"][:2] == [10, 5]
        assert "--content-url" in seen["trace"]
        assert "npx playwright show-trace http://resit.test" in seen["trace"]
    finally:
        resit.close()


# ---------------------------------------------------------------- whatever died

WAITS = """
const { test } = require('@playwright/test');
const fs = require('fs');
const path = require('path');
const LOG = process.env.LOG;
test('first', async () => {});
test('in flight', async () => {
  fs.appendFileSync(LOG, 'in flight\\n');
  fs.appendFileSync(path.join(path.dirname(LOG), 'pids'), `${process.ppid}\\n`);
  while (!fs.existsSync(path.join(path.dirname(LOG), 'go'))) await new Promise(r => setTimeout(r, 20));
});
test('last', async () => {});
"""
# Holds Playwright when it makes a report, until a file is there.
HOLD = """
const fs = require('fs');
const dir = __dirname;
if (process.argv.includes('merge-reports')) {
  fs.appendFileSync(dir + '/merging', `${process.pid}\\n`);
  const idle = new Int32Array(new SharedArrayBuffer(4));
  while (!fs.existsSync(dir + '/go')) Atomics.wait(idle, 0, 0, 20);
}
"""


def inside(resit: Resit, run: int) -> dict[str, dict[str, Any]]:
    """The tests of a report by their titles, as its page has them."""
    answer = resit.http.get(f"/runs/{run}/report.zip")
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(BytesIO(answer.content)) as files:
        page = files.read("index.html").decode()
    found = re.search(r"data:application/zip;base64,([A-Za-z0-9+/=]+)", page)
    assert found
    tests: dict[str, dict[str, Any]] = {}
    with zipfile.ZipFile(BytesIO(base64.b64decode(found[1]))) as data:
        for name in data.namelist():
            if name != "report.json":
                tests |= {test["title"]: test for test in json.loads(data.read(name)).get("tests", [])}
    return tests


def errors(test: dict[str, Any]) -> str:
    """All that a report says of why a test failed."""
    return json.dumps([result["errors"] for result in test["results"]])


def waits(resit: Resit, run: int, log: Path) -> None:
    """Until the second test is in flight, and that is known."""
    pids(log.with_name("pids"))
    known = {"passed": 1, "running": 1, "planned": 1}
    until(lambda: known.items() <= resit.run(run)["counts"].items(), "the first results", 20)


def test_a_run_whose_workers_were_killed(own: Own, suite: Suites, log: Path) -> None:
    resit = own()
    project = resit.project(suite.playwright(WAITS), "playwright")
    run = resit.trigger(project, variables={"LOG": str(log)})
    waits(resit, run, log)
    os.kill(resit.worker, signal.SIGKILL)
    until(lambda: len(lines(log)) == 2, "the run goes on elsewhere", 30)
    waits(resit, run, log)
    os.kill(resit.worker, signal.SIGKILL)
    assert resit.end(run)["verdict"] == "failed"
    assert resit.titles(run) == {"first": "passed", "in flight": "lost", "last": "lost"}
    found = report(resit, run)
    assert (found["state"], found["words"]) == ("ready", "")
    tests = inside(resit, run)
    assert [result["status"] for result in tests["first"]["results"]] == ["passed"]
    assert [result["status"] for result in tests["in flight"]["results"]] == ["interrupted"]
    assert "lost: worker" in errors(tests["in flight"])
    assert tests["last"]["annotations"][0]["type"] == "lost"


def test_cancelled_and_run_again(resit: Resit, suite: Suites, log: Path) -> None:
    project = resit.project(suite.playwright(WAITS), "playwright")
    run = resit.trigger(project, variables={"LOG": str(log)})
    waits(resit, run, log)
    resit.post(f"/runs/{run}/cancel", {"reason": "enough of it"})
    assert report(resit, run)["state"] == "ready"
    tests = inside(resit, run)
    assert tests["in flight"]["results"][0]["status"] == "interrupted"
    assert "enough of it" in errors(tests["in flight"])
    log.with_name("go").touch()
    again = resit.rerun(run)
    assert resit.end(again)["verdict"] == "passed"
    assert report(resit, again)["state"] == "ready"
    assert {test["outcome"] for test in inside(resit, again).values()} == {"expected"}


@pytest.fixture
def held(suite: Suites, tmp_path: Path) -> dict[str, str]:
    """Variables of runs whose reports wait."""
    (tmp_path / "hold.cjs").write_text(HOLD)
    return {"NODE_OPTIONS": f"--require {tmp_path / 'hold.cjs'}"}


@pytest.mark.thorough
def test_a_worker_dies_that_makes_one(own: Own, suite: Suites, tmp_path: Path, held: dict[str, str]) -> None:
    """The next one makes it, and of the first nothing is left."""
    resit = own()
    run = resit.execute(resit.project(suite.playwright(SUITE), "playwright"), variables=held)
    assert run["verdict"] == "failed"
    [first] = pids(tmp_path / "merging")
    assert resit.get(f"/runs/{run['id']}/report")["state"] == "working"
    until(lambda: "makes its report" in resit.cli("workers").out, "what its slot does")
    os.kill(resit.worker, signal.SIGKILL)
    pids(tmp_path / "merging", 2)
    assert not alive(first)
    (tmp_path / "go").touch()
    found = report(resit, run["id"])
    assert (found["state"], found["tries"]) == ("ready", 2)


@pytest.mark.thorough
def test_a_worker_that_leaves_gives_it_back(own: Own, suite: Suites, tmp_path: Path, held: dict[str, str]) -> None:
    resit = own()
    run = resit.execute(resit.project(suite.playwright(SUITE), "playwright"), variables=held)
    [first] = pids(tmp_path / "merging")
    os.kill(resit.worker, signal.SIGTERM)
    until(lambda: not alive(first), "the end of what it had begun", 8)
    pids(tmp_path / "merging", 2)
    (tmp_path / "go").touch()
    found = report(resit, run["id"])
    assert (found["state"], found["tries"]) == ("ready", 1)


@pytest.mark.thorough
def test_the_broker_forgets_that_one_is_wanted(own: Own, suite: Suites, log: Path) -> None:
    """While no worker is free for it. It is handed out again."""
    resit = own(slots=1)
    run = resit.trigger(resit.project(suite.playwright(WAITS), "playwright"), variables={"LOG": str(log)})
    pids(log.with_name("pids"))
    worker = resit.worker
    os.kill(worker, signal.SIGSTOP)
    try:
        resit.post(f"/runs/{run}/cancel")
        assert resit.get(f"/runs/{run}/report")["state"] == "waiting"
        delete_store(resit)
    finally:
        os.kill(worker, signal.SIGCONT)
    found = report(resit, run)
    assert (found["state"], found["tries"]) == ("ready", 1)


def test_why_there_is_none(own: Own, suite: Suites, log: Path) -> None:
    """The worker can't make it: in words, and the run is as it was."""
    resit = own()
    where = suite.playwright(WAITS)
    run = resit.trigger(resit.project(where, "playwright"), variables={"LOG": str(log)})
    pids(log.with_name("pids"))
    (where / "node_modules").unlink()
    log.with_name("go").touch()
    verdict = resit.end(run)["verdict"]
    found = report(resit, run)
    assert (found["state"], found["url"]) == ("failed", None)
    assert "Playwright is not installed in" in found["words"]
    assert resit.run(run)["verdict"] == verdict
    done = resit.cli("report", str(run))
    assert done.code == 65
    assert "Playwright is not installed in" in done.said


def test_on_the_command_line(resit: Resit, suite: Suites, tmp_path: Path) -> None:
    project = resit.project(suite.playwright(SUITE, CONFIG), "playwright")
    run = resit.trigger(project)
    done = resit.cli("report", str(run))  # waits for the run, and for its report
    assert done.code == 0, done.err
    assert done.out.strip().startswith(f"{resit.url}/reports/")
    to = tmp_path / "new" / "report"
    assert resit.cli("report", str(run), "--output", str(to)).out.strip() == str(to / "index.html")
    assert (to / "trace" / "index.html").is_file()
    assert base64.b64decode(PNG) in [file.read_bytes() for file in (to / "data").iterdir()]
    assert [path.name for path in to.parent.iterdir()] == ["report"]
    assert resit.cli("report", str(run), "--output", str(to)).code == 64
    assert resit.cli("report", str(run), "--no-wait", "--json").json["state"] == "ready"
    assert "HTML report: ready" in resit.cli("show", str(run)).out
    assert resit.cli("project", "set", project, "--no-html-report").code == 0
    without = resit.execute(project)
    assert resit.get(f"/runs/{without['id']}/report")["state"] == "none"
