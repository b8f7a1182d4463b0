"""Artifacts in an object store: S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage.

No message holds more of what a store says than its code.
"""

import asyncio
import io
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import quote

from resit.domain.errors import Conflict, NotFound, ResitError, TooLarge, Unavailable
from resit.integrations.files import check_key, check_prefix
from resit.ports import StoredFile

if TYPE_CHECKING:
    from obstore.store import AzureStore, GCSStore, S3Store

    Objects = S3Store | GCSStore | AzureStore

log = logging.getLogger(__name__)
PART = 5 * 1024 * 1024
"""Bytes of a part of a large upload: S3 takes no smaller ones, and a store takes 10,000 of them."""
PARTS_AT_ONCE = 2
UPLOADS_AT_ONCE = 8
"""Large uploads at a time: each holds up to four parts in memory."""
PIECE = 256 * 1024
AHEAD = 1024 * 1024
"""Bytes that a reader fetches at a time."""
CHECK = "check"
"""The file that a server writes when it starts; that it can be found tells whether the store is there."""
_CONTENT_TYPE = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}(; ?[\w.+-]{1,40}=[\w.+-]{1,100})?", re.ASCII)
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a store is waited for: seconds of a request, of silence in it, repetitions, seconds of them all."""

    whole: int
    silence: int
    retries: int
    within: int


PATIENT = Patience(whole=3600, silence=60, retries=4, within=30)
"""For those who store and read."""
BRISK = Patience(whole=8, silence=8, retries=1, within=8)
"""For those who ask whether it is there."""


class ObjectArtifacts:
    """See ``resit.ports.Artifacts``."""

    def __init__(self, place: str, make: Callable[[Patience], "Objects"]) -> None:
        self._place = place
        self._store, self._probe = make(PATIENT), make(BRISK)
        self._large = asyncio.Semaphore(UPLOADS_AT_ONCE)

    async def put(
        self, key: str, content: AsyncIterator[bytes], limit: int, *, name: str = "", content_type: str = ""
    ) -> int:
        """Store a file whole or not at all; returns its size."""
        import obstore

        attributes = _attributes(name, content_type)
        source = _Source(content, limit)
        first = await source.take(PART)
        with _said():
            if len(first) < PART:
                await obstore.put_async(
                    self._store, check_key(key), first, attributes=attributes, mode="overwrite", use_multipart=False
                )
                return source.size
        async with self._large:
            # The library takes an upload back when its source breaks off, and only then: so a cancelled one breaks off.
            task = asyncio.ensure_future(self._put_large(check_key(key), source.rest(first), attributes))
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                source.stop()
                await asyncio.gather(task, return_exceptions=True)
                raise
            return source.size

    async def _put_large(self, key: str, pieces: AsyncIterator[bytes], attributes: dict[str, str]) -> None:
        import obstore

        with _said():
            await obstore.put_async(
                self._store,
                key,
                pieces,
                attributes=cast("Any", attributes),
                use_multipart=True,
                chunk_size=PART,
                max_concurrency=PARTS_AT_ONCE,
            )

    async def find(self, key: str) -> StoredFile | None:
        """The file, without its content; None when it is not there."""
        import obstore

        try:
            with _said(key):
                found = await obstore.head_async(self._store, check_key(key))
        except NotFound:
            return None
        return StoredFile(key, found["size"], found["last_modified"].timestamp())

    async def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes from ``start`` up to ``end``, piece by piece."""
        import obstore

        with _said(check_key(key)):
            if end is not None and end <= start:
                return
            wanted: Any = {"offset": start} if end is None else (start, end)
            whole = start == 0 and end is None
            got = await obstore.get_async(self._store, key, options=None if whole else {"range": wanted})
            async for piece in got.stream(min_chunk_size=PIECE):
                yield bytes(piece)

    def reader(self, key: str) -> BinaryIO:
        """The file for reading here and there; the caller closes it."""
        import obstore

        with _said(key):
            size = obstore.head(self._store, check_key(key))["size"]
        return cast("BinaryIO", io.BufferedReader(_Object(self._store, key, size), AHEAD))

    def stored(self, prefix: str = "", after: str = "") -> Iterator[StoredFile]:
        """What is stored below a prefix (or all), in the order of keys, those after ``after``."""
        import obstore

        check_prefix(prefix)
        with _said():
            found: Any = cast("Any", obstore).list(
                self._store, prefix.rstrip("/") or None, offset=after or None, chunk_size=1000
            )
            for some in found:
                for item in some:
                    # Azure begins with the key itself.
                    if item["path"] != CHECK and item["path"] > after:
                        yield StoredFile(item["path"], item["size"], item["last_modified"].timestamp())

    def remove(self, *keys: str) -> None:
        """Delete files; one that is not there is no error."""
        import obstore

        left = [check_key(key) for key in keys]
        if not left:
            return
        try:
            with _said(left[0]):
                obstore.delete(self._store, left)
        except NotFound:
            # Some stores mind; which ones of many were deleted then is not told.
            for key in left:
                self._remove(key)

    def _remove(self, key: str) -> None:
        import obstore

        try:
            with _said(key):
                obstore.delete(self._store, key)
        except NotFound:
            return

    async def link(self, key: str, seconds: float) -> str | None:
        """An address of the store that opens the file as a download, without a token, for so long."""
        import obstore

        with _said():
            return await obstore.sign_async(self._store, "GET", check_key(key), timedelta(seconds=int(seconds)))

    def tidy(self, before: float) -> int:
        """Nothing: parts of uploads that were cut off go by a rule of the bucket (docs/howto/object-storage.md)."""
        del before
        return 0

    def check(self, *, write: bool = False) -> None:
        """Whether the store answers; with ``write``, whether it takes files from us."""
        import obstore

        try:
            with _said(CHECK):
                if write:
                    obstore.put(self._probe, CHECK, b"Resit stores its artifacts here.\n", use_multipart=False)
                obstore.head(self._probe, CHECK)
        except NotFound as error:
            if write:
                raise Conflict(f"there is no {self._place}: make it first, or correct the address") from error
            raise Unavailable(f"{self._place} is gone, or was emptied") from error
        except Unavailable as error:
            if error.details.get("refused"):
                raise Conflict(
                    f"{self._place} refuses us ({error.details['refused']}): check the credentials in the environment, "
                    "and that they may read, write, list and delete there (docs/howto/object-storage.md)"
                ) from error
            raise


