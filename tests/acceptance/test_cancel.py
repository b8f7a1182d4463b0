"""Cancel: what runs is gone within five seconds, what was found out is kept, and nothing that is cancelled is green."""

import time
from pathlib import Path

import pytest
from black_box import NODE, Resit, Suites, alive, pids, until

BOUND = 5.0

# A long test with a web server that left its group and session, and a child that does not care for SIGINT.
LONG = """
import os, subprocess, sys, time
def test_first(): pass
def test_long():
    server = subprocess.Popen([sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1"], start_new_session=True)
    stubborn = subprocess.Popen(["sh", "-c", "trap '' INT TERM; while :; do sleep 1; done"])
    with open(os.environ["PIDS"], "w") as file: file.write(f"{os.getpid()} {server.pid} {stubborn.pid}\\n")
    time.sleep(600)
def test_last(): pass
"""
LONG_JS = """
const { test } = require('@playwright/test');
const { spawn } = require('child_process');
const fs = require('fs');
test.setTimeout(600000);
test('first', () => {});
test('long', async () => {
  const server = spawn('sleep', ['601'], { detached: true, stdio: 'ignore' });
  fs.writeFileSync(process.env.PIDS, `${process.pid} ${process.ppid} ${server.pid}\\n`);
  await new Promise(() => {});
});
test('last', () => {});
"""


def gone(what: list[int], since: float) -> float:
    """Waits until the processes are gone; the seconds since."""
    until(lambda: not any(alive(pid) for pid in what), f"the end of {what}", 20)
    return time.monotonic() - since


@pytest.mark.parametrize("executor", ["pytest", pytest.param("playwright", marks=NODE)])
def test_all_of_a_test_is_gone(resit: Resit, suite: Suites, tmp_path: Path, executor: str) -> None:
    where = suite(LONG) if executor == "pytest" else playwright(suite)
    run = resit.trigger(resit.project(where, executor), variables={"PIDS": str(tmp_path / "pids")})
    running = pids(tmp_path / "pids", 3)
    assert all(alive(pid) for pid in running)
    watching = resit.begin("watch", str(run), "--json")

    began = time.monotonic()
    done = resit.cli("cancel", str(run))
    assert done.code == 0
    assert gone(running, began) < BOUND

    watched = watching.done()
    assert watched.code == 2
    assert (watched.json["status"], watched.json["verdict"]) == ("cancelled", "errored")
    outcomes = {name.removeprefix("test_"): outcome for name, outcome in by_title(resit, run).items()}
    assert outcomes == {"first": "passed", "long": "cancelled", "last": "cancelled"}
    # Twice does no harm, and changes nothing.
    before = resit.http.get(f"/runs/{run}").content
    assert resit.cli("cancel", str(run)).code == 0
    assert resit.http.get(f"/runs/{run}").content == before
    # What was not cancelled can be executed again, and the slot is free for it.
    assert resit.end(resit.rerun(run, "chosen", tests=[first(resit, run)]))["verdict"] == "passed"


def playwright(suite: Suites) -> Path:
    return suite.playwright(LONG_JS)


def by_title(resit: Resit, run: int) -> dict[str, str | None]:
    return {row["title"]: row["outcome"] for row in resit.tests(run).values()}


def first(resit: Resit, run: int) -> str:
    return next(id for id, row in resit.tests(run).items() if row["title"] in ("test_first", "first"))


def test_while_it_is_planned(resit: Resit, suite: Suites, tmp_path: Path) -> None:
    text = "import os, time\nopen(os.environ['PIDS'], 'w').write(f'{os.getpid()}\\n')\ntime.sleep(600)\n"
    run = resit.trigger(resit.project(suite(text)), variables={"PIDS": str(tmp_path / "pids")})
    running = pids(tmp_path / "pids")
    began = time.monotonic()
    assert resit.cli("cancel", str(run)).code == 0
    assert gone(running, began) < BOUND
    assert (resit.run(run)["status"], resit.run(run)["verdict"]) == ("cancelled", "errored")
    assert resit.cli("watch", str(run)).code == 2


def test_while_its_setup_goes_on(resit: Resit, suite: Suites, tmp_path: Path) -> None:
    setup = f"sleep 603 & echo $$ $! > {tmp_path / 'pids'}; wait"
    run = resit.trigger(resit.project(suite("def test_a(): pass\n"), setup=setup))
    running = pids(tmp_path / "pids", 2)
    began = time.monotonic()
    assert resit.cli("cancel", str(run)).code == 0
    assert gone(running, began) < BOUND
    assert resit.run(run)["status"] == "cancelled"


def test_while_it_waits_for_a_slot(resit: Resit, suite: Suites, tmp_path: Path) -> None:
    slug = resit.project(suite(LONG))
    busy = [resit.trigger(slug, variables={"PIDS": str(tmp_path / str(n))}) for n in range(resit.slots)]
    running = [pid for n in range(resit.slots) for pid in pids(tmp_path / str(n), 3)]
    marker = tmp_path / "marker"
    queued = resit.trigger(resit.project(suite(f"def test_a(): open({str(marker)!r}, 'w')\n")))
    assert resit.cli("cancel", str(queued)).code == 0
    assert resit.run(queued)["status"] == "cancelled"
    began = time.monotonic()
    for run in busy:
        resit.post(f"/runs/{run}/cancel")
    assert gone(running, began) < BOUND
    # The slots are free, and who was cancelled in the queue never begins.
    assert resit.execute(resit.project(suite("def test_a(): pass\n")))["verdict"] == "passed"
    assert not marker.exists()
    assert resit.run(queued)["status"] == "cancelled"
