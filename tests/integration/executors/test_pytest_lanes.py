"""Lanes of pytest: several processes that have collected once pull the tests of all batches."""

import asyncio
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_suites import EXECUTOR, Heard, listing, run, suite

from resit.domain.events import DidNotRun, TestStarted
from resit.domain.plan import PlannedTest
from resit.executors.pytest_lanes import LanesSession
from resit.plugin import Batch, Limits, Session, Suite

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")

FILES = {
    "conftest.py": """
        import os, pathlib, pytest
        @pytest.fixture(scope="session")
        def dear():
            pathlib.Path("dear").open("a").write(f"{os.getpid()} up\\n")
            yield os.getpid()
            pathlib.Path("dear").open("a").write(f"{os.getpid()} down\\n")
        """,
    **{
        f"test_{name}.py": """
            import os, time, pytest
            with open("imported", "a") as file:
                file.write("x")
            @pytest.mark.parametrize("n", range(5))
            def test_n(n, dear, tmp_path, record_property):
                assert dear == os.getpid()
                record_property("pid", os.getpid())
                record_property("tmp", str(tmp_path.parent))
                (tmp_path / "mine").write_text("")
                print("printed by", n)
                time.sleep(0.05)
            class TestC:
                seen = []
                @pytest.mark.parametrize("n", range(3))
                def test_in_order(self, n):
                    self.seen.append(n)
                    assert self.seen == list(range(n + 1))
            """
        for name in "abcd"
    },
}


def many(count: int, seconds: float) -> str:
    """A file with tests that wait."""
    mark = f"@pytest.mark.parametrize('n', range({count}))"
    return f"import pytest, time\n{mark}\ndef test_n(n): time.sleep({seconds})\n"


def pids(heard: Heard) -> dict[str, str]:
    """Which process executed a test."""
    return {test: dict(heard.result(test).annotations).get("pid", "") for test in heard.finals}


def test_lanes_are_forks_of_one_process_that_has_collected(tmp_path: Path) -> None:
    where = suite(tmp_path, FILES)
    tests = listing(where).tests
    (where.workdir / "imported").unlink()
    heard = run(where, tests, lanes=3)
    assert heard.said == {test.id: "passed" for test in tests}
    assert heard.end.problems == ()
    assert (where.workdir / "imported").read_text() == "xxxx", "each file is imported once"
    found = set(pids(heard).values()) - {""}
    assert len(found) == 3
    dear = (where.workdir / "dear").read_text().split("\n")[:-1]
    assert sorted(dear) == sorted(f"{pid} {word}" for pid in found for word in ("up", "down"))
    folders = {dict(heard.result(test.id).annotations).get("tmp") for test in tests} - {None}
    assert len(folders) == 3
    for test in tests:
        if "test_n" in test.id:
            assert "printed by" in heard.result(test.id).stdout
    assert heard.log.count(" passed in ") == 3


def test_a_class_stays_together_and_functions_may_run_apart(tmp_path: Path) -> None:
    where = suite(
        tmp_path,
        {
            "test_a.py": """
                import pytest, unittest
                def test_free(): pass
                class TestOne:
                    def test_1(self): pass
                    class TestInner:
                        def test_2(self): pass
                class TestUnit(unittest.TestCase):
                    def test_3(self): pass
                @pytest.mark.xdist_group("db")
                def test_4(): pass
                """,
            "test_b.py": """
                import pytest
                @pytest.mark.order(1)
                def test_1(): pass
                def test_2(): pass
                """,
        },
    )
    found = {test.title_path[-1] + test.file: (test.unit, test.apart) for test in listing(where).tests}
    assert found == {
        "test_freetest_a.py": ("", True),
        "test_1test_a.py": ("test_a.py::TestOne", True),
        "test_2test_a.py": ("test_a.py::TestOne", True),
        "test_3test_a.py": ("test_a.py::TestUnit", True),
        "test_4test_a.py": ("@db", True),
        "test_1test_b.py": ("", False),
        "test_2test_b.py": ("", False),
    }
    whole = suite(tmp_path / "whole", {"test_a.py": "def test_1(): pass"}, "addopts = -p xdist --dist loadfile -n 1")
    assert [(test.unit, test.apart) for test in listing(whole).tests] == [("", False)]
    assert not listing(whole).shares_process


