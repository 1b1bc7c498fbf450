"""Commits of real repositories, peaceful and hostile ones."""

import asyncio
import os
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from bot.adapters.git_changes import MAX_DIFF_BYTES, GitChanges, GitRepository
from bot.domain.change import Change, ChangeKind
from bot.domain.scope import Window
from bot.errors import QueryRefused, SourceUnavailable

AT_S = 1_750_000_000
WINDOW = Window(start_s=AT_S - 100, end_s=AT_S + 10_000)
SOON_S = 10.0


def git(path: Path, *arguments: str, at_s: int = AT_S, author: str = "Ada") -> str:
    who = {"GIT_AUTHOR_NAME": author, "GIT_AUTHOR_EMAIL": "a@example.com", "GIT_AUTHOR_DATE": f"@{at_s} +0000"}
    who |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in who.items()}
    done = subprocess.run(
        ["git", "-C", str(path), "-c", "commit.gpgsign=false", *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(path), **who},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def commit(
    path: Path, message: str, files: Mapping[str, str] | None = None, *, at_s: int = AT_S, author: str = "Ada"
) -> str:
    for name, text in (files or {}).items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "--allow-empty", "--allow-empty-message", "-m", message, at_s=at_s, author=author)
    return git(path, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    return tmp_path


async def changes(repository: GitRepository, *services: str, window: Window = WINDOW) -> tuple[Change, ...]:
    return await GitChanges("code", [repository]).changes(services, window, timeout_s=SOON_S)


async def test_a_commit_is_told_with_author_files_diff_and_link(repository: Path) -> None:
    commit(repository, "Start", {"pool/py": "size = 10\n"}, at_s=AT_S - 500)
    sha = commit(repository, "Halve the pool\n\nSaves memory.", {"pool/py": "size = 5\n"}, at_s=AT_S + 5)

    [change] = await changes(
        GitRepository(path=repository, service="cart", link="https://git.example/cart/{sha}"), "cart"
    )

    assert change.kind is ChangeKind.COMMIT
    assert (change.at_s, change.service, change.ref, change.author) == (AT_S + 5, "cart", sha, "Ada")
    assert change.summary == "Halve the pool"
    assert change.files == ("pool/py",)
    assert "-size = 10\n+size = 5" in change.diff
    assert change.link == f"https://git.example/cart/{sha}"
    assert change.source == "code"


async def test_a_repository_of_another_service_is_not_read(repository: Path) -> None:
    missing = GitRepository(path=repository / "missing", service="cart")

    assert await changes(missing, "checkout") == ()


async def test_a_commit_to_two_services_is_told_for_each_with_its_part(repository: Path) -> None:
    commit(
        repository, "Both", {"services/cart/a": "1\n", "services/cartography/b": "2\n", "services/cart/sub/c": "3\n"}
    )
    mono = GitRepository(
        path=repository,
        prefixes={"services/cart/": "cart", "services/cartography": "maps", "services/cart/sub": "sub"},
    )

    found = {change.service: change for change in await changes(mono)}

    assert {service: change.files for service, change in found.items()} == {
        "cart": ("services/cart/a",),
        "maps": ("services/cartography/b",),
        "sub": ("services/cart/sub/c",),
    }
    assert "services/cart/a" not in found["maps"].diff
    assert {change.service for change in await changes(mono, "maps")} == {"maps"}


async def test_shared_files_concern_everybody(repository: Path) -> None:
    commit(repository, "Shared", {"lib/http": "1\n"})
    mono = GitRepository(path=repository, prefixes={"services/cart": "cart"})

    [change] = await changes(mono, "checkout")

    assert change.service is None


async def test_a_merge_counts_when_it_lands_with_all_it_brought(repository: Path) -> None:
    commit(repository, "Start", {"a": "1\n"}, at_s=AT_S - 5000)
    git(repository, "checkout", "--quiet", "-b", "feature")
    commit(repository, "Weeks of work", {"b": "2\n"}, at_s=AT_S - 4000)
    git(repository, "checkout", "--quiet", "main")
    git(repository, "merge", "--quiet", "--no-ff", "-m", "Merge the feature", "feature", at_s=AT_S + 7)

    [change] = await changes(GitRepository(path=repository, service="cart"))

    assert (change.at_s, change.summary, change.files) == (AT_S + 7, "Merge the feature", ("b",))
    assert "+2" in change.diff


async def test_a_long_diff_is_cut(repository: Path) -> None:
    commit(repository, "Vendor", {"big": "".join(f"line {i}\n" for i in range(100_000))})

    [change] = await changes(GitRepository(path=repository, service="cart"))

    assert len(change.diff) == MAX_DIFF_BYTES


async def test_no_subject_author_or_file_name_can_pretend_to_be_a_commit(repository: Path) -> None:
    subject = "\x01" + "a" * 40 + "\x01Eve\n--output=/etc/passwd"
    names = {"--output=x": "1\n", "a" * 40: "2\n", "ü\ttab": "3\n", ":(exclude)*": "4\n"}
    sha = commit(repository, subject, names, author="Eve\x01\x02")
    empty = commit(repository, "", at_s=AT_S + 1)
    after = commit(repository, "After", {"z": "5\n"}, at_s=AT_S + 2)

    found = await changes(GitRepository(path=repository, service="cart"))

    assert [change.ref for change in found] == [sha, empty, after]
    assert set(found[0].files) == set(names)
    assert found[1].files == ()


async def test_programs_a_repository_names_are_not_run(repository: Path) -> None:
    trap = repository / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {repository}/sprung\n")
    trap.chmod(trap.stat().st_mode | stat.S_IXUSR)
    for key in (
        "diff.external",
        "diff.evil.command",
        "diff.evil.textconv",
        "core.fsmonitor",
        "core.pager",
        "gpg.program",
    ):
        git(repository, "config", key, str(trap))
    git(repository, "config", "log.showSignature", "true")
    (repository / ".gitattributes").write_text("* diff=evil\n")
    git(repository, "-c", "core.fsmonitor=false", "add", "--all")
    git(repository, "-c", "core.fsmonitor=false", "commit", "--quiet", "-m", "Trap")
    (repository / "sprung").unlink(missing_ok=True)

    [change] = await changes(GitRepository(path=repository, service="cart"))

    assert change.diff
    assert not (repository / "sprung").exists()


async def test_a_repository_without_commits_has_no_changes(repository: Path) -> None:
    assert await changes(GitRepository(path=repository, service="cart")) == ()


@pytest.mark.parametrize("branch", ["no-such-branch", "--output=x", "-p"])
async def test_a_branch_that_is_not_there_is_refused(repository: Path, branch: str) -> None:
    commit(repository, "Start", {"a": "1\n"})

    with pytest.raises(QueryRefused) as refused:
        await changes(GitRepository(path=repository, service="cart", branch=branch))

    assert refused.value.code == "CHG-004"
    assert not (repository / "x").exists()


async def test_a_directory_that_is_no_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(QueryRefused) as refused:
        await changes(GitRepository(path=tmp_path / "missing", service="cart"))

    assert refused.value.code == "CHG-004"
    assert "missing" in refused.value.message


async def test_somebody_elses_repository_is_refused_with_the_command_that_helps(repository: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory to another user")
    commit(repository, "Start", {"a": "1\n"})
    for path in (repository, repository / ".git"):
        os.chown(path, 12345, 12345)

    with pytest.raises(QueryRefused) as refused:
        await changes(GitRepository(path=repository, service="cart"))

    assert refused.value.code == "CHG-003"
    assert f"safe.directory {repository}" in refused.value.remedy


async def test_git_that_does_not_end_costs_its_deadline_and_is_ended(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = repository / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text(f"#!/bin/sh\necho $$ > {repository}/pid\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")

    with pytest.raises(SourceUnavailable) as failed:
        async with asyncio.timeout(SOON_S):
            await GitChanges("code", [GitRepository(path=repository)]).changes((), WINDOW, timeout_s=0.5)

    assert failed.value.code == "CHG-001"
    with pytest.raises(ProcessLookupError):
        os.kill(int((repository / "pid").read_text()), 0)


async def test_a_machine_without_git_says_so(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))

    with pytest.raises(QueryRefused) as refused:
        await changes(GitRepository(path=repository))

    assert refused.value.code == "CHG-002"
