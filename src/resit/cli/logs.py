"""``resit logs``: what the plan and the shards of a run printed."""

import sys
import time
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from resit.cli import output
from resit.cli.options import RunRef
from resit.cli.settings import COMMON, CommandError, Common, Exit

if TYPE_CHECKING:
    from resit.client import Client, LogDoc

_POLL_SECONDS = 1.0


def logs(
    run: RunRef,
    /,
    *,
    shard: Annotated[
        int | None, Parameter(metavar="N", help="Only this shard's log; 0 is the plan (checkout, setup, list).")
    ] = None,
    follow: Annotated[bool, Parameter(help="Go on printing until the run is closed.")] = False,
    common: Common = COMMON,
) -> int:
    """Print the logs of a run: of its plan and of each shard.

    Example: resit logs 12 --shard 0
    """
    if follow and common.json:
        raise CommandError("--follow and --json exclude each other", "one JSON document has an end")
    with common.connect() as client:
        if follow:
            return _follow(client, run, shard)
        found = _wanted(client, run, shard)
        if shard is not None and not found:
            raise CommandError(f"run {run} has no log of shard {shard}", f"resit logs {run}", Exit.NOT_FOUND)
        texts = [(log, _whole(client, run, log["shard"])) for log in found]
    if common.json:
        output.print_json({"items": [{**log, "text": text} for log, text in texts]})
        return Exit.GREEN
    for log, text in texts:
        if len(texts) > 1:
            _write(f"── {output.clean(log['name'])} ──\n")
        shown = output.clean(text, lines=True)
        _write(shown if not shown or shown.endswith("\n") else f"{shown}\n")
    if not any(text for _, text in texts):
        output.say_error(f"run {run} has printed nothing")
    return Exit.GREEN


def _wanted(client: "Client", run: str, shard: int | None) -> "list[LogDoc]":
    return [log for log in client.logs(run) if shard is None or log["shard"] == shard]


def _whole(client: "Client", run: str, shard: int) -> str:
    """A log to its end, however many answers it takes."""
    parts: list[str] = []
    offset = 0
    while True:
        text, following = client.log(run, shard, offset)
        parts.append(text)
        if not text or following <= offset:
            return "".join(parts)
        offset = following


def _follow(client: "Client", run: str, shard: int | None) -> int:
    """Whole lines as they come, with the log's name before each when there are several."""
    from resit.client import closed

    offsets: dict[int, int] = {}
    rests: dict[int, str] = {}
    while True:
        over = closed(client.run(run))
        for log in _wanted(client, run, shard):
            at = log["shard"]
            text, offsets[at] = client.log(run, at, offsets.get(at, 0))
            *lines, rests[at] = (rests.get(at, "") + text).split("\n")
            if over and rests[at]:
                lines.append(rests.pop(at))
            name = "" if shard is not None else f"{output.clean(log['name'])} | "
            for line in lines:
                _write(f"{name}{output.clean(line, lines=True)}\n")
        sys.stdout.flush()
        if over:
            return Exit.GREEN
        time.sleep(_POLL_SECONDS)


def _write(text: str) -> None:
    sys.stdout.write(text)
