"""Paging against a server that is as unhelpful about equal nanoseconds as Loki is."""

import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters import loki_errors as errors
from bot.adapters.loki_lines import NANOSECONDS, Entries
from bot.adapters.loki_pages import Pages
from bot.domain.logs import LogLine

END_NS = 100 * NANOSECONDS
LEFT_OUT = "5 lines or more at one nanosecond, some may be left out"


@dataclass
class Server:
    """Holds lines; of a nanosecond it gives any part, in any order, another one for another limit."""

    lines: list[LogLine]
    oldest_first: bool = False
    most: int = 5000
    longest_ns: int = END_NS
    most_bytes: int = 1_000_000
    asked: list[tuple[int, int, int]] = field(default_factory=list)

    async def fetch(self, start_ns: int, end_ns: int, limit: int) -> Entries:
        self.asked.append((start_ns, end_ns, limit))
        assert start_ns < end_ns
        assert limit > 0
        if limit > self.most:
            raise errors.TooManyEntries("LOG-010", "too many", "Less.", most=self.most)
        if end_ns - start_ns > self.longest_ns:
            raise errors.took_too_long("loki", 504, "too long")
        sign = 1 if self.oldest_first else -1
        mixed = random.Random(limit)
        inside = [line for line in self.lines if start_ns <= line.ts_ns < end_ns]
        mixed.shuffle(inside)
        page = sorted(inside, key=lambda line: sign * line.ts_ns)[:limit]
        if sum(len(line.line) for line in page) > self.most_bytes:
            raise errors.too_large("loki", self.most_bytes)
        return Entries(lines=tuple(page), errors={})

    def pages(self, limit: int, *, max_bytes: int = 1_000_000, most: int = 5) -> Pages:
        return Pages(fetch=self.fetch, limit=limit, oldest_first=self.oldest_first, max_bytes=max_bytes, most=most)


def lines_at(*times_ns: int, text: str = "line") -> list[LogLine]:
    return [LogLine(ts_ns=at, line=f"{text} {i:03}", labels={"app": "a"}) for i, at in enumerate(times_ns)]


def counted(lines: list[LogLine] | tuple[LogLine, ...]) -> Counter[tuple[int, str]]:
    return Counter((line.ts_ns, line.line) for line in lines)


@given(
    st.lists(st.integers(0, 12), max_size=40).filter(lambda times: max(Counter(times).values(), default=0) < 5),
    st.integers(1, 50),
    st.booleans(),
    st.sampled_from([END_NS, 7 * NANOSECONDS]),
)
async def test_every_line_comes_once_whatever_shares_a_nanosecond(
    seconds: list[int], limit: int, oldest_first: bool, longest_ns: int
) -> None:
    """Pages hold five lines here, and every nanosecond fewer than that."""
    held = lines_at(*(s * NANOSECONDS for s in seconds))
    server = Server(held, oldest_first=oldest_first, longest_ns=longest_ns)
    pages = server.pages(limit)

    found = await pages.read(0, END_NS)

    ordered = sorted(line.ts_ns for line in held)
    assert [line.ts_ns for line in found] == (ordered[:limit] if oldest_first else ordered[-limit:])
    assert counted(found) <= counted(held)
    assert pages.complete is (len(held) <= limit)
    assert pages.warnings == []


@given(st.lists(st.integers(0, 5), max_size=60), st.booleans())
async def test_a_nanosecond_that_fills_a_page_may_be_cut_and_is_said_so(seconds: list[int], oldest_first: bool) -> None:
    held = lines_at(*(s * NANOSECONDS for s in seconds))
    pages = Server(held, oldest_first=oldest_first).pages(100)

    found = await pages.read(0, END_NS)

    assert counted(found) <= counted(held)
    crowded = {at for at, count in Counter(line.ts_ns for line in held).items() if count >= 5}
    assert {at for at, _ in (counted(held) - counted(found))} <= crowded
    assert pages.complete is (not crowded)
    assert set(pages.warnings) <= {LEFT_OUT}
    assert bool(pages.warnings) is (not pages.complete)


async def test_lines_that_look_the_same_are_all_kept() -> None:
    same = [LogLine(ts_ns=5, line="same", labels={"app": "a"})] * 4

    found = await Server([*same, *lines_at(1, 2, 3, 9)]).pages(100).read(0, 10)

    assert len(found) == 8


@pytest.mark.parametrize("oldest_first", [True, False])
async def test_the_server_says_how_many_lines_it_gives_at_once(oldest_first: bool) -> None:
    server = Server(lines_at(*range(30)), most=7, oldest_first=oldest_first)
    pages = server.pages(100, most=5000)

    found = await pages.read(0, 40)

    assert [line.ts_ns for line in found] == list(range(30))
    assert [limit for *_, limit in server.asked][1:] == [7] * (len(server.asked) - 1)


async def test_a_page_with_too_many_bytes_is_asked_for_in_smaller_ones() -> None:
    server = Server(lines_at(*range(40), text="x" * 100), most_bytes=1200)
    pages = server.pages(100, most=40)

    found = await pages.read(0, 50)

    assert len(found) == 40
    assert pages.complete


async def test_a_line_with_too_many_bytes_is_an_error() -> None:
    server = Server(lines_at(1, text="x" * 100), most_bytes=10)

    with pytest.raises(errors.TooLarge):
        await server.pages(100).read(0, 50)


async def test_reading_stops_at_the_byte_budget() -> None:
    pages = Server(lines_at(*range(40), text="x" * 100)).pages(100, max_bytes=1000)

    found = await pages.read(0, 50)

    assert [line.ts_ns for line in found] == list(range(40 - len(found), 40))  # the newest
    assert 1000 < sum(len(line.line) for line in found) < 1000 + 5 * 105  # a page more at most
    assert not pages.complete
    assert pages.warnings == ["reading stopped after 0.001 MB of lines"]


async def test_a_range_that_takes_too_long_even_when_short_is_an_error() -> None:
    server = Server(lines_at(1), longest_ns=NANOSECONDS // 2)

    with pytest.raises(errors.TookTooLong):
        await server.pages(100).read(0, END_NS)

    assert len(server.asked) < 10


@pytest.mark.parametrize("limit", [0, 1])
async def test_a_tiny_limit_is_kept(limit: int) -> None:
    pages = Server(lines_at(*range(10))).pages(limit)

    assert len(await pages.read(0, 50)) == limit
    assert not pages.complete
