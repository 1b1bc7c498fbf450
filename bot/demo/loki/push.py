"""Lines accepted into storage, with the refusals Loki has for bad bodies, streams and entries."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bot.demo.loki.limits import Limits
from bot.demo.loki.refusal import Refusal
from bot.demo.loki.storage import Stream, Tenant, labels_text
from bot.demo.loki.units import SECOND_NS, number_text, parse_time, rfc3339

# In the order in which Loki looks for a service name (its default `discover_service_name`).
SERVICE_LABELS = (
    "service",
    "app",
    "application",
    "app_name",
    "name",
    "app_kubernetes_io_name",
    "container",
    "container_name",
    "k8s_container_name",
    "component",
    "workload",
    "job",
    "k8s_job_name",
)
# The first day of the schema of the usual configuration: nothing older can be stored.
_SCHEMA_START_NS = parse_time("2020-10-24T00:00:00Z")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_]")
_LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The lines of one stream as they came: (time in ns, line, structured metadata)."""

    labels: Mapping[str, str]
    entries: tuple[tuple[int, str, Mapping[str, str]], ...]


def parse_body(body: bytes, content_type: str) -> list[Batch]:
    """The streams of a push. Raises Refusal for a body that cannot be read."""
    if content_type.partition(";")[0].strip() != "application/json":
        raise Refusal(400, "snappy: corrupt input\n")  # anything else is taken for protobuf
    if not body:
        raise Refusal(400, "EOF\n")
    try:
        streams = json.loads(body).get("streams") or []
        batches = [_batch(stream) for stream in streams]
    except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        raise Refusal(400, f"loghttp.PushRequest: {error}\n") from error
    if not batches:
        raise Refusal(422, "error at least one valid stream is required for ingestion\n")
    return batches


def _batch(stream: Mapping[str, Any]) -> Batch:
    labels = {
        str(name): value if isinstance(value, str) else json.dumps(value) for name, value in stream["stream"].items()
    }
    return Batch(labels=labels, entries=tuple(_entry(value) for value in stream["values"]))


def _entry(value: list[Any]) -> tuple[int, str, Mapping[str, str]]:
    line = value[1] if len(value) > 1 else ""
    metadata = value[2] if len(value) > 2 else {}
    if not isinstance(value[0], str) or not isinstance(line, str):
        raise TypeError("unmarshalerDecoder: a time and a line have to be strings")
    if not all(isinstance(text, str) for text in metadata.values()):
        raise TypeError("unmarshalerDecoder: structured metadata has to be strings")
    if not line.isascii():
        line = line.encode("utf-8", "replace").decode()  # half a surrogate pair is no text
    time_ns = int(value[0])
    if abs(time_ns) >= 2**63:
        raise ValueError("unmarshalerDecoder: a time has to fit into 64 bits")
    return time_ns, line, metadata


def push(tenant: Tenant, user: str, batches: list[Batch], limits: Limits, now_ns: int) -> None:
    """Stores what is acceptable. Raises Refusal if anything was not; the rest of the push is stored all the same."""
    for batch in batches:
        _check_names(batch.labels)
    refusals: list[Refusal] = []
    for batch in batches:
        try:
            with tenant.lock:
                refusals.extend(_push_stream(tenant, user, batch, limits, now_ns))
        except Refusal as refusal:
            refusals.append(refusal)
    if refusals:
        raise refusals[-1]


def _check_names(labels: Mapping[str, str]) -> None:
    for name in labels:
        if not _LABEL_NAME.fullmatch(name):
            wrong = _NOT_IN_A_NAME.search(name)
            place = labels_text(labels).find(name) + 1 + (wrong.start() if wrong else 0)
            reason = f"unexpected character inside braces: '{wrong.group() if wrong else name[:1]}'"
            raise Refusal(400, f"couldn't parse labels: 1:{place}: parse error: {reason}\n")


