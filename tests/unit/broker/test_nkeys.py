"""Keys in NATS's own text form, and the words that are signed with them."""

import pytest

from resit.broker.nkeys import BadKey, Issuer, read, verify

# A pair of NATS's own examples.
SEED = "SAANDLKMXL6CUS3CP52WIXBEDN6YJ545GDKC65U5JZPPV6WH6ESWUA6YAI"
PUBLIC = "ABJHLOVMPA4CI6R5KLNGOB4GSLNIY7IOUPAJC4YFNDLQVIOBYQGUWVLA"


def test_a_key_of_others_is_read() -> None:
    assert (Issuer.from_seed(SEED).public, Issuer.from_seed(SEED).seed) == (PUBLIC, SEED)


def test_a_key_survives_its_seed() -> None:
    issuer = Issuer.new()
    assert issuer.seed.startswith("SA")
    assert issuer.public.startswith("A")
    again = Issuer.from_seed(f" {issuer.seed}\n")
    assert (again.seed, again.public) == (issuer.seed, issuer.public)
    assert issuer.seed not in repr(issuer)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "checksum"),
        ("SA!!", "characters"),
        ("SAAAA", "checksum"),
        (PUBLIC, "begins with SA"),
        ("X" + SEED[1:], "checksum"),
    ],
)
def test_what_is_no_seed_of_an_account_is_refused(text: str, words: str) -> None:
    with pytest.raises(BadKey, match=words):
        Issuer.from_seed(text)


def test_what_was_signed_can_be_read_and_not_be_changed() -> None:
    issuer = Issuer.new()
    token = issuer.sign({"sub": "U1", "nats": {"type": "user"}})
    claims = read(token)
    assert (claims["sub"], claims["iss"], claims["nats"]) == ("U1", issuer.public, {"type": "user"})
    header, said, signature = token.split(".")
    other = Issuer.new().sign({"sub": "U2"}).split(".")
    for forged in (f"{header}.{other[1]}.{signature}", f"{header}.{said}.{other[2]}", "", "a.b", "a.b.c", token[:-8]):
        with pytest.raises(ValueError, match=r"."):
            read(forged)


def test_a_word_is_the_same_for_who_holds_the_key_and_for_nobody_else() -> None:
    issuer = Issuer.new()
    assert Issuer.from_seed(issuer.seed).word("a") == issuer.word("a")
    assert len({issuer.word("a"), issuer.word("b"), Issuer.new().word("a")}) == 3


def test_a_signature_is_of_one_key_and_one_text() -> None:
    issuer = Issuer.new()
    assert not verify(issuer.public, b"x" * 64, b"text")
    assert not verify("no key", b"x" * 64, b"text")
