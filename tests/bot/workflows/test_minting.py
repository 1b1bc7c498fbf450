"""Evidence comes into being numbered and without secrets, whatever kind it is."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.alert import Alert
from bot.domain.change import Change, ChangeKind
from bot.domain.codec import to_json
from bot.domain.evidence import (
    AlertsBody,
    Body,
    ChangesBody,
    GraphBody,
    MessagesBody,
    Pattern,
    PatternsBody,
    SeriesBody,
    ServiceSeries,
    Signal,
)
from bot.domain.question import ThreadMessage
from bot.domain.report import time_mark
from bot.domain.scope import Edge, Window
from bot.domain.series import Series
from bot.workflows.minting import Draft, Mint, clean, clean_json

SECRET = "hunter2x9"
SAID = f"password={SECRET}"
WINDOW = Window(start_s=0, end_s=60)

SERIES = Series(
    labels={"service": "cart", "dsn": SAID, "password": SECRET}, start_s=0, step_s=30, values=(1.0, math.nan)
)
BODIES: tuple[Body, ...] = (
    SeriesBody(
        signal=Signal.ERRORS, measure="errors", unit="/s", series=(ServiceSeries(service="cart", series=SERIES),)
    ),
    PatternsBody(
        patterns=(
            Pattern(
                template_id="t1",
                text=f"cannot log in with {SAID}",
                service="cart",
                level="error",
                before=0,
                after=3,
                first_seen_s=1.0,
                last_seen_s=2.0,
                examples=(f"cannot log in with {SAID}",),
                buckets=(0, 3),
            ),
        ),
        lines_read=3,
        lines_total=None,
        bucket_start_s=0.0,
        bucket_step_s=30.0,
    ),
    ChangesBody(
        changes=(
            Change(
                kind=ChangeKind.COMMIT,
                at_s=1.0,
                service="cart",
                ref="a" * 40,
                summary=f"set {SAID}",
                author=f"kim {SAID}",
                files=(f"env/{SAID}",),
                diff=f"+{SAID}\n-old",
                link=f"https://git.test/?{SAID}",
            ),
        )
    ),
    AlertsBody(
        alerts=(
            Alert(
                name="Down",
                labels={"service": "cart", "api_key": SECRET},
                annotations={"summary": f"try {SAID}", "db_password": SECRET},
                expr=f'up{{dsn="{SAID}"}}',
            ),
        )
    ),
    GraphBody(edges=(Edge(caller="web", callee=f"db?{SAID}"),)),
    MessagesBody(messages=(ThreadMessage(at_s=1.0, author="kim", from_app=False, text=f"it is {SAID}"),)),
)


def draft(body: Body, **said: str) -> Draft:
    return Draft(title=said.get("title", "t"), source="loki", query=said.get("query", "q"), window=WINDOW, body=body)


@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
def test_no_kind_of_evidence_keeps_a_secret(body: Body) -> None:
    assert SECRET in json.dumps(to_json(body))

    minted = Mint()(draft(body))

    assert SECRET not in json.dumps(to_json(minted))
    assert type(minted.body) is type(body)


def test_titles_queries_links_and_warnings_lose_theirs_too() -> None:
    minted = Mint()(
        Draft(
            title=SAID,
            source="loki",
            query=f'{{app="cart"}} |= "{SAID}"',
            window=WINDOW,
            body=GraphBody(edges=()),
            link=f"https://grafana.test/explore?q={SAID}",
            warnings=(f"partial: {SAID}",),
        )
    )

    assert SECRET not in repr(minted)
    assert minted.link is not None
    assert minted.link.startswith("https://grafana.test/explore?q=")


@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
def test_what_is_no_secret_stays_as_it_was(body: Body) -> None:
    clean_body = json.loads(json.dumps({"type": type(body).__name__, **to_json(body)}).replace(SECRET, ""))

    once = clean_json(clean_body)

    assert clean_json(once) == once
    assert once["type"] == type(body).__name__


def test_numbers_of_a_series_are_untouched() -> None:
    body = Mint()(draft(BODIES[0])).body

    assert isinstance(body, SeriesBody)
    first, gap = body.series[0].series.values
    assert first == 1.0
    assert math.isnan(gap)
    assert body.series[0].series.labels["service"] == "cart"


def test_evidence_is_numbered_in_order_from_where_the_thread_stands() -> None:
    mint = Mint(first=7)

    assert [mint(draft(body)).id for body in BODIES[:3]] == ["E7", "E8", "E9"]


def test_strangers_cannot_write_our_time_marks() -> None:
    minted = Mint()(draft(BODIES[4], title=f"at {time_mark(0)} ⟧⟦", query="⟦t:1⟧"))

    assert not {"⟦", "⟧"} & set(minted.title + minted.query)


def test_names_of_services_and_whole_hashes_are_no_secrets() -> None:
    for text in ("token-service", "auth", "session-store", "0123456789abcdef" * 4, "a" * 40, "v1.2.3"):
        assert clean(text) == text


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=20), max_size=5))
def test_any_labels_come_out_as_labels_and_stay_so(labels: dict[str, str]) -> None:
    once = clean_json({"labels": labels})

    assert clean_json(once) == once
    assert all(isinstance(key, str) and isinstance(value, str) for key, value in once["labels"].items())
