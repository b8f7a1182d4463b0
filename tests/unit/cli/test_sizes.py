"""Bytes as people write and read them."""

import pytest

from resit.cli import options
from resit.cli.settings import CommandError
from resit.cli.sizes import read_size, size


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (1_500_000, "1.5 MB"), (99e9, "99 GB"), (2e15, "2000 TB")],
)
def test_sizes_in_words(number: float, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("20GB", 20 * 10**9),
        ("500 MiB", 500 * 2**20),
        ("1.5g", 1_500_000_000),
        ("1000", 1000),
        ("7b", 7),
        (" 1 TB ", 10**12),
    ],
)
def test_words_as_sizes(text: str, number: int) -> None:
    assert read_size(text) == number


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1 XB", "1e9", "twenty"])
def test_words_that_are_no_sizes(text: str) -> None:
    assert read_size(text) is None
    with pytest.raises(CommandError, match="write a size, or none"):
        options.size(text, "--keep-size")


def test_options_of_limits() -> None:
    assert options.number(None, "--x") is options.whole(None, "--x") is options.size(None, "--x") is None
    assert options.number("none", "--x") == options.whole("none", "--x") == options.size("none", "--x") == 0
    assert (options.number("0.5", "--x"), options.whole("500", "--x"), options.size("20GB", "--x")) == (0.5, 500, 2e10)
    for read, text in ((options.number, "-1"), (options.number, "many"), (options.whole, "1.5"), (options.whole, "")):
        with pytest.raises(CommandError, match="or none"):
            read(text, "--x")
