"""Cron expressions: kept and shown with an environment; Resit starts nothing by itself."""

import re

from resit.domain.errors import InvalidInput

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_PART = re.compile(r"(?:\*|([a-z]+|[0-9]+)(?:-([a-z]+|[0-9]+))?)(?:/([0-9]+))?", re.ASCII)
MAX_TEXT = 200


def check_schedule(text: str) -> str:
    """A cron expression of five fields, or an empty text for none. Raises :class:`InvalidInput`.

    Fields hold ``*``, numbers, three-letter names of months and days, ranges, lists and steps.
    """
    if not text:
        return text
    fields = text.lower().split()
    if len(text) > MAX_TEXT or len(fields) != len(_FIELDS):
        raise InvalidInput(
            f"{text[:80]!r} is no schedule: a cron expression has five fields, like '0 6 * * mon-fri'", field="schedule"
        )
    for said, (name, least, most, names) in zip(fields, _FIELDS, strict=True):
        if not all(_fits(part, least, most, names) for part in said.split(",")):
            raise InvalidInput(f"{said[:40]!r} is no {name} of a cron expression", field="schedule")
    return text


def _fits(part: str, least: int, most: int, names: tuple[str, ...]) -> bool:
    found = _PART.fullmatch(part)
    if found is None:
        return False
    first, last, step = found.groups()
    if step is not None and (len(step) > 3 or int(step) == 0):
        return False
    numbers = [_number(word, least, names) for word in (first, last) if word is not None]
    return all(number is not None and least <= number <= most for number in numbers) and numbers == sorted(
        number for number in numbers if number is not None
    )


def _number(word: str, least: int, names: tuple[str, ...]) -> int | None:
    if word in names:
        return names.index(word) + least
    return int(word) if word.isdigit() and len(word) < 4 else None
