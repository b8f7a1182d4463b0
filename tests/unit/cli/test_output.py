"""What comes from suites is shown as text, whatever it holds."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from resit.cli import output


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\x1b[2J\x1b[Hb", "ab"),
        ("a\rb\x08c\x00", "abc"),
        ("two\nlines\tand tab", "two lines and tab"),
        ("\x9b31mc1", "c1"),
        ("rtl\u202eevil", "rtlevil"),
        ("[bold]not markup[/bold]", "[bold]not markup[/bold]"),
        ("naïve › 日本語 🎉", "naïve › 日本語 🎉"),
        ("ends in \x1b", "ends in"),
    ],
)
def test_clean(text, shown):
    assert output.clean(text) == shown


def test_clean_keeps_lines_when_asked():
    assert output.clean("a\r\n\x1b[1mb\n", lines=True) == "a\nb\n"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (0.04, "0.0 s"), (12.34, "12.3 s"), (125, "2 min 5 s"), (3600 * 2 + 60, "2 h 1 min")],
)
def test_duration(seconds, words):
    assert output.duration(seconds) == words


def test_times_are_read_as_text_or_number():
    assert output.moment("2026-01-02T03:04:05Z") == output.moment(1767323045.0)
    assert output.moment("yesterday") is None
    assert output.local_time(None) == ""


def test_ago():
    now = datetime(2026, 1, 2, tzinfo=UTC)
    words = [output.ago((now - timedelta(seconds=s)).isoformat(), now) for s in (-5, 30, 150, 7300, 200000)]
    assert words == ["just now", "just now", "2 min ago", "2 h ago", "2 d ago"]


def test_json_is_valid_whatever_is_in_it(capsys):
    document = {"a": "\x1b[31m \x9b \ud800 › 🎉"}
    output.print_json(document)
    out = capsys.readouterr().out
    assert json.loads(out) == document
    assert not {"\x1b", "\x9b"} & set(out)


def test_a_reason_falls_back_on_the_failure(build_row):
    failure = {"message": "\n\x1b[31mexpected 1\x1b[0m\nto be 2", "stack": "", "location": ""}
    row = build_row(reason="", results=[{"failures": [failure]}])
    assert output.reason(row) == "expected 1"


def test_a_title_names_file_titles_and_variant(build_row):
    row = build_row("a.spec.ts", title_path=["cart", "adds [x]"], variant="chromium", line=3)
    assert output.title(row) == "a.spec.ts:3 › cart › adds [x] [chromium]"


def test_a_test_that_nobody_found_has_no_file(build_row):
    assert output.title(build_row("gone", file="", line=0, title_path=["gone"])) == "gone"


def test_a_console_takes_markup_as_text(capsys):
    output.say(output.console(), "[red]x[/red] :tada:")
    assert capsys.readouterr().out == "[red]x[/red] :tada:\n"
