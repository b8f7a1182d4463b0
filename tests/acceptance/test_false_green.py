"""No run is green that has not executed every planned test to a good end, and each says why.

All runs are requested at once and executed side by side; each test then looks at one of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from black_box import NODE_MODULES, Resit, Suites, git, needs_node

GOOD = "def test_good(): pass\n"
RED, NOT_CARRIED_THROUGH = 1, 2


@dataclass(frozen=True)
class Case:
    """``words`` are found in the message of the run, the reasons of its tests, or both."""

    files: Mapping[str, str] | str
    verdict: str
    words: str
    outcomes: Mapping[str, str] | None = None
    project: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] | None = None
    config: str = "module.exports = { workers: 1 };"

    @property
    def code(self) -> int:
        """What ``--wait`` exits with."""
        return RED if self.verdict in ("failed", "skipped") else NOT_CARRIED_THROUGH


DIES = "import os, signal\ndef test_a(): pass\ndef test_dies(): {how}\ndef test_z(): pass\n"
ALL_BUT_ONE = {"test_a": "passed", "test_dies": "errored", "test_z": "passed"}

EXITS_IN_A_HOOK = """
    import pytest
    def pytest_runtest_setup(item):
        if item.name == "test_z":
            pytest.exit("enough", returncode=0)
"""
LOSES_TESTS = """
    def pytest_collection_modifyitems(config, items):
        if not config.option.collectonly:
            items[:] = items[:1]
"""
EXITS_WITH_2 = """
    def pytest_sessionfinish(session):
        if not session.config.option.collectonly:
            session.exitstatus = 2
"""
RUNS_NOTHING = """
    import os
    def pytest_runtestloop(session):
        if not session.config.option.collectonly:
            os._exit(0)
