"""What any reader must keep to where lists are paged by offset: the contract of those parts of ``ports.reads.Reads``.

Derive a class of tests from :class:`ReadsContract` and give it the fixtures ``store`` and ``reads`` over the same
database, empty at the beginning of each test.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from resit.domain import ledger
from resit.domain.events import Setting
from resit.domain.ids import case_uuid
from resit.domain.plan import PlannedTest
from resit.domain.project import Environment, Platform, Project
from resit.domain.resource import Resource, ResourceStatus
from resit.domain.run import Build, Run
from resit.domain.snooze import Snooze
from resit.domain.status import Outcome, RunStatus, Verdict
from resit.ports import Ledgered, Store, StoredResult, Transaction
from resit.ports.reads import CaseFilter, Execution, LedgerFilter, Reads, RunFilter, RunOrder, Slice
from resit.testing import factories
from resit.testing.factories import NOW, uuid_of

T = TypeVar("T")
WILD = ("%", "_", "\\", "'", '"', "\\%", "100%", "a_b", "' OR 1=1 --", "[", "]", "\0", "a\0", "ü", "😀", "*")
"""Texts that mean something in one language or another, and must mean nothing but themselves."""


def pages(read: Callable[[int, int], Slice[T]], size: int) -> list[T]:
    """All pages of a list put together; each says the same total, which is that of the whole."""
    found: list[T] = []
    totals: set[int] = set()
    while True:
        page = read(len(found), size)
        totals.add(page.total)
        assert len(page.items) <= size
        found.extend(page.items)
        if not page.items:
            break
    assert totals == {len(found)}
    return found


class Shop:
    """A project with two environments, furnished step by step."""

    def __init__(self, store: Store, slug: str = "shop") -> None:
        self.store, self.made = store, 0
        with store.write() as tx:
            self.project: Project = tx.projects.add(factories.project(slug=slug))
            self.linux = self._environment(tx, "linux", Platform.LINUX)
            self.windows = self._environment(tx, "windows", Platform.WINDOWS)

    def _environment(self, tx: Transaction, slug: str, platform: Platform) -> Environment:
        return tx.projects.add_environment(
            factories.environment(self.project.id, slug=slug, platform=platform), "sealed"
        )

    def run(self, **members: Any) -> int:
        """A run; gives its number."""
        self.made += 1
        environment = members.pop("environment_id", self.linux.id)
        uuid = uuid_of(f"{self.project.slug} {self.made}")
        with self.store.write() as tx:
            return tx.runs.add(factories.run(self.project.id, environment, uuid=uuid, **members)).id

    def listed(self, *tests: PlannedTest) -> int:
        """A run that listed the suite as these tests."""
        id = self.run()
        with self.store.write() as tx:
            tx.cases.sync(self._get(tx, id), tests)
        return id

    def ledger(self, *rows: ledger.Row, tests: Sequence[PlannedTest] = ()) -> int:
        """A run with these rows; gives its number."""
        id = self.run(status=RunStatus.RUNNING, seq=5)
        planned = tests or [factories.planned(row.test) for row in rows]
        with self.store.write() as tx:
            run = replace(self._get(tx, id), counts=ledger.count(rows))
            uuid = self.project.uuid
            tx.runs.save(run)
            tx.ledger.add(
                run, [Ledgered(test, row, case_uuid(uuid, test.id)) for test, row in zip(planned, rows, strict=True)]
            )
        return id

    def _get(self, tx: Transaction, id: int) -> Run:
        found = tx.runs.get(id)
        assert found is not None
        return found


class ReadsContract:
    """One test a promise; ``store`` and ``reads`` are fixtures of the derived class."""

    # ------------------------------------------------------------ runs

    def test_runs_in_either_order(self, store: Store, reads: Reads) -> None:
        """Newest first unless the oldest are asked for; with the names that people know."""
        shop, other = Shop(store), Shop(store, "other")
        ids = [shop.run(), other.run(), shop.run(environment_id=shop.windows.id)]
        found = reads.runs_slice(RunFilter(), 0, 10)
        assert [view.run.id for view in found.items] == ids[::-1]
        assert [(view.project, view.environment) for view in found.items] == [
            ("shop", "windows"), ("other", "linux"), ("shop", "linux")
        ]  # fmt: skip
        oldest = reads.runs_slice(RunFilter(), 0, 2, RunOrder.OLDEST)
        assert ([view.run.id for view in oldest.items], oldest.total) == (ids[:2], 3)

    def test_runs_by_each_filter(self, store: Store, reads: Reads) -> None:
        """Every member narrows, alone and together with others."""
        shop, other = Shop(store), Shop(store, "other")
        over = {"status": RunStatus.FINISHED}
        one = shop.run(**over, verdict=Verdict.PASSED, branch="main", commit="C0FFEE")
        two = shop.run(**over, verdict=Verdict.FAILED, branch="main", build=Build(branch="topic", commit="beef"))
        three = shop.run(environment_id=shop.windows.id, created_at=NOW + 10, branch="topic")
        four = other.run(status=RunStatus.CANCELLED, verdict=Verdict.FAILED, created_at=NOW + 20)

        def found(**which: Any) -> list[int]:
            return [view.run.id for view in pages(lambda o, n: reads.runs_slice(RunFilter(**which), o, n), 2)]

        every = [four, three, two, one]
        assert found() == every
        assert found(project_id=shop.project.id) == [three, two, one]
        assert found(project_ids=(shop.project.id, other.project.id)) == every
        assert found(project_ids=(other.project.id,)) == [four]
        assert found(project_ids=()) == []
        assert found(run_id=two) == [two]
        assert found(environment="windows") == [three]
        assert found(environment_ids=(shop.windows.id, other.linux.id)) == [four, three]
        assert found(platform=Platform.WINDOWS) == [three]
        assert found(platform=Platform.LINUX, environment="windows") == []
        assert found(branch="main") == [two, one]
        assert found(branches=("main", "topic")) == [three, two, one]
        assert found(build_branch="topic") == [three, two]
        assert found(build_branch="main") == [one]
        assert found(build_commit="c0ffee") == found(build_commit="C0FFEE") == [one]
        assert found(build_commit="BEEF") == [two]
        assert found(created_from=NOW + 10) == [four, three]
        assert found(created_to=NOW + 10) == [three, two, one]
        assert found(created_from=NOW + 1, created_to=NOW + 19) == [three]
        assert found(before=three) == [two, one]
        assert found(kinds=((None, Verdict.FAILED),)) == [four, two]
        assert found(kinds=((RunStatus.FINISHED, None),)) == [two, one]
        assert found(kinds=((RunStatus.FINISHED, Verdict.FAILED), (RunStatus.REQUESTED, None))) == [three, two]
        assert found(kinds=((RunStatus.RUNNING, None),)) == []
        build = Build(version="1.2", message="mend")
        asked = shop.run(triggered_by="CI of Ann", actor="Ben", reason="100% sure", build=build)
        assert [found(who=name) for name in ("ann", "BEN", "eve")] == [[asked], [asked], []]
        assert [found(text=some) for some in ("100%", "1.2", "MEND")] == [[asked]] * 3
        assert found(text="topic") == [three, two]
        assert found(text="c0ff") == [one]
        for odd in WILD:
            assert found(environment=odd) == found(branch=odd) == found(build_branch=odd) == []
            assert found(build_commit=odd) == []

    def test_the_newest_run_of_an_environment(self, store: Store, reads: Reads) -> None:
        """On a branch of its build, or of its tests where nothing is said of the build."""
        shop = Shop(store)
        one = shop.run(branch="main")
        two = shop.run(branch="main", build=Build(branch="topic"))
        three = shop.run(branch="topic", environment_id=shop.windows.id)

        def found(environment: int, branch: str = "") -> int | None:
            view = reads.latest_run(environment, branch)
            return view.run.id if view else None

        assert [found(shop.linux.id), found(shop.windows.id), found(99)] == [two, three, None]
        assert [found(shop.linux.id, branch) for branch in ("main", "topic", "x", "%")] == [one, two, None, None]

    # ------------------------------------------------------------ test cases

    def test_active_test_cases(self, store: Store, reads: Reads) -> None:
        """Those of the last listing; one that comes back is active again; drafts are never active."""
        shop = Shop(store)
        a, b = factories.planned("f::a"), factories.planned("f::b")

        def found(active: bool | None, **which: Any) -> list[str]:
            which = {"active": active, **which}
            return [case.test for case in reads.cases_slice(shop.project.id, CaseFilter(**which), 0, 9).items]

        assert found(None) == found(True) == found(False) == []
        shop.listed(a, b)
        assert (found(True), found(False), found(None)) == (["f::a", "f::b"], [], ["f::a", "f::b"])
        shop.listed(b)
        assert (found(True), found(False), found(None)) == (["f::b"], ["f::a"], ["f::a", "f::b"])
        shop.listed(a)
        assert (found(True), found(False)) == (["f::a"], ["f::b"])
        shop.listed()
        assert (found(True), found(False)) == ([], ["f::a", "f::b"])
        draft = uuid_of("draft")
        with store.write() as tx:
            tx.cases.add(shop.project.id, draft, "Written down", "It works", NOW)
        assert found(None) == ["f::a", "f::b", draft]
        assert found(None, drafts=False) == ["f::a", "f::b"]
        assert found(True) == []

    def test_test_cases_by_each_filter(self, store: Store, reads: Reads) -> None:
        """Every member narrows; names are ids, keys and UUIDs."""
        shop, other = Shop(store), Shop(store, "other")
        a = factories.planned("ui/a.py::one", title_path=("Cart", 'adds "two"'), tags=("@smoke", "slow"), variant="ff")
        b = factories.planned("ui/b.py::two", tags=("smoke_2",), title_path=("Cart", "removes"))
        c = factories.planned("api/a.py::three", tags=("smoker",))
        shop.listed(a, b, c)
        other.listed(a)

        def found(**which: Any) -> list[str]:
            return [
                case.test
                for case in pages(lambda o, n: reads.cases_slice(shop.project.id, CaseFilter(**which), o, n), 2)
            ]

        every = [a.id, b.id, c.id]
        assert found() == every
        assert reads.cases_slice(None, CaseFilter(), 0, 2).total == 4
        cases = reads.cases_slice(shop.project.id, CaseFilter(), 0, 9).items
        assert found(names=(a.id, cases[1].uuid, cases[2].key, "gone")) == every
        assert found(names=("gone",)) == []
        assert found(ids=(cases[0].id, cases[2].id)) == [a.id, c.id]
        assert found(file_prefix="ui/") == [a.id, b.id]
        assert found(file_prefix="ui_") == found(file_prefix="i/") == []
        assert found(folder="ui") == found(folder="UI") == [a.id, b.id]
        assert found(folder="u") == []
        assert found(variant="ff") == [a.id]
        assert found(tags=("smoke",)) == found(tags=("@smoke",)) == [a.id]
        assert found(tags=("slow", "smoker")) == [a.id, c.id]
        assert found(tags=("smoke_2",)) == [b.id]
        assert found(tags=("smok",)) == found(tags=("smoke%",)) == found(tags=("smoke__",)) == []
        assert found(search="CART") == [a.id, b.id]
        assert found(search="cart › Removes") == [b.id]
        assert found(search='"two"') == [a.id]
        assert found(search="two") == [a.id, b.id]
        assert found(search="a.py") == [a.id, c.id]
        assert found(search="ui", tags=("slow",), variant="ff") == [a.id]
        for odd in WILD:
            expected = [test.id for test in (a, b, c) if odd in f"{test.id}{test.file}{' › '.join(test.title_path)}"]
            assert found(search=odd) == expected, odd
            assert found(tags=(odd,)) == found(names=(odd,)) == found(file_prefix=odd) == found(variant=odd) == []
            assert found(folder=odd) == found(first_commit=odd) == []

    def test_tags_that_were_set_here_win(self, store: Store, reads: Reads) -> None:
        """Over those that the suite says, even when there are none."""
        shop = Shop(store)
        a, b = factories.planned("f::a", tags=("old",)), factories.planned("f::b", tags=("old",))
        shop.listed(a, b)
        cases = reads.cases_slice(shop.project.id, CaseFilter(), 0, 9).items
        with store.write() as tx:
            tx.cases.set_tags(cases[0].id, ["@new", 'odd "one" %'], NOW)
            tx.cases.set_tags(cases[1].id, [], NOW)

        def found(tag: str) -> list[str]:
            return [c.test for c in reads.cases_slice(shop.project.id, CaseFilter(tags=(tag,)), 0, 9).items]

        assert [found(tag) for tag in ("old", "new", "@new", 'odd "one" %', "one")] == [[], [a.id], [a.id], [a.id], []]
        assert reads.cases_of([cases[0].uuid])[cases[0].uuid].tags == ("@new", 'odd "one" %')
        assert reads.cases_of([cases[1].uuid])[cases[1].uuid].tags == ()
        shop.listed(a, b)
        assert found("new") == [a.id]

    def test_test_cases_by_their_commits(self, store: Store, reads: Reads) -> None:
        """The first and the last one that they were listed at."""
        shop = Shop(store)
        with store.write() as tx:
            for number, commit in enumerate(("one", "two")):
                run = factories.run(shop.project.id, shop.linux.id, uuid=uuid_of(f"c{number}"), commit=commit)
                tx.cases.sync(tx.runs.add(run), [factories.planned(f"f::{n}") for n in range(number + 1)])

        def found(**which: Any) -> list[str]:
            return [case.test for case in reads.cases_slice(shop.project.id, CaseFilter(**which), 0, 9).items]

        assert found(first_commit="one") == ["f::0"]
        assert found(first_commit="two") == ["f::1"]
        assert found(last_commit="two") == ["f::0", "f::1"]
        assert found(last_commit="one") == []

    # ------------------------------------------------------------ files

    def test_files(self, store: Store, reads: Reads) -> None:
        """A file has a number for good; its tests are the active ones."""
        shop, other = Shop(store), Shop(store, "other")
        shop.listed(*[factories.planned(f"tests/{name}") for name in ("a.py::1", "a.py::2", "b_%.py::3")])
        other.listed(factories.planned("tests/a.py::1"))
        found = reads.files_slice(shop.project.id, "", 0, 9)
        assert [(file.path, file.tests) for file in found.items] == [("tests/a.py", 2), ("tests/b_%.py", 1)]
        numbers = reads.file_numbers(shop.project.id, ["tests/b_%.py", "tests/a.py", "gone"])
        assert numbers == {file.path: file.id for file in found.items}
        assert reads.files_slice(None, "", 0, 1).total == 3
        first = found.items[0]
        assert reads.file(shop.project.id, first.id) == reads.file(None, first.id) == first
        assert reads.file(other.project.id, first.id) is None
        assert reads.file(None, 999) is None
        tests = reads.cases_slice(shop.project.id, CaseFilter(sample=first.id), 0, 9)
        assert [case.test for case in tests.items] == ["tests/a.py::1", "tests/a.py::2"]
        assert reads.cases_slice(other.project.id, CaseFilter(sample=first.id), 0, 9).total == 0
        for odd in (*WILD, "TESTS", "b_%"):
            page = reads.files_slice(shop.project.id, odd, 0, 9)
            assert [f.path for f in page.items] == [f.path for f in found.items if odd.lower() in f.path], odd
        shop.listed(factories.planned("tests/b_%.py::3"))
        assert [(f.id, f.tests) for f in reads.files_slice(shop.project.id, "", 0, 9).items] == [
            (first.id, 0), (found.items[1].id, 1)
        ]  # fmt: skip

    # ------------------------------------------------------------ ledgers

    def test_ledgers_by_each_filter(self, store: Store, reads: Reads) -> None:
        """Every member narrows; a state is an outcome or one that has none yet."""
        shop = Shop(store)
        rows = [
            factories.row(n, test=f"dir/f{n}.py::{outcome}", outcome=outcome, reason="100% wrong" if n == 1 else "")
            for n, outcome in enumerate(Outcome)
        ]
        planned, running, left = (
            factories.row(len(rows), test="other/p.py::p"),
            factories.row(len(rows) + 1, test="other/r.py::r", running=True),
            factories.row(len(rows) + 2, test="other/l.py::l", outcome=Outcome.SKIPPED, precluded=True),
        )
        every = [*rows, planned, running, left]
        run = shop.ledger(*every)
        shop.ledger(factories.row(0, test="dir/f0.py::passed", outcome=Outcome.PASSED))

        def found(**which: Any) -> list[int]:
            return [
                item.row.ordinal for item in pages(lambda o, n: reads.ledger_slice(run, LedgerFilter(**which), o, n), 3)
            ]

        assert found() == [row.ordinal for row in every]
        for row in rows:
            also = [left.ordinal] if row.outcome is Outcome.SKIPPED else []
            assert found(state=str(row.outcome)) == [row.ordinal, *also]
        assert found(batch=every[0].batch) == found()
        assert found(batch=99) == []
        words = {outcome: str(outcome) for outcome in Outcome}
        cells = [(row.ordinal, words[row.outcome]) for row in rows if row.outcome]
        cells += [(planned.ordinal, "planned"), (running.ordinal, "running"), (left.ordinal, "did_not_run")]
        assert reads.cells(run) == reads.cells(run, 4) == cells
        assert reads.cells(run, 5) == reads.cells(999) == reads.standing(999) == []
        assert [(found[1], found[2]) for found in reads.standing(run)] == cells
        assert [(found[0], found[3]) for found in reads.standing(run)] == [(row.test, row.duration) for row in every]
        assert found(state="planned") == [planned.ordinal]
        assert found(state="running") == [running.ordinal]
        assert found(state="did_not_run") == [left.ordinal]
        assert found(states=("running", "passed", "did_not_run")) == [0, running.ordinal, left.ordinal]
        assert found(states=("running",), state="planned") == []
        assert found(test=rows[2].test) == [2]
        assert found(test=case_uuid(shop.project.uuid, rows[2].test)) == [2]
        assert found(text="OTHER/") == [planned.ordinal, running.ordinal, left.ordinal]
        assert found(text="100%") == [1]
        assert found(after=running.ordinal) == [left.ordinal]
        assert found(since=5) == []
        assert found(since=4) == found()
        assert reads.ledger_slice(999, LedgerFilter(), 0, 5) == Slice([], 0)
        for odd in WILD:
            said = [f"{row.test} {row.reason}" for row in every]
            assert found(text=odd) == [n for n, text in enumerate(said) if odd in text], odd
            assert found(test=odd) == found(state=odd) == found(states=(odd,)) == []

    # ------------------------------------------------------------ small things

    def test_snoozes(self, store: Store, reads: Reads) -> None:
        """Newest first; those that last, those that are over, or both; of one environment or of the project."""
        shop, other = Shop(store), Shop(store, "other")
        with store.write() as tx:

            def add(until: float, **members: Any) -> int:
                words: dict[str, Any] = {"tests": ("a", 'b"'), "created_at": NOW, **members}
                words.setdefault("project_id", shop.project.id)
                return tx.snoozes.add(Snooze(id=0, until=until, **words)).id

            over, lasting = add(NOW + 5), add(NOW + 20)
            narrow = add(NOW + 20, environment_id=shop.windows.id)
            add(NOW + 20, project_id=other.project.id)

        def found(environment: int | None, active: bool | None, at: float = NOW + 5) -> list[int]:
            return [
                item.id for item in pages(lambda o, n: reads.snoozes(shop.project.id, environment, active, at, o, n), 2)
            ]

        assert found(None, None) == [narrow, lasting, over]
        assert found(None, True) == [narrow, lasting]
        assert found(None, True, NOW + 4.9) == [narrow, lasting, over]
        assert found(None, False) == [over]
        assert found(shop.windows.id, None) == [narrow]
        assert found(None, True, NOW + 20) == []
        assert reads.snoozes(shop.project.id, None, None, NOW, 0, 1).items[0].tests == ("a", 'b"')

    def test_resources(self, store: Store, reads: Reads) -> None:
        """Uploaded ones alone, newest first."""
        shop, other = Shop(store), Shop(store, "other")
        with store.write() as tx:

            def add(status: ResourceStatus, project: Project) -> int:
                return tx.resources.add(Resource(id=0, project_id=project.id, name="n", status=status)).id

            done = ResourceStatus.UPLOADED
            ids = [add(done, shop.project), add(done, shop.project), add(done, shop.project)]
            add(ResourceStatus.PENDING, shop.project)
            add(done, other.project)
        found = pages(lambda o, n: reads.resources(shop.project.id, o, n), 2)
        assert [item.id for item in found] == ids[::-1]

    def test_when_and_where_tests_ran(self, store: Store, reads: Reads) -> None:
        shop = Shop(store)
        run = shop.ledger(factories.row(0), factories.row(1))
        second = replace(factories.result("", "failed"), retry=1, started_at=NOW + 2, setting=Setting(parallel=0))
        first = replace(factories.result("", "timed_out"), stdout='a\0b"setting": {"parallel": 9}')
        with store.write() as tx:
            tx.results.add(run, [StoredResult(1, 1, True, second), StoredResult(0, 2, False, first)])
        batch = factories.row(0).batch
        assert reads.executions(run, 9) == [
            Execution(0, batch, 2, "timed_out", False, NOW, 0.5, -1),
            Execution(1, batch, 1, "failed", True, NOW + 2, 0.5, 0),
        ]
        assert len(reads.executions(run, 1)) == 1
        assert reads.executions(999, 9) == []

    # ------------------------------------------------------------ pages

    def test_pages_of_any_size_are_the_whole_list(self, store: Store, reads: Reads) -> None:
        """Each item once, in one order, and the same total on every page."""
        shop = Shop(store)
        tests = [factories.planned(f"d{n % 3}/f{n % 5}.py::t{n}", tags=("even",) if n % 2 else ()) for n in range(23)]
        shop.listed(*tests)
        rows = [
            factories.row(n, test=test.id, outcome=Outcome.FAILED if n % 2 else None) for n, test in enumerate(tests)
        ]
        run = shop.ledger(*rows)
        for number in range(6):
            shop.run(branch="main" if number % 2 else "")
        readers: list[Callable[[int, int], Slice[Any]]] = [
            lambda o, n: reads.runs_slice(RunFilter(), o, n),
            lambda o, n: reads.runs_slice(RunFilter(branch="main"), o, n, RunOrder.OLDEST),
            lambda o, n: reads.cases_slice(shop.project.id, CaseFilter(active=True), o, n),
            lambda o, n: reads.cases_slice(None, CaseFilter(tags=("even",)), o, n),
            lambda o, n: reads.ledger_slice(run, LedgerFilter(), o, n),
            lambda o, n: reads.ledger_slice(run, LedgerFilter(states=("failed",)), o, n),
            lambda o, n: reads.files_slice(shop.project.id, "", o, n),
            lambda o, n: reads.files_slice(None, "f1", o, n),
        ]
        for read in readers:
            whole = list(read(0, 1000).items)
            assert len(whole) > 2
            for size in (1, 2, 3, 7, len(whole) - 1, len(whole), len(whole) + 1):
                assert pages(read, size) == whole
            assert read(1000, 10) == Slice([], len(whole))
            assert read(0, 0) == Slice([], len(whole))
