"""Small hand-made incidents: a baseline of an hour, an incident of half an hour, one sample a minute, drawn by seed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bot.domain.alert import Alert
from bot.domain.change import Change, ChangeKind
from bot.domain.evidence import (
    AlertsBody,
    Body,
    ChangesBody,
    Evidence,
    Pattern,
    PatternsBody,
    SeriesBody,
    ServiceSeries,
    Signal,
)
from bot.domain.scope import Edge, Scope, Window
from bot.domain.series import Series

START = 1_700_000_000.0
STEP = 30.0
BASELINE = 120  # points
INCIDENT = 60
ONSET_AT = 130  # five minutes into the incident window
ONSET = START + ONSET_AT * STEP

EDGES = (
    Edge(caller="front", callee="checkout"),
    Edge(caller="front", callee="search"),
    Edge(caller="checkout", callee="payments"),
    Edge(caller="checkout", callee="stock"),
    Edge(caller="payments", callee="bank"),
)


def scope(service: str | None = "checkout", edges: Sequence[Edge] = EDGES) -> Scope:
    """The question most incidents here are asked: what is wrong with checkout?"""
    middle = START + BASELINE * STEP
    return Scope(
        service=service,
        neighbours=("payments", "stock", "bank", "front", "search"),
        edges=tuple(edges),
        baseline=Window(start_s=START, end_s=middle),
        window=Window(start_s=middle, end_s=middle + INCIDENT * STEP),
    )


@dataclass(slots=True)
class Incident:
    """Collects evidence; every series is drawn from the seed and the order of calls alone."""

    seed: int = 1
    evidence: list[Evidence] = field(default_factory=list)

    def series(
        self,
        service: str,
        signal: Signal,
        before: float,
        after: float | None = None,
        *,
        unit: str = "",
        noise: float = 0.05,
        peer: str | None = None,
        at: int = ONSET_AT,
        ramp: bool = False,
        measure: str = "",
    ) -> "Incident":
        """A series around `before` that is around `after` from index `at` on; None: nothing happens."""
        total = BASELINE + INCIDENT
        level = np.full(total, before)
        if after is not None:
            level[at:] = np.linspace(before, after, total - at) if ramp else after
        draw = np.random.default_rng([self.seed, len(self.evidence)])
        values = level * (1 + noise * draw.standard_normal(total))
        if unit == "ratio":
            values = np.clip(values, 0, 1)
        body = SeriesBody(
            signal=signal,
            measure=measure or signal.value,
            unit=unit,
            series=(
                ServiceSeries(
                    service=service, peer=peer, series=Series(start_s=START, step_s=STEP, values=tuple(values))
                ),
            ),
        )
        return self.add(body)

    def logs(self, service: str, text: str, before: int, after: int, *, level: str = "error") -> "Incident":
        """A pattern with so many lines before and after, spread evenly; the incident's from the onset on."""
        buckets = np.zeros(BASELINE + INCIDENT, dtype=int)
        np.add.at(buckets, np.linspace(0, BASELINE - 1, before).astype(int), 1)
        np.add.at(buckets, np.linspace(ONSET_AT, BASELINE + INCIDENT - 1, after).astype(int), 1)
        pattern = Pattern(
            template_id=f"t{len(self.evidence)}",
            text=text,
            service=service,
            level=level,
            before=before,
            after=after,
            first_seen_s=START if before else ONSET + 5,
            last_seen_s=START + (BASELINE + INCIDENT) * STEP - 1,
            buckets=tuple(int(b) for b in buckets),
        )
        return self.add(
            PatternsBody(
                patterns=(pattern,),
                lines_read=before + after,
                lines_total=None,
                bucket_start_s=START,
                bucket_step_s=STEP,
            )
        )

    def change(
        self,
        service: str | None,
        minutes_before_onset: float,
        *,
        kind: ChangeKind = ChangeKind.DEPLOY,
        ref: str = "3f2c1a",
        summary: str = "release",
        diff: str = "",
        files: tuple[str, ...] = (),
    ) -> "Incident":
        return self.add(
            ChangesBody(
                changes=(
                    Change(
                        kind=kind,
                        at_s=ONSET - minutes_before_onset * 60,
                        service=service,
                        ref=ref,
                        summary=summary,
                        diff=diff,
                        files=files,
                    ),
                )
            )
        )

    def alert(self, name: str, service: str) -> "Incident":
        return self.add(AlertsBody(alerts=(Alert(name=name, labels={"service": service}, started_at_s=ONSET + 60),)))

    def add(self, body: Body) -> "Incident":
        self.evidence.append(
            Evidence(
                id=f"E{len(self.evidence) + 1}",
                title="a look",
                source="test",
                query="q",
                window=scope().whole,
                body=body,
            )
        )
        return self


def victims(incident: Incident, *, since: int = ONSET_AT + 1) -> Incident:
    """checkout slow and failing, front behind it: what people see whatever the cause below checkout is."""
    incident.series("checkout", Signal.LATENCY, 0.12, 2.9, unit="s", at=since, measure="latency p95")
    incident.series("checkout", Signal.ERRORS, 0.001, 0.2, unit="ratio", at=since, measure="error share")
    incident.series("front", Signal.LATENCY, 0.2, 3.0, unit="s", at=since, measure="latency p95")
    incident.series("front", Signal.ERRORS, 0.001, 0.1, unit="ratio", at=since, measure="error share")
    incident.logs("checkout", "call to payments failed after <*> ms", 0, 200)
    return incident


def quiet(
    incident: Incident, services: Sequence[str] = ("front", "search", "checkout", "payments", "stock", "bank")
) -> Incident:
    """Steady traffic, CPU and memory, a little noise, for services that have nothing to say."""
    for number, service in enumerate(services):
        incident.series(service, Signal.TRAFFIC, 100 - 10 * number, unit="/s", measure="requests")
        incident.series(service, Signal.CPU, 0.3, unit="ratio", noise=0.1, measure="CPU")
        incident.series(service, Signal.MEMORY, 5e8, unit="bytes", noise=0.01, measure="memory")
        incident.logs(service, "request served in <*> ms", 3000, 1500, level="info")
    return incident
