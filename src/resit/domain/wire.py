"""Values to plain JSON data and back: what worker and control plane say to each other.

Written out by hand, because it is read on the hot path and old workers meet new control planes: unknown members are
ignored, absent ones take the value's default, malformed data raises :class:`MalformedEvent` and nothing else.
"""

from collections.abc import Mapping
from typing import Any, cast

from resit.domain.events import Attachment, DidNotRun, Failure, NotFound, TestEvent, TestResult, TestStarted
from resit.domain.plan import PlannedTest
from resit.domain.status import ResultStatus


class MalformedEvent(ValueError):
    """Data that is no event of ours."""


def test_to_wire(test: PlannedTest) -> dict[str, Any]:
    """A planned test as JSON data."""
    return {
        "id": test.id,
        "file": test.file,
        "title": list(test.title_path),
        "variant": test.variant,
        "tags": list(test.tags),
        "line": test.line,
        "unit": test.unit,
    }


def test_from_wire(data: Mapping[str, Any]) -> PlannedTest:
    """The reverse of :func:`test_to_wire`."""
    try:
        return PlannedTest(
            id=str(data["id"]),
            file=str(data["file"]),
            title_path=tuple(str(t) for t in data["title"]),
            variant=str(data.get("variant", "")),
            tags=tuple(str(t) for t in data.get("tags", ())),
            line=int(data.get("line", 0)),
            unit=str(data.get("unit", "")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedEvent(f"no planned test: {error!r}") from error


def to_wire(event: TestEvent) -> dict[str, Any]:
    """An event as JSON data."""
    match event:
        case TestStarted():
            return {"kind": "started", "test": event.test, "at": event.at, "retry": event.retry}
        case TestResult():
            return {
                "kind": "result",
                "test": event.test,
                "status": event.status.value,
                "retry": event.retry,
                "final": event.final,
                "at": event.started_at,
                "duration": event.duration,
                "failures": [{"message": f.message, "stack": f.stack, "location": f.location} for f in event.failures],
                "attachments": [
                    {"id": a.id, "name": a.name, "type": a.content_type, "size": a.size} for a in event.attachments
                ],
                "annotations": [list(pair) for pair in event.annotations],
            }
        case NotFound():
            return {"kind": "not_found", "test": event.test, "reason": event.reason}
        case DidNotRun():
            return {"kind": "did_not_run", "test": event.test, "reason": event.reason}


def from_wire(data: object) -> TestEvent:
    """The reverse of :func:`to_wire`. Raises :class:`MalformedEvent`."""
    if not isinstance(data, dict):
        raise MalformedEvent("an event is an object")
    event = cast("dict[str, Any]", data)
    try:
        test = str(event["test"])
        match event["kind"]:
            case "started":
                return TestStarted(test, float(event["at"]), int(event.get("retry", 0)))
            case "result":
                return _result(test, event)
            case "not_found":
                return NotFound(test, str(event.get("reason", "")))
            case "did_not_run":
                return DidNotRun(test, str(event.get("reason", "")))
            case other:
                raise MalformedEvent(f"unknown kind of event {other!r}")
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedEvent(f"malformed event: {error!r}") from error


def _result(test: str, event: Mapping[str, Any]) -> TestResult:
    return TestResult(
        test=test,
        status=ResultStatus(event["status"]),
        retry=int(event.get("retry", 0)),
        final=bool(event.get("final", True)),
        started_at=float(event.get("at", 0.0)),
        duration=float(event.get("duration", 0.0)),
        failures=tuple(
            Failure(str(f["message"]), str(f.get("stack", "")), str(f.get("location", "")))
            for f in event.get("failures", ())
        ),
        attachments=tuple(
            Attachment(str(a["name"]), str(a.get("type", "")), id=str(a["id"]), size=int(a.get("size", 0)))
            for a in event.get("attachments", ())
        ),
        annotations=tuple((str(kind), str(text)) for kind, text in event.get("annotations", ())),
    )
