"""Which change is guilty, and for what reason. Most changes before an incident are innocent; naming none is a good answer."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bot.domain.change import Change, ChangeKind
from bot.domain.evidence import ChangesBody, Evidence, Signal
from bot.domain.scope import Scope
from bot.evidence.graph import Graph
from bot.evidence.reading import Reading

# Guilt is relation x (time + names): how close it is to the failing service, in time, and in what it speaks of.
_TIME = 0.45
_NAMES = 0.55
# Enough for a change of the service itself within about ten minutes, or an hours-old one whose diff names the failure.
GUILTY = 0.33
_HALF_LIFE_S = 1800.0  # half of the weight of time is gone after half an hour
_UNDER = 0.6  # a change of something the service rests on
_NOBODYS = 0.7  # shared code or infrastructure: it has to be named by the evidence to reach the bar
_INERT = 0.15  # documents, tests and pipelines do not run in production
_FAILS_OUTSIDE = (
    0.4  # what fails is a host of somebody else: a change of ours must name that host, or be all but certain
)
_NAMES_ENOUGH = 6.0  # about two rare words, or one identifier of several parts, in common with the evidence
_LIVE = frozenset({ChangeKind.DEPLOY, ChangeKind.COMMIT, ChangeKind.CONFIG, ChangeKind.FLAG})


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A change with its guilt, 0..1, and the words it shares with the evidence, most telling first."""

    change: Change
    evidence: tuple[str, ...]
    guilt: float
    lag_s: float | None
    names: tuple[str, ...]

    @property
    def guilty(self) -> bool:
        return self.guilt >= GUILTY


def changes_in(evidence: Sequence[Evidence]) -> tuple[tuple[Change, tuple[str, ...]], ...]:
    """Every change with the evidence it comes from. A deploy of a commit is one change: when it ran, and what is in it."""
    grouped: dict[tuple[str, ChangeKind | None], list[tuple[Change, str]]] = defaultdict(list)
    for item in evidence:
        if isinstance(item.body, ChangesBody):
            for change in item.body.changes:
                if not math.isfinite(change.at_s):
                    continue
                shared = change.kind in {ChangeKind.DEPLOY, ChangeKind.COMMIT}
                grouped[change.ref, None if shared else change.kind].append((change, item.id))
    return tuple(_merged(group) for group in grouped.values())


RESTARTS_APART_S = 60.0  # instances of one rollout restart together; a crash loop comes back
CRASHING = 2  # restarts apart from each other that make a habit of it; one is what every deploy brings


def read_restarts(scope: Scope, evidence: Sequence[Evidence]) -> tuple[Reading, ...]:
    """A reading for every service that restarted again and again in the window, more often than in the baseline."""
    moments: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for item in evidence:
        for change in item.body.changes if isinstance(item.body, ChangesBody) else ():
            if change.kind is ChangeKind.RESTART and change.service and scope.whole.covers(change.at_s):
                moments[change.service].append((change.at_s, item.id))
    found = []
    for service, times in sorted(moments.items()):
        apart = [
            at for n, at in enumerate(sorted(times)) if n == 0 or at[0] - sorted(times)[n - 1][0] >= RESTARTS_APART_S
        ]
        now = [at for at in apart if scope.window.covers(at[0])]
        usual = (len(apart) - len(now)) * scope.window.duration_s / scope.baseline.duration_s
        if len(now) >= CRASHING and len(now) > 2 * usual:
            found.append(
                Reading(
                    service=service,
                    signal=Signal.RESTARTS,
                    measure="restarts",
                    unit="count",
                    evidence=now[0][1],
                    strength=1.0,
                    rising=True,
                    before=usual,
                    after=float(len(now)),
                    onset_s=now[0][0],
                )
            )
    return tuple(found)


def _merged(group: Sequence[tuple[Change, str]]) -> tuple[Change, tuple[str, ...]]:
    ran = [change for change, _ in group if change.kind is not ChangeKind.COMMIT] or [change for change, _ in group]
    first = min(ran, key=lambda change: (change.at_s, change.service or ""))
    every = [change for change, _ in group]
    whole = Change(
        kind=first.kind,
        at_s=first.at_s,
        service=first.service or next((c.service for c in every if c.service), None),
        ref=first.ref,
        summary=max((c.summary for c in every), key=len),
        author=first.author or next((c.author for c in every if c.author), None),
        files=tuple(dict.fromkeys(path for c in every for path in c.files)),
        diff=max((c.diff for c in every), key=len),
        source=first.source,
        link=first.link or next((c.link for c in every if c.link), None),
    )
    return whole, tuple(dict.fromkeys(evidence for _, evidence in group))


