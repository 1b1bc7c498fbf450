"""Alerts out of the messages people really have in their channels."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.alert import Alert
from handlers.slack.alert_message import alerts_in
from handlers.slack.words import message_words, question_words, words

POSTED = "1763643600.000100"

ALERTMANAGER_DEFAULT = {
    "bot_id": "B1",
    "ts": POSTED,
    "text": "",
    "attachments": [
        {
            "color": "a30200",
            "fallback": "[FIRING:1] CheckoutLatencyHigh checkout (prod critical) | http://am.test/#/alerts",
            "title": "[FIRING:1] CheckoutLatencyHigh checkout (prod critical)",
            "title_link": "http://am.test/#/alerts?receiver=slack",
            "text": "",
        }
    ],
}

ALERTMANAGER_DETAILS = {
    "bot_id": "B1",
    "ts": POSTED,
    "attachments": [
        {
            "color": "danger",
            "title": "[FIRING:2] PodMemoryHigh for payments",
            "text": (
                "*Alert:* Memory is nearly full - `critical`\n"
                "*Description:* payments uses 97 % of its limit\n"
                "*Graph:* <http://prom.test/graph?g0.expr=x|:chart:> *Runbook:* <https://runbooks.test/memory|:spiral_notepad:>\n"
                "*Details:*\n"
                "  • *alertname:* `PodMemoryHigh`\n  • *namespace:* `shop`\n  • *service:* `payments`\n"
                "*Details:*\n"
                "  • *alertname:* `PodMemoryHigh`\n  • *namespace:* `shop`\n  • *service:* `orders`\n"
            ),
        }
    ],
}

GRAFANA = {
    "bot_id": "B2",
    "ts": POSTED,
    "text": "[FIRING:1] High latency (checkout)",
    "attachments": [
        {
            "color": "#D63232",
            "title": "[FIRING:1] High latency on checkout (shop)",
            "title_link": "https://grafana.test/alerting/list",
            "text": (
                "**Firing**\n\nValue: A=2.9, C=1\nLabels:\n - alertname = High latency on checkout\n - env = prod\n"
                " - service = checkout\nAnnotations:\n - runbook_url = https://runbooks.test/latency\n"
                " - summary = p95 above 1 s for 5 minutes\nSource: https://grafana.test/alerting/grafana/x/view\n"
                "Silence: https://grafana.test/alerting/silence/new?matcher=x\n"
            ),
            "footer": "Grafana v12",
            "ts": 1763643599,
        }
    ],
}

GRAFANA_MIXED = {
    "bot_id": "B2",
    "ts": POSTED,
    "attachments": [
        {
            "title": "[FIRING:1, RESOLVED:1] Checkout",
            "text": (
                "**Firing**\n\nLabels:\n - alertname = Slow\n - service = checkout\n\n"
                "**Resolved**\n\nLabels:\n - alertname = Errors\n - service = orders\n"
            ),
        }
    ],
}

BLOCKS = {
    "bot_id": "B3",
    "ts": POSTED,
    "text": "alert",
    "blocks": [
        {"type": "header", "text": {"type": "plain_text", "text": "[RESOLVED] DiskFull"}},
        {
            "type": "section",
            "fields": [
                {"type": "mrkdwn", "text": "*service:* search"},
                {"type": "mrkdwn", "text": "*Started:* 2026-11-20 13:58:30.123456789 +0000 UTC"},
            ],
        },
        {
            "type": "rich_text",
            "elements": [
                {
                    "type": "rich_text_section",
                    "elements": [
                        {"type": "text", "text": "Runbook: "},
                        {"type": "link", "url": "https://runbooks.test/disk"},
                    ],
                }
            ],
        },
    ],
}

FIELDS = {
    "bot_id": "B4",
    "ts": POSTED,
    "attachments": [
        {
            "title": "[Alerting] Payments error rate",
            "fields": [
                {"title": "service", "value": "payments"},
                {"title": "StartsAt", "value": "2026-11-20T13:58:30Z"},
            ],
            "text": 'rate{service="payments", env="prod"} is 0.4',
        }
    ],
}


def only(message: dict[str, Any]) -> Alert:
    (alert,) = alerts_in(message)
    return alert


def test_alertmanagers_own_template_gives_name_and_time() -> None:
    alert = only(ALERTMANAGER_DEFAULT)

    assert (alert.name, alert.firing, alert.started_at_s) == ("CheckoutLatencyHigh", True, float(POSTED))
    assert alert.annotations["summary"] == "CheckoutLatencyHigh checkout (prod critical)"


def test_a_list_of_details_gives_every_alert_with_its_labels_and_the_runbook() -> None:
    first, second = alerts_in(ALERTMANAGER_DETAILS)

    assert (first.name, first.labels["service"], first.labels["namespace"]) == ("PodMemoryHigh", "payments", "shop")
    assert (second.name, second.labels["service"]) == ("PodMemoryHigh", "orders")
    assert first.runbook_url == second.runbook_url == "https://runbooks.test/memory"
    assert first.annotations["description"] == "payments uses 97 % of its limit"


def test_grafanas_template_gives_labels_and_annotations_once() -> None:
    alert = only(GRAFANA)

    assert alert.name == "High latency on checkout"
    assert alert.labels == {"alertname": "High latency on checkout", "env": "prod", "service": "checkout"}
    assert alert.runbook_url == "https://runbooks.test/latency"
    assert alert.annotations["summary"] == "p95 above 1 s for 5 minutes"


def test_firing_and_resolved_in_one_message_are_told_apart() -> None:
    assert [(a.name, a.firing, a.labels["service"]) for a in alerts_in(GRAFANA_MIXED)] == [
        ("Slow", True, "checkout"),
        ("Errors", False, "orders"),
    ]


def test_blocks_are_read_like_attachments() -> None:
    alert = only(BLOCKS)

    assert (alert.name, alert.firing, alert.labels) == ("DiskFull", False, {"service": "search"})
    assert alert.started_at_s == pytest.approx(1795183110.123456)
    assert alert.runbook_url == "https://runbooks.test/disk"


def test_fields_and_selectors_are_labels() -> None:
    alert = only(FIELDS)

    assert (alert.name, alert.firing) == ("Payments error rate", True)
    assert alert.labels == {"service": "payments", "env": "prod"}
    assert alert.started_at_s == 1795183110.0


@pytest.mark.parametrize(
    "text",
    ["checkout is slow: anybody else?", "deploy: payments 3f2c1a", "alert: I am going for lunch", "[1] see above", ""],
)
def test_what_people_write_is_no_alert(text: str) -> None:
    assert alerts_in({"user": "U1", "ts": POSTED, "text": text}) == ()


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30) | st.sampled_from(["[FIRING:1] X", "service: a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["text", "title", "type", "elements", "fields", "value", "url"]), inner, max_size=4
        )
    ),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(["text", "ts", "blocks", "attachments", "bot_id"]), JSONISH, max_size=5))
def test_no_message_is_too_strange_to_read(message: dict[str, Any]) -> None:
    alerts_in(message)
    message_words(message)


@pytest.mark.parametrize(
    ("slack", "plain"),
    [
        ("<@UBOT> why is <#C1|checkout> slow?", "why is #checkout slow?"),
        ("<@UBOT|groundwire>\n ask <@U2|ben> &amp; &lt;me&gt;", "ask @ben & <me>"),
        ("see <https://x.test/a|the graph> and <https://x.test/b>", "see the graph and https://x.test/b"),
        ("<!here> since <!date^1^{time}|14:00>", "here since 14:00"),
        ("&amp;lt;", "&lt;"),
    ],
)
def test_tokens_become_what_a_reader_sees(slack: str, plain: str) -> None:
    assert question_words(slack, "UBOT") == plain


def test_a_token_that_is_not_closed_stays_text() -> None:
    assert words("a < b <c") == "a < b <c"
