"""A run as the events of Playwright's blob report, from which Playwright itself makes all its other reports.

The form is that of version 2, which every Playwright from 1.44 on reads and writes: one JSON object a line, first what
the suite is, then what happened to each test. One blob holds the whole run, whoever executed which part of it.

A test that was cut off is *interrupted*, with the reason as its error. One that never began has no result, and an
annotation that says why. What Playwright does not know (lost, not found, cancelled) is told as an error of the run.
"""

import json
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from resit.domain.events import OUTPUT, Attachment, Failure, Step, TestResult
from resit.domain.ledger import Row, state
from resit.domain.plan import PlannedTest
from resit.domain.run import Run
from resit.domain.status import Outcome, ResultStatus, RunStatus, Verdict
from resit.domain.tries import Shown, cancellation
from resit.domain.verdict import in_words

VERSION = 2
FRAMEWORK = "Playwright "
"""How the framework of such runs begins in :class:`resit.domain.run.PlanFacts`."""
REPORT = "report.jsonl"
"""The name of the events in the zip."""
RESOURCES = "resources"
"""The folder of attachments in the zip."""
_REPEAT = re.compile(r"(?s)(.*) \(repeat (\d+)\)")
_STATUS = {
    ResultStatus.PASSED: "passed",
    ResultStatus.FAILED: "failed",
    ResultStatus.TIMED_OUT: "timedOut",
    ResultStatus.SKIPPED: "skipped",
    # Its process ended before it did, or was ended: no verdict of Playwright's on the test.
    ResultStatus.ERRORED: "interrupted",
    ResultStatus.INTERRUPTED: "interrupted",
}
Attach = Callable[[Attachment], Mapping[str, str]]
"""Where an attachment is: ``path`` in the zip, or its content as ``base64``."""


def has_blob(run: Run) -> bool:
    """Whether the run is Playwright's."""
    return run.facts.framework.startswith(FRAMEWORK)


@dataclass(slots=True)
class _Group:
    """A file of tests, or a group in one: its tests are JSON already, because there may be very many."""

    title: str
    place: dict[str, Any]
    entries: "list[str | _Group]" = field(default_factory=list["str | _Group"])
    groups: "dict[str, _Group]" = field(default_factory=dict[str, "_Group"])

    def group(self, title: str) -> "_Group":
        """The group of this title in it; Playwright joins those that share a title."""
        if title not in self.groups:
            self.groups[title] = found = _Group(title, self.place)
            self.entries.append(found)
        return self.groups[title]

    def json(self) -> str:
        """As Playwright writes it."""
        inner = ",".join(entry if isinstance(entry, str) else entry.json() for entry in self.entries)
        return f'{{"title":{_json(self.title)},"location":{_json(self.place)},"entries":[{inner}]}}'


