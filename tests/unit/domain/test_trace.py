"""The trace of a run: always the same, whole, and each part within its own."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from resit.domain.attempt import AttemptState
from resit.domain.ledger import Counts
from resit.domain.run import Problem, Run
from resit.domain.status import ResultStatus, RunStatus, Verdict
from resit.domain.trace import AttemptTime, Ended, ResultTime, Story, Trace, place, trace_of, traceparent
from resit.testing.factories import uuid_of

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def run(**members: object) -> Run:
    words: dict[str, object] = {
        "id": 7,
        "uuid": uuid_of("7"),
        "project_id": 1,
        "environment_id": 1,
        "status": RunStatus.FINISHED,
        "verdict": Verdict.PASSED,
        "created_at": 100.0,
        "started_at": 110.0,
        "planned_at": 120.0,
        "finished_at": 150.0,
        **members,
    }
    return Run(**words)  # type: ignore[arg-type]


def told(of: Run, *attempts: AttemptTime, source: Run | None = None, left_out: int = 0) -> Trace:
    return trace_of(Story(Ended(of, "shop", "default"), attempts, source, left_out))


def attempt(
    batch: int = 1, number: int = 1, state: AttemptState = AttemptState.ENDED, *, results: int = 1
) -> AttemptTime:
    found = [
        ResultTime(i, f"a.py::t{i}", "a.py", f"t{i}", 0, ResultStatus.PASSED, 122.0 + i, 1.0) for i in range(results)
    ]
    return AttemptTime(batch, number, 1, "w1", state, 121.0, 140.0, found)


def test_the_parts_of_a_run_follow_each_other() -> None:
    trace = told(run(), attempt())
    spans = {span.name: span for span in trace.spans}
    assert list(spans) == ["run shop/default", "wait", "plan", "execute", "batch 1", "t0", "finalize"]
    whole = spans["run shop/default"]
    assert (whole.start, whole.end, whole.parent, whole.error) == (100.0, 150.0, "", None)
    times = [(spans[name].start, spans[name].end) for name in ("wait", "plan", "execute", "finalize")]
    assert times == [(100.0, 110.0), (110.0, 120.0), (120.0, 140.0), (140.0, 150.0)]
    assert all(spans[name].parent == whole.id for name in ("wait", "plan", "execute", "finalize"))
    assert spans["batch 1"].parent == spans["execute"].id
    assert spans["t0"].parent == spans["batch 1"].id
    assert whole.attributes["resit.run.id"] == 7
    assert spans["batch 1"].attributes["resit.worker"] == "w1"


def test_a_red_run_says_why() -> None:
    red = run(verdict=Verdict.FAILED, counts=Counts(passed=3, failed=2, lost=1))
    assert told(red).spans[0].error == "2 failed, 1 lost"
    broken = run(verdict=Verdict.ERRORED, problems=(Problem(code="setup", message="npm ci failed"),))
    assert told(broken).spans[0].error == "npm ci failed"
    stopped = run(status=RunStatus.CANCELLED, verdict=Verdict.ERRORED, cancel_reason="superseded by run 8")
    assert told(stopped).spans[0].error == "cancelled: superseded by run 8"
    assert told(run(verdict=Verdict.SKIPPED)).spans[0].error is None


def test_a_run_that_never_began_only_waited() -> None:
    trace = told(run(started_at=None, planned_at=None, verdict=Verdict.ERRORED, status=RunStatus.CANCELLED))
    assert [span.name for span in trace.spans] == ["run shop/default", "wait"]
    assert trace.spans[1].end == 150.0


def test_a_run_without_a_plan_says_what_was_wrong_with_the_listing() -> None:
    broken = run(planned_at=None, verdict=Verdict.ERRORED, problems=(Problem(code="setup", message="npm ci failed"),))
    assert told(broken).spans[-1].error == "npm ci failed"


def test_lost_attempts_and_red_results_are_errors() -> None:
    lost = attempt(state=AttemptState.LOST, results=0)
    failed = ResultTime(0, "t", "", "", 0, ResultStatus.TIMED_OUT, 1.0, 2.0)
    trace = told(run(), lost, replace(attempt(number=2), results=(failed,)))
    spans = [span for span in trace.spans if "resit.batch" in span.attributes or "test.case.name" in span.attributes]
    assert [span.error for span in spans] == ["worker w1 died or fell silent", None, "timed_out"]
    assert spans[0].id != spans[1].id


def test_a_run_is_part_of_the_trace_of_its_request() -> None:
    trace = told(run(trace=PARENT))
    assert trace.id == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert trace.spans[0].parent == "00f067aa0ba902b7"
    assert trace.sampled
    assert not told(run(trace=PARENT[:-2] + "00")).sampled


def test_what_tests_get() -> None:
    own = run()
    assert traceparent(own, traced=False) == ""
    _, trace, span, flags = traceparent(own, traced=True).split("-")
    assert (trace, span, flags) == place(own)
    assert (trace, span) == (told(own).id, told(own).spans[0].id)
    asked = run(trace=PARENT)
    assert traceparent(asked, traced=False) == PARENT
    assert traceparent(asked, traced=True).startswith(PARENT[:36])
    assert traceparent(asked, traced=True) != PARENT


def test_a_re_run_is_linked_to_its_source() -> None:
    source = run(id=6, uuid=uuid_of("6"))
    trace = told(run(source_run_id=6), source=source)
    assert trace.links == [(told(source).id, told(source).spans[0].id)]
    assert told(run(), left_out=5).spans[0].attributes["resit.results_left_out"] == 5


times = st.none() | st.floats(0, 1000)
attempts = st.builds(
    AttemptTime,
    batch=st.integers(1, 3),
    number=st.integers(1, 2),
    shard=st.just(1),
    worker=st.text(max_size=3),
    state=st.sampled_from(AttemptState),
    started_at=st.floats(0, 1000),
    ended_at=st.floats(0, 1000),
    results=st.lists(
        st.builds(
            ResultTime,
            ordinal=st.integers(0, 3),
            test=st.text(max_size=600),
            file=st.text(max_size=3),
            title=st.text(max_size=3),
            retry=st.integers(0, 2),
            status=st.sampled_from(ResultStatus),
            started_at=st.floats(0, 1000),
            duration=st.floats(-1, 1000),
        ),
        max_size=3,
        unique_by=lambda found: (found.ordinal, found.retry),
    ),
)


@given(
    times,
    times,
    times,
    st.lists(attempts, max_size=4, unique_by=lambda found: (found.batch, found.number)),
    st.sampled_from(Verdict),
    st.sampled_from([RunStatus.FINISHED, RunStatus.CANCELLED]),
)
def test_whatever_was_stored_the_trace_is_whole(
    started: float | None,
    planned: float | None,
    finished: float | None,
    found: list[AttemptTime],
    verdict: Verdict,
    status: RunStatus,
) -> None:
    of = run(started_at=started, planned_at=planned, finished_at=finished, verdict=verdict, status=status)
    trace = told(of, *found)
    assert told(of, *found) == trace
    ids = [span.id for span in trace.spans]
    assert len(set(ids)) == len(ids)
    assert {span.parent for span in trace.spans[1:]} <= set(ids)
    assert all(span.start <= span.end for span in trace.spans)
    assert all(len(str(value)) <= 500 for span in trace.spans for value in span.attributes.values())
