"""What a test produced beside what it should have: pairs of attachments, and the difference between two texts."""

import base64
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher, unified_diff
from typing import Any, BinaryIO

from resit.domain.events import Attachment, TestResult

MAX_OUTPUTS = 20
MAX_CONTENT = 1024 * 1024
"""Bytes of a file that an answer shows."""
MAX_DIFF = 10 * 1024 * 1024
"""Bytes of a file that is compared."""
MAX_LINES = 20_000
"""Lines of a file that is compared: the work grows with their square."""
MAX_HUNKS = MAX_HUNK_LINES = 500
MAX_LINE = 1000
MAX_UNIFIED = 524_288
_PART = re.compile(r"(.+?)[-_.](expected|actual|diff)((?:\.\w{1,10})?)", re.DOTALL | re.IGNORECASE)
_TEXTS = ("stdout", "stderr", "output", "log")


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a test. ``id``: its place among the test's outputs, by name, from 1."""

    id: int
    name: str
    expected: Attachment | None = None
    actual: Attachment | None = None

    def status(self, passed: bool) -> str:
        """How the output compares, without a look into the files: a test that passed produced what it should."""
        if self.expected is None:
            return "missing_expected"
        if passed:
            return "pass"
        return "missing_output" if self.actual is None else "fail"


def found_in(result: TestResult) -> list[Output]:
    """The outputs of an execution: attachments named ``…-expected`` and ``…-actual``, and what was printed."""
    pairs: dict[str, dict[str, Attachment]] = {}
    for attachment in result.attachments:
        part = _PART.fullmatch(attachment.name)
        if part:
            pairs.setdefault(part[1] + part[3], {})[part[2].lower()] = attachment
        elif attachment.content_type.startswith("text/") or attachment.name in _TEXTS:
            pairs.setdefault(attachment.name or "output", {}).setdefault("actual", attachment)
    named = sorted((name, pair) for name, pair in pairs.items() if "expected" in pair or "actual" in pair)
    return [
        Output(number, name, pair.get("expected"), pair.get("actual"))
        for number, (name, pair) in enumerate(named[:MAX_OUTPUTS], 1)
    ]


def content_of(file: BinaryIO, text: bool) -> dict[str, Any]:
    """The beginning of a file, as text or base64, and the SHA-256 of all of it."""
    shown = file.read(MAX_CONTENT)
    whole = hashlib.sha256(shown)
    size = len(shown)
    while piece := file.read(MAX_CONTENT):
        whole.update(piece)
        size += len(piece)
    return {
        "encoding": "utf-8" if text else "base64",
        "content": shown.decode("utf-8", "replace") if text else base64.b64encode(shown).decode(),
        "truncated": size > len(shown),
        "sha256": whole.hexdigest(),
    }


def same(one: BinaryIO, other: BinaryIO) -> bool:
    """Two files have the same content. They are at their beginnings, then and before."""
    found = one.seek(0, os.SEEK_END) == other.seek(0, os.SEEK_END)
    for file in (one, other):
        file.seek(0)
    while found and (piece := one.read(MAX_CONTENT)):
        found = piece == other.read(MAX_CONTENT)
    for file in (one, other):
        file.seek(0)
    return found


class NotComparable(Exception):
    """A file that no difference is made of; says why."""


def lines_of(file: BinaryIO) -> list[str]:
    """The lines of a text. Raises :class:`NotComparable` for what is too large, or no text."""
    content = file.read(MAX_DIFF + 1)
    if len(content) > MAX_DIFF:
        raise NotComparable(f"the output is larger than {MAX_DIFF // 1024 // 1024} MiB: read both files instead")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotComparable("the output is no text: read both files instead") from error
    found = text.split("\n")
    if found[-1] == "":
        found.pop()
    if len(found) > MAX_LINES:
        raise NotComparable(f"the output has more than {MAX_LINES} lines: read both files instead")
    return found


def unified(expected: Sequence[str], actual: Sequence[str], context: int) -> str:
    """The difference as ``diff -u`` shows it."""
    lines = unified_diff(expected, actual, "expected", "actual", lineterm="", n=context)
    return "\n".join(lines)[:MAX_UNIFIED]


def structured(expected: Sequence[str], actual: Sequence[str], context: int) -> dict[str, Any]:
    """The difference as hunks of lines, and how many lines came and went."""
    added = removed = changed = 0
    hunks: list[dict[str, Any]] = []
    for group in SequenceMatcher(None, expected, actual).get_grouped_opcodes(context):
        lines: list[dict[str, Any]] = []
        for kind, i1, i2, j1, j2 in group:
            if kind == "equal":
                both = zip(range(i1, i2), range(j1, j2), strict=True)
                lines += [_line("context", expected[i], i + 1, j + 1) for i, j in both]
                continue
            lines += [_line("removed", expected[i], i + 1, None) for i in range(i1, i2)]
            lines += [_line("added", actual[j], None, j + 1) for j in range(j1, j2)]
            removed, added = removed + i2 - i1, added + j2 - j1
        changed += 1
        if len(hunks) < MAX_HUNKS:
            start = {"expected_start": group[0][1] + 1, "actual_start": group[0][3] + 1}
            hunks.append({**start, "lines": lines[:MAX_HUNK_LINES]})
    return {
        "status": "different" if changed else "identical",
        "summary": {"added_lines": added, "removed_lines": removed, "changed_hunks": changed},
        "hunks": hunks,
    }


def _line(kind: str, text: str, expected: int | None, actual: int | None) -> dict[str, Any]:
    return {"kind": kind, "expected_line": expected, "actual_line": actual, "text": text[:MAX_LINE]}


NOTHING = {"summary": {"added_lines": 0, "removed_lines": 0, "changed_hunks": 0}, "hunks": list[Any]()}
"""The difference to a file that is not there."""