def test_a_crash_costs_its_test_and_nothing_else(tmp_path: Path) -> None:
    files = {
        f"test_{name}.py": f"""
            import os, signal, pytest
            @pytest.mark.parametrize("n", range(6))
            def test_n(n):
                if n == 3:
                    {how}
            """
        for name, how in (("a", "os.kill(os.getpid(), signal.SIGSEGV)"), ("b", "os._exit(3)"), ("c", "pass"))
    }
    where = suite(tmp_path, files)
    tests = listing(where).tests
    heard = run(where, tests, lanes=2)
    bad = {"test_a.py::test_n[3]", "test_b.py::test_n[3]"}
    assert heard.said == {test.id: "errored" if test.id in bad else "passed" for test in tests}
    assert heard.result("test_a.py::test_n[3]").failures[0].message == "the test process died: signal SIGSEGV"
    assert "exited with code 3" in heard.result("test_b.py::test_n[3]").failures[0].message
    assert heard.end.problems == ()
    assert Counter(event.test for event in heard.events if isinstance(event, TestStarted)) == Counter(
        test.id for test in tests
    )


def test_a_test_that_hangs_is_ended_and_the_other_lane_goes_on(tmp_path: Path) -> None:
    where = suite(
        tmp_path,
        {
            "test_a.py": "import time\ndef test_1(): time.sleep(600)\ndef test_2(): pass\n",
            "test_b.py": many(8, 0.1),
        },
    )
    tests = listing(where).tests
    heard = Heard()

    async def main() -> None:
        session = await EXECUTOR.open(where, 2)
        heard.end = await session.run(Batch(1, tests, Limits(stall=1.5)), 0, heard.events.append)
        await session.close()

    began = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - began < 12
    assert heard.said == {test.id: "errored" if test.id == "test_a.py::test_1" else "passed" for test in tests}
    assert "it hung in test_a.py:2 (test_1)" in heard.result("test_a.py::test_1").failures[0].message


def test_the_limit_of_a_batch_leaves_other_batches_alone(tmp_path: Path) -> None:
    where = suite(
        tmp_path,
        {
            "test_a.py": "import time\ndef test_1(): time.sleep(600)\ndef test_2(): pass\n",
            "test_b.py": many(20, 0.2),
        },
    )
    tests = [replace(test, apart=False) for test in listing(where).tests]
    first, second = (tuple(t for t in tests if t.file == name) for name in ("test_a.py", "test_b.py"))
    heard = Heard(), Heard()

    async def main() -> None:
        session = await EXECUTOR.open(where, 2)
        heard[0].end, heard[1].end = await asyncio.gather(
            session.run(Batch(1, first, Limits(total=2)), 0, heard[0].events.append),
            session.run(Batch(2, second), 0, heard[1].events.append),
        )
        await session.close()

    asyncio.run(main())
    assert heard[0].said == {"test_a.py::test_1": "errored", "test_a.py::test_2": "DidNotRun"}
    assert "the batch took more than 2 s" in heard[0].result("test_a.py::test_1").failures[0].message
    assert heard[1].said == {test.id: "passed" for test in second}


def test_a_batch_that_is_cancelled_takes_no_other_with_it(tmp_path: Path) -> None:
    where = suite(
        tmp_path,
        {
            "test_a.py": "import time\ndef test_1(): time.sleep(600)\n",
            "test_b.py": many(9, 0.1),
        },
    )
    first, *second = listing(where).tests
    heard = Heard(), Heard()

    async def main() -> None:
        session = await EXECUTOR.open(where, 2)
        begun = asyncio.Event()

        def sink(event: object) -> None:
            if isinstance(event, TestStarted):
                begun.set()

        lost = asyncio.create_task(session.run(Batch(1, (first,)), 0, sink))
        other = asyncio.create_task(session.run(Batch(2, tuple(second)), 0, heard[1].events.append))
        await begun.wait()
        asked = time.monotonic()
        lost.cancel()
        await asyncio.wait([lost])
        assert time.monotonic() - asked < 5
        heard[1].end = await other
        await session.close()

    asyncio.run(main())
    assert heard[1].said == {test.id: "passed" for test in second}
    assert heard[1].end.problems == ()


