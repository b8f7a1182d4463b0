"""Signing in and out; one's own account and tokens; people and the organization."""

import asyncio
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import RedirectResponse, Response

from resit.control.context import Services
from resit.domain.access import Role, Scope, scopes_of
from resit.domain.errors import InvalidInput, RateLimited, ResitError, Unauthenticated
from resit.domain.rates import Rate
from resit.web import oidc
from resit.web.door import Form, Seen, Sent, Use, Visitor, forget, form, remember, visitor
from resit.web.pages import page

router = APIRouter()
TRIES = Rate(10, 300.0)
"""Passwords that one address may try in five minutes."""
Word = Annotated[str, Query(max_length=500)]


def _to(use: Services, path: str) -> RedirectResponse:
    return RedirectResponse(f"{use.url.rstrip('/')}{path}", 303, {"Cache-Control": "no-store"})


def inside(path: str) -> str:
    """A path of ours to go on to; everything else leads to the runs."""
    parts = urlsplit(path)
    fine = path.startswith("/") and not path.startswith(("//", "/\\")) and not parts.netloc and path.isprintable()
    return path if fine and not path.startswith("/sign-") else "/runs"


# ------------------------------------------------------------ signing in


@router.get("/sign-in")
def sign_in_page(request: Request, use: Use, next: Word = "") -> Response:
    """The form."""
    return _sign_in(request, use, next)


def _sign_in(request: Request, use: Services, next_: str, problem: str = "", status: int = 200) -> Response:
    provider = oidc.name(use.settings)
    return page(request, use, "sign_in.html", None, status, next=inside(next_), problem=problem, oidc=provider)


@router.post("/sign-in")
def sign_in(request: Request, use: Use, sent: Annotated[Form, Depends(form)]) -> Response:
    """By e-mail and password."""
    try:
        _count(request, use)
        secret = use.sessions.by_password(sent["email"], sent["password"])
    except ResitError as error:
        return _sign_in(request, use, sent["next"], error.message[0].upper() + error.message[1:] + ".", 401)
    answer = _to(use, inside(sent["next"]))
    remember(use, answer, secret)
    return answer


def _count(request: Request, use: Services) -> None:
    address = request.client.host if request.client else ""
    now = use.clock.now()
    standing = use.rates.hit(f"page/sign-in/{address}", TRIES, now)
    if not standing.allowed:
        raise RateLimited(f"too many tries: wait {standing.retry_after(now)} s", retry_after=standing.retry_after(now))


@router.get("/link/{secret}")
def link_page(request: Request, use: Use, secret: str) -> Response:
    """A link that signs in, once. A form is sent by the page itself: who only looks at links does not use it up."""
    return page(request, use, "link.html", None, secret=secret)


@router.post("/link")
def link(request: Request, use: Use, sent: Annotated[Form, Depends(form)]) -> Response:
    """Use it."""
    try:
        _count(request, use)
        secret = use.sessions.by_link(sent["secret"])
    except Unauthenticated:
        words = "This link was used, or is too old. The operator gets a new one with: resit link"
        return _sign_in(request, use, "", words, 401)
    answer = _to(use, "/runs")
    remember(use, answer, secret)
    return answer


@router.post("/sign-out")
def sign_out(use: Use, seen: Seen, sent: Sent) -> Response:
    """End the session."""
    del sent
    use.sessions.end(seen.who)
    answer = _to(use, "/sign-in")
    forget(use, answer)
    return answer


@router.get("/sign-in/oidc")
async def oidc_begin(use: Use, next: Word = "") -> Response:
    """To the provider."""
    address, state = await oidc.begin(use.settings, f"{use.url.rstrip('/')}/sign-in/oidc/back", inside(next))
    answer = RedirectResponse(address, 303, {"Cache-Control": "no-store"})
    path = urlsplit(use.url).path.rstrip("/") or "/"
    secure = use.url.startswith("https:")
    answer.set_cookie(oidc.COOKIE, state, max_age=600, path=path, secure=secure, httponly=True, samesite="lax")
    return answer


