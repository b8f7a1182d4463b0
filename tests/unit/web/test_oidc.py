"""Signing in by OpenID Connect, with a provider that speaks the protocol on loopback."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.testclient import TestClient

from resit.testing.factories import ADMIN
from resit.testing.world import World
from resit.web import oidc
from resit.web.door import COOKIE

BACK = "http://resit.test/sign-in/oidc/back"


@dataclass
class Provider:
    """A provider: what it says of people, and what came to it."""

    url: str = ""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}))
    claims: dict[str, Any] = field(default_factory=dict[str, Any])
    challenge: str = ""
    nonce: str = ""
    logins: list[str] = field(default_factory=list[str])

    def answer(self, handler: BaseHTTPRequestHandler) -> tuple[int, Any]:
        """The answer to a request."""
        match handler.path:
            case "/.well-known/openid-configuration":
                names = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
                return 200, {"issuer": self.url, **{name: f"{self.url}/{path}" for name, path in names.items()}}
            case "/keys":
                return 200, {"keys": [self.key.as_dict(private=False)]}
            case "/token":
                sent = dict(parse_qsl(handler.rfile.read(int(handler.headers["content-length"])).decode()))
                self.logins.append(handler.headers.get("authorization", ""))
                digest = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
                if base64.urlsafe_b64encode(digest).decode().rstrip("=") != self.challenge or sent["code"] != "good":
                    return 400, {"error": "invalid_grant"}
                now = int(time.time())
                said = {
                    "iss": self.url, "aud": "resit", "sub": "ann-7", "exp": now + 300, "iat": now, "nonce": self.nonce,
                    "email": "Ann@example.org", "email_verified": True, "name": "Ann", **self.claims,
                }  # fmt: skip
                token = jwt.encode({"alg": "RS256", "kid": "one"}, said, self.key)
                return 200, {"access_token": "x", "token_type": "Bearer", "id_token": token}
            case _:
                return 404, {}


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider that answers."""
    made = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, said = made.answer(self)
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()
    oidc._KNOWN.clear()


@pytest.fixture
def browser(
    world: World, provider: Provider, stranger: TestClient, built: tuple[FastAPI, FastAPI], tmp_path: Path
) -> TestClient:
    """A browser on a server that knows the provider."""
    (tmp_path / "secret").write_text("hush\n")
    services = world.services(oidc_issuer=provider.url, oidc_client="resit", oidc_secret=tmp_path / "secret")
    for app in built:
        app.state.services = services
    return stranger


def go(browser: TestClient, provider: Provider, code: str = "good", **changed: str) -> Any:
    """To the provider and back."""
    away = browser.get("/sign-in/oidc?next=/runs/7")
    assert away.status_code == 303
    asked = {name: values[0] for name, values in parse_qs(urlsplit(away.headers["location"]).query).items()}
    assert away.headers["location"].startswith(f"{provider.url}/authorize?")
    assert (asked["client_id"], asked["redirect_uri"], asked["response_type"]) == ("resit", BACK, "code")
    assert asked["code_challenge_method"] == "S256"
    provider.challenge, provider.nonce = asked["code_challenge"], asked["nonce"]
    return browser.get("/sign-in/oidc/back", params={"code": code, "state": asked["state"], **changed})


def test_who_has_an_account_comes_in(world: World, browser: TestClient, provider: Provider) -> None:
    world.people.add(ADMIN, email="ann@example.org", name="Ann", role="tester", password="correct horse")
    assert "Sign in with 127.0.0.1" in browser.get("/sign-in").text
    back = go(browser, provider)
    assert (back.status_code, back.headers["location"]) == (303, "http://resit.test/runs/7")
    assert "Ann" in browser.get("/runs").text
    assert provider.logins == ["Basic " + base64.b64encode(b"resit:hush").decode()]
    assert world.people.all(ADMIN)[0].subject == f"{provider.url}|ann-7"
    # From now on it is the provider's name for her that counts.
    provider.claims = {"email": "other@example.org"}
    browser.cookies.delete(COOKIE)
    assert go(browser, provider).status_code == 303
    assert len(world.people.all(ADMIN)) == 1


@pytest.mark.parametrize(
    ("claims", "changed"),
    [
        ({"email_verified": False}, {}),
        ({"email": "eve@example.org"}, {}),
        ({"aud": "another"}, {}),
        ({"iss": "https://evil.test"}, {}),
        ({"exp": 1_000_000}, {}),
        ({"nonce": "another"}, {}),
        ({}, {"code": "bad"}),
        ({}, {"state": "another"}),
        ({}, {"error": "access_denied"}),
    ],
)
def test_who_is_not_vouched_for_stays_outside(
    world: World, browser: TestClient, provider: Provider, claims: dict[str, Any], changed: dict[str, str]
) -> None:
    world.people.add(ADMIN, email="ann@example.org", name="Ann", role="admin", password="correct horse")
    provider.claims = claims
    back = go(browser, provider, **changed)
    assert back.status_code == 401
    assert COOKIE not in browser.cookies
    assert "<h1>" in back.text


def test_a_token_of_another_key_is_worth_nothing(world: World, browser: TestClient, provider: Provider) -> None:
    world.people.add(ADMIN, email="ann@example.org", name="Ann", role="admin", password="correct horse")
    go(browser, provider, code="bad")  # its keys are known from now on
    provider.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
    assert go(browser, provider).status_code == 401


def test_another_subject_does_not_inherit_an_account(world: World, browser: TestClient, provider: Provider) -> None:
    world.people.add(ADMIN, email="ann@example.org", name="Ann", role="admin", password="correct horse")
    assert go(browser, provider).status_code == 303
    provider.claims = {"sub": "eve-1"}
    assert go(browser, provider).status_code == 401


def test_a_provider_that_is_away(browser: TestClient, provider: Provider, world: World, tmp_path: Path) -> None:
    provider.url = "http://127.0.0.1:9"
    world.services()
    assert browser.get("/sign-in/oidc/back", params={"code": "x", "state": "y"}).status_code == 401
