"""Metrics in the form of Prometheus (and OpenMetrics)."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Lock
from typing import cast

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from resit.ports.telemetry import METRICS, Counted, Gauge, Measured

log = logging.getLogger(__name__)
PREFIX = "resit_"
MOST_VALUES = 200
"""Values of a label that are told apart: beyond, they are one. Nobody can fill a server's memory with names."""
OTHERS = "(other)"

# The library says nothing of this function's types.
_OPEN_METRICS = cast("Callable[[Collector], bytes]", openmetrics.generate_latest)  # pyright: ignore[reportUnknownMemberType]


class Metrics:
    """See ``resit.ports.Telemetry``; :meth:`page` is what Prometheus reads."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._counters: dict[Counted, Counter] = {}
        self._histograms: dict[Measured, Histogram] = {}
        self._values: dict[tuple[str, str], set[str]] = {}
        self._lock = Lock()
        for what, metric in METRICS.items():
            name = PREFIX + what.value
            match what:
                case Counted():
                    self._counters[what] = Counter(name, metric.help, metric.labels, registry=self._registry)
                case Measured():
                    self._histograms[what] = Histogram(
                        name, metric.help, metric.labels, buckets=metric.buckets, registry=self._registry
                    )
                case Gauge():
                    pass
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def count(self, what: Counted, number: float = 1.0, /, **labels: str) -> None:
        """Something happened, ``number`` times."""
        try:
            counter = self._counters[what]
            (counter.labels(**self._bounded(what, labels)) if labels else counter).inc(number)
        except Exception:
            # Who is counted goes on, whatever is wrong with the count.
            log.exception("%s can't be counted", what)

    def observe(self, what: Measured, seconds: float, /, **labels: str) -> None:
        """Something took so long."""
        try:
            histogram = self._histograms[what]
            (histogram.labels(**self._bounded(what, labels)) if labels else histogram).observe(max(0.0, seconds))
        except Exception:
            log.exception("%s can't be measured", what)

    def _bounded(self, what: str, labels: Mapping[str, str]) -> dict[str, str]:
        return {name: self._value(what, name, value) for name, value in labels.items()}

    def _value(self, what: str, name: str, value: str) -> str:
        known = self._values.get((what, name))
        if known is None:
            known = self._values.setdefault((what, name), set())
        if value in known:
            return value
        with self._lock:
            if len(known) >= MOST_VALUES:
                return OTHERS
            known.add(value)
        return value

    def page(self, gauges: Iterable[tuple[Gauge, tuple[str, ...], float]], accept: str = "") -> tuple[bytes, str]:
        """All metrics as they are now, with these gauges, and the media type."""
        everything = _Page(self._registry, gauges)
        if "application/openmetrics-text" in accept:
            return _OPEN_METRICS(everything), openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(everything), CONTENT_TYPE_PLAIN_0_0_4


class _Page(Collector):
    def __init__(self, registry: CollectorRegistry, gauges: Iterable[tuple[Gauge, tuple[str, ...], float]]) -> None:
        self._registry, self._gauges = registry, gauges

    def collect(self) -> Iterator[Family]:
        yield from self._registry.collect()
        families: dict[Gauge, GaugeMetricFamily] = {}
        for what, values, value in self._gauges:
            if what not in families:
                metric = METRICS[what]
                families[what] = GaugeMetricFamily(PREFIX + what.value, metric.help, labels=metric.labels)
            families[what].add_metric(values, value)
        yield from families.values()
