"""Ranks the causes of recorded incidents with the evidence engine alone and scores the answers.

    python benchmarks/rca.py --set ../shared/data/rca_dev --out /tmp/predictions.jsonl [--score ../shared/tools/rca_score.py]
        [--late 60] [--without logs,spans,changes] [--only PREFIX] [--explain]

Reads `cases/` and `refs/` only; the truth is read by the scorer. Metric names are classified by words of the field.
"""

import argparse
import csv
import gzip
import json
import math
import re
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from bot.domain.alert import Alert
from bot.domain.change import Change, ChangeKind
from bot.domain.evidence import (
    AlertsBody,
    Body,
    ChangesBody,
    Evidence,
    GraphBody,
    Pattern,
    PatternsBody,
    SeriesBody,
    ServiceSeries,
    Signal,
)
from bot.domain.logs import LogLine
from bot.domain.scope import Edge, Scope, Window
from bot.domain.series import Series
from bot.evidence.rank import Ranking, rank
from bot.evidence.templates import Template, mine

SLI = "frontdoor"  # the set's pseudo-service for what users see; nobody can fix it, so it is asked about and never an answer
SELF_TIME_STEP_S = 10.0
BUCKET_S = 5.0  # the Nezha logs last three minutes

# First match wins. Words, not names: nothing here belongs to one system.
SIGNALS: tuple[tuple[str, Signal], ...] = (
    (r"^node_", Signal.OTHER),
    (r"success_rate|availab|ready_replicas|cache_hit", Signal.AVAILABILITY),
    (r"error|fail|5xx|4xx|401|unauthorized", Signal.ERRORS),
    (r"client.*(latency|duration)", Signal.CALL_LATENCY),
    (r"edge_.*source", Signal.CALL_LATENCY),
    (r"latency|duration|_p\d\d", Signal.LATENCY),
    (r"restart", Signal.RESTARTS),
    (r"disk", Signal.DISK),
    (r"cpu", Signal.CPU),
    (r"memory|heap", Signal.MEMORY),
    (r"used_(pct|percent|ratio)|pool|saturation", Signal.SATURATION),
    (r"queue|backlog|lag", Signal.QUEUE),
    (r"ops$|requests|_rps|per_sec|throughput|queries", Signal.TRAFFIC),
)
SCALES = (
    ("_percent", 0.01, "ratio"),
    ("_pct", 0.01, "ratio"),
    ("_ratio", 1.0, "ratio"),
    ("_ms", 1e-3, "s"),
    ("seconds", 1.0, "s"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One recorded incident as a folder."""

    folder: Path
    about: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.about["case_id"])


def scope_of(case: Case, late_s: float) -> Scope:
    start, end = case.about["metric_window"]
    onset = min(float(case.about["onset_hint"]) + late_s, float(end) - 1)
    alert = case.about.get("alert") or {}
    return Scope(
        service=alert.get("service", SLI),
        baseline=Window(start_s=start, end_s=onset),
        window=Window(start_s=onset, end_s=max(end + case.about["metric_step_s"], onset + 1)),
    )


def evidence_of(case: Case, scope: Scope, without: frozenset[str]) -> list[Evidence]:
    bodies: list[Body] = [*metrics(case)]
    if "spans" not in without:
        bodies += traces(case, scope)
    if "logs" not in without:
        bodies += logs(case, scope)
    if "changes" not in without:
        bodies += changes(case)
    if case.about.get("alert"):
        bodies.append(alert(case.about["alert"]))
    return [
        Evidence(id=f"E{n}", title="recorded", source="recording", query="", window=scope.whole, body=body)
        for n, body in enumerate(bodies, 1)
    ]


def metrics(case: Case) -> Iterator[SeriesBody]:
    known = json.loads((case.folder / "series.json").read_text())
    with gzip.open(case.folder / "metrics.csv.gz", "rt") as file:
        rows = list(csv.reader(file))[1:]
    step = float(case.about["metric_step_s"])
    times = [float(row[0]) for row in rows]
    length = round((times[-1] - times[0]) / step) + 1
    groups: dict[str, list[ServiceSeries]] = defaultdict(list)
    for column, one in enumerate(known, 1):
        values = [math.nan] * length
        for at, row in zip(times, rows, strict=True):
            if row[column]:
                values[round((at - times[0]) / step)] = float(row[column])
        groups[one["metric"]].append(_named(one["metric"], one["labels"], times[0], step, values))
    for name, series in groups.items():
        signal = next((s for pattern, s in SIGNALS if re.search(pattern, name)), Signal.OTHER)
        yield SeriesBody(signal=signal, measure=name.replace("_", " "), unit=_scale(name)[1], series=tuple(series))


def _scale(name: str) -> tuple[float, str]:
    return next(((factor, unit) for end, factor, unit in SCALES if end in name), (1.0, ""))


def _named(name: str, labels: Mapping[str, str], start: float, step: float, values: list[float]) -> ServiceSeries:
    factor, unit = _scale(name)
    if unit == "ratio" and max((v for v in values if not math.isnan(v)), default=0) <= 1.0:
        factor = 1.0  # some exporters call a share a percentage
    series = Series(labels=labels, start_s=start, step_s=step, values=tuple(v * factor for v in values))
    if "source" in labels:
        ends = (labels["source"], labels["target"])
        service, peer = ends if "source" in name else (ends[1], ends[0])
        return ServiceSeries(service=service, peer=peer, series=series)
    return ServiceSeries(service=labels["service"], series=series)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    service: str
    op: str
    start_s: float
    self_s: float


def traces(case: Case, scope: Scope) -> list[Body]:
    """The call graph of the spans, and how much slower each service's own work is than in the reference minute."""
    if (case.folder / "spans.json").exists():
        return [GraphBody(edges=tuple(listed_edges(case.folder / "spans.json")))]
    now, edges = spans(case.folder / "traces.csv.gz", case.about.get("trace_epoch_us", 0))
    bodies: list[Body] = [GraphBody(edges=tuple(edges))] if edges else []
    reference = case.about.get("reference")
    if reference and now:
        root = case.folder.parent.parent / reference
        about = json.loads((root / "ref.json").read_text()) if (root / "ref.json").exists() else {}
        usual, _ = spans(root / "traces.csv.gz", about.get("trace_epoch_us", 0))
        if usual:
            bodies.append(self_times(usual, now, scope))
    return bodies


def listed_edges(path: Path) -> list[Edge]:
    """Who calls whom in a short list of spans. Ids of traces are not reliable in it; ids of spans are."""
    told = json.loads(path.read_text())
    owner = {one["span_id"]: one["service"] for one in told}
    pairs = {(owner[one["parent_id"]], one["service"]) for one in told if one.get("parent_id") in owner}
    return [Edge(caller=a, callee=b) for a, b in sorted(pairs) if a != b]


def spans(path: Path, epoch_us: float) -> tuple[list[Span], list[Edge]]:
    if not path.exists():
        return [], []
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    owner = {(r["trace"], r["span"]): r["service"] for r in rows}
    inside: dict[tuple[str, str], float] = defaultdict(float)
    edges = set()
    for r in rows:
        parent = (r["trace"], r["parent"])
        inside[parent] += float(r["dur_us"])
        if parent in owner and owner[parent] != r["service"]:
            edges.add((owner[parent], r["service"]))
    found = [
        Span(
            service=r["service"],
            op=r["op"],
            start_s=(epoch_us + float(r["start_us"])) / 1e6,
            self_s=max(0.0, float(r["dur_us"]) - inside[r["trace"], r["span"]]) / 1e6,
        )
        for r in rows
    ]
    return found, [Edge(caller=a, callee=b) for a, b in sorted(edges)]


def self_times(usual: Sequence[Span], now: Sequence[Span], scope: Scope) -> SeriesBody:
    """Self time of each service over its usual one for the same operation; the reference stands where the baseline is."""
    by_op: dict[tuple[str, str], list[float]] = defaultdict(list)
    for span in usual:
        by_op[span.service, span.op].append(span.self_s)
    typical = {key: statistics.fmean(values) for key, values in by_op.items()}
    first = min(span.start_s for span in usual)
    length = max(span.start_s for span in usual) - first
    begin = scope.window.start_s - math.ceil((length + 1) / SELF_TIME_STEP_S) * SELF_TIME_STEP_S
    cells: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    moved = [(span, span.start_s - first + begin) for span in usual]
    moved += [(span, span.start_s) for span in now if span.start_s >= scope.window.start_s]
    for span, at in moved:
        expected = typical.get((span.service, span.op), 0.0)
        if expected > 0:
            cells[span.service][int((at - begin) // SELF_TIME_STEP_S)].append(span.self_s / expected)
    columns = 1 + max((n for row in cells.values() for n in row), default=0)
    series = [
        ServiceSeries(
            service=service,
            series=Series(
                start_s=begin,
                step_s=SELF_TIME_STEP_S,
                values=tuple(statistics.fmean(row[n]) if n in row else math.nan for n in range(columns)),
            ),
        )
        for service, row in sorted(cells.items())
    ]
    return SeriesBody(signal=Signal.LATENCY, measure="self time over usual", unit="", series=tuple(series))


def logs(case: Case, scope: Scope) -> list[Body]:
    """The templates of each service. The fault-free reference, where there is one, is told as if it came just before."""
    by_service: dict[str, list[LogLine]] = defaultdict(list)
    onset_ns = int(scope.window.start_s * 1e9)
    if case.about.get("reference"):
        usual = list(lines_of(case.folder.parent.parent / case.about["reference"]))
        shift_ns = onset_ns - 1 - usual[-1][1].ts_ns if usual else 0
        for service, line in usual:
            by_service[service].append(replace(line, ts_ns=line.ts_ns + shift_ns))
    for service, line in lines_of(case.folder):
        by_service[service].append(line)
    begin = int(scope.baseline.start_s)
    cuts = [int((begin + n * BUCKET_S) * 1e9) for n in range(1, int(scope.whole.duration_s / BUCKET_S) + 1)]
    patterns = []
    for service, lines in sorted(by_service.items()):
        for found in mine(sorted(lines, key=lambda line: line.ts_ns), cuts_ns=cuts):
            patterns.append(pattern_of(service, found, scope))
    if not patterns:
        return []
    total = sum(len(lines) for lines in by_service.values())
    return [
        PatternsBody(
            patterns=tuple(patterns),
            lines_read=total,
            lines_total=total,
            bucket_start_s=float(begin),
            bucket_step_s=BUCKET_S,
        )
    ]


def pattern_of(service: str, found: Template, scope: Scope) -> Pattern:
    split = round((scope.window.start_s - int(scope.baseline.start_s)) / BUCKET_S)
    before, after = found.counts[:split], found.counts[split:]
    return Pattern(
        template_id=found.template_id,
        text=found.pattern,
        service=service,
        level=found.level,
        before=sum(before),
        after=sum(after),
        first_seen_s=found.first_seen_ns / 1e9,
        last_seen_s=found.last_seen_ns / 1e9,
        examples=found.examples,
        buckets=found.counts,
    )


def lines_of(folder: Path) -> Iterator[tuple[str, LogLine]]:
    if not (folder / "logs.jsonl.gz").exists():
        return
    streams = {one["id"]: one["labels"] for one in json.loads((folder / "streams.json").read_text())}
    with gzip.open(folder / "logs.jsonl.gz", "rt") as file:
        for text in file:
            row = json.loads(text)
            labels = streams[row["s"]]
            level = str(labels.get("level", "unknown")).lower()
            yield labels["service"], LogLine(ts_ns=row["ts"], line=row["line"], labels=labels, level=level)


def changes(case: Case) -> list[Body]:
    if not case.about.get("changes"):
        return []
    told = json.loads((case.folder / case.about["changes"]).read_text())
    found = [
        Change(
            kind=ChangeKind.COMMIT,
            at_s=_time(c["timestamp"]),
            service=None,
            ref=c["sha"],
            summary=c["message"],
            author=c["author"],
            files=tuple(c["files_changed"]),
            diff=c["diff"] or "",
        )
        for c in told["commits"]
    ]
    found += [
        Change(
            kind=ChangeKind.DEPLOY,
            at_s=_time(d["timestamp"]),
            service=d["service"],
            ref=d["commit_sha"],
            summary=str(d.get("version", "")),
        )
        for d in told["deploys"]
    ]
    found += [
        Change(
            kind=ChangeKind.FLAG, at_s=_time(f["timestamp"]), service=f["service"], ref=f["flag"], summary=f["change"]
        )
        for f in told["flags"]
    ]
    return [ChangesBody(changes=tuple(found))]


def alert(told: Mapping[str, Any]) -> AlertsBody:
    labels = {"service": told["service"], "severity": str(told.get("severity", ""))}
    one = Alert(
        name=told.get("monitor", "alert"),
        labels=labels,
        annotations={"summary": told.get("summary", "")},
        started_at_s=_time(told["fired_at"]),
    )
    return AlertsBody(alerts=(one,))


def _time(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def answer(case: Case, ranking: Ranking, seconds: float) -> dict[str, Any]:
    commits = {
        c.ref
        for body in changes(case)
        if isinstance(body, ChangesBody)
        for c in body.changes
        if c.kind is ChangeKind.COMMIT
    }
    guilty = ranking.cause.change if ranking.cause else None
    return {
        "case_id": case.id,
        "services": [name for name in ranking.services if name != SLI],
        "commit": guilty if guilty in commits else "none",
        "onset": ranking.onset_s,
        "seconds": round(seconds, 4),
        "findings": [finding.statement.text for finding in ranking.findings[:8]],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--score", type=Path, default=Path("../shared/tools/rca_score.py"))
    parser.add_argument("--late", type=float, default=0.0, help="seconds the given onset is late")
    parser.add_argument("--without", default="", help="comma-separated: logs, spans, changes")
    parser.add_argument("--only", default="", help="cases whose id starts with this")
    parser.add_argument("--explain", action="store_true", help="print the findings as people read them")
    args = parser.parse_args()
    without = frozenset(filter(None, args.without.split(",")))
    took = []
    with args.out.open("w") as out:
        for folder in sorted((args.set / "cases").iterdir()):
            if not folder.name.startswith(args.only):
                continue
            case = Case(folder=folder, about=json.loads((folder / "case.json").read_text()))
            scope = scope_of(case, args.late)
            evidence = evidence_of(case, scope, without)
            begun = time.perf_counter()
            ranking = rank(scope, evidence)
            took.append(time.perf_counter() - begun)
            row = answer(case, ranking, took[-1])
            out.write(json.dumps(row) + "\n")
            if args.explain:
                print(case.id, ranking.cause and ranking.cause.statement.text, *row["findings"], sep="\n   ")
    print(
        f"ranking: median {statistics.median(took) * 1e3:.0f} ms, worst {max(took) * 1e3:.0f} ms a case\n", flush=True
    )
    command = [sys.executable, str(args.score), "--set", str(args.set), "--predictions", str(args.out)]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
