"""Who carries runs out: pools, the workers in them, and the credentials of workers on other machines.

A pool is a name under which work waits. An environment says which pool its runs go to: by the pool's name, or by the
labels that it must have (``os=linux,browser=chrome``). Labels are settled when a run is requested (:func:`choose`), so
a run stays in one pool whatever becomes of labels later.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from resit.domain.errors import InvalidInput

DEFAULT_POOL = "default"
"""Every installation has this pool; the worker beside a server works for it."""
ALIVE_SECONDS = 30.0
"""A worker that was not heard of for longer does not count as alive. Workers speak every 3 to 10 seconds."""
FORGET_SECONDS = 86_400.0
"""A worker that was not heard of for a day is forgotten."""
MAX_LABELS = 32
MAX_HOLDING = 256
"""What a worker holds is kept up to this number of places."""
MAX_POOL_WORDS = 2_000

_POOL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_KEY = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_VALUE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A name under which work waits, and what its workers have in common."""

    name: str
    labels: Labels = field(default_factory=dict[str, str])
    description: str = ""
    created_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCredential:
    """What lets workers of other machines into one pool, as it is stored: never its secret, only the secret's SHA-256
    and its first characters. Several workers may share one. ``seen_at``: when somebody last came in with it."""

    id: int
    name: str
    pool: str
    prefix: str
    digest: str
    created_by: str = ""
    created_at: float = 0.0
    expires_at: float | None = None
    revoked_at: float | None = None
    seen_at: float | None = None

    def valid(self, now: float) -> bool:
        """True while the credential is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersAddress:
    """Where workers of other machines come in: at the ``brokers`` with their work, at the ``server`` with artifacts.

    ``ca``: the authorities to trust for both, PEM; empty: those that machines trust anyway.
    """

    brokers: tuple[str, ...]
    server: str
    ca: str = ""


REPORTS = -1
"""In place of a shard: the report of a run is made."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What one slot of a worker does: a lane of a run (``shard`` 0: lists its tests, -1: makes its report), and the
    batch that runs there (0: none yet). ``since``: when that began."""

    run: int
    shard: int = 0
    batch: int = 0
    since: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker as it was last heard of. ``draining``: it takes nothing new. Times are the control plane's.

    ``credential_id`` is the worker's own word, None beside a server; the pool is the broker's word.
    """

    name: str
    pool: str
    slots: int
    version: str = ""
    labels: Labels = field(default_factory=dict[str, str])
    holding: tuple[Holding, ...] = ()
    draining: bool = False
    host: str = ""
    credential_id: int | None = None
    started_at: float = 0.0
    seen_at: float = 0.0
    skew: float = 0.0
    """Seconds by which its clock is ahead of the control plane's; what its words took on their way is in it."""

    def alive(self, now: float) -> bool:
        """True when the worker was heard of a moment ago."""
        return now - self.seen_at <= ALIVE_SECONDS


# ---------------------------------------------------------------- words


def check_pool_name(name: str, field: str = "name") -> str:
    """A name that can be a pool's, or :class:`InvalidInput`."""
    if not _POOL.fullmatch(name):
        raise InvalidInput(
            f"{name[:80]!r} is no name of a pool: lower-case letters, digits and '-' inside, at most 64", field=field
        )
    return name


def check_labels(labels: Labels, field: str = "labels") -> dict[str, str]:
    """Short words by short names, in the order of the names, or :class:`InvalidInput`."""
    if len(labels) > MAX_LABELS:
        raise InvalidInput(f"more than {MAX_LABELS} labels", field=field)
    for key, value in labels.items():
        if not _KEY.fullmatch(key) or not _VALUE.fullmatch(value):
            raise InvalidInput(
                f"{key[:80]}={value[:80]} is no label: both sides are letters and digits (names lower-case), "
                "with '.', '_' and '-' inside, at most 64",
                field=field,
            )
    return dict(sorted(labels.items()))


def parse_labels(text: str, field: str = "labels") -> dict[str, str]:
    """``os=linux,browser=chrome`` as labels, or :class:`InvalidInput`."""
    found: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = (word.strip() for word in part.partition("="))
        if not equals:
            raise InvalidInput(f"{part.strip()[:80]!r} is no label: write name=value", field=field)
        if key in found:
            raise InvalidInput(f"the label {key[:80]!r} is given twice", field=field)
        found[key] = value
    return check_labels(found, field)


def in_words(labels: Labels) -> str:
    """Labels as :func:`parse_labels` reads them, in the order of their names."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def check_wanted(wanted: str, field: str = "pool") -> str:
    """What an environment may say of its pool - a name, or labels - in its one spelling, or :class:`InvalidInput`."""
    if "=" in wanted:
        return in_words(parse_labels(wanted, field))
    return check_pool_name(wanted, field)


# ---------------------------------------------------------------- which pool


def with_default(pools: Collection[Pool]) -> list[Pool]:
    """The pools by name; the default one is among them whether somebody has described it or not."""
    found = {pool.name: pool for pool in (Pool(name=DEFAULT_POOL), *pools)}
    return [found[name] for name in sorted(found)]


def fits(pool: Pool, wanted: Labels) -> bool:
    """True when the pool has all of these labels; it may have more."""
    return all(pool.labels.get(key) == value for key, value in wanted.items())


def choose(wanted: str, pools: Sequence[Pool], alive: Mapping[str, int]) -> str:
    """The pool that a run goes to whose environment says ``wanted`` (a name, or labels).

    Of several pools that fit the labels it is the one with most workers ``alive`` (by pool), and of those the first by
    name. A pool that is named, and one that alone fits, is taken whether anybody is alive there or not: the run waits.
    Raises :class:`InvalidInput`, naming the pools that there are.
    """
    known = with_default(pools)
    if "=" not in wanted:
        if any(pool.name == wanted for pool in known):
            return wanted
        raise InvalidInput(f"there is no pool {wanted[:80]!r}; there are: {_listed(known)}", field="pool")
    labels = parse_labels(wanted, "pool")
    fitting = [pool.name for pool in known if fits(pool, labels)]
    if not fitting:
        raise InvalidInput(f"no pool has the labels {in_words(labels)}; there are: {_listed(known)}", field="pool")
    return min(fitting, key=lambda name: (-alive.get(name, 0), name))


def _listed(pools: Sequence[Pool]) -> str:
    words = "; ".join(f"{pool.name} ({in_words(pool.labels) or 'no labels'})" for pool in pools)
    return words if len(words) <= MAX_POOL_WORDS else f"{words[:MAX_POOL_WORDS]}…"
