"""``resit user`` and ``resit org``: who may sign in, and what the operator decides for everybody."""

import secrets
import sys
from getpass import getpass
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from resit.cli import output
from resit.cli.settings import COMMON, CommandError, Common, Exit

user = App(name="user", help="Give people accounts to sign in with.", help_epilogue="")
org = App(name="org", help="Limit the runs of a month, suspend the organization.", help_epilogue="")

Email = Annotated[str, Parameter(help="E-mail of the person.")]


@user.command
def add(
    email: Email,
    /,
    *,
    name: Annotated[str | None, Parameter(metavar="TEXT", help="Name of the person; without it, the e-mail.")] = None,
    role: Annotated[
        Literal["admin", "contributor", "tester", "user"],
        Parameter(help="What the person may do; without it user, who only reads."),
    ] = "user",
    project: Annotated[
        str | None, Parameter(metavar="SLUG", help="The one project the person is for; without it, all of them.")
    ] = None,
    password_stdin: Annotated[
        bool, Parameter(help="Read the password from standard input; without it one is made and printed.")
    ] = False,
    common: Common = COMMON,
) -> int:
    """Make an account. A password that was made is printed, alone and this once.

    Example: resit user add ann@example.org --name Ann --role tester --project shop
    """
    password = _password() if password_stdin else secrets.token_urlsafe(18)
    wanted: dict[str, object] = {"email": email, "role": role, "password": password}
    wanted |= {key: value for key, value in (("name", name), ("project", project)) if value is not None}
    with common.connect() as client:
        made = client.add_user(wanted)
    if common.json:
        output.print_json(made if password_stdin else {**made, "password": password})
    elif password_stdin:
        output.say(output.console(no_color=common.no_color), f"Account {_called(made)}")
    else:
        sys.stdout.write(f"{password}\n")
        if sys.stdout.isatty():
            sys.stderr.write("Keep it: it is not shown again.\n")
    return Exit.GREEN


def _password() -> str:
    """One line of standard input; a person who types it sees none of it."""
    if sys.stdin.isatty():
        found = getpass("Password: ")
    else:
        try:
            found = sys.stdin.buffer.readline(4096).decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise CommandError("the password on standard input is not UTF-8") from None
    if not found:
        raise CommandError("standard input holds no password", "write it as the first line")
    return found


def _called(person: dict[str, Any]) -> str:
    return f"{output.clean(person['email'])} ({output.clean(person['role'])})"


@user.command(name="list")
def list_users(*, common: Common = COMMON) -> int:
    """List the accounts.

    Example: resit user list
    """
    with common.connect() as client:
        found = list(client.users())
    if common.json:
        output.print_json({"items": found})
        return Exit.GREEN
    console = output.console(no_color=common.no_color)
    if not found:
        output.say(console, "No accounts. Make one: resit user add EMAIL --role tester")
        return Exit.GREEN
    table = output.table("user", "e-mail", "name", "role", "project", "made")
    for one in found:
        table.add_row(
            str(one["id"]),
            *(output.clean(one[name]) for name in ("email", "name", "role")),
            output.clean(one["project_id"] or "all"),
            "disabled" if one["disabled"] else output.local_time(one["created_at"]),
        )
    console.print(table)
    return Exit.GREEN


@user.command
def disable(email: Email, /, *, common: Common = COMMON) -> int:
    """Close an account for ever and revoke its tokens.

    Example: resit user disable ann@example.org
    """
    with common.connect() as client:
        done = client.disable_user(email)
    if common.json:
        output.print_json(done)
    else:
        said = f"Account {_called(done)} is disabled, its tokens are revoked."
        output.say(output.console(no_color=common.no_color), said)
    return Exit.GREEN


@org.command
def show(*, common: Common = COMMON) -> int:
    """Show what was decided, and how many runs were made this month.

    Example: resit org show
    """
    with common.connect() as client:
        found = client.organization()
    return _shown(found, common)


@org.command(name="set")
def set_organization(
    *,
    monthly_runs: Annotated[
        int | None, Parameter(metavar="N", help="How many runs may be made in a calendar month (UTC).")
    ] = None,
    no_monthly_runs: Annotated[bool, Parameter(help="As many as wanted.")] = False,
    suspended: Annotated[
        bool, Parameter(help="Refuse every request, except an administrator's of all projects.")
    ] = False,
    no_suspended: Annotated[bool, Parameter(help="Answer everybody again.")] = False,
    common: Common = COMMON,
) -> int:
    """Limit the runs of a month, suspend the organization, or take it back.

    Example: resit org set --monthly-runs 500 --no-suspended
    """
    if no_monthly_runs and monthly_runs is not None:
        raise CommandError("--monthly-runs and --no-monthly-runs exclude each other", "choose one of the two")
    if suspended and no_suspended:
        raise CommandError("--suspended and --no-suspended exclude each other", "choose one of the two")
    if monthly_runs is not None and monthly_runs < 0:
        raise CommandError("--monthly-runs is at least 0", "for no limit: --no-monthly-runs")
    changes: dict[str, object] = {}
    if no_monthly_runs or monthly_runs is not None:
        changes["monthly_runs"] = monthly_runs
    if suspended or no_suspended:
        changes["suspended"] = suspended
    if not changes:
        raise CommandError("nothing to set", "say --monthly-runs N, --suspended, or their opposites with --no-")
    with common.connect() as client:
        found = client.set_organization(changes)
    return _shown(found, common)


def _shown(found: dict[str, Any], common: Common) -> int:
    if common.json:
        output.print_json(found)
        return Exit.GREEN
    limit = found["monthly_runs"]
    fields = [
        ("runs this month", str(found["runs_this_month"])),
        ("runs a month", "no limit" if limit is None else f"at most {limit}"),
        ("suspended", "yes: only administrators of all projects get an answer" if found["suspended"] else "no"),
    ]
    output.console(no_color=common.no_color).print(output.fields(fields))
    return Exit.GREEN


def link(*, common: Common = COMMON) -> int:
    """Print a link that opens the web page signed in, once and within a day.

    Whoever has it is let in as its maker: an administrator. People who look every day get accounts (resit user add).

    Example: resit link
    """
    with common.connect() as client:
        found = client.sign_in_link()
    if common.json:
        output.print_json({"url": found})
    else:
        sys.stdout.write(f"{output.clean(found)}\n")
    return Exit.GREEN
