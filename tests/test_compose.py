"""compose.yaml and what it mounts fit together: nothing is privileged, unpinned, missing or misnamed."""

import dataclasses
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.demo.shop.alerts import rules_file
from bot.demo.shop.serve import _parser
from bot.demo.shop.shop import Shop
from bot.demo.shop.sources import ShopLogs
from bot.demo.shop.topology import shop
from bot.settings import Settings, read_settings
from tests.debian import program

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("groundwire", "shop")
VARIABLES = {f.metadata["env"] for f in dataclasses.fields(Settings) if "env" in f.metadata}


def test_the_services_are_those_the_documentation_names() -> None:
    assert sorted(SERVICES) == ["grafana", "groundwire", "loki", "prometheus", "shop"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_image_is_pinned_to_a_version_or_built_here(name: str) -> None:
    service = SERVICES[name]

    tag = re.fullmatch(r"[\w./-]+:v?(\d+\.\d+\.\d+)", service["image"])

    assert tag, service["image"]
    assert ("build" in service) == (name in OURS)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_is_watched(name: str) -> None:
    check = SERVICES[name]["healthcheck"]

    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "start_period"} <= check.keys()


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_service_has_a_privilege(name: str) -> None:
    service = SERVICES[name]

    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.keys() & {"privileged", "cap_add", "network_mode", "pid", "ipc", "userns_mode", "devices"}
    assert not any("docker.sock" in mount for mount in service["volumes"])
    assert name not in OURS or service["read_only"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_ports_are_published_on_the_loopback_address_only(name: str) -> None:
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_what_is_mounted_exists_and_is_read_only_where_it_is_ours(name: str) -> None:
    for mount in SERVICES[name]["volumes"]:
        source, _, *mode = mount.split(":")
        if source.startswith("."):
            assert (ROOT / source).exists(), source
            assert mode == ["ro"], mount
        else:
            assert source in COMPOSE["volumes"], source


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_services_wait_for_services_that_exist(name: str) -> None:
    for other, condition in SERVICES[name].get("depends_on", {}).items():
        assert other in SERVICES
        assert condition == {"condition": "service_healthy"}


def test_our_variables_are_settings_and_can_be_set_in_env() -> None:
    set_here = set(SERVICES["groundwire"]["environment"])
    asked_for = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "compose.yaml").read_text()))
    example = set(re.findall(r"^#? ?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))

    assert set_here <= VARIABLES
    assert asked_for <= VARIABLES
    assert asked_for <= example


def test_no_secret_stands_in_the_file() -> None:
    for name, value in SERVICES["groundwire"]["environment"].items():
        if name.startswith("SLACK_"):
            assert value == f"${{{name}:-}}"


def test_groundwire_accepts_its_configuration() -> None:
    mounted = [mount.split(":") for mount in SERVICES["groundwire"]["volumes"]]
    inside = SERVICES["groundwire"]["environment"]["GROUNDWIRE_CONFIG"]
    file = next(ROOT / source for source, target, *_ in mounted if target == inside)

    settings = read_settings({"GROUNDWIRE_CONFIG": str(file)}, working_directory=ROOT).file

    assert [source.url for source in (*settings.prometheus, *settings.loki)] == [
        "http://prometheus:9090",
        "http://loki:3100",
    ]
    assert {r.service for r in settings.git} == {s.name for s in shop().web}
    assert all(r.path == f"/shop/git/{r.service}" for r in settings.git)
    assert settings.loki[0].deploy_query == ShopLogs(quiet_shop()).deploy_query


def test_references_open_in_the_data_sources_grafana_is_given() -> None:
    given = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/groundwire.yml").read_text())["datasources"]
    settings = read_settings({"GROUNDWIRE_CONFIG": str(DEPLOY / "groundwire.toml")}, working_directory=ROOT).file

    uids = {source["uid"]: source["url"] for source in given}

    for source in (*settings.prometheus, *settings.loki):
        assert uids[source.explore.datasource] == source.url


def test_the_shop_understands_its_options() -> None:
    options = _parser().parse_args(SERVICES["shop"]["command"])

    assert options.loki == "http://loki:3100"
    assert f"shop:{options.directory}" in SERVICES["shop"]["volumes"]


def test_prometheus_scrapes_services_that_exist() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())

    targets = [t for job in config["scrape_configs"] for static in job["static_configs"] for t in static["targets"]]

    assert "shop:8000" in targets
    assert all(target.split(":")[0] in (*SERVICES, "localhost") for target in targets)


def test_promtool_accepts_the_configuration_and_the_shops_rules(tmp_path: Path) -> None:
    text = (DEPLOY / "prometheus.yml").read_text()
    assert "/shop/rules.yml" in text
    (tmp_path / "rules.yml").write_text(rules_file(quiet_shop()))
    (tmp_path / "prometheus.yml").write_text(text.replace("/shop/rules.yml", "rules.yml"))

    checked = subprocess.run(
        [str(program("promtool")), "check", "config", str(tmp_path / "prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "rules found" in checked.stdout


def test_loki_answers_what_groundwire_asks() -> None:
    config = yaml.safe_load((DEPLOY / "loki.yml").read_text())

    assert config["limits_config"]["volume_enabled"]
    assert config["limits_config"]["allow_structured_metadata"]  # the level of a line is kept there
    assert config["server"]["http_listen_port"] == 3100


def quiet_shop() -> Shop:
    return Shop(shop(), 1, None, now_s=1_790_000_000.0)
