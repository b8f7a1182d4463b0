"""The pytest executor on real suites: every planned test ends exactly once, and as pytest itself judges it."""

import asyncio
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
from _pytest.junitxml import mangle_test_address
from pytest_suites import EXECUTOR, Heard, listing, run, suite

from resit.domain.events import DidNotRun, NotFound, TestResult, TestStarted
from resit.domain.plan import PlannedTest
from resit.plugin import Batch, BatchEnd, CollectionFailed, ExecutorError, NotASuite, Suite


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
    assert (found.lanes, found.shares_process, found.approximate) == (1, True, False)
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


def test_awkward_ids_each_select_exactly_themselves(tmp_path: Path) -> None:
    values = [
        "a b", " lead", "x::y", "[z]", "]", "it's", 'say "hi"', "back\\slash", "a/b", "é", "日本", "new\nline", "",
        "-k", "-k not", "@x", "#", "$HOME", "a*", "?", "%s", "tab\t", "\x00", "a", "a", "ab", "A", "{}", "a,b", "a=b",
        "~",
    ]  # fmt: skip
    where = suite(
        tmp_path,
        {
            "tests/with blank [x]/test_odd é.py": f"""
                import pytest

                @pytest.mark.parametrize("v", {values!r})
                def test_it(v): pass

                @pytest.mark.parametrize("n", [1, 1.0, None, object()])
                @pytest.mark.parametrize("v", ["x", "x"])
                def test_more(v, n): pass

                @pytest.mark.parametrize("v", [1, pytest.param(2, id=pytest.HIDDEN_PARAM)])
                def test_hidden(v): pass
                """
        },
    )
    tests = listing(where).tests
    assert len({test.id for test in tests}) == len(values) + 8 + 2
    half = tests[::2]
    heard = run(where, half)
    assert heard.said == {test.id: "passed" for test in half}
    rest = [test for test in tests if test not in half]
    assert run(where, rest).said == {test.id: "passed" for test in rest}


def test_only_needed_files_are_imported_and_plugins_have_their_say(tmp_path: Path) -> None:
    where = suite(
        tmp_path,
        {
            "conftest.py": """
                def pytest_collection_modifyitems(items, config):
                    items.sort(key=lambda item: item.name, reverse=True)
                    items.append(items[0])  # one test twice
                """,
            "tests/test_a.py": "def test_1(): pass\ndef test_2(): pass\ndef test_20(): pass\n",
            "tests/other/conftest.py": "print('conftest of the others')\n",
            "tests/other/test_b.py": "raise SystemError('not needed')\n",
        },
    )
    heard = run(where, ["tests/test_a.py::test_2", "tests/test_a.py::test_1"])
    assert list(heard.said.items()) == [("tests/test_a.py::test_2", "passed"), ("tests/test_a.py::test_1", "passed")]
    assert heard.end.problems == ()
    assert "2 passed" in heard.log


def test_deleted_and_unstable_tests_are_not_found_while_the_rest_runs(tmp_path: Path) -> None:
    where = suite(
        tmp_path,
        {
            "tests/test_a.py": """
                import pytest
                def test_here(): pass
                @pytest.mark.parametrize("when", ["12:01"])
                def test_now(when): pass
                """,
        },
    )
    heard = run(
        where,
        [
            "tests/test_a.py::test_here",
            "tests/test_a.py::test_gone",
            "tests/test_a.py::test_now[12:00]",
            "tests/test_away.py::test_x",
            "tests/test_a.py",
        ],
    )
    assert Counter(heard.said.values()) == {"passed": 1, "NotFound": 4}
    reasons = {test: event.reason for test, event in heard.finals.items() if isinstance(event, NotFound)}
    assert reasons["tests/test_a.py::test_gone"] == "planned, but not collected"
    assert "unstable id? Collected now: tests/test_a.py::test_now[12:01]" in reasons["tests/test_a.py::test_now[12:00]"]
    assert "tests/test_away.py" in reasons["tests/test_away.py::test_x"]
    assert heard.end.problems == ()

    only_gone = run(where, ["tests/test_a.py::test_gone"])
    assert only_gone.said == {"tests/test_a.py::test_gone": "NotFound"}
    assert only_gone.end.problems == ()


