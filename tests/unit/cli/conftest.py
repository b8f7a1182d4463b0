"""A server made of canned answers, and a way to call the command line on it."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from resit.cli.main import call
from resit.cli.settings import Common
from resit.client import Client

Answer = httpx.Response | Callable[[httpx.Request], httpx.Response]

STATES = ("passed", "failed", "flaky", "skipped", "errored", "lost", "not_found", "cancelled", "planned", "running")


def make_run(**changes: Any) -> dict[str, Any]:
    """A run as the server shows it."""
    given = changes.pop("counts", {})
    counts = dict.fromkeys(STATES, 0) | given
    counts |= {"total": sum(counts[name] for name in STATES), "did_not_run": given.get("did_not_run", 0)}
    run = {
        "id": 12,
        "uuid": "8a1c0f4e-0000-4000-8000-00000000000c",
        "short_id": "k3fX9a",
        "project": "shop",
        "environment": "staging",
        "status": "finished",
        "verdict": "passed",
        "summary": "3 passed",
        "selection": "all",
        "tags": [],
        "source_run_id": None,
        "reason": "",
        "branch": "main",
        "commit": "c0ffee",
        "build": {"url": "https://staging.example.org"},
        "metadata": {},
        "variables": {},
        "total_shards": 2,
        "framework": "pytest 9.2",
        "approximate": False,
        "error": None,
        "problems": [],
        "triggered_by": "ci",
        "created_at": "2026-01-02T03:04:05Z",
        "started_at": "2026-01-02T03:04:06Z",
        "finished_at": "2026-01-02T03:04:18Z",
        "duration": 12.34,
        "url": "http://resit.example/runs/12",
        "counts": counts,
    }
    return run | changes


def make_row(id: str = "tests/test_cart.py::test_add", **changes: Any) -> dict[str, Any]:
    """A ledger row as the server shows it."""
    row = {
        "id": id,
        "case_id": 1,
        "file": id.partition("::")[0],
        "title": id.rpartition("::")[2],
        "title_path": [id.rpartition("::")[2]],
        "variant": "",
        "tags": [],
        "line": 7,
        "state": "failed",
        "outcome": "failed",
        "reason": "assert 1 == 2",
        "did_not_run": False,
        "duration": 0.5,
        "results": [],
    }
    return row | changes


def sse(*events: tuple[str, Any]) -> httpx.Response:
    """A stream of events that then ends."""
    text = "".join(f"id: {n}\nevent: {kind}\ndata: {json.dumps(data)}\n\n" for n, (kind, data) in enumerate(events, 1))
    return httpx.Response(200, text=text, headers={"Content-Type": "text/event-stream"})


class Server:
    """Answers by method and path; keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[httpx.Request] = []

    def on(self, what: str, *answers: Any, status: int = 200) -> None:
        """``what`` ("GET /runs/12") is answered with these in turn, the last one for ever."""
        made = [
            answer if isinstance(answer, httpx.Response) or callable(answer) else httpx.Response(status, json=answer)
            for answer in answers
        ]
        self.answers[what] = made

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        what = f"{request.method} {request.url.path.removeprefix('/resit/v1')}"
        if what not in self.answers:
            problem = {"title": "Not found", "status": 404, "detail": f"no such thing: {what}", "code": "not_found"}
            return httpx.Response(404, json=problem)
        turn = self.answers[what]
        answer = turn.pop(0) if len(turn) > 1 else turn[0]
        return answer(request) if callable(answer) else answer

    def sent(self, what: str) -> dict[str, Any]:
        """The JSON of the last request of this kind."""
        method, path = what.split()
        found = [r for r in self.asked if r.method == method and r.url.path == f"/resit/v1{path}"]
        return json.loads(found[-1].content)


class Result:
    """What a call of the command line gave."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(name="build_run")
def _build_run() -> Callable[..., dict[str, Any]]:
    return make_run


@pytest.fixture(name="build_row")
def _build_row() -> Callable[..., dict[str, Any]]:
    return make_row


@pytest.fixture(name="stream")
def _stream() -> Callable[..., httpx.Response]:
    return sse


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A fake server that every command reaches."""
    fake = Server()
    made: list[Client] = []

    def connect(self: Common) -> Client:
        client = Client("http://resit.example", "secret", transport=httpx.MockTransport(fake), sleep=lambda _: None)
        made.append(client)
        return client

    monkeypatch.setattr(Common, "connect", connect)
    yield fake
    for client in made:
        client.close()


@pytest.fixture(autouse=True)
def any_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that run side by side are told a width of 80, as if in a terminal."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def resit(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Call the command line: ``resit("runs", "shop")``."""

    def run(*argv: str) -> Result:
        code = call(argv)
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return run
