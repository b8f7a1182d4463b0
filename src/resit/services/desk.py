"""The runs that one transaction works on: each loaded once, changed in memory, saved once."""

from collections.abc import Iterable
from dataclasses import replace

from resit.domain import ledger
from resit.domain.errors import NotFound
from resit.domain.ledger import Row
from resit.domain.run import Problem, Run
from resit.domain.status import RunStatus
from resit.domain.verdict import verdict
from resit.ports import Outgoing, Transaction

MAX_PROBLEMS = 100
"""Problems kept of one run; the first ones say what is wrong."""


class Desk:
    """Runs on the table of one transaction. :meth:`file` writes them back; nothing is saved before."""

    def __init__(self, tx: Transaction, now: float) -> None:
        self.tx = tx
        self.now = now
        self._runs: dict[int, Run] = {}
        self._changed: set[int] = set()

    def run(self, id: int) -> Run:
        """The run as it stands now. Raises :class:`NotFound`."""
        if id not in self._runs:
            found = self.tx.runs.get(id)
            if found is None:
                raise NotFound(f"no run {id}")
            self._runs[id] = found
        return self._runs[id]

    def put(self, run: Run) -> Run:
        """Take a changed run; the first change in a transaction moves its ``seq`` on."""
        if run.id not in self._changed:
            run = replace(run, seq=run.seq + 1)
            self._changed.add(run.id)
        self._runs[run.id] = replace(run, touched_at=self.now)
        return self._runs[run.id]

    def move(self, run: Run, before: Iterable[Row], after: Iterable[Row]) -> Run:
        """Save the rows that changed and count them."""
        changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
        if not changed:
            return run
        counts = run.counts
        for old, new in changed:
            counts = ledger.moved(counts, old, new)
        run = self.put(replace(run, counts=counts))
        self.tx.ledger.save(run.id, [new for _, new in changed], run.seq)
        return run

    def problem(self, run: Run, *problems: Problem) -> Run:
        """Note what went wrong outside any test; the same words once, and no more than ``MAX_PROBLEMS``."""
        new = [p for p in dict.fromkeys(problems) if p not in run.problems][: MAX_PROBLEMS - len(run.problems)]
        return self.put(replace(run, problems=(*run.problems, *new))) if new else run

    def close(self, run: Run, status: RunStatus = RunStatus.FINISHED) -> Run:
        """End a run: every row is final by now; the verdict comes from the ledger, counted anew."""
        counts = self.tx.ledger.counts(run.id)
        run = self.put(
            replace(
                run,
                status=status,
                counts=counts,
                verdict=verdict(counts, problem=bool(run.problems), cancelled=status is RunStatus.CANCELLED),
                started_at=run.started_at or self.now,
                finished_at=self.now,
            )
        )
        self.tx.batches.end_all(run.id)
        self.tx.ledger.unstage(run.id)
        self.tx.ledger.learn(run.project_id, run)
        self.tx.outbox.add(Outgoing(kind="purge", run_id=run.id, pool=run.pool))
        return run

    def fail(self, run: Run, problem: Problem) -> Run:
        """End a run that can't be carried through: what is open becomes errored with the problem's words."""
        run = self.problem(run, problem)
        before = self.tx.ledger.open_rows(run.id)
        run = self.move(run, before, [ledger.batch_ended(row, problem.message) for row in before])
        self.tx.outbox.add(Outgoing(kind="cancel", run_id=run.id, pool=run.pool))
        return self.close(run)

    def close_if_done(self, run: Run) -> Run:
        """End the run when its last batch has ended."""
        if run.status is RunStatus.RUNNING and not self.tx.batches.open(run.id):
            return self.close(run)
        return run

    def file(self) -> list[int]:
        """Save what changed; returns the numbers of the runs."""
        for id in self._changed:
            self.tx.runs.save(self._runs[id])
        return sorted(self._changed)
