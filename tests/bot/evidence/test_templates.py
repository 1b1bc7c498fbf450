"""What the template miner promises."""

import json
import random
import time
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.logs import LogLine
from bot.evidence.templates import Template, mine

CHECKOUT = {"service": "checkout"}

JAVA = """2026-11-20 10:00:00 ERROR [pay-1] c.s.Pay - charge 17 failed
java.lang.IllegalStateException: charge 17 failed
\tat com.shop.pay.Charge.run(Charge.java:91)
\tat com.shop.pay.Worker.loop(Worker.java:{n})
Caused by: java.net.ConnectException: Connection refused
\tat java.net.Socket.connect(Socket.java:600)
\t... 12 more"""
PYTHON = """Traceback (most recent call last):
  File "/srv/app/shop/views.py", line {n}, in checkout
    pay(order)
  File "/srv/app/shop/pay.py", line 7, in charge
    raise CardDeclined(order)
shop.pay.CardDeclined: order 17"""
GO = """panic: runtime error: index out of range [{n}] with length 3

goroutine 1 [running]:
runtime.gopanic(0x1)
\t/usr/local/go/src/runtime/panic.go:914 +0x21f
github.com/shop/pay.(*Charger).Run(0xc000012)
\t/src/pay/charger.go:{n} +0x1d"""
NODE = """TypeError: Cannot read properties of undefined (reading 'id')
    at Cart.total (/srv/cart/src/cart.js:{n}:17)
    at async handler (/srv/cart/src/server.js:12:5)"""
NAMES = {
    JAVA: "java.lang.IllegalStateException at com.shop.pay.Charge.run caused by java.net.ConnectException",
    PYTHON: "shop.pay.CardDeclined at shop/pay.py:charge",
    GO: "panic: runtime error: index out of range [<n>] with length <n> at github.com/shop/pay.(*Charger).Run",
    NODE: "TypeError at Cart.total",
}


def lines(*texts: str, labels: Mapping[str, str] = CHECKOUT, level: str = "unknown") -> list[LogLine]:
    """Lines a second apart."""
    return [LogLine(ts_ns=at * 10**9, line=text, labels=labels, level=level) for at, text in enumerate(texts)]


def only(found: tuple[Template, ...]) -> Template:
    assert len(found) == 1, [template.pattern for template in found]
    return found[0]


@pytest.mark.parametrize(
    ("first", "second", "pattern"),
    [
        ("took 12ms", "took 3.5s", "took <n>"),
        ("from 10.0.0.1:80", "from 192.168.7.12:5432", "from <ip>"),
        (
            "order d99a5cca-37b6-063a-6f72-b16989b4201c ok",
            "order 0e6fe395-b591-794a-5ba2-51d7dcb57af5 ok",
            "order <uuid> ok",
        ),
        ("trace 975bb3f2594831167628828f5809e7b7", "trace fedebeff0b7c1a22fedebeff0b7c1a22", "trace <id>"),
        ("GET /cart/17/items done", "GET /cart/8123/items done", "GET /cart/<n>/items done"),
        ("user=alice in", "user=bob7 in", "user=<*> in"),
        ("relation 'orders' is gone", "relation 'carts' is gone", "relation '<*>' is gone"),
        ("cannot reach alpha", "cannot reach beta", "cannot reach <*>"),
        ("2026-11-20T10:00:00.123Z started", "2026-11-20T11:30:59Z started", "started"),
        ("Nov 20 10:00:00 up", "Nov  2 01:00:00 up", "up"),
        ("blk_-123 moved", "blk_98 moved", "blk_<n> moved"),
    ],
)
def test_values_become_placeholders_and_lines_that_say_the_same_are_one_template(
    first: str, second: str, pattern: str
) -> None:
    template = only(mine(lines(first, second)))

    assert template.pattern == pattern
    assert template.count == 2


def test_lines_that_say_different_things_stay_apart() -> None:
    found = mine(lines("request failed", "request started", "cache 7 is full", "disk 7 is full", "retry in 5s"))

    assert len(found) == 5


@pytest.mark.parametrize(
    ("text", "level", "pattern"),
    [
        ('{"level":"error","msg":"order 17 failed","trace_id":"abc1"}', "error", "order <n> failed"),
        ('{"level":50,"msg":"no route","pid":7}', "error", "no route"),
        (
            '{"severity":"WARNING","message":"slow","err":"dial tcp 10.0.0.1:53: refused"}',
            "warn",
            'slow error="dial tcp <ip>: refused"',
        ),
        (
            '{"msg":"failed","error":{"type":"DbError","message":"no rows"}}',
            "unknown",
            'failed [DbError] error="no rows"',
        ),
        ('level=warn ts=1 msg="pool is full" size=10 err="timeout 5s"', "warn", 'pool is full error="timeout <n>"'),
        ("E1120 10:00:00.1 7 pay.cc:3] lost", "error", "E<n> <time> <n> pay.cc:<n>] lost"),
        ("2026-11-20 10:00:00,1 CRITICAL out of memory", "error", "CRITICAL out of memory"),
        ("plain words", "unknown", "plain words"),
    ],
)
def test_structured_lines_give_their_message_error_and_level(text: str, level: str, pattern: str) -> None:
    template = only(mine(lines(text)))

    assert (template.level, template.pattern) == (level, pattern)


