"""Load: many runs reported and ingested while many clients read: ``python bench/load.py [--runs N] [--readers N]``.

A server of its own with its real broker, database and workers; the tests are instant (``bench/instant``), so that all
there is to do is Resit's. Afterwards every run must have every result: nothing lost, nothing twice. Prints how long it
took, results a second, the server's own work, and the median and 99th percentile of each read under that load.
All of it shares this machine: what asks and counts here too, so it asks seldom.
"""

import argparse
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import Any

from resit.testing.postgres import PostgresServer

RESIT = str(Path(sys.executable).with_name("resit"))
INSTANT = Path(__file__).parent / "instant"
PROJECT = "load"


class Api:
    """One connection to the native API."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def __call__(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """The status and the JSON of the answer."""
        said = None if body is None else json.dumps(body)
        self._connection.request(method, f"/resit/v1{path}", said, self._headers)
        answer = self._connection.getresponse()
        data = answer.read()
        return answer.status, json.loads(data) if data else None


class Readers:
    """Clients that read as long as the load lasts."""

    def __init__(self, port: int, token: str, count: int, pause: float) -> None:
        self._times: dict[str, list[float]] = {}
        self._codes: dict[int, int] = {}
        self._stop = threading.Event()
        self.newest = 1
        self._threads = [
            threading.Thread(target=self._read, args=(Api(port, token), number, pause, pause / count), daemon=True)
            for number in range(count)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        for thread in self._threads:
            thread.join(10)

    def _read(self, api: Api, number: int, pause: float, apart: float) -> None:
        paths = (
            ("run", "/runs/{run}"),
            ("list of 50 runs", "/runs"),
            ("ledger page", "/runs/{run}/tests?limit=100"),
            ("failed of a run", "/runs/{run}/tests?outcome=failed"),
            ("test cases", f"/projects/{PROJECT}/test-cases?limit=50"),
        )
        kinds = cycle(paths[number % len(paths) :] + paths[: number % len(paths)])
        # They don't come all at once, as clients that know nothing of each other don't.
        self._stop.wait(number * apart)
        while not self._stop.wait(pause):
            name, path = next(kinds)
            began = time.perf_counter()
            status, _ = api("GET", path.format(run=max(1, self.newest - number)))
            self._times.setdefault(name, []).append(time.perf_counter() - began)
            self._codes[status] = self._codes.get(status, 0) + 1

    def __str__(self) -> str:
        lines = [f"  answers: {' '.join(f'{count}x{code}' for code, count in sorted(self._codes.items()))}"]
        for name, times in self._times.items():
            times.sort()
            half, most = times[len(times) // 2] * 1e3, times[int(len(times) * 0.99)] * 1e3
            lines.append(f"  {name:20} {len(times):6} reads  p50 {half:7.1f} ms  p99 {most:7.1f} ms")
        return "\n".join(lines)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def serve(folder: Path, port: int, slots: int, more: list[str]) -> "subprocess.Popen[bytes]":
    """A server that answers."""
    env = {**os.environ, "PYTHONPATH": str(INSTANT)}
    command = [RESIT, "serve", "--data", str(folder), "--port", str(port), "--slots", str(slots), *more]
    with (folder.parent / "server.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=env, start_new_session=True)
    for _ in range(300):
        if process.poll() is not None:
            break
        if (folder / "url").exists():
            return process
        time.sleep(0.1)
    raise SystemExit("the server does not answer")


def work_of(process: int) -> float:
    """Seconds that a process has worked."""
    said = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(said[11]) + int(said[12])) / os.sysconf("SC_CLK_TCK")


def load(port: int, process: int, token: str, options: argparse.Namespace, suite: Path) -> bool:
    """Put the load on the server; True when every run has every result."""
    api = Api(port, token)
    project = {"slug": PROJECT, "source": str(suite), "executor": "instant", "config": str(options.tests)}
    status, said = api("POST", "/projects", project)
    if status != 201:
        raise SystemExit(f"no project: {said}")
    readers = Readers(port, token, options.readers, options.pause)
    readers.start()
    began, work = time.perf_counter(), work_of(process)
    ids = list[int]()
    for _ in range(options.runs):
        status, said = api("POST", f"/projects/{PROJECT}/runs", {})
        if status != 201:
            raise SystemExit(f"not requested: {said}")
        ids.append(said["id"])
        readers.newest = said["id"]
    asked = time.perf_counter() - began
    # They end more or less in their order: the oldest open one is asked about, and the next once it is over.
    for id in ids:
        while api("GET", f"/runs/{id}")[1]["status"] != "finished":
            if time.perf_counter() - began > options.limit:
                raise SystemExit(f"run {id} is not over after {options.limit} s")
            time.sleep(0.25)
    took = time.perf_counter() - began
    work = work_of(process) - work
    readers.stop()
    bad = [id for id in ids if not _whole(api("GET", f"/runs/{id}")[1], options.tests)]
    total = options.runs * options.tests
    print(f"{options.runs} runs of {options.tests} results: requested in {asked:.1f} s, done in {took:.1f} s")
    print(f"  {total / took:.0f} results/s, {options.runs / took:.1f} runs/s; incomplete: {bad or 'none'}")
    print(f"  the server's own work: {work:.1f} s, {work / total * 1e6:.0f} µs a result; load {os.getloadavg()[1]:.1f}")
    print(f"while {options.readers} clients read, each every {options.pause} s:\n{readers}")
    return not bad


def _whole(run: dict[str, Any], tests: int) -> bool:
    counts = run["counts"]
    return run["verdict"] == "passed" and counts["passed"] == counts["total"] == tests


def main() -> int:
    """Measure, print, and say with 1 that something was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--tests", type=int, default=200, help="of each run")
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between two reads of a client")
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL of its own instead of SQLite")
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds after which it is given up")
    parser.add_argument("serve", nargs="*", help="more options of resit serve, after --")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="resit-load-") as folder, ExitStack() as stack:
        if options.postgres:
            os.environ["RESIT_DATABASE_URL"] = stack.enter_context(PostgresServer(careful=True)).create("load")
        data, suite, port = Path(folder) / "data", Path(folder) / "suite", free_port()
        suite.mkdir()
        server = serve(data, port, options.slots, options.serve)
        try:
            return int(not load(port, server.pid, (data / "admin-token").read_text().strip(), options, suite))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)


if __name__ == "__main__":
    sys.exit(main())
