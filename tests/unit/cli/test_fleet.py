"""Workers, pools and credentials on the command line; secrets go into one file of their owner, or to stdout."""

import json
from pathlib import Path
from typing import Any

import pytest

from resit.cli import listening
from resit.cli.settings import CommandError, Exit, authorities, find_server
from resit.cli.worker import default_folder, read_credential

MADE: dict[str, Any] = {
    "id": 3, "name": "rack", "pool": "linux", "prefix": "resit_ab", "created_by": "ann", "secret": "resit_abcdef",
    "brokers": ["tls://ci:4222"], "server": "https://ci", "ca": "PEM", "created_at": "2026-01-02T03:04:05Z",
    "expires_at": None, "revoked_at": None, "seen_at": None,
}  # fmt: skip
WORKER: dict[str, Any] = {
    "name": "rack-1", "pool": "linux", "labels": {"os": "linux"}, "slots": 4, "used": 3, "draining": False,
    "holding": [
        {"run": 12, "shard": 1, "batch": 5, "since": "2026-01-02T03:04:05Z"},
        {"run": 12, "shard": 2, "batch": 0, "since": "2026-01-02T03:04:05Z"},
        {"run": None, "shard": 0, "batch": 0, "since": "2026-01-02T03:04:05Z"},
    ],
    "alive": True, "version": "0.1.0", "same_version": True, "host": "rack", "credential_id": 3,
    "started_at": "2026-01-02T03:04:05Z", "seen_at": "2999-01-02T03:04:05Z",
}  # fmt: skip


def test_a_credential_is_written_for_its_owner_alone(resit, server, tmp_path):
    server.on("POST /worker-credentials", MADE, status=201)
    file = tmp_path / "linux.json"
    done = resit("worker-credential", "create", "--pool", "linux", "--expires", "90d", "--output", str(file))
    assert (done.code, done.err) == (0, "")
    assert server.sent("POST /worker-credentials") == {"pool": "linux", "expires_in_days": 90.0}
    assert json.loads(file.read_text()) == MADE
    assert file.stat().st_mode & 0o777 == 0o600
    assert "resit_abcdef" not in done.out
    again = resit("worker-credential", "create", "--pool", "linux", "--output", str(file))
    assert (again.code, "is there already" in again.err) == (Exit.USAGE, True)
    assert len(server.asked) == 1


def test_without_a_file_it_goes_to_standard_output(resit, server):
    server.on("POST /worker-credentials", MADE, status=201)
    done = resit("worker-credential", "create", "--pool", "linux", "--name", "rack")
    assert done.json == MADE
    assert server.sent("POST /worker-credentials") == {"pool": "linux", "name": "rack", "expires_in_days": None}


def test_a_credential_that_nobody_got_is_revoked(resit, server, tmp_path):
    server.on("POST /worker-credentials", MADE, status=201)
    server.on("DELETE /worker-credentials/3", {})
    done = resit("worker-credential", "create", "--pool", "linux", "--output", str(tmp_path / "no" / "where"))
    assert done.code == Exit.USAGE
    assert server.asked[-1].method == "DELETE"


def test_credentials_are_listed_and_revoked(resit, server):
    revoked = {**MADE, "id": 4, "revoked_at": "2026-01-02T03:04:05Z"}
    server.on("GET /worker-credentials", {"items": [MADE, revoked], "next": None})
    server.on("DELETE /worker-credentials/3", {})
    lines = resit("worker-credential", "list").out.splitlines()
    assert lines[1].split() == ["3", "linux", "rack", "ann", "never", "never"]
    assert "revoked" in lines[2]
    assert resit("worker-credential", "revoke", "3").out == "Worker credential 3 is revoked.\n"


def test_workers_with_what_they_run(resit, server):
    old = {**WORKER, "name": "rack-2", "version": "0.0.9", "same_version": False, "draining": True, "holding": []}
    gone = {**WORKER, "name": "rack-3", "alive": False, "seen_at": "2026-01-02T03:04:05Z", "holding": []}
    lists = {**WORKER, "name": "rack-4", "holding": [{**WORKER["holding"][0], "shard": 0}]}
    server.on("GET /workers", {"items": [WORKER, old, gone, lists], "next": None})
    head, *lines = resit("workers").out.splitlines()
    assert head.split() == ["worker", "pool", "labels", "slots", "runs", "version", "heard", "of"]
    assert "12 (2 shards), another project's" in lines[0]
    assert "3/4" in lines[0]
    assert "0.0.9 (not the server's)" in lines[1]
    assert "draining" in lines[1]
    assert "silent, " in lines[2]
    assert "12 (lists its tests)" in lines[3]
    assert resit("workers", "--json").json["items"][0] == WORKER
    server.on("GET /workers", {"items": [], "next": None})
    assert "There is no worker" in resit("workers").out


