"""Chaos: a run of real tests, processes killed under it, and an account that must be true in the end.

The tests write a log of their own: ``start <test> <pid> <time>`` and ``end <test> <pid> <time>``. What Resit says is
held against that: every planned test is final, none counts twice, outcome and verdict are what the log says, and the
bounds of the failure table hold. How long things took is printed as a table.
"""

import contextlib
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from black_box import Resit, alive, until

FILES, EACH = 8, 6
SUITE = """
import os, pathlib, random, time, pytest
LOG = pathlib.Path(os.environ["LOG"])
def say(word, n):
    with LOG.open("a") as log: log.write(f"{word} {n} {os.getpid()} {time.time()}\\n")
@pytest.mark.parametrize("n", range(%d, %d))
def test_n(n):
    say("start", n)
    time.sleep(random.Random(n).uniform(0.05, 0.5))
    say("end", n)
    assert n %% 10 != 7
"""
"""A file of tests; every tenth fails."""
END_SECONDS = 90.0


def files() -> dict[str, str]:
    """The suite."""
    return {f"test_{n}.py": SUITE % (n * EACH, (n + 1) * EACH) for n in range(FILES)}


@dataclass(frozen=True, slots=True)
class Line:
    """What a test wrote."""

    word: str
    test: int
    pid: int
    at: float


def read(log: Path) -> list[Line]:
    """The whole lines of the log; one that a kill cut off is none."""
    found: list[Line] = []
    for line in (log.read_text() if log.exists() else "").splitlines():
        parts = line.split(" ")
        with contextlib.suppress(ValueError):
            if len(parts) == 4:
                found.append(Line(parts[0], int(parts[1]), int(parts[2]), float(parts[3])))
    return found


@dataclass
class Round:
    """What one fault did to one run."""

    fault: str
    seconds: float = 0.0
    """From the fault to the verdict."""
    pause: float = 0.0
    """From the fault to the next word of any test."""
    again: float = 0.0
    """From the fault until each test that was cut off had begun again."""
    twice: int = 0
    """Tests that were executed more than once; only those whose worker died may be."""
    lost: int = 0
    problems: list[str] = field(default_factory=list[str])

    def row(self) -> str:
        """A line of the table."""
        words = "; ".join(self.problems) or "true"
        return (
            f"{self.fault:<28} {self.pause:>6.1f} {self.again:>6.1f} {self.seconds:>7.1f} "
            f"{self.twice:>6} {self.lost:>5}  {words}"
        )


HEAD = f"{'fault':<28} {'pause':>6} {'again':>6} {'verdict':>7} {'twice':>6} {'lost':>5}  account (times in seconds)"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong. ``again``: seconds within which what was cut off goes on (architecture, section 4)."""

    name: str
    strike: Callable[[Any], None]
    again: float
    may_repeat: bool = True
    """False: nothing of the run's work dies, so no test is executed twice."""


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def kill_worker(resit: Resit) -> None:
    """SIGKILL of the worker; the server starts another one."""
    _kill(resit.worker)


def kill_server(resit: Resit) -> None:
    """SIGKILL of the control plane, with which its broker dies; started again at once, as systemd does it."""
    resit.kill()
    resit.start()


def kill_broker(resit: Resit) -> None:
    """SIGKILL of nats-server."""
    _kill(resit.broker)


def kill_worker_and_server(resit: Resit) -> None:
    """Both, at the same moment."""
    worker = resit.worker
    resit.kill()
    _kill(worker)
    resit.start()


def kill_worker_and_broker(resit: Resit) -> None:
    """Both, at the same moment."""
    worker, broker = resit.worker, resit.broker
    _kill(broker)
    _kill(worker)


def kill_all(resit: Resit) -> None:
    """The machine, so to speak: worker, control plane and broker."""
    worker, broker = resit.worker, resit.broker
    resit.kill()
    _kill(worker)
    _kill(broker)
    resit.start()


def delete_store(resit: Resit) -> None:
    """The broker dies and comes back without its store."""
    broker = resit.broker
    store = resit.data / "nats" / "store"
    os.kill(broker, signal.SIGSTOP)
    gone = store.with_name("gone")
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(gone)
    store.rename(gone)
    _kill(broker)
    shutil.rmtree(gone, ignore_errors=True)


