"""The native HTTP API as Python calls: what the command line speaks, and any other program may.

Documents come back as the server wrote them (typed in ``documents``, never rebuilt). Everything that can go wrong is a
:class:`ClientError` with one sentence for people.
"""

import json
import ssl
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn, Self, cast
from urllib.parse import quote, urlsplit
from uuid import uuid4

import httpx
from httpx_sse import connect_sse

from resit.client.documents import (
    EnvironmentDoc,
    LineageDoc,
    LogDoc,
    ProjectDoc,
    RowDoc,
    RunDoc,
    ScheduleDoc,
    SnoozeDoc,
)
from resit.client.fleet import FleetCalls
from resit.client.reports import ReportCalls
from resit.client.schedules import ScheduleCalls
from resit.integrations.trust import BadAuthority, trusting

__all__ = [
    "Client",
    "ClientError",
    "EnvironmentDoc",
    "LineageDoc",
    "LogDoc",
    "ProjectDoc",
    "Refused",
    "RowChanged",
    "RowDoc",
    "RunChanged",
    "RunDoc",
    "ScheduleDoc",
    "ServerAway",
    "SnoozeDoc",
    "closed",
]

PREFIX = "/resit/v1"
QUIET_SECONDS = 30.0
"""An event stream that is silent for longer is taken for dead and opened again."""
PATIENCE_SECONDS = 300.0
"""How long :meth:`Client.follow` waits for a server that is away (a restart) before it gives up."""
DOCTOR_SECONDS = 300.0
"""To read a large database through takes its time."""
_DATE_SECONDS = 2.0
"""The time in an answer is of a whole second, and may be one second old."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


class ClientError(Exception):
    """A call did not work. ``message``: what happened; ``hint``: what to do, or nothing."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ServerAway(ClientError):
    """No answer, or one that says that the server can't serve now."""


class Refused(ClientError):
    """The server answered with an error. ``code`` is its word for programs, ``field`` the part that it objects to."""

    def __init__(self, message: str, *, status: int, code: str = "", field: str = "", hint: str = "") -> None:
        super().__init__(message, hint)
        self.status = status
        self.code = code
        self.field = field


@dataclass(frozen=True, slots=True)
class RunChanged:
    """The run as it stands now."""

    run: RunDoc


@dataclass(frozen=True, slots=True)
class RowChanged:
    """A row of the run's ledger as it stands now."""

    row: RowDoc


def closed(run: RunDoc) -> bool:
    """True when the run can't change any more."""
    return run["status"] in ("finished", "cancelled")


