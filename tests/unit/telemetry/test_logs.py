"""Lines of logs: whole, readable by machines, about something, and without secrets."""

import asyncio
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.telemetry import FIELDS, bound, fields, know, masked
from resit.telemetry.logs import MEMBERS, JsonLines, TextLines, configure
from resit.telemetry.secrets import MASK, MOST, Known

log = logging.getLogger("resit.test")


def record(words: str = "hello", *args: object, **more: Any) -> logging.LogRecord:
    return logging.LogRecord("resit.test", logging.WARNING, __file__, 1, words, args, more.pop("exc_info", None))


def read(line: str) -> dict[str, Any]:
    assert "\n" not in line
    return json.loads(line)


JSON = JsonLines("server", {})
TEXT = TextLines("server", {})


def test_a_line_of_json_says_when_who_and_what() -> None:
    said = read(JSON.format(record("run %s is over", 7)))
    assert said["message"] == "run 7 is over"
    assert (said["level"], said["logger"], said["process"], said["pid"]) == (
        "warning",
        "resit.test",
        "server",
        os.getpid(),
    )
    assert said["time"].endswith("Z")
    assert len(said["time"]) == len("2026-05-01T12:00:00.123Z")
    assert set(said) <= set(MEMBERS)


def test_fields_are_those_that_are_bound_and_those_of_the_record() -> None:
    with bound(run=7, pool="linux"), bound(shard=2):
        said = read(JSON.format(record()))
        assert (said["run"], said["shard"], said["pool"]) == (7, 2, "linux")
        own = record()
        own.run = 8
        assert read(JSON.format(own))["run"] == 8
        assert TEXT.format(record()).endswith("resit.test: hello [run=7 shard=2 pool=linux]")
    assert fields() == {}
    assert "run" not in read(JSON.format(record()))
    assert read(JsonLines("worker", {"worker": "w1"}).format(record()))["worker"] == "w1"


def test_tasks_and_threads_are_about_what_began_them() -> None:
    async def main() -> tuple[object, object, object]:
        with bound(run=1):
            task = asyncio.create_task(asyncio.to_thread(fields))
        with bound(run=2):
            other = asyncio.create_task(asyncio.sleep(0, fields()))
        return await task, await other, fields()

    assert asyncio.run(main()) == ({"run": 1}, {"run": 2}, {})


def test_an_exception_is_one_member_and_below_a_text() -> None:
    try:
        raise ValueError("password=hunter22 is wrong")
    except ValueError:
        found = record("it broke", exc_info=sys.exc_info())
    said = read(JSON.format(found))
    assert said["exception"].startswith("Traceback")
    assert "hunter22" not in said["exception"]
    text = TEXT.format(found)
    assert text.splitlines()[1].startswith("Traceback")
    assert "hunter22" not in text


def test_a_log_call_that_is_wrong_is_told_all_the_same() -> None:
    assert "run %s" in read(JSON.format(record("run %s", 1, 2)))["message"]


def test_further_lines_of_a_text_can_not_be_taken_for_lines_of_ours() -> None:
    forged = "x\n2026-01-01T00:00:00.000Z INFO resit: all is well\x1b[2J"
    lines = TEXT.format(record("%s", forged)).splitlines()
    assert lines[1].startswith("    ")
    assert "\x1b" not in lines[1]


@given(st.text(), st.text())
def test_whatever_is_said_it_is_one_line_of_json(words: str, value: str) -> None:
    with bound(worker=value):
        said = read(JSON.format(record("%s", words)))
    assert said.keys() <= MEMBERS.keys()


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Authorization: Bearer abcdefgh12345", "Authorization: Bearer ***"),
        ("{'authorization': 'bearer abc.def-ghi='}", "{'authorization': 'bearer ***'}"),
        ("postgresql://resit:s3cr3t@db:5432/resit is away", "postgresql://***@db:5432/resit is away"),
        ("clone https://ghp_0123456789@github.com/a/b.git", "clone https://***@github.com/a/b.git"),
        ("ssh://git@github.com/a/b", "ssh://git@github.com/a/b"),
        ("GET https://hooks.example/x?token=abcdef&a=1", "GET https://hooks.example/x?token=***&a=1"),
        ("X-Amz-Signature=0123abcd&x=1", "X-Amz-Signature=***&x=1"),
        ('{"password": "hunter22"}', '{"password": "***"}'),
        ("token resit_abcdefghijklmnopqrstuvwxyz_0123456789AB of ours", "token resit_*** of ours"),
        ("a token is needed: make one", "a token is needed: make one"),
        ("no valid token: send one as 'Authorization'", None),
        ("write to joe@example.org, see http://h/a@b", "write to joe@example.org, see http://h/a@b"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, clean: str | None) -> None:
    found = masked(text)
    if clean is not None:
        assert found == clean
    assert masked(found) == found


def test_what_was_named_is_masked_however_it_is_written() -> None:
    know("p/w d!", "line one of it\nline two of it", "abc")
    for written in ("p/w d!", "p%2Fw%20d%21", "p%2Fw+d%21", "line two of it"):
        assert masked(f"<{written}>") == "<***>"
    assert masked("abc") == "abc"
    with bound(worker="p/w d!"):
        assert read(JSON.format(record("%s", {"key": "p/w d!"})))["worker"] == "***"


@given(st.lists(st.text(min_size=4), min_size=1), st.text(), st.text())
def test_no_line_holds_what_was_named(secrets: list[str], before: str, after: str) -> None:
    known = Known()
    known.add(secrets)
    for secret in secrets:
        found = known.mask(f"{before}\0{secret}\0{after}")
        assert f"\0{secret}\0" not in found or secret == MASK * len(secret)
        assert MASK in found


def test_of_very_many_the_newest_are_known() -> None:
    known = Known()
    known.add(f"secret number {number}" for number in range(MOST))
    assert known.mask(f"secret number {MOST - 1}") == MASK
    assert known.mask("secret number 0") == "secret number 0"


@pytest.fixture
def untouched() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, hook = list(root.handlers), root.level, sys.excepthook
    yield
    for handler in list(root.handlers):
        root.removeHandler(handler)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    sys.excepthook = hook
    logging.captureWarnings(capture=False)


@pytest.mark.usefixtures("untouched")
def test_configured_to_a_file_that_is_none() -> None:
    stream = io.StringIO()
    configure("json", "warning", stream=stream)
    log.info("not heard")
    log.warning("heard")
    logging.getLogger("uvicorn.error").info("not heard")
    assert [read(line)["message"] for line in stream.getvalue().splitlines()] == ["heard"]
    with pytest.raises(ValueError, match="xml"):
        configure("xml")


def test_everything_that_a_process_says_is_lines(tmp_path: Path) -> None:
    program = """
import logging, threading, warnings
from resit.telemetry.logs import configure
configure("json", process="worker", about={"worker": "w1"})
warnings.warn("old")
logging.getLogger("x").info("said \\ud800")
thread = threading.Thread(target=lambda: 1 / 0); thread.start(); thread.join()
raise SystemError("Bearer abcdefgh")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    said = [read(line) for line in done.stderr.splitlines()]
    assert len(said) == 4
    assert all(line["worker"] == "w1" for line in said)
    assert "ZeroDivisionError" in said[2]["exception"]
    assert "SystemError" in said[3]["exception"]
    assert "abcdefgh" not in done.stderr
    assert done.returncode == 1


def test_fields_have_a_meaning() -> None:
    assert all(FIELDS.values())
    assert list(FIELDS)[:3] == ["run", "shard", "batch"]
