"""Log lines a machine can read, without secrets; metrics that are declared and bounded."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from prometheus_client import CollectorRegistry, generate_latest

from bot.adapters.telemetry import METRICS, MOST_LABEL_SETS, PrometheusMeter, configure_logging
from bot.domain.codec import Json

TOKEN = "xoxb-" + "123456789012-123456789012-" + "AbCdEfGhIjKlMnOpQrStUvWx"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging(stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[Json]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_service_time_and_context(written: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(investigation="inv:T1:C1:1760000000.000100"):
        structlog.get_logger("bot.test").info("looked", looks=3)

    (line,) = lines(written)

    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "looked",
        "level": "info",
        "logger": "bot.test",
        "service": "groundwire",
        "investigation": "inv:T1:C1:1760000000.000100",
        "looks": 3,
    }


def test_what_libraries_log_looks_the_same(written: io.StringIO) -> None:
    logging.getLogger("library").warning("queue %s is slow", "stories")

    (line,) = lines(written)

    assert (line["event"], line["service"], line["level"]) == ("queue stories is slow", "groundwire", "warning")


def test_no_secret_reaches_the_log(written: io.StringIO) -> None:
    log = structlog.get_logger("bot.test")
    log.info(
        f"posting with {TOKEN}", header={"Authorization": f"Bearer {TOKEN}"}, parts=[TOKEN], thing=ValueError(TOKEN)
    )
    log.info("connecting", password="correct-horse-battery")
    logging.getLogger("library").error("url was https://bot:sup3rs3cr3tpw@prometheus.example/")

    told = written.getvalue()

    assert len(lines(written)) == 3
    for secret in (TOKEN, TOKEN[-24:], "correct-horse-battery", "sup3rs3cr3tpw"):
        assert secret not in told


def test_a_traceback_is_told_without_secrets_and_local_variables(written: io.StringIO) -> None:
    def fails(held: str) -> None:
        raise RuntimeError(f"slack refused {TOKEN}")

    for log in (structlog.get_logger("bot.test"), logging.getLogger("library")):
        try:
            fails("a value nobody should read: " + "4711" * 3)
        except RuntimeError:
            log.exception("failed")

    for line in lines(written):
        (raised,) = line["exception"]
        assert raised["exc_type"] == "RuntimeError"
        assert raised["frames"][-1]["name"] == "fails"
        assert TOKEN not in json.dumps(line)
        assert "47114711" not in json.dumps(line)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_every_declared_metric_is_there_by_its_name(registry: CollectorRegistry) -> None:
    meter = PrometheusMeter(registry)
    for metric in METRICS:
        labels = dict.fromkeys(metric.labels, "x")
        if metric.buckets:
            meter.time(metric.name, 0.2, **labels)
        else:
            meter.count(metric.name, by=1, **labels)

    told = generate_latest(registry).decode()

    for metric in METRICS:
        assert f"{metric.name}_bucket{{" in told if metric.buckets else f"\n{metric.name}" in told


def test_milliseconds_are_shown_for_a_metric_in_milliseconds(registry: CollectorRegistry) -> None:
    PrometheusMeter(registry).time("llm_developer_latency_ms", 0.25, request_type="command")

    assert registry.get_sample_value("llm_developer_latency_ms_sum", {"request_type": "command"}) == 250


def test_a_gauge_goes_up_and_down(registry: CollectorRegistry) -> None:
    meter = PrometheusMeter(registry)
    meter.count("groundwire_socket_connections", by=2)
    meter.count("groundwire_socket_connections", by=-1)

    assert registry.get_sample_value("groundwire_socket_connections") == 1


def test_an_undeclared_name_or_label_is_an_error(registry: CollectorRegistry) -> None:
    meter = PrometheusMeter(registry)

    with pytest.raises(ValueError, match="groundwire_new_total"):
        meter.count("groundwire_new_total")
    with pytest.raises(ValueError, match="that takes times"):
        meter.time("groundwire_investigations_total", 1.0, outcome="likely")
    with pytest.raises(ValueError, match="that counts"):
        meter.count("groundwire_investigation_seconds")
    with pytest.raises(ValueError, match="label"):
        meter.count("groundwire_investigations_total", user="U1")
    with pytest.raises(ValueError, match="label"):
        meter.count("groundwire_investigations_total")


def test_labels_that_never_end_do_not_fill_the_memory(registry: CollectorRegistry) -> None:
    meter = PrometheusMeter(registry)
    for n in range(MOST_LABEL_SETS + 50):
        meter.count("groundwire_investigations_total", outcome=f"outcome {n}")

    assert registry.get_sample_value("groundwire_investigations_total", {"outcome": "other"}) == 50
    assert registry.get_sample_value("groundwire_investigations_total", {"outcome": "outcome 7"}) == 1


def test_a_gauge_can_follow_a_value() -> None:
    registry = CollectorRegistry()
    meter = PrometheusMeter(registry)
    held = [1.0]

    meter.follow("groundwire_socket_connections", lambda: held[0])
    held[0] = 2.0

    assert registry.get_sample_value("groundwire_socket_connections") == 2.0
    with pytest.raises(ValueError, match="follows"):
        meter.follow("groundwire_slack_events_total", lambda: 1.0)
