"""How the pytest of a suite is found and started, and what its processes say and print."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resit.domain.events import Log
from resit.executors.process import Exit, SpoolTail, TestProcess
from resit.executors.stacks import Hang, ask, hang
from resit.executors.watch import Overdue, Watch, seconds
from resit.plugin import ExecutorError, NotASuite, Sink, Suite

__all__ = ["Command", "Running", "Tail", "Versions", "process_of"]

_PLUGIN = Path(__file__).parent / "injected" / "resit_pytest.py"
_OLDEST = 7
_PROBE_SECONDS = 60.0  # for the question which pytest a Python has
_TAIL = 4000  # characters of output shown with an error
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# Without the working directory, which -c puts first: a folder "pytest" there is not the framework.
_PROBE = "import sys; sys.path[:] = [p for p in sys.path if p]; import pytest; print('pytest', pytest.__version__)"


class Command:
    """How this suite's pytest is started."""

    def __init__(self, suite: Suite, interpreter: Path, version: str, *, own: bool) -> None:
        self.suite = suite
        self.version = version
        self._interpreter = interpreter
        self._own = own

    @property
    def key(self) -> str:
        """Of the suite, for what is remembered of it while the worker lives."""
        return "\0".join((str(self.suite.root), str(self.suite.workdir), self.suite.config))

    @classmethod
    async def find(cls, suite: Suite, versions: "Versions", sink: Sink) -> "Command":
        """The suite's own Python. Raises :class:`NotASuite` when it has no pytest, or one that is too old."""
        tried: list[str] = []
        for interpreter, own in interpreters(suite):
            version = await versions.of(interpreter, suite)
            if version is None:
                if own:
                    raise NotASuite(
                        f"{interpreter} can't import pytest. Install it into this environment, for example with a "
                        f"setup command of the project (--setup '{interpreter} -m pip install -r requirements.txt')."
                    )
                tried.append(str(interpreter))
                continue
            if int(version.partition(".")[0]) < _OLDEST:
                raise NotASuite(f"{interpreter} has pytest {version}; {_OLDEST}.0 or later is needed.")
            sink(Log(f"resit: pytest {version} of {interpreter}\n"))
            return cls(suite, interpreter, version, own=own)
        raise NotASuite(
            f"No Python that can import pytest (tried {', '.join(tried) or 'none'}). Make a .venv with pytest in the "
            f"folder of the tests, for example with a setup command of the project (--setup)."
        )

    def argv(self, folder: Path, more: Sequence[str]) -> list[str]:
        """The command; ``folder`` is private to this process."""
        argv = [str(self._interpreter), str(_PLUGIN), "-p", _PLUGIN.stem]
        # Private: lanes that run at once would share it, --lf of the suite would look at other batches, and the
        # repository stays clean.
        argv += ["-o", f"cache_dir={folder / 'cache'}"]
        if self.suite.config:
            argv += ["-c", self.suite.config, "--rootdir", str(self.suite.workdir)]
        return [*argv, *more]

    def env(self, settings: Path) -> dict[str, str]:
        """The suite's environment, and where the plugin finds its settings."""
        env = {"PYTHONUNBUFFERED": "1", **self.suite.env, "RESIT_PYTEST": str(settings)}
        if self._own:  # as activated: tests call the programs that were installed beside them
            programs = self._interpreter.parent
            env["VIRTUAL_ENV"] = str(programs.parent)
            env["PATH"] = os.pathsep.join(filter(None, (str(programs), env.get("PATH"))))
        return env


