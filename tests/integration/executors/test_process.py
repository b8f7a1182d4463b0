"""Processes of tests: output, ends, stopping, survivors; and the tail of a spool."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resit.executors.process import Exit, SpoolTail, TestProcess, sweep

linux = pytest.mark.skipif(sys.platform != "linux", reason="survivors are found through /proc")


def script(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(text))
    return [sys.executable, "-u", str(path)]


async def start(tmp_path: Path, text: str, output: list[str], env: dict[str, str] | None = None) -> TestProcess:
    return await TestProcess.start(
        script(tmp_path, text), cwd=tmp_path, env={**os.environ, **(env or {})}, on_output=output.append
    )


async def until(condition: Callable[[], Any], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def test_output_and_exit_code(tmp_path: Path) -> None:
    async def main() -> None:
        output: list[str] = []
        process = await start(
            tmp_path,
            """
            import os, sys
            print("one é"); print("two", file=sys.stderr)
            os.write(1, b"bad \\xff byte\\n"); print(repr(sys.stdin.read())); os.write(1, b"no end")
            sys.exit(3)
            """,
            output,
        )
        end = await process.wait()
        assert end == Exit(3, None)
        assert str(end) == "exit code 3"
        assert "".join(output) == "one é\ntwo\nbad \ufffd byte\n''\nno end\n"
        assert all(text.endswith("\n") for text in output)
        assert await process.stop() == end
        assert process.cleanup() == 0

    asyncio.run(main())


def test_long_lines_are_split(tmp_path: Path) -> None:
    async def main() -> None:
        output: list[str] = []
        process = await start(tmp_path, "print('a' * 200_000); print('b')", output)
        await process.wait()
        text = "".join(output)
        assert text.replace("\n", "") == "a" * 200_000 + "b"
        assert max(len(line) for line in text.splitlines()) == 64 * 1024
        assert text.endswith("a\nb\n")

    asyncio.run(main())


def test_signal_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        process = await start(tmp_path, "import os; os.kill(os.getpid(), 9)", [])
        end = await process.wait()
        assert end == Exit(None, "SIGKILL")
        assert str(end) == "signal SIGKILL"

    asyncio.run(main())


@pytest.mark.skipif(sys.platform != "linux", reason="a policy of Linux")
def test_what_gives_way_gets_what_others_leave_over(tmp_path: Path) -> None:
    async def main() -> str:
        output: list[str] = []
        text = "import os; print(os.sched_getscheduler(0) == os.SCHED_IDLE, os.nice(0))"
        process = await TestProcess.start(
            script(tmp_path, text), cwd=tmp_path, env=dict(os.environ), on_output=output.append, nice=10
        )
        await process.wait()
        return "".join(output)

    assert asyncio.run(main()).split() == ["True", "10"]


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    async def main() -> None:
        before = len(list(Path("/dev/fd").iterdir()))
        with pytest.raises(FileNotFoundError):
            await TestProcess.start([str(tmp_path / "no")], cwd=tmp_path, env={}, on_output=print)
        assert len(list(Path("/dev/fd").iterdir())) == before

    asyncio.run(main())


def test_sigint_arrives_even_if_the_worker_ignores_it(tmp_path: Path) -> None:
    async def main() -> None:
        output: list[str] = []
        process = await start(
            tmp_path,
            """
            import time
            try:
                print("ready"); time.sleep(60)
            except KeyboardInterrupt:
                print("polite")
            """,
            output,
        )
        await until(lambda: output)
        first, second = await asyncio.gather(process.stop(), process.stop())
        assert first == second == Exit(0, None)
        assert output[-1] == "polite\n"

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        asyncio.run(main())
    finally:
        signal.signal(signal.SIGINT, before)


@linux
def test_stop_kills_the_deaf_and_what_left_the_session(tmp_path: Path) -> None:
    async def main() -> None:
        output: list[str] = []
        process = await start(
            tmp_path,
            """
            import signal, subprocess, time
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            print(subprocess.Popen(["sleep", "60"], start_new_session=True).pid)
            print(subprocess.Popen(["sleep", "60"]).pid)
            time.sleep(60)
            """,
            output,
        )
        await until(lambda: "".join(output).count("\n") == 2)
        children = [int(pid) for pid in "".join(output).split()]
        assert all(alive(pid) for pid in children)
        began = time.monotonic()
        assert await process.stop(grace=0.3) == Exit(None, "SIGKILL")
        assert time.monotonic() - began < 2
        await until(lambda: not any(alive(pid) for pid in [*children, process.pid]), 2)

    asyncio.run(main())


@linux
def test_a_server_left_behind_holds_nothing_up_and_is_cleaned_up(tmp_path: Path) -> None:
    async def main() -> None:
        output: list[str] = []
        process = await start(
            tmp_path,
            """
            import subprocess
            print(subprocess.Popen(["env", "-i", "sleep", "60"]).pid)
            print(subprocess.Popen(["sleep", "60"], start_new_session=True).pid)
            """,
            output,
        )
        began = time.monotonic()
        assert await process.wait() == Exit(0, None)
        assert time.monotonic() - began < 5
        children = [int(pid) for pid in "".join(output).split()]
        assert all(alive(pid) for pid in children)
        assert process.cleanup() == 2
        await until(lambda: not any(alive(pid) for pid in children), 2)
        assert process.cleanup() == 0

    asyncio.run(main())


@linux
def test_sweep_finds_what_a_killed_worker_left(tmp_path: Path) -> None:
    async def main() -> None:
        mine, others = [], []
        first = await start(tmp_path, "import time; print(1); time.sleep(60)", mine, {"RESIT_WORKER": "w-7"})
        second = await start(tmp_path, "import time; print(1); time.sleep(60)", others, {"RESIT_WORKER": "w-77"})
        await until(lambda: mine and others)
        assert sweep("w-7") == 1
        assert await first.wait() == Exit(None, "SIGKILL")
        assert alive(second.pid)
        await second.stop(grace=0.1)

    asyncio.run(main())


@linux
def test_a_killed_worker_takes_its_process_with_it(tmp_path: Path) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(
        textwrap.dedent(
            """
            import asyncio, os, sys
            from pathlib import Path
            from resit.executors.process import TestProcess

            async def main():
                process = await TestProcess.start(
                    [sys.executable, "-c", "import time; time.sleep(60)"], cwd=Path("."), env={}, on_output=print)
                print(process.pid, flush=True)
                await process.wait()

            asyncio.run(main())
            """
        )
    )
    with subprocess.Popen([sys.executable, str(worker)], stdout=subprocess.PIPE, text=True, cwd=tmp_path) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
    asyncio.run(until(lambda: not alive(child), 5))


DAEMONS = """
import os, subprocess, sys, time
def daemon(*argv):
    subprocess.run(["sh", "-c", " ".join(argv) + " >/dev/null 2>&1 & echo $!"])
