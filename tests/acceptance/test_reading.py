"""What can be read of runs: attachments, logs by shard, events; and what the server costs."""

import json
import os
import time
from pathlib import Path
from typing import Any

import httpx
from black_box import Resit, Suites, children, needs_node

WITH_FILES = """
const { test, expect } = require('@playwright/test');
const fs = require('fs');
test('attaches', async ({}, info) => {
  console.log('spoken');
  await info.attach('note', { body: 'hello', contentType: 'text/plain' });
  const file = info.outputPath('shot.png');
  fs.writeFileSync(file, Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 1, 2, 255]));
  await info.attach('screenshot', { path: file, contentType: 'image/png' });
  expect(1).toBe(2);
});
"""


@needs_node
def test_attachments_are_listed_and_read(resit: Resit, suite: Suites) -> None:
    run = resit.execute(resit.project(suite.playwright(WITH_FILES), "playwright"))
    [row] = resit.tests(run["id"]).values()
    [result] = row["results"]
    found = {attachment["name"]: attachment for attachment in result["attachments"]}
    assert {"note", "screenshot"} <= set(found)
    stored = {a["name"]: a for a in resit.get(f"/runs/{run['id']}/artifacts")["items"]}
    assert all(artifact["stored"] for artifact in stored.values())
    assert (stored["note"]["content_type"], stored["note"]["size"]) == ("text/plain", 5)
    answer = resit.http.get(f"/artifacts/{stored['screenshot']['id']}")
    assert answer.content == bytes([0x89, 0x50, 0x4E, 0x47, 0, 1, 2, 255])
    assert answer.headers["content-type"] == "image/png"
    assert "attachment" in answer.headers["content-disposition"]
    assert httpx.get(found["note"]["url"], headers={"Authorization": f"Bearer {resit.token}"}).text == "hello"
    assert httpx.get(found["note"]["url"]).status_code == 401
    assert "spoken" in resit.logs(run["id"])


def test_what_a_test_prints_is_with_its_result(resit: Resit, suite: Suites) -> None:
    run = resit.execute(resit.project(suite("def test_a(): print('spoken'); assert 0\n")))
    [row] = resit.tests(run["id"]).values()
    [stdout] = [a for a in row["results"][0]["attachments"] if a["name"] == "stdout"]
    assert resit.http.get(f"/artifacts/{stdout['id']}").text.strip() == "spoken"
    # Two logs: the plan's and the shard's; a position leads on from where one was.
    plan, shard = resit.get(f"/runs/{run['id']}/logs")["items"]
    assert (plan["name"], plan["shard"], shard["name"], shard["shard"]) == ("plan", 0, "shard 1", 1)
    whole = resit.http.get(f"/runs/{run['id']}/logs/1")
    part = resit.http.get(f"/runs/{run['id']}/logs/1", params={"after": 10})
    assert part.text == whole.text[10:]
    assert int(whole.headers["x-resit-next-offset"]) == shard["size"] == len(whole.text)
    said = resit.cli("logs", str(run["id"])).out
    assert "1 failed" in said


def events(text: str) -> list[tuple[str, str, Any]]:
    """Kind, id and data of each event."""
    found: list[tuple[str, str, Any]] = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
        if "event" in fields:
            found.append((fields["event"], fields.get("id", ""), json.loads(fields["data"])))
    return found


def test_events_come_live_and_go_on_where_one_was(resit: Resit, suite: Suites, tmp_path: Path) -> None:
    text = f"""
    import pathlib, time
    def test_a(): pass
    def test_b():
        while not pathlib.Path({str(tmp_path / "go")!r}).exists(): time.sleep(0.02)
    """
    run = resit.trigger(resit.project(suite(text)))
    seen: list[tuple[str, str, Any]] = []
    with resit.http.stream("GET", f"/runs/{run}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        text = ""
        for piece in stream.iter_text():
            text += piece
            whole, _, text = text.rpartition("\n\n")
            seen += events(whole)
            if any(kind == "run" and data["counts"]["passed"] for kind, _, data in seen):
                break
    assert resit.run(run)["status"] == "running"
    last = [id for _, id, _ in seen if id][-1]
    (tmp_path / "go").touch()
    rest = events(resit.http.get(f"/runs/{run}/events", headers={"Last-Event-ID": last}, timeout=30).text)
    assert [kind for kind, *_ in rest][-2:] == ["run", "end"]
    assert {d["title"] for kind, _, d in rest if kind == "test"} == {"test_b"}
    assert rest[-2][2]["verdict"] == "passed"
    # From the beginning, after the end: everything once more.
    again = events(resit.http.get(f"/runs/{run}/events").text)
    assert {d["title"]: d["state"] for kind, _, d in again if kind == "test"} == {
        "test_a": "passed",
        "test_b": "passed",
    }
    numbers = [int(id) for _, id, _ in again if id]
    assert numbers == sorted(numbers)
    over = events(resit.http.get(f"/runs/{run}/events", headers={"Last-Event-ID": str(numbers[-1])}).text)
    assert [kind for kind, *_ in over] in (["end"], ["run", "end"])


def test_what_it_costs(own: Any, suite: Suites) -> None:
    """Figures for the record; only what is far out of line fails."""
    resit = own()
    resit.terminate()
    started = resit.start()
    family = [resit.pid, *children(resit.pid)]
    assert len(family) == 3
    assert resit.execute(resit.project(suite("def test_a(): pass\n")))["verdict"] == "passed"
    ticks, began = cpu(family), time.monotonic()
    time.sleep(3)  # the only way to see that nothing happens
    used = (cpu(family) - ticks) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - began)
    memory = {pid: rss(pid) for pid in family}
    print(f"start {started:.2f} s; idle {used:.2%} of a core; {sum(memory.values()):.0f} MB in {len(family)} processes")
    assert started < 10
    assert sum(memory.values()) < 400


def cpu(processes: list[int]) -> int:
    total = 0
    for pid in processes:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total


def rss(pid: int) -> float:
    """Megabytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
