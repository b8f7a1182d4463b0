"""Traces as a real collector gets them, over HTTP."""

import logging
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from resit import __version__
from resit.domain.attempt import AttemptState
from resit.domain.run import Run
from resit.domain.status import ResultStatus, RunStatus, Verdict
from resit.domain.trace import AttemptTime, Ended, ResultTime, Story, Trace, trace_of
from resit.integrations.traces import OtlpTracer
from resit.testing.factories import uuid_of

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SOURCE = Run(id=6, uuid=uuid_of("6"), project_id=1, environment_id=1, created_at=1.0, finished_at=2.0)
RUN = replace(
    SOURCE,
    id=7,
    uuid=uuid_of("7"),
    status=RunStatus.FINISHED,
    verdict=Verdict.FAILED,
    source_run_id=6,
    created_at=1_700_000_000.0,
    started_at=1_700_000_001.5,
    planned_at=1_700_000_002.0,
    finished_at=1_700_000_009.0,
)


def story(run: Run, tests: int = 2) -> Trace:
    failed = ResultStatus.FAILED
    results = [ResultTime(n, f"a.py::t{n}", "a.py", f"t{n}", 0, failed, 1_700_000_003.0, 0.25) for n in range(tests)]
    attempt = AttemptTime(1, 1, 1, "w1", AttemptState.ENDED, 1_700_000_002.5, 1_700_000_008.0, results)
    return trace_of(Story(Ended(run, "shop", "default"), [attempt], SOURCE))


@pytest.fixture
def tracer(collector: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpTracer]:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    made = OtlpTracer("plane-1")
    yield made
    made.close()


def test_a_collector_gets_the_run_with_its_parts(tracer: OtlpTracer, collector: Any) -> None:
    trace = story(RUN)
    assert tracer.export(trace)
    got = collector.spans()
    assert [span["name"] for span in got] == [span.name for span in trace.spans]
    for sent, span in zip(trace.spans, got, strict=True):
        assert (span["trace"], span["id"], span["parent"]) == (trace.id, sent.id, sent.parent)
        assert span["start"] == pytest.approx(sent.start, abs=1e-6)
        assert span["end"] == pytest.approx(sent.end, abs=1e-6)
        assert span["error"] == sent.error
        assert span["attributes"] == dict(sent.attributes)
        assert span["path"] == "/v1/traces"
    assert got[0]["links"] == [list(trace.links[0])]
    assert got[1]["links"] == []
    resource = got[0]["resource"]
    assert resource["service.name"] == "resit"
    assert resource["service.version"] == __version__
    assert resource["service.instance.id"] == "plane-1"
    assert resource["deployment.environment.name"] == "test"


def test_a_run_continues_the_trace_of_its_request(tracer: OtlpTracer, collector: Any) -> None:
    assert tracer.export(story(replace(RUN, trace=PARENT)))
    root = collector.spans()[0]
    assert (root["trace"], root["parent"]) == ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")


def test_many_spans_come_in_several_requests_and_once_each(tracer: OtlpTracer, collector: Any) -> None:
    trace = story(RUN, 1200)
    assert tracer.export(trace)
    assert [span["id"] for span in collector.spans()] == [span.id for span in trace.spans]
    assert tracer.export(trace), "again, after a crash in between"
    assert len({span["id"] for span in collector.spans()}) == len(trace.spans)


def test_the_name_of_the_service_is_the_operators(collector: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{collector.url}/otlp/v1/traces")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "our-tests")
    made = OtlpTracer("plane-1")
    assert made.export(story(RUN))
    made.close()
    assert collector.spans()[0]["resource"]["service.name"] == "our-tests"
    assert collector.spans()[0]["path"] == "/otlp/v1/traces"


@pytest.mark.parametrize("status", [400, 503])
def test_what_is_not_taken_is_told(
    tracer: OtlpTracer, collector: Any, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    collector.refuse(status)
    with caplog.at_level(logging.CRITICAL):
        assert not tracer.export(story(RUN))
    collector.refuse(0)
    assert tracer.export(story(RUN))
    assert len(collector.spans()) == len(story(RUN).spans)


def test_a_collector_that_is_away_costs_no_more_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    made = OtlpTracer("plane-1")
    began = time.monotonic()
    assert not made.export(story(RUN))
    made.close()
    assert time.monotonic() - began < 8
