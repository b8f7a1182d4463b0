"""Reports: files that appear whole or not at all."""

import io
import zipfile

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


# ---------------------------------------------------------------- HTML

READY = {"state": "ready", "words": "", "url": "http://resit.example/reports/c/index.html", "size": 5, "tries": 1}
URL = "GET /runs/12/report"


def zipped(files: dict[str, bytes], *, compressed: bool = False) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as file:
        for name, content in files.items():
            # A time of its own would be in the names of tests, which differ then from one process to the next.
            file.writestr(zipfile.ZipInfo(name), content, file.compression)
    return held.getvalue()


def test_where_the_report_is(resit, server):
    server.on(URL, READY)
    done = resit("report", "12")
    assert (done.code, done.out.strip()) == (0, READY["url"])


def test_one_in_the_making_is_waited_for(resit, server, build_run, monkeypatch):
    monkeypatch.setattr("resit.cli.reports._PAUSES", (0.001, 0.001))
    server.on("GET /runs/12", build_run())
    states = iter(["waiting", "waiting", "working", "ready"])
    server.on(URL, lambda _: httpx.Response(200, json=READY | {"state": next(states)}))
    done = resit("report", "12")
    assert done.code == 0
    assert done.err.splitlines() == ["The report is waiting ...", "The report is working ..."]


def test_or_not(resit, server):
    server.on(URL, READY | {"state": "waiting", "url": None})
    done = resit("report", "12", "--no-wait")
    assert (done.code, "it waits for a worker" in done.err) == (0, True)


@pytest.mark.parametrize("state", ["none", "failed", "removed"])
def test_why_there_is_none(resit, server, build_run, state):
    server.on("GET /runs/12", build_run())
    server.on(URL, READY | {"state": state, "url": None, "words": "no Node.js\x1b[31m here"})
    done = resit("report", "12")
    assert done.code == Exit.REFUSED
    assert "no Node.js" in done.err
    assert "\x1b" not in done.err


def test_downloaded_it_appears_whole(resit, server, tmp_path):
    server.on(URL, READY)
    files = {"index.html": b"page", "data/a.png": b"png", "trace/assets/x.js": b"x"}
    server.on("GET /runs/12/report.zip", httpx.Response(200, content=zipped(files)))
    to = tmp_path / "new" / "report"
    done = resit("report", "12", "-o", str(to))
    assert (done.code, done.out.strip()) == (0, str(to / "index.html"))
    assert {path.relative_to(to).as_posix(): path.read_bytes() for path in to.rglob("*") if path.is_file()} == files
    assert list(to.parent.iterdir()) == [to]
    again = resit("report", "12", "-o", str(to))
    assert (again.code, "is there already" in again.err) == (Exit.USAGE, True)


@pytest.mark.parametrize(
    "content",
    [
        b"no zip",
        zipped({"index.html": b"x", "../out.html": b"x"}),
        zipped({"/tmp/out.html": b"x"}),
        zipped({"index.html": b"x" * 9999}, compressed=True),
        zipped({"index.html": b"x"})[:-30],
    ],
    ids=["no zip", "a way up", "from the root", "compressed", "cut off"],
)
def test_what_is_no_report_leaves_nothing(resit, server, tmp_path, content):
    server.on(URL, READY)
    server.on("GET /runs/12/report.zip", httpx.Response(200, content=content))
    done = resit("report", "12", "-o", str(tmp_path / "in" / "report"))
    assert (done.code, "is no report" in done.err) == (Exit.USAGE, True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_project_may_do_without(resit, server):
    server.on("PATCH /projects/shop", {"slug": "shop"})
    assert resit("project", "set", "shop", "--no-html-report").code == 0
    assert server.sent("PATCH /projects/shop") == {"html_report": False}
    assert resit("project", "set", "shop", "--html-report").code == 0
    assert server.sent("PATCH /projects/shop") == {"html_report": True}


@pytest.mark.parametrize(
    ("content", "url"),
    [
        ("content.example.org", ""),
        ("https://content.example.org/path", ""),
        ("https://user@content.example.org", ""),
        ("https://ci.example.org:8443", "https://ci.example.org"),
        ("http://127.0.0.1:4001", ""),
    ],
)
def test_a_content_origin_is_another_host(resit, content, url):
    done = resit("serve", "--content-url", content, *(("--url", url) if url else ()))
    assert (done.code, "--content-url" in done.err) == (Exit.USAGE, True)
