"""What the services of a shop talk about: each voice is one kind of line and how often it is heard."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from bot.demo.shop import code
from bot.demo.shop.conditions import during, ramp
from bot.demo.shop.day import Day
from bot.demo.shop.faults import Incident, leak_fill
from bot.demo.shop.flow import EdgeFlow, NodeFlow
from bot.demo.shop.format import Event
from bot.demo.shop.history import bad_flag_of
from bot.demo.shop.noise import Draw, Floats, draw
from bot.demo.shop.topology import Call, Kind, Language, Route, Service

LOUDEST = 0.7  # lines a second of one kind; loggers suppress what repeats faster
_ACCESS_SAMPLE = 0.02  # of the requests leave an access line

Say = Callable[[Draw], Event]


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """One kind of line of one service: its level, how many a second at each moment of the day, and its words.

    `duration_s`: lines of this kind end with how long the request took, scattered about this at each moment.
    """

    name: str
    level: str
    rate: Floats
    say: Say
    duration_s: Floats | None = None


def voices(day: Day, service: Service) -> list[Voice]:
    """Everything a service talks about on a day."""
    node = day.flow.nodes[service.name]
    if service.kind is Kind.DATABASE:
        return [*_database(day, service, node), *_database_trouble(day, service, node)]
    if service.kind is Kind.CACHE:
        return [*_cache(day)]
    found = [*_everyday(day, service, node), *_calls(day, service), *_pools(service, node)]
    found += [*_own_trouble(day, service, node), *_memory(day, service), *_certificate(day, service, node)]
    return [*found, *_herring(day, service)]


def _steady(day: Day, a_second: float) -> Floats:
    return np.full_like(day.at_s, a_second)


def _upto(rate: Floats) -> Floats:
    return np.minimum(rate, LOUDEST)


def _everyday(day: Day, service: Service, node: NodeFlow) -> Iterator[Voice]:
    route = service.routes[0]
    served = np.minimum(node.rate * _ACCESS_SAMPLE, 0.25)
    for name, share, codes in (
        ("access", 1.0 - node.failed, (200,) * 99 + (404,)),
        ("failed", node.failed, (500, 500, 503)),
    ):
        yield Voice(
            name=name, level="info", rate=served * share, say=_served(route, codes), duration_s=node.latency.mean_s()
        )
    yield Voice(
        name="slow",
        level="warn",
        rate=_upto(node.rate * (1.0 - node.latency.below(1.0)) * 0.2),
        say=lambda d: Event(
            message="slow request",
            fields={"path": route.path, "duration_ms": d.whole(1000, 4900), "trace_id": d.hex(32)},
        ),
    )
    yield Voice(name="validation", level="warn", rate=_steady(day, 0.012), say=_rejected_input)
    for number, words in enumerate(_grumbles(day, service)):
        yield Voice(name=f"grumble {number}", level="warn", rate=_steady(day, 0.006), say=words)
    yield Voice(name="housekeeping", level="info", rate=_steady(day, 0.01), say=_housekeeping)
    yield Voice(name="accounts", level="debug", rate=_steady(day, 0.0012), say=_careless)


def _served(route: Route, codes: tuple[int, ...]) -> Say:
    return lambda d: Event(
        message="request served",
        fields={
            "method": route.method,
            "path": route.path.replace("{id}", str(d.whole(1, 9999))).replace("{user}", f"u{d.whole(1, 999)}"),
            "status": d.pick(codes),
            "trace_id": d.hex(32),
        },
    )


def _rejected_input(d: Draw) -> Event:
    field = d.pick(("quantity", "postcode", "voucher", "currency"))
    return Event(message=f"validation failed for field {field}", fields={"status": 422, "trace_id": d.hex(32)})


def _housekeeping(d: Draw) -> Event:
    return Event(message="cache refreshed", fields={"entries": d.whole(200, 9000), "took_ms": d.whole(3, 90)})


def _grumbles(day: Day, service: Service) -> list[Say]:
    """Two warnings this service has always had."""
    chance = draw(day.seed, "grumbles", service.name)
    known: list[Say] = [
        lambda d: Event(
            message="deprecated header X-Shop-User", fields={"client": f"app/{d.whole(3, 5)}.{d.whole(0, 9)}"}
        ),
        lambda d: Event(message="connection reset by peer, retrying", fields={"attempt": 1, "peer": _address(d)}),
        lambda d: Event(message=f"clock differs from upstream by {d.whole(40, 180)} ms"),
        lambda d: Event(message="feature store answered late, using stale values", fields={"age_s": d.whole(30, 300)}),
    ]
    first = chance.whole(0, 3)
    return [known[first], known[(first + 1) % 4]]


def _careless(d: Draw) -> Event:
    """Lines that should never have been written: made-up addresses and tokens, so that removing them can be seen."""
    who = f"{d.pick(('kim', 'lee', 'ana', 'tom'))}.{d.hex(4)}@customer.example"
    if d.share() < 0.5:
        return Event(message="confirmation sent", fields={"mail": who, "order": d.whole(10**5, 10**6)})
    token = "".join(d.pick("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789") for _ in range(36))
    return Event(message="session renewed", fields={"user": who, "api_" + "key": f"demo_{token}"})


def _address(d: Draw) -> str:
    return f"10.{d.whole(1, 60)}.{d.whole(0, 250)}.{d.whole(2, 250)}"


def _calls(day: Day, service: Service) -> Iterator[Voice]:
    for call in service.calls:
        edge = day.flow.edges[service.name, call.callee]
        callee = day.topology.service(call.callee)
        level = "error" if call.critical else "warn"
        answered = np.maximum(edge.failed - edge.timed_out - edge.refused, 0.0)
        for kind, share, say in (
            ("late", edge.timed_out, _late(call, callee)),
            ("refused", edge.refused, _refused(day, callee)),
            ("bad", answered, _bad_answer(day, call, callee)),
        ):
            yield Voice(name=f"{kind} {callee.name}", level=level, rate=_heard(edge, share), say=say)


def _heard(edge: EdgeFlow, share: Floats) -> Floats:
    return _upto(edge.rate * share)


def _late(call: Call, callee: Service) -> Say:
    target = _endpoint(callee)
    limit_ms = round(call.timeout_s * 1000)
    return lambda d: Event(
        message=f"call to {target} failed: no answer within {limit_ms} ms",
        fields={"upstream": callee.name, "trace_id": d.hex(32)},
    )


def _endpoint(callee: Service) -> str:
    if callee.kind is Kind.WEB:
        return f"{callee.routes[0].method} {callee.name}{callee.routes[0].path}"
    return callee.name


def _refused(day: Day, callee: Service) -> Say:
    incident = day.incident
    if incident and incident.name == "expired_certificate" and incident.target == callee.name:
        reason = "tls: failed to verify certificate: x509: certificate has expired or is not yet valid"
    else:
        reason = "dial tcp: connect: connection refused"
    return lambda d: Event(
        message=f"call to {_endpoint(callee)} failed: {reason}",
        fields={"upstream": callee.name, "peer": f"{_address(d)}:8443", "trace_id": d.hex(32)},
    )


def _bad_answer(day: Day, call: Call, callee: Service) -> Say:
    incident = day.incident
    if incident and incident.name == "full_disk" and incident.target == callee.name:
        return lambda d: Event(
            message=f'{callee.name}: ERROR: could not extend file "base/16384/{d.whole(16000, 29000)}": No space left on device',
            fields={"sqlstate": "53100", "trace_id": d.hex(32)},
        )
    if callee.kind is not Kind.WEB:
        return lambda d: Event(message=f"{callee.name}: query failed, connection lost", fields={"trace_id": d.hex(32)})
    status = 502 if call.critical else 500
    return lambda d: Event(
        message=f"call to {_endpoint(callee)} failed: upstream answered {d.pick((500, 500, 503, status))}",
        fields={"upstream": callee.name, "trace_id": d.hex(32)},
    )


def _pools(service: Service, node: NodeFlow) -> Iterator[Voice]:
    for pool in node.pools:
        size = int(pool.size.max(initial=1.0))
        yield Voice(
            name=f"pool {pool.callee}",
            level="error",
            rate=_upto(node.rate * pool.rejected),
            say=_no_connection(service, pool.callee, size),
        )


def _no_connection(service: Service, store: str, size: int) -> Say:
    if service.language is Language.JAVA:
        return lambda d: Event(
            message=f"{store}-pool - Connection is not available, request timed out after {d.whole(3000, 3009)}ms",
            trace=(
                "java.sql.SQLTransientConnectionException: Connection is not available",
                "\tat com.zaxxer.hikari.pool.HikariPool.createTimeoutException(HikariPool.java:696)",
                "\tat com.zaxxer.hikari.pool.HikariPool.getConnection(HikariPool.java:197)",
                "\tat shop.Store.load(Store.java:7)",
                "\tat shop.Handler.handle(Handler.java:11)",
            ),
        )
    return lambda d: Event(
        message=f"could not get connection to {store} within 3000 ms",
        fields={"waiting": d.whole(4, 60), "trace_id": d.hex(32)},
    )


def _own_trouble(day: Day, service: Service, node: NodeFlow) -> Iterator[Voice]:
    incident = day.incident
    blamed = incident is not None and incident.target == service.name
    pools = np.ones_like(day.at_s)
    for pool in node.pools:
        pools = pools * (1.0 - pool.rejected)
    own = np.clip(1.0 - (1.0 - node.own_failed) / np.maximum((1.0 - node.shed) * pools, 1e-9), 0.0, 1.0)
    after = ramp(day.at_s, incident.onset_s, 1.0) if incident and blamed else np.zeros_like(day.at_s)
    yield Voice(name="slip", level="error", rate=_upto(node.rate * own * (1.0 - after)), say=_slip)
    if incident and incident.name == "bad_deploy" and blamed:
        yield Voice(name="bug", level="error", rate=_upto(node.rate * own * after), say=lambda d: _bug(service, d))
    if incident and incident.name == "bad_config_flag" and blamed:
        say = _flag_words(incident, day.seed)
        yield Voice(name="flag", level="error", rate=_upto(node.rate * own * after), say=say)
    yield Voice(
        name="overload",
        level="warn",
        rate=_upto(node.rate * node.shed),
        say=lambda d: Event(
            message="request rejected: work queue full", fields={"queued": d.whole(240, 256), "status": 503}
        ),
    )
    if incident and incident.name == "traffic_surge" and service.name == day.topology.front_door.name:
        rate = node.rate * _ACCESS_SAMPLE * 0.5 * ramp(day.at_s, incident.onset_s, 120.0)
        yield Voice(name="visitors", level="info", rate=_upto(rate), say=lambda d: _visit(service, incident, d))


def _slip(d: Draw) -> Event:
    return Event(message="unexpected end of stream", fields={"trace_id": d.hex(32)})


def _bug(service: Service, d: Draw) -> Event:
    """What the unchecked price of `code.unchecked_price` does to an item that has none."""
    path = service.routes[0].path
    if service.language is Language.PYTHON:
        return Event(
            message=f"unhandled exception in {path}",
            fields={"item": d.whole(1000, 9999), "trace_id": d.hex(32)},
            trace=(
                "Traceback (most recent call last):",
                '  File "/srv/app/handlers.py", line 6, in handle',
                "    amount = item.price.amount",
                "AttributeError: 'NoneType' object has no attribute 'amount'",
            ),
        )
    if service.language is Language.GO:
        return Event(
            message="panic serving request: runtime error: invalid memory address or nil pointer dereference",
            fields={"path": path, "item": d.whole(1000, 9999)},
            trace=(
                f"goroutine {d.whole(100, 99999)} [running]:",
                "internal.(*Handler).Handle(...)",
                f"\t/src/{code.HANDLER[Language.GO]}:8",
            ),
        )
    return Event(
        message=f"request failed {path}",
        trace=(
            'java.lang.NullPointerException: Cannot invoke "shop.Price.amount()" because "item.price()" is null',
            "\tat shop.Handler.handle(Handler.java:12)",
            "\tat shop.Server.dispatch(Server.java:88)",
        ),
    )


def _flag_words(incident: Incident, seed: int) -> Say:
    if incident.variant == "flag":
        words = bad_flag_of(incident, seed).complaint
        return lambda d: Event(message=words, fields={"status": 500, "trace_id": d.hex(32)})
    return lambda d: Event(
        message=f"request refused: {d.whole(3, 40)} items exceed limits.max_items=2",
        fields={"status": 500, "trace_id": d.hex(32)},
    )


def _visit(service: Service, incident: Incident, d: Draw) -> Event:
    agent, query = ("Mozilla/5.0 (compatible; GreedyCrawler/2.1)", f"page={d.whole(2, 900)}")
    if incident.variant == "campaign":
        agent, query = ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_1)", "utm_campaign=flash-sale")
    path = f"{service.routes[0].path.replace('{id}', str(d.whole(1, 9999)))}?{query}"
    return Event(
        message="request served",
        fields={"method": "GET", "path": path, "status": 200, "user_agent": agent, "trace_id": d.hex(32)},
    )


def _memory(day: Day, service: Service) -> Iterator[Voice]:
    incident = day.incident
    if incident is None or incident.name != "memory_leak" or incident.target != service.name:
        return
    strain = sum(np.clip((leak_fill(incident, i, day.at_s) - 0.75) / 0.25, 0.0, 1.0) for i in range(service.replicas))
    words = {
        Language.JAVA: "GC overhead: {} % of the last minute spent collecting",
        Language.GO: "memory limit near, {} % of CPU spent collecting garbage",
        Language.PYTHON: "worker above its soft memory limit, {} % used",
    }[service.language]
    yield Voice(
        name="memory",
        level="warn",
        rate=np.asarray(0.08 * strain + np.zeros_like(day.at_s), dtype=np.float64),
        say=lambda d: Event(message=words.format(d.whole(71, 97))),
    )


def _certificate(day: Day, service: Service, node: NodeFlow) -> Iterator[Voice]:
    incident = day.incident
    if incident is None or incident.name != "expired_certificate" or incident.target != service.name:
        return
    tried = sum(day.flow.edges[c.name, service.name].rate for c in day.topology.callers(service.name))
    yield Voice(
        name="handshake",
        level="warn",
        rate=_upto(tried * ramp(day.at_s, incident.onset_s, 180.0)),
        say=lambda d: Event(
            message=f"TLS handshake error from {_address(d)}:{d.whole(30000, 60000)}: remote error: tls: expired certificate"
        ),
    )


def _herring(day: Day, service: Service) -> Iterator[Voice]:
    """A burst of warnings that mean nothing, at a service that is not to blame, at about the wrong moment."""
    onset_s = day.past.onset_s
    incident = day.incident
    chance = draw(day.seed, "herring")
    innocent = [s.name for s in day.topology.web if incident is None or s.name != incident.target]
    name = chance.pick(innocent)
    start_s = onset_s - chance.between(-240.0, 420.0)
    if service.name != name:
        return
    yield Voice(
        name="herring",
        level="warn",
        rate=0.8 * during(day.at_s, start_s, start_s + chance.between(180.0, 420.0)),
        say=lambda d: Event(message="licence server offline, check skipped", fields={"attempt": d.whole(1, 9)}),
    )


def _database(day: Day, service: Service, node: NodeFlow) -> Iterator[Voice]:
    yield Voice(name="checkpoint", level="unknown", rate=_steady(day, 1 / 300), say=_checkpoint)
    yield Voice(
        name="vacuum",
        level="unknown",
        rate=_steady(day, 1 / 500),
        say=lambda d: Event(
            message=f'LOG:  automatic vacuum of table "shop.public.items": index scans: 1, pages: {d.whole(0, 90)} removed'
        ),
    )
    yield Voice(
        name="statement",
        level="unknown",
        rate=_upto(node.rate * (1.0 - node.latency.below(0.1)) * 0.3),
        say=_slow_statement,
    )


def _checkpoint(d: Draw) -> Event:
    return Event(
        message=f"LOG:  checkpoint complete: wrote {d.whole(80, 4000)} buffers; write={d.between(8, 90):.3f} s, "
        f"sync={d.between(0.004, 0.2):.3f} s"
    )


def _slow_statement(d: Draw) -> Event:
    sql = d.pick(("SELECT id, price FROM items WHERE id = $1", "UPDATE items SET held = held + $1 WHERE id = $2"))
    return Event(message=f"LOG:  duration: {d.between(101, 900):.3f} ms  execute <unnamed>: {sql}")


def _database_trouble(day: Day, service: Service, node: NodeFlow) -> Iterator[Voice]:
    incident = day.incident
    if incident is None or incident.target != service.name:
        return
    if incident.name == "full_disk":
        yield Voice(
            name="archive",
            level="unknown",
            rate=0.03 * ramp(day.at_s, incident.starts_s, 60.0),
            say=lambda d: Event(message="LOG:  archive command failed with exit code 1"),
        )
        yield Voice(
            name="disk",
            level="error",
            rate=_upto(node.rate * node.failed * ramp(day.at_s, incident.onset_s, 1.0)),
            say=_no_space,
        )
    if incident.variant == "locks":
        yield Voice(
            name="locks",
            level="unknown",
            rate=0.4 * ramp(day.at_s, incident.onset_s, 75.0),
            say=lambda d: Event(
                message=f"LOG:  process {d.whole(40, 4000)} still waiting for ShareLock on transaction "
                f"{d.whole(800000, 900000)} after {d.between(1000.01, 1000.4):.3f} ms"
            ),
        )
    if incident.variant == "disk":
        yield Voice(
            name="checkpoint late",
            level="unknown",
            rate=0.02 * ramp(day.at_s, incident.onset_s, 75.0),
            say=lambda d: Event(
                message=f"LOG:  checkpoint complete: wrote {d.whole(900, 9000)} buffers; write={d.between(90, 270):.3f} s, "
                f"sync={d.between(9, 60):.3f} s"
            ),
        )


def _no_space(d: Draw) -> Event:
    return Event(
        message=f'ERROR:  could not extend file "base/16384/{d.whole(16000, 29000)}": No space left on device'
        "\nHINT:  Check free disk space."
    )


def _cache(day: Day) -> Iterator[Voice]:
    yield Voice(
        name="save",
        level="unknown",
        rate=_steady(day, 1 / 240),
        say=lambda d: Event(message=f"* {d.whole(100, 900)} changes in 300 seconds. Saving..."),
    )
    yield Voice(
        name="saved",
        level="unknown",
        rate=_steady(day, 1 / 240),
        say=lambda d: Event(message="* Background saving terminated with success"),
    )