daemon("setsid", "sleep", "61")
daemon("env", "-i", "setsid", "sleep", "61")
daemon("env", "-i", "sh", "-c", "'setsid sleep 61'")
print(subprocess.Popen(["env", "-i", "setsid", "sh", "-c", "trap '' INT TERM; kill -STOP $$; sleep 61"]).pid)
print("done", flush=True)
time.sleep(60)
"""


@linux
def test_daemons_that_left_everything_behind_are_found(tmp_path: Path) -> None:
    """Double forks, sessions of their own, no environment: who has adopted them knows them all the same."""
    tests = tmp_path / "tests.py"
    tests.write_text(DAEMONS)
    worker = tmp_path / "worker.py"
    worker.write_text(
        textwrap.dedent(
            """
            import asyncio, os, sys, time
            from pathlib import Path
            from resit.executors.process import TestProcess
            from resit.processes import Reaper, adopt

            async def main():
                adopt()
                heard, done = [], asyncio.Event()
                def output(text):
                    heard.append(text)
                    if "done" in text: done.set()
                env = {"PATH": os.environ["PATH"]}
                other = await TestProcess.start([sys.executable, "-c", "import time; time.sleep(60)"],
                    cwd=Path("."), env=env, on_output=lambda _: None)
                process = await TestProcess.start([sys.executable, "tests.py"],
                    cwd=Path("."), env=env, on_output=output)
                await done.wait()
                began = time.monotonic()
                await process.stop(grace=1)
                print(*"".join(heard).partition("done")[0].split(), flush=True)
                await other.stop(grace=0)  # it might have started them: so they go with it at the latest
                print(time.monotonic() - began, flush=True)
                reaper = Reaper()
                reaper.look()
                reaper.look()
                print(sum(1 for p in Path("/proc").glob("[0-9]*/stat")
                    if p.read_text().rpartition(")")[2].split()[1] == str(os.getpid())), flush=True)

            asyncio.run(main())
            """
        )
    )
    ended = subprocess.run([sys.executable, str(worker)], capture_output=True, text=True, cwd=tmp_path, timeout=30)
    assert ended.returncode == 0, ended.stderr
    pids, took, children = ended.stdout.splitlines()
    assert len(pids.split()) == 4
    assert [pid for pid in pids.split() if alive(int(pid))] == []
    assert float(took) < 5
    assert children == "0"  # nobody is left, not even as a zombie


def test_a_line_that_nobody_understands_costs_only_itself(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    lines = [{"n": 1}, {"m": 2}, {"n": None}, {"n": 3}]
    spool.write_text("".join(f"{json.dumps(line)}\n" for line in lines) + "[" * 100_000 + '\n{"n": 4}\n')
    seen: list[int] = []
    SpoolTail(spool, lambda line: seen.append(line["n"] + 0)).drain()
    assert seen == [1, 3, 4]


def test_spool_tail(tmp_path: Path) -> None:
    spool = tmp_path / "spool"

    async def main() -> None:
        seen: list[dict[str, Any]] = []
        tail = SpoolTail(spool, seen.append)
        running = asyncio.create_task(tail.run())
        await asyncio.sleep(0)  # the file is not there yet
        with spool.open("ab", buffering=0) as file:
            file.write(b'{"n": 1}\n[2]\nnonsense\n{"n"')
            await until(lambda: seen)
            file.write(b": 2}\n" + json.dumps({"n": 3, "text": "é" * 2_000_000}).encode() + b"\n")
            await until(lambda: len(seen) == 3)
            running.cancel()
            file.write(b'{"n": 4}\n{"n": 5')
        tail.drain()
        tail.drain()
        assert [line["n"] for line in seen] == [1, 2, 3, 4]

    asyncio.run(main())
