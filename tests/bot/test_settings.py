"""Settings: read once, every mistake named with its place and its remedy, secrets never shown."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import ConfigError
from bot.settings import SERVICE_LABELS, LokiSettings, Settings, check_slack, check_sources, password_of, read_settings

SECRET = "hunter2-never-shown"

EVERYTHING = """
zone = "Europe/Berlin"
investigations_at_once = 3

[[prometheus]]
name = "metrics"
url = "https://metrics.test:9090/prefix"
environment = "prod"
tenant = "team-a"
basic_user = "reader"
basic_password_env = "METRICS_PASSWORD"
headers = { X-Team = "shop" }
ca_file = "/ca.pem"
cert_file = "/cert.pem"
key_file = "/key.pem"
service_labels = ["app"]
resolution_s = 15
parameters = { dedup = "true" }
explore = { kind = "prometheus", url = "https://metrics.test" }

[[loki]]
name = "lines"
url = "http://[::1]:3100"
level_label = "level"
deploy_query = '{app="deployer"}'

[[git]]
path = "/srv/shop"
prefixes = { "services/cart" = "cart" }

[services.cart]
owner = "#team-cart"
runbook = "https://runbooks.test/cart"
aliases = ["basket"]

[access]
channels = ["C1"]
groups = ["S1"]
users = ["U1"]
allow_shared_channels = true
"""


def read(home: Path, text: str | None = None, **environ: str) -> Settings:
    """What is read with this groundwire.toml in the home directory."""
    if text is not None:
        (home / "groundwire.toml").write_text(text, encoding="utf-8")
    return read_settings({"GROUNDWIRE_HOME": str(home), **environ}, working_directory=home / "elsewhere")


def refused(home: Path, text: str | None = None, **environ: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(home, text, **environ)
    assert caught.value.remedy.endswith(".")
    return caught.value


def source(line: str) -> str:
    return f'[[prometheus]]\nname = "p"\nurl = "http://p.test"\n{line}\n'


def test_nothing_set_is_a_working_configuration_without_sources(tmp_path: Path) -> None:
    settings = read(tmp_path)

    assert (settings.config, settings.host, settings.port, settings.log_level) == (None, "127.0.0.1", 8080, "info")
    assert settings.slack_api_url == "https://slack.com/api/"
    assert settings.database == tmp_path / "groundwire.db"
    assert (settings.file.zone, settings.file.investigations_at_once) == ("UTC", 8)


def test_without_a_home_the_data_lives_under_the_users_own(tmp_path: Path) -> None:
    assert read_settings({}, working_directory=tmp_path).home == Path.home() / ".groundwire"


def test_every_key_of_the_file_is_read(tmp_path: Path) -> None:
    file = read(tmp_path, EVERYTHING).file

    (metrics,) = file.prometheus
    assert (metrics.name, metrics.url, metrics.environment, metrics.tenant) == (
        "metrics",
        "https://metrics.test:9090/prefix",
        "prod",
        "team-a",
    )
    assert (metrics.service_labels, metrics.resolution_s, metrics.parameters) == (("app",), 15, {"dedup": "true"})
    assert (metrics.explore.kind, metrics.headers) == ("prometheus", {"X-Team": "shop"})
    (lines,) = file.loki
    assert (lines.level_label, lines.deploy_query) == ("level", '{app="deployer"}')
    assert lines.service_labels == SERVICE_LABELS
    assert file.git[0].prefixes == {"services/cart": "cart"}
    assert file.services["cart"].aliases == ("basket",)
    assert (file.access.channels, file.access.allow_shared_channels) == (("C1",), True)
    assert (file.zone, file.investigations_at_once) == ("Europe/Berlin", 3)


def test_the_file_is_found_where_it_is_named_then_at_home_then_where_the_command_runs(tmp_path: Path) -> None:
    named, home, here = tmp_path / "named.toml", tmp_path / "home", tmp_path / "here"
    for folder in (home, here):
        folder.mkdir()
    environ = {"GROUNDWIRE_HOME": str(home), "GROUNDWIRE_CONFIG": str(named)}
    for path, zone in (
        (named, "Europe/Oslo"),
        (home / "groundwire.toml", "Asia/Tokyo"),
        (here / "groundwire.toml", "UTC"),
    ):
        path.write_text(f'zone = "{zone}"')

    assert read_settings(environ, working_directory=here).file.zone == "Europe/Oslo"
    del environ["GROUNDWIRE_CONFIG"]
    assert read_settings(environ, working_directory=here).file.zone == "Asia/Tokyo"
    (home / "groundwire.toml").unlink()
    assert read_settings(environ, working_directory=here).file.zone == "UTC"


def test_a_named_file_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    error = refused(tmp_path, GROUNDWIRE_CONFIG=str(tmp_path / "missing.toml"))

    assert error.code == "CFG-001"
    assert "missing.toml" in error.message


def test_a_file_that_is_not_utf_8_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "groundwire.toml").write_bytes(b'zone = "\xff"')

    assert refused(tmp_path).code == "CFG-001"


def test_a_home_of_nobody_is_a_mistake(tmp_path: Path) -> None:
    for key in ("GROUNDWIRE_HOME", "GROUNDWIRE_CONFIG"):
        assert refused(tmp_path, **{key: "~no-such-user-here/x"}).code == "CFG-018"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("zone =", "is not TOML"),
        ("nope = 1", "there is no key nope"),
        (source('urll = "x"'), "there is no key urll @ prometheus[0]"),
        (source("[prometheus.explore]\nlink = 1"), "there is no key link @ prometheus[0].explore"),
        ('[services.cart]\nownr = "x"', "there is no key ownr @ services['cart']"),
        ("zone = 3", "needs a text in quotes, not a whole number @ zone"),
        (source('resolution_s = "30"'), "needs a whole number, not a text in quotes @ prometheus[0].resolution_s"),
        (source("resolution_s = true"), "needs a whole number, not true or false @ prometheus[0].resolution_s"),
        (source("headers = { a = 1 }"), "needs a text in quotes, not a whole number @ prometheus[0].headers['a']"),
        (source('service_labels = "app"'), "not a text in quotes @ prometheus[0].service_labels"),
        ('[access]\nchannels = "C123"', "not a text in quotes @ access.channels"),
        ("[access]\nchannels = [1]", "not a whole number @ access.channels[0]"),
        ('[access]\nallow_shared_channels = "no"', "needs true or false, not a text in quotes"),
        ('[prometheus]\nname = "p"', "or [[ ]] for tables), not a table @ prometheus"),
        ("access = 3", "needs a table, not a whole number @ access"),
        ("zone = 2026-01-01", "not a date or time @ zone"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    error = refused(tmp_path, text)

    assert error.code == "CFG-002"
    assert said in error.message
    assert str(tmp_path / "groundwire.toml") in error.message


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("CFG-006", '[[loki]]\nurl = "http://l.test"'),
        ("CFG-006", source("") + source("")),
        ("CFG-006", source("") + '[[loki]]\nname = "p"\nurl = "http://l.test"'),
        ("CFG-008", source('cert_file = "/c.pem"')),
        ("CFG-008", source('key_file = "/k.pem"')),
        ("CFG-009", source('explore = { kind = "kibana", url = "http://k.test" }')),
        ("CFG-007", source('explore = { url = "javascript:alert(1)" }')),
        ("CFG-010", "investigations_at_once = 0"),
        ("CFG-010", source("resolution_s = -1")),
        ("CFG-011", 'zone = "Middle/Earth"'),
        ("CFG-011", 'zone = ""'),
        ("CFG-011", 'zone = "../../etc/passwd"'),
        ("CFG-011", f'zone = "{"a" * 5000}"'),
        ("CFG-017", source('headers = { "X Y" = "a" }')),
        ("CFG-017", source('headers = { X = "a\\r\\nInjected: yes" }')),
        ("CFG-017", source('tenant = "größe"')),
        ("CFG-020", '[[git]]\nservice = "cart"'),
    ],
)
def test_a_value_that_cannot_work_has_a_code_and_a_remedy(tmp_path: Path, code: str, text: str) -> None:
    assert refused(tmp_path, text).code == code


URLS_REFUSED = (
    "",
    "metrics:9090",
    "ftp://metrics.test",
    "http://",
    "http://[::1",
    "http://metrics.test:99999",
    "http://metrics.test:port",
    "http://metrics test",
    "http://metrics.test/\nx",
    f"http://user:{SECRET}@metrics.test",
    "http://@metrics.test",
    f"http://metrics.test?token={SECRET}",
    "http://metrics.test#part",
    f"user:{SECRET}@metrics.test",
)


@pytest.mark.parametrize("url", URLS_REFUSED[1:])
@pytest.mark.parametrize("key", ["PROMETHEUS_URL", "LOKI_URL", "GROUNDWIRE_SLACK_API_URL"])
def test_an_address_that_cannot_be_used_is_refused_without_showing_it(tmp_path: Path, key: str, url: str) -> None:
    error = refused(tmp_path, **{key: url})

    assert error.code == "CFG-007"
    assert SECRET not in str(error)


@pytest.mark.parametrize("url", URLS_REFUSED)
def test_the_file_takes_the_same_addresses(tmp_path: Path, url: str) -> None:
    text = '[[loki]]\nname = "lines"\nurl = "' + url.replace("\n", "\\n") + '"'

    error = refused(tmp_path, text)

    assert (error.code, "of lines" in error.message) == ("CFG-007", True)


@pytest.mark.parametrize("url", ["http://h", "https://h.test:443/a/b/", "http://127.0.0.1:9090", "http://[::1]:9090"])
def test_ordinary_addresses_are_taken(tmp_path: Path, url: str) -> None:
    settings = read(tmp_path, PROMETHEUS_URL=url, LOKI_URL=url)

    assert [s.url for s in (*settings.file.prometheus, *settings.file.loki)] == [url, url]
    assert [s.name for s in (*settings.file.prometheus, *settings.file.loki)] == ["prometheus", "loki"]


def test_sources_of_the_file_win_over_the_shorthands(tmp_path: Path) -> None:
    settings = read(tmp_path, source(""), PROMETHEUS_URL="http://other.test", LOKI_URL="http://lines.test")

    assert [s.url for s in settings.file.prometheus] == ["http://p.test"]
    assert [s.url for s in settings.file.loki] == ["http://lines.test"]


@pytest.mark.parametrize("port", ["-1", "65536", "http", "٣", "1" * 5000, "80 80"])
def test_a_port_that_is_none_is_refused(tmp_path: Path, port: str) -> None:
    assert refused(tmp_path, GROUNDWIRE_PORT=port).code == "CFG-012"


def test_the_levels_of_logs_are_four(tmp_path: Path) -> None:
    assert read(tmp_path, GROUNDWIRE_LOG_LEVEL="WARNING").log_level == "warning"
    assert refused(tmp_path, GROUNDWIRE_LOG_LEVEL="loud").code == "CFG-013"


SLACK = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "SLACK_SIGNING_SECRET": "s"}


@pytest.mark.parametrize("without", ["SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"])
def test_one_way_to_reach_slack_is_enough(tmp_path: Path, without: str) -> None:
    check_slack(read(tmp_path, **{key: value for key, value in SLACK.items() if key != without}))


@pytest.mark.parametrize(
    ("code", "environ"),
    [
        ("CFG-003", {}),
        ("CFG-003", {"SLACK_APP_TOKEN": "xapp-1"}),
        ("CFG-004", {"SLACK_BOT_TOKEN": "xoxb-1"}),
        ("CFG-005", {**SLACK, "SLACK_BOT_TOKEN": f"xapp-{SECRET}"}),
        ("CFG-005", {**SLACK, "SLACK_APP_TOKEN": f"xoxb-{SECRET}"}),
    ],
)
def test_what_slack_needs_is_asked_for(tmp_path: Path, code: str, environ: Mapping[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        check_slack(read(tmp_path, **environ))

    assert caught.value.code == code
    assert SECRET not in str(caught.value)


def test_a_bot_without_sources_has_nothing_to_ask(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        check_sources(read(tmp_path))

    assert caught.value.code == "CFG-015"
    check_sources(read(tmp_path, LOKI_URL="http://lines.test"))


def test_secrets_are_not_shown_when_settings_are(tmp_path: Path) -> None:
    settings = read(tmp_path, EVERYTHING, METRICS_PASSWORD=SECRET, **dict.fromkeys(SLACK, f"xoxb-{SECRET}"))

    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)


def test_a_secret_cannot_be_written_into_the_file(tmp_path: Path) -> None:
    for key in ("basic_password", "bearer", "bearer_token", "password", "slack_bot_token"):
        error = refused(tmp_path, source(f'{key} = "{SECRET}"'))

        assert key in error.message
        assert SECRET not in str(error)


def test_a_password_comes_from_the_environment_or_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{SECRET}\n")
    from_file = LokiSettings(name="l", url="http://l.test", basic_password_file=str(tmp_path / "password"))

    assert password_of(LokiSettings(basic_password_env="P"), {"P": SECRET}) == SECRET
    assert password_of(from_file, {}) == SECRET
    assert password_of(LokiSettings(), {"P": SECRET}) == ""


def test_a_password_that_is_nowhere_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    unusable = [
        LokiSettings(name="l", basic_password_env="P"),
        *(
            LokiSettings(name="l", basic_password_file=str(tmp_path / name))
            for name in ("missing", "empty", "binary", "")
        ),
        LokiSettings(name="l", basic_password_file="~no-such-user-here/password"),
    ]
    for settings in unusable:
        with pytest.raises(ConfigError) as caught:
            password_of(settings, {})
        assert (caught.value.code, "of l" in caught.value.message) == ("CFG-014", True)


@given(st.sampled_from(("http:", "http://", "https://")), st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_any_address_makes_settings_or_a_clear_error(scheme: str, text: str) -> None:
    environ = {"GROUNDWIRE_HOME": "/nowhere", "LOKI_URL": scheme + text}
    code, taken = "CFG-007", scheme + text
    try:
        taken = read_settings(environ, working_directory=Path("/nowhere")).file.loki[0].url
    except ConfigError as error:
        code = error.code

    assert (code, taken) == ("CFG-007", scheme + text)