def test_numeric_levels_are_told_apart() -> None:
    found = mine(lines('{"level":30,"msg":"done"}', '{"level":50,"msg":"done"}'))

    assert sorted(template.level for template in found) == ["error", "info"]


def test_the_level_of_the_source_stands_in_where_the_line_names_none() -> None:
    assert only(mine(lines("plain words", level="error"))).level == "error"


@pytest.mark.parametrize("trace", NAMES, ids=["java", "python", "go", "node"])
def test_a_stack_trace_in_one_entry_is_named_by_its_exception_and_frame(trace: str) -> None:
    found = mine(lines(trace.format(n=12), trace.format(n=345)))

    assert only(found).pattern == NAMES[trace]
    assert only(found).level == "error"


@pytest.mark.parametrize("trace", NAMES, ids=["java", "python", "go", "node"])
def test_a_stack_trace_split_over_lines_of_one_stream_is_one_entry(trace: str) -> None:
    other = {"service": "cart"}
    ours = [
        LogLine(ts_ns=at * 10**6, line=text, labels=CHECKOUT) for at, text in enumerate(trace.format(n=9).split("\n"))
    ]
    between = [LogLine(ts_ns=at * 10**6 + 1, line="tick", labels=other) for at in range(len(ours))]

    found = {t.pattern: t.count for t in mine(sorted(ours + between, key=lambda line: line.ts_ns))}

    assert found == {NAMES[trace]: 1, "tick": len(ours)}


def test_a_stack_trace_in_a_json_field_is_named_too() -> None:
    text = json.dumps({"level": "error", "msg": "unhandled", "stack": NODE.format(n=3)})

    assert only(mine(lines(text))).pattern == NAMES[NODE]


def test_one_cut_counts_baseline_and_incident_over_common_templates() -> None:
    texts = ["ok 1", "ok 2", "ok 3", "lost 1", "lost 2"]

    found = {t.pattern: t for t in mine(lines(*texts), cuts_ns=(2 * 10**9,))}

    assert found["ok <n>"].counts == (2, 1)
    assert found["lost <n>"].counts == (0, 2)
    assert (found["lost <n>"].first_seen_ns, found["lost <n>"].last_seen_ns) == (3 * 10**9, 4 * 10**9)


def test_examples_are_real_lines_from_early_middle_and_late() -> None:
    template = only(mine(lines(*(f"order {at} placed" for at in range(101)))))

    assert template.examples == ("order 0 placed", "order 50 placed", "order 100 placed")


def test_template_ids_are_the_same_in_every_run_and_whatever_the_order() -> None:
    texts = [f"{word} {at} {rest}" for at in range(40) for word, rest in (("order", "placed"), ("user alice", "left"))]
    shuffled = random.Random(3).sample(texts, len(texts))

    first = {(t.template_id, t.pattern, t.count) for t in mine(lines(*texts))}
    second = {(t.template_id, t.pattern, t.count) for t in mine(lines(*shuffled))}

    assert first == second
    assert only(mine(lines("order 7 placed"))).template_id in {template_id for template_id, _, _ in first}


_TEXT = st.one_of(
    st.text(max_size=80),
    st.lists(
        st.sampled_from(
            (
                "{",
                "}",
                '"msg":',
                '"level":50',
                "\n",
                "\tat a.B.c(D.java:1)",
                "msg=",
                '"',
                "=",
                "7",
                "<*>",
                "\0",
                "\ud800",
            )
        ),
        max_size=8,
    ).map("".join),
)


@given(st.lists(_TEXT, max_size=30))
@settings(max_examples=150, deadline=None)
def test_whatever_the_lines_hold_each_is_counted_once_and_nothing_raises(texts: list[str]) -> None:
    unrelated = [LogLine(ts_ns=at * 10**10, line=text) for at, text in enumerate(texts)]  # too far apart for one trace

    found = mine(unrelated, cuts_ns=(5 * 10**10,))

    assert sum(template.count for template in found) == len(texts)
    assert all(sum(template.counts) == template.count for template in found)
    assert len({template.template_id for template in found}) == len(found)


@pytest.mark.parametrize("unit", ["a", "a1", "1.", "a=", '"', "ab:", "<n>", "x@", "\tat ", "::", "E"])
def test_a_hostile_line_costs_no_more_than_its_length(unit: str) -> None:
    text = unit * (400_000 // len(unit))
    start = time.process_time()

    mine(lines(text, f"msg={text}", f"x\n{text}"))

    assert time.process_time() - start < 1.0
