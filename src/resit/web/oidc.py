"""Signing in by an OpenID Connect provider: the code flow with PKCE, of which Authlib does the protocol.

What is remembered between the two halves (state, nonce, verifier, where to go on) is in a cookie of ten minutes, which
only this server's pages get back; the provider's answer has to fit it.
"""

import base64
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import authlib.oauth2.rfc6749.parameters
import authlib.oauth2.rfc7636
import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from resit.config import Settings
from resit.domain.errors import NotFound, Unauthenticated, Unavailable
from resit.services.sessions import Identity

COOKIE = "resit_oidc"
_PROTOCOL: Any = authlib.oauth2.rfc6749.parameters
_PKCE: Any = authlib.oauth2.rfc7636  # neither has types
KEEP_SECONDS = 600.0
"""How long what a provider says of itself is used again."""
TIMEOUT = 10.0
ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "PS256", "EdDSA"]


@dataclass(frozen=True, slots=True)
class Provider:
    """What a provider says of itself. ``read``: when, by the monotonic clock."""

    issuer: str
    authorize: str
    token: str
    keys: Mapping[str, Any]
    read: float


_KNOWN: dict[str, Provider] = {}


def name(settings: Settings) -> str:
    """What the button says; empty: there is no provider."""
    return settings.oidc_name or urlsplit(settings.oidc_issuer).hostname or ""


async def _provider(settings: Settings) -> Provider:
    """Raises :class:`NotFound` without one, :class:`Unavailable` when it does not answer as it should."""
    issuer = settings.oidc_issuer.rstrip("/")
    if not issuer:
        raise NotFound("nobody has set up an OpenID Connect provider")
    known = _KNOWN.get(issuer)
    if known and time.monotonic() - known.read < KEEP_SECONDS:
        return known
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT) as client:
            said = (await client.get(f"{issuer}/.well-known/openid-configuration")).raise_for_status().json()
            keys = (await client.get(said["jwks_uri"])).raise_for_status().json()
        found = Provider(
            str(said["issuer"]),
            str(said["authorization_endpoint"]),
            str(said["token_endpoint"]),
            keys,
            time.monotonic(),
        )
    except (httpx.HTTPError, KeyError, TypeError, ValueError) as error:
        raise Unavailable(f"the OpenID Connect provider {issuer} does not say what it should: {error!r}") from error
    if found.issuer.rstrip("/") != issuer:
        raise Unavailable(f"the OpenID Connect provider {issuer} calls itself {found.issuer}")
    _KNOWN[issuer] = found
    return found


async def begin(settings: Settings, back: str, go_on: str) -> tuple[str, str]:
    """Where to send somebody, and what to remember of it."""
    provider = await _provider(settings)
    verifier, nonce, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16), secrets.token_urlsafe(16)
    address = _PROTOCOL.prepare_grant_uri(
        provider.authorize,
        settings.oidc_client,
        "code",
        redirect_uri=back,
        scope="openid email profile",
        state=state,
        nonce=nonce,
        code_challenge=_PKCE.create_s256_code_challenge(verifier),
        code_challenge_method="S256",
    )
    kept = json.dumps({"state": state, "nonce": nonce, "verifier": verifier, "next": go_on})
    return str(address), base64.urlsafe_b64encode(kept.encode()).decode()


async def end(settings: Settings, back: str, kept: str, said: Mapping[str, str]) -> tuple[Identity, str]:
    """Who came back, and where they want to go on to. Raises :class:`Unauthenticated`, :class:`Unavailable`."""
    try:
        known = json.loads(base64.urlsafe_b64decode(kept.encode()))
        state, nonce, verifier = str(known["state"]), str(known["nonce"]), str(known["verifier"])
    except (ValueError, KeyError, TypeError) as error:
        raise Unauthenticated("this took too long, or began in another browser: sign in again") from error
    if said.get("error"):
        raise Unauthenticated(f"the provider says: {said.get('error_description') or said['error']}"[:300])
    if not said.get("code") or not secrets.compare_digest(said.get("state", "").encode(), state.encode()):
        raise Unauthenticated("the provider's answer is not to our question: sign in again")
    provider = await _provider(settings)
    try:
        token = await _token(settings, provider, back, said["code"], verifier)
        claims = _claims(settings, provider, token, nonce)
    except (JoseError, httpx.HTTPError, KeyError, ValueError) as error:
        raise Unauthenticated(f"the provider does not vouch for you: {error}"[:300]) from error
    identity = Identity(
        subject=f"{provider.issuer}|{claims['sub']}",
        email=str(claims.get("email", "")),
        verified=claims.get("email_verified") in (True, "true"),
        name=str(claims.get("name", "")),
    )
    return identity, str(known.get("next", ""))


async def _token(settings: Settings, provider: Provider, back: str, code: str, verifier: str) -> str:
    """The ID token for a code. Raises ``httpx.HTTPError``, KeyError, ValueError."""
    secret = settings.oidc_secret.read_text().strip() if settings.oidc_secret else ""
    more = {} if secret else {"client_id": settings.oidc_client}
    body = _PROTOCOL.prepare_token_request(
        "authorization_code", redirect_uri=back, code=code, code_verifier=verifier, **more
    )
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    login = httpx.BasicAuth(settings.oidc_client, secret) if secret else None
    async with httpx.AsyncClient(timeout=TIMEOUT, auth=login) as client:
        answer = await client.post(provider.token, content=str(body), headers=headers)
    return str(answer.raise_for_status().json()["id_token"])


def _claims(settings: Settings, provider: Provider, token: str, nonce: str) -> Mapping[str, Any]:
    """What an ID token says, when it is from the provider, for us, fresh, and the answer to our question."""
    found = jwt.decode(token, KeySet.import_key_set({"keys": provider.keys["keys"]}), algorithms=ALGORITHMS)
    rules = jwt.JWTClaimsRegistry(
        leeway=60,
        iss={"essential": True, "value": provider.issuer},
        aud={"essential": True, "value": settings.oidc_client},
        sub={"essential": True},
        exp={"essential": True},
        nonce={"essential": True, "value": nonce},
    )
    rules.validate(found.claims)
    return found.claims
