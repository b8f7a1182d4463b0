"""Following a run to its end, and what is said then."""

import threading
from collections.abc import Set
from pathlib import Path
from typing import TYPE_CHECKING

from resit.cli import output
from resit.cli.settings import CommandError, Common, Exit
from resit.client import Client, ClientError, Refused, RowDoc, RunChanged, RunDoc, closed

if TYPE_CHECKING:
    from rich.console import Console

    from resit.cli.live import View

NAMED_AT_END = 20
"""Red tests named in the final report."""
_LOG_SECONDS = 2.0


def exit_code(run: RunDoc) -> Exit:
    """0 green, 1 red, 2 not carried through. A run of nothing but skips is not green."""
    if run["status"] == "cancelled" or run["verdict"] not in ("passed", "failed", "skipped"):
        return Exit.NOT_CARRIED_THROUGH
    return Exit.GREEN if run["verdict"] == "passed" else Exit.RED


def wait(client: Client, run: RunDoc, common: Common, junit: Path | None = None) -> Exit:
    """Follow the run, tell how it came out, and give the exit code. ``junit``: also write it to this file."""
    console = output.console(no_color=common.no_color, stderr=common.json)
    number = run["id"]
    try:
        final, named = (run, set[str]()) if closed(run) else _follow(client, run, console)
        if common.json:
            output.print_json(final)
        else:
            report(client, final, console, named)
        if junit is not None:
            from resit.cli.reports import write_junit

            write_junit(client, str(number), junit)
    except KeyboardInterrupt:
        output.say_error(
            f"run {number} goes on without you",
            f"`resit watch {number}` to see it again, `resit cancel {number}` to stop it",
        )
        return Exit.INTERRUPTED
    except ClientError as error:
        error.hint = f"run {number} may be going on: `resit watch {number}`"
        raise
    return exit_code(final)


def _follow(client: Client, run: RunDoc, console: "Console") -> tuple[RunDoc, Set[str]]:
    """The run at its end, and the red tests that were printed on the way."""
    from resit.cli.live import view

    shown, over = view(console), threading.Event()
    shown.run_changed(run)
    final = run
    with shown.open():
        if console.is_terminal:
            threading.Thread(target=_plan_log, args=(client, run, shown, over), daemon=True).start()
        try:
            for change in client.follow(str(run["id"])):
                if isinstance(change, RunChanged):
                    final = change.run
                    if final["counts"]["total"]:
                        over.set()
                    shown.run_changed(final)
                else:
                    shown.row_changed(change.row)
        finally:
            over.set()
    if not closed(final):
        raise CommandError(f"run {run['id']} ended without a verdict", exit=Exit.INTERNAL)
    return final, shown.named


def _plan_log(client: Client, run: RunDoc, shown: "View", over: threading.Event) -> None:
    """Until there is a plan, show the last line of its log: a first checkout and setup can take minutes."""
    offset = 0
    while not over.wait(_LOG_SECONDS):
        try:
            text, offset = client.log(str(run["id"]), 0, offset)
        except ClientError:
            continue
        if lines := [line for line in text.splitlines() if line.strip()]:
            shown.log_line(lines[-1])


def red_rows(client: Client, run: RunDoc, most: int) -> list[RowDoc]:
    """The tests that keep a run from being green, up to ``most``."""
    found: list[RowDoc] = []
    for outcome in output.RED_OUTCOMES:
        if run["counts"].get(outcome) and len(found) < most:
            found += client.tests(str(run["id"]), outcome=outcome, limit=most - len(found))
    if run["counts"].get("did_not_run") and len(found) < most:
        found += client.tests(str(run["id"]), state="did_not_run", limit=most - len(found))
    return found


def report(client: Client, run: RunDoc, console: "Console", named: Set[str] = frozenset()) -> None:
    """How a closed run came out: the verdict first, then each red test with its reason, then what to do next.

    ``named``: the red tests that stand above already, printed while the run went on.
    """
    output.say(console, output.headline(run))
    counts = run["counts"]
    red = sum(counts.get(outcome, 0) for outcome in output.RED_OUTCOMES) + counts.get("did_not_run", 0)
    if red > len(named):
        _name_reds(client, run, console, red, named)
    troubles(run, console)
    stopped = counts["cancelled"] if run["status"] == "finished" else 0
    if stopped and run.get("cancel_reason"):
        rest = f"{stopped} {'test was' if stopped == 1 else 'tests were'} cancelled"
        output.say(console, f"  ! {output.clean(run['cancel_reason'])}: {rest}")
    if run.get("waiting_for"):
        output.say(console, f"  {output.clean(run['waiting_for'])}")
    if red and closed(run):
        output.say(console, f"Run them again: resit rerun {run['id']} --failed{' --cancelled' if stopped else ''}")


def _name_reds(client: Client, run: RunDoc, console: "Console", red: int, named: Set[str]) -> None:
    try:
        rows = [row for row in red_rows(client, run, NAMED_AT_END + len(named)) if row["id"] not in named]
    except Refused as refused:
        # The verdict is what counts, and it is known; this token may not see more.
        output.say(console, f"  The tests are not named: {refused.message}")
        return
    for row in rows[:NAMED_AT_END]:
        for line in output.row_lines(row):
            output.say(console, line)
    left = red - len(named) - len(rows[:NAMED_AT_END])
    if left > 0:
        output.say(console, f"  … and {left} more: resit show {run['id']} --tests")


def troubles(run: RunDoc, console: "Console") -> None:
    """What went wrong outside any test, and where its log is."""
    said = list(dict.fromkeys(problem["message"] for problem in run["problems"]))
    for problem in said:
        output.say(console, f"  ! {output.first_line(problem)}")
        rest = output.clean(problem, lines=True).strip().splitlines()[1:]
        for line in rest[:15]:
            output.say(console, f"    {line.rstrip()}")
    if said:
        output.say(console, f"The log: resit logs {run['id']}")
    if run.get("approximate"):
        output.say(console, "  The selection was approximate: the framework can't select tests by their ids.")
