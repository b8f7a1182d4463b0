"""Every state has a word, every word finds its states again, and every refusal of the core has an answer."""

import json
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.requests import Request

from resit.api.ccextractor import door, errors, words
from resit.api.ccextractor.words import RunWord, SampleWord
from resit.domain.access import Role, Scope
from resit.domain.errors import Forbidden, InvalidInput, NotFound, ResitError, RunStillOpen, Unauthenticated
from resit.domain.project import Platform
from resit.domain.run import Build, Problem
from resit.domain.selection import Taken
from resit.domain.status import Outcome, RunStatus, Verdict
from resit.ports.reads import RunFilter
from resit.testing import factories
from resit.testing.world import World


def family(base: type[ResitError]) -> Iterator[type[ResitError]]:
    yield base
    for child in base.__subclasses__():
        yield from family(child)


@cache
def schema(name: str) -> Any:
    path = Path(__file__).parents[3] / "contracts" / "ccextractor-openapi.yaml"
    return yaml.safe_load(path.read_text())["components"]["schemas"][name]


@pytest.mark.parametrize("error", [e for e in family(ResitError) if e is not ResitError], ids=lambda e: e.__name__)
def test_every_refusal_of_the_core_has_a_status_and_a_code(error: type[ResitError]) -> None:
    assert error in errors.ANSWERS
    answer = errors.refusal(error("x" * 600))
    document = json.loads(bytes(answer.body))
    assert set(document) == {"code", "message", "details"}
    assert len(document["message"]) <= 500
    assert document["details"] == {}
    assert errors.ANSWERS.keys() == {e for e in family(ResitError) if e is not ResitError}


def told(error: ResitError) -> dict[str, Any]:
    return json.loads(bytes(errors.refusal(error).body))


def test_details_have_the_names_of_contract_and_server() -> None:
    assert told(Unauthenticated("another text", why="x")) == {
        "code": "unauthorized",
        "message": errors.UNAUTHORIZED,
        "details": {},
    }
    assert told(Forbidden("no", required_scope="runs:write", token_scopes=["runs:read"]))["details"] == {
        "required_scope": "runs:write",
        "required_scopes": ["runs:write"],
        "missing_scopes": ["runs:write"],
        "token_scopes": ["runs:read"],
    }
    assert told(NotFound("no", resource="run", id="12"))["details"] == {"resource": "run", "id": 12}
    assert told(InvalidInput("bad", field="reason"))["details"] == {"fields": {"reason": "bad"}}
    assert told(RunStillOpen("open", status="admitted"))["details"] == {"status": "queued"}


KINDS = [*product(RunStatus, [None, *Verdict])]


@pytest.mark.parametrize(("status", "verdict"), KINDS)
def test_every_run_has_a_word_that_finds_it(status: RunStatus, verdict: Verdict | None) -> None:
    word = words.run_word(status, verdict)
    assert word in schema("RunStatus")["enum"]
    if status is RunStatus.FINISHED and verdict is None:
        return
    found = [w for w in RunWord if any(s in (None, status) and v in (None, verdict) for s, v in words.kinds(w))]
    assert found == [word]


def test_the_words_are_the_contract_s() -> None:
    assert [word.value for word in RunWord] == schema("RunStatus")["enum"]
    assert {word.value for word in SampleWord} == set(schema("SampleStatus")["enum"])
    assert {role.value for role in Role} == set(schema("Role")["enum"])
    assert {platform.value for platform in Platform} == set(schema("Platform")["enum"])
    assert {word.value for word in words.Severity} == set(schema("Severity")["enum"])
    types = [*words.ErrorType, *words.InfraType]
    assert {word.value for word in types} == set(schema("ErrorItem")["properties"]["type"]["enum"])
    assert words.scope_words([Scope.ADMIN]) == [scope.value for scope in words.SCOPES]
    assert set(words.scope_words([Scope.ADMIN])) == set(schema("Scope")["enum"])


STATES = [*(outcome.value for outcome in Outcome), "planned", "running"]


