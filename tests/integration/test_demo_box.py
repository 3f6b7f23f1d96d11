"""The demo's gateways have certificates: made once, anew when they would not do, and never against a person's will."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tds.fleet.models import Gateway, GatewayStatus
from tds.identity.authorities.authority import Kind, serial_text
from tds.identity.authorities.folder import AuthorityFolder
from tds.identity.models import Certificate
from tds.local import demo_box
from tds.simulator.credential import CredentialError, gateways_in, load
from tests import seeding

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
CODES = ("GW-DEMO-001", "GW-DEMO-002")

pytestmark = pytest.mark.django_db


@pytest.fixture
def authorities(tmp_path: Path) -> AuthorityFolder:
    made = AuthorityFolder(tmp_path / "ca")
    made.init(NOW)
    return made


@pytest.fixture
def gateways() -> list[Gateway]:
    demo = seeding.tenant("demo")
    return [seeding.gateway(demo, code) for code in CODES]


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return tmp_path / "demo-box"


def serials(box: Path) -> dict[str, str]:
    return {code: serial_text(load(box, code).certificate) for code in gateways_in(box)}


def test_gateways_of_a_home_from_before_get_certificates_that_the_platform_knows(
    box: Path, authorities: AuthorityFolder, gateways: list[Gateway]
) -> None:
    demo_box.fill(box, authorities, gateways, NOW)
    assert tuple(serials(box)) == CODES
    assert {row.gateway.code: row.serial for row in Certificate.objects.all()} == serials(box)
    for code in CODES:
        load(box, code).context()
    assert box.stat().st_mode & 0o077 == 0


def test_gateways_are_told_whom_to_believe_what_they_may_install(
    box: Path, authorities: AuthorityFolder, gateways: list[Gateway]
) -> None:
    for roots in ("a" * 86, "a" * 86 + "," + "b" * 86):
        demo_box.fill(box, authorities, gateways, NOW, roots)
        assert {(box / code / demo_box.TRUST_ROOTS).read_text(encoding="ascii") for code in CODES} == {roots}


def test_a_second_start_changes_nothing(box: Path, authorities: AuthorityFolder, gateways: list[Gateway]) -> None:
    demo_box.fill(box, authorities, gateways, NOW)
    before = {path: path.stat().st_mtime_ns for path in box.rglob("*")}
    demo_box.fill(box, authorities, gateways, NOW + 400 * DAY)
    assert {path: path.stat().st_mtime_ns for path in box.rglob("*")} == before


def test_a_certificate_that_nears_its_end_is_made_anew(
    box: Path, authorities: AuthorityFolder, gateways: list[Gateway]
) -> None:
    demo_box.fill(box, authorities, gateways, NOW)
    before = serials(box)
    demo_box.fill(box, authorities, gateways, NOW + 620 * DAY)  # of 730
    assert not set(before.values()) & set(serials(box).values())


def test_after_a_rotation_the_new_authority_issues(
    box: Path, authorities: AuthorityFolder, gateways: list[Gateway]
) -> None:
    demo_box.fill(box, authorities, gateways, NOW)
    authorities.rotate(Kind.DEVICE, NOW + DAY)
    demo_box.fill(box, authorities, gateways, NOW + 2 * DAY)
    assert set(Certificate.objects.values_list("issuer", flat=True)) == {"device-1", "device-2"}
    for code in CODES:
        assert load(box, code).certificate.issuer == authorities.device().certificate.subject


def test_with_other_authorities_all_is_made_anew(
    box: Path, authorities: AuthorityFolder, gateways: list[Gateway], tmp_path: Path
) -> None:
    demo_box.fill(box, authorities, gateways, NOW)
    others = AuthorityFolder(tmp_path / "other-ca")
    others.init(NOW)
    demo_box.fill(box, others, gateways, NOW)
    for code in CODES:
        assert load(box, code).certificate.issuer == others.device().certificate.subject
        assert (box / code / "ca.pem").read_bytes() == others.server_ca_pem(NOW)


def test_a_certificate_that_the_database_does_not_know_is_made_anew(
    box: Path, authorities: AuthorityFolder, gateways: list[Gateway]
) -> None:
    demo_box.fill(box, authorities, gateways, NOW)
    before = serials(box)
    Certificate.objects.all().delete()
    demo_box.fill(box, authorities, gateways, NOW)
    assert not set(before.values()) & set(serials(box).values())


def test_what_a_person_revoked_stays_away(box: Path, authorities: AuthorityFolder, gateways: list[Gateway]) -> None:
    demo_box.fill(box, authorities, gateways, NOW)
    before = serials(box)
    Certificate.objects.filter(gateway=gateways[0]).update(revoked_at=NOW)
    demo_box.fill(box, authorities, gateways, NOW + 700 * DAY)
    after = serials(box)
    assert after[CODES[0]] == before[CODES[0]]
    assert after[CODES[1]] != before[CODES[1]]


def test_a_retired_gateway_gets_none(box: Path, authorities: AuthorityFolder, gateways: list[Gateway]) -> None:
    gateways[0].status = GatewayStatus.RETIRED
    demo_box.fill(box, authorities, gateways, NOW)
    assert gateways_in(box) == CODES[1:]
    with pytest.raises(CredentialError):
        load(box, CODES[0])
