"""Packing a report: what stands for a file of a result is named, not packed."""

import json
import zipfile
from pathlib import Path

import pytest

from resit.plugin import ExecutorError
from resit.services import packed
from resit.testing.factories import uuid_of
from resit.worker import html

ONE, TWO = uuid_of("one"), uuid_of("two")


def folder(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        path = tmp_path / "report" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "report"


def test_what_the_server_reads_of_it(tmp_path: Path) -> None:
    where = folder(tmp_path, **{"index.html": "page", "data__a.png": ONE, "data__b.txt": "b", "trace__x__y.js": "y"})
    html.pack(where, {ONE, TWO}, tmp_path / "report.zip")
    with (tmp_path / "report.zip").open("rb") as file:
        found = packed.read(file, (tmp_path / "report.zip").stat().st_size)
        assert found.elsewhere == {"data/a.png": ONE}
        assert sorted(found.files) == ["data/b.txt", "index.html", "trace/x/y.js"]
        entry = found.files["trace/x/y.js"]
        file.seek(entry.header)
        file.seek(packed.data_offset(file.read(packed.LOCAL_HEADER), entry))
        assert file.read(entry.size) == b"y"


def test_what_only_looks_like_one_is_packed(tmp_path: Path) -> None:
    """An id that was not in the blob, or somewhere else than files of results are."""
    where = folder(tmp_path, **{"index.html": ONE, "data__a.png": TWO})
    html.pack(where, {ONE}, tmp_path / "report.zip")
    with zipfile.ZipFile(tmp_path / "report.zip") as found:
        assert sorted(found.namelist()) == ["data/a.png", "index.html", "resit.json"]
        assert json.loads(found.read("resit.json")) == {}


def test_links_lead_nowhere(tmp_path: Path) -> None:
    where = folder(tmp_path, **{"index.html": "page"})
    (tmp_path / "secret").write_text("secret")
    (where / "link.txt").symlink_to(tmp_path / "secret")
    (where / "folder").symlink_to(tmp_path)
    html.pack(where, (), tmp_path / "report.zip")
    with zipfile.ZipFile(tmp_path / "report.zip") as found:
        assert sorted(found.namelist()) == ["index.html", "resit.json"]


@pytest.mark.parametrize(("limit", "words"), [("MAX_FILES", "more than 1 files"), ("MAX_SIZE", "larger than")])
def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, words: str) -> None:
    monkeypatch.setattr(html, limit, 1)
    with pytest.raises(ExecutorError, match=words):
        html.pack(folder(tmp_path, **{"index.html": "page", "x.html": "x"}), (), tmp_path / "report.zip")
