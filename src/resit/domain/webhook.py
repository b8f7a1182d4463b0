"""Webhooks: who is told of a run's life over HTTP."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import assert_never

from resit.domain.errors import InvalidInput
from resit.domain.run import Run
from resit.domain.status import RunStatus, Verdict


class WebhookEvent(StrEnum):
    """What a webhook can be told of (names of Empirical, study 2.13; ``schedule.failed`` is ours)."""

    QUEUED = "test_run.queued"
    STARTED = "test_run.started"
    ENDED = "test_run.ended"
    ERROR = "test_run.error"
    CANCELLED = "test_run.cancelled"
    SCHEDULE_FAILED = "schedule.failed"
    TEST = "webhook.test"


SECRET_PREFIX = "whsec_"  # noqa: S105 - what a webhook's secret begins with
"""What follows it is base64url; the bytes that it stands for are the key of the signature (Empirical, study 2.13)."""


def parse_events(names: Iterable[str]) -> tuple[WebhookEvent, ...]:
    """Events by name, each once, or :class:`InvalidInput` listing those that there are."""
    found: dict[WebhookEvent, None] = {}
    for name in names:
        try:
            found[WebhookEvent(name)] = None
        except ValueError:
            known = ", ".join(WebhookEvent)
            raise InvalidInput(f"no event {name[:60]!r}; there are: {known}", field="events") from None
    if not found:
        raise InvalidInput(
            f"a webhook asks for at least one event; there are: {', '.join(WebhookEvent)}", field="events"
        )
    return tuple(found)


def payload(event: WebhookEvent, at: float, **about: object) -> str:
    """The body of a notice: the event, when it was (ISO 8601, UTC), and what it is about."""
    made = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"event": event.value, "created_at": made, **about})


def event_of(before: RunStatus | None, run: Run) -> WebhookEvent | None:
    """What there is to tell when a run got from ``before`` to where it is; None for nothing."""
    if before is run.status:
        return None
    match run.status:
        case RunStatus.REQUESTED:
            return None
        case RunStatus.ADMITTED:
            return WebhookEvent.QUEUED
        case RunStatus.PLANNING | RunStatus.RUNNING | RunStatus.FINALIZING:
            return None if before in (RunStatus.PLANNING, RunStatus.RUNNING) else WebhookEvent.STARTED
        case RunStatus.FINISHED:
            return WebhookEvent.ERROR if run.verdict is Verdict.ERRORED else WebhookEvent.ENDED
        case RunStatus.CANCELLED:
            return WebhookEvent.CANCELLED
        case _:
            assert_never(run.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """An address that is told of the events it asked for. Its secret is sealed in storage and shown once."""

    id: int
    project_id: int
    url: str
    events: tuple[WebhookEvent, ...]
    active: bool = True
    created_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One delivery to one webhook, kept until it was taken or given up."""

    id: int
    webhook_id: int
    event: WebhookEvent
    payload: str
    attempts: int = 0
    due_at: float = 0.0


STALE_SECONDS = 86400.0
"""How long a notice waits for its turn before it is given up: nobody wants yesterday's news."""

MAX_ATTEMPTS = 6
"""Tries of one delivery, over about half an hour."""


def next_try(attempts: int, now: float) -> float | None:
    """When to try again after ``attempts`` failed ones; None to give up."""
    return None if attempts >= MAX_ATTEMPTS else now + 5.0 * 4.0 ** (attempts - 1)