"""

PYTEST = {
    "an import fails": Case("import nowhere\n" + GOOD, "errored", "No module named 'nowhere'"),
    "a syntax error": Case({"test_a.py": GOOD, "test_b.py": "def test_b(:\n"}, "errored", "SyntaxError"),
    "conftest throws": Case({"conftest.py": "raise OSError('no disk')", "test_a.py": GOOD}, "errored", "no disk"),
    "conftest exits with 0": Case(
        {"conftest.py": "import os; os._exit(0)", "test_a.py": GOOD}, "errored", "could not list"
    ),
    "no such test": Case(
        GOOD,
        "failed",
        "no such test in the suite",
        {"test_gone": "not_found"},
        run={"tests": ["test_it.py::test_gone"]},
    ),
    "one of two is no such test": Case(
        GOOD,
        "failed",
        "no such test in the suite",
        {"test_good": "passed", "test_gone": "not_found"},
        run={"tests": ["test_it.py::test_good", "test_it.py::test_gone"]},
    ),
    "no such tag": Case(GOOD, "errored", "none of the suite's 1 tests has a tag of @smoke", run={"tags": ["@smoke"]}),
    "the environment matches nothing": Case(
        GOOD,
        "errored",
        "['other*']",
        environment={"slug": "narrow", "match": ["other*"]},
        run={"environment": "narrow"},
    ),
    "the environment leaves the chosen test out": Case(
        GOOD,
        "failed",
        "left out by the environment's filters",
        {"test_good": "not_found"},
        environment={"slug": "narrow", "ignore": ["test_*"]},
        run={"environment": "narrow", "tests": ["test_it.py::test_good"]},
    ),
    "no tests at all": Case({"conftest.py": ""}, "errored", "no tests"),
    "the suite's own settings deselect everything": Case(
        {"pytest.ini": "[pytest]\naddopts = -k nothing\n", "test_a.py": GOOD}, "errored", "no tests"
    ),
    "only skips": Case(
        "import pytest\n@pytest.mark.skip(reason='later')\ndef test_a(): pass\n",
        "skipped",
        "later",
        {"test_a": "skipped"},
    ),
    "os._exit(0)": Case(DIES.format(how="os._exit(0)"), "failed", "exited with code 0", ALL_BUT_ONE),
    "killed by itself": Case(DIES.format(how="os.kill(os.getpid(), signal.SIGKILL)"), "failed", "SIGKILL", ALL_BUT_ONE),
    "killed politely": Case(DIES.format(how="os.kill(os.getpid(), signal.SIGTERM)"), "failed", "SIGTERM", ALL_BUT_ONE),
    "killed with its group": Case(DIES.format(how="os.killpg(0, signal.SIGKILL)"), "failed", "SIGKILL", ALL_BUT_ONE),
    "it dies in a session fixture": Case(
        "import os, pytest\n@pytest.fixture(scope='session', autouse=True)\ndef f(): os._exit(0)\ndef test_a(): pass\n",
        "failed",
        "exited with code 0",
        {"test_a": "errored"},
    ),
    "pytest.exit with 0": Case(
        "import pytest\n" + DIES.format(how="pytest.exit('enough', returncode=0)"), "failed", "enough"
    ),
    "pytest.exit with 0 in a hook": Case(
        {"conftest.py": EXITS_IN_A_HOOK, "test_a.py": "def test_a(): pass\ndef test_z(): pass\n"},
        "failed",
        "enough",
    ),
    "exit code without a failure": Case(
        {"conftest.py": EXITS_WITH_2, "test_a.py": GOOD},
        "errored",
        "exit code 2",
        {"test_good": "passed"},
    ),
    "tests vanish when it comes to run them": Case(
        {"conftest.py": LOSES_TESTS, "test_a.py": "def test_a(): pass\ndef test_z(): pass\n"},
        "failed",
        "",
        {"test_a": "passed", "test_z": "not_found"},
    ),
    "a plugin swallows a test": Case(
        {
            "conftest.py": "def pytest_runtest_protocol(item):\n    return True if item.name == 'test_z' else None\n",
            "test_a.py": "def test_a(): pass\ndef test_z(): pass\n",
        },
        "failed",
        "",
        {"test_a": "passed", "test_z": "errored"},
    ),
    "it stops at the first failure": Case(
        {"pytest.ini": "[pytest]\naddopts = -x\n", "test_a.py": "def test_a(): assert 0\ndef test_z(): pass\n"},
        "failed",
        "assert 0",
    ),
    "nothing runs and it exits with 0": Case(
        {"conftest.py": RUNS_NOTHING, "test_a.py": GOOD},
        "",
        "exit code 0",
    ),
    "the setup fails": Case(
        GOOD,
        "errored",
        "setup command failed with exit code 7: no such package",
        project={"setup": "echo no such package; exit 7"},
    ),
    "the workdir is gone": Case(GOOD, "errored", "'tests/e2e'", project={"workdir": "tests/e2e"}),
    "no repository": Case({}, "errored", "file:///nowhere/repo.git", project={"source": "file:///nowhere/repo.git"}),
    "no host": Case({}, "errored", "127.0.0.1", project={"source": "http://127.0.0.1:9/repo.git"}),
    "no such configuration": Case(GOOD, "errored", "gone.ini", project={"config": "gone.ini"}),
}

JS = "const { test, expect } = require('@playwright/test');\n"
JS_DIES = (
    JS.replace("{", "{{").replace("}", "}}")
    + "test('a', () => {{}});\ntest('dies', () => {{ {how} }});\ntest('z', () => {{}});\n"
)
JS_GOOD = JS + "test('a', () => {});\n"
CONFIG = "module.exports = {{ workers: 1, {more} }};"

PLAYWRIGHT = {
    "an import fails": Case("require('./nowhere');\n" + JS_GOOD, "errored", "nowhere"),
    "the configuration throws": Case(JS_GOOD, "errored", "no disk", config="throw new Error('no disk');"),
    "no such test": Case(
        JS_GOOD, "failed", "no such test in the suite", {"gone": "not_found"}, run={"tests": ["gone"]}
    ),
    "no such tag": Case(JS_GOOD, "errored", "none of the suite's 1 tests has a tag", run={"tags": ["@smoke"]}),
    "the environment matches nothing": Case(
        JS_GOOD,
        "errored",
        "['other*']",
        environment={"slug": "narrow", "match": ["other*"]},
        run={"environment": "narrow"},
    ),
    "no tests at all": Case({}, "errored", "no tests"),
    "only skips": Case(JS + "test.skip('a', () => {});\n", "skipped", "", {"a": "skipped"}),
    "process.exit(0)": Case(
        JS_DIES.format(how="process.exit(0);"), "failed", "", {"a": "passed", "dies": "failed", "z": "passed"}
    ),
    "its process is killed": Case(JS_DIES.format(how="process.kill(process.pid, 'SIGKILL');"), "failed", "SIGKILL"),
    "the parent is killed": Case(
        JS_DIES.format(how="process.kill(process.ppid, 'SIGKILL'); return new Promise(() => {});"),
        "failed",
        "SIGKILL",
        {"a": "passed", "dies": "errored", "z": "passed"},
    ),
    "the global setup exits with 0": Case(
        {"it.spec.js": JS_GOOD, "setup.js": "module.exports = () => process.exit(0);"},
        "",
        "exit code 0",
        config=CONFIG.format(more="globalSetup: './setup.js'"),
    ),
    "the global teardown throws": Case(
        {"it.spec.js": JS_GOOD, "end.js": "module.exports = () => { throw new Error('no farewell'); };"},
        "errored",
        "no farewell",
        {"a": "passed"},
        config=CONFIG.format(more="globalTeardown: './end.js'"),
    ),
    "a reporter exits with 0": Case(
        {
            "it.spec.js": JS + "test('a', () => {});\ntest('z', () => {});\n",
            "reporter.js": "module.exports = class { onTestBegin(t) { if (t.title === 'z') process.exit(0); } };",
        },
        "failed",
        "exit code 0",
        config=CONFIG.format(more="reporter: './reporter.js'"),
    ),
    "beforeAll fails": Case(
        JS + "test.beforeAll(() => { throw new Error('no login'); });\ntest('a', () => {});\ntest('z', () => {});\n",
        "failed",
        "no login",
    ),
    "the web server does not come": Case(
        JS_GOOD,
        "",
        "Exit code: 3",
        config=CONFIG.format(more="webServer: { command: 'exit 3', url: 'http://127.0.0.1:9', timeout: 3000 }"),
    ),
}


class Runs:
    """All cases of one framework, requested at once."""

    def __init__(self, resit: Resit, suites: Suites, executor: str, cases: Mapping[str, Case]) -> None:
        self.resit = resit
        self.numbers = {name: self._request(suites, executor, case) for name, case in cases.items()}

    def _request(self, suites: Suites, executor: str, case: Case) -> int:
        make = suites if executor == "pytest" else lambda files: suites.playwright(files, case.config)
        options = {"source": str(make(case.files)), **case.project}
        slug = self.resit.project(executor=executor, **options)
        if case.environment:
            self.resit.post(f"/projects/{slug}/environments", case.environment)
        return self.resit.trigger(slug, **case.run)

    def check(self, name: str, case: Case) -> None:
        number = self.numbers[name]
        done = self.resit.cli("watch", str(number), "--json")
        run = done.json
        rows = self.resit.tests(number)
        said = " ".join([*(p["message"] for p in run["problems"]), *(row["reason"] for row in rows.values())])
        assert run["verdict"] in ((case.verdict,) if case.verdict else ("failed", "errored")), (run, rows)
        assert done.code == (case.code if case.verdict else RED if run["verdict"] == "failed" else NOT_CARRIED_THROUGH)
        assert case.words in said
        assert said or case.verdict == "skipped"
        if case.outcomes is not None:
            titles = {row["title"]: row["outcome"] for row in rows.values()}
            assert {title.rpartition("::")[2]: outcome for title, outcome in titles.items()} == case.outcomes
        assert sum(v for k, v in run["counts"].items() if k not in ("total", "did_not_run")) == run["counts"]["total"]


@pytest.fixture(scope="module")
def pytest_runs(resit: Resit, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(resit, Suites(tmp_path_factory.mktemp("green")), "pytest", PYTEST)


@pytest.fixture(scope="module")
def playwright_runs(resit: Resit, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(resit, Suites(tmp_path_factory.mktemp("green")), "playwright", PLAYWRIGHT)


@pytest.mark.parametrize("name", PYTEST)
def test_a_pytest_run_is_not_green(pytest_runs: Runs, name: str) -> None:
    pytest_runs.check(name, PYTEST[name])


@needs_node
@pytest.mark.parametrize("name", PLAYWRIGHT)
def test_a_playwright_run_is_not_green(playwright_runs: Runs, name: str) -> None:
    playwright_runs.check(name, PLAYWRIGHT[name])


def test_the_good_run_is_green_so_that_the_others_say_something(resit: Resit, suite: Suites) -> None:
    slug = resit.project(suite(GOOD))
    done = resit.cli("run", slug, "--wait", "--json")
    assert (done.code, done.json["verdict"]) == (0, "passed")


@needs_node
def test_the_good_playwright_run_is_green(resit: Resit, suite: Suites) -> None:
    done = resit.cli("run", resit.project(suite.playwright(JS_GOOD), "playwright"), "--wait", "--json")
    assert (done.code, done.json["verdict"]) == (0, "passed")


def test_what_failed_in_setup_is_in_the_log(resit: Resit, suite: Suites) -> None:
    slug = resit.project(suite(GOOD), setup="echo first words; echo last words >&2; false")
    done = resit.cli("run", slug, "--wait")
    assert done.code == NOT_CARRIED_THROUGH
    assert "last words" in done.said
    assert "first words" in resit.cli("logs", "--json", str(resit.get("/runs", project=slug)["items"][0]["id"])).said


def test_an_environment_without_pytest(resit: Resit, suite: Suites) -> None:
    where = suite(GOOD)
    import venv

    venv.create(where / ".venv", with_pip=False, symlinks=True)
    done = resit.cli("run", resit.project(where), "--wait")
    assert done.code == NOT_CARRIED_THROUGH
    assert "can't import pytest" in done.said


@needs_node
def test_a_suite_without_playwright(resit: Resit, suite: Suites) -> None:
    assert NODE_MODULES.exists()
    done = resit.cli("run", resit.project(suite({"it.spec.js": JS_GOOD}), "playwright"), "--wait")
    assert done.code == NOT_CARRIED_THROUGH
    assert "no node_modules/@playwright/test" in done.said


def test_a_source_that_is_gone(resit: Resit, suite: Suites) -> None:
    where = suite(GOOD)
    slug = resit.project(where)
    where.rename(where.with_name("elsewhere"))
    done = resit.cli("run", slug, "--wait")
    assert done.code == NOT_CARRIED_THROUGH
    assert f"the folder {where} does not exist" in done.said


def test_an_unknown_branch(resit: Resit, suite: Suites) -> None:
    where = suite(GOOD)
    git(where, "init", "-q", "-b", "main")
    git(where, "add", ".")
    git(where, "commit", "-qm", "first")
    done = resit.cli("run", resit.project(f"file://{where}"), "--branch", "release/9", "--wait")
    assert done.code == NOT_CARRIED_THROUGH
    assert "release/9" in done.said


@pytest.mark.parametrize("selection", ["all", "failed"])
def test_a_test_deleted_between_run_and_rerun(resit: Resit, suite: Suites, selection: str) -> None:
    where = suite("def test_a(): assert 0\ndef test_z(): assert 0\n")
    first = resit.execute(resit.project(where))["id"]
    (where / "test_it.py").write_text("def test_z(): pass\n")
    done = resit.cli("rerun", str(first), *(["--failed"] if selection == "failed" else []), "--wait", "--json")
    assert (done.code, done.json["verdict"]) == (RED, "failed")
    assert resit.outcomes(done.json["id"]) == {"test_a": "not_found", "test_z": "passed"}


def test_a_suite_that_vanished_between_run_and_rerun(resit: Resit, suite: Suites) -> None:
    where = suite("def test_a(): assert 0\n")
    first = resit.execute(resit.project(where))["id"]
    (where / "test_it.py").unlink()
    done = resit.cli("rerun", str(first), "--failed", "--wait", "--json")
    assert (done.code, done.json["verdict"]) == (RED, "failed")
    assert resit.outcomes(done.json["id"]) == {"test_a": "not_found"}


@needs_node
def test_a_playwright_test_deleted_between_run_and_rerun(resit: Resit, suite: Suites) -> None:
    where = suite.playwright(JS + "test('a', () => expect(1).toBe(2));\ntest('z', () => expect(1).toBe(2));\n")
    first = resit.execute(resit.project(where, "playwright"))["id"]
    Path(where, "it.spec.js").write_text(JS + "test('z', () => {});\n")
    done = resit.cli("rerun", str(first), "--failed", "--wait", "--json")
    assert (done.code, done.json["verdict"]) == (RED, "failed")
    assert resit.titles(done.json["id"]) == {"a": "not_found", "z": "passed"}
    Path(where, "it.spec.js").unlink()
    again = resit.cli("rerun", str(first), "--wait", "--json")
    assert (again.code, again.json["verdict"]) == (RED, "failed")
    assert resit.titles(again.json["id"]) == {"a": "not_found", "z": "not_found"}


def test_a_collection_that_breaks_between_run_and_rerun(resit: Resit, suite: Suites) -> None:
    where = suite("def test_a(): assert 0\n")
    first = resit.execute(resit.project(where))["id"]
    (where / "test_it.py").write_text("import nowhere\n")
    done = resit.cli("rerun", str(first), "--wait", "--json")
    assert done.code in (RED, NOT_CARRIED_THROUGH)
    rows = resit.tests(done.json["id"]).values()
    assert "nowhere" in " ".join([*(p["message"] for p in done.json["problems"]), *(row["reason"] for row in rows)])
