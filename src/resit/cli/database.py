"""``resit db``: bring the database up to date, and look whether all is well with it. No server needs to run."""

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from resit.cli import output
from resit.cli.settings import CommandError, Exit
from resit.config import Settings, default_data_dir
from resit.domain.errors import InvalidInput, ResitError

if TYPE_CHECKING:
    from sqlalchemy import Engine

db = App(name="db", help="Bring the database up to date, look whether all is well with it.", help_epilogue="")

Data = Annotated[Path | None, Parameter(metavar="DIR", help="Data folder of the server.")]
DatabaseUrl = Annotated[
    str,
    Parameter(
        env_var="RESIT_DATABASE_URL",
        metavar="URL",
        help="postgresql://USER:PASSWORD@HOST/NAME, or RESIT_DATABASE_URL; without it, the file in the data folder.",
    ),
]


def _settings(data: Path | None, url: str, artifacts: str = "") -> Settings:
    folder = (data.expanduser() if data else default_data_dir()).absolute()
    return Settings(data=folder, database=url, artifacts_url=artifacts)


def _refused(error: ResitError) -> CommandError:
    return CommandError(error.message, exit=Exit.USAGE if isinstance(error, InvalidInput) else Exit.UNAVAILABLE)


def _there(engine: "Engine") -> None:
    """Raise :class:`CommandError` for a file that is not there: to open it would make it."""
    path = engine.url.database
    if engine.dialect.name == "sqlite" and not Path(path or "").is_file():
        raise CommandError(f"there is no database {path}", "name the server's data folder with --data", Exit.NOT_FOUND)


@db.command
def upgrade(*, data: Data = None, database_url: DatabaseUrl = "") -> int:
    """Bring the schema of the database up to date, in one transaction; a new database gets all of it.

    resit serve does the same when it starts. Where several control planes share a database, upgrade it before the first
    of them is started in its new version.

    Example: resit db upgrade --data /var/lib/resit
    """
    from resit.storage import migrate
    from resit.storage.connect import connect

    settings = _settings(data, database_url)
    try:
        engine = connect(settings.database_url)
        if engine.dialect.name == "sqlite":
            Path(engine.url.database or "").parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        before = migrate.current(engine)
        done = migrate.upgrade(engine)
        engine.dispose()
    except ResitError as error:
        raise _refused(error) from error
    to = output.console()
    if done:
        output.say(
            to, f"The database is at version {migrate.newest()} now; it was {f'at {before}' if before else 'empty'}."
        )
    else:
        output.say(to, f"The database is at version {before}, the newest; nothing was to be done.")
    return Exit.GREEN


@db.command
def copy(
    *,
    to: Annotated[str, Parameter(env_var="RESIT_COPY_TO", metavar="URL", help="The other database, which is empty.")],
    data: Data = None,
    database_url: DatabaseUrl = "",
) -> int:
    """Copy everything into another database, in one transaction: to move from the embedded one to PostgreSQL, or back.

    Stop the server before: what it writes afterwards is not copied. The first database stays as it is. Then start the
    server with the other one and the same data folder, which keeps the secret key and the files of artifacts.

    Example: resit db copy --to postgresql://resit:PASSWORD@db.example.org/resit
    """
    from resit.storage.connect import connect
    from resit.storage.copying import copied

    settings = _settings(data, database_url)
    console, tables, rows = output.console(), 0, 0
    try:
        source, target = connect(settings.database_url), connect(to)
        _there(source)
        for number in copied(source, target):
            tables, rows = tables + 1, rows + number
        source.dispose()
        target.dispose()
    except ResitError as error:
        raise _refused(error) from error
    output.say(console, f"Copied {rows} rows of {tables} tables.")
    return Exit.GREEN


@db.command
def check(
    *,
    data: Data = None,
    database_url: DatabaseUrl = "",
    artifacts_url: Annotated[
        str,
        Parameter(env_var="RESIT_ARTIFACTS_URL", metavar="URL", help="Where artifacts are kept, as for resit serve."),
    ] = "",
    newest: Annotated[
        int | None, Parameter(metavar="N", help="Look at the N newest runs alone; without it, at all of them.")
    ] = None,
) -> int:
    """Look whether all is well: the database's schema and structure, the accounts of runs, the files of artifacts.

    Nothing is changed, and a server may be at work meanwhile. Every problem is one line; with one or more the command
    exits with 1.

    Example: resit db check --newest 500
    """
    if newest is not None and newest < 1:
        raise CommandError(f"--newest {newest}: at least 1 is needed")
    from resit.integrations.places import open_artifacts
    from resit.storage import check as checks
    from resit.storage.connect import connect

    settings = _settings(data, database_url, artifacts_url)
    to, looked, problems = output.console(), checks.Looked(), 0
    try:
        engine = connect(settings.database_url)
        _there(engine)
        artifacts = open_artifacts(settings.artifacts_url, settings.artifacts)
        places = [checks.structure(engine)]
        if checks.migrate.current(engine) == checks.migrate.newest():
            places += [checks.runs(engine, looked, newest), checks.files(engine, artifacts, looked, newest)]
        for words in chain(*places):
            problems += 1
            output.say(to, words)
        engine.dispose()
    except ResitError as error:
        raise _refused(error) from error
    seen = f"{looked.runs} runs with {looked.tests} tests, {looked.files} files"
    if problems:
        output.say(to, f"{problems} problems; looked at {seen}")
        return Exit.RED
    output.say(to, f"All is well: version {checks.migrate.newest()}, {seen}.")
    return Exit.GREEN
