"""Requests per second of the HTTP APIs: ``python bench/api.py [--requests N]``.

A server of its own in a temporary folder, with one finished run of 50 tests and 50 runs in the list; no worker while it
measures, so that only the API is at work. The client is a bare socket that keeps its connection, so what it costs is
little beside what it measures. Prints a line a request and number of clients: requests a second, median and 99th
percentile. Compare within one run on one machine; figures of different minutes say little.
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
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

RESIT = str(Path(sys.executable).with_name("resit"))
SUITE = """
import pytest
@pytest.mark.parametrize("n", range(50))
def test_n(n): assert n % 10 != 3
"""
RUNS = 50
CREATE = '{"repository":"local/shop","commit_sha":"' + "a" * 40 + '","platform":"linux"}'
QUESTIONS = (
    ("GET", "/api/v1/system/health", ""),
    ("GET", "/api/v1/runs/1", ""),
    ("GET", "/api/v1/runs", ""),
    ("GET", "/api/v1/runs?limit=10", ""),
    ("GET", "/api/v1/runs/1/summary", ""),
    ("GET", "/api/v1/runs/1/samples", ""),
    ("POST", "/api/v1/runs/1/retry", "{}"),
    ("POST", "/api/v1/runs", CREATE),
    ("GET", "/resit/v1/runs/1", ""),
    ("POST", "/resit/v1/runs/1/rerun", "{}"),
    ("GET", "/api/test-runs/1", ""),
    ("POST", "/api/test-runs/1/re-run", "{}"),
    ("GET", "/v1/run/{short}", ""),
    ("POST", "/v1/run/{short}", "{}"),
)


class Server:
    """``resit serve`` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> None:
        """Start, and wait until it answers."""
        limits = ("--ccextractor-reads", "0", "--ccextractor-writes", "0")
        command = [RESIT, "serve", "--data", str(self.data), "--port", str(self.port), *limits, *more]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit("the server does not answer")

    @property
    def pid(self) -> int:
        """Its process; 0 when it does not run."""
        return self.process.pid if self.process else 0

    def stop(self) -> None:
        """End."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    def cli(self, *args: str) -> str:
        """A command."""
        env = {**os.environ, "RESIT_DATA": str(self.data)}
        return subprocess.run([RESIT, *args], env=env, capture_output=True, text=True, check=False).stdout


def signed_in(server: Server) -> str:
    """The cookie of a person who has come in by a link."""
    secret = server.cli("link").strip().rpartition("/")[2]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://127.0.0.1:{server.port}"}
    connection.request("POST", "/link", urlencode({"secret": secret}), form)
    return (connection.getresponse().getheader("Set-Cookie") or "").partition(";")[0]


def ask(port: int, token: str, method: str, path: str, body: str, requests: int, clients: int, cookie: str = "") -> str:
    """The figures of one request, asked ``requests`` times by ``clients`` at once; with a cookie, as a browser does."""
    who = f"Cookie: {cookie}" if cookie else f"Authorization: Bearer {token}"
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: bench\r\n{who}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
    times: list[float] = []
    codes: dict[str, int] = {}

    def one() -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answers = connection.makefile("rb")
            for _ in range(requests // clients):
                began = time.perf_counter()
                connection.sendall(head)
                code = answers.readline().split()[1].decode()
                size = 0
                while (line := answers.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length"):
                        size = int(line.split(b":")[1])
                answers.read(size)
                times.append(time.perf_counter() - began)
                codes[code] = codes.get(code, 0) + 1

    threads = [threading.Thread(target=one) for _ in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(times) / (time.perf_counter() - began)
    times.sort()
    half, most = times[len(times) // 2] * 1e3, times[int(len(times) * 0.99)] * 1e3
    answered = " ".join(f"{number}x{code}" for code, number in sorted(codes.items()))
    return f"{method:4} {path:28} {clients:2} clients {rate:7.0f}/s  p50 {half:6.1f} ms  p99 {most:6.1f} ms  {answered}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=400, help="how often each request is sent")
    count: int = parser.parse_args().requests
    with tempfile.TemporaryDirectory(prefix="resit-bench-") as folder:
        suite = Path(folder) / "suite"
        suite.mkdir()
        (suite / "test_it.py").write_text(SUITE)
        server = Server(Path(folder))
        try:
            server.start()
            server.cli("project", "add", "shop", "--source", str(suite), "--executor", "pytest")
            server.cli("run", "shop", "--wait")
            for _ in range(RUNS - 2):
                server.cli("rerun", "1")
            server.cli("rerun", "1", "--wait")
            short = json.loads(server.cli("show", "1", "--json"))["short_id"]
            server.stop()
            server.start("--no-worker")
            token = server.cli("token", "create", "--project", "shop").strip()
            for method, path, body in QUESTIONS:
                for clients in (1, 4):
                    print(ask(server.port, token, method, path.format(short=short), body, count, clients), flush=True)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
