"""Small rules: access, projects, ids, leases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.domain import ids
from resit.domain.access import PROJECT_SCOPES, Principal, Scope, Token, parse_scopes
from resit.domain.attempt import LEASE_SECONDS, AttemptState, lapsed
from resit.domain.errors import Forbidden, InvalidInput
from resit.domain.project import MAX_VALUE, MAX_VARIABLES, check_slug, check_text, check_variables, split_login
from resit.domain.run import Problem
from resit.testing.factories import NOW, attempt, run, uuid_of

SCOPES = st.frozensets(st.sampled_from(list(Scope)))


@given(SCOPES, st.sampled_from(list(Scope)))
def test_a_token_may_do_what_its_scopes_say(scopes: frozenset[Scope], wanted: Scope) -> None:
    who = Principal("p", 1, scopes)
    if wanted in scopes or Scope.ADMIN in scopes:
        who.need(wanted)
    else:
        with pytest.raises(Forbidden) as refused:
            who.need(wanted)
        assert refused.value.details["required_scope"] == wanted.value


@pytest.mark.parametrize(("own", "other", "reaches"), [(1, 1, True), (1, 2, False), (1, None, False), (None, 7, True)])
def test_a_token_reaches_its_own_project(own: int | None, other: int | None, reaches: bool) -> None:
    assert Principal("p", own, frozenset()).reaches(other) is reaches


def test_an_admin_of_one_project_is_no_admin_of_all() -> None:
    Principal("p", None, frozenset({Scope.ADMIN})).need_all()
    for who in (Principal("p", 1, frozenset({Scope.ADMIN})), Principal("p", None, frozenset(PROJECT_SCOPES))):
        with pytest.raises(Forbidden):
            who.need_all()


def test_scopes_by_name() -> None:
    assert parse_scopes(["admin", "runs:read", "admin"]) == (Scope.ADMIN, Scope.RUNS_READ)
    with pytest.raises(InvalidInput, match="runs:read"):
        parse_scopes(["runs:everything"])


@pytest.mark.parametrize(
    ("expires", "revoked", "valid"), [(None, None, True), (NOW + 1, None, True), (NOW, None, False), (None, NOW, False)]
)
def test_tokens_expire_and_are_revoked(expires: float | None, revoked: float | None, valid: bool) -> None:
    token = Token(
        id=1, name="", prefix="", digest="", project_id=None, scopes=(), created_at=0, expires_at=expires,
        revoked_at=revoked,
    )  # fmt: skip
    assert token.valid(NOW) is valid


@pytest.mark.parametrize("slug", ["a", "0", "shop", "shop.v2_x-y", "a" * 64])
def test_slugs(slug: str) -> None:
    assert check_slug(slug) == slug


@pytest.mark.parametrize("slug", ["", "-a", "a-", "A", "a b", "a/b", "a\n", "ä", "a" * 65, "..", "a\0", "../x"])
def test_no_slugs(slug: str) -> None:
    with pytest.raises(InvalidInput):
        check_slug(slug)


def test_variables_that_a_process_can_be_given() -> None:
    assert check_variables({"A_1": "x\ny=z", "_b": ""}) == {"A_1": "x\ny=z", "_b": ""}


@pytest.mark.parametrize(
    "variables",
    [
        {"": "x"}, {"A=B": "x"}, {"1A": "x"}, {"A B": "x"}, {"Ä": "x"}, {"A\n": "x"}, {"RESIT_TOKEN": "x"},
        {"A": "\0"}, {"A": "\ud800"}, {"A": "x" * (MAX_VALUE + 1)}, {f"A{n}": "" for n in range(MAX_VARIABLES + 1)},
    ],
)  # fmt: skip
def test_variables_that_no_process_can_be_given(variables: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        check_variables(variables)


@pytest.mark.parametrize("text", ["\0", "a\ud800", "x" * 2001])
def test_texts_that_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_text(text, "reason")
    assert refused.value.field == "reason"


@pytest.mark.parametrize(
    ("state", "seen", "since", "gone"),
    [
        (AttemptState.RUNNING, NOW - LEASE_SECONDS, 0.0, False),
        (AttemptState.RUNNING, NOW - LEASE_SECONDS - 0.1, 0.0, True),
        (AttemptState.RUNNING, NOW - 900, NOW - 5, False),  # we have only just begun to listen
        (AttemptState.RUNNING, NOW - 900, NOW - 11, True),
        (AttemptState.ENDED, 0.0, 0.0, False),
        (AttemptState.LOST, NOW, NOW, True),
        (AttemptState.RETURNED, NOW, NOW, True),
    ],
)
def test_an_attempt_lapses_when_its_worker_is_silent(
    state: AttemptState, seen: float, since: float, gone: bool
) -> None:
    assert lapsed(attempt(state=state, seen_at=seen), NOW, since) is gone


def test_ids_follow_from_what_they_name() -> None:
    project = uuid_of("a project")
    assert ids.case_uuid(project, "t") == ids.case_uuid(project, "t")
    assert ids.case_uuid(project, "t") != ids.case_uuid(uuid_of("another"), "t")
    assert ids.digest({"b": 1, "a": [2]}) == ids.digest({"a": [2], "b": 1}) != ids.digest({"a": [2], "b": 2})
    assert "secret" not in ids.secret_digest("secret")


def test_a_run_says_its_first_problem_and_how_long_it_took() -> None:
    problems = (Problem(code="a", message="A"), Problem(code="b", message="B"))
    assert run(problems=problems).error == problems[0]
    assert run().error is None
    assert run(started_at=1.0, finished_at=4.0).duration == 3.0
    assert run(started_at=1.0).duration is None


@pytest.mark.parametrize(
    ("source", "public", "sealed"),
    [
        ("https://me:pw@host/x.git", "https://host/x.git", True),
        ("https://token@host/x.git", "https://host/x.git", True),
        ("https://host/x@y.git", "https://host/x@y.git", False),
        ("ssh://git@host/x.git", "ssh://git@host/x.git", False),
        ("ssh://git:pw@host/x.git", "ssh://host/x.git", True),
        ("git@host:x.git", "git@host:x.git", False),
        ("/a/folder", "/a/folder", False),
        ("file:///a/b", "file:///a/b", False),
    ],
)
def test_credentials_of_a_source_are_kept_apart(source: str, public: str, sealed: bool) -> None:
    assert split_login(source) == (public, source if sealed else "")
