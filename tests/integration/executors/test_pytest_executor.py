"""The pytest executor on real suites: every planned test ends exactly once, and as pytest itself judges it."""

import asyncio
import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import pytest
from _pytest.junitxml import mangle_test_address

from resit.domain.events import DidNotRun, Event, Log, NotFound, TestResult, TestStarted
from resit.domain.plan import PlannedTest
from resit.domain.status import ResultStatus
from resit.executors.pytest import PytestExecutor
from resit.plugin import Batch, BatchEnd, CollectionFailed, ExecutorError, Listing, NotASuite, Suite

FINALS = (TestResult, NotFound, DidNotRun)
OWN = ("PYTEST_", "RESIT_", "COV_", "COVERAGE_", "VIRTUAL_ENV", "PYTHONPATH")


def suite(tmp_path: Path, files: Mapping[str, str], ini: str = "", config: str = "") -> Suite:
    """Write a suite; ``ini`` are lines of its pytest.ini."""
    root = tmp_path / "checkout"
    for name, text in {"pytest.ini": "[pytest]\n" + textwrap.dedent(ini), **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    scratch, cache = tmp_path / "scratch", tmp_path / "cache"
    scratch.mkdir()
    cache.mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    return Suite(root, root, env, scratch, cache, config)


@dataclass
class Heard:
    """What an executor said."""

    events: list[Event] = field(default_factory=list[Event])
    end: BatchEnd = field(default_factory=BatchEnd)

    @property
    def finals(self) -> dict[str, TestResult | NotFound | DidNotRun]:
        found = [
            event
            for event in self.events
            if isinstance(event, FINALS) and not (isinstance(event, TestResult) and not event.final)
        ]
        assert len({event.test for event in found}) == len(found), "a test ended twice"
        return {event.test: event for event in found}

    @property
    def said(self) -> dict[str, str]:
        """Status, or what else happened, by id."""
        return {
            test: str(event.status) if isinstance(event, TestResult) else type(event).__name__
            for test, event in self.finals.items()
        }

    def result(self, test: str) -> TestResult:
        event = self.finals[test]
        assert isinstance(event, TestResult), event
        return event

    def tries(self, test: str) -> list[TestResult]:
        return [event for event in self.events if isinstance(event, TestResult) and event.test == test]

    @property
    def log(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Log))


def listing(where: Suite) -> Listing:
    """List a suite."""
    heard: list[Event] = []
    return asyncio.run(PytestExecutor().list(where, heard.append))


def run(where: Suite, tests: Iterable[PlannedTest | str], *, expect_all: bool = True) -> Heard:
    """Run tests as one batch."""
    planned = tuple(
        test if isinstance(test, PlannedTest) else PlannedTest(test, test.partition("::")[0], (test,)) for test in tests
    )
    heard = Heard()

    async def main() -> None:
        session = await PytestExecutor().open(where, 1)
        heard.end = await session.run(Batch(1, planned), 0, heard.events.append)
        await session.close()

    asyncio.run(main())
    if expect_all:
        assert set(heard.finals) == {test.id for test in planned}
    return heard


def junit(where: Suite) -> Counter[tuple[str, str, str]]:
    """What the suite's own pytest says: class name, name and status of each test."""
    file = where.scratch / "junit.xml"
    argv = ["pytest", "-q", f"--junitxml={file}", "-p", "no:cacheprovider"]
    subprocess.run(argv, cwd=where.workdir, env=dict(where.env), capture_output=True, timeout=60)
    cases: dict[tuple[str, str], set[str]] = {}
    for case in ElementTree.parse(file).iter("testcase"):  # noqa: S314 - pytest wrote it a moment ago
        found = cases.setdefault((case.get("classname", ""), case.get("name", "")), set())
        found.update(child.tag for child in case)
    named = (("failure", "failed"), ("error", "errored"), ("skipped", "skipped"))
    return Counter(
        (*case, next((status for tag, status in named if tag in found), "passed")) for case, found in cases.items()
    )


def as_junit(heard: Heard) -> Counter[tuple[str, str, str]]:
    """Our results, named as JUnit names them."""
    found: Counter[tuple[str, str, str]] = Counter()
    for test, status in heard.said.items():
        names = mangle_test_address(test)
        found[".".join(names[:-1]), names[-1], status] += 1
    return found


