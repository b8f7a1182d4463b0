"""What is kept of passwords."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.domain.errors import InvalidInput
from resit.domain.passwords import STRENGTH, Strength, check_password, fits, hashed

WEAK = Strength(n=16, rounds=1)
PASSWORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=8, max_size=128)


@given(PASSWORDS, PASSWORDS, st.text(max_size=50).map(ascii))
def test_a_password_fits_what_was_made_of_it_and_nothing_else(password: str, other: str, salt: str) -> None:
    kept = hashed(check_password(password), salt, WEAK)
    assert fits(password, kept)
    assert fits(other, kept) is (other == password)
    assert fits(password + "x", kept) is fits("", kept) is False


def test_what_is_kept_says_how_it_was_made_and_not_of_what() -> None:
    kept = hashed("correct horse", "salt")
    assert kept.startswith(f"scrypt${STRENGTH.n}${STRENGTH.block}${STRENGTH.rounds}$")
    assert "horse" not in kept
    assert fits("correct horse", kept)
    assert hashed("correct horse", "other", WEAK) != hashed("correct horse", "salt", WEAK)


def test_what_was_kept_with_another_strength_still_fits() -> None:
    assert fits("correct horse", hashed("correct horse", "salt", Strength(n=32, block=4, rounds=2)))


@pytest.mark.parametrize(
    "kept",
    ["", "x", "plain$16$8$1$cw==$cw==", "scrypt$16$8$1$cw==$", "scrypt$15$8$1$cw==$cw==", "scrypt$x$8$1$cw==$cw==",
     "scrypt$16$8$1$é$cw==", "scrypt$1000000000$8$1$cw==$cw==", "scrypt$16$8$1$cw==$cw==$"],
)  # fmt: skip
def test_what_is_no_such_text_fits_nothing(kept: str) -> None:
    assert not fits("", kept)
    assert not fits("correct horse", kept)


@pytest.mark.parametrize("password", ["", "1234567", "x" * 129, "1234567\0", "1234567\ud800"])
def test_odd_passwords_are_refused_without_being_told(password: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_password(password)
    assert refused.value.field == "password"
    assert not password or password not in str(refused.value)


def test_lengths_at_the_edge() -> None:
    assert check_password("x" * 8)
    assert check_password("ü" * 128)
