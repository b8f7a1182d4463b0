"""``resit run`` and ``resit rerun``: ask for executions, and wait for them if wanted."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from resit.cli import options, output
from resit.cli.options import Junit, Many, ProjectRef, RunRef, Tests, Variables, Wait, ids, pairs
from resit.cli.settings import COMMON, CommandError, Common, Exit

if TYPE_CHECKING:
    from resit.client import Client, RunDoc


def run(
    project: ProjectRef,
    /,
    *,
    env: Annotated[
        str | None, Parameter(metavar="SLUG", help="Slug of the environment; without it the project's default one.")
    ] = None,
    build_url: Annotated[
        str | None, Parameter(metavar="URL", help="Address of the build under test, handed to the tests.")
    ] = None,
    branch: Annotated[
        str | None, Parameter(metavar="B", help="Branch of the test repository, if not the project's own.")
    ] = None,
    tag: Annotated[
        tuple[str, ...], Many, Parameter(metavar="@T", help="Only tests with one of these tags (@smoke or smoke).")
    ] = (),
    test: Tests = (),
    var: Variables = (),
    shards: Annotated[int | None, Parameter(metavar="N", help="How many shards at most.")] = None,
    target_time: options.TargetTime = None,
    test_plan: Annotated[
        int | None, Parameter(metavar="N", help="Number of a test plan, in place of --test and --tag.")
    ] = None,
    group: Annotated[
        str | None, Parameter(metavar="NAME", help="Concurrency group: one run of it is at work at a time.")
    ] = None,
    on_conflict: Annotated[
        Literal["wait", "cancel"] | None,
        Parameter(help="What becomes of an earlier run of the group: wait for its end (the default), or cancel it."),
    ] = None,
    priority: options.Priority = None,
    max_failures: options.MaxFailures = None,
    at: options.At = None,
    later: options.In = None,
    wait: Wait = False,
    junit: Junit = None,
    common: Common = COMMON,
) -> int:
    """Run the tests of a project: all of them, or those with a tag or an id.

    Example: resit run shop --env staging --tag @smoke --max-failures 5 --wait
    Example: resit run shop --target-time 5m
    """
    wanted: dict[str, object] = {
        "environment": env,
        "build": {"url": build_url} if build_url else None,
        "branch": branch,
        "tags": list(tag) or None,
        "tests": ids(test) or None,
        "variables": pairs(var, "--var") or None,
        "shards": _positive(shards),
        "target_time": options.seconds(target_time, "--target-time") if target_time is not None else None,
        "test_plan": test_plan,
        "concurrency": {"group": group, "on_conflict": on_conflict or "wait"} if group else None,
        "priority": priority,
        "max_failures": max_failures,
        "start_at": options.start(at, later),
    }
    _need_wait(junit, wait)
    if on_conflict and not group:
        raise CommandError("--on-conflict is about a group", "name it: --group NAME")
    if target_time is not None and shards is not None:
        raise CommandError("--target-time chooses the number of shards", "leave out --shards")
    if test_plan is not None and (test or tag):
        raise CommandError("a test plan says itself which tests it means", "leave out --test and --tag")
    if any(not name.strip("@ ") for name in tag):
        raise CommandError("--tag was given an empty tag", "leave --tag out to run everything")
    with common.connect() as client:
        made = client.trigger(project, {name: value for name, value in wanted.items() if value is not None})
        return begun(client, made, common, wait, junit)


def rerun(
    run: RunRef,
    /,
    *,
    failed: Annotated[
        bool, Parameter(help="Only what failed, errored, was lost or not found, or did not run.")
    ] = False,
    cancelled: Annotated[bool, Parameter(help="With --failed: also what was cancelled before its end.")] = False,
    test: Tests = (),
    reason: Annotated[str | None, Parameter(metavar="TEXT", help="Why; it is kept with the re-run.")] = None,
    priority: options.Priority = None,
    max_failures: options.MaxFailures = None,
    at: options.At = None,
    later: options.In = None,
    wait: Wait = False,
    junit: Junit = None,
    common: Common = COMMON,
) -> int:
    """Run again: everything, what failed, or tests you name. It is a new run; its source stays as it was.

    Example: resit rerun 12 --failed --reason "the database was down" --wait
    """
    chosen = ids(test)
    if failed and chosen:
        raise CommandError("--failed and --test exclude each other", "name tests, or take all that failed")
    _need_wait(junit, wait)
    if cancelled and not failed:
        raise CommandError("--cancelled adds to --failed", "say --failed --cancelled")
    selection = "failed" if failed else "chosen" if chosen else "all"
    more: dict[str, object] = {
        "tests": chosen or None,
        "cancelled": cancelled or None,
        "reason": reason or None,
        "priority": priority,
        "max_failures": max_failures,
        "start_at": options.start(at, later),
    }
    wanted = {"selection": selection} | {name: value for name, value in more.items() if value is not None}
    with common.connect() as client:
        made = client.rerun(run, wanted)
        return begun(client, made, common, wait, junit)


def _positive(shards: int | None) -> int | None:
    if shards is not None and shards < 1:
        raise CommandError(f"--shards {shards}: at least 1 is needed")
    return shards


def _need_wait(junit: Path | None, wait: bool) -> None:
    if junit is not None and not wait:
        raise CommandError("--junit writes a file when the run is over", "add --wait, or call `resit junit RUN` later")


def begun(client: "Client", made: "RunDoc", common: Common, wait: bool, junit: Path | None = None) -> int:
    """Say that the run is on its way, and follow it if wanted."""
    number = made["id"]
    if not common.json or wait:
        console = output.console(no_color=common.no_color, stderr=common.json)
        where = f"{output.clean(made['project'])} on {output.clean(made['environment'])}"
        origin = output.selection(made)
        origin = f", {origin}" if origin else ""
        output.say(console, f"Run {number} ({output.clean(made['short_id'])}) of {where}{origin}")
        if made["status"] == "requested" and made.get("waiting_for"):
            output.say(console, f"  {output.clean(made['waiting_for'])}")
        if not wait:
            output.say(console, f"  see it:   resit watch {number}\n  stop it:  resit cancel {number}")
    if wait:
        from resit.cli import waiting

        return waiting.wait(client, made, common, junit)
    if common.json:
        output.print_json(made)
    return Exit.GREEN