ALL_KINDS = {
    "conftest.py": """
        import pytest

        @pytest.fixture
        def broken():
            raise RuntimeError("no database")

        @pytest.fixture
        def leaky():
            print("setting up")
            yield
            raise RuntimeError("can't clean up")
        """,
    "tests/test_kinds.py": """
        import sys, logging, warnings
        import pytest

        def test_passes(record_property):
            record_property("ticket", 42)
            print("to stdout"); print("to stderr", file=sys.stderr)
            logging.getLogger("x").warning("to the log")

        def test_fails():
            assert 1 == 2, "numbers"

        @pytest.mark.skip(reason="not today")
        def test_skip(): pass

        def test_skip_inside():
            pytest.skip("no display")

        @pytest.mark.xfail(reason="bug 7")
        def test_xfail(): assert 0

        def test_xfail_inside(): pytest.xfail("known")

        @pytest.mark.xfail(reason="bug 8")
        def test_xpass(): pass

        @pytest.mark.xfail(strict=True, reason="bug 9")
        def test_xpass_strict(): pass

        @pytest.mark.xfail(raises=ValueError)
        def test_xfail_of_another_kind(): raise KeyError("k")

        def test_setup_error(broken): pass

        def test_teardown_error(leaky): pass

        def test_fails_twice(leaky): assert 0, "in the call"

        def test_skip_and_teardown_error(leaky): pytest.skip("late")

        @pytest.mark.slow
        class TestGroup:
            @pytest.mark.db
            def test_in_class(self): pass
            class TestInner:
                @pytest.mark.parametrize("n", [1, 2])
                def test_deep(self, n): assert n == 1
        """,
    "tests/test_unit.py": """
        import unittest

        class Case(unittest.TestCase):
            def test_ok(self): pass
            def test_bad(self): self.assertEqual(1, 2)
            @unittest.skip("off")
            def test_skipped(self): pass
            @unittest.expectedFailure
            def test_expected(self): self.fail()
            @unittest.expectedFailure
            def test_unexpected(self): pass
            def test_sub(self):
                for n in range(3):
                    with self.subTest("part", n=n):
                        self.assertNotEqual(n, 1)
            def test_sub_ok(self):
                for n in range(3):
                    with self.subTest(n=n): pass

        class Broken(unittest.TestCase):
            @classmethod
            def setUpClass(cls): raise OSError("no class")
            def test_never(self): pass
        """,
    "tests/test_subtests.py": """
        def test_parts(subtests):
            for n in range(4):
                with subtests.test("part", n=n):
                    assert n % 2 == 0

        def test_good_parts(subtests):
            with subtests.test(): pass

        def test_parts_and_itself(subtests):
            with subtests.test("part"): assert 0, "in the part"
            assert 0, "in the test"
        """,
    "tests/test_module_skip.py": """
        import pytest
        pytest.skip("only on Mondays", allow_module_level=True)
        def test_never(): pass
        """,
    "tests/test_import_or_skip.py": """
        import pytest
        pytest.importorskip("no_such_module_at_all")
        def test_never(): pass
        """,
    "README.txt": """
        >>> 1 + 1
        3
        """,
    "src/documented.py": '''
        def f():
            """
            >>> f()
            1
            """
            return 1
        ''',
}
ALL_INI = """
    addopts = --doctest-modules --doctest-glob=*.txt
    markers =
        slow: takes long
        db: needs the database
    """


def test_every_kind_of_test_comes_out_as_in_pytest_itself(tmp_path: Path) -> None:
    where = suite(tmp_path, ALL_KINDS, ALL_INI)
    found = listing(where)
    assert found.framework == f"pytest {pytest.__version__}"
    assert (found.lanes, found.shares_process, found.approximate) == (1, False, False)
    heard = run(where, found.tests)
    assert as_junit(heard) == junit(where)
    assert heard.end.problems == ()
    assert not [path for path in where.root.rglob("*") if path.name in (".pytest_cache", "scratch")]

    started = [event.test for event in heard.events if isinstance(event, TestStarted)]
    assert set(started) == {test.id for test in found.tests if test.title_path != ("(module)",)}
    by_id = {test.id: test for test in found.tests}
    deep = by_id["tests/test_kinds.py::TestGroup::TestInner::test_deep[2]"]
    assert deep.title_path == ("TestGroup", "TestInner", "test_deep[2]")
    assert deep.file == "tests/test_kinds.py"
    assert deep.tags == ("slow",)
    assert by_id["tests/test_kinds.py::TestGroup::test_in_class"].tags == ("db", "slow")
    assert by_id["tests/test_kinds.py::test_skip"].tags == ()
    assert by_id["tests/test_kinds.py::test_fails"].line == 10
    assert by_id["tests/test_module_skip.py"].title_path == ("(module)",)

    passed = heard.result("tests/test_kinds.py::test_passes")
    assert passed.annotations == (("ticket", "42"),)
    texts = {found.name: Path(found.path).read_text() for found in passed.attachments}
    assert texts["stdout"] == "to stdout\n"
    assert texts["stderr"] == "to stderr\n"
    assert "to the log" in texts["log"]
    assert all(found.size == Path(found.path).stat().st_size for found in passed.attachments)
    assert abs(passed.started_at - time.time()) < 60
    assert 0 < passed.duration < 10

    failed = heard.result("tests/test_kinds.py::test_fails")
    (failure,) = failed.failures
    assert failure.message.startswith("AssertionError: numbers\nassert 1 == 2")
    assert "def test_fails" in failure.stack
    assert failure.location == "tests/test_kinds.py:11"
    twice = heard.result("tests/test_kinds.py::test_fails_twice")
    assert [failure.message.partition("\n")[0] for failure in twice.failures] == [
        "AssertionError: in the call",
        "teardown: RuntimeError: can't clean up",
    ]
    parts = heard.result("tests/test_subtests.py::test_parts")
    assert [failure.message.partition("\n")[0] for failure in parts.failures] == [
        "subtest [part] (n=1): assert (1 % 2) == 0",
        "subtest [part] (n=3): assert (3 % 2) == 0",
    ]
    both = heard.result("tests/test_subtests.py::test_parts_and_itself")
    assert len(both.failures) == 2
    notes = {test: event.annotations for test, event in heard.finals.items() if isinstance(event, TestResult)}
    assert notes["tests/test_kinds.py::test_skip"] == (("skip", "not today"),)
    assert notes["tests/test_kinds.py::test_xfail"] == (("xfail", "bug 7"),)
    assert notes["tests/test_kinds.py::test_xpass"] == (("xpass", "bug 8"),)
    assert notes["tests/test_module_skip.py"] == (("skip", "only on Mondays"),)
    assert "no_such_module_at_all" in notes["tests/test_import_or_skip.py"][0][1]
