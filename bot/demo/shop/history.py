"""What people did to a shop: commits, deploys, flags and configuration of nine days, guilty ones and innocent ones."""

import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from bot.demo.shop import code
from bot.demo.shop.faults import Incident
from bot.demo.shop.noise import Draw, draw
from bot.demo.shop.topology import Service, Topology
from bot.domain.change import Change, ChangeKind

AUTHORS = ("Ada Quill", "Bo Marten", "Cleo Farrow", "Dov Hale", "Eli Sparrow", "Fay Linden", "Gus Ember")
DAYS = 9  # a week and what a look one week back needs around it
DAY_S = 86400.0
_FIRST_S = 30 * DAY_S  # every repository began that long ago


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit as git has it: `sha` is the real hash of exactly this content, author, time and parent."""

    sha: str
    service: str
    at_s: int
    author: str
    message: str
    path: str
    diff: str
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy:
    """A version that went out: `commit` is what it was built from."""

    service: str
    at_s: float
    version: str
    commit: str
    author: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigChange:
    """A flag or value that took effect without a deploy."""

    kind: ChangeKind
    service: str
    at_s: float
    key: str
    commit: Commit


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Everything people did, each list oldest first.

    `guilty` are the names of the change that broke something, the most exact first: the commit, then the version that
    brought it out and the commit that version was built from; or the flag or key, then its commit. Empty: nobody did it.
    """

    commits: Mapping[str, tuple[Commit, ...]]
    deploys: Mapping[str, tuple[Deploy, ...]]
    configs: tuple[ConfigChange, ...]
    onset_s: float
    guilty: tuple[str, ...] = ()


def history(topology: Topology, seed: int, onset_s: float, incident: Incident | None) -> History:
    """Nine days of work before the onset, some of it suspiciously close to it."""
    chance = draw(seed, "history")
    others = [s.name for s in topology.web if incident is None or s.name != incident.target]
    near = {chance.pick(others): onset_s - chance.between(120.0, 720.0)}
    near.setdefault(chance.pick(others), onset_s - chance.between(1500.0, 5400.0))
    flagged = chance.pick([name for name in others if name not in near])
    books = {s.name: _Book(s, seed, onset_s) for s in topology.web}
    configs: list[ConfigChange] = []
    guilty: tuple[str, ...] = ()
    for name, book in books.items():
        book.work_up_to(onset_s)
        if name == flagged:
            configs.append(
                book.config(code.flip_related(False), "show_related", onset_s - chance.between(300.0, 2400.0))
            )
        if name in near:
            book.release(near[name])
        if incident and incident.target == name and incident.change_at_s is not None:
            guilty = _break(book, incident, configs)
    return History(
        commits={name: tuple(book.commits) for name, book in books.items()},
        deploys={name: tuple(book.deploys) for name, book in books.items()},
        configs=tuple(sorted(configs, key=lambda c: c.at_s)),
        onset_s=onset_s,
        guilty=guilty,
    )


def changes(past: History) -> tuple[Change, ...]:
    """The history as changes, oldest first: when each took effect."""
    found = [_commit_change(c) for commits in past.commits.values() for c in commits[1:]]
    found += [_deploy_change(d) for deploys in past.deploys.values() for d in deploys]
    found += [_config_change(c) for c in past.configs]
    return tuple(sorted(found, key=lambda c: (c.at_s, c.ref)))


def bad_flag_of(incident: Incident, seed: int) -> code.Flag:
    """The flag a `bad_config_flag` incident of the flag variety turns on."""
    return draw(seed, "flag", incident.target).pick(code.FLAGS)


def _break(book: "_Book", incident: Incident, configs: list[ConfigChange]) -> tuple[str, ...]:
    """Makes the guilty change and gives its names."""
    at_s = incident.change_at_s or incident.onset_s
    if incident.name == "bad_config_flag":
        if incident.variant == "flag":
            flag = bad_flag_of(incident, book.seed)
            change = book.config(code.bad_flag(flag), flag.name, at_s)
        else:
            change = book.config(code.bad_limit(), "limits.max_items", at_s, kind=ChangeKind.CONFIG)
        configs.append(change)
        return change.key, change.commit.sha
    edit = {
        "bad_deploy": code.unchecked_price,
        "memory_leak": code.endless_cache,
        "pool_exhaustion": code.smaller_pool if incident.variant == "smaller pool" else code.unclosed_connection,
    }[incident.name](book.service)
    guilty = book.commit(edit, at_s - book.chance.between(600.0, 1500.0))
    if book.chance.share() < 0.5:
        book.commit(code.innocent(book.service, book.chance, 900), at_s - book.chance.between(240.0, 560.0))
    out = book.deploy(at_s)
    return tuple(dict.fromkeys((guilty.sha, out.version, out.commit)))