def _attributes(name: str, content_type: str) -> Any:
    """What a download by a link is called and said to be; never shown in place."""
    named = f"; filename*=UTF-8''{quote(name[:200], safe='')}" if name else ""
    kind = content_type if _CONTENT_TYPE.fullmatch(content_type) else "application/octet-stream"
    return {"Content-Disposition": f"attachment{named}", "Content-Type": kind}


class _Source:
    """What comes in, counted; it can be stopped while it waits."""

    def __init__(self, content: AsyncIterator[bytes], limit: int) -> None:
        self._content, self._limit = content, limit
        self._stopped = asyncio.Event()
        self.size = 0

    def stop(self) -> None:
        self._stopped.set()

    async def take(self, least: int) -> bytes:
        """At least so many bytes; fewer when there are no more."""
        pieces: list[bytes] = []
        while self.size < least:
            try:
                piece = await anext(self._content)
            except StopAsyncIteration:
                break
            pieces.append(self._counted(piece))
        return b"".join(pieces)

    async def rest(self, first: bytes) -> AsyncGenerator[bytes]:
        """What was taken, then everything else. Raises :class:`Unavailable` after :meth:`stop`."""
        yield first
        while True:
            coming = asyncio.ensure_future(_next(self._content))
            stopped = asyncio.ensure_future(self._stopped.wait())
            await asyncio.wait({coming, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if not coming.done():
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
                raise Unavailable("the upload was broken off")
            piece = coming.result()
            if piece is None:
                return
            yield self._counted(piece)

    def _counted(self, piece: bytes) -> bytes:
        self.size += len(piece)
        if self.size > self._limit:
            raise TooLarge(f"an artifact has at most {self._limit} bytes")
        return piece


async def _next(content: AsyncIterator[bytes]) -> bytes | None:
    """The next piece that is not empty, or None."""
    async for piece in content:
        if piece:
            return piece
    return None


class _Object(io.RawIOBase):
    """An object as a file; each read asks the store."""

    def __init__(self, store: "Objects", key: str, size: int) -> None:
        self._objects, self._key, self._size, self._at = store, key, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        import obstore

        end = min(self._at + len(buffer), self._size)
        if end <= self._at:
            return 0
        with _said(self._key):
            got = obstore.get_range(self._objects, self._key, start=self._at, end=end)
        buffer[: len(got)] = memoryview(got)
        self._at += len(got)
        return len(got)


@contextmanager
def _said(key: str = "") -> Generator[None]:
    """Errors of the store in words of ours. Its own are not logged either: they hold addresses, which may be signed."""
    from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

    try:
        yield
    except ResitError:
        raise
    except FileNotFoundError as error:
        if key:
            raise NotFound("the file is not stored") from None
        raise Unavailable("the place of the artifacts is gone: is there still such a bucket?") from error
    except (BaseError, OSError) as error:
        words, code = str(error), _code(str(error))
        log.warning("the artifact store: %s (%s)", type(error).__name__, code or _reason(words))
        refused = isinstance(error, PermissionDeniedError | UnauthenticatedError) or code.startswith(("401", "403"))
        # No chain: the library's message holds the address.
        if refused:
            raise Unavailable("the artifact store refuses this server", refused=code or "no reason given") from None
        raise Unavailable(f"the artifact store does not answer as it should ({code or _reason(words)})") from None


def _code(words: str) -> str:
    """The status and the code that a store answered with."""
    found = [match[1] for match in (_STATUS.search(words), _CODE.search(words)) if match]
    return " ".join(found)


_REASONS: Sequence[tuple[str, str]] = (
    ("timed out", "it takes too long"),
    ("operation timed out", "it takes too long"),
    ("error sending request", "no connection"),
    ("connection", "the connection broke"),
)


def _reason(words: str) -> str:
    return next((said for part, said in _REASONS if part in words.lower()), "no reason given")
