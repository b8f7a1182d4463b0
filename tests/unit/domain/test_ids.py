"""Names that follow from what they name."""

import hashlib
import uuid
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.domain.ids import KEY, case_key, case_uuid, large, row_uuid, small
from resit.domain.plan import PlannedTest
from resit.testing.factories import planned, uuid_of

ANY = st.text(st.characters(exclude_categories=()), max_size=20)
HEX = st.text("0123456789abcdef", min_size=20, max_size=20)
NUMBER = st.integers(0, 2**52 - 1)


@given(HEX, HEX, ANY, ANY)
def test_playwrights_own_id_is_the_key(file: str, titles: str, path: str, variant: str) -> None:
    assert case_key(planned(f"{file}-{titles}", file=path, variant=variant)) == f"{file}-{titles}"


@given(ANY, ANY, ANY)
def test_a_key_has_its_form_and_hangs_on_file_variant_and_id_alone(id: str, file: str, variant: str) -> None:
    test = PlannedTest(id=id, file=file, title_path=("a",), variant=variant)
    other = PlannedTest(id=id, file=file, title_path=("b", "c"), variant=variant, tags=("x",), line=7, unit="u")
    assert KEY.fullmatch(case_key(test))
    assert case_key(test) == case_key(other)


def test_the_key_of_a_test_of_pytest() -> None:
    key = case_key(planned("tests/test_a.py::test_one"))
    assert key[:20] == hashlib.sha1(b"tests/test_a.py").hexdigest()[:20]  # noqa: S324
    assert key[21:] == hashlib.sha1(b"[project=]tests/test_a.py::test_one").hexdigest()[:20]  # noqa: S324


@given(st.lists(st.tuples(ANY, ANY), unique=True, max_size=5))
def test_tests_with_other_ids_have_other_keys(named: list[tuple[str, str]]) -> None:
    # of one file and one variant
    ids = {id for id, _ in named}
    assert len({case_key(planned(id, file="f", variant="v")) for id in ids}) == len(ids)


@pytest.mark.parametrize(
    "id", ["0" * 20 + "-" + "0" * 19, "0" * 41, "A" * 20 + "-" + "0" * 20, "0" * 20 + "-" + "0" * 21]
)
def test_what_only_looks_like_playwrights_id_is_none(id: str) -> None:
    assert case_key(planned(id)) != id
    assert case_key(planned("0" * 20 + "-" + "0" * 20 + "\n")).endswith("\n") is False


@given(NUMBER)
def test_a_large_number_is_reversible_and_whole_in_a_double(number: int) -> None:
    found = large(number)
    assert 2**52 <= found < 2**53
    assert int(float(found)) == found
    assert small(found) == number


@given(NUMBER)
def test_a_small_number_is_one_of_a_large_one(number: int) -> None:
    back = small(2**52 | number)
    assert back is not None
    assert large(back) == 2**52 | number


@pytest.mark.parametrize("number", [-1, 0, 1, 2**52 - 1, 2**53, 2**70])
def test_no_large_numbers(number: int) -> None:
    assert small(number) is None


def test_neighbours_are_far_apart() -> None:
    made = [large(number) for number in range(1, 2000)]
    assert len(set(made)) == len(made)
    assert min(abs(one - other) for one, other in pairwise(made)) > 2**20


@given(st.sampled_from("ab"), st.sampled_from("ab"), st.text(max_size=5), st.text(max_size=5))
def test_the_uuid_of_a_test_in_a_run(run: str, other: str, test: str, twin: str) -> None:
    one, two = row_uuid(uuid_of(run), test), row_uuid(uuid_of(other), twin)
    assert (one == two) is ((run, test) == (other, twin))


@given(st.uuids(), st.text(max_size=20))
def test_a_case_has_the_uuid_that_rfc_4122_gives_it(space: uuid.UUID, test: str) -> None:
    assert case_uuid(str(space), test) == row_uuid(str(space), test) == str(uuid.uuid5(space, test))
