"""Where Playwright is installed, what its version can do, and how it is called for a listing or a batch."""

import contextlib
import json
import os
import pwd
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from resit.domain.plan import PlannedTest
from resit.plugin import NotASuite, Suite

__all__ = [
    "Installation",
    "Paths",
    "environment",
    "find",
    "list_command",
    "merge_command",
    "merge_environment",
    "prepare",
    "run_command",
]

REPORTER = Path(__file__).parent / "injected" / "resit_playwright.cjs"
SETTINGS = "RESIT_PLAYWRIGHT"

_OLDEST = (1, 44)
_LAST_FAILED_FILE = (1, 61)
_PREPROCESS = (1, 62)
_ADD_REPORTER = (1, 63)
_LATEST = (1, 65)
"""The newest release that was tried: what is not public may be different in later ones."""

_MOST_FILES = 200
_MOST_FILE_TEXT = 60_000
"""Beyond these (characters, all patterns together) naming files costs more than loading them all."""


@dataclass(frozen=True, slots=True)
class Installation:
    """Playwright Test as a suite has it: ``cli`` is its program for ``node``."""

    cli: Path
    version: str
    node: str

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor number."""
        return _release(self.version)


@dataclass(frozen=True, slots=True)
class Paths:
    """The files of one process, in the scratch folder of its session."""

    settings: Path
    spool: Path
    output: Path
    attachments: Path
    last_run: Path
    gate: Path

    @classmethod
    def new(cls, scratch: Path, release: tuple[int, int]) -> "Paths":
        """Names that were not used before, whoever else uses the folder."""
        name = secrets.token_hex(6)
        scratch = scratch.absolute()
        output = scratch / f"output-{name}"
        # Where the last-run file can't be named it is looked for in the output folder.
        last_run = scratch / f"last-run-{name}.json" if release >= _LAST_FAILED_FILE else output / ".last-run.json"
        return cls(
            settings=scratch / f"settings-{name}.json",
            spool=scratch / f"spool-{name}.jsonl",
            output=output,
            attachments=scratch / f"attachments-{name}",
            last_run=last_run,
            gate=scratch / f"gate-{name}",
        )


def _release(version: str) -> tuple[int, int]:
    match = re.match(r"(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def find(suite: Suite) -> Installation:
    """Playwright as Node.js would find it from the suite's folder.

    Raises :class:`NotASuite` when Playwright or Node.js is missing, or Playwright is too old.
    """
    package = next(_packages(suite.workdir), None)
    if package is None:
        raise NotASuite(
            f"Playwright is not installed in {suite.workdir}: no node_modules/@playwright/test; "
            "give the project a setup command such as `npm ci`"
        )
    node = shutil.which("node", path=suite.env.get("PATH", ""))
    if node is None:
        raise NotASuite("Node.js is not installed on this worker: no `node` on the PATH of the tests")
    try:
        manifest = cast("dict[str, Any]", json.loads((package / "package.json").read_text("utf-8")))
        version = str(manifest["version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotASuite(
            f"The installation of Playwright in {package} is damaged ({error}); install it again"
        ) from error
    if _release(version) < _OLDEST:
        raise NotASuite(
            f"Playwright {version} is too old: Resit needs 1.44 or newer; upgrade @playwright/test (found in {package})"
        )
    return Installation(package / "cli.js", version, node)


def _packages(workdir: Path) -> Iterator[Path]:
    """Folders of packages with the test runner's program, the nearest first."""
    workdir = workdir.absolute()
    for folder in (workdir, *workdir.parents):
        modules = folder / "node_modules"
        components = sorted((modules / "@playwright").glob("experimental-ct-*"))
        for package in (modules / "@playwright" / "test", modules / "playwright", *components):
            if (package / "cli.js").is_file() and (package / "package.json").is_file():
                yield package


def environment(suite: Suite, installation: Installation, paths: Paths) -> dict[str, str]:
    """The environment of Playwright: the suite's own, and ours where it says nothing."""
    ours = {
        "PLAYWRIGHT_HTML_OPEN": "never",  # a failed run would serve its report and wait
        "PW_TEST_HTML_REPORT_OPEN": "never",  # the same in older versions
        # Entries are keyed by content, yet written by the code of one version.
        "PWTEST_CACHE_DIR": str(suite.cache.absolute() / "playwright-transform" / installation.version),
    }
    browsers = _home() / ".cache" / "ms-playwright"
    if browsers.is_dir():  # the suite's HOME is private: without this it would look for browsers there
        ours["PLAYWRIGHT_BROWSERS_PATH"] = str(browsers)
    env = {**ours, **suite.env, SETTINGS: str(paths.settings)}
    if not _reporter_by_option(installation):
        env["PW_TEST_REPORTER"] = str(REPORTER)
    return env


def _home() -> Path:
    """The real home of this user, whatever HOME says."""
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:  # a container's user without an entry
        return Path.home()


