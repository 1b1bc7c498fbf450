"""How requests flow through a shop: rates go down the call graph; waiting, errors and timeouts come back up.

A request's time is log-logistic (a body with a long tail, and a distribution function that is cheap), mixed with a slow
part: the requests that wait for a pool, a timeout or a slow store.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bot.demo.shop.conditions import Conditions
from bot.demo.shop.noise import Floats, drift, normal, stream
from bot.demo.shop.topology import Call, Service, Topology, base_rates, callers_first

POOL_TIMEOUT_S = 3.0  # what most pools ship with or are set to; callers give up at about this or later
NETWORK_S = 0.0008  # there and back inside one zone
_SHAPE = 4.5  # of the log-logistic: p95 is 1.9 medians, p99 is 2.8, about what a healthy program shows
_SLOW_SHAPE = 9.0  # waits for one and the same thing are more alike: p95 is 1.4 medians
_DAY_S = 86400.0
_ROUNDS = 6  # after them the shares that fail stand still to about a hundredth
_QUEUE_S = 2.5  # how long requests wait in an overloaded program before it sheds load


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How long requests take at each moment: a body and, with weight `slow`, a slow part (medians in s)."""

    median_s: Floats
    slow: Floats
    slow_median_s: Floats
    cut_s: float = math.inf

    def below(self, bound_s: float) -> Floats:
        """The share of requests that take at most this long."""
        if bound_s >= self.cut_s:
            return np.ones_like(self.median_s)
        body = 1.0 / (1.0 + (self.median_s / bound_s) ** _SHAPE)
        tail = 1.0 / (1.0 + (self.slow_median_s / bound_s) ** _SLOW_SHAPE)
        return body + self.slow * (tail - body)

    def mean_s(self) -> Floats:
        """The mean of the mixture; what is cut counts as the cut."""
        body = np.minimum(self.median_s * _mean_of_median(_SHAPE), self.cut_s)
        tail = np.minimum(self.slow_median_s * _mean_of_median(_SLOW_SHAPE), self.cut_s)
        return np.asarray(body + self.slow * (tail - body), dtype=np.float64)


