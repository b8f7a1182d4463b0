"""What workers ask: what to do for a run, what is left of a batch, and whether a run still goes on."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from resit.domain import wire
from resit.domain.attempt import used_up
from resit.domain.errors import NotFound, Unauthenticated
from resit.domain.project import Environment, Project
from resit.domain.run import Run
from resit.ports import ArtifactRow, Clock, Signer, Store, Transaction
from resit.services.catalog import whole_source

UPLOAD_SECONDS = 24 * 3600.0
"""How long a worker may hand in artifacts of a run after it asked for its work."""

_UPLOADER = "run:"


class Work:
    """Answers to workers; nothing of them is stored by the broker, because they hold secrets."""

    def __init__(self, store: Store, clock: Clock, signer: Signer) -> None:
        self._store, self._clock, self._signer = store, clock, signer
        self.upload_url = ""

    def spec(self, pool: str, run_id: int) -> dict[str, Any]:
        """All that a worker of ``pool`` needs to carry a run out. ``open`` is False for a run that is over, or another
        pool's: a worker sees nothing beyond its pool."""
        with self._store.read() as tx:
            run = tx.runs.get(run_id)
            if not _goes_on(run, pool):
                return {"open": False}
            project = tx.projects.get(run.project_id)
            environment = tx.projects.environment(run.environment_id)
            if project is None or environment is None:
                raise NotFound("the run's project or environment is gone")
            secrets = self._signer.unseal(tx.projects.sealed(environment.id))
            source = whole_source(tx, self._signer, project)
        return {
            "open": True,
            "source": _source(project, source, run),
            "executor": project.executor,
            "config": project.config,
            "variables": _variables(environment, secrets, run),
            "secrets": sorted({value for value in secrets.values() if value}),
            "total_shards": run.total_shards,
            "deadline": run.deadline,
            "upload": {
                "url": self.upload_url,
                "token": self._signer.sign(f"{_UPLOADER}{run.id}", self._clock.now() + UPLOAD_SECONDS),
            },
        }

    def batch(self, pool: str, run_id: int, number: int) -> list[dict[str, Any]]:
        """The tests of a batch that came back to a worker, without those that are final.

        None for a run that is over or another pool's, and none when two workers have died of the batch: it is the
        reconciler's then.
        """
        with self._store.read() as tx:
            run = tx.runs.get(run_id)
            state = tx.batches.get(run_id, number)
            if not _goes_on(run, pool) or state is None:
                return []
            if state.fence is not None and used_up(state.fence, tx.batches.losses(run_id, number)):
                return []
            return [wire.test_to_wire(test) for test in tx.ledger.tests_of_batch(run_id, number, open_only=True)]

    def may_upload(self, token: str) -> int:
        """The run that an upload token speaks for. Raises :class:`Unauthenticated`."""
        subject = self._signer.verify(token, self._clock.now())
        if subject is None or not subject.startswith(_UPLOADER):
            raise Unauthenticated("this upload token is not valid, or no longer")
        return int(subject.removeprefix(_UPLOADER))

    def uploaded(self, run_id: int, artifact: str, size: int) -> None:
        """An artifact of the run is stored; its name and test come with the result that refers to it."""
        with self._store.write() as tx:
            known = tx.results.artifact(artifact)
            if known is not None and known.run_id != run_id:
                raise NotFound(f"run {run_id} has no artifact {artifact}")
            tx.results.save_artifact(ArtifactRow(id=artifact, run_id=run_id, size=size, stored=True))

    def alive(self, pool: str, report: Mapping[str, Any]) -> dict[str, Any]:
        """A worker of ``pool`` says that it lives and what it holds.

        The answer: ``stop``, which of its runs are over for it; ``taken``, how far the voices were taken of which it
        has not heard.
        """
        now = self._clock.now()
        runs: Sequence[int] = [int(run) for run in report.get("runs", ())]
        with self._store.write(lasting=False) as tx:
            tx.workers.seen(
                str(report["worker"])[:200],
                pool,
                int(report["slots"]),
                str(report.get("version", ""))[:64],
                now,
            )
            tx.batches.seen([str(claim) for claim in report.get("claims", ())], now)
            found = {id: tx.runs.get(id) for id in runs}
            taken = _taken(tx, pool, report.get("unheard", {}))
        return {"stop": [id for id, run in found.items() if not _goes_on(run, pool)], "taken": taken}


def _taken(tx: Transaction, pool: str, unheard: Mapping[str, Any]) -> dict[str, int]:
    """How far voices were taken; of a run that is gone, everything: nobody waits for it."""
    names: dict[int, list[str]] = {}
    for name, run in unheard.items():
        names.setdefault(int(run), []).append(str(name))
    found: dict[str, int] = {}
    for id, some in names.items():
        run = tx.runs.get(id)
        if run is None or run.pool != pool:
            found.update(dict.fromkeys(some, wire.SMALL))
        else:
            known = tx.voices.get(id, some)
            found.update({name: known[name].taken if name in known else 0 for name in some})
    return found


def _goes_on(run: Run | None, pool: str) -> TypeGuard[Run]:
    """Whether there is something to do on the run for a worker of ``pool``."""
    return run is not None and run.status.open and run.pool == pool


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


def _variables(environment: Environment, secrets: Mapping[str, str], run: Run) -> dict[str, str]:
    """Later words win: environment, its secrets, the build's URL, the run's own variables.

    ``ENV_SLUG`` names the environment (Empirical, study 2.3).
    """
    build = {"BUILD_URL": run.build.url} if run.build.url else {}
    return {"ENV_SLUG": environment.slug, **environment.variables, **secrets, **build, **run.variables}
