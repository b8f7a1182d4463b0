"""Reports as they are served: whatever stands in them, nothing gets out of its sandbox or out of the report."""

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from resit.api.app import create_app
from resit.domain.events import Attachment
from resit.domain.report import ReportState
from resit.domain.run import Run
from resit.services.html_reports import READ_SECONDS
from resit.testing.factories import ADMIN, planned, result, uuid_of
from resit.testing.world import World

PAGE = b"<!doctype html><script>fetch('/resit/v1/projects')</script>"
SHOT = bytes(range(256)) * 40
UPLOAD = "/resit/v1/uploads/report"
CONTENT = "http://localhost"


def packed(files: dict[str, bytes], elsewhere: Any = None, *, compressed: bool = False) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as file:
        for name, content in files.items():
            file.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED)
        file.writestr("resit.json", json.dumps(elsewhere or {}))
    return held.getvalue()


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


def finished(world: World, name: str = "shot") -> tuple[Run, str]:
    """A run of Playwright, with a picture; its number and the picture's id."""
    id = uuid_of(name)
    run = world.plan(world.trigger(), [planned("a")], claim=name, framework="Playwright 1.65.1")
    world.carry_out(run, {"a": [result("a", attachments=(Attachment("shot", "image/png", id=id),))]})
    asyncio.run(world.artifacts.put(f"{run.id}/{id}", pieces(SHOT), len(SHOT)))
    world.work.uploaded(run.id, id, len(SHOT))
    return run, id


def begin(world: World, run: Run, claim: str = "claim") -> dict[str, str]:
    """What a worker shows that begins a report."""
    spec = world.html.begin("default", run.id, claim)
    assert spec["open"]
    return {"Authorization": f"Bearer {spec['upload']['token']}"}


def hand_in(api: TestClient, world: World, run: Run, content: bytes) -> httpx.Response:
    return api.put(UPLOAD, content=content, headers=begin(world, run))


@pytest.fixture
def shop(world: World) -> World:
    world.project(executor="playwright")
    return world


@pytest.fixture
def pages(shop: World) -> Iterator[TestClient]:
    """A server on this machine, as a browser reaches it; no token, nothing is followed."""
    services = replace(shop.services(), url="http://127.0.0.1")
    with TestClient(create_app(services), base_url="http://127.0.0.1", follow_redirects=False) as found:
        yield found


@pytest.fixture
def lan(shop: World) -> Iterator[TestClient]:
    """A server without a content origin."""
    with TestClient(create_app(shop.services()), base_url="http://resit.test", follow_redirects=False) as found:
        yield found


@pytest.fixture
def ready(shop: World, lan: TestClient) -> str:
    """The path of a report that is there."""
    run, id = finished(shop)
    files = {"index.html": PAGE, "trace/index.html": PAGE, "trace/sw.bundle.js": b"self", "data/0b.html": PAGE}
    found = {"data/0a.png": id, "data/0c.zip": id, "data/gone.png": uuid_of("gone"), "data/x.png": "../../1/secret"}
    assert hand_in(lan, shop, run, packed(files, found)).status_code == 204
    return f"/reports/{shop.html.sign(run.id)[0]}"


def test_a_run_of_playwright_has_a_report_made(shop: World) -> None:
    run = shop.plan(shop.trigger(), [planned("a")], framework="Playwright 1.65.1")
    shop.carry_out(run)
    found = shop.html.standing(run.id)
    assert found
    assert found.state is ReportState.WAITING


@pytest.mark.parametrize("how", ["cancelled", "not wanted", "other framework", "no plan"])
def test_which_runs_have_one(shop: World, how: str) -> None:
    if how == "not wanted":
        shop.catalog.change_project(ADMIN, "shop", {"html_report": False})
    run = shop.trigger()
    if how != "no plan":
        run = shop.plan(run, [planned("a")], framework="pytest 9" if how == "other framework" else "Playwright 1.65.1")
    shop.settle()
    shop.runs.cancel(ADMIN, str(run.id))
    kinds = [message.kind for message in shop.settle()]
    # The purge takes all work of the run back: the report's comes after it.
    expected = ["purge", "report", "cancel"] if how == "cancelled" else ["purge", "cancel"]
    assert [kind for kind in kinds if kind in expected] == expected
    assert (shop.html.standing(run.id) is not None) == (how == "cancelled")


def test_from_waiting_to_ready(shop: World, lan: TestClient, token: Callable[..., str]) -> None:
    run, _ = finished(shop)
    lan.headers["Authorization"] = token(scopes=["results:read"])
    where = f"/resit/v1/runs/{run.id}/report"
    first = lan.get(where).json()
    assert (first["state"], first["url"], first["tries"]) == ("waiting", None, 0)
    assert lan.get(f"{where}.zip").status_code == 409
    assert hand_in(lan, shop, run, packed({"index.html": PAGE})).status_code == 204
    found = lan.get(where).json()
    assert (found["state"], found["tries"], found["words"]) == ("ready", 1, "")
    assert found["url"].startswith("http://resit.test/reports/")
    del lan.headers["Authorization"]
    assert lan.get(found["url"]).content.endswith(PAGE)
    shop.clock.turn(READ_SECONDS + 1)
    late = lan.get(found["url"])
    assert (late.status_code, "ask for a new link" in late.text) == (404, True)


