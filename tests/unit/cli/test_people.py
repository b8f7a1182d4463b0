"""People and the organization on the command line; a password is never an argument."""

import io
from collections.abc import Callable
from typing import Any

import pytest

from resit.cli.settings import Exit

ANN = {
    "id": 1, "email": "ann@example.org", "name": "Ann", "role": "tester", "project_id": 3, "disabled": False,
    "created_at": "2026-01-02T03:04:05Z",
}  # fmt: skip
FREE = {"monthly_runs": None, "runs_this_month": 7, "suspended": False}


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """What stands on standard input."""

    def put(data: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))

    return put


def test_a_password_is_made_and_printed_alone(resit, server):
    server.on("POST /users", ANN, status=201)
    argv = ("user", "add", "ann@example.org", "--name", "Ann", "--role", "tester", "--project", "shop")
    passwords = []
    for _ in range(2):
        done = resit(*argv)
        assert (done.code, done.err) == (0, "")
        sent = server.sent("POST /users")
        passwords.append(sent.pop("password"))
        assert sent == {"email": "ann@example.org", "name": "Ann", "role": "tester", "project": "shop"}
        assert done.out == f"{passwords[-1]}\n"
        assert 20 <= len(passwords[-1]) <= 128
    assert len(set(passwords)) == 2


def test_a_made_password_is_in_the_document_too(resit, server):
    server.on("POST /users", ANN, status=201)
    done = resit("user", "add", "ann@example.org", "--json")
    assert done.json == {**ANN, "password": server.sent("POST /users")["password"]}
    assert server.sent("POST /users")["role"] == "user"


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\nmore\n"])
def test_a_password_from_standard_input_is_shown_nowhere(resit, server, typed, end):
    server.on("POST /users", ANN, status=201)
    for more in ((), ("--json",)):
        typed("corréct  horse ".encode() + end)
        done = resit("user", "add", "ann@example.org", "--password-stdin", *more)
        assert done.code == 0
        assert server.sent("POST /users")["password"] == "corréct  horse "
        assert "horse" not in done.out + done.err
    typed(b"x\n")
    assert resit("user", "add", "ann@example.org", "--password-stdin").out == "Account ann@example.org (tester)\n"


@pytest.mark.parametrize(("data", "said"), [(b"", "no password"), (b"\n", "no password"), (b"\xff\n", "UTF-8")])
def test_standard_input_without_a_password(resit, server, typed, data, said):
    typed(data)
    done = resit("user", "add", "ann@example.org", "--password-stdin")
    assert (done.code, done.out, server.asked) == (Exit.USAGE, "", [])
    assert said in done.err


def test_accounts_are_listed_and_disabled(resit, server):
    ben = {**ANN, "id": 2, "email": "b\x1b[31men@example.org", "project_id": None, "disabled": True}
    server.on("GET /users", {"items": [ANN, ben], "next": None})
    server.on("POST /users/ann@example.org/disable", {**ANN, "disabled": True})
    done = resit("user", "list")
    assert "ann@example.org" in done.out
    assert [word in done.out.splitlines()[2] for word in ("ben@example.org", "all", "disabled")] == [True] * 3
    assert "\x1b" not in done.out
    assert resit("user", "list", "--json").json == {"items": [ANN, ben]}
    said = "Account ann@example.org (tester) is disabled, its tokens are revoked.\n"
    assert resit("user", "disable", "ann@example.org").out == said
    assert resit("user", "disable", "ann@example.org", "--json").json["disabled"] is True
    assert resit("user", "disable", "nobody@example.org").code == Exit.NOT_FOUND
    server.on("GET /users", {"items": [], "next": None})
    assert "resit user add" in resit("user", "list").out


@pytest.mark.parametrize(
    ("argv", "sent"),
    [
        (("--monthly-runs", "500", "--suspended"), {"monthly_runs": 500, "suspended": True}),
        (("--monthly-runs", "0"), {"monthly_runs": 0}),
        (("--no-monthly-runs", "--no-suspended"), {"monthly_runs": None, "suspended": False}),
        (("--no-monthly-runs",), {"monthly_runs": None}),
        (("--suspended",), {"suspended": True}),
        (("--no-suspended",), {"suspended": False}),
    ],
)
def test_only_what_is_said_is_set(resit, server, argv: tuple[str, ...], sent: dict[str, Any]):
    server.on("PATCH /organization", {**FREE, **sent})
    done = resit("org", "set", *argv)
    assert (done.code, done.err) == (0, "")
    assert server.sent("PATCH /organization") == sent
    assert "runs this month  7" in done.out
    assert ("only administrators" in done.out) is bool(sent.get("suspended"))


def test_the_organization_is_shown(resit, server):
    server.on("GET /organization", FREE)
    shown = [line.strip().rpartition("  ")[2] for line in resit("org", "show").out.splitlines()]
    assert shown == ["7", "no limit", "no"]
    assert resit("org", "show", "--json").json == FREE
    server.on("GET /organization", {**FREE, "monthly_runs": 9})
    assert "at most 9" in resit("org", "show").out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("org", "set"), "nothing to set"),
        (("org", "set", "--monthly-runs", "5", "--no-monthly-runs"), "exclude each other"),
        (("org", "set", "--suspended", "--no-suspended"), "exclude each other"),
        (("org", "set", "--monthly-runs", "-1"), "at least 0"),
        (("org", "set", "--monthly-runs", "many"), "--monthly-runs"),
        (("org", "set", "--monthly-runs"), "--monthly-runs"),
        (("user", "add"), "EMAIL"),
        (("user", "add", "ann@example.org", "--role", "king"), "contributor"),
        (("user", "add", "ann@example.org", "--password", "correct horse"), "--password"),
        (("user", "add", "ann@example.org", "correct horse"), "horse"),
        (("user", "disable"), "EMAIL"),
    ],
)
def test_what_makes_no_sense_is_not_sent(resit, server, argv, said):
    done = resit(*argv)
    assert (done.code, done.out, server.asked) == (Exit.USAGE, "", [])
    assert said in done.err


def test_what_the_server_refuses(resit, server):
    refusal = {"status": 403, "detail": "the organization is suspended", "code": "suspended"}
    server.on("GET /organization", refusal, status=403)
    done = resit("org", "show")
    assert (done.code, done.out) == (Exit.NOT_AUTHORISED, "")
    assert "suspended" in done.err
    server.on("POST /projects/shop/runs", {"status": 402, "detail": "used up", "code": "quota_exceeded"}, status=402)
    assert resit("run", "shop").code == Exit.REFUSED
