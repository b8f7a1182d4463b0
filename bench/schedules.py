"""How close to the ideal schedule a suite is carried out: ``python bench/schedules.py [--lanes 4 8] [--seeds 1 2]``.

Resit and the usual other ways, one after the other on the same synthetic suites (``suites.py``). The figure is the time
from the request (of Resit: the answer to ``POST .../runs`` is waited for; of the others: their processes are started)
to the end (the verdict; the last process is gone), and its ratio to what no schedule can beat. Of Resit there are two:
the first run of a suite, which lists it and knows nothing, and the next one. pytest-split is told the true durations.
"""

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from api import Server
from load import Api
from peers import PYTHON, environment, node
from suites import Synthetic, plan, write

Way = Callable[[Synthetic, int], tuple[Path, list[list[str]], dict[str, str]]]


@dataclass(frozen=True)
class Row:
    """A measurement. ``cpu``: seconds of processor that its own processes took (of Resit: unknown)."""

    framework: str
    way: str
    lanes: int
    seed: int
    seconds: float
    ratio: float
    cpu: float | None = None


def pytest_ways() -> dict[str, Way]:
    """The other ways to run a suite of pytest in lanes."""
    base = [str(PYTHON), "-m", "pytest", "-q", "-p", "no:cacheprovider"]

    def xdist(how: str) -> Way:
        return lambda suite, lanes: (suite.pytest, [[*base, "-n", str(lanes), "--dist", how]], {})

    def split(how: str) -> Way:
        return lambda suite, lanes: (
            suite.pytest,
            [
                [*base, "--splits", str(lanes), "--group", str(group + 1), "--splitting-algorithm", how]
                for group in range(lanes)
            ],
            {},
        )

    return {
        "pytest-xdist load": xdist("load"),
        "pytest-xdist worksteal": xdist("worksteal"),
        "pytest-xdist loadfile": xdist("loadfile"),
        "pytest-split least_duration, true durations": split("least_duration"),
    }


def playwright_ways() -> dict[str, Way]:
    """The other ways to run a suite of Playwright in lanes."""

    def base(suite: Synthetic) -> list[str]:
        cli = suite.playwright / "node_modules" / "@playwright" / "test" / "cli.js"
        return [node(), str(cli), "test", "--reporter=dot"]

    def shards(suite: Synthetic, lanes: int) -> tuple[Path, list[list[str]], dict[str, str]]:
        parts = [[*base(suite), "--workers=1", f"--shard={part + 1}/{lanes}"] for part in range(lanes)]
        return suite.playwright, parts, {}

    return {
        "Playwright --shard, a process each": shards,
        "Playwright --workers, whole files": lambda suite, lanes: (
            suite.playwright,
            [[*base(suite), f"--workers={lanes}"]],
            {"WHOLE_FILES": "1"},
        ),
        "Playwright --workers, fullyParallel": lambda suite, lanes: (
            suite.playwright,
            [[*base(suite), f"--workers={lanes}"]],
            {},
        ),
    }


