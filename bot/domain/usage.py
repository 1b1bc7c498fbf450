"""What an answer cost."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Time in seconds, money in micro-USD, tokens as the provider counts them. `model` is None when none was used."""

    duration_s: float
    first_findings_s: float | None = None
    model: str | None = None
    cost_micro_usd: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
