"""What must not stand in a log: tokens and passwords by their form, and the values that somebody has named."""

import re
from collections.abc import Iterable
from threading import Lock
from urllib.parse import quote, quote_plus

MASK = "***"
SHORTEST = 4
"""Shorter secrets would mask half of every text."""
MOST = 4096
"""Values that are known at a time; the oldest are forgotten first."""

_FORMS = (
    # Authorization: Bearer …, also inside of a printed dictionary.
    (re.compile(r"\b(bearer|basic|apikey)(\s+)[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1\2{MASK}"),
    # Who may use an address: https://user:password@host, https://token@host. A name alone for SSH is no secret.
    (re.compile(r"://(?!git@)[^\s/?#@\"'<>]{1,512}@"), f"://{MASK}@"),
    # ?token=…, password=…, X-Amz-Signature=…, and the same with a colon after a quoted name.
    (
        re.compile(
            r"((?:password|passwd|secret|token|signature|credential|api[_-]?key|access[_-]?key)[\"']?\s?[=:]\s?[\"']?)"
            r"(?!\*\*\*)[^\s&;,\"'}\])]{3,}",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    # Tokens of ours, wherever they stand.
    (re.compile(r"\bresit_[\w-]{20,}"), f"resit_{MASK}"),
)


class Known:
    """Values that somebody has named, and one pattern of all of them, made when it is next needed. For any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._values: dict[str, None] = {}
        self._pattern: re.Pattern[str] | None = None
        self._stale = False

    def add(self, secrets: Iterable[str]) -> None:
        """Know these too."""
        found = [form for secret in secrets for form in _forms(secret)]
        with self._lock:
            for form in found:
                # What was named again is as good as new.
                self._values.pop(form, None)
                self._values[form] = None
            while len(self._values) > MOST:
                del self._values[next(iter(self._values))]
            self._stale = True

    def mask(self, text: str) -> str:
        """The text without them."""
        with self._lock:
            if self._stale:
                longest_first = sorted(self._values, key=len, reverse=True)
                self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
                self._stale = False
            pattern = self._pattern
        return pattern.sub(MASK, text) if pattern else text


def _forms(secret: str) -> Iterable[str]:
    """How a secret is written, as a whole, in an address, inside of quotes; and by its lines where it has several."""
    lines = [line for line in secret.splitlines() if len(line) >= 2 * SHORTEST] if "\n" in secret else []
    for part in (secret, *lines):
        if len(part) >= SHORTEST:
            yield from {part, quote(part, safe=""), quote_plus(part), repr(part)[1:-1]}


_KNOWN = Known()


def know(*secrets: str) -> None:
    """Never let these values stand in a line of this process's log."""
    _KNOWN.add(secrets)


def masked(text: str) -> str:
    """The text without secrets, as far as they are known or look like one."""
    text = _KNOWN.mask(text)
    for pattern, instead in _FORMS:
        text = pattern.sub(instead, text)
    return text
