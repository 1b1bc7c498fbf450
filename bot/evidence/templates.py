"""Log templates: what the lines of a window say, how often and since when.

Cheap steps come first, so that the costly ones see few lines: numbers and hexadecimal runs are blanked on a whole page at
once, equal lines are counted, and only distinct ones are parsed, masked (`bot.evidence.masks`) and clustered.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress, islice
from operator import eq, itemgetter

import numpy as np
import numpy.typing as npt

from bot.domain.logs import LogLine
from bot.evidence.masks import shape
from bot.evidence.traces import fold, may_hold_split_traces

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """Lines that say the same. `template_id` follows from level and pattern alone, so it is the same in every run.

    `counts` has one number per period: before the first cut, between the cuts, and from the last cut on.
    `examples` are up to three real lines, unredacted: an early, a middle and a late one.
    """

    template_id: str
    pattern: str
    level: str  # error, warn, info or unknown
    count: int
    counts: tuple[int, ...]
    first_seen_ns: int
    last_seen_ns: int
    examples: tuple[str, ...]


def mine(lines: Iterable[LogLine], *, cuts_ns: Sequence[int] = ()) -> tuple[Template, ...]:
    """The templates of `lines`, most frequent first.

    `cuts_ns`, ascending, divide time into periods that are counted apart: one cut at the onset counts baseline and
    incident over one common set of templates, many cuts give counts per bucket. The order of the lines matters only for
    traces split over lines, which must follow each other within their stream.
    """
    tally = _Tally()
    for page in _pages(lines):
        tally.add(page)
    return tally.templates(cuts_ns)


# --- distinct lines --------------------------------------------------------------------------------------------------

_PAGE = 50_000  # lines worked on at once: enough to spread the cost per page, a few MB of text
_OTHER, _HEX_LETTER, _DIGIT = 0, 1, 2
_HEX_REACH = 4  # letters on either side of a digit; of drawn hexadecimal strings 1 in 140 begins with more
_KINDS = bytes(
    _DIGIT if byte in b"0123456789" else _HEX_LETTER if byte in b"abcdefABCDEF" else _OTHER for byte in range(256)
)
# The numeric levels of pino and bunyan must survive the blanking of digits.
_NUMERIC_LEVEL = re.compile(rb'("level":\s*)([1-6])0\b')


def _pages(lines: Iterable[LogLine]) -> Iterator[list[LogLine]]:
    """Pages of lines; a page goes on while the next line looks like the inside of a trace, so that none is cut in two."""
    rest = iter(lines)
    while page := list(islice(rest, _PAGE)):
        for line in rest:
            page.append(line)
            if line.line[:1] not in " \t" or len(page) > 2 * _PAGE:
                break
        yield page


@dataclass(slots=True)
class _Tally:
    """Distinct lines seen so far, and for every line which of them it was and when."""

    index: dict[bytes, int] = field(default_factory=dict)
    seen: list[int] = field(default_factory=list)  # per distinct line: how many lines
    samples: list[list[tuple[int, str]]] = field(default_factory=list)  # per distinct line: first, middle, last
    shapes: list[tuple[str, str]] = field(default_factory=list)  # per distinct line: level and masked text
    places: list[npt.NDArray[np.int32]] = field(default_factory=list)
    times: list[Ints] = field(default_factory=list)

    def add(self, page: list[LogLine]) -> None:
        """Count one page of lines."""
        texts = [line.line for line in page]
        times = [line.ts_ns for line in page]
        levels = [line.level for line in page]
        if may_hold_split_traces(texts):
            times, texts, levels = (list(column) for column in zip(*fold(page), strict=True))
        blanked = _blanked(_joined(texts))
        places = {key: self._place(key) for key in dict.fromkeys(blanked)}
        found = np.fromiter(map(places.__getitem__, blanked), np.int32, len(blanked))
        self.places.append(found)
        self.times.append(np.array(times, np.int64))
        self._sample(found, times, texts, levels)

    def _place(self, key: bytes) -> int:
        place = self.index.setdefault(key, len(self.index))
        if place == len(self.seen):
            self.seen.append(0)
            self.samples.append([])
        return place

    def _sample(self, found: npt.NDArray[np.int32], times: list[int], texts: list[str], levels: list[str]) -> None:
        """Keep real lines of every distinct line: the first ever, the last ever, and one from the middle of the count."""
        order = np.argsort(found, kind="stable")
        places, starts, counts = np.unique(found[order], return_index=True, return_counts=True)
        firsts, middles, lasts = order[starts], order[starts + counts // 2], order[starts + counts - 1]
        columns = (column.tolist() for column in (places, counts, firsts, middles, lasts))
        for place, count, first, middle, last in zip(*columns, strict=True):
            samples, before = self.samples[place], self.seen[place]
            self.seen[place] = before + count
            if not samples:
                self.shapes.append(shape(texts[first], levels[first]))
                samples[:] = [(times[at], texts[at]) for at in (first, middle, last)]
            else:
                samples[2] = (times[last], texts[last])
                if count >= before:
                    samples[1] = (times[middle], texts[middle])

    def templates(self, cuts_ns: Sequence[int]) -> tuple[Template, ...]:
        """Every template with its counts."""
        if not self.shapes:
            return ()
        weights: Counter[tuple[str, str]] = Counter()
        for said, count in zip(self.shapes, self.seen, strict=True):
            weights[said] += count
        pattern_of = cluster(weights)
        named = sorted(set(pattern_of.values()))
        number = {pattern: place for place, pattern in enumerate(named)}
        template_of = np.array([number[pattern_of[said]] for said in self.shapes], np.int64)
        samples: list[list[tuple[int, str]]] = [[] for _ in named]
        for template, some in zip(template_of.tolist(), self.samples, strict=True):
            samples[template] += some
        times = np.concatenate(self.times)
        of_line = template_of[np.concatenate(self.places)]
        counts = _counts(of_line, times, len(named), cuts_ns)
        first, last = np.full(len(named), np.iinfo(np.int64).max), np.full(len(named), np.iinfo(np.int64).min)
        np.minimum.at(first, of_line, times)
        np.maximum.at(last, of_line, times)
        found = (
            Template(
                template_id=hashlib.sha256(f"{level}\n{pattern}".encode("utf-8", "replace")).hexdigest()[:12],
                pattern=pattern,
                level=level,
                count=sum(counts[place]),
                counts=tuple(counts[place]),
                first_seen_ns=int(first[place]),
                last_seen_ns=int(last[place]),
                examples=_examples(samples[place]),
            )
            for place, (level, pattern) in enumerate(named)
        )
        return tuple(sorted(found, key=lambda template: (-template.count, template.template_id)))


def _joined(texts: list[str]) -> str:
    joined = "\0".join(texts)
    if joined.count("\0") >= len(texts):  # a line holds a NUL of its own
        joined = "\0".join([text.replace("\0", " ") for text in texts])
    return joined


def _blanked(joined: str) -> list[bytes]:
    """The lines without their digits and the hexadecimal letters next to them.

    Done on the bytes of a whole page at once, which is several times faster than a regular expression per line.
    """
    data = joined.encode("utf-8", "replace")
    if b'"level":' in data:
        data = _NUMERIC_LEVEL.sub(lambda found: found[1] + b"GHIJKL"[found[2][0] - 49 : found[2][0] - 48], data)
    codes = np.frombuffer(data.translate(_KINDS), np.uint8)
    digits, letters = codes == _DIGIT, codes == _HEX_LETTER
    gone = digits
    for _ in range(_HEX_REACH):
        near = gone.copy()
        near[1:] |= gone[:-1]
        near[:-1] |= gone[1:]
        gone = (near & letters) | digits
    kept: bytes = np.frombuffer(data, np.uint8)[~gone].tobytes()
    return kept.split(b"\0")


def _counts(of_line: Ints, times: Ints, templates: int, cuts_ns: Sequence[int]) -> list[list[int]]:
    periods = len(cuts_ns) + 1
    period = np.searchsorted(np.array(cuts_ns, np.int64), times, side="right")
    flat = np.bincount(of_line * periods + period, minlength=templates * periods)
    table: list[list[int]] = flat.reshape(templates, periods).tolist()
    return table


def _examples(samples: list[tuple[int, str]]) -> tuple[str, ...]:
    ordered = sorted(samples)
    chosen = (ordered[0], ordered[len(ordered) // 2], ordered[-1])
    return tuple(dict.fromkeys(text for _, text in chosen))


# --- clusters --------------------------------------------------------------------------------------------------------

Shape = tuple[str, str]  # level, masked text
_ANY = "<*>"
# The share of equal fixed words at which two lines of one length are one template. Two of three must do ("connected to
# db"), three of five must not: short sentences carry their meaning in one or two words.
_ALIKE = 0.65
_LEAF_LIMIT = 64  # clusters compared within one leaf; further lines join the nearest, which bounds the time on noise


def cluster(weights: Counter[Shape]) -> dict[Shape, Shape]:
    """For every masked line the template it belongs to.

    Lines are compared with lines of the same level, number of words and first fixed words; the heaviest lines found the
    clusters, so the order in which lines came plays no part.
    """
    leaves: dict[tuple[str, int, str], list[_Cluster]] = {}
    member: dict[Shape, _Cluster] = {}
    for said in sorted(weights, key=lambda said: (-weights[said], said)):
        words = said[1].split(" ")
        leaf = leaves.setdefault((said[0], len(words), words[0] if "<" not in words[0] else _ANY), [])
        likeness, best = max(((other.likeness(words), other) for other in leaf), key=itemgetter(0), default=(0.0, None))
        if best is None or (likeness < _ALIKE and len(leaf) < _LEAF_LIMIT):
            best = _Cluster(words=words)
            leaf.append(best)
        else:
            best.take_in(words)
        member[said] = best
    return {said: (said[0], " ".join(of.words)) for said, of in member.items()}


@dataclass(slots=True)
class _Cluster:
    words: list[str]

    def likeness(self, words: list[str]) -> float:
        """The share of equal words; placeholders that are equal anyway say nothing and are left out.

        Leaving them out can only lower the share, so lines too unlike with them are not looked at more closely.
        """
        equal = list(map(eq, self.words, words))
        share = equal.count(True) / len(words)
        if share < _ALIKE:
            return share
        empty = sum("<" in word for word in compress(words, equal))
        return (equal.count(True) - empty) / (len(words) - empty) if empty < len(words) else 1.0

    def take_in(self, words: list[str]) -> None:
        self.words = [mine if mine == theirs else _ANY for mine, theirs in zip(self.words, words, strict=True)]
