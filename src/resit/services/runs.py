"""Runs: requested, run again, cancelled."""

from collections.abc import Sequence
from dataclasses import replace

from resit.domain.access import Principal, Scope
from resit.domain.admission import Concurrency, OnConflict, check_start, due, superseded
from resit.domain.errors import InvalidInput, NotFound, QuotaExceeded, RequestReused
from resit.domain.ids import case_key, case_uuid, digest, row_uuid
from resit.domain.organization import month_start
from resit.domain.plan import PlannedTest
from resit.domain.project import DEFAULT_ENVIRONMENT, Environment, Project, check_text
from resit.domain.rerun import Again
from resit.domain.run import Run
from resit.domain.selection import Selection, failed
from resit.domain.status import SelectionKind
from resit.domain.test_plan import TestPlan
from resit.ports import ArtifactRow, Clock, Ids, Store, Transaction
from resit.services.catalog import find_project
from resit.services.desk import Desk
from resit.services.pools import pool_for
from resit.services.requests import MAX_NUMBER, Request, check_tests
from resit.services.sources import foreseen, need_tests, planned_source, size
from resit.telemetry.requests import current


def find_run(tx: Transaction, ids: Ids, principal: Principal, name: str | int) -> Run:
    """A run by number, short id or UUID, within reach. Raises :class:`NotFound`."""
    text = str(name)
    if text.isascii() and text.isdigit() and len(text) < 19:
        number: int | None = int(text)
    else:
        number = tx.runs.by_uuid(text) if len(text) == 36 else ids.number(text)
    run = tx.runs.get(number) if number and number < MAX_NUMBER else None
    if run is None or not principal.reaches(run.project_id):
        raise NotFound(f"no run {text[:80]}", resource="run", id=text[:80])
    return run


def find_artifact(tx: Transaction, principal: Principal, id: str) -> ArtifactRow:
    """The record of an artifact within reach. Raises :class:`NotFound`."""
    artifact = tx.results.artifact(id)
    run = tx.runs.get(artifact.run_id) if artifact else None
    if artifact is None or run is None or not principal.reaches(run.project_id):
        raise NotFound(f"no artifact {id[:80]}")
    return artifact


