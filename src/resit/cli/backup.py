"""``resit backup`` and ``resit restore``: the data folder of an embedded database, as one file."""

import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from resit.cli.output import console, local_time
from resit.cli.settings import CommandError, Exit
from resit.cli.sizes import size
from resit.config import default_data_dir
from resit.domain.errors import InvalidInput, NotFound, ResitError, Unavailable

Data = Annotated[Path | None, Parameter(metavar="DIR", help="The data folder.")]


def backup(
    *,
    data: Data = None,
    output: Annotated[
        Path | None,
        Parameter(name="--output", metavar="FILE", help="Where to write it. Default: resit-DATE.tar.gz, here."),
    ] = None,
    with_keys: Annotated[
        bool, Parameter(help="Put secret.key and admin-token into it: who has the file then can read all secrets.")
    ] = False,
    artifacts_url: Annotated[
        str,
        Parameter(
            env_var="RESIT_ARTIFACTS_URL", metavar="URL", help="The server's --artifacts-url, if it was given one."
        ),
    ] = "",
) -> int:
    """Back a server up, while it runs: database and artifacts, in one file that is there whole or not at all.

    For servers with the embedded database. Artifacts in an object store are not part of it, nor is PostgreSQL:
    see docs/howto/back-up-and-restore.md. Without --with-keys, keep a copy of secret.key in another place.

    Example: resit backup --output /backups/resit.tar.gz
    """
    from resit.bootstrap.backup import backup as write

    folder = (data.expanduser() if data else default_data_dir()).absolute()
    to = (output or Path(time.strftime("resit-%Y-%m-%d-%H%M%S.tar.gz"))).expanduser().absolute()
    try:
        made = write(folder, _artifacts(folder, artifacts_url), to, keys=with_keys, say=_say)
    except (ResitError, OSError) as error:
        raise _failed(error) from error
    what = f"{made.files} files ({size(made.file_bytes)})" if made.files else "no files"
    _say(f"{to}: a database of {size(made.database_bytes)}, {what}; {size(to.stat().st_size)} in all")
    if made.missing:
        _say(f"{made.missing} files that the database knows were not there")
    if with_keys:
        _say("it holds secret.key: who has the file can read all secrets of environments")
    else:
        _say(f"it holds no keys: without {folder / 'secret.key'} the secrets of environments can't be read again")
    return Exit.GREEN


def _say(text: str) -> None:
    console().print(text, markup=False, highlight=False, soft_wrap=True)


def _artifacts(folder: Path, url: str) -> Path | None:
    """The folder of the artifacts; None when they are in an object store."""
    from resit.integrations.files import FolderArtifacts
    from resit.integrations.places import open_artifacts

    found = open_artifacts(url, folder / "artifacts")
    return found.folder if isinstance(found, FolderArtifacts) else None


def restore(
    file: Annotated[Path, Parameter(help="What resit backup has written.")],
    /,
    *,
    data: Data = None,
    force: Annotated[bool, Parameter(help="In place of what the folder holds.")] = False,
) -> int:
    """Make a data folder from a backup. The server that is started on it then goes on with the runs that were open.

    All checksums are compared before anything is put in its place.

    Example: resit restore /backups/resit.tar.gz --data /srv/resit
    """
    from resit.bootstrap.backup import restore as put

    folder = (data.expanduser() if data else default_data_dir()).absolute()
    try:
        made = put(file.expanduser().absolute(), folder, force=force, say=_say)
    except (ResitError, OSError) as error:
        raise _failed(error) from error
    _say(f"{folder} is as it was at {local_time(made.made_at)}: {made.files} files ({size(made.file_bytes)})")
    if not (folder / "secret.key").exists():
        _say("the backup holds no keys: put your copy of secret.key into the folder before you start the server")
    return Exit.GREEN


def _failed(error: ResitError | OSError) -> CommandError:
    if isinstance(error, OSError):
        return CommandError(f"{error.strerror}: {error.filename}" if error.filename else str(error), exit=Exit.REFUSED)
    code = Exit.REFUSED
    if isinstance(error, NotFound):
        code = Exit.NOT_FOUND
    elif isinstance(error, Unavailable):
        code = Exit.UNAVAILABLE
    elif isinstance(error, InvalidInput):
        code = Exit.USAGE
    return CommandError(error.message, exit=code)
