"""One day of a shop, computed as a whole: the grid, the flow and the conditions, on which metrics and logs are built.

Days are the unit because counters are sums: each counts from the midnight before (UTC) as after a restart, so two
windows that overlap see the same numbers whatever was asked first.
"""

from dataclasses import dataclass

import numpy as np

from bot.demo.shop.conditions import Condition, Conditions, during, together
from bot.demo.shop.faults import Incident, acting
from bot.demo.shop.flow import Flow, flow
from bot.demo.shop.history import History
from bot.demo.shop.noise import Floats, Indices, draw, stream
from bot.demo.shop.pods import Pod
from bot.demo.shop.topology import Kind, Topology

DAY_S = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A day from midnight to midnight UTC: `at_s[i]` is a scrape, `tick[i]` its number since the epoch."""

    topology: Topology
    seed: int
    step_s: int
    at_s: Floats
    tick: Indices
    flow: Flow
    pods: tuple[Pod, ...]
    past: History
    incident: Incident | None

    def key(self, *names: str) -> int:
        return stream(self.seed, *names)


def day(
    topology: Topology,
    seed: int,
    number: int,
    step_s: int,
    pods: tuple[Pod, ...],
    past: History,
    incident: Incident | None,
) -> Day:
    """The day with this number since the epoch."""
    at_s = np.arange(number * DAY_S, (number + 1) * DAY_S, step_s, dtype=np.float64)
    parts = [ordinary(topology, seed, number, at_s)]
    if incident:
        parts.append(acting(topology, incident, at_s))
    alive = tuple(p for p in pods if p.born_s < at_s[-1] and p.gone_s > at_s[0])
    return Day(
        topology=topology,
        seed=seed,
        step_s=step_s,
        at_s=at_s,
        tick=np.asarray(at_s // step_s, dtype=np.int64),
        flow=flow(topology, seed, at_s, together(parts)),
        pods=alive,
        past=past,
        incident=incident,
    )


def ordinary(topology: Topology, seed: int, number: int, at_s: Floats) -> Conditions:
    """What happens on any day: an hourly batch job at one store, and two or three blips that pass by themselves."""
    stores = [s.name for s in topology.services if s.kind is Kind.DATABASE]
    batch = draw(seed, "batch")
    minute, length_s = batch.whole(0, 59), batch.between(240.0, 480.0)
    since = (at_s - minute * 60.0) % 3600.0
    working = np.minimum(np.clip(since / 30.0, 0, 1), np.clip((length_s - since) / 30.0, 0, 1))
    parts = [
        Conditions(by_service={batch.pick(stores): Condition(cpu=1.0 + 0.8 * working, slower=1.0 + 0.35 * working)})
    ]
    chance = draw(seed, "blips", str(number))
    for _ in range(chance.whole(2, 3)):
        start_s = number * DAY_S + chance.between(0.0, DAY_S - 900.0)
        on = during(at_s, start_s, start_s + chance.between(60.0, 240.0))
        blip = chance.pick((Condition(error=0.05 * on), Condition(slower=1.0 + 1.5 * on), Condition(refused=0.03 * on)))
        parts.append(Conditions(by_service={chance.pick(topology.web).name: blip}))
    return together(parts)
