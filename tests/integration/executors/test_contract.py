"""Our executors keep the contract that third parties' must keep."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from resit.executors.playwright import PlaywrightExecutor
from resit.executors.pytest import PytestExecutor
from resit.plugin import Executor, Suite
from resit.testing.executors import ExecutorContract

NODE_MODULES = Path(__file__).parents[2] / "node" / "node_modules"


def suite_of(folder: Path, files: dict[str, str], **env: str) -> Suite:
    """Write a suite."""
    root = folder / "checkout"
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for name in ("scratch", "cache"):
        (folder / name).mkdir()
    base = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return Suite(root, root, {**base, **env}, folder / "scratch", folder / "cache")


class TestPytest(ExecutorContract):
    @pytest.fixture
    def executor(self) -> PytestExecutor:
        return PytestExecutor()

    @pytest.fixture
    def suite(self, tmp_path: Path) -> Suite:
        one = "import time\ndef test_passes(): pass\ndef test_hangs(): time.sleep(600)\ndef test_fails(): assert 0\n"
        two = "import pytest\n@pytest.mark.parametrize('x', [1, 2])\ndef test_passes_too(x): pass\n"
        two += "def test_skips(): pytest.skip('not today')\n"
        two += "tries = []\n@pytest.mark.flaky(reruns=1)\ndef test_flaky(): tries.append(1); assert len(tries) == 2\n"
        files = {
            "pytest.ini": "[pytest]\naddopts = -p pytest_rerunfailures\n",
            "tests/test_one.py": one,
            "tests/test_two.py": two,
        }
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return suite_of(tmp_path, files, PATH=path, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")


CHECKS = Path(__file__).parents[3] / "docs" / "howto" / "write-an-executor.md"


class TestThirdParty(ExecutorContract):
    """The executor that the documentation shows: it knows nothing of limits."""

    keeps_limits = False

    @pytest.fixture
    def executor(self) -> Executor:
        code = CHECKS.read_text().partition("```python\n")[2].partition("\n\n# Tried without a server")[0]
        names: dict[str, Any] = {}
        exec(compile(code, str(CHECKS), "exec"), names)  # noqa: S102 - our own words
        return names["CheckExecutor"]()

    @pytest.fixture
    def suite(self, tmp_path: Path) -> Suite:
        files = {
            "passes.check": "true",
            "passes-too.check": "true",
            "fails.check": "exit 3",
            "hangs.check": "sleep 600",
            "skips.check": "exit 77",
        }
        return suite_of(tmp_path, files)


@pytest.mark.node
@pytest.mark.skipif(not (NODE_MODULES / "@playwright" / "test").exists(), reason="npm ci in tests/node")
class TestPlaywright(ExecutorContract):
    @pytest.fixture
    def executor(self) -> PlaywrightExecutor:
        return PlaywrightExecutor()

    @pytest.fixture
    def suite(self, tmp_path: Path) -> Suite:
        head = "const { test, expect } = require('@playwright/test');\n"
        one = head + "test('passes', async () => {});\ntest('fails', async () => { expect(1).toBe(2); });\n"
        one += "test('hangs', async () => { test.setTimeout(0); await new Promise(() => {}); });\n"
        two = head + "test('passes too', async () => {});\ntest.skip('skips', async () => {});\n"
        two += "test.describe('again', () => { test.describe.configure({ retries: 1 });\n"
        two += "  test('flaky', async ({}, info) => { expect(info.retry).toBe(1); }); });\n"
        config = "module.exports = { testDir: './tests', reporter: 'line' };\n"
        made = suite_of(tmp_path, {"playwright.config.js": config, "tests/one.spec.js": one, "tests/two.spec.js": two})
        (made.root / "node_modules").symlink_to(NODE_MODULES)
        return made
