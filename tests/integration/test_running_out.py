"""Certificates that run out: found in the database and in files, counted in `/metrics`, told in `tds status`."""

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from tds import health
from tds.devicelink.models import BrokerLink, GatewayPresence
from tds.fleet.models import Gateway, GatewayStatus, Tenant
from tds.identity.authorities import server_files, tls_files
from tds.identity.authorities.authority import Kind
from tds.identity.authorities.folder import AuthorityFolder
from tds.identity.authorities.own_certificates import own_certificates
from tds.identity.issued import given
from tds.identity.issued.expiry import DAY
from tds.identity.models import Certificate, How, RevocationList
from tds.settings import ENV
from tds.status import Part, State
from tds.status.certificates import examine_certificates
from tests import seeding

pytestmark = pytest.mark.django_db

NOW: Final = datetime(2027, 3, 1, 12, tzinfo=UTC)  # next March


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    cache.clear()


@pytest.fixture
def tenant() -> Tenant:
    return seeding.tenant("acme")


def certificate(gateway: Gateway, ends_at: datetime, issuer: str = "device-1", **fields: Any) -> Certificate:
    return Certificate.objects.create(
        gateway=gateway,
        serial=secrets.token_hex(20),
        issuer=issuer,
        fingerprint=secrets.token_hex(32),
        how=How.FACTORY,
        not_before=ends_at - 730 * DAY,
        not_after=ends_at,
        issued_at=ends_at - 730 * DAY,
        **fields,
    )


def with_certificate(tenant: Tenant, code: str, ends_at: datetime, **fields: Any) -> Gateway:
    gateway = seeding.gateway(tenant, code, **fields)
    certificate(gateway, ends_at)
    return gateway


def signed(*issuers: str, at: datetime = NOW) -> None:
    for n, issuer in enumerate(issuers, start=1):
        RevocationList.objects.create(
            issuer=issuer, revision=n, this_update=at, next_update=at + 30 * DAY, pem="", anchor="", canary=""
        )


def codes(now: datetime = NOW) -> tuple[list[str], list[str], list[str]]:
    found = given.running_out(now=now)
    return [w.gateway_code for w in found.over], [w.gateway_code for w in found.near], found.left_behind


def test_a_certificate_is_told_of_for_thirty_days_and_then_as_run_out(tenant: Tenant) -> None:
    with_certificate(tenant, "GW-1", NOW)
    assert codes(NOW - 31 * DAY) == ([], [], [])
    assert codes(NOW - 29 * DAY) == ([], ["GW-1"], [])
    assert codes(NOW + DAY) == (["GW-1"], [], [])


def test_a_certificate_that_was_renewed_is_no_worry(tenant: Tenant) -> None:
    gateway = with_certificate(tenant, "GW-1", NOW + 3 * DAY)
    assert codes() == ([], ["GW-1"], [])
    newer = certificate(gateway, NOW + 700 * DAY)
    assert codes() == ([], [], [])
    Certificate.objects.filter(pk=newer.pk).update(revoked_at=NOW)  # then the older one is what it has
    assert codes() == ([], ["GW-1"], [])


@pytest.mark.parametrize("status_", [GatewayStatus.DISABLED, GatewayStatus.RETIRED])
def test_a_gateway_that_no_certificate_lets_in_is_no_worry(tenant: Tenant, status_: GatewayStatus) -> None:
    retired_at = NOW if status_ == GatewayStatus.RETIRED else None
    with_certificate(tenant, "GW-1", NOW + DAY, status=status_, retired_at=retired_at)
    assert codes() == ([], [], [])


def test_a_gateway_that_did_not_renew_within_the_overlap_is_left_behind(tenant: Tenant) -> None:
    left = with_certificate(tenant, "GW-LEFT", NOW + 500 * DAY)
    came = with_certificate(tenant, "GW-CAME", NOW + 500 * DAY)
    certificate(came, NOW + 700 * DAY, issuer="device-2")
    signed("device-1", "device-2")
    assert codes() == ([], [], [])
    RevocationList.objects.filter(issuer="device-1").delete()  # as the worker does when the overlap is over
    assert codes() == ([], [], ["GW-LEFT"])
    assert given.last_ends([left.pk, came.pk]) == {came.pk: NOW + 700 * DAY}


def test_the_ends_of_a_page_of_gateways_take_one_statement(tenant: Tenant, django_assert_num_queries: Any) -> None:
    gateways = [with_certificate(tenant, f"GW-{n}", NOW + n * DAY) for n in range(20)]
    with django_assert_num_queries(1):
        ends = given.last_ends([gateway.pk for gateway in gateways])
    assert ends[gateways[7].pk] == NOW + 7 * DAY


# Our own


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(health, "ENV", replace(ENV, home=tmp_path, metrics_token=""))
    return tmp_path


def made(home: Path, now: datetime) -> AuthorityFolder:
    """A server's files, as `tds up` makes them."""
    authorities = AuthorityFolder(home / "ca")
    authorities.init(now)
    server_files.write(home / "tls", authorities, ["localhost"], now)
    return authorities


def test_the_ends_of_our_own_are_read_from_the_files_of_a_server(home: Path) -> None:
    authorities = made(home, NOW)
    assert [each.name for each in own_certificates(home / "tls")] == ["server", "device-1", "root", "service-1"]
    authorities.rotate(Kind.DEVICE, NOW)
    server_files.write_trust(home / "tls", authorities, NOW)
    ends = {each.name: each.ends_at for each in own_certificates(home / "tls")}
    assert set(ends) == {"server", "device-1", "device-2", "root", "service-1"}
    assert ends["server"] == NOW + 397 * DAY


