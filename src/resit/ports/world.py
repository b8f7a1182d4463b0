"""Time, ids, keys and files: what the core must not make up by itself."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from resit.domain.rates import Rate, Standing


class Clock(Protocol):
    """The time, passed in so that tests can turn it."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        ...


class Ids(Protocol):
    """Names that nobody has used yet, and the short form of numbers."""

    def uuid(self) -> str:
        """A fresh UUID."""
        ...

    def secret(self) -> str:
        """A fresh secret for a bearer token, URL-safe, with at least 256 bits of chance."""
        ...

    def short(self, number: int) -> str:
        """The short id of a run's number: letters only, reversible."""
        ...

    def number(self, short: str) -> int | None:
        """The reverse of :meth:`short`; None for what is no short id."""
        ...

    def short_of(self, *numbers: int) -> str:
        """The short id of several numbers, like a run's and a test's in it; reversible."""
        ...

    def numbers(self, short: str, count: int) -> tuple[int, ...] | None:
        """The reverse of :meth:`short_of`; None for what is no short id of ``count`` numbers."""
        ...


class Cron(Protocol):
    """The times of cron expressions in a zone of the IANA database.

    Where clocks are put forward, an hour is missing: what is due in it comes at its end, once. Where they are put
    back, an hour comes twice: what is due in it comes in the first of the two. An expression whose minutes or hours
    begin with ``*`` goes by the time that passes, so it comes in each of the two hours, and not at the end of the
    missing one.
    """

    def check(self, expression: str, zone: str) -> None:
        """Raise ``InvalidInput`` for an unknown zone, or an expression that never comes."""
        ...

    def times(self, expression: str, zone: str, after: float, most: int, until: float | None = None) -> Sequence[float]:
        """The first ``most`` times after ``after`` (not later than ``until``), in order."""
        ...

    def local(self, time: float, zone: str) -> datetime:
        """A time as a clock in the zone shows it."""
        ...


class Signer(Protocol):
    """What the server's key does: seal secrets of environments, sign short-lived rights of workers."""

    def seal(self, secrets: Mapping[str, str]) -> str:
        """Encrypt secrets for storage."""
        ...

    def unseal(self, sealed: str) -> dict[str, str]:
        """The reverse of :meth:`seal`; an empty string gives no secrets."""
        ...

    def sign(self, subject: str, expires_at: float) -> str:
        """A token that says "the bearer may speak for ``subject``" until ``expires_at``."""
        ...

    def verify(self, token: str, now: float) -> str | None:
        """The subject of a token that is ours and has not expired, else None."""
        ...


class Rates(Protocol):
    """Counters of rate limits, shared by all processes of a server."""

    def hit(self, key: str, rate: Rate, now: float) -> Standing:
        """Count one request of ``key`` and tell where it stands."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """A control plane. ``broker`` says which broker it speaks to and ``key`` which secret key it has, so that two that
    don't fit together are noticed; neither tells anything secret.
    """

    name: str
    url: str = ""
    version: str = ""
    broker: str = ""
    key: str = ""
    started_at: float = 0.0
    seen_at: float = 0.0


class Duties(Protocol):
    """What only one control plane at a time needs to do, by the database's clock. Raises ``Unavailable``."""

    def hold(self, name: str, seconds: float) -> bool:
        """Take the duty for so long, or keep it; False while it is another's."""
        ...

    def release(self, name: str) -> None:
        """Give it up, so that another need not wait for its end."""
        ...

    def present(self) -> None:
        """Say that this control plane is there."""
        ...

    def planes(self, within: float) -> Sequence[Plane]:
        """The control planes that were there within so many seconds, this one too."""
        ...


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A stored file: its key, its size in bytes, and since when it is there, in seconds since the epoch."""

    key: str
    size: int
    modified: float


class Artifacts(Protocol):
    """Stored files, by key: lower-case letters, digits, ``-`` and ``/``, made by us, never of a user's words.

    All raise :class:`Unavailable` while the store is away. What is not awaited is for threads: it may wait for a
    network.
    """

    async def put(
        self, key: str, content: AsyncIterator[bytes], limit: int, *, name: str = "", content_type: str = ""
    ) -> int:
        """Store a file whole or not at all, also when ``content`` raises; returns its size.

        ``name`` and ``content_type`` are what somebody gets who opens it by :meth:`link`. Raises :class:`TooLarge` past
        ``limit`` bytes, :class:`NoRoom`.
        """
        ...

    async def find(self, key: str) -> StoredFile | None:
        """The file, without its content; None when it is not there."""
        ...

    def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from ``start`` up to ``end``, piece by piece. Raises :class:`NotFound`."""
        ...

    def reader(self, key: str) -> BinaryIO:
        """The file for reading here and there; the caller closes it. Raises :class:`NotFound`."""
        ...

    def stored(self, prefix: str = "", after: str = "") -> Iterator[StoredFile]:
        """What is stored below a prefix that ends with ``/`` (or all), in the order of keys, those after ``after``."""
        ...

    def remove(self, *keys: str) -> None:
        """Delete files; one that is not there is no error."""
        ...

    async def link(self, key: str, seconds: float) -> str | None:
        """An address that opens the file as a download, without a token, for so long; None where the store has none."""
        ...

    def tidy(self, before: float) -> int:
        """Delete what uploads that were cut off before a time have left behind; returns the bytes. Object stores do
        that by a rule of their own."""
        ...

    def check(self, *, write: bool = False) -> None:
        """Whether the store answers; with ``write``, whether files can be stored and deleted.

        Raises :class:`Unavailable`, or :class:`Conflict` when waiting won't help: wrong credentials, no such bucket.
        """
        ...


class PostFailed(Exception):
    """A notice was not handed over; the words say why, without the address."""


class Notifier(Protocol):
    """How webhooks are told."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Post a body; returns the status of the answer. Raises :class:`PostFailed` when there is none."""
        ...

    async def close(self) -> None: ...


class Uploads(Protocol):
    """How a worker hands attachments over, and gets what a report is made of, under the right of its attempt."""

    async def send(
        self, url: str, token: str, artifact: str, path: Path, *, name: str = "", content_type: str = ""
    ) -> bool:
        """Upload a file; False when it can't be taken (gone, too large, no room). Waits while the server is away."""
        ...

    async def fetch(self, url: str, token: str, to: Path, limit: int) -> bool:
        """Download what is there into a file; False when there is nothing for us, or more than ``limit`` bytes. Waits
        while the server is away."""
        ...

    async def close(self) -> None: ...
