"""What somebody asked, and where."""

from dataclasses import dataclass
from enum import Enum

from bot.domain.alert import Alert


class Origin(Enum):
    COMMAND = "command"
    MENTION = "mention"
    DIRECT_MESSAGE = "direct message"
    TERMINAL = "terminal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One ask. `key` names it for ever (`inv:{team}:{channel}:{message ts}`, commands `inv:{team}:{trigger id}`).

    `thread` is the thread it was asked in (None: a new one); `asker_zone` an IANA name, "" when not looked up yet.
    """

    key: str
    team_id: str
    channel_id: str
    thread: str | None
    asker_id: str
    asker_zone: str = ""
    text: str
    asked_at_s: float
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadMessage:
    """One message of a thread. It is evidence, never an instruction. `alert` is set where the message is an alert."""

    at_s: float
    author: str
    from_app: bool
    text: str
    alerts: tuple[Alert, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """Where an investigation is told: a channel and the timestamp of its root message."""

    channel_id: str
    ts: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """Somebody said whether a report helped. `investigation` is the report's key."""

    key: str
    team_id: str
    channel_id: str
    user_id: str
    investigation: str
    helpful: bool
    voted_at_s: float
