"""Pieces of queries that several reads share: what a run looks like to a reader, and filters as conditions."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, and_, case, false, func, literal_column, or_, select

from resit.domain.project import Platform, under_test
from resit.domain.status import Outcome
from resit.ports.reads import CaseFilter, LedgerFilter, RunFilter, RunView, TestCase
from resit.storage import rows, tables
from resit.storage.dialect import before_slash, like, member

_R, _L, _C, _E, _P = tables.runs, tables.ledger, tables.test_cases, tables.environments, tables.projects

VIEW = (
    select(
        _R,
        _P.c.slug.label("project"),
        _P.c.uuid.label("project_uuid"),
        _P.c.repository.label("repository"),
        _P.c.source.label("source"),
        _E.c.slug.label("environment"),
        _E.c.platform.label("platform"),
    )
    .join(_P, _P.c.id == _R.c.project_id)
    .join(_E, _E.c.id == _R.c.environment_id)
    .where(~_R.c.gone)
)
"""Runs with the names of their projects and environments, but those that retention takes apart."""

CASE = select(_C, (func.coalesce(_C.c.listed_in, 0) == func.coalesce(_P.c.listed_in, -1)).label("active")).join(
    _P, _P.c.id == _C.c.project_id
)
"""Test cases, and whether they are part of the suite as it was listed last."""


NOT_PASSED = _L.c.outcome != literal_column("'passed'")
"""In the words of the index of such rows: with a parameter in its place SQLite would not find it."""
SEPARATOR = " › "
"""Between the parts of a title."""


def contains(text: str, *columns: ColumnElement[Any]) -> ColumnElement[bool]:
    """One of the columns contains ``text`` as it stands, in either case."""
    # no database holds a NUL, and SQLite would read a pattern only up to it: it would find everything
    if "\0" in text:
        return false()
    return or_(*(like(column, f"%{_literally(text)}%") for column in columns))


def _titled(text: str, column: ColumnElement[Any]) -> ColumnElement[bool]:
    """``text`` is a part of a title, as it is shown, in a column that holds the title's parts as a JSON list."""
    path = rows.dumps(text.split(SEPARATOR))[2:-2]
    # without the marks that begin and end the list
    marks = 4
    bare = case((func.length(column) > marks, func.substr(column, 3, func.length(column) - marks)), else_="")
    return contains(path, bare)


def _literally(text: str) -> str:
    """A text as a pattern that means nothing but itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def ends(text: str, column: ColumnElement[Any]) -> ColumnElement[bool]:
    """The column ends with ``text``, in either case."""
    if "\0" in text:
        return false()
    return like(column, f"%{_literally(text)}")


def first_folder(name: str, column: ColumnElement[Any]) -> ColumnElement[bool]:
    """The first folder of a path has this name, in either case."""
    if "\0" in name:
        return false()
    return like(before_slash(column), _literally(name))


def tagged(tags: Iterable[str], column: ColumnElement[Any]) -> ColumnElement[bool]:
    """One of the tags is in a column that holds a JSON list of texts; one of them is found with its quotes."""
    bare = [rows.dumps(tag.removeprefix("@"))[1:-1] for tag in tags]
    return or_(*(contains(f'"{at}{tag}"', column) for tag in bare for at in ("", "@")))


def run_view(row: Any) -> RunView:
    """A row of :data:`VIEW`."""
    source, slug = row["source"], row["project"]
    return RunView(
        rows.run(row),
        slug,
        row["environment"],
        project_uuid=row["project_uuid"],
        repository=under_test(row["repository"], source, slug),
        source=source,
        platform=Platform(row["platform"]),
    )


def test_case(row: Any) -> TestCase:
    """A row of :data:`CASE`."""
    path = tuple(rows.loads(row["title"], []))
    own = rows.loads(row["own_tags"] or "", None)
    return TestCase(
        id=row["id"],
        uuid=row["uuid"],
        test=row["test"],
        file=row["file"],
        title=SEPARATOR.join(path),
        variant=row["variant"],
        tags=tuple(rows.loads(row["tags"], []) if own is None else own),
        line=row["line"],
        expected=row["expected"],
        last_outcome=row["last_outcome"],
        last_run_id=row["last_run_id"],
        project_id=row["project_id"],
        key=row["key"],
        title_path=path,
        active=bool(row["active"]),
        draft=row["draft"],
        goal=row["goal"],
        first_commit=row["first_commit"],
        last_commit=row["last_commit"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def built(name: str) -> ColumnElement[str | None]:
    """A member of what is under test; null where nothing is said of it."""
    return member(_R.c.build, name)


built_branch: ColumnElement[Any] = func.coalesce(built("branch"), _R.c.branch)
"""The branch of what is under test, or the test repository's where nothing is said of it."""
built_commit: ColumnElement[Any] = func.coalesce(built("commit"), _R.c.commit_sha)
"""The commit likewise."""


