"""Commits of local repositories: who changed what before it broke."""

import asyncio
import os
from asyncio import StreamReader
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from bot.domain.change import Change, ChangeKind
from bot.domain.scope import Window
from bot.errors import QueryRefused, SourceUnavailable

MAX_DIFF_BYTES = 20_000  # a commit; what is longer says less about an incident than its first part
MAX_COMMITS = 200  # a window; the newest are kept
_MAX_LOG_BYTES = 4_000_000  # a commit that touches every file of a large repository lists megabytes of names
_PARALLEL = 4  # git processes at once

# Nothing a repository's own configuration names is run, nothing is fetched, no path is a pattern.
_GIT = ("git", "--no-pager", "--literal-pathspecs", "-c", "core.fsmonitor=false", "-c", "log.showSignature=false")
_PLAIN_DIFF = ("--no-ext-diff", "--no-textconv", "--no-color", "--diff-merges=first-parent")
_LOG_FORMAT = "--format=%x00%H%x00%ct%x00%an%x00%s%x00"
_NO_COMMITS = "bad revision 'HEAD'"  # a repository whose first commit is still to come
_KEPT_ENVIRONMENT = ("PATH", "HOME", "XDG_CONFIG_HOME")  # git itself and the operator's safe.directory list


@dataclass(frozen=True, slots=True, kw_only=True)
class GitRepository:
    """A local clone that somebody keeps up to date. `branch` is what runs in the environment.

    All commits concern `service`; in a repository of many services `prefixes` maps path prefixes (`services/cart`) to them
    instead. `link` is the address of a commit with `{sha}` in it.
    """

    path: Path
    service: str | None = None
    prefixes: Mapping[str, str] = field(default_factory=dict)
    branch: str = "HEAD"
    link: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Commit:
    sha: str
    at_s: float
    author: str
    subject: str
    files: tuple[str, ...]


class GitChanges:
    """A ChangeSource over configured repositories. A commit counts from when it landed on the branch (committer's date)."""

    def __init__(self, name: str, repositories: Sequence[GitRepository], *, environment: str | None = None) -> None:
        self._name = name
        self._repositories = tuple(repositories)
        self._environment = environment
        self._running = asyncio.Semaphore(_PARALLEL)

    @property
    def name(self) -> str:
        return self._name

    @property
    def environment(self) -> str | None:
        return self._environment

    async def changes(self, services: Sequence[str], window: Window, *, timeout_s: float) -> tuple[Change, ...]:
        """As the port says: one change for each service a commit touches. Nothing is fetched from anywhere.

        Raises:
            QueryRefused: not a repository, not ours to read, or no git.
            SourceUnavailable: git did not finish in time.
        """
        try:
            async with asyncio.timeout(timeout_s):
                # Failures are looked at when all have ended: none goes on unwatched after another has failed.
                found = await asyncio.gather(
                    *(self._of(repository, services, window) for repository in self._repositories),
                    return_exceptions=True,
                )
        except TimeoutError:
            raise SourceUnavailable(
                "CHG-001",
                f"Reading the git history of {self._name} took longer than {timeout_s:g} s.",
                "Ask about a shorter time, or run `git gc` in the repository.",
            ) from None
        return tuple(sorted((change for part in found for change in _or_raised(part)), key=lambda change: change.at_s))

    async def _of(self, repository: GitRepository, services: Sequence[str], window: Window) -> list[Change]:
        if not _concerns(repository, services):
            return []
        commits = [c for c in await self._commits(repository, window) if window.covers(c.at_s)]
        touches = [
            (commit, service, files)
            for commit in commits
            for service, files in _touched(repository, commit.files).items()
            if not services or service is None or service in services
        ]
        diffs = await asyncio.gather(*(self._diff(repository, commit.sha, service) for commit, service, _ in touches))
        return [
            self._change(repository, commit, service, files, diff)
            for (commit, service, files), diff in zip(touches, diffs, strict=True)
        ]

    def _change(
        self, repository: GitRepository, commit: _Commit, service: str | None, files: tuple[str, ...], diff: str
    ) -> Change:
        return Change(
            kind=ChangeKind.COMMIT,
            at_s=commit.at_s,
            service=service,
            ref=commit.sha,
            summary=commit.subject,
            author=commit.author,
            files=files,
            diff=diff,
            source=self._name,
            link=repository.link.replace("{sha}", commit.sha) if repository.link else None,
        )

    async def _commits(self, repository: GitRepository, window: Window) -> list[_Commit]:
        """Commits that landed on the branch; a merge counts as one, with all it brought."""
        log = await self._git(
            repository,
            *("log", "-z", "--first-parent", f"--max-count={MAX_COMMITS}", "--name-only", _LOG_FORMAT, *_PLAIN_DIFF),
            *(f"--since=@{int(window.start_s)}", f"--until=@{int(window.end_s) + 1}"),
            *("--end-of-options", repository.branch, "--"),
            most_bytes=_MAX_LOG_BYTES,
        )
        return list(_read_log(log))

    async def _diff(self, repository: GitRepository, sha: str, service: str | None) -> str:
        paths = [prefix for prefix, of in repository.prefixes.items() if of == service]
        return await self._git(
            repository, "show", "--format=", "--patch", *_PLAIN_DIFF, sha, "--", *paths, most_bytes=MAX_DIFF_BYTES
        )

    async def _git(self, repository: GitRepository, *arguments: str, most_bytes: int) -> str:
        """What git prints, cut at a size."""
        command = (*_GIT, "-C", str(repository.path), *arguments)
        async with self._running, _process(command) as process:
            stdout, stderr = cast(StreamReader, process.stdout), cast(StreamReader, process.stderr)
            output = await _read_up_to(stdout, most_bytes)
            if len(output) < most_bytes:  # it came to its end by itself
                said = (await stderr.read(2000)).decode("utf-8", "replace").strip()
                if await process.wait() != 0 and _NO_COMMITS not in said:
                    raise _refused(repository.path, said)
        return output.decode("utf-8", "replace")


