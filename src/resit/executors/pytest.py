"""pytest: any suite that the ``pytest`` command runs, selected by exact id, without a change in the repository.

Each batch is one pytest process, started exactly as ``pytest`` in the working directory, and a plugin keeps the tests
of the batch (``injected/resit_pytest.py``). No file and no id goes onto the command line: arguments would move the root
directory, replace ``testpaths``, and one unknown id among them stops everything.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resit.domain.events import Log
from resit.domain.plan import PlannedTest, unique
from resit.executors.process import Exit, SpoolTail, TestProcess
from resit.executors.pytest_events import Progress, collection_failure, decide
from resit.executors.stacks import Hang, ask, hang
from resit.executors.watch import Overdue, Watch, seconds
from resit.plugin import Batch, BatchEnd, CollectionFailed, ExecutorError, Listing, NotASuite, Sink, Suite

__all__ = ["PytestExecutor", "PytestSession"]

_PLUGIN = Path(__file__).parent / "injected" / "resit_pytest.py"
_DISPATCH_COST = 0.8  # seconds to start one more pytest; measured
_OLDEST = 7
_PROBE_SECONDS = 60.0  # for the question which pytest a Python has
_TAIL = 4000  # characters of output shown with an error
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# Without the working directory, which -c puts first: a folder "pytest" there is not the framework.
_PROBE = "import sys; sys.path[:] = [p for p in sys.path if p]; import pytest; print('pytest', pytest.__version__)"


class PytestExecutor:
    """Suites of pytest 7.0 or later, on Python 3.8 or later."""

    name = "pytest"

    def __init__(self) -> None:
        self._versions = _Versions()

    async def list(self, suite: Suite, sink: Sink) -> Listing:
        """List the tests with ``--collect-only``; modules skipped at collection are tests of the plan, too.

        Raises :class:`NotASuite` when there is no pytest, :class:`CollectionFailed` naming the first error.
        """
        command = await _Command.find(suite, self._versions, sink)
        rows: list[PlannedTest] = []
        skipped: list[PlannedTest] = []
        errors: dict[str, str] = {}
        about: dict[str, dict[str, Any]] = {}
        stacks: dict[int, tuple[int, str]] = {}

        def on_line(line: dict[str, Any]) -> None:
            match line["kind"]:
                case "stacks":
                    stacks[line["pid"]] = line["signal"], line["path"]
                case "tests":
                    rows.extend(_planned(test) for test in line["tests"])
                case "collect_skip":
                    skipped.append(_module(line["id"], line["line"]))
                case "collect_error":
                    errors[line["id"]] = line["text"]
                case _:
                    about[line["kind"]] = line

        tail, watch = _Tail(sink), Watch(suite.limits, "listing")
        arguments = ("--collect-only", "-q")
        async with _running(command, "list", {"mode": "list"}, on_line, tail, watch, arguments) as running:
            exit = await running.ended(stacks, lambda: [about.get("collecting", {}).get("id", "")])
        if isinstance(exit, Hang):
            raise CollectionFailed(f"pytest could not list the tests: {exit.message}\n{exit.stack}".strip())
        if errors and not about.get("session", {}).get("keep_on"):
            raise collection_failure(errors)
        end = about.get("end")
        if end is None or end["status"] not in (0, 1, 5) or "trouble" in about:
            why = about["trouble"]["text"] if "trouble" in about else end["reason"] if end else ""
            raise CollectionFailed(f"pytest could not list the tests ({exit}). {why}\n{tail.text}".strip())
        rows += skipped + [_module(place, 0) for place in errors]
        return Listing(unique(rows), f"pytest {command.version}", dispatch_cost=_DISPATCH_COST)

    async def open(self, suite: Suite, lanes: int) -> "PytestSession":
        """Open ``suite``; nothing is started yet."""
        return PytestSession(await _Command.find(suite, self._versions, lambda _event: None))


class PytestSession:
    """An open suite: each lane runs its batches in processes of its own."""

    shares_process = False

    def __init__(self, command: "_Command") -> None:
        self._command = command
        self._processes: set[TestProcess] = set()
        self._starting = asyncio.Lock()
        self._stopped = False

    async def hungry(self) -> None:
        """Nobody asks: each lane has a batch of its own."""

    async def run(self, batch: Batch, lane: int, sink: Sink) -> BatchEnd:
        """Execute a batch: in one process, and in further ones as long as a process dies and leaves tests over."""
        progress, watch = Progress(batch.tests), Watch(batch.limits, tell=lambda: sink(Log("")))
        problems: list[str] = []
        while progress.left and not self._stopped:
            progress.next_process()
            tail = _Tail(sink)
            try:
                exit = await self._process(progress, batch, sink, tail, watch)
            except asyncio.CancelledError:
                _cut_off(progress, sink)
                raise
            if self._stopped:
                _cut_off(progress, sink)
                break
            decision = decide(progress, exit, tail.text)
            problems.extend(decision.problems)
            for event in progress.close(decision.events):
                sink(event)
            if decision.error is not None:
                raise decision.error
            if not decision.again:
                break
            progress.barren = 0 if decision.events or progress.executed_now else progress.barren + 1
        for trouble in progress.troubles:
            sink(Log(f"resit: trouble in the pytest plugin:\n{trouble}"))
        return BatchEnd(tuple(problems))

    async def _process(self, progress: Progress, batch: Batch, sink: Sink, tail: "_Tail", watch: Watch) -> Exit:
        def on_line(line: dict[str, Any]) -> None:
            for event in progress.line(line):
                sink(event)
            if progress.in_flight:
                watch.under_way()

        settings = {
            "mode": "run",
            "ids": [*progress.left],
            "files": sorted({test.file for test in progress.left.values()}),
            "shunned": progress.shunned,
        }
        async with contextlib.AsyncExitStack() as stack:
            async with self._starting:
                if self._stopped:
                    return Exit(None, "SIGINT")
                starting = _running(self._command, f"{batch.number}", settings, on_line, tail, watch)
                running = await stack.enter_async_context(starting)
                self._processes.add(running.process)
            try:
                ended = await running.ended(progress.stacks, lambda: self._files(progress))
                if isinstance(ended, Exit):
                    return ended
                progress.hang = ended
                sink(Log(f"\nresit: {ended.message}\n{ended.stack}\n"))
                return await running.process.stop()
            finally:
                self._processes.discard(running.process)

    @staticmethod
    def _files(progress: Progress) -> list[str]:
        """Where a process that hangs is expected to be."""
        return [progress.left[test].file for test in progress.in_flight if test in progress.left] or [
            *progress.collecting.values()
        ]

    async def stop(self) -> None:
        """End all processes; running batches return early."""
        self._stopped = True
        async with self._starting:  # a process that is being started is known afterwards
            await asyncio.gather(*(process.stop() for process in self._processes))

    async def close(self) -> None:
        """End what is still there."""
        await self.stop()


def _cut_off(progress: Progress, sink: Sink) -> None:
    for event in progress.interrupted(time.time()):
        sink(event)


class _Command:
    """How this suite's pytest is started."""

    def __init__(self, suite: Suite, interpreter: Path, version: str, *, own: bool) -> None:
        self.suite = suite
        self.version = version
        self._interpreter = interpreter
        self._own = own

    @classmethod
    async def find(cls, suite: Suite, versions: "_Versions", sink: Sink) -> "_Command":
        """The suite's own Python. Raises :class:`NotASuite` when it has no pytest, or one that is too old."""
        tried: list[str] = []
        for interpreter, own in _interpreters(suite):
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
async def _running(
    command: _Command,
    name: str,
    settings: Mapping[str, Any],
    on_line: Callable[[dict[str, Any]], None],
    tail: "_Tail",
    watch: Watch,
    more: Sequence[str] = (),
) -> AsyncGenerator["_Running"]:
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
        yield _Running(process, spool_tail, watch, command.suite.workdir)
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
class _Running:
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


class _Tail:
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


def _interpreters(suite: Suite) -> "list[tuple[Path, bool]]":
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


class _Versions:
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


def _planned(test: dict[str, Any]) -> PlannedTest:
    return PlannedTest(
        id=test["id"],
        file=test["file"],
        title_path=tuple(test["title"]),
        tags=tuple(test["tags"]),
        line=test["line"],
    )


def _module(place: str, line: int) -> PlannedTest:
    """The row of a module that has no tests because it was skipped, or is broken in a suite that keeps on."""
    return PlannedTest(place, place.partition("::")[0], ("(module)",), line=line)
