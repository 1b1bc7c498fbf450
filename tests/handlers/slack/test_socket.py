"""Socket Mode stays connected: closed, recycled and deaf sockets are replaced."""

import asyncio

import pytest

from bot.adapters.clock import SystemClock
from bot.demo.memory import MemoryJournal, MemoryStore
from bot.demo.workspace.driver import Workspace
from bot.errors import SlackError
from handlers.slack.app import Desk, build_app
from handlers.slack.client import slack_client, who_am_i
from handlers.slack.socket import SocketMode, Timing
from tests.handlers.slack.rig import QUICK, Rig, running


async def both_open(rig: Rig, *, after: int = 0) -> None:
    """Waits until both sockets are open and have been replaced `after` times."""
    assert rig.sockets is not None
    async with asyncio.timeout(8):
        while any(s.state != "open" or s.reconnects < after for s in rig.sockets.sockets):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # polled until a deadline: what the sockets tell is a snapshot


async def answers(rig: Rig) -> None:
    """A command goes through."""
    ack = await rig.ws.command("ana", "checkout", "/debug", "checkout is slow")
    assert ack.ok


async def test_two_connections_are_open_and_healthy() -> None:
    async with running(socket=True) as rig:
        await both_open(rig)

        assert rig.sockets is not None
        assert len(rig.ws.connections) == 2
        health = rig.sockets.health()
        assert health.ok
        assert "socket 2 open" in health.detail


@pytest.mark.parametrize("answer_pings", [False, True])
async def test_deaf_sockets_are_replaced_even_when_they_answer_pings(answer_pings: bool) -> None:
    async with running(socket=True) as rig:
        await both_open(rig)

        rig.ws.deafen(answer_pings=answer_pings)
        await both_open(rig, after=1)

        await answers(rig)


@pytest.mark.parametrize("reason", ["refresh_requested", "warning", "too_many_websockets"])
async def test_sockets_slack_wants_to_replace_are_replaced(reason: str) -> None:
    async with running(socket=True) as rig:
        await both_open(rig)

        assert await rig.ws.disconnect_sockets(reason) == 2
        await both_open(rig, after=1)

        await answers(rig)


async def test_while_slack_gives_no_connection_health_says_so_and_it_is_tried_again() -> None:
    async with Workspace(ping_s=0.1) as ws:
        client = slack_client(ws.bot_token, base_url=ws.api_url)
        identity = await who_am_i(client)
        journal, store, clock = MemoryJournal(), MemoryStore(), SystemClock()
        desk = Desk(client=client, identity=identity, journal=journal, store=store, clock=clock)
        sockets = SocketMode(build_app(desk), client, ws.app_token, clock, timing=QUICK)
        ws.fail("apps.connections.open", "invalid_auth", times=4)
        await sockets.start()
        try:
            with pytest.raises(SlackError) as told:
                await sockets.opened(timeout_s=0.04)
            assert told.value.code == "SLK-009"
            assert not sockets.health().ok

            await sockets.opened(timeout_s=5)
            assert sockets.health().ok
        finally:
            await sockets.stop()


def test_waiting_grows_with_failures_up_to_a_minute() -> None:
    assert [Timing().back_off_s(n) for n in (0, 1, 2, 3, 7, 50)] == [0.0, 1.0, 2.0, 4.0, 60.0, 60.0]
