"""Projects and environments: made, found and changed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from resit.domain.access import Principal, Scope
from resit.domain.admission import check_priority
from resit.domain.errors import AlreadyExists, InvalidInput, NotFound
from resit.domain.failfast import check_max_failures
from resit.domain.fleet import DEFAULT_POOL
from resit.domain.project import (
    DEFAULT_ENVIRONMENT,
    REPOSITORY,
    Environment,
    Platform,
    Project,
    check_slug,
    check_text,
    check_variables,
    split_login,
)
from resit.domain.retention import check_policy
from resit.domain.schedule import check_schedule
from resit.domain.selection import Filters
from resit.ports import Clock, Cron, Ids, Signer, Store, Transaction
from resit.services.desk import Desk
from resit.services.pools import check_pool
from resit.services.timetable import follow

MAX_SHARDS = 256
MAX_GLOBS = 100
MAX_RUNS = 10_000
MAX_ENVIRONMENTS = 500
"""Environments of a project."""
MAX_NUMBER = 2**53
"""Greater than any number of a row, and still within every database's."""
PROJECT_CHANGES = (
    *("name", "branch", "shards", "time_limit", "stall_limit", "batch_limit", "max_runs", "priority", "max_failures"),
    *("repository", "keep_days", "keep_runs", "keep_bytes", "html_report"),
)
"""What can be changed of a project; the rest says which tests there are, and its runs have relied on that."""
ENVIRONMENT_CHANGES = (
    "name", "slug", "disabled", "match", "ignore", "schedule", "platform", "pool", "variables", "secrets",
)  # fmt: skip
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

    def __init__(
        self, store: Store, clock: Clock, ids: Ids, signer: Signer, executors: Collection[str], cron: Cron
    ) -> None:
        self._store, self._clock, self._ids, self._signer, self._cron = store, clock, ids, signer, cron
        self.executors = sorted(executors)

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
        stall_limit: float = 600.0,
        batch_limit: float = 0.0,
        max_runs: int = 0,
        priority: int = 0,
        max_failures: int = 0,
        repository: str = "",
    ) -> Project:
        """Register a suite. It gets the environment ``default`` at once."""
        principal.need_all()
        check_slug(slug)
        for field, text in (("source", source), ("workdir", workdir), ("setup", setup), ("config", config)):
            check_text(text, field)
        if executor not in self.executors:
            raise InvalidInput(
                f"no executor {executor[:80]!r}; there are: {', '.join(self.executors)}", field="executor"
            )
        for field, text in (("workdir", workdir), ("config", config)):
            if Path(text).is_absolute() or ".." in Path(text).parts:
                raise InvalidInput(f"{field} is a path inside the source, without '..'", field=field)
        now = self._clock.now()
        project = Project(
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
            stall_limit=stall_limit,
            batch_limit=batch_limit,
            max_runs=max_runs,
            priority=priority,
            max_failures=max_failures,
            repository=repository,
            created_at=now,
        )
        _check_project(project)
        check_source(source)
        source, with_login = split_login(source)
        sealed = self._signer.seal({_LOGIN: with_login}) if with_login else ""
        with self._store.write(alone=True) as tx:
            if tx.projects.by_slug(slug):
                raise AlreadyExists(f"there is a project {slug!r} already", field="slug")
            project = tx.projects.add(replace(project, source=source), sealed)
            default = Environment(
                id=0,
                uuid=self._ids.uuid(),
                project_id=project.id,
                slug=DEFAULT_ENVIRONMENT,
                created_at=now,
                updated_at=now,
            )
            tx.projects.add_environment(default, "")
        return project

    def change_project(self, principal: Principal, slug: str, changes: Mapping[str, Any]) -> Project:
        """Change some of ``PROJECT_CHANGES``; members that are absent stay.

        A greater ``max_runs`` lets waiting runs go ahead at once, a smaller one stops none. Raises
        :class:`InvalidInput`, :class:`NotFound`.
        """
        principal.need_all()
        _check_names(changes, PROJECT_CHANGES, "project")
        with self._store.write(alone=True) as tx:
            found = find_project(tx, principal, slug)
            found = replace(tx.projects.hold(found.id) or found, **changes)
            found = replace(found, name=found.name or found.slug)
            _check_project(found)
            tx.projects.save(found)
            desk = Desk(tx, self._clock.now())
            desk.admit(found)
            desk.file()
        return found

    def environment(self, principal: Principal, id: int) -> Environment:
        """An environment within reach. Raises :class:`NotFound`."""
        principal.need(Scope.RUNS_READ)
        with self._store.read() as tx:
            return find_environment(tx, principal, id)

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
        platform: Platform = Platform.LINUX,
        schedule: str = "",
        disabled: bool = False,
        pool: str = DEFAULT_POOL,
    ) -> Environment:
        """Add a target. Secrets are sealed here and never shown again. ``pool``: a name, or labels (domain/fleet.py).

        Raises :class:`AlreadyExists`, :class:`InvalidInput`, :class:`NotFound`.
        """
        principal.need(Scope.RUNS_WRITE)
        check_variables(secrets, field="secrets")
        now = self._clock.now()
        with self._store.write(alone=True) as tx:
            found = find_project(tx, principal, project)
            environment = Environment(
                id=0,
                uuid=self._ids.uuid(),
                project_id=found.id,
                slug=slug,
                name=name or slug,
                variables=dict(variables),
                secrets=tuple(sorted(secrets)),
                filters=Filters(tuple(match), tuple(ignore)),
                platform=platform,
                schedule=schedule,
                disabled=disabled,
                pool=check_pool(tx, pool, now),
                created_at=now,
                updated_at=now,
            )
            check_environment(environment)
            _need_slug(tx, found, slug)
            if len(tx.projects.environments(found.id)) >= MAX_ENVIRONMENTS:
                raise InvalidInput(f"a project has at most {MAX_ENVIRONMENTS} environments")
            made = tx.projects.add_environment(environment, self._signer.seal(secrets) if secrets else "")
            follow(tx, self._cron, made, now)
            return made

    def change_environment(self, principal: Principal, id: int, changes: Mapping[str, Any]) -> Environment:
        """Change some of ``ENVIRONMENT_CHANGES``; members that are absent stay.

        ``variables`` and ``secrets`` name what changes: a value sets, None takes away. ``match`` and ``ignore`` are the
        whole new lists. Runs that were requested before keep the variables that stood when a worker took them. Raises
        :class:`AlreadyExists`, :class:`InvalidInput`, :class:`NotFound`.
        """
        principal.need(Scope.RUNS_WRITE)
        _check_names(changes, ENVIRONMENT_CHANGES, "environment")
        words = dict(changes)
        with self._store.write(alone=True) as tx:
            found = before = find_environment(tx, principal, id)
            filters = Filters(
                tuple(words.pop("match", found.filters.match)), tuple(words.pop("ignore", found.filters.ignore))
            )
            variables = _merged(found.variables, words.pop("variables", {}))
            sealed = tx.projects.sealed(found.id)
            secrets = self._signer.unseal(sealed)
            if new := words.pop("secrets", {}):
                secrets = _merged(secrets, new)
                check_variables(secrets, field="secrets")
                sealed = self._signer.seal(secrets) if secrets else ""
            if "pool" in words:
                words["pool"] = check_pool(tx, words["pool"], self._clock.now())
            found = replace(
                found,
                **words,
                filters=filters,
                variables=variables,
                secrets=tuple(sorted(secrets)),
                updated_at=self._clock.now(),
            )
            found = replace(found, name=found.name or found.slug)
            check_environment(found)
            if found.slug != before.slug:
                project = tx.projects.get(found.project_id)
                if before.slug == DEFAULT_ENVIRONMENT:
                    raise InvalidInput(
                        f"the environment {DEFAULT_ENVIRONMENT!r} keeps its slug: runs that name none go there",
                        field="slug",
                    )
                if project is not None:
                    _need_slug(tx, project, found.slug)
            tx.projects.save_environment(found)
            if new:
                tx.projects.save_secrets(found, sealed)
            follow(tx, self._cron, found, self._clock.now())
            return found


