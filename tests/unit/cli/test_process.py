"""The command as a process against a real HTTP server: what canned answers can't show."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@pytest.fixture
def address(build_run):
    """A server of one run that fails once its events have been read."""
    going = build_run(status="running", verdict=None, duration=None, counts={"running": 1})
    red = build_run(verdict="failed", summary="1 failed", counts={"failed": 1})
    state = {"run": going}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answers = {
                "/resit/v1/runs/12": lambda: state["run"],
                "/resit/v1/runs/12/tests": lambda: {"items": [], "next": None},
                "/resit/v1/runs": lambda: {"items": [red] * 20, "next": None},
            }
            self.send_response(200)
            if self.path.endswith("/events"):
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                self.wfile.write(f"id: 1\nevent: run\ndata: {json.dumps(going)}\n\n".encode())
                state["run"] = red
                self.wfile.write(b"event: end\ndata: {}\n\n")
                return
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answers[self.path.partition("?")[0]]()).encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def resit(address, *argv, stdout=subprocess.PIPE):
    return subprocess.run(
        [sys.executable, "-m", "resit", *argv],
        env={**os.environ, "RESIT_URL": address, "RESIT_TOKEN": "t0ken"},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
    )


def test_a_run_is_watched_over_http(address):
    done = resit(address, "watch", "12", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["verdict"] == "failed"
    assert done.stderr == "running: 0 of 1 done, 3 passed\n"


@pytest.mark.parametrize("argv", [("runs",), ("runs", "--json"), ("watch", "12")])
def test_a_reader_that_goes_away_is_neither_green_nor_red(address, argv):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as nobody:
        done = resit(address, *argv, stdout=nobody)
    assert (done.returncode, done.stderr) == (141, "")


def test_help_loads_neither_http_nor_the_server():
    code = (
        "import sys; from resit.cli.main import call; code = call(['--help']);"
        "heavy = {'httpx', 'fastapi', 'sqlalchemy', 'nats', 'resit.asgi', 'resit.client'} & set(sys.modules);"
        "print(heavy, file=sys.stderr); sys.exit(code or bool(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "set()\n")