def peer(way: Way, suite: Synthetic, lanes: int) -> tuple[float, float]:
    """Seconds from the start of its processes to their end, and of processor. Every test must have passed."""
    folder, commands, more = way(suite, lanes)
    before, began = _used(), time.monotonic()
    running = [
        subprocess.Popen(
            command,
            cwd=folder,
            env={**environment(), **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in commands
    ]
    said = [process.communicate()[0] for process in running]
    took = time.monotonic() - began
    passed = sum(int(number) for text in said for number in re.findall(r"(\d+) passed", text))
    if passed != len(suite.tests):
        sys.exit(f"{commands[0]} passed {passed} of {len(suite.tests)} tests:\n{said[0][-2000:]}")
    return took, _used() - before


def _used() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


class Resit:
    """A server of its own with ``slots`` slots; each suite and number of lanes is a project."""

    def __init__(self, folder: Path, slots: int) -> None:
        self._server = Server(folder)
        self._server.start("--slots", str(slots))
        self._token = self._server.cli("token", "create", "--all-projects").strip()

    @property
    def pid(self) -> int:
        """Of the server."""
        return self._server.process.pid if self._server.process else 0

    def stop(self) -> None:
        """End it."""
        self._server.stop()

    def project(self, name: str, folder: Path, framework: str) -> None:
        """Register a suite."""
        self._server.cli("project", "add", name, "--source", str(folder), "--executor", framework)

    def run(self, project: str, body: dict[str, object], path: str = "") -> tuple[float, dict[str, object]]:
        """Seconds from the request to the verdict, and the run."""
        api = Api(self._server.port, self._token)
        began = time.monotonic()
        code, run = api("POST", path or f"/projects/{project}/runs", body)
        if code not in (200, 201, 202):
            sys.exit(f"the run was refused: {code} {run}")
        while run["status"] not in ("finished", "cancelled", "errored"):
            time.sleep(0.02)
            _, run = api("GET", f"/runs/{run['id']}")
        return time.monotonic() - began, run


def resit(server: Resit, name: str, suite: Synthetic, framework: str, lanes: int, runs: int) -> Iterator[float]:
    """Seconds of the first run of a suite, and of those after it."""
    server.project(name, suite.pytest if framework == "pytest" else suite.playwright, framework)
    for _ in range(1 + runs):
        took, run = server.run(name, {"shards": lanes})
        if run["verdict"] != "passed":
            sys.exit(f"run {run['id']} of {name} did not pass: {run}")
        yield took


def measure(frameworks: Sequence[str], lanes: Sequence[int], suites: dict[int, Synthetic], rounds: int) -> list[Row]:
    """All ways, one after the other; prints as it goes."""
    rows: list[Row] = []

    def put(framework: str, way: str, number: int, seed: int, took: float, cpu: float | None = None) -> None:
        bound = suites[seed].bound(number)
        rows.append(Row(framework, way, number, seed, round(took, 2), round(took / bound, 3), cpu and round(cpu, 1)))
        print(f"{framework:10} {way:44} {number:2} lanes, seed {seed}: {took:6.2f} s  {took / bound:.3f}", flush=True)

    with tempfile.TemporaryDirectory(prefix="resit-bench-") as folder, ExitStack() as stack:
        server = Resit(Path(folder), max(lanes))
        stack.callback(server.stop)
        for seed, suite in suites.items():
            for framework in frameworks:
                for number in lanes:
                    name = f"{framework}-{seed}-{number}"
                    first, *later = resit(server, name, suite, framework, number, rounds)
                    put(framework, "Resit, first run", number, seed, first)
                    for took in later:
                        put(framework, "Resit", number, seed, took)
                    for way, how in (pytest_ways() if framework == "pytest" else playwright_ways()).items():
                        for _ in range(rounds):
                            put(framework, way, number, seed, *peer(how, suite, number))
    return rows


def table(rows: Sequence[Row]) -> str:
    """Medians, as Markdown."""
    lines: list[str] = []
    for framework in dict.fromkeys(row.framework for row in rows):
        lanes = sorted({row.lanes for row in rows if row.framework == framework})
        lines += [f"| {framework} | " + " | ".join(f"{n} lanes, s | ratio (worst)" for n in lanes) + " |"]
        lines += ["|---|" + "---|" * (2 * len(lanes))]
        for way in dict.fromkeys(row.way for row in rows if row.framework == framework):
            cells: list[str] = []
            for number in lanes:
                found = [r for r in rows if (r.framework, r.way, r.lanes) == (framework, way, number)]
                ratios = [row.ratio for row in found]
                cells += [
                    f"{statistics.median(r.seconds for r in found):.1f}",
                    f"{statistics.median(ratios):.2f} ({max(ratios):.2f})",
                ]
            lines.append(f"| {way} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--framework", choices=("pytest", "playwright"), action="append")
    parser.add_argument("--lanes", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--tests", type=int, default=200)
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--total", type=float, default=120.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write all measurements there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="resit-suites-") as folder:
        suites = {
            seed: write(
                Path(folder) / str(seed),
                plan(options.tests, options.files, options.total, seed),
                PYTHON.parents[1],
            )
            for seed in options.seeds
        }
        rows = measure(options.framework or ("pytest", "playwright"), options.lanes, suites, options.rounds)
    print(f"\n{options.tests} tests in {options.files} files, {options.total:.0f} s in all, {os.cpu_count()} cores\n")
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()
