"""Who calls whom in a shop, how fast and how much: the fixed shop and its nouns."""

from dataclasses import dataclass
from enum import Enum

MIB = 1024.0 * 1024.0
GIB = 1024.0 * MIB


class Kind(Enum):
    """What runs: a program of the shop's own, or a data store."""

    WEB = "web"
    DATABASE = "database"
    CACHE = "cache"


class Language(Enum):
    GO = "go"
    JAVA = "java"
    PYTHON = "python"


class HttpStyle(Enum):
    """How the programs name their server metrics; the value is the histogram's base name."""

    CLASSIC = "http_request_duration_seconds"
    OTEL = "http_server_request_duration_seconds"
    OTEL_OLD = "http_server_duration_seconds"
    MICROMETER = "http_server_requests_seconds"


class EdgeStyle(Enum):
    """Where the metrics between services come from."""

    SERVICE_GRAPH = "service graph"
    ISTIO = "istio"


class PoolStyle(Enum):
    OTEL = "otel"
    HIKARI = "hikari"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The names a shop uses for the same things."""

    service_label: str = "service"
    env_label: str = "env"
    log_service_label: str = "service"
    http: HttpStyle = HttpStyle.CLASSIC
    edges: EdgeStyle = EdgeStyle.SERVICE_GRAPH
    pool: PoolStyle = PoolStyle.OTEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One kind of call a request makes. A failed call that is not `critical` is swallowed; `pool` is connections a pod."""

    callee: str
    per_request: float = 1.0
    critical: bool = True
    timeout_s: float = 3.0
    retries: int = 0
    pool: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    method: str
    path: str
    share: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One program or store.

    `own_s` is the median time a request spends in it without waiting for others, `busy` its CPU use (0..1 of `cores`)
    at base traffic, `entry_rate` what comes from outside (requests a second).
    """

    name: str
    kind: Kind = Kind.WEB
    language: Language = Language.GO
    replicas: int = 1
    own_s: float = 0.01
    busy: float = 0.3
    cores: float = 1.0
    memory_bytes: float = 180 * MIB
    memory_limit_bytes: float = 512 * MIB
    volume_bytes: float | None = None
    entry_rate: float = 0.0
    routes: tuple[Route, ...] = ()
    calls: tuple[Call, ...] = ()
    queue: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """All services of a shop; the first one with traffic from outside is the front door."""

    name: str
    namespace: str
    services: tuple[Service, ...]
    env: str = "prod"
    dialect: Dialect = Dialect()

    def service(self, name: str) -> Service:
        return next(s for s in self.services if s.name == name)

    def callers(self, name: str) -> tuple[Service, ...]:
        return tuple(s for s in self.services if any(c.callee == name for c in s.calls))

    @property
    def front_door(self) -> Service:
        return max(self.services, key=lambda s: s.entry_rate)

    @property
    def web(self) -> tuple[Service, ...]:
        return tuple(s for s in self.services if s.kind is Kind.WEB)


def callers_first(topology: Topology) -> tuple[Service, ...]:
    """The services so that every caller stands before whom it calls. Raises ValueError for a circle."""
    order: list[Service] = []
    waiting = list(topology.services)
    while waiting:
        free = [s for s in waiting if not any(c.callee == s.name for w in waiting for c in w.calls)]
        if not free:
            raise ValueError(f"{topology.name}: services call each other in a circle")
        order += free
        waiting = [s for s in waiting if s not in free]
    return tuple(order)


def base_rates(topology: Topology) -> dict[str, float]:
    """Requests a second each service gets on an average moment of an average day."""
    rates = {s.name: s.entry_rate for s in topology.services}
    for caller in callers_first(topology):
        for call in caller.calls:
            rates[call.callee] += rates[caller.name] * call.per_request
    return rates


def get(path: str, share: float = 1.0) -> Route:
    return Route(method="GET", path=path, share=share)


def post(path: str, share: float = 1.0) -> Route:
    return Route(method="POST", path=path, share=share)


def shop() -> Topology:
    """The shop of the documentation: a web shop of ten programs and four stores."""
    return Topology(name="shop", namespace="shop", services=(*_front(), *_order_side(), *_stores()))


def _front() -> tuple[Service, ...]:
    return (
        Service(
            name="frontend",
            language=Language.PYTHON,
            replicas=2,
            own_s=0.012,
            busy=0.35,
            entry_rate=120.0,
            memory_bytes=210 * MIB,
            routes=(get("/product/{id}"), post("/checkout", 0.16)),
            calls=(
                Call(callee="catalog", per_request=1.2, timeout_s=2.0),
                Call(callee="recommendation", per_request=0.6, critical=False, timeout_s=0.5),
                Call(callee="cart", per_request=0.5, timeout_s=2.0),
                Call(callee="checkout", per_request=0.14, timeout_s=10.0),
            ),
        ),
        Service(
            name="catalog",
            language=Language.GO,
            replicas=2,
            own_s=0.005,
            busy=0.33,
            memory_bytes=130 * MIB,
            routes=(get("/products/{id}"),),
            calls=(Call(callee="catalog-db", per_request=0.5, timeout_s=2.0, pool=20),),
        ),
        Service(
            name="recommendation",
            language=Language.PYTHON,
            own_s=0.018,
            busy=0.4,
            memory_bytes=260 * MIB,
            routes=(get("/recommendations"),),
            calls=(Call(callee="catalog", per_request=0.7, timeout_s=1.0),),
        ),
        Service(
            name="cart",
            language=Language.GO,
            own_s=0.004,
            busy=0.28,
            memory_bytes=90 * MIB,
            routes=(get("/cart/{user}", 2.0), post("/cart/{user}/items")),
            calls=(Call(callee="cart-cache", per_request=1.5, timeout_s=0.5, pool=16),),
        ),
        Service(
            name="backoffice",
            language=Language.JAVA,
            own_s=0.09,
            busy=0.03,
            entry_rate=0.03,
            memory_bytes=380 * MIB,
            memory_limit_bytes=768 * MIB,
            routes=(get("/admin/orders"),),
            calls=(Call(callee="orders", timeout_s=10.0),),
        ),
    )


def _order_side() -> tuple[Service, ...]:
    return (
        Service(
            name="checkout",
            language=Language.GO,
            replicas=2,
            own_s=0.015,
            busy=0.3,
            memory_bytes=120 * MIB,
            routes=(post("/checkout"),),
            calls=(
                Call(callee="cart", timeout_s=1.0),
                Call(callee="inventory", timeout_s=2.0, retries=1),
                Call(callee="payments", timeout_s=5.0),
                Call(callee="orders", timeout_s=5.0),
                Call(callee="email", critical=False, timeout_s=1.0),
            ),
        ),
        Service(
            name="payments",
            language=Language.JAVA,
            replicas=2,
            own_s=0.09,
            busy=0.34,
            memory_bytes=420 * MIB,
            memory_limit_bytes=1024 * MIB,
            routes=(post("/charge"),),
            calls=(Call(callee="payments-db", per_request=2.0, timeout_s=5.0, pool=12),),
        ),
        Service(
            name="orders",
            language=Language.JAVA,
            replicas=2,
            own_s=0.04,
            busy=0.3,
            memory_bytes=450 * MIB,
            memory_limit_bytes=1024 * MIB,
            routes=(post("/orders"),),
            calls=(Call(callee="orders-db", per_request=3.0, timeout_s=5.0, pool=15),),
        ),
        Service(
            name="inventory",
            language=Language.PYTHON,
            own_s=0.011,
            busy=0.3,
            memory_bytes=170 * MIB,
            routes=(post("/reservations"),),
            calls=(Call(callee="catalog-db", per_request=2.0, timeout_s=2.0, pool=10),),
        ),
        Service(
            name="email",
            language=Language.PYTHON,
            own_s=0.025,
            busy=0.2,
            memory_bytes=140 * MIB,
            routes=(post("/mails"),),
            queue="order-mails",
        ),
    )


def _stores() -> tuple[Service, ...]:
    return (
        database("catalog-db", own_s=0.004),
        database("payments-db", own_s=0.006),
        database("orders-db", own_s=0.007),
        Service(
            name="cart-cache",
            kind=Kind.CACHE,
            own_s=0.0008,
            busy=0.2,
            memory_bytes=350 * MIB,
            memory_limit_bytes=1024 * MIB,
        ),
    )


def database(name: str, *, own_s: float) -> Service:
    """A PostgreSQL of middling size."""
    return Service(
        name=name,
        kind=Kind.DATABASE,
        own_s=own_s,
        busy=0.25,
        cores=2.0,
        memory_bytes=900 * MIB,
        memory_limit_bytes=2 * GIB,
        volume_bytes=50 * GIB,
    )
