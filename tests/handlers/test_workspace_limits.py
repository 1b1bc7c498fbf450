"""The local workspace refuses what Slack refuses, by Slack's error names."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.errors import SlackApiError, SlackObjectFormationError
from slack_sdk.models.blocks import Block

from bot.demo.workspace.block_rules import RULES, problems
from bot.demo.workspace.driver import Workspace
from bot.demo.workspace.limits import (
    Limits,
    Pace,
    Refusal,
    block_text_length,
    refused_message,
    refused_view,
    response_url_error,
    scope_needed,
    trigger_error,
)
from bot.demo.workspace.state import ResponseUrl, Trigger
from tests.handlers.bolt_server import client_of

LIMITS = Limits()


def words(text: str, kind: str = "mrkdwn") -> dict[str, Any]:
    return {"type": kind, "text": text}


def button(**changes: Any) -> dict[str, Any]:
    return {"type": "button", "action_id": "go", "text": words("Go", "plain_text"), "value": "1", **changes}


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": words(text)}


def actions(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements)}


def line_chart(**changes: Any) -> dict[str, Any]:
    points = [{"label": "14:00", "value": 1}, {"label": "14:05", "value": 2.5}]
    chart = {
        "type": "line",
        "series": [{"name": "p99", "data": points}],
        "axis_config": {"categories": ["14:00", "14:05"], "y_label": "ms"},
        **changes,
    }
    return {"type": "data_visualization", "title": "p99 latency", "chart": chart}


def data_table(rows: int = 3, columns: int = 2, **changes: Any) -> dict[str, Any]:
    row = [{"type": "raw_text", "text": "x"}] * columns
    return {"type": "data_table", "caption": "looks", "rows": [row] * rows, **changes}


GOOD = [
    section("x" * 3000),
    {"type": "section", "fields": [words("x" * 2000)] * 10},
    {"type": "section", "text": words("x"), "accessory": button()},
    {"type": "header", "text": words("x" * 150, "plain_text")},
    {"type": "divider"},
    {"type": "context", "elements": [words("x")] * 10},
    actions(*[button(action_id=f"a{i}", text=words("x" * 75, "plain_text"), value="v" * 2000) for i in range(25)]),
    {"type": "markdown", "text": "x" * 12_000},
    {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": []}]},
    {"type": "table", "rows": [[{"type": "raw_text", "text": "x"}] * 20] * 100},
    data_table(rows=101),
    line_chart(),
    line_chart(type="bar"),
    {"type": "data_visualization", "title": "t", "chart": {"type": "pie", "segments": [{"label": "a", "value": 1}]}},
    {"type": "task_card", "task_id": "1", "title": "t", "status": "complete"},
]

# What slack_sdk's own validators reject; ours must too. The second value is where Slack would point.
BAD_FOR_BOTH: list[tuple[dict[str, Any], str]] = [
    ({"type": "section"}, "/blocks/0"),
    (section("x" * 3001), "/blocks/0/text/text"),
    ({"type": "section", "fields": [words("x")] * 11}, "/blocks/0/fields"),
    ({"type": "header", "text": words("x" * 151, "plain_text")}, "/blocks/0/text/text"),
    (actions(*[button(action_id=f"a{i}") for i in range(26)]), "/blocks/0/elements"),
    ({"type": "context", "elements": [words("x")] * 11}, "/blocks/0/elements"),
    (actions(button(text=words("x" * 76, "plain_text"))), "/blocks/0/elements/0/text/text"),
    (actions(button(value="x" * 2001)), "/blocks/0/elements/0/value"),
    (actions(button(action_id="x" * 256)), "/blocks/0/elements/0/action_id"),
    (actions(button(style="green")), "/blocks/0/elements/0/style"),
    (actions(button(url="x" * 3001)), "/blocks/0/elements/0/url"),
    ({"type": "divider", "block_id": "x" * 256}, "/blocks/0/block_id"),
    ({"type": "markdown", "text": "x" * 12_001}, "/blocks/0/text"),
    ({"type": "task_card", "task_id": "1", "title": "t", "status": "done"}, "/blocks/0/status"),
]

BAD_FOR_SLACK: list[tuple[dict[str, Any], str]] = [
    ({"type": "hologram"}, "/blocks/0/type"),
    ({"type": "header", "text": words("x")}, "/blocks/0/text/type"),
    (section(""), "/blocks/0/text/text"),
    (actions(button(), button()), "/blocks/0/elements/1/action_id"),
    ({"type": "alert", "text": words("x")}, "/blocks/0"),
    (data_table(rows=1), "/blocks/0/rows"),
    (data_table(rows=102), "/blocks/0/rows"),
    (data_table(columns=21), "/blocks/0/rows/0"),
    (data_table(page_size=0), "/blocks/0/page_size"),
    (data_table(caption=""), "/blocks/0/caption"),
    ({"type": "table", "rows": [[{"type": "raw_text", "text": "x" * 6000}]] * 2}, "/blocks/0/rows"),
    ({**line_chart(), "title": "x" * 51}, "/blocks/0/title"),
    (line_chart(type="radar"), "/blocks/0/chart/type"),
    (line_chart(series=[]), "/blocks/0/chart/series"),
    (line_chart(series=line_chart()["chart"]["series"] * 2), "/blocks/0/chart/series"),
    (line_chart(axis_config={"categories": ["14:00"]}), "/blocks/0/chart/series/0/data"),
    (line_chart(axis_config={"categories": ["x" * 21, "14:05"]}), "/blocks/0/chart/axis_config/categories/0"),
    (line_chart(axis_config={"categories": [str(i) for i in range(21)]}), "/blocks/0/chart/axis_config/categories"),
    (
        {
            "type": "data_visualization",
            "title": "t",
            "chart": {"type": "pie", "segments": [{"label": "a", "value": 0}]},
        },
        "/blocks/0/chart/segments/0/value",
    ),
]


def pointers(blocks: list[Any]) -> list[str]:
    return [message.rpartition("json-pointer:")[2].rstrip("]") for message in problems(blocks, surface="message")]


@pytest.mark.parametrize("block", GOOD, ids=lambda block: block["type"])
def test_blocks_at_their_limits_pass(block: dict[str, Any]) -> None:
    assert list(problems([block], surface="message")) == []


@pytest.mark.parametrize(("block", "place"), BAD_FOR_BOTH + BAD_FOR_SLACK)
def test_a_wrong_block_is_refused_with_a_pointer_to_the_place(block: dict[str, Any], place: str) -> None:
    assert place in pointers([block])


@pytest.mark.parametrize(("block", "_place"), BAD_FOR_BOTH)
def test_slacks_own_validators_agree(block: dict[str, Any], _place: str) -> None:
    parsed = Block.parse(block)
    assert parsed is not None
    with pytest.raises(SlackObjectFormationError):
        validate_with_elements(parsed)


def validate_with_elements(block: Block) -> None:
    """Slack's validators do not look into elements by themselves."""
    for part in (block, *(getattr(block, "elements", None) or ())):
        part.validate_json()


