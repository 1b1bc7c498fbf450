"""What people read in Slack: order, density, limits, and that data cannot act."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block as SlackBlock

from bot.demo.workspace.block_rules import problems
from bot.domain.codec import Json
from bot.domain.report import ChartSeries, Report, time_mark
from bot.domain.suggestion import Decision, Verdict
from handlers.slack.chart import chart_blocks
from handlers.slack.evidence_view import evidence_view, missing_view
from handlers.slack.message import BLOCKS, Message, Part, fitted, text_length
from handlers.slack.report_blocks import cited, report_message, report_text
from handlers.slack.root_blocks import finished_root, root_message
from handlers.slack.suggestion_blocks import decided_message, suggestion_message, suggestion_text
from handlers.slack.text import allowed_url, clip_escaped, code, context, escape, prose, safe_link, section
from tests.handlers.slack.sample import (
    KEY,
    NOW_S,
    ONSET_S,
    QUESTION,
    SCOPE,
    SUGGESTION,
    evidence_with,
    report_with,
    unclear_report,
)

HOSTS = frozenset({"grafana.test", "runbooks.test"})
DECISION = Decision(
    suggestion_id=SUGGESTION.id, verdict=Verdict.APPROVED, decided_by="U0APPROVER", decided_at_s=NOW_S, content_hash="h"
)
# What Slack would read as a token: ours are links to allowed hosts, dates, and the people who asked or decided.
TOKEN = re.compile(r"<[^>]*>?")
OURS = re.compile(
    r"<https://(?:grafana|runbooks)\.test/[^<>|\s]*(?:\|[^<>|]*)?>|<!date\^\d+\^[^<>|]*\|[^<>|]*>|<@U0(?:ASKER|APPROVER)>"
)
PIECES = [
    *("<!channel>", "<!here|x>", "<@U123>", "<#C123|general>", "<https://evil.test|click>", "@here", "@channel"),
    *("https://evil.test/?a=b", "&amp;", "&", "<", ">", "|", "`", "```", "*", "_", "\n", "\u202e", "\x00", "⟦t:99⟧"),
    *("⟦t:99999999999999999999999⟧", "[E1]", "[E99999]", ":fire:", "word ", "ß", "\ud800", "x" * 500, "&" * 700),
]


def hostile() -> st.SearchStrategy[str]:
    return st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=20)), max_size=12).map("".join)


def strings(node: Json, under: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from strings(value, key)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from strings(item, under)
    elif isinstance(node, str):
        yield under, node


def markup(node: Json) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if node.get("type") == "mrkdwn":
            yield node
        for value in node.values():
            yield from markup(value)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from markup(item)


def links(report_links: bool = True) -> dict[str, str]:
    found = {e.id: safe_link(e.link, HOSTS) for e in evidence_with()} if report_links else {}
    return {e: url for e, url in found.items() if url}


def all_messages(report: Report) -> list[Message]:
    return [
        root_message(replace(QUESTION, text=report.question), report.scope, report.gaps[0].why),
        finished_root(replace(QUESTION, text=report.question), report),
        report_message(report, links(), HOSTS),
        suggestion_message(report.suggestions[0], links()),
        decided_message(report.suggestions[0], DECISION, links()),
    ]


def assert_harmless(message: Message) -> None:
    assert list(problems(message.blocks, surface="message")) == []
    assert len(message.blocks) <= BLOCKS
    assert text_length(message.blocks) <= 13_000
    assert 0 < len(message.text) <= 4000
    assert_nothing_acts(message.blocks)
    assert TOKEN.search(message.text) is None
    json.dumps(message.blocks).encode()


def assert_nothing_acts(blocks: Json) -> None:
    for node in markup(blocks):
        assert node["verbatim"] is True
        for token in TOKEN.findall(node["text"]):
            assert OURS.fullmatch(token), token
    for _, text in strings(blocks):
        assert not re.search(r"@(channel|here|everyone)\b", text, re.IGNORECASE)
        assert not re.search("[\x00-\x08\u202e\ud800]", text)


@settings(max_examples=60, deadline=None)
@example("&&@channel0<!channel>", 1)  # cut behind "@channel"
@given(hostile(), st.sampled_from([1, 3]))
def test_hostile_text_never_acts_and_always_fits(text: str, times: int) -> None:
    report = report_with(text, times=times)

    for message in all_messages(report):
        assert_harmless(message)
    for body in (report_text(report), suggestion_text(report.suggestions[0])):
        assert len(body) <= 13_000
        assert all(OURS.fullmatch(token) for token in TOKEN.findall(body))


@settings(max_examples=40, deadline=None)
@given(hostile())
def test_hostile_evidence_never_acts_and_always_fits_a_modal(text: str) -> None:
    for evidence in evidence_with(text):
        view = evidence_view(evidence, ONSET_S, HOSTS)
        assert list(problems(view["blocks"], surface="modal")) == []
        assert len(view["blocks"]) <= 100
        assert len(json.dumps(view)) < 250_000
        assert 0 < len(view["title"]["text"]) <= 24
        assert_nothing_acts([b for b in view["blocks"] if b["type"] != "rich_text"])


@pytest.mark.parametrize("report", [report_with(), unclear_report(), report_with(times=4)])
def test_slack_sdk_takes_every_block_it_knows(report: Report) -> None:
    message = report_message(report, links(), HOSTS)

    for block in message.blocks:
        if block["type"] != "data_visualization":
            parsed = SlackBlock.parse(block)
            assert parsed is not None
            parsed.validate_json()


def test_the_report_says_what_since_when_how_sure_first_and_in_the_agreed_order() -> None:
    message = report_message(report_with(), links(), HOSTS)

    said = [text for key, text in strings(message.blocks) if key == "text"]
    assert said[0].startswith("*payments: an exhausted connection pool* · likely (3 independent signals agree)")
    whole = "\n".join(said)
    order = [
        "ran out of connections",
        "Ranked findings",
        "Timeline",
        "Speaks against it",
        "Would settle it",
        "Coverage",
    ]
    order += ["Gaps", "Owner: #team-payments", "Show E1", "no model used, 4.1 s"]
    places = [whole.index(part) for part in order]
    assert places == sorted(places)
    assert "logs 9 patterns from 4,318 lines, 12 shown; metrics: 31 of 34 looks answered" in whole


def test_references_open_the_query_where_a_link_is_known_and_are_plain_elsewhere() -> None:
    message = report_message(report_with(), {"E1": "https://grafana.test/x"}, HOSTS)

    text = "\n".join(node["text"] for node in markup(message.blocks))
    assert "<https://grafana.test/x|[E1]>" in text
    assert " [E4]" in text
    assert "Runbook: <https://runbooks.test/pool|open>" in text


def test_times_are_the_readers_own() -> None:
    message = report_message(report_with(), {}, HOSTS)

    assert f"<!date^{ONSET_S:.0f}^{{time}}|08:30 UTC>" in message.blocks[0]["text"]["text"]
    assert "08:30 UTC" in message.text


def test_the_most_relevant_evidence_has_a_button_and_the_rest_a_menu() -> None:
    message = report_message(report_with(), {}, HOSTS)

    (actions,) = [b for b in message.blocks if b["type"] == "actions"]
    *buttons, menu = actions["elements"]
    assert [b["text"]["text"] for b in buttons] == ["Show E1", "Show E4", "Show E2", "Show E3"]
    assert buttons[0]["value"] == f"E1 {KEY}"
    assert menu["type"] == "static_select"
    assert len(buttons) + len(menu["options"]) == len(cited(report_with()))


def test_the_chart_shows_the_onset_in_the_askers_zone() -> None:
    message = report_message(report_with(), {}, HOSTS)

    (block,) = [b for b in message.blocks if b["type"] == "data_visualization"]
    axis = block["chart"]["axis_config"]
    assert [c for c in axis["categories"] if c.endswith("onset")] == ["10:30 onset"]
    assert (axis["x_label"], axis["y_label"]) == ("time (Europe/Berlin)", "%")
    assert [s["name"] for s in block["chart"]["series"]] == ["payments", "onset"]
    spike = [p["value"] for p in block["chart"]["series"][1]["data"]]
    assert spike.index(max(spike)) == axis["categories"].index("10:30 onset")


def test_a_chart_with_too_few_samples_is_said_in_words() -> None:
    report = report_with()
    empty = replace(report.charts[0], series=(ChartSeries(name="payments", values=(float("nan"),) * 100),))

    message = report_message(replace(report, charts=(empty,)), {}, HOSTS)

    assert not [b for b in message.blocks if b["type"] == "data_visualization"]
    assert any("payments: pool in use: no samples" in text for _, text in strings(message.blocks))


def test_without_a_cause_the_report_says_so_and_what_was_closest() -> None:
    message = report_message(unclear_report(), {}, HOSTS)

    text = "\n".join(node["text"] for node in markup(message.blocks))
    assert text.startswith(
        "*No clear cause for “checkout is slow since 14:00”* · 31 looks, nothing left its normal range"
    )
    assert "*Closest*" in text
    assert "Ranked findings" not in text


def test_what_does_not_fit_is_named_and_the_answer_stays() -> None:
    parts = [
        Part(name="the answer", rank=0, blocks=(section("answer"),)),
        Part(name="the timeline", rank=8, blocks=tuple(section("x" * 2900) for _ in range(5))),
        Part(name="the gaps", rank=4, blocks=(section("gap"),)),
    ]

    blocks = fitted(parts)

    assert blocks == (section("answer"), section("gap"), context("Left out for length: the timeline."))


def test_the_root_says_what_was_understood_and_how_to_say_it_differently() -> None:
    message = root_message(QUESTION, SCOPE, "Investigating: 22 of 34 looks done")

    text = "\n".join(node["text"] for node in markup(message.blocks))
    assert "*checkout* · prod · asked by <@U0ASKER>" in text
    assert "(from “checkout is slow since 14:00”)" in text
    assert "service=… env=… since=…" in text
    assert "“slow” means latency." in text
    assert text.endswith("_Investigating: 22 of 34 looks done_")


def test_a_window_of_another_day_shows_its_day() -> None:
    yesterday = replace(SCOPE, window=SCOPE.window.shifted(-86_400), baseline=SCOPE.baseline.shifted(-86_400))

    assert "{date_short_pretty} {time}" in str(root_message(QUESTION, yesterday, "…").blocks)
    assert "{date_short_pretty}" not in str(root_message(QUESTION, SCOPE, "…").blocks)


def test_a_suggestion_says_its_risk_its_reasons_and_that_nothing_is_executed() -> None:
    text = "\n".join(text for _, text in strings(suggestion_message(SUGGESTION, {}).blocks))

    assert "Revert 3f2c1a in payments" in text
    assert "risk: medium" in text
    assert "Because of [E1] [E4]" in text
    assert "does not execute anything yet" in text
    assert "Approve" in text
    assert "Reject" in text


def test_a_decided_suggestion_has_no_buttons_and_names_who_decided() -> None:
    message = decided_message(SUGGESTION, DECISION, {})

    assert not [b for b in message.blocks if b["type"] == "actions"]
    assert "*Approved* by <@U0APPROVER>" in str(message.blocks)


def test_the_evidence_modal_has_the_query_the_window_and_the_values() -> None:
    series, patterns, *_ = evidence_with()

    view = evidence_view(series, ONSET_S, HOSTS)

    text = "\n".join(text for _, text in strings(view))
    assert 'pool_in_use{service="payments"}' in text
    assert "prometheus/prod" in text
    assert re.search(r"payments +22 % +22 % +100 % +100 % +100 %", text)
    assert re.search(r"checkout → payments +no samples", text)
    assert "https://grafana.test/explore?left=a&right=1" in text
    assert "could not get connection within 3000 ms" in str(evidence_view(patterns, None, HOSTS))
    assert "no longer kept" in str(missing_view("E9"))


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "https://evil.test/x",
        "https://grafana.test@evil.test/",
        "https://evil.test\\@grafana.test/",
        "http://[::1",
        "x" * 2000,
        "",
    ],
)
def test_links_lead_to_allowed_hosts_only(url: str) -> None:
    assert allowed_url(url, HOSTS) is None


def test_a_link_cannot_end_its_token() -> None:
    assert safe_link("https://grafana.test/a>b|c d&e", HOSTS) == "https://grafana.test/a%3Eb%7Cc%20d&amp;e"


def test_text_is_never_cut_inside_a_token_or_an_entity() -> None:
    assert clip_escaped("a &amp; b", 6) == "a…"
    assert clip_escaped("ab <!date^1^{time}|x> c", 10) == "ab…"


def test_code_spans_and_escapes_show_data_letter_by_letter() -> None:
    assert code("a `b` <c>") == "`a ’b’ &lt;c&gt;`"
    assert escape("@Here & <!here>") == "@\u2060Here &amp; &lt;!here&gt;"
    assert prose(time_mark(0)) == "<!date^0^{time}|00:00 UTC>"


@pytest.mark.parametrize(
    ("unit", "value", "shown", "axis"),
    [
        ("s", 0.38, 380.0, "ms"),
        ("s", 2.9, 2.9, "s"),
        ("ratio", 0.5, 50.0, "%"),
        ("bytes", 3 * 1024.0**3, 3.0, "GiB"),
        ("/s", 12.5, 12.5, "/s"),
    ],
)
def test_the_charts_axis_has_readable_numbers(unit: str, value: float, shown: float, axis: str) -> None:
    chart = report_with().charts[0]
    flat = replace(chart, unit=unit, onset_s=None, series=(ChartSeries(name="payments", values=(value,) * 100),))

    drawn = chart_blocks(flat, "Nowhere/Atall")[0]["chart"]

    assert drawn["series"][0]["data"][0]["value"] == shown
    assert drawn["axis_config"]["y_label"] == axis
    assert drawn["axis_config"]["x_label"] == "time (UTC)"


@pytest.mark.parametrize("step_s", [1.0, 60.0, 3600.0, 86_400.0])
def test_every_point_of_a_chart_has_its_own_label(step_s: float) -> None:
    # Across the night in October 2025 in which Berlin's clocks went back.
    times = tuple(1_761_436_800.0 + i * step_s for i in range(60))
    series = (ChartSeries(name="a", values=times), ChartSeries(name="a", values=times))
    chart = replace(report_with().charts[0], times_s=times, series=series, onset_s=times[30])

    blocks = chart_blocks(chart, "Europe/Berlin")

    assert list(problems(blocks, surface="message")) == []
    assert len(set(blocks[0]["chart"]["axis_config"]["categories"])) == 20
    assert [s["name"] for s in blocks[0]["chart"]["series"]] == ["a", "a 2", "onset"]
