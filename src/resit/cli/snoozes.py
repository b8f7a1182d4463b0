"""``resit snooze``: failures that are known and don't block until a day."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from resit.cli import options, output
from resit.cli.options import ProjectRef
from resit.cli.settings import COMMON, CommandError, Common, Exit

if TYPE_CHECKING:
    from resit.client import SnoozeDoc

snooze = App(name="snooze", help="Let known failures not block until a day.", help_epilogue="")


@snooze.command
def add(
    project: ProjectRef,
    /,
    *tests: Annotated[str, Parameter(help="Ids of tests, as `resit show RUN --tests` prints them.")],
    until: Annotated[
        str | None, Parameter(metavar="DAY", help="When it ends, like 2026-12-01 or 2026-12-01T09:00; local time.")
    ] = None,
    lasting: Annotated[
        str | None, Parameter(name="--for", metavar="7d", help="How long it lasts instead, like 7d or 12h.")
    ] = None,
    environment: Annotated[
        str | None, Parameter(metavar="SLUG", help="Slug of the one environment it holds in; without it, all.")
    ] = None,
    description: Annotated[str | None, Parameter(metavar="TEXT", help="Why.")] = None,
    common: Common = COMMON,
) -> int:
    """Let failures of tests not block. They still run, and their failures are still shown.

    Example: resit snooze add shop tests/test_cart.py::test_add --for 7d
    """
    if not tests:
        raise CommandError("no test is named", "resit snooze add PROJECT TEST --for 7d")
    if (until is None) == (lasting is None):
        raise CommandError("a snooze ends some day", "say --until DAY, or --for 7d")
    end = _day(until) if until else datetime.now(UTC) + timedelta(seconds=options.seconds(lasting or "", "--for"))
    wanted: dict[str, object] = {
        "tests": options.ids(tests),
        "until": end.isoformat(timespec="seconds"),
        "environment": environment,
        "description": description,
    }
    with common.connect() as client:
        made = client.add_snooze(project, {name: value for name, value in wanted.items() if value is not None})
    if common.json:
        output.print_json(made)
    else:
        said = f"Snooze {made['id']} lasts until {output.local_time(made['until'])}."
        output.say(output.console(no_color=common.no_color), said)
    return Exit.GREEN


@snooze.command(name="list")
def list_snoozes(
    project: ProjectRef,
    /,
    *,
    all: Annotated[bool, Parameter(help="Also those that are over.")] = False,
    common: Common = COMMON,
) -> int:
    """List the snoozes of a project, newest first.

    Example: resit snooze list shop --all
    """
    with common.connect() as client:
        found = list(client.snoozes(project, ended=all))
    if common.json:
        output.print_json({"items": found})
        return Exit.GREEN
    console = output.console(no_color=common.no_color)
    if found:
        console.print(_table(found))
    else:
        output.say(console, "No snoozes.")
    return Exit.GREEN


@snooze.command
def expire(
    id: Annotated[int, Parameter(help="Number of the snooze, as `resit snooze list` prints it.")],
    /,
    *,
    common: Common = COMMON,
) -> int:
    """End a snooze now. Runs whose work has begun keep it.

    Example: resit snooze expire 3
    """
    with common.connect() as client:
        done = client.expire_snooze(id)
    if common.json:
        output.print_json(done)
    else:
        output.say(output.console(no_color=common.no_color), f"Snooze {id} is over.")
    return Exit.GREEN


def _day(text: str) -> datetime:
    """A day or a time; one without a zone is local."""
    try:
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError):
        raise CommandError(f"--until {text!r} is no day", "for example --until 2026-12-01") from None


def _table(found: "list[SnoozeDoc]") -> Any:
    table = output.table("snooze", "tests", "environment", "until", "why")
    for one in found:
        tests = one["tests"]
        shown = [output.clean(test) for test in tests[:3]]
        if len(tests) > len(shown):
            shown.append(f"and {len(tests) - len(shown)} more")
        table.add_row(
            str(one["id"]),
            "\n".join(shown),
            output.clean(one["environment"] or "all"),
            output.local_time(one["until"]) if one["active"] else "over",
            output.clean(one["description"]),
        )
    return table
