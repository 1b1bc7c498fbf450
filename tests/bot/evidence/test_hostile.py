"""Whatever sources send, the ranking answers: every kind of evidence at once, with odd numbers, names and times."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.alert import Alert
from bot.domain.change import Change, ChangeKind
from bot.domain.evidence import (
    AlertsBody,
    Body,
    ChangesBody,
    Evidence,
    GraphBody,
    MessagesBody,
    Pattern,
    PatternsBody,
    SeriesBody,
    ServiceSeries,
    Signal,
)
from bot.domain.question import ThreadMessage
from bot.domain.scope import Edge
from bot.domain.series import Series
from bot.evidence.rank import rank
from tests.bot.evidence.incidents import START, scope

names = st.sampled_from(["a", "b", "c", "", "⟦t:1⟧", "x y", "SELECT *"])
times = st.one_of(st.floats(), st.floats(START - 1e4, START + 1e4))
texts = st.one_of(
    st.text(max_size=60), st.sampled_from(["x509: certificate has expired: a", "{0}", "%s ⟦t:9⟧", "(((("])
)
counts = st.integers(-3, 10**6)

series = st.builds(
    ServiceSeries,
    service=names,
    peer=st.one_of(st.none(), names),
    series=st.builds(
        Series,
        start_s=times,
        step_s=st.one_of(st.just(30.0), st.floats(min_value=0, exclude_min=True)),
        values=st.lists(st.floats(), max_size=12).map(tuple),
    ),
)
patterns = st.builds(
    Pattern,
    template_id=texts,
    text=texts,
    service=names,
    level=st.sampled_from(["error", "info", "", "WARN", "x"]),
    before=counts,
    after=counts,
    first_seen_s=times,
    last_seen_s=times,
    examples=st.lists(texts, max_size=2).map(tuple),
    buckets=st.lists(counts, max_size=8).map(tuple),
)
changes = st.builds(
    Change,
    kind=st.sampled_from(list(ChangeKind)),
    at_s=times,
    service=st.one_of(st.none(), names),
    ref=texts,
    summary=texts,
    files=st.lists(texts, max_size=2).map(tuple),
    diff=texts,
)
bodies: st.SearchStrategy[Body] = st.one_of(
    st.builds(
        SeriesBody,
        signal=st.sampled_from(list(Signal)),
        measure=texts,
        unit=st.sampled_from(["s", "ratio", "bytes", "/s", "count", "", "cores"]),
        series=st.lists(series, max_size=6).map(tuple),
    ),
    st.builds(
        PatternsBody,
        patterns=st.lists(patterns, max_size=5).map(tuple),
        lines_read=counts,
        lines_total=st.one_of(st.none(), counts),
        bucket_start_s=times,
        bucket_step_s=st.floats(),
    ),
    st.builds(ChangesBody, changes=st.lists(changes, max_size=4).map(tuple)),
    st.builds(
        AlertsBody,
        alerts=st.lists(
            st.builds(
                Alert,
                name=texts,
                labels=st.dictionaries(st.just("service"), names),
                started_at_s=st.one_of(st.none(), times),
            ),
            max_size=2,
        ).map(tuple),
    ),
    st.builds(GraphBody, edges=st.lists(st.builds(Edge, caller=names, callee=names), max_size=6).map(tuple)),
    st.builds(
        MessagesBody,
        messages=st.lists(
            st.builds(ThreadMessage, at_s=times, author=names, from_app=st.booleans(), text=texts), max_size=2
        ).map(tuple),
    ),
)


@given(st.lists(bodies, max_size=6), st.one_of(st.none(), names))
@settings(max_examples=250, deadline=None)
def test_no_evidence_is_odd_enough_to_raise(told: list[Body], asked: str | None) -> None:
    span = scope(asked)
    evidence = [
        Evidence(id=f"E{n}", title="", source="", query="", window=span.whole, body=body)
        for n, body in enumerate(told, 1)
    ]

    ranking = rank(span, evidence)

    assert ranking == rank(span, evidence)
    assert all(math.isfinite(f.score) for f in ranking.findings)
    assert all(f.onset_s is None or math.isfinite(f.onset_s) for f in ranking.findings)
    assert all(set(f.statement.evidence) <= {e.id for e in evidence} for f in ranking.findings)
