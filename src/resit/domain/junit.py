"""A run as a JUnit file: one ``testsuite`` a file of tests, one ``testcase`` a planned test, whatever became of it.

There is no standard; this is the shape that Jenkins' schema (junit-10), Surefire, GitLab and the usual readers share.
Executions after the first are ``rerunFailure`` and ``flakyFailure`` as Surefire writes them. A test that did not come
to an end of its own is an ``error``, so that no reader takes a red run for a green one:

=================================================  =====================================================
state in the ledger                                in the file
=================================================  =====================================================
passed                                             nothing
flaky                                              ``flakyFailure``, ``flakyError``: counts as passed
failed                                             ``failure``
errored, lost, not found                           ``error`` of this ``type``
skipped                                            ``skipped``
skipped because something before it went wrong     ``error`` of type ``did_not_run``
cancelled while it was executed                    ``error`` of type ``interrupted``
cancelled before it began; planned, running        ``skipped``, with words
=================================================  =====================================================

Texts of any length and kind go in; what XML can't hold is left out. The file is written piece by piece: what stands at
the beginning of a suite comes from :func:`suites`, which needs of each test no more than an :class:`Outline`. What went
wrong outside any test has a suite of its own, :func:`problems`; without it all numbers are those of the ledger.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from resit.domain.events import Attachment, TestResult
from resit.domain.ledger import Row, state
from resit.domain.plan import PlannedTest
from resit.domain.run import Problem
from resit.domain.status import Outcome, ResultStatus
from resit.domain.tries import Shown, cut_off

MAX_MESSAGE = 1_000
"""Characters of a message; the text below it has the rest."""
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\ufdd0-\ufdef]")
_COLOURS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_BAD = {
    ResultStatus.FAILED: "Failure",
    ResultStatus.TIMED_OUT: "Failure",
    ResultStatus.ERRORED: "Error",
    ResultStatus.INTERRUPTED: "Error",
}
"""Executions that did not end well, as the second half of their elements' names."""

Properties = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Outline:
    """What must be known of each test before the first is written: how it stood when the writing began."""

    file: str
    variant: str
    row: Row


@dataclass(slots=True)
class Suite:
    """The tests of one file (of one project of its framework, where it has those) and how many there are of a kind."""

    file: str
    variant: str
    ordinals: list[int] = field(default_factory=list[int])
    failures: int = 0
    errors: int = 0
    skipped: int = 0
    seconds: float = 0.0

    @property
    def tests(self) -> int:
        """How many there are."""
        return len(self.ordinals)


@dataclass(frozen=True, slots=True)
class Case:
    """A test to write. ``row`` is as it stood when the writing began; ``properties`` are those of this test alone."""

    test: PlannedTest
    row: Row
    shown: Shown
    properties: Properties = ()


@dataclass(frozen=True, slots=True)
class Links:
    """Where the files of results are: ``base`` and their id, or (``folder``) a name of its own in a folder."""

    base: str
    folder: str = ""

    def of(self, attachment: Attachment) -> str:
        """Where a file is."""
        if not self.folder:
            return f"{self.base}{attachment.id}"
        return f"{self.folder}/{file_name(attachment.id, attachment.name)}"


def file_name(id: str, name: str) -> str:
    """A name for a result's file that no other has, and that every system takes."""
    plain = re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.")[-80:]
    return f"{id}-{plain}" if plain else id


def suites(outlines: Iterable[Outline]) -> list[Suite]:
    """The suites, in the order of their first tests."""
    found: dict[tuple[str, str], Suite] = {}
    for outline in outlines:
        suite = found.setdefault((outline.variant, outline.file), Suite(outline.file, outline.variant))
        suite.ordinals.append(outline.row.ordinal)
        suite.seconds += outline.row.duration
        match element(outline.row):
            case "failure":
                suite.failures += 1
            case "error":
                suite.errors += 1
            case "skipped":
                suite.skipped += 1
            case _:
                pass
    return list(found.values())


