"""Reports of runs: JUnit files, and HTML reports of Playwright."""

import os
import shutil
import sys
import time
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from resit.cli import output
from resit.cli.options import RunRef
from resit.cli.settings import COMMON, CommandError, Common, Exit

if TYPE_CHECKING:
    from resit.client import Client

_PAUSES = 0.3, 3.0
"""Seconds between two looks at a report in the making: the first, and the longest."""
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


def report(
    run: RunRef,
    /,
    *,
    output_: Annotated[
        Path | None,
        Parameter(name=("--output", "-o"), metavar="DIR", help="Download it with all files, to open from disk."),
    ] = None,
    no_wait: Annotated[bool, Parameter(help="Do not wait for one that is being made.")] = False,
    common: Common = COMMON,
) -> int:
    """Show where the HTML report of a run of Playwright is, or download it.

    The address opens without a token, for 12 hours.

    Example: resit report 12 --output report-12
    """
    if output_ is not None and output_.exists() and (not output_.is_dir() or any(output_.iterdir())):
        raise CommandError(f"{output_} is there already", "name a folder that is empty, or not there yet")
    with common.connect() as client:
        found = client.reports.html(run) if no_wait else _made(client, run, common)
        if output_ is not None and found["state"] == "ready":
            _download(client, run, output_)
    if common.json:
        output.print_json(found)
    elif found["state"] == "ready":
        console = output.console(no_color=common.no_color)
        output.say(console, str(output_ / "index.html") if output_ else output.clean(found["url"]))
    else:
        words = output.clean(found["words"], lines=True) or {
            "waiting": "it waits for a worker of the run's pool",
            "working": "a worker makes it now",
        }.get(found["state"], "")
        output.say_error(f"run {run} has no HTML report: {output.clean(found['state'])}", words)
    return Exit.GREEN if found["state"] == "ready" or (no_wait and not output_) else Exit.REFUSED


def _made(client: "Client", run: str, common: Common) -> dict[str, Any]:
    """The report of a run when nobody works on it any more."""
    from resit.client import closed

    console, told, pause = output.console(no_color=common.no_color, stderr=True), "", _PAUSES[0]
    while True:
        found = client.reports.html(run)
        going = found["state"] == "none" and not closed(client.run(run))
        if found["state"] not in ("waiting", "working") and not going:
            return found
        state = "the run goes on" if going else f"the report is {found['state']}"
        if state != told:
            output.say(console, f"{state[0].upper()}{state[1:]} ...")
            told, pause = state, _PAUSES[0]
        time.sleep(pause)
        pause = min(pause * 1.5, _PAUSES[1])


def _download(client: "Client", run: str, to: Path) -> None:
    """Unpack the report into a folder that appears whole or not at all."""
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=to.parent, prefix=f".{to.name}-") as folder:
            packed, files = Path(folder, "report.zip"), Path(folder, "report")
            client.reports.save_html(run, packed)
            unpack(packed, files)
            if to.is_dir():
                to.rmdir()
            files.replace(to)
    except zipfile.BadZipFile as error:
        raise CommandError(f"what the server sent is no report: {error}") from error
    except OSError as error:
        raise CommandError(f"{to} can't be written: {error.strerror or error}") from error


def unpack(packed: Path, to: Path) -> None:
    """Unpack a report. Nothing is written outside of ``to``, and no more than ``packed`` holds.

    Raises OSError, :class:`zipfile.BadZipFile`.
    """
    from resit.domain.report import safe_name

    to.mkdir()
    with zipfile.ZipFile(packed) as file:
        if sum(info.file_size for info in file.infolist()) > packed.stat().st_size:
            raise zipfile.BadZipFile("files in it lie over each other")
        for info in file.infolist():
            if not safe_name(info.filename):
                raise zipfile.BadZipFile(f"a file in it is called {output.clean(info.filename)[:80]!r}")
            if info.compress_type != zipfile.ZIP_STORED:
                raise zipfile.BadZipFile("it is compressed")
            path = to / info.filename
            path.parent.mkdir(parents=True, exist_ok=True)
            with file.open(info) as content, path.open("xb") as target:
                shutil.copyfileobj(content, target)


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
