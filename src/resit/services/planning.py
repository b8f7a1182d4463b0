"""From a selection to a plan, its ledger and its batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from resit.domain import balance, ledger, selection
from resit.domain.errors import Conflict, InvalidInput
from resit.domain.fleet import ALIVE_SECONDS
from resit.domain.ids import case_uuid
from resit.domain.ledger import Row
from resit.domain.plan import PlannedTest
from resit.domain.run import PlanFacts, Problem, Run
from resit.domain.selection import Filters, Resolution
from resit.domain.status import RunStatus
from resit.ports import Clock, Ledgered, Outgoing, Store, Transaction
from resit.ports.made import Known
from resit.services.catalog import MAX_SHARDS
from resit.services.desk import Desk
from resit.services.sources import by_id, planned_source, tests_of_rerun

MAX_TESTS = 100_000
"""Tests of one plan; the greatest that still travels as one batch."""
MAX_PLANS = 3
"""Tries of planning a run; what kills three workers kills the fourth."""
SHARED_LANE = 0.3
"""What one more lane of a shared process costs unless an executor says it, in starts of a session: a worker of its own,
but no second start."""
LISTING_SECONDS = 3600.0
"""How long a listing is used again. Its key holds what it depends on as far as that can be known; a suite may make its
tests of what a database holds."""
WITHOUT_PROJECT = 7200.0
"""Time limit of a run whose project is gone."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What a worker found when it listed a suite, besides the tests themselves, which came in pieces."""

    parts: int
    facts: PlanFacts
    commit: str
    branch: str = ""
    """The branch that was taken, of a run that had two to choose from."""
    key: str = ""
    """Of all that the listing depends on (worker/listed.py); empty: it is not to be used again."""


def begin(desk: Desk, run: Run, claim: str) -> Run:
    """A worker began to plan; a second one takes over from the first, a third loss ends the run."""
    if run.status not in (RunStatus.ADMITTED, RunStatus.PLANNING) or run.plan_claim == claim:
        return run
    if run.plan_attempts >= MAX_PLANS:
        words = f"{MAX_PLANS} workers were lost while they listed the tests; the log of the plan says how far they came"
        return desk.fail(run, Problem(code="plan_lost", message=words))
    return desk.put(
        replace(
            run,
            status=RunStatus.PLANNING,
            plan_claim=claim,
            plan_attempts=run.plan_attempts + 1,
            **_start(desk, run),
        )
    )


def returned(desk: Desk, run: Run, claim: str) -> Run:
    """A worker that goes has given the planning back: no loss."""
    if run.status is not RunStatus.PLANNING or run.plan_claim != claim:
        return run
    return desk.put(replace(run, plan_claim="", plan_attempts=max(0, run.plan_attempts - 1)))


def on_branch(run: Run, branch: str) -> Run:
    """The run with the branch that a worker took, if there was a choice; its re-runs then stay on it."""
    return replace(run, branch=branch, prefer_branch="") if branch and run.prefer_branch else run


def _start(desk: Desk, run: Run) -> dict[str, float]:
    """The times of a run whose first work begins now; its time limit counts from here, not from its request."""
    if run.started_at is not None:
        return {}
    project = desk.tx.projects.get(run.project_id)
    return {"started_at": desk.now, "deadline": desk.now + (project.time_limit if project else WITHOUT_PROJECT)}


def piece(desk: Desk, run: Run, claim: str, number: int, tests: Sequence[PlannedTest]) -> None:
    """A piece of a plan, kept until the plan is complete."""
    if run.status in (RunStatus.ADMITTED, RunStatus.PLANNING):
        desk.tx.ledger.stage(run.id, claim, number, tests)


def listed(desk: Desk, run: Run, claim: str, found: Listed) -> Run:
    """A worker has listed the suite: resolve the selection and hand out the work."""
    if run.status is not RunStatus.PLANNING or run.plan_claim != claim:
        return run
    pieces = desk.tx.ledger.staged(run.id, claim)
    if len(pieces) != found.parts:
        raise Conflict(f"run {run.id}: the plan has {len(pieces)} of {found.parts} parts")
    tests = [test for _, piece in pieces for test in piece]
    desk.tx.ledger.unstage(run.id)
    if found.key:
        desk.tx.projects.hold(run.project_id)
        desk.tx.listings.save(run.project_id, found.key, run.id, found.facts, tests, desk.now)
    return _plan(desk, run, found, tests)