def element(row: Row) -> str:
    """The element that tells how a test came out; empty for one that passed."""
    match row.outcome:
        case Outcome.PASSED | Outcome.FLAKY:
            return ""
        case Outcome.FAILED:
            return "failure"
        case Outcome.ERRORED | Outcome.LOST | Outcome.NOT_FOUND:
            return "error"
        case Outcome.SKIPPED:
            return "error" if row.precluded else "skipped"
        case Outcome.CANCELLED:
            return "error" if cut_off(row) else "skipped"
        case None:
            return "skipped"


def begin(name: str, found: Sequence[Suite], seconds: float, problems: int = 0) -> str:
    """The first piece of a file. ``seconds``: how long the whole took."""
    numbers = {
        "tests": sum(suite.tests for suite in found) + problems,
        "failures": sum(suite.failures for suite in found),
        "errors": sum(suite.errors for suite in found) + problems,
        "skipped": sum(suite.skipped for suite in found),
    }
    head = _attributes(name=name, **numbers, time=_time(seconds))
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites{head}>\n'


END = "</testsuites>\n"
"""The last piece."""
END_SUITE = "</testsuite>\n"
"""What follows the last test of a suite."""


def problems(found: Sequence[Problem], at: float, properties: Properties) -> str:
    """A suite of what went wrong outside any test: it makes a run red, so it must not be green here."""
    if not found:
        return ""
    numbers = {"tests": len(found), "failures": 0, "errors": len(found), "skipped": 0}
    head = _attributes(name="outside of the tests", **numbers, time=_time(0.0), timestamp=_iso(at))
    return f"<testsuite{head}>\n{_properties(properties)}{''.join(map(_problem, found))}{END_SUITE}"


def _problem(problem: Problem) -> str:
    head = _attributes(name=problem.code, classname="run", time=_time(0.0))
    kind = _attributes(message=_first_line(problem.message), type=problem.code)
    return f"<testcase{head}>\n<error{kind}>{_text(problem.message)}</error>\n</testcase>\n"


def begin_suite(suite: Suite, at: float, properties: Properties) -> str:
    """What comes before the first test of a suite. ``at``: when its run began."""
    name = f"[{suite.variant}] {suite.file}" if suite.variant else suite.file
    head = _attributes(
        name=name or "not found",
        tests=suite.tests,
        failures=suite.failures,
        errors=suite.errors,
        skipped=suite.skipped,
        time=_time(suite.seconds),
        timestamp=_iso(at),
        **({"file": suite.file} if suite.file else {}),
    )
    variant = [("project", suite.variant)] if suite.variant else []
    return f"<testsuite{head}>\n{_properties([*properties, *variant])}"


def case(found: Case, links: Links) -> str:
    """A test, from its first line to its last."""
    test, row, tries = found.test, found.row, found.shown.tries
    place = {"file": test.file, **({"line": test.line} if test.line else {})} if test.file else {}
    seconds = row.duration or sum(found.duration for found in tries)
    head = _attributes(name=_name(test), classname=_class(test), time=_time(seconds), **place)
    files = [attachment for tried in tries for attachment in tried.attachments if attachment.id]
    properties = [
        *found.properties,
        *(("tag", tag) for tag in test.tags),
        *(("attachment", f"{attachment.name}: {links.of(attachment)}") for attachment in files),
        *((kind, text) for kind, text in (tries[-1].annotations if tries else ()) if kind),
    ]
    inner = [_properties(properties), *_outcome(row, found.shown), *_output(tries, files, links)]
    inner = [piece for piece in inner if piece]
    return f"<testcase{head}>\n{''.join(inner)}</testcase>\n" if inner else f"<testcase{head}/>\n"


def _outcome(row: Row, shown: Shown) -> Iterator[str]:
    name, bad = element(row), [tried for tried in shown.tries if tried.status in _BAD]
    if not name:
        yield from (_again(tried, "flaky") for tried in bad)
        return
    if name == "skipped":
        yield f"<skipped{_attributes(message=_first_line(_why_skipped(row, shown)))}/>\n"
        yield from (_again(tried, "rerun") for tried in bad)
        return
    # A failing test is told by its first failure, as Surefire does it, one that was cut off by its last execution.
    main = None if not bad else bad[0] if name == "failure" else bad[-1]
    words = _words(main) if main else shown.reason
    message, kind = words or shown.reason, _type(row, main)
    if main is None or (name == "error" and main.status not in (ResultStatus.ERRORED, ResultStatus.INTERRUPTED)):
        message, main = shown.reason, None
    text = _stack(main) if main else shown.reason
    yield f"<{name}{_attributes(message=_first_line(message), type=kind)}>{_text(text)}</{name}>\n"
    yield from (_again(tried, "rerun") for tried in bad if tried is not main)


