"""Pages: that they say what is so, to those who may know it, and that nothing in them is taken for markup."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from resit.domain.access import Role
from resit.domain.events import Attachment, Failure
from resit.domain.run import Build
from resit.domain.status import ResultStatus
from resit.testing import factories
from resit.testing.factories import ADMIN, result, uuid_of
from resit.testing.world import World
from resit.web.app import PATHS

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>\"'&{{7*7}}"
PAGES = (
    *("/runs", "/runs?project=shop", "/runs?q=x&verdict=failed&status=finished&who=a&branch=b&environment=default"),
    *("/runs/1", "/runs/1/tests", "/runs/1/tests?state=red", "/runs/1/tests?q=a", "/runs/1/tests/0", "/runs/1/logs"),
    *("/runs/1/timeline", "/runs/1/details", "/runs/1/files", "/compare", "/compare?a=1&b=2", "/start?project=shop"),
    *("/projects", "/projects/shop", "/projects/shop/tests", "/projects/shop/tests?q=a", "/workers", "/settings"),
    *("/account", "/projects/shop/schedules", "/projects/shop/snoozes", "/projects/shop/webhooks"),
)
PARTS = ("/runs/1/failures", "/runs/1/tests/0/detail", "/runs/1/cells", "/runs/1/names?at=0&at=1", "/runs/1/logs/1.txt")


def story(world: World, title: str = "a") -> None:
    """Two runs: one with a failed test, a flaky one and a passed one; one that goes on."""
    names = [f"tests/{title}.py::{name}" for name in ("fails", "flaky", "passes")]
    said = {
        names[0]: [
            result(
                names[0],
                status=ResultStatus.FAILED,
                failures=(Failure(f"Error: {title}", f"stack {title}", "a.py:3", f"> 3 | {title}"),),
                attachments=(Attachment(title, "image/png", id=uuid_of(title), size=3),),
                stdout=title,
                annotations=(("note", title),),
            )
        ],
        names[1]: [result(names[1], status=ResultStatus.FAILED, final=False), result(names[1], retry=1)],
    }
    tests = [factories.planned(name, title_path=(title, name)) for name in names]
    build = Build(url=f"javascript:{title}", branch=title, commit_url="javascript:alert(1)", message=title)
    run = world.trigger(build=build, reason=title, metadata={"note": title}, variables={"NAME": title})
    world.carry_out(world.plan(run, tests), said)
    world.report({"run": run.id, "claim": "", "what": "log", "shard": 1, "text": f"{title}\n"})
    world.plan(world.trigger(), tests, "other")


def test_a_test_has_its_history(world: World, admin: TestClient) -> None:
    story(world)
    where = re.search(r"/projects/shop/tests/[0-9a-f-]{36}", admin.get("/projects/shop/tests").text)
    assert where
    answer = admin.get(where[0])
    assert answer.status_code == 200
    assert "1 failed" in answer.text
    world.snoozes.add(ADMIN, "shop", tests=["tests/a.py::fails"], until=world.clock.now() + 86_400, description="known")
    assert "Snoozed: it ends" in admin.get(where[0]).text


def test_each_page_is_there(world: World, admin: TestClient) -> None:
    story(world)
    for path in (*PAGES, *PARTS):
        answer = admin.get(path)
        assert answer.status_code == 200, (path, answer.text[-300:])
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'"), path
        assert answer.headers["cache-control"] == "no-store", path
    text = admin.get("/runs/1").text
    assert "1 failed, 1 flaky, 1 passed" in text
    assert "Re-run failed (1)" in text
    assert json.loads(admin.get("/runs/1/cells").text)["cells"] == "fyp"
    assert json.loads(admin.get("/runs/2/cells").text)["cells"] == "www"


def test_what_others_wrote_is_text(world: World, admin: TestClient) -> None:
    story(world, HOSTILE)
    for path in (*PAGES, "/runs/1/failures", "/runs/1/tests/0/detail"):
        text = admin.get(path).text
        assert "<script>alert" not in text, path
        assert "<img src=x" not in text, path
        assert not re.search(r"""(?:href|src)=["']?\s*javascript:""", text), path
        assert "{{7*7}}" in text or "alert" not in text, path
    assert "&lt;script&gt;" in admin.get("/runs/1/tests/0/detail").text


def test_strangers_are_led_to_the_door(world: World, stranger: TestClient) -> None:
    story(world)
    for path in (*PAGES, *PARTS, "/"):
        answer = stranger.get(path)
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/sign-in?next="), path
    assert stranger.get("/sign-in?next=/runs/1").status_code == 200
    for path in ("/runs/1/rerun", "/runs/1/cancel", "/start", "/projects", "/settings/people", "/account/tokens"):
        assert stranger.post(path, data={"selection": "all"}).status_code == 401, path