class Runs:
    """The main job."""

    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        self._store, self._clock, self._ids = store, clock, ids

    def trigger(self, principal: Principal, project: str, request: Request, key: str = "") -> tuple[Run, bool]:
        """Request a run. Returns it, and whether it is new: a repeated idempotency ``key`` gives the run it made.

        Raises :class:`InvalidInput`, :class:`NotFound`, :class:`QuotaExceeded`, :class:`RequestReused`.
        """
        with self._store.write() as tx:
            return self.trigger_in(tx, principal, project, request, key)

    def trigger_in(
        self, tx: Transaction, principal: Principal, project: str, request: Request, key: str = ""
    ) -> tuple[Run, bool]:
        """:meth:`trigger` in a transaction that is under way; what it raises must end that."""
        principal.need(Scope.RUNS_WRITE)
        request.check()
        found = find_project(tx, principal, project)
        said = request.digest(project) if key else ""
        remembered = self._remembered(tx, found, key, said)
        if remembered:
            return remembered, False
        run = self.drafted(tx, principal, found, request)
        self._need_quota(tx)
        if request.refuse_empty:
            need_tests(tx, run)
        run = self._put(tx, found, run, request.concurrency)
        self._remember(tx, found, key, said, run)
        return run, True

    def drafted(self, tx: Transaction, principal: Principal, project: Project, request: Request) -> Run:
        """The run that a request would make, with nothing done for it. Raises what speaks against it."""
        check_start(request.start_at, self._clock.now())
        plan = _test_plan(tx, project, request)
        environment = _environment(tx, project, request.environment or _target(tx, plan))
        selection = _selection(tx, project, request, plan)
        return replace(self._requested(tx, principal, project, environment, request), selection=selection)

    def rerun(
        self,
        principal: Principal,
        source: str | int,
        again: Again,
        request: Request | None = None,
        key: str = "",
    ) -> tuple[Run, bool]:
        """Run again: a new run, linked to its source, which is never touched (product rule 3).

        Branch, build, variables, metadata and shards are the source's, or those of ``request``. Raises
        :class:`RunStillOpen` for the failed tests of a run that isn't closed, :class:`NothingToRun` when there is
        nothing to take up, and what :meth:`trigger` raises.
        """
        principal.need(Scope.RUNS_WRITE)
        again.check()
        check_text(again.reason, "reason")
        check_tests(again.tests)
        if request is not None:
            request.check()
        with self._store.write() as tx:
            origin = find_run(tx, self._ids, principal, source)
            project = tx.projects.get(origin.project_id)
            environment = tx.projects.environment(origin.environment_id)
            if project is None or environment is None:
                raise NotFound("the project or environment of the source run is gone")
            said = _said(origin, again)
            remembered = self._remembered(tx, project, key, said)
            if remembered:
                return remembered, False
            if request is None:
                _environment(tx, project, environment.slug)
                run = self._repeated(tx, principal, origin, environment)
            else:
                environment = _environment(tx, project, request.environment)
                run = self._requested(tx, principal, project, environment, request)
            self._need_quota(tx)
            selection = _again(tx, origin, project, again)
            if request is not None:
                selection = replace(selection, tags=request.tags)
            run = replace(
                run,
                selection=selection,
                source_run_id=origin.id,
                reason=again.reason or run.reason,
                facts=origin.facts,
                notify=origin.notify if again.notify is None else again.notify,
                priority=run.priority if again.priority is None else again.priority,
                max_failures=run.max_failures if again.max_failures is None else again.max_failures,
                start_at=run.start_at if again.start_at is None else again.start_at,
            )
            check_start(run.start_at, run.created_at)
            run = self._put(tx, project, run, request.concurrency if request else Concurrency())
            self._remember(tx, project, key, said, run)
        return run, True

    def cancel(self, principal: Principal, name: str | int, reason: str = "") -> tuple[Run, bool]:
        """Stop a run. A closed run stays as it is; the second answer says whether there was anything to stop."""
        principal.need(Scope.RUNS_WRITE)
        check_text(reason, "reason")
        with self._store.write() as tx:
            run = find_run(tx, self._ids, principal, name)
            if not run.status.open:
                return run, False
            desk = Desk(tx, self._clock.now())
            run = desk.run(run.id)
            if not run.status.open:
                return run, False
            run = desk.cancel(run, principal.name, reason)
            desk.file()
            return run, True

    def foreseen(self, principal: Principal, name: str | int) -> Sequence[PlannedTest]:
        """The tests that a run executes; before it has its plan, what is known of it. See :func:`sources.foreseen`."""
        principal.need(Scope.RUNS_READ)
        with self._store.read() as tx:
            return foreseen(tx, find_run(tx, self._ids, principal, name))

    def size(self, principal: Principal, name: str | int) -> int:
        """How many tests a run within reach has, or will have as far as is known. See :func:`sources.size`."""
        with self._store.read() as tx:
            return size(tx, find_run(tx, self._ids, principal, name))

    def _requested(
        self, tx: Transaction, principal: Principal, project: Project, environment: Environment, request: Request
    ) -> Run:
        """A run as a request asks for it."""
        return replace(
            self._blank(tx, principal, environment),
            reason=request.reason,
            branch=request.branch or project.branch,
            prefer_branch=request.prefer_branch,
            pinned=bool(request.commit),
            commit=request.commit,
            build=request.build,
            metadata=dict(request.metadata),
            variables=dict(request.variables),
            shards=request.shards or (0 if request.target_time else project.shards),
            target_time=request.target_time or 0.0,
            actor=request.actor,
            via=request.via,
            notify=request.notify is not False,
            group=request.concurrency.group,
            priority=project.priority if request.priority is None else request.priority,
            max_failures=project.max_failures if request.max_failures is None else request.max_failures,
            start_at=request.start_at,
            schedule_id=request.schedule_id,
            test_plan_id=request.test_plan,
        )

    def _repeated(self, tx: Transaction, principal: Principal, origin: Run, environment: Environment) -> Run:
        """A run with the words of its source."""
        return replace(
            self._blank(tx, principal, environment),
            branch=origin.branch,
            prefer_branch=origin.prefer_branch,
            pinned=origin.pinned,
            commit=origin.commit if origin.pinned else "",
            build=origin.build,
            metadata=origin.metadata,
            variables=origin.variables,
            shards=origin.shards,
            target_time=origin.target_time,
            actor=origin.actor,
            via=origin.via,
            priority=origin.priority,
            max_failures=origin.max_failures,
            test_plan_id=origin.test_plan_id,
        )

    def _blank(self, tx: Transaction, principal: Principal, environment: Environment) -> Run:
        now = self._clock.now()
        return Run(
            id=0,
            uuid=self._ids.uuid(),
            project_id=environment.project_id,
            environment_id=environment.id,
            pool=pool_for(tx, environment.pool, now),
            triggered_by=principal.name,
            trace=_trace(),
            created_at=now,
            touched_at=now,
        )

    def _put(self, tx: Transaction, project: Project, run: Run, concurrency: Concurrency) -> Run:
        """Store a new run and let it go ahead, or wait for its turn."""
        desk = Desk(tx, run.created_at)
        if not project.max_runs and not run.group and due(run, desk.now):
            return desk.add(run, go_ahead=True)
        cancels = concurrency.on_conflict is OnConflict.CANCEL
        if run.group:
            # Else somebody's run of the group could come between the two looks at the queue below.
            tx.projects.hold_group(project.id, run.group)
        if cancels:
            # Runs before projects: see storage/connect.py.
            desk.load(other.id for other in tx.runs.queue(project.id) if other.group == run.group)
        # From here on nobody else makes a run that could be in its way; numbers are in the order of turns.
        tx.projects.hold(project.id)
        run = desk.add(run)
        if cancels:
            words = f"superseded by run {run.id} (group {run.group!r})"
            for other in superseded(tx.runs.queue(project.id), run):
                if desk.run(other.id).status.open:
                    desk.cancel(desk.run(other.id), run.triggered_by, words, run.id)
        desk.admit(project)
        desk.file()
        return desk.run(run.id)

    def _need_quota(self, tx: Transaction) -> None:
        if tx.organization.get().monthly_runs is None:
            return
        organization = tx.organization.hold()
        if organization.used_up(tx.runs.made_since(month_start(self._clock.now()))):
            raise QuotaExceeded(
                f"the organization has used up its {organization.monthly_runs} runs of this month: wait for the next, "
                "or have the operator raise the limit (resit org set --monthly-runs)",
                limit=organization.monthly_runs,
            )

    def _remembered(self, tx: Transaction, project: Project, key: str, request: str) -> Run | None:
        if not key:
            return None
        if len(key) > 255:
            raise InvalidInput("an idempotency key has at most 255 characters", field="Idempotency-Key")
        check_text(key, "Idempotency-Key")
        found = tx.runs.remembered(f"{project.id}/{key}")
        if found is None:
            return None
        if found[0] != request:
            raise RequestReused("this idempotency key came with another request before", run_id=found[1])
        return tx.runs.get(found[1])

    def _remember(self, tx: Transaction, project: Project, key: str, request: str, run: Run) -> None:
        if key:
            tx.runs.remember(f"{project.id}/{key}", request, run.id, run.created_at)


