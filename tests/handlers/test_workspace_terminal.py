"""A thread printed in a terminal says what the Slack thread says."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.demo.workspace.mrkdwn import plain
from bot.demo.workspace.state import Message
from bot.demo.workspace.terminal import render_thread
from bot.demo.workspace.text_chart import number, table_lines

STOCKHOLM = ZoneInfo("Europe/Stockholm")
KOLKATA = ZoneInfo("Asia/Kolkata")
NAMES = {"UANA": "Ana", "UBOT": "Groundwire", "C1": "checkout", "S1": "oncall"}
AT = "1800000000.000100"  # 2027-01-15 08:00 UTC


def words(text: str, kind: str = "mrkdwn") -> dict[str, Any]:
    return {"type": kind, "text": text}


def shown(*blocks: dict[str, Any], width: int = 60) -> str:
    message = Message(channel="C", ts=AT, text="fallback", user="UBOT", bot_id="BBOT", blocks=blocks)
    return render_thread([message], width=width, tz=STOCKHOLM, names=NAMES)


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("*bold* and _slanted_ but snake_case_stays", "bold and slanted but snake_case_stays"),
        ("`a_b_c` *x*", "`a_b_c` x"),
        ("<@UANA> in <#C1> pinged <!subteam^S1> and <!here>", "@Ana in #checkout pinged @oncall and @here"),
        ("<https://a.example/x|E3>", "E3 (https://a.example/x)"),
        ("<https://a.example/x>", "https://a.example/x"),
        (f"<https://a.example/{'q' * 80}|E3>", "E3"),
        ("<mailto:a@b.example|a@b.example>", "a@b.example"),
        ("a &lt; b &amp;&amp; c &gt; d", "a < b && c > d"),
        (":red_circle: :unknown_thing:", "🔴 :unknown_thing:"),
        ("<!date^1800000000^{date_num} {time_secs}|soon>", "2027-01-15 09:00:00"),
        ("<!date^1800000000^{date_short_pretty} at {time}^https://a.example|soon>", "Jan 15, 2027 at 09:00"),
        ("<!date^1800000000^{date_long} {unknown}|soon>", "Friday, January 15, 2027 {unknown}"),
        ("<!date^99999999999999^{date}|soon>", "soon"),
    ],
)
def test_markup_becomes_text(markup: str, text: str) -> None:
    assert plain(markup, tz=STOCKHOLM, names=NAMES) == text


def test_each_reader_sees_their_own_zone() -> None:
    token = "<!date^1800000000^{time}|?>"

    assert plain(token, tz=STOCKHOLM, names={}) == "09:00"
    assert plain(token, tz=KOLKATA, names={}) == "13:30"


def test_replies_stand_under_their_root_with_names_times_and_edits() -> None:
    root = Message(
        channel="C", ts=AT, text="<@UBOT> why?", user="UANA", blocks=({"type": "rich_text", "elements": []},)
    )
    reply = Message(
        channel="C",
        ts="1800000060.000100",
        thread_ts=AT,
        text="Looking",
        user="UBOT",
        bot_id="BBOT",
        edited_ts="1800000061.000100",
        reactions=(("thumbsup", ("UANA",)),),
    )

    printed = render_thread([root, reply], tz=STOCKHOLM, names=NAMES)

    assert printed == "Ana  09:00\n@Groundwire why?\n\n  │ Groundwire  09:01 (edited)\n  │ Looking\n  │ 👍 1\n  │\n"


def test_the_blocks_of_a_report_are_all_told() -> None:
    printed = shown(
        {"type": "header", "text": words("Pool exhausted", "plain_text")},
        {"type": "section", "text": words("*Cause*: the pool")},
        {"type": "section", "fields": [words("*Service*\ncheckout"), words("*Env*\nprod")]},
        {"type": "divider"},
        {"type": "actions", "elements": [{"type": "button", "action_id": "a", "text": words("Show E3", "plain_text")}]},
        {"type": "context", "elements": [words("no model used"), words("4.1 s")]},
        {
            "type": "context_actions",
            "elements": [
                {
                    "type": "feedback_buttons",
                    "positive_button": {"text": words("Helpful")},
                    "negative_button": {"text": words("Not helpful")},
                }
            ],
        },
        {"type": "plan", "title": "Looks", "tasks": [{"task_id": "1", "title": "errors", "status": "complete"}]},
        {"type": "hologram"},
    )

    assert printed.splitlines() == [
        "Groundwire  09:00",
        "Pool exhausted",
        "══════════════",
        "Cause: the pool",
        "Service checkout               Env prod",
        "─" * 60,
        "[Show E3]",
        "no model used · 4.1 s",
        "[Helpful]  [Not helpful]",
        "Looks",
        "[x] errors",
        "[hologram]",
    ]


def test_markdown_and_rich_text_keep_lists_and_code() -> None:
    printed = shown(
        {
            "type": "markdown",
            "text": "## Why\n**Two** [things](https://a.example):\n- one\n```\n# kept  as is\n```\nend",
        },
        {
            "type": "rich_text",
            "elements": [
                {
                    "type": "rich_text_list",
                    "style": "ordered",
                    "elements": [{"elements": [{"type": "text", "text": "roll back", "style": {"code": True}}]}],
                },
                {"type": "rich_text_quote", "elements": [{"type": "user", "user_id": "UANA"}]},
                {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "x = 1"}]},
            ],
        },
    )

    assert printed.splitlines()[1:] == [
        "WHY",
        "Two things (https://a.example):",
        "- one",
        "  # kept  as is",
        "end",
        "1. `roll back`",
        "> @Ana",
        "  x = 1",
    ]


def chart(kind: str, **shape: Any) -> dict[str, Any]:
    return {"type": "data_visualization", "title": "p99", "chart": {"type": kind, **shape}}


def test_a_line_chart_becomes_a_spark_line_a_series() -> None:
    labels = ["14:00", "14:05", "14:10"]
    points = [{"label": label, "value": value} for label, value in zip(labels, (0.1, 0.1, 0.8), strict=True)]
    flat = [{"label": label, "value": 0} for label in labels]
    axis = {"categories": labels, "y_label": "s"}

    printed = shown(
        chart("line", series=[{"name": "p99", "data": points}, {"name": "errors", "data": flat}], axis_config=axis)
    )

    assert printed.splitlines()[1:] == [
        "[line chart] p99",
        "p99    ▁▁▁▁▁▁███ 0.1 … 0.8",
        "errors ▁▁▁▁▁▁▁▁▁ 0 … 0",
        "       14:00 … 14:10 (s)",
    ]


def test_bar_and_pie_charts_become_bars() -> None:
    segments = [{"label": "5xx", "value": 3}, {"label": "2xx", "value": 1}]
    series = [{"name": "rate", "data": [{"label": "cart", "value": 1500}]}]

    pie = shown(chart("pie", segments=segments), width=40).splitlines()
    bar = shown(chart("bar", series=series, axis_config={"categories": ["cart"]}), width=40).splitlines()

    assert pie[2].startswith("5xx 75 % ███")
    assert (pie[2].count("█"), pie[3].count("█")) == (31, 10)
    assert bar[2] == "cart 1,500 " + "█" * 29


def test_tables_are_aligned_and_cut_to_the_width() -> None:
    def cell(text: str) -> dict[str, Any]:
        return {"type": "raw_text", "text": text}

    rows = [
        [cell("service"), cell("why")],
        [cell("checkout"), cell("slow " * 30)],
        [{"type": "raw_number", "value": 2}, cell("")],
    ]

    printed = shown({"type": "data_table", "caption": "Looks", "rows": rows}, width=40).splitlines()

    assert printed[1:4] == ["Looks", "service   why", "────────  " + "─" * 30]
    assert printed[4].endswith("…")
    assert len(printed[4]) == 40
    assert printed[5] == "2"


def test_attachments_of_alert_apps_are_told() -> None:
    attachment = {
        "title": "[FIRING:1] HighLatency",
        "title_link": "https://am.example",
        "text": "*p99* above 1 s",
        "fields": [{"title": "severity", "value": "page"}],
    }
    message = Message(channel="C", ts=AT, username="Alertmanager", bot_id="BA", attachments=(attachment,))
    fallback = Message(channel="C", ts=AT, username="Old", bot_id="BA", attachments=({"fallback": "it fires"},))

    printed = render_thread([message, fallback], tz=STOCKHOLM).splitlines()

    assert printed[:4] == [
        "Alertmanager  09:00",
        "▌ [FIRING:1] HighLatency (https://am.example)",
        "▌ p99 above 1 s",
        "▌ severity: page",
    ]
    assert printed[-1] == "▌ it fires"


def test_numbers_stay_short() -> None:
    assert [number(v) for v in (0, 0.012345, 3.25, 999.9, 1234.5)] == ["0", "0.0123", "3.25", "1,000", "1,234"]


@given(st.text(max_size=400), st.integers(min_value=40, max_value=120))
def test_no_text_is_wider_than_the_terminal(text: str, width: int) -> None:
    printed = shown({"type": "section", "text": words(text)}, {"type": "markdown", "text": text}, width=width)

    assert all(len(line) <= width for line in printed.split("\n"))


@given(st.lists(st.lists(st.text(alphabet="abc ", max_size=60), min_size=1, max_size=6), min_size=1, max_size=5))
def test_no_table_is_wider_than_the_terminal(rows: list[list[str]]) -> None:
    assert all(len(line) <= 60 for line in table_lines(rows, 60))


def test_a_message_cannot_steer_the_terminal() -> None:
    printed = shown({"type": "section", "text": words("red \x1b[31m alert \x07 \x9b2J \r over")})

    assert all(c == "\n" or c.isprintable() for c in printed)
