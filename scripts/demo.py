"""``make demo``: a server, two suites, their verdicts, the failed tests once more; told as a short story.

Everything goes through the command line that users have. The server's data is in ``.demo``, fresh each time. It goes on
answering until Ctrl-C (or SIGTERM); ``DEMO_EXIT=1`` stops it at the end. Whatever is not as expected ends the demo with
a message and exit code 1.
"""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, cast

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / ".demo"
DATA = DEMO / "data"
PID = DEMO / "server.pid"
LOG = DEMO / "server.log"
RESIT = ROOT / ".venv" / "bin" / "resit"
PORT = 4000
START_SECONDS = 30
RUN_SECONDS = 300
STYLES = {"passed": "green", "failed": "red", "errored": "magenta", "flaky": "yellow", "skipped": "bright_black"}
Json = Mapping[str, Any]
OURS: list[int] = []
"""The process id of our server, as soon as there is one."""


class Unexpected(Exception):
    """Something is not as it should be: what, in words, and what was seen."""


@dataclass(frozen=True)
class Suite:
    """An example suite, and how its run comes out."""

    slug: str
    folder: str
    executor: str
    setup: str
    counts: Mapping[str, int]

    def add(self) -> list[str]:
        """The words of the command that registers it."""
        named = ["--executor", self.executor, "--setup", self.setup]
        return ["project", "add", self.slug, "--source", self.folder, *named]


def suites() -> list[Suite]:
    """The suites of the repository that this machine can run."""
    python = os.environ.get("PYTHON", "python3")
    bank = Suite(
        slug="bank",
        folder="examples/pytest-bank",
        executor="pytest",
        setup=f"{python} -m venv .venv && .venv/bin/pip install -r requirements.txt",
        counts={"passed": 14, "failed": 1, "flaky": 1, "skipped": 1},
    )
    shop = Suite(
        slug="shop",
        folder="examples/playwright-shop",
        executor="playwright",
        setup="npm ci",
        counts={"passed": 12, "failed": 1, "flaky": 1, "skipped": 1},
    )
    if why := _no_node():
        say(f"{why}: the Playwright suite is left out, the demo goes on with pytest.", "yellow")
        say()
        return [bank]
    return [shop, bank]


def _no_node() -> str:
    if not (shutil.which("node") and shutil.which("npm")):
        return "There is no Node.js on this machine"
    printed = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    major = printed.removeprefix("v").partition(".")[0]
    return "" if major.isdigit() and int(major) >= 20 else f"Node.js {printed or 'of this machine'} is older than 20"


# The command line


def started(*words: str) -> subprocess.Popen[str]:
    """A command of Resit, in the background, against the demo's server."""
    command = [str(RESIT), *words, "--data", str(DATA)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)


def printed(process: subprocess.Popen[str], codes: Sequence[int] = (0,)) -> str:
    """What a command printed; raises :class:`Unexpected` for another exit code than ``codes``."""
    out, err = process.communicate(timeout=RUN_SECONDS)
    if process.returncode not in codes:
        words = [word for word in cast("list[str]", process.args)[1:] if word not in ("--json", "--data", str(DATA))]
        raise Unexpected(f"`resit {shlex.join(words)}` ended with {process.returncode}: {err.strip()}")
    return out


def asked(*words: str) -> Json:
    """The JSON that a command prints."""
    return json.loads(printed(started(*words, "--json")))


def carried_out(commands: Sequence[Sequence[str]], what: str) -> list[Json]:
    """Request a run with each command, then follow all to their ends; a red run is no fault of the command."""
    requested: list[str] = []
    for words in commands:
        command_line(words)
        requested.append(str(asked(*words)["id"]))
    watching = [started("watch", run, "--json") for run in requested]
    try:
        with busy(what):
            return [json.loads(printed(process, codes=(0, 1, 2))) for process in watching]
    finally:
        for process in watching:
            process.kill()


# The server


@dataclass
class Server:
    """``resit serve`` in the background."""

    process: subprocess.Popen[bytes]
    url: str