def test_another_project_does_not_exist(world: World, signed_in: Callable[..., TestClient], send: Any) -> None:
    story(world)
    world.project("other")
    client = signed_in(Role.CONTRIBUTOR, "other")
    assert "shop" not in client.get("/runs").text
    for path in ("/runs/1", "/runs/1/tests", "/runs/1/cells", "/runs/1/live", "/projects/shop", "/projects/shop/tests"):
        assert client.get(path).status_code == 404, path
    assert client.get("/compare?a=1&b=2").status_code == 404
    assert client.get(f"/files/{uuid_of('a')}").status_code == 404
    assert send(client, "/runs/1/rerun", selection="all").status_code == 404
    assert send(client, "/runs/1/cancel").status_code == 404
    assert send(client, "/start", project="shop").status_code in (400, 404)


def test_a_viewer_changes_nothing(world: World, signed_in: Callable[..., TestClient], send: Any) -> None:
    story(world)
    client = signed_in(Role.USER)
    before = world.dump(world.run(1)) + world.dump(world.run(2))
    text = client.get("/runs/1").text
    assert "Re-run" not in text.split("</header>")[1].split("<dialog")[0]
    forms = [
        ("/runs/1/rerun", {"selection": "all"}), ("/runs/2/cancel", {}), ("/runs/1/keep", {"kept": "yes"}),
        ("/start", {"project": "shop"}), ("/projects", {"slug": "x", "source": "/", "executor": "pytest"}),
        ("/projects/shop", {"shards": "3", "time_limit": "9"}), ("/projects/shop/environments", {"slug": "x"}),
        ("/environments/1", {"name": "A", "value": "b"}), ("/pools", {"name": "x"}), ("/pools/x/remove", {}),
        ("/settings/people", {"email": "x@y", "role": "admin", "password": "12345678"}),
        ("/settings/people/disable", {"email": "x@y"}), ("/settings/organization", {"monthly_runs": "0"}),
        ("/account/tokens", {"name": "x", "scope": "admin"}),
    ]  # fmt: skip
    for path, fields in forms:
        answer = send(client, path, **fields)
        assert answer.status_code in (400, 403), (path, answer.status_code)
    assert world.dump(world.run(1)) + world.dump(world.run(2)) == before
    assert len(world.reads.environments(1)) == 1
    assert [user.email for user in world.people.all(ADMIN)] == ["user-all@example.org"]


