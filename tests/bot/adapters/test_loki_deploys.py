"""Deploys read off log lines as deploy tools write them."""

import json
from collections.abc import Sequence

import aiohttp
import pytest

from bot.adapters.endpoint import Endpoint
from bot.adapters.loki import LokiSource
from bot.adapters.loki_deploys import LokiDeploys, deploy_in
from bot.demo.loki.server import fake_loki, running_loki
from bot.domain.change import Change, ChangeKind
from bot.domain.logs import LogLine
from bot.domain.scope import Window
from bot.errors import QueryRefused

AT_S = 1_790_000_000
LABELS = ("service_name", "app")
WINDOW = Window(start_s=AT_S - 600, end_s=AT_S + 600)


def read(text: str, **labels: str) -> Change:
    return deploy_in(LogLine(ts_ns=AT_S * 10**9, line=text, labels=labels), LABELS, "loki")


@pytest.mark.parametrize(
    ("text", "service", "ref", "author", "summary"),
    [
        (
            '{"service":"cart","version":"1.4.2","user":"ada","message":"rollout finished"}',
            *("cart", "1.4.2", "ada", "rollout finished"),
        ),
        (
            'level=info msg="rollout finished" app=checkout version=v2.0.1 commit=0a1b2c3 author=grace',
            *("checkout", "v2.0.1", "grace", "rollout finished"),
        ),
        (
            '{"event":"deployed","deployment":"api","image":"registry:5000/shop/api:2026.11.3","triggered_by":"ci"}',
            *("api", "2026.11.3", "ci", None),
        ),
        ("app=web sha=0123456789abcdef0123456789abcdef01234567", "web", "0123456789ab", None, None),
        ('{"data":{"Application":"pay","revision":"main-77"},"actor":"linus"}', "pay", "main-77", "linus", None),
        ("image=shop/pay@sha256:" + "ab" * 32, "deployer", "abababababab", None, None),
        ('msg="he said \\"go\\"" app=web version=3', "web", "3", None, 'he said "go"'),
        ("Rolled out everything", "deployer", "deploy", None, "Rolled out everything"),
        ('{"version": "1', "deployer", "deploy", None, '{"version": "1'),
        ("[" * 5000, "deployer", "deploy", None, "[" * 300),
        ('{"a":' * 5000, "deployer", "deploy", None, None),
        ("[1, 2]", "deployer", "deploy", None, "[1, 2]"),
        ('{"version": 7, "ok": true, "service": null}', "deployer", "7", None, None),
    ],
)
def test_a_line_says_what_was_deployed(
    text: str, service: str, ref: str, author: str | None, summary: str | None
) -> None:
    change = read(text, app="deployer")

    assert (change.service, change.ref, change.author) == (service, ref, author)
    assert change.summary == (text[:300] if summary is None else summary)
    assert (change.kind, change.at_s, change.source) == (ChangeKind.DEPLOY, AT_S, "loki")


def test_labels_that_a_query_parsed_fill_in_what_the_line_lacks() -> None:
    change = read("rolled out", app="deployer", version="1.2", author="ada")

    assert (change.service, change.ref, change.author) == ("deployer", "1.2", "ada")


def test_a_stream_without_a_service_concerns_everyone() -> None:
    assert read("rolled out", service_name="unknown_service").service is None


@pytest.mark.parametrize(
    ("services", "found"),
    [
        ((), ["cart", "checkout-api", None]),
        (("cart",), ["cart", None]),
        (("checkout",), ["checkout", None]),  # under the name it was asked for
        (("orders",), [None]),
    ],
)
async def test_changes_are_those_of_the_services_oldest_first(services: Sequence[str], found: list[str | None]) -> None:
    lines = ["app=cart version=1", "app=checkout-api version=2", "the whole cluster moved"]
    values = [[str((AT_S + i) * 10**9), f"rollout {line}"] for i, line in enumerate(lines)]
    body = {"streams": [{"stream": {"job": "deploys"}, "values": values}]}
    loki = fake_loki(now_ns=lambda: (AT_S + 60) * 10**9)
    async with running_loki(loki) as url, aiohttp.ClientSession() as session:
        async with session.post(f"{url}/loki/api/v1/push", json=body) as answer:
            assert answer.status == 204, await answer.text()
        source = LokiSource("loki", Endpoint(url=url), environment="prod", service_labels=("app",))
        deploys = LokiDeploys(source, query='{job="deploys"} |= "rollout"')

        changes = await deploys.changes(services, WINDOW, timeout_s=5)

        await source.close()
    assert [change.service for change in changes] == found
    assert (deploys.name, deploys.environment) == ("loki", "prod")


async def test_a_query_that_makes_no_sense_is_refused() -> None:
    async with running_loki() as url:
        source = LokiSource("loki", Endpoint(url=url))

        with pytest.raises(QueryRefused) as refused:
            await LokiDeploys(source, query="{job=").changes((), WINDOW, timeout_s=5)

        await source.close()
    assert "parse error" in refused.value.message


def test_fields_inside_do_not_win_over_those_outside() -> None:
    text = json.dumps({"service": "outer", "spec": {"service": "inner", "version": "9"}})

    change = read(text)

    assert (change.service, change.ref) == ("outer", "9")
