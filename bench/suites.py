"""Synthetic suites: one plan of waiting tests as pytest and as Playwright (``python bench/suites.py OUT [--seed N]``).

Durations are log-normal, among files and inside each: a few tests take long and most don't, as in suites of real pages.
A test waits and does nothing else, so that a schedule shows, not a processor.
"""

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

NODE_MODULES = Path(__file__).parents[1] / "tests" / "node" / "node_modules"
CONFIG = """import { defineConfig } from '@playwright/test';
export default defineConfig({ testDir: 'tests', fullyParallel: process.env.WHOLE_FILES !== '1', timeout: 120_000 });
"""


@dataclass(frozen=True)
class Planned:
    """A test: its name, its file and how many seconds it waits."""

    name: str
    file: str
    seconds: float


@dataclass(frozen=True)
class Synthetic:
    """A plan, and where it lies as a suite of each framework."""

    tests: tuple[Planned, ...]
    pytest: Path
    playwright: Path

    @property
    def total(self) -> float:
        """Seconds of all tests."""
        return sum(test.seconds for test in self.tests)

    def bound(self, lanes: int) -> float:
        """No schedule ends earlier."""
        return max(self.total / lanes, *(test.seconds for test in self.tests))


def plan(tests: int, files: int, total: float, seed: int, within: float = 0.8, among: float = 0.6) -> list[Planned]:
    """``tests`` tests in ``files`` files that wait ``total`` seconds in all; spreads in powers of e."""
    chance = random.Random(seed)
    place = [chance.gauss(0, among) for _ in range(files)]
    raw = [(number * files // tests, chance.gauss(0, within)) for number in range(tests)]
    weights = [2.718281828 ** (place[file] + own) for file, own in raw]
    scale = total / sum(weights)
    return [
        Planned(f"t{number:05d}", f"f{file:04d}", round(weight * scale, 3))
        for number, ((file, _), weight) in enumerate(zip(raw, weights, strict=True))
    ]


def write(folder: Path, tests: Sequence[Planned], python: Path | None = None) -> Synthetic:
    """Both suites. ``python``: the virtual environment that pytest is to run in."""
    files: dict[str, list[Planned]] = {}
    for test in tests:
        files.setdefault(test.file, []).append(test)
    for name in ("py/tests", "pw/tests"):
        (folder / name).mkdir(parents=True)
    (folder / "py" / "pytest.ini").write_text("[pytest]\ntestpaths = tests\n")
    (folder / "pw" / "playwright.config.ts").write_text(CONFIG)
    (folder / "pw" / "package.json").write_text('{"name": "synthetic", "private": true}\n')
    for file, inside in files.items():
        body = "\n".join(f"\n\ndef test_{test.name}():\n    time.sleep({test.seconds})" for test in inside)
        (folder / "py" / "tests" / f"test_{file}.py").write_text(f"import time\n{body}\n")
        body = "\n".join(
            f"test('{test.name}', async () => {{ await new Promise(go => setTimeout(go, {1000 * test.seconds:.0f})) }})"
            for test in inside
        )
        (folder / "pw" / "tests" / f"{file}.spec.ts").write_text(
            f"import {{ test }} from '@playwright/test';\n{body}\n"
        )
    if NODE_MODULES.exists():
        (folder / "pw" / "node_modules").symlink_to(NODE_MODULES)
    if python is not None:
        (folder / "py" / ".venv").symlink_to(python)
    known = {f"tests/test_{test.file}.py::test_{test.name}": test.seconds for test in tests}
    (folder / "py" / ".test_durations").write_text(json.dumps(known))
    return Synthetic(tuple(tests), folder / "py", folder / "pw")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="OUT")
    parser.add_argument("--tests", type=int, default=200)
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--total", type=float, default=120.0, help="seconds of all tests")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    made = write(options.folder, plan(options.tests, options.files, options.total, options.seed))
    for lanes in (4, 8):
        print(f"{lanes} lanes: no schedule ends before {made.bound(lanes):.2f} s")


if __name__ == "__main__":
    main()
