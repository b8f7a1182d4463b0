import pytest

from bank.iban import is_valid


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("text", "valid"),
    [
        pytest.param("DE89370400440532013000", True, id="Germany"),
        pytest.param("GB29 NWBK 6016 1331 9268 19", True, id="with blanks, as it is printed"),
        pytest.param("DE88370400440532013000", False, id="wrong digits [one off]"),
        pytest.param("DE8937", False, id="too/short"),
        pytest.param("ÄÖ89370400440532013000", False, id="Ümläute"),
        pytest.param("", False, id="''"),
    ],
)
def test_check_digits(text, valid):
    assert is_valid(text) is valid