def _reporter_by_option(installation: Installation) -> bool:
    # The option takes a list separated by commas.
    return installation.release >= _ADD_REPORTER and "," not in str(REPORTER)


def prepare(
    suite: Suite,
    installation: Installation,
    paths: Paths,
    tests: Sequence[PlannedTest] | None,
    seconds: Sequence[float] = (),
) -> None:
    """Write what the reporter and the selection need: ``tests`` are to be executed, None asks for the listing.

    ``seconds`` that each of them is expected to take: the longest begin first. Without: as Playwright does it.
    """
    ids = [test.id for test in tests or ()]
    paths.attachments.mkdir(parents=True, exist_ok=True)
    settings = {
        "mode": "list" if tests is None else "run",
        "spool": str(paths.spool),
        "attachments": str(paths.attachments),
        "workdir": os.path.realpath(suite.workdir),
        "ids": ids,
        "dispatch": _dispatch(installation, paths, seconds) if seconds else None,
    }
    paths.settings.write_text(json.dumps(settings), "utf-8")
    if tests is not None and installation.release < _PREPROCESS:
        paths.last_run.parent.mkdir(parents=True, exist_ok=True)
        paths.last_run.write_text(json.dumps({"status": "failed", "failedTests": ids}), "utf-8")


def _dispatch(installation: Installation, paths: Paths, seconds: Sequence[float]) -> dict[str, Any]:
    """What the injected code does to Playwright's dispatcher."""
    later = "suites" if installation.release <= _LATEST else "files"
    order = "groups" if installation.release < _PREPROCESS else later
    gate = ""
    with contextlib.suppress(OSError):  # a file system without: then all workers start at once
        os.mkfifo(paths.gate, 0o600)
        gate = str(paths.gate)
    return {"order": order, "seconds": [round(s, 3) for s in seconds], "gate": gate}


def list_command(suite: Suite, installation: Installation, paths: Paths) -> list[str]:
    """The arguments that list every test of the suite."""
    return [*_test_command(suite, installation, paths), "--list"]


def run_command(
    suite: Suite, installation: Installation, paths: Paths, tests: Sequence[PlannedTest], lanes: int
) -> list[str]:
    """The arguments that execute exactly ``tests`` (and the setup projects that they need) on ``lanes`` workers."""
    command = [*_test_command(suite, installation, paths), f"--workers={lanes}"]
    if installation.release < _PREPROCESS:
        command.append("--last-failed")
        if installation.release >= _LAST_FAILED_FILE:
            command.append(f"--last-failed-file={paths.last_run}")
    # Named projects: others need not be loaded, and the tests of a setup project can be chosen one by one when
    # nothing that depends on it is part of the batch.
    variants = sorted({test.variant for test in tests})
    if all(variants):
        command += [f"--project={variant}" for variant in variants]
    return [*command, *_file_patterns(suite.workdir, tests)]


def merge_command(installation: Installation, blob: Path) -> list[str]:
    """The arguments that make the HTML report of the blobs in a folder. No configuration is loaded."""
    return [installation.node, str(installation.cli), "merge-reports", "--reporter=html", str(blob)]


def merge_environment(suite: Suite, to: Path) -> dict[str, str]:
    """The environment in which the HTML report is written into the folder ``to``: without our reporter."""
    # Each version knows one of the two names for each of them.
    return {
        **suite.env,
        "PLAYWRIGHT_HTML_ATTACHMENTS_BASE_URL": "data/",
        "PLAYWRIGHT_HTML_OPEN": "never",
        "PW_TEST_HTML_REPORT_OPEN": "never",
        "PLAYWRIGHT_HTML_OUTPUT_DIR": str(to),
        "PLAYWRIGHT_HTML_REPORT": str(to),
    }


def _test_command(suite: Suite, installation: Installation, paths: Paths) -> list[str]:
    command = [installation.node, str(installation.cli), "test", "--pass-with-no-tests", f"--output={paths.output}"]
    if suite.config:
        command.append(f"--config={suite.config}")
    if _reporter_by_option(installation):
        command.append(f"--add-reporter={REPORTER}")
    if installation.release < _PREPROCESS:
        command.append("--shard=1/1")  # a shard of the configuration would hide tests; later versions ask our reporter
    return command


def _file_patterns(workdir: Path, tests: Sequence[PlannedTest]) -> list[str]:
    """Regular expressions for exactly the files of ``tests``, or nothing where that would not help.

    Playwright matches them against absolute paths, with the links to its working directory resolved.
    """
    folder = os.path.realpath(workdir)
    files = dict.fromkeys(os.path.normpath(os.path.join(folder, test.file)) for test in tests)  # noqa: PTH118 - ".." and links stay as they are written
    patterns = [f"^{_escaped(file)}$" for file in files]
    if len(patterns) > _MOST_FILES or sum(map(len, patterns)) > _MOST_FILE_TEXT:
        return []
    return patterns


def _escaped(text: str) -> str:
    return re.sub(r"[\\^$.*+?()\[\]{}|]", r"\\\g<0>", text)