def known(desk: Desk, run: Run, claim: str, found: Listed) -> bool:
    """A worker is about to list the suite: False when it has to, True when it was listed so before, and the run is
    planned by now. ``found`` says where, and its key."""
    run = begin(desk, run, claim)
    if run.status is not RunStatus.PLANNING or run.plan_claim != claim:
        return True
    listing = remembered(desk.tx, run, found.key, desk.now)
    if listing is None:
        return False
    facts = replace(listing.facts, reused=listing.run)
    _plan(desk, run, replace(found, facts=facts), listing.tests)
    return True


def remembered(tx: Transaction, run: Run, key: str, now: float) -> Known | None:
    """The listing of an earlier run that holds for this one, too."""
    return tx.listings.get(run.project_id, key, now - LISTING_SECONDS)


def _plan(desk: Desk, run: Run, found: Listed, tests: Sequence[PlannedTest]) -> Run:
    """From the tests of a suite to the plan of a run."""
    environment = desk.tx.projects.environment(run.environment_id)
    filters = environment.filters if environment else Filters()
    run = replace(on_branch(run, found.branch), facts=found.facts, commit=found.commit or run.commit)
    try:
        desk.tx.cases.sync(replace(run, touched_at=desk.now), selection.unique(tests))
    except InvalidInput as error:
        longest = max((text for test in tests for text in (test.id, test.file)), key=_bytes)
        words = f"the suite can't be stored: {error.message} ({longest[:200]!r} ... has {len(longest)} characters)"
        return desk.fail(desk.put(run), Problem(code="id_too_long", message=words))
    own = desk.tx.cases.own_tags(run.project_id)
    tests = [replace(test, tags=own[test.id]) if test.id in own else test for test in tests]
    resolution = selection.resolve(by_id(desk.tx, run), tests, filters)
    if len(resolution.planned) > MAX_TESTS:
        words = f"{len(resolution.planned)} tests are more than the {MAX_TESTS} of one run: choose by tags or filters"
        return desk.fail(desk.put(run), Problem(code="too_many_tests", message=words))
    if not resolution.planned and not resolution.missing:
        return desk.fail(desk.put(run), Problem(code="no_tests", message=_none(run, tests, filters)))
    expected = desk.tx.ledger.expected(run.project_id, run.environment_id, [test.id for test in resolution.planned])
    return _hand_out(desk, run, resolution, expected)


def _none(run: Run, tests: Sequence[PlannedTest], filters: Filters) -> str:
    """Why there is nothing to run, and what to do about it."""
    if not tests:
        return "the suite has no tests: check the project's workdir and configuration"
    if run.selection.lenient and run.selection.tests:
        return f"none of the {len(run.selection.tests)} tests that were asked for is within reach of this run"
    if run.selection.tags:
        tags = ", ".join(run.selection.tags)
        return f"none of the suite's {len(tests)} tests has a tag of {tags} within the environment's filters"
    return f"the environment's filters (match {list(filters.match)}, ignore {list(filters.ignore)}) leave no test"


@dataclass(frozen=True, slots=True)
class Draft:
    """What the plan of a re-run is made of. None of it changes any more, so it is read before the writing begins."""

    tests: tuple[PlannedTest, ...]
    facts: PlanFacts
    expected: Mapping[str, float]


def draft(tx: Transaction, run: Run) -> Draft | None:
    """The draft of a re-run's plan; None for a run whose plan comes from a worker, or that needs none."""
    source = planned_source(tx, run)
    if run.status not in (RunStatus.ADMITTED, RunStatus.PLANNING) or source is None:
        return None
    tests = tests_of_rerun(tx, run, source)
    return Draft(
        tests, source.facts, tx.ledger.expected(run.project_id, run.environment_id, [test.id for test in tests])
    )


