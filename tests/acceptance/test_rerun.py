"""A re-run is a new run of exactly what was asked for; its source stays byte for byte what it was."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from black_box import Resit, Suites, lines, needs_node

MARKED = """
import os, pathlib, pytest, sys
LOG = pathlib.Path(os.environ["LOG"])
FIXED = LOG.with_name("fixed")

@pytest.fixture(autouse=True)
def mark(request):
    with LOG.open("a") as log:
        log.write(request.node.nodeid.replace("\\n", "|") + "\\n")

def test_good(): print("some words")
def test_bad(): assert FIXED.exists(), "not fixed"
@pytest.mark.parametrize("value", ["a b", "x::y", "[z]", "a/b", "it's", "\\"q\\"", "é", "日本", "-k", ""])
def test_odd(value): assert FIXED.exists() or value in ("é", "a/b")
@pytest.fixture
def broken(): assert FIXED.exists(), "no fixture"
def test_errs(broken): pass
@pytest.mark.skip(reason="later")
def test_skips(): pass
"""

MARKED_JS = """
const { test, expect } = require('@playwright/test');
const fs = require('fs');
const fixed = () => fs.existsSync(process.env.LOG + '.fixed');
test.beforeEach(({}, info) => fs.appendFileSync(process.env.LOG, info.titlePath.slice(1).join(' > ') + '\\n'));
test('good', () => {});
test('a › b', () => { expect(fixed()).toBe(true); });
test('trailing blank ', () => { expect(fixed()).toBe(true); });
test('ümläut "q" [x] (y) $ ^', () => { expect(fixed()).toBe(true); });
test.describe('same', () => { test('twice', () => {}); });
test.describe('other', () => { test('twice', () => { expect(fixed()).toBe(true); }); });
"""


def photograph(resit: Resit, run: int) -> dict[str, bytes]:
    """Every read of a run, byte by byte."""
    paths = [f"/runs/{run}", f"/runs/{run}/tests?limit=1000", f"/runs/{run}/artifacts", f"/runs/{run}/logs"]
    paths += [f"/runs/{run}/logs/{part['shard']}" for part in resit.get(f"/runs/{run}/logs")["items"]]
    paths += [f"/artifacts/{artifact['id']}" for artifact in resit.get(f"/runs/{run}/artifacts")["items"]]
    seen = {path: resit.http.get(path).content for path in paths}
    seen["events"] = resit.http.get(f"/runs/{run}/events").content
    seen["show"] = resit.cli("show", str(run), "--tests", "--json").out.encode()
    return seen


def failed(resit: Resit, run: int) -> list[str]:
    return sorted(test for test, row in resit.tests(run).items() if row["outcome"] in ("failed", "errored"))


def test_a_rerun_executes_what_failed_and_nothing_else(resit: Resit, suite: Suites, log: Path) -> None:
    slug = resit.project(suite(MARKED))
    first = resit.execute(slug, variables={"LOG": str(log)}, build={"url": "https://build.example"})
    red = failed(resit, first["id"])
    assert len(red) == first["counts"]["failed"] + first["counts"]["errored"] == 10
    assert first["counts"]["total"] == len(lines(log)) + 1 == 14
    before = photograph(resit, first["id"])
    log.unlink()

    done = resit.cli("rerun", str(first["id"]), "--failed", "--reason", "a second look", "--wait", "--json")
    second = done.json
    assert (done.code, second["verdict"]) == (1, "failed")
    assert (second["source_run_id"], second["selection"], second["reason"]) == (first["id"], "failed", "a second look")
    assert second["build"]["url"] == "https://build.example"
    assert sorted(lines(log)) == red == sorted(resit.tests(second["id"]))
    assert photograph(resit, first["id"]) == before

    # Again, of the re-run: fixed meanwhile.
    (log.parent / "fixed").touch()
    log.unlink()
    middle = photograph(resit, second["id"])
    done = resit.cli("rerun", second["short_id"], "--failed", "--wait", "--json")
    third = done.json
    assert (done.code, third["verdict"], third["source_run_id"]) == (0, "passed", second["id"])
    assert sorted(lines(log)) == red
    assert photograph(resit, first["id"]) == before
    assert photograph(resit, second["id"]) == middle
    lineage = resit.get(f"/runs/{third['id']}/lineage")
    assert [run["id"] for run in lineage["runs"]] == [first["id"], second["id"], third["id"]]
    assert lineage["effective_verdict"] == "passed"

    # Of a green run nothing failed.
    refused = resit.cli("rerun", str(third["id"]), "--failed")
    assert refused.code == 65
    assert "nothing failed" in refused.said
    assert resit.get("/runs", project=slug)["items"][0]["id"] == third["id"]


def test_chosen_tests_and_all_tests(resit: Resit, suite: Suites, log: Path) -> None:
    first = resit.execute(resit.project(suite(MARKED)), variables={"LOG": str(log)})["id"]
    everything = sorted(lines(log))
    chosen = ["test_it.py::test_odd[x::y]", "test_it.py::test_odd[-k]", "test_it.py::test_odd[a/b]"]
    assert set(chosen) <= set(everything)
    before = photograph(resit, first)
    log.unlink()
    by_name = resit.cli("rerun", str(first), *(f"--test={test}" for test in chosen), "--wait", "--json").json
    assert by_name["selection"] == "chosen"
    assert sorted(lines(log)) == sorted(chosen)
    log.unlink()
    by_case = resit.end(resit.rerun(first, "chosen", tests=[resit.tests(first)[test]["case_id"] for test in chosen]))
    assert sorted(lines(log)) == sorted(chosen) == sorted(resit.tests(by_case["id"]))
    log.unlink()
    resit.end(resit.rerun(first))
    assert sorted(lines(log)) == everything
    assert photograph(resit, first) == before
    unknown = resit.cli("rerun", str(first), "--test", chosen[0], "test_it.py::test_gone")
    assert unknown.code == 65
    assert "test_gone" in unknown.said


@needs_node
def test_a_playwright_rerun_executes_what_failed_and_nothing_else(resit: Resit, suite: Suites, log: Path) -> None:
    slug = resit.project(suite.playwright(MARKED_JS), "playwright")
    first = resit.execute(slug, variables={"LOG": str(log)})["id"]
    red = sorted(
        row["title"].replace(" › ", " > ") for row in resit.tests(first).values() if row["outcome"] == "failed"
    )
    assert len(red) == 4
    before = photograph(resit, first)
    log.unlink()
    second = resit.end(resit.rerun(first, "failed"))
    assert sorted(line.replace(" › ", " > ") for line in lines(log)) == red
    Path(f"{log}.fixed").touch()
    log.unlink()
    third = resit.end(resit.rerun(second["id"], "failed"))
    assert third["verdict"] == "passed"
    assert sorted(line.replace(" › ", " > ") for line in lines(log)) == red
    assert photograph(resit, first) == before


def test_what_failed_in_an_open_run_is_not_known_yet(resit: Resit, suite: Suites, tmp_path: Path) -> None:
    wait = "import pathlib, time\ndef test_a(): assert 0\ndef test_waits():\n"
    wait += f"    while not pathlib.Path({str(tmp_path / 'go')!r}).exists(): time.sleep(0.05)\n"
    first = resit.trigger(resit.project(suite(wait)))
    refused = resit.cli("rerun", str(first), "--failed")
    (tmp_path / "go").touch()
    assert refused.code == 65
    assert "still" in refused.said
    assert resit.end(first)["verdict"] == "failed"


def test_an_idempotency_key_makes_one_run(resit: Resit, suite: Suites) -> None:
    slug = resit.project(suite("def test_a(): assert 0\n"))
    key = uuid4().hex
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: resit.post(f"/projects/{slug}/runs", {}, Idempotency_Key=key)["id"], range(8)))
    assert len(set(made)) == 1
    other = resit.http.post(f"/projects/{slug}/runs", json={"reason": "x"}, headers={"Idempotency-Key": key})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    resit.end(made[0])
    again = [resit.post(f"/runs/{made[0]}/rerun", {}, Idempotency_Key=f"{key}2")["id"] for _ in range(2)]
    assert len(set(again)) == 1
    assert len(resit.get("/runs", project=slug)["items"]) == 2


@pytest.mark.thorough
def test_twenty_reruns_at_once_are_all_made(resit: Resit, suite: Suites, log: Path) -> None:
    text = "import os\ndef test_a():\n    with open(os.environ['LOG'], 'a') as log: log.write('x\\n')\n"
    slug = resit.project(suite(text))
    first = resit.execute(slug, variables={"LOG": str(log)})
    with ThreadPoolExecutor(20) as pool:
        made = list(pool.map(lambda _: resit.rerun(first["id"]), range(20)))
    assert len(set(made)) == 20
    assert {resit.end(run, 120)["verdict"] for run in made} == {"passed"}
    assert len(lines(log)) == 21
    assert len(resit.get(f"/runs/{first['id']}/lineage")["runs"]) == 21