@pytest.mark.parametrize("contents", [b"", b"junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_file_that_holds_no_certificate_is_left_out(home: Path, contents: bytes) -> None:
    made(home, NOW)
    (home / "tls" / tls_files.CHAIN).write_bytes(contents)
    (home / "tls" / tls_files.DEVICE_ANCHORS).unlink()
    assert [each.name for each in own_certificates(home / "tls")] == ["root", "service-1"]
    assert own_certificates(home / "nowhere") == []


# /metrics


def scraped() -> dict[str, dict[str, float]]:
    """By name, and by the value of the only label, or the empty text."""
    answer = Client().get("/metrics")
    assert answer.status_code == 200
    return {
        family.name: {next(iter(sample.labels.values()), ""): sample.value for sample in family.samples}
        for family in text_string_to_metric_families(answer.content.decode())
    }


def test_the_metrics_count_what_runs_out(tenant: Tenant, home: Path) -> None:
    now = timezone.now()
    for code, days in (("GW-1", -1), ("GW-2", 1), ("GW-3", 29), ("GW-4", 31)):
        with_certificate(tenant, code, now + days * DAY)
    signed("device-1", at=now - timedelta(hours=6))
    certificate(seeding.gateway(tenant, "GW-LEFT"), now + 400 * DAY, issuer="device-0")
    made(home, now)
    found = scraped()
    assert found["tds_certificates_expired_gateways"] == {"": 1}
    assert found["tds_certificates_expiring"] == {"": 2}
    assert found["tds_certificates_left_behind_gateways"] == {"": 1}
    assert found["tds_certificate_days_left"]["server"] == pytest.approx(397, abs=0.1)
    assert set(found["tds_certificate_days_left"]) == {"server", "root", "device-1", "service-1"}
    assert found["tds_revocation_list_age_seconds"] == {"device-1": pytest.approx(6 * 3600, abs=60)}
    assert found["tds_revocation_list_days_left"] == {"device-1": pytest.approx(29.75, abs=0.01)}


def test_the_metrics_count_gateways_by_their_presence(tenant: Tenant, home: Path) -> None:
    now = timezone.now()
    BrokerLink.objects.create(broker="broker", heard_until=now, started_at=now - 3 * DAY)
    hours_ago = now - timedelta(hours=2)

    def gateway(code: str, *, online: bool | None, message_at: datetime | None, dated_at: datetime | None) -> None:
        made = seeding.gateway(tenant, code, last_seen_at=message_at, dated_at=dated_at, last_reading_at=dated_at)
        if online is not None:
            GatewayPresence.objects.create(
                gateway=made,
                online=online,
                brokers=["broker"] * online,
                broker="broker",
                changed_at=hours_ago,
                witnessed=True,
            )

    gateway("GW-WELL", online=True, message_at=now, dated_at=now)
    gateway("GW-SILENT", online=True, message_at=hours_ago, dated_at=hours_ago)
    gateway("GW-AHEAD", online=True, message_at=now, dated_at=now + timedelta(hours=3))
    gateway("GW-GONE", online=False, message_at=hours_ago, dated_at=hours_ago)
    gateway("GW-MUTE", online=None, message_at=now, dated_at=now)
    gateway("GW-NEW", online=None, message_at=None, dated_at=None)
    found = scraped()
    assert found["tds_gateways"] == {"connected": 3, "not_connected": 1, "uncertain": 0, "unsaid": 1, "never": 1}
    assert (found["tds_gateways_silent"], found["tds_gateways_wrong_clock"]) == ({"": 1}, {"": 1})
    # Counted once for all scrapes of a minute.
    seeding.gateway(tenant, "GW-LATER")
    assert scraped()["tds_gateways"] == found["tds_gateways"]


# tds status


def part(home: Path, *, database_there: bool = True) -> Part:
    return examine_certificates(replace(ENV, home=home), database_there=database_there)


def test_the_status_says_that_nothing_runs_out(tenant: Tenant, home: Path) -> None:
    made(home, timezone.now())
    with_certificate(tenant, "GW-1", timezone.now() + 400 * DAY)
    found = part(home)
    assert (found.state, found.action) == (State.HEALTHY, "")
    assert found.detail.startswith("No gateway's certificate runs out within 30 days. Our own: server until 20")


def test_the_status_names_gateways_that_run_out_and_says_what_to_do(tenant: Tenant, home: Path) -> None:
    made(home, timezone.now())
    with_certificate(tenant, "GW-1", timezone.now() + 3 * DAY)
    with_certificate(tenant, "GW-2", timezone.now() - 3 * DAY)
    found = part(home)
    assert found.state is State.WARNING
    assert "ran out of 1 gateway: GW-2 (" in found.detail
    assert "within 30 days of 1 gateway: GW-1 (" in found.detail
    assert "./tds claim add CODE" in found.action


def test_the_status_is_unhealthy_when_the_server_lets_nobody_in(home: Path) -> None:
    made(home, timezone.now() - 400 * DAY)
    for there in (True, False):
        found = part(home, database_there=there)
        assert found.state is State.UNHEALTHY
        assert found.detail.startswith("The server certificate ran out on 20")
        assert found.action.startswith("Restart ./tds up")


def test_the_status_does_not_know_of_gateways_while_the_database_is_away(home: Path) -> None:
    made(home, timezone.now())
    found = part(home, database_there=False)
    assert (found.state, found.detail) == (State.WARNING, "Of gateways unknown: the database is away.")
