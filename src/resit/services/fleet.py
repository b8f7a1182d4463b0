"""Pools, the workers in them, and who may come in as a worker from another machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from resit.domain import fleet
from resit.domain.access import Principal, Scope
from resit.domain.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from resit.domain.fleet import (
    ALIVE_SECONDS,
    DEFAULT_POOL,
    FORGET_SECONDS,
    MAX_HOLDING,
    REPORTS,
    Holding,
    Pool,
    Worker,
    WorkerCredential,
    WorkersAddress,
)
from resit.domain.ids import secret_digest
from resit.domain.project import check_text
from resit.ports import Clock, Ids, Outgoing, Pass, Store, Transaction
from resit.services.access import MAX_DAYS, MAX_NAME, MAX_NUMBER, PREFIX
from resit.services.pools import pool_for

SEEN_SECONDS = 60.0
"""How often it is noted that a credential is in use, at most."""
POOL_CHANGES = ("labels", "description")
_LONGEST_NAME = 200
_LONGEST_WORD = 64
_FAR = 3652 * 86400.0
"""Seconds; no clock is further off."""


@dataclass(frozen=True, slots=True)
class PoolView:
    """A pool, and who takes work in it now."""

    pool: Pool
    workers: int
    slots: int


def heard(pool: str, report: Mapping[str, Any], now: float) -> Worker:
    """A worker of ``pool`` as it tells of itself. Times come as seconds that have passed, as its clock may be another.

    Raises :class:`InvalidInput`, KeyError, TypeError, ValueError for what makes no sense; labels that are none are left
    out.
    """
    labels: Mapping[Any, Any] = report.get("labels") or {}
    try:
        said = fleet.check_labels({str(key): str(value) for key, value in labels.items()})
    except InvalidInput:
        said = {}
    places: Sequence[Sequence[Any]] = report.get("holding") or ()
    credential = report.get("credential")
    return Worker(
        name=check_text(str(report["worker"]), "worker", _LONGEST_NAME),
        pool=pool,
        slots=_number(report["slots"]),
        version=str(report.get("version", ""))[:_LONGEST_WORD],
        labels=said,
        holding=tuple(
            Holding(_number(run), REPORTS if shard == REPORTS else _number(shard), _number(batch), now - _ago(ago))
            for run, shard, batch, ago in places[:MAX_HOLDING]
        ),
        draining=bool(report.get("draining")),
        host=check_text(str(report.get("host", ""))[:_LONGEST_NAME], "host"),
        credential_id=_number(credential) if credential else None,
        started_at=now - _ago(report.get("up", 0.0)),
        seen_at=now,
        skew=_skew(report.get("clock"), now),
    )


def _number(value: Any) -> int:
    number = int(value)
    if not 0 <= number < MAX_NUMBER:
        raise ValueError("not a number of ours")
    return number


def _skew(theirs: Any, ours: float) -> float:
    """How far ahead a clock is; 0 for one that does not say."""
    return 0.0 if theirs is None else min(max(-_FAR, float(theirs) - ours), _FAR)


def _ago(value: Any) -> float:
    """Seconds that have passed, of which no worker has more than there are in ten years."""
    return min(max(0.0, float(value)), 3652 * 86400.0)


class Fleet:
    """See the module. Implements :class:`resit.ports.Gate`."""

    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        self._store, self._clock, self._ids = store, clock, ids
        self.address: WorkersAddress | None = None
        """Where workers of other machines come in; None: nowhere, or the control plane is not running."""

    # ------------------------------------------------------------ who comes in

    def admit(self, secret: str) -> Pass | None:
        """What a worker's secret admits to; None for one that is unknown, revoked or expired."""
        now, digest = self._clock.now(), secret_digest(secret)
        with self._store.read() as tx:
            found = next((c for c in tx.worker_credentials.by_prefix(secret[:PREFIX]) if c.digest == digest), None)
        if found is None or not found.valid(now):
            return None
        if found.seen_at is None or now - found.seen_at >= SEEN_SECONDS:
            with self._store.write(lasting=False) as tx:
                fresh = tx.worker_credentials.get(found.id)
                if fresh is None or not fresh.valid(now):
                    return None
                tx.worker_credentials.save(replace(fresh, seen_at=now))
        return Pass(found.pool, found.id, found.name, found.expires_at)

    def issue(
        self, principal: Principal, *, pool: str, name: str = "", expires_in_days: float | None = None
    ) -> tuple[WorkerCredential, str, WorkersAddress]:
        """A credential for workers of a pool; its secret, which is told here and never again; and where to go with it.

        Raises :class:`Forbidden` for all but an administrator bound to no project, :class:`InvalidInput`, and
        :class:`Conflict` when workers of other machines can't come in.
        """
        principal.need_all()
        address = self.address
        if address is None:
            raise Conflict(
                "this server does not listen for workers of other machines: start it with "
                "`resit serve --workers-listen HOST:PORT`"
            )
        if expires_in_days is not None and not 0 < expires_in_days <= MAX_DAYS:
            raise InvalidInput(
                f"a credential lives more than 0 and at most {MAX_DAYS:.0f} days", field="expires_in_days"
            )
        check_text(name, "name", MAX_NAME)
        now, secret = self._clock.now(), self._ids.secret()
        with self._store.write(alone=True) as tx:
            pool_for(tx, fleet.check_pool_name(pool, "pool"), now)
            made = tx.worker_credentials.add(
                WorkerCredential(
                    id=0,
                    name=name,
                    pool=pool,
                    prefix=secret[:PREFIX],
                    digest=secret_digest(secret),
                    created_by=principal.name,
                    created_at=now,
                    expires_at=None if expires_in_days is None else now + expires_in_days * 86400,
                )
            )
        return made, secret, address

    def credentials(self, principal: Principal) -> Sequence[WorkerCredential]:
        """All credentials, without their secrets, oldest first."""
        principal.need_all()
        with self._store.read() as tx:
            return tx.worker_credentials.all()

    def revoke(self, principal: Principal, id: int) -> WorkerCredential:
        """End a credential's life and the connections that were made with it; a second time is no error.

        Raises :class:`NotFound`.
        """
        principal.need_all()
        with self._store.write(alone=True) as tx:
            found = tx.worker_credentials.get(id) if 0 < id < MAX_NUMBER else None
            if found is None:
                raise NotFound(f"no worker credential {id}", resource="worker credential", id=id)
            if found.revoked_at is None:
                found = replace(found, revoked_at=self._clock.now())
                tx.worker_credentials.save(found)
            # Also the second time: should the first word to the broker have been lost, this one is not.
            tx.outbox.add(Outgoing(kind="revoke", run_id=0, pool=found.pool, number=found.id))
        return found

    # ------------------------------------------------------------ pools

    def pools(self, principal: Principal) -> Sequence[PoolView]:
        """The pools by name, the default one among them."""
        principal.need(Scope.SYSTEM_READ)
        with self._store.read() as tx:
            known = fleet.with_default(tx.pools.all())
            workers = [w for w in tx.workers.all(self._clock.now() - ALIVE_SECONDS) if not w.draining]
        return [_view(pool, workers) for pool in known]

    def add_pool(
        self, principal: Principal, *, name: str, labels: Mapping[str, str], description: str = ""
    ) -> PoolView:
        """Make a pool. Raises :class:`AlreadyExists`, :class:`InvalidInput`."""
        principal.need_all()
        pool = Pool(
            name=fleet.check_pool_name(name),
            labels=fleet.check_labels(labels),
            description=check_text(description, "description"),
            created_at=self._clock.now(),
        )
        with self._store.write(alone=True) as tx:
            if name == DEFAULT_POOL or tx.pools.get(name):
                raise AlreadyExists(f"there is a pool {name!r} already", field="name")
            tx.pools.add(pool)
        return PoolView(pool, 0, 0)

    def change_pool(self, principal: Principal, name: str, changes: Mapping[str, Any]) -> PoolView:
        """Change some of ``POOL_CHANGES``: ``labels`` name what changes (a value sets, None takes away).

        Runs that were requested before stay where they are. Raises :class:`InvalidInput`, :class:`NotFound`.
        """
        principal.need_all()
        if unknown := sorted(set(changes) - set(POOL_CHANGES)):
            raise InvalidInput(f"a pool has no {unknown[0][:80]!r} that can be changed", field=unknown[0][:80])
        now = self._clock.now()
        with self._store.write(alone=True) as tx:
            found = _find_pool(tx, name)
            said: Mapping[str, str | None] = changes.get("labels") or {}
            labels: dict[str, str | None] = {**found.labels, **said}
            found = replace(
                found,
                labels=fleet.check_labels({key: value for key, value in labels.items() if value is not None}),
                description=check_text(changes.get("description", found.description), "description"),
                created_at=found.created_at or now,
            )
            tx.pools.save(found)
            workers = tx.workers.all(now - ALIVE_SECONDS)
        return _view(found, [w for w in workers if not w.draining])

    def remove_pool(self, principal: Principal, name: str) -> None:
        """Take a pool away that nothing needs any more. Raises :class:`Conflict`, naming what does, and
        :class:`NotFound`."""
        principal.need_all()
        with self._store.write(alone=True) as tx:
            found = _find_pool(tx, name)
            if found.name == DEFAULT_POOL:
                raise Conflict(f"the pool {DEFAULT_POOL!r} stays: environments that name none go there")
            use = tx.pools.use(found.name, self._clock.now())
            if use.environments:
                named = ", ".join(use.environments)
                raise Conflict(f"the pool {name!r} is named by environments: {named}; give them another pool first")
            if use.runs:
                raise Conflict(f"the pool {name!r} has {use.runs} open runs: cancel them, or wait for their end")
            if use.credentials:
                raise Conflict(
                    f"the pool {name!r} has {use.credentials} worker credentials that are valid: revoke them first "
                    "(resit worker-credential list)"
                )
            tx.pools.remove(found.name)

    # ------------------------------------------------------------ workers

    def workers(self, principal: Principal) -> Sequence[Worker]:
        """The workers of the last day, by pool and name; who is bound to a project sees what they hold of it alone.

        A worker's word for its credential counts if that is one of its pool.
        """
        principal.need(Scope.SYSTEM_READ)
        now = self._clock.now()
        with self._store.read() as tx:
            found = tx.workers.all(now - FORGET_SECONDS)
            pools = {credential.id: credential.pool for credential in tx.worker_credentials.all()}
            if principal.project_id is not None:
                runs = {place.run for worker in found for place in worker.holding}
                seen = {id for id in runs if (run := tx.runs.get(id)) and principal.reaches(run.project_id)}
                found = [_as_seen(worker, seen) for worker in found]
        return [
            worker if pools.get(worker.credential_id or 0) == worker.pool else replace(worker, credential_id=None)
            for worker in found
        ]


def _as_seen(worker: Worker, runs: set[int]) -> Worker:
    """A worker for somebody who sees these runs alone: of others, that a slot is taken."""
    holding = tuple(place if place.run in runs else Holding(0, since=place.since) for place in worker.holding)
    return replace(worker, holding=holding)


def _find_pool(tx: Transaction, name: str) -> Pool:
    found = tx.pools.get(name)
    if found is None and name == DEFAULT_POOL:
        found = Pool(name=DEFAULT_POOL)
    if found is None:
        raise NotFound(f"no pool {name[:80]!r}", resource="pool", id=name[:80])
    return found


def _view(pool: Pool, workers: Sequence[Worker]) -> PoolView:
    own = [worker for worker in workers if worker.pool == pool.name]
    return PoolView(pool, len(own), sum(worker.slots for worker in own))
