"""``resit keep``, ``resit usage`` and ``resit retention``: how long runs stay, and what they take."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from resit.cli import output
from resit.cli.options import RunRef
from resit.cli.settings import COMMON, Common, Exit
from resit.cli.sizes import size

retention = App(name="retention", help="Remove runs that are beyond the limits of their projects.", help_epilogue="")


def keep(
    run: RunRef,
    /,
    *,
    off: Annotated[bool, Parameter(help="Leave it to the limits of its project again.")] = False,
    common: Common = COMMON,
) -> int:
    """Keep a run, whatever the limits of its project say.

    Example: resit keep 12
    """
    with common.connect() as client:
        found = client.keep_run(run, kept=not off)
    if common.json:
        output.print_json(found)
    else:
        said = "is left to the limits of its project" if off else "is kept"
        output.say(output.console(no_color=common.no_color), f"Run {found['id']} {said}.")
    return Exit.GREEN


def usage(*, common: Common = COMMON) -> int:
    """Show what projects, the database and the disk take.

    Example: resit usage
    """
    with common.connect() as client:
        found = client.usage()
    if common.json:
        output.print_json(found)
        return Exit.GREEN
    console = output.console(no_color=common.no_color)
    if not found["projects"]:
        output.say(console, "No projects.")
    else:
        table = output.table("project", "runs", "kept", "tests", "files", "size", "oldest", "limits")
        for item in found["projects"]:
            table.add_row(*_row(item))
        console.print(table)
    if database := found["database"]:
        free = size(database["free"])
        output.say(console, f"database: {size(database['size'])}, of which {free} free for what comes")
    if disk := found["disk"]:
        output.say(console, f"disk of the data folder: {size(disk['free'])} of {size(disk['size'])} free")
    return Exit.GREEN


def _row(item: dict[str, Any]) -> list[str]:
    numbers = [str(item[name] or "") for name in ("runs", "kept", "tests", "artifacts")]
    taken = size(item["artifact_bytes"]) if item["artifact_bytes"] else ""
    return [output.clean(item["project"]), *numbers, taken, output.ago(item["oldest"]), _limits(item)]


def _limits(item: dict[str, Any]) -> str:
    days, runs, most = item["keep_days"], item["keep_runs"], item["keep_bytes"]
    said = [f"{days:g} days" if days else "", f"{runs} runs" if runs else "", size(most) if most else ""]
    return ", ".join(filter(None, said)) or "none"


@retention.command
def run(
    *,
    project: Annotated[str, Parameter(metavar="SLUG", help="Only runs of this project.")] = "",
    dry_run: Annotated[bool, Parameter(help="Only tell which runs would go.")] = False,
    common: Common = COMMON,
) -> int:
    """Remove runs beyond the limits now, in place of in some minutes: rows and files both.

    Example: resit retention run --dry-run
    """
    console = output.console(no_color=common.no_color)
    freed: dict[str, int] = {"runs": 0, "rows": 0, "artifacts": 0, "artifact_bytes": 0}
    doomed: list[dict[str, Any]] = []
    with common.connect() as client:
        done = False
        while not done:
            found = client.remove_runs(project, dry_run=dry_run)
            doomed, done = found["doomed"], found["done"]
            freed = {name: freed[name] + found[name] for name in freed}
    if common.json:
        output.print_json({"doomed": doomed} if dry_run else freed)
        return Exit.GREEN
    if not dry_run:
        files = f"{freed['artifacts']} files ({size(freed['artifact_bytes'])})"
        output.say(console, f"Removed {freed['runs']} runs: {freed['rows']} rows, {files}.")
        return Exit.GREEN
    for item in doomed:
        numbers = item["runs"]
        shown = " ".join(map(str, numbers[:20])) + (f" and {len(numbers) - 20} more" if len(numbers) > 20 else "")
        output.say(console, f"{output.clean(item['project'])}: {len(numbers)} runs would go: {shown}")
    if not doomed:
        output.say(console, "Nothing is beyond the limits.")
    return Exit.GREEN