def test_pools(resit, server):
    one = {"name": "linux", "labels": {"os": "linux"}, "description": "d", "workers": 1, "slots": 4, "created_at": None}
    server.on("POST /pools", one, status=201)
    server.on("PATCH /pools/linux", one)
    server.on("DELETE /pools/linux", {})
    server.on("GET /pools", {"items": [one], "next": None})
    assert "resit worker-credential create --pool linux" in resit("pool", "create", "linux", "--label", "os=linux").out
    assert server.sent("POST /pools") == {"name": "linux", "labels": {"os": "linux"}}
    done = resit("pool", "set", "linux", "--label", "a=b", "--unset", "os", "--description", "")
    assert done.out == "Pool linux is changed.\n"
    assert server.sent("PATCH /pools/linux") == {"labels": {"a": "b", "os": None}, "description": ""}
    assert resit("pool", "list").out.splitlines()[1].split() == ["linux", "os=linux", "1", "4", "d"]
    assert resit("pool", "remove", "linux").out == "Pool linux is gone.\n"
    for argv in (("set", "linux"), ("set", "linux", "--label", "a=b", "--unset", "a"), ("create", "x", "--label", "a")):
        assert resit("pool", *argv).code == Exit.USAGE


def test_environments_name_a_pool(resit, server):
    server.on("POST /projects/shop/environments", {}, status=201)
    server.on("PATCH /projects/shop/environments/staging", {})
    resit("env", "add", "shop", "staging", "--pool", "os=linux,arch=arm64")
    assert server.sent("POST /projects/shop/environments")["pool"] == "os=linux,arch=arm64"
    resit("env", "set", "shop", "staging", "--pool", "default")
    assert server.sent("PATCH /projects/shop/environments/staging") == {"pool": "default"}


# ---------------------------------------------------------------- resit worker


def test_a_credential_is_a_file_or_its_content(tmp_path):
    (tmp_path / "c.json").write_text(json.dumps(MADE))
    assert read_credential(str(tmp_path / "c.json")) == read_credential(f" {json.dumps(MADE)}\n") == MADE


@pytest.mark.parametrize(
    "text",
    ["", "/no/such/file", "{", "{}", json.dumps({**MADE, "secret": 5}), json.dumps({**MADE, "brokers": "x"}), "{]"],
)
def test_what_is_no_credential(text):
    with pytest.raises(CommandError) as refused:
        read_credential(text)
    assert "resit_abcdef" not in refused.value.message


@pytest.mark.parametrize(
    "more",
    [
        ("--slots", "0"),
        ("--drain-seconds", "-1"),
        ("--drain-seconds", "nan"),
        ("--label", "x"),
        ("--label", "OS=linux"),
        ("--credential", "/no/such/file"),
    ],
)
def test_a_worker_that_is_not_started(resit, tmp_path, more):
    (tmp_path / "c.json").write_text(json.dumps(MADE))
    done = resit("worker", "--credential", str(tmp_path / "c.json"), *more)
    assert done.code == Exit.USAGE
    assert done.err.startswith("resit: ")


def test_a_worker_needs_a_credential(resit, monkeypatch):
    monkeypatch.delenv("RESIT_WORKER_CREDENTIAL", raising=False)
    assert resit("worker").code == Exit.USAGE


def test_where_a_worker_keeps_its_checkouts():
    assert default_folder({"XDG_CACHE_HOME": "/c"}) == Path("/c/resit/worker")
    assert default_folder({}) == Path.home() / ".cache" / "resit" / "worker"


# ---------------------------------------------------------------- resit serve


def said(**words: Any) -> str:
    given = {"host": "127.0.0.1", "url": "", "workers_listen": "", "nats_url": "", "cert": None, "key": None}
    try:
        listening.check(**{**given, **words})
    except CommandError as error:
        return error.message
    return ""


def test_where_a_server_listens_for_workers():
    assert said() == said(workers_listen="127.0.0.1:0") == said(workers_listen="[::1]:4222") == ""
    assert said(workers_listen="[::]:4222", host="::") == ""
    assert said(workers_listen=":4222", url="https://ci.example.org") == ""
    for bad in ("4222", "host", "host:", "host:x", "host:70000", "a b:1", "tls://h:1", "::1:4222"):
        assert "write HOST:PORT" in said(workers_listen=bad), bad
    for wide in ("0.0.0.0:4222", ":4222", "10.0.0.1:4222", "ci.example.org:4222", "[::]:4222"):
        assert "for this machine alone" in said(workers_listen=wide), wide
    assert "belong together" in said(cert=Path("x"))
    assert "--nats-url" in said(workers_listen="127.0.0.1:0", nats_url="nats://x")


def test_whom_the_command_line_trusts(tmp_path):
    (tmp_path / "ca.pem").write_text("PEM")
    assert authorities({}) == ""
    assert authorities({"RESIT_CA": str(tmp_path / "ca.pem")}) == "PEM"
    with pytest.raises(CommandError, match="RESIT_CA"):
        authorities({"RESIT_CA": str(tmp_path / "none")})
    there = {"RESIT_URL": "https://ci", "RESIT_TOKEN": "t", "RESIT_CA": str(tmp_path / "ca.pem")}
    found = find_server(None, there)
    assert (found.ca, found.exact) == ("PEM", False)
    for name, text in (("url", "https://127.0.0.1:1"), ("admin-token", "t"), ("certificate.pem", "LEAF")):
        (tmp_path / name).write_text(text)
    found = find_server(tmp_path, there)
    assert (found.url, found.ca, found.exact) == ("https://127.0.0.1:1", "LEAF", True)
