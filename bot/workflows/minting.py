"""The one place where evidence comes into being: it gets its number, and loses every secret it holds."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bot.domain.codec import Json, from_json, to_json
from bot.domain.evidence import Body, Evidence, SeriesBody, ServiceSeries
from bot.domain.scope import Window
from bot.policy.redaction import redact_secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a look brought back, before it has a number: never stored, shown or sent."""

    title: str
    source: str
    query: str
    window: Window
    body: Body
    link: str | None = None
    warnings: tuple[str, ...] = ()


class Mint:
    """Makes the evidence of one thread, numbered from `first` on.

    Everything a stranger may have written (lines, labels, commit messages, alert texts, warnings) passes the redactor here,
    before store, journal, Slack, model and files. Brackets that mark times in our own sentences are taken out of it.
    """

    def __init__(self, *, first: int = 1) -> None:
        self._next = first

    def __call__(self, draft: Draft) -> Evidence:
        number, self._next = self._next, self._next + 1
        body = draft.body
        return Evidence(
            id=f"E{number}",
            title=clean(draft.title),
            source=draft.source,
            query=clean(draft.query),
            window=draft.window,
            body=_clean_series(body) if isinstance(body, SeriesBody) else _clean_body(body),
            link=clean(draft.link) if draft.link else None,
            warnings=tuple(clean(w) for w in draft.warnings),
        )


def clean(text: str) -> str:
    """The text without secrets and without our own time marks."""
    return redact_secrets(text).translate(_NO_MARKS)


_NO_MARKS = {ord("⟦"): "[", ord("⟧"): "]"}


def _clean_body(body: Body) -> Body:
    cleaned: Body = from_json(Body, clean_json(to_json_tagged(body)))  # type: ignore[arg-type]  # a union is a fine kind
    return cleaned


def to_json_tagged(body: Body) -> Json:
    """A body with the name of its type, as it stands inside evidence."""
    return {**to_json(body), "type": type(body).__name__}


def _clean_series(body: SeriesBody) -> SeriesBody:
    def one(entry: ServiceSeries) -> ServiceSeries:
        return replace(entry, series=replace(entry.series, labels=_clean_labels(entry.series.labels)))

    return replace(body, series=tuple(one(entry) for entry in body.series))


def clean_json(data: Json) -> Json:
    """The same with every text in it clean: for what the journal keeps before it is evidence."""
    if isinstance(data, str):
        return clean(data)
    if isinstance(data, list | tuple):
        return [clean_json(item) for item in data]
    if isinstance(data, dict):
        return {key: _clean_labels(value) if key in _LABELS else clean_json(value) for key, value in data.items()}
    return data


# Where strangers choose the keys, too.
_LABELS = frozenset({"labels", "annotations"})


def _clean_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels without secrets: a value may be one by its own look, or because of its key (`password`)."""
    return {clean(key): _clean_value(key, value) for key, value in labels.items()}


def _clean_value(key: str, value: str) -> str:
    pair = clean(f'{key}="{value}"')
    kept = pair.removeprefix(f'{key}="').removesuffix('"')
    return kept if pair == f'{key}="{kept}"' else clean(value)