def _push_stream(tenant: Tenant, user: str, batch: Batch, limits: Limits, now_ns: int) -> Iterator[Refusal]:
    labels = {name: value for name, value in batch.labels.items() if value}
    sent = len(labels)
    if "service_name" not in labels:
        labels["service_name"] = next((labels[name] for name in SERVICE_LABELS if name in labels), "unknown_service")
    text = labels_text(labels)
    _check_labels(labels, sent, text, limits)
    good = []
    for entry in batch.entries:
        refusal = _entry_refusal(entry, text, limits, now_ns)
        if refusal is None:
            good.append(entry)
        else:
            yield refusal
    if good:
        yield from _append(tenant, user, Stream(labels), good, limits)


def _check_labels(labels: Mapping[str, str], sent: int, text: str, limits: Limits) -> None:
    if sent > limits.max_label_names:
        # The service name that was added is not counted.
        raise Refusal(400, f"entry for stream '{text}' has {sent} label names; limit {limits.max_label_names}\n")
    for name, value in labels.items():
        if len(name) > limits.max_label_name_length:
            raise Refusal(400, f"stream '{text}' has label name too long: '{name}'\n")
        if len(value) > limits.max_label_value_length:
            raise Refusal(400, f"stream '{text}' has label value too long: '{value}'\n")


def _entry_refusal(entry: tuple[int, str, Mapping[str, str]], text: str, limits: Limits, now_ns: int) -> Refusal | None:
    time_ns, line, _ = entry
    if limits.max_sample_age_ns is not None and time_ns < (oldest := now_ns - limits.max_sample_age_ns):
        return Refusal(
            400,
            f"entry for stream '{text}' has timestamp too old: {rfc3339(time_ns)}, "
            f"oldest acceptable timestamp is: {rfc3339(oldest)}\n",
        )
    if time_ns > now_ns + limits.creation_grace_ns:
        return Refusal(400, f"entry for stream '{text}' has timestamp too new: {rfc3339(time_ns)}\n")
    if len(line) * 4 > limits.max_line_bytes and (size := len(line.encode())) > limits.max_line_bytes:
        return Refusal(
            400,
            f"max entry size '{limits.max_line_bytes}' bytes exceeded for stream '{text}' "
            f"while adding an entry with length '{size}' bytes\n",
        )
    return None


def _append(
    tenant: Tenant,
    user: str,
    fresh: Stream,
    entries: list[tuple[int, str, Mapping[str, str]]],
    limits: Limits,
) -> Iterator[Refusal]:
    stream = tenant.streams.get(fresh.text)
    if stream is None:
        first_ns = entries[0][0]
        if first_ns < _SCHEMA_START_NS:
            seconds = number_text(first_ns // 1_000_000 / 1000)
            reason = f"failed to create stream: no schema config found for time {seconds}"
            raise Refusal(500, f"rpc error: code = Unknown desc = {reason}\n")
        stream = tenant.streams[fresh.text] = fresh
    late: list[tuple[int, int]] = []
    for time_ns, line, metadata in entries:
        oldest = stream.entries[-1].time_ns - limits.out_of_order_ns if stream.entries else time_ns
        if time_ns < oldest:
            late.append((time_ns, oldest))
        else:
            stream.add(time_ns, line, metadata)
    if late:
        yield Refusal(400, _too_far_behind(late, len(entries), user, stream.text))


def _too_far_behind(late: list[tuple[int, int]], total: int, user: str, text: str) -> str:
    lines = [
        f"entry with timestamp {_go_time(time_ns)} ignored, reason: 'entry too far behind, entry timestamp is: "
        f"{rfc3339(time_ns)}, oldest acceptable timestamp is: {rfc3339(oldest)}',"
        for time_ns, oldest in late[:10]  # Loki lists at most ten
    ]
    return "\n".join([*lines, f"user '{user}', total ignored: {len(late)} out of {total} for stream: {text}\n"])


def _go_time(time_ns: int) -> str:
    whole = rfc3339(time_ns // SECOND_NS * SECOND_NS).rstrip("Z").replace("T", " ")
    fraction = f".{time_ns % SECOND_NS:09d}".rstrip("0") if time_ns % SECOND_NS else ""
    return f"{whole}{fraction} +0000 UTC"
