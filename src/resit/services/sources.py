"""Where a re-run takes its plan from, and which tests a run will execute before it has a plan."""

from collections.abc import Sequence
from dataclasses import replace

from resit.domain import selection
from resit.domain.errors import NothingToRun
from resit.domain.plan import PlannedTest
from resit.domain.run import Run
from resit.domain.selection import Filters
from resit.domain.status import SelectionKind
from resit.ports import CaseRow, Transaction


def planned_source(tx: Transaction, run: Run) -> Run | None:
    """The run whose plan a re-run takes up: its source, or the nearest ancestor when its source never had a plan."""
    found = run
    while found.source_run_id is not None:
        source = tx.runs.get(found.source_run_id)
        if source is None or source.counts.total:
            return source
        found = source
    return None


def tests_of_rerun(tx: Transaction, run: Run, source: Run) -> tuple[PlannedTest, ...]:
    """The tests of a re-run, from the plan and the ledger of ``source``."""
    asked = run.selection
    if asked.kind is SelectionKind.FAILED and not asked.tests:
        # Only what it takes up, and their groups: of a run of 50,000 tests, three are read and not all.
        found = tx.ledger.taken(source.id, asked.taken)
        return selection.again(asked, [each.test for each in found], [each.row for each in found])
    return selection.again(asked, tx.ledger.plan(source.id), ())


def as_listed(case: CaseRow) -> PlannedTest:
    """A test case as a listing would show it, with the tags that were set here."""
    return case.planned if case.own_tags is None else replace(case.planned, tags=case.own_tags)


def by_id(tx: Transaction, run: Run) -> selection.Selection:
    """The selection of a run with keys and UUIDs of test cases turned into the framework's ids."""
    if not run.selection.tests:
        return run.selection
    known: dict[str, str] = {}
    for case in tx.cases.named(run.project_id, run.selection.tests):
        known |= {case.key: case.planned.id, case.uuid: case.planned.id, case.planned.id: case.planned.id}
    tests = dict.fromkeys(known.get(name, name) for name in run.selection.tests)
    return replace(run.selection, tests=tuple(tests))


def foreseen(tx: Transaction, run: Run) -> Sequence[PlannedTest]:
    """The tests of a run: its plan, or what its plan will be as far as that is known.

    For a re-run that is exact. For a run that is yet to list its suite, it is what the last listing of the suite gives;
    empty for a suite that was never listed.
    """
    if run.counts.total:
        return tx.ledger.plan(run.id)
    source = planned_source(tx, run)
    if source is not None:
        return tests_of_rerun(tx, run, source)
    if run.planned_at is not None or not run.status.open:
        return ()
    environment = tx.projects.environment(run.environment_id)
    listed = [as_listed(case) for case in tx.cases.active(run.project_id)]
    return selection.resolve(by_id(tx, run), listed, environment.filters if environment else Filters()).planned


def size(tx: Transaction, run: Run) -> int:
    """How many rows the ledger of a run has, or will have as far as is known: named tests that are gone count too."""
    if run.counts.total:
        return run.counts.total
    named = run.status.open and run.selection.tests and not run.selection.lenient
    if named and planned_source(tx, run) is None:
        return len(by_id(tx, run).tests)
    return len(foreseen(tx, run))


def need_tests(tx: Transaction, run: Run) -> None:
    """Raise :class:`NothingToRun` for a new run of a suite whose last listing gives it no test.

    A suite that was never listed may have any tests, so its run goes ahead.
    """
    project = tx.projects.get(run.project_id)
    if project is not None and project.listed_in is not None and not foreseen(tx, run):
        raise NothingToRun(
            f"no tests to run: when the suite of {project.slug!r} was listed last, it had none that is asked for and "
            "within the environment's filters",
            field="tests",
        )
