"""Cancel: what runs is gone within five seconds, what was found out is kept, and nothing that is cancelled is green."""

import socket
import time
from pathlib import Path
from typing import Any

import pytest
from black_box import NODE, Resit, Suites, alive, lines, needs_node, pids, until

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
    until(lambda: resit.run(run)["counts"]["passed"] == 1, "the first result", 10)

    began = time.monotonic()
    resit.post(f"/runs/{run}/cancel")
    took = gone(running, began)
    print(f"{executor}: gone after {took:.2f} s")
    assert took < BOUND

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


# Two lanes that note when they were asked to end; a third test does not care.
TOLD = """
import os, time
def note(name):
    with open(os.environ["TOLD"], "a") as file: file.write(f"{name} {time.time()}\\n")
def test_first(): pass
def test_long():
    with open(os.environ["PIDS"], "a") as file: file.write(f"{os.getpid()}\\n")
    try: time.sleep(600)
    except KeyboardInterrupt: note("told"); raise
"""
DEAF = """
import os, signal, time
def test_deaf():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with open(os.environ["PIDS"], "a") as file: file.write(f"{os.getpid()}\\n")
    time.sleep(600)
"""


def test_all_lanes_are_told_at_once_and_the_deaf_are_killed(resit: Resit, suite: Suites, tmp_path: Path) -> None:
    where = suite({"test_told.py": TOLD, "test_deaf.py": DEAF})
    told = tmp_path / "told"
    variables = {"PIDS": str(tmp_path / "pids"), "TOLD": str(told)}
    run = resit.trigger(resit.project(where), variables=variables, shards=2)
    running = pids(tmp_path / "pids", 2)
    until(lambda: resit.run(run)["counts"]["passed"] == 1, "the first result", 10)
    asked, began = time.time(), time.monotonic()
    resit.post(f"/runs/{run}/cancel", {"reason": "wrong branch"})
    took = gone(running, began)
    heard = float(lines(told)[0].split()[1]) - asked
    print(f"told after {heard:.2f} s, gone after {took:.2f} s")
    assert heard < 1.0 + 0.5  # the request itself is part of it
    assert took < BOUND
    # What was cut off says why; it is kept, and changes no outcome.
    rows = {row["title"]: row for row in resit.tests(run).values()}
    until(lambda: results(resit, run, "test_long"), "the last word of what was cut off", 5)
    (cut,) = results(resit, run, "test_long")
    assert (cut["status"], cut["counted"]) == ("interrupted", False)
    assert cut["failures"][0]["message"].startswith("interrupted: cancelled by ")
    assert cut["failures"][0]["message"].endswith(": wrong branch")
    assert rows["test_first"]["outcome"] == "passed"
    assert rows["test_long"]["outcome"] == rows["test_deaf"]["outcome"] == "cancelled"


def results(resit: Resit, run: int, title: str) -> list[dict[str, Any]]:
    return next(row["results"] for row in resit.tests(run).values() if row["title"] == title)


def attached(resit: Resit, run: int, title: str, name: str) -> list[dict[str, Any]]:
    """The file of that name of a test's last result, once it is announced."""
    return [file for one in results(resit, run, title)[-1:] for file in one["attachments"] if file["name"] == name]


@needs_node
def test_what_finished_keeps_its_files(resit: Resit, suite: Suites, tmp_path: Path) -> None:
    text = """
        const { test } = require('@playwright/test');
        const fs = require('fs');
        test.setTimeout(600000);
        test('first', async ({}, info) => {
          await info.attach('large', { body: Buffer.alloc(8 << 20, 'x'), contentType: 'text/plain' });
        });
        test('long', async ({}, info) => {
          await info.attach('half', { body: 'as far as it came', contentType: 'text/plain' });
          fs.writeFileSync(process.env.PIDS, `${process.pid}\\n`);
          await new Promise(() => {});
        });
        """
    run = resit.trigger(resit.project(suite.playwright(text), "playwright"), variables={"PIDS": str(tmp_path / "pids")})
    running = pids(tmp_path / "pids")
    resit.post(f"/runs/{run}/cancel")
    gone(running, time.monotonic())
    # Both were handed in after the run was over.
    for title, name, size in (("first", "large", 8 << 20), ("long", "half", 17)):
        (file,) = until(lambda title=title, name=name: attached(resit, run, title, name), f"{name} of {title}", 20)
        until(lambda file=file: resit.http.get(f"/artifacts/{file['id']}").status_code == 200, f"{name} is stored", 10)
        assert len(resit.http.get(f"/artifacts/{file['id']}").content) == size


def test_while_its_suite_is_opened(resit: Resit, suite: Suites, tmp_path: Path) -> None:
    """The question which pytest there is takes for ever."""
    where = suite("def test_a(): pass\n")
    python = where / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\necho $$ > {tmp_path / 'pids'}\nsleep 604\n")
    python.chmod(0o755)
    run = resit.trigger(resit.project(where))
    running = pids(tmp_path / "pids")
    began = time.monotonic()
    resit.post(f"/runs/{run}/cancel")
    assert gone(running, began) < BOUND


def test_while_its_repository_is_fetched(resit: Resit, suite: Suites, tmp_path: Path) -> None:
    """Git waits for a server that never answers."""
    del suite
    with socket.create_server(("127.0.0.1", 0)) as server:
        run = resit.trigger(resit.project(f"http://127.0.0.1:{server.getsockname()[1]}/nobody/suite.git"))
        connection, _ = server.accept()
        with connection:
            began = time.monotonic()
            resit.post(f"/runs/{run}/cancel")
            connection.settimeout(BOUND)
            while connection.recv(4096):
                pass  # the request, and then the end of git
            print(f"git was gone after {time.monotonic() - began:.2f} s")
    assert time.monotonic() - began < BOUND


def test_a_run_that_takes_the_place_of_another_is_named(resit: Resit, suite: Suites, tmp_path: Path) -> None:
    slug = resit.project(suite(TOLD))
    variables = {"PIDS": str(tmp_path / "pids"), "TOLD": str(tmp_path / "told")}
    group = {"group": "main", "on_conflict": "cancel"}
    first = resit.trigger(slug, variables=variables, concurrency=group)
    running = pids(tmp_path / "pids")
    second = resit.trigger(slug, variables=variables, concurrency=group)
    gone(running, time.monotonic())
    until(lambda: results(resit, first, "test_long"), "the last word of what was cut off", 5)
    words = results(resit, first, "test_long")[0]["failures"][0]["message"]
    assert words == f"interrupted: superseded by run {second}"
    resit.post(f"/runs/{second}/cancel")
