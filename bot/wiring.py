"""Settings -> adapters -> guards -> Ports: the only place that names concrete classes."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from bot.adapters.database import database_url
from bot.adapters.database_check import check_database
from bot.adapters.endpoint import Endpoint
from bot.adapters.git_changes import GitChanges, GitRepository
from bot.adapters.journal import DbosJournal
from bot.adapters.links import Explore, ExploreKind
from bot.adapters.loki import LokiSource
from bot.adapters.loki_deploys import LokiDeploys
from bot.adapters.prometheus import PrometheusSource
from bot.adapters.prometheus_alerts import PrometheusAlerts
from bot.adapters.prometheus_changes import PrometheusChanges
from bot.adapters.store import SqlStore
from bot.domain.report import Ownership
from bot.errors import ConfigError
from bot.guards.breaking import breaking
from bot.guards.metered import metered
from bot.policy.access import AccessRules
from bot.ports import ChangeSource, Clock, Health, Meter, Ports, Sources, Story
from bot.settings import (
    ExploreSettings,
    File,
    GitSettings,
    LokiSettings,
    PrometheusSettings,
    Settings,
    SourceSettings,
    password_of,
)
from bot.workflows.decide import decide
from bot.workflows.feedback import feedback
from bot.workflows.give_up import give_up
from bot.workflows.help import explain
from bot.workflows.investigate import Investigator, investigate
from bot.workflows.list_changes import list_changes


@asynccontextmanager
async def open_sources(file: File, environ: Mapping[str, str]) -> AsyncIterator[Sources]:
    """Every configured source, bare; their connections are let go at the end. Raises ConfigError for one that cannot be."""
    metrics = tuple(_prometheus(source, environ) for source in file.prometheus)
    alerts = tuple(_alerts(source, environ) for source in file.prometheus)
    logs = tuple(_loki(source, environ) for source in file.loki)
    asked = zip(logs, file.loki, strict=True)
    deploys = [LokiDeploys(source, query=known.deploy_query) for source, known in asked if known.deploy_query]
    changes: list[ChangeSource] = [*(PrometheusChanges(source) for source in metrics), *deploys, *_git(file.git)]
    try:
        yield Sources(metrics=metrics, logs=logs, alerts=alerts, changes=tuple(changes))
    finally:
        for metric in metrics:
            metric.close()
        for alert in alerts:
            alert.close()
        for log in logs:
            await log.close()


def guarded_sources(sources: Sources, clock: Clock, meter: Meter) -> Sources:
    """The sources as workflows get them: measured outermost, so that refusals of an open breaker are counted too."""
    return metered(breaking(sources, clock), meter, clock)


def store_of(settings: Settings) -> SqlStore:
    """The store in the home directory, not opened yet."""
    return SqlStore(database_url(settings.home))


def store_health(settings: Settings) -> Health:
    """How the store's database is; nothing is made or changed. Raises StoreError when it cannot be used."""
    return check_database(database_url(settings.home))


def journal_of(settings: Settings) -> DbosJournal:
    """The journal beside it, in the same file."""
    return DbosJournal(database_url(settings.home), at_once=settings.file.investigations_at_once)


def ownership_of(file: File) -> Mapping[str, Ownership]:
    """What is configured about each service."""
    return {name: Ownership(owner=service.owner, runbook=service.runbook) for name, service in file.services.items()}


def investigator_of(file: File) -> Investigator:
    """Who may ask, and how people call things."""
    return Investigator(
        rules=access_rules_of(file),
        aliases={alias: name for name, service in file.services.items() for alias in service.aliases},
        default_zone=file.zone,
    )


def access_rules_of(file: File) -> AccessRules:
    access = file.access
    return AccessRules(
        channels=frozenset(access.channels),
        groups=frozenset(access.groups),
        users=frozenset(access.users),
        allow_shared=access.allow_shared_channels,
    )


def stories_of(ports: Ports, investigator: Investigator) -> Mapping[str, Story]:
    """Every workflow by the name under which handlers hand work to the journal."""
    return {
        "investigate": partial(investigate, ports, investigator),
        "investigate failed": partial(give_up, ports),
        "changes": partial(list_changes, ports, investigator.rules, investigator.default_zone),
        "help": partial(explain, ports),
        "decide": partial(decide, ports, investigator.rules),
        "feedback": partial(feedback, ports, investigator.rules),
    }


def _prometheus(source: PrometheusSettings, environ: Mapping[str, str]) -> PrometheusSource:
    return PrometheusSource(
        source.name,
        _endpoint(source, environ),
        environment=source.environment or None,
        service_labels=source.service_labels,
        resolution_s=source.resolution_s,
        parameters=source.parameters,
        explore_url=_explore(source.explore),
    )


def _alerts(source: PrometheusSettings, environ: Mapping[str, str]) -> PrometheusAlerts:
    return PrometheusAlerts(source.name, _endpoint(source, environ), environment=source.environment or None)


def _loki(source: LokiSettings, environ: Mapping[str, str]) -> LokiSource:
    return LokiSource(
        source.name,
        _endpoint(source, environ),
        environment=source.environment or None,
        service_labels=source.service_labels,
        level_label=source.level_label,
        explore_url=_explore(source.explore),
    )


def _endpoint(source: SourceSettings, environ: Mapping[str, str]) -> Endpoint:
    try:
        return Endpoint(
            url=source.url,
            tenant=source.tenant,
            user=source.basic_user,
            password=password_of(source, environ),
            bearer_file=_path(source.bearer_file),
            headers=source.headers,
            ca_file=_path(source.ca_file),
            cert_file=_path(source.cert_file),
            key_file=_path(source.key_file),
        )
    except ValueError as error:
        raise ConfigError("CFG-007", f"The url of {source.name} cannot be used: {error}.", "Correct it.") from error


def _path(text: str) -> Path | None:
    return Path(text).expanduser() if text else None


def _explore(explore: ExploreSettings) -> Explore | None:
    if not explore.url:
        return None
    return Explore(kind=ExploreKind(explore.kind), url=explore.url, datasource_uid=explore.datasource)


def _git(repositories: tuple[GitSettings, ...]) -> list[GitChanges]:
    """One source for each environment's repositories."""
    environments = sorted({repository.environment for repository in repositories})
    return [
        GitChanges("git", [_repository(r) for r in repositories if r.environment == name], environment=name or None)
        for name in environments
    ]


def _repository(repository: GitSettings) -> GitRepository:
    return GitRepository(
        path=Path(repository.path).expanduser(),
        service=repository.service or None,
        prefixes=repository.prefixes,
        branch=repository.branch,
        link=repository.link or None,
    )
