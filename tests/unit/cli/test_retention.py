"""``resit keep``, ``usage`` and ``retention``."""

from resit.cli.settings import Exit

USAGE = {
    "projects": [
        {
            "project": "shop", "runs": 12, "kept": 1, "tests": 3400, "artifacts": 7, "artifact_bytes": 1_500_000,
            "oldest": "2026-01-01T00:00:00Z", "keep_days": 30.0, "keep_runs": 500, "keep_bytes": 20_000_000_000,
        },
        {
            "project": "bank", "runs": 0, "kept": 0, "tests": 0, "artifacts": 0, "artifact_bytes": 0,
            "oldest": None, "keep_days": 0, "keep_runs": 0, "keep_bytes": 0,
        },
    ],
    "database": {"size": 5_000_000, "free": 1_000_000},
    "disk": {"size": 10**12, "free": 10**11},
}  # fmt: skip


def removed(runs: int, done: bool) -> dict[str, object]:
    return {
        "dry_run": False, "doomed": [], "runs": runs, "rows": 100, "artifacts": 3, "artifact_bytes": 1000, "done": done,
    }  # fmt: skip


def test_keep_and_let_go(resit, server, build_run):
    server.on("POST /runs/12/keep", build_run(id=12, kept=True))
    server.on("DELETE /runs/12/keep", build_run(id=12))
    assert "Run 12 is kept." in resit("keep", "12").out
    assert "left to the limits" in resit("keep", "12", "--off").out
    assert resit("keep", "12", "--json").json["kept"] is True


def test_usage(resit, server):
    server.on("GET /usage", USAGE)
    said = resit("usage").out
    for words in (
        "shop",
        "3400",
        "1.5 MB",
        "30 days, 500 runs, 20 GB",
        "none",
        "5.0 MB",
        "1.0 MB free",
        "100 GB of 1.0 TB",
    ):
        assert words in " ".join(said.split()), words
    assert resit("usage", "--json").json == USAGE
    server.on("GET /usage", {"projects": [], "database": None, "disk": None})
    assert "No projects." in resit("usage").out


def test_removal_goes_on_to_its_end(resit, server):
    server.on("POST /retention", removed(2, done=False), removed(1, done=True))
    assert "Removed 3 runs: 200 rows, 6 files (2.0 kB)." in resit("retention", "run", "--project", "shop").out
    assert server.sent("POST /retention") == {"project": "shop", "dry_run": False}


def test_a_dry_run_tells_what_would_go(resit, server):
    doomed = [{"project": "shop", "runs": [*range(1, 31)]}]
    server.on("POST /retention", {**removed(0, done=True), "dry_run": True, "doomed": doomed})
    said = resit("retention", "run", "--dry-run").out
    assert "shop: 30 runs would go: 1 2 3" in said
    assert "and 10 more" in said
    assert resit("retention", "run", "--dry-run", "--json").json == {"doomed": doomed}
    server.on("POST /retention", {**removed(0, done=True), "dry_run": True})
    assert "Nothing is beyond the limits." in resit("retention", "run", "--dry-run").out


def test_limits_of_a_project(resit, server):
    server.on("PATCH /projects/shop", {"slug": "shop"})
    assert resit("project", "set", "shop", "--keep-days", "30", "--keep-runs", "none", "--keep-size", "20GB").code == 0
    assert server.sent("PATCH /projects/shop") == {"keep_days": 30, "keep_runs": 0, "keep_bytes": 20_000_000_000}
    assert resit("project", "set", "shop", "--keep-size", "much").code == Exit.USAGE