def start() -> Server:
    """Start a server on port 4000, or a free one; returns when it answers."""
    DATA.mkdir(parents=True)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
            port = PORT
        except OSError:
            port = 0
    with LOG.open("wb") as log:
        command = [str(RESIT), "serve", "--data", str(DATA), "--port", str(port), "--slots", "2"]
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
    OURS.append(process.pid)
    PID.write_text(f"{process.pid}\n")
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError, ValueError):
            url = (DATA / "url").read_text().strip()
            with urllib.request.urlopen(f"{url}/healthz", timeout=5):  # noqa: S310 - our own address
                return Server(process, url)
        time.sleep(0.05)
    raise Unexpected(
        f"the server did not start; the end of its log ({LOG}):\n{LOG.read_text(errors='replace')[-2000:]}"
    )


def end_earlier() -> None:
    """End the server of an earlier demo that still runs in this checkout, and nothing else."""
    with suppress(OSError, ValueError):
        pid = int(PID.read_text())
        command = Path(f"/proc/{pid}/cmdline")
        if command.is_file() and str(DATA) not in command.read_text(errors="replace"):
            return  # the number belongs to another program by now
        end(pid)


def end(pid: int) -> None:
    """SIGTERM, and SIGKILL after 15 seconds."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + 15
        while time.monotonic() < until and _runs(pid):
            time.sleep(0.05)
        if _runs(pid):
            os.kill(pid, signal.SIGKILL)


def _runs(pid: int) -> bool:
    with suppress(ChildProcessError):  # ours: collected, so that it is gone; else somebody else's to collect
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# The story

console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


def say(text: str | Text = "", style: str = "") -> None:
    """A line of the story."""
    console.print(text if isinstance(text, Text) else Text(text, style))


def title(text: str) -> None:
    """What comes next."""
    say()
    say(text, "bold")


def command_line(words: Sequence[str]) -> None:
    """A command as a user would type it."""
    say(Text("  $ ", "bright_black").append(f"resit {shlex.join(words)}", "cyan"))


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Say what takes a while; with something that moves where somebody looks."""
    if console.is_terminal:
        with console.status(what):
            yield
    else:
        say(f"  {what} ...")
        yield


def tell_run(run: Json, rows: Sequence[Json]) -> None:
    """How a run came out, and the tests that are not simply green."""
    line = Text(f"  run {run['id']}  {run['project']:<5} ", "bold")
    line.append(str(run["verdict"]).upper(), f"bold {STYLES.get(str(run['verdict']), '')}")
    say(line.append(f"  {run['summary']} in {run['duration']:.1f} s", ""))
    for row in rows:
        if row["outcome"] == "passed":
            continue
        state = Text(f"      {row['outcome']:<8}", STYLES.get(row["outcome"], ""))
        say(state.append(f"{row['file']}:{row['line']} › {row['title']}", ""))
        if why := _why(row):
            say(f"              {why}", "bright_black")


def _why(row: Json) -> str:
    if row["outcome"] == "flaky":
        first = row["results"][0]["failures"]
        why = f": {_first_line(first[0]['message'])}" if first else ""
        return f"failed, then passed on its {len(row['results'])}nd try{why}"
    return _first_line(row["reason"])


def _first_line(text: str) -> str:
    found = [line.strip() for line in text.splitlines() if line.strip()]
    said = found[:1] + [line for line in found[1:] if line.startswith(("Expected:", "Received:"))]
    return "  ".join(said)[:110]


def expect(run: Json, counts: Mapping[str, int], verdict: str = "failed") -> None:
    """Raise :class:`Unexpected` unless the run came out so."""
    got = {name: run["counts"][name] for name in run["counts"] if name in {*counts, *STYLES, "lost", "not_found"}}
    got = {name: number for name, number in got.items() if number}
    if run["verdict"] == verdict and got == dict(counts):
        return
    told = "; ".join(problem["message"] for problem in run["problems"]) or run["summary"]
    logs = printed(started("logs", str(run["id"]))).strip()[-3000:]
    raise Unexpected(
        f"run {run['id']} of {run['project']} came out as {run['verdict']} {got}, not {verdict} {dict(counts)}: {told}"
        f"\n\nThe end of its log:\n{logs}"
    )


