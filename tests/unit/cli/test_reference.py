"""The reference page is what ``--help`` prints, and the codes are those that commands end with."""

from pathlib import Path

import pytest

from resit.cli import helptext
from resit.cli.main import make_app
from resit.cli.settings import EXIT_CODES, Exit

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"
COMMANDS = helptext.commands(make_app())
GROUPS = [
    (name,)
    for name in (
        "project", "env", "token", "user", "org", "test-plan", "schedule", "snooze", "webhook",
        "pool", "worker-credential", "db", "retention",
    )
]  # fmt: skip


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == helptext.reference(make_app()), (
        "regenerate it: python -m resit.cli.helptext > docs/reference/cli.md"
    )


def test_every_command_of_the_contract_is_there():
    assert {
        "serve", "project", "project add", "project show", "project list", "env", "env add", "env list",
        "token", "token create", "token list", "token revoke", "nats-key", "doctor",
        "user", "user add", "user list", "user disable", "link", "org", "org show", "org set",
        "project set", "env set", "test-plan", "test-plan add", "test-plan list", "test-plan remove",
        "snooze", "snooze add", "snooze list", "snooze expire",
        "webhook", "webhook add", "webhook list", "webhook test", "webhook remove",
        "run", "rerun", "watch", "runs", "show", "cancel", "logs", "junit", "report", "flaky", "change",
        "schedule", "schedule create", "schedule list", "schedule show", "schedule set", "schedule pause",
        "schedule resume", "schedule run", "schedule remove",
        "worker", "workers", "pool", "pool create", "pool set", "pool list", "pool remove",
        "worker-credential", "worker-credential create", "worker-credential list", "worker-credential revoke",
        "db", "db check", "db copy", "db upgrade", "backup", "restore", "keep", "usage", "retention", "retention run",
    } == {" ".join(words) for words in COMMANDS}  # fmt: skip


@pytest.mark.parametrize("words", [words for words in COMMANDS if words not in GROUPS])
def test_help_teaches_by_an_example_and_explains_every_option(words):
    text = helptext.help_of(make_app(), *words)
    assert f"Example: resit {' '.join(words)}" in text
    options = [line for line in text.splitlines() if line.startswith("  --")]
    assert options
    assert all(len(line.split("  ")) > 2 for line in options)
    assert max(map(len, text.splitlines())) <= 80


def test_exit_codes_are_documented():
    page = PAGE.read_text(encoding="utf-8")
    for code in Exit:
        assert f"| {code.value} |" in page
        assert f"{code.value} " in EXIT_CODES


def test_help_and_version_go_to_stdout(resit):
    assert resit("--version").out.startswith("resit 0.")
    assert "Exit codes" in resit("--help").out
    assert "Run again: everything" in resit().out
