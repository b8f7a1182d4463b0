"""Our executors keep the contract that third parties' must keep."""

import os
import sys
from pathlib import Path

import pytest

from resit.executors.playwright import PlaywrightExecutor
from resit.executors.pytest import PytestExecutor
from resit.plugin import Suite
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
        files = {"pytest.ini": "[pytest]\n", "tests/test_one.py": one, "tests/test_two.py": two}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return suite_of(tmp_path, files, PATH=path, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")


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
        config = "module.exports = { testDir: './tests', reporter: 'line' };\n"
        made = suite_of(tmp_path, {"playwright.config.js": config, "tests/one.spec.js": one, "tests/two.spec.js": two})
        (made.root / "node_modules").symlink_to(NODE_MODULES)
        return made
