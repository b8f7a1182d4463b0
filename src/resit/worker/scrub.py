"""Secrets do not leave a worker: not in logs, results or text artifacts (product rule 8)."""

import html
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, quote_plus

from resit.domain.events import DidNotRun, Failure, Log, NotFound, Step, TestResult
from resit.plugin import Event

MASK = "***"
SHORTEST = 4
"""Shorter secrets would mask half of every text."""
MAX_SCAN = 64 * 1024 * 1024
_TEXT = re.compile(r"text/|application/(json|xml|javascript|x-ndjson|har\+json)|image/svg")


def _written(secret: str) -> Iterable[str]:
    """How a secret is written where some characters have a meaning of their own: JSON, addresses, HTML, Python."""
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield html.escape(secret)
    yield repr(secret)[1:-1]


class Scrubber:
    """Takes the values of a run's secrets out of what leaves."""

    def __init__(self, secrets: Iterable[str]) -> None:
        found = {secret for secret in secrets if len(secret) >= SHORTEST}
        # Output comes line by line, so a secret of several lines must be known by its lines.
        found |= {line for secret in found if "\n" in secret for line in secret.splitlines() if len(line) >= 8}
        found |= {form for secret in found for form in _written(secret)}
        ordered = sorted(found, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None
        self._bytes = re.compile(b"|".join(re.escape(s.encode()) for s in ordered)) if ordered else None

    def text(self, text: str) -> str:
        """The text without secrets."""
        return self._pattern.sub(MASK, text) if self._pattern else text

    def event(self, event: Event) -> Event:
        """The event without secrets."""
        if self._pattern is None:
            return event
        match event:
            case Log():
                return replace(event, text=self.text(event.text))
            case NotFound() | DidNotRun():
                return replace(event, reason=self.text(event.reason))
            case TestResult():
                return replace(
                    event,
                    failures=tuple(map(self._failure, event.failures)),
                    annotations=tuple((kind, self.text(text)) for kind, text in event.annotations),
                    steps=tuple(map(self._step, event.steps)),
                    stdout=self.text(event.stdout),
                    stderr=self.text(event.stderr),
                    setting=replace(event.setting, errors=tuple(map(self._failure, event.setting.errors))),
                )
            case _:
                return event

    def _failure(self, found: Failure) -> Failure:
        text = self.text
        return replace(found, message=text(found.message), stack=text(found.stack), snippet=text(found.snippet))

    def _step(self, step: Step) -> Step:
        failure = self._failure(step.failure) if step.failure else None
        return replace(step, title=self.text(step.title), subtitle=self.text(step.subtitle), failure=failure)

    def file(self, path: Path, content_type: str) -> None:
        """Mask secrets in a text file, in place. Files of other types are left as they are."""
        if self._bytes is None or not _TEXT.match(content_type) or path.stat().st_size > MAX_SCAN:
            return
        content = path.read_bytes()
        masked = self._bytes.sub(MASK.encode(), content)
        if masked != content:
            path.write_bytes(masked)
