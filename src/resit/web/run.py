"""One run: its head and its parts, each with an address of its own, and what can be done with it."""

import secrets
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from resit.control.context import Services
from resit.domain.access import Principal, Scope
from resit.domain.comparison import RED
from resit.domain.errors import InvalidInput, NotFound
from resit.domain.ledger import Row
from resit.domain.lineage import effective
from resit.domain.plan import PlannedTest
from resit.domain.rerun import Again
from resit.domain.status import SelectionKind
from resit.ports import Ledgered
from resit.ports.reads import LedgerFilter, RunFilter, RunView
from resit.services.runs import find_run
from resit.web import shown
from resit.web.door import Seen, Sent, Use, Visitor
from resit.web.pages import LETTERS, page, text
from resit.web.timeline import timeline as lanes_of

router = APIRouter()
PAGE, FAILURES, LINEAGE, EXECUTIONS = 100, 60, 40, 20_000
Word = Annotated[str, Query(max_length=500)]


@dataclass(frozen=True, slots=True)
class Item:
    """A planned test as a list shows it. ``word``: its state."""

    test: PlannedTest
    row: Row
    word: str
    case: str = ""


def item(value: Ledgered) -> Item:
    """A row of a ledger."""
    return Item(value.test, value.row, shown.state_of(value.row), value.case_uuid)


def view_of(use: Services, who: Principal, name: str, scope: Scope = Scope.RUNS_READ) -> RunView:
    """A run within reach. Raises :class:`NotFound`."""
    who.need(scope)
    with use.store.read() as tx:
        run = find_run(tx, use.ids, who, name)
    found = use.reads.run(run.id)
    if found is None:
        raise NotFound(f"no run {name[:40]}")
    return found


def head(use: Services, view: RunView) -> dict[str, Any]:
    """What the head of a run shows."""
    run = view.run
    lineage = use.reads.lineage(run.id)[:LINEAGE]
    verdict = None
    if 1 < len(lineage) < LINEAGE:
        known = use.reads.outcomes([each.run.id for each in lineage])
        verdict = effective(known, [bool(each.run.problems) for each in lineage])
    waiting = use.queue.waiting_for([run]).get(run.id, "") if run.status.open else ""
    return {
        "view": view,
        "run": run,
        "waiting": waiting,
        "left": shown.time_left(run, use.clock.now()),
        "lineage": lineage,
        "tree": shown.tree(lineage),
        "effective": verdict,
    }


def show(request: Request, use: Services, seen: Visitor, view: RunView, tab: str, name: str, **said: Any) -> Response:
    """A part of a run under its head."""
    run = view.run
    tabs = [
        ("", "Overview", None), ("tests", "Tests", run.counts.total), ("logs", "Logs", None),
        ("timeline", "Timeline", None), ("files", "Files", None), ("details", "Details", None),
    ]  # fmt: skip
    which = RunFilter(project_id=run.project_id, environment_ids=(run.environment_id,), before=run.id)
    previous = next((each.run.id for each in use.reads.runs(which, 1).items), None)
    return page(
        request,
        use,
        name,
        seen,
        **head(use, view),
        tab=tab,
        tabs=tabs,
        previous=previous,
        key=secrets.token_hex(12),
        **said,
    )


@router.get("/runs/{run}")
def overview(request: Request, use: Use, seen: Seen, run: str) -> Response:
    """The verdict, the grid, and what failed."""
    view = view_of(use, seen.who, run)
    return show(request, use, seen, view, "", "run_overview.html", **failures(use, view))


def failures(use: Services, view: RunView) -> dict[str, Any]:
    """What kept a run from being green, what says the same together; and its flaky tests."""
    which = LedgerFilter(states=tuple(sorted(RED)))
    counts = view.run.counts
    found = [item(row) for row in use.reads.ledger(view.run.id, which, FAILURES).items] if counts.red else []
    flaky = use.reads.ledger(view.run.id, LedgerFilter(state="flaky"), FAILURES).items if counts.flaky else ()
    return {
        "groups": shown.grouped(found),
        "red": counts.red,
        "more": counts.red > len(found),
        "flaky": [item(row) for row in flaky],
    }


@router.get("/runs/{run}/failures")
def failures_part(request: Request, use: Use, seen: Seen, run: str) -> Response:
    """The same, alone: for a page that is open."""
    view = view_of(use, seen.who, run)
    return page(request, use, "_failures.html", seen, view=view, **failures(use, view))


