"""The real thing: a server process with its broker and worker, suites of real frameworks, the command line and HTTP."""

import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from resit.integrations.trust import trusting

RESIT = str(Path(sys.executable).with_name("resit"))
NODE_MODULES = Path(__file__).parents[1] / "node" / "node_modules"
BROWSER = next(
    filter(
        None,
        (
            os.environ.get("RESIT_CHROMIUM"),
            shutil.which(NODE_MODULES / ".chromium" / "chromium.sh"),
            *map(shutil.which, ("chromium", "google-chrome")),
        ),
    ),
    "",
)
"""A Chromium: the one that is named, the one that `make setup` brought (tests/node/browser.mjs), one of the system."""
PATIENCE = 60.0
"""Seconds after which waiting is a failure."""
LOOK = 0.03

STRAYS = {
    "NO_PROXY": "stray.example",
    "no_proxy": "stray.example",
    "CI": "1",
    "PYTHONPATH": "/stray",
    "PYTEST_ADDOPTS": "--stray",
    "FORCE_COLOR": "1",
    "NODE_OPTIONS": "--stray",
    "RESIT_STRAY": "1",
    "STRAY": "1",
}
"""What stands in the environment of the server, and never in that of a test."""

T = TypeVar("T")


def until(what: Callable[[], T], about: str, seconds: float = PATIENCE) -> T:
    """The first true value of ``what``."""
    end = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > end:
            pytest.fail(f"not within {seconds:.0f} s: {about}")
        time.sleep(LOOK)
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def alive(pid: int) -> bool:
    """True while the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def children(pid: int) -> dict[int, str]:
    """The living children of a process and their command lines."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid and fields[0] not in "ZX":
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return found


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)

    @property
    def said(self) -> str:
        """All that it printed, in one line: a terminal of 80 columns wraps messages."""
        return " ".join((self.out + self.err).split())


@dataclass
class Command:
    """A command that goes on."""

    process: "subprocess.Popen[str]"

    def done(self, seconds: float = PATIENCE) -> Done:
        """Its end."""
        out, err = self.process.communicate(timeout=seconds)
        return Done(self.process.returncode, out, err)


