"""``resit webhook``: who is told of runs over HTTP."""

import sys
from typing import Annotated

from cyclopts import App, Parameter

from resit.cli import output
from resit.cli.options import Many, ProjectRef
from resit.cli.settings import COMMON, Common, Exit
from resit.domain.webhook import WebhookEvent

webhook = App(name="webhook", help="Have addresses told of runs.", help_epilogue="")

WebhookRef = Annotated[int, Parameter(help="Number of the webhook, as `resit webhook list` prints it.")]
_ENDS = (WebhookEvent.ENDED.value, WebhookEvent.ERROR.value, WebhookEvent.CANCELLED.value)


@webhook.command
def add(
    project: ProjectRef,
    url: Annotated[str, Parameter(help="Address that is posted to.")],
    /,
    *,
    event: Annotated[
        tuple[str, ...],
        Many,
        Parameter(
            metavar="E",
            help=f"What it is told of: {', '.join(WebhookEvent)}. Can be repeated; without it, how runs end.",
        ),
    ] = (),
    common: Common = COMMON,
) -> int:
    """Have an address told of runs, and print the secret of its signatures, alone and this once.

    Example: resit webhook add shop https://ci.example.org/hooks/resit
    """
    with common.connect() as client:
        made = client.add_webhook(project, {"url": url, "events": [*event] or [*_ENDS]})
    if common.json:
        output.print_json(made)
        return Exit.GREEN
    sys.stdout.write(f"{output.clean(made['secret'])}\n")
    if sys.stdout.isatty():
        sys.stderr.write("Keep it: it is not shown again.\n")
    return Exit.GREEN


@webhook.command(name="list")
def list_webhooks(project: ProjectRef, /, *, common: Common = COMMON) -> int:
    """List the webhooks of a project, without their secrets.

    Example: resit webhook list shop
    """
    with common.connect() as client:
        found = list(client.webhooks(project))
    if common.json:
        output.print_json({"items": found})
        return Exit.GREEN
    console = output.console(no_color=common.no_color)
    if not found:
        output.say(console, "No webhooks.")
        return Exit.GREEN
    table = output.table("webhook", "address", "events")
    for one in found:
        table.add_row(str(one["id"]), output.clean(one["url"]), "\n".join(map(output.clean, one["events"])))
    console.print(table)
    return Exit.GREEN


@webhook.command(name="test")
def tell(id: WebhookRef, /, *, common: Common = COMMON) -> int:
    """Have the server tell a webhook the event webhook.test.

    Example: resit webhook test 3
    """
    with common.connect() as client:
        told = client.test_webhook(id)
    if common.json:
        output.print_json(told)
    else:
        said = f"Webhook {id} is told webhook.test; if nothing arrives, the server's log says why."
        output.say(output.console(no_color=common.no_color), said)
    return Exit.GREEN


@webhook.command
def remove(id: WebhookRef, /, *, common: Common = COMMON) -> int:
    """Take a webhook away.

    Example: resit webhook remove 3
    """
    with common.connect() as client:
        client.remove_webhook(id)
    if common.json:
        output.print_json({"id": id, "removed": True})
    else:
        output.say(output.console(no_color=common.no_color), f"Webhook {id} is gone.")
    return Exit.GREEN
