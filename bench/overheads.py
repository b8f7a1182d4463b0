"""What Resit adds to short work: ``python bench/overheads.py [--rounds N] [--playwright]``.

Beside each figure of Resit stands the framework alone, measured just before, on the same suite with the same Python:
150 fast tests (150 of Playwright with ``--playwright``), 2,000 fast tests in two lanes beside pytest-xdist, five failed
tests of 2,000 again, what the plugin costs each result, and what an idle installation takes.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from growth import children
from load import work_of
from peers import PYTHON, environment, node
from schedules import Resit
from suites import NODE_MODULES

PLUGIN = Path(__file__).parents[1] / "src" / "resit" / "executors" / "injected"
FAST = "import pytest\n@pytest.mark.parametrize('n', range({each}))\ndef test_n(n): assert n != {red}\n"
IDLE_SECONDS = 30


def suite(folder: Path, tests: int, files: int, red: Sequence[int] = ()) -> Path:
    """Fast tests of pytest; in the files of ``red`` one test fails."""
    folder.mkdir(parents=True)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / ".venv").symlink_to(PYTHON.parents[1])
    for file in range(files):
        text = FAST.format(each=tests // files, red=1 if file in red else -1)
        (folder / f"test_{file}.py").write_text(text)
    return folder


def playwright(folder: Path, tests: int, files: int) -> Path:
    """Fast tests of Playwright."""
    folder.mkdir(parents=True)
    (folder / "playwright.config.ts").write_text(
        "import { defineConfig } from '@playwright/test';\nexport default defineConfig({ fullyParallel: true });\n"
    )
    (folder / "package.json").write_text('{"name": "fast", "private": true}\n')
    (folder / "node_modules").symlink_to(NODE_MODULES)
    for file in range(files):
        body = "\n".join(f"test('t{n}', async () => {{}});" for n in range(tests // files))
        (folder / f"f{file}.spec.ts").write_text(f"import {{ test }} from '@playwright/test';\n{body}\n")
    return folder


def stamping(folder: Path) -> Path:
    """One test of pytest that says when it began: it writes the time into the file FIRST."""
    made = suite(folder, 2, 1)
    (made / "test_0.py").write_text(
        "import os, time\ndef test_first():\n    open(os.environ['FIRST'], 'w').write(repr(time.time()))\n"
    )
    return made


def first_test(server: Resit, folder: Path, rounds: int) -> None:
    """From the request to the beginning of the first test, beside the same of the framework alone."""
    mark = folder / "first"
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(rounds + 1):
        began = time.time()
        command = [str(PYTHON), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        subprocess.run(command, cwd=folder, env={**environment(), "FIRST": str(mark)}, capture_output=True, check=False)
        theirs.append(float(mark.read_text()) - began)
        began = time.time()
        server.run("first", {"variables": {"FIRST": str(mark)}})
        ours.append(float(mark.read_text()) - began)
        time.sleep(0.5)
    bare, resit = statistics.median(theirs[1:]), statistics.median(ours[1:])
    print(f"{'to the first test':44} pytest {bare:6.2f} s   Resit {resit:6.2f} s   {resit - bare:+.3f} s", flush=True)


def alone(folder: Path, *command: str) -> float:
    """Seconds of a command."""
    began = time.monotonic()
    subprocess.run(command, cwd=folder, env=environment(), capture_output=True, check=False)
    return time.monotonic() - began


def beside(name: str, rounds: int, ours: Callable[[], float], theirs: Callable[[], float], peer: str) -> None:
    """Print the medians of the two, measured in turn."""
    pairs = [(theirs(), ours()) for _ in range(rounds)]
    bare, resit = (statistics.median(each) for each in zip(*pairs, strict=True))
    print(f"{name:44} {peer} {bare:6.2f} s   Resit {resit:6.2f} s   {resit - bare:+.2f} s", flush=True)


def per_result(folder: Path, tests: int, rounds: int) -> None:
    """What the plugin costs the process of the tests for each result: the whole process, with and without it."""
    outputs = folder / "outputs"
    outputs.mkdir()
    wanted = {
        "mode": "run",
        "ids": [f"test_{file}.py::test_n[{n}]" for file in range(20) for n in range(tests // 20)],
        "files": [f"test_{file}.py" for file in range(20)],
        "shunned": [],
        "spool": str(folder / "spool"),
        "outputs": str(outputs),
    }
    settings = folder / "settings.json"
    settings.write_text(json.dumps(wanted))
    script, base = str(PLUGIN / "resit_pytest.py"), ["-q", "-p", "no:cacheprovider"]

    def with_us() -> float:
        began = time.monotonic()
        env = {**environment(), "RESIT_PYTEST": str(settings)}
        subprocess.run(
            [str(PYTHON), script, "-p", "resit_pytest", *base], cwd=folder, env=env, capture_output=True, check=False
        )
        return time.monotonic() - began

    pairs = [(alone(folder, str(PYTHON), "-m", "pytest", *base), with_us()) for _ in range(max(rounds, 3))]
    bare, ours = (min(each) for each in zip(*pairs, strict=True))
    print(f"{'the plugin, for each result':44} {(ours - bare) / tests * 1000:.3f} ms (of {bare / tests * 1000:.2f} ms)")


def idle(server: Resit) -> None:
    """What server, broker and worker take when nothing goes on."""
    pids = [(server.pid, "server"), *children(server.pid)]
    before = {pid: work_of(pid) for pid, _ in pids}
    time.sleep(IDLE_SECONDS)
    total = room = 0.0
    for pid, command in pids:
        share = (work_of(pid) - before[pid]) / IDLE_SECONDS * 100
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        size = int(rollup.partition("\nPss:")[2].split()[0]) / 1024
        name = "worker" if "worker" in command else "broker" if "nats" in command else "server"
        print(f"{'idle: ' + name:44} {share:.2f} % of a core, {size:.0f} MB")
        total, room = total + share, room + size
    print(f"{'idle: together':44} {total:.2f} % of a core, {room:.0f} MB")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--playwright", action="store_true", help="150 tests of Playwright, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="resit-over-") as place, ExitStack() as stack:
        folder = Path(place)
        server = Resit(folder, 2)
        stack.callback(server.stop)
        pytest = [str(PYTHON), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        small = suite(folder / "small", 150, 15)
        large = suite(folder / "large", 2000, 20)
        red = suite(folder / "red", 2000, 20, red=(1, 5, 9, 13, 17))
        for name, where in (("small", small), ("large", large), ("red", red)):
            server.project(name, where, "pytest")
        first = server.run("small", {})[0]
        print(f"{'150 tests of pytest, the very first run':44} {first:.2f} s")
        runs = options.rounds
        beside("150 tests of pytest", runs, lambda: server.run("small", {})[0], lambda: alone(small, *pytest), "pytest")
        server.run("large", {"shards": 2})
        beside(
            "2,000 tests of pytest, two lanes",
            runs,
            lambda: server.run("large", {"shards": 2})[0],
            lambda: alone(large, *pytest, "-n", "2"),
            "xdist ",
        )
        _, source = server.run("red", {})
        failed = [f"test_{file}.py::test_n[1]" for file in (1, 5, 9, 13, 17)]
        beside(
            "five failed tests of 2,000 again",
            runs,
            lambda: server.run("red", {"selection": "failed"}, f"/runs/{source['id']}/rerun")[0],
            lambda: alone(red, *pytest, *failed),
            "pytest",
        )
        server.project("first", stamping(folder / "first"), "pytest")
        first_test(server, folder / "first", runs)
        per_result(large, 2000, runs)
        if options.playwright:
            where = playwright(folder / "pw", 150, 15)
            cli = str(where / "node_modules" / "@playwright" / "test" / "cli.js")
            server.project("pw", where, "playwright")
            server.run("pw", {})
            beside(
                "150 tests of Playwright",
                min(runs, 3),
                lambda: server.run("pw", {"shards": 2})[0],
                lambda: alone(where, node(), cli, "test", "--reporter=dot", "--workers=2"),
                "itself",
            )
        idle(server)


if __name__ == "__main__":
    sys.exit(main())
