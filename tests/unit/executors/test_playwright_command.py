"""How Playwright is called: by version, by what the suite's environment says, and for which files."""

import json
import re
from pathlib import Path

import pytest

from resit.domain.plan import PlannedTest
from resit.executors import playwright_command as command
from resit.plugin import Suite

TESTS = (
    PlannedTest("1", "a (b)/x.spec.ts", ("one",), "web"),
    PlannedTest("2", "a (b)/x.spec.ts", ("two",), "web"),
    PlannedTest("3", "$y.spec.ts", ("three",), "api"),
)


def installed(version: str) -> command.Installation:
    return command.Installation(Path("/cli.js"), version, "/bin/node")


def suite(folder: Path, **env: str) -> Suite:
    return Suite(folder, folder, env, folder / "scratch", folder / "cache", "my.config.ts")


def arguments(folder: Path, version: str, tests: tuple[PlannedTest, ...] = TESTS) -> list[str]:
    paths = command.Paths.new(folder / "scratch", installed(version).release)
    return command.run_command(suite(folder), installed(version), paths, tests, 3)


def test_the_reporter_is_added_the_documented_way_where_there_is_one(tmp_path: Path) -> None:
    new, old = installed("1.63.0"), installed("1.62.4")
    paths = command.Paths.new(tmp_path, new.release)
    assert f"--add-reporter={command.REPORTER}" in command.list_command(suite(tmp_path), new, paths)
    assert "PW_TEST_REPORTER" not in command.environment(suite(tmp_path), new, paths)
    assert not any("--add-reporter" in a for a in command.list_command(suite(tmp_path), old, paths))
    assert command.environment(suite(tmp_path), old, paths)["PW_TEST_REPORTER"] == str(command.REPORTER)
    assert command.REPORTER.is_file()


def test_selection_follows_the_version(tmp_path: Path) -> None:
    assert not any("last-failed" in a or "shard" in a for a in arguments(tmp_path, "1.62.0"))
    assert any(a.startswith("--last-failed-file=") for a in arguments(tmp_path, "1.61.1"))
    old = arguments(tmp_path, "1.60.0")
    assert "--last-failed" in old
    assert "--shard=1/1" in old
    assert not any(a.startswith("--last-failed-file") for a in old)


def test_the_last_run_file_lies_where_the_version_looks_for_it(tmp_path: Path) -> None:
    for version in ("1.44.1", "1.61.0"):
        paths = command.Paths.new(tmp_path / "scratch", installed(version).release)
        command.prepare(suite(tmp_path), installed(version), paths, TESTS)
        assert json.loads(paths.last_run.read_text())["failedTests"] == ["1", "2", "3"]
        assert (paths.last_run == paths.output / ".last-run.json") == (version == "1.44.1")
        settings = json.loads(paths.settings.read_text())
        assert (settings["mode"], settings["ids"]) == ("run", ["1", "2", "3"])


def test_lanes_projects_and_files_are_stated(tmp_path: Path) -> None:
    args = arguments(tmp_path, "1.65.1")
    assert args[:3] == ["/bin/node", "/cli.js", "test"]
    assert "--workers=3" in args
    assert "--config=my.config.ts" in args
    assert [a for a in args if a.startswith("--project")] == ["--project=api", "--project=web"]
    patterns = [a for a in args if a.startswith("^")]
    files = [tmp_path.resolve() / "a (b)/x.spec.ts", tmp_path.resolve() / "$y.spec.ts"]
    assert len(patterns) == 2
    for pattern, file in zip(patterns, files, strict=True):
        assert re.search(pattern, str(file))
        assert not re.search(pattern, f"{file}x")


def test_a_nameless_project_is_not_asked_for_by_name(tmp_path: Path) -> None:
    args = arguments(tmp_path, "1.65.1", (PlannedTest("1", "a.ts", ("t",)), TESTS[0]))
    assert not any(a.startswith("--project") for a in args)


def test_files_are_not_named_when_there_are_very_many(tmp_path: Path) -> None:
    tests = tuple(PlannedTest(str(n), f"{n}.spec.ts", ("t",)) for n in range(500))
    assert not any(a.startswith("^") for a in arguments(tmp_path, "1.65.1", tests))


def test_the_suites_own_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home/.cache/ms-playwright").mkdir(parents=True)
    monkeypatch.setattr(command, "_home", lambda: tmp_path / "home")
    new = installed("1.65.1")
    paths = command.Paths.new(tmp_path, new.release)
    env = command.environment(suite(tmp_path, A="b"), new, paths)
    assert env == {
        "A": "b",
        "PLAYWRIGHT_HTML_OPEN": "never",
        "PW_TEST_HTML_REPORT_OPEN": "never",
        "PWTEST_CACHE_DIR": str(tmp_path / "cache/playwright-transform/1.65.1"),
        "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path / "home/.cache/ms-playwright"),
        "RESIT_PLAYWRIGHT": str(paths.settings),
    }
    own = {"PLAYWRIGHT_HTML_OPEN": "always", "PLAYWRIGHT_BROWSERS_PATH": "0", "PWTEST_CACHE_DIR": "/c"}
    assert own.items() <= command.environment(suite(tmp_path, **own), new, paths).items()


def test_the_nearest_installation_counts(tmp_path: Path) -> None:
    def install(package: str, version: str) -> Path:
        folder = tmp_path / package
        folder.mkdir(parents=True)
        (folder / "cli.js").touch()
        (folder / "package.json").write_text(json.dumps({"version": version}))
        return folder / "cli.js"

    (tmp_path / "bin").mkdir()
    node = tmp_path / "bin/node"
    node.write_text("")
    node.chmod(0o755)
    work = tmp_path / "packages/web"
    work.mkdir(parents=True)
    place = Suite(tmp_path, work, {"PATH": str(node.parent)}, tmp_path / "s", tmp_path / "c")
    far = install("node_modules/@playwright/test", "1.50.0")
    assert command.find(place) == command.Installation(far, "1.50.0", str(node))
    component = install("packages/web/node_modules/@playwright/experimental-ct-react", "1.51.0")
    assert command.find(place).cli == component
    plain = install("packages/web/node_modules/playwright", "1.52.0-beta-1")
    assert (command.find(place).cli, command.find(place).release) == (plain, (1, 52))
