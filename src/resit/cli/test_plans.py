"""``resit test-plan``: selections that are saved under a name."""

from typing import Annotated

from cyclopts import App, Parameter

from resit.cli import options, output
from resit.cli.options import Many, ProjectRef
from resit.cli.settings import COMMON, Common, Exit

test_plan = App(name="test-plan", help="Save selections of tests under a name.", help_epilogue="")


@test_plan.command
def add(
    project: ProjectRef,
    name: Annotated[str, Parameter(help="Name of the test plan.")],
    /,
    *,
    test: options.Tests = (),
    tag: Annotated[tuple[str, ...], Many, Parameter(metavar="@T", help="Tests with one of these tags.")] = (),
    environment: Annotated[
        str | None, Parameter(metavar="SLUG", help="Where it runs, unless a trigger says otherwise.")
    ] = None,
    default: Annotated[
        bool, Parameter(help="Taken by triggers over the QA.tech API that name none, in place of the old one.")
    ] = False,
    common: Common = COMMON,
) -> int:
    """Save a selection. With neither tests nor tags it means all tests.

    Example: resit test-plan add shop smoke --tag @smoke
    """
    wanted: dict[str, object] = {"name": name, "tests": options.ids(test), "tags": [*tag], "default": default}
    if environment:
        wanted["environment"] = environment
    with common.connect() as client:
        made = client.add_test_plan(project, wanted)
    if common.json:
        output.print_json(made)
    else:
        console = output.console(no_color=common.no_color)
        output.say(console, f"Test plan {made['id']}: {output.clean(made['name'])}")
        output.say(console, f"  run it:  resit run {output.clean(project)} --test-plan {made['id']}")
    return Exit.GREEN


@test_plan.command(name="list")
def list_test_plans(project: ProjectRef, /, *, common: Common = COMMON) -> int:
    """List the test plans of a project.

    Example: resit test-plan list shop
    """
    with common.connect() as client:
        found = list(client.test_plans(project))
    if common.json:
        output.print_json({"items": found})
        return Exit.GREEN
    console = output.console(no_color=common.no_color)
    if not found:
        output.say(console, "No test plans.")
        return Exit.GREEN
    table = output.table("test plan", "name", "means", "environment", "default")
    for one in found:
        tests = f"{len(one['tests'])} tests" if one["tests"] else ""
        means = " · ".join(filter(None, [tests, " ".join(map(output.clean, one["tags"]))])) or "all tests"
        table.add_row(
            str(one["id"]),
            output.clean(one["name"]),
            means,
            output.clean(one["environment"] or ""),
            "default" if one["default"] else "",
        )
    console.print(table)
    return Exit.GREEN


@test_plan.command
def remove(
    id: Annotated[int, Parameter(help="Number of the test plan, as `resit test-plan list` prints it.")],
    /,
    *,
    common: Common = COMMON,
) -> int:
    """Take a test plan away. Its runs stay.

    Example: resit test-plan remove 3
    """
    with common.connect() as client:
        client.remove_test_plan(id)
    if common.json:
        output.print_json({"id": id, "removed": True})
    else:
        output.say(output.console(no_color=common.no_color), f"Test plan {id} is gone.")
    return Exit.GREEN
