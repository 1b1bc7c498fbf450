"""What was changed, by whom, when."""

from dataclasses import dataclass
from enum import Enum


class ChangeKind(Enum):
    DEPLOY = "deploy"
    COMMIT = "commit"
    CONFIG = "config"
    FLAG = "flag"
    RESTART = "restart"
    SCALE = "scale"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change. `at_s` is when it took effect (UTC unix seconds); `ref` a commit, version or flag people know.

    `diff` is the unified diff where the source has it, cut by the source to a sane size; `files` the paths it touches.
    """

    kind: ChangeKind
    at_s: float
    service: str | None
    ref: str
    summary: str
    author: str | None = None
    files: tuple[str, ...] = ()
    diff: str = ""
    source: str = ""
    link: str | None = None
