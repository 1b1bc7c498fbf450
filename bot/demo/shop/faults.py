"""What can go wrong in a shop: eight faults that act on a service as the real ones do, and the truth about each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bot.demo.shop.conditions import Condition, Conditions, Surge, during, ramp
from bot.demo.shop.noise import Draw, Floats, draw
from bot.demo.shop.topology import Call, Kind, Service, Topology, base_rates
from bot.domain.report import Fault

KEEP_ALIVE_S = 180.0  # connections opened before a certificate ran out live about this long
RESTART_S = 45.0  # from the kill of a container to its first answered request
_COLLECTING_S = 1.2  # how long a request stands still, all in all, while the collector fights for the last bytes
SLEEPY_RATE = 1.0  # requests a second below which a service is too quiet for a fault anybody would notice


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What a right answer names. `services` may be more than one where both ends are fair (a surge and whom it hits).

    `changes` are the names of the guilty change, the most exact first (a commit's full sha, a flag); empty where nobody's
    change set it off.
    """

    services: tuple[str, ...]
    fault: Fault
    onset_s: float
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One fault in one shop. `symptom` is what users notice, `by_change` whether somebody's change set it off.

    `lead_s` is how long before the onset (the moment users feel it) the trouble began under the surface;
    `change_at_s` when the guilty change took effect.
    """

    name: str
    fault: Fault
    target: str
    onset_s: float
    symptom: str
    variant: str = ""
    lead_s: float = 0.0
    severity: float = 1.0
    change_at_s: float | None = None

    @property
    def by_change(self) -> bool:
        return self.change_at_s is not None

    @property
    def starts_s(self) -> float:
        return self.onset_s - self.lead_s


Effect = Callable[[Topology, Incident, Floats], Conditions]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to make one kind of fault: where it fits, how it begins and what it does."""

    description: str
    suits: Callable[[Topology, Service], bool]
    begin: Callable[[Topology, Service, float, Draw], Incident]
    effect: Effect


def arrange(name: str, topology: Topology, seed: int, onset_s: float) -> Incident:
    """The fault of this name at a service chosen by the seed. Raises KeyError for a name not in FAULTS."""
    recipe = FAULTS[name]
    suitable = [s for s in topology.services if _matters(topology, s) and recipe.suits(topology, s)]
    if not suitable:
        raise ValueError(f"{topology.name} has no service that {name} suits")
    chance = draw(seed, "incident", name)
    return recipe.begin(topology, chance.pick(suitable), onset_s, chance)


def acting(topology: Topology, incident: Incident, at_s: Floats) -> Conditions:
    """What the incident does to the shop at each moment."""
    return FAULTS[incident.name].effect(topology, incident, at_s)


def critical_path(topology: Topology, target: str) -> tuple[str, ...]:
    """The front door's way to the target along calls that matter, both ends included; empty when there is none."""
    paths: list[tuple[str, ...]] = [(topology.front_door.name,)]
    while paths:
        path = paths.pop(0)
        if path[-1] == target:
            return path
        paths += [(*path, c.callee) for c in topology.service(path[-1]).calls if c.critical]
    return ()


def _matters(topology: Topology, service: Service) -> bool:
    return base_rates(topology)[service.name] >= SLEEPY_RATE and bool(critical_path(topology, service.name))


def _behind_the_door(topology: Topology, service: Service) -> bool:
    return service.kind is Kind.WEB and service.name != topology.front_door.name


def _has_pool(topology: Topology, service: Service) -> bool:
    pooled = [c for c in service.calls if c.pool and c.critical]
    return _behind_the_door(topology, service) and bool(pooled) and _wanted(topology, service, pooled[0]) >= 0.15


def _wanted(topology: Topology, service: Service, call: Call) -> float:
    """How many connections a pod has in use on average."""
    hold_s = service.own_s * 1.1 + call.per_request * topology.service(call.callee).own_s * 1.1
    return base_rates(topology)[service.name] / service.replicas * hold_s


def _has_disk(topology: Topology, service: Service) -> bool:
    return service.volume_bytes is not None


def _is_database(topology: Topology, service: Service) -> bool:
    return service.kind is Kind.DATABASE


def _next_to_the_door(topology: Topology, service: Service) -> bool:
    called = any(c.callee == service.name and c.critical for c in topology.front_door.calls)
    return service.kind is Kind.WEB and called


def _bad_deploy(topology: Topology, target: Service, onset_s: float, chance: Draw) -> Incident:
    return Incident(
        name="bad_deploy",
        fault=Fault.BAD_DEPLOY,
        target=target.name,
        onset_s=onset_s,
        symptom="failing",
        severity=chance.between(0.25, 0.6),
        change_at_s=onset_s - chance.between(5.0, 40.0),
    )


