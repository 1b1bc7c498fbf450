"""The real Bolt app against the local workspace, over HTTP or Socket Mode, with the journal and store in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from bot.adapters.clock import SystemClock
from bot.demo.memory import MemoryJournal, MemoryStore, RecordingMeter
from bot.demo.workspace.driver import Workspace
from bot.domain.codec import Json, from_json
from bot.domain.question import Question
from bot.policy.access import AccessRules
from bot.ports import Journal, Ports, Sources, Step, Story
from bot.workflows.decide import decide
from bot.workflows.feedback import feedback
from bot.workflows.help import explain
from handlers.ops.server import Watch, build_server, serve
from handlers.slack.app import Desk, build_app
from handlers.slack.client import Identity, slack_client, who_am_i
from handlers.slack.directory import SlackDirectory
from handlers.slack.http import PATH, slack_endpoint
from handlers.slack.notifier import SlackNotifier
from handlers.slack.socket import SocketMode, Timing

HOSTS = frozenset({"grafana.test", "runbooks.test"})
QUICK = Timing(
    ping_s=0.5,
    silent_s=0.6,
    hello_s=2.0,
    connect_s=3.0,
    check_s=0.02,
    first_back_off_s=0.05,
    longest_back_off_s=0.2,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """Everything a test wants to look at."""

    ws: Workspace
    journal: MemoryJournal
    store: MemoryStore
    notifier: SlackNotifier
    directory: SlackDirectory
    identity: Identity
    questions: list[tuple[str, Question]]
    sockets: SocketMode | None = None

    async def told(self, count: int = 1) -> list[tuple[str, Question]]:
        """The questions that reached a story, once everything sent was delivered."""
        await self.ws.settled()
        for key in self.journal.accepted:
            await self.journal.wait(key, timeout_s=3)
        assert len(self.questions) == count, self.questions
        return self.questions


@asynccontextmanager
async def running(
    *,
    socket: bool = False,
    journal: Journal | None = None,
    rules: AccessRules | None = None,
    workspace: Workspace | None = None,
) -> AsyncIterator[Rig]:
    """The app, connected to a fresh workspace. `journal` replaces the one work is accepted by."""
    async with workspace or Workspace(ping_s=0.1) as ws:
        client = slack_client(ws.bot_token, base_url=ws.api_url)
        identity = await who_am_i(client)
        memory, store, clock = MemoryJournal(), MemoryStore(), SystemClock()
        notifier = SlackNotifier(client, identity, store, clock, hosts=HOSTS)
        directory = SlackDirectory(client, identity, clock)
        ports = Ports(
            sources=Sources(),
            store=store,
            journal=memory,
            notifier=notifier,
            directory=directory,
            clock=clock,
            meter=RecordingMeter(),
        )
        desk = Desk(client=client, identity=identity, journal=journal or memory, store=store, clock=clock, hosts=HOSTS)
        app = build_app(desk, signing_secret=ws.signing_secret)
        questions: list[tuple[str, Question]] = []
        await memory.start(_stories(ports, rules or AccessRules(), questions))
        rig = Rig(
            ws=ws,
            journal=memory,
            store=store,
            notifier=notifier,
            directory=directory,
            identity=identity,
            questions=questions,
            sockets=SocketMode(app, client, ws.app_token, clock, timing=QUICK) if socket else None,
        )
        if rig.sockets is not None:
            await rig.sockets.start()
            await rig.sockets.opened(timeout_s=5)
            try:
                yield rig
            finally:
                await rig.sockets.stop()
                await memory.stop()
            return
        posts = {PATH: slack_endpoint(app, ws.signing_secret)}
        runner, port = await serve(build_server(Watch(registry=CollectorRegistry()), posts), "127.0.0.1", 0)
        ws.request_url = f"http://127.0.0.1:{port}{PATH}"
        try:
            yield rig
        finally:
            await runner.cleanup()
            await memory.stop()


def _stories(ports: Ports, rules: AccessRules, questions: list[tuple[str, Question]]) -> dict[str, Story]:
    def noting(name: str) -> Story:
        async def story(payload: Json, step: Step) -> None:
            questions.append((name, from_json(Question, payload)))

        return story

    async def deciding(payload: Json, step: Step) -> None:
        await decide(ports, rules, payload, step)

    async def voting(payload: Json, step: Step) -> None:
        await feedback(ports, rules, payload, step)

    async def helping(payload: Json, step: Step) -> None:
        await explain(ports, payload, step)

    return {
        "investigate": noting("investigate"),
        "changes": noting("changes"),
        "decide": deciding,
        "feedback": voting,
        "help": helping,
    }