def test_reruns_are_tries_of_which_the_last_one_counts(tmp_path: Path) -> None:
    files = {
        "test_r.py": """
            import pytest
            tries = {"flaky": 0, "setup": 0, "teardown": 0}

            def test_flaky():
                tries["flaky"] += 1
                print("try", tries["flaky"])
                assert tries["flaky"] == 3

            def test_hopeless(): assert 0
            def test_good(): pass

            @pytest.fixture
            def shaky():
                tries["setup"] += 1
                assert tries["setup"] == 2
            def test_shaky(shaky): pass

            @pytest.fixture
            def wobbly():
                yield
                tries["teardown"] += 1
                assert tries["teardown"] == 2
            def test_wobbly(wobbly): pass
            """
    }
    where = suite(tmp_path, files, "addopts = -p pytest_rerunfailures --reruns 2")
    names = ("flaky", "hopeless", "good", "shaky", "wobbly")
    heard = run(where, [f"test_r.py::test_{name}" for name in names])
    told = {
        name: [(try_.retry, str(try_.status), try_.final) for try_ in heard.tries(f"test_r.py::test_{name}")]
        for name in names
    }
    assert told == {
        "flaky": [(0, "failed", False), (1, "failed", False), (2, "passed", True)],
        "hopeless": [(0, "failed", False), (1, "failed", False), (2, "failed", True)],
        "good": [(0, "passed", True)],
        "shaky": [(0, "errored", False), (1, "passed", True)],
        "wobbly": [(0, "errored", False), (1, "passed", True)],
    }
    outputs = [Path(try_.attachments[0].path).read_text() for try_ in heard.tries("test_r.py::test_flaky")]
    assert outputs == ["try 1\n", "try 2\n", "try 3\n"]
    starts = [event.retry for event in heard.events if isinstance(event, TestStarted) and "flaky" in event.test]
    assert starts == [0, 1, 2]
    assert as_junit(heard) == junit(where)


def test_xdist_in_the_suites_own_options(tmp_path: Path) -> None:
    where = suite(
        tmp_path,
        {
            "test_x.py": """
                import os, pytest
                @pytest.mark.parametrize("n", range(4))
                def test_n(n):
                    print("in a worker")
                    assert "RESIT_PYTEST" not in os.environ
                    assert os.environ["PYTEST_XDIST_WORKER"]
                    assert n != 2
                @pytest.mark.xdist_group("g")
                def test_grouped(): pass
                def test_unplanned(): pass
                def test_parts(subtests):
                    with subtests.test("part"): assert 0
                """,
            "test_skipped.py": "import pytest\npytest.skip('all of it', allow_module_level=True)\n",
        },
        "addopts = -p xdist -n 2 --dist loadgroup",
    )
    tests = [test for test in listing(where).tests if "unplanned" not in test.id]
    heard = run(where, [*tests, "test_x.py::test_gone"])
    assert heard.said == {
        "test_x.py::test_n[0]": "passed",
        "test_x.py::test_n[1]": "passed",
        "test_x.py::test_n[2]": "failed",
        "test_x.py::test_n[3]": "passed",
        "test_x.py::test_grouped": "passed",
        "test_x.py::test_parts": "failed",
        "test_x.py::test_gone": "NotFound",
        "test_skipped.py": "skipped",
    }
    assert heard.result("test_x.py::test_parts").failures[0].message.startswith("subtest [part]")
    assert heard.end.problems == ()


def test_a_worker_of_xdist_that_dies_is_replaced(tmp_path: Path) -> None:
    text = "import os\ndef test_1(): pass\ndef test_2(): os.kill(os.getpid(), 9)\ndef test_3(): pass\n"
    where = suite(tmp_path, {"test_x.py": text}, "addopts = -p xdist -n 1")
    heard = run(where, [f"test_x.py::test_{n}" for n in (1, 2, 3)])
    assert heard.said == {"test_x.py::test_1": "passed", "test_x.py::test_2": "errored", "test_x.py::test_3": "passed"}
    assert "crashed while running" in heard.result("test_x.py::test_2").failures[0].message
    assert heard.end.problems == ()