def test_a_third_chart_a_second_table_and_a_shared_block_id_are_refused() -> None:
    table = {"type": "table", "rows": [[{"type": "raw_text", "text": "x"}]]}

    assert pointers([line_chart()] * 3) == ["/blocks/2"]
    assert pointers([table] * 2) == ["/blocks/1"]
    assert pointers([{"type": "divider", "block_id": "b"}] * 2) == ["/blocks/1/block_id"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)
FIELDS = (
    "text",
    "elements",
    "fields",
    "rows",
    "chart",
    "title",
    "options",
    "label",
    "element",
    "accessory",
    "tasks",
    "blocks",
)


@given(st.sampled_from(sorted(RULES)), st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_no_block_breaks_the_validator(kind: str, fields: dict[str, Any]) -> None:
    blocks = [{**fields, "type": kind}]

    assert all(message.startswith("[ERROR] ") for message in problems(blocks, surface="message"))
    assert block_text_length(blocks) >= 0


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"text": ""}, "no_text"),
        ({"text": "x" * 40_001}, "msg_too_long"),
        ({"text": "x", "blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
        ({"text": "x", "blocks": [section("x" * 3000)] * 5}, "msg_blocks_too_long"),
        ({"text": "x", "blocks": [section("")]}, "invalid_blocks"),
        ({"text": "x", "attachments": [{"blocks": [section("")]}]}, "invalid_attachments"),
        ({"text": "x", "blocks": "[{"}, "invalid_blocks_format"),
        ({"text": "x", "metadata": {"event_type": "t"}}, "invalid_metadata_format"),
        ({"text": "x", "markdown_text": "y"}, "markdown_text_conflict"),
    ],
)
async def test_message_content_is_refused_by_slacks_names(content: dict[str, Any], error: str) -> None:
    async with Workspace() as ws:
        with pytest.raises(SlackApiError) as caught:
            await client_of(ws).api_call("chat.postMessage", json={"channel": "C0CHECKOUT", **content})

        assert caught.value.response["error"] == error
        assert ws.messages("checkout") == []


