"""The pages of the documentation, cut into fenced blocks, and shell sessions compared with what they show.

A ``console`` block is a session: lines that begin with ``$ `` are commands, the lines after a command are what it
prints. ``...`` stands for anything within a line, a line ``...`` for any lines. A command ends with 0 unless
``$ echo $?`` follows it. The blocks of a page share one shell. A ``python`` block is a program that must end with 0.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXECUTED = {"console", "python"}
NOT_EXECUTED = {"text", "yaml", "toml", "json"}
MARK = "\x02"
_FENCE = re.compile(r"^(`{3,})(\S*)[^\n]*\n(.*?)^\1\s*$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\(([^)\s]+)\)|!\[[^\]\n]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block; ``line`` is where its text begins."""

    language: str
    text: str
    line: int


@dataclass
class Command:
    """A command of a session, and the lines that it should print."""

    text: str
    line: int
    shown: list[str] = field(default_factory=list)


def all_pages() -> list[Path]:
    """README and what is under docs, in the order of their names."""
    more = (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))
    return [*(page for page in more if page.exists()), *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [Block(m[2], m[3], text[: m.start(3)].count("\n") + 1) for m in _FENCE.finditer(text)]


def links(page: Path) -> list[str]:
    """The targets of links and pictures, outside of fenced blocks."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return [first or second for first, second in _LINK.findall(text)]


def session(block: Block) -> list[Command]:
    """The commands of a console block."""
    found: list[Command] = []
    more = False
    for number, line in enumerate(block.text.splitlines(), block.line):
        if more:
            found[-1].text += "\n" + line
        elif line.startswith("$ "):
            found.append(Command(line[2:], number))
        elif found:
            found[-1].shown.append(line)
        else:
            raise ValueError(f"line {number}: a session begins with a command: {line!r}")
        more = (more or line.startswith("$ ")) and line.endswith("\\")
    return found


def commands(page: Path) -> list[Command]:
    """Everything on a page that is executed, as commands of one shell."""
    found: list[Command] = []
    for block in blocks(page):
        if block.language == "console":
            found += session(block)
        elif block.language == "python":
            found.append(Command(f"python - <<'END_OF_BLOCK'\n{block.text}END_OF_BLOCK", block.line, ["..."]))
    return found


def script(page: list[Command]) -> str:
    """A shell script that runs the commands and writes a mark and the exit code after each."""
    mark = f"__code=$?; printf '{MARK}%s{MARK}' $__code; (exit $__code)"
    return "".join(f"{command.text}\n{mark}\n" for command in page)


def told(output: str) -> Iterator[tuple[str, int]]:
    """What each command of :func:`script` printed, and its exit code."""
    parts = output.split(MARK)
    for printed, code in zip(parts[::2], parts[1::2], strict=False):
        yield printed, int(code)


def matches(shown: list[str], printed: str) -> bool:
    """Whether the lines of a page are what was printed; how many blanks stand in a row does not count."""
    pattern = ""
    for line in shown:
        if line.strip() == "...":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += ".*?".join(re.escape(part) for part in _blanks(line).split("...")) + r"\n"
    lines = "".join(_blanks(line) + "\n" for line in printed.splitlines())
    return re.fullmatch(pattern, lines) is not None


def _blanks(line: str) -> str:
    return re.sub(r"[ \t]+", " ", line.rstrip())