def test_a_process_that_dies_takes_one_test_with_it(tmp_path: Path) -> None:
    where = suite(
        tmp_path,
        {
            "test_d.py": """
                import os, signal
                def test_1(): pass
                def test_2():
                    print("last words", flush=True)
                    os.write(2, b"to the terminal\\n")
                    os._exit(0)
                def test_3(): pass
                def test_4(): os.kill(os.getpid(), signal.SIGKILL)
                def test_5(): assert 0
                """
        },
    )
    heard = run(where, [f"test_d.py::test_{n}" for n in range(1, 6)])
    assert list(heard.said.values()) == ["passed", "errored", "passed", "errored", "failed"]
    messages = [heard.result(f"test_d.py::test_{n}").failures[0].message for n in (2, 4)]
    assert messages == [
        "the test process exited with code 0 in mid-run (os._exit?)",
        "the test process died: signal SIGKILL",
    ]
    assert heard.end.problems == ()


def test_death_before_the_first_test(tmp_path: Path) -> None:
    where = suite(
        tmp_path,
        {
            "test_d.py": """
                import os
                print("about to leave")
                os.write(2, b"bye\\n")
                os._exit(7)
                """
        },
        "addopts = -s",
    )
    heard = run(where, ["test_d.py::test_1", "test_d.py::test_2"])
    assert set(heard.said.values()) == {"errored"}
    (failure,) = heard.result("test_d.py::test_1").failures
    assert failure.message == "the test process exited with code 7 (os._exit?), while test_d.py was imported"
    assert "bye" in failure.stack


def test_an_internal_error_is_named_in_the_first_line(tmp_path: Path) -> None:
    # As where a plugin is missing: its hooks in conftest.py are unknown.
    files = {"conftest.py": "def pytest_nobody_knows(config): pass\n", "test_a.py": "def test_1(): pass\n"}
    where = suite(tmp_path, files)
    with pytest.raises(CollectionFailed) as caught:
        listing(where)
    first = str(caught.value).splitlines()[0]
    assert first.startswith("pytest could not list the tests (exit code 3). ")
    assert "PluginValidationError: unknown hook 'pytest_nobody_knows'" in first
    with pytest.raises(ExecutorError, match=r"^pytest failed \(exit code 3\): .*unknown hook 'pytest_nobody_knows'"):
        run(where, ["test_a.py::test_1"])


def test_a_broken_file_stops_the_batch_unless_the_suite_goes_on(tmp_path: Path) -> None:
    files = {
        "tests/test_a.py": "def test_1(): pass\n",
        "tests/test_b.py": "import no_such_thing\ndef test_2(): pass\n",
        "tests/test_c.py": "def f(:\n",
    }
    where = suite(tmp_path, files)
    with pytest.raises(CollectionFailed) as caught:
        listing(where)
    assert str(caught.value) == (
        "tests/test_b.py: ModuleNotFoundError: No module named 'no_such_thing' (and 1 more: tests/test_c.py)"
    )
    with pytest.raises(CollectionFailed, match=r"tests/test_b\.py: ModuleNotFoundError"):
        run(where, ["tests/test_a.py::test_1", "tests/test_b.py::test_2"])
    assert run(where, ["tests/test_a.py::test_1"]).said == {"tests/test_a.py::test_1": "passed"}

    (where.root / "pytest.ini").write_text("[pytest]\naddopts = --continue-on-collection-errors\n")
    heard = run(where, [*listing(where).tests, "tests/test_b.py::test_2"])
    assert heard.said == {
        "tests/test_a.py::test_1": "passed",
        "tests/test_b.py": "errored",
        "tests/test_b.py::test_2": "errored",
        "tests/test_c.py": "errored",
    }
    assert "could not be collected: ModuleNotFoundError" in heard.result("tests/test_b.py").failures[0].message


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("pass", ["passed", "errored", "DidNotRun"]),
        ("assert 0", ["failed", "errored", "DidNotRun"]),
    ],
)
def test_pytest_exit_leaves_no_test_without_an_end(tmp_path: Path, before: str, expected: list[str]) -> None:
    where = suite(
        tmp_path,
        {
            "test_e.py": f"""
                import pytest
                def test_1(): {before}
                def test_2(): pytest.exit("no more licences", returncode=0)
                def test_3(): pass
                """
        },
    )
    heard = run(where, [f"test_e.py::test_{n}" for n in (1, 2, 3)])
    assert [heard.said[f"test_e.py::test_{n}"] for n in (1, 2, 3)] == expected
    assert heard.result("test_e.py::test_2").failures[0].message == (
        "did not run to its end: pytest.exit: no more licences"
    )


