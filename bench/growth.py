"""How the cost of a run grows with its tests and lanes: ``python bench/growth.py [--tests N ...] [--lanes N ...]``.

The tests of these suites pass at once (``bench/instant``), so that all there is to see is Resit's own work: plan,
batches, reports, ingest, verdict. Each size is run twice: the second one knows the listing. Prints seconds from the
request to the verdict, and the processor time of the server and of the worker for each test.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from load import Api, free_port, serve, work_of


def children(process: int) -> Iterator[tuple[int, str]]:
    """The processes of the server's, by their command."""
    for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split():
        yield int(pid), Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def one(api: Api, process: int, tests: int, lanes: int) -> Iterator[tuple[float, float, float]]:
    """Seconds, and of processor of server and worker, of the first and the second run of a suite."""
    worker = next(pid for pid, command in children(process) if "resit.bootstrap.worker" in command)
    for _ in range(2):
        server_before, worker_before, began = work_of(process), work_of(worker), time.perf_counter()
        status, run = api("POST", f"/projects/t{tests}/runs", {"shards": lanes})
        if status != 201:
            raise SystemExit(f"not requested: {run}")
        while run["status"] != "finished":
            time.sleep(0.02)
            run = api("GET", f"/runs/{run['id']}")[1]
        took = time.perf_counter() - began
        if run["counts"]["passed"] != tests:
            raise SystemExit(f"not whole: {run['counts']}")
        yield took, work_of(process) - server_before, work_of(worker) - worker_before


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, nargs="+", default=[100, 1_000, 10_000, 100_000])
    parser.add_argument("--lanes", type=int, nargs="+", default=[1, 4, 16])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="resit-growth-") as folder, ExitStack() as stack:
        data, suite, port = Path(folder) / "data", Path(folder) / "suite", free_port()
        suite.mkdir()
        server = serve(data, port, max(options.lanes), [])
        stack.callback(server.wait, 30)
        stack.callback(server.terminate)
        api = Api(port, (data / "admin-token").read_text().strip())
        print(f"{'tests':>8} {'lanes':>5}   first run s  server/worker µs a test   next run s  server/worker µs a test")
        for tests in options.tests:
            project = {"slug": f"t{tests}", "source": str(suite), "executor": "instant", "config": str(tests)}
            if api("POST", "/projects", project)[0] != 201:
                raise SystemExit("no project")
            for lanes in options.lanes:
                (first, fs, fw), (then, ts, tw) = one(api, server.pid, tests, lanes)
                figures = (first, fs / tests * 1e6, fw / tests * 1e6, then, ts / tests * 1e6, tw / tests * 1e6)
                print("{:>8,} {:>5}   {:>11.2f}  {:>11.0f} / {:<11.0f}  {:>11.2f}  {:>11.0f} / {:<11.0f}".format(
                    tests, lanes, *figures), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
