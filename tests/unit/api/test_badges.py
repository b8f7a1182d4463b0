"""Badges as images: well-formed, harmless and readable, whatever their label."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.api import badges
from resit.domain.badge import Badge, BadgeState, BadgeStyle, Part, Sample, badge, not_found, sample

SVG = "{http://www.w3.org/2000/svg}"


def drawn(picture: str) -> ET.Element:
    return ET.fromstring(picture.encode())  # noqa: S314 - our own


@given(st.text() | st.text("<>&'\"\0\n\u202e\ufffe\ud800a "))
def test_any_label_gives_a_picture(label: str) -> None:
    root = drawn(badges.svg(badge(label, [])))
    texts = [found.text or "" for found in root.iter(f"{SVG}text")]
    shown = badges.clean(label)
    assert texts == ([shown] if shown else []) + ["no runs"]
    assert len(shown) <= 60
    assert root.find(f"{SVG}title").text == (f"{shown}: no runs" if shown else "no runs")  # type: ignore[union-attr]
    assert root.get("role") == "img"
    assert root.get("aria-label") == root.find(f"{SVG}title").text  # type: ignore[union-attr]


@pytest.mark.parametrize("label", ["</text><script>alert(1)</script>", '" onload="alert(1)', "]]><x/>", "&amp;"])
def test_a_label_is_text_and_nothing_else(label: str) -> None:
    plain = {found.tag for found in drawn(badges.svg(badge("plain", []))).iter()}
    root = drawn(badges.svg(badge(label, [])))
    assert {found.tag for found in root.iter()} == plain
    assert not [name for found in root.iter() for name in found.attrib if name.startswith("on")]
    assert next(root.iter(f"{SVG}text")).text == label


def test_labels_are_cleaned() -> None:
    assert badges.clean("  a\tb\n\nc\u2028d  ") == "a b c d"
    assert badges.clean("a\x00\x1b[31m\u202eb\u200d") == "a[31mb"
    assert badges.clean("x" * 60) == "x" * 60
    assert badges.clean("x" * 61) == "x" * 59 + "…"
    assert badges.clean("x" * 10**6) == "x" * 59 + "…"


@pytest.mark.parametrize("which", Sample)
@pytest.mark.parametrize("style", BadgeStyle)
def test_boxes_lie_side_by_side_and_hold_their_texts(which: Sample, style: BadgeStyle) -> None:
    root = drawn(badges.svg(sample(which, "My tests", style, dated=True)))
    boxes = [found for found in root.findall(f"{SVG}g/{SVG}rect") if found.get("height") == "20"]
    end = 0
    for box in boxes:
        assert int(box.get("x", "")) == end
        end += int(box.get("width", ""))
    assert end == int(root.get("width", ""))
    for text, box in zip(root.iter(f"{SVG}text"), boxes, strict=False):
        assert int(text.get("x", "")) == int(box.get("x", "")) + 6
        assert int(text.get("textLength", "")) == int(box.get("width", "")) - 12
    bars = [found for found in root.findall(f"{SVG}g/{SVG}rect") if found.get("height") != "20"]
    assert bool(bars) is (
        (style is BadgeStyle.TREND and which is not Sample.RAINBOW) or which.value.startswith("trend")
    )


def test_nothing_comes_from_elsewhere() -> None:
    for which in Sample:
        picture = badges.svg(sample(which, "a"))
        assert "href" not in picture
        assert picture.count("http") == 1
        assert "<script" not in picture


@given(st.text(), st.text())
def test_longer_texts_are_wider(one: str, other: str) -> None:
    assert badges.width(one) <= badges.width(one + other) <= badges.width(one) + badges.width(other) + 1


def test_widths_are_told_apart() -> None:
    assert badges.width("iiii") < badges.width("aaaa") < badges.width("WWWW") < badges.width("測測測測")


def luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("state", [None, *BadgeState])
def test_white_text_can_be_read_on_every_colour(state: BadgeState | None) -> None:
    fills = badges._RAINBOW if state is BadgeState.RAINBOW else (badges.colour(state), badges._LABEL)
    for fill in fills:
        assert 1.05 / (luminance(fill) + 0.05) >= 4.5, fill


def test_the_answer() -> None:
    found = badges.image(not_found("shop"), 404)
    assert found.status_code == 404
    assert found.headers["content-type"] == "image/svg+xml"
    assert "no-cache" in found.headers["cache-control"]
    assert "default-src 'none'" in found.headers["content-security-policy"]
    assert b"not found" in bytes(found.body)


def test_a_badge_without_a_label() -> None:
    root = drawn(badges.svg(Badge("", (Part("passing", BadgeState.PASSING),))))
    assert [text.text for text in root.iter(f"{SVG}text")] == ["passing"]
