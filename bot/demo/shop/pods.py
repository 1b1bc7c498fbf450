"""The pods of a shop: born by deploys, dead by the next one, killed and restarted in place when memory runs out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bot.demo.shop.faults import RESTART_S, Incident, kills_s
from bot.demo.shop.history import DAY_S, DAYS, Deploy, History
from bot.demo.shop.noise import draw
from bot.demo.shop.topology import Kind, Service, Topology

_BETWEEN_PODS_S = 15.0  # a rolling update replaces one pod after the other
_HAND_OVER_S = 10.0  # the old pod goes when the new one is ready
_UNSEEN = "1.11.0"  # what ran before the first deploy anybody looks back to


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One pod of a service. `kills_s` are the moments its container was killed for memory; it is back a little later."""

    service: Service
    index: int
    name: str
    address: str
    node: str
    version: str
    commit: str
    born_s: float
    gone_s: float = math.inf
    kills_s: tuple[float, ...] = ()

    @property
    def starts_s(self) -> tuple[float, ...]:
        """When its process started, first and again."""
        return (self.born_s, *(kill + RESTART_S * 0.6 for kill in self.kills_s))


def pods(topology: Topology, seed: int, past: History, incident: Incident | None, until_s: float) -> tuple[Pod, ...]:
    """Every pod that lived in the days the history covers, by service and birth."""
    found: list[Pod] = []
    for service in topology.services:
        found += _of(service, seed, past.deploys.get(service.name, ()), incident, until_s)
    return tuple(found)


def _of(service: Service, seed: int, deploys: Sequence[Deploy], incident: Incident | None, until_s: float) -> list[Pod]:
    begin_s = until_s - (DAYS + 11) * DAY_S - draw(seed, "age", service.name).between(0.0, 5 * DAY_S)
    oldest = Deploy(service=service.name, at_s=begin_s, version=_UNSEEN, commit="0" * 40, author="")
    generations = [oldest, *deploys]
    found = []
    for number, deploy in enumerate(generations):
        after = generations[number + 1].at_s if number + 1 < len(generations) else math.inf
        for index in range(service.replicas):
            born_s = deploy.at_s + index * _BETWEEN_PODS_S
            gone_s = after + index * _BETWEEN_PODS_S + _HAND_OVER_S
            found.append(_pod(service, seed, deploy, number, index, born_s, gone_s, incident, until_s))
    return found


def _pod(
    service: Service,
    seed: int,
    deploy: Deploy,
    number: int,
    index: int,
    born_s: float,
    gone_s: float,
    incident: Incident | None,
    until_s: float,
) -> Pod:
    chance = draw(seed, "pod", service.name, str(number), str(index))
    template = draw(seed, "template", service.name, str(number)).hex(10)
    stateful = service.kind is not Kind.WEB
    leaking = incident is not None and incident.name == "memory_leak" and incident.target == service.name
    kills = kills_s(incident, index, until_s) if incident and leaking else ()
    return Pod(
        service=service,
        index=index,
        name=f"{service.name}-{index}" if stateful else f"{service.name}-{template}-{chance.hex(5)}",
        address=f"10.{chance.whole(1, 60)}.{chance.whole(0, 250)}.{chance.whole(2, 250)}",
        node=f"node-{chance.pick('abc')}",
        version=deploy.version,
        commit=deploy.commit,
        born_s=born_s,
        gone_s=gone_s,
        kills_s=tuple(kill for kill in kills if born_s < kill < gone_s),
    )
