"""What every command shares: where the server is, how to print, how to end."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from cyclopts import Group, Parameter

from resit.config import default_data_dir

if TYPE_CHECKING:
    from resit.client import Client

_COMMON = Group("Common options", sort_key=90)


class Exit(IntEnum):
    """How a command ends. 0, 1 and 2 speak of a run, the others of the command."""

    GREEN = 0
    RED = 1
    NOT_CARRIED_THROUGH = 2
    USAGE = 64
    REFUSED = 65
    NOT_FOUND = 66
    UNAVAILABLE = 69
    INTERNAL = 70
    NOT_AUTHORISED = 77
    INTERRUPTED = 130
    UNREAD = 141


EXIT_CODES = (
    "Exit codes: 0 done (with --wait, and in watch: the run passed), 1 the run failed (or skipped everything), "
    "2 the run was not carried through (errored or cancelled), 64 wrong usage, 65 refused by the server, 66 not found, "
    "69 server not available, 70 a fault of Resit, 77 not authorised, 130 interrupted, 141 nobody reads the output."
)
"""As the help says it; the same as :class:`Exit`."""


class CommandError(Exception):
    """A command can't be done. ``message`` and ``hint`` are one line each."""

    def __init__(self, message: str, hint: str = "", exit: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit = exit


@Parameter(name="*", group=_COMMON)
@dataclass(frozen=True, kw_only=True)
class Common:
    """The options of every command that speaks to a server."""

    data: Annotated[
        Path | None, Parameter(metavar="DIR", help="The server's data folder, where its address and admin token are.")
    ] = None
    json: Annotated[bool, Parameter(help="Print one JSON document and nothing else.")] = False
    no_color: Annotated[bool, Parameter(help="Print without colours (so does the variable NO_COLOR).")] = False

    def connect(self) -> "Client":
        """A connection to the server."""
        # httpx loads a command line of its own where it can; without it every command starts 0.2 s sooner.
        sys.modules.setdefault("httpx._main", ModuleType("httpx._main"))
        from resit.client import Client

        server = find_server(self.data)
        trace = os.environ.get("TRACEPARENT", "")
        return Client(server.url, server.token, trace=trace, ca=server.ca, exact=server.exact)


COMMON = Common()
"""No common option given."""


@dataclass(frozen=True, slots=True)
class Server:
    """An address and the token that opens it.

    ``ca``: authorities to trust besides those of the machine, PEM; with ``exact`` it is the server's own certificate.
    """

    url: str
    token: str
    ca: str = ""
    exact: bool = False

    def __repr__(self) -> str:
        return f"Server(url={self.url!r}, token=…)"


def find_server(data: Path | None, environ: Mapping[str, str] = os.environ) -> Server:
    """Where the server is: the folder named by ``--data``, else RESIT_URL and RESIT_TOKEN, else the default folder."""
    url, token = environ.get("RESIT_URL", "").strip(), environ.get("RESIT_TOKEN", "").strip()
    if data is None and url:
        if not token:
            raise CommandError(
                "RESIT_URL is set, RESIT_TOKEN is not",
                "make a token where the server runs: `resit token create --project SLUG`",
                Exit.NOT_AUTHORISED,
            )
        return replace(_checked(url, token, "RESIT_URL"), ca=authorities(environ))
    folder = default_data_dir() if data is None else data.expanduser().absolute()
    url = _read(folder / "url")
    token = (token if data is None else "") or _read(folder / "admin-token")
    if not url or not token:
        raise CommandError(
            f"no Resit server found (looked into {folder})",
            "start one with `resit serve`, or set RESIT_URL and RESIT_TOKEN",
            Exit.UNAVAILABLE,
        )
    return replace(_checked(url, token, str(folder / "url")), ca=_read(folder / "certificate.pem"), exact=True)


def authorities(environ: Mapping[str, str] = os.environ) -> str:
    """The certificates in the file that RESIT_CA names, PEM; empty when it names none."""
    named = environ.get("RESIT_CA", "").strip()
    if not named:
        return ""
    try:
        return Path(named).expanduser().read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"RESIT_CA: {named} can't be read: {error}") from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except PermissionError:
        raise CommandError(
            f"{path} may not be read by this user",
            "set RESIT_URL and RESIT_TOKEN, or run this as the server's user",
            Exit.NOT_AUTHORISED,
        ) from None
    except (OSError, UnicodeDecodeError):
        return ""


def _checked(url: str, token: str, where: str) -> Server:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        sound = False
    if not sound:
        raise CommandError(f"{where} holds {url[:200]!r}, which is no http:// or https:// address")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise CommandError("the token has characters that no token has", "copy it again", Exit.NOT_AUTHORISED)
    return Server(url, token)