def suspects(
    service: str,
    readings: Sequence[Reading],
    evidence: Sequence[Evidence],
    graph: Graph,
    onset_s: float | None,
    tolerance_s: float,
) -> tuple[Suspect, ...]:
    """Every change that could have caused the service's trouble, most guilty first; ties by later time, then ref."""
    known = {r.service for r in readings} | set(graph.callees) | set(graph.callers)
    candidates = [(_placed(change, known), ids) for change, ids in changes_in(evidence) if change.kind in _LIVE]
    spoken = _spoken(service, readings)
    outside = _hosts_outside(readings, known)
    texts = [_words(_text(change)) for change, _ in candidates]
    seen = Counter(word for words in texts for word in words)
    found: list[Suspect] = []
    for (change, ids), words in zip(candidates, texts, strict=True):
        rare = {w: spoken[w] * math.log(1 + (len(texts) + 1) / seen[w]) for w in words & set(spoken)}
        names = tuple(sorted(rare, key=lambda w: (-rare[w], w)))
        weight = min(1.0, sum(rare.values()) / _NAMES_ENOUGH)
        lag = None if onset_s is None else onset_s - change.at_s
        guilt = _relation(change, service, graph) * (_TIME * _timing(lag, tolerance_s) + _NAMES * weight)
        if lag is not None and lag < -tolerance_s:
            guilt = 0.0
        if outside and not outside & words:
            guilt *= _FAILS_OUTSIDE
        found.append(Suspect(change=change, evidence=ids, guilt=guilt * _runs(change), lag_s=lag, names=names))
    return tuple(sorted(found, key=lambda s: (-s.guilt, -s.change.at_s, s.change.ref)))


def _relation(change: Change, service: str, graph: Graph) -> float:
    if change.service == service:
        return 1.0
    if change.service is None:
        return _NOBODYS
    return _UNDER if change.service in graph.below(service) else 0.0


def _timing(lag_s: float | None, tolerance_s: float) -> float:
    if lag_s is None:
        return 0.3
    return 0.5 ** (max(0.0, lag_s - tolerance_s) / _HALF_LIFE_S) if lag_s >= -tolerance_s else 0.0


_INERT_PATH = re.compile(
    r"(^|/)(docs?|tests?|testdata|__tests__|\.github|\.gitlab|\.circleci|ci)/|\.(md|rst|txt)$|_test\.\w+$|\.(test|spec)\.\w+$|test_\w+\.py$",
    re.IGNORECASE,
)
_INERT_SUMMARY = re.compile(
    r"^(docs?|tests?|ci|style|chore\(?(docs|ci|tests?)\)?)[:(]|\b(typo|readme|changelog)\b", re.IGNORECASE
)


def _runs(change: Change) -> float:
    """1 for what runs in production, little for what does not."""
    if change.files:
        return _INERT if all(_INERT_PATH.search(path) for path in change.files) else 1.0
    return _INERT if _INERT_SUMMARY.search(change.summary) else 1.0


_SETTINGS_PATH = re.compile(
    r"(^|/)(config|configs|conf|settings|flags|values|environments?)/|\.(ya?ml|toml|ini|env|conf|cfg|properties|tfvars)$|(^|/)\.env",
    re.IGNORECASE,
)


def is_settings(change: Change) -> bool:
    """Whether a change sets values and brings no code: told as such, or a commit of settings files alone."""
    if change.kind in {ChangeKind.CONFIG, ChangeKind.FLAG}:
        return True
    return bool(change.files) and all(_SETTINGS_PATH.search(path) for path in change.files)


def _placed(change: Change, services: Iterable[str]) -> Change:
    """The change with the service its paths name, where it names none: the one service that all of them point to."""
    if change.service is not None or not change.files:
        return change
    pointed: set[str] = set()
    for path in change.files:
        parts = {_bare(part) for part in re.split(r"[/.]", path)}
        pointed |= {service for service in services if _bare(service) in parts}
    if len(pointed) != 1:
        return change
    return Change(
        kind=change.kind,
        at_s=change.at_s,
        service=pointed.pop(),
        ref=change.ref,
        summary=change.summary,
        author=change.author,
        files=change.files,
        diff=change.diff,
        source=change.source,
        link=change.link,
    )