def test_forms_of_other_sites_are_refused(world: World, admin: TestClient) -> None:
    story(world)
    assert admin.post("/runs/2/cancel", data={}).status_code == 403
    assert admin.post("/runs/2/cancel", data={"form": "0" * 40}).status_code == 403
    found = re.search(r'data-form="(\w+)"', admin.get("/runs").text)
    assert found
    for header in ({"Origin": "https://evil.test"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        answer = admin.post("/runs/2/cancel", data={"form": found[1]}, headers=header)
        assert answer.status_code == 403, header
    assert world.run(2).status.open
    assert admin.post("/runs/2/cancel", data={"form": found[1]}).status_code == 303
    assert not world.run(2).status.open


def test_a_run_again_is_a_new_run_once(world: World, admin: TestClient, send: Any) -> None:
    story(world)
    before = world.dump(world.run(1))
    key = re.search(r'name="key" value="(\w+)"', admin.get("/runs/1").text)
    assert key
    for _ in range(2):  # pressed twice: the same run
        answer = send(admin, "/runs/1/rerun", selection="failed", key=key[1])
        assert answer.headers["location"] == "http://resit.test/runs/3"
    chosen = send(admin, "/runs/1/rerun", selection="chosen", test=["tests/a.py::passes"])
    assert chosen.headers["location"] == "http://resit.test/runs/4"
    world.settle()
    assert list(world.outcomes(world.run(3))) == ["tests/a.py::fails"]
    assert list(world.outcomes(world.run(4))) == ["tests/a.py::passes"]
    assert world.dump(world.run(1)) == before


def test_a_form_that_is_wrong_says_so_and_keeps_what_was_written(world: World, admin: TestClient, send: Any) -> None:
    answer = send(admin, "/start", project="shop", variables="no equals sign", reason="because of this")
    assert answer.status_code == 400
    assert "NAME=value" in answer.text
    assert "because of this" in answer.text
    answer = send(
        admin, "/start", project="shop", variables="A=b=c\n\nD=", shards="2", tags="x, y", url="http://a.test"
    )
    assert answer.headers["location"] == "http://resit.test/runs/1"
    run = world.run(1)
    assert (run.variables, run.shards, run.selection.tags) == ({"A": "b=c", "D": ""}, 2, ("x", "y"))
    assert (run.build.url, run.via.value, run.triggered_by) == ("http://a.test", "manual", "Ann")
    for field, value in (("minutes", "nan"), ("minutes", "inf"), ("max_failures", "1.5"), ("shards", "two")):
        answer = send(admin, "/start", project="shop", reason="because of that", **{field: value})
        assert answer.status_code == 400, (field, value)
        assert f"{field.replace('_', ' ')}: a" in answer.text
        assert "because of that" in answer.text
    send(admin, "/start", project="shop", key="2", commit="abc1234", minutes="1.5", max_failures="3")
    run = world.run(2)
    assert (run.commit, run.target_time, run.max_failures) == ("abc1234", 90, 3)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/runs/99", 404), ("/runs/x'", 404), ("/runs?verdict=nonsense", 400), ("/runs?before=-1", 400),
        ("/runs/1/tests?state=nonsense", 400), ("/runs/1/tests/99", 404), ("/runs/1/tests/x", 400),
        ("/projects/x", 404),
        ("/projects/shop/tests/x", 404), ("/runs/1/nothing", 404), ("/compare?a=1&b=99", 404), ("/files/x", 404),
        ("/runs/1/trace/x", 404), ("/runs/1/report", 404), ("/account/nothing", 404),
        ("/static/nothing.js", 404),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_in_words(world: World, admin: TestClient, path: str, status: int) -> None:
    story(world)
    answer = admin.get(path)
    assert answer.status_code == status, answer.text[:300]
    assert "<h1>" in answer.text
    assert "Traceback" not in answer.text


async def content() -> AsyncIterator[bytes]:
    yield b"abc"


def test_files_are_shown_only_if_they_can_do_no_harm(world: World, admin: TestClient) -> None:
    story(world)
    kinds = {
        "image/png": True,
        "image/svg+xml": False,
        "text/html": False,
        "video/webm": True,
        "application/zip": False,
    }
    for kind, shown in kinds.items():
        id = uuid_of(kind)
        named = Attachment('x"\r\n.html', kind, id=id, size=3)
        run = world.planned(f"t {kind}")
        world.carry_out(run, {f"t {kind}": [result(f"t {kind}", attachments=(named,))]})
        asyncio.run(world.artifacts.put(f"{run.id}/{id}", content(), 3))
        answer = admin.get(f"/files/{id}")
        assert answer.content == b"abc"
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert ("content-disposition" not in answer.headers) is shown, kind
        assert answer.headers["content-type"] == (kind if shown else "application/octet-stream")
    part = admin.get(f"/files/{uuid_of('video/webm')}", headers={"Range": "bytes=1-"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"bc", "bytes 1-2/3")


def test_secrets_are_never_shown(world: World, admin: TestClient, send: Any) -> None:
    assert send(admin, "/environments/1", name="KEY", value="hunter2secret", secret="yes").status_code == 303
    assert send(admin, "/environments/1", name="SHOWN", value="a value").status_code == 303
    run = world.planned("t")
    for path in ("/projects/shop", f"/runs/{run.id}/details"):
        text = admin.get(path).text
        assert "KEY" in text
        assert "hunter2secret" not in text
        assert "a value" in text


def test_the_page_leaves_the_apis_alone(admin: TestClient) -> None:
    for path in ("/resit/v1/nothing", "/api/nothing", "/v1/nothing", "/nothing"):
        assert admin.get(path).headers["content-type"].startswith(("application/", "text/plain")), path
    assert admin.get("/resit/v1/runs").status_code == 401  # a session is no token
    assert "runs" in PATHS


def test_the_list_says_what_moves(world: World, admin: TestClient) -> None:
    story(world)
    rows = admin.get("/runs", headers={"X-Resit-Part": "rows"}).text
    assert "<html" not in rows
    assert rows.count("<tr") == 2
    assert "0 of 3 tests done" in rows


def test_addresses_that_other_clients_hand_out_lead_here(world: World, admin: TestClient) -> None:
    story(world)
    ids = world.services().ids
    case = re.search(r"/projects/shop/tests/([0-9a-f-]{36})", admin.get("/projects/shop/tests").text)
    assert case
    for path, leads in (
        (f"/p/shop/results/{ids.short(1)}", "/runs/1"),
        (f"/p/shop/results/test/{ids.short_of(1, 2)}", "/runs/1/tests/1"),
        (f"/p/shop/test-cases/{case[1]}", case[0]),
    ):
        assert admin.get(path).headers["location"] == f"http://resit.test{leads}"
        assert admin.get(leads).status_code == 200
    for path in (
        f"/p/other/results/{ids.short(1)}",
        "/p/shop/results/x",
        "/p/shop/results/test/x",
        f"/p/other/results/test/{ids.short_of(1, 1)}",
    ):
        assert admin.get(path).status_code == 404, path
