"""Git: a bare mirror for each repository, and detached worktrees made of it."""

import asyncio
import base64
import contextlib
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from resit.worker.command import Finished, Log, run
from resit.worker.environment import git_environment

_URL = re.compile(r"(https?|ssh|git|file)://.+|[\w.-]+@[\w.-]+:[^:].*")
_COMMIT = re.compile(r"[0-9a-fA-F]{4,64}")
_NAMES_SHOWN = 10
TRASH = ".trash-"
"""What folders on their way out are called."""


class GitError(Exception):
    """Git could not do it: the cause in git's own words, then what to do. Credentials are masked."""


@dataclass(frozen=True, slots=True)
class Remote:
    """The address of a repository, its credentials apart: they are in no argument, file, log or message."""

    url: str
    header: str = field(default="", repr=False)
    _hidden: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def parse(cls, url: str) -> "Remote":
        """Raises :class:`GitError` for what is no address of a repository."""
        if not _URL.fullmatch(url):
            raise GitError(
                f"{_without_credentials(url)!r} is not the address of a Git repository; "
                "it begins with https://, ssh://, git:// or file://, or reads user@host:path"
            )
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise GitError(f"{_without_credentials(url)!r} is not an address: {error}") from error
        login, at, _ = parts.netloc.rpartition("@")
        if parts.scheme not in {"http", "https"} or not at:
            return cls(url)
        user, _, password = login.partition(":")
        plain = f"{unquote(user)}:{unquote(password)}"
        basic = base64.b64encode(plain.encode()).decode()
        secrets = {login, password or user, unquote(password or user), basic}
        return cls(
            _without_credentials(url),
            f"Authorization: Basic {basic}",
            tuple(sorted((s for s in secrets if s), key=len, reverse=True)),
        )

    def masked(self, text: str) -> str:
        """``text`` without our credentials."""
        for secret in self._hidden:
            text = text.replace(secret, "***")
        return text

    @property
    def key(self) -> str:
        """A short name for folders, the same for the same repository and credentials."""
        return hashlib.sha256(f"{self.url}\0{self.header}".encode()).hexdigest()[:16]

    @property
    def host(self) -> str:
        """Scheme and host, for settings that hold for all of a host."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}/"


def _without_credentials(url: str) -> str:
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in {"http", "https"}:
            return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return re.sub(r"//[^/@]*@", "//***@", url)


@dataclass(frozen=True, slots=True)
class Refs:
    """The branches of a remote with their commits; ``head`` is its default branch, or empty."""

    branches: Mapping[str, str]
    tags: Mapping[str, str]
    head: str

    def commit(self, name: str, url: str) -> str:
        """The commit of branch (or tag) ``name``, or of the default branch. Raises :class:`GitError` in words."""
        if not self.branches:
            raise GitError(f"{url} has no branches yet; push a commit first")
        if name or self.head:
            found = self.branches.get(name or self.head) or self.tags.get(name)
            if found:
                return found
        names = sorted(self.branches)
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        listed = ", ".join(names[:_NAMES_SHOWN]) + more
        if not name:
            raise GitError(f"{url} has no default branch; name one of: {listed}")
        raise GitError(f"branch {name!r} does not exist in {url}; it has: {listed}")


class Git:
    """Git commands for one remote, until a deadline."""

    def __init__(self, remote: Remote, mirror: Path, log: Log, deadline: float) -> None:
        self._remote = remote
        self._mirror = mirror
        self._log = log
        self._deadline = deadline

    # ------------------------------------------------------------ one command

    async def _git(self, *words: str, at: Path | None = None, keep_out: bool = False, quiet: bool = False) -> Finished:
        settings = ["-c", "protocol.ext.allow=never", "-c", "core.hooksPath=/dev/null", "-c", "gc.autoDetach=false"]
        if self._remote.url.startswith("file:"):  # only who is allowed to read local files may have them as submodules
            settings += ["-c", "protocol.file.allow=always"]
        try:
            return await run(
                ["git", *settings, *words],
                cwd=at or self._mirror,
                env=self._environment(),
                log=(lambda _: None) if quiet else self._say,
                limit=self._deadline - time.monotonic(),
                keep_out=keep_out,
            )
        except FileNotFoundError as error:
            raise GitError("git is not installed on this worker; install it and run again") from error

    def _environment(self) -> dict[str, str]:
        env = git_environment()
        if self._remote.header:  # in the environment: arguments can be read by every user of the machine
            env |= {
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": f"http.{self._remote.host}.extraHeader",
                "GIT_CONFIG_VALUE_0": self._remote.header,
            }
        return env

    def _say(self, line: str) -> None:
        if line.strip():
            self._log(self._remote.masked(line))

    def _failed(self, what: str, done: Finished, advice: str) -> GitError:
        words = "it took too long" if done.timed_out else self._remote.masked(done.last_words())
        return GitError(f"{what}: {words}; {advice}")

    # ------------------------------------------------------------ the mirror (under its lock)

    async def commit_of(self, branch: str) -> str:
        """The commit of a branch or tag as the remote has it now (empty: the default branch). Raises GitError."""
        return (await self.choose("", branch))[1]

    async def choose(self, prefer: str, branch: str) -> tuple[str, str]:
        """The branch ``prefer`` and its commit, if the remote has it now; else ``branch`` and its commit.

        The name of a default branch that was not named is told when there was a choice. Raises GitError.
        """
        await self._make_mirror()
        patterns = ["HEAD", "refs/heads/*"]
        if branch:
            patterns += [f"refs/tags/{branch}", f"refs/tags/{branch}^{{}}"]
        done = await self._git("ls-remote", "--symref", "--", self._remote.url, *patterns, keep_out=True, quiet=True)
        if done.code:
            raise self._failed(f"{self._remote.url} can't be read", done, _CHECK_ACCESS)
        refs = _refs(done.out)
        if prefer and prefer in refs.branches:
            return prefer, refs.branches[prefer]
        return (branch or refs.head) if prefer else branch, refs.commit(branch, self._remote.url)

    async def bring(self, commit: str) -> str:
        """Have ``commit`` in the mirror, fetching only when it is missing; the full name. Raises GitError."""
        if not _COMMIT.fullmatch(commit):
            raise GitError(f"{commit!r} is not a commit; give its hash, at least 4 characters of it")
        await self._make_mirror()
        if found := await self._present(commit):
            return found
        self._log(f"Fetching {self._remote.url}")
        await self._fetch("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", "--prune")
        if found := await self._present(commit):
            return found
        # e.g. the head of a pull request, or a branch that was deleted a moment ago
        asked = await self._git("fetch", "--quiet", "--", self._remote.url, commit, quiet=True)
        if not asked.code and (found := await self._present(commit)):
            return found
        raise GitError(f"commit {commit} does not exist in {self._remote.url}; push it, or choose another one")

    async def _fetch(self, *words: str) -> None:
        refspecs = [w for w in words if not w.startswith("-")]
        options = [w for w in words if w.startswith("-")]
        call = ("fetch", "--force", "--no-tags", *options, "--", self._remote.url, *refspecs)
        done = await self._git(*call)
        if done.code and "File exists" in "".join(done.tail):  # a killed git left its lock; we hold the mirror's
            for left in [*self._mirror.glob("*.lock"), *self._mirror.glob("refs/**/*.lock")]:
                left.unlink(missing_ok=True)
            done = await self._git(*call)
        if done.code:
            raise self._failed(f"{self._remote.url} can't be fetched", done, _CHECK_ACCESS)

    async def _present(self, commit: str) -> str:
        done = await self._git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}", keep_out=True, quiet=True)
        return done.out.strip() if not done.code else ""

    async def _make_mirror(self) -> None:
        if (self._mirror / "HEAD").exists():
            return
        self._mirror.mkdir(parents=True, exist_ok=True)
        done = await self._git("init", "--quiet", "--bare", "--template=", ".")
        # For the tools in the tree that look for it; the credentials are not in it.
        done = done if done.code else await self._git("config", "remote.origin.url", self._remote.url)
        if done.code:
            raise self._failed("the mirror can't be made", done, f"look at {self._mirror}")

    # ------------------------------------------------------------ a tree

    async def add_tree(self, tree: Path, commit: str) -> None:
        """Make an empty detached worktree at ``tree`` in place of whatever is there (under the mirror's lock)."""
        if trash := throw_away(tree):
            await asyncio.to_thread(empty, trash)
        tree.parent.mkdir(parents=True, exist_ok=True)
        await self._git("worktree", "prune", quiet=True)
        done = await self._git("worktree", "add", "--quiet", "--force", "--no-checkout", "--detach", str(tree), commit)
        if done.code:
            raise self._failed("the checkout failed", done, f"look at the disk and at {self._mirror}")

    async def check_out(self, tree: Path, commit: str, keep: tuple[str, ...] = ()) -> None:
        """Make ``tree`` equal to ``commit``: no changes, no untracked files but ``keep`` and what is ignored."""
        done = await self._git("checkout", "--quiet", "--force", "--detach", commit, at=tree)
        if not done.code:
            excluded = [word for name in keep for word in ("-e", _literal(name))]
            done = await self._git("clean", "-ffdq", *excluded, at=tree)
        if not done.code and (tree / ".gitmodules").exists():
            self._log("Updating submodules")
            done = await self._git("submodule", "--quiet", "update", "--init", "--recursive", "--force", at=tree)
        if done.code:
            raise self._failed("the checkout failed", done, "look at the disk, and at the addresses of submodules")

    async def wipe(self, tree: Path) -> None:
        """Remove everything from ``tree`` that is not tracked, also what is ignored."""
        done = await self._git("clean", "-ffdqx", at=tree)
        if done.code:
            raise self._failed("the checkout failed", done, f"look at the disk and at {tree}")

    async def changes(self, tree: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(tracked files that are changed, untracked names that are not ignored), relative to ``tree``."""
        done = await self._git("status", "--porcelain", "-z", "--no-renames", at=tree, keep_out=True, quiet=True)
        if done.code:
            raise self._failed("the checkout can't be read", done, f"look at {tree}")
        entries = [entry for entry in done.out.split("\0") if entry]
        changed = tuple(e[3:] for e in entries if not e.startswith("??"))
        return changed, tuple(e[3:] for e in entries if e.startswith("??"))


_CHECK_ACCESS = "check the address, and that this worker may read it"


def _refs(listed: str) -> Refs:
    branches: dict[str, str] = {}
    tags: dict[str, str] = {}
    head = ""
    for line in listed.splitlines():
        what, _, name = line.partition("\t")
        if what.startswith("ref: ") and name == "HEAD":
            head = what.removeprefix("ref: ").removeprefix("refs/heads/")
        elif name.startswith("refs/heads/"):
            branches[name.removeprefix("refs/heads/")] = what
        elif name.startswith("refs/tags/"):  # the commit of an annotated tag comes after the tag itself
            tags[name.removeprefix("refs/tags/").removesuffix("^{}")] = what
    return Refs(branches, tags, head)


def _literal(name: str) -> str:
    """``name`` as a pattern of git that matches nothing else."""
    return "/" + re.sub(r"([\\*?\[\]!# ])", r"\\\1", name)


def throw_away(folder: Path) -> Path | None:
    """Put a folder out of the way at once; what is returned (None: nothing was there) is for :func:`empty`."""
    if not (folder.exists() or folder.is_symlink()):
        return None
    return folder.rename(folder.with_name(f"{TRASH}{secrets.token_hex(8)}"))


def empty(trash: Path) -> None:
    """Remove a folder with everything in it, also what a test made read-only. Slow: not for the event loop."""
    shutil.rmtree(trash, ignore_errors=True)
    if trash.is_dir() and not trash.is_symlink():
        for folder, _, _ in os.walk(trash):  # top down: each is opened before it is read
            Path(folder).chmod(0o700)
        shutil.rmtree(trash, ignore_errors=True)
    elif trash.exists() or trash.is_symlink():
        trash.unlink()


async def head_of(folder: Path, limit: float = 5.0) -> str:
    """The commit that a local folder is at, or empty when it is in no repository; for information only."""
    try:
        done = await run(
            ["git", "rev-parse", "--verify", "--quiet", "HEAD"],
            cwd=folder,
            env=git_environment(),
            log=lambda _: None,
            limit=limit,
            keep_out=True,
        )
    except OSError:
        return ""
    return done.out.strip() if not done.code else ""
