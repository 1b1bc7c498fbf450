"""Sources that are dead or slow: the report comes all the same, in time, and says what it could not see."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bot.demo.shop.sources import ShopChanges
from bot.domain.change import Change
from bot.domain.question import Thread
from bot.domain.scope import Window
from tests.stories.conversation import (
    CHANNEL,
    FAULT,
    SEED,
    Backends,
    backends,
    conversation,
    said,
    shop_with,
    symptom,
)


def without(*names: str) -> Backends:
    on = backends()
    for name in names:
        getattr(on, name).down = True
    return on


@pytest.mark.parametrize(
    ("dead", "source"),
    [("metrics", "prometheus"), ("logs", "loki"), ("alerts", "alertmanager"), ("changes", "changes")],
)
async def test_one_dead_source_is_a_stated_gap_and_the_rest_is_still_told(
    tmp_path: Path, dead: str, source: str
) -> None:
    async with conversation(tmp_path, on=without(dead)) as talk:
        root, report, *_ = await talk.asked_and_answered(symptom())

    text = said([report])
    (gap,) = [line for line in text.splitlines() if f"• {source}: " in line]
    assert "does not answer" in gap
    assert "Switch the demo source on again" in gap, "the remedy stands beside it"
    assert text.startswith("*orders: ") or dead == "metrics"
    assert "*Ranked findings*" in text or "*Closest*" in text
    assert "Done: " in said([root])


async def test_with_everything_dead_the_answer_says_that_nothing_could_be_seen(tmp_path: Path) -> None:
    async with conversation(tmp_path, on=without("metrics", "logs", "alerts", "changes")) as talk:
        _, report, *suggestions = await talk.asked_and_answered("slow since 16:00 service=checkout")
        stored = await talk.report_in(report)

    text = said([report])
    assert text.startswith("*No clear cause for ")
    assert all(f"• {source}: " in text for source in ("prometheus", "loki", "alertmanager", "changes"))
    assert stored.scope.service == "checkout", "the asker's word is all there is"
    assert not suggestions


async def test_changes_of_a_dead_source_are_said_to_be_unknown(tmp_path: Path) -> None:
    async with conversation(tmp_path, on=without("changes")) as talk:
        await talk.debug("ana", "changes 2h")
        await talk.workspace.wait_for(lambda: "Not known: changes" in said(talk.workspace.messages("incidents")))


async def test_a_log_source_that_hangs_costs_one_short_wait(tmp_path: Path) -> None:
    on = backends()
    on.logs.latency_s = 3600.0
    began_s = time.monotonic()
    async with conversation(tmp_path, on=on) as talk:
        _, report, *_ = await talk.asked_and_answered(symptom())
    took_s = time.monotonic() - began_s

    text = said([report])
    assert text.startswith("*orders: an exhausted connection pool*")
    assert "• loki: " in text
    assert "did not answer within 5 s" in text
    assert took_s < 15.0


@pytest.mark.long
async def test_with_every_source_hanging_the_report_comes_within_the_deadline(tmp_path: Path) -> None:
    on = backends()
    for source in on.all:
        source.latency_s = 3600.0
    began_s = time.monotonic()
    async with conversation(tmp_path, on=on) as talk:
        await talk.debug("ana", symptom())
        _, report, *_ = await talk.answered(timeout_s=90)
    took_s = time.monotonic() - began_s

    assert said([report]).startswith("*No clear cause for ")
    assert took_s < 90.0


@pytest.mark.long
async def test_with_every_look_slow_the_findings_still_come(tmp_path: Path) -> None:
    on = backends()
    for source in on.all:
        source.latency_s = 1.0
    async with conversation(tmp_path, on=on) as talk:
        await talk.debug("ana", symptom())
        root, report, *_ = await talk.answered(timeout_s=90)
        stored = await talk.report_in(root)

    assert said([report]).startswith("*orders: an exhausted connection pool*")
    assert stored.usage.first_findings_s is not None
    assert stored.usage.first_findings_s < 15.0


async def test_a_fault_of_our_own_is_told_where_it_was_asked_and_work_goes_on(tmp_path: Path) -> None:
    class Lying(ShopChanges):
        async def changes(self, services: Sequence[str], window: Window, *, timeout_s: float) -> tuple[Change, ...]:
            raise ZeroDivisionError("a source that breaks every promise")

    lying = replace(backends(), changes=Lying(shop_with(FAULT, SEED)))
    async with conversation(tmp_path, on=lying) as talk:
        await talk.debug("ana", symptom())
        await talk.workspace.wait_for(lambda: "failed while working on this" in said(talk.workspace.messages(CHANNEL)))
        (root,) = talk.workspace.messages(CHANNEL)
        found = await talk.bot.ports.store.investigation_in("T0GROUND", Thread(channel_id=root.channel, ts=root.ts))

    assert found is not None
    assert found.state == "failed"
