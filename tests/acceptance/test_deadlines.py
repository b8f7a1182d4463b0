"""Deadlines: what hangs is found, named with its place, and ended; the other tests of the run are executed."""

import time
from pathlib import Path

import pytest
from black_box import NODE, Resit, Suites, alive, pids, until

STALL = 2.0
WORDS = "no sign of life for 2 s: its process was ended (stall limit"

HANGS = """
import os, threading
def test_first(): pass
def test_hangs():
    with open(os.environ["PIDS"], "w") as file: file.write(f"{os.getpid()}\\n")
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
def test_last(): pass
"""
HANGS_JS = """
const { test } = require('@playwright/test');
const fs = require('fs');
test.setTimeout(0);
test('first', () => {});
test('hangs', async ({}, info) => {
  await info.attach('note', { body: 'kept', contentType: 'text/plain' });
  fs.writeFileSync(process.env.PIDS, `${process.pid}\\n`);
  await test.step('wait for nobody', () => new Promise(() => {}));
});
test('last', () => {});
"""


@pytest.mark.parametrize("executor", ["pytest", pytest.param("playwright", marks=NODE)])
def test_a_test_that_hangs_is_errored_and_the_others_are_executed(
    resit: Resit, suite: Suites, tmp_path: Path, executor: str
) -> None:
    where = suite(HANGS) if executor == "pytest" else suite.playwright(HANGS_JS)
    slug = resit.project(where, executor, stall_limit=STALL)
    began = time.monotonic()
    run = resit.execute(slug, variables={"PIDS": str(tmp_path / "pids")})
    print(f"{executor}: {time.monotonic() - began:.1f} s")
    assert run["verdict"] == "failed"
    rows = {row["title"].removeprefix("test_"): row for row in resit.tests(run["id"]).values()}
    assert {name: row["outcome"] for name, row in rows.items()} == {
        "first": "passed", "hangs": "errored", "last": "passed",
    }  # fmt: skip
    place = "it hung in test_it.py:8 (test_hangs)" if executor == "pytest" else "it hung in wait for nobody at it.spec"
    assert rows["hangs"]["reason"].startswith(WORDS)
    assert place in rows["hangs"]["reason"]
    assert WORDS in resit.logs(run["id"])
    if executor == "pytest":
        assert 'test_it.py", line 8 in test_hangs' in resit.logs(run["id"])
    else:
        assert [file["name"] for file in rows["hangs"]["results"][-1]["attachments"]] == ["note"]
    until(lambda: not any(alive(pid) for pid in pids(tmp_path / "pids")), "the end of the process", 5)
    # Errored is failed: it is run again with the rest that failed.
    again = resit.rerun(run["id"], "failed")
    until(lambda: len(resit.tests(again)) == 1, "the plan of the re-run", 20)
    resit.post(f"/runs/{again}/cancel")


def test_a_test_that_prints_for_ever_is_over_the_limit_of_its_batch(resit: Resit, suite: Suites) -> None:
    text = """
        import time
        def test_first(): pass
        def test_prints():
            while True: print("still here", flush=True); time.sleep(0.05)
        def test_last(): pass
        """
    where = suite({"test_it.py": text, "pytest.ini": "[pytest]\naddopts = -s\n"})
    slug = resit.project(where)
    done = resit.cli("project", "set", slug, "--batch-limit", "4s", "--stall-limit", "none", "--json")
    assert done.code == 0, done.said
    assert (done.json["batch_limit"], done.json["stall_limit"]) == (4.0, 0.0)
    began = time.monotonic()
    run = resit.execute(slug)
    took = time.monotonic() - began
    print(f"batch limit of 4 s: {took:.1f} s")
    assert took < 4 + 15  # listing and starting included
    assert run["verdict"] == "failed"
    assert resit.outcomes(run["id"]) == {"test_first": "passed", "test_prints": "errored", "test_last": "skipped"}
    rows = {row["title"]: row for row in resit.tests(run["id"]).values()}
    assert rows["test_prints"]["reason"].startswith("the batch took more than 4 s: its process was ended (batch limit")
    assert rows["test_last"]["did_not_run"]
    assert rows["test_last"]["reason"].startswith("left out: the batch took more than 4 s")


def test_a_listing_that_hangs_ends_the_run_and_says_where(resit: Resit, suite: Suites) -> None:
    run = resit.execute(resit.project(suite("import time\ntime.sleep(600)\ndef test_a(): pass\n"), stall_limit=STALL))
    assert run["verdict"] == "errored"
    assert run["error"]["code"] == "collection_failed"
    assert "it hung in test_it.py:2 (<module>)" in run["error"]["message"]


@pytest.mark.parametrize("limit", ["0.5s", "8d", "soon"])
def test_limits_that_make_no_sense_are_refused(resit: Resit, suite: Suites, limit: str) -> None:
    slug = resit.project(suite("def test_a(): pass\n"))
    done = resit.cli("project", "set", slug, "--stall-limit", limit)
    assert done.code in (64, 65)
    assert "stall" in done.said
