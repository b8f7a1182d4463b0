"""Values to plain JSON data and back: what worker and control plane say to each other.

Written out by hand, because it is read on the hot path and old workers meet new control planes: unknown members are
ignored, absent ones take the value's default, malformed data raises :class:`MalformedEvent` and nothing else.

What was read can be stored: texts have no NUL and no half of a character (lone surrogate), whole numbers fit their
columns, and no time is infinite or no number.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, cast

from resit.domain.events import Attachment, DidNotRun, Failure, NotFound, TestEvent, TestResult, TestStarted
from resit.domain.plan import PlannedTest
from resit.domain.status import ResultStatus

SMALL = 2**31 - 1
"""The greatest index or line number; columns of both databases hold it."""
LARGE = 2**53
"""The greatest number of a run, or of bytes."""
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class MalformedEvent(ValueError):
    """Data that is no event of ours."""


def text(value: object) -> str:
    """A text that every database takes and every answer can carry. Raises :class:`TypeError` for what is no text."""
    if not isinstance(value, (str, int, float)):
        raise TypeError("not a text")
    return _UNSTORABLE.sub("\ufffd", str(value))


def whole(value: Any, most: int = SMALL) -> int:
    """A whole number from 0 to ``most``. Raises :class:`ValueError`."""
    found = int(real(value))
    if not 0 <= found <= most:
        raise ValueError("a number is out of range")
    return found


def real(value: Any) -> float:
    """A finite number. Raises :class:`ValueError`."""
    try:
        found = float(value)
    except OverflowError as error:
        raise ValueError("a number is out of range") from error
    if not math.isfinite(found):
        raise ValueError("a number is not finite")
    return found


def texts(values: Any) -> tuple[str, ...]:
    """A list of texts. Raises :class:`TypeError` for what is no list."""
    if not isinstance(values, (list, tuple)):
        raise TypeError("not a list")
    return tuple(text(value) for value in cast("list[object]", values))


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
            id=text(data["id"]),
            file=text(data["file"]),
            title_path=texts(data["title"]),
            variant=text(data.get("variant", "")),
            tags=texts(data.get("tags", ())),
            line=whole(data.get("line", 0)),
            unit=text(data.get("unit", "")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
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
                "after_failure": event.after_failure,
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
        test = text(event["test"])
        match event["kind"]:
            case "started":
                return TestStarted(test, real(event["at"]), whole(event.get("retry", 0)))
            case "result":
                return _result(test, event)
            case "not_found":
                return NotFound(test, text(event.get("reason", "")))
            case "did_not_run":
                return DidNotRun(test, text(event.get("reason", "")))
            case other:
                raise MalformedEvent(f"unknown kind of event {other!r}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedEvent(f"malformed event: {error!r}") from error


def _result(test: str, event: Mapping[str, Any]) -> TestResult:
    return TestResult(
        test=test,
        status=ResultStatus(event["status"]),
        retry=whole(event.get("retry", 0)),
        final=bool(event.get("final", True)),
        after_failure=bool(event.get("after_failure", False)),
        started_at=real(event.get("at", 0.0)),
        duration=real(event.get("duration", 0.0)),
        failures=tuple(
            Failure(text(f["message"]), text(f.get("stack", "")), text(f.get("location", "")))
            for f in event.get("failures", ())
        ),
        attachments=tuple(
            Attachment(text(a["name"]), text(a.get("type", "")), id=text(a["id"]), size=whole(a.get("size", 0), LARGE))
            for a in event.get("attachments", ())
        ),
        annotations=tuple((text(kind), text(words)) for kind, words in event.get("annotations", ())),
    )
