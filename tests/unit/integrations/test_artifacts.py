"""Stores of artifacts keep their contract: a folder, and a server that speaks S3 in a process of its own.

``RESIT_TEST_ARTIFACTS_URL`` names another store to be tried (credentials in the environment). What it holds goes.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from resit.domain.errors import Conflict, InvalidInput, NoRoom, NotFound, Unavailable
from resit.integrations import objects
from resit.integrations.files import FolderArtifacts
from resit.integrations.places import open_artifacts
from resit.ports import Artifacts
from resit.testing.artifacts import LARGE, LIMIT, ArtifactsContract, keys, noise, pieces, put, read
from resit.testing.s3 import S3Server


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as running:
        yield running


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.forget()
    return server


class TestFolder(ArtifactsContract):
    @pytest.fixture
    def artifacts(self, tmp_path: Path) -> Artifacts:
        self.leaves_nothing = lambda: [path for path in tmp_path.rglob("*") if path.is_file()]
        return open_artifacts("", tmp_path / "artifacts")


class TestS3(ArtifactsContract):
    @pytest.fixture
    def artifacts(self, s3: S3Server) -> Artifacts:
        self.leaves_nothing = s3.uploads
        return open_artifacts(s3.url("some/where"), Path("/nowhere"))


if "RESIT_TEST_ARTIFACTS_URL" in os.environ:

    class TestAnother(ArtifactsContract):
        @pytest.fixture
        def artifacts(self) -> Artifacts:
            found = open_artifacts(os.environ["RESIT_TEST_ARTIFACTS_URL"], Path("/nowhere"))
            found.check(write=True)
            found.remove(*keys(found))
            return found


def test_keys_are_below_the_prefix(s3: S3Server) -> None:
    first = open_artifacts(s3.url("one"), Path("/nowhere"))
    other = open_artifacts(s3.url("one/two"), Path("/nowhere"))
    put(first, "1/a")
    put(other, "1/b")
    assert s3.stored() == ["one/1/a", "one/two/1/b"]
    assert keys(other) == ["1/b"]
    other.remove("1/b")
    assert s3.stored() == ["one/1/a"]


# ---------------------------------------------------------------- addresses


def test_addresses_of_folders(tmp_path: Path) -> None:
    for url in (str(tmp_path), f"file://{tmp_path}"):
        found = open_artifacts(url, Path("/nowhere"))
        assert isinstance(found, FolderArtifacts)
        assert found.path("1/a") == tmp_path / "1/a"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://bucket", "no place for artifacts"),
        ("relative/folder", "no place for artifacts"),
        ("s3://", "no place for artifacts"),
        ("s3://Bucket?secret=x", "no place for artifacts"),
        ("s3://key:secret@bucket", "environment variables"),
        ("s3://bucket?access_key_id=x", "no place|option 'access_key_id': there are region"),
        ("az://container", "can't be used"),
    ],
)
def test_addresses_that_are_none(url: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AZURE_", "AWS_", "GOOGLE_")):
            monkeypatch.delenv(name)
    with pytest.raises(InvalidInput, match=words) as caught:
        open_artifacts(url, Path("/nowhere"))
    assert "secret" not in caught.value.message


# ---------------------------------------------------------------- what goes wrong


def test_wrong_credentials_are_told_at_once(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    right = s3.lock()
    try:
        for name, value in right.items():
            monkeypatch.setenv(name, value)
        open_artifacts(s3.url(), Path("/nowhere")).check(write=True)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "forged")
        wrong = open_artifacts(s3.url(), Path("/nowhere"))
        with pytest.raises(Conflict, match=r"s3://resit-tests refuses us \(403 \w+\): check the credentials") as caught:
            wrong.check(write=True)
        assert "forged" not in caught.value.message
        with pytest.raises(Unavailable, match="refuses this server"):
            put(wrong, "1/a")
    finally:
        s3.unlock()
    assert s3.stored() == ["check"]


def test_no_such_bucket(s3: S3Server) -> None:
    with pytest.raises(Conflict, match="there is no s3://nothing-here: make it first"):
        open_artifacts(s3.url(bucket="nothing-here"), Path("/nowhere")).check(write=True)


def test_a_store_that_is_away(s3: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(objects, "PATIENT", objects.BRISK)
    found = open_artifacts(s3.url(), Path("/nowhere"))
    put(found, "1/a", noise(LARGE))
    found.check(write=True)
    s3.kill()
    try:
        for ask in (
            lambda: put(found, "1/b"),
            lambda: put(found, "1/b", noise(LARGE)),
            lambda: read(found, "1/a"),
            lambda: keys(found),
            lambda: found.remove("1/a"),
            lambda: found.reader("1/a"),
            lambda: asyncio.run(found.find("1/a")),
            found.check,
            lambda: found.check(write=True),
        ):
            with pytest.raises(Unavailable, match=r"does not answer as it should \(no connection\)"):
                ask()
    finally:
        s3.start()
    assert "1/b" not in caplog.text
    assert asyncio.run(found.find("1/b")) is None
    put(found, "1/b")
    assert read(found, "1/b") == b"abc"
    with pytest.raises(Unavailable, match="is gone, or was emptied"):
        found.check()


def test_a_store_that_goes_away_in_the_middle_of_an_upload(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "PATIENT", objects.BRISK)
    found = open_artifacts(s3.url(), Path("/nowhere"))

    async def cut() -> AsyncIterator[bytes]:
        content = noise(LARGE)
        async for piece in pieces(content[: 9 * 1024 * 1024]):
            yield piece
        s3.kill()
        async for piece in pieces(content[9 * 1024 * 1024 :]):
            yield piece

    try:
        with pytest.raises(Unavailable):
            asyncio.run(found.put("1/a", cut(), LIMIT))
    finally:
        s3.start()
    assert asyncio.run(found.find("1/a")) is None
    put(found, "1/a", noise(LARGE))
    assert read(found, "1/a") == noise(LARGE)


def test_a_store_that_hangs_is_noticed_by_those_who_ask(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "BRISK", objects.Patience(whole=1, silence=1, retries=0, within=1))
    found = open_artifacts(s3.url(), Path("/nowhere"))
    found.check(write=True)
    s3.pause()
    try:
        with pytest.raises(Unavailable, match="does not answer"):
            found.check()
    finally:
        s3.go_on()
    found.check()


def test_a_folder_without_room(tmp_path: Path) -> None:
    # Every write to this device fails as on a full disk.
    full = FolderArtifacts(tmp_path / "artifacts")
    found = full.path("1/a")
    found.parent.mkdir(parents=True)
    real = Path.open

    def opened(path: Path, *words: str) -> object:
        return real(Path("/dev/full") if path.name.startswith(".a.") else path, *words)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", opened)
        with pytest.raises(NoRoom, match="disk of the artifacts is full: make room"):
            put(full, "1/a")
    assert asyncio.run(full.find("1/a")) is None


def test_a_folder_that_is_cut_off_is_tidied(tmp_path: Path) -> None:
    found = FolderArtifacts(tmp_path)
    put(found, "1/a")
    part = tmp_path / "1" / ".b.0123"
    part.write_bytes(b"half")
    assert keys(found) == ["1/a"]
    assert found.tidy(part.stat().st_mtime - 1) == 0
    assert found.tidy(part.stat().st_mtime + 1) == 4
    assert not part.exists()
    assert read(found, "1/a") == b"abc"


def test_a_place_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = FolderArtifacts(tmp_path / "file")
    with pytest.raises(Unavailable):
        found.check(write=True)
    with pytest.raises(Unavailable):
        put(found, "1/a")
    with pytest.raises((NotFound, Unavailable)):
        read(found, "1/a")
