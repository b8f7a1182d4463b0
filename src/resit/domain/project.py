"""Projects and their environments."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from resit.domain.errors import InvalidInput
from resit.domain.fleet import DEFAULT_POOL
from resit.domain.selection import Filters

DEFAULT_ENVIRONMENT = "default"
"""Every project has this environment from the start, so that a first run needs no settings."""

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
REPOSITORY = re.compile(r"[a-zA-Z0-9_.-]+/[a-zA-Z0-9_.-]+")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f\\]")
MAX_TEXT = 2_000
MAX_VARIABLES = 500
MAX_VALUE = 32_768


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Owner of environments, test cases, tokens and runs.

    ``source``: an absolute path (run in place, by the embedded worker alone) or a git URL. ``shards``: lanes of a run
    that names none (0: what the suite's own settings say). ``time_limit``: seconds from the first work to the end.
    ``max_runs``: runs of the project at work at a time, the others wait (0: no limit).
    ``priority`` and ``max_failures`` are those of runs that name none. ``repository``: the owner and
    name of what is under test, where that is not what the source says; see :func:`repository`. ``listed_in``: the run
    that listed the whole suite last; its test cases are the active ones.
    """

    id: int
    uuid: str
    slug: str
    name: str
    source: str
    executor: str
    branch: str = ""
    workdir: str = ""
    setup: str = ""
    config: str = ""
    shards: int = 0
    time_limit: float = 7200.0
    max_runs: int = 0
    stall_limit: float = 600.0
    """Seconds without a word from the test processes of a batch, after which they are ended; 0: none."""
    batch_limit: float = 0.0
    """Seconds that a batch may take; 0: none but the run's own."""
    priority: int = 0
    max_failures: int = 0
    keep_days: float = 0.0
    keep_runs: int = 0
    keep_bytes: int = 0
    """Retention: runs beyond this age, number or sum of their artifacts go, the oldest first; 0: no such limit."""
    html_report: bool = True
    """Make the HTML report of every finished run, where the framework has one."""
    repository: str = ""
    listed_in: int | None = None
    created_at: float = 0.0


class Platform(StrEnum):
    """What an environment's tests run on, for the one API that asks for it (CCExtractor, study 1.1)."""

    LINUX = "linux"
    WINDOWS = "windows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A named target of runs. ``secrets`` are names only here; their values leave storage for a worker alone.

    ``schedule``: a cron expression in UTC, kept and shown. A disabled environment takes no new runs.
    """

    id: int
    uuid: str
    project_id: int
    slug: str
    name: str = ""
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    secrets: tuple[str, ...] = ()
    filters: Filters = Filters()
    pool: str = DEFAULT_POOL
    """The pool that its runs go to: a name, or labels that are settled when a run is requested (domain/fleet.py)."""
    platform: Platform = Platform.LINUX
    disabled: bool = False
    schedule: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0


def repository(project: Project) -> str:
    """The owner and name of what is under test: the project's word, else its git URL's end, else ``local/<slug>``."""
    return under_test(project.repository, project.source, project.slug)


def under_test(said: str, source: str, slug: str) -> str:
    """:func:`repository` of a project of which only this is known."""
    return said or source_repository(source) or f"local/{slug}"


def source_repository(source: str) -> str:
    """``owner/name`` at the end of a git URL; empty for a folder."""
    if source.startswith(("/", "file:")):
        return ""
    parts = re.split(r"[/:]", source.rstrip("/").removesuffix(".git"))
    found = "/".join(parts[-2:])
    return found if REPOSITORY.fullmatch(found) else ""


def for_platform(environments: Sequence[Environment], platform: Platform) -> Environment | None:
    """The environment that stands for a platform: the one named like it, else the default, else the first that fits."""
    fitting = [e for e in environments if e.platform is platform and not e.disabled]
    for slug in (platform.value, DEFAULT_ENVIRONMENT):
        for found in fitting:
            if found.slug == slug:
                return found
    return fitting[0] if fitting else None


def check_text(text: str, field: str, most: int = MAX_TEXT) -> str:
    """A text that can be stored and shown, or :class:`InvalidInput`."""
    if len(text) > most or _UNSTORABLE.search(text):
        raise InvalidInput(f"{field} has a NUL, half a character or over {most} characters", field=field)
    return text


def check_url(url: str, field: str, most: int = MAX_TEXT) -> str:
    """An ``http`` or ``https`` address without credentials in it, or :class:`InvalidInput`."""
    check_text(url, field, most)
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        fine, parts = False, None
    if parts is None or not fine or not url.isascii() or _UNPRINTABLE.search(url):
        raise InvalidInput(f"{field} is an address with http:// or https://, its odd characters encoded", field=field)
    if parts.username is not None or parts.password is not None:
        raise InvalidInput(f"{field} holds no name or password: they would be shown to all who see it", field=field)
    return url


def split_login(source: str) -> tuple[str, str]:
    """A source without its credentials, and the whole when it had some (else empty).

    Only ``scheme://`` addresses can hold a password; the user of ``git@host:path`` or ``ssh://git@host`` is no secret.
    """
    scheme, found, rest = source.partition("://")
    host, slash, path = rest.partition("/")
    login, at, name = host.rpartition("@")
    if not found or not at or (scheme.lower() == "ssh" and ":" not in login):
        return source, ""
    return f"{scheme}://{name}{slash}{path}", source


def check_slug(slug: str, *, field: str = "slug") -> str:
    """The slug, or :class:`InvalidInput`."""
    if not _SLUG.fullmatch(slug):
        raise InvalidInput(
            f"{slug[:80]!r} is no slug: 1 to 64 lower-case letters, digits, '.', '_' or '-', "
            "beginning and ending with a letter or digit",
            field=field,
        )
    return slug


def check_variables(variables: Mapping[str, str], *, field: str = "variables") -> dict[str, str]:
    """Environment variables that a process can be given, or :class:`InvalidInput`."""
    if len(variables) > MAX_VARIABLES:
        raise InvalidInput(f"more than {MAX_VARIABLES} variables", field=field)
    for name, value in variables.items():
        if not _VARIABLE.fullmatch(name):
            raise InvalidInput(f"{name[:80]!r} is no name of an environment variable", field=field)
        if name.startswith("RESIT_"):
            raise InvalidInput(f"{name!r}: names that begin with RESIT_ are Resit's own", field=field)
        if len(value) > MAX_VALUE or _UNSTORABLE.search(value):
            words = f"the value of {name!r} has a NUL, half a character or over {MAX_VALUE} characters"
            raise InvalidInput(words, field=field)
    return dict(variables)
