"""Reports: files that appear whole or not at all."""

import httpx
import pytest

from resit.cli.settings import Exit

XML = "<testsuites>ü</testsuites>\n"
JUNIT = "GET /runs/12/junit.xml"


class Broken(httpx.SyncByteStream):
    """An answer that breaks off."""

    def __iter__(self):
        yield b"<testsuites>"
        raise httpx.ReadError("gone")


def test_to_the_output(resit, server):
    server.on(JUNIT, httpx.Response(200, text=XML))
    done = resit("junit", "12")
    assert (done.code, done.out) == (0, XML)


def test_to_a_file_with_the_files_of_results(resit, server, tmp_path):
    server.on(JUNIT, httpx.Response(200, text=XML))
    items = [
        {"id": "a-1", "name": "shot 1.png", "stored": True},
        {"id": "b-2", "name": "x", "stored": False},
    ]
    server.on("GET /runs/12/artifacts", {"items": items, "next": None})
    server.on("GET /artifacts/a-1", httpx.Response(200, content=b"png"))
    to, files = tmp_path / "new" / "junit.xml", tmp_path / "new" / "files"
    done = resit("junit", "12", "-o", str(to), "--attachments", str(files))
    assert done.code == 0
    assert to.read_text(encoding="utf-8") == XML
    assert "1 files" in done.err
    assert "1 are not there" in done.err
    assert [file.name for file in files.iterdir()] == ["a-1-shot-1.png"]
    asked = [request.url.params.get("attachments") for request in server.asked if request.url.path.endswith("xml")]
    assert asked == ["files"]


def test_what_breaks_off_leaves_nothing(resit, server, tmp_path):
    server.on(JUNIT, lambda _: httpx.Response(200, stream=Broken()))
    done = resit("junit", "12", "--output", str(tmp_path / "junit.xml"))
    assert done.code == Exit.UNAVAILABLE
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written(resit, server, tmp_path):
    server.on(JUNIT, lambda _: httpx.Response(200, text=XML))
    (tmp_path / "file").write_text("")
    done = resit("junit", "12", "--output", str(tmp_path / "file" / "junit.xml"))
    assert done.code == Exit.USAGE
    assert "can't be written" in done.err


def test_no_such_run(resit, server):
    assert resit("junit", "99").code == Exit.NOT_FOUND


@pytest.mark.parametrize("command", [("run", "shop"), ("rerun", "12")])
def test_a_file_at_the_end_needs_the_end(resit, server, command):
    done = resit(*command, "--junit", "x.xml")
    assert done.code == Exit.USAGE
    assert "--wait" in done.err


def test_a_red_run_writes_its_file_and_stays_red(resit, server, build_run, build_row, stream, tmp_path):
    red = build_run(verdict="failed", counts={"failed": 1})
    server.on("POST /projects/shop/runs", red, status=201)
    server.on("GET /runs/12", red)
    server.on("GET /runs/12/tests", {"items": [build_row()], "next": None})
    server.on(JUNIT, httpx.Response(200, text=XML))
    done = resit("run", "shop", "--wait", "--junit", str(tmp_path / "j.xml"))
    assert done.code == Exit.RED
    assert (tmp_path / "j.xml").read_text(encoding="utf-8") == XML
