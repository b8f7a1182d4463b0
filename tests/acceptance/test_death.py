"""Processes die in mid-run: each run comes to its end, every planned test in one state and none counted twice."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from black_box import NODE, Resit, Suites, alive, lines, pids, until

Own = Callable[..., Resit]

# The third of six tests waits for a file; each test leaves its name, so that executions can be counted.
SUITE = """
import os, pathlib, time, pytest
LOG = pathlib.Path(os.environ["LOG"])
@pytest.mark.parametrize("n", range(6))
def test_n(n):
    with LOG.open("a") as log: log.write(f"{n}\\n")
    if n == 2:
        with LOG.with_name("pids").open("a") as file: file.write(f"{os.getpid()}\\n")
        end = time.monotonic() + 60
        while not LOG.with_name("go").exists() and time.monotonic() < end: time.sleep(0.02)
    assert n != 4
"""
SUITE_JS = """
const { test, expect } = require('@playwright/test');
const fs = require('fs');
const path = require('path');
const LOG = process.env.LOG;
for (let n = 0; n < 6; n++) test(`n ${n}`, async () => {
  fs.appendFileSync(LOG, `${n}\\n`);
  if (n === 2) {
    fs.appendFileSync(path.join(path.dirname(LOG), 'pids'), `${process.ppid}\\n`);
    while (!fs.existsSync(path.join(path.dirname(LOG), 'go'))) await new Promise(r => setTimeout(r, 20));
  }
  expect(n).not.toBe(4);
});
"""
AS_USUAL = ["passed", "passed", "passed", "passed", "failed", "passed"]


def begin(resit: Resit, where: Path, log: Path, executor: str = "pytest", **more: object) -> tuple[int, int]:
    """A run whose third test waits, the first two being accounted for; the run and the pid of its process."""
    run = resit.trigger(resit.project(where, executor), variables={"LOG": str(log)}, **more)
    return run, waits(resit, run, log)


def waits(resit: Resit, run: int, log: Path) -> int:
    """The process of a run, when its third test waits and the first two are accounted for."""
    pid = pids(log.with_name("pids"))[0]
    until(lambda: resit.run(run)["counts"]["passed"] == 2, "the first results", 10)
    return pid


def go(log: Path) -> None:
    log.with_name("go").touch()


def outcomes(resit: Resit, run: int) -> list[str | None]:
    return [row["outcome"] for row in resit.tests(run).values()]


def sound(resit: Resit, run: int) -> None:
    """Every planned test has one final state and one counted last word, and the counts say the same."""
    counts = resit.run(run)["counts"]
    rows = resit.tests(run).values()
    assert len(rows) == counts["total"] == 6
    assert (counts["planned"], counts["running"]) == (0, 0)
    for row in rows:
        assert row["outcome"] is not None
        assert counts[row["outcome"]] == sum(other["outcome"] == row["outcome"] for other in rows)
        if row["outcome"] in ("passed", "failed"):
            assert len([r for r in row["results"] if r["counted"]]) == 1, row


@pytest.mark.parametrize("executor", ["pytest", pytest.param("playwright", marks=NODE)])
def test_the_test_process_is_killed(resit: Resit, suite: Suites, log: Path, executor: str) -> None:
    where = suite(SUITE) if executor == "pytest" else suite.playwright(SUITE_JS)
    run, pid = begin(resit, where, log, executor)
    os.kill(pid, signal.SIGKILL)
    done = resit.end(run)
    assert done["verdict"] == "failed"
    assert outcomes(resit, run) == ["passed", "passed", "errored", "passed", "failed", "passed"]
    row = list(resit.tests(run).values())[2]
    assert "SIGKILL" in row["reason"]
    assert sorted(lines(log)) == ["0", "1", "2", "3", "4", "5"]
    sound(resit, run)


@pytest.mark.thorough
def test_the_worker_is_killed(own: Own, suite: Suites, log: Path) -> None:
    resit = own()
    run, pid = begin(resit, suite(SUITE), log)
    killed, began = resit.worker, time.monotonic()
    os.kill(killed, signal.SIGKILL)
    until(lambda: not alive(pid), "the end of its tests", 5)
    until(lambda: lines(log).count("2") == 2, "the run goes on elsewhere", 20)
    print(f"it goes on after {time.monotonic() - began:.1f} s")
    go(log)
    assert resit.end(run)["verdict"] == "failed"
    assert outcomes(resit, run) == AS_USUAL
    sound(resit, run)
    # What was finished before is not executed again.
    assert lines(log).count("0") == lines(log).count("1") == 1
    assert resit.worker != killed


@pytest.mark.thorough
def test_two_workers_are_killed(own: Own, suite: Suites, log: Path) -> None:
    resit = own()
    run, _ = begin(resit, suite(SUITE), log)
    os.kill(resit.worker, signal.SIGKILL)
    until(lambda: lines(log).count("2") == 2, "the run goes on elsewhere", 20)
    os.kill(resit.worker, signal.SIGKILL)
    done = resit.end(run)
    assert done["verdict"] == "failed"
    assert outcomes(resit, run) == ["passed", "passed", "lost", "lost", "lost", "lost"]
    assert "died" in list(resit.tests(run).values())[2]["reason"]
    sound(resit, run)
    # The lost are what "failed" takes up.
    go(log)
    again = resit.end(resit.rerun(run, "failed"))
    assert again["counts"]["total"] == 4


def test_the_worker_is_killed_while_it_plans(own: Own, suite: Suites, tmp_path: Path) -> None:
    resit = own()
    text = f"""
    import os, pathlib, time
    here = pathlib.Path({str(tmp_path)!r})
    first = not (here / "pids").exists()
    if first:
        (here / "pids").write_text(f"{{os.getpid()}}\\n")
        time.sleep(600)
    def test_a(): pass
    """
    run = resit.trigger(resit.project(suite(text)))
    running = pids(tmp_path / "pids")
    os.kill(resit.worker, signal.SIGKILL)
    until(lambda: not alive(running[0]), "the end of the listing", 5)
    assert resit.end(run, 30)["verdict"] == "passed"


def test_the_broker_is_killed(own: Own, suite: Suites, log: Path) -> None:
    resit = own()
    run, _ = begin(resit, suite(SUITE), log)
    killed = resit.broker
    os.kill(killed, signal.SIGKILL)
    go(log)
    # Asked for while the broker is away or just back.
    second = resit.trigger(resit.project(suite("def test_a(): pass\n")))
    assert resit.end(run)["verdict"] == "failed"
    assert outcomes(resit, run) == AS_USUAL
    assert sorted(lines(log)) == ["0", "1", "2", "3", "4", "5"]
    sound(resit, run)
    assert resit.end(second)["verdict"] == "passed"
    assert resit.broker != killed


@pytest.mark.thorough
def test_the_server_is_killed(own: Own, suite: Suites, log: Path) -> None:
    resit = own()
    run, pid = begin(resit, suite(SUITE), log)
    before, orphans = resit.tests(run), {resit.worker, resit.broker}
    resit.kill()
    resit.start()
    go(log)
    assert resit.end(run)["verdict"] == "failed"
    assert outcomes(resit, run) == AS_USUAL
    sound(resit, run)
    assert lines(log).count("0") == lines(log).count("1") == 1
    assert [row["id"] for row in before.values()] == list(resit.tests(run))
    until(lambda: not any(alive(orphan) for orphan in orphans | {pid}), "the end of the orphans", 15)
    # And it works on as before.
    assert resit.execute(resit.project(suite("def test_a(): pass\n")))["verdict"] == "passed"


@pytest.mark.thorough
def test_all_is_killed_at_once(own: Own, suite: Suites, log: Path) -> None:
    """As when the machine loses its power."""
    resit = own()
    run, pid = begin(resit, suite(SUITE), log)
    for part in (resit.worker, resit.broker, resit.pid):
        os.kill(part, signal.SIGKILL)
    assert resit.process is not None
    resit.process.wait(5)
    until(lambda: not alive(pid), "the end of the tests", 5)
    resit.start()
    until(lambda: lines(log).count("2") == 2, "the run goes on", 30)
    go(log)
    assert resit.end(run)["verdict"] == "failed"
    assert outcomes(resit, run) == AS_USUAL
    sound(resit, run)
    assert len(resit.leftovers()) >= 1


def test_the_server_ends_politely_in_mid_run(own: Own, suite: Suites, log: Path) -> None:
    resit = own()
    slug = resit.project(suite(SUITE))
    watching = resit.begin("run", slug, "--var", f"LOG={log}", "--wait", "--json")
    pid = pids(log.with_name("pids"))[0]
    run = resit.get("/runs", project=slug)["items"][0]["id"]
    waits(resit, run, log)
    took = resit.terminate()
    print(f"it ended within {took:.1f} s")
    assert not alive(pid)
    assert not resit.leftovers()
    resit.start()
    until(lambda: lines(log).count("2") == 2, "the run goes on", 20)
    go(log)
    assert resit.end(run)["verdict"] == "failed"
    assert outcomes(resit, run) == AS_USUAL
    sound(resit, run)
    assert lines(log).count("0") == lines(log).count("1") == 1
    # Who followed the run through all this has seen its end.
    watched = watching.done()
    assert (watched.code, watched.json["verdict"]) == (1, "failed")
