"""What was changed, by whom, when."""

import re
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

    @property
    def short_ref(self) -> str:
        """The ref as people say it: a full commit hash by its first eight digits."""
        return short_ref(self.ref)


def short_ref(ref: str) -> str:
    """A ref as people say it."""
    return ref[:8] if _FULL_HASH.fullmatch(ref) else ref


_FULL_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