class Blob:
    """Writes one. First :meth:`test` of each test of the plan, in its order; then :meth:`head`, whose lines come before
    all others in the file, and :meth:`tail`.

    ``workdir``: the absolute path of the suite on the machine that will read the blob, for the sources of its tests;
    empty: where it was listed. ``about``: what may be told of the run, for the page of the report.
    """

    def __init__(self, run: Run, *, now: float, workdir: str = "", about: Mapping[str, str] | None = None) -> None:
        self._run, self._now, self._about = run, now, dict(about or {})
        self._suite = _suite(run.facts.suite)
        self._workdir = workdir or _text(self._suite.get("workdir")) or "/"
        self._root = _text(self._suite.get("root")) or "."
        self._projects: dict[str, dict[str, _Group]] = {}
        self._workers: dict[tuple[int, int, int], int] = {}
        self._repeated = {name for name, said in self._known().items() if int(said.get("repeat") or 1) > 1}

    def _known(self) -> dict[str, dict[str, Any]]:
        """The projects of the suite by their names."""
        found = self._suite.get("projects")
        projects = cast("list[dict[str, Any]]", found if isinstance(found, list) else [])
        return {_text(project.get("name")): project for project in projects}

    # ------------------------------------------------------------ tests

    def test(self, test: PlannedTest, row: Row, shown: Shown, attach: Attach) -> Iterator[str]:
        """The lines about a test."""
        last = shown.tries[-1] if shown.tries else None
        annotations = [*(self._annotations(last) if last else []), *_remarks(row, shown)]
        self._plan(test, last, annotations)
        for number, found in enumerate(shown.tries):
            worker = self._worker(row, shown, found)
            said = annotations if found is last else self._annotations(found)
            yield from self._execution(test, found, f"{row.ordinal}.{number}", worker, said, attach)

    def _plan(self, test: PlannedTest, last: TestResult | None, annotations: list[dict[str, Any]]) -> None:
        """Put the test where it belongs in the suite."""
        known = self._known()
        name = test.variant or (next(iter(known)) if len(known) == 1 else "")
        file = self._relative(test.file) if test.file else "not found"
        files = self._projects.setdefault(name, {})
        group = files.setdefault(file, _Group(file, {"file": file, "line": 0, "column": 0}))
        *groups, title = test.title_path or (test.id,)
        for part in groups:
            group = group.group(part)
        repeat = 0
        if name in self._repeated and (match := _REPEAT.fullmatch(title)):
            title, repeat = match[1], int(match[2])
        setting = last.setting if last else None
        place = self._location(setting.place) if setting and setting.place else None
        data = {
            "testId": test.id,
            "title": title,
            "location": place or {"file": file, "line": test.line, "column": 0},
            "retries": setting.retries if setting else int(known.get(name, {}).get("retries") or 0),
            "tags": list(test.tags),
            "repeatEachIndex": repeat,
            "annotations": annotations,
        }
        group.entries.append(_json(data))

    def _worker(self, row: Row, shown: Shown, found: TestResult) -> int:
        """A number for the process; those of different batches began anew from 0."""
        return self._workers.setdefault((row.batch, shown.attempt, found.setting.worker), len(self._workers))

    def _execution(
        self,
        test: PlannedTest,
        found: TestResult,
        id: str,
        worker: int,
        annotations: list[dict[str, Any]],
        attach: Attach,
    ) -> Iterator[str]:
        about = {"testId": test.id, "resultId": id}
        setting = found.setting
        parallel = max(setting.parallel, 0)
        start = {"id": id, "retry": found.retry, "workerIndex": worker, "parallelIndex": parallel}
        yield _event("onTestBegin", testId=test.id, result={**start, "startTime": _ms(found.started_at)})
        for kind, text in (("stdout", found.stdout), ("stderr", found.stderr)):
            if text:
                yield _event("onStdIO", **about, type=kind, data=text, isBase64=False)
        files = [a for a in found.attachments if a.origin != OUTPUT]
        yield from self._steps(found, about, len(files))
        status = _STATUS[found.status]
        if setting.status and status != "interrupted":
            status = setting.status
        end: dict[str, Any] = {
            "id": id,
            "duration": _ms(found.duration),
            "status": status,
            "errors": [self._error(failure) for failure in _errors(found, status)],
            "attachments": [{"name": a.name, "contentType": a.content_type, **attach(a)} for a in files],
        }
        if annotations:
            end["annotations"] = annotations
        said = {"testId": test.id, "expectedStatus": setting.expected or "passed", "timeout": _ms(setting.timeout)}
        yield _event("onTestEnd", test={**said, "annotations": annotations}, result=end)

    def _steps(self, found: TestResult, about: Mapping[str, str], files: int) -> Iterator[str]:
        """Each step begins after the one that it is a part of, and before that one ends."""
        steps = list(found.steps)
        if found.steps_left_out:
            last = max((step.start + max(step.duration, 0.0) for step in steps), default=0.0)
            steps.append(Step(f"… {found.steps_left_out} more steps are not kept", "test.step", start=last))
        open_: list[tuple[int, Step]] = []
        for number, step in enumerate(steps):
            while len(open_) > step.depth:
                yield from self._end_of_step(*open_.pop(), about, files)
            data: dict[str, Any] = {
                "id": str(number),
                "title": step.title,
                "category": step.category,
                "startTime": _ms(found.started_at + step.start),
            }
            if open_:
                data["parentStepId"] = str(open_[-1][0])
            if step.subtitle:
                data["subtitle"] = step.subtitle
            if step.location:
                data["location"] = self._location(step.location)
            yield _event("onStepBegin", **about, step=data)
            open_.append((number, step))
        while open_:
            yield from self._end_of_step(*open_.pop(), about, files)

    def _end_of_step(self, number: int, step: Step, about: Mapping[str, str], files: int) -> Iterator[str]:
        if step.duration < 0:
            return
        data: dict[str, Any] = {"id": str(number), "duration": _ms(step.duration)}
        if step.failure is not None:
            data["error"] = self._error(step.failure)
        if own := [place for place in step.attachments if place < files]:
            data["attachments"] = own
        yield _event("onStepEnd", **about, step=data)

    def _annotations(self, found: TestResult) -> list[dict[str, Any]]:
        places = [*found.setting.annotated, *("" for _ in found.annotations)]
        annotations: list[dict[str, Any]] = []
        for (kind, text), place in zip(found.annotations, places, strict=False):
            annotation: dict[str, Any] = {"type": kind}
            if text:
                annotation["description"] = text
            if place:
                annotation["location"] = self._location(place)
            annotations.append(annotation)
        return annotations

    def _error(self, failure: Failure) -> dict[str, Any]:
        data: dict[str, Any] = {"message": failure.message}
        stack = failure.stack.removesuffix(failure.snippet).rstrip("\n") if failure.snippet else failure.stack
        if stack:
            data["stack"] = stack
        if failure.snippet:
            data["snippet"] = failure.snippet
        if failure.location:
            file, line, _ = _parts(f"{failure.location}:{failure.column}")
            path = posixpath.normpath(posixpath.join(self._workdir, file))
            data["location"] = {"file": path, "line": line, "column": failure.column}
        return data

    # ------------------------------------------------------------ the suite

    def head(self) -> Iterator[str]:
        """What the suite is; after all tests were given."""
        suite, run = self._suite, self._run
        root = posixpath.normpath(posixpath.join(self._workdir, self._root))
        version = _text(suite.get("version")) or run.facts.framework.removeprefix(FRAMEWORK)
        workers = max(run.total_shards, 1)
        metadata = {**_object(suite.get("metadata")), "actualWorkers": workers}
        if self._about:
            metadata["ci"] = {**self._about, **_object(metadata.get("ci"))}
        yield _event("onBlobReportMetadata", version=VERSION, userAgent=f"Playwright/{version}", pathSeparator="/")
        config = suite.get("config")
        yield _event(
            "onConfigure",
            config={
                **({"configFile": self._relative(_text(config))} if config else {}),
                "globalTimeout": suite.get("timeout") or 0,
                "maxFailures": suite.get("max_failures") or 0,
                "metadata": metadata,
                "rootDir": root,
                "shard": None,
                "version": version,
                "workers": workers,
                "globalSetup": None,
                "globalTeardown": None,
                "tags": suite.get("tags") or [],
                "webServer": None,
                "failOnFlakyTests": bool(suite.get("fail_on_flaky")),
            },
        )
        known = self._known()
        names = [*(name for name in known if name in self._projects), *(n for n in self._projects if n not in known)]
        for name in names:
            yield self._project(name, known.get(name, {}))
        yield _event("onBegin")

    def _project(self, name: str, said: Mapping[str, Any]) -> str:
        folder = self._relative(_text(said.get("dir")) or self._root)
        data: dict[str, Any] = {
            "metadata": _object(said.get("metadata")),
            "name": name,
            "outputDir": "../test-results",
            "repeatEach": said.get("repeat") or 1,
            "retries": said.get("retries") or 0,
            "testDir": folder,
            "testIgnore": said.get("ignore") or [],
            "testMatch": said.get("match") or [],
            "timeout": said.get("timeout") or 0,
            "grep": said.get("grep") or [],
            "grepInvert": said.get("invert") or [],
            "dependencies": said.get("needs") or [],
            "snapshotDir": self._relative(_text(said.get("snapshots"))) if said.get("snapshots") else folder,
            "use": {"testIdAttribute": said["test_id"]} if said.get("test_id") else {},
        }
        if said.get("teardown"):
            data["teardown"] = said["teardown"]
        suites = ",".join(group.json() for group in self._projects[name].values())
        members = _json(data)[1:-1]
        return f'{{"method":"onProject","params":{{"project":{{{members},"suites":[{suites}]}}}}}}\n'

    def tail(self) -> Iterator[str]:
        """How the run ended, and what went wrong outside any test."""
        run = self._run
        for problem in run.problems:
            yield _event("onError", error={"message": problem.message})
        if words := _of_no_result(run):
            yield _event("onError", error={"message": words})
        began = run.started_at or run.created_at
        end = (run.finished_at or self._now) - began
        yield _event("onEnd", result={"status": _end(run), "startTime": _ms(began), "duration": _ms(end)})

    # ------------------------------------------------------------ paths

    def _relative(self, file: str) -> str:
        """A path of the suite as seen from the folder of its tests."""
        if posixpath.isabs(file):
            return file
        found = posixpath.relpath(posixpath.join("/x", file), posixpath.join("/x", self._root))
        return "" if found == "." else found

    def _location(self, place: str) -> dict[str, Any]:
        file, line, column = _parts(place)
        return {"file": self._relative(file), "line": line, "column": column}


