"""Reading a report where it lies: a zip whose files are not compressed, in the store of artifacts."""

import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from resit.domain.errors import InvalidInput
from resit.domain.report import MAX_FILES, safe_name

ENTRY = "index.html"
ELSEWHERE = "resit.json"
"""The files of results: name in the report, and the artifact that it is."""
MAX_ELSEWHERE = 4 * 1024 * 1024
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LOCAL_HEADER = 30
"""Bytes of what stands before each file of a zip, without its name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a report: where its header begins, and how many bytes it has."""

    header: int
    size: int


@dataclass(frozen=True, slots=True)
class Packed:
    """What is in a report. ``elsewhere``: files that are artifacts of the run."""

    files: Mapping[str, Entry]
    elsewhere: Mapping[str, str]


def read(file: BinaryIO, size: int) -> Packed:
    """The table of contents of a report of ``size`` bytes. Raises :class:`InvalidInput` for what is none."""
    try:
        with zipfile.ZipFile(file) as found:
            infos = found.infolist()
            if len(infos) > MAX_FILES + 1:
                raise InvalidInput(f"the report has more than {MAX_FILES} files")
            files = {info.filename: _entry(info, size) for info in infos}
            if sum(entry.size for entry in files.values()) > size:
                raise InvalidInput("files of the report lie over each other")
            if len(files) != len(infos):
                raise InvalidInput("the report has two files of one name")
            index = files.pop(ELSEWHERE, None)
            if index is None or index.size > MAX_ELSEWHERE or ENTRY not in files:
                raise InvalidInput(f"the report has no {ENTRY}, or nothing that says which files are results'")
            elsewhere = _elsewhere(json.loads(found.read(ELSEWHERE)))
    except (zipfile.BadZipFile, ValueError, EOFError, RecursionError, NotImplementedError) as error:
        raise InvalidInput(f"what came is no report: {error}") from error
    if files.keys() & elsewhere.keys():
        raise InvalidInput("the report has two files of one name")
    return Packed(files, elsewhere)


def is_artifact(id: str) -> bool:
    """Whether it can be the id of an artifact."""
    return _UUID.fullmatch(id) is not None


def data_offset(header: bytes, entry: Entry) -> int:
    """Where the content of a file begins, by the :data:`LOCAL_HEADER` bytes at its header. Raises
    :class:`InvalidInput`."""
    if len(header) != LOCAL_HEADER or header[:4] != b"PK\3\4":
        raise InvalidInput("the report is damaged")
    name, extra = int.from_bytes(header[26:28], "little"), int.from_bytes(header[28:30], "little")
    return entry.header + LOCAL_HEADER + name + extra


def _entry(info: zipfile.ZipInfo, size: int) -> Entry:
    if not safe_name(info.filename):
        raise InvalidInput(f"the report has a file {info.filename[:80]!r}, which may not be")
    stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
    if not stored or info.flag_bits & 1:
        raise InvalidInput("the report is compressed: its parts can't be read where they lie")
    if not 0 <= info.header_offset <= info.header_offset + LOCAL_HEADER + info.file_size <= size:
        raise InvalidInput("the report is damaged")
    return Entry(info.header_offset, info.file_size)


def _elsewhere(said: object) -> dict[str, str]:
    if not isinstance(said, dict):
        raise InvalidInput("what says which files are results' can't be read")
    found: dict[str, str] = {}
    for name, id in cast("dict[Any, Any]", said).items():
        if not isinstance(id, str) or not safe_name(str(name)) or len(found) >= MAX_FILES:
            raise InvalidInput("what says which files are results' can't be read")
        found[str(name)] = id
    return found
