"""Tokens and the caller."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from resit.api.ccextractor.common import Anyone, Flag, Id, Manager, Paged, body, page, when
from resit.api.ccextractor.errors import Refused
from resit.api.ccextractor.schemas import TokenIn
from resit.api.ccextractor.words import scope_words
from resit.api.context import Use
from resit.api.dialect import Raw
from resit.domain.access import Token
from resit.domain.errors import AlreadyExists, Unauthenticated

router = APIRouter(prefix="/api/v1/auth")

NOBODY = 1_000_000_000
"""Added to the number of a token that is no person's, it stands for a user's."""
NEVER = "9999-12-31T23:59:59Z"
"""The end of a token that has none; the contract wants a time."""


@router.post("/tokens")
def create_token(use: Use, request: Request, raw: Raw) -> JSONResponse:
    """A token for e-mail and password."""
    asked = body(request, raw, TokenIn)
    try:
        token, secret = use.people.sign_in(
            asked.email,
            asked.password,
            token_name=asked.token_name,
            scopes=asked.scopes,
            expires_in_days=asked.expires_in_days,
        )
    except Unauthenticated as error:
        raise Refused(401, "invalid_credentials", error.message) from error
    except AlreadyExists as error:
        raise Refused(400, "validation_error", error.message, fields={"token_name": error.message}) from error
    document = {
        "token": secret,
        "token_type": "bearer",
        "token_name": token.name,
        "scopes": scope_words(token.scopes),
        "expires_at": when(token.expires_at) or NEVER,
    }
    return JSONResponse(document, 201, {"Cache-Control": "no-store"})


@router.get("/tokens")
def list_tokens(use: Use, who: Manager, at: Paged, all: Flag = False) -> JSONResponse:
    """The caller's tokens, or everybody's, without their secrets."""
    found, total = use.access.tokens_of(who, everyone=all, offset=at.offset, limit=at.limit)
    return page([_token(token) for token in found], total, at)


def _token(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "user_id": token.user_id or NOBODY + token.id,
        "token_name": (token.name or f"token {token.id}")[:50],
        "scopes": scope_words(token.scopes),
        "created_at": when(token.created_at),
        "expires_at": when(token.expires_at) or NEVER,
        "is_revoked": token.revoked_at is not None,
        "revoked_at": when(token.revoked_at),
    }


@router.delete("/tokens/current")
def revoke_current(use: Use, who: Anyone) -> Response:
    """End the life of the token that makes this call."""
    use.access.revoke_current(who)
    return Response(status_code=204)


@router.delete("/tokens/{token_id}")
def revoke_token(use: Use, who: Anyone, token_id: Id) -> Response:
    """End the life of a token of one's own, or of any for an administrator."""
    use.access.revoke(who, token_id)
    return Response(status_code=204)


@router.get("/me")
def who_am_i(who: Anyone) -> JSONResponse:
    """The caller; a token that is no person's stands for itself."""
    return JSONResponse(
        {
            "user_id": who.user_id or NOBODY + who.token_id,
            "name": who.name[:255],
            "email": who.email or f"token-{who.token_id}@resit.local",
            "role": who.role.value,
            "scopes": scope_words(who.scopes),
        }
    )
