"""Measure the redactor: what it finds in a labelled corpus, what it touches that is harmless, and how fast it is.

    python benchmarks/redaction.py --corpus redaction_dev.jsonl [--misses]

A corpus row is {"x": base64 of the UTF-8 text XOR 0x5A, "spans": [{"start", "end", "kind", "tier"}], "tmpl"}; a row without
spans is a look-alike. A span counts as found when at least 90 % of its characters are gone.
"""

import argparse
import base64
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bot.policy.redaction import redact_secrets


def main() -> None:
    parser = argparse.ArgumentParser(description="What the redactor finds, what it touches, how fast it is.")
    parser.add_argument("--corpus", type=Path, help="labelled lines, see the top of this file")
    parser.add_argument("--misses", action="store_true", help="print what was missed and what was touched")
    arguments = parser.parse_args()
    if arguments.corpus:
        measure(arguments.corpus, show=arguments.misses)
    speed()


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            row["text"] = bytes(byte ^ 0x5A for byte in base64.b64decode(row["x"])).decode()
            yield row


def measure(corpus: Path, *, show: bool) -> None:
    found: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for row in rows(corpus):
        redacted = redact_secrets(row["text"])
        secrets = [span for span in row["spans"] if span["tier"] == "secret"]
        for span in secrets:
            total[row["tmpl"]] += 1
            found[row["tmpl"]] += (hit := gone(row["text"], redacted, span["start"], span["end"]))
            if show and not hit:
                print(f"missed   {span['kind']}: {redacted}")
        if not row["spans"]:
            total["look-alikes touched"] += 1
            found["look-alikes touched"] += redacted != row["text"]
            if show and redacted != row["text"]:
                print(f"touched  {row['text']}\n      -> {redacted}")
    for group in sorted(total):
        print(f"{group:22} {found[group]:4} of {total[group]:4}  {found[group] / total[group]:6.1%}")


def gone(text: str, redacted: str, start: int, end: int) -> bool:
    """Whether 90 % of `text[start:end]` is missing from `redacted`: no long piece of it is left."""
    longest = max(4, (end - start) // 10)
    return not any(text[at : at + longest] in redacted for at in range(start, end - longest + 1))


def speed() -> None:
    lines = list(ordinary_lines(20_000))
    size = sum(len(line.encode()) + 1 for line in lines)
    start = time.process_time()
    for line in lines:
        redact_secrets(line)
    one_by_one = time.process_time() - start
    text = "\n".join(lines)
    start = time.process_time()
    redact_secrets(text)
    at_once = time.process_time() - start
    print(f"ordinary lines, one by one  {size / one_by_one / 1e6:6.1f} MB/s  {len(lines) / one_by_one:10,.0f} lines/s")
    print(f"ordinary lines, at once     {size / at_once / 1e6:6.1f} MB/s  {len(lines) / at_once:10,.0f} lines/s")


def ordinary_lines(count: int, seed: int = 7) -> Iterator[str]:
    """Log lines as services write them, with ids, addresses and a few words that sound sensitive."""
    draw = random.Random(seed)
    for number in range(count):
        trace, span = f"{draw.getrandbits(128):032x}", f"{draw.getrandbits(64):016x}"
        address = f"10.{draw.randrange(256)}.{draw.randrange(256)}.{draw.randrange(256)}"
        took = draw.randrange(4000)
        yield (
            f"2026-11-20T10:{number % 60:02}:11.{took % 1000:03}Z INFO request trace_id={trace} span_id={span} took {took}ms",
            f'{{"time":"2026-11-20T10:00:00Z","level":"info","msg":"order placed","order":{took},"trace_id":"{trace}"}}',
            f'{address} - - [20/Nov/2026:10:00:01 +0000] "GET /api/v1/cart/{took}?page=2 HTTP/1.1" 200 {took * 7} "-" "curl/8.5"',
            f'level=warn ts=2026-11-20T10:00:00Z caller=db.go:{took} msg="slow query" duration={took}ms rows={took}',
            f"Nov 20 10:00:00 node-7 kernel: [{took}.{took}] TCP: request_sock_TCP: Possible SYN flooding on port {took}.",
            f"081109 203615 {took} INFO dfs.DataNode$PacketResponder: PacketResponder 1 for block blk_{took}8683 terminating",
            f"INFO auth-svc session opened for user app from {address}, token cache size={took}, max_tokens=4096",
        )[number % 7]


if __name__ == "__main__":
    main()
