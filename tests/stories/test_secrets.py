"""Secrets that strangers wrote into lines, labels, commits, alerts and threads reach no message, no file and no log."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bot.demo.shop.sources import ShopAlerts, ShopChanges, ShopLogs
from bot.domain.alert import Alert
from bot.domain.change import Change
from bot.domain.logs import LogLine
from bot.domain.query import ConfiguredLogQuery, LogQuery
from bot.domain.scope import Window
from bot.errors import SourceUnavailable
from bot.ports import LinesAnswer
from tests.stories.conversation import (
    CHANNEL,
    Conversation,
    action_ids,
    backends,
    conversation,
    said,
    shop_with,
    symptom,
)

# None of these opens anything; each stands in a place of its own, so that a leak names its way out.
AWS = "AKIAZ7Q4X2NMB5T3KDLW"
PASSWORD = "hunter2-correct-horse"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJvcHMtYm90LTQyIn0.Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6"
GITHUB = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"
URL = "s3cr3tInUrl99"
COMMIT = "glpat-Zq3kW8vNb1Lx5TyR7uEd"
ANNOTATION = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"
THREAD = "xoxp-2345678901-2345678901-abcdefABCDEF0123"
IN_ERROR = "bearerOfBadNews4711abcdef"
SECRETS = (AWS, PASSWORD, JWT, GITHUB, URL, COMMIT, ANNOTATION, THREAD, IN_ERROR)

LINES = (
    f"could not sign request with key {AWS}: connection refused",
    f"login failed user=svc password={PASSWORD}",
    f"upstream said 401, sent Authorization: Bearer {JWT}",
    f"git fetch failed for token {GITHUB}",
    f"cannot connect to postgres://orders:{URL}@orders-db:5432/orders",
)


class TalkativeLogs(ShopLogs):
    """The shop's lines, and programs that write their credentials into errors while the trouble lasts."""

    async def lines(self, query: LogQuery | ConfiguredLogQuery, *, timeout_s: float) -> LinesAnswer:
        answer = await super().lines(query, timeout_s=timeout_s)
        shop, loud = self._shop, isinstance(query, LogQuery) and any(w.op.value == "!~" for w in query.where)
        if not (loud and answer.lines and query.window.end_s > shop.onset_s + 60):
            return answer
        labels = answer.lines[-1].labels
        at = [shop.onset_s + 30.0 * n for n in range(1, 70)]
        said = [
            LogLine(ts_ns=round(at_s * 1e9) + n, line=line, labels=labels, level="error")
            for at_s in at
            for n, line in enumerate(LINES)
            if query.window.covers(at_s)
        ]
        return replace(answer, lines=tuple(sorted((*answer.lines, *said), key=lambda line: line.ts_ns)))


class TalkativeAlerts(ShopAlerts):
    async def firing(self, *, timeout_s: float) -> tuple[Alert, ...]:
        alerts = await super().firing(timeout_s=timeout_s)
        return tuple(
            replace(a, annotations={**a.annotations, "description": f"charge with {ANNOTATION} fails"}) for a in alerts
        )


class TalkativeChanges(ShopChanges):
    async def changes(self, services: Sequence[str], window: Window, *, timeout_s: float) -> tuple[Change, ...]:
        found = await super().changes(services, window, timeout_s=timeout_s)
        return tuple(replace(change, summary=f"use token {COMMIT} for now") for change in found)


class FailingChanges(ShopChanges):
    async def changes(self, services: Sequence[str], window: Window, *, timeout_s: float) -> tuple[Change, ...]:
        raise SourceUnavailable(
            "CHG-001", f"the proxy answered: Authorization: Bearer {IN_ERROR} is no good", "Ask the proxy's owner."
        )


async def test_secrets_reach_no_message_no_file_and_no_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    shop = shop_with("pool_exhaustion")
    on = replace(backends(), logs=TalkativeLogs(shop), alerts=TalkativeAlerts(shop), changes=TalkativeChanges(shop))
    with caplog.at_level(logging.INFO):
        async with conversation(tmp_path, on=on) as talk:
            root = await talk.workspace.say("ben", CHANNEL, f"I tried it with token {THREAD} and it hangs")
            await talk.workspace.say("ana", CHANNEL, f"<@UBOT> {symptom()}", root.ts)
            thread = await talk.answered()
            await talk.debug("ana", "changes 6h")
            await talk.workspace.wait_for(lambda: len(talk.workspace.messages(CHANNEL)) == 2)
            modals = await _all_modals(talk)
            await talk.at_rest()
            ours = [m for m in talk.workspace.state.messages.values() if m.bot_id == "BBOT"]
            on_disk = _bytes_of(tmp_path)
        on_disk += _bytes_of(tmp_path)

    assert "login failed user=svc password=" in modals, "the lines themselves are shown"
    assert "for now" in said(thread) + said(ours)
    written = "".join(capfd.readouterr()) + caplog.text
    tokens = (talk.workspace.bot_token, talk.workspace.app_token, talk.workspace.signing_secret)
    for secret in (*SECRETS, *tokens):
        assert secret not in str(ours), "in a message"
        assert secret not in modals, "in a modal"
        assert secret.encode() not in on_disk, "in a file"
        assert secret not in written, "in a log"


async def test_a_secret_in_a_sources_error_does_not_reach_the_report(tmp_path: Path) -> None:
    on = replace(backends(), changes=FailingChanges(shop_with("pool_exhaustion")))
    async with conversation(tmp_path, on=on) as talk:
        thread = await talk.asked_and_answered(symptom())
        await talk.debug("ana", "changes 6h")
        await talk.workspace.wait_for(lambda: "Not known" in said(talk.workspace.messages(CHANNEL)))
        await talk.at_rest()
        ours = str([m for m in talk.workspace.state.messages.values() if m.bot_id == "BBOT"])
        on_disk = _bytes_of(tmp_path)

    assert "the proxy answered" in said(thread)
    assert IN_ERROR not in ours
    assert IN_ERROR.encode() not in on_disk


async def _all_modals(talk: Conversation) -> str:
    """Everything that all buttons of the report open."""
    seen = ""
    (report,) = [m for m in talk.workspace.state.messages.values() if "vote" in action_ids([m])]
    menu = [e for b in report.blocks if b["type"] == "actions" for e in b["elements"] if e["type"] == "static_select"]
    buttons: list[tuple[str, str | None]] = [(a, None) for a in action_ids([report]) if a.startswith("show_evidence:E")]
    chosen = [(str(e["action_id"]), str(option["value"])) for e in menu for option in e["options"]]
    for action, value in [*buttons, *chosen]:
        await talk.workspace.click("ben", report, action, value)
        (view,) = talk.workspace.views("ben")
        seen += str(view.body)
        await talk.workspace.close_view("ben", view)
    return seen


def _bytes_of(home: Path) -> bytes:
    return b"".join(file.read_bytes() for file in home.rglob("*") if file.is_file())