def _trace() -> str:
    """The trace that a request is part of; empty when it said nothing of one, and for runs that begin by the clock."""
    asked = current()
    return asked.trace if asked else ""


def _said(origin: Run, again: Again) -> str:
    """The digest of what is asked of a source. Members that came later count when they are named: see ``Request``."""
    later = [again.priority, again.max_failures, again.start_at]
    said = [origin.id, again.kind.value, list(again.tests), again.reason, again.taken.value]
    return digest(said if later == [None] * 3 else [*said, *later])


def _environment(tx: Transaction, project: Project, slug: str) -> Environment:
    """The environment that a request names, or the default. Raises :class:`InvalidInput`, naming those there are."""
    found = tx.projects.environment_by_slug(project.id, slug or DEFAULT_ENVIRONMENT)
    if found is not None and not found.disabled:
        return found
    known = [e.slug for e in tx.projects.environments(project.id) if not e.disabled]
    words = f"no environment {slug[:80]!r}" if found is None else f"the environment {found.slug!r} disabled"
    raise InvalidInput(
        f"project {project.slug!r} has {words}: add it, or name another; there are: {', '.join(known[:50])}",
        field="environment",
    )


def _test_plan(tx: Transaction, project: Project, request: Request) -> TestPlan | None:
    """The test plan that a request names. Raises :class:`NotFound`."""
    if request.test_plan is None:
        return None
    plan = tx.test_plans.get(request.test_plan) if 0 < request.test_plan < MAX_NUMBER else None
    if plan is None or plan.project_id != project.id:
        raise NotFound(f"no test plan {request.test_plan}", field="test_plan")
    return plan


