"""The words of pools, workers and their credentials; requests refuse unknown members."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from resit import __version__
from resit.api.native.catalog_schemas import Asked, Text, when
from resit.domain.fleet import MAX_LABELS, Holding, Worker, WorkerCredential, WorkersAddress
from resit.services.fleet import PoolView

PoolName = Annotated[str, Field(max_length=64, examples=["linux-chrome"])]
Word = Annotated[str, Field(max_length=64)]


class PoolIn(Asked):
    """A pool to make."""

    name: PoolName
    labels: dict[Word, Word] = Field(
        default_factory=dict[str, str], max_length=MAX_LABELS, description="What its workers have in common"
    )
    description: Text = ""


class PoolChange(Asked):
    """What to change of a pool."""

    labels: dict[Word, Word | None] = Field(
        default_factory=dict[str, str | None], max_length=2 * MAX_LABELS, description="A value sets, null takes away"
    )
    description: Text = ""


class PoolOut(BaseModel):
    """A pool; `workers` and `slots`: who takes work in it now."""

    name: str
    labels: dict[str, str]
    description: str
    workers: int
    slots: int
    created_at: datetime | None = Field(description="null: it was always there")

    @classmethod
    def of(cls, view: PoolView) -> "PoolOut":
        """The words for a pool."""
        return cls(
            name=view.pool.name,
            labels=dict(view.pool.labels),
            description=view.pool.description,
            workers=view.workers,
            slots=view.slots,
            created_at=when(view.pool.created_at or None),
        )


class HoldingOut(BaseModel):
    """What one slot of a worker does."""

    run: int | None = Field(description="null: a run out of the token's reach")
    shard: int = Field(description="0: lists the tests of the run; -1: makes its report")
    batch: int = Field(description="0: none yet")
    since: datetime | None

    @classmethod
    def of(cls, value: Holding) -> "HoldingOut":
        """The words for a slot."""
        return cls(run=value.run or None, shard=value.shard, batch=value.batch, since=when(value.since))


class WorkerOut(BaseModel):
    """A worker as it was last heard of."""

    name: str
    pool: str
    labels: dict[str, str]
    slots: int
    used: int = Field(description="Slots that are taken")
    holding: list[HoldingOut]
    draining: bool = Field(description="It takes nothing new: it ends what it has begun")
    alive: bool = Field(description="It was heard of within the last 30 seconds")
    version: str
    same_version: bool = Field(description="It has the server's version")
    host: str
    credential_id: int | None = Field(description="What it came in with; null: the worker beside a server")
    started_at: datetime | None
    seen_at: datetime | None

    @classmethod
    def of(cls, value: Worker, now: float) -> "WorkerOut":
        """The words for a worker."""
        return cls(
            name=value.name,
            pool=value.pool,
            labels=dict(value.labels),
            slots=value.slots,
            used=len(value.holding),
            holding=[HoldingOut.of(place) for place in value.holding],
            draining=value.draining,
            alive=value.alive(now),
            version=value.version,
            same_version=value.version == __version__,
            host=value.host,
            credential_id=value.credential_id,
            started_at=when(value.started_at or None),
            seen_at=when(value.seen_at),
        )


class WorkerCredentialIn(Asked):
    """A credential to make."""

    pool: PoolName
    name: Text = Field(default="", description="What it is for")
    expires_in_days: float | None = None


class WorkerCredentialOut(BaseModel):
    """A credential without its secret. `seen_at`: when somebody last came in with it, to the minute."""

    id: int
    name: str
    pool: str
    prefix: str
    created_by: str
    created_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    seen_at: datetime | None

    @classmethod
    def of(cls, value: WorkerCredential) -> "WorkerCredentialOut":
        """The words for a credential."""
        return cls(
            id=value.id,
            name=value.name,
            pool=value.pool,
            prefix=value.prefix,
            created_by=value.created_by,
            created_at=when(value.created_at),
            expires_at=when(value.expires_at),
            revoked_at=when(value.revoked_at),
            seen_at=when(value.seen_at),
        )


class NewWorkerCredential(WorkerCredentialOut):
    """All that a worker needs to join: `resit worker --credential FILE` takes this document as it is."""

    secret: str = Field(description="Told once")
    brokers: list[str] = Field(description="Where it connects")
    server: str = Field(description="Where it hands artifacts in")
    ca: str = Field(description="Authorities to trust besides those of the machine, PEM; empty: none")

    @classmethod
    def made(cls, value: WorkerCredential, secret: str, address: WorkersAddress) -> "NewWorkerCredential":
        """The words for a fresh credential."""
        return cls(
            **WorkerCredentialOut.of(value).model_dump(),
            secret=secret,
            brokers=list(address.brokers),
            server=address.server,
            ca=address.ca,
        )
