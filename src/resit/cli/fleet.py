"""``resit workers``, ``resit pool`` and ``resit worker-credential``: who carries runs out, and who may."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from resit.cli import options, output
from resit.cli.options import Many
from resit.cli.settings import COMMON, CommandError, Common, Exit

pool = App(name="pool", help="Make pools, under which work waits for workers.", help_epilogue="")
worker_credential = App(
    name="worker-credential", help="Let workers of other machines in, and shut them out.", help_epilogue=""
)

PoolRef = Annotated[str, Parameter(help="Name of the pool.")]
Labels = Annotated[
    tuple[str, ...],
    Many,
    Parameter(
        name="--label",
        metavar="K=V",
        help="What its workers have in common, like os=linux: environments may ask for it. Can be repeated.",
    ),
]
Description = Annotated[str | None, Parameter(metavar="TEXT", help="What it is for.")]


def workers(*, common: Common = COMMON) -> int:
    """List the workers of the last day: what each runs, and when it was heard of.

    Example: resit workers
    """
    with common.connect() as client:
        found = list(client.fleet.workers())
    if common.json:
        output.print_json({"items": found})
        return Exit.GREEN
    console = output.console(no_color=common.no_color)
    if not found:
        output.say(console, "There is no worker. docs/howto/add-workers.md says how to start one.")
        return Exit.GREEN
    table = output.table("worker", "pool", "labels", "slots", "runs", "version", "heard of")
    for one in found:
        table.add_row(
            output.clean(one["name"]),
            output.clean(one["pool"]),
            _labels(one["labels"]),
            f"{one['used']}/{one['slots']}",
            _holding(one["holding"]),
            output.clean(one["version"]) + ("" if one["same_version"] else " (not the server's)"),
            _state(one),
        )
    console.print(table)
    return Exit.GREEN


def _labels(labels: dict[str, str]) -> str:
    return output.clean(" ".join(f"{key}={value}" for key, value in labels.items()))


def _holding(places: list[dict[str, Any]]) -> str:
    """``12 (3 shards)``, ``13 (lists)``: the runs that a worker holds."""
    runs: dict[int | None, list[int]] = {}
    for place in places:
        runs.setdefault(place["run"], []).append(place["shard"])
    words: list[str] = []
    for run, shards in runs.items():
        lanes = sum(shard > 0 for shard in shards)
        what = "makes its report" if all(shard < 0 for shard in shards) else "lists its tests"
        what = f"{lanes} shard{'s' * (lanes != 1)}" if lanes else what
        words.append("another project's" if run is None else f"{run} ({what})")
    return ", ".join(words)


def _state(one: dict[str, Any]) -> str:
    if not one["alive"]:
        return f"silent, {output.ago(one['seen_at'])}"
    return "draining" if one["draining"] else output.ago(one["seen_at"])


# ---------------------------------------------------------------- pools


@pool.command
def create(
    name: Annotated[str, Parameter(help="Lower-case letters, digits and '-'.")],
    /,
    *,
    label: Labels = (),
    description: Description = None,
    common: Common = COMMON,
) -> int:
    """Make a pool. Environments name it by its name, or by labels that it has.

    Example: resit pool create linux-chrome --label os=linux browser=chrome
    """
    wanted: dict[str, object] = {"name": name, "labels": options.pairs(label, "--label")}
    if description:
        wanted["description"] = description
    with common.connect() as client:
        made = client.fleet.add_pool(wanted)
    if common.json:
        output.print_json(made)
    else:
        console = output.console(no_color=common.no_color)
        output.say(console, f"Pool {output.clean(name)}")
        output.say(console, f"  let a worker in:  resit worker-credential create --pool {output.clean(name)}")
        output.say(console, f"  send runs there:  resit env set PROJECT ENVIRONMENT --pool {output.clean(name)}")
    return Exit.GREEN


@pool.command(name="set")
def change(
    name: PoolRef,
    /,
    *,
    label: Labels = (),
    unset: Annotated[tuple[str, ...], Many, Parameter(metavar="K", help="Label to take away. Can be repeated.")] = (),
    description: Description = None,
    common: Common = COMMON,
) -> int:
    """Change a pool; what is not named stays, and so do runs that were requested before.

    Example: resit pool set default --label os=linux
    """
    labels: dict[str, str | None] = {**options.pairs(label, "--label")}
    if both := sorted(labels.keys() & set(unset)):
        raise CommandError(f"the label {both[0]} is set and taken away", "choose one of the two")
    labels |= dict.fromkeys(unset)
    changes: dict[str, object] = {"labels": labels} if labels else {}
    if description is not None:
        changes["description"] = description
    if not changes:
        raise CommandError("nothing to set", "for example --label os=linux")
    with common.connect() as client:
        changed = client.fleet.change_pool(name, changes)
    if common.json:
        output.print_json(changed)
    else:
        output.say(output.console(no_color=common.no_color), f"Pool {output.clean(name)} is changed.")
    return Exit.GREEN


@pool.command(name="list")
def list_pools(*, common: Common = COMMON) -> int:
    """List the pools, and who takes work in each.

    Example: resit pool list
    """
    with common.connect() as client:
        found = list(client.fleet.pools())
    if common.json:
        output.print_json({"items": found})
        return Exit.GREEN
    table = output.table("pool", "labels", "workers", "slots", "description")
    for one in found:
        table.add_row(
            output.clean(one["name"]),
            _labels(one["labels"]),
            str(one["workers"]),
            str(one["slots"]),
            output.clean(one["description"]),
        )
    output.console(no_color=common.no_color).print(table)
    return Exit.GREEN


@pool.command
def remove(name: PoolRef, /, *, common: Common = COMMON) -> int:
    """Take a pool away that no environment, open run or valid credential needs.

    Example: resit pool remove linux-chrome
    """
    with common.connect() as client:
        client.fleet.remove_pool(name)
    if common.json:
        output.print_json({"name": name, "removed": True})
    else:
        output.say(output.console(no_color=common.no_color), f"Pool {output.clean(name)} is gone.")
    return Exit.GREEN


# ---------------------------------------------------------------- credentials


@worker_credential.command(name="create")
def create_credential(
    *,
    pool: Annotated[str, Parameter(metavar="POOL", help="The one pool that its workers work for.")],
    name: Annotated[str | None, Parameter(metavar="TEXT", help="What it is for.")] = None,
    expires: Annotated[
        str | None, Parameter(metavar="90d", help="How long it is good, like 90d or 12h; without it for ever.")
    ] = None,
    out: Annotated[
        Path | None,
        Parameter(
            name="--output", metavar="FILE", help="Write it there, for its owner alone; without it to standard output."
        ),
    ] = None,
    common: Common = COMMON,
) -> int:
    """Make what `resit worker --credential FILE` takes: address, authority, pool and secret, this once.

    Example: resit worker-credential create --pool linux-chrome --expires 90d --output linux-chrome.json
    """
    days = options.seconds(expires, "--expires") / 86400 if expires else None
    wanted: dict[str, object] = {"pool": pool, "expires_in_days": days}
    if name:
        wanted["name"] = name
    if out is not None and out.exists():
        raise CommandError(f"{out} is there already", "name another file: what it holds may still be in use")
    with common.connect() as client:
        made = client.fleet.create_credential(wanted)
        if out is None:
            output.print_json(made)
            return Exit.GREEN
        try:
            _write_private(out, made)
        except OSError as error:
            client.fleet.revoke_credential(made["id"])  # nobody has it
            raise CommandError(f"{out} can't be written: {error}") from error
    if common.json:
        output.print_json({**made, "secret": None, "file": str(out)})
        return Exit.GREEN
    console = output.console(no_color=common.no_color)
    output.say(console, f"Worker credential {made['id']} for pool {output.clean(pool)} is in {out}. Keep it secret.")
    output.say(console, f"  on the other machine:  resit worker --credential {out.name}")
    return Exit.GREEN


def _write_private(path: Path, document: object) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(document, file, indent=2)
        file.write("\n")


@worker_credential.command(name="list")
def list_credentials(*, common: Common = COMMON) -> int:
    """List the credentials, without their secrets.

    Example: resit worker-credential list
    """
    with common.connect() as client:
        found = list(client.fleet.credentials())
    if common.json:
        output.print_json({"items": found})
        return Exit.GREEN
    table = output.table("credential", "pool", "name", "made by", "expires", "last used")
    for one in found:
        table.add_row(
            str(one["id"]),
            output.clean(one["pool"]),
            output.clean(one["name"]),
            output.clean(one["created_by"]),
            "revoked" if one["revoked_at"] else output.local_time(one["expires_at"]) or "never",
            output.ago(one["seen_at"]) or "never",
        )
    output.console(no_color=common.no_color).print(table)
    return Exit.GREEN


@worker_credential.command(name="revoke")
def revoke_credential(
    id: Annotated[int, Parameter(help="Number of the credential, as `resit worker-credential list` prints it.")],
    /,
    *,
    common: Common = COMMON,
) -> int:
    """Make a credential worthless, for ever. Its connections end within seconds; others do what its workers held.

    Example: resit worker-credential revoke 3
    """
    with common.connect() as client:
        client.fleet.revoke_credential(id)
    if common.json:
        output.print_json({"id": id, "revoked": True})
    else:
        output.say(output.console(no_color=common.no_color), f"Worker credential {id} is revoked.")
    return Exit.GREEN