class Client:
    """A connection to one server. A context manager; safe to use from several threads.

    ``trace``: a W3C traceparent; runs that are requested become part of that trace. ``ca`` and ``exact``: whom to
    trust, see :func:`resit.integrations.trust.trusting`. Raises :class:`ClientError` for a ``ca`` that can't be read.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        trace: str = "",
        ca: str = "",
        exact: bool = False,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url.rstrip("/")
        self._sleep = sleep
        self._clock = clock
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json", **_traced(trace)},
            timeout=httpx.Timeout(30.0, connect=5.0),
            transport=transport,
            verify=_trust(self.url, ca, exact),
            # A proxy of the environment is not for a server on this machine.
            trust_env=urlsplit(self.url).hostname not in _LOCAL,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # The server itself

    def doctor(self, *, integrity: bool = False) -> dict[str, Any]:
        """What is wrong with the server, as it finds itself."""
        words = {"params": {"integrity": "true"}} if integrity else {}
        return self._call("GET", "/doctor", timeout=DOCTOR_SECONDS, **words)

    def answers(self, url: str) -> bool:
        """Whether a Resit answers at this address, seen from here."""
        try:
            answer = self._http.get(f"{url.rstrip('/')}/healthz", headers={"Authorization": ""}, timeout=5.0)
        except (httpx.HTTPError, httpx.InvalidURL):
            return False
        return answer.status_code == 200 and answer.text == "ok\n"

    def clock_ahead(self) -> float:
        """By how many seconds the server's clock is ahead of ours; 0 as far as nobody can tell, which is a second."""
        before = time.time()
        try:
            said = self._http.get(f"{self.url}/healthz", timeout=5.0).headers.get("date", "")
            theirs = parsedate_to_datetime(said).timestamp()
        except (httpx.HTTPError, ValueError):
            return 0.0
        return max(0.0, theirs - time.time()) + min(0.0, theirs + _DATE_SECONDS - before)

    # Projects, environments

    def add_project(self, fields: Mapping[str, object]) -> ProjectDoc:
        """Register a suite; gives the project."""
        return cast("ProjectDoc", self._call("POST", "/projects", json=fields))

    def projects(self) -> Iterator[ProjectDoc]:
        """Every project within reach of the token."""
        return (cast("ProjectDoc", item) for item in self._items("/projects", {}))

    def project(self, slug: str) -> ProjectDoc:
        """A project with its environments."""
        return cast("ProjectDoc", self._call("GET", f"/projects/{_segment(slug)}"))

    def add_environment(self, project: str, fields: Mapping[str, object]) -> dict[str, Any]:
        """Give a project an environment."""
        return self._call("POST", f"/projects/{_segment(project)}/environments", json=fields)

    def change_project(self, project: str, changes: Mapping[str, object]) -> ProjectDoc:
        """Change a project; what is not named stays."""
        return cast("ProjectDoc", self._call("PATCH", f"/projects/{_segment(project)}", json=changes))

    def change_environment(self, project: str, slug: str, changes: Mapping[str, object]) -> EnvironmentDoc:
        """Change an environment; what is not named stays."""
        path = f"/projects/{_segment(project)}/environments/{_segment(slug)}"
        return cast("EnvironmentDoc", self._call("PATCH", path, json=changes))

    # Test plans, snoozes, webhooks

    def add_test_plan(self, project: str, fields: Mapping[str, object]) -> dict[str, Any]:
        """Save a selection."""
        return self._call("POST", f"/projects/{_segment(project)}/test-plans", json=fields)

    def test_plans(self, project: str) -> Iterator[dict[str, Any]]:
        """The test plans of a project."""
        return self._items(f"/projects/{_segment(project)}/test-plans", {})

    def remove_test_plan(self, id: int) -> None:
        """Take a test plan away."""
        self._send("DELETE", f"/test-plans/{id}")

    def test_insights(self, project: str, limit: int, **filters: str | None) -> dict[str, Any]:
        """How the test cases of a project fared: the first ``limit`` (1 to 1,000), and how many there are."""
        params: dict[str, str | int] = {name: value for name, value in filters.items() if value is not None}
        return self._call("GET", f"/projects/{_segment(project)}/insights/tests", params={**params, "limit": limit})

    def add_snooze(self, project: str, fields: Mapping[str, object]) -> SnoozeDoc:
        """Let failures of tests not block until a time."""
        return cast("SnoozeDoc", self._call("POST", f"/projects/{_segment(project)}/snoozes", json=fields))

    def snoozes(self, project: str, *, ended: bool = False) -> Iterator[SnoozeDoc]:
        """The snoozes of a project that last; with ``ended`` all."""
        found = self._items(f"/projects/{_segment(project)}/snoozes", {"ended": "true" if ended else None})
        return (cast("SnoozeDoc", item) for item in found)

    def expire_snooze(self, id: int) -> SnoozeDoc:
        """End a snooze now."""
        return cast("SnoozeDoc", self._call("POST", f"/snoozes/{id}/expire"))

    def add_webhook(self, project: str, fields: Mapping[str, object]) -> dict[str, Any]:
        """Have an address told of runs; only this answer ever holds the secret."""
        return self._call("POST", f"/projects/{_segment(project)}/webhooks", json=fields)

    def webhooks(self, project: str) -> Iterator[dict[str, Any]]:
        """The webhooks of a project, without their secrets."""
        return self._items(f"/projects/{_segment(project)}/webhooks", {})

    def test_webhook(self, id: int) -> dict[str, Any]:
        """Have a webhook told the event ``webhook.test``."""
        return self._call("POST", f"/webhooks/{id}/test")

    def remove_webhook(self, id: int) -> None:
        """Take a webhook away."""
        self._send("DELETE", f"/webhooks/{id}")

    # Tokens

    def create_token(self, fields: Mapping[str, object]) -> dict[str, Any]:
        """Make a token; only this answer ever holds its secret."""
        return self._call("POST", "/tokens", json=fields)

    def tokens(self) -> Iterator[dict[str, Any]]:
        """The tokens within reach, without their secrets."""
        return self._items("/tokens", {})

    def revoke_token(self, id: int) -> None:
        """Make a token worthless."""
        self._send("DELETE", f"/tokens/{id}")

    @property
    def fleet(self) -> FleetCalls:
        """Workers, pools, credentials of workers."""
        return FleetCalls(self._call, self._items, self._send)

    @property
    def schedules(self) -> ScheduleCalls:
        """Schedules: made, listed, changed, run now."""
        return ScheduleCalls(self._call, self._items, self._once, self._send)

    @property
    def reports(self) -> ReportCalls:
        """Files about whole runs."""
        return ReportCalls(self._opened, self._items, self._call)

    # People and the organization

    def add_user(self, fields: Mapping[str, object]) -> dict[str, Any]:
        """Make an account."""
        return self._call("POST", "/users", json=fields)

    def users(self) -> Iterator[dict[str, Any]]:
        """All accounts."""
        return self._items("/users", {})

    def disable_user(self, email: str) -> dict[str, Any]:
        """Close an account and revoke its tokens."""
        return self._call("POST", f"/users/{_segment(email)}/disable")

    def sign_in_link(self) -> str:
        """An address that opens the web page signed in, once."""
        return str(self._call("POST", "/sign-in-links")["url"])

    def organization(self) -> dict[str, Any]:
        """What the operator has decided, and how many runs were made this month."""
        return self._call("GET", "/organization")

    def set_organization(self, changes: Mapping[str, object]) -> dict[str, Any]:
        """Change what was decided; what is not named stays."""
        return self._call("PATCH", "/organization", json=changes)

    # Runs

    def trigger(self, project: str, fields: Mapping[str, object]) -> RunDoc:
        """Request a run. Sent again when the answer got lost: the idempotency key lets it happen once."""
        return self._run(self._once(f"/projects/{_segment(project)}/runs", fields))

    def rerun(self, run: str, fields: Mapping[str, object]) -> RunDoc:
        """Request a re-run: a new run, linked to its source."""
        return self._run(self._once(f"/runs/{_segment(run)}/rerun", fields))

    def runs(self, limit: int | None = None, **filters: str | None) -> Iterator[RunDoc]:
        """Runs, newest first."""
        return (self._run(item) for item in self._items("/runs", filters, limit))

    def run(self, run: str) -> RunDoc:
        """A run by its number, short id or uuid."""
        return self._run(self._call("GET", f"/runs/{_segment(run)}"))

    def change_run(self, run: str, changes: Mapping[str, object]) -> RunDoc:
        """Change the priority or the start of a run that waits."""
        return self._run(self._call("PATCH", f"/runs/{_segment(run)}", json=changes))

    def cancel(self, run: str, reason: str = "") -> RunDoc:
        """Stop a run."""
        fields = {"json": {"reason": reason}} if reason else {}
        return self._run(self._call("POST", f"/runs/{_segment(run)}/cancel", **fields))

    def keep_run(self, run: str, *, kept: bool) -> RunDoc:
        """Keep a run, whatever the limits of its project say; or no longer."""
        return self._run(self._call("POST" if kept else "DELETE", f"/runs/{_segment(run)}/keep"))

    def usage(self) -> dict[str, Any]:
        """What projects, the database and the disk take."""
        return self._call("GET", "/usage")

    def remove_runs(self, project: str = "", *, dry_run: bool = False) -> dict[str, Any]:
        """Remove runs beyond the limits, for some seconds; ``done`` in the answer says whether that was all."""
        return self._call("POST", "/retention", json={"project": project, "dry_run": dry_run})

    def lineage(self, run: str) -> LineageDoc:
        """A run's family of re-runs and the verdict over it."""
        return cast("LineageDoc", self._call("GET", f"/runs/{_segment(run)}/lineage"))

    def tests(
        self, run: str, *, outcome: str | None = None, state: str | None = None, limit: int | None = None
    ) -> Iterator[RowDoc]:
        """The ledger rows of a run, with their results. ``state``: planned, running or did_not_run."""
        rows = self._items(f"/runs/{_segment(run)}/tests", {"outcome": outcome, "state": state}, limit, page=500)
        return (cast("RowDoc", row) for row in rows)

    def logs(self, run: str) -> list[LogDoc]:
        """Which logs a run has."""
        return [cast("LogDoc", item) for item in self._items(f"/runs/{_segment(run)}/logs", {})]

    def log(self, run: str, shard: int, after: int = 0) -> tuple[str, int]:
        """What a log holds from offset ``after`` on, and the offset to go on from."""
        answer = self._send("GET", f"/runs/{_segment(run)}/logs/{shard}", params={"after": after})
        following = answer.headers.get("X-Resit-Next-Offset", "")
        return answer.text, int(following) if following.isdigit() else after + len(answer.content)

    def follow(self, run: str) -> Iterator[RunChanged | RowChanged]:
        """What happens in a run, until it is closed; the last item is the closed run.

        A broken stream is opened again where it broke. A server that is away is waited for, within bounds.
        """
        last_id, pause, away_since = "", _FIRST_PAUSE, self._clock()
        while True:
            try:
                for kind, id, data in self._events(run, last_id):
                    last_id, pause = id or last_id, _FIRST_PAUSE
                    if kind == "end":
                        break
                    if kind == "run":
                        yield RunChanged(cast("RunDoc", data))
                    elif kind == "test":
                        yield RowChanged(cast("RowDoc", data))
            except ServerAway:
                pass
            try:
                now = self.run(run)
                away_since = self._clock()
                yield RunChanged(now)
                if closed(now):
                    return
            except ServerAway as error:
                if self._clock() - away_since > PATIENCE_SECONDS:
                    raise ServerAway(f"{error.message} (tried for {PATIENCE_SECONDS / 60:.0f} minutes)") from error
            self._sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _events(self, run: str, last_id: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """The events of one connection: kind, id, data."""
        headers = {"Last-Event-ID": last_id} if last_id else {}
        path = f"{PREFIX}/runs/{_segment(run)}/events"
        quiet = httpx.Timeout(30.0, connect=5.0, read=QUIET_SECONDS)
        try:
            with connect_sse(self._http, "GET", path, headers=headers, timeout=quiet) as source:
                if source.response.status_code != 200:
                    source.response.read()
                    self._refuse(source.response)
                for event in source.iter_sse():
                    data = _object(event.data)
                    if data is not None or event.event == "end":
                        yield event.event, event.id, data or {}
        except httpx.TransportError as error:
            raise self._away(error) from error

    # HTTP

    def _once(self, path: str, fields: Mapping[str, object]) -> dict[str, Any]:
        headers = {"Idempotency-Key": str(uuid4())}
        for pause in (0.5, 1.5):
            try:
                return self._call("POST", path, json=fields, headers=headers)
            except ServerAway as error:
                if isinstance(error.__cause__, httpx.ConnectError):
                    raise
                self._sleep(pause)
        return self._call("POST", path, json=fields, headers=headers)

    def _items(
        self, path: str, filters: Mapping[str, str | None], limit: int | None = None, page: int = 100
    ) -> Iterator[dict[str, Any]]:
        """The items of a list, page after page, at most ``limit``."""
        params: dict[str, str | int] = {name: value for name, value in filters.items() if value is not None}
        cursor, left = "", limit
        while left is None or left > 0:
            params["limit"] = page if left is None else min(page, left)
            answer = self._call("GET", path, params=params)
            items = cast("list[dict[str, Any]]", answer.get("items", []))
            yield from items
            left = None if left is None else left - len(items)
            following = answer.get("next")
            if not following or following == cursor:
                return
            cursor = params["cursor"] = str(following)

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        data = _object(self._send(method, path, **options).text)
        if data is None:
            raise ServerAway(f"{self.url} answered with something that is not of Resit", "check the address")
        return data

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, PREFIX + path, **options)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self._away(error) from error
        if not answer.is_success:
            self._refuse(answer)
        return answer

    @contextmanager
    def _opened(self, path: str, **options: Any) -> Generator[httpx.Response]:
        """An answer that is read piece by piece."""
        try:
            with self._http.stream("GET", PREFIX + path, **options) as answer:
                if not answer.is_success:
                    answer.read()
                    self._refuse(answer)
                yield answer
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self._away(error) from error

    def _away(self, error: Exception) -> ServerAway:
        if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
            return ServerAway(f"the Resit server at {self.url} did not answer in time")
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return ServerAway(
                f"no Resit server answers at {self.url} ({error or type(error).__name__})",
                "is it running? start one with `resit serve`",
            )
        return ServerAway(f"the connection to the Resit server at {self.url} broke ({error or type(error).__name__})")

    def _refuse(self, answer: httpx.Response) -> NoReturn:
        status = answer.status_code
        if answer.has_redirect_location:
            where = answer.headers.get("Location", "")
            raise Refused(f"{self.url} redirects to {where}", status=status, hint="name that address as RESIT_URL")
        problem = _object(answer.text) or {}
        said = str(problem.get("detail") or problem.get("title") or "")
        if status in _TRANSIENT:
            said = said or f"{status} {answer.reason_phrase}"
            raise ServerAway(f"the Resit server at {self.url} can't do this now: {said}")
        if not said:
            said = f"{self.url} answered {status} {answer.reason_phrase}, and not in Resit's words"
        field = str(problem.get("field") or "")
        hint = str(problem.get("hint") or "")
        if status == 401 and not hint:
            hint = "check RESIT_TOKEN, or the file admin-token in the server's data folder"
        raise Refused(said, status=status, code=str(problem.get("code") or ""), field=field, hint=hint)

    @staticmethod
    def _run(data: dict[str, Any]) -> RunDoc:
        return cast("RunDoc", data)


def _object(text: str) -> dict[str, Any] | None:
    try:
        data = json.loads(text)
    except ValueError:
        return None
    return cast("dict[str, Any]", data) if isinstance(data, dict) else None


def _segment(name: str) -> str:
    """A name as one segment of a path: nothing a person types may lead to another page of the API."""
    if name.strip() in ("", ".", ".."):
        raise Refused(f"{name!r} is no name", status=404, code="not_found")
    return quote(name.strip(), safe="")


def _traced(trace: str) -> dict[str, str]:
    """A header, as long as it can be one."""
    return {"traceparent": trace} if trace and trace.isascii() and trace.isprintable() and len(trace) < 300 else {}


def _trust(url: str, ca: str, exact: bool) -> ssl.SSLContext:
    """Loading the certificates costs 20 ms; plain http needs none."""
    if url.lower().startswith("https://"):
        try:
            return trusting(ca, exact=exact and bool(ca))
        except BadAuthority as error:
            raise ClientError(str(error), "check RESIT_CA") from error
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
