"""Files about whole runs over HTTP: downloads that nothing of ours runs."""

import io
import zipfile
from xml.etree import ElementTree

from starlette.testclient import TestClient

from resit.testing.factories import planned
from resit.testing.world import World

V1 = "/resit/v1"


def test_a_junit_file(api: TestClient, world: World) -> None:
    world.carry_out(world.planned("a.py::one"))
    answer = api.get(f"{V1}/runs/1/junit.xml?attachments=files/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/xml")
    assert answer.headers["content-disposition"] == 'attachment; filename="junit-1.xml"'
    assert "sandbox" in answer.headers["content-security-policy"]
    root = ElementTree.fromstring(answer.content)  # noqa: S314 - we wrote it
    assert (root.get("name"), root.get("tests")) == ("shop run 1", "1")
    assert {"name": "url", "value": "http://resit.test/resit/v1/runs/1"} in [p.attrib for p in root.iter("property")]


def test_a_junit_file_of_a_run_without_a_plan(api: TestClient, world: World) -> None:
    world.trigger()
    assert ElementTree.fromstring(api.get(f"{V1}/runs/1/junit.xml").content).get("tests") == "0"  # noqa: S314


def test_a_blob_report(api: TestClient, world: World) -> None:
    run = world.plan(world.trigger(), [planned("id", file="a.spec.js")], framework="Playwright 1.65.1")
    world.carry_out(run)
    answer = api.get(f"{V1}/runs/1/blob.zip")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="report-1.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as found:
        assert found.namelist() == ["report.jsonl"]
        assert found.read("report.jsonl").startswith(b'{"method":"onBlobReportMetadata"')


def test_other_frameworks_have_no_blob(api: TestClient, world: World) -> None:
    world.carry_out(world.planned("a.py::one"))
    answer = api.get(f"{V1}/runs/1/blob.zip")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "JUnit" in answer.json()["detail"]
