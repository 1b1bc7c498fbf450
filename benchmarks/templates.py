"""Measure the template miner on lines written by seed: lines per second of process CPU, templates found, one page's time.

    python benchmarks/templates.py [--lines 1000000] [--seed 1]

The lines take 16 shapes seen in real systems (syslog, HDFS, web access, JSON, logfmt, …), about 1,300 sentences, and
values drawn anew for every line. Each line's own sentence is known, so the share of lines grouped exactly right is printed too.
"""

import argparse
import random
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from bot.domain.logs import LogLine
from bot.evidence.masks import shape
from bot.evidence.templates import cluster, mine


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


WORDS = _words("""
    request order payment cache session worker block replica shard queue broker consumer partition index segment lease
    leader follower quorum snapshot volume device kernel driver socket stream channel buffer thread pool executor task
    job schedule timer handler router gateway proxy upstream backend frontend client server peer cluster member node
    instance container image layer registry manifest token policy rule filter batch record row table schema column
""")
VERBS = _words("""
    received accepted rejected started stopped finished failed retried delayed dropped evicted loaded stored written read
    opened closed created deleted updated merged split moved copied verified sent acknowledged expired renewed acquired
""")
TAILS = ("for", "from", "after", "with", "on", "in", "by", "during", "before", "without")
Values = Callable[[random.Random], str]
VALUES: tuple[Values, ...] = (
    lambda draw: str(draw.randrange(10 ** draw.randrange(1, 8))),
    lambda draw: f"10.{draw.randrange(256)}.{draw.randrange(256)}.{draw.randrange(256)}:{draw.randrange(1024, 65536)}",
    lambda draw: f"blk_{draw.randrange(-(10**18), 10**18)}",
    lambda draw: f"{draw.getrandbits(64):016x}",
    lambda draw: f"{draw.random() * 5000:.2f}ms",
    lambda draw: f"{draw.getrandbits(32):08x}-{draw.getrandbits(16):04x}-4a3b-9c1d-{draw.getrandbits(48):012x}",
    lambda draw: f"/var/data/{draw.randrange(999)}/part-{draw.randrange(99999):05}",
    lambda draw: f"node-{draw.randrange(64)}",
    lambda draw: f"0x{draw.getrandbits(48):x}",
    lambda draw: f"user={draw.choice(WORDS)}{draw.randrange(100)}",
)
FORMATS: tuple[str, ...] = (
    "{iso} {level} [{comp}] {text}",
    "{iso} [main-{n}] {level} com.shop.{comp}.Service - {text}",
    "{syslog} host{n} {comp}[{n}]: {text}",
    "{short} {n} {level} dfs.{comp}$Receiver: {text}",
    '{{"time":"{iso}","level":"{level}","msg":"{text}","trace_id":"{hex}"}}',
    '{{"ts":{n}.{n},"severity":"{level}","message":"{text}","service":"{comp}"}}',
    'level={level} ts={iso} caller={comp}.go:{n} msg="{text}" took={n}ms',
    "[{iso}] {comp}.{level}: {text}",
    "{glog} {n} {comp}.cc:{n}] {text}",
    "- {n} {comp} RAS KERNEL {level} {text}",
    "{iso}|{level}|{comp}|{hex}|{text}",
    "[{level}] ({comp}) {text}",
    "{iso} {comp} {n} {n} {level} {text}",
    "{syslog} {comp} kernel: [{n}.{n}] {text}",
    "<{n}>1 {iso} {comp} app {n} - {text}",
    "{comp} {level} {iso} --- [{hex}] {text}",
)


def sentences(draw: random.Random, count: int) -> list[tuple[str, str, str, str, tuple[Values, ...]]]:
    """(format, component, level, text with %s, values) for every sentence."""
    made: dict[str, tuple[str, str, str, str, tuple[Values, ...]]] = {}
    while len(made) < count:
        words = [draw.choice(WORDS).capitalize(), draw.choice(VERBS), draw.choice(WORDS), draw.choice(TAILS), "%s"]
        for _ in range(draw.choice((0, 0, 1, 1, 2))):
            words += [draw.choice(WORDS), draw.choice(VERBS), draw.choice(TAILS), draw.choice(WORDS), "%s"]
        values = tuple(draw.choice(VALUES) for word in words if word == "%s")
        level = draw.choices(("INFO", "WARN", "ERROR"), (8, 1, 1))[0]
        made[" ".join(words)] = (FORMATS[len(made) % 16], draw.choice(WORDS), level, " ".join(words), values)
    return list(made.values())


def write(lines: int, seed: int, templates: int = 1_312) -> Iterator[tuple[int, LogLine]]:
    """Lines in time order with the number of the sentence each one says; sentences differ in how often they come."""
    draw = random.Random(seed)
    said = sentences(draw, templates)
    weights = [1 / (rank + 10) for rank in range(len(said))]
    for at, which in enumerate(draw.choices(range(len(said)), weights, k=lines)):
        form, component, level, text, values = said[which]
        second = at // 50
        stamp = f"{second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02}"
        line = form.format(
            iso=f"2026-11-20T{stamp}.{draw.randrange(1000):03}Z",
            syslog=f"Nov 20 {stamp}",
            short=f"261120 {stamp.replace(':', '')}",
            glog=f"{level[0]}1120 {stamp}.{draw.randrange(10**6):06}",
            level=level,
            comp=component,
            n=draw.randrange(1, 10 ** draw.randrange(1, 6)),
            hex=f"{draw.getrandbits(128):032x}",
            text=text % tuple(value(draw) for value in values),
        )
        yield which, LogLine(ts_ns=at * 20_000_000, line=line)


def grouped_right(lines: list[tuple[int, LogLine]]) -> float:
    """The share of lines whose template holds all lines of their sentence and no other (strict grouping accuracy)."""
    shapes = [shape(line.line) for _, line in lines]
    pattern_of = cluster(Counter(shapes))
    sentences_of: dict[object, set[int]] = defaultdict(set)
    patterns_of: dict[int, set[object]] = defaultdict(set)
    for (which, _), said in zip(lines, shapes, strict=True):
        sentences_of[pattern_of[said]].add(which)
        patterns_of[which].add(pattern_of[said])
    right = sum(
        len(sentences_of[pattern_of[said]]) == 1 == len(patterns_of[which])
        for (which, _), said in zip(lines, shapes, strict=True)
    )
    return right / len(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Lines per second of the template miner on generated lines.")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    lines = [line for _, line in write(arguments.lines, arguments.seed)]
    mean = sum(len(line.line) for line in lines) / len(lines)
    start = time.process_time()
    found = mine(lines, cuts_ns=(lines[len(lines) // 2].ts_ns,))
    took = time.process_time() - start
    print(f"{len(lines):,} lines of {mean:.0f} characters: {len(lines) / took:,.0f} lines/s, {len(found):,} templates")
    page = lines[:5_000]
    best = min(_seconds(page) for _ in range(5))
    print(f"a page of {len(page):,} lines: {best * 1e3:.1f} ms")
    print(f"peak memory with all lines held: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
    print(f"grouped exactly right: {grouped_right(list(write(50_000, arguments.seed))):.1%} of 50,000 lines")
    for template in found[:5]:
        print(f"  {template.count:7,} {template.level:7} {template.pattern}")


def _seconds(page: list[LogLine]) -> float:
    start = time.process_time()
    mine(page)
    return time.process_time() - start


if __name__ == "__main__":
    main()
