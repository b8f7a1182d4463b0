"""What workers ask: what to do for a run, what is left of a batch, and whether a run still goes on."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from resit.domain import wire
from resit.domain.attempt import used_up
from resit.domain.errors import Conflict, NotFound, Unauthenticated
from resit.domain.fleet import FORGET_SECONDS
from resit.domain.project import Environment, Project
from resit.domain.run import Run
from resit.domain.selection import SelectionKind
from resit.domain.trace import traceparent
from resit.ports import ArtifactRow, Clock, Signer, Store, Transaction
from resit.services import planning, shards
from resit.services.batches import for_worker
from resit.services.catalog import whole_source
from resit.services.desk import Desk
from resit.services.fleet import heard

UPLOAD_PATH = "/resit/v1/uploads"
"""Where workers hand artifacts in, below the server's address."""
UPLOAD_SECONDS = 24 * 3600.0
"""How long a worker may hand in artifacts of a run after it asked for its work, at least."""
UPLOAD_AFTER_SECONDS = 3600.0
"""How long it may after the end of the run."""
MAX_FILES = 300
"""Files that are named to a session as the only ones with tests of a run; of more, it looks at all."""
SWEEP_SECONDS = 3600.0
"""How often workers are forgotten that have been silent for long."""

_UPLOADER = "upload:"


class Work:
    """Answers to workers; nothing of them is stored by the broker, because they hold secrets."""

    def __init__(self, store: Store, clock: Clock, signer: Signer) -> None:
        self._store, self._clock, self._signer = store, clock, signer
        self.upload_url = ""
        self.traced = False
        """True when somebody takes the traces of runs."""
        self._swept_at = 0.0

    def spec(self, pool: str, run_id: int, worker: str = "") -> dict[str, Any]:
        """All that a ``worker`` of ``pool`` needs to carry a run out. ``open`` is False for a run that is over, or
        another pool's: a worker sees nothing beyond its pool."""
        now = self._clock.now()
        with self._store.read() as tx:
            run = tx.runs.get(run_id)
            if not _goes_on(run, pool):
                return _over(run, pool)
            project, outfit = equipped(tx, self._signer, run, traceparent(run, traced=self.traced))
            # Of a run of everything a session looks at everything: perhaps there is more than was planned.
            whole = run.selection.kind is SelectionKind.ALL and not run.selection.tags and run.source_run_id is None
            files = () if whole else tx.ledger.files(run_id, MAX_FILES + 1)
        return {
            "open": True,
            **outfit,
            "files": files if len(files) <= MAX_FILES else (),
            "digest": run.facts.digest if run.facts.reused and whole else "",
            "total_shards": run.total_shards,
            "deadline": run.deadline,
            "time_left": run.deadline - now if run.deadline else None,
            "stall_limit": project.stall_limit,
            "batch_limit": project.batch_limit,
            "upload": {
                "url": self.upload_url,
                "path": UPLOAD_PATH,
                "token": self.upload_token(run, worker),
            },
        }

    def plan(self, pool: str, run_id: int, claim: str, found: planning.Listed, *, look: bool) -> bool:
        """Whether the suite of a run was listed before as a worker of ``pool`` finds it now. If so the run is planned
        from that listing, unless the worker only wants to ``look``."""
        now = self._clock.now()
        with self._store.read() as tx:
            run = tx.runs.get(run_id)
            if not _goes_on(run, pool):
                return True
            known = planning.remembered(tx, run, found.key, now) is not None
        if look or not known:
            return known
        with self._store.write() as tx:
            desk = Desk(tx, now)
            if run_id in desk.load([run_id]):
                known = planning.known(desk, desk.run(run_id), claim, found)
            desk.file()
        return known

    def shard(self, pool: str, run_id: int, claim: str, worker: str, shard: int) -> None:
        """A worker of ``pool`` begins to prepare a shard of the run."""
        with self._store.write(lasting=False) as tx:
            run = tx.runs.get(run_id)
            if _goes_on(run, pool):
                shards.begun(tx, run, claim, worker, shard, self._clock.now())

    def batch(self, pool: str, run_id: int, number: int) -> dict[str, Any]:
        """A batch that came back to a worker (services/batches.py), without the tests that are final.

        No tests for a run that is over or another pool's, and none when two workers have died of the batch: it is the
        reconciler's then.
        """
        with self._store.read() as tx:
            run = tx.runs.get(run_id)
            state = tx.batches.get(run_id, number)
            if not _goes_on(run, pool) or state is None:
                return {"tests": []}
            if state.fence is not None and used_up(state.fence, tx.batches.losses(run_id, number)):
                return {"tests": []}
            return for_worker(tx, run, number)

    def upload_token(self, run: Run, worker: str) -> str:
        """What opens the door to a run's artifacts for a worker; see :meth:`may_upload`."""
        expires = max(self._clock.now() + UPLOAD_SECONDS, run.deadline + UPLOAD_AFTER_SECONDS)
        return self._signer.sign(f"{_UPLOADER}{run.id}:{run.pool}:{worker}", expires)

    def may_upload(self, token: str, artifact: str) -> int:
        """The run whose artifact an upload token may hand in; it opens nothing else.

        It speaks for one run, for the pool that has it, and for the worker that asked. Raises
        :class:`Unauthenticated`, :class:`Conflict` for a run that ended long ago, and :class:`NotFound` for another
        run's artifact.
        """
        now = self._clock.now()
        subject = self._signer.verify(token, now)
        if subject is None or not subject.startswith(_UPLOADER):
            raise _not_valid()
        number, pool, _ = subject.removeprefix(_UPLOADER).split(":", 2)
        with self._store.read() as tx:
            run = tx.runs.get(int(number))
            known = tx.results.artifact(artifact)
        if run is None or run.pool != pool:
            raise _not_valid()
        if run.finished_at is not None and now - run.finished_at > UPLOAD_AFTER_SECONDS:
            raise Conflict(
                f"run {run.id} is over: its artifacts are what was handed in by then", status=run.status.value
            )
        _need_own(run.id, artifact, known)
        return run.id

    def uploaded(self, run_id: int, artifact: str, size: int) -> None:
        """An artifact of the run is stored; its name and test come with the result that refers to it.

        Raises :class:`NotFound` when the run has gone meanwhile: then its file is the caller's to delete.
        """
        with self._store.write() as tx:
            if tx.runs.get(run_id) is None:
                raise NotFound(f"run {run_id} is gone")
            _need_own(run_id, artifact, tx.results.artifact(artifact))
            tx.results.save_artifact(ArtifactRow(id=artifact, run_id=run_id, size=size, stored=True))

    def alive(self, pool: str, report: Mapping[str, Any]) -> dict[str, Any]:
        """A worker of ``pool`` says that it lives and what it holds; or ``leaving``: that it lives no more.

        The answer: ``stop``, which of its runs are over for it; ``lost``, which of its attempts hold their batches no
        more; ``taken``, how far the voices were taken of which it
        has not heard.
        """
        now = self._clock.now()
        worker = heard(pool, report, now)
        runs: Sequence[int] = [int(run) for run in report.get("runs", ())]
        with self._store.write(lasting=False) as tx:
            if report.get("leaving"):
                tx.workers.gone(worker.name, pool)
            else:
                tx.workers.seen(worker)
            if now - self._swept_at > SWEEP_SECONDS:
                self._swept_at = now
                tx.workers.forget(now - FORGET_SECONDS)
            claims = [str(claim) for claim in report.get("claims", ())]
            tx.batches.seen(claims, now)
            lost = tx.batches.overtaken(claims)
            unheard = {str(name): int(run) for name, run in report.get("unheard", {}).items()}
            found = tx.runs.some({*runs, *unheard.values()})
            taken = _taken(tx, pool, unheard, found)
        stop = [id for id in dict.fromkeys(runs) if not _goes_on(found.get(id), pool)]
        return {"stop": stop, "lost": lost, "taken": taken}


