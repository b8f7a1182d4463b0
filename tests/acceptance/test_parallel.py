"""Shards and runs side by side: they overlap in time, and each test runs once."""

from pathlib import Path

from black_box import Resit, Suites, lines, needs_node

TIMED = """
import os, time, pytest
@pytest.mark.parametrize("n", range(3))
def test_n(n):
    began = time.time()
    time.sleep(0.4)
    with open(os.environ["LOG"], "a") as log: log.write(f"{os.getpid()} {began} {time.time()} {__name__}{n}\\n")
"""
# Each process waits until another one has begun as well.
MEETING = """
import os, pathlib, time
there = pathlib.Path(os.environ["LOG"] + ".there")
there.mkdir(exist_ok=True)
def test_it():
    (there / str(os.getpid())).touch()
    began, end = time.time(), time.monotonic() + 60
    while len(list(there.iterdir())) < 2 and time.monotonic() < end: time.sleep(0.02)
    with open(os.environ["LOG"], "a") as log: log.write(f"{os.getpid()} {began} {time.time()} {__name__}\\n")
"""
TIMED_JS = """
const { test } = require('@playwright/test');
for (let n = 0; n < 3; n++) test(`n ${n}`, async ({}, info) => {
  const began = Date.now() / 1000;
  if (process.env.SITE) { const answer = await fetch(process.env.SITE); if (!answer.ok) throw new Error('no site'); }
  await new Promise(r => setTimeout(r, 400));
  require('fs').appendFileSync(process.env.LOG, `${process.pid} ${began} ${Date.now() / 1000} ${info.file}${n}\\n`);
});
"""
SITE = """
const http = require('http');
http.createServer((_, answer) => answer.end('ok')).listen(Number(process.env.PORT), '127.0.0.1');
"""


def executions(log: Path) -> list[tuple[str, float, float, str]]:
    found = [line.split(" ", 3) for line in lines(log)]
    return [(pid, float(began), float(ended), name) for pid, began, ended, name in found]


def overlap(log: Path) -> bool:
    """Two tests of different processes at the same time."""
    done = executions(log)
    return any(a[0] != b[0] and a[1] < b[2] and b[1] < a[2] for a in done for b in done)


def each_once(log: Path, number: int) -> bool:
    names = [name for *_, name in executions(log)]
    return len(names) == len(set(names)) == number


def test_two_shards_of_pytest(resit: Resit, suite: Suites, log: Path) -> None:
    slug = resit.project(suite({f"test_{name}.py": TIMED for name in "abcd"}))
    done = resit.cli("run", slug, "--shards", "2", "--var", f"LOG={log}", "--wait", "--json")
    assert (done.code, done.json["total_shards"], done.json["counts"]["passed"]) == (0, 2, 12)
    assert each_once(log, 12)
    assert overlap(log)
    # Each shard has a log of its own.
    shards = {part["shard"] for part in resit.get(f"/runs/{done.json['id']}/logs")["items"]}
    assert {1, 2} <= shards
    assert "test_a.py" in resit.logs(done.json["id"])


@needs_node
def test_two_shards_of_playwright(resit: Resit, suite: Suites, log: Path) -> None:
    slug = resit.project(suite.playwright({f"{name}.spec.js": TIMED_JS for name in "abcd"}), "playwright")
    done = resit.cli("run", slug, "--shards", "2", "--var", f"LOG={log}", "--wait", "--json")
    assert (done.code, done.json["total_shards"], done.json["counts"]["passed"]) == (0, 2, 12)
    assert each_once(log, 12)
    assert overlap(log)


@needs_node
def test_a_web_server_on_a_fixed_port_serves_both_shards(resit: Resit, suite: Suites, log: Path, port: int) -> None:
    config = f"""module.exports = {{
        webServer: {{ command: 'node site.js', url: 'http://127.0.0.1:{port}', env: {{ PORT: '{port}' }} }},
    }};"""
    where = suite.playwright({"site.js": SITE, "a.spec.js": TIMED_JS, "b.spec.js": TIMED_JS}, config)
    variables = {"LOG": str(log), "SITE": f"http://127.0.0.1:{port}"}
    run = resit.execute(resit.project(where, "playwright"), shards=2, variables=variables)
    assert (run["verdict"], run["counts"]["passed"], run["total_shards"]) == ("passed", 6, 2), resit.logs(run["id"])
    assert each_once(log, 6)
    # It is gone: the next one can have the port.
    assert resit.end(resit.rerun(run["id"]))["verdict"] == "passed"


def test_two_runs_side_by_side(resit: Resit, suite: Suites, log: Path) -> None:
    slugs = [resit.project(suite({f"test_{name}.py": MEETING})) for name in "ab"]
    runs = [resit.trigger(slug, variables={"LOG": str(log)}) for slug in slugs]
    assert [resit.end(run)["verdict"] for run in runs] == ["passed", "passed"]
    # Batches of one number in two runs of one worker: each lease is its own.
    assert "Traceback" not in resit.log(), resit.log()
    assert each_once(log, 2)
    assert overlap(log)
