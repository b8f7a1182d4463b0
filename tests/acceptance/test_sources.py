"""Where tests come from: git repositories with branches and commits, folders, and what a setup command leaves."""

from pathlib import Path

from black_box import Resit, Suites, git, lines


def repository(suite: Suites, text: str) -> Path:
    where = suite(text)
    git(where, "init", "-q", "-b", "main")
    return commit(where, text)


def commit(where: Path, text: str, name: str = "test_it.py") -> Path:
    (where / name).write_text(text)
    git(where, "add", ".")
    git(where, "commit", "-qm", "a change")
    return where


def test_branches_and_commits(resit: Resit, suite: Suites) -> None:
    where = repository(suite, "def test_main(): pass\n")
    git(where, "checkout", "-qb", "feature")
    commit(where, "def test_feature(): assert 0\n")
    git(where, "checkout", "-q", "main")
    slug = resit.project(f"file://{where}", branch="main")
    first = resit.execute(slug)
    assert (resit.outcomes(first["id"]), first["branch"]) == ({"test_main": "passed"}, "main")
    assert first["commit"] == git(where, "rev-parse", "main")
    done = resit.cli("run", slug, "--branch", "feature", "--wait", "--json")
    assert (done.code, done.json["commit"]) == (1, git(where, "rev-parse", "feature"))
    assert resit.outcomes(done.json["id"]) == {"test_feature": "failed"}
    # Fixed on the branch: the re-run takes its new head, and its source still tells the old commit.
    old = done.json["commit"]
    git(where, "checkout", "-q", "feature")
    commit(where, "def test_feature(): pass\n")
    again = resit.end(resit.rerun(done.json["id"], "failed"))
    assert (again["verdict"], again["branch"]) == ("passed", "feature")
    assert resit.run(again["id"])["commit"] == git(where, "rev-parse", "feature") != old
    assert resit.run(done.json["id"])["commit"] == old
    # Pinned: the commit that was named, then and now.
    pinned = resit.execute(slug, commit=old)
    assert (pinned["verdict"], pinned["commit"]) == ("failed", old)
    assert resit.end(resit.rerun(pinned["id"]))["commit"] == old


def test_a_folder_of_the_repository(resit: Resit, suite: Suites) -> None:
    where = repository(suite, "def test_outside(): assert 0\n")
    (where / "e2e").mkdir()
    commit(where, "def test_inside(): pass\n", "e2e/test_in.py")
    run = resit.execute(resit.project(f"file://{where}", workdir="e2e"))
    assert resit.outcomes(run["id"]) == {"test_inside": "passed"}


def test_setup_runs_once_as_long_as_what_it_depends_on_is_the_same(resit: Resit, suite: Suites, log: Path) -> None:
    where = repository(suite, "import pathlib\ndef test_a(): assert pathlib.Path('made/it').exists()\n")
    commit(where, "one==1\n", "requirements.txt")
    slug = resit.project(f"file://{where}", setup=f"echo x >> {log}; mkdir -p made; touch made/it")
    assert resit.execute(slug)["verdict"] == "passed"
    assert resit.execute(slug)["verdict"] == "passed"
    assert lines(log) == ["x"]
    commit(where, "one==2\n", "requirements.txt")
    assert resit.execute(slug)["verdict"] == "passed"
    assert lines(log) == ["x", "x"]


def test_a_local_folder_is_used_in_place_and_left_clean(resit: Resit, suite: Suites, log: Path) -> None:
    where = suite({"test_it.py": "def test_a(): pass\n", "tests/test_more.py": "def test_b(): assert 0\n"})
    slug = resit.project(where, setup=f"echo x >> {log}")
    before = sorted(path.relative_to(where) for path in where.rglob("*"))
    assert resit.execute(slug)["counts"]["total"] == 2
    assert resit.execute(slug)["verdict"] == "failed"
    assert lines(log) == ["x"]
    # What pytest and its own plugins leave is theirs.
    theirs = ("__pycache__", ".benchmarks")
    after = sorted(p.relative_to(where) for p in where.rglob("*") if not any(name in str(p) for name in theirs))
    assert after == before
