"""``resit flaky``: tests that can't be relied on."""

from typing import Annotated, Any, cast

from cyclopts import Parameter

from resit.cli import output
from resit.cli.options import ProjectRef
from resit.cli.settings import COMMON, CommandError, Common, Exit


def flaky(
    project: ProjectRef,
    /,
    *,
    days: Annotated[int, Parameter(metavar="N", help="How far to look back, 1 to 90 days.", show_default=True)] = 30,
    environment: Annotated[str | None, Parameter(metavar="SLUG", help="Only runs of this environment.")] = None,
    branch: Annotated[str | None, Parameter(metavar="B", help="Only runs of this branch.")] = None,
    limit: Annotated[int, Parameter(metavar="N", help="How many tests at most.", show_default=True)] = 20,
    common: Common = COMMON,
) -> int:
    """List the tests that failed and then passed on a retry in the same run, the flakiest first.

    Example: resit flaky shop --days 7
    """
    if not 1 <= limit <= 999:
        raise CommandError(f"--limit {limit}: it must be 1 to 999")
    wanted = {"days": str(days), "environment": environment, "branch": branch, "order": "flaky_rate"}
    with common.connect() as client:
        answer = client.test_insights(project, limit + 1, **wanted)
    found = [item for item in cast("list[dict[str, Any]]", answer["items"]) if item["flaky"]]
    shown = found[:limit]
    if common.json:
        output.print_json({"items": shown, "more": len(found) > limit})
        return Exit.GREEN
    console = output.console(no_color=common.no_color)
    if not shown:
        output.say(console, f"No flaky tests in {days} days; {answer['total']} were executed.")
        return Exit.GREEN
    console.print(_table(shown))
    if len(found) > limit:
        output.say(console, f"There are more: resit flaky {project} --limit {min(limit * 5, 999)}")
    return Exit.GREEN


def _table(found: list[dict[str, Any]]) -> Any:
    """Test cases as a table of 80 columns or more."""
    from rich.text import Text

    table = output.table("flaky", "failed", "runs", "last", "test")
    for column in table.columns[:-1]:
        column.no_wrap = True
    for item in found:
        test = Text(output.clean(item["test"]))
        if item["title"] and item["title"] not in item["test"]:
            # an id that says nothing to people, like Playwright's
            test = Text(output.clean(f"{item['file']} › {item['title']}"))
        if item["variant"]:
            test.append(f" [{output.clean(item['variant'])}]", "bright_black")
        table.add_row(
            Text(f"{item['flaky_rate']} %", output.STYLES["flaky"]),
            f"{item['fail_rate']} %",
            str(item["passed"] + item["failed"] + item["flaky"]),
            output.ago(item["last_run_at"]),
            test,
        )
    return table
