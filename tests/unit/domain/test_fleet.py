"""Which pool a run goes to, and what may be a pool's name, a label, a credential."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.domain import fleet
from resit.domain.errors import InvalidInput
from resit.domain.fleet import ALIVE_SECONDS, DEFAULT_POOL, Pool, Worker, WorkerCredential

names = st.sampled_from(["a", "b", "c", DEFAULT_POOL, "win-1"])
keys, values = st.sampled_from(["os", "browser", "arch"]), st.sampled_from(["linux", "mac", "chrome"])
labels = st.dictionaries(keys, values, max_size=3)
pools = st.lists(st.builds(Pool, name=names, labels=labels), max_size=6, unique_by=lambda pool: pool.name)
counts = st.dictionaries(names, st.integers(0, 3))


@given(pools, st.dictionaries(keys, values, min_size=1, max_size=2), counts)
def test_labels_lead_to_the_fitting_pool_with_most_workers(
    known: list[Pool], wanted: dict[str, str], alive: dict[str, int]
) -> None:
    fitting = [pool.name for pool in known if wanted.items() <= pool.labels.items()]
    if not fitting:
        with pytest.raises(InvalidInput) as refused:
            fleet.choose(fleet.in_words(wanted), known, alive)
        assert all(pool.name in refused.value.message for pool in known)
        return
    found = fleet.choose(fleet.in_words(wanted), known, alive)
    assert found in fitting
    for other in fitting:
        assert (alive.get(other, 0), found) <= (alive.get(found, 0), other)


@given(pools, labels, counts, st.randoms(use_true_random=False))
def test_the_order_in_which_pools_are_told_does_not_matter(
    known: list[Pool], wanted: dict[str, str], alive: dict[str, int], chance: object
) -> None:
    mixed = list(known)
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    said = fleet.in_words(wanted) or DEFAULT_POOL
    found: list[str] = []
    for order in (known, mixed):
        try:
            found.append(fleet.choose(said, order, alive))
        except InvalidInput as error:
            found.append(error.message)
    assert found[0] == found[1]


@given(pools, names, counts)
def test_a_name_leads_to_the_pool_of_that_name_and_no_other(
    known: list[Pool], name: str, alive: dict[str, int]
) -> None:
    if name == DEFAULT_POOL or name in {pool.name for pool in known}:
        assert fleet.choose(name, known, alive) == name
    else:
        with pytest.raises(InvalidInput, match="there is no pool"):
            fleet.choose(name, known, alive)


def test_the_only_pool_that_fits_is_taken_though_nobody_is_there() -> None:
    known = [Pool(name="a", labels={"os": "linux"}), Pool(name="b", labels={"os": "mac"})]
    assert fleet.choose("os=mac", known, {"a": 5}) == "b"


def test_the_default_pool_may_have_labels() -> None:
    described = Pool(name=DEFAULT_POOL, labels={"os": "linux"})
    assert fleet.choose("os=linux", [described], {}) == DEFAULT_POOL
    assert fleet.with_default([described]) == [described]


@given(st.dictionaries(st.from_regex(r"[a-z0-9]([a-z._-]{0,8}[a-z0-9])?", fullmatch=True), values, min_size=1))
def test_labels_are_read_as_they_are_written(said: dict[str, str]) -> None:
    assert fleet.parse_labels(fleet.in_words(said)) == said
    assert fleet.check_wanted(fleet.in_words(said)) == fleet.in_words(said)


def test_the_words_of_an_environment_have_one_spelling() -> None:
    assert fleet.check_wanted(" os = linux , arch=arm64") == "arch=arm64,os=linux"
    assert fleet.check_wanted("win-1") == "win-1"


@pytest.mark.parametrize(
    "text", ["", "os", "os=", "=linux", "os=a,os=b", "os=a,", "OS=a", "os=a b", "os=-", "a" * 65 + "=b"]
)
def test_what_is_no_label(text: str) -> None:
    with pytest.raises(InvalidInput):
        fleet.parse_labels(text)


@pytest.mark.parametrize("name", ["", "A", "a.b", "a_b", "-a", "a-", "a b", "a" * 65, "ü", "a\n", "*", ">"])
def test_what_is_no_name_of_a_pool(name: str) -> None:
    with pytest.raises(InvalidInput):
        fleet.check_pool_name(name)
    with pytest.raises(InvalidInput):
        fleet.check_wanted(name)


def test_too_many_labels() -> None:
    with pytest.raises(InvalidInput, match="more than 32"):
        fleet.check_labels({f"k{n}": "v" for n in range(33)})


def test_how_long_a_credential_is_valid() -> None:
    credential = WorkerCredential(id=1, name="", pool="a", prefix="", digest="")
    assert credential.valid(1e12)
    assert replace(credential, expires_at=10.0).valid(9.9)
    assert not replace(credential, expires_at=10.0).valid(10.0)
    assert not replace(credential, revoked_at=5.0).valid(1.0)


def test_who_is_alive() -> None:
    worker = Worker(name="w", pool="a", slots=1, seen_at=100.0)
    assert worker.alive(100 + ALIVE_SECONDS)
    assert not worker.alive(100 + ALIVE_SECONDS + 0.1)
