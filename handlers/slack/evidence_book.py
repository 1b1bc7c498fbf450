"""Where a report's evidence is found: under the investigation that began its thread."""

from bot.domain.evidence import Evidence
from bot.ports import Store


async def evidence_of(store: Store, team_id: str, investigation_key: str) -> tuple[Evidence, ...]:
    """All evidence a report of this investigation can name, in order of number."""
    investigation = await store.investigation(investigation_key)
    thread_key = investigation.thread_key if investigation else investigation_key
    return await store.evidence(team_id, thread_key)
