"""Runs go by their limits, rows and files both, also when the server is killed while they do; what is kept stays."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from black_box import Resit, Suites, until

Own = Callable[..., Resit]
SUITE = """
import pytest
@pytest.mark.parametrize("n", range(20))
def test_n(n):
    print("x" * 1000)
    assert n != 7
"""


def folders(resit: Resit) -> list[int]:
    """The runs that have files."""
    return sorted(int(path.name) for path in (resit.data / "artifacts").iterdir() if path.name.isdigit())


def age(resit: Resit, days: float = 1.0) -> None:
    """All runs that ended did so before."""
    with closing(sqlite3.connect(resit.data / "resit.db", timeout=30)) as db:
        db.execute("UPDATE runs SET finished_at = finished_at - ?, created_at = created_at - ?", [days * 86_400] * 2)
        db.commit()


def rows(data: Path, run: int) -> int:
    """How many rows a run has, in all tables."""
    with closing(sqlite3.connect(data / "resit.db", timeout=30)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        having = [t for t in tables if any(c[1] == "run_id" for c in db.execute(f"PRAGMA table_info({t})"))]
        counts = [db.execute(f"SELECT count(*) FROM {t} WHERE run_id = ?", [run]).fetchone()[0] for t in having]  # noqa: S608
        return sum(counts) + db.execute("SELECT count(*) FROM runs WHERE id = ?", [run]).fetchone()[0]


def test_from_limits_to_room(own: Own, suite: Suites) -> None:
    resit = own()
    project = resit.project(suite(SUITE))
    runs = [resit.execute(project)["id"] for _ in range(3)]
    runs.append(resit.end(resit.rerun(runs[2], "failed"))["id"])
    assert folders(resit) == runs
    assert "is kept" in resit.cli("keep", str(runs[0])).out
    assert resit.cli("project", "set", project, "--keep-runs", "1", "--keep-size", "20GB").code == 0
    # What has only just ended stays for an hour.
    assert "Nothing is beyond" in resit.cli("retention", "run", "--dry-run").out
    age(resit)
    said = resit.cli("retention", "run", "--dry-run").said
    assert f"2 runs would go: {runs[1]} {runs[2]}" in said
    before = resit.cli("usage", "--json").json["projects"][0]
    assert (before["runs"], before["kept"], before["artifacts"]) == (4, 1, 61)
    done = resit.cli("retention", "run", "--json").json
    assert (done["runs"], done["artifacts"]) == (2, 40)
    assert done["rows"] > 2 * 60
    assert folders(resit) == [runs[0], runs[3]]
    assert [rows(resit.data, run) > 0 for run in runs] == [True, False, False, True]
    after = resit.cli("usage", "--json").json["projects"][0]
    assert (after["runs"], after["artifacts"], after["keep_bytes"]) == (2, 21, 20_000_000_000)
    assert resit.http.get(f"/runs/{runs[1]}").status_code == 404
    left = resit.run(runs[3])
    assert left["source_run_id"] == runs[2]
    assert resit.cli("show", str(runs[3])).code == 0
    assert "yes, whatever the limits" in resit.cli("show", str(runs[0])).out
    # The suite is known as before, and its tests' history begins anew.
    assert resit.execute(project)["counts"]["passed"] == 19
    checked = resit.cli("db", "check")
    assert checked.code == 0, checked.said
    assert "Traceback" not in resit.log(), resit.log()


def test_what_a_killed_server_began_is_gone_on_with(own: Own, suite: Suites) -> None:
    resit = own()
    project = resit.project(suite(SUITE))
    runs = [resit.execute(project)["id"] for _ in range(3)]
    resit.http.patch(f"/projects/{project}", json={"keep_days": 0.5})
    age(resit)
    with closing(sqlite3.connect(resit.data / "resit.db", timeout=30)) as db:
        # As a server leaves it that died right after it had marked a run, and half of its files were gone.
        db.execute("UPDATE runs SET gone = 1 WHERE id = ?", [runs[1]])
        db.commit()
    for path in sorted((resit.data / "artifacts" / str(runs[1])).iterdir())[:10]:
        path.unlink()
    assert resit.http.get(f"/runs/{runs[1]}").status_code == 404
    resit.kill()
    resit.start()
    until(lambda: folders(resit) == [], "all files are gone")
    until(lambda: [rows(resit.data, run) for run in runs] == [0, 0, 0], "all rows are gone")
    assert "retention: 3 runs" in until(lambda: resit.log() if "retention:" in resit.log() else "", "it says so")
    assert resit.cli("db", "check").code == 0
    assert resit.execute(project)["id"] > runs[-1]
