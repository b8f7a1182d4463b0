"""What is typed becomes exactly one request, or one clear error and none."""

import pytest

from resit.cli import options
from resit.cli.settings import CommandError, Exit


@pytest.fixture
def open_run(build_run):
    return build_run(status="requested", verdict=None, duration=None)


def test_run_sends_all_it_was_given(resit, server, open_run):
    server.on("POST /projects/shop/runs", open_run, status=201)
    done = resit(
        "run", "shop", "--env", "staging", "--build-url", "https://b.example", "--branch", "fix", "--tag", "@a", "b",
        "--test", "t.py::a[x y]", "t.py::b", "--test=-odd", "--var", "K=V=W", "--var", "E=", "--shards", "3",
    )  # fmt: skip
    assert done.code == 0
    assert server.sent("POST /projects/shop/runs") == {
        "environment": "staging",
        "build": {"url": "https://b.example"},
        "branch": "fix",
        "tags": ["@a", "b"],
        "tests": ["t.py::a[x y]", "t.py::b", "-odd"],
        "variables": {"K": "V=W", "E": ""},
        "shards": 3,
    }
    assert "12 (k3fX9a) of shop on staging" in done.out
    assert "resit watch 12" in done.out


def test_a_plain_run_sends_nothing_but_itself(resit, server, open_run):
    server.on("POST /projects/shop/runs", open_run, status=201)
    assert resit("run", "shop").code == 0
    assert server.sent("POST /projects/shop/runs") == {}


@pytest.mark.parametrize("id", ["[1, 2]", '{"a": 1}', "None", "t.py::a[b=c d'e\"f/g]", "a › b › ü"])
def test_ids_arrive_letter_by_letter(resit, server, open_run, id):
    server.on("POST /projects/shop/runs", open_run, status=201)
    assert resit("run", "shop", "--test", id).code == 0
    assert server.sent("POST /projects/shop/runs")["tests"] == [id]


@pytest.mark.parametrize(
    ("argv", "sent"),
    [
        ((), {"selection": "all"}),
        (("--failed",), {"selection": "failed"}),
        (("--test", "a", "b", "--reason", "why"), {"selection": "chosen", "tests": ["a", "b"], "reason": "why"}),
    ],
)
def test_rerun_names_its_selection(resit, server, open_run, argv, sent):
    server.on("POST /runs/12/rerun", open_run, status=201)
    assert resit("rerun", "12", *argv).code == 0
    assert server.sent("POST /runs/12/rerun") == sent


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("run", "shop", "--test"), "--test"),
        (("run", "shop", "--test", ""), "empty id"),
        (("rerun", "12", "--test", " "), "empty id"),
        (("rerun", "12", "--test"), "--test"),
        (("run", "shop", "--tag", "@"), "empty tag"),
        (("rerun", "12", "--failed", "--test", "a"), "exclude each other"),
        (("run", "shop", "--var", "K"), "write K=V"),
        (("run", "shop", "--var", "=V"), "write K=V"),
        (("run", "shop", "--shards", "0"), "at least 1"),
        (("run", "shop", "--test", "-odd"), "--option=-value"),
        (("run",), "PROJECT"),
        (("run", "shop", "extra"), "extra"),
        (("runn",), "did you mean run?"),
        (("runs", "--limit", "0"), "at least 1"),
        (("runs", "--verdict", "green"), "passed"),
        (("show", "12", "--outcome", "red"), "not_found"),
        (("logs", "12", "--follow", "--json"), "exclude each other"),
        (("project", "add", "shop", "--source", "x"), "--executor"),
        (("project", "add", "shop", "--source", "x", "--executor", "mocha"), "pytest"),
        (("env", "add", "shop", "s", "--secret", "RESIT_NO_SUCH_VARIABLE"), "RESIT_NO_SUCH_VARIABLE"),
        (("env", "add", "shop", "s", "--secret", "K=1", "--var", "K=2"), "K is given"),
        (("token", "create"), "--project"),
        (("token", "create", "--project", "shop", "--expires", "soon"), "30d"),
        (("token", "create", "--project", "shop", "--expires", "0d"), "30d"),
        (("serve", "--port", "70000"), "65535"),
        (("serve", "--slots", "0"), "--no-worker"),
    ],
)
def test_what_makes_no_sense_is_said_and_not_sent(resit, server, argv, said):
    done = resit(*argv)
    assert done.code == Exit.USAGE
    assert done.err.startswith("resit: ")
    assert said in done.err
    assert len(done.err.splitlines()) <= 2
    assert done.out == ""
    assert server.asked == []


def test_a_secret_without_a_value_comes_from_the_shell(resit, server, monkeypatch):
    monkeypatch.setenv("API_KEY", "s3cret=1")
    server.on("POST /projects/shop/environments", {"slug": "staging", "secrets": ["API_KEY", "B"]}, status=201)
    done = resit("env", "add", "shop", "staging", "--secret", "API_KEY", "B=2", "--match", "web-*", "--ignore", "*-old")
    assert done.code == 0
    assert server.sent("POST /projects/shop/environments") == {
        "slug": "staging",
        "variables": {},
        "secrets": {"API_KEY": "s3cret=1", "B": "2"},
        "match": ["web-*"],
        "ignore": ["*-old"],
    }
    assert "s3cret" not in done.out + done.err


def test_a_local_source_is_made_absolute(resit, server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    server.on("POST /projects", {"slug": "shop", "source": "x"}, status=201)
    assert resit("project", "add", "shop", "--source", "a/../suite", "--executor", "pytest").code == 0
    assert server.sent("POST /projects") == {"slug": "shop", "source": str(tmp_path / "suite"), "executor": "pytest"}


@pytest.mark.parametrize(
    "url",
    ["https://h/o/r", "ssh://git@h/r", "git@github.com:o/r.git", "file:///srv/r", "HTTPS://h/r", "host:o/r.git"],
)
def test_a_git_url_is_passed_as_it_is(url):
    assert options.source(url) == url


def test_a_bare_repository_on_this_machine_is_a_path(tmp_path, monkeypatch):
    (tmp_path / "r.git").mkdir()
    monkeypatch.chdir(tmp_path)
    assert options.source("r.git") == str(tmp_path / "r.git")


@pytest.mark.parametrize(("text", "days"), [("30d", 30), ("12h", 0.5), ("2w", 14), ("1.5d", 1.5)])
def test_expiry_is_sent_in_days(resit, server, text, days):
    server.on("POST /tokens", {"token": "rst_abc", "id": 3}, status=201)
    done = resit("token", "create", "--project", "shop", "--scope", "runs:read", "runs:write", "--expires", text)
    assert done.out == "rst_abc\n"
    assert done.err == ""
    sent = {"project": "shop", "scopes": ["runs:read", "runs:write"], "expires_in_days": days}
    assert server.sent("POST /tokens") == sent


def test_pairs_are_split_at_the_first_equals_sign():
    assert options.pairs(["A=b=c", "D="], "--var") == {"A": "b=c", "D": ""}


def test_seconds_know_their_units():
    assert [options.seconds(text, "--x") for text in ("90s", "45min", "2h")] == [90, 2700, 7200]
    with pytest.raises(CommandError):
        options.seconds("30", "--x")
