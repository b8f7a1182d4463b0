"""What can be asked of a run, and what makes a request senseless before anything is looked up."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from resit.domain.admission import Concurrency, OnConflict, check_priority
from resit.domain.errors import InvalidInput
from resit.domain.failfast import check_max_failures
from resit.domain.ids import digest
from resit.domain.project import check_text, check_variables
from resit.domain.run import Build, Via
from resit.services.catalog import MAX_SHARDS

MAX_TESTS = 50_000
MAX_TAGS = 100
MAX_METADATA = 100
MAX_ID = 4_000
MAX_TARGET = 86400.0
"""Seconds that can be asked for as a target time."""
_LATER = ("priority", "max_failures", "start_at", "schedule_id", "target_time")
"""Members that came later: a request without them has the digest that it always had."""
MAX_NUMBER = 2**53
"""Greater than any run's number, and still within every database's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a trigger asks for. Empty members take the project's or environment's word.

    ``tests`` are ids, keys or UUIDs of tests; ``lenient``: those that the suite does not have are left out.
    ``prefer_branch``: a branch of the test repository that is taken if it exists, in place of ``branch``.
    ``test_plan``: the number of a saved selection, in place of ``tests`` and ``tags``.
    ``priority`` and ``max_failures`` None: the project's. ``start_at``: not before this time, in seconds since the
    epoch. ``schedule_id``: the schedule that asks. ``target_time``: seconds within which the tests should be done, in
    place of a number of shards.
    """

    environment: str = ""
    build: Build = Build()
    branch: str = ""
    prefer_branch: str = ""
    commit: str = ""
    tags: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    lenient: bool = False
    refuse_empty: bool = False
    """Refuse a run that, as far as is known, would execute no test (QA.tech, study A27)."""
    test_plan: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    metadata: Mapping[str, str | int | float] = field(default_factory=dict[str, "str | int | float"])
    shards: int = 0
    concurrency: Concurrency = Concurrency()
    actor: str = ""
    via: Via = Via.API
    notify: bool | None = None
    reason: str = ""
    priority: int | None = None
    max_failures: int | None = None
    start_at: float | None = None
    schedule_id: int | None = None
    target_time: float | None = None

    def digest(self, project: str) -> str:
        """Equal requests have equal digests; an idempotency key is bound to one."""
        said = asdict(self)
        for name in _LATER:
            if said[name] is None:
                del said[name]
        return digest([project, said])

    def check(self) -> None:
        """Raise :class:`InvalidInput` for what can't be meant."""
        check_variables(self.variables)
        if not 0 <= self.shards <= MAX_SHARDS:
            raise InvalidInput(f"shards: 1 to {MAX_SHARDS}", field="shards")
        if self.target_time is not None and not 1 <= self.target_time <= MAX_TARGET:
            raise InvalidInput(f"target_time: 1 to {MAX_TARGET:.0f} seconds", field="target_time")
        if self.target_time is not None and self.shards:
            raise InvalidInput("a target time chooses the shards: name one or the other", field="target_time")
        check_tests(self.tests)
        check_tags(self.tags)
        if self.test_plan is not None and (self.tests or self.tags):
            raise InvalidInput("a test plan says itself which tests it means: name one or the other", field="test_plan")
        _check_metadata(self.metadata)
        for name in Build.__dataclass_fields__:
            check_text(getattr(self.build, name), f"build.{name}")
        for name in ("branch", "prefer_branch", "commit", "reason", "actor"):
            check_text(getattr(self, name), name)
        if self.priority is not None:
            check_priority(self.priority)
        if self.max_failures is not None:
            check_max_failures(self.max_failures)
        if self.start_at is not None and self.concurrency.on_conflict is OnConflict.CANCEL:
            raise InvalidInput(
                "a delayed run waits for the runs of its group: it would cancel them long before it starts",
                field="concurrency",
            )
        if self.branch.startswith("-") or self.commit.startswith("-"):
            raise InvalidInput("a branch or commit does not begin with '-'", field="branch")
        check_text(self.concurrency.group, "concurrency")
        self.concurrency.check()


_KEPT = (
    "branch", "prefer_branch", "commit", "tags", "tests", "lenient", "test_plan", "variables", "metadata", "shards",
    "priority", "max_failures", "target_time", "reason",
)  # fmt: skip


def kept(request: Request) -> str:
    """A request as a schedule keeps it: without its environment, and without what is settled when it is made."""
    said: dict[str, Any] = {name: getattr(request, name) for name in _KEPT}
    build = {name: text for name, text in asdict(request.build).items() if text}
    return json.dumps({**said, "build": build, "group": request.concurrency.group}, ensure_ascii=False)


def from_kept(text: str) -> Request:
    """The reverse of :func:`kept`; members that are absent, as in what an older version kept, have their defaults."""
    said: dict[str, Any] = json.loads(text) if text else {}
    members = {name: said[name] for name in _KEPT if name in said}
    for name in ("tags", "tests"):
        members[name] = tuple(members.get(name, ()))
    return Request(**members, build=Build(**said.get("build", {})), concurrency=Concurrency(said.get("group", "")))


def check_tests(tests: Sequence[str]) -> None:
    """Raise :class:`InvalidInput` for names that no test can have."""
    if len(tests) > MAX_TESTS:
        raise InvalidInput(f"at most {MAX_TESTS} tests", field="tests")
    for test in tests:
        if not test:
            raise InvalidInput("an empty text names no test", field="tests")
        check_text(test, "tests", MAX_ID)


def check_tags(tags: Sequence[str]) -> None:
    """Raise :class:`InvalidInput` for too many tags, or what can't be one."""
    if len(tags) > MAX_TAGS:
        raise InvalidInput(f"at most {MAX_TAGS} tags", field="tags")
    for tag in tags:
        check_text(tag, "tags")


def _check_metadata(metadata: Mapping[str, str | int | float]) -> None:
    if len(metadata) > MAX_METADATA:
        raise InvalidInput(f"at most {MAX_METADATA} metadata entries", field="metadata")
    for name, value in metadata.items():
        check_text(name, "metadata")
        if isinstance(value, str):
            check_text(value, "metadata")
        elif not abs(value) <= MAX_NUMBER:  # nor is "no number" (NaN)
            raise InvalidInput(f"metadata {name!r}: numbers are finite and at most {MAX_NUMBER}", field="metadata")
