"""Metrics as Prometheus reads them."""

import logging

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as families

from resit.integrations.metrics import MOST_VALUES, OTHERS, Metrics
from resit.ports.telemetry import METRICS, SILENT, Counted, Gauge, Measured


def read(metrics: Metrics, *gauges: tuple[Gauge, tuple[str, ...], float]) -> dict[str, dict[tuple[str, ...], float]]:
    page, media = metrics.page(gauges)
    assert media.startswith("text/plain")
    return {
        family.name: {
            (
                sample.name.removeprefix(family.name),
                *(value for _, value in sorted(sample.labels.items())),
            ): sample.value
            for sample in family.samples
        }
        for family in families(page.decode())
    }


def test_events_are_counted_and_durations_measured() -> None:
    metrics = Metrics()
    metrics.count(Counted.REPORTS, became="taken")
    metrics.count(Counted.REPORTS, 2, became="taken")
    metrics.count(Counted.RESULTS, 5)
    metrics.observe(Measured.RUN_WAIT, 7.0, pool="linux")
    metrics.observe(Measured.INGEST_LAG, -1.0)
    found = read(metrics)
    assert found["resit_reports"]["_total", "taken"] == 3
    assert found["resit_results"]["_total",] == 5
    waits = found["resit_run_wait_seconds"]
    assert (waits["_count", "linux"], waits["_sum", "linux"]) == (1, 7.0)
    assert waits["_bucket", "5.0", "linux"] == 0
    assert waits["_bucket", "10.0", "linux"] == 1
    assert found["resit_ingest_lag_seconds"]["_sum",] == 0.0
    assert "process_open_fds" in found


def test_gauges_are_what_they_are_at_the_moment() -> None:
    metrics = Metrics()
    found = read(metrics, (Gauge.WORKERS, ("linux", "ready"), 2), (Gauge.WORKERS, ('a"\n', "ready"), 1))
    assert found["resit_workers"]["", "linux", "ready"] == 2
    assert "resit_workers" not in read(metrics)


def test_nobody_can_fill_the_memory_with_names() -> None:
    metrics = Metrics()
    for number in range(MOST_VALUES + 50):
        metrics.count(Counted.RUNS_ENDED, project=f"p{number}", status="finished", verdict="passed")
    found = read(metrics)["resit_runs_ended"]
    assert found["_total", OTHERS, "finished", "passed"] == 50
    assert len([key for key in found if key[0] == "_total"]) == MOST_VALUES + 1


def test_a_wrong_count_harms_nobody_but_the_log(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    with caplog.at_level(logging.ERROR):
        metrics.count(Counted.REPORTS)
        metrics.observe(Measured.RUN_WAIT, 1.0, plool="x")
    assert len(caplog.records) == 2


def test_open_metrics_are_spoken_too() -> None:
    metrics = Metrics()
    metrics.count(Counted.RESULTS)
    page, media = metrics.page([], "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3")
    assert media.startswith("application/openmetrics-text")
    assert any(family.name == "resit_results" for family in open_families(page.decode()))


def test_every_metric_is_described() -> None:
    assert set(METRICS) == {*Counted, *Measured, *Gauge}
    assert all(metric.help.endswith(".") for metric in METRICS.values())
    assert all(bool(metric.buckets) == isinstance(what, Measured) for what, metric in METRICS.items())
    SILENT.count(Counted.RESULTS)
    SILENT.observe(Measured.RUN_WAIT, 1.0)
