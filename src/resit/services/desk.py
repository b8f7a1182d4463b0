"""The runs that one transaction works on: each loaded once, changed in memory, saved once."""

from collections.abc import Iterable
from dataclasses import replace

from resit.domain import failfast, ledger, report
from resit.domain.admission import Queued, admissible
from resit.domain.errors import NotFound
from resit.domain.ids import case_key
from resit.domain.ledger import Row
from resit.domain.project import Project
from resit.domain.run import Problem, Run
from resit.domain.snooze import covering, names
from resit.domain.status import Outcome, RunStatus
from resit.domain.verdict import verdict
from resit.domain.webhook import Notice, event_of, payload
from resit.ports import Outgoing, Transaction
from resit.services.sources import planned_source

QUEUE_SECONDS = 24 * 3600.0
"""How long a run waits for a worker before it is given up."""

MAX_PROBLEMS = 100
"""Problems kept of one run; the first ones say what is wrong."""


class Desk:
    """Runs on the table of one transaction. :meth:`file` writes them back; nothing is saved before."""

    def __init__(self, tx: Transaction, now: float) -> None:
        self.tx = tx
        self.now = now
        self._runs: dict[int, Run] = {}
        self._changed: set[int] = set()
        self._told: dict[int, RunStatus | None] = {}
        self._freed: dict[int, list[Run]] = {}

    def run(self, id: int) -> Run:
        """The run as it stands now; nobody else changes it until this transaction ends. Raises :class:`NotFound`."""
        if id not in self._runs and not self.load([id]):
            raise NotFound(f"no run {id}")
        return self._runs[id]

    def load(self, ids: Iterable[int]) -> list[int]:
        """Take several runs onto the desk, in an order that is the same everywhere; the numbers of those that are."""
        wanted = set(ids)
        self._take(self.tx.runs.hold(sorted(wanted - self._runs.keys())))
        return sorted(wanted & self._runs.keys())

    def _take(self, runs: Iterable[Run]) -> None:
        for run in runs:
            self._runs[run.id] = run
            self._told[run.id] = run.status

    def add(self, run: Run, go_ahead: bool = False) -> Run:
        """A new run that waits to be admitted, or goes ahead at once."""
        run = self.tx.runs.add(self._admitted(run) if go_ahead else run)
        self._runs[run.id] = run
        self._told[run.id] = None
        if go_ahead:
            self._send(run)
            self._tell(run)
        return run

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
        run = self.put(replace(run, counts=ledger.moved(run.counts, changed)))
        self.tx.ledger.save(run.id, [new for _, new in changed], run.seq)
        return run

    def restart(self, run: Run, rows: Iterable[Row]) -> Run:
        """Another attempt executes these tests again: what came of them so far is kept, and counts no more."""
        rows = list(rows)
        self.tx.results.discount(run.id, [row.ordinal for row in rows if row.tries])
        return self.move(run, rows, [ledger.restart(row) for row in rows])

    def problem(self, run: Run, *problems: Problem) -> Run:
        """Note what went wrong outside any test; the same words once, and no more than ``MAX_PROBLEMS``."""
        new = [p for p in dict.fromkeys(problems) if p not in run.problems][: MAX_PROBLEMS - len(run.problems)]
        return self.put(replace(run, problems=(*run.problems, *new))) if new else run

    def close(self, run: Run, status: RunStatus = RunStatus.FINISHED) -> Run:
        """End a run: every row is final by now; the verdict comes from the ledger, counted anew."""
        run = self._snooze(run)
        counts = self.tx.ledger.counts(run.id)
        run = self.put(
            replace(
                run,
                status=status,
                counts=counts,
                verdict=verdict(counts, problem=bool(run.problems), cancelled=status is RunStatus.CANCELLED),
                finished_at=self.now,
            )
        )
        self.tx.batches.end_all(run.id)
        self.tx.ledger.unstage(run.id)
        self.tx.outbox.add(Outgoing(kind="purge", run_id=run.id, pool=run.pool))
        self._report(run)
        self._freed.setdefault(run.project_id, []).append(run)
        return run

    def _report(self, run: Run) -> None:
        """Have the framework's own report of a finished run made, if it has one: after the purge of the run's work."""
        if not report.possible(run):
            return
        project = self.tx.projects.get(run.project_id)
        if project is not None and project.html_report:
            self.tx.reports.save(report.Report(run_id=run.id, created_at=self.now, touched_at=self.now))
            self.tx.outbox.add(Outgoing(kind="report", run_id=run.id, pool=run.pool))

    def _snooze(self, run: Run) -> Run:
        """Mark what snoozes cover."""
        rows = self._covered(run)
        return self.move(run, rows, [ledger.snoozed(row) for row in rows])

    def _covered(self, run: Run) -> list[Row]:
        """The rows that snoozes cover, as those stood when the run's work began."""
        began = run.started_at or self.now
        held = covering(self.tx.snoozes.lasting(run.project_id, began), run.environment_id, began)
        if not held:
            return []
        covered = names(held)
        found = self.tx.ledger.blocking(run.id)
        return [i.row for i in found if not covered.isdisjoint((i.test.id, i.case_uuid, case_key(i.test)))]

    def _stop_if_enough(self, run: Run) -> None:
        """End a run that has failed as often as it may: what is open is cancelled, its workers are told to stop."""
        if not failfast.enough(run):
            return
        snoozed = sum(row.outcome in (Outcome.FAILED, Outcome.ERRORED) for row in self._covered(run))
        if not failfast.enough(run, snoozed):
            return
        words = failfast.in_words(run, snoozed)
        before = self.tx.ledger.open_rows(run.id)
        run = self.move(run, before, [ledger.cancelled(row, words) for row in before])
        run = self.close(replace(run, cancel_reason=words))
        self.tx.outbox.add(Outgoing(kind="cancel", run_id=run.id, pool=run.pool))

    def cancel(self, run: Run, by: str, reason: str = "", superseded_by: int | None = None) -> Run:
        """Stop an open run: what is open is cancelled at once, workers are told."""
        before = self.tx.ledger.open_rows(run.id)
        run = self.move(run, before, [ledger.cancelled(row) for row in before])
        run = replace(run, cancelled_by=by, cancel_reason=reason, superseded_by=superseded_by)
        run = self.close(run, RunStatus.CANCELLED)
        self.tx.outbox.add(Outgoing(kind="cancel", run_id=run.id, pool=run.pool))
        return run

    def admit(self, project: Project) -> bool:
        """Let the project's waiting runs go ahead, as far as its limit and their groups allow. True when one did."""
        project = self.tx.projects.hold(project.id) or project
        # What this transaction has changed does not stand in the database yet.
        now: list[Queued] = [self._runs.get(place.id, place) for place in self.tx.runs.queue(project.id)]
        ready = admissible([run for run in now if run.status.open], project.max_runs, self.now)
        # Who holds one of them now may wait for the project: that one admits it, or the reconciler does.
        self._take(self.tx.runs.hold_free(sorted({run.id for run in ready} - self._runs.keys())))
        free = [self._runs[run.id] for run in ready if run.id in self._runs]
        going = [run for run in free if run.status is RunStatus.REQUESTED]
        for run in going:
            self.go_ahead(run)
        return bool(going)

    def go_ahead(self, run: Run) -> Run:
        """Admit a run that waited."""
        run = self.put(self._admitted(run))
        self._send(run)
        return run

    def _admitted(self, run: Run) -> Run:
        return replace(run, status=RunStatus.ADMITTED, deadline=self.now + QUEUE_SECONDS)

    def _send(self, run: Run) -> None:
        """Have the plan of an admitted run made: by a worker, or from its source run when that had one."""
        known = planned_source(self.tx, run) is not None
        self.tx.outbox.add(Outgoing(kind="expand" if known else "plan", run_id=run.id, pool=run.pool))

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
        """Save what changed; returns the numbers of the runs. Runs that have failed often enough are stopped first."""
        for id in sorted(self._changed):
            self._stop_if_enough(self._runs[id])
        if self._freed:
            # What was closed is no longer open for the question that comes.
            for id in self._changed:
                self.tx.runs.save(self._runs[id])
        for project_id, closed in sorted(self._freed.items()):
            project = self.tx.projects.hold(project_id)
            for run in closed:
                self.tx.ledger.learn(project_id, run)
                if run.facts.reused and (run.problems or run.counts.not_found):
                    # Perhaps the suite has changed in a way that its key does not show.
                    self.tx.listings.drop(project_id)
            if project is not None:
                self.admit(project)
        for id in self._changed:
            self.tx.runs.save(self._runs[id])
            self._tell(self._runs[id])
        self._freed.clear()
        return sorted(self._changed)

    def _tell(self, run: Run) -> None:
        """Post the project's webhooks what became of a run."""
        event = event_of(self._told.get(run.id), run)
        if event is None:
            return
        self._told[run.id] = run.status
        said = {"id": run.id, "uuid": run.uuid, "status": run.status, "verdict": run.verdict}
        words = payload(event, self.now, test_run=said)
        self.tx.webhooks.post(
            *(
                Notice(id=0, webhook_id=webhook.id, event=event, payload=words, due_at=self.now)
                for webhook in self.tx.webhooks.of_project(run.project_id)
                if webhook.active and event in webhook.events
            )
        )
