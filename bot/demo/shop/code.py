"""The shop's source code, small: a few files per language, and the edits people make to them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bot.demo.shop.noise import Draw
from bot.demo.shop.topology import Language, Service

Files = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One change to one file: what its author writes about it and what becomes of the text."""

    message: str
    path: str
    apply: Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A switch in config/flags.yaml, and what a program says when it cannot live with it."""

    name: str
    complaint: str


FLAGS = (
    Flag(name="rounding_v2", complaint="rounding_v2: unsupported scale 4 for amount"),
    Flag(name="strict_schema", complaint="strict_schema: field 'channel' missing in request body"),
    Flag(name="compact_ids", complaint="compact_ids: cannot decode identifier of 36 characters"),
)
MAX_ITEMS = 200  # config limits.max_items as everybody has it; the bad change makes it 2

HANDLER = {
    Language.PYTHON: "app/handlers.py",
    Language.GO: "internal/handler.go",
    Language.JAVA: "src/main/java/shop/Handler.java",
}
STORE = {
    Language.PYTHON: "app/store.py",
    Language.GO: "internal/store.go",
    Language.JAVA: "src/main/java/shop/Store.java",
}
_MANIFEST = {Language.PYTHON: "requirements.txt", Language.GO: "go.mod", Language.JAVA: "pom.xml"}

_PY_HANDLER = """from app import store


def handle(request):
    item = store.load(request.id)
    amount = item.price.amount if item.price is not None else 0
    return {"id": item.id, "total": amount * request.quantity}
"""
_PY_STORE = """from app.pool import pool

QUERY = "select id, price from items where id = %s"


def load(key):
    connection = pool.get(timeout=3)
    try:
        return connection.fetch(QUERY, key)
    finally:
        pool.put(connection)
"""
_GO_HANDLER = """package internal

func (h *Handler) Handle(r Request) (Reply, error) {
	item, err := h.store.Load(r.ID)
	if err != nil {
		return Reply{}, err
	}
	if item.Price == nil {
		return Reply{ID: item.ID}, nil
	}
	return Reply{ID: item.ID, Total: item.Price.Amount * r.Quantity}, nil
}
"""
_GO_STORE = """package internal

const query = "select id, price from items where id = $1"

