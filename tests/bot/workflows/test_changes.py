"""What was changed, and which alerts fire: looked at in scope, listed for everyone."""

import re
from dataclasses import replace

import pytest

from bot.demo.memory import (
    FixedDirectory,
    ManualClock,
    MemoryJournal,
    MemoryStore,
    RecordingMeter,
    RecordingNotifier,
)
from bot.domain.alert import Alert
from bot.domain.change import Change, ChangeKind
from bot.domain.codec import to_json
from bot.domain.evidence import AlertsBody, ChangesBody
from bot.domain.question import Origin, Question
from bot.policy.access import AccessRules
from bot.ports import Person, Ports, Sources
from bot.workflows.alerts import look_at_alerts
from bot.workflows.changes import CHANGES_MAX, LOOK_BACK_S, look_at_changes
from bot.workflows.list_changes import list_changes
from bot.workflows.looking import Lookout
from tests.bot.workflows.fakes import DOWN, NOW_S, Alerts, Changes, run, scope_of


def lookout() -> Lookout:
    return Lookout(ManualClock(), deadline_s=30)


def change(ref: str, ago_s: float, service: str | None = "cart", **more: str) -> Change:
    made = Change(kind=ChangeKind.COMMIT, at_s=NOW_S - ago_s, service=service, ref=ref, summary=f"change {ref}")
    return replace(made, source=more.get("source", "git"), author=more.get("author"))


async def test_changes_are_looked_for_from_hours_before_the_window_on() -> None:
    source = Changes(held=[change("late", 60), change("early", 1800 + LOOK_BACK_S - 60), change("old", 90_000)])

    drafts = await look_at_changes([source], scope_of("cart", "web"), lookout())

    assert [draft.title for draft in drafts] == ["commit early of cart", "commit late of cart"]
    assert source.asked[0][0] == ("cart", "web")
    assert all(isinstance(draft.body, ChangesBody) for draft in drafts)


async def test_a_change_told_by_two_sources_counts_once() -> None:
    one, two = Changes(held=[change("v2", 60)]), Changes(name="deploys", held=[change("v2", 60, source="deploys")])

    assert len(await look_at_changes([one, two], scope_of("cart"), lookout())) == 1


async def test_the_newest_changes_stay_and_the_rest_is_told_as_a_number() -> None:
    over = lookout()
    source = Changes(held=[change(f"c{i}", 60 * i + 1) for i in range(CHANGES_MAX + 3)])

    drafts = await look_at_changes([source], scope_of("cart"), over)

    assert [draft.title.split()[1] for draft in drafts] == [f"c{i}" for i in reversed(range(CHANGES_MAX))]
    assert [gap.what for gap in over.gaps()] == ["3 older changes"]


async def test_changes_of_another_environment_are_not_asked_for() -> None:
    source = Changes(environment="test", held=[change("v2", 60)])

    assert await look_at_changes([source], scope_of("cart", environment="prod"), lookout()) == ()


async def test_alerts_in_scope_and_those_that_name_no_service_are_evidence() -> None:
    source = Alerts(
        alerts=[
            Alert(name="CartDown", labels={"service": "cart"}),
            Alert(name="DbDown", labels={"app": "orders-db"}),
            Alert(name="Watchdog"),
        ]
    )

    (draft,) = await look_at_alerts(
        [source, Alerts(name="b"), Alerts(name="c", error=DOWN)],
        scope_of("cart", edges=[("web", "orders-db")]),
        lookout(),
    )

    assert isinstance(draft.body, AlertsBody)
    assert [alert.name for alert in draft.body.alerts] == ["CartDown", "Watchdog"]
    assert draft.title == "alerts CartDown, Watchdog"


def asked(text: str) -> Question:
    return Question(
        key="inv:T1:1",
        team_id="T1",
        channel_id="C1",
        thread=None,
        asker_id="U1",
        text=text,
        asked_at_s=NOW_S,
        origin=Origin.COMMAND,
    )