def _or_raised(part: list[Change] | BaseException) -> list[Change]:
    if isinstance(part, BaseException):
        raise part
    return part


def _concerns(repository: GitRepository, services: Sequence[str]) -> bool:
    """Whether the repository can hold something of these services: files nobody owns concern everyone."""
    return not services or bool(repository.prefixes) or repository.service is None or repository.service in services


def _touched(repository: GitRepository, files: tuple[str, ...]) -> dict[str | None, tuple[str, ...]]:
    """The files of each service a commit touches. Shared files are everybody's (None) only where it touches no service."""
    if not repository.prefixes:
        return {repository.service: files}
    touched: dict[str | None, tuple[str, ...]] = {}
    for path in files:
        owner = _owner(repository.prefixes, path)
        if owner is not None:
            touched[owner] = (*touched.get(owner, ()), path)
    return touched or {repository.service: files}


def _owner(prefixes: Mapping[str, str], path: str) -> str | None:
    """The service with the longest prefix of the path."""
    fitting = [prefix for prefix in prefixes if f"{path}/".startswith(f"{prefix.rstrip('/')}/")]
    return prefixes[max(fitting, key=len)] if fitting else None


def _read_log(log: str) -> Iterator[_Commit]:
    """Commits of `git log -z --name-only` in our format.

    Each is an empty field, the four we ask for, an empty one, and paths up to the next commit's empty field.
    No path is empty and nothing holds a NUL, so no subject or file name can pretend to be a commit.
    """
    fields = log.split("\0")
    i = 0
    while i + 5 < len(fields):
        sha, at, author, subject = fields[i + 1 : i + 5]
        end = next((k for k in range(i + 6, len(fields)) if not fields[k]), len(fields))
        files = tuple(path.removeprefix("\n") for path in fields[i + 6 : end])
        yield _Commit(sha=sha, at_s=float(at), author=author, subject=subject, files=files)
        i = end


async def _read_up_to(stream: StreamReader, most_bytes: int) -> bytes:
    output = bytearray()
    while len(output) < most_bytes and (piece := await stream.read(most_bytes - len(output))):
        output += piece
    return bytes(output)


@asynccontextmanager
async def _process(command: Sequence[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A running git, gone at the end whatever happens."""
    environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    environment |= {
        "LC_ALL": "C",  # we read its errors
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
    }
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=nothing, stdout=pipe, stderr=pipe, env=environment
        )
    except FileNotFoundError:
        raise QueryRefused("CHG-002", "git is not installed here.", "Install git, or remove the git sources.") from None
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _refused(path: Path, said: str) -> QueryRefused:
    if "dubious ownership" in said:
        return QueryRefused(
            "CHG-003",
            f"git does not trust the repository {path}: it belongs to another user.",
            f"Run `git config --global --add safe.directory {path}` as the user Groundwire runs as.",
        )
    return QueryRefused(
        "CHG-004",
        f"git cannot read the repository {path}: {said[:300] or 'no reason given'}.",
        "Check path and branch of the git source, and that Groundwire may read it.",
    )
