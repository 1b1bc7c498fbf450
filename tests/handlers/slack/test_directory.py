"""Who is who: on the safe side where Slack does not say."""

from collections.abc import AsyncIterator

import pytest

from bot.demo.memory import ManualClock
from bot.demo.workspace.driver import Workspace
from bot.demo.workspace.limits import ALL_SCOPES
from handlers.slack.client import slack_client, who_am_i
from handlers.slack.directory import REMEMBER_S, SlackDirectory


async def directory_of(ws: Workspace, clock: ManualClock | None = None) -> SlackDirectory:
    client = slack_client(ws.bot_token, base_url=ws.api_url)
    return SlackDirectory(client, await who_am_i(client), clock or ManualClock())


@pytest.fixture
async def ws() -> AsyncIterator[Workspace]:
    async with Workspace() as workspace:
        yield workspace


async def test_people_come_with_their_zone_and_whether_they_are_full_members(ws: Workspace) -> None:
    directory = await directory_of(ws)

    ana = await directory.person("UANA")
    assert ana is not None
    assert (ana.zone, ana.full_member) == ("Europe/Stockholm", True)
    for lesser in ("UGUEST", "UEXT", "UBOT"):
        person = await directory.person(lesser)
        assert person is not None
        assert not person.full_member
    assert await directory.person("UNOBODY") is None


async def test_channels_say_whether_the_bot_is_in_and_who_else_reads(ws: Workspace) -> None:
    directory = await directory_of(ws)

    assert await directory.is_member("C0CHECKOUT")
    assert not await directory.is_member("C0RANDOM")
    assert not await directory.is_member("CNOWHERE")
    assert await directory.is_shared_outside("C0SHARED")
    assert not await directory.is_shared_outside("C0CHECKOUT")
    assert await directory.is_member(ws.dm("ana"))
    assert not await directory.is_shared_outside(ws.dm("ana"))


async def test_after_an_invitation_the_bot_knows_at_once_that_it_is_in(ws: Workspace) -> None:
    directory = await directory_of(ws)
    assert not await directory.is_member("C0RANDOM")

    await ws.invite_bot("random")

    assert await directory.is_member("C0RANDOM")


async def test_answers_are_remembered_for_a_minute_and_then_asked_again(ws: Workspace) -> None:
    clock = ManualClock()
    directory = await directory_of(ws, clock)
    await directory.person("UANA")
    ws.fail("users.info", "user_not_found")

    clock.advance(REMEMBER_S - 1)
    assert await directory.person("UANA") is not None

    clock.advance(2)
    assert await directory.person("UANA") is None


async def test_groups_are_those_the_person_is_in_now(ws: Workspace) -> None:
    directory = await directory_of(ws)

    assert await directory.groups_of("UANA") == frozenset({"S0ONCALL"})
    assert await directory.groups_of("UDAN") == frozenset()


async def test_a_missing_scope_closes_doors_instead_of_opening_them() -> None:
    async with Workspace(scopes=ALL_SCOPES - {"users:read", "usergroups:read", "channels:read"}) as ws:
        directory = await directory_of(ws)

        assert await directory.person("UANA") is None
        assert await directory.groups_of("UANA") == frozenset()
        assert await directory.is_shared_outside("C0CHECKOUT")
        assert await directory.is_member("C0CHECKOUT")
