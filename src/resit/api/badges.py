"""Badges as images: SVG that shows text and coloured boxes, without scripts, links or anything from elsewhere."""

import unicodedata
from dataclasses import replace
from functools import cache
from typing import assert_never

from fastapi import Response

from resit.domain.badge import MAX_LABEL, Badge, BadgeState

TYPE = "image/svg+xml"
_HEIGHT, _FONT, _PAD, _BAR, _GAP = 20, 11, 6, 4, 2
_LABEL = "#555555"
_NEUTRAL = "#5f6368"
_RAINBOW = ("#c62828", "#a84600", "#7a5c00", "#2e7d32", "#1565c0", "#7b1fa2")


def colour(state: BadgeState | None) -> str:
    """The background of a state; white text on it has a contrast of 4.5 to 1 or more (WCAG 2, AA)."""
    match state:
        case BadgeState.PASSING:
            return "#2e7d32"
        case BadgeState.FAILING:
            return "#c62828"
        case BadgeState.ERROR:
            return "#a84600"
        case BadgeState.PARTIAL | BadgeState.FLAKY:
            return "#7a5c00"
        case BadgeState.RUNNING | BadgeState.PENDING:
            return "#1565c0"
        case BadgeState.CANCELLED | BadgeState.SKIPPED | BadgeState.NO_TESTS | BadgeState.NO_RUNS:
            return "#6b7280"
        case BadgeState.NOT_FOUND | None:
            return _NEUTRAL
        case BadgeState.RAINBOW:
            return "url(#rainbow)"
        case _:
            assert_never(state)


def clean(text: str) -> str:
    """A text on one line, without characters that can't be seen, of at most 60 characters."""
    seen = "".join(" " if c.isspace() else c for c in text[: MAX_LABEL * 20] if c.isspace() or _visible(c))
    seen = " ".join(seen.split())
    return seen if len(seen) <= MAX_LABEL else seen[: MAX_LABEL - 1].rstrip() + "…"


def _visible(character: str) -> bool:
    # controls, formats (such as those that turn the direction of writing), surrogates, private and unassigned ones
    return not unicodedata.category(character).startswith("C")


# The advance widths of Verdana at 11 px, which the font stack falls back from least; rounded to tenths of a pixel.
_WIDTHS = (
    (3.0, "'ijl"), (3.9, " f"), (4.0, ",."), (4.3, "!t"), (4.7, "Ir"), (5.0, '"()-/:;J[\\]|'), (5.8, "cksz?"),
    (6.5, "EFLPvxye"), (6.9, "0123456789TY$*_`abdghnopqu{}"), (7.6, "ABCKRSVXZ&"), (8.6, "DGHNOQU"),
    (9.3, "Mw#+<=>^~"), (10.9, "Wm@%…"),
)  # fmt: skip


@cache
def _table() -> dict[str, float]:
    return {character: width for width, characters in _WIDTHS for character in characters}


def width(text: str) -> int:
    """About how wide a text is, in pixels; it is drawn to fit this exactly."""
    found = 0.0
    for character in text:
        if character in _table():
            found += _table()[character]
        elif unicodedata.combining(character):
            continue
        else:
            found += 12.0 if unicodedata.east_asian_width(character) in "WF" else 8.0
    return round(found)


def escape(text: str) -> str:
    """A text as it stands in XML."""
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        text = text.replace(character, entity)
    return text


def svg(badge: Badge) -> str:
    """The picture of a badge, whatever its texts hold."""
    parts = tuple(replace(part, text=clean(part.text)) for part in badge.parts)
    badge = replace(badge, label=clean(badge.label), parts=parts)
    boxes: list[str] = []
    words: list[str] = []
    x = 0

    def box(text: str, fill: str) -> None:
        nonlocal x
        long = width(text)
        boxes.append(f'<rect x="{x}" width="{long + 2 * _PAD}" height="{_HEIGHT}" fill="{fill}"/>')
        words.append(f'<text x="{x + _PAD}" y="14" textLength="{long}">{escape(text)}</text>')
        x += long + 2 * _PAD

    if badge.label:
        box(badge.label, _LABEL)
    for part in badge.parts:
        box(part.text, colour(part.state))
    if badge.history:
        long = len(badge.history) * (_BAR + _GAP) - _GAP
        boxes.append(f'<rect x="{x}" width="{long + 2 * _PAD}" height="{_HEIGHT}" fill="#f1f3f4"/>')
        for number, state in enumerate(badge.history):
            boxes.append(_bar(x + _PAD + number * (_BAR + _GAP), state))
        x += long + 2 * _PAD
    title = escape(badge.text)
    rainbow = any(part.state is BadgeState.RAINBOW for part in badge.parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{x}" height="{_HEIGHT}" viewBox="0 0 {x} {_HEIGHT}"'
        f' role="img" aria-label="{title}"><title>{title}</title><defs>{_gradient() if rainbow else ""}'
        f'<clipPath id="round"><rect width="{x}" height="{_HEIGHT}" rx="3"/></clipPath></defs>'
        f'<g clip-path="url(#round)">{"".join(boxes)}</g>'
        f'<g fill="#ffffff" font-family="Verdana,DejaVu Sans,Geneva,sans-serif" font-size="{_FONT}"'
        f' text-rendering="geometricPrecision">{"".join(words)}</g></svg>'
    )


def _bar(x: int, state: BadgeState) -> str:
    """One run of a trend. Its height says what its colour says: what passed is tall."""
    tall = {BadgeState.PASSING: 14, BadgeState.FAILING: 7}.get(state, 4)
    return f'<rect x="{x}" y="{17 - tall}" width="{_BAR}" height="{tall}" fill="{colour(state)}"/>'


def _gradient() -> str:
    step = 100 / (len(_RAINBOW) - 1)
    stops = "".join(f'<stop offset="{step * n:g}%" stop-color="{fill}"/>' for n, fill in enumerate(_RAINBOW))
    return f'<linearGradient id="rainbow">{stops}</linearGradient>'


def image(badge: Badge, status: int = 200) -> Response:
    """The answer with a badge. Whoever shows it must ask again each time, so that a README is never out of date."""
    headers = {
        "Cache-Control": "no-cache, no-store, max-age=0",
        # opened on its own an SVG is a document: this one runs and loads nothing
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(svg(badge), status, headers, TYPE)
