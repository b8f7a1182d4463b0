"""Where what users' tests wrote may run: never on the origin of our own pages.

Reports hold scripts, of Playwright and of whoever wrote the tests. On the *content origin*, a host name that serves
nothing else, they run freely; elsewhere browsers are told to put them into a sandbox.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

PREFIX = "/reports/"
_PORTS = {"http": 80, "https": 443}
_OTHER = {"127.0.0.1": "localhost", "::1": "localhost", "localhost": "127.0.0.1"}
"""Two names of this machine, which are two origins for browsers, at one listener."""


@dataclass(frozen=True, slots=True)
class Origins:
    """``content``: the content origin's address; empty: there is none.

    ``shared``: it is the other name of this machine, and programs may reach the API by it as before; browsers may not.
    """

    main: str
    content: str = ""
    shared: bool = False

    @classmethod
    def of(cls, main: str, content: str) -> "Origins":
        """By the server's public address, and the content address that the operator gave (or none)."""
        if content:
            return cls(main.rstrip("/"), content.rstrip("/"))
        parts = urlsplit(main)
        if other := _OTHER.get(parts.hostname or ""):
            port = f":{parts.port}" if parts.port else ""
            return cls(main.rstrip("/"), f"{parts.scheme}://{other}{port}", shared=True)
        return cls(main.rstrip("/"))

    def serves_content(self, host: str) -> bool:
        """Whether a request with this ``Host`` came to the content origin."""
        return bool(self.content) and _place(host, self.content) == _place(urlsplit(self.content).netloc, self.content)

    @property
    def trusted(self) -> bool:
        """Whether browsers allow service workers on the content origin."""
        parts = urlsplit(self.content)
        return parts.scheme == "https" or parts.hostname in _OTHER

    def leads_on(self, host: str) -> bool:
        """Whether who asks by this ``Host`` for a report can be sent to the content origin."""
        if not self.shared:
            return bool(self.content)
        return _place(host, self.main) == _place(urlsplit(self.main).netloc, self.main)


def _place(host: str, url: str) -> tuple[str, int]:
    """A host name and port, as compared."""
    scheme = urlsplit(url).scheme
    try:
        parts = urlsplit(f"{scheme}://{host}")
        return (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(scheme, 0)
    except ValueError:
        return "", 0


class ContentOrigin:
    """ASGI middleware: on the content origin there is nothing but reports."""

    def __init__(self, app: ASGIApp, origins: Origins) -> None:
        self._app, self._origins = app, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if not self._origins.serves_content(headers.get("host", "")):
            await self._app(scope, receive, send)
            return
        # Nobody is known by a cookie here, and nobody gets one.
        asked = [(name, value) for name, value in scope["headers"] if name.lower() != b"cookie"]
        scope = {**scope, "headers": asked}
        if refusal := self._refusal(scope, headers):
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        path: str = scope["path"]
        if path.startswith(PREFIX) and scope["method"] in ("GET", "HEAD"):
            return None
        mode = headers.get("sec-fetch-mode", "")
        if self._origins.shared and not mode:
            return None  # a program: browsers say how they came to ask
        if self._origins.shared and mode == "navigate" and scope["method"] == "GET":
            query = scope["query_string"].decode("latin-1")
            to = self._origins.main + path + (f"?{query}" if query else "")
            return RedirectResponse(to, 307, {"Cache-Control": "no-store"})
        return PlainTextResponse(
            "Here are reports of test runs, and nothing else.\n", 404, {"Cache-Control": "no-store"}
        )
