"""Many lines by pages, every line once, although a page may end in the middle of a nanosecond.

Loki gives the newest (or oldest) lines of a time range up to a limit, and of a nanosecond it may give any part. So the next
page begins at the same nanosecond, and what is known of it already is dropped. When a page holds nothing but one
nanosecond, more lines are asked for at once; when the server gives no more, the rest of that nanosecond is left out and said so.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from bot.adapters.loki_errors import TookTooLong, TooLarge, TooManyEntries
from bot.adapters.loki_lines import NANOSECONDS, Entries, in_order
from bot.domain.logs import LogLine

Fetch = Callable[[int, int, int], Awaitable[Entries]]
"""The lines with `start_ns <= t < end_ns`, at most so many: `(start_ns, end_ns, limit)`."""


@dataclass(slots=True, kw_only=True)
class Pages:
    """Reads at most `limit` lines and stops where they exceed `max_bytes`; `most` is the largest page the server gives.

    `most` is lowered when the server refuses it or its answer is too large.
    """

    fetch: Fetch
    limit: int
    oldest_first: bool
    max_bytes: int
    most: int
    warnings: list[str] = field(default_factory=list)
    complete: bool = True
    _lines: list[LogLine] = field(default_factory=list)
    _bytes: int = 0
    _unparsed: Counter[str] = field(default_factory=Counter)

    async def read(self, start_ns: int, end_ns: int) -> tuple[LogLine, ...]:
        """The lines of the time range, oldest first; `complete` and `warnings` say what is missing."""
        spans = [(start_ns, end_ns)]  # the last one is read first
        known: Counter[_Key] = Counter()  # of the nanosecond the last page ended in
        while spans and self._wants_more():
            start_ns, end_ns = spans.pop()
            asked = min(self.most, self.limit + 1 - len(self._lines) + known.total())
            try:
                page = await self.fetch(start_ns, end_ns, asked)
            except (TookTooLong, TooLarge, TooManyEntries) as refused:
                spans += self._smaller(refused, start_ns, end_ns, asked)
                continue
            self._take(page, known)
            if len(page.lines) < asked:
                known = Counter()
                continue
            rest, known = self._rest(page.lines, start_ns, end_ns, asked, known)
            spans += rest
        self._tell_unparsed()
        return self._cut()

    def _wants_more(self) -> bool:
        if len(self._lines) > self.limit:
            return False
        if self._bytes > self.max_bytes:
            self.complete = False
            self.warnings.append(f"reading stopped after {self.max_bytes / 1_000_000:g} MB of lines")
            return False
        return True

    def _take(self, page: Entries, known: "Counter[_Key]") -> None:
        """Adds what is new. Of lines that look the same, as many are new as there are more of them than before."""
        again: Counter[_Key] = Counter()
        known_ns = next(iter(known))[0] if known else None
        for place, line in enumerate(page.lines):
            if line.ts_ns == known_ns:
                key = _key(line)
                again[key] += 1
                if again[key] <= known[key]:
                    continue
            self._lines.append(line)
            self._bytes += len(line.line)
            if place in page.errors:
                self._unparsed[page.errors[place]] += 1

    def _rest(
        self, page: Sequence[LogLine], start_ns: int, end_ns: int, asked: int, known: "Counter[_Key]"
    ) -> tuple[list[tuple[int, int]], "Counter[_Key]"]:
        """What is left of the range after a full page, and what is known of the nanosecond it begins (or ends) with."""
        times = {line.ts_ns for line in page}
        last_ns = max(times) if self.oldest_first else min(times)
        held = Counter(_key(line) for line in self._lines if line.ts_ns == last_ns)
        first_ns = start_ns if self.oldest_first else end_ns - 1
        if len(times) == 1 and last_ns == first_ns and asked >= self.most:
            self.complete = False
            self.warnings.append(f"{asked} lines or more at one nanosecond, some may be left out")
            after = (last_ns + 1, end_ns) if self.oldest_first else (start_ns, last_ns)
            return ([after] if after[0] < after[1] else []), Counter()
        return [(last_ns, end_ns) if self.oldest_first else (start_ns, last_ns + 1)], held

    def _smaller(
        self, refused: TookTooLong | TooLarge | TooManyEntries, start_ns: int, end_ns: int, asked: int
    ) -> list[tuple[int, int]]:
        """What to ask for instead, the part to read first at the end. Raises the refusal where nothing smaller helps."""
        if isinstance(refused, TookTooLong):
            if end_ns - start_ns < 2 * NANOSECONDS:
                raise refused
            middle_ns = (start_ns + end_ns) // 2
            early, late = (start_ns, middle_ns), (middle_ns, end_ns)
            return [late, early] if self.oldest_first else [early, late]
        fewer = refused.most if isinstance(refused, TooManyEntries) else asked // 4
        if not 0 < fewer < asked:
            raise refused
        self.most = fewer
        return [(start_ns, end_ns)]

    def _cut(self) -> tuple[LogLine, ...]:
        lines = in_order(self._lines)
        if len(lines) > self.limit:
            self.complete = False
            lines = lines[: self.limit] if self.oldest_first else lines[len(lines) - self.limit :]
        return tuple(lines)

    def _tell_unparsed(self) -> None:
        for error, count in sorted(self._unparsed.items()):
            self.warnings.append(f"{count} lines could not be parsed ({error})")


_Key = tuple[int, frozenset[tuple[str, str]], str]


def _key(line: LogLine) -> _Key:
    return line.ts_ns, frozenset(line.labels.items()), line.line
