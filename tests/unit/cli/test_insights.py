"""``resit flaky``."""

from typing import Any

from resit.cli.settings import Exit

PATH = "GET /projects/shop/insights/tests"


def case(test: str, flaky: int, **members: Any) -> dict[str, Any]:
    return {
        "id": "u", "test": test, "file": "a.py", "title": "one", "variant": "", "tags": [], "active": True,
        "passed": 8, "failed": 1, "flaky": flaky, "pass_rate": 80, "fail_rate": 10, "flaky_rate": flaky * 10,
        "last_run_at": "2023-11-14T22:13:20Z", **members,
    }  # fmt: skip


def test_flaky_tests_are_a_table_of_80_columns(resit, server, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    items = [
        case("0" * 20 + "-" + "1" * 20, 2, title="adds › two", variant="firefox"),
        case("a.py::one\x1b[31m", 1),
        case("a.py::never", 0),
    ]
    server.on(PATH, {"items": items, "total": 3})
    done = resit("flaky", "shop", "--days", "7", "--environment", "staging")
    assert done.code == Exit.GREEN
    assert "20 %" in done.out
    assert "a.py › adds › two [firefox]" in done.out
    assert "a.py::one" in done.out
    assert "\x1b" not in done.out
    assert "never" not in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    params = {"days": "7", "environment": "staging", "order": "flaky_rate", "limit": "21"}
    assert dict(server.asked[0].url.params) == params


def test_more_than_the_limit(resit, server):
    server.on(PATH, {"items": [case(f"t{n}", 3) for n in range(3)], "total": 9})
    done = resit("flaky", "shop", "--limit", "2", "--json")
    assert [item["test"] for item in done.json["items"]] == ["t0", "t1"]
    assert done.json["more"] is True
    server.on(PATH, {"items": [case(f"t{n}", 3) for n in range(3)], "total": 9})
    assert "resit flaky shop --limit 10" in resit("flaky", "shop", "--limit", "2").out


def test_no_flaky_tests_is_said(resit, server):
    server.on(PATH, {"items": [case("a", 0)], "total": 5})
    assert "No flaky tests in 30 days; 5 were executed" in resit("flaky", "shop").out


def test_no_such_limit(resit, server):
    assert resit("flaky", "shop", "--limit", "0").code == Exit.USAGE
