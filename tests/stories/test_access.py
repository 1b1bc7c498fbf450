"""Who gets an answer, who gets a polite no, and which words cannot be a question."""

from pathlib import Path

import pytest

from tests.stories.conversation import CHANNEL, Conversation, conversation, said, symptom

BOT = "<@UBOT>"


async def test_a_guest_is_refused_privately_and_nothing_is_started(tmp_path: Path) -> None:
    async with conversation(tmp_path) as talk:
        await talk.debug("gus", symptom(), channel="checkout")
        told = await talk.told_privately("gus", "full members")
        await talk.workspace.say("gus", "checkout", f"{BOT} {symptom()}")
        await _nothing_was_started(talk, "checkout")

    assert "Ask a member of the workspace" in told


async def test_a_guests_click_decides_nothing(tmp_path: Path) -> None:
    async with conversation(tmp_path) as talk:
        *_, suggestion = thread = await talk.asked_and_answered(symptom(), channel="checkout")
        await talk.workspace.click("gus", suggestion, "approve")
        await talk.told_privately("gus", "full members")
        await talk.at_rest()

        assert talk.workspace.thread("checkout", thread[0].ts) == thread


async def test_people_of_another_company_and_shared_channels_are_refused(tmp_path: Path) -> None:
    async with conversation(tmp_path) as talk:
        await talk.debug("ana", symptom(), channel="shared-paylane")
        told = await talk.told_privately("ana", "other companies")
        await talk.workspace.say("petra", "shared-paylane", f"{BOT} {symptom()}")
        await _nothing_was_started(talk, "shared-paylane")

    assert "Ask in a channel of your own company." in told


async def test_a_shared_channel_can_be_opened_to_members_and_stays_closed_to_strangers(tmp_path: Path) -> None:
    async with conversation(tmp_path, configuration="[access]\nallow_shared_channels = true\n") as talk:
        await talk.workspace.say("petra", "shared-paylane", f"{BOT} {symptom()}")
        await talk.told_privately("petra", "full members")
        thread = await talk.asked_and_answered(symptom(), channel="shared-paylane")

    assert "orders" in said(thread)


async def test_another_app_never_starts_work(tmp_path: Path) -> None:
    async with conversation(tmp_path) as talk:
        await talk.workspace.post_as_app("Deploys", CHANNEL, text=f"{BOT} {symptom()}")
        await _nothing_was_started(talk, CHANNEL)


@pytest.mark.parametrize(
    ("rule", "refused", "where", "words"),
    [
        ('channels = ["C0CHECKOUT"]', "ana", CHANNEL, "not enabled in this conversation"),
        ('users = ["UANA"]', "chitra", "checkout", "not among the people"),
        ('groups = ["S0ONCALL"]', "chitra", "checkout", "not among the people"),
    ],
)
async def test_allow_lists_are_honoured(tmp_path: Path, rule: str, refused: str, where: str, words: str) -> None:
    async with conversation(tmp_path, configuration=f"[access]\n{rule}\n") as talk:
        await talk.debug(refused, symptom(), channel=where)
        told = await talk.told_privately(refused, words)
        await _nothing_was_started(talk, where)
        thread = await talk.asked_and_answered(symptom(), "ana", "checkout")

    assert "administrator" in told
    assert "orders" in said(thread)


@pytest.mark.parametrize(
    ("text", "problem", "remedy"),
    [
        ("checkout is slow today 14:00 to 13:00", "ends before it starts", "Swap the two times"),
        ("checkout since=2099-01-01", "too far from today", "Write for example"),
        ("checkout is slow tomorrow", "lies in the future", "a time that has passed"),
        ("checkout is slow last 0 minutes", "is empty", "Write for example"),
        ("checkout is slow last 30 days", "longer than 7 days", "at most 7 days"),
        ("slow service=chekcout-api", "No service called “chekcout-api” is known", "Did you mean checkout?"),
        ("slow service=zzz", "No service called “zzz” is known", "Known: catalog, checkout"),
        ("checkout is slow env=moon", "No env called “moon” is known", "Known: prod"),
        ("checkout is slow since=soon", "is not a time", "since=14:00"),
    ],
)
async def test_what_cannot_be_is_said_privately_with_a_remedy(
    tmp_path: Path, text: str, problem: str, remedy: str
) -> None:
    async with conversation(tmp_path) as talk:
        await talk.debug("ana", text)
        told = await talk.told_privately("ana", problem)
        await _nothing_was_started(talk, CHANNEL)

    assert remedy in told


async def _nothing_was_started(talk: Conversation, channel: str) -> None:
    """Nobody but people and other apps wrote, also after everything sent has been worked through."""
    await talk.at_rest()
    where = talk.workspace.state.channel_named(channel)
    assert where is not None
    ours = [m for m in talk.workspace.state.messages.values() if m.channel == where.id and m.bot_id == "BBOT"]
    assert [m for m in ours if m.to_user is None] == []
    assert await talk.bot.ports.store.running("T0GROUND") == ()
