"""Bytes, as people write and read them."""

import re

_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}
_BINARY = {"ki": 1024, "mi": 1024**2, "gi": 1024**3, "ti": 1024**4}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,3})?) ?([kmgt]i?)?b?", re.IGNORECASE)


def size(number: float) -> str:
    """``1.5 GB``: a thousand bytes are a kB."""
    units = ("bytes", "kB", "MB", "GB", "TB")
    place = 0
    while number >= 999.5 and place < len(units) - 1:
        number, place = number / 1000, place + 1
    text = f"{number:.0f}" if place == 0 or number >= 9.95 else f"{number:.1f}"
    return f"{text} {units[place]}"


def read_size(text: str) -> int | None:
    """Bytes from ``20GB``, ``500 MiB`` or ``1000``; None for what is none of these."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return None
    unit = (match[2] or "").lower()
    return round(float(match[1]) * {**_UNITS, **_BINARY}[unit])
