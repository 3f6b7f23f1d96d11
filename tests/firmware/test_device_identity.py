"""Devices as programs with what a factory gave them, and with what they fetch by EST when that ends."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from tds.identity.models import Certificate, How
from tests import seeding
from tests.devices import device
from tests.enrolling import Board, running_server
from tests.listening import subscriber
from tests.provisioned import Factory, row
from tests.running import running_broker, wait_until

MAX_PSS_KIB = 12 * 1024

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_unit_runs_by_the_very_image_that_tds_provision_writes(
    guarded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its code, broker, key, certificate and authorities are of the image; nothing else is said."""
    seeding.tenant("acme")
    factory = Factory(tmp_path, monkeypatch)
    with running_broker(authorities=factory.authorities) as broker, subscriber(broker) as heard:
        result = factory.tds([row(1, broker=f"mqtts://localhost:{broker.broker.listeners.tls}")])
        assert result.exit_code == 0, result.output
        unit = factory.box / "GW-0001"
        with device(guarded / "dcu-0080", tmp_path / "1", "--factory", unit / "nvs.bin") as one:
            wait_until(lambda: ("GW-0001", "online", False) in heard.presence, "its presence")
            one.type("show wifi_ssid")
            wait_until(lambda: "wifi_ssid = oficina (factory)" in one.log, "its network")
            one.wait_for(lambda report: report["acknowledged"] > 0, "an acknowledgement")
        with device(guarded / "dcu-0080", tmp_path / "2", "--box", unit) as one:
            assert one.wait_for(lambda report: report["state"] == "online", "a connection")["gateway_code"] == "GW-0001"


def test_a_certificate_past_two_thirds_of_its_life_is_renewed_by_est_and_used_from_then_on(
    programs: Path, tmp_path: Path
) -> None:
    gateway = seeding.gateway(seeding.tenant("acme"), "GW-1")
    with running_server(tmp_path) as server, running_broker(authorities=server.authorities) as broker:
        board = Board(server, tmp_path / "box" / "GW-1", "GW-1")
        first = board.given(server.authorities.device(), gateway, now=timezone.now() - timedelta(days=80), days=100)
        (board.folder / "ca.pem").write_bytes(server.authorities.server_ca_pem(timezone.now()))
        urls = ("--broker", f"mqtts://localhost:{broker.broker.listeners.tls}", "--ota-url", server.url(""))
        words = ("--box", board.folder, *urls)
        # A device changes its connection when nothing is under way: somebody must take what it sends.
        with subscriber(broker), device(programs / "dcu-0080", tmp_path / "device", *words) as one:
            until = int(first.not_valid_after_utc.timestamp())
            renewed = one.wait_for(
                lambda report: report["certificate_until_unix_s"] > until and report["reconnects"] == 1,
                "a connection with a new certificate",
            )
            assert one.pss_kib <= MAX_PSS_KIB
            rows = Certificate.objects.filter(gateway=gateway).order_by("id")
            assert [row.how for row in rows] == [How.FACTORY, How.RENEWAL]
            one.kill()
            one.start()
            again = one.wait_for(lambda report: report["state"] == "online", "a connection")
            assert again["certificate_until_unix_s"] == renewed["certificate_until_unix_s"]
            assert "renewed certificate can't be used" not in one.log
        assert rows.count() == 2
        assert server.process.errors == ""