class _Book:
    """The repository and the releases of one service while they are being written."""

    def __init__(self, service: Service, seed: int, onset_s: float) -> None:
        self.service = service
        self.seed = seed
        self.chance: Draw = draw(seed, "work", service.name)
        self.files: dict[str, str] = code.first_files(service)
        self.commits: list[Commit] = []
        self.deploys: list[Deploy] = []
        self._minor = self.chance.whole(12, 60)
        self._record("first version", "README.md", "", int(onset_s - _FIRST_S))

    def work_up_to(self, onset_s: float) -> None:
        """Releases every one to three days until a few hours before the onset."""
        at_s = onset_s - DAYS * DAY_S + self.chance.between(0.0, DAY_S)
        while at_s < onset_s - 7200.0:
            self.release(at_s)
            at_s += self.chance.between(1.0, 3.0) * DAY_S

    def release(self, at_s: float) -> None:
        """One to three innocent commits and the deploy that brings them out."""
        for step in range(self.chance.whole(1, 3), 0, -1):
            edit = code.innocent(self.service, self.chance, len(self.commits))
            self.commit(edit, at_s - step * self.chance.between(400.0, 1800.0))
        self.deploy(at_s)

    def commit(self, edit: code.Edit, at_s: float) -> Commit:
        old = self.files[edit.path]
        new = edit.apply(old)
        self.files = {**self.files, edit.path: new}
        diff = "".join(
            difflib.unified_diff(
                old.splitlines(keepends=True),
                new.splitlines(keepends=True),
                f"a/{edit.path}",
                f"b/{edit.path}",
            )
        )
        earliest = self.commits[-1].at_s + 1
        return self._record(edit.message, edit.path, diff, max(int(at_s), earliest))

    def config(self, edit: code.Edit, key: str, at_s: float, *, kind: ChangeKind = ChangeKind.FLAG) -> ConfigChange:
        """A commit that takes effect by itself, half a minute after it was merged."""
        commit = self.commit(edit, at_s - 30.0)
        return ConfigChange(kind=kind, service=self.service.name, at_s=at_s, key=key, commit=commit)

    def deploy(self, at_s: float) -> Deploy:
        self._minor += 1
        head = self.commits[-1]
        version = f"1.{self._minor}.0"
        out = Deploy(service=self.service.name, at_s=at_s, version=version, commit=head.sha, author=head.author)
        self.deploys.append(out)
        return out

    def _record(self, message: str, path: str, diff: str, at_s: int) -> Commit:
        author = self.chance.pick(AUTHORS)
        parent = self.commits[-1].sha if self.commits else None
        sha = commit_sha(self.files, parent, author, at_s, message)
        commit = Commit(
            sha=sha,
            service=self.service.name,
            at_s=at_s,
            author=author,
            message=message,
            path=path,
            diff=diff,
            files=self.files,
        )
        self.commits.append(commit)
        return commit


def mail(author: str) -> str:
    """The author's address, at a domain reserved for examples (RFC 2606)."""
    return f"{author.split()[0].lower()}@shop.example"


def commit_sha(files: Mapping[str, str], parent: str | None, author: str, at_s: int, message: str) -> str:
    """The hash git gives a commit with these files (git's object format, SHA-1)."""
    who = f"{author} <{mail(author)}> {at_s} +0000"
    lines = [f"tree {_tree_sha(files)}", *([f"parent {parent}"] if parent else []), f"author {who}", f"committer {who}"]
    return _object_sha("commit", ("\n".join(lines) + f"\n\n{message}\n").encode())


def _tree_sha(files: Mapping[str, str]) -> str:
    """The hash of a directory: files and, by recursion, directories, in git's order."""
    entries: dict[str, tuple[str, str]] = {}
    below: dict[str, dict[str, str]] = {}
    for path, text in files.items():
        head, slash, rest = path.partition("/")
        if slash:
            below.setdefault(head, {})[rest] = text
        else:
            entries[head] = ("100644", _object_sha("blob", text.encode()))
    entries.update({name: ("40000", _tree_sha(inner)) for name, inner in below.items()})
    order = sorted(entries, key=lambda name: name + ("/" if entries[name][0] == "40000" else ""))
    body = b"".join(f"{entries[n][0]} {n}".encode() + b"\0" + bytes.fromhex(entries[n][1]) for n in order)
    return _object_sha("tree", body)


def _object_sha(kind: str, body: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(body)}".encode() + b"\0" + body, usedforsecurity=False).hexdigest()


def _commit_change(commit: Commit) -> Change:
    return Change(
        kind=ChangeKind.COMMIT,
        at_s=float(commit.at_s),
        service=commit.service,
        ref=commit.sha,
        summary=commit.message,
        author=commit.author,
        files=(commit.path,),
        diff=commit.diff,
        source="git",
    )


def _deploy_change(deploy: Deploy) -> Change:
    return Change(
        kind=ChangeKind.DEPLOY,
        at_s=deploy.at_s,
        service=deploy.service,
        ref=deploy.version,
        summary=f"{deploy.service} {deploy.version} ({deploy.commit[:7]}) rolled out",
        author=deploy.author,
        source="deploys",
    )


def _config_change(change: ConfigChange) -> Change:
    return Change(
        kind=change.kind,
        at_s=change.at_s,
        service=change.service,
        ref=change.key,
        summary=change.commit.message,
        author=change.commit.author,
        files=(change.commit.path,),
        diff=change.commit.diff,
        source="config",
    )
