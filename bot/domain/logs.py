"""Log lines as a log source gives them. They live in memory only; evidence keeps patterns and a few redacted examples."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One entry: nanoseconds since the epoch, its text and the labels of its stream. `level` is the source's guess."""

    ts_ns: int
    line: str
    labels: Mapping[str, str] = field(default_factory=dict)
    level: str = "unknown"
