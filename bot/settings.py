"""Everything that can be configured, read once from the environment and groundwire.toml.

Secrets come from the environment or from files, never from the toml text itself. Each field's `help` is what
docs/configuration.md must say about it; a test compares the two.
"""

import dataclasses
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_origin
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from cattrs import Converter, transform_error
from cattrs.cols import homogenous_tuple_structure_factory
from cattrs.errors import BaseValidationError, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn
from cattrs.v import format_exception

from bot.errors import ConfigError

T = TypeVar("T")

SERVICE_LABELS = (
    "service",
    "service_name",
    "app",
    "app_kubernetes_io_name",
    "workload",
    "component",
    "container",
    "job",
)


def _setting(help: str, default: T) -> T:
    made: T = field(default=default, metadata={"help": help})
    return made


def _table(help: str, factory: type[T]) -> T:
    made: T = field(default_factory=factory, metadata={"help": help})
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class ExploreSettings:
    """Where a reference opens its query."""

    kind: str = _setting("`grafana` (Explore) or `prometheus` (the server's own graph page; metrics only).", "grafana")
    url: str = _setting("Base address as people reach it in a browser.", "")
    datasource: str = _setting("Grafana's uid of the data source (Grafana only).", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """One server to ask."""

    name: str = _setting("What reports call it. Unique.", "")
    url: str = _setting("Address, with a path prefix where a proxy needs one.", "")
    environment: str = _setting("The environment it belongs to; empty: it serves all.", "")
    tenant: str = _setting("`X-Scope-OrgID` for Mimir, Cortex and multi-tenant Loki.", "")
    basic_user: str = _setting("User for basic authentication.", "")
    basic_password_env: str = _setting("Name of the environment variable that holds the password.", "")
    basic_password_file: str = _setting("File that holds the password.", "")
    bearer_file: str = _setting(
        "File that holds a bearer token; read again for each request, so it may be rotated.", ""
    )
    headers: Mapping[str, str] = _table("Extra request headers. Not for secrets.", dict)
    ca_file: str = _setting("CA certificates to trust (PEM) instead of the system's.", "")
    cert_file: str = _setting("Client certificate for mutual TLS (PEM).", "")
    key_file: str = _setting("Its private key (PEM).", "")
    service_labels: tuple[str, ...] = _setting("Labels that name a service, best first.", SERVICE_LABELS)
    explore: ExploreSettings = _table("Where people open a query.", ExploreSettings)  # noqa: RUF009  # makes a field


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusSettings(SourceSettings):
    """A Prometheus, Thanos, Mimir or VictoriaMetrics server."""

    resolution_s: int = _setting("Seconds between samples (the scrape interval).", 30)
    parameters: Mapping[str, str] = _table(
        "Extra query parameters, such as Thanos' `dedup` and `partial_response`.", dict
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LokiSettings(SourceSettings):
    """A Loki server."""

    level_label: str = _setting("The label or metadata that holds a line's level.", "detected_level")
    deploy_query: str = _setting("LogQL that finds deploy events; each line becomes a change. Empty: none.", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class GitSettings:
    """A local clone whose commits count as changes."""

    path: str = _setting("Directory of the clone.", "")
    service: str = _setting("The service it holds; empty when `prefixes` tell.", "")
    prefixes: Mapping[str, str] = _table("For a repository of many services: path prefix to service.", dict)
    branch: str = _setting("The branch that runs in that environment.", "HEAD")
    environment: str = _setting("The environment it belongs to; empty: it serves all.", "")
    link: str = _setting("Address of a commit, with `{sha}` in it.", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """What people know about a service."""

    owner: str = _setting("Who owns it, such as `#team-payments`.", "")
    runbook: str = _setting("Address or name of its runbook.", "")
    aliases: tuple[str, ...] = _setting("Other names people use for it.", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """Who may ask. Nothing set: every full member, wherever the bot was invited."""

    channels: tuple[str, ...] = _setting("Channel ids.", ())
    groups: tuple[str, ...] = _setting("User group ids.", ())
    users: tuple[str, ...] = _setting("User ids.", ())
    allow_shared_channels: bool = _setting("Answer in Slack Connect channels, which other companies read.", False)


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """groundwire.toml."""

    prometheus: tuple[PrometheusSettings, ...] = _setting("Metric sources.", ())
    loki: tuple[LokiSettings, ...] = _setting("Log sources.", ())
    git: tuple[GitSettings, ...] = _setting("Repositories whose commits are changes.", ())
    services: Mapping[str, ServiceSettings] = _table("Facts about services, by name.", dict)
    access: AccessSettings = _table("Who may ask.", AccessSettings)  # noqa: RUF009  # makes a field
    zone: str = _setting("IANA time zone for the terminal, and for people whose zone Slack does not tell.", "UTC")
    investigations_at_once: int = _setting("How many investigations run at the same time.", 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The environment's part, and the file's. Values of secrets never show in `repr`."""

    home: Path = field(
        metadata={"env": "GROUNDWIRE_HOME", "help": "Directory of the database. Default `~/.groundwire`."}
    )
    config: Path | None = field(
        metadata={
            "env": "GROUNDWIRE_CONFIG",
            "help": "Path of groundwire.toml. Default: in the home, then the working directory.",
        }
    )
    host: str = field(metadata={"env": "GROUNDWIRE_HOST", "help": "Address to listen on. Default `127.0.0.1`."})
    port: int = field(
        metadata={"env": "GROUNDWIRE_PORT", "help": "Port for health, metrics and Slack over HTTP. Default 8080."}
    )
    log_level: str = field(
        metadata={"env": "GROUNDWIRE_LOG_LEVEL", "help": "debug, info, warning or error. Default info."}
    )
    slack_api_url: str = field(
        metadata={
            "env": "GROUNDWIRE_SLACK_API_URL",
            "help": "Slack's API address; change it only to try the local workspace.",
        }
    )
    slack_bot_token: str = field(
        repr=False, metadata={"env": "SLACK_BOT_TOKEN", "help": "`xoxb-…`, from OAuth & Permissions."}
    )
    slack_app_token: str = field(
        repr=False,
        metadata={"env": "SLACK_APP_TOKEN", "help": "`xapp-…` with connections:write: turns Socket Mode on."},
    )
    slack_signing_secret: str = field(
        repr=False, metadata={"env": "SLACK_SIGNING_SECRET", "help": "Needed for HTTP, without an app token."}
    )
    prometheus_url: str = field(
        repr=False, metadata={"env": "PROMETHEUS_URL", "help": "A Prometheus, in place of [[prometheus]]."}
    )
    loki_url: str = field(repr=False, metadata={"env": "LOKI_URL", "help": "A Loki, in place of [[loki]]."})
    file: File = field(metadata={"help": "What groundwire.toml says."})

    @property
    def database(self) -> Path:
        return self.home / "groundwire.db"


@dataclass(slots=True)
class _Problems:
    """Every problem met while reading, so that the doctor can tell them all at once."""

    found: list[ConfigError] = field(default_factory=list)

    def read(self, read: Callable[[], T], otherwise: T) -> T:
        """What `read` gives; `otherwise`, and the problem kept, where it raises ConfigError."""
        try:
            return read()
        except ConfigError as error:
            self.found.append(error)
            return otherwise

    def passes(self, check: Callable[[], None]) -> bool:
        """False, and the problem kept, where `check` raises ConfigError."""
        try:
            check()
        except ConfigError as error:
            self.found.append(error)
            return False
        return True


def read_settings(environ: Mapping[str, str], *, working_directory: Path) -> Settings:
    """The settings. Raises ConfigError that names the key and how to fix it."""
    settings, problems = survey_settings(environ, working_directory=working_directory)
    for problem in problems:
        raise problem
    return settings


def survey_settings(environ: Mapping[str, str], *, working_directory: Path) -> tuple[Settings, tuple[ConfigError, ...]]:
    """The settings as far as they can be used, and every problem of the others.

    In place of what is wrong stands the default; a source that is wrong is left away, and so is a wrong address of Slack.
    """
    problems = _Problems()
    home = problems.read(
        lambda: _path("GROUNDWIRE_HOME", environ.get("GROUNDWIRE_HOME") or "~/.groundwire"),
        working_directory / ".groundwire",
    )
    config = problems.read(lambda: _config_path(environ, home, working_directory), None)
    file = problems.read(lambda: _read_file(config) if config else File(), File())
    slack_api_url = environ.get("GROUNDWIRE_SLACK_API_URL") or "https://slack.com/api/"
    settings = Settings(
        home=home,
        config=config,
        host=environ.get("GROUNDWIRE_HOST") or "127.0.0.1",
        port=problems.read(lambda: _port(environ.get("GROUNDWIRE_PORT") or "8080"), 8080),
        log_level=problems.read(lambda: _log_level(environ.get("GROUNDWIRE_LOG_LEVEL") or "info"), "info"),
        slack_api_url=slack_api_url
        if problems.passes(lambda: _check_url("GROUNDWIRE_SLACK_API_URL", slack_api_url))
        else "",
        slack_bot_token=environ.get("SLACK_BOT_TOKEN", ""),
        slack_app_token=environ.get("SLACK_APP_TOKEN", ""),
        slack_signing_secret=environ.get("SLACK_SIGNING_SECRET", ""),
        prometheus_url=environ.get("PROMETHEUS_URL", ""),
        loki_url=environ.get("LOKI_URL", ""),
        file=_usable(_with_shorthands(file, environ), problems),
    )
    return settings, tuple(problems.found)


def check_slack(settings: Settings) -> None:
    """Raises ConfigError unless Slack can be reached with what is set."""
    for problem in slack_problems(settings):
        raise problem


def slack_problems(settings: Settings) -> tuple[ConfigError, ...]:
    """What keeps the bot from Slack with what is set."""
    return tuple(_slack_problems(settings))


def _slack_problems(settings: Settings) -> Iterator[ConfigError]:
    for key, value, prefix in (
        ("SLACK_BOT_TOKEN", settings.slack_bot_token, "xoxb-"),
        ("SLACK_APP_TOKEN", settings.slack_app_token, "xapp-"),
    ):
        if value and not value.startswith(prefix):
            yield ConfigError(
                "CFG-005", f"{key} does not start with {prefix}.", "Copy it again from the app's page at api.slack.com."
            )
    if not settings.slack_bot_token:
        yield ConfigError(
            "CFG-003", "SLACK_BOT_TOKEN is not set.", "Install the app (docs/slack-setup.md) and set its bot token."
        )
    if not settings.slack_app_token and not settings.slack_signing_secret:
        yield ConfigError(
            "CFG-004",
            "Neither SLACK_APP_TOKEN (Socket Mode) nor SLACK_SIGNING_SECRET (HTTP) is set.",
            "Set one of them: docs/slack-setup.md shows where each is found.",
        )


def check_sources(settings: Settings) -> None:
    """Raises ConfigError unless there is a server to ask."""
    if not (settings.file.prometheus or settings.file.loki):
        raise ConfigError(
            "CFG-015", "No source is configured.", "Set PROMETHEUS_URL or LOKI_URL, or name sources in groundwire.toml."
        )


def _config_path(environ: Mapping[str, str], home: Path, working_directory: Path) -> Path | None:
    named = environ.get("GROUNDWIRE_CONFIG")
    if named:
        path = _path("GROUNDWIRE_CONFIG", named)
        if not path.is_file():
            raise ConfigError(
                "CFG-001", f"GROUNDWIRE_CONFIG names {path}, which is not a file.", "Correct the path or unset it."
            )
        return path
    places = (home / "groundwire.toml", working_directory / "groundwire.toml")
    return next((path for path in places if path.is_file()), None)


def _path(key: str, text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise ConfigError(
            "CFG-018", f"{key} is “{text}”, whose home directory is not known.", "Write the whole path."
        ) from error


def _read_file(path: Path) -> File:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "CFG-001", f"{path} cannot be read: {error}.", "Check its permissions and encoding (UTF-8)."
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError("CFG-002", f"{path} is not TOML: {error}.", "Correct that place.") from error
    try:
        return _CONVERTER.structure(data, File)
    except BaseValidationError as error:
        problems = transform_error(error, path="", format_exception=_said)
        wrong = "; ".join(problem.replace(" @ .", " @ ").removesuffix(" @ ") for problem in problems)
        raise ConfigError(
            "CFG-002", f"{path}: {wrong}.", "docs/configuration.md lists every key and its type."
        ) from error


class _WrongType(TypeError):
    """TOML has types: a number where a text belongs, or a text for a list, is a mistake, not something to convert."""


_TOML_TYPES: Mapping[type, str] = {
    str: "a text in quotes",
    int: "a whole number",
    bool: "true or false",
    float: "a number",
    list: "a list (in [ ], or [[ ]] for tables)",
    dict: "a table",
}


def _demand(kind: type, value: Any) -> None:
    if type(value) is not kind:
        raise _WrongType(f"needs {_TOML_TYPES[kind]}, not {_TOML_TYPES.get(type(value), 'a date or time')}")


def _said(error: BaseException, kind: type | None) -> str:
    if isinstance(error, ForbiddenExtraKeysError):
        return f"there is no key {', '.join(sorted(error.extra_fields))}"
    return str(error) if isinstance(error, _WrongType) else format_exception(error, kind)


def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)

    def strict(value: Any, kind: type) -> Any:
        _demand(kind, value)
        return value

    for kind in (str, int, bool):
        converter.register_structure_hook(kind, strict)

    @converter.register_structure_hook_factory(_is_tuple)
    def _(kind: type, converter: Converter) -> Callable[[Any, type], Any]:
        return _only(list, homogenous_tuple_structure_factory(kind, converter))

    @converter.register_structure_hook_factory(dataclasses.is_dataclass)
    def _(kind: type, converter: Converter) -> Callable[[Any, type], Any]:
        return _only(dict, make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True))

    return converter


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _only(demanded: type, structure: Callable[[Any, type], Any]) -> Callable[[Any, type], Any]:
    """The same hook for values of one TOML type alone."""

    def hook(value: Any, kind: type) -> Any:
        _demand(demanded, value)
        return structure(value, kind)

    return hook


_CONVERTER = _converter()


def _with_shorthands(file: File, environ: Mapping[str, str]) -> File:
    if environ.get("PROMETHEUS_URL") and not file.prometheus:
        file = dataclasses.replace(
            file, prometheus=(PrometheusSettings(name="prometheus", url=environ["PROMETHEUS_URL"]),)
        )
    if environ.get("LOKI_URL") and not file.loki:
        file = dataclasses.replace(file, loki=(LokiSettings(name="loki", url=environ["LOKI_URL"]),))
    return file


def _usable(file: File, problems: _Problems) -> File:
    """The file without what cannot be used."""
    seen: set[str] = set()
    return dataclasses.replace(
        file,
        prometheus=tuple(s for s in file.prometheus if problems.passes(partial(_check_prometheus, s, seen))),
        loki=tuple(s for s in file.loki if problems.passes(partial(_check_source, "loki", s, seen))),
        git=tuple(repository for repository in file.git if problems.passes(partial(_check_git, repository))),
        investigations_at_once=file.investigations_at_once
        if problems.passes(lambda: _at_least_one("investigations_at_once", file.investigations_at_once))
        else File().investigations_at_once,
        zone=file.zone if problems.passes(lambda: _check_zone(file.zone)) else File().zone,
    )


def _check_git(repository: GitSettings) -> None:
    if not repository.path:
        raise ConfigError("CFG-020", "A [[git]] has no path.", "Name the directory of the clone.")


def _check_zone(zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(
            "CFG-011", f"zone “{zone[:80]}” is not a time zone.", "Use an IANA name such as Europe/Berlin."
        ) from error


def _check_prometheus(source: PrometheusSettings, seen: set[str]) -> None:
    _check_source("prometheus", source, seen)
    _at_least_one(f"resolution_s of {source.name}", source.resolution_s)


def _check_source(table: str, source: SourceSettings, seen: set[str]) -> None:
    """Raises ConfigError for the first thing that is wrong with it. `seen` are the names taken before."""
    if not source.name or source.name in seen:
        raise ConfigError(
            "CFG-006", f"Every [[{table}]] needs a name of its own (found “{source.name}”).", "Give each a `name`."
        )
    seen.add(source.name)
    _check_url(f"The url of {source.name}", source.url)
    if bool(source.cert_file) != bool(source.key_file):
        raise ConfigError("CFG-008", f"{source.name} has only one of cert_file and key_file.", "Mutual TLS needs both.")
    if source.explore.kind not in ("grafana", "prometheus"):
        raise ConfigError(
            "CFG-009", f"explore.kind of {source.name} is “{source.explore.kind}”.", "Use grafana or prometheus."
        )
    if source.explore.url:
        _check_url(f"The explore.url of {source.name}", source.explore.url)
    for header, value in {"X-Scope-OrgID": source.tenant, **source.headers}.items():
        if not (_HEADER_NAME.fullmatch(header) and _HEADER_VALUE.fullmatch(value)):
            raise ConfigError(
                "CFG-017",
                f"{source.name} has a header or tenant that cannot be sent (“{header[:80]}”).",
                "Use letters, digits and hyphens in the name, and printable ASCII in the value.",
            )


def _check_url(what: str, url: str) -> None:
    """Raises ConfigError, which never shows the address: it may hold a password."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and url.isprintable()
    except ValueError:  # a port or an IPv6 address that is none
        usable = False
    if not usable or " " in url:
        raise ConfigError("CFG-007", f"{what} is not an http(s) address.", "Write https://host[:port][/prefix].")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigError(
            "CFG-007",
            f"{what} holds credentials, a query or a fragment.",
            "Leave them away: credentials have settings of their own (docs/configuration.md).",
        )


def _at_least_one(what: str, number: int) -> None:
    if number < 1:
        raise ConfigError("CFG-010", f"{what} is {number}, which is below 1.", "Use 1 or more, or leave it away.")


# RFC 9110, 5.1 and 5.5: a name is a token; of values only what every server understands.
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65535:
        raise ConfigError("CFG-012", f"GROUNDWIRE_PORT is “{text[:80]}”.", "Use a number from 0 to 65535.")
    return int(text)


def _log_level(text: str) -> str:
    if text.lower() not in ("debug", "info", "warning", "error"):
        raise ConfigError("CFG-013", f"GROUNDWIRE_LOG_LEVEL is “{text}”.", "Use debug, info, warning or error.")
    return text.lower()


def password_of(source: SourceSettings, environ: Mapping[str, str]) -> str:
    """The password for basic authentication, read now. Raises ConfigError when what names it holds nothing."""
    if source.basic_password_env:
        value = environ.get(source.basic_password_env, "")
    elif source.basic_password_file:
        try:
            value = Path(source.basic_password_file).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError, RuntimeError) as error:
            raise ConfigError(
                "CFG-014", f"The password file of {source.name} cannot be read.", "Check basic_password_file."
            ) from error
    else:
        return ""
    if not value:
        raise ConfigError(
            "CFG-014", f"The password of {source.name} is empty.", "Set the variable or fill the file it is read from."
        )
    return value


def environment_of_process() -> Mapping[str, str]:
    """The process's environment: the one place it is read."""
    return os.environ
