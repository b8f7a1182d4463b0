"""What is wrong with a server: facts are gathered here, and judged by ``domain.doctor``."""

from collections.abc import Callable, Iterator, Sequence

from resit.domain import doctor, fleet
from resit.domain.access import Principal
from resit.domain.doctor import Finding, Machine, Server, Target, WorkerFact
from resit.domain.errors import InvalidInput, ResitError
from resit.domain.fleet import ALIVE_SECONDS
from resit.domain.schedule import OVERDUE_SECONDS, alert
from resit.ports import Artifacts, Clock, Store, Transaction
from resit.ports.telemetry import Look, Standing, Symptoms

MOST = 5_000
"""Environments that are looked at."""
MOST_NAMED = 20
"""Webhooks, schedules and tokens that are named."""
EXPIRED_SECONDS = 7 * 86400.0
"""What expired longer ago is missed by nobody."""


class Doctor:
    """See the module. ``machine`` gathers what is to be seen on this machine."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        symptoms: Symptoms,
        artifacts: Artifacts,
        machine: Callable[[], Machine],
        version: str,
    ) -> None:
        self._store, self._clock, self._symptoms = store, clock, symptoms
        self._artifacts, self._machine, self._version = artifacts, machine, version

    def examine(self, principal: Principal, look: Look, *, integrity: bool = False) -> Sequence[Finding]:
        """All findings. It takes a while: programs are started, and with ``integrity`` the database is read through.

        Raises :class:`Forbidden` for everybody but an administrator of everything.
        """
        principal.need_all()
        return list(self._findings(look, integrity=integrity))

    def _findings(self, look: Look, *, integrity: bool) -> Iterator[Finding]:
        now = self._clock.now()
        yield from doctor.of_machine(self._machine(), now)
        database = self._symptoms.database(integrity=integrity)
        yield from doctor.of_database(database)
        if not database.away and look.standing is not None:
            yield from doctor.of_server(self._server(look, look.standing, now), now)

    def _server(self, look: Look, standing: Standing, now: float) -> Server:
        with self._store.read() as tx:
            workers = [
                WorkerFact(found.name, found.pool, found.version, found.draining, found.skew)
                for found in tx.workers.all(now - ALIVE_SECONDS)
            ]
            targets = self._targets(tx, workers)
            schedules = tx.schedules.troubled(now - OVERDUE_SECONDS)[:MOST_NAMED]
            named = [(_schedule_name(tx, found.project_id, found.name), alert(found, now)) for found in schedules]
            tokens = _tokens(tx, now)
        return Server(
            version=self._version,
            planes=[(plane.name, plane.version) for plane in look.planes or ()],
            broker_connected=look.connected,
            unread=look.unread.messages if look.unread else None,
            unread_seconds=look.unread.oldest_seconds if look.unread else 0.0,
            artifacts=self._no_artifacts(),
            workers=workers,
            targets=targets,
            schedules=named,
            webhooks=self._symptoms.failing_webhooks(MOST_NAMED),
            oldest_wait=standing.oldest_wait,
            outbox=standing.outbox,
            outbox_seconds=look.outbox_age,
            tokens=tokens,
            unbounded=self._symptoms.unbounded_projects(),
            disk_free=look.disk_free,
        )

    def _no_artifacts(self) -> str:
        try:
            self._artifacts.check(write=True)
        except (ResitError, OSError) as error:
            return str(error)
        return ""

    def _targets(self, tx: Transaction, workers: Sequence[WorkerFact]) -> list[Target]:
        pools = tx.pools.all()
        alive: dict[str, int] = {}
        for worker in workers:
            if not worker.draining:
                alive[worker.pool] = alive.get(worker.pool, 0) + 1
        found: list[Target] = []
        for name, wanted in self._symptoms.environments(MOST):
            try:
                pool = fleet.choose(wanted, pools, alive)
            except InvalidInput:
                pool = None
            found.append(Target(name, wanted, pool))
        return found


def _schedule_name(tx: Transaction, project_id: int, name: str) -> str:
    project = tx.projects.get(project_id)
    return f"{project.slug}/{name}" if project else name


def _tokens(tx: Transaction, now: float) -> list[tuple[str, float]]:
    """What lets somebody in and expires soon, or has expired a short while ago."""
    limits = (now - EXPIRED_SECONDS, now + doctor.EXPIRY_WARNING)
    tokens = [
        (f"the token {token.name or token.id!r}", token.expires_at)
        for token in tx.tokens.all(None)
        if token.revoked_at is None and token.expires_at is not None
    ]
    credentials = [
        (f"the worker credential {found.name or found.id!r}", found.expires_at)
        for found in tx.worker_credentials.all()
        if found.revoked_at is None and found.expires_at is not None
    ]
    return [(name, until) for name, until in (*tokens, *credentials) if limits[0] < until < limits[1]][:MOST_NAMED]
