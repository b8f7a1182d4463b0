"""The folder in which a run's tests live on this worker: checkout, setup, and who uses it."""

import asyncio
import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import chain, count
from pathlib import Path, PurePosixPath

from resit.worker.git import TRASH, Git, GitError, Remote, empty, head_of, throw_away
from resit.worker.install import installs_only
from resit.worker.lock import FileLock, locked, try_lock
from resit.worker.setup import Setup, SetupError

TREES_KEPT = 8
"""Prepared trees of one repository that are kept while nobody uses them."""
LEAVING_SECONDS = 1.0
"""How long a prepared tree is waited for before another one is made."""

Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the tests come from. ``url`` is an absolute local path or the address of a Git repository.

    ``branch``: branch or tag, empty for the default one; ``prefer``: a branch that wins over it where it exists.
    ``commit``: wins over the branch. ``workdir``: where the
    framework starts, relative to the root. ``setup``: a shell command that prepares a fresh checkout.
    """

    url: str
    branch: str = ""
    commit: str = ""
    workdir: str = ""
    setup: str = ""
    prefer: str = ""


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder that is ready for tests. ``commit`` is empty for a plain folder.

    ``branch`` says which was taken, when there were two to choose from.
    """

    root: Path
    workdir: Path
    commit: str
    branch: str = ""


class WorkspaceError(Exception):
    """There is no workspace; the message names the cause and what to do next.

    ``code`` is ``source_missing``, ``checkout_failed`` or ``setup_failed``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What is written last, when a folder is ready: without it the folder is not trusted.

    ``setup``: hash of its circumstances. ``made``: folders that must still be there. ``untracked``: names that setup
    made and git does not ignore. ``changed``: tracked files that setup changed.
    """

    commit: str
    setup: str = ""
    made: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> "_Prepared | None":
        try:
            found = json.loads(path.read_text())
            commit, setup = str(found["commit"]), str(found["setup"])
            lists = (tuple(map(str, found[name])) for name in ("made", "untracked", "changed"))
            return cls(commit, setup, *lists)
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def write(self, path: Path) -> None:
        fresh = path.with_name(f"{path.name}.new")
        with fresh.open("w") as file:
            json.dump(asdict(self), file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)


