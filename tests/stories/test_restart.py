"""The bot is stopped in the middle of its work and started again: people get one answer all the same."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.stories.conversation import CHANNEL, backends, conversation, fresh_workspace, said, symptom
from tests.stories.incident import ShopClock


@pytest.mark.parametrize(
    "latency_s",
    [0.15, pytest.param(8.0, marks=pytest.mark.long)],
    ids=["the look being taken ends", "the look is cut off"],
)
async def test_an_investigation_goes_on_after_a_restart_and_is_told_once(tmp_path: Path, latency_s: float) -> None:
    clock = ShopClock()
    slow = backends()
    slow.logs.latency_s = 0.15
    async with AsyncExitStack() as stack:
        workspace = await stack.enter_async_context(fresh_workspace(clock))
        async with conversation(tmp_path, on=slow, clock=clock, workspace=workspace) as before:
            await before.debug("ana", symptom())
            await workspace.wait_for(lambda: workspace.messages(CHANNEL))
            slow.logs.latency_s = latency_s
            await workspace.wait_for(lambda: "reading logs" in said(workspace.messages(CHANNEL)))
        (root,) = workspace.messages(CHANNEL)
        assert "Done" not in said([root]), "it was stopped in the middle"
        assert len(workspace.thread(CHANNEL, root.ts)) == 1

        async with conversation(tmp_path, clock=clock, workspace=workspace) as after:
            thread = await after.answered()
            await after.at_rest()
            report = await after.report_in(root)

            assert workspace.thread(CHANNEL, root.ts) == thread
            assert workspace.messages(CHANNEL) == [thread[0]]
    assert thread[0].ts == root.ts
    assert len([m for m in thread if "Ranked findings" in said([m])]) == 1
    assert "Done: orders: an exhausted connection pool" in said([thread[0]])
    assert len(thread) == 2 + len(report.suggestions)


async def test_a_thread_of_before_the_restart_is_followed_up_and_its_evidence_opens(tmp_path: Path) -> None:
    clock = ShopClock()
    async with AsyncExitStack() as stack:
        workspace = await stack.enter_async_context(fresh_workspace(clock))
        async with conversation(tmp_path, clock=clock, workspace=workspace) as before:
            root, first, *_ = await before.asked_and_answered(symptom())
            await before.at_rest()
        async with conversation(tmp_path, clock=clock, workspace=workspace) as after:
            await workspace.say("ben", CHANNEL, "<@UBOT> catalog last 70 minutes", root.ts)
            thread = await after.answered(roots=2)
            element = next(b for b in first.blocks if b["type"] == "actions")["elements"][0]
            await workspace.click("ben", first, element["action_id"])
            (view,) = workspace.views("ben")

    assert "*catalog*" in said(thread)
    assert "no longer kept" not in str(view.body)
