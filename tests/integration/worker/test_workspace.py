"""Workspaces from real Git repositories: what is fetched, what is used again, and what is said when it fails."""

import asyncio
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from resit.worker.workspace import TREES_KEPT, Source, Workspace, WorkspaceError, Workspaces

IDENTITY = {
    "PATH": os.environ["PATH"],
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_CONFIG_GLOBAL": "/dev/null",
}


class Repository:
    """A repository of somebody else."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    @property
    def url(self) -> str:
        return f"file://{self.root}"

    def git(self, *words: str) -> str:
        call = ["git", "-c", "protocol.file.allow=always", *words]
        return subprocess.run(
            call, cwd=self.root, env=IDENTITY, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, **files: str) -> str:
        for name, text in files.items():
            (self.root / name).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "x")
        return self.git("rev-parse", "HEAD")


class Lane:
    """Prepares workspaces and keeps what was logged."""

    def __init__(self, cache: Path, *, allow_local: bool = True) -> None:
        self.workspaces = Workspaces(cache, allow_local=allow_local)
        self.log: list[str] = []

    async def prepare(
        self, url: str, time_limit: float = 20, env: dict[str, str] | None = None, **more: str
    ) -> Workspace:
        return await self.workspaces.prepare(Source(url, **more), self.log.append, env=env or {}, time_limit=time_limit)

    def get(self, url: str, **more: str) -> Workspace:
        """Prepare and give back at once."""
        workspace = asyncio.run(self.prepare(url, **more))
        self.workspaces.release(workspace)
        return workspace

    def fail(self, url: str, time_limit: float = 20, **more: str) -> WorkspaceError:
        with pytest.raises(WorkspaceError) as caught:
            asyncio.run(self.prepare(url, time_limit, **more))
        return caught.value

    def said(self, words: str) -> int:
        return sum(words in line for line in self.log)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    found = Repository(tmp_path / "their repository")
    found.commit(a="one")
    return found


@pytest.fixture
def lane(tmp_path: Path) -> Lane:
    return Lane(tmp_path / "cache")


# ---------------------------------------------------------------- which commit


def test_the_default_branch_a_branch_a_tag_and_a_commit(lane: Lane, repository: Repository) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.git("tag", "-a", "v1", "-m", "first")
    repository.git("checkout", "-qb", "dev/x")
    second = repository.commit(a="two")
    repository.git("checkout", "-q", "main")
    assert lane.get(repository.url).commit == first
    workspace = lane.get(repository.url, branch="dev/x")
    assert workspace.commit == second
    assert (workspace.root / "a").read_text() == "two"
    assert lane.get(repository.url, branch="v1").commit == first
    assert lane.get(repository.url, branch="dev/x", commit=first).commit == first
    assert lane.get(repository.url, commit=second[:10]).commit == second


def test_a_branch_that_is_preferred_is_taken_where_it_exists(lane: Lane, repository: Repository) -> None:
    main = repository.git("rev-parse", "HEAD")
    repository.git("checkout", "-q", "-b", "feat/login")
    ahead = repository.commit(a="ahead")
    repository.git("checkout", "-q", "main")
    for prefer, branch, taken, commit in [
        ("feat/login", "", "feat/login", ahead),
        ("feat/login", "main", "feat/login", ahead),
        ("feat/other", "", "main", main),
        ("feat/other", "main", "main", main),
        ("--upload-pack=x", "main", "main", main),
        ("", "feat/login", "", ahead),
    ]:
        workspace = lane.get(repository.url, prefer=prefer, branch=branch)
        assert (workspace.branch, workspace.commit) == (taken, commit), (prefer, branch)
    pinned = lane.get(repository.url, prefer="feat/login", branch="main", commit=main)
    assert (pinned.branch, pinned.commit) == ("", main)
    assert "branch 'gone' does not exist" in str(lane.fail(repository.url, prefer="feat/other", branch="gone"))


def test_a_branch_that_moves_is_followed_and_a_commit_that_is_here_is_not_fetched(
    lane: Lane, repository: Repository
) -> None:
    first = lane.get(repository.url, branch="main")
    second = repository.commit(a="two")
    assert lane.get(repository.url, branch="main").commit == second
    assert lane.said("Fetching") == 2
    lane.get(repository.url, branch="main")
    assert lane.said("Fetching") == 2
    repository.root.rename(repository.root.with_name("gone"))  # no network at all
    assert lane.get(repository.url, commit=first.commit).root == first.root


def test_a_branch_that_was_rewritten_or_deleted(lane: Lane, repository: Repository) -> None:
    repository.git("branch", "dev")
    repository.git("branch", "feature")
    lane.get(repository.url, branch="dev")
    repository.git("branch", "-D", "feature")
    repository.git("commit", "-q", "--amend", "-m", "other")
    rewritten = repository.git("rev-parse", "HEAD")
    assert lane.get(repository.url, branch="main").commit == rewritten
    error = lane.fail(repository.url, branch="feature")
    assert error.code == "checkout_failed"
    assert f"branch 'feature' does not exist in {repository.url}; it has: dev, main" in str(error)


def test_a_commit_outside_of_every_branch(lane: Lane, repository: Repository) -> None:
    repository.git("config", "uploadpack.allowAnySHA1InWant", "true")
    lane.get(repository.url)
    lonely = repository.commit(a="lonely")
    repository.git("reset", "-q", "--hard", "HEAD~1")
    assert lane.get(repository.url, commit=lonely).commit == lonely
    error = lane.fail(repository.url, commit="0" * 40)
    assert "does not exist in" in str(error)


@pytest.mark.parametrize(
    "url",
    ["--upload-pack=touch /tmp/x", "-x", "ext::sh -c id", "relative/path", "", "ftp://example.org/x", "host:path"],
)
def test_what_is_no_repository_is_refused(lane: Lane, url: str) -> None:
    error = lane.fail(url)
    assert error.code == "checkout_failed"
    assert "not the address of a Git repository" in str(error)


def test_a_repository_that_is_not_there_or_empty(lane: Lane, tmp_path: Path) -> None:
    error = lane.fail(f"file://{tmp_path}/nothing")
    assert error.code == "checkout_failed"
    assert "can't be read" in str(error)
    assert "check the address" in str(error)
    assert "no branches yet" in str(lane.fail(Repository(tmp_path / "empty").url))
    assert "not a commit" in str(lane.fail(f"file://{tmp_path}/empty", commit="--all"))


def test_submodules_come_along(lane: Lane, repository: Repository, tmp_path: Path) -> None:
    inner = Repository(tmp_path / "inner")
    inner.commit(b="inner")
    repository.git("submodule", "--quiet", "add", inner.url, "sub")
    repository.commit(a="with submodule")
    workspace = lane.get(repository.url)
    assert (workspace.root / "sub" / "b").read_text() == "inner"
    (workspace.root / "sub" / "b").write_text("changed by a test")
    assert lane.get(repository.url).root == workspace.root
    assert (workspace.root / "sub" / "b").read_text() == "inner"


# ---------------------------------------------------------------- the folder


def test_the_working_folder_is_inside(lane: Lane, repository: Repository) -> None:
    (repository.root / "e2e").mkdir()
    (repository.root / "e2e" / "x").write_text("")
    (repository.root / "out").symlink_to("/tmp")
    repository.commit()
    assert lane.get(repository.url, workdir="e2e").workdir.name == "e2e"
    for url in (repository.url, str(repository.root)):
        for workdir in ("missing", "..", "e2e/../..", "/tmp", "out", "a"):
            assert lane.fail(url, workdir=workdir).code == "source_missing", (url, workdir)


def test_a_tree_is_used_again_clean_but_with_what_is_ignored(lane: Lane, repository: Repository) -> None:
    (repository.root / ".gitignore").write_text("node_modules/\n")
    repository.commit()
    first = lane.get(repository.url)
    (first.root / "a").write_text("changed by a test")
    (first.root / "left").write_text("behind")
    (first.root / "nested" / ".git").mkdir(parents=True)
    (first.root / "node_modules").mkdir()
    again = lane.get(repository.url)
    assert again.root == first.root
    assert sorted(p.name for p in again.root.iterdir()) == [".git", ".gitignore", "a", "node_modules"]
    assert (again.root / "a").read_text() == "one"


def test_two_runs_at_the_same_time_never_share_a_tree(tmp_path: Path, repository: Repository) -> None:
    async def scene() -> None:
        lanes = [Lane(tmp_path / "cache") for _ in range(3)]
        found = await asyncio.gather(*(each.prepare(repository.url, setup="touch made; sleep 0.1") for each in lanes))
        assert len({w.root for w in found}) == 3
        assert all((w.root / "made").exists() for w in found)
        lanes[1].workspaces.release(found[1])
        lanes[1].workspaces.release(found[1])  # twice is harmless
        again = await lanes[0].prepare(repository.url, setup="touch made; sleep 0.1")
        assert again.root == found[1].root
        assert lanes[0].said("Setup skipped") == 1
        for each, workspace in zip(lanes, found, strict=True):
            each.workspaces.release(workspace)

    asyncio.run(scene())


def test_a_crash_in_the_middle_leaves_nothing_that_looks_whole(lane: Lane, repository: Repository) -> None:
    first = lane.get(repository.url)
    marker = first.root.with_name(f"{first.root.name}.json")
    marker.unlink()
    (first.root / "half").write_text("")
    (first.root / "a").unlink()
    assert lane.get(repository.url).root == first.root
    assert not (first.root / "half").exists()
    assert (first.root / "a").read_text() == "one"
    (first.root / ".git").write_text("broken")  # by a test
    marker.unlink()
    assert lane.get(repository.url).root == first.root


def test_a_killed_fetch_is_no_obstacle(lane: Lane, repository: Repository, tmp_path: Path) -> None:
    lane.get(repository.url)
    repository.commit(a="two")
    (mirror,) = [p for p in (tmp_path / "cache" / "mirrors").iterdir() if p.is_dir()]
    (mirror / "packed-refs.lock").write_text("")
    (mirror / "refs" / "heads" / "main.lock").write_text("")
    assert (lane.get(repository.url).root / "a").read_text() == "two"


def test_a_cancelled_preparation_can_be_made_again(lane: Lane, repository: Repository) -> None:
    async def scene() -> Workspace:
        setup = "echo begun > begun; sleep 30"
        task = asyncio.create_task(lane.prepare(repository.url, setup=setup))
        while not lane.said("Setup:"):
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task}, timeout=5)
        assert task.cancelled()
        return await lane.prepare(repository.url, setup="true")

    began = time.monotonic()
    assert not (asyncio.run(scene()).root / "begun").exists()
    assert time.monotonic() - began < 5


def test_old_trees_are_removed(lane: Lane, repository: Repository) -> None:
    repository.commit(a="1")
    held = asyncio.run(lane.prepare(repository.url))
    # Another setup command has another tree.
    roots = [lane.get(repository.url, setup=f"true {n}").root for n in range(TREES_KEPT + 2)]
    assert held.root.exists(), "in use"
    assert roots[-1].exists()
    assert not roots[0].exists()
    assert len([p for p in held.root.parent.iterdir() if p.is_dir()]) <= TREES_KEPT + 1


def test_another_commit_with_the_same_lock_files_needs_no_setup(lane: Lane, repository: Repository) -> None:
    setup = "python3 -m venv --without-pip .venv"
    repository.commit(**{"requirements.txt": "", ".gitignore": ".venv\n", "test_a.py": "1"})
    first = lane.get(repository.url, setup=setup)
    second = repository.commit(**{"test_a.py": "2"})
    again = lane.get(repository.url, setup=setup)
    assert again.commit == second
    assert (again.root / "test_a.py").read_text() == "2"
    assert again.root == first.root
    assert lane.said("Setup: ") == 1
    repository.commit(**{"requirements.txt": "# other\n"})
    lane.get(repository.url, setup=setup)
    assert lane.said("Setup: ") == 2


def test_another_commit_is_built_anew(lane: Lane, repository: Repository) -> None:
    setup = "mkdir -p build && cp source build/"
    repository.commit(source="1", **{".gitignore": "build\n"})
    lane.get(repository.url, setup=setup)
    repository.commit(source="2")
    again = lane.get(repository.url, setup=setup)
    assert (again.root / "build" / "source").read_text() == "2"
    assert lane.said("Setup: ") == 2


# ---------------------------------------------------------------- setup


def test_setup_runs_once_for_a_tree_and_again_when_what_it_made_is_gone(lane: Lane, repository: Repository) -> None:
    setup = "mkdir -p node_modules 'my env' && echo x > 'my env/x' ; echo x > 'my env/x'; echo installed"
    first = lane.get(repository.url, setup=setup)
    lane.get(repository.url, setup=setup)
    assert lane.log.count("installed") == 1
    assert lane.said("Setup skipped") == 1
    assert (first.root / "my env" / "x").exists(), "it is not ignored by git, but made by setup"
    (first.root / "node_modules").rmdir()
    lane.get(repository.url, setup=setup)
    assert (first.root / "node_modules").is_dir()
    assert lane.log.count("installed") == 2


def test_another_command_has_another_tree(lane: Lane, repository: Repository) -> None:
    first, second = (lane.get(repository.url, setup=f"touch {n}") for n in "xy")
    assert first.root != second.root
    assert not (second.root / "x").exists()


def test_a_setup_that_changes_tracked_files_runs_each_time(lane: Lane, repository: Repository) -> None:
    for _ in range(2):
        workspace = lane.get(repository.url, setup="echo changed > a")
        assert (workspace.root / "a").read_text() == "changed\n"
    assert lane.said("it changes tracked files (a)") == 1


def test_a_failed_setup_says_why_and_is_not_remembered(lane: Lane, repository: Repository, tmp_path: Path) -> None:
    setup = f"echo one; echo cause >&2; test -e {tmp_path}/fixed || exit 3"
    for _ in range(2):
        error = lane.fail(repository.url, setup=setup)
        assert error.code == "setup_failed"
        assert "exit code 3" in str(error)
        assert "one / cause" in str(error)
    (tmp_path / "fixed").touch()
    lane.get(repository.url, setup=setup)


def test_a_setup_that_hangs_is_ended_with_its_children(lane: Lane, repository: Repository, tmp_path: Path) -> None:
    began = time.monotonic()
    error = lane.fail(repository.url, time_limit=1.0, setup=f"sleep 60 & echo $! > {tmp_path}/pid; wait")
    assert error.code == "setup_failed"
    assert "did not end within" in str(error)
    assert time.monotonic() - began < 5
    _await(lambda: not _alive(int((tmp_path / "pid").read_text())))


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _await(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 3
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_setup_sees_the_variables_and_its_output_comes_line_by_line(lane: Lane, repository: Repository) -> None:
    script = 'printf "1%%\\r50%%\\r100%%\\n"; echo "$GREETING $HOME"; printf "no newline"'
    asyncio.run(lane.prepare(repository.url, env={"GREETING": "hello"}, setup=script))
    assert "100%" in lane.log
    assert f"hello {os.environ['HOME']}" in lane.log
    assert "no newline" in lane.log


# ---------------------------------------------------------------- a local folder


def test_a_local_folder_is_used_in_place(lane: Lane, repository: Repository, tmp_path: Path) -> None:
    (repository.root / "untracked").write_text("mine")
    workspace = lane.get(str(repository.root))
    assert workspace == Workspace(repository.root, repository.root, repository.git("rev-parse", "HEAD"))
    assert (repository.root / "untracked").read_text() == "mine"
    plain = tmp_path / "plain"
    plain.mkdir()
    assert lane.get(f"{plain}/", workdir="").commit == ""
    assert lane.fail(str(tmp_path / "missing")).code == "source_missing"


def test_a_local_folder_needs_the_servers_machine(tmp_path: Path, repository: Repository) -> None:
    error = Lane(tmp_path / "cache", allow_local=False).fail(str(repository.root))
    assert error.code == "source_missing"
    assert "another machine" in str(error)


def test_setup_in_place_runs_again_when_what_it_depends_on_changes(lane: Lane, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "e2e").mkdir(parents=True)
    (folder / "package-lock.json").write_text("1")
    setup = f"mkdir -p node_modules && echo x >> {tmp_path}/count"

    def runs() -> int:
        lane.get(str(folder), workdir="e2e", setup=setup)
        return (tmp_path / "count").read_text().count("x")

    assert (runs(), runs()) == (1, 1)
    (folder / "package-lock.json").write_text("2")
    assert (runs(), runs()) == (2, 2)
    (folder / "e2e" / "requirements-dev.txt").write_text("x")
    assert (runs(), runs()) == (3, 3)
    (folder / "e2e" / "node_modules").rmdir()
    assert (runs(), runs()) == (4, 4)
    (folder / "test.py").write_text("x")
    assert runs() == 4


# ---------------------------------------------------------------- credentials


def test_credentials_are_sent_and_shown_to_nobody(lane: Lane, tmp_path: Path) -> None:
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        thread = threading.Thread(target=_refuse, args=(server, asked), daemon=True)
        thread.start()
        error = lane.fail(f"http://robot:s3cret%2Ftoken@127.0.0.1:{port}/x.git", branch="main")
        server.shutdown(socket.SHUT_RDWR)
        thread.join(3)
    assert any("Authorization: Basic cm9ib3Q6czNjcmV0L3Rva2Vu" in head for head in asked)
    told = "\n".join([str(error), *lane.log])
    assert f"http://127.0.0.1:{port}/x.git can't be read" in told
    assert "s3cret" not in told
    for path in (tmp_path / "cache").rglob("*"):
        assert "s3cret" not in path.name
        assert not path.is_file() or "s3cret" not in path.read_text(errors="replace")
    assert "s3cret" not in str(lane.fail("gopher://robot:s3cret@example.org/x"))


def _refuse(server: socket.socket, asked: list[str]) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            asked.append(connection.recv(65536).decode())
            connection.sendall(
                b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
