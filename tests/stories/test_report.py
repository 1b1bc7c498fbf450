"""`/debug <question>`: what is understood, the report in its thread, and the evidence behind every reference."""

import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.demo.workspace.state import Message
from tests.stories.conversation import (
    CHANNEL,
    Conversation,
    action_ids,
    backends,
    block_types,
    conversation,
    references,
    said,
    shown,
    spoken,
    symptom,
    without_tokens,
)

CONFIGURED = """
[services.orders]
owner = "#team-orders"
runbook = "https://runbooks.example/orders"
"""


@pytest.mark.parametrize("http", [False, True], ids=["socket", "http"])
async def test_a_question_is_acknowledged_at_once_and_answered_in_the_thread_of_what_was_understood(
    tmp_path: Path, http: bool
) -> None:
    async with conversation(tmp_path, http=http) as talk:
        ack = await talk.workspace.command("ana", CHANNEL, "/debug", symptom())
        thread = await talk.answered()

    assert ack.ok
    assert ack.elapsed_s < 1.0
    assert "Looking into “checkout is slow since 16:00”" in ack.text
    assert ack.payload["response_type"] == "ephemeral"
    assert len(thread) > 2
    assert all(m.bot_id for m in thread)


async def test_the_root_message_says_what_was_understood_and_how_to_override_it(tmp_path: Path) -> None:
    async with conversation(tmp_path) as talk:
        (root, *_) = await talk.asked_and_answered(symptom())

    text = said([root])
    assert "*checkout* · prod" in text
    assert "<@UANA>" in text
    assert re.search(r"Looked at <!date\^\d+\^\{time\}\|[^>]*> to <!date\^\d+\^\{time\}\|[^>]*> your time", text)
    assert "Times are read in Europe/Stockholm." in text
    assert "`service=… env=… since=… until=…`" in text
    assert "Done: orders: an exhausted connection pool · likely" in text


async def test_the_root_message_is_there_while_the_work_goes_on(tmp_path: Path) -> None:
    on = backends()
    on.logs.latency_s = 0.3
    async with conversation(tmp_path, on=on) as talk:
        await talk.debug("ana", symptom())
        root = await talk.workspace.wait_for(lambda: next(iter(talk.workspace.messages(CHANNEL)), None))
        assert root is not None
        first = said([root])
        await talk.answered()

    assert "Looking at" in first
    assert "Investigating" in first
    assert "Done" not in first


async def test_the_report_holds_everything_a_reader_needs(tmp_path: Path) -> None:
    async with conversation(tmp_path, configuration=CONFIGURED) as talk:
        root, report, *suggestions = await talk.asked_and_answered(symptom())

    text = said([report])
    assert text.startswith("*orders: an exhausted connection pool* · likely (")
    assert "*Ranked findings*" in text
    findings = re.findall(r"^\d\. .*$", text, re.MULTILINE)
    assert len(findings) >= 4
    assert all(references(finding) for finding in findings)
    assert block_types([report]).count("data_visualization") in (1, 2)
    assert "*Timeline*" in text
    assert re.search(
        r"\*Coverage\*: logs \d+ patterns from [\d,]+ (of [\d,]+ )?lines, \d+ shown; metrics: \d+ of \d+ looks answered",
        text,
    )
    assert "*Speaks against it*" in text
    assert "*Would settle it*" in text
    assert "Owner: #team-orders" in text
    assert "Runbook: <https://runbooks.example/orders|open>" in text
    assert re.search(r"_no model used, [\d.]+ m?s_", text)
    assert "feedback_buttons" in str(report.blocks)
    assert [action_ids([s])[-2:] for s in suggestions] == [["approve", "reject"]] * len(suggestions)
    assert {"Revert", "Give"} == {said([s]).split()[0].strip("*") for s in suggestions}
    assert spoken([report]).startswith("orders: an exhausted connection pool")
    assert spoken([root]).startswith("checkout: ")


async def test_the_timeline_is_in_order_and_names_the_guilty_change(tmp_path: Path) -> None:
    async with conversation(tmp_path) as talk:
        root, *_ = await talk.asked_and_answered(symptom())
        report = await talk.report_in(root)

    times = [moment.at_s for moment in report.timeline]
    assert times == sorted(times)
    assert report.cause is not None
    assert report.cause.change is not None
    assert any(report.cause.change[:8] in moment.statement.text for moment in report.timeline)


