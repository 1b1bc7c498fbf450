"""Deploys as log lines tell them: a configured query finds the lines, common field names say what they mean."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bot.adapters.loki import LokiSource
from bot.domain.change import Change, ChangeKind
from bot.domain.logs import LogLine
from bot.domain.query import ConfiguredLogQuery
from bot.domain.scope import Window
from bot.reasoning.inventory import service_in

# Names of fields, best first, as deploy tools and their webhooks write them. Matched without case, `-`, `.` and `_`.
_SERVICE = ("service", "servicename", "app", "appname", "application", "component", "deployment", "project", "workload")
_VERSION = ("version", "newversion", "toversion", "tag", "imagetag", "release", "image")
_COMMIT = ("commit", "commitsha", "gitcommit", "sha", "gitsha", "revision", "rev")
_AUTHOR = ("user", "username", "author", "deployer", "deployedby", "triggeredby", "actor", "initiator", "by")
_SUMMARY = ("message", "msg", "summary", "description", "title", "text")

_UNKNOWN = "unknown_service"  # what Loki calls the service of a stream none of whose labels names one
_LONGEST_SUMMARY = 300  # characters: a sentence, not a manifest
_COMMIT_CHARACTERS = 12  # enough to be unique in any repository
_HEX = re.compile(r"[0-9a-f]{13,64}", re.IGNORECASE)
_PAIR = re.compile(r'([A-Za-z_][\w.-]*)=("(?:[^"\\]|\\.)*"|[^\s"]*)')


class LokiDeploys:
    """A ChangeSource over a LokiSource: each line that `query` (the operator's own LogQL) finds is a deploy."""

    def __init__(self, source: LokiSource, query: str) -> None:
        self._source = source
        self._query = query

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def environment(self) -> str | None:
        return self._source.environment

    async def changes(self, services: Sequence[str], window: Window, *, timeout_s: float) -> tuple[Change, ...]:
        """As the port says; a line that names no service concerns everyone."""
        answer = await self._source.lines(ConfiguredLogQuery(text=self._query, window=window), timeout_s=timeout_s)
        found = (deploy_in(line, self._source.service_labels, self.name, answer.link) for line in answer.lines)
        return tuple(mine for change in found if (mine := _of(change, services)) is not None)


def deploy_in(line: LogLine, service_labels: Sequence[str], source: str, link: str | None = None) -> Change:
    """The deploy a line tells: JSON or logfmt fields first, then the line's labels, then its text."""
    fields = fields_of(line.line)
    labels = {_plain(name.removesuffix("_extracted")): value for name, value in line.labels.items()}
    streams = [line.labels[label] for label in service_labels if line.labels.get(label, _UNKNOWN) != _UNKNOWN]
    stream = streams[0] if streams else None
    service = _first(_SERVICE, fields) or line.labels.get("service_extracted") or stream
    version = _version(_first(_VERSION, fields, labels))
    commit = _first(_COMMIT, fields, labels)
    text = " ".join(line.line.split())
    return Change(
        kind=ChangeKind.DEPLOY,
        at_s=line.ts_ns / 1e9,
        service=service,
        ref=version or _short(commit) or "deploy",
        summary=(_first(_SUMMARY, fields) or text)[:_LONGEST_SUMMARY],
        author=_first(_AUTHOR, fields, labels),
        source=source,
        link=link,
    )


def fields_of(line: str) -> dict[str, str]:
    """The fields of a JSON or logfmt line under plain names; objects inside are opened. Empty where there are none."""
    if line.lstrip().startswith("{"):
        try:
            return dict(_flat(json.loads(line)))
        except (ValueError, RecursionError, AttributeError):
            return {}
    return {_plain(name): _unquoted(value) for name, value in _PAIR.findall(line) if value}


def _flat(body: Mapping[str, object]) -> Iterable[tuple[str, str]]:
    """Outer fields last, so that they win over those of the same name inside."""
    for value in body.values():
        if isinstance(value, dict):
            yield from _flat(value)
    for name, value in body.items():
        if isinstance(value, str | int | float) and not isinstance(value, bool) and str(value):
            yield _plain(name), str(value)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]", "", name.lower())


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _first(names: Sequence[str], *places: Mapping[str, str]) -> str | None:
    return next((place[name] for place in places for name in names if place.get(name)), None)


def _version(text: str | None) -> str | None:
    """A version, or the tag of an image: `registry:5000/shop/cart:1.4.2` is 1.4.2; of a digest the first characters."""
    if text is None:
        return None
    last = text.rsplit("/", 1)[-1]
    return _short(last.rsplit(":", 1)[-1]) or text


def _short(commit: str | None) -> str | None:
    return commit[:_COMMIT_CHARACTERS] if commit and _HEX.fullmatch(commit) else commit


def _of(change: Change, services: Sequence[str]) -> Change | None:
    """The change under the name the service is asked for with; None when it concerns none of them."""
    if not services or change.service is None or change.service in services:
        return change
    asked = service_in(change.service, services)
    return None if asked is None else replace(change, service=asked)
