"""Runs that exist: watch, runs, show, cancel."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from resit.cli import options, output
from resit.cli.options import RunRef
from resit.cli.settings import COMMON, CommandError, Common, Exit
from resit.domain.status import Outcome, RunStatus, Verdict

if TYPE_CHECKING:
    from rich.console import Console

    from resit.client import Client, RunDoc


WatchedJunit = Annotated[Path | None, Parameter(metavar="FILE", help="Write it as a JUnit file when it is over.")]


def watch(run: RunRef, /, *, junit: WatchedJunit = None, common: Common = COMMON) -> int:
    """Follow a run to its end; the exit code tells how it came out.

    Example: resit watch 12
    """
    from resit.cli import waiting

    with common.connect() as client:
        return waiting.wait(client, client.run(run), common, junit)


def runs(
    project: Annotated[str | None, Parameter(help="Slug of a project; without it the runs of all.")] = None,
    /,
    *,
    status: Annotated[
        str | None, Parameter(metavar="S", help=f"Only runs that got so far: {', '.join(RunStatus)}.")
    ] = None,
    verdict: Annotated[
        str | None, Parameter(metavar="V", help=f"Only runs that came out so: {', '.join(Verdict)}.")
    ] = None,
    limit: Annotated[int, Parameter(metavar="N", help="How many runs at most.", show_default=True)] = 20,
    common: Common = COMMON,
) -> int:
    """List runs, newest first.

    Example: resit runs shop --verdict failed --limit 5
    """
    if limit < 1:
        raise CommandError(f"--limit {limit}: at least 1 is needed")
    status = _one_of("--status", status, tuple(RunStatus))
    verdict = _one_of("--verdict", verdict, tuple(Verdict))
    with common.connect() as client:
        found = list(client.runs(limit + 1, project=project, status=status, verdict=verdict))
    shown = found[:limit]
    if common.json:
        output.print_json({"items": shown, "more": len(found) > limit})
        return Exit.GREEN
    console = output.console(no_color=common.no_color)
    if not shown:
        output.say(console, "No runs. Begin one: resit run PROJECT")
        return Exit.GREEN
    console.print(runs_table(shown, project=project is None))
    if len(found) > limit:
        output.say(console, f"There are more: resit runs --limit {limit * 5}")
    return Exit.GREEN


def runs_table(found: "list[RunDoc]", *, project: bool) -> Any:
    """Runs as a table of 80 columns or more."""
    from rich.text import Text

    columns = ["run", "id", "project", "verdict", "tests", "when", "took"]
    table = output.table(*columns if project else [name for name in columns if name != "project"])
    for name in ("run", "id", "verdict", "when", "took"):
        table.columns[[column.header for column in table.columns].index(name)].no_wrap = True
    for run in found:
        word = output.verdict_word(run)
        waits = run.get("waiting_for") if not run["counts"]["total"] else ""
        tests = Text(output.clean(waits or run["summary"]))
        if origin := output.selection(run):
            tests.append(f"\n{origin}", "bright_black")
        where = [Text(f"{output.clean(run['project'])}/{output.clean(run['environment'])}")] if project else []
        table.add_row(
            str(run["id"]),
            output.clean(run["short_id"]),
            *where,
            Text(word, output.STYLES.get(word, "cyan")),
            tests,
            output.ago(run["created_at"]),
            output.duration(run["duration"]),
        )
    return table


def show(
    run: RunRef,
    /,
    *,
    tests: Annotated[bool, Parameter(help="List every test of the ledger.")] = False,
    outcome: Annotated[
        str | None, Parameter(metavar="O", help=f"Only tests with this outcome: {', '.join(Outcome)}.")
    ] = None,
    common: Common = COMMON,
) -> int:
    """Show a run: how it came out, what was run, and the tests that keep it from being green.

    Example: resit show 12 --tests --outcome flaky
    """
    outcome = _one_of("--outcome", outcome, tuple(Outcome))
    tests = tests or outcome is not None
    with common.connect() as client:
        found = client.run(run)
        if common.json:
            document: dict[str, Any] = {**found}
            if tests:
                document["tests"] = list(client.tests(str(found["id"]), outcome=outcome))
            output.print_json(document)
            return Exit.GREEN
        console = output.console(no_color=common.no_color)
        if tests:
            output.say(console, output.headline(found))
            count = 0
            for row in client.tests(str(found["id"]), outcome=outcome):
                count += 1
                for line in output.row_lines(row):
                    output.say(console, line)
                output.say(console, f"      {output.clean(row['id'])}")
            if not count:
                output.say(console, f"  no tests that are {outcome.replace('_', ' ')}" if outcome else "  no tests")
        else:
            _details(client, found, console)
    return Exit.GREEN


def _details(client: "Client", run: "RunDoc", console: "Console") -> None:
    from resit.cli import waiting

    waiting.report(client, run, console)
    build = [f"{name} {output.clean(value)}" for name, value in (run.get("build") or {}).items() if value]
    console.print(
        output.fields(
            [
                ("run", f"{run['id']}  {output.clean(run['short_id'])}  {output.clean(run['uuid'])}"),
                ("project", f"{output.clean(run['project'])}, environment {output.clean(run['environment'])}"),
                ("tests", " · ".join(filter(None, [output.selection(run), " ".join(map(output.clean, run["tags"]))]))),
                ("reason", output.clean(run["reason"])),
                ("suite", output.clean(" ".join(filter(None, [run["framework"], run["branch"], run["commit"]])))),
                ("build", ", ".join(build)),
                ("shards", str(run["total_shards"] or "")),
                ("target", f"{run['target_time']:.0f} s" if run.get("target_time") else ""),
                ("by", output.clean(run["triggered_by"])),
                ("schedule", str(run.get("schedule_id") or "")),
                ("group", output.clean(run.get("group") or "")),
                ("priority", str(run.get("priority") or "")),
                ("stops", f"after {run['max_failures']} failures" if run.get("max_failures") else ""),
                ("cancelled", _cancelled(run)),
                ("kept", "yes, whatever the limits of its project say" if run.get("kept") else ""),
                ("requested", output.local_time(run["created_at"])),
                ("not before", output.local_time(run.get("start_at"))),
                ("started", output.local_time(run["started_at"])),
                ("finished", output.local_time(run["finished_at"])),
                ("url", output.clean(run["url"])),
            ]
        )
    )
    _report(client, run, console)
    family = client.lineage(str(run["id"]))
    relatives = [other for other in family["runs"] if other["id"] != run["id"]]
    if relatives:
        output.say(
            console, f"Runs of the same lineage (together: {output.clean(family['effective_verdict'] or 'open')}):"
        )
        console.print(runs_table(relatives, project=False))


def _report(client: "Client", run: "RunDoc", console: "Console") -> None:
    """Where the HTML report is."""
    from resit.client import Refused, closed

    if not closed(run) or not run["framework"].startswith("Playwright"):
        return
    try:
        found = client.reports.html(str(run["id"]))
    except Refused:
        return  # this token may not see it
    if found["state"] != "none":
        output.say(console, f"HTML report: {output.clean(found['state'])}, see `resit report {run['id']}`")


def _cancelled(run: "RunDoc") -> str:
    """Who stopped a run, and why."""
    if run["status"] != "cancelled":
        return ""
    by = f"by {output.clean(run['cancelled_by'])}" if run.get("cancelled_by") else ""
    return ", ".join(filter(None, [by, output.clean(run.get("cancel_reason") or "")]))


def change(
    run: RunRef,
    /,
    *,
    priority: options.Priority = None,
    at: options.At = None,
    later: options.In = None,
    now: Annotated[bool, Parameter(help="Let a delayed run start as soon as it can.")] = False,
    common: Common = COMMON,
) -> int:
    """Change a run that waits: its priority, or when it starts.

    Example: resit change 12 --priority 50
    """
    start = options.start(at, later)
    if now and start:
        raise CommandError("--now excludes --at and --in", "choose one of them")
    changes: dict[str, object] = {} if priority is None else {"priority": priority}
    if now or start:
        changes["start_at"] = start
    if not changes:
        raise CommandError("nothing to change", "for example --priority 50")
    with common.connect() as client:
        changed = client.change_run(run, changes)
    if common.json:
        output.print_json(changed)
    else:
        waits = output.clean(changed.get("waiting_for") or "")
        said = f"Run {changed['id']} is changed{f': {waits}' if waits else '.'}"
        output.say(output.console(no_color=common.no_color), said)
    return Exit.GREEN


def cancel(
    run: RunRef,
    /,
    *,
    reason: Annotated[str | None, Parameter(metavar="TEXT", help="Why; it is kept with the run.")] = None,
    common: Common = COMMON,
) -> int:
    """Stop a run. Tests that have not come to their end are cancelled; what is known stays.

    Example: resit cancel 12 --reason "wrong branch"
    """
    with common.connect() as client:
        stopped = client.cancel(run, reason or "")
    if common.json:
        output.print_json(stopped)
    else:
        console = output.console(no_color=common.no_color)
        word = "cancelled" if stopped["status"] == "cancelled" else "being cancelled"
        output.say(console, f"Run {stopped['id']} is {word}: {output.clean(stopped['summary'])}")
    return Exit.GREEN


def last_runs(client: "Client", project: str, number: int) -> "list[RunDoc]":
    """The newest runs of a project."""
    return list(islice(client.runs(number, project=project), number))


def _one_of(flag: str, value: str | None, known: tuple[str, ...]) -> str | None:
    if value is None:
        return None
    word = value.strip().lower().replace("-", "_").replace(" ", "_")
    if word not in known:
        raise CommandError(f"{flag} {value!r}: there are {', '.join(str(name) for name in known)}")
    return word
