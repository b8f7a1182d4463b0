"""``resit nats-key``: what an operator of NATS needs of us."""

from typing import Annotated

from cyclopts import Parameter

from resit.cli import output


def nats_key(
    *, as_json: Annotated[bool, Parameter(name="--json", help="Print a JSON document on standard output.")] = False
) -> None:
    """Make a key with which control planes let workers into a NATS of your own.

    Prints the secret half, for the credentials file of the control planes, and the public half, for the configuration
    of the servers. Nothing is stored.

    Example: resit nats-key
    """
    from resit.broker.nkeys import Issuer

    made = Issuer.new()
    if as_json:
        output.print_json({"issuer": made.seed, "public": made.public})
        return
    to = output.console()
    for line in (
        "# secret, for the file of --nats-credentials:",
        f'issuer = "{made.seed}"',
        "# public, for auth_callout of the servers:",
        f"issuer: {made.public}",
    ):
        output.say(to, line)
