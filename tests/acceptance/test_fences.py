"""Two workers and one batch: only one of them holds it, and the other one notices."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from black_box import Resit, Suites, alive, lines, pids, until
from test_death import AS_USUAL, SUITE, Own, begin, go, outcomes, sound


@contextmanager
def second_worker(resit: Resit) -> Iterator[int]:
    """One more worker of the same server, with a folder of its own; its pid."""
    settings = json.loads((resit.data / "worker.json").read_text())
    path = resit.folder / "second.json"
    path.write_text(json.dumps({**settings, "folder": str(resit.folder / "second"), "parent": 0}))
    path.chmod(0o600)
    argv = [sys.executable, "-m", "resit.bootstrap.worker", str(path)]
    with (resit.folder / "second.log").open("ab") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        yield process.pid
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


def test_a_worker_that_was_stopped_notices_that_its_batch_is_somebody_elses(own: Own, suite: Suites, log: Path) -> None:
    resit = own(slots=1)
    run, first = begin(resit, suite(SUITE), log)
    worker = resit.worker
    os.kill(worker, signal.SIGSTOP)
    began = time.monotonic()
    try:
        with second_worker(resit):
            until(lambda: lines(log).count("2") == 2, "the batch goes on elsewhere", 40)
            print(f"elsewhere after {time.monotonic() - began:.1f} s")
            assert time.monotonic() - began < 12 + 8  # the second worker has to start, too
            assert alive(first)  # nobody could tell it anything
            os.kill(worker, signal.SIGCONT)
            woken = time.monotonic()
            until(lambda: not alive(first), "the end of the first attempt", 10)
            print(f"the first attempt ended {time.monotonic() - woken:.1f} s after its worker went on")
            assert resit.run(run)["status"] == "running"
            go(log)
            assert resit.end(run)["verdict"] == "failed"
            assert outcomes(resit, run) == AS_USUAL
            sound(resit, run)
            # What the first attempt still said is kept, and does not count.
            third = list(resit.tests(run).values())[2]
            assert [(found["attempt"], found["counted"]) for found in third["results"]] == [(1, False), (2, True)]
            assert third["results"][0]["status"] == "interrupted"
    finally:
        os.kill(worker, signal.SIGCONT)


def test_a_worker_that_can_not_prepare_a_run_leaves_it_to_others(own: Own, suite: Suites) -> None:
    resit = own(slots=1)
    where = suite({"test_it.py": "def test_a(): pass\n", "requirements.txt": "one\n"})
    name = f"-{resit.worker}"
    bad = resit.folder / "bad"
    setup = f'case "$RESIT_WORKER" in *"$(cat {bad} 2>/dev/null || echo none)") echo no disk here; exit 3;; esac'
    slug = resit.project(where, setup=setup)
    source = resit.execute(slug)
    assert source["verdict"] == "passed"
    # From now on the first worker can't; a re-run needs no listing, so its shard is the first to see it.
    bad.write_text(name)
    (where / "requirements.txt").write_text("two\n")
    began = time.monotonic()
    alone = resit.end(resit.rerun(source["id"]))
    print(f"alone: errored after {time.monotonic() - began:.1f} s")
    assert (alone["verdict"], alone["error"]["code"]) == ("failed", "setup_failed")
    assert "no disk here" in alone["error"]["message"]
    with second_worker(resit):
        again = resit.rerun(source["id"])
        began = time.monotonic()
        assert resit.end(again)["verdict"] == "passed"
        print(f"passed by another worker after {time.monotonic() - began:.1f} s")


def test_nothing_of_a_killed_worker_survives(own: Own, suite: Suites, tmp_path: Path) -> None:
    """Its test processes die with it; what they started is found by the worker that takes its place."""
    text = """
        import os, subprocess, sys, time
        def test_it():
            stubborn = "trap '' INT TERM; while :; do sleep 1; done"
            server = subprocess.Popen(["sh", "-c", stubborn], start_new_session=True)
            daemon = subprocess.run(["sh", "-c", "setsid sleep 600 >/dev/null 2>&1 & echo $!"], capture_output=True)
            with open(os.environ["PIDS"], "w") as file:
                file.write(f"{os.getpid()} {server.pid} {int(daemon.stdout)}\\n")
            time.sleep(600)
        """
    resit = own()
    run = resit.trigger(resit.project(suite(text)), variables={"PIDS": str(tmp_path / "pids")})
    running = pids(tmp_path / "pids", 3)
    os.kill(resit.worker, signal.SIGKILL)
    began = time.monotonic()
    until(lambda: not any(alive(pid) for pid in running), "the end of everything", 15)
    print(f"nothing left after {time.monotonic() - began:.1f} s")
    resit.post(f"/runs/{run}/cancel")
