"""``resit doctor``: what is wrong with an installation, and what to do."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from resit.cli import output
from resit.cli.settings import COMMON, CommandError, Common, Exit
from resit.config import Settings, default_data_dir
from resit.domain.doctor import Finding, Level, clock, worst

if TYPE_CHECKING:
    from resit.client import Client

_SIGNS = {Level.OK: ("✓", "green"), Level.WARNING: ("!", "yellow"), Level.PROBLEM: ("✗", "red")}
_CODES = {Level.OK: 0, Level.WARNING: 1, Level.PROBLEM: 2}


def doctor(
    *,
    deep: Annotated[bool, Parameter(help="Have the server's database check itself, which reads all of it.")] = False,
    common: Common = COMMON,
) -> int:
    """Look for what is wrong with an installation, and say what to do.

    It asks the server, as its administrator; where none answers, it looks at this machine and at the data folder.
    Ends with 0 when all is well, 1 for warnings, 2 for problems.

    Example: resit doctor
             resit doctor --json
    """
    where, found = _examine(common, deep=deep)
    level = worst(found)
    if common.json:
        findings = [{"name": f.name, "level": f.level, "words": f.words, "advice": f.advice} for f in found]
        output.print_json({"level": level, "examined": where, "findings": findings})
    else:
        _print(where, found, common)
    return _CODES[level]


def _examine(common: Common, *, deep: bool) -> tuple[str, list[Finding]]:
    """What was examined, and what was found."""
    from resit.client import Refused, ServerAway

    try:
        client = common.connect()
    except CommandError as error:
        # No server's address is known: nothing was started here yet, or it says so clearly what is wrong.
        if error.exit is not Exit.UNAVAILABLE:
            raise
        return _here(common, Finding("server", Level.OK, "no server runs on this machine: the machine is looked at"))
    with client:
        try:
            return client.url, _asked(client, client.doctor(integrity=deep))
        except ServerAway as away:
            if _remote(common):
                raise
            words = f"no server answers: {away.message}"
            return _here(common, Finding("server", Level.PROBLEM, words, "start it: resit serve; its log says more"))
        except Refused as refused:
            if refused.status == 404:
                raise CommandError(f"{client.url} is of a version without a doctor", exit=Exit.REFUSED) from refused
            raise


def _remote(common: Common) -> bool:
    return common.data is None and bool(os.environ.get("RESIT_URL", "").strip())


def _here(common: Common, first: Finding) -> tuple[str, list[Finding]]:
    from resit.bootstrap.machine import look_here

    folder = (common.data.expanduser() if common.data else default_data_dir()).absolute()
    return str(folder), [first, *look_here(_settings(folder))]


def _settings(folder: Path) -> Settings:
    """What a server that is started here would take from its environment."""
    key = os.environ.get("RESIT_SECRET_KEY", "")
    return Settings(
        data=folder,
        database=os.environ.get("RESIT_DATABASE_URL", ""),
        nats_url=os.environ.get("RESIT_NATS_URL", ""),
        secret_key=Path(key) if key else None,
    )


def _asked(client: "Client", said: dict[str, Any]) -> list[Finding]:
    """The server's findings, and what can be seen only from here."""
    from resit import __version__

    found = [Finding(f["name"], Level(f["level"]), f["words"], f["advice"]) for f in said["findings"]]
    found.append(clock("clock", "the server", client.clock_ahead()))
    if said["version"] != __version__:
        words = f"this command is of version {__version__}, the server of {said['version']}"
        found.append(Finding("version", Level.WARNING, words, "bring both to one version"))
    if said["url"].rstrip("/") != client.url:
        found.append(_reachable(client, said["url"]))
    return found


def _reachable(client: "Client", url: str) -> Finding:
    if client.answers(url):
        return Finding("url", Level.OK, f"the server is reached at {url}")
    words = f"from here, no Resit answers at {url}: links in notices and badges lead there"
    return Finding("url", Level.WARNING, words, "look at --url of resit serve, and at the proxy in front of it")


def _print(where: str, found: Sequence[Finding], common: Common) -> None:
    from rich.text import Text

    console = output.console(no_color=common.no_color)
    output.say(console, f"Examined: {output.clean(where)}")
    for finding in found:
        sign, style = _SIGNS[finding.level]
        line = Text(f"{sign} ", style=style)
        line.append(f"{finding.name.replace('_', ' ')}: {output.clean(finding.words)}", style="")
        output.say(console, line)
        if finding.advice:
            output.say(console, f"    {output.clean(finding.advice)}")
    numbers = [sum(finding.level is level for finding in found) for level in (Level.PROBLEM, Level.WARNING)]
    output.say(console, f"{numbers[0]} problems, {numbers[1]} warnings, {len(found) - sum(numbers)} well")
