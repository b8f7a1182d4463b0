"""``resit project`` and ``resit env``: what can be run, and against what."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from resit.cli import options, output
from resit.cli.options import Many, ProjectRef
from resit.cli.settings import COMMON, CommandError, Common, Exit

if TYPE_CHECKING:
    from resit.client import EnvironmentDoc

project = App(name="project", help="Register suites and look at them.", help_epilogue="")
env = App(name="env", help="Give a project environments: variables, secrets, filters.", help_epilogue="")


MaxRuns = Annotated[
    int | None, Parameter(metavar="N", help="How many runs are at work at a time, the others wait; 0: no limit.")
]
Priority = Annotated[
    int | None, Parameter(metavar="N", help="Priority of runs that name none, -100 to 100; a higher one goes first.")
]
MaxFailures = Annotated[
    int | None, Parameter(metavar="N", help="After how many failures runs stop that name no number; 0: never.")
]
StallLimit = Annotated[
    str | None,
    Parameter(metavar="10m|none", help="How long test processes may be silent before they are ended, like 10m."),
]
KeepDays = Annotated[str | None, Parameter(metavar="30|none", help="Retention: runs go that ended so many days ago.")]
KeepRuns = Annotated[str | None, Parameter(metavar="500|none", help="Retention: only so many runs stay, the newest.")]
KeepSize = Annotated[
    str | None, Parameter(metavar="20GB|none", help="Retention: the oldest runs go whose files are beyond this sum.")
]
BatchLimit = Annotated[
    str | None, Parameter(metavar="30m|none", help="How long a batch of tests may take at most, like 30m.")
]
Repository = Annotated[
    str | None, Parameter(metavar="OWNER/NAME", help="What is under test, where the source does not say.")
]


@project.command
def add(
    slug: Annotated[str, Parameter(help="Short name: lower-case letters, digits, '.', '_', '-'.")],
    /,
    *,
    source: Annotated[
        str,
        Parameter(metavar="PATH|GIT_URL", help="Where the tests are: a folder on the server's machine, or a git URL."),
    ],
    executor: Annotated[Literal["playwright", "pytest"], Parameter(help="What runs them.")],
    branch: Annotated[str | None, Parameter(metavar="B", help="Branch of the git repository.")] = None,
    workdir: Annotated[str | None, Parameter(metavar="D", help="Folder of the suite inside the source.")] = None,
    setup: Annotated[
        str | None, Parameter(metavar="CMD", help='Command before the tests, for example "npm ci".')
    ] = None,
    config: Annotated[
        str | None, Parameter(metavar="FILE", help="Settings file of the framework, relative to the suite.")
    ] = None,
    name: Annotated[str | None, Parameter(metavar="TEXT", help="Name for people.")] = None,
    shards: Annotated[int | None, Parameter(metavar="N", help="How many shards a run has when it names none.")] = None,
    time_limit: Annotated[str | None, Parameter(metavar="2h", help="How long a run may take at most, like 2h.")] = None,
    stall_limit: StallLimit = None,
    batch_limit: BatchLimit = None,
    max_runs: MaxRuns = None,
    priority: Priority = None,
    max_failures: MaxFailures = None,
    repository: Repository = None,
    common: Common = COMMON,
) -> int:
    """Register a suite of tests as a project.

    Example: resit project add shop --source ~/src/shop-tests --executor playwright
    """
    wanted: dict[str, object] = {
        "slug": slug,
        "source": options.source(source),
        "executor": executor,
        "branch": branch,
        "workdir": workdir,
        "setup": setup,
        "config": config,
        "name": name,
        "shards": shards,
        "time_limit": options.seconds(time_limit, "--time-limit") if time_limit else None,
        "stall_limit": options.limit(stall_limit, "--stall-limit"),
        "batch_limit": options.limit(batch_limit, "--batch-limit"),
        "max_runs": max_runs,
        "priority": priority,
        "max_failures": max_failures,
        "repository": repository,
    }
    with common.connect() as client:
        made = client.add_project({name: value for name, value in wanted.items() if value is not None})
    if common.json:
        output.print_json(made)
    else:
        console = output.console(no_color=common.no_color)
        output.say(console, f"Project {output.clean(made['slug'])}: {output.clean(made['source'])}")
        output.say(console, f"  run it:  resit run {output.clean(made['slug'])} --wait")
    return Exit.GREEN


@project.command(name="set")
def change(
    slug: ProjectRef,
    /,
    *,
    max_runs: MaxRuns = None,
    priority: Priority = None,
    max_failures: MaxFailures = None,
    repository: Repository = None,
    branch: Annotated[str | None, Parameter(metavar="B", help="Branch of the git repository.")] = None,
    name: Annotated[str | None, Parameter(metavar="TEXT", help="Name for people.")] = None,
    shards: Annotated[
        int | None, Parameter(metavar="N", help="How many shards a run has when it names none; 0: the suite's setting.")
    ] = None,
    time_limit: Annotated[str | None, Parameter(metavar="2h", help="How long a run may take at most, like 2h.")] = None,
    stall_limit: StallLimit = None,
    batch_limit: BatchLimit = None,
    keep_days: KeepDays = None,
    keep_runs: KeepRuns = None,
    keep_size: KeepSize = None,
    html_report: Annotated[
        bool | None,
        Parameter(negative="--no-html-report", help="Make the HTML report of every run of Playwright, or don't."),
    ] = None,
    common: Common = COMMON,
) -> int:
    """Change a project; what is not named stays.

    Example: resit project set shop --max-runs 2 --repository acme/shop
    """
    wanted: dict[str, object] = {
        "max_runs": max_runs,
        "priority": priority,
        "max_failures": max_failures,
        "repository": repository,
        "branch": branch,
        "name": name,
        "shards": shards,
        "time_limit": options.seconds(time_limit, "--time-limit") if time_limit else None,
        "stall_limit": options.limit(stall_limit, "--stall-limit"),
        "batch_limit": options.limit(batch_limit, "--batch-limit"),
        "keep_days": options.number(keep_days, "--keep-days"),
        "keep_runs": options.whole(keep_runs, "--keep-runs"),
        "keep_bytes": options.size(keep_size, "--keep-size"),
        "html_report": html_report,
    }
    changes = {key: value for key, value in wanted.items() if value is not None}
    if not changes:
        raise CommandError("nothing to set", "for example --max-runs 2")
    with common.connect() as client:
        found = client.change_project(slug, changes)
    if common.json:
        output.print_json(found)
    else:
        output.say(output.console(no_color=common.no_color), f"Project {output.clean(slug)} is changed.")
    return Exit.GREEN


@project.command
def show(slug: ProjectRef, /, *, common: Common = COMMON) -> int:
    """Show a project with its environments and its last runs.

    Example: resit project show shop
    """
    from resit.cli.runs import last_runs, runs_table

    with common.connect() as client:
        found = client.project(slug)
        if common.json:
            output.print_json(found)
            return Exit.GREEN
        runs = last_runs(client, slug, 5)
    console = output.console(no_color=common.no_color)
    names = (
        "slug",
        "name",
        "source",
        "branch",
        "executor",
        "workdir",
        "setup",
        "config",
        "shards",
        "stall_limit",
        "batch_limit",
        "max_runs",
        "priority",
        "max_failures",
        "keep_days",
        "keep_runs",
        "keep_bytes",
    )
    fields = [(name, output.clean(found.get(name) or "")) for name in names]
    if not found.get("html_report", True):
        fields.append(("html_report", "no"))
    console.print(output.fields(fields))
    console.print(_environments(found["environments"]))
    if runs:
        console.print(runs_table(runs, project=False))
    else:
        output.say(console, f"No runs yet: resit run {output.clean(slug)}")
    return Exit.GREEN


@project.command(name="list")
def list_projects(*, common: Common = COMMON) -> int:
    """List the projects.

    Example: resit project list
    """
    with common.connect() as client:
        found = list(client.projects())
    if common.json:
        output.print_json({"items": found})
        return Exit.GREEN
    console = output.console(no_color=common.no_color)
    if not found:
        output.say(console, "No projects. Register a suite: resit project add SLUG --source PATH --executor pytest")
        return Exit.GREEN
    table = output.table("project", "executor", "source", "branch")
    for one in found:
        table.add_row(*(output.clean(one.get(name) or "") for name in ("slug", "executor", "source", "branch")))
    console.print(table)
    return Exit.GREEN


Pool = Annotated[
    str | None,
    Parameter(
        metavar="POOL|K=V,…",
        help="Pool of workers that its runs go to: a name, or labels that it must have, like os=linux,browser=chrome.",
    ),
]
Platform = Annotated[
    Literal["linux", "windows"] | None,
    Parameter(help="What its tests run on, for the CCExtractor API; linux unless said."),
]


@env.command(name="add")
def add_environment(
    project: ProjectRef,
    slug: Annotated[str, Parameter(help="Short name of the environment, for example staging.")],
    /,
    *,
    var: options.Variables = (),
    secret: Annotated[
        tuple[str, ...],
        Many,
        Parameter(
            metavar="K[=V]",
            help="Secret for the tests: K takes its value from the variable K of this shell and leaves no trace; "
            "K=V stays in the shell's history. Never shown again. Can be repeated.",
        ),
    ] = (),
    match: Annotated[
        tuple[str, ...],
        Many,
        Parameter(metavar="GLOB", help="Only Playwright projects (pytest: files) that fit one of these globs."),
    ] = (),
    ignore: Annotated[tuple[str, ...], Many, Parameter(metavar="GLOB", help="None that fit one of these globs.")] = (),
    name: Annotated[str | None, Parameter(metavar="TEXT", help="Name for people.")] = None,
    platform: Platform = None,
    pool: Pool = None,
    common: Common = COMMON,
) -> int:
    """Give a project an environment: where its tests run against, and with what.

    Example: resit env add shop staging --var BASE_URL=https://staging.example.org --secret API_KEY
    """
    variables, secrets = options.pairs(var, "--var"), options.secrets(secret)
    if both := sorted(variables.keys() & secrets.keys()):
        raise CommandError(f"{both[0]} is given as a variable and as a secret", "choose one of the two")
    wanted: dict[str, object] = {
        "slug": slug,
        "variables": variables,
        "secrets": secrets,
        "match": [*match],
        "ignore": [*ignore],
    }
    if name:
        wanted["name"] = name
    if platform:
        wanted["platform"] = platform
    if pool:
        wanted["pool"] = pool
    with common.connect() as client:
        made = client.add_environment(project, wanted)
    if common.json:
        output.print_json(made)
    else:
        console = output.console(no_color=common.no_color)
        output.say(console, f"Environment {output.clean(slug)} of {output.clean(project)}")
        output.say(console, f"  run against it:  resit run {output.clean(project)} --env {output.clean(slug)}")
    return Exit.GREEN


@env.command(name="set")
def change_environment(
    project: ProjectRef,
    slug: Annotated[str, Parameter(help="Slug of the environment.")],
    /,
    *,
    disabled: Annotated[bool, Parameter(help="Take no new runs.")] = False,
    enabled: Annotated[bool, Parameter(help="Take runs again.")] = False,
    platform: Platform = None,
    pool: Pool = None,
    var: options.Variables = (),
    secret: Annotated[
        tuple[str, ...],
        Many,
        Parameter(metavar="K[=V]", help="Secret to set, as for `resit env add`. Can be repeated."),
    ] = (),
    unset: Annotated[
        tuple[str, ...], Many, Parameter(metavar="K", help="Variable or secret to take away. Can be repeated.")
    ] = (),
    name: Annotated[str | None, Parameter(metavar="TEXT", help="Name for people.")] = None,
    schedule: Annotated[
        str | None,
        Parameter(metavar="CRON", help="Cron expression in UTC: all its tests run then; empty for none."),
    ] = None,
    common: Common = COMMON,
) -> int:
    """Change an environment; what is not named stays.

    Example: resit env set shop staging --disabled
    """
    if disabled and enabled:
        raise CommandError("--disabled and --enabled exclude each other", "choose one of the two")
    wanted: dict[str, object] = {
        "disabled": disabled if disabled or enabled else None,
        "platform": platform,
        "pool": pool,
        "name": name,
        "schedule": schedule,
    }
    changes = {key: value for key, value in wanted.items() if value is not None}
    variables: dict[str, str | None] = {**options.pairs(var, "--var")}
    secrets: dict[str, str | None] = {**options.secrets(secret)}
    if both := sorted((variables.keys() & secrets.keys()) | ({*variables, *secrets} & {*unset})):
        raise CommandError(f"{both[0]} is named twice", "set it as one thing, or take it away")
    with common.connect() as client:
        if unset:
            there = next((e for e in client.project(project)["environments"] if e["slug"] == slug), None)
            for key in unset:
                kind = secrets if there and key in there["secrets"] else variables
                kind[key] = None
        changes |= {key: found for key, found in (("variables", variables), ("secrets", secrets)) if found}
        if not changes:
            raise CommandError("nothing to set", "for example --disabled")
        changed = client.change_environment(project, slug, changes)
    if common.json:
        output.print_json(changed)
    else:
        said = f"Environment {output.clean(slug)} of {output.clean(project)} is changed."
        output.say(output.console(no_color=common.no_color), said)
    return Exit.GREEN


@env.command(name="list")
def list_environments(project: ProjectRef, /, *, common: Common = COMMON) -> int:
    """List the environments of a project. Secrets are shown by name only.

    Example: resit env list shop
    """
    with common.connect() as client:
        found = client.project(project)["environments"]
    if common.json:
        output.print_json({"items": found})
    else:
        output.console(no_color=common.no_color).print(_environments(found))
    return Exit.GREEN


def _environments(found: "list[EnvironmentDoc]") -> Any:
    pools = any(one.get("pool", "default") != "default" for one in found)
    table = output.table("environment", "variables", "secrets", "filters", *(["pool"] if pools else []))
    for one in found:
        variables = [f"{name}={value}" for name, value in one["variables"].items()]
        filters = [*one["match"], *(f"not {glob}" for glob in one["ignore"])]
        table.add_row(
            output.clean(one["slug"]) + (" (disabled)" if one.get("disabled") else ""),
            "\n".join(map(output.clean, variables)),
            "\n".join(map(output.clean, one["secrets"])),
            "\n".join(map(output.clean, filters)),
            *([output.clean(one["pool"])] if pools else []),
        )
    return table
