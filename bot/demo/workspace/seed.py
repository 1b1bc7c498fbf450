"""The workspace everybody starts with: a small company on call across four time zones, one guest, one stranger."""

from bot.demo.workspace.state import Channel, State, User, UserGroup

TEAM_ID = "T0GROUND"
OTHER_TEAM_ID = "T0PARTNER"
BOT_USER = "UBOT"
BOT_ID = "BBOT"
APP_ID = "A0GROUND"

PEOPLE = (
    User(id=BOT_USER, name="groundwire", real_name="Groundwire", is_bot=True, bot_id=BOT_ID),
    User(id="UANA", name="ana", real_name="Ana Lindqvist", tz="Europe/Stockholm", is_admin=True),
    User(id="UBEN", name="ben", real_name="Ben Okafor", tz="America/New_York"),
    User(id="UCHI", name="chitra", real_name="Chitra Rao", tz="Asia/Kolkata"),
    User(id="UDAN", name="dan", real_name="Dan Whitaker", tz="America/Los_Angeles"),
    User(id="UGUEST", name="gus", real_name="Gus (contractor)", tz="Europe/London", is_restricted=True),
    User(
        id="UEXT",
        name="petra",
        real_name="Petra from Paylane",
        tz="Europe/Berlin",
        team_id=OTHER_TEAM_ID,
        is_stranger=True,
    ),
)
STAFF = ("UANA", "UBEN", "UCHI", "UDAN")

CHANNELS = (
    Channel(id="C0INCIDENTS", name="incidents", members=(*STAFF, BOT_USER), topic="Something is on fire"),
    Channel(id="C0CHECKOUT", name="checkout", members=(*STAFF, "UGUEST", BOT_USER), topic="The checkout team"),
    Channel(id="C0PERF", name="perf", members=("UANA", "UCHI", BOT_USER), topic="Weekly performance"),
    Channel(id="C0RANDOM", name="random", members=STAFF, topic="Not work"),
    Channel(id="C0SHARED", name="shared-paylane", members=("UANA", "UEXT", BOT_USER), is_ext_shared=True),
    Channel(id="C0SECRET", name="sec-private", members=("UANA", "UBEN", BOT_USER), is_private=True),
    Channel(id="C0OLD", name="old-incidents", members=(*STAFF, BOT_USER), is_archived=True),
)

GROUPS = (
    UserGroup(id="S0ONCALL", handle="oncall", name="On-call engineers", users=("UANA", "UBEN")),
    UserGroup(id="S0PAYMENTS", handle="payments", name="Payments team", users=("UCHI",)),
)


def seeded_state() -> State:
    """A fresh workspace T0GROUND with the app installed and invited everywhere but #random."""
    state = State(team_id=TEAM_ID, team_name="Groundwire Demo", domain="groundwire-demo")
    state.add(*PEOPLE, *CHANNELS, *GROUPS)
    return state
