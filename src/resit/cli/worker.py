"""``resit worker``: a worker of its own, on this or another machine than the server's."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from resit.cli import options
from resit.cli.options import LogFormat, LogLevel, Many
from resit.cli.settings import CommandError, Exit, authorities
from resit.domain.errors import InvalidInput

DRAIN_SECONDS = 20.0
"""Together with the ten seconds that stopping tests may take, that is within the 30 of a container's grace period."""
_NEEDED = {"id": int, "pool": str, "secret": str, "brokers": list, "server": str, "ca": str}


def worker(
    *,
    credential: Annotated[
        str,
        Parameter(
            env_var="RESIT_WORKER_CREDENTIAL",
            metavar="FILE",
            help="What `resit worker-credential create` has made. The variable may also hold the content itself.",
        ),
    ],
    slots: Annotated[
        int | None, Parameter(metavar="N", help="How much runs at a time; without it one a processor core.")
    ] = None,
    label: Annotated[
        tuple[str, ...],
        Many,
        Parameter(metavar="K=V", help="What to show of this worker in `resit workers`. Can be repeated."),
    ] = (),
    folder: Annotated[
        Path | None,
        Parameter(metavar="DIR", help="For checkouts and caches. Default: resit/worker in the user's cache folder."),
    ] = None,
    drain_seconds: Annotated[
        float,
        Parameter(metavar="S", help="When told to end: how long batches that run may take to end.", show_default=True),
    ] = DRAIN_SECONDS,
    allow_local: Annotated[
        bool, Parameter(help="Also carry out projects whose source is a folder, which must then be on this machine.")
    ] = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "info",
) -> int:
    """Carry runs out for a server, until told to end.

    SIGTERM or Ctrl-C: it takes nothing new, ends what runs, hands back the rest for others, and leaves; no test comes
    out red by that. A second time: it hands back at once.

    Example: resit worker --credential linux-chrome.json --slots 4
    """
    if slots is not None and slots < 1:
        raise CommandError(f"--slots {slots}: at least 1 is needed")
    if not 0 <= drain_seconds <= 86400:
        raise CommandError(f"--drain-seconds {drain_seconds:g}: from 0 to 86400")
    found = read_credential(credential)
    labels = _labels(label)
    ca = found["ca"] + authorities()
    # Processes that this one starts need not inherit it.
    os.environ.pop("RESIT_WORKER_CREDENTIAL", None)
    return _run(
        found,
        ca,
        slots=slots or _cores(),
        labels=labels,
        folder=str((folder or default_folder()).expanduser().absolute()),
        drain_seconds=drain_seconds,
        allow_local=allow_local,
        log_format=log_format,
        log_level=log_level,
    )


def _run(found: Mapping[str, Any], ca: str, **settings: Any) -> int:
    import asyncio
    from ssl import SSLError

    from resit.bootstrap.handover import WorkerSettings
    from resit.bootstrap.worker import ShutOut, start_logging, work
    from resit.broker.address import Address
    from resit.integrations.trust import BadAuthority
    from resit.ports import BrokerAway
    from resit.telemetry import know

    broker = Address(",".join(found["brokers"]), token=found["secret"], ca=ca)
    told = WorkerSettings(
        broker=broker,
        pool=found["pool"],
        credential=found["id"],
        server=found["server"].rstrip("/"),
        ca=ca,
        **settings,
    )
    know(found["secret"])
    start_logging(told)
    try:
        Path(settings["folder"]).mkdir(parents=True, exist_ok=True, mode=0o700)
        asyncio.run(work(told))
    except ShutOut as error:
        raise CommandError(
            str(error), "make another one where the server runs: resit worker-credential create", Exit.NOT_AUTHORISED
        ) from error
    except BrokerAway as error:
        raise CommandError(str(error), "is the server up, and its port open?", Exit.UNAVAILABLE) from error
    except (BadAuthority, SSLError, ValueError) as error:
        raise CommandError(f"the credential can't be used: {error}") from error
    except OSError as error:
        raise CommandError(f"this worker can't run: {error}", exit=Exit.UNAVAILABLE) from error
    return Exit.GREEN


def read_credential(named: str) -> dict[str, Any]:
    """A credential from the file of this name, or from its content. Messages never show what it holds."""
    text = named.strip()
    if not text.startswith("{"):
        try:
            text = Path(text).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"the credential can't be read: {error}", "name its file with --credential") from error
    try:
        found: Any = json.loads(text)
    except ValueError as error:
        raise CommandError("the credential is no JSON", "make one: resit worker-credential create") from error
    for name, kind in _NEEDED.items():
        if not isinstance(found, dict) or not isinstance(found.get(name), kind):  # pyright: ignore[reportUnknownMemberType]
            raise CommandError(
                f"the credential has no {name}, or an odd one", "make one: resit worker-credential create"
            )
    return found  # pyright: ignore[reportUnknownVariableType]


def _labels(values: tuple[str, ...]) -> dict[str, str]:
    from resit.domain.fleet import check_labels

    try:
        return check_labels(options.pairs(values, "--label"))
    except InvalidInput as error:
        raise CommandError(f"--label: {error.message}") from error


def default_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where a worker keeps its checkouts when nobody says."""
    return Path(environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "resit" / "worker"


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
