"""Typed log queries as LogQL: what is put in is what Loki's grammar reads back, whatever the text."""

from dataclasses import replace
from string import ascii_letters, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.logql import names_a_stream, render_count, render_lines, render_unparsed, selector_text
from bot.demo.loki import syntax
from bot.demo.loki.parser import parse_query
from bot.domain.query import (
    FilterOp,
    LineFilter,
    LogCountQuery,
    LogQuery,
    Matcher,
    Op,
    Parser,
    Selector,
    equal,
    one_of,
)
from bot.domain.scope import Window

WINDOW = Window(start_s=1_790_000_000, end_s=1_790_003_600)
CART = Selector(matchers=(equal("app", "cart"),))
COUNT = LogCountQuery(selector=CART, window=WINDOW, step_s=60)

# Lone surrogates cannot be sent in UTF-8: a label value or a line never holds one.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    [
        '"',
        "\\",
        '\\"',
        "`",
        "} or {",
        '"} |= "x',
        "\n",
        "\x00",
        "# comment",
        "\N{REPLACEMENT CHARACTER}",
        "{{.x}}",
        "%s",
    ]
)
# The prefix keeps clear of the words of the grammar, such as `by` and `json`.
names = st.text(ascii_letters + digits + "_", max_size=10).map(lambda name: f"l_{name}")
matchers = st.builds(Matcher, label=names, value=texts, op=st.sampled_from([Op.EQUAL, Op.NOT_EQUAL]))
filters = st.builds(LineFilter, text=texts.filter(bool), op=st.sampled_from([FilterOp.CONTAINS, FilterOp.LACKS]))


def read_back(text: str) -> syntax.LogSelector:
    query = parse_query(text)
    assert isinstance(query, syntax.LogSelector)
    return query


def pairs(selector: syntax.LogSelector) -> list[tuple[str, str, str]]:
    return [(m.name, m.op, m.value) for m in selector.matchers]


@given(st.lists(matchers, max_size=4), st.lists(filters, max_size=3), st.lists(matchers, max_size=3))
def test_no_text_changes_the_shape_of_a_query(
    selecting: list[Matcher], filtering: list[LineFilter], where: list[Matcher]
) -> None:
    query = LogQuery(
        selector=Selector(matchers=tuple(selecting)), window=WINDOW, filters=tuple(filtering), where=tuple(where)
    )

    found = read_back(render_lines(query, "any"))

    asked = [(m.label, m.op.value, m.value) for m in selecting]
    assert pairs(found) in (asked, [*asked, ("any", "=~", ".+")])
    line_filters = [stage for stage in found.stages if isinstance(stage, syntax.LineFilter)]
    assert [(f.op, [n.text for n in f.needles]) for f in line_filters] == [(f.op.value, [f.text]) for f in filtering]
    conditions = [stage.condition for stage in found.stages if isinstance(stage, syntax.LabelFilter)]
    assert [(c.name, c.op, c.value) for c in conditions if isinstance(c, syntax.LabelCompare)] == [
        (m.label, m.op.value, m.value) for m in where
    ]
    assert len(found.stages) == len(filtering) + len(where)


@given(st.lists(texts.filter(bool), min_size=1, max_size=4))
def test_values_taken_literally_are_one_pattern(values: list[str]) -> None:
    found = read_back(selector_text(Selector(matchers=(one_of("app", tuple(values)),)), "any"))

    assert len(found.matchers) == 1


@given(st.text(max_size=20).filter(lambda name: not name.isascii() or not name.isidentifier()))
def test_a_name_no_label_can_have_is_refused(name: str) -> None:
    for query in (replace(COUNT, by=(name,)), replace(COUNT, where=(equal(name, "x"),))):
        with pytest.raises(ValueError, match="no log label"):
            render_count(query, "any")


@pytest.mark.parametrize(
    ("matcher", "enough"),
    [
        (equal("app", "cart"), True),
        (equal("app", ""), False),
        (Matcher(label="app", value="cart", op=Op.NOT_EQUAL), False),
        (Matcher(label="app", value="", op=Op.NOT_EQUAL), True),
        (Matcher(label="app", value=".+", op=Op.MATCHES), True),
        (Matcher(label="app", value=".*", op=Op.MATCHES), False),
        (Matcher(label="app", value="a|", op=Op.MATCHES), False),
        (Matcher(label="app", value="a.*", op=Op.NOT_MATCHES), False),
        (Matcher(label="app", value=".*", op=Op.NOT_MATCHES), True),
    ],
)
def test_a_selector_that_may_match_a_stream_without_its_labels_is_given_one_to_demand(
    matcher: Matcher, enough: bool
) -> None:
    selector = Selector(matchers=(matcher,))

    text = selector_text(selector, "service_name")

    assert names_a_stream(selector) is enough
    assert ('service_name=~".+"' in text) is not enough
    parse_query(text)  # the grammar refuses a selector that could match everything


def test_an_empty_selector_asks_for_every_stream() -> None:
    assert selector_text(Selector(), "service_name") == '{service_name=~".+"}'


def test_a_pattern_that_is_none_is_left_to_the_server() -> None:
    broken = Selector(matchers=(Matcher(label="app", value="(", op=Op.MATCHES),))

    assert selector_text(broken, "service_name").startswith('{app=~"("')


def test_a_metric_name_selects_no_logs() -> None:
    with pytest.raises(ValueError, match="no metric name"):
        selector_text(Selector(metric="up"), "app")


def test_the_parts_of_a_query_stand_in_the_order_they_apply() -> None:
    query = LogQuery(
        selector=CART,
        window=WINDOW,
        filters=(LineFilter(text="timeout"), LineFilter(text="a|b", op=FilterOp.MATCHES_NOT)),
        parser=Parser.LOGFMT,
        where=(Matcher(label="level", value="(?i)err.*", op=Op.MATCHES),),
    )

    assert render_lines(query, "any") == '{app="cart"} |= "timeout" !~ "a|b" | logfmt | level=~"(?i)err.*"'


def test_a_count_is_always_summed() -> None:
    assert render_count(COUNT, "any") == 'sum(count_over_time({app="cart"} [1m]))'
    assert (
        render_count(replace(COUNT, step_s=90, by=("app", "detected_level", "app")), "any")
        == 'sum by (app, detected_level) (count_over_time({app="cart"} [90s]))'
    )


def test_a_count_leaves_out_what_its_parser_cannot_read_and_can_ask_how_much_that_is() -> None:
    query = replace(COUNT, parser=Parser.JSON, where=(equal("status", "500"),), by=("app",))

    assert render_count(query, "any") == (
        'sum by (app) (count_over_time({app="cart"} | json | __error__="" | status="500" [1m]))'
    )
    unparsed = render_unparsed(query, "any")
    assert unparsed == (
        'sum(count_over_time({app="cart"} | json | __error__!="" | drop __error__, __error_details__ [1m]))'
    )
    parse_query(unparsed)
    assert render_unparsed(COUNT, "any") is None