async def test_every_reference_opens_its_query_window_and_values(tmp_path: Path) -> None:
    async with conversation(tmp_path) as talk:
        _, report, *_ = await talk.asked_and_answered(symptom())
        for evidence in sorted(references(said([report]))):
            modal = await _opened(talk, report, evidence)
            text = shown(modal)
            assert modal["title"]["text"] == f"Evidence {evidence}"
            assert re.search(r"<!date\^\d+[^>]*> to <!date\^\d+", text), text
            assert _preformatted(modal), text


async def test_evidence_of_numbers_shows_values_and_evidence_of_logs_shows_lines(tmp_path: Path) -> None:
    async with conversation(tmp_path) as talk:
        _, report, *_ = await talk.asked_and_answered(symptom())
        findings = [line for line in said([report]).splitlines() if re.match(r"\d\. ", line)]
        numbers = next(line for line in findings if "connections in use" in line)
        lines = next(line for line in findings if "SQLTransientConnectionException" in line)
        metric = await _opened(talk, report, *references(numbers))
        logs = await _opened(talk, report, *references(lines))

    query, table = _preformatted(metric)[:2]
    assert "db_client_connections" in query
    assert re.search(r"orders\s+\d.*%.*100 %", table)
    query, *patterns = _preformatted(logs)
    assert '{service="orders"' in query
    assert any("e.g. " in pattern and "SQLTransientConnectionException" in pattern for pattern in patterns)


async def test_every_time_in_a_sentence_is_shown_in_each_readers_own_zone(tmp_path: Path) -> None:
    async with conversation(tmp_path) as talk:
        thread = await talk.asked_and_answered(symptom())
        await talk.debug("ana", "changes 6h")
        await talk.workspace.wait_for(lambda: len(talk.workspace.messages(CHANNEL)) == 2)
        changes = talk.workspace.messages(CHANNEL)[-1]

    # What the asker typed is quoted as it was typed; a label on the axis of a chart takes no token and names its zone.
    text = without_tokens(said([*thread, changes])).replace(symptom(), "")
    assert not re.findall(r"\b\d{1,2}:\d\d\b", text)
    assert "<!date^" in said([changes])


@pytest.mark.parametrize("seed", [2, 3, 4, 5])
async def test_a_quiet_shop_has_no_cause_whatever_was_deployed_or_said(tmp_path: Path, seed: int) -> None:
    async with conversation(tmp_path, on=backends("none", seed)) as talk:
        root, *_ = await talk.asked_and_answered("frontend is weird since 16:00")
        stored = await talk.report_in(root)

    assert stored.cause is None


async def test_no_clear_cause_is_a_full_answer(tmp_path: Path) -> None:
    async with conversation(tmp_path, on=backends("none")) as talk:
        root, report, *suggestions = await talk.asked_and_answered("frontend is weird since 16:00")
        stored = await talk.report_in(root)

    text = said([report])
    assert text.startswith("*No clear cause for “frontend is weird since 16:00”* · ")
    assert stored.cause is None
    assert not suggestions
    assert "*Coverage*" in text
    assert "no model used" in text
    assert "feedback_buttons" in str(report.blocks)
    assert "Done: No clear cause" in said([root])


async def test_what_it_did_is_counted_in_its_own_metrics(tmp_path: Path) -> None:
    async with conversation(tmp_path) as talk:
        await talk.asked_and_answered(symptom())
        await talk.at_rest()
        async with aiohttp.ClientSession() as session, session.get(f"{talk.bot.url}/metrics") as answer:
            metrics = await answer.text()
        async with aiohttp.ClientSession() as session, session.get(f"{talk.bot.url}/readyz") as answer:
            ready = answer.status

    assert re.search(r'groundwire_investigations_total\{outcome="likely"\} 1', metrics)
    assert "groundwire_first_findings_seconds_count 1" in metrics
    assert ready == 200


async def _opened(talk: Conversation, report: Message, evidence: str) -> dict[str, Any]:
    """The modal that ben gets for this evidence, by its button or from the menu."""
    if f"show_evidence:{evidence}" in action_ids([report]):
        ack = await talk.workspace.click("ben", report, f"show_evidence:{evidence}")
    else:
        options = re.findall(rf"'value': '({evidence} [^']*)'", str(report.blocks))
        ack = await talk.workspace.click("ben", report, "show_evidence:more", options[0])
    assert ack.ok
    (view,) = talk.workspace.views("ben")
    await talk.workspace.close_view("ben", view)
    return view.body


def _preformatted(modal: dict[str, Any]) -> list[str]:
    found = [e for b in modal["blocks"] if b["type"] == "rich_text" for e in b["elements"]]
    return [str(e["elements"][0]["text"]) for e in found if e["type"] == "rich_text_preformatted"]
