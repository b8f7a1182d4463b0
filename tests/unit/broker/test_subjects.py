"""The names of the broker are made and taken apart by the same rules."""

import pytest

from resit.broker import subjects
from resit.ports import Job, Urgency


@pytest.mark.parametrize("job", [Job("plan", 7), Job("shard", 12, 3), Job("report", 1)])
def test_a_job_survives_its_subject(job: Job) -> None:
    assert subjects.parse_job(subjects.job("main", job, Urgency.LOW)) == job


def test_the_pool_comes_first() -> None:
    assert subjects.job("a-1", Job("shard", 12, 3), Urgency.HIGH) == "jobs.a-1.high.shard.12.3"
    assert subjects.batch("a-1", 12, 4) == "batches.a-1.12.4"
    assert subjects.events("a-1", 12) == "events.a-1.12"


def test_a_batch_and_a_cancellation_survive_their_subjects() -> None:
    assert subjects.parse_batch(subjects.batch("main", 3, 44)) == 44
    assert subjects.parse_cancel(subjects.cancel("main", 9)) == 9


@pytest.mark.parametrize("pool", ["", "Main", "a.b", "a*", ">", "a b", "ä", "a\n", "x" * 65])
def test_a_pool_that_would_break_a_subject_is_refused(pool: str) -> None:
    with pytest.raises(ValueError, match="not a pool name"):
        subjects.job(pool, Job("plan", 1), Urgency.NORMAL)
    with pytest.raises(ValueError, match="not a pool name"):
        subjects.batch(pool, 1, 1)
    with pytest.raises(ValueError, match="not a pool name"):
        subjects.events(pool, 1)


NO_JOBS = ["", "jobs.main.plan.1.0", "jobs.main.low.plan.1", "jobs.main.low.plan.x.0", "batches.main.1.2", "jobs"]


@pytest.mark.parametrize("subject", NO_JOBS)
def test_what_is_no_job_is_refused(subject: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        subjects.parse_job(subject)


@pytest.mark.parametrize("kind", ["", "a.b", "*", "Plan"])
def test_a_kind_that_would_break_a_subject_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="not a word"):
        subjects.job("main", Job(kind, 1), Urgency.NORMAL)
