"""Every example of README and documentation does what the page says, against a real server."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pages
import pytest

BIN = Path(sys.executable).parent
BARE = pages.ROOT / ".venv-suites" / "bin" / "python"
PAGES = [page for page in pages.all_pages() if any(block.language in pages.EXECUTED for block in pages.blocks(page))]
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "PIP_", "npm_config_", "NPM_CONFIG_")


@pytest.fixture(scope="module")
def suites(tmp_path_factory):
    """The example suites, the one of pytest with its dependencies, so that not every page installs them."""
    folder = tmp_path_factory.mktemp("suites")
    ignore = shutil.ignore_patterns("node_modules", ".venv", "__pycache__")
    shutil.copytree(pages.ROOT / "examples", folder / "examples", ignore=ignore)
    return folder


@contextmanager
def serving(data, env):
    """A server of its own for a page, so that the numbers of runs are those of the page."""
    log = data.with_suffix(".log")
    with log.open("wb") as file:
        command = [BIN / "resit", "serve", "--data", data, "--port", "0", "--slots", "2"]
        process = subprocess.Popen(command, stdout=file, stderr=file, env=env)
    try:
        until = time.monotonic() + 30
        while True:
            with suppress(OSError, ValueError):
                url = (data / "url").read_text().strip()
                with urllib.request.urlopen(f"{url}/healthz", timeout=5):  # noqa: S310 - our own address
                    break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def carry_out(page, suites, folder):
    """Run the session of a page; what the shell printed."""
    todo = pages.commands(page)
    work, data = folder / "work", folder / "data"
    shutil.copytree(suites, work, symlinks=True)
    if not any(".venv/bin/pip" in command.text for command in todo):
        _with_pytest(work / "examples" / "pytest-bank")
    kept = {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
    env = {**kept, "RESIT_DATA": str(data), "COLUMNS": "100", "NO_COLOR": "1", "TZ": "UTC", "LC_ALL": "C.UTF-8"}
    env["PATH"] = f"{BIN}:{env['PATH']}"
    with serving(data, env) as url:
        env |= {"SERVER": url, "TOKEN": (data / "admin-token").read_text().strip()}
        return subprocess.run(
            ["bash", "-s"],
            input=pages.script(todo),
            cwd=work,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
        ).stdout


@pytest.fixture(scope="module")
def sessions(request, suites, tmp_path_factory):
    """The sessions of the pages that are tested, two at a time, as most of a session is waiting."""
    items = [item for item in request.session.items if item.path == request.path and "page" in item.fixturenames]
    wanted = [item.callspec.params["page"] for item in items]
    with ThreadPoolExecutor(2) as pool:
        yield {page: pool.submit(carry_out, page, suites, tmp_path_factory.mktemp("page")) for page in wanted}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(pages.ROOT)))
def test_the_examples_of(page, sessions):
    todo = pages.commands(page)
    for program, sign in (("curl", "curl "), ("npm", "npm ci")):
        if any(sign in command.text for command in todo) and not shutil.which(program):
            pytest.skip(f"there is no {program} on this machine")
    printed_by_all = sessions[page].result()
    seen = list(pages.told(printed_by_all))
    assert len(seen) == len(todo), f"the shell stopped early:\n{printed_by_all}"
    for number, (command, (printed, code)) in enumerate(zip(todo, seen, strict=True)):
        at = f"{page.relative_to(pages.ROOT)}:{command.line}: {command.text}\n\nprinted:\n{printed}"
        following = todo[number + 1].text if number + 1 < len(todo) else ""
        assert code == 0 or following == "echo $?", f"exit code {code} of {at}"
        if command.shown:
            wanted = "\n".join(command.shown)
            assert pages.matches(command.shown, printed), f"{at}\n\nthe page says:\n{wanted}"


def _with_pytest(folder):
    """Instead of an installation."""
    (folder / ".venv" / "bin").mkdir(parents=True)
    python = folder / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{BARE}" "$@"\n')
    python.chmod(0o755)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        (["one"], "one\n", True),
        (["one"], "one  \n", True),
        (["one"], "two\n", False),
        (["took ... s"], "took 1.3 s\n", True),
        (["a", "...", "z"], "a\nb\nc\nz\n", True),
        (["a", "...", "z"], "a\nz\n", True),
        (["a", "..."], "b\n", False),
        (["a"], "a\nb\n", False),
    ],
)
def test_what_a_page_shows_is_compared_line_by_line(shown, printed, same):
    assert pages.matches(shown, printed) is same