def run_conditions(which: RunFilter) -> list[ColumnElement[bool]]:
    """A filter over runs."""
    found: list[ColumnElement[bool]] = []
    equal = (
        (_R.c.project_id, which.project_id),
        (_R.c.id, which.run_id),
        (_R.c.test_plan_id, which.test_plan_id),
        (_R.c.via, which.via and which.via.value),
        (_R.c.triggered_by, which.triggered_by or None),
        (_E.c.slug, which.environment or None),
        (_E.c.platform, which.platform and which.platform.value),
        (_R.c.branch, which.branch or None),
        (built_branch, which.build_branch or None),
        (func.lower(built_commit), which.build_commit.lower() or None),
    )
    found.extend(column == value for column, value in equal if value is not None)
    if which.project_ids is not None:
        found.append(_R.c.project_id.in_(which.project_ids))
    if which.environment_ids:
        found.append(_R.c.environment_id.in_(which.environment_ids))
    if which.kinds:
        found.append(or_(*(_kind(status, verdict) for status, verdict in which.kinds)))
    if which.created_from is not None:
        found.append(_R.c.created_at >= which.created_from)
    if which.created_to is not None:
        found.append(_R.c.created_at <= which.created_to)
    if which.branches:
        found.append(_R.c.branch.in_(which.branches))
    if which.before is not None:
        found.append(_R.c.id < which.before)
    if which.who:
        found.append(contains(which.who, _R.c.triggered_by, _R.c.actor))
    if which.text:
        build = [func.coalesce(built(name), "") for name in ("branch", "commit", "message", "version")]
        found.append(contains(which.text, _R.c.reason, _R.c.branch, _R.c.commit_sha, *build))
    return found


def _kind(status: str | None, verdict: str | None) -> ColumnElement[bool]:
    parts = [(_R.c.status, status), (_R.c.verdict, verdict)]
    return and_(*(column == str(value) for column, value in parts if value is not None))


def state_condition(state: str) -> ColumnElement[bool]:
    """Ledger rows in a state: an outcome, or planned, running, did_not_run."""
    match state:
        case "planned":
            return and_(_L.c.outcome.is_(None), _L.c.running.is_(False))
        case "running":
            return and_(_L.c.outcome.is_(None), _L.c.running.is_(True))
        case "did_not_run":
            return _L.c.precluded.is_(True)
        case Outcome.PASSED:
            return _L.c.outcome == Outcome.PASSED.value
        case outcome:
            return and_(_L.c.outcome == outcome, NOT_PASSED)


def ledger_conditions(run_id: int, which: LedgerFilter) -> list[ColumnElement[bool]]:
    """A filter over one run's ledger."""
    found = [_L.c.run_id == run_id, _L.c.ordinal > which.after]
    if which.state:
        found.append(state_condition(which.state))
    if which.states:
        found.append(or_(*(state_condition(state) for state in which.states)))
    if which.text:
        found.append(or_(contains(which.text, _L.c.test, _L.c.file, _L.c.reason), _titled(which.text, _L.c.title)))
    if which.test:
        found.append(or_(_L.c.test == which.test, _L.c.case_uuid == which.test))
    if which.case_id is not None:
        found.append(_L.c.case_uuid == select(_C.c.uuid).where(_C.c.id == which.case_id).scalar_subquery())
    if which.batch is not None:
        found.append(_L.c.batch == which.batch)
    if which.file is not None:
        found.append(_L.c.file == which.file)
    if which.file_part:
        found.append(contains(which.file_part, _L.c.file))
    if which.folder:
        found.append(first_folder(which.folder, _L.c.file))
    if which.tag:
        found.append(tagged([which.tag], _L.c.tags))
    if which.since is not None:
        found.append(_L.c.seq > which.since)
    return found


def case_conditions(project_id: int | None, which: CaseFilter) -> list[ColumnElement[bool]]:
    """A filter over test cases (of a project); those that were only asked for and never seen are left out."""
    found = [or_(_C.c.listed_in.is_not(None), _C.c.draft)]
    if project_id is not None:
        found.append(_C.c.project_id == project_id)
    if which.active is not None:
        active = func.coalesce(_C.c.listed_in, 0) == func.coalesce(_P.c.listed_in, -1)
        found.append(active if which.active else ~active)
    if which.names:
        found.append(or_(*(column.in_(which.names) for column in (_C.c.test, _C.c.key, _C.c.uuid))))
    if which.ids:
        found.append(_C.c.id.in_(which.ids))
    if which.file_prefix:
        found.append(func.substr(_C.c.file, 1, len(which.file_prefix)) == which.file_prefix)
    if which.tags:
        found.append(tagged(which.tags, func.coalesce(_C.c.own_tags, _C.c.tags)))
    if which.folder:
        found.append(first_folder(which.folder, _C.c.file))
    if not which.drafts:
        found.append(~_C.c.draft)
    if which.search:
        found.append(or_(contains(which.search, _C.c.test, _C.c.file), _titled(which.search, _C.c.title)))
    if which.sample is not None:
        files = tables.files
        here = (files.c.id == which.sample, files.c.project_id == _C.c.project_id, files.c.path == _C.c.file)
        found.append(select(files.c.id).where(*here).correlate(_C).exists())
    equal = (
        (_C.c.variant, which.variant),
        (_C.c.first_commit, which.first_commit),
        (_C.c.last_commit, which.last_commit),
    )
    found.extend(column == value for column, value in equal if value)
    return found
