"""What the demo can be asked: every fault in a sentence, and a question as the on-call engineer would put it."""

from datetime import UTC, datetime, tzinfo

from bot.demo.shop.faults import FAULTS, critical_path
from bot.demo.shop.shop import Shop


def descriptions() -> dict[str, str]:
    """Every fault by name, in a sentence; `none` is the quiet shop."""
    return {**{name: recipe.description for name, recipe in FAULTS.items()}, "none": "nothing is wrong"}


def victim(shop: Shop) -> str:
    """The service whose trouble people notice: near the front door, and not the culprit unless nobody stands before it."""
    if shop.incident is None:
        return shop.topology.front_door.name
    path = critical_path(shop.topology, shop.incident.target)
    return path[1] if len(path) > 2 else path[0]


def question(shop: Shop, zone: tzinfo = UTC) -> str:
    """A question about the shop's trouble that does not name its cause, by a clock of this zone."""
    since = datetime.fromtimestamp(shop.onset_s, zone).strftime("%H:%M")
    symptom = shop.incident.symptom if shop.incident else "slow"
    return f"{victim(shop)} is {symptom} since {since}"
