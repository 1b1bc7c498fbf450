"""The names and values of buttons: what is written into a message and read back from a click."""

from dataclasses import dataclass

APPROVE = "approve"
REJECT = "reject"
SHOW_EVIDENCE = "show_evidence"
VOTE = "vote"
OPEN_LINK = "open_link"

OPTION_CHARS = 150  # Slack's limit for the value of a menu option

_HELPFUL, _NOT_HELPFUL = "helpful", "not_helpful"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRef:
    """Which evidence a "Show E3" button stands for."""

    evidence: str
    investigation: str


def evidence_value(ref: EvidenceRef) -> str:
    return f"{ref.evidence} {ref.investigation}"


def read_evidence_value(value: str) -> EvidenceRef | None:
    """The reference, or None when the value is not one of ours."""
    evidence, _, investigation = value.partition(" ")
    return EvidenceRef(evidence=evidence, investigation=investigation) if investigation else None


def vote_value(investigation: str, *, helpful: bool) -> str:
    return f"{_HELPFUL if helpful else _NOT_HELPFUL} {investigation}"


def read_vote_value(value: str) -> tuple[str, bool] | None:
    """The investigation and whether it helped, or None when the value is not one of ours."""
    voice, _, investigation = value.partition(" ")
    if not investigation or voice not in (_HELPFUL, _NOT_HELPFUL):
        return None
    return investigation, voice == _HELPFUL
