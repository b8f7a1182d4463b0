"""``resit token``: who may speak to the server."""

import sys
from typing import Annotated

from cyclopts import App, Parameter

from resit.cli import options, output
from resit.cli.options import Many
from resit.cli.settings import COMMON, CommandError, Common, Exit
from resit.domain.access import Scope

token = App(name="token", help="Make and revoke the tokens of the HTTP API.", help_epilogue="")


@token.command
def create(
    *,
    project: Annotated[str | None, Parameter(metavar="SLUG", help="Slug of the project that the token is for.")] = None,
    all_projects: Annotated[bool, Parameter(help="For every project instead.")] = False,
    scope: Annotated[
        tuple[str, ...],
        Many,
        Parameter(
            metavar="S",
            help=f"What it may do: {', '.join(Scope)}. Can be repeated; without it everything but administration.",
        ),
    ] = (),
    expires: Annotated[
        str | None, Parameter(metavar="30d", help="How long it is good, like 30d or 12h; without it for ever.")
    ] = None,
    name: Annotated[str | None, Parameter(metavar="TEXT", help="What it is for.")] = None,
    common: Common = COMMON,
) -> int:
    """Make a token and print its secret, alone and this once.

    Example: resit token create --project shop --scope runs:read runs:write results:read --expires 30d
    """
    if (project is None) != all_projects:
        raise CommandError("a token is for one project or for all", "say --project SLUG, or --all-projects")
    days = options.seconds(expires, "--expires") / 86400 if expires else None
    wanted: dict[str, object] = {
        "project": project,
        "scopes": list(scope) or None,
        "expires_in_days": int(days) if days is not None and days.is_integer() else days,
    }
    if name:
        wanted["name"] = name
    with common.connect() as client:
        made = client.create_token(wanted)
    if common.json:
        output.print_json(made)
        return Exit.GREEN
    sys.stdout.write(f"{output.clean(made['token'])}\n")
    if sys.stdout.isatty():
        sys.stderr.write("Keep it: it is not shown again.\n")
    return Exit.GREEN


@token.command(name="list")
def list_tokens(
    *,
    common: Common = COMMON,
) -> int:
    """List the tokens, without their secrets.

    Example: resit token list
    """
    with common.connect() as client:
        found = list(client.tokens())
    if common.json:
        output.print_json({"items": found})
        return Exit.GREEN
    table = output.table("token", "begins with", "name", "project", "scopes", "expires")
    for one in found:
        table.add_row(
            str(one["id"]),
            output.clean(one.get("prefix") or ""),
            output.clean(one.get("name") or ""),
            output.clean(one.get("project") or one.get("project_id") or "all"),
            output.clean(" ".join(one.get("scopes") or [])),
            "revoked" if one.get("revoked_at") else output.local_time(one.get("expires_at")) or "never",
        )
    output.console(no_color=common.no_color).print(table)
    return Exit.GREEN


@token.command
def revoke(
    id: Annotated[int, Parameter(help="Number of the token, as `resit token list` prints it.")],
    /,
    *,
    common: Common = COMMON,
) -> int:
    """Make a token worthless, at once and for ever.

    Example: resit token revoke 3
    """
    with common.connect() as client:
        client.revoke_token(id)
    if common.json:
        output.print_json({"id": id, "revoked": True})
    else:
        output.say(output.console(no_color=common.no_color), f"Token {id} is revoked.")
    return Exit.GREEN
