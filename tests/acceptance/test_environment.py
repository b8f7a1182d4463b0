"""What reaches a test: what its environment says and nothing of the machine's; and secrets reach nobody else."""

import json
import os
import re
from pathlib import Path

import pytest
from black_box import NODE, STRAYS, Resit, Suites, lines, pids, until

SECRET = 's3cr3t-"q"-🔑-7d1f'
SECRET_LINES = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nKkzJ8aXyQp3vTn5LwR2e\n-----END KEY-----"

TELLS = """
import json, os
def test_tells():
    with open(os.environ["OUT"], "w") as file: json.dump(dict(os.environ), file)
"""
TELLS_JS = """
const { test } = require('@playwright/test');
test('tells', () => require('fs').writeFileSync(process.env.OUT, JSON.stringify(process.env)));
"""


@pytest.mark.parametrize("executor", ["pytest", pytest.param("playwright", marks=NODE)])
def test_a_clean_environment_and_whose_word_wins(resit: Resit, suite: Suites, tmp_path: Path, executor: str) -> None:
    slug = resit.project(suite(TELLS) if executor == "pytest" else suite.playwright(TELLS_JS), executor)
    out = tmp_path / "out.json"
    added = resit.cli(
        *("env", "add", slug, "staging", "--var", "BASE=https://staging", "--var", "FROM=environment"),
        *("--var", f"OUT={out}", "--secret", f"KEY={SECRET}", "--secret", "OTHER=hidden-as-well"),
    )
    assert added.code == 0, added.said
    options = ("--env", "staging", "--build-url", "https://build", "--var", "FROM=run", "OTHER=seen", "--var=ODD=a=b c")
    done = resit.cli("run", slug, *options, "--wait", "--json")
    assert done.code == 0, done.said
    told = json.loads(out.read_text())
    assert told["BASE"] == "https://staging"
    assert told["FROM"] == "run"
    assert told["OTHER"] == "seen"
    assert told["ODD"] == "a=b c"
    assert told["BUILD_URL"] == "https://build"
    assert told["KEY"] == SECRET
    # CI and FORCE_COLOR: nothing of ours, but Playwright sets FORCE_COLOR for its workers itself.
    own_to_framework = {"FORCE_COLOR"} if executor == "playwright" else set()
    for name in STRAYS.keys() - own_to_framework:
        assert told.get(name) != STRAYS[name], name
    assert {"NO_PROXY", "CI", "PYTHONPATH", "PYTEST_ADDOPTS", "NODE_OPTIONS"}.isdisjoint(told)
    assert told["HOME"] != os.environ.get("HOME")
    until(
        lambda: not Path(told["HOME"]).exists() and not Path(told["TMPDIR"]).exists(), "private folders are removed", 5
    )
    assert str(resit.data) not in json.dumps(
        {k: v for k, v in told.items() if not k.startswith(("RESIT_", "PW", "PLAYWRIGHT"))}
    )
    assert not [v for v in told.values() if resit.token in v]
    assert told["PATH"].split(":")[0] != str(Path(os.environ.get("VIRTUAL_ENV", "/none"), "bin"))


LEAKS = """
import os, sys, pytest, pathlib, time, warnings
KEY = os.environ["KEY"]
PEM = os.environ["PEM"]
def test_prints(): print("key", KEY); print(PEM); sys.stderr.write(KEY + "\\n")
def test_fails(): print(KEY); assert KEY == PEM, f"with {KEY}"
def test_raises(): raise ValueError(PEM)
@pytest.mark.skip(reason=KEY)
def test_skips(): pass
def test_logs(): os.write(2, KEY.encode() + b"\\n"); os.system('echo $KEY; echo "$PEM"')
def test_waits():
    with open(os.environ["PIDS"], "w") as file: file.write(f"{os.getpid()}\\n")
    end = time.monotonic() + 30
    while not pathlib.Path(os.environ["PIDS"] + ".go").exists() and time.monotonic() < end: time.sleep(0.02)
"""
LEAKS_JS = """
const { test, expect } = require('@playwright/test');
const KEY = process.env.KEY, PEM = process.env.PEM;
test('prints', async ({}, info) => {
  console.log(KEY); console.error(PEM);
  await info.attach('note', { body: `a ${KEY} b ${PEM}`, contentType: 'text/plain' });
  await info.attach('data', { body: JSON.stringify({ key: KEY }), contentType: 'application/json' });
});
test('fails', () => { expect(KEY, `with ${KEY}`).toBe(PEM); });
"""


