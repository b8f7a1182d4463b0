"""Reports of runs: JUnit files."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from resit.cli import output
from resit.cli.options import RunRef
from resit.cli.settings import COMMON, CommandError, Common, Exit

if TYPE_CHECKING:
    from resit.client import Client

Output = Annotated[Path | None, Parameter(name=("--output", "-o"), metavar="FILE", help="Write to this file.")]


def junit(
    run: RunRef,
    /,
    *,
    output_: Output = None,
    attachments: Annotated[
        Path | None,
        Parameter(metavar="DIR", help="Download the files of results into this folder, and name them there."),
    ] = None,
    common: Common = COMMON,
) -> int:
    """Write a run as a JUnit file, whatever became of it; one that goes on as it stands now.

    Example: resit junit 12 --output junit.xml
    """
    if common.json:
        raise CommandError(
            "a JUnit file is no JSON document", "leave out --json; `resit show RUN --tests --json` is one"
        )
    with common.connect() as client:
        if output_ is None:
            for piece in client.reports.junit(run, _named(attachments, Path())):
                sys.stdout.write(piece)
        else:
            size = write_junit(client, run, output_, attachments)
            output.say(output.console(no_color=common.no_color), f"{output_}: {size} bytes")
        if attachments is not None:
            files, missing = save_attachments(client, run, attachments)
            lacking = f", {missing} are not there" if missing else ""
            output.say_error(f"{files} files in {attachments}{lacking}")
    return Exit.GREEN


def write_junit(client: "Client", run: str, to: Path, attachments: Path | None = None) -> int:
    """Write a run's JUnit file, whole or not at all; returns its size in bytes."""
    from resit.client.reports import write_whole

    pieces = client.reports.junit(run, _named(attachments, to.parent))
    try:
        return write_whole(to, (piece.encode() for piece in pieces))
    except OSError as error:
        raise CommandError(f"{to} can't be written: {error.strerror or error}") from error


def save_attachments(client: "Client", run: str, folder: Path) -> tuple[int, int]:
    """Download the files of a run's results; how many there are, and how many are missing."""
    from resit.domain.junit import file_name

    files = missing = 0
    for artifact in client.reports.artifacts(run):
        if not artifact["stored"]:
            missing += 1
            continue
        try:
            client.reports.save_artifact(artifact["id"], folder / file_name(artifact["id"], artifact["name"]))
        except OSError as error:
            raise CommandError(f"{folder} can't be written: {error.strerror or error}") from error
        files += 1
    return files, missing


def _named(folder: Path | None, beside: Path) -> str:
    """A folder as it is named in a file that stands in another one."""
    return "" if folder is None else Path(os.path.relpath(folder, beside)).as_posix()
