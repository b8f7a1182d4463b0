"""Names that follow from what they name."""

import hashlib
import json
import uuid


def case_uuid(project_uuid: str, test: str) -> str:
    """The lasting UUID of a test case: the same wherever it is computed, so nothing must be looked up."""
    return str(uuid.uuid5(uuid.UUID(project_uuid), test))


def digest(value: object) -> str:
    """A stable digest of JSON data: equal requests have equal digests."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def secret_digest(secret: str) -> str:
    """What is stored of a bearer token. The secret is random and long, so a plain SHA-256 is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()
