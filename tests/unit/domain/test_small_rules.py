"""Rules of a line or two: the repository of a project, the environment of a platform, events, months."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.domain.organization import Organization, month_start
from resit.domain.project import Environment, Platform, for_platform, repository, source_repository
from resit.domain.status import RunStatus, Verdict
from resit.domain.webhook import WebhookEvent, event_of
from resit.testing import factories

LINUX, WINDOWS = Platform.LINUX, Platform.WINDOWS


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("https://git.example/acme/shop.git", "acme/shop"), ("https://git.example/acme/shop/", "acme/shop"),
        ("git@git.example:acme/shop.git", "acme/shop"), ("ssh://git@git.example:22/group/acme/shop", "acme/shop"),
        ("/srv/acme/shop", ""), ("file:///srv/acme/shop", ""), ("", ""), ("shop", ""), ("https://x/acme/sh op", ""),
    ],
)  # fmt: skip
def test_the_repository_at_the_end_of_a_source(source: str, found: str) -> None:
    assert source_repository(source) == found
    project = factories.project(source=source)
    assert repository(project) == (found or "local/shop")
    assert repository(factories.project(source=source, repository="own/word")) == "own/word"


@given(st.text())
def test_any_source_has_an_owner_and_a_name_or_nothing(source: str) -> None:
    found = source_repository(source)
    assert not found or found.count("/") == 1


def environment(slug: str, platform: Platform = LINUX, disabled: bool = False) -> Environment:
    return factories.environment(1, slug=slug, platform=platform, disabled=disabled)


@pytest.mark.parametrize(
    ("there", "platform", "found"),
    [
        ([], LINUX, None),
        ([environment("a"), environment("default"), environment("linux")], LINUX, "linux"),
        ([environment("a"), environment("default"), environment("linux", disabled=True)], LINUX, "default"),
        ([environment("a"), environment("b")], LINUX, "a"),
        ([environment("a", disabled=True), environment("b")], LINUX, "b"),
        ([environment("linux", WINDOWS), environment("b")], LINUX, "b"),
        ([environment("linux", WINDOWS), environment("b")], WINDOWS, "linux"),
        ([environment("windows")], WINDOWS, None),
    ],
)
def test_the_environment_of_a_platform(there: list[Environment], platform: Platform, found: str | None) -> None:
    chosen = for_platform(there, platform)
    assert (chosen and chosen.slug) == found


PATH = [RunStatus.REQUESTED, RunStatus.ADMITTED, RunStatus.PLANNING, RunStatus.RUNNING, RunStatus.FINALIZING]


@pytest.mark.parametrize("verdict", Verdict)
@given(st.sets(st.sampled_from(PATH)), st.sampled_from([RunStatus.FINISHED, RunStatus.CANCELLED]))
def test_a_run_is_told_of_once_at_each_step(verdict: Verdict, seen: set[RunStatus], end: RunStatus) -> None:
    """Whichever of its states somebody saw: at most once that it waits, once that it began, once how it ended."""
    told: list[WebhookEvent] = []
    before: RunStatus | None = None
    for status in [*(status for status in PATH if status in seen), end, end]:
        found = event_of(before, factories.run(status=status, verdict=verdict))
        told.extend([found] if found else [])
        before = status
    assert len(set(told)) == len(told)
    assert (WebhookEvent.QUEUED in told) is (RunStatus.ADMITTED in seen)
    assert (WebhookEvent.STARTED in told) is bool(seen & set(PATH[2:]))
    ended = WebhookEvent.ERROR if verdict is Verdict.ERRORED else WebhookEvent.ENDED
    assert told[-1] is (WebhookEvent.CANCELLED if end is RunStatus.CANCELLED else ended)


@given(st.integers(0, 4_000_000_000))
def test_the_start_of_a_month(now: int) -> None:
    found = month_start(now + 0.5)
    day = datetime.fromtimestamp(now, UTC)
    assert datetime.fromtimestamp(found, UTC) == datetime(day.year, day.month, 1, tzinfo=UTC)
    assert month_start(found) == found <= now
    assert month_start(found - 1) < found


@pytest.mark.parametrize(
    ("limit", "runs", "used"), [(None, 10**9, False), (0, 0, True), (5, 4, False), (5, 5, True), (5, 6, True)]
)
def test_a_month_of_runs(limit: int | None, runs: int, used: bool) -> None:
    assert Organization(monthly_runs=limit).used_up(runs) is used