@pytest.mark.parametrize("state", STATES)
def test_every_state_of_a_test_has_one_word(state: str) -> None:
    row = factories.row(
        outcome=Outcome(state) if state not in ("planned", "running") else None, running=state == "running"
    )
    assert [word for word in SampleWord if state in words.states(word)] == [words.sample_word(row)]


def test_failed_only_and_errors_mean_the_same_tests() -> None:
    assert set(words.FAULTS) == Taken.RAN_AND_FAILED.outcomes
    states = {*words.states(SampleWord.FAIL), *words.states(SampleWord.MISSING_OUTPUT)}
    assert states == {outcome.value for outcome in words.FAULTS}


@pytest.mark.parametrize("code", ["no_worker", "checkout_failed", "setup_failed", "executor_failed", "of a plugin", ""])
def test_every_problem_has_a_type(code: str) -> None:
    assert words.problem_type(Problem(code=code, message="")) in words.InfraType


def test_what_is_known_of_a_commit() -> None:
    sha, other = "a" * 40, "B" * 40
    for build, commit, shown in (
        (sha, other, sha),
        ("v1.2", other, other),
        ("", "abc", words.NO_COMMIT),
        (sha + "\n", "", words.NO_COMMIT),
    ):
        assert words.commit_of(factories.run(build=Build(commit=build), commit=commit)) == shown


@pytest.mark.parametrize(
    ("source", "repository", "link"),
    [
        ("https://github.com/o/n.git", "o/n", True),
        ("https://github.com/o/n", "O/N", True),
        ("git@github.com:o/n.git", "o/n", True),
        ("ssh://git@github.com/o/n.git", "o/n", True),
        ("https://github.com.evil.example/o/n", "o/n", False),
        ("https://gitlab.com/o/n.git", "o/n", False),
        ("https://github.com/o/tests.git", "o/n", False),
        ("/srv/github.com/o/n", "o/n", False),
        ("/srv/o/n", "local/n", False),
    ],
)
def test_a_link_to_github_is_made_for_repositories_that_are_there(source: str, repository: str, link: bool) -> None:
    run = factories.run(build=Build(commit="a" * 40))
    found = words.github_link(run, repository, source)
    assert found == (f"https://github.com/{repository}/commit/{'a' * 40}" if link else None)
    pull = factories.run(metadata={"pull_request": 7})
    assert words.github_link(pull, repository, source) == (f"https://github.com/{repository}/pull/7" if link else None)
    assert words.github_link(factories.run(), repository, source) is None


@pytest.mark.parametrize("value", [0, -1, 2**31, 1.5, "7", True])
def test_odd_metadata_are_no_pull_request(value: Any) -> None:
    assert words.pull_request(factories.run(metadata={"pull_request": value})) is None


def test_every_run_can_be_shown_and_filtered_by_what_is_shown(cc: Any, world: World, http: Any) -> None:
    for number, (status, verdict) in enumerate(KINDS):
        with world.store.write() as tx:
            tx.runs.add(
                factories.run(
                    status=status,
                    verdict=verdict,
                    uuid=factories.uuid_of(f"kind {number}"),
                    problems=(Problem(code="x", message="y"),) if verdict is Verdict.ERRORED else (),
                )
            )
    rows = cc.get("/runs", limit=100)["data"]
    assert len(rows) == len(KINDS)
    for word in RunWord:
        found = cc.get("/runs", limit=100, status=word.value)["data"]
        impossible = 1 if word is RunWord.ERROR else 0  # finished without a verdict
        assert len(found) == sum(row["status"] == word for row in rows) - impossible
        assert {row["status"] for row in found} == {word.value}
    for row in rows:
        for path in ("", "/summary", "/progress", "/config", "/samples", "/errors", "/infrastructure-errors"):
            cc.get(f"/runs/{row['run_id']}{path}")


def test_kinds_are_filters_of_the_core() -> None:
    for word in RunWord:
        assert RunFilter(kinds=words.kinds(word)).kinds


def test_nobody_came_in() -> None:
    with pytest.raises(Unauthenticated):
        door.principal_of(Request({"type": "http", "headers": []}))