def _not_valid() -> Unauthenticated:
    return Unauthenticated("this upload token is not valid, or no longer")


def _need_own(run_id: int, artifact: str, known: ArtifactRow | None) -> None:
    if known is not None and known.run_id != run_id:
        raise NotFound(f"run {run_id} has no artifact {artifact}")


def _taken(tx: Transaction, pool: str, unheard: Mapping[str, int], runs: Mapping[int, Run]) -> dict[str, int]:
    """How far voices were taken; of a run that is gone, everything: nobody waits for it."""
    there = {id for id, run in runs.items() if run.pool == pool}
    names: dict[int, list[str]] = {}
    for name, run in unheard.items():
        if run in there:
            names.setdefault(run, []).append(name)
    known = tx.voices.get(names)
    return {
        name: wire.SMALL if run not in there else known[run, name].taken if (run, name) in known else 0
        for name, run in unheard.items()
    }


def _over(run: Run | None, pool: str) -> dict[str, Any]:
    """The answer about a run that is over, or of which a worker of ``pool`` is to know nothing."""
    return {"open": False, "why": run.why_over} if run is not None and run.pool == pool else {"open": False}


def _goes_on(run: Run | None, pool: str) -> TypeGuard[Run]:
    """Whether there is something to do on the run for a worker of ``pool``."""
    return run is not None and run.status.open and run.pool == pool


def equipped(tx: Transaction, signer: Signer, run: Run, trace: str = "") -> tuple[Project, dict[str, Any]]:
    """What a worker needs to have the suite of a run ready: where it comes from, its framework, its variables.

    ``trace``: for tests that make spans of their own. Raises :class:`NotFound`.
    """
    project = tx.projects.get(run.project_id)
    environment = tx.projects.environment(run.environment_id)
    if project is None or environment is None:
        raise NotFound("the run's project or environment is gone")
    secrets = signer.unseal(tx.projects.sealed(environment.id))
    return project, {
        "source": _source(project, whole_source(tx, signer, project), run),
        "executor": project.executor,
        "config": project.config,
        "variables": _variables(environment, secrets, run, trace),
        "secrets": sorted({value for value in secrets.values() if value}),
    }


def _source(project: Project, source: str, run: Run) -> dict[str, str]:
    prefer = {"prefer": run.prefer_branch} if run.prefer_branch else {}
    return {
        **prefer,
        "url": source,
        "branch": run.branch,
        "commit": run.commit,
        "workdir": project.workdir,
        "setup": project.setup,
    }


def _variables(environment: Environment, secrets: Mapping[str, str], run: Run, trace: str) -> dict[str, str]:
    """Later words win: environment, its secrets, the build's URL, the run's own variables.

    ``ENV_SLUG`` names the environment (Empirical, study 2.3). ``trace`` is for tests that make spans of their own.
    """
    build = {"BUILD_URL": run.build.url} if run.build.url else {}
    begun = {"TRACEPARENT": trace} if trace else {}
    return {"ENV_SLUG": environment.slug, **begun, **environment.variables, **secrets, **build, **run.variables}
