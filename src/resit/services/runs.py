"""Runs: requested, run again, cancelled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from resit.domain import ledger
from resit.domain.access import Principal, Scope
from resit.domain.errors import InvalidInput, NotFound, NothingToRun, RequestReused, RunStillOpen
from resit.domain.ids import case_uuid, digest
from resit.domain.project import DEFAULT_ENVIRONMENT, Environment, Project, check_text, check_variables
from resit.domain.run import Build, Run
from resit.domain.selection import Selection
from resit.domain.status import RunStatus, SelectionKind
from resit.ports import ArtifactRow, Clock, Ids, Outgoing, Store, Transaction
from resit.services.catalog import MAX_SHARDS, find_project
from resit.services.desk import Desk
from resit.services.planning import planned_source

MAX_TESTS = 50_000
QUEUE_SECONDS = 24 * 3600.0
"""How long a run waits for a worker before it is given up."""
MAX_TAGS = 100
MAX_METADATA = 100
MAX_ID = 4_000
MAX_NUMBER = 2**53
"""Greater than any run's number, and still within every database's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a trigger asks for. Empty members take the project's or environment's word."""

    environment: str = ""
    build: Build = Build()
    branch: str = ""
    commit: str = ""
    tags: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    metadata: Mapping[str, str | int | float] = field(default_factory=dict[str, "str | int | float"])
    shards: int = 0
    reason: str = ""

    def digest(self, project: str) -> str:
        """Equal requests have equal digests; an idempotency key is bound to one."""
        build = {name: getattr(self.build, name) for name in Build.__dataclass_fields__}
        plain = [self.environment, build, self.branch, self.commit, self.tags, self.tests, dict(self.variables)]
        return digest([project, *plain, dict(self.metadata), self.shards, self.reason])


def find_run(tx: Transaction, ids: Ids, principal: Principal, name: str | int) -> Run:
    """A run by number, short id or UUID, within reach. Raises :class:`NotFound`."""
    text = str(name)
    if text.isascii() and text.isdigit() and len(text) < 19:
        number: int | None = int(text)
    else:
        number = tx.runs.by_uuid(text) if len(text) == 36 else ids.number(text)
    run = tx.runs.get(number) if number and number < MAX_NUMBER else None
    if run is None or not principal.reaches(run.project_id):
        raise NotFound(f"no run {text[:80]}")
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
        """Request a run. Returns it, and whether it is new: a repeated idempotency ``key`` gives the run it made."""
        principal.need(Scope.RUNS_WRITE)
        _check(request)
        with self._store.write() as tx:
            found = find_project(tx, principal, project)
            remembered = self._remembered(tx, found, key, request.digest(project))
            if remembered:
                return remembered, False
            environment = self._environment(tx, found, request.environment)
            now = self._clock.now()
            run = tx.runs.add(
                Run(
                    id=0,
                    uuid=self._ids.uuid(),
                    project_id=found.id,
                    environment_id=environment.id,
                    selection=_selection(tx, found, request),
                    reason=request.reason,
                    branch=request.branch or found.branch,
                    pinned=bool(request.commit),
                    commit=request.commit,
                    build=request.build,
                    metadata=dict(request.metadata),
                    variables=dict(request.variables),
                    shards=request.shards or found.shards,
                    pool=environment.pool,
                    triggered_by=principal.name,
                    created_at=now,
                    touched_at=now,
                )
            )
            run = self._admit(tx, run, found)
            self._remember(tx, found, key, request.digest(project), run)
        return run, True

    def rerun(
        self,
        principal: Principal,
        source: str | int,
        kind: SelectionKind,
        tests: Sequence[str] = (),
        reason: str = "",
        key: str = "",
    ) -> tuple[Run, bool]:
        """Run again: a new run, linked to its source, which is never touched (product rule 3).

        Branch, build, variables, metadata and shards are the source's. Raises :class:`RunStillOpen` for the failed
        tests of a run that isn't closed, :class:`NothingToRun` when there is nothing to take up.
        """
        principal.need(Scope.RUNS_WRITE)
        if kind is SelectionKind.CHOSEN and not tests:
            raise NothingToRun("no tests were named", field="tests")
        if kind is not SelectionKind.CHOSEN and tests:
            raise InvalidInput("tests are named only with the selection 'chosen'", field="tests")
        check_text(reason, "reason")
        _check_tests(tests)
        with self._store.write() as tx:
            origin = find_run(tx, self._ids, principal, source)
            request = digest([origin.id, kind.value, list(tests), reason])
            project = tx.projects.get(origin.project_id)
            environment = tx.projects.environment(origin.environment_id)
            if project is None or environment is None:
                raise NotFound("the project or environment of the source run is gone")
            remembered = self._remembered(tx, project, key, request)
            if remembered:
                return remembered, False
            selection = _again(tx, origin, project, kind, tests)
            now = self._clock.now()
            run = tx.runs.add(
                replace(
                    Run(id=0, uuid=self._ids.uuid(), project_id=project.id, environment_id=environment.id),
                    selection=selection,
                    source_run_id=origin.id,
                    reason=reason,
                    branch=origin.branch,
                    pinned=origin.pinned,
                    commit=origin.commit if origin.pinned else "",
                    build=origin.build,
                    metadata=origin.metadata,
                    variables=origin.variables,
                    shards=origin.shards,
                    pool=environment.pool,
                    facts=origin.facts,
                    triggered_by=principal.name,
                    created_at=now,
                    touched_at=now,
                )
            )
            run = self._admit(tx, run, project)
            self._remember(tx, project, key, request, run)
        return run, True

    def cancel(self, principal: Principal, name: str | int) -> Run:
        """Stop a run: what is open is cancelled at once, workers are told. A closed run stays as it is."""
        principal.need(Scope.RUNS_WRITE)
        with self._store.write() as tx:
            run = find_run(tx, self._ids, principal, name)
            if not run.status.open:
                return run
            desk = Desk(tx, self._clock.now())
            run = desk.run(run.id)
            before = tx.ledger.open_rows(run.id)
            run = desk.move(run, before, [ledger.cancelled(row) for row in before])
            run = desk.close(run, RunStatus.CANCELLED)
            tx.outbox.add(Outgoing(kind="cancel", run_id=run.id, pool=run.pool))
            desk.file()
            return run

    def _admit(self, tx: Transaction, run: Run, project: Project) -> Run:
        """Let a run go ahead. Its plan comes from a worker, or from its source run when that had one."""
        known = planned_source(tx, run) is not None
        admitted = replace(run, status=RunStatus.ADMITTED, deadline=run.created_at + QUEUE_SECONDS)
        tx.runs.save(admitted)
        tx.outbox.add(Outgoing(kind="expand" if known else "plan", run_id=run.id, pool=run.pool))
        return admitted

    def _environment(self, tx: Transaction, project: Project, slug: str) -> Environment:
        found = tx.projects.environment_by_slug(project.id, slug or DEFAULT_ENVIRONMENT)
        if found is None:
            raise InvalidInput(
                f"project {project.slug!r} has no environment {slug[:80]!r}: add it, or name another",
                field="environment",
            )
        return found

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


def _check(request: Request) -> None:
    check_variables(request.variables)
    if not 0 <= request.shards <= MAX_SHARDS:
        raise InvalidInput(f"shards: 1 to {MAX_SHARDS}", field="shards")
    _check_tests(request.tests)
    if len(request.tags) > MAX_TAGS:
        raise InvalidInput(f"at most {MAX_TAGS} tags", field="tags")
    for tag in request.tags:
        check_text(tag, "tags")
    _check_metadata(request.metadata)
    build = request.build
    for name in Build.__dataclass_fields__:
        check_text(getattr(build, name), f"build.{name}")
    for name in ("branch", "commit", "reason"):
        check_text(getattr(request, name), name)
    if request.branch.startswith("-") or request.commit.startswith("-"):
        raise InvalidInput("a branch or commit does not begin with '-'", field="branch")


def _check_tests(tests: Sequence[str]) -> None:
    if len(tests) > MAX_TESTS:
        raise InvalidInput(f"at most {MAX_TESTS} tests", field="tests")
    for test in tests:
        if not test:
            raise InvalidInput("an empty text names no test", field="tests")
        check_text(test, "tests", MAX_ID)


def _check_metadata(metadata: Mapping[str, str | int | float]) -> None:
    if len(metadata) > MAX_METADATA:
        raise InvalidInput(f"at most {MAX_METADATA} metadata entries", field="metadata")
    for name, value in metadata.items():
        check_text(name, "metadata")
        if isinstance(value, str):
            check_text(value, "metadata")
        elif not abs(value) <= MAX_NUMBER:  # nor is "no number" (NaN)
            raise InvalidInput(f"metadata {name!r}: numbers are finite and at most {MAX_NUMBER}", field="metadata")


def _selection(tx: Transaction, project: Project, request: Request) -> Selection:
    if not request.tests and not request.tags:
        return Selection()
    return Selection(SelectionKind.CHOSEN, tuple(dict.fromkeys(request.tests)), request.tags)


def _again(tx: Transaction, origin: Run, project: Project, kind: SelectionKind, tests: Sequence[str]) -> Selection:
    """The selection of a re-run; its list of tests is resolved from the source's ledger when the plan is made."""
    match kind:
        case SelectionKind.ALL:
            if origin.counts.total:
                return Selection(kind)
            # The source never came to a plan: the same question is asked again, a re-run's of what it was to run again.
            return origin.selection if planned_source(tx, origin) else replace(origin.selection, kind=kind)
        case SelectionKind.FAILED:
            if origin.status.open:
                raise RunStillOpen(f"run {origin.id} is still {origin.status}: wait for its end, or re-run all")
            if not origin.counts.red:
                raise NothingToRun(f"nothing failed in run {origin.id}: there is nothing to run again")
            return Selection(kind)
        case SelectionKind.CHOSEN:
            known = {test.id for test in tx.ledger.plan(origin.id)}
            by_case: dict[str, str] = {}
            if any(name not in known for name in tests):
                by_case = {case_uuid(project.uuid, test): test for test in known}
            wanted = [by_case.get(name, name) for name in tests]
            if unknown := [name for name in wanted if name not in known]:
                raise InvalidInput(
                    f"run {origin.id} has no test {unknown[0][:200]!r}"
                    + (f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""),
                    field="tests",
                    unknown=unknown[:100],
                )
            return Selection(kind, tuple(dict.fromkeys(wanted)))