@router.get("/runs/{run}/tests")
def planned_tests(
    request: Request,
    use: Use,
    seen: Seen,
    run: str,
    q: Word = "",
    state: Word = "",
    test: Annotated[str, Query(max_length=4000)] = "",
    batch: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    after: Annotated[int, Query(ge=-1, le=2**31 - 1)] = -1,
) -> Response:
    """All planned tests."""
    view = view_of(use, seen.who, run, Scope.RESULTS_READ)
    if state and state not in (*LETTERS, "red"):
        raise InvalidInput(f"there is no state {state[:40]!r}", field="state")
    states = tuple(sorted(RED)) if state == "red" else ()
    which = LedgerFilter(
        state="" if states else state, states=states, text=q, test=test, batch=batch or None, after=after
    )
    found = use.reads.ledger(view.run.id, which, PAGE)
    if test and len(found.items) == 1:
        path = f"/runs/{view.run.id}/tests/{found.items[0].row.ordinal}"
        return RedirectResponse(f"{use.url.rstrip('/')}{path}", 303)
    return show(
        request,
        use,
        seen,
        view,
        "tests",
        "run_tests.html",
        page=shown.Items([item(row) for row in found.items], found.next),
        chosen={"q": q, "state": state},
        states=["red", *LETTERS],
        after=after,
        path_here=f"/runs/{view.run.id}/tests",
    )


def _one(use: Services, view: RunView, ordinal: int) -> dict[str, Any]:
    found = use.reads.rows_of(view.run.id, [ordinal]).get(ordinal)
    if found is None:
        raise NotFound(f"run {view.run.id} has no test {ordinal}")
    kept = use.reads.results(view.run.id, [ordinal])[ordinal]
    tries = shown.tries(view.run, found.row, kept, use.clock.now(), use.url)
    return {"item": item(found), "case": found.case_uuid, "tries": tries.tries, "words": tries.words}


@router.get("/runs/{run}/tests/{ordinal}")
def one_test(request: Request, use: Use, seen: Seen, run: str, ordinal: int) -> Response:
    """One test in this run."""
    view = view_of(use, seen.who, run, Scope.RESULTS_READ)
    return show(request, use, seen, view, "tests", "run_test.html", **_one(use, view, ordinal))


@router.get("/runs/{run}/tests/{ordinal}/detail")
def detail(request: Request, use: Use, seen: Seen, run: str, ordinal: int) -> Response:
    """The same, alone."""
    view = view_of(use, seen.who, run, Scope.RESULTS_READ)
    return page(request, use, "_detail.html", seen, view=view, **_one(use, view, ordinal))


@router.get("/runs/{run}/timeline")
def timeline(request: Request, use: Use, seen: Seen, run: str) -> Response:
    """What each lane did when."""
    view = view_of(use, seen.who, run, Scope.RESULTS_READ)
    executions = use.reads.executions(view.run.id, EXECUTIONS)
    found = lanes_of(view.run, use.reads.attempts(view.run.id), executions, use.clock.now())
    more = len(executions) == EXECUTIONS
    return show(request, use, seen, view, "timeline", "run_timeline.html", found=found, more=more)


@router.get("/runs/{run}/details")
def details(request: Request, use: Use, seen: Seen, run: str) -> Response:
    """Where and with what it ran."""
    view = view_of(use, seen.who, run)
    environment = next(
        (e for e in use.reads.environments(view.run.project_id) if e.id == view.run.environment_id), None
    )
    own = view.run.variables
    variables = [(name, value, "this run") for name, value in sorted(own.items())]
    if environment:
        variables += [(n, v, "environment") for n, v in sorted(environment.variables.items()) if n not in own]
    secrets_ = sorted(name for name in environment.secrets if name not in own) if environment else []
    return show(
        request, use, seen, view, "details", "run_details.html", variables=variables, secrets=secrets_
    )  # fmt: skip


# ------------------------------------------------------------ what can be done


def _back(use: Services, id: int) -> Response:
    return RedirectResponse(f"{use.url.rstrip('/')}/runs/{id}", 303)


@router.post("/runs/{run}/rerun")
def rerun(use: Use, seen: Seen, run: str, sent: Sent) -> Response:
    """Run again, as a new run."""
    kind = SelectionKind(sent["selection"]) if sent["selection"] in list(SelectionKind) else SelectionKind.ALL
    again = Again(kind=kind, tests=tuple(sent.all("test")) if kind is SelectionKind.CHOSEN else ())
    made, _ = use.runs.rerun(seen.who, run, again, key=f"page {sent['key']} {kind}" if sent["key"] else "")
    use.signals().outbox()
    return _back(use, made.id)


@router.post("/runs/{run}/cancel")
def cancel(use: Use, seen: Seen, run: str, sent: Sent) -> Response:
    """Stop it."""
    done, _ = use.runs.cancel(seen.who, run, sent["reason"])
    use.signals().outbox()
    use.signals().changed([done.id])
    return _back(use, done.id)


@router.post("/runs/{run}/keep")
def keep(use: Use, seen: Seen, run: str, sent: Sent) -> Response:
    """Have retention leave it alone, or not any more."""
    return _back(use, use.retention.keep(seen.who, run, bool(sent["kept"])).id)


def head_text(request: Request, use: Services, seen: Visitor, view: RunView) -> tuple[str, str]:
    """The head and the legend of a run, for a page that is open."""
    said = head(use, view)
    return text(request, use, "_head.html", seen, **said), text(request, use, "_legend.html", seen, view=view)
