"""A project's setup command: when it has to run, and what it made."""

import hashlib
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from resit.worker.command import Log, run
from resit.worker.environment import setup_environment

SHELL = "/bin/sh"

_LOCK_FILES = (
    *("package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock", "bun.lock", "package.json"),
    *("uv.lock", "poetry.lock", "Pipfile.lock", "Pipfile", "pyproject.toml", "setup.py", "setup.cfg"),
    *(".python-version", ".nvmrc", ".node-version", ".tool-versions", "requirements*.txt"),
)
"""What decides which packages a setup installs."""
_INSTALLED = ("node_modules", ".venv", "venv", "vendor")
"""Folders that a setup usually makes; also one that was there before is missed when it is gone."""
_PROGRAMS = ("python3", "python", "node")


class SetupError(Exception):
    """The setup command failed: its exit code and last words, then what to do."""


@dataclass(frozen=True, slots=True)
class Setup:
    """The setup of one folder: ``command`` is run by the shell in ``workdir``; ``env`` is its complete environment."""

    command: str
    root: Path
    workdir: Path
    env: Mapping[str, str]

    @classmethod
    def of(cls, command: str, root: Path, workdir: Path, variables: Mapping[str, str], worker: str = "") -> "Setup":
        """The setup command of a project with ``variables`` of its environment, on ``worker``."""
        return cls(command, root, workdir, setup_environment(variables, worker=worker))

    def key(self) -> str:
        """A hash of what decides the outcome: the command, lock and requirement files, Python and Node."""
        found = hashlib.sha256(self.command.encode())
        for folder in dict.fromkeys((self.root, self.workdir)):
            for path in sorted({path for name in _LOCK_FILES for path in folder.glob(name) if path.is_file()}):
                found.update(f"\0{path.relative_to(self.root)}\0".encode())
                found.update(hashlib.sha256(path.read_bytes()).digest())
        for program in _PROGRAMS:
            found.update(f"\0{_identity(program, self.env.get('PATH', ''))}".encode())
        return found.hexdigest()

    def listed(self) -> set[str]:
        """The names at the top of the folder, relative to the root."""
        return {str(path.relative_to(self.root)) for folder in (self.root, self.workdir) for path in folder.iterdir()}

    def made(self, before: Iterable[str]) -> tuple[str, ...]:
        """The folders that the setup made at the top, so that one that vanishes is noticed."""
        new = self.listed() - set(before)
        usual = {name for name in self.listed() if Path(name).name in _INSTALLED}
        return tuple(sorted(name for name in new | usual if (self.root / name).is_dir()))

    def whole(self, made: Iterable[str]) -> bool:
        """Whether everything that the setup made is still there."""
        return all((self.root / name).exists() for name in made)

    async def execute(self, log: Log, deadline: float, keep_open: Iterable[int] = ()) -> None:
        """Run the command until ``deadline`` (monotonic). Raises :class:`SetupError`.

        What it leaves running in its process group is ended: it prepares files, the tests' servers are not its work.
        """
        log(f"Setup: {self.command}")
        began = time.monotonic()
        try:
            done = await run(
                [SHELL, "-c", self.command],
                cwd=self.workdir,
                env=self.env,
                log=log,
                limit=deadline - began,
                keep_open=tuple(keep_open),
            )
        except OSError as error:
            raise SetupError(f"the setup command could not be started: {error}") from error
        if done.timed_out:
            raise SetupError(
                f"the setup command did not end within {max(0.0, deadline - began):.0f} s: {done.last_words()}; "
                "make it faster, or raise the time limit"
            )
        if done.code:
            how = f"exit code {done.code}" if done.code > 0 else f"signal {-done.code}"
            raise SetupError(
                f"the setup command failed with {how}: {done.last_words()}; "
                f"run it by hand in a fresh checkout: {self.command}"
            )
        log(f"Setup done in {time.monotonic() - began:.1f} s")


def _identity(program: str, path: str) -> str:
    """What changes when another version of ``program`` is installed; much cheaper than to ask it."""
    found = shutil.which(program, path=path)
    if not found:
        return ""
    real = os.path.realpath(found)
    state = Path(real).stat()
    return f"{real} {state.st_size} {state.st_mtime_ns}"
