"""The page of metrics, made from the code: ``python scripts/metrics_page.py > docs/reference/metrics.md``."""

from resit.ports.telemetry import METRICS, Counted, Gauge, Measured

HEAD = """# Metrics

What `GET /metrics` tells Prometheus. [Monitor a server](../howto/monitor.md) says how to scrape it, and has alert
rules. This page is made by `python scripts/metrics_page.py`.

Counters and histograms are of one process, from its start, and each control plane counts what it did itself: add them
up. Gauges about the database (runs, work, workers, outbox, notices, schedules) are the same from every control plane:
take the `max`. What is read is kept for five seconds, however often somebody asks; of a part that does not answer
nothing is told.

Labels hold words of Resit, names of pools and slugs of projects, and nothing else that users say. A label has at most
200 values of its own; what is beyond is `(other)`.
"""
NOTES = """
Besides these there are the usual `process_*` (memory, processor, open files) and `python_gc_*`.
"""


def page() -> str:
    """All of it."""
    parts = [HEAD]
    for title, kind in (("Counters", Counted), ("Histograms", Measured), ("Gauges", Gauge)):
        parts.append(f"\n## {title}\n\n| metric | labels | what it says |\n|---|---|---|\n")
        for what in kind:
            metric = METRICS[what]
            name = f"resit_{what.value}{'_total' if kind is Counted else ''}"
            labels = ", ".join(f"`{label}`" for label in metric.labels)
            parts.append(f"| `{name}` | {labels} | {metric.help} |\n")
        if kind is Measured:
            buckets = dict.fromkeys(METRICS[what].buckets for what in Measured)
            ends = "; or ".join(", ".join(f"{end:g}" for end in ends) for ends in buckets)
            parts.append(f"\nUpper ends of their buckets, in seconds: {ends}.\n")
    parts.append(NOTES)
    return "".join(parts)


if __name__ == "__main__":
    print(page(), end="")
