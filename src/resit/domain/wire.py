"""Values to plain JSON data and back: what worker and control plane say to each other.

Written out by hand, because it is read on the hot path and old workers meet new control planes: unknown members are
ignored, absent ones take the value's default, malformed data raises :class:`MalformedEvent` and nothing else.

What was read can be stored: texts have no NUL and no half of a character (lone surrogate), whole numbers fit their
columns, and no time is infinite or no number.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from resit.domain.events import (
    UNKNOWN,
    Attachment,
    DidNotRun,
    Failure,
    NotFound,
    Setting,
    Step,
    TestEvent,
    TestResult,
    TestStarted,
)
from resit.domain.plan import PlannedTest
from resit.domain.status import ResultStatus

SMALL = 2**31 - 1
"""The greatest index or line number; columns of both databases hold it."""
LARGE = 2**53
"""The greatest number of a run, or of bytes."""
MAX_STEPS = 2_000
"""Steps of one result; an executor sends far fewer."""
MAX_OUTPUT = 64 * 1024
"""Characters of a result's output."""
MAX_SUITE = 64 * 1024
"""Characters of what is said of a suite."""
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class MalformedEvent(ValueError):
    """Data that is no event of ours."""


def text(value: object) -> str:
    """A text that every database takes and every answer can carry. Raises :class:`TypeError` for what is no text."""
    if not isinstance(value, (str, int, float)):
        raise TypeError("not a text")
    # Nearly every text is of this kind, and to ask so costs a tenth of looking for what can't be stored.
    if type(value) is str and value.isascii() and "\0" not in value:
        return value
    return _UNSTORABLE.sub("\ufffd", str(value))


def whole(value: Any, most: int = SMALL) -> int:
    """A whole number from 0 to ``most``. Raises :class:`ValueError`."""
    found = value if type(value) is int else int(real(value))
    if not 0 <= found <= most:
        raise ValueError("a number is out of range")
    return found


def real(value: Any) -> float:
    """A finite number. Raises :class:`ValueError`."""
    try:
        found = value if type(value) is float else float(value)
    except OverflowError as error:
        raise ValueError("a number is out of range") from error
    if not math.isfinite(found):
        raise ValueError("a number is not finite")
    return found


def texts(values: Any) -> tuple[str, ...]:
    """A list of texts. Raises :class:`TypeError` for what is no list."""
    if not isinstance(values, (list, tuple)):
        raise TypeError("not a list")
    return tuple([text(value) for value in cast("list[object]", values)])


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
        **({"apart": True} if test.apart else {}),
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
            apart=bool(data.get("apart", False)),
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
                **details(event),
            }
        case NotFound():
            return {"kind": "not_found", "test": event.test, "reason": event.reason}
        case DidNotRun():
            return {"kind": "did_not_run", "test": event.test, "reason": event.reason}


def _failure_to_wire(failure: Failure) -> dict[str, Any]:
    data = {"message": failure.message, "stack": failure.stack, "location": failure.location}
    more = {"snippet": failure.snippet, "column": failure.column}
    return data | {name: value for name, value in more.items() if value}


def details(event: TestResult) -> dict[str, Any]:
    """The members of a result that few results have, or that only reports want: those that say something."""
    said = {
        "failures": [_failure_to_wire(failure) for failure in event.failures],
        "attachments": [
            {"id": a.id, "name": a.name, "type": a.content_type, "size": a.size}
            | ({"origin": a.origin} if a.origin else {})
            for a in event.attachments
        ],
        "annotations": [list(pair) for pair in event.annotations],
        "steps": [_step_to_wire(step, event.failures) for step in event.steps],
        "left_out": event.steps_left_out,
        "stdout": event.stdout,
        "stderr": event.stderr,
        "setting": _setting_to_wire(event.setting),
    }
    return {name: value for name, value in said.items() if value}


def _step_to_wire(step: Step, failures: Sequence[Failure]) -> list[Any]:
    """A list, because there are many: times in milliseconds, a failure that is the result's by its place there."""
    failure = None
    if step.failure is not None:
        known = step.failure in failures
        failure = failures.index(step.failure) if known else _failure_to_wire(step.failure)
    duration = round(step.duration * 1000) if step.duration >= 0 else -1
    members: list[Any] = [step.title, step.category, step.depth, round(step.start * 1000), duration]
    more: list[Any] = [step.location, step.subtitle, failure, list(step.attachments)]
    while more and not more[-1] and more[-1] != 0:
        more.pop()
    return members + more


