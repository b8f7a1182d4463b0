"""Projects and environments: made and found."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from resit.domain.access import Principal, Scope
from resit.domain.errors import AlreadyExists, InvalidInput, NotFound
from resit.domain.project import (
    DEFAULT_ENVIRONMENT,
    Environment,
    Project,
    check_slug,
    check_text,
    check_variables,
    split_login,
)
from resit.domain.selection import Filters
from resit.ports import Clock, Ids, Signer, Store, Transaction

MAX_SHARDS = 256
MAX_GLOBS = 100
_LOGIN = "source"
"""The name under which a source with its credentials is sealed."""


def find_project(tx: Transaction, principal: Principal, slug: str) -> Project:
    """A project within reach. Raises :class:`NotFound`, in the same words whether it exists elsewhere or not."""
    project = tx.projects.by_slug(slug)
    if project is None or not principal.reaches(project.id):
        raise NotFound(f"no project {slug[:80]!r}", field="project")
    return project


def whole_source(tx: Transaction, signer: Signer, project: Project) -> str:
    """A project's source as it was given, its credentials included: for the worker that checks it out, nobody else."""
    return signer.unseal(tx.projects.sealed_source(project.id)).get(_LOGIN, project.source)


def check_source(source: str) -> str:
    """An absolute folder or a git URL that a worker can try; whether it is there is found out by the run."""
    if not source or source.startswith("-") or any(c in source for c in "\0\n\r"):
        raise InvalidInput("the source is a folder's absolute path or a git URL", field="source")
    if source.startswith("/"):
        if not _is_folder(source):
            raise InvalidInput(f"the source folder {source[:200]} does not exist on the server", field="source")
        return source
    scheme = source.partition("://")[0].lower() if "://" in source else ""
    scp_like = "@" in source.split(":", 1)[0] and ":" in source
    if scheme not in ("https", "http", "ssh", "git", "file") and not scp_like:
        raise InvalidInput(
            f"{source[:200]!r} is neither an absolute path nor a git URL (https://, ssh://, git@host:path, file://)",
            field="source",
        )
    if scheme and not _has_host(source, scheme):
        raise InvalidInput(f"{source[:200]!r} names no repository", field="source")
    return source


def _has_host(url: str, scheme: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.path.strip("/") if scheme == "file" else parts.hostname and (parts.port or 1) > 0)
    except ValueError:
        return False


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except OSError:
        # too long a name, or a folder that the server may not look into
        return False


class Catalog:
    """What there is to run, and against what."""

    def __init__(self, store: Store, clock: Clock, ids: Ids, signer: Signer, executors: Collection[str]) -> None:
        self._store, self._clock, self._ids, self._signer = store, clock, ids, signer
        self._executors = sorted(executors)

    def add_project(
        self,
        principal: Principal,
        *,
        slug: str,
        source: str,
        executor: str,
        name: str = "",
        branch: str = "",
        workdir: str = "",
        setup: str = "",
        config: str = "",
        shards: int = 0,
        time_limit: float = 7200.0,
    ) -> Project:
        """Register a suite. It gets the environment ``default`` at once."""
        principal.need_all()
        check_slug(slug)
        texts = {"source": source, "name": name, "branch": branch, "workdir": workdir, "setup": setup, "config": config}
        for field, text in texts.items():
            check_text(text, field)
        if branch.startswith("-"):
            raise InvalidInput("a branch does not begin with '-'", field="branch")
        if executor not in self._executors:
            raise InvalidInput(
                f"no executor {executor[:80]!r}; there are: {', '.join(self._executors)}", field="executor"
            )
        for field, text in (("workdir", workdir), ("config", config)):
            if Path(text).is_absolute() or ".." in Path(text).parts:
                raise InvalidInput(f"{field} is a path inside the source, without '..'", field=field)
        if not 0 <= shards <= MAX_SHARDS:
            raise InvalidInput(f"shards: 1 to {MAX_SHARDS}, or 0 for the suite's own setting", field="shards")
        if not 1 <= time_limit <= 7 * 86400:
            raise InvalidInput("time_limit: 1 second to 7 days", field="time_limit")
        check_source(source)
        source, with_login = split_login(source)
        sealed = self._signer.seal({_LOGIN: with_login}) if with_login else ""
        now = self._clock.now()
        with self._store.write() as tx:
            if tx.projects.by_slug(slug):
                raise AlreadyExists(f"there is a project {slug!r} already", field="slug")
            project = tx.projects.add(
                Project(
                    id=0,
                    uuid=self._ids.uuid(),
                    slug=slug,
                    name=name or slug,
                    source=source,
                    executor=executor,
                    branch=branch,
                    workdir=workdir,
                    setup=setup,
                    config=config,
                    shards=shards,
                    time_limit=time_limit,
                    created_at=now,
                ),
                sealed,
            )
            default = Environment(
                id=0, uuid=self._ids.uuid(), project_id=project.id, slug=DEFAULT_ENVIRONMENT, created_at=now
            )
            tx.projects.add_environment(default, "")
        return project

    def add_environment(
        self,
        principal: Principal,
        project: str,
        *,
        slug: str,
        name: str = "",
        variables: Mapping[str, str],
        secrets: Mapping[str, str],
        match: Sequence[str] = (),
        ignore: Sequence[str] = (),
    ) -> Environment:
        """Add a target. Secrets are sealed here and never shown again."""
        principal.need(Scope.SYSTEM_WRITE)
        check_slug(slug)
        check_text(name, "name")
        check_variables(variables)
        check_variables(secrets, field="secrets")
        if both := sorted(set(variables) & set(secrets)):
            raise InvalidInput(f"{both[0]!r} is given as a variable and as a secret", field="secrets")
        if len(match) + len(ignore) > MAX_GLOBS:
            raise InvalidInput(f"more than {MAX_GLOBS} filters", field="match")
        for glob in (*match, *ignore):
            check_text(glob, "match")
        with self._store.write() as tx:
            found = find_project(tx, principal, project)
            if tx.projects.environment_by_slug(found.id, slug):
                raise AlreadyExists(f"project {project!r} has an environment {slug!r} already", field="slug")
            environment = Environment(
                id=0,
                uuid=self._ids.uuid(),
                project_id=found.id,
                slug=slug,
                name=name or slug,
                variables=dict(variables),
                secrets=tuple(sorted(secrets)),
                filters=Filters(tuple(match), tuple(ignore)),
                created_at=self._clock.now(),
            )
            return tx.projects.add_environment(environment, self._signer.seal(secrets) if secrets else "")