@contextlib.asynccontextmanager
async def process_of(
    command: Command,
    name: str,
    settings: Mapping[str, Any],
    on_line: Callable[[dict[str, Any]], None],
    tail: "Tail",
    watch: Watch,
    more: Sequence[str] = (),
) -> AsyncGenerator["Running"]:
    """A pytest process and the tail of its spool; at the end the spool is read out and survivors are killed."""
    folder = Path(tempfile.mkdtemp(prefix=f"pytest-{name}-", dir=command.suite.scratch))
    outputs = folder / "outputs"
    outputs.mkdir()
    spool = folder / "spool.jsonl"
    file = folder / "settings.json"
    file.write_text(json.dumps({**settings, "spool": str(spool), "outputs": str(outputs)}), encoding="utf-8")
    argv = command.argv(folder, more)
    try:
        process = await TestProcess.start(
            argv, cwd=command.suite.workdir, env=command.env(file), on_output=tail.add, on_sign=watch.sign
        )
    except OSError as error:
        raise ExecutorError(f"{argv[0]} can't be started in {command.suite.workdir}: {error}") from error
    spool_tail = SpoolTail(spool, on_line, watch.sign)
    following = asyncio.create_task(spool_tail.run())
    watch.start()
    try:
        yield Running(process, spool_tail, watch, command.suite.workdir)
    except asyncio.CancelledError:
        await process.stop()
        raise
    finally:
        following.cancel()
        await process.stop(grace=0)  # it has ended, or something broke: nothing of it stays behind either way
        with contextlib.suppress(asyncio.CancelledError):
            await following
        spool_tail.drain()
        for done in (spool, file):
            done.unlink(missing_ok=True)
        shutil.rmtree(folder / "cache", ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Running:
    """A pytest process, what it tells, and the limits that hold for it."""

    process: TestProcess
    spool: SpoolTail
    watch: Watch
    root: Path

    async def ended(self, stacks: Mapping[int, tuple[int, str]], files: Callable[[], Iterable[str]]) -> "Exit | Hang":
        """How the process ended; or where it hangs, if it is over a limit: then it still runs."""
        while isinstance(over := await self.watch.wait(self.process), Overdue):
            self.spool.drain()
            if over.final or self.watch.silent:  # else it said something a moment ago
                return hang(over, await ask(stacks), self.root, files())
        return over


class Tail:
    """Passes on what is printed, and keeps the end of it for error messages."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._kept = ""

    def add(self, text: str) -> None:
        self._sink(Log(text))
        self._kept = (self._kept + text)[-2 * _TAIL :]

    @property
    def text(self) -> str:
        """The last lines, without control codes."""
        plain = _CONTROL.sub("", self._kept).strip()
        return plain if len(plain) <= _TAIL else plain[-_TAIL:].partition("\n")[2]


def interpreters(suite: Suite) -> "list[tuple[Path, bool]]":
    """Where to look for Python, in order; True = a virtual environment of the suite's own, which must do."""
    bases = dict.fromkeys((suite.workdir, suite.root))
    own = [base / name / "bin" / "python" for base in bases for name in (".venv", "venv")]
    others: list[Path] = []
    if suite.env.get("VIRTUAL_ENV"):
        others.append(Path(suite.env["VIRTUAL_ENV"]) / "bin" / "python")
    search = suite.env.get("PATH", "")
    found = [shutil.which(name, path=search) for name in ("python3", "python")] if search else []
    others += [Path(program) for program in found if program]
    others.append(Path(sys.executable))
    return [(path, True) for path in own if path.exists()] + [
        (path, False) for path in dict.fromkeys(others) if path.exists()
    ]


class Versions:
    """The versions of pytest that interpreters import; asked once an interpreter, as asking takes half a second."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, str | None], str] = {}

    async def of(self, interpreter: Path, suite: Suite) -> str | None:
        """The version, or None when there is no pytest: that is asked again, as a setup may install it."""
        key = interpreter, suite.env.get("PYTHONPATH")
        if key not in self._known:
            version = await self._ask(interpreter, suite)
            if version is None:
                return None
            self._known[key] = version
        return self._known[key]

    async def _ask(self, interpreter: Path, suite: Suite) -> str | None:
        printed: list[str] = []
        argv = [str(interpreter), "-c", _PROBE]
        try:
            process = await TestProcess.start(argv, cwd=suite.workdir, env=suite.env, on_output=printed.append)
        except OSError:
            return None
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                exit = await process.wait()
        except TimeoutError as error:
            raise NotASuite(
                f"{interpreter} did not import pytest within {seconds(_PROBE_SECONDS)}: it hangs, or its disk does. "
                f"Try it by hand: {interpreter} -c 'import pytest'"
            ) from error
        finally:
            await process.stop(grace=0)
        found = re.search(r"^pytest (\d+\S*)$", "".join(printed), re.MULTILINE)
        return found[1] if found and exit.code == 0 else None