class Workspaces:
    """Prepares workspaces under ``cache``, the worker's own folder; several processes may share it.

    ``allow_local``: local folders may be used in place (the worker that is embedded in a server on the same machine).
    ``worker``: its name, by which what a setup left running is found should the worker be killed.
    """

    def __init__(self, cache: Path, *, allow_local: bool, worker: str = "") -> None:
        self._worker = worker
        self._cache = cache.absolute()
        self._allow_local = allow_local
        self._used: dict[Path, FileLock] = {}

    async def prepare(self, source: Source, log: Log, *, env: Mapping[str, str], time_limit: float = 900) -> Workspace:
        """A folder with the wanted commit, its setup done; give it back with :meth:`release`.

        ``env``: variables of the environment, for the setup command. ``time_limit``: seconds for all of it. A folder
        that is prepared already is used again, by one run at a time. Raises :class:`WorkspaceError`.
        """
        deadline = time.monotonic() + time_limit
        try:
            if source.url.startswith("/"):
                return await self._local(source, log, env, deadline)
            return await self._checkout(source, log, env, deadline)
        except GitError as error:
            raise WorkspaceError("checkout_failed", str(error)) from error
        except SetupError as error:
            raise WorkspaceError("setup_failed", str(error)) from error
        except TimeoutError as error:
            raise WorkspaceError(
                "checkout_failed", f"another run held the checkout for {time_limit:.0f} s; run again later"
            ) from error
        except OSError as error:
            raise WorkspaceError(
                "checkout_failed", f"the workspace can't be written: {error}; look at the disk"
            ) from error

    def release(self, workspace: Workspace) -> None:
        """The run is over: another one may have the folder. Harmless when it was given back before.

        Old trees are removed here, which may take seconds: not for the event loop.
        """
        if lock := self._used.pop(workspace.root, None):
            with contextlib.suppress(OSError):
                os.utime(lock.path)  # when it was used last
            lock.free()
            with contextlib.suppress(OSError):
                self._drop_old_trees(workspace.root.parent)

    # ------------------------------------------------------------ a local folder

    async def _local(self, source: Source, log: Log, env: Mapping[str, str], deadline: float) -> Workspace:
        if not self._allow_local:
            raise WorkspaceError(
                "source_missing",
                f"{source.url} is a folder, and this worker is on another machine than the server; "
                "give the address of a Git repository instead (or start the worker with --allow-local, if it has it)",
            )
        root = Path(os.path.normpath(source.url))
        if not root.is_dir():
            raise WorkspaceError("source_missing", f"the folder {root} does not exist; check the project's source")
        workdir = _inside(root, source.workdir, str(root))
        if source.setup:
            name = hashlib.sha256(f"{root}\0{source.workdir}".encode()).hexdigest()[:16]
            marker = self._cache / "setups" / f"{name}.json"
            waiting = _Waiting(log, "another run that sets the folder up")
            async with locked(marker.with_suffix(".lock"), deadline - time.monotonic(), waiting) as lock:
                await self._set_up_in_place(
                    Setup.of(source.setup, root, workdir, env, self._worker), marker, lock, log, deadline
                )
        return Workspace(root, workdir, await head_of(root))

    async def _set_up_in_place(self, setup: Setup, marker: Path, lock: FileLock, log: Log, deadline: float) -> None:
        before = _Prepared.read(marker)
        if before and before.setup == setup.key() and setup.whole(before.made):
            log(_SKIPPED)
            return
        marker.unlink(missing_ok=True)
        listed = setup.listed()
        await setup.execute(log, deadline, (lock.fd,))
        # Asked again: the setup may write lock files of its own.
        _Prepared("", setup.key(), setup.made(listed)).write(marker)

    # ------------------------------------------------------------ a Git repository

    async def _checkout(self, source: Source, log: Log, env: Mapping[str, str], deadline: float) -> Workspace:
        _check_relative(source.workdir)
        remote = Remote.parse(source.url)
        mirror = self._cache / "mirrors" / remote.key
        git = Git(remote, mirror, log, deadline)
        waiting = _Waiting(log, "another run that fetches the repository")
        async with locked(mirror.with_suffix(".lock"), deadline - time.monotonic(), waiting):
            branch, commit = source.branch, source.commit
            if not commit:
                branch, commit = await git.choose(source.prefer, source.branch)
            commit = await git.bring(commit)
            tree, lock = await self._free_tree(remote, source, commit)
            try:
                before = _Prepared.read(_marker(tree))
                if not before or not (tree / ".git").exists():
                    before = None
                    _marker(tree).unlink(missing_ok=True)
                    await git.add_tree(tree, commit)
            except BaseException:
                lock.free()
                raise
        try:
            what = "" if source.commit else (branch or "the default branch") + " at "
            log(f"Checking out {what}{commit[:12]}")
            # What setup made stays, what the last run left behind goes.
            await git.check_out(tree, commit, (*before.untracked, *before.made) if before else ())
            workdir = _inside(tree, source.workdir, f"{remote.url} at {commit[:12]}")
            if before and before.commit != commit and not installs_only(source.setup, tree, workdir):
                # What was built of another commit must not be tested in its place.
                _marker(tree).unlink(missing_ok=True)
                await git.wipe(tree)
                before = None
            if source.setup:
                setup = Setup.of(source.setup, tree, workdir, env, self._worker)
                await self._set_up_tree(git, setup, tree, before, _Prepared(commit), lock, deadline, log)
            else:
                _Prepared(commit).write(_marker(tree))
        except BaseException:
            lock.free()
            raise
        self._used[tree] = lock
        return Workspace(tree, workdir, commit, branch if source.prefer and not source.commit else "")

    async def _set_up_tree(
        self,
        git: Git,
        setup: Setup,
        tree: Path,
        before: _Prepared | None,
        fresh: _Prepared,
        lock: FileLock,
        deadline: float,
        log: Log,
    ) -> None:
        key = setup.key()
        if before and before.setup == key and setup.whole(before.made):
            if not before.changed:
                log(_SKIPPED)
                replace(before, commit=fresh.commit).write(_marker(tree))
                return
            log(f"Setup runs again: it changes tracked files ({', '.join(before.changed[:3])})")
        _marker(tree).unlink(missing_ok=True)
        listed = setup.listed()
        await setup.execute(log, deadline, (lock.fd,))
        changed, untracked = await git.changes(tree)
        made = setup.made(listed)
        replace(fresh, setup=key, made=made, untracked=untracked, changed=changed).write(_marker(tree))

    async def _free_tree(self, remote: Remote, source: Source, commit: str) -> tuple[Path, FileLock]:
        """A tree that nobody uses: one of this commit and setup, else one of this setup, else a new one."""
        made_by = hashlib.sha256(f"{source.setup}\0{source.workdir}".encode()).hexdigest()[:8]
        setup = made_by if source.setup else "plain"
        folder = self._cache / "trees" / remote.key
        same = sorted(folder.glob(f"*-{setup}-*.json"), key=lambda path: (_commit(path) != commit, path.name))
        if source.setup:
            # Cheaper than to set up another one: who has reported the end of a run is about to leave its tree.
            end = time.monotonic() + LEAVING_SECONDS
            while same and time.monotonic() < end:
                for path in same:
                    if lock := try_lock(_lock(path.with_suffix(""))):
                        return path.with_suffix(""), lock
                await asyncio.sleep(LEAVING_SECONDS / 20)
        fresh = (folder / f"{commit[:16]}-{setup}-{number}" for number in count(1))
        for tree in chain((path.with_suffix("") for path in same), fresh):
            if lock := try_lock(_lock(tree)):
                return tree, lock
        raise AssertionError("there is no last number")

    def _drop_old_trees(self, folder: Path) -> None:
        """Remove what nobody has used for longest, beyond :data:`TREES_KEPT`."""
        locks = sorted(folder.glob("*.lock"), key=_used_at, reverse=True)
        for path in locks[TREES_KEPT:]:
            if lock := try_lock(path):
                tree = path.with_suffix("")
                _marker(tree).unlink(missing_ok=True)
                throw_away(tree)
                lock.free(forget=True)
        for trash in folder.glob(f"{TRASH}*"):
            empty(trash)