def test_a_session_that_stops_for_no_failure_makes_the_rest_errored(tmp_path: Path) -> None:
    where = suite(
        tmp_path,
        {
            "conftest.py": """
                def pytest_runtest_logfinish(nodeid):
                    if nodeid.endswith("test_1"):
                        SESSION[0].shouldstop = "enough for today"
                SESSION = []
                def pytest_sessionstart(session): SESSION.append(session)
                """,
            "test_e.py": "def test_1(): pass\ndef test_2(): pass\n",
        },
    )
    heard = run(where, ["test_e.py::test_1", "test_e.py::test_2"])
    assert heard.said == {"test_e.py::test_1": "passed", "test_e.py::test_2": "errored"}
    assert heard.result("test_e.py::test_2").failures[0].message == "did not run: enough for today"


@pytest.mark.parametrize("options", ["-x", "-p xdist --maxfail=1 -n 1"])
def test_stopping_at_the_first_failure(tmp_path: Path, options: str) -> None:
    text = "import time\ndef test_1(): assert 0\n" + "".join(
        f"def test_{n}(): time.sleep(0.05)\n" for n in range(2, 12)
    )
    where = suite(tmp_path, {"test_x.py": text}, f"addopts = {options}")
    heard = run(where, [f"test_x.py::test_{n}" for n in range(1, 12)])
    assert heard.said["test_x.py::test_1"] == "failed"
    left = heard.finals["test_x.py::test_11"]
    assert left == DidNotRun("test_x.py::test_11", "stopping after 1 failures")
    assert heard.end.problems == ()


def test_what_no_test_explains_is_a_problem(tmp_path: Path) -> None:
    where = suite(
        tmp_path,
        {
            "conftest.py": """
                import os
                def pytest_sessionfinish(session):
                    print("coverage is too low")
                    if os.path.exists("die"):
                        os._exit(0)
                    session.exitstatus = 1
                """,
            "test_a.py": "def test_1(): pass\n",
        },
    )
    heard = run(where, ["test_a.py::test_1"])
    assert heard.said == {"test_a.py::test_1": "passed"}
    (problem,) = heard.end.problems
    assert problem.startswith("pytest ended with exit code 1, though no test failed\n")
    assert "coverage is too low" in problem

    (where.root / "die").touch()
    heard = run(where, ["test_a.py::test_1"])
    assert heard.said == {"test_a.py::test_1": "passed"}
    assert "exited with code 0 in mid-run (os._exit?), after its last test" in heard.end.problems[0]


def test_wrong_configuration(tmp_path: Path) -> None:
    where = suite(tmp_path, {"conftest.py": "import nothing_like_it\n", "test_a.py": "def test_1(): pass\n"})
    with pytest.raises(CollectionFailed, match="nothing_like_it"):
        listing(where)
    with pytest.raises(ExecutorError, match=r"wrong usage or configuration \(exit code 4\)[\s\S]*nothing_like_it"):
        run(where, ["test_a.py::test_1"])


def test_an_empty_suite_is_an_empty_listing(tmp_path: Path) -> None:
    assert listing(suite(tmp_path, {"nothing.py": ""})).tests == ()


def test_a_configuration_file_of_the_project(tmp_path: Path) -> None:
    files = {
        "ci/pytest.ini": "[pytest]\npython_files = check_*.py\ncache_dir = ours\n",
        "sub/check_a.py": "def test_1(pytestconfig): assert pytestconfig.inipath.parent.name == 'ci'\n",
        "sub/test_b.py": "raise SystemError\n",
    }
    where = suite(tmp_path, files, "addopts = --no-such-option", config="ci/pytest.ini")
    found = listing(where).tests
    assert [test.id for test in found] == ["sub/check_a.py::test_1"]
    assert run(where, found).said == {"sub/check_a.py::test_1": "passed"}
    assert not (where.root / "ours").exists()


def test_no_cache_plugin_and_strict_options(tmp_path: Path) -> None:
    where = suite(
        tmp_path,
        {"test_a.py": "def test_1(): pass\n"},
        """
        addopts = -p no:cacheprovider --strict-config --strict-markers
        filterwarnings = error
        """,
    )
    assert run(where, listing(where).tests).said == {"test_a.py::test_1": "passed"}


