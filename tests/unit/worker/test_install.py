"""Which setup commands only install."""

import json
from pathlib import Path

import pytest

from resit.worker.install import installs_only


@pytest.mark.parametrize(
    "command",
    [
        "npm ci",
        "npm ci --no-audit --no-fund",
        "pnpm install --frozen-lockfile",
        "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt",
        "python3.11 -m venv .venv; .venv/bin/python -m pip install -q -r requirements.txt -r dev.txt",
        "pip install pytest==9.2.0 'requests>=2'",
        "pip install -e .[test]",
        "pip install -e '.[test]'",
        "uv sync --frozen",
        "uv venv .venv && uv pip install -r requirements.txt",
        "poetry install --no-root",
        "npm ci && npx playwright install chromium",
    ],
)
def test_installing(command: str, tmp_path: Path) -> None:
    assert installs_only(command, tmp_path, tmp_path)


@pytest.mark.parametrize(
    "command",
    [
        "",
        "npm ci && npm run build",
        "npm run build",
        "make",
        "pip install .",
        "pip install ./lib",
        "pip install -r requirements.txt | tee log",
        "pip install -r requirements.txt > log",
        "pip install $(cat list)",
        "npm ci & node build.js",
        "sh setup.sh",
        "python3 -m venv .venv && .venv/bin/python setup.py build",
    ],
)
def test_building_or_unknown(command: str, tmp_path: Path) -> None:
    assert not installs_only(command, tmp_path, tmp_path)


def test_a_package_that_builds_itself_at_its_installation(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text(json.dumps({"scripts": {"prepare": "tsc", "test": "x"}}))
    assert not installs_only("npm ci", tmp_path, tmp_path)
    (tmp_path / "package.json").write_text(json.dumps({"scripts": {"test": "x"}}))
    assert installs_only("npm ci", tmp_path, tmp_path)
    (tmp_path / "package.json").write_text("not json")
    assert not installs_only("npm ci", tmp_path, tmp_path)


def test_a_package_with_compiled_parts(tmp_path: Path) -> None:
    (tmp_path / "Cargo.toml").touch()
    assert not installs_only("pip install -e .", tmp_path, tmp_path)