def _errors(found: TestResult, status: str) -> tuple[Failure, ...]:
    """What Playwright itself would call the errors of the execution: of one that passed against expectation, none."""
    if found.status is ResultStatus.FAILED and status == "passed":
        return ()
    return found.failures or found.setting.errors


def _remarks(row: Row, shown: Shown) -> list[dict[str, Any]]:
    """What Playwright has no word for, as annotations."""
    found: list[dict[str, Any]] = []
    if not shown.tries and row.outcome not in (Outcome.PASSED, Outcome.FAILED, Outcome.FLAKY):
        kind = "did not run" if row.precluded else state(row).replace("_", " ") if row.final else "not finished"
        found.append({"type": kind, "description": shown.reason or state(row)})
    if shown.attempt > 1:
        words = f"by attempt {shown.attempt}: a worker that had it before was lost, or gave it back"
        found.append({"type": "executed again", "description": words})
    if row.snoozed:
        found.append({"type": "snoozed", "description": "a snooze keeps it from blocking"})
    return found


def _of_no_result(run: Run) -> str:
    """The tests without an end of their own, in words: Playwright's numbers don't know them."""
    counts = run.counts
    numbers = (
        (counts.lost, "lost"),
        (counts.not_found, "not found"),
        (counts.errored, "errored"),
        (counts.cancelled, "cancelled"),
        (counts.planned + counts.running, "not finished"),
    )
    said = ", ".join(f"{number} {word}" for number, word in numbers if number)
    if not said:
        return ""
    why = f" ({cancellation(run)})" if run.status is RunStatus.CANCELLED else ""
    return f"{said}: tests that came to no end of their own{why}. Resit's count of the run: {in_words(counts)}."


def _end(run: Run) -> str:
    if run.verdict is None or run.status is RunStatus.CANCELLED:
        return "interrupted"
    if run.verdict in (Verdict.PASSED, Verdict.SKIPPED):
        return "passed"
    return "timedout" if any(problem.code == "time_limit" for problem in run.problems) else "failed"


def _parts(place: str) -> tuple[str, int, int]:
    """File, line and column of ``file:line:column``; what is missing is 0."""
    file, line, column = [*place.rsplit(":", 2), "0", "0"][:3]
    return file, int(line) if line.isdecimal() else 0, int(column) if column.isdecimal() else 0


def _suite(text: str) -> dict[str, Any]:
    try:
        return _object(json.loads(text)) if text else {}
    except ValueError:
        return {}


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _event(method: str, **params: Any) -> str:
    return _json({"method": method, "params": params}) + "\n" if params else _json({"method": method}) + "\n"