def test_stopping_at_the_first_failure_stops_all_lanes(tmp_path: Path) -> None:
    files = {
        f"test_{n}.py": f"import time, pytest\n@pytest.mark.parametrize('n', range(8))\ndef test_n(n):\n"
        f"    time.sleep(0.1)\n    assert n or {n}\n"
        for n in range(3)
    }
    where = suite(tmp_path, files, "addopts = -x")
    heard = run(where, listing(where).tests, lanes=2)
    said = Counter(heard.said.values())
    assert said["failed"] == 1
    assert 0 < said["passed"] < 12
    assert said["DidNotRun"] == 24 - said["failed"] - said["passed"]
    assert {event.reason for event in heard.finals.values() if isinstance(event, DidNotRun)} == {
        "stopping after 1 failures"
    }
    assert heard.end.problems == ()


@pytest.mark.parametrize(
    ("conftest", "why"),
    [
        ("import threading, time\nthreading.Thread(target=time.sleep, args=(5,), daemon=True, name='ticker').start()\n",
         "threads were started at import: ticker"),
        ("import socket\nopen_now = socket.socket()\n", "a socket or an event loop was opened at import"),
        ("def pytest_sessionfinish(session):\n    open(f'finished-{session.testsfailed}', 'a').write('x')\n",
         "conftest has a pytest_sessionfinish"),
    ],
)  # fmt: skip
def test_what_speaks_against_forks(tmp_path: Path, conftest: str, why: str) -> None:
    """Each lane is a pytest of its own then, and ends as one."""
    where = suite(tmp_path, {**FILES, "conftest.py": conftest + FILES["conftest.py"].replace("\n        ", "\n")})
    tests = listing(where).tests
    (where.workdir / "imported").unlink()
    for left in where.workdir.glob("finished-*"):
        left.unlink()
    heard = run(where, tests, lanes=2)
    assert heard.said == {test.id: "passed" for test in tests}
    assert f"resit: each lane is a pytest of its own, as {why}" in heard.log
    assert len(set(pids(heard).values()) - {""}) == 2
    assert (where.workdir / "imported").read_text() == "x" * 8
    if "finish" in conftest:
        assert (where.workdir / "finished-0").read_text() == "xx"


def test_a_red_end_of_a_lane_is_a_problem(tmp_path: Path) -> None:
    where = suite(
        tmp_path,
        {
            "conftest.py": "def pytest_sessionfinish(session): session.exitstatus = 1\n",
            "test_a.py": "def test_1(): pass\ndef test_2(): pass\n",
        },
    )
    heard = run(where, listing(where).tests, lanes=2)
    assert set(heard.said.values()) == {"passed"}
    assert heard.end.problems
    assert "pytest ended with exit code 1" in heard.end.problems[0]


def test_a_session_fixture_that_fails_at_its_end_is_the_last_tests_error(tmp_path: Path) -> None:
    where = suite(
        tmp_path,
        {
            "conftest.py": """
                import pytest
                @pytest.fixture(scope="session", autouse=True)
                def dear():
                    yield
                    raise OSError("broke at the end")
                """,
            "test_a.py": "import time\ndef test_1(): time.sleep(0.2)\ndef test_2(): time.sleep(0.2)\n",
        },
    )
    heard = run(where, listing(where).tests, lanes=2)
    assert heard.said == {"test_a.py::test_1": "errored", "test_a.py::test_2": "errored"}


def test_several_batches_are_one_stream_of_work(tmp_path: Path) -> None:
    """The second one begins while the first one is under way, in the same processes."""
    where = suite(tmp_path, FILES)
    tests = [test for test in listing(where).tests if not test.unit]
    heard = [Heard(), Heard(), Heard()]

    async def main() -> None:
        session: Session = await EXECUTOR.open(where, 2)
        runs: list[asyncio.Task[object]] = []
        for number, found in enumerate(heard):
            batch = Batch(number + 1, tuple(tests[number::3]))
            runs.append(asyncio.create_task(session.run(batch, 0, found.events.append)))
            await asyncio.sleep(0)
            await session.hungry()
        await session.last()
        await asyncio.gather(*runs)
        await session.close()

    asyncio.run(main())
    for number, found in enumerate(heard):
        assert found.said == {test.id: "passed" for test in tests[number::3]}
    assert len({pid for found in heard for pid in pids(found).values()} - {""}) == 2


