"""What a client may say of its request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.telemetry.requests import Asked, begin, by, current, request_id, traceparent

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        (TRACE, TRACE),
        (f" {TRACE} ", TRACE),
        (TRACE.replace("00-4", "cc-4") + "-what-comes-later", TRACE),
        (TRACE + "-more", ""),
        (TRACE.replace("00-4", "ff-4"), ""),
        (TRACE.upper(), ""),
        (TRACE.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32), ""),
        (TRACE.replace("00f067aa0ba902b7", "0" * 16), ""),
        (TRACE[:-1], ""),
        ("", ""),
    ],
)
def test_a_traceparent_is_taken_in_the_form_of_the_first_version(said: str, taken: str) -> None:
    assert traceparent(said) == taken


@given(st.text())
def test_what_is_no_traceparent_is_none(said: str) -> None:
    found = traceparent(said)
    assert found == "" or traceparent(found) == found


@given(st.text())
def test_request_ids_are_plain(said: str) -> None:
    found = request_id(said)
    assert found.isascii()
    assert found.isprintable()
    assert 0 < len(found) <= 128
    assert request_id(found) == found


def test_a_request_is_found_to_be_somebodys() -> None:
    by("nobody asks")
    asked = Asked("1")
    begin(asked)
    by("ci")
    assert current() is asked
    assert asked.token == "ci"
    begin(Asked("2"))