@pytest.mark.parametrize("executor", ["pytest", pytest.param("playwright", marks=NODE)])
def test_a_secret_reaches_the_test_and_nobody_else(resit: Resit, suite: Suites, tmp_path: Path, executor: str) -> None:
    where = suite(LEAKS) if executor == "pytest" else suite.playwright(LEAKS_JS)
    slug = resit.project(where, executor, setup='echo "setup $KEY"; echo "$PEM" >&2; true')
    resit.post(
        f"/projects/{slug}/environments",
        {"slug": "e", "secrets": {"KEY": SECRET, "PEM": SECRET_LINES}, "variables": {"PIDS": str(tmp_path / "pids")}},
    )
    run = resit.trigger(slug, environment="e")
    if executor == "pytest":
        pids(tmp_path / "pids")
        nobody_says(arguments())
        kept = {name: data for name, data in stored(resit).items() if name.startswith(("nats", "resit.db"))}
        assert len(kept) > 5
        nobody_says(kept)
        (tmp_path / "pids.go").touch()
    done = resit.end(run)
    assert done["counts"]["failed"] == (2 if executor == "pytest" else 1)
    said = {path: resit.http.get(path).text for path in (f"/projects/{slug}", f"/runs/{run}", f"/runs/{run}/events")}
    said["tests"] = json.dumps(resit.get(f"/runs/{run}/tests"), ensure_ascii=False)
    said["logs"] = resit.logs(run)
    for artifact in resit.get(f"/runs/{run}/artifacts")["items"]:
        said[artifact["name"]] = resit.http.get(f"/artifacts/{artifact['id']}").text
    assert "***" in said["logs"]
    assert "***" in said["tests"]
    assert len(said) > 5, "there are attachments"
    said["show"] = resit.cli("show", str(run), "--tests", "--json").out
    said["project"] = resit.cli("project", "show", slug, "--json").out
    said["command"] = resit.cli("logs", str(run)).out
    said["server"] = resit.log()
    nobody_says({name: text.encode() for name, text in said.items()})
    until(lambda: not list((resit.data / "worker" / "scratch").glob("*/*")), "what tests left is removed", 5)
    nobody_says(stored(resit))


def nobody_says(what: dict[str, bytes]) -> None:
    """No text holds a secret, as it is or as JSON has it; a line of one is as bad as all of it."""
    wanted = [SECRET.encode(), json.dumps(SECRET).encode()[1:-1], json.dumps(SECRET, ensure_ascii=False).encode()[1:-1]]
    wanted += [line.encode() for line in SECRET_LINES.splitlines()[1:3]]
    for name, text in what.items():
        for secret in wanted:
            at = text.find(secret)
            assert at < 0, f"{name} tells {text[max(0, at - 200) : at + 80]!r}"


def arguments() -> dict[str, bytes]:
    """What everybody on this machine may read of every process."""
    found: dict[str, bytes] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            found[entry.name] = (entry / "cmdline").read_bytes()
        except OSError:
            continue
    return found


def stored(resit: Resit) -> dict[str, bytes]:
    """Every file of the data folder: database, broker, worker, artifacts."""
    found: dict[str, bytes] = {}
    for path in resit.data.rglob("*"):
        try:
            if path.is_file() and not path.is_symlink():
                found[str(path.relative_to(resit.data))] = path.read_bytes()
        except OSError:
            continue
    return found


def test_what_the_operator_alone_may_read(resit: Resit) -> None:
    assert (resit.data.stat().st_mode & 0o777) == 0o700
    for name in ("admin-token", "secret.key", "worker.json"):
        assert (resit.data / name).stat().st_mode & 0o777 == 0o600, name
    assert re.fullmatch(r"\S{20,}", lines(resit.data / "admin-token")[0])