def test_death_of_the_host_takes_its_lanes_and_the_rest_goes_on(tmp_path: Path) -> None:
    where = suite(
        tmp_path,
        {
            "test_a.py": """
                import os, pathlib, signal, time
                def test_1():
                    if not pathlib.Path("killed").exists():
                        pathlib.Path("killed").touch()
                        os.kill(os.getppid(), signal.SIGKILL)
                        time.sleep(600)
                """,
            "test_b.py": many(6, 0.2),
        },
    )
    tests = listing(where).tests
    heard = run(where, tests, lanes=2)
    said = Counter(heard.said.values())
    assert 1 <= said["errored"] <= 2, "what was in flight"
    assert said["passed"] == len(tests) - said["errored"]


def test_stop_ends_lanes_politely(tmp_path: Path) -> None:
    where = suite(
        tmp_path,
        {
            "test_a.py": """
                import pathlib, pytest, time
                @pytest.fixture
                def thing(request):
                    yield
                    pathlib.Path("down-" + request.node.name).touch()
                def test_1(thing): time.sleep(600)
                def test_2(thing): time.sleep(600)
                """,
        },
    )
    tests = listing(where).tests
    heard = Heard()

    async def main() -> float:
        session = await EXECUTOR.open(where, 2)
        begun = asyncio.Semaphore(0)

        def sink(event: object) -> None:
            heard.events.append(event)  # type: ignore[arg-type]
            if isinstance(event, TestStarted):
                begun.release()

        running = asyncio.create_task(session.run(Batch(1, tests), 0, sink))
        for _ in tests:
            await begun.acquire()
        asked = time.monotonic()
        await session.stop()
        await running
        took = time.monotonic() - asked
        await session.close()
        return took

    assert asyncio.run(main()) < 5
    assert heard.said == {test.id: "interrupted" for test in tests}
    assert {path.name for path in where.workdir.glob("down-*")} == {"down-test_1", "down-test_2"}


@pytest.mark.parametrize("alone", [False, True])
def test_modules_that_are_skipped_or_broken(tmp_path: Path, alone: bool) -> None:
    """Each lane has heard of them, and is red at its end for one that is broken."""
    where = suite(
        tmp_path,
        {
            "conftest.py": "def pytest_unconfigure(): pass\n" if alone else "",
            "test_a.py": many(6, 0.1),
            "test_b.py": "import no_such_thing\n",
            "test_c.py": "import pytest\npytest.skip('not here', allow_module_level=True)\n",
        },
        "addopts = --continue-on-collection-errors",
    )
    tests = listing(where).tests
    heard = run(where, tests, lanes=2)
    assert heard.said == {test.id: "passed" for test in tests if test.file == "test_a.py"} | {
        "test_b.py": "errored",
        "test_c.py": "skipped",
    }
    assert heard.end.problems == ()


def test_a_loop_of_somebody_elses_gets_all_tests_at_once(tmp_path: Path) -> None:
    """Also when the listing could not say so: it was made elsewhere, or long ago."""
    conftest = """
        import pytest
        @pytest.hookimpl(tryfirst=True)
        def pytest_runtestloop(session):
            for item in reversed(session.items):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            return True
        """
    where = suite(tmp_path, {**FILES, "conftest.py": FILES["conftest.py"] + conftest})
    tests: tuple[PlannedTest, ...] = tuple(t for t in listing(where).tests if "TestC" not in t.id)
    assert not listing(where).shares_process
    assert run(where, tests).said == {test.id: "passed" for test in tests}

    async def main() -> Heard:
        found = Heard()
        session = LanesSession(await _command(where), 2)
        found.end = await session.run(Batch(1, tests), 0, found.events.append)
        await session.close()
        return found

    assert asyncio.run(main()).said == {test.id: "passed" for test in tests}


async def _command(where: Suite):
    from resit.executors.pytest_command import Command, Versions

    return await Command.find(where, Versions(), lambda _: None)


def test_no_descriptor_and_no_file_is_left(tmp_path: Path) -> None:
    where = suite(tmp_path, FILES)
    tests = listing(where).tests
    before = len(list(Path("/proc/self/fd").iterdir()))
    run(where, tests, lanes=2)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert not list(where.scratch.glob("lanes-*"))
