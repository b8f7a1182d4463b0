"""The database as retention sees it: every method is a transaction of its own, and a small one."""

from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass
from typing import Protocol

from resit.domain.retention import Policy, Standing


@dataclass(frozen=True, slots=True)
class Kept:
    """A project and its limits."""

    id: int
    slug: str
    policy: Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a project takes. ``tests``: rows of all ledgers; ``bytes`` of stored files; ``oldest``: when its oldest run
    was requested, in seconds since the epoch."""

    project_id: int
    slug: str
    policy: Policy
    runs: int = 0
    kept: int = 0
    tests: int = 0
    files: int = 0
    bytes: int = 0
    oldest: float | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes of the database, and how many of them are free for what comes next."""

    size: int
    free: int


class RetentionStore(Protocol):
    """All raise :class:`Unavailable`."""

    def projects(self, project_id: int | None = None) -> Sequence[Kept]:
        """The projects (or one) that have limits."""
        ...

    def standings(self, project_id: int, *, sizes: bool) -> Sequence[Standing]:
        """The runs of a project; with ``sizes``, what their files take."""
        ...

    def mark(self, ids: Collection[int]) -> int:
        """Take runs away from all who read, those of them that may still go; their re-runs keep the number of their
        source alone. Returns how many."""
        ...

    def marked(self) -> int | None:
        """The oldest run that is marked, and has still to be taken apart."""
        ...

    def erase(self, run_id: int, most: int) -> tuple[int, bool]:
        """Delete at most so many rows of a marked run, itself the last; how many, and whether it is gone."""
        ...

    def known(self, keys: Collection[str]) -> Set[str]:
        """Those of some keys that a row refers to, or that belong to an open or marked run."""
        ...

    def usage(self, project_id: int | None) -> Sequence[Usage]:
        """What projects (or one) take, by slug."""
        ...

    def room(self) -> Room:
        """What the database takes."""
        ...