@router.get("/sign-in/oidc/back")
async def oidc_back(request: Request, use: Use) -> Response:
    """Back from the provider."""
    try:
        back = f"{use.url.rstrip('/')}/sign-in/oidc/back"
        identity, next_ = await oidc.end(use.settings, back, request.cookies.get(oidc.COOKIE, ""), request.query_params)
        secret = await asyncio.to_thread(use.sessions.by_identity, identity, use.settings.oidc_role)
    except ResitError as error:
        return _sign_in(request, use, "", error.message[0].upper() + error.message[1:] + ".", 401)
    answer = _to(use, inside(next_))
    answer.delete_cookie(oidc.COOKIE, path=urlsplit(use.url).path.rstrip("/") or "/")
    remember(use, answer, secret)
    return answer


# ------------------------------------------------------------ one's own


@router.get("/account")
def account(request: Request, use: Use, seen: Seen) -> Response:
    """Tokens and password."""
    return _account(request, use, seen)


def _account(request: Request, use: Services, seen: Visitor, status: int = 200, **said: Any) -> Response:
    who = seen.who
    tokens = use.access.tokens(who) if who.user_id is None else use.access.own_tokens(who)
    scopes = list(Scope) if seen.admin else [scope for scope in scopes_of(who.role) if scope in who.scopes]
    words = {"problem": "", "done": "", "secret": "", **said}
    return page(request, use, "account.html", seen, status, tokens=list(tokens)[::-1][:200], scopes=scopes, **words)


@router.post("/account/tokens")
def add_token(request: Request, use: Use, seen: Seen, sent: Sent) -> Response:
    """A token, whose secret is shown in this answer alone."""
    try:
        days = sent.number("days")
        _, secret = use.sessions.own_token(seen.who, name=sent["name"], scopes=sent.all("scope"), days=days)
    except ResitError as error:
        return _account(request, use, seen, 400, problem=error.message)
    return _account(request, use, seen, secret=secret)


@router.post("/account/tokens/revoke")
def revoke_token(use: Use, seen: Seen, sent: Sent) -> Response:
    """End a token's life."""
    use.access.revoke(seen.who, sent.whole("id"))
    return _to(use, "/account")


@router.post("/account/password")
def change_password(request: Request, use: Use, seen: Seen, sent: Sent) -> Response:
    """Another password."""
    try:
        use.sessions.change_password(seen.who, sent["old"], sent["new"])
    except ResitError as error:
        return _account(request, use, seen, 400, problem=error.message)
    return _account(request, use, seen, done="The password is changed.")


# ------------------------------------------------------------ everybody


@router.get("/settings")
def settings(request: Request, use: Use, seen: Seen) -> Response:
    """People, the organization, disk use."""
    return _settings(request, use, seen)


def _settings(request: Request, use: Services, seen: Visitor, status: int = 200, problem: str = "") -> Response:
    said: dict[str, Any] = {"users": (), "organization": None, "runs_this_month": 0, "usage": None}
    if seen.operator:
        found, number = use.organizations.get(seen.who)
        said |= {"users": use.people.all(seen.who), "organization": found, "runs_this_month": number}
    if seen.may(Scope.SYSTEM_READ):
        said["usage"] = use.retention.usage(seen.who)[0]
    slugs = {project.id: project.slug for project in use.reads.projects(seen.who.project_id, 0, 1000).items}
    return page(request, use, "settings.html", seen, status, problem=problem, roles=list(Role), slugs=slugs, **said)


@router.post("/settings/people")
def add_person(request: Request, use: Use, seen: Seen, sent: Sent) -> Response:
    """An account."""
    try:
        use.people.add(
            seen.who,
            email=sent["email"],
            name=sent["name"],
            role=sent["role"],
            password=sent["password"],
            project=sent["project"] or None,
        )
    except ResitError as error:
        return _settings(request, use, seen, 400, error.message)
    return _to(use, "/settings")


@router.post("/settings/people/disable")
def disable_person(use: Use, seen: Seen, sent: Sent) -> Response:
    """Close an account."""
    use.people.disable(seen.who, sent["email"])
    return _to(use, "/settings")


@router.post("/settings/organization")
def set_organization(request: Request, use: Use, seen: Seen, sent: Sent) -> Response:
    """Limit the runs of a month."""
    try:
        if sent["monthly_runs"] and not sent["monthly_runs"].isdigit():
            raise InvalidInput("runs a month: a whole number, or nothing")
        limit = int(sent["monthly_runs"]) if sent["monthly_runs"] else None
        use.organizations.set(seen.who, {"monthly_runs": limit})
    except ResitError as error:
        return _settings(request, use, seen, 400, error.message)
    return _to(use, "/settings")


__all__ = ["router", "visitor"]
