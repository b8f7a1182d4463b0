"""Traces to whoever takes OTLP over HTTP, by OpenTelemetry's own SDK (``pip install 'resit[otel]'``).

Where to, with which headers and in whose name is said by OpenTelemetry's usual variables, of which
``OTEL_EXPORTER_OTLP_ENDPOINT`` is enough. Nothing of this module is imported unless an endpoint is named.
"""

import logging
import os
from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from resit import __version__
from resit.domain.trace import Span, Trace

AT_ONCE = 500
"""Spans in one request: collectors refuse requests over some megabytes."""

# Its warnings tell of each of its own tries; that a trace was not taken is told by who asked.
logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)


class _Ids(IdGenerator):
    """Ids are not made here: those of a run's trace follow from the run."""

    trace = span = 0

    def generate_trace_id(self) -> int:
        return self.trace

    def generate_span_id(self) -> int:
        return self.span


class _Gathered(SpanProcessor):
    """Keeps what has ended, instead of sending it by itself some time."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


class OtlpTracer:
    """See ``resit.ports.telemetry.Tracer``. For one thread at a time. ``instance``: which control plane this is."""

    def __init__(self, instance: str, environ: Mapping[str, str] = os.environ) -> None:
        said: dict[str, str] = {SERVICE_VERSION: __version__, SERVICE_INSTANCE_ID: instance}
        if "OTEL_SERVICE_NAME" not in environ and "service.name=" not in environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
            said[SERVICE_NAME] = "resit"
        self._ids = _Ids()
        self._gathered = _Gathered()
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=Resource.create(said), id_generator=self._ids, shutdown_on_exit=False
        )
        self._provider.add_span_processor(self._gathered)
        self._tracer = self._provider.get_tracer("resit", __version__)
        self._exporter = OTLPSpanExporter()

    def export(self, trace: Trace) -> bool:
        """Hand a trace over; False when it was not taken and another try makes sense."""
        self._gathered.spans.clear()
        number = int(trace.id, 16)
        for place, span in enumerate(trace.spans):
            self._make(number, span, trace if place == 0 else None)
        spans = self._gathered.spans
        return all(
            self._exporter.export(spans[at : at + AT_ONCE]) is SpanExportResult.SUCCESS
            for at in range(0, len(spans), AT_ONCE)
        )

    def _make(self, number: int, span: Span, of: Trace | None) -> None:
        """One span; ``of``: the trace, for the span that stands for the run as a whole."""
        self._ids.trace, self._ids.span = number, int(span.id, 16)
        made = self._tracer.start_span(
            span.name,
            context=_within(number, span.parent),
            kind=SpanKind.SERVER if of else SpanKind.INTERNAL,
            attributes=dict(span.attributes),
            links=[Link(_place(int(trace, 16), id)) for trace, id in of.links] if of else (),
            start_time=_nanoseconds(span.start),
            record_exception=False,
            set_status_on_exception=False,
        )
        if span.error is not None:
            made.set_status(Status(StatusCode.ERROR, span.error))
        made.end(_nanoseconds(span.end))

    def close(self) -> None:
        """End, also what is under way."""
        self._exporter.shutdown()
        self._provider.shutdown()


def _place(trace: int, span: str) -> SpanContext:
    return SpanContext(trace, int(span, 16), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _within(trace: int, parent: str) -> Context:
    return set_span_in_context(NonRecordingSpan(_place(trace, parent)), Context()) if parent else Context()


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