_SETTING = tuple((name, getattr(UNKNOWN, name)) for name in Setting.__dataclass_fields__)


def _setting_to_wire(setting: Setting) -> dict[str, Any]:
    if setting is UNKNOWN:
        return {}
    data: dict[str, Any] = {}
    for name, unknown in _SETTING:
        if (value := getattr(setting, name)) != unknown:
            data[name] = value
    if setting.annotated:
        data["annotated"] = list(setting.annotated)
    if setting.errors:
        data["errors"] = [_failure_to_wire(failure) for failure in setting.errors]
    return data


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
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise MalformedEvent(f"malformed event: {error!r}") from error


def _result(test: str, event: Mapping[str, Any]) -> TestResult:
    failures = tuple(_failure(f) for f in event.get("failures", ()))
    return TestResult(
        test=test,
        status=ResultStatus(event["status"]),
        retry=whole(event.get("retry", 0)),
        final=bool(event.get("final", True)),
        after_failure=bool(event.get("after_failure", False)),
        started_at=real(event.get("at", 0.0)),
        duration=real(event.get("duration", 0.0)),
        failures=failures,
        attachments=tuple(
            Attachment(
                text(a["name"]),
                text(a.get("type", "")),
                id=text(a["id"]),
                size=whole(a.get("size", 0), LARGE),
                origin=text(a.get("origin", "")),
            )
            for a in event.get("attachments", ())
        ),
        annotations=tuple((text(kind), text(words)) for kind, words in event.get("annotations", ())),
        **account(event, failures),
    )


def account(data: Mapping[str, Any], failures: Sequence[Failure]) -> dict[str, Any]:
    """The members of a result that only reports want, as arguments of :class:`TestResult`.

    ``failures`` are the result's. Raises errors of lookup, type and value for what is malformed.
    """
    steps = _list(data.get("steps", ()))
    return {
        "steps": tuple(_step(step, failures) for step in steps[:MAX_STEPS]),
        "steps_left_out": whole(data.get("left_out", 0)) + max(0, len(steps) - MAX_STEPS),
        "stdout": text(data.get("stdout", ""))[:MAX_OUTPUT],
        "stderr": text(data.get("stderr", ""))[:MAX_OUTPUT],
        "setting": _setting(data.get("setting", {})),
    }


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise TypeError("not a list")
    return cast("Sequence[Any]", value)


def _failure(data: Mapping[str, Any]) -> Failure:
    more = (text(data.get(name, "")) for name in ("stack", "location", "snippet"))
    return Failure(text(data["message"]), *more, column=whole(data.get("column", 0)))


def _step(data: Any, failures: Sequence[Failure]) -> Step:
    """The reverse of :func:`_step_to_wire`; members that are not said are as in a step of which nothing is known."""
    title, category, depth, start, duration, *more = _list(data)
    location, subtitle, failure, attachments, *_ = (*more, *_REST[len(more) :])
    if failure is not None:
        own = isinstance(failure, dict)
        failure = _failure(cast("dict[str, Any]", failure)) if own else failures[whole(failure)]
    return Step(
        text(title),
        text(category),
        whole(depth),
        real(start) / 1000,
        real(duration) / 1000 if real(duration) >= 0 else -1.0,
        text(location),
        text(subtitle),
        failure,
        tuple(whole(number) for number in _list(attachments)),
    )


_REST: tuple[Any, ...] = ("", "", None, ())


def _setting(data: Mapping[str, Any]) -> Setting:
    if not data and isinstance(data, dict):
        return UNKNOWN
    return Setting(
        worker=whole(data.get("worker", -1) + 1) - 1,
        parallel=whole(data.get("parallel", -1) + 1) - 1,
        expected=text(data.get("expected", "")),
        timeout=real(data.get("timeout", 0.0)),
        retries=whole(data.get("retries", 0)),
        place=text(data.get("place", "")),
        annotated=texts(data.get("annotated", ())),
        status=text(data.get("status", "")),
        errors=tuple(_failure(failure) for failure in _list(data.get("errors", ()))),
    )
