"""Who may start work."""

from bot.policy.access import AccessRules, ChannelFacts, may_ask
from bot.ports import Person

MEMBER = Person(id="U1", name="Kim", zone="UTC", full_member=True)
GUEST = Person(id="U2", name="Gast", zone="UTC", full_member=False)
HERE = ChannelFacts(id="C1")
NOBODY: frozenset[str] = frozenset()


def test_with_nothing_configured_every_full_member_may_ask_anywhere() -> None:
    assert may_ask(MEMBER, NOBODY, HERE, AccessRules()) is None


def test_guests_strangers_and_unknown_people_never_may_even_when_listed() -> None:
    rules = AccessRules(users=frozenset({"U1", "U2"}), allow_shared=True)
    assert may_ask(GUEST, NOBODY, HERE, rules) is not None
    assert may_ask(None, NOBODY, HERE, rules) is not None


def test_a_channel_read_by_other_companies_is_refused_until_allowed() -> None:
    shared = ChannelFacts(id="C1", shared_outside=True)
    assert may_ask(MEMBER, NOBODY, shared, AccessRules()) is not None
    assert may_ask(MEMBER, NOBODY, shared, AccessRules(allow_shared=True)) is None


def test_listed_channels_narrow_where() -> None:
    rules = AccessRules(channels=frozenset({"C1"}))
    assert may_ask(MEMBER, NOBODY, HERE, rules) is None
    refusal = may_ask(MEMBER, NOBODY, ChannelFacts(id="D9"), rules)
    assert refusal is not None
    assert refusal.reason in refusal.text
    assert refusal.remedy in refusal.text


def test_being_listed_or_in_a_listed_group_is_enough() -> None:
    rules = AccessRules(users=frozenset({"U1"}), groups=frozenset({"S1"}))
    other = Person(id="U9", name="Noa", zone="UTC", full_member=True)
    assert may_ask(MEMBER, NOBODY, HERE, rules) is None
    assert may_ask(other, frozenset({"S1", "S2"}), HERE, rules) is None
    assert may_ask(other, frozenset({"S2"}), HERE, rules) is not None