class Resit:
    """A server of our own, and clients of it. ``data`` outlives the process, and so does ``database``, if it has one
    besides its data folder."""

    new_database: Callable[[], str] = staticmethod(lambda: "")
    """Makes a database for a server that is given none; see ``conftest``."""

    def __init__(self, folder: Path, slots: int = 2, database: str = "") -> None:
        self.folder = folder
        self.database = database or Resit.new_database()
        self.data = folder / "data"
        self.slots = slots
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self._http: httpx.Client | None = None
        self._slugs = count(1)

    # ------------------------------------------------------------ the process

    def start(self, *more: str) -> float:
        """Start, and wait until it answers; the seconds that took."""
        began = time.monotonic()
        if "--tls" in more:
            self.url = self.url.replace("http:", "https:")
        command = [RESIT, "serve", "--data", str(self.data), "--port", str(self.port), "--slots", str(self.slots)]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *more],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **STRAYS, **({"RESIT_DATABASE_URL": self.database} if self.database else {})},
                start_new_session=True,
            )

        def ready() -> bool:
            assert self.process is not None
            if self.process.poll() is not None:
                pytest.fail(f"the server ended ({self.process.returncode}):\n{self.log()}")
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"{self.url}/healthz", timeout=5, verify=self.trust()).status_code == 200
            return False

        until(ready, "the server answers", 20)
        return time.monotonic() - began

    def trust(self) -> ssl.SSLContext | bool:
        """The server's own certificate, as its data folder has it."""
        certificate = self.data / "certificate.pem"
        return trusting(certificate.read_text(), exact=True) if certificate.exists() else True

    def log(self) -> str:
        """What the server printed."""
        return (self.folder / "server.log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        """Of the server process."""
        assert self.process is not None
        return self.process.pid

    def part(self, word: str) -> int:
        """The pid of the child of the server whose command line holds ``word``."""
        return until(lambda: next((pid for pid, line in children(self.pid).items() if word in line), 0), word, 10)

    @property
    def worker(self) -> int:
        """The pid of the worker."""
        return self.part("resit.bootstrap.worker")

    @property
    def broker(self) -> int:
        """The pid of the broker."""
        return self.part("nats-server")

    def terminate(self) -> float:
        """End politely; the seconds that took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0
        return time.monotonic() - began

    def kill(self) -> None:
        """As a machine's out-of-memory killer does it: the server alone, at once."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def close(self) -> None:
        """End, whatever state it is in, and all that belongs to this data folder."""
        if self._http is not None:
            self._http.close()
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(15)
        for pid in self.leftovers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def leftovers(self) -> list[int]:
        """The processes whose command line names this data folder."""
        found: list[int] = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and str(self.data).encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
        return [pid for pid in found if alive(pid)]

    # ------------------------------------------------------------ its clients

    @property
    def token(self) -> str:
        """The operator's."""
        return (self.data / "admin-token").read_text().strip()

    @property
    def http(self) -> httpx.Client:
        """The API, as the operator."""
        if self._http is None:
            self._http = httpx.Client(
                base_url=f"{self.url}/resit/v1",
                headers={"Authorization": f"Bearer {self.token}"},
                timeout=30,
                transport=httpx.HTTPTransport(retries=2, verify=self.trust()),
                trust_env=False,
            )
        return self._http

    def get(self, path: str, **query: Any) -> Any:
        """A document of the API."""
        answer = self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Mapping[str, Any] | None = None, **headers: str) -> Any:
        """A document that the API made."""
        answer = self.http.post(path, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def begin(self, *args: str, env: Mapping[str, str] | None = None) -> Command:
        """Begin a command of the command line."""
        environ = {k: v for k, v in os.environ.items() if not k.startswith("RESIT_")}
        environ |= {"RESIT_DATA": str(self.data), "COLUMNS": "200", **(env or {})}
        pipe = subprocess.PIPE
        return Command(
            subprocess.Popen([RESIT, *args], stdout=pipe, stderr=pipe, stdin=subprocess.DEVNULL, text=True, env=environ)
        )

    def cli(self, *args: str, env: Mapping[str, str] | None = None) -> Done:
        """A command of the command line, to its end."""
        return self.begin(*args, env=env).done()

    # ------------------------------------------------------------ the main job

    def project(self, source: Path | str, executor: str = "pytest", **more: Any) -> str:
        """Register a suite; its slug."""
        slug = f"p{next(self._slugs)}"
        self.post("/projects", {"slug": slug, "source": str(source), "executor": executor, **more})
        return slug

    def trigger(self, project: str, **body: Any) -> int:
        """Request a run; its number."""
        return self.post(f"/projects/{project}/runs", body)["id"]

    def rerun(self, run: int, selection: str = "all", **body: Any) -> int:
        """Request a re-run; its number."""
        return self.post(f"/runs/{run}/rerun", {"selection": selection, **body})["id"]

    def run(self, id: int) -> dict[str, Any]:
        """A run as it stands."""
        return self.get(f"/runs/{id}")

    def end(self, id: int, seconds: float = PATIENCE) -> dict[str, Any]:
        """A run at its end. Looks, for servers that die meanwhile."""

        def over() -> dict[str, Any] | None:
            with contextlib.suppress(httpx.TransportError):
                answer = self.http.get(f"/runs/{id}")
                if answer.status_code == 200 and answer.json()["status"] in ("finished", "cancelled"):
                    return answer.json()
            return None

        return until(over, f"the end of run {id}", seconds) or {}

    def execute(self, project: str, **body: Any) -> dict[str, Any]:
        """A run, from its request to its end."""
        return self.end(self.trigger(project, **body))

    def tests(self, id: int) -> dict[str, dict[str, Any]]:
        """The ledger of a run, by test."""
        return {row["id"]: row for row in self.get(f"/runs/{id}/tests", limit=1000)["items"]}

    def outcomes(self, id: int) -> dict[str, str | None]:
        """How the tests of a run came out; a pytest test by its name alone."""
        return {test.partition("::")[2] or test: row["outcome"] for test, row in self.tests(id).items()}

    def titles(self, id: int) -> dict[str, str | None]:
        """The same by title, for Playwright."""
        return {row["title"]: row["outcome"] for row in self.tests(id).values()}

    def logs(self, id: int) -> str:
        """All logs of a run."""
        shards = [log["shard"] for log in self.get(f"/runs/{id}/logs")["items"]]
        return "\n".join(self.http.get(f"/runs/{id}/logs/{shard}").text for shard in shards)


@dataclass
class Suites:
    """Makes folders of tests."""

    folder: Path
    _number: Iterator[int] = field(default_factory=lambda: count(1))

    def __call__(self, files: Mapping[str, str] | str, name: str = "test_it.py") -> Path:
        """A folder with these files; a text alone is a file of pytest."""
        where = self.folder / f"s{next(self._number)}"
        for path, text in ({name: files} if isinstance(files, str) else files).items():
            file = where / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text))
        where.mkdir(parents=True, exist_ok=True)
        return where

    def playwright(self, files: Mapping[str, str] | str, config: str = "module.exports = { workers: 1 };") -> Path:
        """A suite of Playwright; a text alone is a spec."""
        files = {"it.spec.js": files} if isinstance(files, str) else files
        where = self({"playwright.config.js": config, **files})
        (where / "node_modules").symlink_to(NODE_MODULES)
        return where


def pids(path: Path, number: int = 1) -> list[int]:
    """The process ids that tests wrote into a file, as soon as there are ``number`` of them."""

    def written() -> list[int]:
        text = path.read_text() if path.exists() else ""
        found = [int(word) for word in text.split()] if text.endswith("\n") else []
        return found if len(found) >= number else []

    return until(written, f"{number} process ids in {path.name}", 30)


def lines(path: Path) -> list[str]:
    """What tests wrote into a file, so far."""
    return path.read_text().splitlines() if path.exists() else []


NODE = [
    pytest.mark.node,
    pytest.mark.skipif(not (NODE_MODULES / "@playwright" / "test").exists(), reason="npm ci in tests/node"),
]
"""Marks of tests of Playwright."""


def needs_node(function: T) -> T:
    """For tests of Playwright."""
    for mark in NODE:
        function = mark(function)
    return function


def git(folder: Path, *args: str) -> str:
    """Git, as nobody in particular."""
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *who, *args], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()
