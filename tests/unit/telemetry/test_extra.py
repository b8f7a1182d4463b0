"""Nobody pays for traces who wants none; and who wants them and can't have them is told."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from resit.bootstrap.observe import tracer
from resit.config import Settings, traces_wanted

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({ENDPOINT: ""}, False),
        ({ENDPOINT: "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({ENDPOINT: "http://c:4318", "OTEL_SDK_DISABLED": "True"}, False),
        ({ENDPOINT: "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({ENDPOINT: "http://c:4318", "OTEL_TRACES_EXPORTER": "otlp"}, True),
    ],
)
def test_traces_are_wanted_where_the_usual_variables_say_so(environ: dict[str, str], wanted: bool) -> None:
    assert traces_wanted(environ) is wanted


def test_nothing_of_it_is_loaded_by_a_server_without_an_endpoint(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
import resit.asgi
from resit.bootstrap.server import build
from resit.config import Settings
build(Settings(data=Path(sys.argv[1])))
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter", "google."))])
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "data")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_server_without_the_packages_serves_without_traces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert tracer(Settings(data=tmp_path), "a") is None
    monkeypatch.setitem(sys.modules, "resit.integrations.traces", None)
    with caplog.at_level(logging.WARNING):
        assert tracer(Settings(data=tmp_path, traces=True), "a") is None
    assert "install resit[otel]" in caplog.text
