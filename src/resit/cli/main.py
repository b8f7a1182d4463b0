"""The ``resit`` command: its commands by name, and what becomes of their errors.

Commands are named here and imported when they are used, so that ``resit --help`` costs next to nothing.
"""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from io import TextIOWrapper
from typing import Any

from cyclopts import App, CycloptsError, Group, Parameter, UnknownOptionError
from cyclopts.exceptions import ConsumeMultipleError, UnknownCommandError

from resit.cli import output
from resit.cli.helptext import Columns, commands
from resit.cli.settings import EXIT_CODES, CommandError, Exit

_COMMANDS = {
    "Begin": ("serve:serve", "projects:project", "projects:env", "people:link", "tokens:token"),
    "Run": ("trigger:run", "trigger:rerun", "runs:watch", "runs:change", "runs:cancel", "schedules:schedule"),
    "Keep": ("retention:keep", "test_plans:test_plan", "snoozes:snooze", "webhooks:webhook"),
    "Look": ("runs:runs", "runs:show", "logs:logs", "reports:junit", "reports:report", "insights:flaky"),
    "Work": ("worker:worker", "fleet:workers", "fleet:pool", "fleet:worker_credential"),
    "Operate": (
        "doctor:doctor",
        "backup:backup",
        "backup:restore",
        "retention:usage",
        "retention:retention",
        "people:user",
        "people:org",
        "database:db",
        "nats:nats_key",
    ),
}
"""The commands of each group of the help page, with the module that holds them."""

_HELP = """Resit runs your tests, accounts for every one, and runs again what you choose.

On the machine of `resit serve` the other commands find the server by themselves, through its data folder.
From elsewhere set RESIT_URL and RESIT_TOKEN.

Example: resit serve
         resit project add shop --source ./shop-tests --executor pytest
         resit run shop --wait"""


def _version() -> str:
    from resit import __version__

    return f"resit {__version__}"


def make_app() -> App:
    """The command line as an object."""
    app = App(
        name="resit",
        help=_HELP,
        help_epilogue=EXIT_CODES,
        help_format="plaintext",
        help_formatter=Columns(),
        version=_version,
        default_parameter=Parameter(negative=(), json_list=False, json_dict=False, show_default=False),
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
    )
    for number, (group, targets) in enumerate(_COMMANDS.items()):
        shown = Group(group, sort_key=number)
        for place, target in enumerate(targets):
            app.command(f"resit.cli.{target}", name=_name(target), group=shown, sort_key=place)
    app["--help"].group = app["--version"].group = ()
    return app


def _name(target: str) -> str:
    return target.partition(":")[2].replace("_", "-")


def call(argv: Sequence[str], app: App | None = None) -> int:
    """Do what the arguments say; gives the exit code. Every error is one clear line."""
    app = app or make_app()
    if not argv or argv[0] in ("--help", "-h"):
        commands(app)  # The list of commands says what each is for: it needs them all.
    try:
        done = app(argv)
    except CycloptsError as error:
        output.say_error(*_usage(error))
        return Exit.USAGE
    except CommandError as error:
        output.say_error(error.message, error.hint)
        return error.exit
    except KeyboardInterrupt:
        output.say_error("interrupted")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Nobody reads on (`resit runs | head`): not worth a word, but never a green end of --wait.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.UNREAD
    except Exception as error:
        code = _client_error(error)
        return _fault(error) if code is None else code
    return int(done) if isinstance(done, int) else Exit.GREEN


def _fault(error: Exception) -> int:
    """A fault of ours: everything a report needs, and never the exit code of a red run."""
    traceback.print_exception(error)
    output.say_error(
        f"this is a fault of Resit: {type(error).__name__}: {error}", "please report it with the lines above"
    )
    return Exit.INTERNAL


def _usage(error: CycloptsError) -> tuple[str, str]:
    command = " ".join(error.command_chain or ())
    hint = f"resit {command} --help" if command else "resit --help"
    if isinstance(error, UnknownCommandError):
        # Its own text imports every command to look for likely names.
        word = (error.unused_tokens or [""])[0]
        known = [_name(target) for targets in _COMMANDS.values() for target in targets]
        near = get_close_matches(word, known, 1)
        return f"there is no command {word!r}{f' (did you mean {near[0]}?)' if near else ''}", hint
    if isinstance(error, UnknownOptionError | ConsumeMultipleError):
        hint = f"{hint}; a value that begins with a hyphen is written --option=-value"
    return str(error), hint


def _client_error(error: Exception) -> int | None:
    """The exit code of an error of the client, said aloud; None for any other error.

    Only a command that spoke to a server has loaded the client: looking there keeps the start fast.
    """
    if "resit.client" not in sys.modules:
        return None
    from resit.client import ClientError, Refused

    if not isinstance(error, ClientError):
        return None
    message, code = error.message, Exit.UNAVAILABLE
    if isinstance(error, Refused):
        code = {401: Exit.NOT_AUTHORISED, 403: Exit.NOT_AUTHORISED, 404: Exit.NOT_FOUND}.get(error.status, Exit.REFUSED)
        if error.field and error.field not in message:
            message = f"{error.field}: {message}"
    output.say_error(message, error.hint)
    return code


def main(argv: Sequence[str] | None = None, leave: Callable[[int], Any] = sys.exit) -> None:
    """Entry point of ``resit``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    leave(call(sys.argv[1:] if argv is None else argv))
