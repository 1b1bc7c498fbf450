"""Other topologies, drawn from a seed: other trades, names, graphs, languages and metric dialects."""

from dataclasses import replace

from bot.demo.shop.noise import Draw, draw
from bot.demo.shop.topology import (
    MIB,
    Call,
    Dialect,
    EdgeStyle,
    HttpStyle,
    Kind,
    Language,
    PoolStyle,
    Route,
    Service,
    Topology,
    base_rates,
    database,
)

_TRADES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    # the trade: its doors, the programs in the middle, the programs that own data
    "travel": (
        ("web-gateway", "storefront"),
        ("search", "booking", "pricing", "itinerary", "upsell"),
        ("seats", "fares", "loyalty", "invoices", "baggage", "partners"),
    ),
    "bank": (
        ("mobile-api", "portal"),
        ("transfers", "cards", "onboarding", "statements", "limits"),
        ("ledger", "accounts", "fraud-check", "identity", "rates", "notices"),
    ),
    "video": (
        ("edge-api", "webapp"),
        ("playback", "discovery", "subscriptions", "watchlist", "uploads"),
        ("titles", "entitlements", "drm-keys", "profiles", "billing", "comments"),
    ),
    "delivery": (
        ("public-api", "order-site"),
        ("dispatch", "menus", "basket", "tracking", "promotions"),
        ("couriers", "kitchens", "wallet", "geo", "ratings", "zones"),
    ),
}
_STORE_ENDINGS = ("-db", "-postgres", "-pg")
_FEWEST, _MOST = 8, 14  # services of a drawn shop


def drawn(seed: int) -> Topology:
    """A topology nobody has seen: 8 to 14 services; the same seed gives the same one."""
    chance = draw(seed, "topology")
    trade = chance.pick(sorted(_TRADES))
    doors, middles, owners = _TRADES[trade]
    middle = _some(chance, middles, chance.whole(2, 4))
    leaves = _some(chance, owners, chance.whole(2, 4))
    ending = chance.pick(_STORE_ENDINGS)
    stores = [f"{name}{ending}" for name in leaves[: chance.whole(2, len(leaves))]]
    caches = [f"{chance.pick(middle)}-redis"] if chance.share() < 0.6 else []
    services = [
        _door(chance, chance.pick(doors), middle),
        *_middles(chance, middle, leaves, caches),
        *_leaves(chance, leaves, stores),
        *(database(name, own_s=chance.between(0.003, 0.009)) for name in stores),
        *(_cache(name) for name in caches),
    ]
    if len(services) < _FEWEST or (len(services) < _MOST and chance.share() < 0.5):
        services.append(_lonely(chance))
    return _steady(
        Topology(name=trade, namespace=trade, services=tuple(services), env="prod", dialect=_dialect(chance))
    )


def _dialect(chance: Draw) -> Dialect:
    service_label = chance.pick(("app", "service_name", "service", "workload"))
    return Dialect(
        service_label=service_label,
        env_label=chance.pick(("env", "environment")),
        log_service_label=chance.pick((service_label, "app", "service_name")),
        http=chance.pick(tuple(HttpStyle)),
        edges=chance.pick(tuple(EdgeStyle)),
        pool=chance.pick(tuple(PoolStyle)),
    )


def _some(chance: Draw, names: tuple[str, ...], count: int) -> list[str]:
    """That many different ones, in a random order."""
    left = list(names)
    return [left.pop(chance.whole(0, len(left) - 1)) for _ in range(min(count, len(left)))]


def _program(chance: Draw, name: str, *, own_s: float, calls: tuple[Call, ...] = ()) -> Service:
    language = chance.pick(tuple(Language))
    memory = {Language.GO: 110.0, Language.PYTHON: 190.0, Language.JAVA: 430.0}[language] * MIB
    noun = name.rsplit("-", maxsplit=1)[-1]
    return Service(
        name=name,
        language=language,
        replicas=chance.whole(1, 3),
        own_s=own_s,
        busy=chance.between(0.25, 0.38),
        memory_bytes=memory * chance.between(0.8, 1.25),
        memory_limit_bytes=1024 * MIB if language is Language.JAVA else 512 * MIB,
        routes=(Route(method=chance.pick(("GET", "POST")), path=f"/v1/{noun}"),),
        calls=calls,
    )


def _door(chance: Draw, name: str, middle: list[str]) -> Service:
    calls = tuple(
        Call(
            callee=callee,
            per_request=round(chance.between(0.3, 1.1), 2),
            critical=place == 0 or chance.share() < 0.75,
            timeout_s=chance.pick((3.0, 5.0, 8.0)),
        )
        for place, callee in enumerate(middle)
    )
    door = _program(chance, name, own_s=chance.between(0.006, 0.02), calls=calls)
    return replace(door, replicas=2, busy=0.34, entry_rate=round(chance.between(60.0, 140.0)))


def _middles(chance: Draw, middle: list[str], leaves: list[str], caches: list[str]) -> list[Service]:
    """Every leaf is called by somebody; some by several; one program may call a neighbour."""
    found = []
    for place, name in enumerate(middle):
        mine = [leaf for number, leaf in enumerate(leaves) if number % len(middle) == place or chance.share() < 0.35]
        calls = [
            Call(callee=leaf, per_request=round(chance.between(0.5, 1.5), 2), timeout_s=chance.pick((2.0, 4.0)))
            for leaf in mine
        ]
        if place + 1 < len(middle) and chance.share() < 0.4:
            calls.append(Call(callee=middle[place + 1], per_request=0.3, critical=False, timeout_s=1.0))
        calls += [Call(callee=cache, timeout_s=0.5, pool=16) for cache in caches if cache == f"{name}-redis"]
        found.append(_program(chance, name, own_s=chance.between(0.008, 0.04), calls=tuple(calls)))
    return found


def _leaves(chance: Draw, leaves: list[str], stores: list[str]) -> list[Service]:
    found = []
    for place, name in enumerate(leaves):
        store = stores[place % len(stores)]
        calls = (Call(callee=store, per_request=chance.pick((1.0, 2.0)), timeout_s=4.0, pool=chance.whole(10, 20)),)
        found.append(_program(chance, name, own_s=chance.between(0.01, 0.06), calls=calls))
    return found


def _cache(name: str) -> Service:
    return Service(
        name=name, kind=Kind.CACHE, own_s=0.0008, busy=0.2, memory_bytes=300 * MIB, memory_limit_bytes=1024 * MIB
    )


def _lonely(chance: Draw) -> Service:
    """A program hardly anybody uses: it is noisy because it is quiet."""
    return replace(_program(chance, "admin-console", own_s=0.08), entry_rate=0.04, busy=0.03, replicas=1)


def _steady(topology: Topology) -> Topology:
    """Pools sized as people size them: with room for about eight times what is usually in use."""
    rates = base_rates(topology)

    def sized(service: Service) -> Service:
        calls = tuple(
            replace(call, pool=max(call.pool, round(8 * rates[service.name] / service.replicas * 1.3 * service.own_s)))
            if call.pool
            else call
            for call in service.calls
        )
        return replace(service, calls=calls)

    return replace(topology, services=tuple(sized(service) for service in topology.services))
