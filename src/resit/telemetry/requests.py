"""What is known of the HTTP request that is being answered. One object a request; threads that serve it share it."""

import re
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import uuid4

from resit.telemetry.context import Value

MAX_ID = 128
_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.{0,200})?")


@dataclass(slots=True)
class Asked:
    """A request. ``trace``: the W3C traceparent that came with it, if it makes sense; ``token``: whose it is, never its
    secret. ``dialect`` and ``route`` are known once it was handed on, ``route`` is a template and holds nothing of the
    path itself.
    """

    id: str
    trace: str = ""
    dialect: str = ""
    route: str = ""
    token: str = ""
    run: Value | None = None


_NOW: ContextVar[Asked | None] = ContextVar("resit_request", default=None)


def begin(asked: Asked) -> None:
    """From here on this is the request, in this task and in what it begins."""
    _NOW.set(asked)


def current() -> Asked | None:
    """The request that is being answered, None when there is none: a loop, a command."""
    return _NOW.get()


def by(token: str) -> None:
    """The request was found to be somebody's."""
    asked = _NOW.get()
    if asked is not None:
        asked.token = token


def request_id(said: str) -> str:
    """The id that a client gave, when it is short and plain; else one of ours."""
    return said if _ID.fullmatch(said) else uuid4().hex


def traceparent(said: str) -> str:
    """A traceparent in the form of W3C's first version; empty for what is none.

    Later versions begin the same way, and are taken for what of them is known.
    """
    found = _PARENT.fullmatch(said.strip())
    if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
        return ""
    if not int(found[2], 16) or not int(found[3], 16):
        return ""
    return f"00-{found[2]}-{found[3]}-{found[4]}"
