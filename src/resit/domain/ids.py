"""Names that follow from what they name."""

import hashlib
import json
import re
import uuid
from functools import lru_cache

from resit.domain.plan import PlannedTest

KEY = re.compile(r"[0-9a-f]{20}-[0-9a-f]{20}")


def case_uuid(project_uuid: str, test: str) -> str:
    """The lasting UUID of a test case: the same wherever it is computed, so nothing must be looked up."""
    return _uuid5(_space(project_uuid), test)


def case_key(test: PlannedTest) -> str:
    """The 41 characters by which Playwright and Empirical's API know a test (Empirical, study 2.8).

    Playwright's own id is that already. For other frameworks: 20 digits of the file's SHA-1, a hyphen, 20 digits of the
    SHA-1 over variant and id, so that two tests share a key only when they share their id.
    """
    if KEY.fullmatch(test.id):
        return test.id
    words = f"[project={test.variant}]{test.id}"
    return f"{_sha1(test.file)}-{_sha1(words)}"


def _sha1(text: str) -> str:
    data = text.encode("utf-8", "surrogatepass")
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()[:20]


def row_uuid(run_uuid: str, test: str) -> str:
    """The lasting UUID of one test in one run."""
    return _uuid5(_space(run_uuid), test)


@lru_cache(1000)
def _space(name: str) -> bytes:
    return uuid.UUID(name).bytes


def _uuid5(space: bytes, name: str) -> str:
    """The text of ``uuid.uuid5``, in a third of its time: a plan asks for one a test."""
    found = bytearray(hashlib.sha1(space + name.encode(), usedforsecurity=False).digest()[:16])
    found[6] = found[6] & 0x0F | 0x50
    found[8] = found[8] & 0x3F | 0x80
    text = found.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


_FACTOR, _MASK = 0x1F_A3B5_9C4D_17E9, 2**52 - 1
_INVERSE = pow(_FACTOR, -1, 2**52)


def large(number: int) -> int:
    """A run's number as a large one that tells nothing of its neighbours: below 2^53, reversible (:func:`small`)."""
    return number * _FACTOR & _MASK | 2**52


def small(number: int) -> int | None:
    """The reverse of :func:`large`; None for what is no such number."""
    if not 2**52 <= number < 2**53:
        return None
    return (number & _MASK) * _INVERSE & _MASK


def digest(value: object) -> str:
    """A stable digest of JSON data: equal requests have equal digests."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def secret_digest(secret: str) -> str:
    """What is stored of a bearer token. The secret is random and long, so a plain SHA-256 is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()