def lineage(server: Server, run: Json) -> Json:
    """A run and its re-runs, and the verdict over all of them, from the HTTP API."""
    token = (DATA / "admin-token").read_text().strip()
    request = urllib.request.Request(  # noqa: S310 - our own address
        f"{server.url}/resit/v1/runs/{run['id']}/lineage", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.load(answer)


def tell(server: Server, chosen: Sequence[Suite]) -> None:
    """The story itself."""
    title("1. Each suite becomes a project. Not a line of its code is changed for Resit.")
    for suite in chosen:
        command_line(suite.add())
        asked(*suite.add())

    if len(chosen) > 1:
        title("2. They run at the same time, on the two slots of the server's own worker.")
    else:
        title("2. It runs on the server's own worker.")
    commands = [["run", suite.slug] for suite in chosen]
    runs = carried_out(commands, "Setup installs what the suites need, then their tests run")
    before: list[Json] = []
    for suite, run in zip(chosen, runs, strict=True):
        expect(run, suite.counts)
        before.append(asked("show", str(run["id"]), "--tests"))
        tell_run(run, before[-1]["tests"])
    say("  Every planned test is accounted for. Flaky is no failure; skipped is no success; one failure is enough.")

    title("3. What failed runs again, and only that: a new run, linked to its source.")
    commands = [["rerun", str(run["id"]), "--failed"] for run in runs]
    again = carried_out(commands, "The failed tests run again")
    for run, source in zip(again, before, strict=True):
        expect(run, {"failed": 1})
        if run["source_run_id"] != source["id"] or run["selection"] != "failed":
            raise Unexpected(f"run {run['id']} does not say that it runs the failed tests of run {source['id']} again")
        if asked("show", str(source["id"]), "--tests") != source:
            raise Unexpected(f"run {source['id']} has changed after its re-run")
        tell_run(run, asked("show", str(run["id"]), "--tests")["tests"])
        family = lineage(server, run)
        if [r["id"] for r in family["runs"]] != [source["id"], run["id"]] or family["effective_verdict"] != "failed":
            raise Unexpected(f"the lineage of run {run['id']} is {family}")
        say(
            f"      Run {source['id']} is what it was, to the last byte. Both runs together (the effective verdict):"
            f" {family['effective_verdict']}."
        )
    say("  They fail again, so they are not flaky: there is a bug to mend.")


def goodbye(server: Server) -> None:
    """Where the server is, what to try, how to end."""
    title(f"Resit goes on answering at {server.url}")
    say("  This link opens the page, signed in, once (another one: resit link):")
    say(f"    {printed(started('link')).strip()}", "cyan")
    say("  From another terminal, in this folder:")
    say(f"    export RESIT_DATA={shlex.quote(str(DATA))}", "cyan")
    for words in ("runs", "show 1", "show 1 --tests --outcome flaky", "logs 1", "run bank --tag smoke --wait"):
        say(f"    .venv/bin/resit {words}", "cyan")


def main() -> int:
    """Tell the story; returns the exit code: 0 when it was told to its end."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    began = time.monotonic()
    stay = os.environ.get("DEMO_EXIT", "") in ("", "0")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    end_earlier()
    shutil.rmtree(DEMO, ignore_errors=True)
    over = False
    try:
        say("Resit runs your tests, accounts for every one, and runs again what you choose.", "bold")
        say()
        chosen = suites()
        server = start()
        say(f"A server answers at {server.url} after {time.monotonic() - began:.1f} s; its data is in .demo/data.")
        tell(server, chosen)
        goodbye(server)
        say()
        over = True
        if not stay:
            say(f"DEMO_EXIT is set, so the server stops now. The demo took {time.monotonic() - began:.0f} s.")
            return 0
        say(f"The demo took {time.monotonic() - began:.0f} s. Ctrl-C stops the server.", "bold")
        code = server.process.wait()
        raise Unexpected(f"the server was ended by another demo, or by hand (exit code {code})")
    except KeyboardInterrupt:
        say("\nStopping the server.")
        return 0 if over else 130
    except (Unexpected, OSError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"\ndemo: {error if isinstance(error, Unexpected) else repr(error)}\n")
        return 1
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for pid in OURS:
            end(pid)
            with suppress(OSError, ValueError):
                if int(PID.read_text()) == pid:
                    PID.unlink()


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
