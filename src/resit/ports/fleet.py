"""The database as services see it: workers, their pools and credentials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from resit.domain.fleet import Pool, Worker, WorkerCredential


class WorkerStore(Protocol):
    """Who takes part."""

    def seen(self, worker: Worker) -> None:
        """The worker as it is now. One of another pool with the same name stays, unless it has been silent for longer
        than the living are: nobody takes a name away from another pool."""
        ...

    def gone(self, name: str, pool: str) -> None:
        """The worker has left for good."""
        ...

    def forget(self, before: float) -> None:
        """Forget who was last seen before a time."""
        ...

    def all(self, since: float) -> Sequence[Worker]:
        """The workers that have been seen since, by pool and name."""
        ...

    def alive(self, pool: str, since: float) -> int:
        """How many workers of the pool have been seen since and take new work."""
        ...

    def alive_by_pool(self, since: float) -> Mapping[str, int]:
        """The same for every pool that has one."""
        ...


@dataclass(frozen=True, slots=True)
class PoolUse:
    """What needs a pool: environments that name it (as ``project/environment``), open runs, valid credentials."""

    environments: Sequence[str] = ()
    runs: int = 0
    credentials: int = 0


class PoolStore(Protocol):
    """Pools that somebody has made or described."""

    def add(self, pool: Pool) -> None: ...
    def get(self, name: str) -> Pool | None: ...
    def save(self, pool: Pool) -> None:
        """Save it, made when it is missing."""
        ...

    def remove(self, name: str) -> None: ...
    def all(self) -> Sequence[Pool]:
        """By name."""
        ...

    def use(self, name: str, now: float) -> PoolUse: ...


class WorkerCredentialStore(Protocol):
    """Credentials of workers on other machines."""

    def add(self, value: WorkerCredential) -> WorkerCredential:
        """Keep it; the answer has its number."""
        ...

    def get(self, id: int) -> WorkerCredential | None: ...
    def by_prefix(self, prefix: str) -> Sequence[WorkerCredential]: ...
    def all(self) -> Sequence[WorkerCredential]:
        """Oldest first."""
        ...

    def save(self, value: WorkerCredential) -> None: ...
