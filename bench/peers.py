"""What Resit is measured against: a virtual environment of its own, made when it is first needed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PYTHON = HERE / ".venv" / "bin" / "python"
WANTED = HERE / "peers.txt"
OURS = ("RESIT_", "PYTEST_", "VIRTUAL_ENV", "PYTHONPATH")


def environment() -> dict[str, str]:
    """Without what is ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}


def node() -> str:
    """Node.js."""
    return shutil.which("node") or sys.exit("there is no node on the PATH: Playwright can't be measured")


def prepare() -> None:
    """Install the peers, unless they are there as they are wanted."""
    mark = HERE / ".venv" / "peers.txt"
    if mark.exists() and mark.read_bytes() == WANTED.read_bytes():
        return
    shutil.rmtree(HERE / ".venv", ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", HERE / ".venv"], check=True)
    subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", "--requirement", WANTED], check=True)
    mark.write_bytes(WANTED.read_bytes())


if __name__ == "__main__":
    prepare()