def test_a_run_that_has_none(shop: World, lan: TestClient, token: Callable[..., str]) -> None:
    run = shop.planned("a")
    lan.headers["Authorization"] = token(scopes=["results:read"])
    found = lan.get(f"/resit/v1/runs/{run.id}/report").json()
    assert (found["state"], found["words"]) == ("none", "the run goes on")
    assert found["created_at"] is found["url"] is None


# ---------------------------------------------------------------- the sandbox


@pytest.mark.parametrize("path", ["index.html", "trace/sw.bundle.js", "data/0b.html", "data/0a.png"])
def test_on_our_own_origin_browsers_are_told_to_lock_it_up(lan: TestClient, ready: str, path: str) -> None:
    answer = lan.get(f"{ready}/{path}")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts")
    assert "same-origin" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in answer.headers


def test_where_there_is_a_content_origin_it_goes_there(pages: TestClient, ready: str) -> None:
    answer = pages.get(f"{ready}/index.html")
    assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (307, f"{CONTENT}{ready}/index.html")
    there = pages.get(answer.headers["location"])
    assert (there.status_code, there.content) == (200, PAGE)
    assert "content-security-policy" not in there.headers
    assert there.headers["access-control-allow-origin"] == "*"
    # A proxy that changes the host's name makes no circle of it, and no hole.
    again = pages.get(f"{ready}/index.html?stayed")
    assert (again.status_code, "sandbox" in again.headers["content-security-policy"]) == (200, True)
    assert pages.get(ready, headers={"Host": "localhost"}).headers["location"] == f"{ready}/index.html"


def test_in_the_place_of_the_trace_viewer_are_words(lan: TestClient, pages: TestClient, ready: str) -> None:
    query = f"?trace=http%3A%2F%2Fresit.test{ready}%2Fdata%2F0c.zip&trace=http://evil/data/%3Cscript%3E"
    answer = lan.get(f"{ready}/trace/index.html{query}")
    assert answer.status_code == 200
    assert 'href="../data/0c.zip"' in answer.text
    assert f"npx playwright show-trace http://resit.test{ready}/data/0c.zip" in answer.text
    assert "--content-url" in answer.text
    assert "<script" not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    there = pages.get(f"{ready}/trace/index.html", headers={"Host": "localhost"})
    assert there.content == PAGE


# ---------------------------------------------------------------- files


