"""Reports into the ledger: whatever order, loss and repetition, from workers alive, dead and confused."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from resit.domain import ledger, wire
from resit.domain.run import Run
from resit.domain.status import Outcome, RunStatus, Verdict
from resit.domain.verdict import verdict
from resit.ports import StoredResult
from resit.ports.reads import LedgerFilter
from resit.services.ingest import Told
from resit.services.recovery import Held
from resit.storage.runs import Runs
from resit.testing.factories import ADMIN, planned, result, started, uuid_of
from resit.testing.world import World, empty

TESTS = ("a::1", "a::2", "b::1", "b::2")


def two_batches(world: World) -> Run:
    world.project(shards=2)
    run = world.plan(world.trigger(), [planned(test) for test in TESTS])
    assert run.counts.planned == 4
    return run


# ---------------------------------------------------------------- any stream of reports

NUMBERS = st.sampled_from([1, 2])
CLAIMS = st.sampled_from(["x", "y", "z"])
EVENTS = st.lists(
    st.one_of(
        st.builds(started, st.sampled_from(TESTS)),
        st.builds(
            result,
            st.sampled_from([*TESTS, "not planned"]),
            st.sampled_from(["passed", "passed", "passed", "failed", "skipped", "interrupted"]),
            retry=st.integers(0, 1),
            final=st.booleans(),
        ),
    ).map(wire.to_wire),
    max_size=5,
)
ODD = st.sampled_from(
    [
        {"what": "batch.events", "events": [{"kind": "result", "test": "a::1", "status": "passed"}, {"kind": "new"}]},
        {"what": "batch.events", "events": [{"kind": "result", "test": "a::1", "status": "passed", "retry": 1e99}]},
        {"what": "batch.events"},
        {"what": "batch.started", "batch": 99},
        {"what": "batch.started", "batch": None},
        {"what": "batch.started", "run": 999},
        {"what": "nothing we know"},
        {"what": "plan.tests", "number": 0, "tests": []},
        {"what": "plan.ended", "parts": 0, "facts": {}},
    ]
)
REPORTS = st.one_of(
    st.builds(lambda n, c, e: ("report", n, c, {"what": "batch.events", "events": e}), NUMBERS, CLAIMS, EVENTS),
    st.builds(
        lambda n, c, what: ("report", n, c, {"what": what}),
        NUMBERS,
        CLAIMS,
        st.sampled_from(["batch.started", "batch.started", "batch.returned", "batch.ended"]),
    ),
    st.builds(lambda n, c, odd: ("report", n, c, odd), NUMBERS, CLAIMS, ODD),
    st.just(("silence", 0, "", {})),
    st.just(("repair", 0, "", {})),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(REPORTS, max_size=25), st.sampled_from(["cancel", "deadline"]))
def test_any_stream_of_reports_leaves_an_account_that_is_true(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory, steps: list[Any], end: str
) -> None:
    empty(engine)
    world = World(tmp_path_factory.getbasetemp(), engine)
    run = two_batches(world)
    before = Account(world, run)
    for kind, number, claim, members in steps:
        if kind == "report":
            # a claim is of one batch
            world.report({**world.voice(run, number, f"{claim}{number}"), **members})
        elif kind == "silence":
            world.clock.turn(60)
        else:
            world.recovery.repair(run.id, Held(frozenset(), frozenset()))
        before = Account(world, run).follows(before)
    if end == "cancel":
        world.runs.cancel(ADMIN, run.id)
    else:
        world.clock.turn(10_000)
        world.recovery.look()
    last = Account(world, run).follows(before)
    assert not last.run.status.open
    assert all(row.final for row in last.rows.values())


class Account:
    """What is known of a run, and what must hold of it at any time."""

    def __init__(self, world: World, run: Run) -> None:
        self.run = world.run(run.id)
        items = world.reads.ledger(run.id, LedgerFilter(), 1000).items
        self.rows = {item.row.ordinal: item.row for item in items}
        self.results = {
            (ordinal, found.attempt, found.found.retry): found
            for ordinal, some in world.reads.results(run.id, list(self.rows)).items()
            for found in some
        }
        with world.store.read() as tx:
            self.open = {state.number for state in tx.batches.open(run.id)}
        assert self.run.counts == ledger.count(self.rows.values())
        assert self.run.status.open == bool(self.open)
        if not self.run.status.open:
            words = {"problem": bool(self.run.problems), "cancelled": self.run.status is RunStatus.CANCELLED}
            assert self.run.verdict is verdict(self.run.counts, **words)
        for row in self.rows.values():
            assert row.final or row.batch in self.open
            if row.outcome in (Outcome.PASSED, Outcome.FLAKY):
                assert [
                    found
                    for (ordinal, *_), found in self.results.items()
                    if ordinal == row.ordinal and found.counted and found.found.final and found.found.status == "passed"
                ]

    def follows(self, before: "Account") -> "Account":
        """Nothing that was final or stored has changed; what a newer attempt repeats counts no more."""
        for ordinal, row in before.rows.items():
            if row.final:
                assert self.rows[ordinal] == row
        for key, found in before.results.items():
            repeated = not before.rows[key[0]].final and self.results[key] == replace(found, counted=False)
            assert repeated or self.results[key] == found
        assert self.open <= before.open
        assert self.run.seq >= before.run.seq
        if not before.run.status.open:
            assert self.run == before.run
        return self


# ---------------------------------------------------------------- named cases


def say(world: World, run: Run, what: str, claim: str = "one", batch: int = 1, **members: Any) -> list[str]:
    return world.report({**world.voice(run, batch, claim), "what": what, **members})


def events(*found: Any) -> list[dict[str, Any]]:
    return [wire.to_wire(event) for event in found]


def test_a_late_result_of_an_older_attempt_is_kept_and_does_not_count(world: World) -> None:
    run = two_batches(world)
    say(world, run, "batch.started", "one")
    say(world, run, "batch.started", "two")
    say(world, run, "batch.events", "one", events=events(result("a::1")))
    say(world, run, "batch.events", "two", events=events(result("a::1", "failed")))
    assert world.outcomes(run)["a::1"] == "failed"
    stored = world.reads.results(run.id, [0])[0]
    assert [(found.attempt, found.counted, found.found.status) for found in stored] == [
        (1, False, "passed"),
        (2, True, "failed"),
    ]


def test_an_older_attempt_does_not_end_the_batch(world: World) -> None:
    run = two_batches(world)
    say(world, run, "batch.started", "one")
    say(world, run, "batch.started", "two")
    say(world, run, "batch.ended", "one", problems=["too late"])
    assert set(world.outcomes(run).values()) == {None}
    assert not world.run(run.id).problems


def test_a_newer_attempt_begins_anew_what_was_not_final(world: World) -> None:
    run = two_batches(world)
    failed = result("a::2", "failed", final=False)
    say(world, run, "batch.events", "one", events=events(result("a::1"), started("a::2"), failed))
    assert [test["id"] for test in world.work.batch("default", run.id, 1)["tests"]] == ["a::2"]
    say(world, run, "batch.started", "two")
    assert world.outcomes(run) == {"a::1": "passed", "a::2": None, "b::1": None, "b::2": None}
    say(world, run, "batch.events", "two", events=events(result("a::2")))
    assert world.outcomes(run)["a::2"] == "passed"
    # What the older one had come to is kept, and counts no more; what it had finished does.
    said = {ordinal: [(r.attempt, r.counted) for r in found] for ordinal, found in stored(world, run).items()}
    assert said == {0: [(1, True)], 1: [(1, False), (2, True)], 2: [], 3: []}


def stored(world: World, run: Run) -> Mapping[int, Sequence[StoredResult]]:
    """The results of a run, by test."""
    return world.reads.results(run.id, range(len(TESTS)))


def test_a_test_that_was_cut_off_because_its_worker_went_counts_for_nothing(world: World) -> None:
    run = two_batches(world)
    cut = result("a::1", "interrupted", final=False)
    say(world, run, "batch.events", "one", events=events(started("a::1"), cut))
    say(world, run, "batch.returned", "one")
    assert world.outcomes(run)["a::1"] is None
    say(world, run, "batch.events", "two", events=events(result("a::1")))
    assert world.outcomes(run)["a::1"] == "passed"
    assert [(r.found.status.value, r.counted) for r in stored(world, run)[0]] == [
        ("interrupted", False),
        ("passed", True),
    ]


def test_a_batch_that_ends_without_a_word_on_a_test_errors_it_with_the_reason(world: World) -> None:
    run = two_batches(world)
    say(world, run, "batch.ended", reason="the process was killed by SIGKILL")
    rows = world.reads.ledger(run.id, LedgerFilter(), 10).items
    assert [(item.row.outcome, item.row.reason) for item in rows[:2]] == [
        (Outcome.ERRORED, "the process was killed by SIGKILL")
    ] * 2


def test_problems_outside_tests_keep_a_run_from_being_green(world: World) -> None:
    run = two_batches(world)
    done = world.carry_out(run, problems=["a global teardown threw", "a global teardown threw"])
    assert (done.counts.passed, done.verdict) == (4, Verdict.ERRORED)
    assert [problem.message for problem in done.problems] == ["a global teardown threw"]


def test_problems_are_cut_and_counted(world: World) -> None:
    run = two_batches(world)
    say(world, run, "batch.ended", problems=[f"{n}" + "x" * 100_000 for n in range(500)])
    problems = world.run(run.id).problems
    assert len(problems) == 100
    assert max(len(problem.message) for problem in problems) == 16_000


def test_an_attempt_speaks_for_its_own_batch_and_run_alone(world: World) -> None:
    run = two_batches(world)
    other = world.planned("a::1")
    say(world, run, "batch.started")
    for voice in ({**world.voice(other, 1, "one")}, {**world.voice(run, 2, "one")}):
        dropped = world.report({**voice, "what": "batch.ended"}, {**voice, "what": "batch.events", "events": []})
        assert ["Conflict" in words for words in dropped] == [True, True]
    assert set(world.outcomes(other).values()) | set(world.outcomes(run).values()) == {None}


def test_tests_of_another_batch_are_not_accounted_for(world: World) -> None:
    run = two_batches(world)
    say(world, run, "batch.events", events=events(result("b::1"), result("not planned")))
    assert set(world.outcomes(run).values()) == {None}
    assert not any(world.reads.results(run.id, range(4)).values())


@pytest.mark.parametrize(
    "data",
    [
        b"", b"nonsense", b"null", b"[]", b'"text"', b"17", b"{}", b'{"run": 1}', b"\xff\xfe", b"[" * 100_000,
        b'{"run": 1, "claim": "one", "what": "batch.events", "batch": 1, "events": 7}',
        b'{"run": 1, "claim": "one", "what": "batch.events", "batch": 1, "events": [[]]}',
        b'{"run": 1, "claim": "one", "what": "batch.started", "batch": 1e999}',
        b'{"run": 1, "claim": "one", "what": "batch.started", "batch": ' + b"9" * 5000 + b"}",
        b'{"run": 99999999999999999999, "claim": "one", "what": "batch.started", "batch": 1}',
        b'{"run": NaN, "claim": "one", "what": "batch.started", "batch": 1}',
        b'{"run": 1, "claim": {}, "what": "batch.started", "batch": 1}',
        b'{"run": 1, "claim": "one", "what": ["batch.started"], "batch": 1}',
        b'{"run": 1, "claim": "one", "what": "log", "shard": -1, "text": "x"}',
        b'{"run": 1, "claim": "one", "what": "plan.failed", "code": 1}',
    ],
)  # fmt: skip
def test_a_malformed_report_is_dropped_and_changes_nothing(world: World, data: bytes) -> None:
    run = two_batches(world)
    before = world.dump(run)
    good = {**world.voice(run, 2, "good"), "what": "batch.events", "events": events(result("b::1"))}
    taken = world.ingest.take([Told(data)])
    assert (taken.changed, len(taken.dropped)) == ([], 1)
    assert world.dump(run) == before
    taken = world.ingest.take([Told(part) for part in (data, json.dumps(good).encode(), data)])
    assert (taken.changed, len(taken.dropped)) == ([run.id], 2)
    assert world.outcomes(run)["b::1"] == "passed"


def test_one_bad_event_drops_its_whole_report_and_the_batch_says_so_in_the_end(world: World) -> None:
    run = two_batches(world)
    bad = [*events(result("a::1")), {"kind": "result", "test": "a::2", "status": "super"}]
    assert say(world, run, "batch.events", events=bad)
    assert not any(world.reads.results(run.id, range(4)).values())
    say(world, run, "batch.ended")
    assert world.outcomes(run)["a::1"] == "errored"


def test_texts_that_no_database_takes(world: World) -> None:
    project = world.project()
    odd = "odd \0 \ud800 id"
    run = world.plan(world.trigger(), [planned(odd, title_path=("\udfff", "\0"), tags=("\0",))])
    mended = "odd \ufffd \ufffd id"
    assert list(world.outcomes(run)) == [mended]
    failure = {"message": "\ud83d\0", "stack": "\udc00"}
    event = {"kind": "result", "test": odd, "status": "failed", "failures": [failure]}
    say(world, run, "batch.events", events=[event])
    world.report({"run": run.id, "claim": "", "what": "log", "shard": 1, "text": "a\ud800b\0c"})
    say(world, run, "batch.ended", reason="\0", problems=["\ud800"])
    assert world.outcomes(run) == {mended: "failed"}
    assert world.reads.log(run.id, 1, 0, 100) == "a\ufffdb\ufffdc"
    assert world.run(run.id).problems[0].message == "\ufffd"
    world.dump(run).encode()
    page = world.reads.test_cases(project.id, "odd", 0, 10)
    assert [case.test for case in page.items] == [mended]


def test_long_ids_and_huge_messages(world: World) -> None:
    world.project()
    long = "tests/test_a.py::test[" + "ü" * 3970 + "]"
    run = world.plan(world.trigger(), [planned(long)])
    huge = "x" * 900_000
    found = result(long, "failed", failures=(wire.Failure(huge, huge),))
    say(world, run, "batch.events", events=events(found))
    item = world.reads.ledger(run.id, LedgerFilter(test=long), 1).items[0]
    assert item.row.outcome is Outcome.FAILED
    assert len(item.row.reason) == ledger.MAX_REASON
    assert world.reads.results(run.id, [0])[0][0].found.failures[0].message == huge


def test_a_result_that_is_told_twice_stays_as_it_was_told_first(world: World) -> None:
    run = two_batches(world)
    first = wire.Attachment("trace", "application/zip", id=uuid_of("first"))
    second = wire.Attachment("other", "text/plain", id=uuid_of("second"))
    for attachment in (first, second, first):
        say(world, run, "batch.events", events=events(result("a::1", attachments=(attachment,))))
    stored = world.reads.results(run.id, [0])[0]
    assert [found.found.attachments for found in stored] == [(first,)]
    assert {found.id for found, _ in world.reads.artifacts(run.id, "", 10).items} == {first.id, second.id}


def test_artifacts_before_and_after_the_result_that_names_them(world: World) -> None:
    run = two_batches(world)
    early, late = uuid_of("early"), uuid_of("late")
    world.work.uploaded(run.id, early, 5)
    named = [wire.Attachment("trace", "application/zip", id=id, size=1) for id in (early, late, "../../etc", "")]
    say(world, run, "batch.events", events=events(result("a::1", attachments=tuple(named))))
    world.work.uploaded(run.id, late, 7)
    found = {artifact.id: (artifact, test) for artifact, test in world.reads.artifacts(run.id, "", 10).items}
    assert set(found) == {early, late}
    assert {(artifact.name, artifact.size, artifact.stored, test) for artifact, test in found.values()} == {
        ("trace", 5, True, "a::1"),
        ("trace", 7, True, "a::1"),
    }


def test_no_report_touches_artifacts_of_another_run(world: World) -> None:
    source = world.carry_out(
        two_batches(world),
        {"a::1": [result("a::1", attachments=(wire.Attachment("trace", "application/zip", id=uuid_of("x")),))]},
    )
    before = world.dump(source)
    other = world.planned("a::1")
    stolen = wire.Attachment("mine", "text/html", id=uuid_of("x"))
    say(world, other, "batch.events", events=events(result("a::1", attachments=(stolen,))))
    assert world.dump(source) == before
    assert world.outcomes(other)["a::1"] == "passed"


def test_logs_are_kept_in_order_and_cut_at_their_limit(world: World) -> None:
    run = two_batches(world)
    line = {"run": run.id, "claim": "", "what": "log", "shard": 1}
    world.report(*({**line, "text": f"{n:09}\n"} for n in range(1500)))
    text = world.reads.log(run.id, 1, 0, 1_000_000)
    assert text.startswith("000000000\n000000001\n")
    assert "the rest was left out" in text
    assert len(text) < 10_200
    assert world.reads.logs(run.id)[0].size == len(text)
    assert world.reads.log(run.id, 1, 15, 7) == text[15:22]


def test_all_reports_of_a_call_are_one_transaction(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run = two_batches(world)
    before = world.dump(run)
    good = {**world.voice(run), "what": "batch.events", "events": events(result("a::1"))}

    def breaks(*_: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(Runs, "save", breaks)
    with pytest.raises(RuntimeError):
        world.report(good)
    monkeypatch.undo()
    assert world.dump(run) == before
    assert world.report(good) == []


def test_the_source_folder_is_not_read(tmp_path: Path, world: World) -> None:
    """Ingest needs no files."""
    two_batches(world)
    assert not list(tmp_path.iterdir())
