"""Shards as attempts: who prepares one, who could not, who is done with it.

They stand among the attempts of batches, as attempts of batch 0, which no run has.
"""

from dataclasses import replace

from resit.domain.attempt import LEASE_SECONDS, Attempt, AttemptState
from resit.domain.run import Problem, Run
from resit.domain.shard import AfterFailure, after_failure
from resit.domain.status import RunStatus
from resit.ports import Transaction
from resit.services.desk import Desk

NO_BATCH = 0


def begun(tx: Transaction, run: Run, claim: str, worker: str, shard: int, now: float) -> None:
    """A worker has taken a shard and prepares it; it is heard once, however often the worker asks."""
    if run.status is RunStatus.RUNNING and tx.batches.attempt(claim) is None:
        tx.batches.add_attempt(_attempt(tx, run, claim, worker, shard, now))


def failed(desk: Desk, run: Run, claim: str, worker: str, shard: int, problem: Problem) -> None:
    """A worker could not prepare its shard. It gives the shard back itself; the run ends when nobody can."""
    batches = desk.tx.batches
    before = batches.attempt(claim)
    known = before is not None and before.state is not AttemptState.RUNNING
    attempt = before or _attempt(desk.tx, run, claim, worker, shard, desk.now)
    if attempt.run_id != run.id or attempt.batch != NO_BATCH:
        return
    failures = batches.losses(run.id, NO_BATCH) + 1
    at_work = batches.at_work(run.id, desk.now - LEASE_SECONDS, claim)
    running = run.status is RunStatus.RUNNING
    what = after_failure(running=running, known=known, failures=failures, at_work=at_work)
    if what is AfterFailure.IGNORE:
        return
    if before is None:
        batches.add_attempt(attempt)
    batches.save_attempt(replace(attempt, state=AttemptState.LOST, seen_at=desk.now))
    if what is AfterFailure.END:
        desk.fail(run, problem)


def ended(desk: Desk, run: Run, claim: str) -> None:
    """A worker is done with its shard: no batch is left for it."""
    attempt = desk.tx.batches.attempt(claim)
    if attempt is None or (attempt.run_id, attempt.batch) != (run.id, NO_BATCH):
        return
    if attempt.state is AttemptState.RUNNING:
        desk.tx.batches.save_attempt(replace(attempt, state=AttemptState.ENDED, seen_at=desk.now))


def _attempt(tx: Transaction, run: Run, claim: str, worker: str, shard: int, now: float) -> Attempt:
    return Attempt(
        claim=claim,
        run_id=run.id,
        batch=NO_BATCH,
        number=tx.batches.losses(run.id, NO_BATCH) + 1,
        worker=worker,
        shard=shard,
        started_at=now,
        seen_at=now,
    )
