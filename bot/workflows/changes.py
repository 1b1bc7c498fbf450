"""What was changed: the looks of an investigation, and the answer to `/debug changes`."""

import asyncio
from collections.abc import Sequence
from functools import partial

from bot.domain.change import Change
from bot.domain.evidence import ChangesBody
from bot.domain.report import Gap
from bot.domain.scope import Scope, Window
from bot.ports import ChangeSource
from bot.workflows.looking import Lookout
from bot.workflows.minting import Draft

# A change shows its effect within hours: sooner by far in most cases, later for leaks and slow rollouts.
LOOK_BACK_S = 6 * 3600.0
# Each change is evidence of its own, so that a sentence can point at it. More than this are told as a number.
CHANGES_MAX = 24


async def look_at_changes(sources: Sequence[ChangeSource], scope: Scope, lookout: Lookout) -> tuple[Draft, ...]:
    """The newest changes of the services in scope, oldest first, from some hours before the window on."""
    window = Window(start_s=min(scope.baseline.start_s, scope.window.start_s - LOOK_BACK_S), end_s=scope.window.end_s)
    chosen = [s for s in sources if scope.environment is None or s.environment in (None, scope.environment)]
    found = await changes_in(chosen, scope.services, window, lookout)
    if len(found) > CHANGES_MAX:
        lookout.extra_gaps.append(
            Gap(
                what=f"{len(found) - CHANGES_MAX} older changes",
                why=f"a report holds the {CHANGES_MAX} newest",
                remedy="`/debug changes 6h` lists all.",
            )
        )
    return tuple(_draft(change, window) for change in found[-CHANGES_MAX:])


async def changes_in(
    sources: Sequence[ChangeSource], services: Sequence[str], window: Window, lookout: Lookout
) -> tuple[Change, ...]:
    """All changes that the sources tell, oldest first; the same change told by two sources counts once."""
    answers = await asyncio.gather(
        *(lookout.look(s.name, "changes", partial(s.changes, services, window)) for s in sources)
    )
    by_identity = {(c.kind, c.service, c.ref, round(c.at_s)): c for answer in answers if answer for c in answer}
    return tuple(sorted(by_identity.values(), key=lambda c: (c.at_s, c.service or "", c.ref)))


def _draft(change: Change, window: Window) -> Draft:
    of = f" of {change.service}" if change.service else ""
    return Draft(
        title=f"{change.kind.value} {change.short_ref}{of}",
        source=change.source,
        query=f"changes of {change.service or 'any service'}",
        window=window,
        body=ChangesBody(changes=(change,)),
        link=change.link,
    )
