"""Stored files over HTTP: pieces of them, and addresses of the store."""

import asyncio
import re
import warnings
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from resit.api.files import disposition, wanted
from resit.domain.errors import Unavailable
from resit.domain.events import Attachment
from resit.integrations.files import FolderArtifacts
from resit.ports import StoredFile
from resit.testing.artifacts import pieces
from resit.testing.factories import planned, result, uuid_of
from resit.testing.world import World

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

CONTENT = bytes(range(256)) * 3000


@pytest.fixture
def where(api: TestClient, world: World) -> str:
    """The address of an artifact with :data:`CONTENT`."""
    id = uuid_of("artifact")
    run = world.plan(world.trigger(), [planned("a")])
    world.carry_out(run, {"a": [result("a", attachments=(Attachment("a", "", id=id),))]})
    asyncio.run(world.artifacts.put(f"{run.id}/{id}", pieces(CONTENT), len(CONTENT)))
    world.work.uploaded(run.id, id, len(CONTENT))
    return f"/resit/v1/artifacts/{id}"


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        (" bytes = 10 - 19 ", 10, 20),
        ("bytes=700000-", 700_000, len(CONTENT)),
        ("bytes=-5", len(CONTENT) - 5, len(CONTENT)),
        ("bytes=-9999999999", 0, len(CONTENT)),
        ("bytes=5-9999999999", 5, len(CONTENT)),
    ],
)
def test_pieces(api: TestClient, where: str, asked: str, start: int, end: int) -> None:
    answer = api.get(where, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (206, CONTENT[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(CONTENT)}"
    assert answer.headers["content-length"] == str(end - start)
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("asked", ["bytes=768000-", "bytes=9999999-10000000", "bytes=-0"])
def test_pieces_that_are_not_there(api: TestClient, where: str, asked: str) -> None:
    answer = api.get(where, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (416, b"")
    assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"


@pytest.mark.parametrize("asked", ["", "bytes", "bytes=-", "bytes=9-3", "lines=1-2", "bytes=1-2,4-5", "bytes=x-2"])
def test_what_is_no_range_gets_all(api: TestClient, where: str, asked: str) -> None:
    answer = api.get(where, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["accept-ranges"] == "bytes"


def test_pieces_of_what_changed_meanwhile_are_all_of_it(api: TestClient, where: str) -> None:
    known = api.get(where).headers
    for fresh in (known["etag"], known["last-modified"]):
        assert api.get(where, headers={"Range": "bytes=0-1", "If-Range": fresh}).status_code == 206
    for stale in ('"other"', "Thu, 01 Jan 1970 00:00:00 GMT"):
        assert api.get(where, headers={"Range": "bytes=0-1", "If-Range": stale}).content == CONTENT


@given(st.text("bytes=-,0123456789 ", max_size=20), st.integers(0, 200))
def test_a_piece_is_within_the_file(header: str, size: int) -> None:
    found = wanted(header, size)
    assert found is None or 0 <= found[0] <= found[1] <= size


@pytest.mark.parametrize("name", ["a.txt", 'q"uote', "ü", "new\r\nline", "a/b"])
def test_names_of_downloads_are_no_headers(name: str) -> None:
    said = disposition(name)
    assert said.startswith("attachment; filename")
    assert said.isascii()
    assert said.isprintable()
    assert said.count('"') in (0, 2)


def test_empty_files(api: TestClient, world: World, where: str) -> None:
    [stored] = world.artifacts.stored()
    asyncio.run(world.artifacts.put(stored.key, pieces(b""), 1))
    answer = api.get(where)
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "0")
    assert api.get(where, headers={"Range": "bytes=0-"}).status_code == 416


# ---------------------------------------------------------------- addresses of the store


class Linked(FolderArtifacts):
    """A store with addresses of its own."""

    async def link(self, key: str, seconds: float) -> str | None:
        return f"https://store.example/{key}?for={seconds:.0f}"


class Away(FolderArtifacts):
    """A store that does not answer."""

    async def find(self, key: str) -> StoredFile | None:
        raise Unavailable("the artifact store does not answer")


class Breaks(FolderArtifacts):
    """A store that goes away at once."""

    async def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        raise Unavailable("the artifact store does not answer")
        yield b""


@pytest.fixture
def serve(api: TestClient, built: FastAPI, world: World) -> Callable[..., None]:
    """Serve from another store of artifacts."""

    def change(kind: type[FolderArtifacts], *, redirects: bool = False) -> None:
        services = world.services(max_artifact=1000, artifact_redirects=redirects)
        built.state.services = replace(services, artifacts=kind(world.folder / "artifacts"))

    return change


def test_who_reads_is_sent_on_only_where_that_is_allowed(
    api: TestClient, where: str, serve: Callable[..., None]
) -> None:
    serve(Linked)
    assert api.get(where, follow_redirects=False).content == CONTENT
    serve(Linked, redirects=True)
    answer = api.get(where, follow_redirects=False)
    assert (answer.status_code, answer.headers["cache-control"]) == (307, "no-store")
    assert re.fullmatch(r"https://store\.example/\d+/[0-9a-f-]+\?for=300", answer.headers["location"])
    # A folder has no addresses of its own.
    serve(FolderArtifacts, redirects=True)
    assert api.get(where, follow_redirects=False).content == CONTENT


@pytest.mark.parametrize("kind", [Away, Breaks])
def test_a_store_that_is_away_is_told(
    api: TestClient, where: str, serve: Callable[..., None], kind: type[FolderArtifacts]
) -> None:
    serve(kind)
    answer = api.get(where)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.json()["code"] == "unavailable"
    assert "content-disposition" not in answer.headers


def test_what_is_gone_is_not_found(api: TestClient, world: World, where: str, serve: Callable[..., None]) -> None:
    serve(Linked, redirects=True)
    world.artifacts.remove(*[file.key for file in world.artifacts.stored()])
    assert api.get(where, follow_redirects=False).status_code == 404