def expand(desk: Desk, run: Run, drafted: Draft) -> Run:
    """Make the plan of a re-run from its source's: no listing, so it starts at once."""
    if run.status not in (RunStatus.ADMITTED, RunStatus.PLANNING):
        return run
    # Its source may be of another commit: nothing is said of tests that were not planned there.
    run = replace(run, facts=replace(drafted.facts, digest="", reused=0), **_start(desk, run))
    if not drafted.tests:
        return desk.fail(desk.put(run), Problem(code="no_tests", message="the source run has no such tests any more"))
    return _hand_out(desk, run, Resolution(drafted.tests), drafted.expected)


def _hand_out(desk: Desk, run: Run, resolution: Resolution, expected: Mapping[str, float]) -> Run:
    """Write the ledger, cut it into batches and send them out."""
    tests = resolution.planned
    project = desk.tx.projects.get(run.project_id)
    if project is None:
        raise Conflict(f"run {run.id} has no project")
    load = _load(run.facts, balance.filled(expected, tests))
    if run.target_time and not run.shards:
        lanes = balance.lanes_within(tests, run.target_time, MAX_SHARDS, load)
    else:
        lanes = balance.lanes(tests, run.shards or run.facts.lanes, load)
    places = lanes
    if run.facts.shares_process:
        # One session holds all lanes of a worker, so there is one batch at a time for each worker that takes part.
        places = min(lanes, max(1, desk.tx.workers.alive(run.pool, desk.now - ALIVE_SECONDS)))
    cut = balance.batches(tests, places, load, lanes)
    number = {test.id: n for n, batch in enumerate(cut, 1) for test in batch}
    rows = [
        Ledgered(test, Row(ordinal, test.id, number[test.id]), case_uuid(project.uuid, test.id))
        for ordinal, test in enumerate(tests)
    ]
    for ordinal, (name, reason) in enumerate(resolution.missing, len(rows)):
        gone = PlannedTest(id=name, file="", title_path=(name,))
        row = ledger.not_found(Row(ordinal, name), reason)
        rows.append(Ledgered(gone, row, case_uuid(project.uuid, name)))
    run = desk.put(
        replace(
            run,
            status=RunStatus.RUNNING,
            planned_at=desk.now,
            total_shards=lanes if cut else 0,
            counts=ledger.count(item.row for item in rows),
        )
    )
    desk.tx.ledger.add(run, rows)
    if not cut:
        return desk.close(run)
    desk.tx.batches.add(run.id, range(1, len(cut) + 1))
    message = Outgoing(kind="consumer", run_id=run.id, pool=run.pool, number=run.batches_at_once)
    desk.tx.outbox.add(
        message,
        *(replace(message, kind="batch", number=n) for n in range(1, len(cut) + 1)),
        *(replace(message, kind="shard", number=n) for n in range(1, lanes + 1)),
    )
    return run


def _load(facts: PlanFacts, expected: Mapping[str, float]) -> balance.Load:
    """What is known of the work, with costs as plans of earlier releases have them where none is said."""
    lane = facts.lane_cost
    if lane is None and facts.shares_process:
        lane = SHARED_LANE * facts.dispatch_cost
    return balance.Load(expected, facts.dispatch_cost, batch=facts.batch_cost, lane=lane)


class Planner:
    """Plans that need no worker."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    def expand(self, *run_ids: int) -> None:
        """Make the plans of re-runs from their sources', in one transaction."""
        with self._store.read() as tx:
            runs = {run_id: tx.runs.get(run_id) for run_id in run_ids}
            drafts = {run_id: draft(tx, run) for run_id, run in runs.items() if run is not None}
        with self._store.write() as tx:
            desk = Desk(tx, self._clock.now())
            for run_id in desk.load(run_id for run_id, drafted in drafts.items() if drafted is not None):
                drafted = drafts[run_id]
                if drafted is not None:
                    expand(desk, desk.run(run_id), drafted)
            desk.file()

    def give_up(self, run_id: int, why: str) -> None:
        """End a run whose work can't be handed out; a run that is over stays as it is."""
        with self._store.write() as tx:
            desk = Desk(tx, self._clock.now())
            run = desk.run(run_id)
            if run.status.open:
                desk.fail(run, Problem(code="dispatch_failed", message=f"the work can't be handed out: {why}"))
            desk.file()


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