func (s *Store) Load(id string) (*Item, error) {
	rows, err := s.db.Query(query, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return scan(rows)
}
"""
_JAVA_HANDLER = """package shop;

final class Handler {
    private final Store store;

    Handler(Store store) {
        this.store = store;
    }

    Reply handle(Request request) {
        Item item = store.load(request.id());
        long amount = item.price() == null ? 0 : item.price().amount();
        return new Reply(item.id(), amount * request.quantity());
    }
}
"""
_JAVA_STORE = """package shop;

final class Store {
    private static final String QUERY = "select id, price from items where id = ?";

    Item load(String id) {
        try (var connection = pool.getConnection(); var found = connection.prepare(QUERY, id)) {
            return Item.from(found.run());
        }
    }
}
"""
_HANDLERS = {Language.PYTHON: _PY_HANDLER, Language.GO: _GO_HANDLER, Language.JAVA: _JAVA_HANDLER}
_STORES = {Language.PYTHON: _PY_STORE, Language.GO: _GO_STORE, Language.JAVA: _JAVA_STORE}


def first_files(service: Service) -> dict[str, str]:
    """The files a service's repository began with."""
    pool = max((c.pool or 0 for c in service.calls), default=0) or 8
    flags = "".join(f"  {flag.name}: false\n" for flag in FLAGS)
    return {
        "README.md": f"# {service.name}\n\nPart of the shop.\n",
        HANDLER[service.language]: _HANDLERS[service.language],
        STORE[service.language]: _STORES[service.language],
        _MANIFEST[service.language]: "httpkit 2.3.0\nmetrics 1.9.4\n",
        "config/flags.yaml": f"flags:\n  show_related: true\n{flags}",
        "config/production.yaml": (
            "server:\n  port: 8080\n  access_log_sample: 0.05\n"
            f"database:\n  pool_max: {pool}\n  pool_timeout_ms: 3000\n  statement_timeout_ms: 5000\n"
            f"limits:\n  max_items: {MAX_ITEMS}\nlog:\n  level: info\n"
        ),
    }


def innocent(service: Service, chance: Draw, number: int) -> Edit:
    """Work of every day that breaks nothing. `number` counts the edits of this service, so none repeats itself."""
    path, patch = HANDLER[service.language], chance.whole(10, 89)
    mark = "#" if service.language is Language.PYTHON else "//"
    return chance.pick(
        (
            _append("README.md", f"\nSee runbook section {number} before a release.\n", "docs: point at the runbook"),
            _swap(_MANIFEST[service.language], "metrics 1.9.", f"metrics 1.9.{patch}", f"bump metrics to 1.9.{patch}"),
            _swap(_MANIFEST[service.language], "httpkit 2.3.", f"httpkit 2.3.{patch}", f"bump httpkit to 2.3.{patch}"),
            _append(
                path, f"\n{mark} Request ids end up in the access log, see number {number}.\n", "note on request ids"
            ),
            _swap(
                "config/production.yaml",
                "  access_log_sample: ",
                f"  access_log_sample: 0.0{chance.whole(3, 6)}",
                "sample the access log a little differently",
            ),
            _swap(
                "config/production.yaml",
                "  statement_timeout_ms: ",
                f"  statement_timeout_ms: {4500 + 10 * patch}",
                "statement timeout: follow the new default",
            ),
        )
    )


def flip_related(on: bool) -> Edit:
    """A flag change that nobody but the product team notices."""
    value = "true" if on else "false"
    return _swap("config/flags.yaml", "  show_related: ", f"  show_related: {value}", f"flag show_related: {value}")


def bad_flag(flag: Flag) -> Edit:
    return _swap("config/flags.yaml", f"  {flag.name}: ", f"  {flag.name}: true", f"flag {flag.name}: on for everybody")


def bad_limit() -> Edit:
    return _swap("config/production.yaml", "  max_items: ", "  max_items: 2", "limits: fewer items a request")


def smaller_pool(service: Service) -> Edit:
    size = max(2, max(c.pool or 0 for c in service.calls) // 4)
    return _swap(
        "config/production.yaml",
        "  pool_max: ",
        f"  pool_max: {size}",
        "database: save connections, wider transactions",
    )


def unchecked_price(service: Service) -> Edit:
    """Takes away the check for items without a price: the bad deploy."""
    old, new = {
        Language.PYTHON: ("item.price.amount if item.price is not None else 0", "item.price.amount"),
        Language.GO: ("\tif item.Price == nil {\n\t\treturn Reply{ID: item.ID}, nil\n\t}\n", ""),
        Language.JAVA: ("item.price() == null ? 0 : item.price().amount()", "item.price().amount()"),
    }[service.language]
    return _replace(HANDLER[service.language], old, new, "simplify the total: prices are always set")


def unclosed_connection(service: Service) -> Edit:
    """Forgets to give connections back: the pool leak."""
    old, new = {
        Language.PYTHON: (
            "    try:\n        return connection.fetch(QUERY, key)\n    finally:\n        pool.put(connection)\n",
            "    return connection.fetch(QUERY, key)\n",
        ),
        Language.GO: ("\tdefer rows.Close()\n", ""),
        Language.JAVA: (
            "        try (var connection = pool.getConnection(); var found = connection.prepare(QUERY, id)) {\n"
            "            return Item.from(found.run());\n        }\n",
            "        return Item.from(pool.getConnection().prepare(QUERY, id).run());\n",
        ),
    }[service.language]
    return _replace(STORE[service.language], old, new, "read items in one go")


def endless_cache(service: Service) -> Edit:
    """Remembers every request for ever: the memory leak."""
    old, new = {
        Language.PYTHON: (
            "    item = store.load(request.id)\n",
            "    item = SEEN[request.trace] = store.load(request.id)\n",
        ),
        Language.GO: ("\tif err != nil {", "\th.seen[r.Trace] = item\n\tif err != nil {"),
        Language.JAVA: (
            "        Item item = store.load(request.id());\n",
            "        Item item = seen.computeIfAbsent(request.trace(), t -> store.load(request.id()));\n",
        ),
    }[service.language]
    return _replace(HANDLER[service.language], old, new, "remember items already loaded")


def _append(path: str, tail: str, message: str) -> Edit:
    return Edit(message=message, path=path, apply=lambda text: text + tail)


def _replace(path: str, old: str, new: str, message: str) -> Edit:
    return Edit(message=message, path=path, apply=lambda text: text.replace(old, new, 1))


def _swap(path: str, start: str, line: str, message: str) -> Edit:
    """Replaces the line that starts so."""

    def apply(text: str) -> str:
        return "".join(line + "\n" if x.startswith(start) else x for x in text.splitlines(keepends=True))

    return Edit(message=message, path=path, apply=apply)
