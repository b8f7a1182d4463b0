"""One origin, several faces: each path belongs to one dialect, and everything under it is answered in its form."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from resit.api.ccextractor import app as ccextractor
from resit.api.empirical import app as empirical
from resit.api.observe import note
from resit.api.qatech import app as qatech

NAMES = {"ccextractor": ccextractor.owns, "qatech": qatech.owns, "empirical": empirical.owns}
"""Each vendor's dialect and the paths that it has on the vendor's own origin. The first one that owns a path wins."""


def face(path: str) -> tuple[str, str]:
    """The dialect that answers a path (empty: Resit's own), and the path as that dialect knows it.

    A path may begin with the dialect's name, for clients whose base URL can have a path of its own: then nothing has to
    be guessed. Doubled slashes, which base URLs with a slash at the end make, count as one.
    """
    while "//" in path:
        path = path.replace("//", "/")
    first, _, rest = path[1:].partition("/")
    if first in NAMES:
        return first, f"/{rest}"
    for name, owns in NAMES.items():
        if owns(path):
            return name, path
    return "", path


@dataclass(frozen=True, slots=True)
class Faces:
    """ASGI middleware: hands a request to the dialect that its path belongs to, without a redirect.

    ``root``: the path of the server's public URL, where it has one; requests may come with or without it.
    """

    app: ASGIApp
    dialects: Sequence[tuple[str, ASGIApp]]
    root: str = ""
    page: ASGIApp | None = None
    """The web page, which has the paths whose first part is one of ``pages``."""
    pages: Set[str] = frozenset()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path: str = scope["path"]
        if self.root and (path == self.root or path.startswith(f"{self.root}/")):
            path = path[len(self.root) :] or "/"
        name, path = face(path)
        if path != scope["path"]:
            scope = {**scope, "path": path, "raw_path": path.encode("utf-8", "surrogateescape")}
        app = dict(self.dialects).get(name, self.app)
        if not name and self.page is not None and path[1:].partition("/")[0] in self.pages:
            name, app = "page", self.page
        try:
            await app(scope, receive, send)
        finally:
            # Whoever watches is outside, and has another scope.
            note(name, scope)
