"""What any store of artifacts must keep to: one test a promise. Derive a class with the fixture ``artifacts``."""

import asyncio
import hashlib
import tracemalloc
import urllib.request
from collections.abc import AsyncIterator
from typing import Any

import pytest

from resit.domain.errors import NotFound, TooLarge
from resit.ports import Artifacts

MIB = 1024 * 1024
LIMIT = 64 * MIB
LARGE = 13 * MIB + 4711
"""More than two parts of a large upload, and no whole number of them."""


async def pieces(content: bytes, size: int = 100_000, *, then: BaseException | None = None) -> AsyncIterator[bytes]:
    """Content as it comes in; at its end, an error if one is given."""
    for start in range(0, len(content), size):
        yield content[start : start + size]
    if then is not None:
        raise then


def noise(size: int, seed: str = "noise") -> bytes:
    """Bytes that look like chance and are always the same."""
    block = b"".join(hashlib.sha256(f"{seed}{number}".encode()).digest() for number in range(2048))
    return (block * (size // len(block) + 1))[:size]


def put(artifacts: Artifacts, key: str, content: bytes = b"abc", **words: str) -> int:
    """Store a file."""
    return asyncio.run(artifacts.put(key, pieces(content), LIMIT, **words))


def read(artifacts: Artifacts, key: str, start: int = 0, end: int | None = None) -> bytes:
    """The bytes of a file."""

    async def collect() -> bytes:
        return b"".join([piece async for piece in artifacts.open(key, start, end)])

    return asyncio.run(collect())


def keys(artifacts: Artifacts, prefix: str = "", after: str = "") -> list[str]:
    """The keys of what is stored."""
    return [found.key for found in artifacts.stored(prefix, after)]


class Broken(Exception):
    """Whoever sends goes away."""


class ArtifactsContract:
    """One test a promise; ``artifacts`` is a fixture of the derived class, an empty store."""

    leaves_nothing: Any = None
    """What is still there of uploads that were broken off, as a function without arguments, where that can be seen."""

    @pytest.mark.parametrize("size", [0, 1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, LARGE])
    def test_what_is_put_can_be_read(self, artifacts: Artifacts, size: int) -> None:
        """Byte for byte, small or large, and its size is known."""
        content = noise(size)
        assert put(artifacts, "1/a", content) == size
        assert read(artifacts, "1/a") == content
        found = asyncio.run(artifacts.find("1/a"))
        assert found is not None
        assert (found.key, found.size) == ("1/a", size)
        assert found.modified > 1_700_000_000

    def test_parts_of_a_file(self, artifacts: Artifacts) -> None:
        """Any range of bytes, the last one not included; what is beyond the end is cut off."""
        content = noise(LARGE)
        put(artifacts, "1/a", content)
        for start, end in ((0, 1), (1, 2), (LARGE - 1, LARGE), (6 * MIB - 3, 6 * MIB + 3), (MIB, 12 * MIB)):
            assert read(artifacts, "1/a", start, end) == content[start:end]
        assert read(artifacts, "1/a", LARGE - 5) == content[-5:]
        assert read(artifacts, "1/a", LARGE - 5, LARGE + 100) == content[-5:]
        assert read(artifacts, "1/a", 7, 7) == b""

    def test_a_reader_goes_here_and_there(self, artifacts: Artifacts) -> None:
        """As archives need it."""
        content = noise(LARGE)
        put(artifacts, "1/a", content)
        with artifacts.reader("1/a") as file:
            assert file.read(10) == content[:10]
            assert file.seek(-7, 2) == LARGE - 7
            assert file.read() == content[-7:]
            assert file.read(1) == b""
            assert file.seek(6 * MIB) == 6 * MIB
            assert file.read(3 * MIB) == content[6 * MIB : 9 * MIB]
            assert file.tell() == 9 * MIB
            file.seek(0)
            assert list(iter(lambda: file.read(MIB), b"")) == [content[at : at + MIB] for at in range(0, LARGE, MIB)]

    def test_what_is_not_there(self, artifacts: Artifacts) -> None:
        """It is not found, and taking it away is no error."""
        assert asyncio.run(artifacts.find("1/a")) is None
        with pytest.raises(NotFound):
            read(artifacts, "1/a")
        with pytest.raises(NotFound):
            read(artifacts, "1/a", 1, 2)
        with pytest.raises(NotFound):
            artifacts.reader("1/a")
        artifacts.remove("1/a")
        artifacts.remove()
        assert keys(artifacts) == keys(artifacts, "1/") == []

    def test_the_same_key_again(self, artifacts: Artifacts) -> None:
        """The later file takes the place of the earlier one."""
        put(artifacts, "1/a", noise(LARGE))
        put(artifacts, "1/a", b"short")
        assert read(artifacts, "1/a") == b"short"

    @pytest.mark.parametrize("size", [10, LARGE])
    def test_broken_off_is_not_there(self, artifacts: Artifacts, size: int) -> None:
        """Whoever sends goes away: nothing is stored, nothing is left, and the error is theirs."""
        with pytest.raises(Broken):
            asyncio.run(artifacts.put("1/a", pieces(noise(size), then=Broken()), LIMIT))
        self._nothing(artifacts)

    def test_a_broken_replacement_leaves_what_was_there(self, artifacts: Artifacts) -> None:
        """Whole or not at all."""
        put(artifacts, "1/a", b"before")
        with pytest.raises(Broken):
            asyncio.run(artifacts.put("1/a", pieces(noise(LARGE), then=Broken()), LIMIT))
        assert read(artifacts, "1/a") == b"before"

    @pytest.mark.parametrize("limit", [10, LARGE - 1])
    def test_too_large_is_refused_on_the_way(self, artifacts: Artifacts, limit: int) -> None:
        """Before all of it has come."""
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += 65536
                yield bytes(65536)

        with pytest.raises(TooLarge):
            asyncio.run(artifacts.put("1/a", endless(), limit))
        assert sent < limit + 16 * MIB
        self._nothing(artifacts)

    def test_a_cancelled_upload_leaves_nothing(self, artifacts: Artifacts) -> None:
        """The server ends while somebody sends."""

        async def scene() -> None:
            waiting = asyncio.Event()

            async def slow() -> AsyncIterator[bytes]:
                async for piece in pieces(noise(LARGE)):
                    yield piece
                waiting.set()
                await asyncio.Event().wait()

            task = asyncio.create_task(artifacts.put("1/a", slow(), LIMIT))
            await asyncio.wait_for(waiting.wait(), 60)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(scene())
        self._nothing(artifacts)

    def _nothing(self, artifacts: Artifacts) -> None:
        assert asyncio.run(artifacts.find("1/a")) is None
        assert keys(artifacts) == []
        if self.leaves_nothing is not None:
            assert self.leaves_nothing() == []

    def test_listing(self, artifacts: Artifacts) -> None:
        """All below a prefix, in the order of keys; it can be gone on with after any key."""
        made = ["1/a", "1/b", "10/a", "2/a", "2/reports/x", "resource-1", "resource-10"]
        for key in reversed(made):
            put(artifacts, key)
        assert keys(artifacts) == made
        assert keys(artifacts, "1/") == ["1/a", "1/b"]
        assert keys(artifacts, "2/") == ["2/a", "2/reports/x"]
        assert keys(artifacts, "2/reports/") == ["2/reports/x"]
        assert keys(artifacts, "3/") == []
        for number, key in enumerate(made):
            assert keys(artifacts, after=key) == made[number + 1 :], key
        assert keys(artifacts, "1/", "1/a") == ["1/b"]
        assert keys(artifacts, after="1/aa") == made[1:]
        assert {found.size for found in artifacts.stored()} == {3}

    def test_removing_many(self, artifacts: Artifacts) -> None:
        """At once, also when some of them are gone already."""
        made = [f"1/{number:04}" for number in range(30)]
        for key in (*made, "2/a"):
            put(artifacts, key)
        artifacts.remove(*made[5:7])
        artifacts.remove(*made, "1/never")
        assert keys(artifacts) == ["2/a"]
        put(artifacts, made[0])
        assert keys(artifacts) == [made[0], "2/a"]

    def test_several_at_the_same_time(self, artifacts: Artifacts) -> None:
        """Of the same folder, while others are taken away."""

        async def scene() -> None:
            async def one(number: int) -> None:
                key = f"1/{number}"
                content = noise(200_000, str(number))
                await artifacts.put(key, pieces(content), LIMIT)
                assert b"".join([piece async for piece in artifacts.open(key)]) == content
                await asyncio.to_thread(artifacts.remove, key)
                assert await artifacts.find(key) is None

            await asyncio.gather(*(one(number) for number in range(16)))

        asyncio.run(scene())
        assert keys(artifacts) == []

    @pytest.mark.parametrize(
        "key", ["", "/a", "../a", "a/../b", "A", "a//b", "a/", ".a", "a b", "ä", "a\x00", "a" * 300]
    )
    def test_keys_are_ours(self, artifacts: Artifacts, key: str) -> None:
        """What is no key of ours is a fault of ours, not a file somewhere."""
        with pytest.raises(ValueError, match="key of ours"):
            put(artifacts, key)
        with pytest.raises(ValueError, match="key of ours"):
            artifacts.remove(key)
        with pytest.raises(ValueError, match="key of ours"):
            artifacts.reader(key)

    def test_links(self, artifacts: Artifacts) -> None:
        """Where the store has links, they open one file as a download under its name."""
        put(artifacts, "1/a", b"<script>", name='"wörd".html', content_type="text/html")
        link = asyncio.run(artifacts.link("1/a", 60))
        if link is None:
            return
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(link, timeout=30) as answer:
            assert answer.read() == b"<script>"
            said = answer.headers["Content-Disposition"]
            assert said == "attachment; filename*=UTF-8''%22w%C3%B6rd%22.html"
            assert answer.headers["Content-Type"].split(";")[0] == "text/html"

    def test_a_check_leaves_nothing_to_see(self, artifacts: Artifacts) -> None:
        """It can be asked again and again."""
        artifacts.check(write=True)
        artifacts.check()
        assert keys(artifacts) == []
        assert artifacts.tidy(4e9) == 0

    def test_a_large_file_is_never_in_memory(self, artifacts: Artifacts) -> None:
        """Neither on its way in nor out: a few parts at most."""
        size = 60 * MIB

        async def zeros() -> AsyncIterator[bytes]:
            for _ in range(size // 65536):
                yield bytes(65536)

        async def scene() -> int:
            assert await artifacts.put("1/a", zeros(), LIMIT) == size
            return sum([len(piece) async for piece in artifacts.open("1/a")])

        tracemalloc.start()
        try:
            assert asyncio.run(scene()) == size
            assert tracemalloc.get_traced_memory()[1] < 30 * MIB
        finally:
            tracemalloc.stop()
