"""A wrong variable stops the start with one sentence that names it; a secret is never shown."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.core.exceptions import ImproperlyConfigured

from tds.environment import (
    BROKER_COUNT,
    PORT_VARIABLES,
    BrokerPorts,
    Mode,
    MorePorts,
    Plain,
    Ports,
    broker_ports,
    firmware_url,
    kept_secret,
    plain_at,
    read,
    server_names,
)

SECRET = "correct-horse-battery-staple-of-36-chars"


def refusal(**variables: str) -> str:
    with pytest.raises(ImproperlyConfigured) as caught:
        read(variables)
    return str(caught.value)


@pytest.fixture
def home(tmp_path: Path) -> str:
    return str(tmp_path / "home")


def test_nothing_has_to_be_set_for_development(home: str) -> None:
    environment = read({"TDS_HOME": home})

    assert environment.mode is Mode.DEVELOPMENT
    assert environment.bind == "127.0.0.1"
    assert environment.mqtt_urls == ("mqtt://localhost:1883",)
    assert environment.database_url.startswith("postgresql://tds:")
    assert environment.database_url.endswith("@127.0.0.1:5442/tds")
    assert len(environment.secret_key) >= 32


def test_the_secrets_that_are_made_are_the_same_at_the_next_start(home: str) -> None:
    first, second = read({"TDS_HOME": home}), read({"TDS_HOME": home})

    assert (first.secret_key, first.database_url) == (second.secret_key, second.database_url)


def test_the_secrets_that_are_made_are_readable_by_their_owner_alone(home: str) -> None:
    kept_secret(Path(home), "some")

    assert (Path(home) / "secrets").stat().st_mode & 0o077 == 0
    assert (Path(home) / "secrets" / "some").stat().st_mode & 0o077 == 0
    assert [path.name for path in (Path(home) / "secrets").iterdir()] == ["some"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TDS_MODE", "prod"),
        *((name, value) for name, _ in PORT_VARIABLES.values() for value in ("0", "65536", "80a", "-1", "1.5", "٣")),
        ("TDS_WEB_PORT", "9" * 5_000),
        ("TDS_HOME", "~nobody-has-this-name/tds"),
        ("TDS_BIND", "127.0.0.1:8000"),
        ("TDS_BIND", "the-machine"),
        ("TDS_RETENTION_DAYS", "0"),
        ("TDS_RETENTION_DAYS", "3651"),
        ("TDS_SILENT_AFTER_S", "59"),
        ("TDS_SILENT_AFTER_S", "86401"),
        ("TDS_UPDATE_URL", "http://tds.example.org:8070"),
        ("TDS_UPDATE_URL", "https://tds.example.org:8070/ota"),
        ("TDS_UPDATE_URL", "https://tds.example.org:8070?a=b"),
        ("TDS_UPDATE_URL", "https://somebody@tds.example.org:8070"),
        ("TDS_UPDATE_URL", "https://tds.example.org:80700"),
        ("TDS_UPDATE_URL", "https://*.example.org"),
        ("TDS_UPDATE_URL", "tds.example.org"),
        ("TDS_UPDATE_LOST_AFTER_S", "9"),
        ("TDS_UPDATE_LOST_AFTER_S", "604801"),
        ("TDS_RETENTION_BYTES", "10G"),
        ("TDS_RETENTION_BYTES", "-1"),
        ("TDS_RETENTION_MIN_DAYS", "0"),
        ("TDS_RETENTION_MIN_DAYS", "91"),  # more than the days that are kept
        ("TDS_DISK_WARNING_DAYS", "366"),
        ("TDS_QUARANTINE_PER_GATEWAY", "0"),
        ("TDS_QUARANTINE_MESSAGES", "many"),
        ("TDS_QUARANTINE_BYTES", "1"),
        ("TDS_BATCH_MESSAGES", "5001"),
        ("TDS_BATCH_LINGER_MS", "0"),
        ("TDS_HTTPS", "yes"),
        ("TDS_MQTT_URLS", "localhost"),
        ("TDS_MQTT_URLS", "http://localhost"),
        ("TDS_MQTT_URLS", "mqtt://localhost:70000"),
        ("TDS_MQTT_URLS", "mqtt://localhost:0"),
        ("TDS_MQTT_URLS", "mqtt://localhost mqtt://"),
        ("TDS_MQTT_PLAIN", "anonymous"),
        ("TDS_MQTT_PLAIN", "password"),  # without a day on which that ends
        ("TDS_MQTT_PLAIN_UNTIL", "tomorrow"),
        ("TDS_MQTT_PLAIN_UNTIL", "2026-02-30"),
        ("TDS_TLS_NAMES", "https://tds.example.org"),
        ("TDS_TLS_NAMES", "*.example.org"),
        ("TDS_TLS_NAMES", "máquina.example.org"),
        ("TDS_TLS_NAMES", " ".join(["tds.example.org"] * 33)),
        ("TDS_REDIS_URL", "localhost:6379"),
        ("TDS_DATABASE_URL", "mysql://localhost/tds"),
        ("TDS_DATABASE_URL", "postgresql://[::1"),
        ("TDS_SECRET_KEY", "short"),
        ("TDS_METRICS_TOKEN", "sénha"),
        ("TDS_METRICS_TOKEN", "two words"),
        ("TDS_SECRET_KEY_FILE", "/nowhere/at/all"),
        ("TDS_DATABASE_URL_FILE", "/nowhere/at/all"),
        ("TDS_REDIS_URL_FILE", "/nowhere/at/all"),
        ("TDS_METRICS_TOKEN_FILE", "/nowhere/at/all"),
        ("TDS_MQTT_URLS_FILE", "/nowhere/at/all"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_its_variable(home: str, name: str, value: str) -> None:
    sentence = refusal(**{"TDS_HOME": home, name: value})

    assert sentence.startswith(name)
    assert sentence.endswith(".")
    assert len(sentence) < 300
    assert "\n" not in sentence


def test_two_ports_that_are_the_same_name_both_variables() -> None:
    assert (
        refusal(TDS_WEB_PORT="9001") == "TDS_MQTT_WS_PORT is 9001, and so is TDS_WEB_PORT; give each a port of its own."
    )


def test_production_does_not_make_up_its_secret_key(home: str) -> None:
    assert refusal(TDS_HOME=home, TDS_MODE="production").startswith("TDS_SECRET_KEY is not set")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TDS_DATABASE_URL", "mysql://user:hunter2@localhost/tds"),
        ("TDS_DATABASE_URL", "postgresql://user:hunter2@local:host/tds"),
        ("TDS_MQTT_URLS", "http://user:hunter2@localhost"),
        ("TDS_REDIS_URL", "http://:hunter2@localhost"),
        ("TDS_SECRET_KEY", "hunter2"),
    ],
)
def test_a_secret_is_never_shown(home: str, name: str, value: str) -> None:
    assert "hunter2" not in refusal(TDS_HOME=home, **{name: value})


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("TDS_SECRET_KEY", SECRET, "secret_key"),
        ("TDS_METRICS_TOKEN", SECRET, "metrics_token"),
        ("TDS_REDIS_URL", f"redis://:{SECRET}@localhost", "redis_url"),
        ("TDS_DATABASE_URL", f"postgresql://tds:{SECRET}@localhost/tds", "database_url"),
    ],
)
def test_a_secret_may_come_from_a_file(home: str, tmp_path: Path, name: str, value: str, field: str) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{value}\n", encoding="utf-8")

    assert getattr(read({"TDS_HOME": home, f"{name}_FILE": str(file)}), field) == value


def test_a_secret_file_that_is_no_text_is_not_shown(home: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"hunter2\xff")

    assert "hunter2" not in refusal(TDS_HOME=home, TDS_SECRET_KEY_FILE=str(file))


def test_a_wrong_url_in_a_file_is_not_shown(home: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("mysql://user:hunter2@localhost/tds", encoding="utf-8")

    sentence = refusal(TDS_HOME=home, TDS_DATABASE_URL_FILE=str(file))

    assert sentence.startswith("TDS_DATABASE_URL")
    assert "hunter2" not in sentence


def test_a_home_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    assert refusal(TDS_HOME=str(file)).startswith("TDS_HOME is ")


def test_a_variable_that_is_set_to_nothing_counts_as_not_set(home: str) -> None:
    assert read({"TDS_HOME": home, "TDS_WEB_PORT": " ", "TDS_MQTT_URLS": ""}).ports.web == 8000


def test_the_urls_of_brokers_may_come_from_a_file_because_they_may_hold_passwords(home: str, tmp_path: Path) -> None:
    file = tmp_path / "urls"
    file.write_text("mqtt://a:b@one\nmqtt://two\n", encoding="utf-8")

    assert read({"TDS_HOME": home, "TDS_MQTT_URLS_FILE": str(file)}).mqtt_urls == ("mqtt://a:b@one", "mqtt://two")


def test_several_brokers_are_several_urls(home: str) -> None:
    urls = read({"TDS_HOME": home, "TDS_MQTT_URLS": "mqtt://one mqtts://user:pass@two:8884"}).mqtt_urls

    assert urls == ("mqtt://one", "mqtts://user:pass@two:8884")


# Several brokers


@pytest.mark.parametrize(
    "urls",
    [
        "mqtt://localhost mqtt://localhost",
        "mqtt://localhost:1883 mqtt://127.0.0.1",
        "mqtt://[::1] mqtt://localhost:1883",
        "mqtt://[::ffff:127.0.0.1] mqtt://127.0.0.1",
        "mqtt://Broker.example mqtt://user:hunter2@broker.example.:1883",
        "mqtts://broker.example mqtts://broker.example:8883",
    ],
)
def test_a_broker_that_is_named_twice_is_one_sentence(home: str, urls: str) -> None:
    sentence = refusal(TDS_HOME=home, TDS_MQTT_URLS=urls)

    assert sentence.startswith("TDS_MQTT_URLS names the broker at ")
    assert sentence.endswith("as number 1 and again as number 2; name each once, for each has one consumer.")
    assert "hunter2" not in sentence


@pytest.mark.parametrize(
    "urls", ["mqtt://localhost mqtt://localhost:1884", "mqtt://127.0.0.1 mqtt://127.0.0.2", "mqtt://a mqtts://a"]
)
def test_another_port_or_host_is_another_broker(home: str, urls: str) -> None:
    assert read({"TDS_HOME": home, "TDS_MQTT_URLS": urls}).mqtt_urls == tuple(urls.split())


def test_the_number_of_private_brokers_is_remembered_in_the_home_and_named_urls_win(home: str) -> None:
    read({"TDS_HOME": home})
    (Path(home) / BROKER_COUNT).write_text("3\n")

    assert read({"TDS_HOME": home}).mqtt_urls == tuple(f"mqtt://localhost:{port}" for port in (1883, 1884, 1885))
    assert read({"TDS_HOME": home, "TDS_MQTT_URLS": "mqtt://one"}).mqtt_urls == ("mqtt://one",)


@pytest.mark.parametrize("text", ["", "0", "9", "two", "٣", "1 2"])
def test_a_damaged_number_of_brokers_is_a_sentence(home: str, text: str) -> None:
    Path(home).mkdir()
    (Path(home) / BROKER_COUNT).write_text(text, encoding="utf-8")

    assert "write the number of brokers into it." in refusal(TDS_HOME=home)


def test_ports_of_more_brokers_follow_the_first_and_pass_by_ours() -> None:
    ports = Ports(web=8000, database=5442, mqtt=1883, mqtt_tls=1884, mqtt_ws=1886, ota=8070)

    places = broker_ports(ports, MorePorts(), 4)

    assert places == (
        BrokerPorts(1883, 1886, 1884),
        BrokerPorts(1885, 1887, 1888),
        BrokerPorts(1889, 1890, 1891),
        BrokerPorts(1892, 1893, 1894),
    )
    # Gateways are configured with them: those of a broker do not depend on how many come after it.
    assert all(broker_ports(ports, MorePorts(), count) == places[:count] for count in range(1, 5))


def test_ports_of_more_brokers_may_be_named(home: str) -> None:
    named = {
        "TDS_MQTT_MORE_PORTS": "2883 3883",
        "TDS_MQTT_WS_MORE_PORTS": "2901",
        "TDS_MQTT_TLS_MORE_PORTS": "9883 9884",
    }
    environment = read({"TDS_HOME": home} | named)

    assert broker_ports(environment.ports, environment.more_ports, 4)[1:] == (
        BrokerPorts(2883, 2901, 9883),
        BrokerPorts(3883, 2902, 9884),
        BrokerPorts(3884, 2903, 9885),
    )


def test_there_is_no_port_after_the_last() -> None:
    ports = Ports(web=8000, database=5442, mqtt=65_535, mqtt_tls=8883, mqtt_ws=9001, ota=8070)

    with pytest.raises(ImproperlyConfigured, match="TDS_MQTT_MORE_PORTS"):
        broker_ports(ports, MorePorts(), 2)


@pytest.mark.parametrize(
    "variables",
    [
        {"TDS_MQTT_MORE_PORTS": "x"},
        {"TDS_MQTT_MORE_PORTS": "0"},
        {"TDS_MQTT_MORE_PORTS": "1 2 3 4 5 6 7 8"},
        {"TDS_MQTT_WS_MORE_PORTS": "65536"},
        {"TDS_MQTT_MORE_PORTS": "8000"},
        {"TDS_MQTT_WS_MORE_PORTS": "2901 2901"},
        {"TDS_MQTT_TLS_MORE_PORTS": "8883"},
        {"TDS_MQTT_SERVICES_PORT": "1883"},
        {"TDS_MQTT_SERVICES_PORT": "mqtt"},
        {"TDS_MQTT_SHARED_SLOTS": "17"},
        {"TDS_MQTT_SHARED_SLOTS": "2"},
        {"TDS_MQTT_SHARED_SLOTS": "2", "TDS_MQTT_URLS": "mqtt://one mqtt://two"},
    ],
)
def test_wrong_ports_and_slots_are_a_sentence_that_names_the_variable(home: str, variables: dict[str, str]) -> None:
    sentence = refusal(TDS_HOME=home, **variables)

    assert sentence.startswith(next(iter(variables)))
    assert sentence.endswith(".")


def test_slots_are_of_one_named_broker(home: str) -> None:
    variables = {"TDS_HOME": home, "TDS_MQTT_SHARED_SLOTS": "3", "TDS_MQTT_URLS": "mqtt://emqx.example"}

    assert read(variables).mqtt_shared_slots == 3
    assert read({"TDS_HOME": home}).mqtt_shared_slots == 0


# Who is let in


def test_on_a_desk_the_ports_without_tls_are_open_to_this_machine_and_in_production_to_nobody(home: str) -> None:
    production = {"TDS_HOME": home, "TDS_MODE": "production", "TDS_SECRET_KEY": SECRET}

    assert read({"TDS_HOME": home}).mqtt_plain is Plain.LOOPBACK
    assert read(production).mqtt_plain is Plain.OFF
    assert read(production).mqtt_urls == ("mqtts://localhost:8883",)
    assert refusal(**production, TDS_MQTT_PLAIN="loopback").startswith("TDS_MQTT_PLAIN is 'loopback'")


def test_passwords_for_gateways_end_when_their_day_begins(home: str) -> None:
    variables = {"TDS_HOME": home, "TDS_MQTT_PLAIN": "password", "TDS_MQTT_PLAIN_UNTIL": "2026-06-02"}
    environment = read(variables)
    end = datetime(2026, 6, 2, tzinfo=UTC)

    assert plain_at(environment, end - timedelta(seconds=1)) is Plain.PASSWORD
    assert plain_at(environment, end) is Plain.OFF
    # The same moment, where it is still the day before.
    assert plain_at(environment, end.astimezone(timezone(timedelta(hours=-3)))) is Plain.OFF


def test_a_server_is_called_by_every_name_that_it_is_reached_by(home: str) -> None:
    variables = {"TDS_HOME": home, "TDS_BIND": "192.0.2.7", "TDS_TLS_NAMES": "tds.example.org localhost 2001:db8::1"}

    assert server_names(read(variables), "desk") == (
        "localhost",
        "127.0.0.1",
        "::1",
        "desk",
        "192.0.2.7",
        "tds.example.org",
        "2001:db8::1",
    )
    # An address that is none, and a name that no certificate can hold.
    assert server_names(read({"TDS_HOME": home, "TDS_BIND": "0.0.0.0"}), "mein_rechner") == (
        "localhost",
        "127.0.0.1",
        "::1",
    )


def test_the_authorities_are_in_the_home_unless_it_is_said_otherwise(home: str, tmp_path: Path) -> None:
    assert read({"TDS_HOME": home}).ca_folder == Path(home) / "ca"
    assert read({"TDS_HOME": home, "TDS_CA_DIR": str(tmp_path)}).ca_folder == tmp_path


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, "https://localhost:8070"),
        ({"TDS_TLS_NAMES": "tds.example.org 192.0.2.7", "TDS_OTA_PORT": "8071"}, "https://tds.example.org:8071"),
        ({"TDS_TLS_NAMES": "2001:db8::1"}, "https://[2001:db8::1]:8070"),
        ({"TDS_BIND": "192.0.2.7"}, "https://192.0.2.7:8070"),
        ({"TDS_BIND": "0.0.0.0"}, "https://localhost:8070"),
        ({"TDS_BIND": "127.0.0.2"}, "https://localhost:8070"),
        ({"TDS_TLS_NAMES": "inside", "TDS_UPDATE_URL": "https://ota.example.org"}, "https://ota.example.org"),
        ({"TDS_UPDATE_URL": "https://[2001:db8::1]:443"}, "https://[2001:db8::1]:443"),
    ],
)
def test_gateways_are_told_the_firmware_servers_name_outside(home: str, variables: dict[str, str], url: str) -> None:
    environment = read({"TDS_HOME": home} | variables)
    assert firmware_url(environment) == url
    assert urlsplit(url).hostname in server_names(environment, "desk")  # or the handshake would fail there
