"""What any store must keep to: the contract of ``resit.ports.Store`` and of ``resit.ports.reads.Reads``.

Derive a class of tests from :class:`StoreContract` and give it a fixture ``store`` (and ``reads`` over the same
database)::

    class TestOurStore(StoreContract):
        @pytest.fixture
        def store(self): ...
"""

from dataclasses import replace

from resit.domain import ledger
from resit.domain.access import Scope, Token
from resit.domain.attempt import AttemptState
from resit.domain.events import Attachment
from resit.domain.plan import PlannedTest
from resit.domain.project import Environment, Project
from resit.domain.run import Build, Problem, Run
from resit.domain.selection import Filters, Selection, Taken
from resit.domain.status import RunStatus, SelectionKind, Verdict
from resit.ports import ArtifactRow, Ledgered, Outgoing, Store, StoredResult, Transaction
from resit.ports.reads import LedgerFilter, Reads, RunFilter
from resit.testing import factories
from resit.testing.factories import NOW, ODD, result, uuid_of
from resit.testing.fleet_stores import FleetContract
from resit.testing.people_stores import PeopleContract
from resit.testing.queue_stores import QueueContract
from resit.testing.shelf_stores import ShelfContract


class _Stop(Exception):
    """Thrown out of a transaction."""


def furnish(tx: Transaction, slug: str = "shop") -> tuple[Project, Environment, Run]:
    """A project with an environment and a run."""
    project = tx.projects.add(factories.project(slug=slug))
    environment = tx.projects.add_environment(factories.environment(project.id), "")
    run = tx.runs.add(factories.run(project.id, environment.id, uuid=uuid_of(f"run of {slug}")))
    return project, environment, run


def planned_run(store: Store, *tests: PlannedTest) -> Run:
    """A run with a ledger, all of it in batch 1."""
    with store.write() as tx:
        project, _, run = furnish(tx)
        rows = factories.ledgered(tests, project.uuid)
        run = replace(run, status=RunStatus.RUNNING, seq=1, counts=ledger.count(item.row for item in rows))
        tx.runs.save(run)
        tx.cases.sync(run, tests)
        tx.ledger.add(run, rows)
        tx.batches.add(run.id, [1])
    return run


