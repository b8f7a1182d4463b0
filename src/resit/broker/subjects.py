"""The names of everything that the broker holds; pure functions, the only place where subjects are made or taken apart.

==================  ===========================================  ==================================================
stream              subject                                      meaning
==================  ===========================================  ==================================================
JOBS_<pool>         ``jobs.<pool>.<urgency>.<kind>.<run>.<n>``   one unit of work; ``n`` is the lane, 0 where is none
BATCHES_<pool>      ``batches.<pool>.<run>.<batch>``             one batch of a run
EVENTS              ``events.<pool>.<run>``                      what happened in a run; control planes read it
(none)              ``cancel.<pool>.<run>``                      stop a run, to every worker of its pool
(none)              ``ask.<pool>.<question>``                    request and reply, one control plane answers
(none)              ``tell.<pool>.<address>``                    a word to one worker
(none)              ``control.signal``                           a word to every control plane
==================  ===========================================  ==================================================

The pool comes first, and has streams of its own, so that rights can be cut by it (:mod:`resit.broker.rights`).
"""

import re

from resit.ports import Job, Urgency

EVENTS = "EVENTS"
FORMER = frozenset({"JOBS", "BATCHES"})
"""Streams of the first releases, shared by all pools; their subjects would overlap with ours."""

EVENTS_CONSUMER = "control"
CONTROL_GROUP = "control"
SIGNAL = "control.signal"

_POOL = re.compile(r"[a-z0-9-]{1,64}")
_WORD = re.compile(r"[a-z0-9_-]{1,64}")


def check_pool(pool: str) -> str:
    """``pool`` itself when it can be part of a subject. Raises ValueError."""
    if not _POOL.fullmatch(pool):
        raise ValueError(f"not a pool name: {pool!r}; allowed are a-z, 0-9 and '-', at most 64 characters")
    return pool


def _word(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise ValueError(f"not a word of a subject: {text!r}; allowed are a-z, 0-9, '_' and '-'")
    return text


def jobs_stream(pool: str) -> str:
    """The stream of a pool's jobs. Raises ValueError for a bad pool name."""
    return f"JOBS_{check_pool(pool)}"


def batches_stream(pool: str) -> str:
    """The stream of a pool's batches. Raises ValueError for a bad pool name."""
    return f"BATCHES_{check_pool(pool)}"


def job(pool: str, job: Job, urgency: Urgency) -> str:
    """The subject of a job. Raises ValueError for a pool or kind that can't be part of a subject."""
    return f"jobs.{check_pool(pool)}.{urgency.value}.{_word(job.kind)}.{job.run:d}.{job.number:d}"


def parse_job(subject: str) -> Job:
    """The job that a subject names. Raises ValueError when it names none."""
    match subject.split("."):
        case ["jobs", _, _, kind, run, number]:
            return Job(kind, int(run), int(number))
        case _:
            raise ValueError(f"not the subject of a job: {subject!r}")


def pool_jobs(pool: str, urgency: Urgency | None = None) -> str:
    """Every job of a pool, or those of one urgency."""
    return f"jobs.{check_pool(pool)}.{urgency.value}.>" if urgency else f"jobs.{check_pool(pool)}.>"


def run_jobs(pool: str, run: int) -> str:
    """Every job of a run."""
    return f"jobs.{check_pool(pool)}.*.*.{run:d}.*"


def pool_batches(pool: str) -> str:
    """Every batch of a pool."""
    return f"batches.{check_pool(pool)}.>"


def batch(pool: str, run: int, number: int) -> str:
    """The subject of a batch."""
    return f"batches.{check_pool(pool)}.{run:d}.{number:d}"


def parse_batch(subject: str) -> int:
    """The batch number that a subject names. Raises ValueError when it names none."""
    return parse_run_batch(subject)[1]


def parse_run_batch(subject: str) -> tuple[int, int]:
    """The run and the batch number that a subject names. Raises ValueError when it names none."""
    match subject.split("."):
        case ["batches", _, run, number]:
            return int(run), int(number)
        case _:
            raise ValueError(f"not the subject of a batch: {subject!r}")


def run_batches(pool: str, run: int) -> str:
    """Every batch of a run."""
    return f"batches.{check_pool(pool)}.{run:d}.*"


def events(pool: str, run: int) -> str:
    """The subject of a run's events."""
    return f"events.{check_pool(pool)}.{run:d}"


def cancel(pool: str, run: int) -> str:
    """The subject that tells workers to stop a run."""
    return f"cancel.{check_pool(pool)}.{run:d}"


def pool_cancel(pool: str) -> str:
    """Every cancellation of a pool."""
    return f"cancel.{check_pool(pool)}.*"


def parse_cancel(subject: str) -> int:
    """The run that is cancelled. Raises ValueError when the subject names none."""
    match subject.split("."):
        case ["cancel", _, run]:
            return int(run)
        case _:
            raise ValueError(f"not the subject of a cancellation: {subject!r}")


def ask(pool: str, question: str) -> str:
    """The subject of a question to the control planes. Raises ValueError for a question with other characters."""
    return f"ask.{check_pool(pool)}.{_word(question)}"


def any_ask(question: str) -> str:
    """A question of whatever pool. Raises ValueError for a question with other characters."""
    return f"ask.*.{_word(question)}"


def tell(pool: str, address: str) -> str:
    """The subject under which a worker is told. Raises ValueError for an address with other characters."""
    return f"tell.{check_pool(pool)}.{_word(address)}"


def pool_of(subject: str) -> str:
    """The pool that the subject of a message belongs to. Raises ValueError when it belongs to none."""
    match subject.split("."):
        case ["jobs" | "batches" | "events" | "cancel" | "ask" | "tell", pool, *_]:
            return pool
        case _:
            raise ValueError(f"not a subject of a pool: {subject!r}")


def urgency_consumer(urgency: Urgency) -> str:
    """The name of the consumer, in the stream of a pool's jobs, that all its workers share."""
    return urgency.value


def run_consumer(run: int) -> str:
    """The name of the consumer of a run's batches."""
    return f"run-{run:d}"