def find_environment(tx: Transaction, principal: Principal, id: int) -> Environment:
    """An environment within reach. Raises :class:`NotFound`."""
    found = tx.projects.environment(id) if 0 < id < MAX_NUMBER else None
    if found is None or not principal.reaches(found.project_id):
        raise NotFound(f"no environment {id}", resource="environment", id=str(id))
    return found


def check_environment(environment: Environment) -> None:
    """Raise :class:`InvalidInput` for an environment that no run could use as it is meant."""
    check_slug(environment.slug)
    check_text(environment.name, "name")
    check_variables(environment.variables)
    if both := sorted(set(environment.variables) & set(environment.secrets)):
        raise InvalidInput(f"{both[0]!r} is given as a variable and as a secret", field="secrets")
    filters = environment.filters
    if len(filters.match) + len(filters.ignore) > MAX_GLOBS:
        raise InvalidInput(f"more than {MAX_GLOBS} filters", field="match")
    for field, globs in (("match", filters.match), ("ignore", filters.ignore)):
        for glob in globs:
            check_text(glob, field)
            if glob.startswith("!"):
                raise InvalidInput(
                    f"the filter {glob[:80]!r} begins with '!': what is left out is named in 'ignore'", field=field
                )
    check_schedule(environment.schedule)


def _need_slug(tx: Transaction, project: Project, slug: str) -> None:
    if tx.projects.environment_by_slug(project.id, slug):
        raise AlreadyExists(f"project {project.slug!r} has an environment {slug!r} already", field="slug")


def _check_names(changes: Mapping[str, Any], known: Collection[str], kind: str) -> None:
    if unknown := sorted(set(changes) - set(known)):
        raise InvalidInput(
            f"a {kind} has no {unknown[0][:80]!r} that can be changed; there are: {', '.join(known)}",
            field=unknown[0][:80],
        )


def _check_project(project: Project) -> None:
    for field in ("name", "branch", "repository"):
        check_text(getattr(project, field), field)
    if project.branch.startswith("-"):
        raise InvalidInput("a branch does not begin with '-'", field="branch")
    if not 0 <= project.shards <= MAX_SHARDS:
        raise InvalidInput(f"shards: 1 to {MAX_SHARDS}, or 0 for the suite's own setting", field="shards")
    if not 1 <= project.time_limit <= 7 * 86400:
        raise InvalidInput("time_limit: 1 second to 7 days", field="time_limit")
    for field in ("stall_limit", "batch_limit"):
        if not (getattr(project, field) == 0 or 1 <= getattr(project, field) <= 7 * 86400):
            raise InvalidInput(f"{field}: 1 second to 7 days, or 0 for none", field=field)
    if not 0 <= project.max_runs <= MAX_RUNS:
        raise InvalidInput(f"max_runs: 1 to {MAX_RUNS}, or 0 for no limit", field="max_runs")
    check_priority(project.priority)
    check_max_failures(project.max_failures)
    check_policy(project.keep_days, project.keep_runs, project.keep_bytes)
    if project.repository and not REPOSITORY.fullmatch(project.repository):
        raise InvalidInput(f"{project.repository[:80]!r} is no repository: 'owner/name'", field="repository")


def _merged(before: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    found = {name: value for name, value in before.items() if name not in changes}
    return found | {name: value for name, value in changes.items() if value is not None}