def _bare(name: str) -> str:
    """A name without what people add or leave out: payment-service, paymentservice and payment are one."""
    letters = re.sub(r"[^a-z0-9]", "", name.lower())
    for ending in ("service", "svc"):
        if letters.endswith(ending) and len(letters) > len(ending) + 1:
            return letters[: -len(ending)]
    return letters


def _text(change: Change) -> str:
    """What a change speaks of: its summary, its paths, and the lines its diff adds or takes away."""
    moved = [line[1:] for line in change.diff.splitlines() if line[:1] in "+-" and line[:3] not in {"+++", "---"}]
    return "\n".join([change.summary, change.ref, *change.files, *moved])[:20_000]


def _spoken(service: str, readings: Sequence[Reading]) -> Mapping[str, float]:
    """The words of the evidence with a weight: what the service's own departures name counts in full, others' half."""
    spoken: dict[str, float] = {}
    for reading in readings:
        if reading.strength <= 0 or (not reading.rising and reading.signal is Signal.LOGS):
            continue
        weight = 1.0 if reading.service == service else 0.5
        for word in _words(f"{reading.text[:2000]}\n{reading.measure}"):
            # Names of several parts are nobody's by accident.
            spoken[word] = max(spoken.get(word, 0.0), weight * (2.0 if re.search(r"[_.\-/]", word) else 1.0))
    # Everything about a service holds its name: that tells no change from another.
    own = {_bare(service), *(_one(piece.lower()) for piece in _PIECE.findall(service))}
    return {word: weight for word, weight in spoken.items() if word not in own and _bare(word) not in own}


_HOST = re.compile(r"\b(?:[a-z0-9][a-z0-9-]*\.)+(?:com|net|org|io|dev|app|cloud|co|eu|us|uk|de)\b", re.IGNORECASE)


def _hosts_outside(readings: Sequence[Reading], services: Iterable[str]) -> set[str]:
    """Hosts on the internet that failing lines name, in lower case, when such lines are the strongest of those that came up."""
    inside = {_bare(service) for service in services}
    lines = [r for r in readings if r.signal is Signal.LOGS and r.rising and r.strength > 0]
    if not lines:
        return set()
    strongest = max(lines, key=lambda r: (r.strength, r.text))
    hosts = {host.lower() for host in _HOST.findall(strongest.text[:2000])}
    return {host for host in hosts if not any(_bare(part) in inside for part in host.split("."))}


# Words that stand for one resource or idea, so that "conn pool" in a log meets "maxOpenConnections" in a diff.
_IDEAS: Mapping[str, str] = {
    word: f"#{idea}"
    for idea, words in {
        "pool": "pool connection connections conn hikari pgbouncer acquire checkout_timeout",
        "timeout": "timeout deadline ttl expires",
        "memory": "memory heap oom leak cache buffer gc alloc",
        "disk": "disk volume space retention rotation rotate logrotate storage",
        "certificate": "certificate cert x509 tls ssl mtls",
        "query": "query sql select index scan rows join db database",
        "auth": "unauthorized token jwt jwks auth forbidden secret signing",
        "names": "dns resolver lookup host coredns ndots",
        "retry": "retry retries backoff",
        "nothing": "null nil none undefined nullpointer nullpointerexception attributeerror typeerror",
        "schema": "schema migration column field",
        "parse": "parse unmarshal deserialize decode json protobuf",
    }.items()
    for word in words.split()
}
_COMMON_WORDS = """
    error errors failed failure fail failing http request requests response service services server client call calls
    with from this that have been were will your into when then else return returns func function class public private
    import package const string value values true false info warn warning debug level message time name type test tests
    code line file path main self null none data user users internal ratio rate count total duration seconds percent
    pattern latency traffic usage update updated added adds remove removed change changed default config make made more
    after before over under above below could cannot while handler handle handling context used uses using
"""
_COMMON = frozenset(_COMMON_WORDS.split())
_COMPOUND = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[_\-.][A-Za-z0-9]+)+")
_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")


def _words(text: str) -> set[str]:
    """Words and names in a text that can tell one change from another, in lower case, with the ideas they stand for."""
    found = {name.lower() for name in _COMPOUND.findall(text) if len(name) >= 6}
    pieces = {piece.lower() for piece in _PIECE.findall(text)}
    found |= {_IDEAS[piece] for piece in pieces if piece in _IDEAS}
    found |= {_one(piece) for piece in pieces if len(piece) >= 4 and not piece.isdigit()}
    return found - _COMMON


def _one(word: str) -> str:
    """The singular of a plural, roughly: enough for both sides to meet."""
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 4 else word