def _again(tried: TestResult, which: str) -> str:
    name = which + _BAD[tried.status]
    inner = f"<stackTrace>{_text(_stack(tried))}</stackTrace>"
    if tried.stdout:
        inner += f"<system-out>{_text(tried.stdout)}</system-out>"
    if tried.stderr:
        inner += f"<system-err>{_text(tried.stderr)}</system-err>"
    return f"<{name}{_attributes(message=_first_line(_words(tried)), type=tried.status.value)}>{inner}</{name}>\n"


def _type(row: Row, main: TestResult | None) -> str:
    match row.outcome:
        case Outcome.FAILED:
            return main.status.value if main else Outcome.FAILED.value
        case Outcome.CANCELLED:
            return "interrupted"
        case Outcome.SKIPPED:
            return "did_not_run"
        case _:
            return state(row)


def _why_skipped(row: Row, shown: Shown) -> str:
    match row.outcome:
        case None:
            return f"not finished: {state(row)}"
        case Outcome.CANCELLED:
            return f"cancelled: {shown.reason}"
        case _:
            return shown.reason


def _words(tried: TestResult) -> str:
    return tried.failures[0].message if tried.failures else tried.status.value


def _stack(tried: TestResult) -> str:
    """All that is known of what went wrong; a stack nearly always begins with its message."""
    parts: list[str] = []
    for failure in tried.failures:
        first = _first_line(failure.message)
        told = failure.stack if failure.stack and first in failure.stack else f"{failure.message}\n{failure.stack}"
        parts.append(f"{failure.location}\n{told}" if failure.location and failure.location not in told else told)
    return "\n\n".join(part.strip("\n") for part in parts)


def _output(tries: Sequence[TestResult], files: Sequence[Attachment], links: Links) -> Iterator[str]:
    """What the last execution printed, and where the files of all are."""
    names = [f"[[ATTACHMENT|{links.of(attachment)}]]" for attachment in files]
    last = tries[-1:]
    out = [tried.stdout for tried in last if tried.stdout] + names
    if out:
        yield f"<system-out>{_text(chr(10).join(out))}</system-out>\n"
    for tried in last:
        if tried.stderr:
            yield f"<system-err>{_text(tried.stderr)}</system-err>\n"


def _name(test: PlannedTest) -> str:
    """The name of a test in its class; of a framework with projects, the same test in two of them are two."""
    titles = test.title_path or (test.id,)
    if _dotted(test):
        return titles[-1]
    name = " › ".join(titles)
    return f"[{test.variant}] {name}" if test.variant else name


def _class(test: PlannedTest) -> str:
    """As the frameworks' own files have it: of Python a module and its classes, else the path of the file."""
    if not _dotted(test):
        return test.file
    module = test.file.removesuffix(".py").replace("/", ".")
    return ".".join([module, *test.title_path[:-1]])


def _dotted(test: PlannedTest) -> bool:
    return test.file.endswith(".py")


def _properties(properties: Iterable[tuple[str, str]]) -> str:
    lines = "".join(f"<property{_attributes(name=name, value=value)}/>\n" for name, value in properties)
    return f"<properties>\n{lines}</properties>\n" if lines else ""


def _attributes(**values: str | int) -> str:
    return "".join(f' {name}="{_quoted(str(value))}"' for name, value in values.items())


_QUOTED = {'"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}


def _quoted(text: str) -> str:
    return escape(_plain(text), _QUOTED)


def _text(text: str) -> str:
    return escape(_plain(text), {"\r": "&#13;"})


def _plain(text: str) -> str:
    return _FORBIDDEN.sub("", _COLOURS.sub("", text))


def _first_line(text: str) -> str:
    line = _COLOURS.sub("", text).strip().split("\n", 1)[0]
    return line if len(line) <= MAX_MESSAGE else f"{line[: MAX_MESSAGE - 1]}…"


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _time(seconds: float) -> str:
    return f"{max(seconds, 0.0):.3f}"