def _bad_deploy_effect(topology: Topology, incident: Incident, at_s: Floats) -> Conditions:
    return _only(incident, Condition(error=incident.severity * ramp(at_s, incident.onset_s, 60.0)))


def _pool_exhaustion(topology: Topology, target: Service, onset_s: float, chance: Draw) -> Incident:
    variant = chance.pick(("leak", "slow leak", "smaller pool"))
    lead_s = {"leak": 240.0, "slow leak": 780.0, "smaller pool": 0.0}[variant]
    changed = {"leak": onset_s - lead_s - 60.0, "slow leak": None, "smaller pool": onset_s - 45.0}[variant]
    return Incident(
        name="pool_exhaustion",
        fault=Fault.POOL_EXHAUSTED,
        target=target.name,
        onset_s=onset_s,
        symptom="slow",
        variant=variant,
        lead_s=lead_s,
        severity=chance.between(1.35, 1.7),
        change_at_s=changed,
    )


def _pool_effect(topology: Topology, incident: Incident, at_s: Floats) -> Conditions:
    service = topology.service(incident.target)
    pool, call = max(((c.pool, c) for c in service.calls if c.pool), key=lambda pair: pair[1].per_request)
    wanted = _wanted(topology, service, call)
    if incident.variant == "smaller pool":
        size = max(2, pool // 4)
        on = ramp(at_s, incident.onset_s, 40.0)
        shrunk: Floats = np.where(on > 0.0, size / pool, 1.0)
        held = max(1.0, incident.severity * size / wanted)
        return _only(incident, Condition(pool_size=shrunk, held=1.0 + (held - 1.0) * on))
    # What leaks leaves so little free that `severity` times more is wanted than there is.
    leaked = max(0.3, 1.0 - wanted / incident.severity / pool)
    return _only(incident, Condition(leaked=leaked * ramp(at_s, incident.starts_s, incident.lead_s)))


def _memory_leak(topology: Topology, target: Service, onset_s: float, chance: Draw) -> Incident:
    lead_s = chance.between(540.0, 840.0)
    return Incident(
        name="memory_leak",
        fault=Fault.MEMORY_LEAK,
        target=target.name,
        onset_s=onset_s,
        symptom="slow and failing now and then",
        lead_s=lead_s,
        severity=chance.between(0.9, 1.1),
        change_at_s=onset_s - lead_s - 30.0 if chance.share() < 0.6 else None,
    )


def leak_cycle_s(incident: Incident, pod_index: int) -> float:
    """How long a pod of the leaking service lives from its start to its kill; pods differ a little."""
    return (incident.lead_s + 120.0) * incident.severity * (1.0 + 0.13 * pod_index)


def leak_fill(incident: Incident, pod_index: int, at_s: Floats) -> Floats:
    """How much of the room up to its limit a leaking pod has filled, 0..1."""
    age = np.maximum(at_s - incident.starts_s, 0.0)
    return np.asarray((age % leak_cycle_s(incident, pod_index)) / leak_cycle_s(incident, pod_index), dtype=np.float64)


def kills_s(incident: Incident, pod_index: int, until_s: float) -> tuple[float, ...]:
    """When the kernel kills a leaking pod."""
    cycle = leak_cycle_s(incident, pod_index)
    count = max(0, int((until_s - incident.starts_s) // cycle))
    return tuple(incident.starts_s + cycle * (i + 1) for i in range(count))


def _memory_effect(topology: Topology, incident: Incident, at_s: Floats) -> Conditions:
    service = topology.service(incident.target)
    refused, added_s, cpu = np.zeros_like(at_s), np.zeros_like(at_s), np.ones_like(at_s)
    for index in range(service.replicas):
        fill = leak_fill(incident, index, at_s)
        # Collectors work ever harder from about 60 % on: a third of the CPU, then most of it.
        strain = np.clip((fill - 0.6) / 0.4, 0.0, 1.0) ** 2
        added_s = added_s + _COLLECTING_S * strain / service.replicas
        cpu = cpu + 1.1 * strain / service.replicas
        for kill in kills_s(incident, index, float(at_s[-1]) if len(at_s) else 0.0):
            refused = refused + during(at_s, kill, kill + RESTART_S, 15.0) / service.replicas
    return _only(incident, Condition(refused=np.minimum(refused, 1.0), added_s=added_s, cpu=cpu))


def _slow_dependency(topology: Topology, target: Service, onset_s: float, chance: Draw) -> Incident:
    return Incident(
        name="slow_dependency",
        fault=Fault.SLOW_DEPENDENCY,
        target=target.name,
        onset_s=onset_s,
        symptom="slow",
        variant=chance.pick(("locks", "disk")),
        severity=chance.between(0.12, 0.3),
    )


def _slow_effect(topology: Topology, incident: Incident, at_s: Floats) -> Conditions:
    on = ramp(at_s, incident.onset_s, 75.0)
    return _only(incident, Condition(added_s=incident.severity * on, cpu=1.0 + 0.25 * on))


def _traffic_surge(topology: Topology, target: Service, onset_s: float, chance: Draw) -> Incident:
    return Incident(
        name="traffic_surge",
        fault=Fault.TRAFFIC_SURGE,
        target=target.name,
        onset_s=onset_s,
        symptom="slow",
        variant=chance.pick(("crawler", "campaign")),
        severity=chance.between(1.15, 1.35),
    )


def _surge_effect(topology: Topology, incident: Incident, at_s: Floats) -> Conditions:
    rates, door, target = base_rates(topology), topology.front_door, topology.service(incident.target)
    # The door takes twice its traffic or more and holds (0.78 of its CPU); behind it the target does not.
    extra = rates[door.name] * (0.78 / door.busy - 1.0)
    needed = rates[target.name] * (incident.severity / target.busy - 1.0)
    on = ramp(at_s, incident.onset_s, 120.0)
    surge = Surge(path=(door.name, target.name), extra_rate=extra * on, calls=needed / extra)
    return Conditions(surges=(surge,))


def _full_disk(topology: Topology, target: Service, onset_s: float, chance: Draw) -> Incident:
    return Incident(
        name="full_disk",
        fault=Fault.DISK_FULL,
        target=target.name,
        onset_s=onset_s,
        symptom="failing",
        lead_s=chance.between(2400.0, 5400.0),
        severity=chance.between(0.4, 0.6),
    )


def _disk_effect(topology: Topology, incident: Incident, at_s: Floats) -> Conditions:
    # Reads go on; `severity` is the share of statements that write.
    return _only(incident, Condition(error=incident.severity * ramp(at_s, incident.onset_s, 20.0)))


def _expired_certificate(topology: Topology, target: Service, onset_s: float, chance: Draw) -> Incident:
    return Incident(
        name="expired_certificate",
        fault=Fault.CERTIFICATE_EXPIRED,
        target=target.name,
        onset_s=onset_s,
        symptom="failing",
        severity=chance.between(0.93, 0.99),
    )


def _certificate_effect(topology: Topology, incident: Incident, at_s: Floats) -> Conditions:
    return _only(incident, Condition(refused=incident.severity * ramp(at_s, incident.onset_s, KEEP_ALIVE_S)))


def _bad_config_flag(topology: Topology, target: Service, onset_s: float, chance: Draw) -> Incident:
    return Incident(
        name="bad_config_flag",
        fault=Fault.BAD_CONFIG,
        target=target.name,
        onset_s=onset_s,
        symptom="failing",
        variant=chance.pick(("flag", "limit")),
        severity=chance.between(0.3, 0.6),
        change_at_s=onset_s - chance.between(10.0, 45.0),
    )


def _config_effect(topology: Topology, incident: Incident, at_s: Floats) -> Conditions:
    return _only(incident, Condition(error=incident.severity * ramp(at_s, incident.onset_s, 15.0)))


def _only(incident: Incident, condition: Condition) -> Conditions:
    return Conditions(by_service={incident.target: condition})


FAULTS: Mapping[str, Recipe] = {
    "bad_deploy": Recipe(
        description="a new version throws exceptions on part of its requests",
        suits=_behind_the_door,
        begin=_bad_deploy,
        effect=_bad_deploy_effect,
    ),
    "pool_exhaustion": Recipe(
        description="a service runs out of connections to its database",
        suits=_has_pool,
        begin=_pool_exhaustion,
        effect=_pool_effect,
    ),
    "memory_leak": Recipe(
        description="a service's memory grows until its containers are killed, again and again",
        suits=_behind_the_door,
        begin=_memory_leak,
        effect=_memory_effect,
    ),
    "slow_dependency": Recipe(
        description="a database becomes slow by itself",
        suits=_is_database,
        begin=_slow_dependency,
        effect=_slow_effect,
    ),
    "traffic_surge": Recipe(
        description="a crawler or a campaign brings more requests than a service can take",
        suits=_next_to_the_door,
        begin=_traffic_surge,
        effect=_surge_effect,
    ),
    "full_disk": Recipe(
        description="the volume of a database fills up and writes fail",
        suits=_has_disk,
        begin=_full_disk,
        effect=_disk_effect,
    ),
    "expired_certificate": Recipe(
        description="a service's certificate runs out and nobody can open a connection to it",
        suits=_behind_the_door,
        begin=_expired_certificate,
        effect=_certificate_effect,
    ),
    "bad_config_flag": Recipe(
        description="a flag or configuration value is changed without a deploy and breaks a service",
        suits=_behind_the_door,
        begin=_bad_config_flag,
        effect=_config_effect,
    ),
}
