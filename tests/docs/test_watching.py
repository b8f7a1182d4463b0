"""The pages for those who watch a server say what the code says."""

import re
import runpy

import pages
import yaml

from resit.cli import helptext
from resit.cli.main import make_app
from resit.ports.telemetry import METRICS, Counted, Measured
from resit.telemetry.logs import MEMBERS

DOCS = pages.ROOT / "docs"
OTHERS = {"up"}
"""Metrics of Prometheus itself."""


def read(name):
    return (DOCS / name).read_text(encoding="utf-8")


def series():
    """The names of all time series, with their labels."""
    for what, metric in METRICS.items():
        name = f"resit_{what.value}"
        if isinstance(what, Counted):
            yield f"{name}_total", set(metric.labels)
        elif isinstance(what, Measured):
            for end in ("_bucket", "_sum", "_count"):
                yield name + end, set(metric.labels) | {"le"}
        else:
            yield name, set(metric.labels)


def test_the_page_of_metrics_is_up_to_date():
    made = runpy.run_path(str(pages.ROOT / "scripts" / "metrics_page.py"))["page"]()
    assert read("reference/metrics.md") == made, "python scripts/metrics_page.py > docs/reference/metrics.md"


def test_every_member_of_a_line_is_on_the_page_of_logs():
    listed = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", read("reference/logs.md"), re.MULTILINE))
    assert {name: listed.get(name) for name in MEMBERS} == MEMBERS


def yaml_blocks():
    found = [
        yaml.safe_load(block.text) for block in pages.blocks(DOCS / "howto/monitor.md") if block.language == "yaml"
    ]
    assert len(found) == 2
    return found


def test_the_alerts_ask_for_metrics_that_there_are():
    known = dict(series())
    _, rules = yaml_blocks()
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    assert len(alerts) > 8
    for rule in alerts:
        assert set(rule) <= {"alert", "expr", "for", "annotations"}
        assert re.fullmatch(r"(\d+[mh])?", rule.get("for", ""))
        assert rule["annotations"]["summary"]
        names = re.findall(r"\b(resit_\w+|up)\b(?:\{([^}]*)\})?", rule["expr"])
        assert names, rule
        for name, selector in names:
            assert name in OTHERS or name in known, rule["alert"]
            asked = set(re.findall(r"(\w+)=~?\"", selector))
            assert asked <= known.get(name, {"job"}), rule["alert"]
        assert rule["expr"].count("(") == rule["expr"].count(")")


def test_the_scrape_configuration_is_one():
    scrape, _ = yaml_blocks()
    (job,) = scrape["scrape_configs"]
    assert job["job_name"] == "resit"
    assert job["static_configs"][0]["targets"]


def test_the_doctor_names_commands_that_there_are():
    source = (pages.ROOT / "src/resit/domain/doctor.py").read_text(encoding="utf-8")
    known = {" ".join(words) for words in helptext.commands(make_app())}
    said = set(re.findall(r"\bresit ((?:[a-z][a-z-]+ ?)+)", source))
    assert len(said) > 5
    for words in said:
        parts = words.split()
        assert any(" ".join(parts[:n]) in known for n in (2, 1)), words
