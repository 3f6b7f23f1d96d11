"""`./tds provision`: a box as a factory gets it, on a real database; cut off anywhere, and gone on with."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from django.utils import timezone

from tds.environment import ROOT
from tds.fleet.models import AuditAction, AuditEntry, Gateway, GatewayStatus, Site, Tenant
from tds.identity.authorities import keys
from tds.identity.authorities.authority import Kind
from tds.identity.factory import box as boxes
from tds.identity.factory import box_page, journal, provisioning, unit_folder
from tds.identity.factory.nvs import NAMESPACE
from tds.identity.factory.records import Records
from tds.identity.issued import issuing
from tds.identity.models import Certificate, How
from tests import nvs_reading, qr_reading, seeding
from tests.consuming import environment
from tests.provisioned import BROKER, FILES, Factory, row, rows, written
from tests.running import wait_until

pytestmark = pytest.mark.django_db


@pytest.fixture
def factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Factory:
    seeding.tenant("acme")
    return Factory(tmp_path, monkeypatch)


def openssl(*words: str | Path) -> str:
    return subprocess.run(["openssl", *words], check=True, capture_output=True, text=True).stdout


def codes_of(count: int) -> list[str]:
    return [unit["gateway_code"] for unit in rows(count)]


def serials() -> dict[str, list[str]]:
    """Of good certificates, by gateway."""
    found: dict[str, list[str]] = {}
    for code, serial in Certificate.objects.filter(revoked_at=None).values_list("gateway__code", "serial"):
        found.setdefault(code, []).append(serial)
    return found


def test_a_box_of_30(factory: Factory) -> None:
    units = rows(30, apn="claro.com.br")
    report = factory.done(units)
    assert (report["units"], report["made"], report["kept"], report["registered"]) == (30, 30, 0, 30)

    gateways = Gateway.objects.select_related("site", "tenant").order_by("code")
    assert [gateway.code for gateway in gateways] == codes_of(30)
    assert {(g.tenant.slug, g.family, g.hardware, g.status) for g in gateways} == {("acme", "dcu-0080", "C", "active")}
    assert [gateway.site.name for gateway in gateways if gateway.site][:3] == ["Sítio 1", "Sítio 2", "Sítio 0"]
    assert Site.objects.count() == 3

    certificates = Certificate.objects.select_related("gateway").order_by("gateway__code")
    assert [certificate.gateway.code for certificate in certificates] == codes_of(30)
    assert {(c.how, c.issuer, c.revoked_at) for c in certificates} == {(How.FACTORY, "device-1", None)}
    audited = AuditEntry.objects.filter(action=AuditAction.PROVISIONED).order_by("object_name")
    assert [entry.object_name for entry in audited] == codes_of(30)
    assert audited[0].detail == {"box": "a box", "serial": certificates[0].serial}

    assert sorted(path.name for path in factory.box.iterdir()) == [*codes_of(30), "index.html", "units.json"]
    for folder in factory.folders():
        assert {path.name for path in folder.iterdir()} == FILES


def test_openssl_verifies_every_certificate_and_its_key(factory: Factory, tmp_path: Path) -> None:
    factory.done(rows(3))
    anchors, root = tmp_path / "anchors.pem", factory.home / "ca" / "root.crt"
    anchors.write_bytes(factory.authorities.anchors_pem(datetime.now(UTC)))
    for folder in factory.folders():
        chain = folder / "gateway.crt"
        strict = ("-x509_strict", "-purpose", "sslclient")
        assert openssl("verify", *strict, "-no-CApath", "-CAfile", anchors, chain).strip() == f"{chain}: OK"
        assert openssl("verify", *strict, "-CAfile", root, "-untrusted", chain, chain).strip() == f"{chain}: OK"
        with pytest.raises(subprocess.CalledProcessError):
            openssl("verify", "-purpose", "sslserver", "-no-CApath", "-CAfile", anchors, chain)
        assert openssl("x509", "-in", chain, "-noout", "-subject").strip() == f"subject=CN = {folder.name}"
        public = openssl("x509", "-in", chain, "-noout", "-pubkey")
        assert openssl("pkey", "-in", folder / "gateway.key", "-pubout") == public
        assert "prime256v1" in openssl("pkey", "-in", folder / "gateway.key", "-noout", "-text")
        assert len(x509.load_pem_x509_certificates(chain.read_bytes())) == 2


def test_an_image_holds_what_its_row_and_its_folder_say(factory: Factory) -> None:
    factory.done([row(1, apn="claro.com.br", wifi_ssid="São João ☕")])
    folder = factory.box / "GW-0001"
    found = nvs_reading.read((folder / "nvs.bin").read_bytes())
    assert found == {
        (NAMESPACE, name): value
        for name, value in {
            "format": 1,
            "gateway_code": "GW-0001",
            "family": "dcu-0080",
            "hardware": "C",
            "broker_uri": BROKER,
            "wifi_ssid": "São João ☕",
            "wifi_password": "=senha 0001",
            "apn": "claro.com.br",
            "server_ca": (folder / "ca.pem").read_text(encoding="ascii"),
            "device_cert": (folder / "gateway.crt").read_text(encoding="ascii"),
            "device_key": (folder / "gateway.key").read_text(encoding="ascii"),
        }.items()
    }
    assert (folder / "ca.pem").read_bytes() == factory.authorities.server_ca_pem(datetime.now(UTC))


def test_a_label_and_the_page_say_which_unit_it_is(factory: Factory) -> None:
    factory.done(rows(2))
    page = (factory.box / "index.html").read_text(encoding="utf-8")
    for folder in factory.folders():
        drawn = (folder / "label.svg").read_text(encoding="utf-8")
        assert qr_reading.read(drawn) == f"tds:{folder.name}?family=dcu-0080&hardware=C"
        assert drawn.rstrip() in page
    assert factory.entries()["GW-0001"]["serial"] == serials()["GW-0001"][0]


def test_keys_and_passwords_are_for_the_owner_alone_and_nowhere_else(
    factory: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    result = factory.tds(rows(3))
    assert result.exit_code == 0
    secrets = ["=senha 0001", *((factory.box / "GW-0001" / "gateway.key").read_text(encoding="ascii").split("\n")[1:2])]
    for path in [factory.box, *factory.box.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
        if path.is_file() and path.name not in {"gateway.key", "nvs.bin"}:
            assert not any(secret in path.read_text(encoding="utf-8") for secret in secrets), path
    audited = json.dumps(list(AuditEntry.objects.values_list("detail", flat=True)))
    for text in (result.output, caplog.text, audited):
        assert not any(secret in text for secret in secrets)


def test_a_second_run_leaves_all_as_it_is(factory: Factory) -> None:
    factory.done(rows(10))
    before = factory.contents()
    report = factory.done(None)
    assert (report["made"], report["kept"], report["brought_up_to_date"], report["registered"]) == (0, 10, 0, 0)
    after = factory.contents()
    assert {name: data for name, data in after.items() if name != "index.html"} == {
        name: data for name, data in before.items() if name != "index.html"
    }
    assert Certificate.objects.count() == Gateway.objects.count() == 10


def test_a_list_that_grew_is_gone_on_with(factory: Factory) -> None:
    factory.done(rows(3))
    report = factory.done(rows(5))
    assert (report["made"], report["kept"]) == (2, 3)
    assert list(factory.entries()) == codes_of(5)
    factory.done([row(6)])
    assert list(factory.entries()) == codes_of(6), "the list is of the box, not of the last run"


@pytest.mark.parametrize("name", ["gateway.key", "gateway.crt"])
@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "another's"])
def test_a_unit_without_its_whole_key_or_certificate_is_made_anew_and_the_old_one_revoked(
    factory: Factory, name: str, damage: str
) -> None:
    factory.done(rows(3))
    before, old = factory.contents(), serials()
    spoil(factory.box / "GW-0002" / name, damage, factory.box / "GW-0001" / name)
    report = factory.done(None)
    assert (report["made"], report["kept"], report["superseded"]) == (1, 2, 1)
    revoked = Certificate.objects.exclude(revoked_at=None).values_list("serial", "revocation_reason")
    assert list(revoked) == [(old["GW-0002"][0], "superseded")]
    assert serials()["GW-0002"] == [factory.entries()["GW-0002"]["serial"]]
    changed = {name for name, data in factory.contents().items() if data != before[name] and name != "index.html"}
    assert changed == {"units.json", *(f"GW-0002/{file}" for file in ("gateway.key", "gateway.crt", "nvs.bin"))}


@pytest.mark.parametrize("name", ["nvs.bin", "ca.pem", "label.svg"])
@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "another's"])
def test_what_lies_beside_key_and_certificate_is_made_anew_for_them(factory: Factory, name: str, damage: str) -> None:
    factory.done(rows(3))
    before = factory.contents()
    spoil(factory.box / "GW-0002" / name, damage, factory.box / "GW-0001" / name)
    report = factory.done(None)
    same_for_all = name == "ca.pem" and damage == "another's"
    assert (report["made"], report["kept"], report["brought_up_to_date"]) == (0, 3, 0 if same_for_all else 1)
    assert {n: d for n, d in factory.contents().items() if n != "index.html"} == {
        n: d for n, d in before.items() if n != "index.html"
    }


def spoil(path: Path, damage: str, other: Path) -> None:
    data = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "another's": other.read_bytes()}[damage])


def test_a_link_in_the_place_of_a_folder_is_no_unit(factory: Factory, tmp_path: Path) -> None:
    factory.done(rows(2))
    elsewhere = tmp_path / "elsewhere"
    shutil.move(factory.box / "GW-0001", elsewhere)
    (factory.box / "GW-0001").symlink_to(elsewhere)
    assert factory.done(None)["made"] == 1
    assert not (factory.box / "GW-0001").is_symlink()
    assert {path.name for path in elsewhere.iterdir()} == FILES


def test_another_password_for_the_network_makes_new_images_and_no_new_certificates(factory: Factory) -> None:
    factory.done(rows(3))
    before = serials()
    report = factory.done(rows(3, wifi_password="outra senha"))
    assert (report["made"], report["kept"], report["brought_up_to_date"], report["superseded"]) == (0, 3, 3, 0)
    assert serials() == before
    image = nvs_reading.read((factory.box / "GW-0003" / "nvs.bin").read_bytes())
    assert image[NAMESPACE, "wifi_password"] == "outra senha"


def test_a_folder_that_somebody_deleted_is_made_anew(factory: Factory) -> None:
    factory.done(rows(2))
    shutil.rmtree(factory.box / "GW-0001")
    report = factory.done(None)
    assert (report["made"], report["kept"], report["superseded"]) == (1, 1, 1)


def test_a_gateway_at_work_keeps_its_certificate_until_somebody_says_otherwise(factory: Factory) -> None:
    factory.done(rows(2))
    Gateway.objects.filter(code="GW-0001").update(last_seen_at=timezone.now())
    (factory.box / "GW-0001" / "gateway.key").unlink()
    assert "Line 2: gateway 'GW-0001' has a certificate already" in factory.refused(None)
    report = factory.done(None, "--reissue")
    assert (report["made"], report["kept"], report["superseded"]) == (1, 1, 1)


def test_a_gateway_of_another_box_is_a_sentence(factory: Factory, tmp_path: Path) -> None:
    factory.done(rows(2))
    factory.box = tmp_path / "another box"
    said = factory.refused(rows(3))
    assert [line[:25] for line in said.splitlines()] == [
        "Line 2: gateway 'GW-0001'",
        "Line 3: gateway 'GW-0002'",
        "Nothing was written.",
    ]
    assert not factory.box.exists()
    assert factory.done(None, "--reissue")["superseded"] == 2


def test_a_gateway_that_was_registered_by_hand_gets_its_certificate(factory: Factory) -> None:
    known = seeding.gateway(Tenant.objects.get(slug="acme"), "GW-0001", name="Bomba 1")
    report = factory.done(rows(2))
    assert (report["made"], report["registered"]) == (2, 1)
    known.refresh_from_db()
    assert (known.name, known.family, known.site.name if known.site else "") == ("Bomba 1", "dcu-0080", "Sítio 1")


def test_a_gateway_of_another_tenant_is_a_sentence(factory: Factory) -> None:
    seeding.gateway(seeding.tenant("outra"), "GW-0002")
    said = factory.refused(rows(3))
    assert said.startswith("Line 3: gateway 'GW-0002' is registered already, in another tenant (outra).")
    assert Certificate.objects.count() == 0
    assert not factory.box.exists()


def test_a_code_that_its_former_owner_retired_is_free(factory: Factory) -> None:
    former = seeding.gateway(
        seeding.tenant("outra"), "GW-0001", status=GatewayStatus.RETIRED, retired_at=timezone.now()
    )
    assert factory.done(rows(1))["registered"] == 1
    assert not former.certificates.exists()


def test_a_tenant_that_is_not_there_is_a_sentence(factory: Factory) -> None:
    assert factory.refused([row(1), row(2, tenant="acmee")]) == (
        "Line 3: there is no tenant 'acmee'; make it first: ./tds tenant add acmee\nNothing was written.\n"
    )
    assert "no tenant 'tds-status'" in factory.refused([row(1, tenant="tds-status")])


def test_a_disabled_gateway_gets_nothing_and_one_that_is_done_stays(factory: Factory) -> None:
    factory.done(rows(2))
    Gateway.objects.update(status=GatewayStatus.DISABLED)
    assert factory.done(None)["kept"] == 2
    (factory.box / "GW-0001" / "gateway.key").unlink()
    assert "Line 2: gateway 'GW-0001' is disabled; enable it first" in factory.refused(None)


def test_a_revoked_certificate_is_not_replaced_without_a_word(factory: Factory) -> None:
    factory.done(rows(2))
    Certificate.objects.filter(gateway__code="GW-0001").update(
        revoked_at=timezone.now(), revocation_reason="keyCompromise"
    )
    assert "Line 2: the certificate of gateway 'GW-0001' in this box was revoked" in factory.refused(None)
    report = factory.done(None, "--reissue")
    assert (report["made"], report["kept"], report["superseded"]) == (1, 1, 0)


@pytest.mark.parametrize("box_is", ["good", "run out", "of an authority that is no longer trusted"])
def test_a_gateway_that_renewed_since_is_left_alone(factory: Factory, box_is: str) -> None:
    factory.done(rows(1))
    if box_is == "run out":
        Certificate.objects.update(not_after=timezone.now() - timedelta(days=1))
    elif box_is != "good":
        factory.authorities.rotate(Kind.DEVICE, timezone.now(), overlap_days=0)
    given(factory, How.RENEWAL)
    before = factory.contents()
    assert factory.done(None)["kept"] == 1
    assert factory.contents()["GW-0001/gateway.key"] == before["GW-0001/gateway.key"]


def given(factory: Factory, how: How) -> str:
    """The serial number of a certificate that the one gateway got by another way than a box."""
    authority, gateway = factory.authorities.device(), Gateway.objects.get()
    issuing.issue(authority, gateway, keys.new_key().public_key(), how, now=timezone.now())
    return Certificate.objects.filter(how=how).latest("pk").serial


@pytest.mark.parametrize("how", [How.RENEWAL, How.CLAIM])
def test_a_revoked_certificate_in_the_box_is_not_done_although_the_gateway_has_a_good_one(
    factory: Factory, how: How
) -> None:
    factory.done(rows(1))
    Certificate.objects.update(revoked_at=timezone.now(), revocation_reason="keyCompromise")
    serial = given(factory, how)
    said = factory.refused(None)
    assert "Line 2: the certificate of gateway 'GW-0001' in this box was revoked" in said
    assert f"Certificate {serial}, which it has now, is revoked then." in said
    report = factory.done(None, "--reissue")
    assert (report["made"], report["kept"], report["superseded"]) == (1, 0, 1)
    assert serials() == {"GW-0001": [factory.entries()["GW-0001"]["serial"]]}


def test_a_box_that_another_box_replaced_is_not_done(factory: Factory, tmp_path: Path) -> None:
    factory.done(rows(1))
    first, factory.box = factory.box, tmp_path / "another box"
    factory.done(None, "--reissue")
    factory.box = first
    assert "in this box was revoked" in factory.refused(None)


def test_a_broken_folder_takes_nothing_from_the_box_that_has_the_good_certificate(
    factory: Factory, tmp_path: Path
) -> None:
    factory.done(rows(1))
    first, factory.box = factory.box, tmp_path / "another box"
    factory.done(None, "--reissue")
    good, factory.box = serials(), first
    (first / "GW-0001" / "gateway.key").unlink()
    assert "Line 2: gateway 'GW-0001' has a certificate already" in factory.refused(None)
    assert serials() == good


def test_a_box_of_an_authority_that_is_no_longer_trusted_is_not_done(factory: Factory) -> None:
    factory.done(rows(1))
    factory.authorities.rotate(Kind.DEVICE, timezone.now(), overlap_days=0)
    assert "or its authority is no longer trusted; with --reissue it gets another." in factory.refused(None)
    assert factory.done(None, "--reissue")["made"] == 1
    serial = factory.entries()["GW-0001"]["serial"]
    assert Certificate.objects.get(serial=serial).issuer == "device-2"
    assert factory.done(None)["kept"] == 1


def test_a_wrong_list_is_told_line_by_line_and_nothing_is_written(factory: Factory) -> None:
    said = factory.refused([row(1), row(1), row(2, family="x"), row(3, site="=cmd")])
    assert [line[:6] for line in said.splitlines()] == ["Line 3", "Line 4", "Line 5", "Nothin"]
    assert Gateway.objects.count() == 0
    assert not factory.box.exists()


def test_a_list_that_can_not_be_read_is_a_sentence(factory: Factory) -> None:
    assert factory.refused(None).endswith("can't be read: No such file or directory.\n")
    factory.list.mkdir()
    assert factory.refused(None).endswith("can't be read: Is a directory.\n")


def test_100_mb_are_a_sentence(factory: Factory) -> None:
    with factory.list.open("wb") as file:
        file.truncate(100 * 1024**2)
    assert factory.refused(None).startswith("The file is larger than")


def test_a_dry_run_judges_all_and_writes_nothing(factory: Factory) -> None:
    report = factory.done(rows(3), "--dry-run")
    assert (report["units"], report["to_make"], report["done"]) == (3, 3, 0)
    assert not factory.box.exists()
    assert Gateway.objects.count() == Site.objects.count() == 0
    factory.done(rows(2))
    before = factory.contents()
    assert factory.done(rows(3), "--dry-run")["done"] == 2
    assert factory.contents() == before
    assert "in another tenant" in factory.refused([row(1, tenant=seeding.tenant("outra").slug)], "--dry-run")


def test_a_folder_with_other_things_in_it_is_no_box(factory: Factory) -> None:
    factory.box.mkdir()
    (factory.box / "holiday.jpg").touch()
    assert "has other files in it and is no box" in factory.refused(rows(1))
    (factory.box / "holiday.jpg").unlink()
    (factory.box / "units.json").write_text('{"format": "of somebody else"}', encoding="utf-8")
    assert "is no box" in factory.refused(None)
    factory.box = factory.list
    assert "is no folder" in factory.refused(None)


def test_a_code_that_is_anothers_folder_on_windows_needs_another_box(factory: Factory) -> None:
    factory.done(rows(1))
    assert "Windows would take 'gw-0001' for the same" in factory.refused([row(1, gateway_code="gw-0001")])


def test_a_disk_without_room_is_a_sentence_before_anything_is_written(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(factory.home)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    assert "make room" in factory.refused(rows(1))
    assert Gateway.objects.count() == 0


def test_without_authorities_it_says_how_to_make_them(factory: Factory) -> None:
    shutil.rmtree(factory.home / "ca")
    assert "./tds ca init" in factory.refused(rows(1))


def test_two_runs_on_one_box_do_not_meet(factory: Factory) -> None:
    factory.done(rows(1))
    with boxes.opened(factory.box):
        assert "Another run is filling" in factory.refused(None)
    assert factory.done(None)["kept"] == 1


def test_a_broker_that_units_would_not_find_or_trust_is_said(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    result = factory.tds([row(1, broker=""), row(2, broker="mqtt.example.org")], "--broker", "localhost")
    assert result.exit_code == 0
    assert [line[:60] for line in result.stderr.splitlines()] == [
        "Warning: Units will look for the broker at mqtts://localhost",
        "Warning: This platform's broker has no certificate for mqtt.",
    ]
    assert "--broker: 'mqtt://x' is no broker" in factory.refused(None, "--broker", "mqtt://x")
    monkeypatch.setenv("TDS_TLS_NAMES", "")
    monkeypatch.setenv("TDS_MODE", "production")
    monkeypatch.setenv("TDS_SECRET_KEY", "x" * 50)
    assert "Line 2 names no broker" in factory.refused([row(3, broker="")])


def test_the_platforms_own_broker_is_the_one_of_rows_that_name_none(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TDS_MQTT_TLS_PORT", "18883")
    factory.done([row(1, broker="")])
    image = nvs_reading.read((factory.box / "GW-0001" / "nvs.bin").read_bytes())
    assert image[NAMESPACE, "broker_uri"] == "mqtts://mqtt.example.com:18883"


def test_after_a_rotation_images_trust_the_next_authority_too(factory: Factory) -> None:
    factory.done(rows(2))
    before = serials()
    factory.authorities.rotate(Kind.SERVICE, datetime.now(UTC))
    factory.authorities.rotate(Kind.DEVICE, datetime.now(UTC))
    report = factory.done(rows(3))
    assert (report["made"], report["kept"], report["brought_up_to_date"]) == (1, 2, 2)
    assert {code: serial for code, serial in serials().items() if code != "GW-0003"} == before
    assert Certificate.objects.get(gateway__code="GW-0003").issuer == "device-2"


def test_more_overlapping_authorities_than_an_image_holds_are_a_sentence(factory: Factory) -> None:
    for _ in range(4):
        factory.authorities.rotate(Kind.SERVICE, datetime.now(UTC))
    assert "has no room: server_ca takes" in factory.refused(rows(2))
    assert Gateway.objects.count() == 0


def test_a_page_is_in_one_language_when_that_is_asked_for(factory: Factory) -> None:
    factory.done(rows(2), "--language", "pt")
    page = (factory.box / "index.html").read_text(encoding="utf-8")
    assert '<html lang="pt-BR">' in page
    assert "2 unidades" in page
    assert "Find a unit" not in page
    factory.done(None, "--language", "en")
    page = (factory.box / "index.html").read_text(encoding="utf-8")
    assert '<html lang="en">' in page
    assert "Find a unit" in page
    assert "unidades" not in page
    assert "use pt-BR or en" in factory.refused(None, "--language", "fr")


def test_a_large_box_has_several_pages(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box_page, "UNITS_A_PAGE", 2)
    factory.done(rows(5))
    pages = [
        (factory.box / name).read_text(encoding="utf-8") for name in ("index.html", "index-2.html", "index-3.html")
    ]
    assert [[code for code in codes_of(5) if f"<h2>{code}</h2>" in page] for page in pages] == [
        codes_of(2),
        ["GW-0003", "GW-0004"],
        ["GW-0005"],
    ]
    assert all(f'href="{name}"' in pages[0] for name in ("index.html", "index-2.html", "index-3.html"))
    monkeypatch.setattr(box_page, "UNITS_A_PAGE", 500)
    factory.done(None)
    assert not list(factory.box.glob("index-*.html"))


class PowerCutError(Exception):
    """Where a test ends the run."""


def cut(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, after: int) -> None:
    """The run ends at the call of that number."""
    real: Callable[..., Any] = getattr(place, name)
    calls = 0

    def counted(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == after:
            raise PowerCutError
        return real(*args, **options)

    monkeypatch.setattr(place, name, counted)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("place", "name", "after"),
    [
        (journal.Journal, "write", 1),
        (journal.Journal, "write", 2),
        (Records, "give", 2),
        (unit_folder, "write", 1),
        (unit_folder, "write", 4),
        (Path, "rename", 3),
        (unit_folder, "sha256", 5),
        (boxes.Box, "write_list", 1),
        (os, "sync", 1),
    ],
)
def test_a_run_that_is_cut_off_anywhere_is_gone_on_with_and_no_certificate_is_lost(
    factory: Factory, monkeypatch: pytest.MonkeyPatch, place: Any, name: str, after: int
) -> None:
    monkeypatch.setattr(provisioning, "UNITS_AT_ONCE", 4)
    with monkeypatch.context() as patched:
        cut(patched, place, name, after)
        assert isinstance(factory.tds(rows(10)).exception, PowerCutError)
    given = serials()
    report = factory.done(None)
    assert report["made"] + report["completed"] + report["kept"] == 10
    assert Certificate.objects.exclude(revoked_at=None).count() == 0
    assert serials() == given | {code: serials()[code] for code in codes_of(10)}
    assert_whole(factory, 10)


def assert_whole(factory: Factory, count: int) -> None:
    """Every unit has its folder, and in it the key of the one certificate that the database knows."""
    assert sorted(path.name for path in factory.box.iterdir()) == [*codes_of(count), "index.html", "units.json"]
    known = serials()
    assert sorted(known) == codes_of(count)
    for code, entry in factory.entries().items():
        own = unit_folder.read(factory.box, code)
        assert own is not None
        assert known[code] == [own.serial] == [entry["serial"]]
        assert {path.name for path in (factory.box / code).iterdir()} == FILES


@pytest.mark.django_db(transaction=True)
def test_keys_of_units_that_a_shorter_list_leaves_out_are_not_lost(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        cut(patched, unit_folder, "write", 2)
        assert isinstance(factory.tds(rows(5)).exception, PowerCutError)
    given = serials()
    report = factory.done(rows(3))
    assert (report["made"], report["completed"], report["kept"]) == (0, 2, 1)
    assert report["waiting"] == 2
    waiting = journal.Journal(factory.box).read()
    assert {code: [own.serial] for code, own in waiting.items()} == {
        code: given[code] for code in ("GW-0004", "GW-0005")
    }
    for path in factory.box.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    ends_on = datetime.fromisoformat(report["waiting_until"]).date()
    said = factory.tds(rows(3)).stdout
    assert "gave certificates to 2 more units, which this list leaves out: their keys wait in" in said
    assert f"(the first on {ends_on})" in said
    report = factory.done(rows(5))
    assert (report["made"], report["completed"], report["kept"], report["waiting"]) == (0, 2, 3, 0)
    assert serials() == given
    assert_whole(factory, 5)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("end", ["revoked", "over", "never recorded"])
def test_keys_that_wait_for_nothing_any_more_are_cleared_away(
    factory: Factory, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    with monkeypatch.context() as patched:
        cut(patched, unit_folder, "write", 1)
        assert isinstance(factory.tds(rows(3)).exception, PowerCutError)
    lost = Certificate.objects.filter(gateway__code="GW-0003")
    match end:
        case "revoked":
            lost.update(revoked_at=timezone.now(), revocation_reason="superseded")
        case "over":
            lost.update(not_after=timezone.now())
        case _:
            lost.delete()
    assert factory.done(rows(1))["waiting"] == 1
    assert list(journal.Journal(factory.box).read()) == ["GW-0002"]


@pytest.mark.django_db(transaction=True)
def test_of_two_boxes_with_the_same_units_at_once_one_wins_and_the_other_is_told_so(factory: Factory) -> None:
    written(factory.list, rows(300))
    assert sorted(ends_of_two(factory, factory.list, 300)) == [0, 1]


@pytest.mark.django_db(transaction=True)
def test_two_boxes_that_meet_in_the_middle_leave_no_certificate_without_its_key(factory: Factory) -> None:
    """Filled from either end: each may have units of its own by then, and both may be ended."""
    written(factory.list, rows(600))
    assert sum(ends_of_two(factory, written(factory.home / "other.csv", reversed(rows(600))), 600)) >= 1


def ends_of_two(factory: Factory, other: Path, count: int) -> list[int]:
    """The exit codes of two runs at once. Who did not get through says why; all keys are in one of the two."""
    with started(factory) as first, started(factory, other, factory.home / "another box") as second:
        ends = [(process.communicate(timeout=60), process.returncode) for process in (first, second)]
    for (_out, said), code in ends:
        if code:
            assert re.search(r"by somebody( else)? meanwhile|certificate already", said), said
            assert "Traceback" not in said
    kept: dict[str, list[str]] = {}
    for box in (factory.box, factory.home / "another box"):
        for code in codes_of(count):
            if (own := unit_folder.read(box, code)) is not None:
                kept.setdefault(code, []).append(own.serial)
    assert kept == serials()
    assert all(len(numbers) == 1 for numbers in kept.values())
    assert not Certificate.objects.exclude(revoked_at=None).exists()
    return [code for _said, code in ends]


@pytest.mark.django_db(transaction=True)
def test_a_reissue_that_was_cut_off_is_completed_over_the_folder_with_the_revoked_certificate(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory.done(rows(1))
    Certificate.objects.update(revoked_at=timezone.now(), revocation_reason="keyCompromise")
    with monkeypatch.context() as patched:
        cut(patched, unit_folder, "write", 1)
        assert isinstance(factory.tds(None, "--reissue").exception, PowerCutError)
    report = factory.done(None)
    assert (report["made"], report["completed"], report["kept"]) == (0, 1, 0)
    assert_whole(factory, 1)


@pytest.mark.django_db(transaction=True)
def test_a_run_that_is_killed_at_random_moments_is_gone_on_with(factory: Factory) -> None:
    count = 300
    written(factory.list, rows(count))
    for kill_after in (1, 60, 170):  # folders
        with started(factory) as process:
            wait_until(lambda kill=kill_after: len(list(factory.box.glob("GW-*"))) >= kill, "so many folders", 60)  # type: ignore[misc]
            process.kill()
            process.communicate()
        assert process.returncode == -signal.SIGKILL, "it was too quick to be killed"
    report = factory.done(None)
    assert report["completed"] + report["kept"] + report["made"] == count
    assert report["kept"] >= 170
    assert_whole(factory, count)
    assert Certificate.objects.count() == count, "none was revoked, and none given twice"


@pytest.mark.django_db(transaction=True)
def test_ctrl_c_stops_between_two_units_and_says_how_to_go_on(factory: Factory) -> None:
    written(factory.list, rows(300))
    with started(factory) as process:
        wait_until(lambda: len(list(factory.box.glob("GW-*"))) >= 20, "some folders", 60)
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "")
    assert re.fullmatch(r"Stopped\. \d+ of 300 units are done\. The same command goes on from there\.\n", errors)
    assert factory.done(None)["superseded"] == 0
    assert_whole(factory, 300)


def started(factory: Factory, units: Path | None = None, box: Path | None = None) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tds.cli", "provision", units or factory.list, "--out", box or factory.box],
        env=environment(factory.home, TDS_TLS_NAMES="mqtt.example.com") | {"PYTHONPATH": str(ROOT / "src")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.django_db(transaction=True)
def test_a_gateway_that_somebody_registers_meanwhile_ends_the_run_with_a_sentence(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = seeding.tenant("outra")
    real = Records.give

    def meanwhile(records: Any, issues: Any, *, now: datetime) -> Any:
        seeding.gateway(other, "GW-0002")
        return real(records, issues, now=now)

    monkeypatch.setattr(Records, "give", meanwhile)
    result = factory.tds(rows(3))
    assert result.exit_code == 1
    assert "registered by somebody else meanwhile" in result.stderr
    assert Certificate.objects.count() == 0
    monkeypatch.undo()


def test_a_gateway_that_somebody_disables_meanwhile_ends_the_run_with_a_sentence(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeding.gateway(Tenant.objects.get(slug="acme"), "GW-0002")
    real = Records.give

    def meanwhile(records: Any, issues: Any, *, now: datetime) -> Any:
        Gateway.objects.filter(code="GW-0002").update(status=GatewayStatus.DISABLED)
        return real(records, issues, now=now)

    monkeypatch.setattr(Records, "give", meanwhile)
    result = factory.tds(rows(3))
    assert result.exit_code == 1
    assert "Line 3: gateway 'GW-0002' was changed by somebody meanwhile" in result.stderr


def test_a_gateway_that_claims_meanwhile_ends_the_run_with_a_sentence_and_has_one_certificate(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeding.gateway(Tenant.objects.get(slug="acme"), "GW-0001")
    real = Records.give

    def meanwhile(records: Any, issues: Any, *, now: datetime) -> Any:
        given(factory, How.CLAIM)
        return real(records, issues, now=now)

    monkeypatch.setattr(Records, "give", meanwhile)
    result = factory.tds(rows(1))
    assert result.exit_code == 1
    assert "Line 2: gateway 'GW-0001' was given a certificate, or lost one, meanwhile" in result.stderr
    assert list(Certificate.objects.values_list("how", "revoked_at")) == [(How.CLAIM, None)]
    assert not factory.box.exists()


def test_a_disk_that_fails_is_a_sentence(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: Any) -> str:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(unit_folder, "write", full)
        result = factory.tds(rows(2))
    assert result.exit_code == 1
    assert "the disk is full; make room, and the same command goes on where it stopped" in result.stderr
    assert factory.done(None)["completed"] == 2


def test_a_torn_or_strange_journal_does_no_harm(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        cut(patched, unit_folder, "write", 1)
        factory.tds(rows(3))
    [entries] = (factory.box / journal.JOURNAL).glob("*.jsonl")
    lines = entries.read_text(encoding="ascii").splitlines()
    forged = json.loads(lines[0]) | {"code": "GW-0003"}
    entries.write_text("\n".join([lines[0], "{", "[]", '{"code": 1}', json.dumps(forged), lines[1][:100]]), "ascii")
    said = factory.refused(None)
    assert [line[:25] for line in said.splitlines()][:2] == ["Line 3: gateway 'GW-0002'", "Line 4: gateway 'GW-0003'"]
    report = factory.done(None, "--reissue")
    assert (report["made"], report["completed"], report["superseded"]) == (2, 1, 2)


def test_a_certificate_that_ran_out_in_its_box_needs_a_word(factory: Factory) -> None:
    factory.done(rows(1))
    Certificate.objects.update(not_after=timezone.now() - timedelta(days=1))
    assert "was revoked or has run out" in factory.refused(None)


def test_a_large_box_goes_by_hundreds_of_units_a_transaction(
    factory: Factory, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr(provisioning, "UNITS_AT_ONCE", 50)
    written(factory.list, rows(200))
    with django_assert_max_num_queries(70):
        assert factory.done(None)["made"] == 200