class StoreContract(FleetContract, PeopleContract, QueueContract, ShelfContract):
    """One test a promise; ``store`` and ``reads`` are fixtures of the derived class."""

    # ------------------------------------------------------------ transactions

    def test_leaving_the_block_commits(self, store: Store) -> None:
        """What was written is there for the next transaction."""
        with store.write() as tx:
            project, environment, run = furnish(tx)
        with store.read() as tx:
            assert tx.projects.get(project.id) == tx.projects.by_slug("shop") == project
            assert tx.projects.environment(environment.id) == environment
            assert tx.runs.get(run.id) == run

    def test_an_exception_rolls_everything_back(self, store: Store) -> None:
        """Nothing is half done."""
        try:
            with store.write() as tx:
                furnish(tx)
                tx.outbox.add(Outgoing(kind="plan", run_id=1, pool="default"))
                raise _Stop
        except _Stop:
            pass
        with store.read() as tx:
            assert tx.projects.by_slug("shop") is None
            assert not tx.outbox.pending(10)

    def test_what_is_not_there(self, store: Store) -> None:
        """Absent things are None or empty, never an error."""
        with store.write() as tx:
            assert tx.projects.get(1) is None
            assert tx.projects.environment(1) is None
            assert tx.projects.environment_by_slug(1, "x") is None
            assert tx.tokens.get(1) is None
            assert tx.runs.get(1) is None
            assert tx.runs.by_uuid(uuid_of("x")) is None
            assert tx.runs.remembered("x") is None
            assert tx.batches.get(1, 1) is None
            assert tx.batches.attempt("x") is None
            assert tx.results.artifact("x") is None
            empty = [tx.runs.open(NOW), tx.ledger.plan(1), tx.ledger.rows(1), tx.batches.open(1), tx.tokens.all(None)]
            empty += [tx.ledger.of_tests(1, ["x"]), tx.ledger.of_tests(1, []), tx.outbox.pending(5)]
            assert not any(empty)
            assert tx.ledger.counts(1) == ledger.Counts()

    # ------------------------------------------------------------ values

    def test_projects_environments_and_tokens_come_back_as_they_were(self, store: Store) -> None:
        """Every member, however odd its text."""
        with store.write() as tx:
            project = tx.projects.add(factories.project(name=ODD, setup=ODD, shards=3, time_limit=1.5))
            words = {"variables": {"A": ODD}, "secrets": ("B",), "filters": Filters((ODD,), ("*",)), "pool": "big"}
            environment = tx.projects.add_environment(factories.environment(project.id, slug="s", **words), "sealed")
            token = tx.tokens.add(
                Token(
                    id=0, name=ODD, prefix="p", digest="d", project_id=project.id, created_at=NOW,
                    expires_at=NOW + 0.25, scopes=(Scope.RUNS_READ, Scope.ADMIN),
                )
            )  # fmt: skip
        with store.write() as tx:
            assert tx.projects.get(project.id) == project
            assert tx.projects.environment_by_slug(project.id, "s") == environment
            assert tx.projects.sealed(environment.id) == "sealed"
            assert tx.tokens.by_prefix("p") == tx.tokens.all(project.id) == tx.tokens.all(None) == [token]
            assert tx.tokens.all(project.id + 1) == tx.tokens.by_prefix("q") == []
            tx.tokens.save(replace(token, revoked_at=NOW))
            assert tx.tokens.get(token.id) == replace(token, revoked_at=NOW)

    def test_runs_come_back_as_they_were(self, store: Store) -> None:
        """Every member, after being added and after being saved."""
        with store.write() as tx:
            _, _, run = furnish(tx)
            full = replace(
                run,
                status=RunStatus.FINISHED,
                verdict=Verdict.FAILED,
                counts=ledger.Counts(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 3),
                selection=Selection(SelectionKind.CHOSEN, (ODD, "b"), ("@t",)),
                reason=ODD,
                build=Build(url=ODD, version="1"),
                metadata={ODD: ODD, "n": 2**53, "f": 0.1},
                variables={"A": ODD},
                problems=(Problem(code="time_limit", message=ODD),),
                started_at=NOW + 0.001,
                finished_at=NOW + 0.002,
                pinned=True,
                prefer_branch="feat/login",
                seq=7,
            )
            tx.runs.save(full)
            assert tx.runs.get(run.id) == full
            again = tx.runs.add(replace(full, uuid=uuid_of("again"), source_run_id=run.id))
            assert tx.runs.get(again.id) == again
            assert tx.runs.by_uuid(again.uuid) == again.id
            assert not tx.runs.open(NOW)
            tx.runs.save(replace(full, status=RunStatus.PLANNING))
            assert [found.id for found in tx.runs.open(NOW)] == [run.id]
            tx.runs.remember("key", "digest", run.id, NOW)
            assert tx.runs.remembered("key") == ("digest", run.id)

    # ------------------------------------------------------------ the ledger

    def test_the_ledger_keeps_order_and_every_member(self, store: Store, reads: Reads) -> None:
        """Plan and rows as they were added; changes are seen by all who ask."""
        tests = [
            factories.planned(ODD, title_path=(ODD, "b"), variant="v", tags=("@t", ODD), line=7, unit="u"),
            *factories.suite(3, 2),
        ]
        run = planned_run(store, *tests)
        with store.write() as tx:
            assert tx.ledger.plan(run.id) == tests
            rows = tx.ledger.rows(run.id)
            assert [row.test for row in rows] == [test.id for test in tests]
            assert tx.ledger.counts(run.id) == ledger.count(rows)
            told = (
                ledger.started(rows[0], NOW),
                ledger.result(rows[1], result("", "failed")),
                ledger.did_not_run(rows[2], ODD),
            )
            tx.ledger.save(run.id, told, 5)
            changed = [*told, *rows[3:]]
            assert tx.ledger.rows(run.id) == changed
            assert tx.ledger.counts(run.id) == ledger.count(changed)
            assert tx.ledger.open_rows(run.id) == tx.ledger.open_of_batch(run.id, 1) == [told[0], *rows[3:]]
            assert tx.ledger.tests_of_batch(run.id, 1) == tests
            assert tx.ledger.tests_of_batch(run.id, 1, open_only=True) == [tests[0], *tests[3:]]
            assert tx.ledger.tests_of_batch(run.id, 2) == tx.ledger.open_of_batch(run.id, 2) == []
            some = tx.ledger.of_tests(run.id, {ODD, tests[4].id, "none"})
            assert sorted(row.ordinal for row in some) == [0, 4]
        seqs = {item.test.id: item.seq for item in reads.ledger(run.id, LedgerFilter(), 10).items}
        assert list(seqs.values()) == [5, 5, 5, 1, 1, 1]

    def test_what_a_rerun_takes_up(self, store: Store) -> None:
        """The rows of each set, with all of their serial groups, in their order; no others."""
        tests = [factories.planned(f"t{n}", unit="group" if n in (1, 4) else "") for n in range(8)]
        run = planned_run(store, *tests)
        with store.write() as tx:
            assert tx.ledger.taken(run.id, Taken.NOT_GREEN) == []
            rows = tx.ledger.rows(run.id)
            after = [
                ledger.result(rows[0], result("", "passed")),
                ledger.result(rows[1], result("", "passed")),
                ledger.did_not_run(rows[2], "x"),
                ledger.lost(rows[3], "x"),
                ledger.result(rows[4], result("", "failed")),
                ledger.cancelled(rows[5]),
                ledger.result(rows[6], result("", "skipped")),
            ]
            tx.ledger.save(run.id, after, 5)
            for taken in Taken:
                red = {row.test for row in after if taken.takes(row)}
                wanted = [n for n in range(8) if f"t{n}" in red or (n == 1 and "t4" in red)]
                assert [each.row.ordinal for each in tx.ledger.taken(run.id, taken)] == wanted, taken
                assert [each.test for each in tx.ledger.taken(run.id, taken)] == [tests[n] for n in wanted]

    def test_a_long_list_of_tests(self, store: Store) -> None:
        """More than a statement takes parameters."""
        tests = factories.suite(*[100] * 20)
        run = planned_run(store, *tests)
        with store.write() as tx:
            ids = [*(test.id for test in tests), *(f"none {n}" for n in range(70_000))]
            assert len(tx.ledger.of_tests(run.id, ids)) == len(tests)
            assert len(tx.ledger.expected(run.project_id, run.environment_id, ids)) == 0
            assert len(tx.cases.named(run.project_id, ids)) == len(tests)
            assert len(tx.cases.numbered(run.project_id, range(1, 70_000))) == len(tests)

    def test_pieces_of_a_plan_are_kept_once_each(self, store: Store) -> None:
        """By claim and number, until they are dropped."""
        with store.write() as tx:
            _, _, run = furnish(tx)
            one, two = factories.suite(1, 1)
            tx.ledger.stage(run.id, "a", 1, [two])
            tx.ledger.stage(run.id, "a", 0, [one])
            tx.ledger.stage(run.id, "a", 0, [two])
            tx.ledger.stage(run.id, "b", 0, [two])
            assert [(number, list(tests)) for number, tests in tx.ledger.staged(run.id, "a")] == [
                (0, [one]),
                (1, [two]),
            ]
            tx.ledger.unstage(run.id)
            assert not tx.ledger.staged(run.id, "a")

    def test_test_cases_learn_from_runs(self, store: Store, reads: Reads) -> None:
        """Durations of what ran, outcomes of all."""
        a, b, c = factories.suite(3)
        run = planned_run(store, a, b, c)
        with store.write() as tx:
            rows = tx.ledger.rows(run.id)
            tx.ledger.save(run.id, [ledger.result(rows[0], result("", duration=4.0)), ledger.lost(rows[1], "")], 2)
            tx.ledger.learn(run.project_id, run)
            assert tx.ledger.expected(run.project_id, run.environment_id, [a.id, b.id, c.id, "none"]) == {a.id: 4.0}
            cases = {case.test: case for case in reads.test_cases(run.project_id, "", 0, 10).items}
            named = tx.cases.named(run.project_id, [case.uuid for case in cases.values()])
            assert {case.planned.id for case in named} == set(cases)

    # ------------------------------------------------------------ batches and results

    def test_batches_attempts_and_fences(self, store: Store) -> None:
        """The newest attempt holds the fence; losses are counted; the end ends all."""
        run = planned_run(store, *factories.suite(1))
        with store.write() as tx:
            one, two = factories.attempt(run.id, number=1), factories.attempt(run.id, number=2, seen_at=NOW + 9)
            tx.batches.add_attempt(one)
            tx.batches.save_attempt(replace(one, state=AttemptState.LOST))
            tx.batches.add_attempt(two)
            assert (tx.batches.last(run.id), tx.batches.last(999)) == (1, 0)
            state = tx.batches.get(run.id, 1)
            assert state is not None
            assert state.fence == two
            assert tx.batches.open(run.id) == [state]
            assert tx.batches.losses(run.id, 1) == 1
            assert tx.batches.overtaken([one.claim, two.claim, "none"]) == [one.claim]
            assert tx.batches.at_work(run.id, NOW + 9, "none") == 1
            assert tx.batches.at_work(run.id, NOW + 9, two.claim) == tx.batches.at_work(run.id, NOW + 10, "none") == 0
            assert tx.batches.silent(NOW + 5) == []
            assert tx.batches.silent(NOW + 10) == [run.id]
            tx.batches.seen([one.claim, two.claim, "none"], NOW + 20)
            assert tx.batches.attempt(two.claim) == replace(two, seen_at=NOW + 20)
            assert tx.batches.attempt(one.claim) == replace(one, state=AttemptState.LOST)
            preparing = factories.attempt(run.id, batch=0, number=1)
            tx.batches.add_attempt(preparing)
            assert tx.batches.silent(NOW + 15) == []
            assert tx.batches.overtaken([preparing.claim]) == []
            assert tx.batches.at_work(run.id, NOW, "none") == 2
            tx.batches.end_all(run.id)
            assert tx.batches.overtaken([two.claim]) == []
            tx.batches.save_attempt(replace(two, state=AttemptState.LOST))
            assert tx.batches.overtaken([two.claim]) == [two.claim]
            tx.batches.save_attempt(replace(two, state=AttemptState.ENDED))
            assert tx.batches.open(run.id) == []
            ended = tx.batches.attempt(two.claim)
            assert ended is not None
            assert ended.state is AttemptState.ENDED

    def test_a_result_is_kept_as_it_was_told_first(self, store: Store, reads: Reads) -> None:
        """By test, attempt and retry."""
        run = planned_run(store, *factories.suite(2))
        first = result(
            "", "failed", attachments=(Attachment(ODD, "text/plain", id="x", size=2**40),), annotations=((ODD, ODD),)
        )
        second = result("", "passed", retry=1)
        with store.write() as tx:
            tx.results.add(run.id, [StoredResult(0, 1, True, first)])
            tx.results.add(run.id, [StoredResult(0, 1, False, second), StoredResult(0, 1, True, result("", "skipped"))])
        found = reads.results(run.id, [0, 1])
        assert found == {0: [StoredResult(0, 1, True, first), StoredResult(0, 1, False, second)], 1: []}
        with store.write() as tx:
            tx.results.discount(run.id, [0, 1])
            tx.results.discount(run.id, [])
        assert [found.counted for found in reads.results(run.id, [0])[0]] == [False, False]

    def test_artifacts_whose_file_or_name_comes_first(self, store: Store) -> None:
        """Neither forgets what the other knew; nobody touches those of another run."""
        run = planned_run(store, *factories.suite(1))
        with store.write() as tx:
            _, _, other = furnish(tx, "other")
            named = ArtifactRow(
                id="a", run_id=run.id, ordinal=0, attempt=1, name="trace", content_type="application/zip", size=1
            )
            tx.results.save_artifact(ArtifactRow(id="a", run_id=run.id, size=5, stored=True))
            tx.results.add_artifacts([named, replace(named, id="b")])
            tx.results.save_artifact(ArtifactRow(id="b", run_id=run.id, size=5, stored=True))
            for id in "ab":
                assert tx.results.artifact(id) == replace(named, id=id, size=5, stored=True)
            tx.results.add_artifacts([replace(named, run_id=other.id, name="stolen")])
            assert tx.results.artifact("a") == replace(named, size=5, stored=True)

    def test_logs_are_appended_and_cut(self, store: Store, reads: Reads) -> None:
        """By shard; positions are characters."""
        with store.write() as tx:
            _, _, run = furnish(tx)
            for text in ("ü😀\n", "b\0", "c"):
                tx.results.add_log(run.id, 1, text, 100, NOW)
            for _ in range(5):
                tx.results.add_log(run.id, 2, "x" * 30, 60, NOW)
        assert reads.log(run.id, 1, 0, 100) == "ü😀\nb\ufffdc"
        assert reads.log(run.id, 1, 1, 3) == "😀\nb"
        text = reads.log(run.id, 2, 0, 1000)
        assert text.startswith("x" * 60 + "\n[")
        assert text.count("left out") == 1
        assert [(part.shard, part.size) for part in reads.logs(run.id)] == [(1, 6), (2, len(text))]

    def test_outgoing_messages_in_their_order_until_they_are_sent(self, store: Store) -> None:
        """At most as many as are asked for."""
        with store.write() as tx:
            tx.outbox.add(*(Outgoing(kind="batch", run_id=1, pool="p", number=n) for n in range(5)))
        with store.write() as tx:
            found = tx.outbox.pending(3)
            assert [message.number for message in found] == [0, 1, 2]
            tx.outbox.sent([message.id for message in found])
            tx.outbox.sent([])
            assert [message.number for message in tx.outbox.pending(9)] == [3, 4]

    # ------------------------------------------------------------ looking

    def test_lists_page_by_key(self, store: Store, reads: Reads) -> None:
        """Complete, without gaps or repetitions, and stable while things are added."""
        tests = factories.suite(7)
        run = planned_run(store, *tests)
        found: list[Ledgered] = []
        after = -1
        while True:
            page = reads.ledger(run.id, LedgerFilter(after=after), 3)
            found.extend(page.items)
            if page.next is None:
                break
            after = int(page.next)
        assert [item.test for item in found] == tests
        with store.write() as tx:
            for n in range(4):
                tx.runs.add(replace(run, id=0, uuid=uuid_of(f"more {n}")))
        first = reads.runs(RunFilter(), 2)
        with store.write() as tx:
            tx.runs.add(replace(run, id=0, uuid=uuid_of("newest")))
        second = reads.runs(RunFilter(before=int(first.next or 0)), 10)
        ids = [view.run.id for view in (*first.items, *second.items)]
        assert ids == sorted(ids, reverse=True)
        assert len(ids) == 5

    def test_texts_are_found_as_they_stand(self, store: Store, reads: Reads) -> None:
        """What is a wildcard to the database is none to people."""
        run = planned_run(store, *(factories.planned(name) for name in ("100%", "100x", "a_b", "axb", "c\\d", ODD)))

        def found(text: str) -> list[str]:
            return [item.test.id for item in reads.ledger(run.id, LedgerFilter(text=text), 10).items]

        assert found("0%") == ["100%"]
        assert found("a_b") == ["a_b"]
        assert found("c\\d") == ["c\\d"]
        assert found("ümläut 😀") == [ODD]

    def test_a_family_of_runs(self, store: Store, reads: Reads) -> None:
        """From any member, oldest first, without strangers."""
        run = planned_run(store, *factories.suite(1))
        with store.write() as tx:
            furnish(tx, "other")
            child = tx.runs.add(replace(run, id=0, uuid=uuid_of("child"), source_run_id=run.id))
            grandchild = tx.runs.add(replace(run, id=0, uuid=uuid_of("grandchild"), source_run_id=child.id))
            sibling = tx.runs.add(replace(run, id=0, uuid=uuid_of("sibling"), source_run_id=run.id))
        family = [run.id, child.id, grandchild.id, sibling.id]
        for id in family:
            assert [view.run.id for view in reads.lineage(id)] == family
        assert reads.lineage(999) == []
        assert [list(known) for known in reads.outcomes([run.id, child.id])] == [["tests/test_1.py::test_1"], []]
