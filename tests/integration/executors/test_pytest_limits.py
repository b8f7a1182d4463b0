"""pytest under limits: whatever hangs is found, named with its place, ended, and costs no other test anything."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_suites import EXECUTOR, Heard, suite

from resit.domain.events import Log
from resit.domain.plan import PlannedTest
from resit.plugin import Batch, CollectionFailed, ExecutorError, Limits
from resit.testing.executors import MARK, survivors

STALL = 0.8
WORDS = "no sign of life for 0.8 s: its process was ended (stall limit; what is silent for longer needs a higher one)"
START = 2.5
AT_START = WORDS.replace("0.8 s", "2.5 s")
XDIST = "addopts = -p xdist.plugin -n 2"


@pytest.fixture(autouse=True)
def short_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """What hangs before the first test is waited for longer."""
    monkeypatch.setattr("resit.executors.watch.START_SECONDS", START)


def carry_out(
    tmp_path: Path, files: Mapping[str, str], *tests: str, ini: str = "", limits: Limits | None = None
) -> tuple[Heard, float]:
    """What came of a batch under limits, and how long it took; nothing of it is left."""
    where = suite(tmp_path, files, ini)
    mark = tmp_path.name
    where = replace(where, env={**where.env, MARK: mark})
    planned = tuple(PlannedTest(test, test.partition("::")[0], (test,)) for test in tests)
    heard = Heard()

    async def main() -> None:
        session = await EXECUTOR.open(where, 1)
        async with asyncio.timeout(50):
            heard.end = await session.run(Batch(1, planned, limits or Limits(stall=STALL)), 0, heard.events.append)
        await session.close()

    began = time.monotonic()
    asyncio.run(main())
    assert set(heard.finals) == set(tests)
    assert survivors(mark) == []
    return heard, time.monotonic() - began


def why(heard: Heard, test: str) -> str:
    (failure,) = heard.result(test).failures
    return failure.message


def test_a_test_that_hangs_costs_only_itself(tmp_path: Path) -> None:
    text = """
        import threading
        def wait(): threading.Event().wait()
        def test_1(): pass
        def test_2(): wait()
        def test_3(): pass
        def test_4(): wait()
        def test_5(): pass
        """
    names = [f"test_h.py::test_{n}" for n in range(1, 6)]
    heard, took = carry_out(tmp_path, {"test_h.py": text}, *names)
    assert list(heard.said.values()) == ["passed", "errored", "passed", "errored", "passed"]
    (failure,) = heard.result(names[1]).failures
    assert failure.message.startswith(f"{WORDS}; it hung in ")
    assert failure.message.endswith("(wait), under test_h.py:3 (wait)")
    assert failure.location == "test_h.py:3"
    assert 'test_h.py", line 5 in test_2' in failure.stack
    assert 'test_h.py", line 5 in test_2' in heard.log
    assert "most recent call first" in heard.log
    assert not heard.end.problems
    print(f"two hangs: {took:.1f} s")
    assert took < 20


@pytest.mark.parametrize(
    "stubborn",
    [
        "signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(600)",
        "os.kill(os.getpid(), signal.SIGSTOP); time.sleep(600)",
        # Blocked in C with the lock of the interpreter held: no handler of Python's ever runs.
        "re.match(r'(a+)+$', 'a' * 60 + 'b')",
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); time.sleep(600)",
    ],
)
def test_a_process_that_does_not_listen_is_killed(tmp_path: Path, stubborn: str) -> None:
    text = f"import os, re, signal, time\ndef test_1(): {stubborn}\ndef test_2(): pass\n"
    heard, took = carry_out(tmp_path, {"test_s.py": text}, "test_s.py::test_1", "test_s.py::test_2")
    assert heard.said == {"test_s.py::test_1": "errored", "test_s.py::test_2": "passed"}
    assert why(heard, "test_s.py::test_1").startswith(WORDS)
    assert took < STALL + 9


def test_output_and_results_are_signs_of_life(tmp_path: Path) -> None:
    text = """
        import pytest, time
        def test_prints():
            for _ in range(8):
                time.sleep(0.25)
                print(".", end="", flush=True)
        @pytest.mark.parametrize("n", range(6))
        def test_quick(n): time.sleep(0.4)
        """
    names = ["test_p.py::test_prints", *(f"test_p.py::test_quick[{n}]" for n in range(6))]
    heard, _ = carry_out(tmp_path, {"test_p.py": text}, *names, ini="addopts = -s")
    assert set(heard.said.values()) == {"passed"}
    assert Log("") in heard.events  # half a line is no event: the worker must hear of it all the same


def test_a_test_that_prints_for_ever_is_over_the_batch_limit(tmp_path: Path) -> None:
    text = """
        import time
        def test_1(): pass
        def test_2():
            while True: print("still here", flush=True); time.sleep(0.05)
        def test_3(): pass
        """
    names = [f"test_p.py::test_{n}" for n in (1, 2, 3)]
    limits = Limits(stall=5, total=1.5)
    heard, took = carry_out(tmp_path, {"test_p.py": text}, *names, ini="addopts = -s", limits=limits)
    assert list(heard.said.values()) == ["passed", "errored", "DidNotRun"]
    words = "the batch took more than 1.5 s: its process was ended (batch limit; what needs longer needs a higher one)"
    assert why(heard, names[1]).startswith(f"{words}; it was in test_p.py:5 (test_2)")
    assert took < 1.5 + 5


def test_a_hang_while_a_module_is_imported(tmp_path: Path) -> None:
    files = {
        "test_a.py": "def test_1(): pass\n",
        "test_b.py": "import time\ntime.sleep(600)\ndef test_1(): pass\ndef test_2(): pass\n",
        "test_c.py": "def test_1(): pass\n",
    }
    names = ["test_a.py::test_1", "test_b.py::test_1", "test_b.py::test_2", "test_c.py::test_1"]
    heard, _ = carry_out(tmp_path, files, *names)
    assert list(heard.said.values()) == ["errored", "errored", "passed", "passed"]
    assert heard.said["test_a.py::test_1"] == heard.said["test_c.py::test_1"] == "passed"
    assert why(heard, names[1]) == f"{AT_START}; it hung in test_b.py:2 (<module>), while test_b.py was imported"


def test_a_death_while_a_module_is_imported_costs_that_module(tmp_path: Path) -> None:
    files = {
        "test_a.py": "def test_1(): pass\n",
        "test_b.py": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
        "test_c.py": "def test_1(): pass\n",
        "test_d.py": "import os\nos._exit(0)\n",
    }
    names = [f"test_{n}.py::test_1" for n in "abcd"]
    heard, _ = carry_out(tmp_path, files, *names)
    assert heard.said == dict(zip(names, ("passed", "errored", "passed", "errored"), strict=True))
    assert why(heard, names[1]) == "the test process died: signal SIGSEGV, while test_b.py was imported"
    assert why(heard, names[3]) == "the test process exited with code 0 (os._exit?), while test_d.py was imported"


@pytest.mark.parametrize("how", ["os._exit(1)", "time.sleep(600)"])
def test_a_conftest_of_a_folder(tmp_path: Path, how: str) -> None:
    files = {
        "a/test_a.py": "def test_1(): pass\n",
        "b/conftest.py": f"import os, time\n{how}\n",
        "b/test_b.py": "def test_1(): pass\n",
    }
    heard, _ = carry_out(tmp_path, files, "a/test_a.py::test_1", "b/test_b.py::test_1")
    assert heard.said == {"a/test_a.py::test_1": "passed", "b/test_b.py::test_1": "errored"}


def test_a_hang_in_the_conftest_of_all(tmp_path: Path) -> None:
    files = {"conftest.py": "import time\ntime.sleep(600)\n", "test_a.py": "def test_1(): pass\n"}
    heard, _ = carry_out(tmp_path, files, "test_a.py::test_1")
    assert why(heard, "test_a.py::test_1") == f"{AT_START}; it hung in conftest.py:2 (<module>), before its first test"


def test_a_session_fixture_that_hangs_is_not_waited_for_by_each_test(tmp_path: Path) -> None:
    text = """
        import pytest, threading
        @pytest.fixture(scope="session")
        def server():
            lock = threading.Lock()
            lock.acquire(); lock.acquire()
        @pytest.mark.parametrize("n", range(20))
        def test_x(server, n): pass
        """
    names = [f"test_f.py::test_x[{n}]" for n in range(20)]
    heard, _ = carry_out(tmp_path, {"test_f.py": text}, *names, limits=Limits(stall=0.6))
    assert list(heard.said.values()).count("errored") == 5
    assert list(heard.said.values()).count("DidNotRun") == 15
    assert "test_f.py:6 (server)" in why(heard, names[0])
    assert "5 processes in a row hung" in getattr(heard.finals[names[-1]], "reason", "")


def test_a_teardown_that_hangs_errs_the_last_test(tmp_path: Path) -> None:
    text = """
        import pytest, time
        @pytest.fixture(scope="session")
        def server():
            yield
            time.sleep(600)
        def test_1(server): pass
        def test_2(server): pass
        """
    heard, _ = carry_out(tmp_path, {"test_t.py": text}, "test_t.py::test_1", "test_t.py::test_2")
    assert heard.said == {"test_t.py::test_1": "passed", "test_t.py::test_2": "errored"}
    assert "it hung in test_t.py:6 (server)" in why(heard, "test_t.py::test_2")


def test_a_process_that_does_not_end_is_a_problem(tmp_path: Path) -> None:
    text = """
        import threading, time
        def test_1(): threading.Thread(target=time.sleep, args=(600,)).start()
        """
    heard, _ = carry_out(tmp_path, {"test_t.py": text}, "test_t.py::test_1")
    assert heard.said == {"test_t.py::test_1": "passed"}
    (problem,) = heard.end.problems
    assert problem.startswith(WORDS)
    assert "after its last test" in problem
    assert "line 2 in test_1" not in problem
    assert "_shutdown" in problem


def test_one_worker_of_xdist_hangs(tmp_path: Path) -> None:
    text = """
        import time, pytest
        def test_hangs(): time.sleep(600)
        @pytest.mark.parametrize("n", range(6))
        def test_x(n): pass
        """
    names = ["test_x.py::test_hangs", *(f"test_x.py::test_x[{n}]" for n in range(6))]
    heard, _ = carry_out(tmp_path, {"test_x.py": text}, *names, ini=XDIST, limits=Limits(stall=2))
    assert heard.said == {name: "errored" if name == names[0] else "passed" for name in names}
    assert why(heard, names[0]).endswith("it hung in test_x.py:3 (test_hangs)")


def test_a_deadlocked_run_of_xdist(tmp_path: Path) -> None:
    """The controller waits for a worker that was stopped for ever."""
    text = """
        import os, signal, pytest
        def test_stops(): os.kill(os.getpid(), signal.SIGSTOP)
        @pytest.mark.parametrize("n", range(4))
        def test_x(n): pass
        """
    names = ["test_x.py::test_stops", *(f"test_x.py::test_x[{n}]" for n in range(4))]
    heard, _ = carry_out(tmp_path, {"test_x.py": text}, *names, ini=XDIST, limits=Limits(stall=2))
    assert heard.said == {name: "errored" if name == names[0] else "passed" for name in names}
    assert why(heard, names[0]).startswith("no sign of life for 2 s")


def test_a_child_that_holds_the_pipe_holds_nothing_up(tmp_path: Path) -> None:
    text = """
        import subprocess
        def test_1(): subprocess.Popen(["sh", "-c", "trap '' INT TERM; sleep 600"], start_new_session=True)
        """
    heard, took = carry_out(tmp_path, {"test_c.py": text}, "test_c.py::test_1", limits=Limits(stall=30))
    assert heard.said == {"test_c.py::test_1": "passed"}
    assert took < 10


def test_a_listing_that_hangs_says_where(tmp_path: Path) -> None:
    where = suite(tmp_path, {"test_b.py": "import time\ntime.sleep(600)\n", "test_a.py": "def test_1(): pass\n"})
    where = replace(where, limits=Limits(stall=STALL), env={**where.env, MARK: tmp_path.name})
    with pytest.raises(CollectionFailed) as caught:
        asyncio.run(EXECUTOR.list(where, lambda _: None))
    first = str(caught.value).splitlines()[0]
    assert first == f"pytest could not list the tests: {AT_START}; it hung in test_b.py:2 (<module>)"
    assert survivors(tmp_path.name) == []


def test_a_listing_that_goes_on_for_ever_is_over_its_limit(tmp_path: Path) -> None:
    where = suite(
        tmp_path, {"test_b.py": "import time\nwhile True: print('x', flush=True); time.sleep(0.1)\n"}, "addopts = -s"
    )
    where = replace(where, limits=Limits(stall=5, total=1.2))
    with pytest.raises(CollectionFailed, match=r"the listing took more than 1\.2 s: its process was ended"):
        asyncio.run(EXECUTOR.list(where, lambda _: None))


def test_a_worker_that_was_stopped_itself_blames_nobody(tmp_path: Path) -> None:
    """A machine that slept, a worker that got SIGSTOP: it heard nothing, which says nothing of the tests."""
    text = "import time\ndef test_1(): time.sleep(2.5)\n"
    where = suite(tmp_path, {"test_w.py": text})
    heard = Heard()

    async def main() -> None:
        session = await EXECUTOR.open(where, 1)
        batch = Batch(1, (PlannedTest("test_w.py::test_1", "test_w.py", ("test_1",)),), Limits(stall=2))
        running = asyncio.create_task(session.run(batch, 0, heard.events.append))
        while not any(not isinstance(event, Log) for event in heard.events):
            await asyncio.sleep(0.02)
        time.sleep(2.2)  # the whole event loop stands still
        heard.end = await running
        await session.close()

    asyncio.run(main())
    assert heard.said == {"test_w.py::test_1": "passed"}


def test_a_python_that_hangs_is_no_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = suite(tmp_path, {})
    python = where.workdir / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nsleep 600\n")
    python.chmod(0o755)
    monkeypatch.setattr("resit.executors.pytest_command._PROBE_SECONDS", 0.5)
    with pytest.raises(ExecutorError, match=r"did not import pytest within 0.5 s: it hangs"):
        asyncio.run(EXECUTOR.list(where, lambda _: None))


def test_when_a_batch_is_cancelled_its_processes_end_politely(tmp_path: Path) -> None:
    text = """
        import pathlib, time
        def test_1():
            try: time.sleep(600)
            finally: pathlib.Path("cleaned").touch()
        """
    where = suite(tmp_path, {"test_w.py": text})
    where = replace(where, env={**where.env, MARK: tmp_path.name})
    heard = Heard()

    async def main() -> float:
        session = await EXECUTOR.open(where, 1)
        batch = Batch(1, (PlannedTest("test_w.py::test_1", "test_w.py", ("test_1",)),))
        running = asyncio.create_task(session.run(batch, 0, heard.events.append))
        while not any(not isinstance(event, Log) for event in heard.events):
            await asyncio.sleep(0.02)
        began = time.monotonic()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        took = time.monotonic() - began
        await session.close()
        return took

    assert asyncio.run(main()) < 5
    assert (where.workdir / "cleaned").exists()
    assert survivors(tmp_path.name) == []
