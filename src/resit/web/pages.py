"""Making pages of templates: the words for times, numbers and states, and the addresses of everything."""

import hashlib
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from resit import __version__
from resit.control.context import Services
from resit.domain.project import Project
from resit.domain.run import Run
from resit.domain.verdict import in_words
from resit.ports.reads import RunView
from resit.services.sessions import title as role_title
from resit.web.door import Visitor

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
LETTERS = {
    "passed": "p",
    "failed": "f",
    "errored": "e",
    "lost": "l",
    "not_found": "n",
    "did_not_run": "d",
    "flaky": "y",
    "skipped": "s",
    "cancelled": "c",
    "running": "r",
    "planned": "w",
}
"""A letter for each state of a test: a page of 10,000 cells is 10 kB."""
PROJECTS = 200


def page(
    request: Request, use: Services, name: str, found: Visitor | None, /, status: int = 200, **said: Any
) -> HTMLResponse:
    """A page of a template."""
    return HTMLResponse(text(request, use, name, found, **said), status, HEADERS)


def text(request: Request, use: Services, name: str, found: Visitor | None, /, **said: Any) -> str:
    """The same, only its text: for a part of a page."""
    root = urlsplit(use.url).path.rstrip("/")
    now = use.clock.now()

    def url(path: str, /, **query: Any) -> str:
        more = {key: value for key, value in query.items() if value not in ("", None)}
        return f"{root}{path}{'?' + urlencode(more) if more else ''}"

    def asset(name: str) -> str:
        return f"{root}/static/{name}?v={_fingerprint(name)}"

    def when(at: float | None) -> Markup:
        return _when(at, now)

    theme = request.cookies.get("resit_theme", "")
    words: dict[str, Any] = {
        "url": url,
        "asset": asset,
        "visitor": found,
        "theme": theme if theme in ("dark", "light") else "",
        "version": __version__,
        "path": request.url.path,
        "when": when,
        "now": now,
        "projects": _projects(use, found) if found else (),
    }
    return _templates().get_template(name).render({**words, **said})


def _projects(use: Services, found: Visitor) -> list[Project]:
    return list(use.reads.projects(found.who.project_id, 0, PROJECTS).items)


@cache
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("resit.web"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = made.filters
    filters |= {
        "seconds": seconds,
        "size": size,
        "short": short,
        "first": first_line,
        "role": role_title,
        "web": web_address,
        "plural": plural,
    }
    words: dict[str, Any] = made.globals
    words |= {"verdict_word": verdict_word, "in_words": in_words, "source_of": source_of, "name_of": name_of}
    return made


@cache
def _fingerprint(name: str) -> str:
    return hashlib.sha256(files("resit.web").joinpath("static", name).read_bytes()).hexdigest()[:12]


# ------------------------------------------------------------ words


def verdict_word(run: Run) -> str:
    """How a run came out, or how far it got, in one word."""
    if run.status == "cancelled":
        return "superseded" if run.superseded_by else "cancelled"
    return str(run.verdict or run.status)


def source_of(view: RunView) -> str:
    """What a run was of, in few words."""
    run = view.run
    if run.source_run_id is not None or run.source_gone is not None:
        return {"all": "all again", "failed": "failed again", "chosen": "chosen again"}[str(run.selection.kind)]
    if run.selection.tests:
        return f"{len(run.selection.tests)} chosen tests"
    return f"tagged {', '.join(run.selection.tags)}" if run.selection.tags else ""


def part_of(view: RunView) -> str:
    """What a run was asked for, in words, if that was not the whole suite."""
    run = view.run
    if run.source_run_id is not None or run.source_gone is not None:
        words = {"failed": "what failed", "chosen": "chosen tests"}.get(str(run.selection.kind), "")
        return f"{words} of run {run.source_run_id}" if words and run.source_run_id is not None else words
    return source_of(view)


def name_of(value: Any) -> str:
    """A test as people name it: its titles and its variant."""
    path = list(value.title_path) or [value.title]
    return " › ".join(path)


def seconds(value: float | None) -> str:
    """``80 ms``, ``12.3 s``, ``2 min 5 s``, ``1 h 20 min``."""
    if value is None:
        return ""
    if value < 1:
        return f"{max(value, 0.0) * 1000:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(value: float) -> str:
    """``12 B``, ``3.4 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def short(commit: str) -> str:
    """A commit as people say it."""
    return commit[:8] if len(commit) == 40 else commit


def plural(number: int, one: str) -> str:
    """``1 test``, ``2 tests``."""
    return f"{number:,} {one if number == 1 else one + 's'}"


def first_line(value: str) -> str:
    """The first line that says something."""
    return next((line.strip() for line in value.splitlines() if line.strip()), "")


def web_address(value: str) -> str:
    """An address that a link may lead to; empty for anything else (``javascript:`` and its like)."""
    return value if value.startswith(("http://", "https://")) else ""


def _when(at: float | None, now: float) -> Markup:
    """A time as it is said, with the exact one behind it."""
    if not at:
        return Markup("")
    moment = datetime.fromtimestamp(at, UTC)
    exact = moment.strftime("%Y-%m-%d %H:%M:%S UTC")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        moment.strftime("%Y-%m-%dT%H:%M:%SZ"), exact, ago(now - at)
    )


def ago(past: float) -> str:
    """``3 min ago``, ``in 2 h``."""
    size_, said = abs(past), "just now"
    for unit, word in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if size_ >= unit:
            said = f"{int(size_ // unit)} {word}"
            return f"{said} ago" if past > 0 else f"in {said}"
    return said if past > -1 else "in a moment"