def _mean_of_median(shape: float) -> float:
    """The mean of a log-logistic distribution with median 1."""
    return math.pi / shape / math.sin(math.pi / shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUse:
    """A connection pool of one pod of a service at each moment.

    `waits` is the share of requests that wait noticeably for a connection, `waiting` how many do so at once, `rejected`
    the share that gives up after the pool's timeout.
    """

    callee: str
    size: Floats
    in_use: Floats
    waits: Floats
    waiting: Floats
    rejected: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFlow:
    """A service at each moment. `failed` are all requests it answers with an error, `own_failed` those it is to blame for."""

    rate: Floats
    failed: Floats
    own_failed: Floats
    shed: Floats
    load: Floats
    latency: Latency
    pools: tuple[PoolUse, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeFlow:
    """Calls of one kind at each moment. `failed` includes `timed_out` and `refused` (which never reached the callee)."""

    rate: Floats
    failed: Floats
    timed_out: Floats
    refused: Floats
    client: Latency
    server: Latency


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    at_s: Floats
    nodes: Mapping[str, NodeFlow]
    edges: Mapping[tuple[str, str], EdgeFlow]


def flow(topology: Topology, seed: int, at_s: Floats, conditions: Conditions) -> Flow:
    """What every service and every call does at each moment.

    Rates depend on failures (an early failure ends a request, retries add calls) and failures on rates, so the shares that
    fail are found step by step, each halfway towards what the last one gave: without that, relief and overload alternate.
    """
    order = callers_first(topology)
    entry = {s.name: _entry_rate(s, seed, at_s) for s in order if s.entry_rate}
    capacity = {name: rate / topology.service(name).busy for name, rate in base_rates(topology).items()}
    failing: dict[tuple[str, str], Floats] = {}
    edges: dict[tuple[str, str], EdgeFlow] = {}
    nodes: dict[str, NodeFlow] = {}
    for _ in range(_ROUNDS):
        rates, edge_rates = _rates(order, entry, failing, at_s, conditions)
        nodes, edges = {}, {}
        for service in reversed(order):
            nodes[service.name] = _node(
                service, seed, at_s, rates[service.name], capacity[service.name], edges, conditions
            )
            for caller in topology.callers(service.name):
                call = next(c for c in caller.calls if c.callee == service.name)
                key = (caller.name, service.name)
                edges[key] = _edge(call, edge_rates[key], nodes[service.name], conditions)
        failing = {key: 0.5 * (failing.get(key, edge.failed) + edge.failed) for key, edge in edges.items()}
    return Flow(at_s=at_s, nodes=nodes, edges=edges)


def _entry_rate(service: Service, seed: int, at_s: Floats) -> Floats:
    """Traffic from outside: a day's curve (most in the evening, least before dawn), slow wandering, a little jitter."""
    hour = (at_s % _DAY_S) / 3600.0
    day = 1.0 + 0.3 * np.cos((hour - 18.0) / 24.0 * 2 * np.pi)
    slow = 0.05 * drift(stream(seed, service.name, "tide"), at_s, 1500.0)
    fast = 0.02 * normal(stream(seed, service.name, "entry"), at_s.astype(np.int64))
    return np.asarray(service.entry_rate * day * (1.0 + slow + fast), dtype=np.float64)


def _rates(
    order: tuple[Service, ...],
    entry: Mapping[str, Floats],
    failing: Mapping[tuple[str, str], Floats],
    at_s: Floats,
    conditions: Conditions,
) -> tuple[dict[str, Floats], dict[tuple[str, str], Floats]]:
    """Requests a second into each service and along each call."""
    none = np.zeros_like(at_s)
    rates = {s.name: entry.get(s.name, none).copy() for s in order}
    transit = {s.name: none for s in order}  # surge traffic that only passes through towards the end of its path
    extra: dict[tuple[str, str], Floats] = {}
    for surge in conditions.surges:
        rates[surge.path[0]] = rates[surge.path[0]] + surge.extra_rate
        for caller, callee in zip(surge.path, surge.path[1:], strict=False):
            transit[caller] = transit[caller] + surge.extra_rate
            extra[caller, callee] = surge.extra_rate * surge.calls
    along: dict[tuple[str, str], Floats] = {}
    for service in order:
        alive = (rates[service.name] - transit[service.name]) * (1.0 - conditions.of(service.name).error)
        for call in service.calls:
            key = (service.name, call.callee)
            failed = failing.get(key, none)
            rate = alive * call.per_request * (1.0 + call.retries * failed) + extra.get(key, none)
            along[key] = rate
            rates[call.callee] = rates[call.callee] + rate * (1.0 - conditions.of(call.callee).refused)
            if call.critical:
                alive = alive * _passing(call, failed)
    return rates, along


def _passing(call: Call, failed: Floats) -> Floats:
    """The share of requests that get past this call: every call of it works, after its retries."""
    return _never(failed ** (1 + call.retries), call.per_request)


def _never(share: Floats, times: float) -> Floats:
    """How likely something that happens to this share of calls happens to none of `times` (2.3: two, often a third)."""
    whole = math.floor(times)
    return np.asarray((1.0 - share) ** whole * (1.0 - (times - whole) * share), dtype=np.float64)


def _node(
    service: Service,
    seed: int,
    at_s: Floats,
    rate: Floats,
    capacity: float,
    edges: Mapping[tuple[str, str], EdgeFlow],
    conditions: Conditions,
) -> NodeFlow:
    condition = conditions.of(service.name)
    load = rate / capacity * condition.cpu
    shed = 1.0 - 1.0 / np.maximum(load, 1.0)
    own = service.own_s * condition.slower * _crowding(load) + condition.added_s
    own = own * (1.0 + 0.06 * drift(stream(seed, service.name, "pace"), at_s, 420.0))
    own = own * np.exp(_jitter(service, rate) * normal(stream(seed, service.name, "pace"), at_s.astype(np.int64)))
    pools = tuple(
        _pool(service, call, rate * (1.0 - shed), own, edges[service.name, call.callee], conditions)
        for call in service.calls
        if call.pool
    )
    latency, passing = _waits(service, own + _QUEUE_S * np.clip(3.0 * shed, 0.0, 1.0), edges, pools)
    background = 0.0003 * (1.0 + 0.7 * drift(stream(seed, service.name, "slips"), at_s, 900.0))
    own_failed = 1.0 - (1.0 - background) * (1.0 - shed) * (1.0 - condition.error)
    for pool in pools:
        own_failed = 1.0 - (1.0 - own_failed) * (1.0 - pool.rejected)
    failed = 1.0 - (1.0 - own_failed) * passing
    return NodeFlow(rate=rate, failed=failed, own_failed=own_failed, shed=shed, load=load, latency=latency, pools=pools)


def _crowding(load: Floats) -> Floats:
    """How much longer work takes as the CPU fills: 1.05 at 0.3, 1.8 at 0.7, capped where shedding begins."""
    use = np.minimum(load, 0.95)
    return np.asarray(1.0 + 0.5 * use * use / (1.0 - use), dtype=np.float64)


def _jitter(service: Service, rate: Floats) -> Floats:
    """The spread of the pace from step to step: services with few requests are noisy, as in life."""
    return np.asarray(0.02 + 0.25 / np.sqrt(1.0 + 15.0 * rate), dtype=np.float64)


def _pool(service: Service, call: Call, rate: Floats, own: Floats, edge: EdgeFlow, conditions: Conditions) -> PoolUse:
    """Little's law: connections in use = rate of a pod x time a request holds one; what does not fit waits."""
    condition = conditions.of(service.name)
    busy = np.maximum(
        own - condition.added_s, 0.0
    )  # what is added (a collector's pause) comes before a connection is taken
    hold = (busy + call.per_request * edge.client.mean_s()) * condition.held
    size = np.maximum(np.floor((call.pool or 0) * (condition.pool_size + np.zeros_like(rate))), 1.0)
    leaked = np.minimum(size * condition.leaked, size)
    free = np.maximum(size - leaked, 0.05)
    wanted = rate / service.replicas * hold
    use = wanted / free
    waits = np.clip((use - 0.85) / 0.3, 0.0, 1.0)
    rejected = np.clip(1.0 - 1.0 / np.maximum(use, 1e-9), 0.0, 1.0)
    return PoolUse(
        callee=call.callee,
        size=size,
        in_use=np.minimum(leaked + np.minimum(wanted, free), size),
        waits=np.maximum(waits, rejected),
        waiting=rate / service.replicas * POOL_TIMEOUT_S * 0.8 * waits,
        rejected=rejected,
    )


def _waits(
    service: Service, own: Floats, edges: Mapping[tuple[str, str], EdgeFlow], pools: tuple[PoolUse, ...]
) -> tuple[Latency, Floats]:
    """The whole time of a request, and the share of requests that no critical call fails."""
    median = own.copy()
    smooth, passing = np.ones_like(own), np.ones_like(own)
    slow_sum, slow_weight = np.zeros_like(own), np.full_like(own, 1e-12)
    for call in service.calls:
        client = edges[service.name, call.callee].client
        failed = edges[service.name, call.callee].failed
        tries = call.per_request * (1.0 + call.retries * failed)
        median = median + tries * np.minimum(client.median_s, client.cut_s)
        smooth = smooth * _never(client.slow, call.per_request)
        slow_sum = slow_sum + tries * client.slow * np.minimum(client.slow_median_s, client.cut_s)
        slow_weight = slow_weight + tries * client.slow
        if call.critical:
            passing = passing * _passing(call, failed)
    for pool in pools:
        smooth = smooth * (1.0 - pool.waits)
        slow_sum = slow_sum + pool.waits * POOL_TIMEOUT_S * 0.9
        slow_weight = slow_weight + pool.waits
    slow = 1.0 - smooth
    return Latency(median_s=median, slow=slow, slow_median_s=median + slow_sum / slow_weight), passing


def _edge(call: Call, rate: Floats, callee: NodeFlow, conditions: Conditions) -> EdgeFlow:
    refused = np.zeros_like(rate) + conditions.of(call.callee).refused
    server = callee.latency
    slow_s = server.slow_median_s + NETWORK_S
    # A refused call ends at once (a handshake or a closed port), so it takes little of the caller's time.
    client = Latency(
        median_s=(server.median_s + NETWORK_S) * (1.0 - 0.8 * refused),
        slow=server.slow * (1.0 - refused),
        slow_median_s=slow_s,
        cut_s=call.timeout_s,
    )
    endless = Latency(median_s=client.median_s, slow=client.slow, slow_median_s=slow_s)
    timed_out = 1.0 - endless.below(call.timeout_s)
    failed = 1.0 - (1.0 - refused) * (1.0 - callee.failed) * (1.0 - timed_out)
    return EdgeFlow(rate=rate, failed=failed, timed_out=timed_out, refused=refused, client=client, server=server)
