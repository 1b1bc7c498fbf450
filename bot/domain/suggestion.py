"""Changes Groundwire proposes. People decide."""

from dataclasses import dataclass
from enum import Enum


class Risk(Enum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class SuggestionKind(Enum):
    """Only text for now: a later action catalogue fills in what can be executed."""

    REVERT = "revert"
    ADVICE = "advice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """One proposed change. `id` is unique in the store; `title` what to do, `detail` what happens and how to undo it."""

    id: str
    kind: SuggestionKind
    service: str
    title: str
    detail: str
    risk: Risk
    evidence: tuple[str, ...]
    change: str | None = None


class Verdict(Enum):
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Who decided what, when (UTC unix seconds), on which content (`content_hash`: sha256 of the suggestion as shown)."""

    suggestion_id: str
    verdict: Verdict
    decided_by: str
    decided_at_s: float
    content_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """Somebody pressed Approve or Reject. `message_ts` names the message the buttons are on, `thread` its thread."""

    key: str
    team_id: str
    channel_id: str
    thread: str
    message_ts: str
    user_id: str
    suggestion_id: str
    verdict: Verdict
    clicked_at_s: float
