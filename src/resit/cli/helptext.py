"""How ``--help`` looks: two columns under a heading, no boxes; and the reference page made of it."""

import io
import re
from typing import TYPE_CHECKING, Any

from cyclopts import App

from resit.cli.settings import Exit

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

_LABEL_WIDTH = 26


class Columns:
    """A help formatter of Cyclopts."""

    def __call__(self, console: "Console", options: "ConsoleOptions", panel: "HelpPanel") -> None:
        """Print one group of commands or parameters."""
        from rich.table import Table
        from rich.text import Text

        if not panel.entries:
            return
        console.print(Text(f"{panel.title}:", "bold"))
        grid = Table.grid(padding=(0, 2))
        grid.add_column(width=_LABEL_WIDTH, no_wrap=False, overflow="fold")
        grid.add_column(overflow="fold")
        for entry in panel.entries:
            grid.add_row(Text(f"  {_label(entry)}", "cyan"), Text(_description(entry)))
        console.print(grid)
        console.print()

    def render_usage(self, console: "Console", options: "ConsoleOptions", usage: Any) -> None:
        """Print the usage line."""
        if usage:
            console.print("Usage:", usage)

    def render_description(self, console: "Console", options: "ConsoleOptions", description: Any) -> None:
        """Print what the command is for."""
        if description:
            console.print(_reflowed(_plain(description)), soft_wrap=False)
            console.print()


def _label(entry: "HelpEntry") -> str:
    return " ".join(entry.display_labels_with_metavar)


def _description(entry: "HelpEntry") -> str:
    choices = f" One of: {', '.join(entry.choices)}." if entry.choices else ""
    default = f" [default: {entry.default}]" if entry.default is not None else ""
    required = " [required]" if entry.required and entry.positive_names else ""
    return _plain(entry.description) + choices + default + required


def _plain(rich_text: Any) -> str:
    """The text of what Cyclopts has made of a docstring."""
    inner = getattr(rich_text, "primary_renderable", rich_text)
    return str(getattr(inner, "plain", inner) or "").strip()


def _reflowed(text: str) -> str:
    """Paragraphs without the line breaks of the source; indented lines stay as they are."""
    return re.sub(r"(?<=\S)\n(?=\S)", " ", text)


def help_of(app: App, *words: str, width: int = 80) -> str:
    """What ``resit WORDS --help`` prints."""
    from rich.console import Console

    page = io.StringIO()
    app.help_print([*words], console=Console(file=page, width=width, color_system=None, markup=False, highlight=False))
    return "\n".join(line.rstrip() for line in page.getvalue().strip().splitlines())


def commands(app: App) -> list[tuple[str, ...]]:
    """Every command by its words, groups before their members."""
    found: list[tuple[str, ...]] = []
    for name in app:
        if name.startswith("-"):
            continue
        found.append((name,))
        found += [(name, *inner) for inner in commands(app[name])]
    return found


_MEANINGS = {
    Exit.GREEN: "done; with `--wait`, and in `watch`: the run passed",
    Exit.RED: "the run failed, or had nothing but skipped tests",
    Exit.NOT_CARRIED_THROUGH: "the run was not carried through: errored or cancelled",
    Exit.USAGE: "wrong usage: a command, option or value that makes no sense; nothing was sent",
    Exit.REFUSED: "the server refused the request; the message says why",
    Exit.NOT_FOUND: "no such project, run, token or log within reach of the token",
    Exit.UNAVAILABLE: "no server found, or it does not answer, or it can't serve now",
    Exit.INTERNAL: "a fault of Resit itself",
    Exit.NOT_AUTHORISED: "no valid token, or one that does not cover this",
    Exit.INTERRUPTED: "interrupted with Ctrl-C; a run that was waited for goes on",
    Exit.UNREAD: "the reader of the output went away (`resit runs | head -1`), so the end was not told",
}


_HEAD = """# The command line

<!-- Made by `python -m resit.cli.helptext > docs/reference/cli.md`; a test compares. -->

Every page below is what `--help` prints. A run is named by its number, its short id or its uuid.

## Where the server is

`--data DIR` names the data folder of a server on this machine; the server keeps its address (`url`) and an admin token
(`admin-token`, readable by its user alone) there. Without it, `RESIT_URL` and `RESIT_TOKEN` count, and then the default
folder: `RESIT_DATA`, else `$XDG_DATA_HOME/resit`, else `~/.local/share/resit`.

## JSON

With `--json`, stdout holds one JSON document and nothing else; progress of `--wait` goes to stderr. `run`, `rerun`,
`watch`, `show` and `cancel` print the run (`id`, `short_id`, `status`, `verdict`, `counts`, `source_run_id`,
`selection`, …); `show --tests` adds `tests`, every row of the ledger. Lists print `items`.

## Exit codes

An error is one line on stderr that begins with `resit:`, and often a second one that says what to do.

| code | meaning |
|---|---|
"""


def reference(app: App) -> str:
    """The page docs/reference/cli.md. Regenerate it with ``python -m resit.cli.helptext``."""
    codes = "\n".join(f"| {code.value} | {meaning} |" for code, meaning in _MEANINGS.items())
    pages: list[tuple[str, ...]] = [(), *commands(app)]
    helps = [f"## {' '.join(('resit', *words))}\n\n```text\n{help_of(app, *words)}\n```" for words in pages]
    return "\n\n".join([_HEAD + codes, *helps]) + "\n"


if __name__ == "__main__":
    import sys

    from resit.cli.main import make_app

    sys.stdout.write(reference(make_app()))