def stop_worker(resit: Resit) -> None:
    """The worker hangs for longer than a lease and then goes on as if nothing had been."""
    worker = resit.worker
    os.kill(worker, signal.SIGSTOP)
    time.sleep(14)
    with contextlib.suppress(ProcessLookupError):
        os.kill(worker, signal.SIGCONT)


FAULTS = (
    Fault("worker killed", kill_worker, 12.0),
    Fault("control plane killed", kill_server, 12.0),
    Fault("broker killed", kill_broker, 12.0, may_repeat=False),
    Fault("worker + control plane", kill_worker_and_server, 16.0),
    Fault("worker + broker", kill_worker_and_broker, 16.0),
    Fault("all three", kill_all, 16.0),
    Fault("broker's store deleted", delete_store, 60.0),
    Fault("worker stopped for 14 s", stop_worker, 16.0),
)


def rounds(faults: Sequence[Fault], usual: Sequence[str]) -> list[Fault]:
    """The faults of these names; all of them where ``RESIT_CHAOS`` is set, as ``make chaos`` does."""
    return [fault for fault in faults if os.environ.get("RESIT_CHAOS") or fault.name in usual]


def strike(
    resit: Resit,
    suite: Path,
    log: Path,
    fault: Fault,
    chance: random.Random,
    shards: int = 2,
    slack: float = 0.0,
) -> Round:
    """One run under one fault, and the account of it. ``slack``: seconds that a machine with other work may add."""
    log.unlink(missing_ok=True)
    found = Round(fault.name)
    project = resit.project(suite, shards=shards)
    run = resit.trigger(project, variables={"LOG": str(log)})
    until(lambda: sum(line.word == "end" for line in read(log)) >= 3, "the first tests have run", 40)
    time.sleep(chance.uniform(0.0, 2.0))
    began = time.time()
    before = read(log)
    fault.strike(resit)
    done = resit.end(run, END_SECONDS)
    found.seconds = time.time() - began
    after = read(log)
    later = [line.at for line in after if line.at > began]
    found.pause = min(later) - began if later else 0.0
    _again(found, before, after, began)
    judge(found, resit, run, done, after)
    if found.again > fault.again + slack:
        found.problems.append(f"what was cut off began again after {found.again:.1f} s, not {fault.again:.0f} s")
    if found.twice and not fault.may_repeat:
        found.problems.append(f"{found.twice} tests were executed twice, and nothing of their work had died")
    return found


def _again(found: Round, before: Sequence[Line], after: Sequence[Line], began: float) -> None:
    """How long it took until each test that was cut off had begun again."""
    ended = {(line.test, line.pid) for line in after if line.word == "end"}
    cut = {line.test for line in before if line.word == "start" and (line.test, line.pid) not in ended}
    for test in cut:
        times = [line.at for line in after if line.word == "start" and line.test == test and line.at > began]
        found.again = max(found.again, min(times) - began if times else 0.0)


def judge(found: Round, resit: Resit, run: int, done: dict[str, Any], log: Sequence[Line]) -> None:
    """Hold what Resit says against what the tests say."""
    say = found.problems.append
    rows = {int(test.partition("[")[2].rstrip("]")): row for test, row in resit.tests(run).items()}
    if sorted(rows) != list(range(FILES * EACH)):
        say(f"{len(rows)} tests in the ledger")
    ended = {line.test for line in log if line.word == "end"}
    starts = [line.test for line in log if line.word == "start"]
    found.twice = sum(starts.count(test) > 1 for test in set(starts))
    for test, row in rows.items():
        outcome = row["outcome"]
        counted = [result for result in row["results"] if result["counted"]]
        if outcome == "lost":
            found.lost += 1
            continue
        if outcome not in ("passed", "failed"):
            say(f"test {test} is {outcome}: {row['reason'][:80]}")
        elif len(counted) != 1:
            say(f"test {test} counts {len(counted)} times")
        elif test not in ended:
            say(f"test {test} is {outcome} and never came to its end")
        elif (outcome == "failed") != (test % 10 == 7):
            say(f"test {test} is {outcome}")
    counts = done["counts"]
    if counts["planned"] or counts["running"] or counts["total"] != FILES * EACH:
        say(f"counts {counts}")
    if done["verdict"] != "failed":
        say(f"verdict {done['verdict']}")
    if found.lost:
        say(f"{found.lost} tests are lost, and only one worker died")


def survivors(resit: Resit, log: Path) -> list[int]:
    """Test processes that live on after the run."""
    del resit
    return sorted({line.pid for line in read(log) if alive(line.pid)})