_SKIPPED = "Setup skipped: nothing that it depends on has changed"


class _Waiting:
    """Tells once why nothing happens."""

    def __init__(self, log: Log, what: str) -> None:
        self._log = log
        self._what = what

    def __call__(self) -> None:
        self._log(f"Waiting for {self._what}")


def _commit(marker: Path) -> str:
    found = _Prepared.read(marker)
    return found.commit if found else ""


def _marker(tree: Path) -> Path:
    return tree.with_name(f"{tree.name}.json")


def _lock(tree: Path) -> Path:
    return tree.with_name(f"{tree.name}.lock")


def _used_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _check_relative(workdir: str) -> None:
    parts = PurePosixPath(workdir)
    if parts.is_absolute() or ".." in parts.parts:
        raise WorkspaceError(
            "source_missing", f"the folder {workdir!r} is outside of the source; give a path relative to its root"
        )


def _inside(root: Path, workdir: str, where: str) -> Path:
    """The folder ``workdir`` of ``root``. Raises :class:`WorkspaceError` when it is missing or leads outside."""
    _check_relative(workdir)
    found = root / workdir if workdir else root
    if not found.is_dir():
        raise WorkspaceError("source_missing", f"the folder {workdir!r} does not exist in {where}; check the project")
    if not found.resolve().is_relative_to(root.resolve()):
        raise WorkspaceError("source_missing", f"the folder {workdir!r} leads outside of {where}; check the project")
    return found
