"""The page in a real browser, on a server with real runs of a suite that means harm."""

import json
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from black_box import BROWSER, NODE, NODE_MODULES, Resit, Suites

pytestmark = NODE
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAoAAAAFCAIAAADzBuo/AAAAEklEQVR4nGP4z8CAB+GTG8HSALfKY52fTcuYAAAAAElFTkSuQmCC"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
SUITE = """
const { test, expect } = require('@playwright/test');
const fs = require('fs');
test('passes', async () => {});
test('fails with files', async ({}, info) => {
  const file = info.outputPath('shot.png');
  fs.writeFileSync(file, Buffer.from('PNG', 'base64'));
  await info.attach('screenshot', { path: file, contentType: 'image/png' });
  await info.attach('HOSTILE.html', { body: 'HOSTILE', contentType: 'text/html' });
  await info.attach('a.svg', { body: '<svg onload="alert(3)"/>', contentType: 'image/svg+xml' });
  expect('apples').toBe('pears');
});
test('HOSTILE', async () => { console.log('HOSTILE \\u001b[31mred\\u001b[0m'); throw new Error('HOSTILE'); });
for (let n = 0; n < 12; n++) test(`slow ${n}`, async () => { await new Promise(done => setTimeout(done, 400)); });
""".replace("'PNG'", f"'{PNG}'").replace("HOSTILE", HOSTILE)
CONFIG = "module.exports = { workers: 1, use: { trace: 'on' } };"


@pytest.mark.skipif(
    not BROWSER and not os.environ.get("CI"), reason="no Chromium here: make setup brings one on Linux, else install it"
)
def test_a_person_looks_understands_and_acts(own: Callable[..., Resit], suite: Suites) -> None:
    assert BROWSER, (
        "no Chromium: the tests of the page need one (make setup brings one on Linux x64; else: apt install chromium)"
    )
    resit = own()
    folder = suite.playwright({"a.spec.js": SUITE}, CONFIG)
    resit.post("/projects", {"slug": "shop", "source": str(folder), "executor": "playwright"})
    nightly = {"name": "nightly", "cron": "0 6 * * mon-fri", "zone": "Europe/Berlin", "run": {"tags": ["smoke"]}}
    resit.post("/projects/shop/schedules", nightly)
    until = (datetime.now(UTC) + timedelta(days=7)).isoformat()
    resit.post("/projects/shop/snoozes", {"tests": ["gone"], "until": until, "description": HOSTILE})
    resit.post("/projects/shop/webhooks", {"url": "https://ci.example.org/resit", "events": ["test_run.ended"]})
    link = resit.cli("link").out.strip()
    pictures = os.environ.get("RESIT_PICTURES", "")
    if pictures:
        Path(pictures).mkdir(parents=True, exist_ok=True)
    command = ["node", str(Path(__file__).with_name("page_browser.cjs")), BROWSER, link, pictures]
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "MODULES": str(NODE_MODULES)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert "Nothing has run yet" in said["empty"]
    assert "of 15 tests done" in said["during"]
    assert "FAILED\n2 failed, 13 passed" in said["head"]
    assert sorted(said["cells"]) == sorted("ff" + "p" * 13)
    assert "apples" in said["failure"]
    assert said["picture"] == 10
    assert ":" in said["tip"]
    assert said["traceOrigin"] != resit.url
    assert "2 failed" in said["againHead"]
    assert "failed again" in said["tree"]
    assert "failed again" in said["list"][0]
    assert len(said["list"]) == 2
    assert said["untouched"]
    assert (said["searching"], said["help"]) == ("q", True)
    assert said["log"].endswith("lines")
    # What the suite wrote did nothing, nothing came from elsewhere, and little was sent.
    assert said["dialogs"] == said["foreign"] == said["errors"] == []
    assert said["bytes"] < 300_000
    assert said["axe"] == {}
    assert said["wide"] == []