def test_files_of_results_come_from_the_artifacts(lan: TestClient, ready: str) -> None:
    answer = lan.get(f"{ready}/data/0a.png")
    assert (answer.content, answer.headers["content-type"]) == (SHOT, "image/png")
    part = lan.get(f"{ready}/data/0a.png", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, SHOT[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(SHOT)}"
    same = lan.get(f"{ready}/data/0a.png", headers={"If-None-Match": answer.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert lan.get(f"{ready}/data/0a.png", headers={"Range": "bytes=99999-"}).status_code == 416
    head = lan.head(f"{ready}/data/0a.png")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(SHOT)))
    inside = lan.get(f"{ready}/data/0b.html", headers={"Range": "bytes=2-8"})
    assert (inside.status_code, inside.content) == (206, PAGE[2:9])


@pytest.mark.parametrize(
    "path",
    ["nothing.html", "data/gone.png", "data/x.png", "data/", "data", "resit.json", "%2e%2e/x", "..%2fx",
     "/etc/passwd", "data/0a.png/", "%00", "index.html/../data/0a.png%00"],
)  # fmt: skip
def test_what_is_not_in_it(lan: TestClient, ready: str, path: str) -> None:
    answer = lan.get(f"{ready}/{path}")
    assert answer.status_code == 404
    assert SHOT[:20] not in answer.content


@pytest.mark.parametrize("capability", ["x", "x.y", "é", "..", "a" * 5000, "eyJ4IjoxfQ==.00"])
def test_who_has_no_right(lan: TestClient, ready: str, capability: str) -> None:
    answer = lan.get(f"/reports/{capability}/index.html")
    assert answer.status_code == 404


def test_other_rights_of_ours_open_no_report(shop: World, lan: TestClient, ready: str) -> None:
    run = shop.run(1)
    for subject in (f"upload:{run.id}:default:w", f"report-maker:{run.id}:claim", f"report-reader:{run.id}:other"):
        token = shop.signer.sign(subject, shop.clock.now() + 60)
        assert lan.get(f"/reports/{token}/index.html").status_code == 404


def test_as_a_zip_that_opens_from_disk(shop: World, lan: TestClient, ready: str, token: Callable[..., str]) -> None:
    answer = lan.get("/resit/v1/runs/1/report.zip", headers={"Authorization": token(scopes=["results:read"])})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as found:
        assert found.testzip() is None
        assert found.read("index.html") == PAGE
        assert found.read("data/0a.png") == SHOT
        assert "data/x.png" not in found.namelist()
        assert "resit.json" not in found.namelist()


def test_when_its_file_has_gone(shop: World, lan: TestClient, ready: str, token: Callable[..., str]) -> None:
    found = shop.html.standing(1)
    assert found
    shop.artifacts.remove(found.key)
    assert lan.get(f"{ready}/index.html").status_code == 404
    said = lan.get("/resit/v1/runs/1/report", headers={"Authorization": token(scopes=["results:read"])}).json()
    assert (said["state"], said["url"]) == ("removed", None)
    assert said["words"]


# ---------------------------------------------------------------- what workers hand in

HOSTILE = {
    "no zip": b"nothing",
    "cut off": packed({"index.html": PAGE})[:-30],
    "no page": packed({"other.html": PAGE}),
    "a way out": packed({"index.html": PAGE, "../../x.html": PAGE}),
    "from the root": packed({"index.html": PAGE, "/etc/x": PAGE}),
    "compressed": packed({"index.html": PAGE * 1000}, compressed=True),
    "no list": packed({"index.html": PAGE}, ["x"]),
    "a way out in the list": packed({"index.html": PAGE}, {"../x": uuid_of("x")}),
    "twice": packed({"index.html": PAGE}, {"index.html": uuid_of("x")}),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_report_is_refused(shop: World, lan: TestClient, what: str) -> None:
    run, _ = finished(shop)
    answer = hand_in(lan, shop, run, HOSTILE[what])
    assert answer.status_code == 400, answer.text
    found = shop.html.standing(run.id)
    assert found
    assert (found.state, found.key) == (ReportState.FAILED, "")
    assert found.words
    assert [file.key for file in shop.artifacts.stored(f"{run.id}/")] == [f"{run.id}/{uuid_of('shot')}"]


def test_a_workers_right_is_for_its_own_report(shop: World, lan: TestClient) -> None:
    run, id = finished(shop)
    other, elsewhere = finished(shop, "other")
    right = begin(shop, run)
    blob = lan.get(UPLOAD, headers=right, params={"workdir": "/w"})
    with zipfile.ZipFile(io.BytesIO(blob.content)) as found:
        names = found.namelist()
        assert found.read(f"resources/{id}.png") == id.encode()
    assert not any(elsewhere in name for name in names)
    # It opens no other door, and others don't open this one.
    assert lan.put(f"/resit/v1/uploads/{id}", content=b"x", headers=right).status_code == 401
    assert lan.get(f"/resit/v1/runs/{other.id}/blob.zip", headers=right).status_code == 401
    upload = {"Authorization": f"Bearer {shop.work.upload_token(other, 'w')}"}
    assert lan.get(UPLOAD, headers=upload).status_code == lan.put(UPLOAD, headers=upload).status_code == 401
    assert lan.get(UPLOAD).status_code == 401


def test_the_last_that_began_is_heard(shop: World, lan: TestClient) -> None:
    run, _ = finished(shop)
    first, second = begin(shop, run, "first"), begin(shop, run, "second")
    assert lan.put(UPLOAD, content=packed({"index.html": PAGE}), headers=first).status_code == 409
    assert lan.get(UPLOAD, headers=first).status_code == 409
    assert lan.put(UPLOAD, content=packed({"index.html": PAGE}), headers=second).status_code == 204
    assert shop.html.begin("default", run.id, "third") == {"open": False}
    assert shop.html.begin("other-pool", run.id, "second") == {"open": False}


# ---------------------------------------------------------------- what got lost, and what goes


def test_what_nobody_has_is_handed_out_anew(shop: World) -> None:
    run, _ = finished(shop)
    assert shop.html.quiet() == []
    shop.clock.turn(30)
    assert [(found.run_id, pool) for found, pool in shop.html.quiet()] == [(run.id, "default")]
    shop.html.seen([run.id])
    assert shop.html.quiet() == []
    for number in range(3):
        shop.html.begin("default", run.id, f"claim {number}")
        shop.clock.turn(30)
        again = shop.html.again(run.id)
        assert [m.kind for m in shop.settle()] == (["report"] if number < 2 else [])
        assert again == (number < 2)
    found = shop.html.standing(run.id)
    assert found
    assert found.state is ReportState.FAILED
    assert shop.html.quiet() == []


def test_it_goes_with_its_run(shop: World, lan: TestClient, ready: str) -> None:
    usage, _ = shop.retention.usage(ADMIN)
    found = shop.html.standing(1)
    assert found
    assert (usage[0].files, usage[0].bytes) == (2, len(SHOT) + found.size)
    shop.catalog.change_project(ADMIN, "shop", {"keep_days": 1})
    shop.clock.turn(3 * 86400)
    freed, all_ = shop.retention.remove(ADMIN)
    assert all_
    assert freed.files == 2
    assert shop.html.standing(1) is None
    assert list(shop.artifacts.stored("1/")) == []
    assert lan.get(f"{ready}/index.html").status_code == 404