async def answered(text: str, *sources: Changes, zone: str = "UTC", full_member: bool = True) -> RecordingNotifier:
    notifier = RecordingNotifier()
    ports = Ports(
        sources=Sources(changes=sources),
        store=MemoryStore(),
        journal=MemoryJournal(),
        notifier=notifier,
        directory=FixedDirectory([Person(id="U1", name="Kim", zone=zone, full_member=full_member)]),
        clock=ManualClock(NOW_S),
        meter=RecordingMeter(),
    )
    await list_changes(ports, AccessRules(), "UTC", to_json(asked(text)), run)
    return notifier


async def told(text: str, *sources: Changes, zone: str = "UTC") -> list[str]:
    ((_, answer),) = (await answered(text, *sources, zone=zone)).answered
    return answer.splitlines()


HOURS = Changes(held=[change(f"{hours}h", hours * 3600 - 60) for hours in (1, 2, 3, 24)])


@pytest.mark.parametrize(
    ("text", "number"),
    [("", 2), ("2h", 2), ("last 3 hours", 3), ("1h", 1), ("cart 24h", 4), ("24h cart", 4), ("since 1h ago", 1)],
)
async def test_changes_are_listed_for_the_time_that_was_said(text: str, number: int) -> None:
    first, *lines = await told(text, HOURS)

    assert first.startswith(f"{number} changes from ⟦t:")
    assert len(lines) == number


async def test_a_line_names_when_what_whose_and_by_whom_without_secrets() -> None:
    source = Changes(held=[replace(change("a" * 40, 60, author="kim"), summary="password=hunter2x9")])

    (line,) = (await told("", source))[1:]

    assert re.fullmatch(r"• ⟦t:\d+⟧ commit aaaaaaaa of cart by kim: password=\[SECRET:password\]", line)


async def test_a_service_that_is_named_narrows_the_list() -> None:
    source = Changes(held=[change("a", 60), change("b", 60, service="web"), change("c", 60, service=None)])

    assert [line.split()[3] for line in (await told("2h web", source))[1:]] == ["b"]
    assert [line.split()[3] for line in (await told("since=2h service= WEB", source))[1:]] == ["b"]


@pytest.mark.parametrize("text", ["foo", "2h nothing-like-it", "cart 5x", "cart env=prod", "foo 2h"])
async def test_a_word_that_is_neither_a_time_nor_a_service_is_refused_with_what_there_is(text: str) -> None:
    source = Changes(held=[change("a", 60), change("b", 60, service="web"), change("c", 60, service=None)])

    (line,) = await told(text, source)

    assert re.match(r"“[^”]+” is neither a time nor a service that changed from ⟦t:\d+⟧ to ⟦t:\d+⟧\. Write ", line)
    assert line.endswith("Changed: cart, web.")


@pytest.mark.parametrize("text", ["last -5m", "since 25:00", "cart until=10:00 since=11:00", "service="])
async def test_a_time_that_cannot_be_is_refused_instead_of_listing_all(text: str) -> None:
    (line,) = await told(text, HOURS)

    assert "changes from" not in line


async def test_a_long_list_keeps_the_newest_and_says_so() -> None:
    source = Changes(held=[change(f"c{i:02}", 60 * i + 1) for i in range(45)])

    first, note, *lines = await told("", source)

    assert first.startswith("45 changes")
    assert note == "The newest 40 are shown; a narrower time shows others."
    assert (lines[0].split()[3], lines[-1].split()[3], len(lines)) == ("c39", "c00", 40)


async def test_sources_that_fail_or_are_missing_are_said() -> None:
    assert (await told("", Changes(error=DOWN)))[1:] == ["Not known: git: changes (It is down.). Start it."]
    assert "No source of changes is configured" in (await told(""))[-1]


async def test_a_window_that_cannot_be_is_explained() -> None:
    assert "longer than 7 days" in (await told("last 900 days", HOURS))[0]


async def test_a_zone_nobody_knows_is_read_as_utc() -> None:
    assert (await told("2h", HOURS, zone="Mars/Olympus"))[0].startswith("2 changes")


async def test_a_guest_is_told_why_not() -> None:
    notifier = await answered("2h", HOURS, full_member=False)

    assert notifier.answered == []
    assert "full members" in notifier.whispered[0].text
