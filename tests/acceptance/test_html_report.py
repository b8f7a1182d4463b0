"""The HTML report of finished runs: made by real workers with real Playwright, read by a real browser."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from black_box import NODE, NODE_MODULES, Resit, Suites, until

Own = Callable[..., Resit]
pytestmark = NODE
BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or ""
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
