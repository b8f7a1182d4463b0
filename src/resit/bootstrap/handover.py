"""What a server tells the worker process that it starts: a file that only its owner reads."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from resit.broker.address import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What a worker must know. ``folder`` is its own: caches, scratch, the names of workers that run."""

    broker: Address
    folder: str
    slots: int
    pool: str = "default"
    allow_local: bool = False
    parent: int = 0
    """Process id of the server that started it; 0 for a worker that stands alone."""
    log_format: str = "text"
    log_level: str = "info"
    server: str = ""
    """Where it hands artifacts in; empty: where the specification of a run says."""
    ca: str = field(default="", repr=False)
    """Authorities to trust there besides those of the machine, PEM; with ``exact`` the very certificate."""
    exact: bool = False
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    credential: int = 0
    """The number of what it came in with; 0: it stands beside a server."""
    drain_seconds: float = 0.0
    """How long batches that run are given to end when it is asked to leave; see ``resit.worker.agent``."""

    def write(self, path: Path) -> None:
        """Save where only the owner reads."""
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(asdict(self), file)

    @classmethod
    def read(cls, path: Path) -> Self:
        """What was saved. Raises OSError, ValueError."""
        found: dict[str, Any] = json.loads(path.read_text())
        found["broker"] = Address(**found["broker"])
        return cls(**found)
