"""``resit schedule``: runs that begin by the clock."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Group, Parameter

from resit.cli import options, output
from resit.cli.options import Many, Tests, Variables, Wait, ids, pairs
from resit.cli.settings import COMMON, CommandError, Common, Exit

if TYPE_CHECKING:
    from resit.client import Client, ScheduleDoc
    from resit.client.documents import TimeDoc

schedule = App(name="schedule", help="Have runs made by the clock, in any time zone.", help_epilogue="")

_RUN = Group("What its runs do", sort_key=50)
ScheduleRef = Annotated[str, Parameter(help="Number of the schedule, or PROJECT/NAME.")]
Cron = Annotated[
    str | None,
    Parameter(metavar="CRON", help='Minute, hour, day, month and weekday, like "0 3 * * 1-5" or "*/15 * * * *".'),
]
Zone = Annotated[str | None, Parameter(metavar="ZONE", help="Time zone, like Europe/Berlin; UTC unless said.")]
Overlap = Annotated[
    Literal["wait", "skip", "cancel"] | None,
    Parameter(
        help="What it does while its run before is still open: the new run waits (the default; one at a time), "
        "the time is skipped, or the run before is cancelled."
    ),
]


@Parameter(name="*", group=_RUN)
@dataclass(frozen=True, kw_only=True)
class Words:
    """What the runs of a schedule are asked to do."""

    environment: Annotated[
        str | None,
        Parameter(
            name=["--environment", "--env"], metavar="SLUG", help="Environment; without it the project's default one."
        ),
    ] = None
    build_url: Annotated[str | None, Parameter(metavar="URL", help="Address of the build under test.")] = None
    branch: Annotated[str | None, Parameter(metavar="B", help="Branch of the test repository.")] = None
    tag: Annotated[
        tuple[str, ...], Many, Parameter(metavar="@T", help="Only tests with one of these tags (@smoke or smoke).")
    ] = ()
    test: Tests = ()
    test_plan: Annotated[
        int | None, Parameter(metavar="N", help="Number of a test plan, in place of --test and --tag.")
    ] = None
    variable: Annotated[
        Variables,
        Parameter(name=["--variable", "--var"], help="Environment variable K=V for the tests. Can be repeated."),
    ] = ()
    shards: Annotated[int | None, Parameter(metavar="N", help="How many shards at most.")] = None
    target_time: options.TargetTime = None
    priority: options.Priority = None
    max_failures: options.MaxFailures = None
    group: Annotated[
        str | None, Parameter(metavar="NAME", help="Concurrency group; without it the schedule has its own.")
    ] = None
    reason: Annotated[str | None, Parameter(metavar="TEXT", help="Why; it is kept with each run.")] = None

    def said(self) -> dict[str, object]:
        """What was named, in the words of the API."""
        wanted: dict[str, object] = {
            "environment": self.environment,
            "build": {"url": self.build_url} if self.build_url is not None else None,
            "branch": self.branch,
            "tags": list(self.tag) or None,
            "tests": ids(self.test) or None,
            "test_plan": self.test_plan,
            "variables": pairs(self.variable, "--variable") or None,
            "shards": self.shards,
            "target_time": options.limit(self.target_time, "--target-time"),
            "priority": self.priority,
            "max_failures": self.max_failures,
            "group": self.group,
            "reason": self.reason,
        }
        return {name: value for name, value in wanted.items() if value is not None}


NOTHING = Words()
"""No word given."""


@schedule.command
def create(
    *,
    project: Annotated[str, Parameter(metavar="SLUG", help="Slug of the project.")],
    name: Annotated[str, Parameter(metavar="NAME", help="Short name of the schedule, for example nightly.")],
    cron: Cron,
    zone: Zone = None,
    overlap: Overlap = None,
    words: Words = NOTHING,
    common: Common = COMMON,
) -> int:
    """Have runs of a project made at the times of a cron expression.

    Example: resit schedule create --project shop --name nightly --cron "0 3 * * 1-5" --zone Europe/Berlin --tag @smoke
    """
    wanted: dict[str, object] = {"name": name, "cron": cron, "zone": zone, "overlap": overlap, "run": words.said()}
    with common.connect() as client:
        made = client.schedules.add(project, {key: value for key, value in wanted.items() if value is not None})
    return _shown(made, common)


@schedule.command(name="list")
def list_schedules(
    project: Annotated[str | None, Parameter(help="Slug of a project; without it the schedules of all.")] = None,
    /,
    *,
    check: Annotated[bool, Parameter(help="End with 1 when somebody should look at one of them.")] = False,
    common: Common = COMMON,
) -> int:
    """List schedules: when each fires next, how its last run came out, and what keeps it from firing.

    Example: resit schedule list shop --check
    """
    with common.connect() as client:
        found = list(client.schedules.all(project))
    code = Exit.RED if check and any(one["alert"] for one in found) else Exit.GREEN
    if common.json:
        output.print_json({"items": found})
        return code
    console = output.console(no_color=common.no_color)
    if not found:
        output.say(console, "No schedules.")
        return code
    console.print(_table(found))
    for one in found:
        if one["alert"]:
            output.say(console, f"  ! {_called(one)}: {output.clean(one['alert'])}")
    return code


@schedule.command
def show(schedule: ScheduleRef, /, *, common: Common = COMMON) -> int:
    """Show a schedule with its next five times, as clocks in its zone show them and in UTC.

    Example: resit schedule show shop/nightly
    """
    with common.connect() as client:
        return _shown(client.schedules.get(_number(client, schedule)), common)


@schedule.command(name="set")
def change(
    schedule: ScheduleRef,
    /,
    *,
    name: Annotated[str | None, Parameter(metavar="NAME", help="A new name.")] = None,
    cron: Cron = None,
    zone: Zone = None,
    overlap: Overlap = None,
    words: Words = NOTHING,
    common: Common = COMMON,
) -> int:
    """Change a schedule; what is not named stays. What was missed or wrong before is forgotten.

    Example: resit schedule set shop/nightly --cron "30 2 * * *" --priority -10
    """
    wanted: dict[str, object] = {"name": name, "cron": cron, "zone": zone, "overlap": overlap}
    changes = {key: value for key, value in wanted.items() if value is not None}
    said = words.said()
    if not changes and not said:
        raise CommandError("nothing to set", 'for example --cron "0 3 * * *"')
    with common.connect() as client:
        number = _number(client, schedule)
        if said:
            changes["run"] = _merged(client.schedules.get(number)["run"], said)
        return _shown(client.schedules.change(number, changes), common)


@schedule.command
def pause(schedule: ScheduleRef, /, *, common: Common = COMMON) -> int:
    """Let a schedule fire no more, until it is resumed.

    Example: resit schedule pause shop/nightly
    """
    return _switched(schedule, False, common)


@schedule.command
def resume(schedule: ScheduleRef, /, *, common: Common = COMMON) -> int:
    """Let a paused schedule fire again, from its next time on.

    Example: resit schedule resume shop/nightly
    """
    return _switched(schedule, True, common)


@schedule.command
def run(schedule: ScheduleRef, /, *, wait: Wait = False, common: Common = COMMON) -> int:
    """Make the run of a schedule now. Its times stay as they are.

    Example: resit schedule run shop/nightly --wait
    """
    from resit.cli.trigger import begun

    with common.connect() as client:
        return begun(client, client.schedules.start(_number(client, schedule)), common, wait)


@schedule.command
def remove(schedule: ScheduleRef, /, *, common: Common = COMMON) -> int:
    """Take a schedule away. Its runs stay.

    Example: resit schedule remove shop/nightly
    """
    with common.connect() as client:
        number = _number(client, schedule)
        client.schedules.remove(number)
    if common.json:
        output.print_json({"id": number, "removed": True})
    else:
        output.say(output.console(no_color=common.no_color), f"Schedule {output.clean(schedule)} is gone.")
    return Exit.GREEN


def _number(client: "Client", ref: str) -> int:
    """The number of a schedule that was named by it, or as PROJECT/NAME."""
    if ref.isascii() and ref.isdigit():
        return int(ref)
    project, slash, name = ref.partition("/")
    if not slash or not project or not name:
        raise CommandError(f"{ref!r} names no schedule", "its number, or PROJECT/NAME, as `resit schedule list` shows")
    for found in client.schedules.all(project):
        if found["name"] == name:
            return found["id"]
    raise CommandError(f"project {project!r} has no schedule {name!r}", "resit schedule list", Exit.NOT_FOUND)


def _merged(before: dict[str, Any], said: dict[str, object]) -> dict[str, object]:
    """A whole new request: what was asked for before, with what is said now."""
    after: dict[str, object] = {**before, **said}
    if "test_plan" in said:
        after |= {name: [] for name in ("tests", "tags") if name not in said}
    elif "tests" in said or "tags" in said:
        after["test_plan"] = None
    return {name: value for name, value in after.items() if value is not None}


def _switched(ref: str, active: bool, common: Common) -> int:
    with common.connect() as client:
        return _shown(client.schedules.change(_number(client, ref), {"active": active}), common)


def _called(one: "ScheduleDoc") -> str:
    return f"{output.clean(one['project'])}/{output.clean(one['name'])}"


def _local(time: "TimeDoc | None") -> str:
    """``Wed 2026-12-02 03:00 +01:00``."""
    if time is None:
        return ""
    try:
        found = datetime.fromisoformat(time["local"])
    except ValueError:
        return output.clean(time["local"])
    return f"{found:%a %Y-%m-%d %H:%M} {found:%z}"


def _utc(time: "TimeDoc") -> str:
    return output.clean(time["utc"]).replace("T", " ")[:16] + " UTC"


def _last(one: "ScheduleDoc") -> str:
    last = one["last_run"]
    if not last:
        return ""
    word = "cancelled" if last["status"] == "cancelled" else last["verdict"] or last["status"]
    return f"{last['id']} {output.clean(word)}"


def _state(one: "ScheduleDoc") -> str:
    if not one["active"]:
        return "paused"
    return "needs a look" if one["alert"] else "active"


def _table(found: "list[ScheduleDoc]") -> Any:
    table = output.table("id", "schedule", "times", "next", "last run", "missed", "state")
    for one in found:
        times = f"{output.clean(one['cron'])} {output.clean(one['zone'])}"
        missed = str(one["missed"] or "")
        table.add_row(str(one["id"]), _called(one), times, _local(one["next"]), _last(one), missed, _state(one))
    return table


def _shown(one: "ScheduleDoc", common: Common) -> int:
    if common.json:
        output.print_json(one)
        return Exit.GREEN
    console = output.console(no_color=common.no_color)
    asked = one["run"]
    tests = f"{len(asked['tests'])} tests" if asked["tests"] else ""
    plan = f"test plan {asked['test_plan']}" if asked["test_plan"] else ""
    variables = [f"{name}={value}" for name, value in asked["variables"].items()]
    does = {
        "while one runs": output.clean(one["overlap"]),
        "environment": output.clean(asked["environment"]),
        "branch": output.clean(asked["branch"]),
        "means": " · ".join(filter(None, [plan, tests, " ".join(map(output.clean, asked["tags"]))])),
        "variables": ", ".join(map(output.clean, variables)),
        "shards": str(asked["shards"] or ""),
        "target time": f"{asked['target_time']:.0f} s" if asked.get("target_time") else "",
        "priority": "" if asked["priority"] is None else str(asked["priority"]),
        "max failures": "" if asked["max_failures"] is None else str(asked["max_failures"]),
        "group": output.clean(asked["group"]),
        "reason": output.clean(asked["reason"]),
    }
    console.print(
        output.fields(
            [
                ("schedule", f"{one['id']}  {_called(one)}  ({_state(one)})"),
                ("times", f"{output.clean(one['cron'])} in {output.clean(one['zone'])}"),
                *does.items(),
                ("last run", _last(one)),
                ("missed", str(one["missed"] or "")),
                ("note", output.clean(one["note"])),
                ("made by", output.clean(one["created_by"])),
            ]
        )
    )
    if one["alert"]:
        output.say(console, f"  ! {output.clean(one['alert'])}")
    for number, time in enumerate(one["upcoming"]):
        output.say(console, f"{'next: ' if not number else '      '}{_local(time)}  ({_utc(time)})")
    return Exit.GREEN