def test_an_environment_without_pytest(tmp_path: Path) -> None:
    where = suite(tmp_path, {"test_a.py": "def test_1(): pass\n", ".venv/bin/python": "#!/bin/sh\nexit 1\n"})
    (where.root / ".venv/bin/python").chmod(0o755)
    with pytest.raises(NotASuite, match=r"\.venv/bin/python can't import pytest.*--setup"):
        listing(where)
    (where.root / ".venv/bin/python").write_text("#!/bin/sh\necho pytest 6.2.5\n")
    with pytest.raises(NotASuite, match=r"has pytest 6\.2\.5; 7\.0 or later is needed"):
        listing(where)


def test_the_working_directory_is_not_importable_as_with_the_command(tmp_path: Path) -> None:
    where = suite(
        tmp_path,
        {
            "pytest.py": "raise SystemError('not the framework')\n",
            "json.py": "raise SystemError('not the library')\n",
            "tests/test_a.py": """
                import json, os, sys
                import pytest
                def test_path():
                    assert os.getcwd() not in sys.path and "" not in sys.path
                    assert os.path.basename(sys.argv[0]) == "pytest"
                    assert not [name for name in os.environ if name.startswith("RESIT_PYTEST")]
                    with pytest.raises(ImportError):
                        import beside
                """,
            "beside.py": "",
        },
    )
    assert run(where, ["tests/test_a.py::test_path"]).said == {"tests/test_a.py::test_path": "passed"}


def test_a_pytest_inside_a_test_sees_nothing_of_us(tmp_path: Path) -> None:
    where = suite(
        tmp_path,
        {
            "conftest.py": "pytest_plugins = ['pytester']\n",
            "test_nested.py": """
                import os, pytest
                @pytest.mark.parametrize("way", ["inprocess", "subprocess"])
                def test_nested(pytester, way):
                    pytester.makepyfile(test_inner="def test_inner(): assert 0\\ndef test_nested(): pass")
                    result = getattr(pytester, "runpytest_" + way)()
                    result.assert_outcomes(passed=1, failed=1)
                    assert "resit" not in result.stdout.str()
                def test_fork():
                    pid = os.fork()
                    if pid == 0:
                        return  # a child that goes on as if it were us
                    os.waitpid(pid, 0)
                def test_closes_files():
                    spools = [f for f in os.listdir("/proc/self/fd")
                              if os.path.exists(f"/proc/self/fd/{f}")
                              and os.readlink(f"/proc/self/fd/{f}").endswith("spool.jsonl")]
                    assert spools
                    for f in spools:
                        os.close(int(f))
                    os.open(os.devnull, os.O_RDWR)
                def test_last(monkeypatch):
                    monkeypatch.setattr(os, "write", None)
                """,
        },
        "addopts = -p no:threadexception",
    )
    tests = listing(where).tests
    assert run(where, tests).said == {test.id: "passed" for test in tests}


@pytest.mark.skipif(sys.platform != "linux", reason="survivors are found through /proc")
def test_stop_ends_the_run_and_what_it_started(tmp_path: Path) -> None:
    where = suite(
        tmp_path,
        {
            "test_s.py": """
                import subprocess, time
                def test_1(): pass
                def test_2():
                    server = subprocess.Popen(["sleep", "60"], start_new_session=True)
                    with open("pid", "w") as file:
                        file.write(f"{server.pid}\\n")
                    time.sleep(60)
                def test_3(): pass
                """
        },
    )
    tests = tuple(PlannedTest(f"test_s.py::test_{n}", "test_s.py", ("t",)) for n in (1, 2, 3))
    heard = Heard()
    pid = where.root / "pid"

    async def main() -> None:
        session = await EXECUTOR.open(where, 1)
        running = asyncio.create_task(session.run(Batch(1, tests), 0, heard.events.append))
        async with asyncio.timeout(20):
            while not (pid.exists() and pid.read_text().endswith("\n")):
                await asyncio.sleep(0.02)
            began = time.monotonic()
            await session.stop()
            heard.end = await running
            assert time.monotonic() - began < 5
            while Path(f"/proc/{pid.read_text().strip()}").exists():
                await asyncio.sleep(0.02)
        assert await session.run(Batch(2, tests), 0, heard.events.append) == BatchEnd()

    asyncio.run(main())
    assert heard.said == {"test_s.py::test_1": "passed", "test_s.py::test_2": "interrupted"}
    assert [event.test for event in heard.events if isinstance(event, TestStarted)][-1] == "test_s.py::test_2"
