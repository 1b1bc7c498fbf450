"""The lines a server holds: streams by their labels, entries in the order of their time."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from threading import Lock
from typing import NamedTuple

from bot.demo.loki.extract import label_name
from bot.demo.loki.level import detect_level
from bot.demo.loki.syntax import Matcher, quote
from bot.demo.loki.validation import matches

# Loki counts a structured metadata pair as two references of 4 bytes into a table of distinct texts.
_METADATA_PAIR_BYTES = 8
_TIME = attrgetter("time_ns")


def labels_text(labels: Mapping[str, str]) -> str:
    """`{app="web", pod="a"}`, sorted by name: how Loki names a stream and orders its answers."""
    return "{" + ", ".join(f"{name}={quote(labels[name])}" for name in sorted(labels)) + "}"


class Metadata:
    """The structured metadata of one or more entries of a stream, with all their labels in one."""

    __slots__ = ("labels", "merged", "text")

    def __init__(self, stream: Mapping[str, str], labels: Mapping[str, str]) -> None:
        self.labels = dict(sorted(labels.items()))
        self.merged = dict(sorted({**stream, **labels}.items()))
        self.text = labels_text(self.merged)


class Entry(NamedTuple):
    """One line with its time in ns and its structured metadata."""

    time_ns: int
    line: str
    metadata: Metadata


class Stream:
    """The entries of one set of labels, oldest first; those of one nanosecond in the order they arrived."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.labels = dict(sorted(labels.items()))
        self.text = labels_text(labels)
        self.entries: list[Entry] = []
        self.line_bytes = 0
        self.flushed = 0  # entries that have been written to the store, and so to its index
        self._known: set[tuple[int, str]] = set()
        self._metadata: dict[tuple[tuple[str, str], ...], Metadata] = {}
        self._symbols: set[str] = set()
        self._pairs = 0

    @property
    def bytes(self) -> int:
        """The size Loki reports: lines, references to metadata, and the distinct metadata texts."""
        return self.line_bytes + self._pairs * _METADATA_PAIR_BYTES + sum(len(text.encode()) for text in self._symbols)

    def add(self, time_ns: int, line: str, metadata: Mapping[str, str]) -> None:
        """Stores a line; one repeated word for word in its nanosecond is stored once."""
        if (time_ns, line) in self._known:
            return
        self._known.add((time_ns, line))
        entry = Entry(time_ns, line, self._share(line, metadata))
        if not self.entries or self.entries[-1].time_ns <= time_ns:
            self.entries.append(entry)
        else:
            self.entries.insert(bisect_right(self.entries, time_ns, key=_TIME), entry)
        self.line_bytes += len(line) if line.isascii() else len(line.encode())
        self._pairs += len(entry.metadata.labels)

    def _share(self, line: str, metadata: Mapping[str, str]) -> Metadata:
        found = dict(metadata)
        if "detected_level" not in found:
            found["detected_level"] = detect_level(line, self.labels, found)
        key = tuple(found.items())
        shared = self._metadata.get(key)
        if shared is None:
            named = {self._metadata_name(name): value for name, value in found.items()}
            shared = self._metadata[key] = Metadata(self.labels, named)
            self._symbols.update(found, found.values())
        return shared

    def _metadata_name(self, text: str) -> str:
        name = label_name(text)
        return f"{name}_extracted" if name in self.labels else name

    def between(self, start_ns: int, end_ns: int) -> list[Entry]:
        """The entries with start <= time < end."""
        low = bisect_left(self.entries, start_ns, key=_TIME)
        return self.entries[low : bisect_left(self.entries, end_ns, key=_TIME)]


@dataclass(slots=True)
class Tenant:
    """The streams of one tenant. Pushes and queries may come from several threads."""

    streams: dict[str, Stream] = field(default_factory=dict)
    # The first answer `index/stats` gave when it was zero: Loki keeps giving it, also after a flush.
    empty_stats: set[tuple[str, int, int]] = field(default_factory=set)
    lock: Lock = field(default_factory=Lock)

    def select(self, matchers: Iterable[Matcher]) -> list[Stream]:
        """The streams all matchers hold for."""
        wanted = list(matchers)
        with self.lock:
            return [
                stream
                for stream in self.streams.values()
                if all(matches(matcher, stream.labels.get(matcher.name, "")) for matcher in wanted)
            ]

    def between(self, matchers: Iterable[Matcher], start_ns: int, end_ns: int) -> list[tuple[Stream, list[Entry]]]:
        """The selected streams that have entries with start <= time < end, and these."""
        selected = self.select(matchers)
        with self.lock:
            found = [(stream, stream.between(start_ns, end_ns)) for stream in selected]
        return [(stream, entries) for stream, entries in found if entries]

    def flush(self) -> None:
        """Writes everything to the store: only then does the index know it."""
        with self.lock:
            for stream in self.streams.values():
                stream.flushed = len(stream.entries)


@dataclass(slots=True)
class Storage:
    """What one server holds, by tenant."""

    tenants: dict[str, Tenant] = field(default_factory=dict)

    def tenant(self, name: str) -> Tenant:
        """The streams of this tenant, none yet for a new one."""
        return self.tenants.setdefault(name, Tenant())

    def flush(self) -> None:
        """Flushes every tenant."""
        for tenant in self.tenants.values():
            tenant.flush()
