"""Who looks at the page: a session in a cookie, and a proof that a form is one of ours.

The cookie is same-site, so that other sites can't use it with a form; and each form carries a word that is made of the
session's secret, which scripts can't read and other sites can't know.
"""

import hashlib
import hmac
import math
from dataclasses import dataclass
from typing import Annotated, cast
from urllib.parse import parse_qsl, urlsplit

from fastapi import Depends, Request
from starlette.responses import Response

from resit.control.context import Services
from resit.domain.access import Principal, Scope
from resit.domain.errors import Forbidden, InvalidInput, Unauthenticated
from resit.services.sessions import SESSION_DAYS

COOKIE = "resit_session"
MAX_FIELDS = 2_000


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks. ``form``: what each of their forms carries."""

    who: Principal
    form: str

    def may(self, scope: Scope) -> bool:
        """Whether a button that needs this scope is of use to them; services decide anyway."""
        return scope in self.who.scopes or Scope.ADMIN in self.who.scopes

    @property
    def runs(self) -> bool:
        """Whether they may start and stop runs."""
        return self.may(Scope.RUNS_WRITE)

    @property
    def watches(self) -> bool:
        """Whether they may see who works."""
        return self.may(Scope.SYSTEM_READ)

    @property
    def admin(self) -> bool:
        """Whether they may change what is set."""
        return Scope.ADMIN in self.who.scopes

    @property
    def operator(self) -> bool:
        """Whether they may change what is above all projects."""
        return self.admin and self.who.project_id is None


def services(request: Request) -> Services:
    """The services of the application."""
    return cast("Services", request.app.state.services)


def visitor(request: Request) -> Visitor:
    """Who looks. Raises :class:`Unauthenticated`."""
    secret = request.cookies.get(COOKIE, "")
    if not secret or not secret.isascii():
        raise Unauthenticated("sign in first")
    return Visitor(services(request).sessions.who(secret), _word(secret))


def _word(secret: str) -> str:
    return hashlib.sha256(f"form of {secret}".encode()).hexdigest()[:40]


class Form:
    """The fields of a form that was sent."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = fields

    def __getitem__(self, name: str) -> str:
        return next((value for key, value in self._fields if key == name), "").strip()

    def all(self, name: str) -> list[str]:
        """All values of a name that say something."""
        return [value.strip() for key, value in self._fields if key == name and value.strip()]

    def number(self, name: str) -> float | None:
        """A number, or None where nothing is said. Raises :class:`InvalidInput`."""
        if not self[name]:
            return None
        try:
            found = float(self[name])
        except ValueError:
            found = math.nan
        if not math.isfinite(found):
            raise InvalidInput(f"{name.replace('_', ' ')}: a number is wanted", field=name)
        return found

    def whole(self, name: str) -> int:
        """A whole number, 0 where nothing is said. Raises :class:`InvalidInput`."""
        found = self.number(name) or 0.0
        if not found.is_integer() or abs(found) > 2**31:
            raise InvalidInput(f"{name.replace('_', ' ')}: a whole number is wanted", field=name)
        return int(found)


async def form(request: Request) -> Form:
    """A form that came from one of our pages. Raises :class:`Forbidden`, :class:`InvalidInput`."""
    _same_site(request)
    try:
        text = (await request.body()).decode("utf-8")
        return Form(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"))
    except ValueError as error:
        raise InvalidInput("this form can't be read") from error


async def own_form(request: Request, found: Annotated[Visitor, Depends(visitor)]) -> Form:
    """The same, of somebody who is signed in. Raises :class:`Forbidden`."""
    sent = await form(request)
    word = sent["form"] or request.headers.get("x-resit-form", "")
    if not hmac.compare_digest(word.encode(), found.form.encode()):
        raise Forbidden("this form is not from your session: open the page again, and then send it")
    return sent


def _same_site(request: Request) -> None:
    """Browsers say where a form came from: another site's is not taken."""
    site = request.headers.get("sec-fetch-site", "")
    origin = request.headers.get("origin", "")
    other = origin and origin != "null" and urlsplit(origin).netloc != request.headers.get("host", "")
    if site not in ("", "same-origin", "none") or other or (origin == "null" and not site):
        raise Forbidden("this form comes from another site")


def remember(use: Services, answer: Response, secret: str) -> None:
    """Put a session into a cookie."""
    parts = urlsplit(use.url)
    answer.set_cookie(
        COOKIE,
        secret,
        max_age=int(SESSION_DAYS * 86400),
        path=parts.path.rstrip("/") or "/",
        secure=parts.scheme == "https",
        httponly=True,
        samesite="lax",
    )


def forget(use: Services, answer: Response) -> None:
    """Take it out again."""
    answer.delete_cookie(COOKIE, path=urlsplit(use.url).path.rstrip("/") or "/")


Use = Annotated[Services, Depends(services)]
Seen = Annotated[Visitor, Depends(visitor)]
Sent = Annotated[Form, Depends(own_form)]