async def test_invalid_blocks_come_with_messages() -> None:
    async with Workspace() as ws:
        with pytest.raises(SlackApiError) as caught:
            await client_of(ws).chat_postMessage(channel="C0CHECKOUT", text="x", blocks=[section("x" * 3001)])

        messages = caught.value.response["response_metadata"]["messages"]
        assert messages == ["[ERROR] must be less than 3001 characters [json-pointer:/blocks/0/text/text]"]


def test_an_update_takes_less_text_than_a_post() -> None:
    text = "x" * 4_001

    assert refused_message(text, [], [], limits=LIMITS) is None
    assert refused_message(text, [], [], limits=LIMITS, updating=True) == Refusal(error="msg_too_long")


def modal(**changes: Any) -> dict[str, Any]:
    return {"type": "modal", "title": words("Evidence", "plain_text"), "blocks": [section("x")], **changes}


INPUT = {
    "type": "input",
    "label": words("Why", "plain_text"),
    "element": {"type": "plain_text_input", "action_id": "w"},
}


@pytest.mark.parametrize(
    ("view", "error"),
    [
        (modal(), None),
        (modal(blocks=[{"type": "divider"}] * 100), None),
        (modal(blocks=[INPUT], submit=words("Send", "plain_text")), None),
        (modal(blocks=[{"type": "alert", "text": words("x"), "level": "warning"}]), None),
        (modal(blocks=[{"type": "divider"}] * 101), "invalid_arguments"),
        (modal(blocks=[INPUT]), "invalid_arguments"),
        (modal(title=words("x" * 25, "plain_text")), "invalid_arguments"),
        (modal(private_metadata="x" * 3001), "invalid_arguments"),
        (modal(type="home"), "invalid_arguments"),
        (modal(blocks=[section("x" * 3000)] * 90), "view_too_large"),
        ("not a view", "invalid_arguments"),
    ],
)
def test_views_have_their_own_limits(view: Any, error: str | None) -> None:
    refusal = refused_view(view, surface="modal", limits=LIMITS)

    assert (refusal.error if refusal else None) == error


def test_a_trigger_opens_one_view_within_three_seconds() -> None:
    fresh = Trigger(id="t", user="UANA", issued=100.0)
    used = Trigger(id="t", user="UANA", issued=100.0, used=True)

    assert trigger_error(fresh, 103.0, LIMITS) is None
    assert trigger_error(fresh, 103.1, LIMITS) == "expired_trigger_id"
    assert trigger_error(used, 101.0, LIMITS) == "exchanged_trigger_id"
    assert trigger_error(None, 101.0, LIMITS) == "invalid_trigger_id"


def test_a_response_url_works_five_times_in_thirty_minutes() -> None:
    def url(uses: int) -> ResponseUrl:
        return ResponseUrl(id="R", user="UANA", channel="C", issued=0.0, uses=uses)

    assert response_url_error(url(4), 1800.0, LIMITS) is None
    assert response_url_error(url(5), 1.0, LIMITS) == "used_url"
    assert response_url_error(url(0), 1801.0, LIMITS) == "expired_url"
    assert response_url_error(None, 0.0, LIMITS) == "expired_url"


def test_scopes_depend_on_the_kind_of_conversation() -> None:
    granted = frozenset({"channels:history", "chat:write"})

    assert scope_needed("conversations.replies", "channel", granted) is None
    assert scope_needed("conversations.replies", "im", granted) == "im:history"
    assert scope_needed("conversations.replies", None, granted) is None
    assert scope_needed("assistant.threads.setStatus", "im", granted) is None
    assert scope_needed("views.open", None, frozenset()) is None


@given(st.lists(st.floats(min_value=0.0, max_value=2.0), min_size=1, max_size=60))
def test_the_pace_never_lets_more_through_than_burst_plus_rate(gaps: list[float]) -> None:
    pace = Pace(burst=4, per_s=1.0)
    now, passed = 0.0, 0
    for gap in gaps:
        now += gap
        passed += pace.wait_s("C", now) == 0.0

    assert passed <= 4 + now + 1e-6


def test_who_waits_as_long_as_told_gets_through() -> None:
    pace = Pace(burst=1, per_s=1.0)
    assert pace.wait_s("C", 0.0) == 0.0

    told = pace.wait_s("C", 0.25)

    assert told == pytest.approx(0.75)
    assert pace.wait_s("C", 0.25 + told) == 0.0
