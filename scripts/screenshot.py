"""Makes the picture of the README, docs/assets/demo.svg, from a real session.

Run it with ``.venv/bin/python scripts/screenshot.py``.

A server of its own runs the example suite of pytest; what the command line prints to a terminal is drawn by Rich.
"""

import os
import re
import shlex
import subprocess
import tempfile
import time
from contextlib import suppress
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "assets" / "demo.svg"
RESIT = ROOT / ".venv" / "bin" / "resit"
WIDTH = 98
SETUP = "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt"
SESSION = (
    ("run", "bank", "--wait"),
    ("rerun", "1", "--failed", "--reason", "is it flaky?", "--wait"),
    ("runs",),
)


def main() -> None:
    """Draw the session."""
    with tempfile.TemporaryDirectory(prefix="resit-") as folder:
        data = Path(folder, "data")
        command = [RESIT, "serve", "--data", data, "--port", "0"]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_for(data / "url", server)
            source = str(ROOT / "examples" / "pytest-bank")
            _resit(data, "project", "add", "bank", "--source", source, "--executor", "pytest", "--setup", SETUP)
            console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True, highlight=False)
            for words in SESSION:
                console.print(Text("$ ", "bold green").append(f"resit {shlex.join(words)}", "bold default"))
                console.print(Text.from_ansi(seen(_resit(data, *words))))
                console.print()
        finally:
            server.terminate()
            server.wait(20)
    svg = console.export_svg(title="resit", unique_id="resit")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # nothing is loaded from elsewhere
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text("".join(line.rstrip() + "\n" for line in svg.splitlines()), encoding="utf-8")


def seen(printed: str) -> str:
    """What stands on the screen in the end: lines that were drawn over are gone, colours stay."""
    lines, row = [""], 0
    for part in re.findall(r"\x1b\[\d*[AK]|\x1b\[\?\d+[lh]|\n|\r|\x1b\[[\d;]*m|[^\x1b\n\r]+", printed):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part.endswith("A") and part.startswith("\x1b"):
            row -= int(part[2:-1] or 1)
        elif part.endswith("K") and part.startswith("\x1b"):
            lines[row] = ""
        elif part != "\r" and not part.startswith("\x1b[?"):
            lines[row] += part
    return "\n".join(line.rstrip() for line in lines).rstrip()


def _resit(data: Path, *words: str) -> str:
    env = {**os.environ, "RESIT_DATA": str(data), "FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": str(WIDTH)}
    env.pop("NO_COLOR", None)
    return subprocess.run([RESIT, *words], env=env, capture_output=True, check=False, timeout=300).stdout.decode()


def _wait_for(url: Path, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        with suppress(OSError):
            if url.read_text().strip():
                return
        if server.poll() is not None:
            break
        time.sleep(0.05)
    raise SystemExit("the server did not start: look at `resit serve`")


if __name__ == "__main__":
    main()