def _target(tx: Transaction, plan: TestPlan | None) -> str:
    """The slug of the environment that a test plan names; empty for none."""
    found = tx.projects.environment(plan.environment_id) if plan and plan.environment_id else None
    return found.slug if found else ""


def _selection(tx: Transaction, project: Project, request: Request, plan: TestPlan | None) -> Selection:
    if plan is not None:
        found = plan.selection
    elif request.tests or request.tags:
        tests = tuple(dict.fromkeys(request.tests))
        found = Selection(SelectionKind.CHOSEN, tests, request.tags, lenient=request.lenient)
    else:
        return Selection()
    if drafts := [case.uuid for case in tx.cases.named(project.id, found.tests) if case.draft]:
        raise InvalidInput(f"test case {drafts[0]} is a draft: the suite has no such test", field="tests")
    return found


def _again(tx: Transaction, origin: Run, project: Project, again: Again) -> Selection:
    """The selection of a re-run; its list of tests is resolved from the source's ledger when the plan is made."""
    again.check_source(origin)
    match again.kind:
        case SelectionKind.ALL:
            if origin.counts.total:
                return Selection(again.kind)
            # The source never came to a plan: the same question is asked again, a re-run's of what it was to run again.
            if planned_source(tx, origin) is None:
                return replace(origin.selection, kind=again.kind)
            if origin.selection.kind is not SelectionKind.FAILED:
                return origin.selection
            # Which tests failed is settled here: once the source has a plan, "failed" would be asked of the source.
            return replace(origin.selection, tests=tuple(test.id for test in foreseen(tx, origin)))
        case SelectionKind.FAILED:
            fixed = failed(tx.ledger.rows(origin.id), again.taken) if origin.status.open else ()
            return Selection(again.kind, fixed, taken=again.taken)
        case SelectionKind.CHOSEN:
            return Selection(again.kind, _chosen(tx, origin, project, again))


def _chosen(tx: Transaction, origin: Run, project: Project, again: Again) -> tuple[str, ...]:
    """The framework's ids of the tests that a re-run names by whatever name."""
    plan = foreseen(tx, origin) if origin.status.open else tx.ledger.plan(origin.id)
    known = {test.id: test.id for test in plan}
    if any(name not in known for name in again.tests):
        for test in plan:
            known.setdefault(case_uuid(project.uuid, test.id), test.id)
            known.setdefault(row_uuid(origin.uuid, test.id), test.id)
            known.setdefault(case_key(test), test.id)
    unknown = [name for name in again.tests if name not in known]
    if unknown and not (again.lenient and len(unknown) < len(again.tests)):
        raise InvalidInput(
            f"run {origin.id} has no test {unknown[0][:200]!r}"
            + (f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""),
            field="tests",
            unknown=unknown[:100],
        )
    return tuple(dict.fromkeys(known[name] for name in again.tests if name in known))
