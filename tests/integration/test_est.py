"""Enrolment in the field as a board does it, with curl and openssl, against the running server."""

import base64
import gzip
import hashlib
import http.client
import itertools
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.core.management import call_command
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from tds.fleet import audit, lifecycle
from tds.fleet.models import AuditAction, Gateway, GatewayStatus, Tenant
from tds.heartbeat import Heartbeat
from tds.identity.authorities import keys
from tds.identity.authorities.authority import Kind
from tds.identity.authorities.folder import AuthorityFolder
from tds.identity.enrolment import claims, enrol, requests
from tds.identity.enrolment.attempts import OF_A_CODE
from tds.identity.issued import certificates, issuing
from tds.identity.models import Certificate, ClaimCode, GatewayPassword, How
from tds.simulator import est as device
from tds.simulator.credential import keep, load
from tests import seeding
from tests.enrolling import (
    EST,
    PKCS10,
    Answer,
    Board,
    RunningServer,
    base64_of,
    claim_for,
    new_source,
    openssl,
    running_server,
    subject_of,
)
from tests.running import wait_until

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """Its rows are committed, so that it sees them; each test has gateways of its own, and all go at the end."""
    with django_db_blocker.unblock():
        seeding.tenant("acme")
        try:
            with running_server(tmp_path_factory.mktemp("ota")) as running:
                yield running
                assert running.process.errors == ""
                assert not any("A fault of ours" in line for line in running.process.lines)
        finally:
            call_command("flush", interactive=False, verbosity=0)


def new_gateway(code: str = "") -> Gateway:
    return seeding.gateway(Tenant.objects.get(slug="acme"), code or f"GW-{next(_numbers)}")


@pytest.fixture
def gateway(server: RunningServer) -> Gateway:
    return new_gateway()


@pytest.fixture
def board(server: RunningServer, gateway: Gateway, tmp_path: Path) -> Board:
    return Board(server, tmp_path / "board", gateway.code)


def given_to(gateway: Gateway) -> int:
    return Certificate.objects.filter(gateway=gateway).count()


def refused(answer: Answer, status: int, said: str) -> None:
    """With a sentence in plain text, as RFC 7030, 4.2.3 has it."""
    assert (answer.status, answer.headers["content-type"]) == (status, "text/plain; charset=utf-8"), answer
    assert said in answer.text


# The way that is meant


def test_a_board_enrols_with_its_claim_code_and_renews_with_its_certificate(board: Board, gateway: Gateway) -> None:
    answer = board.enroll(claim_for(gateway))
    assert answer.headers["content-type"] == "application/pkcs7-mime; smime-type=certs-only"
    assert answer.headers["content-transfer-encoding"] == "base64"  # RFC 7030, 4.2.3
    board.keep(answer)
    assert subject_of(board.certificate) == f"subject=CN={gateway.code}"
    first = x509.load_pem_x509_certificate(board.certificate.read_bytes())
    assert first.public_key() == keys.read_key(board.key).public_key()

    board.keep(board.reenroll())
    chain = "-CAfile", str(board.server.server_ca), "-untrusted", str(issuing_ca(board))
    openssl("verify", *chain, str(board.certificate))

    rows = Certificate.objects.filter(gateway=gateway).order_by("id")
    assert [(row.how, row.issuer) for row in rows] == [(How.CLAIM, "device-1"), (How.RENEWAL, "device-1")]
    assert rows[0].serial == f"{first.serial_number:040x}"
    entries = audit.of_gateway(gateway).filter(action=AuditAction.CERTIFICATE_ISSUED)
    assert [entry.actor for entry in entries] == [audit.THE_GATEWAY] * 2
    assert ClaimCode.objects.get(gateway=gateway).used_at is not None


def test_a_board_that_was_replaced_is_the_gateway_no_more(board: Board, gateway: Gateway, tmp_path: Path) -> None:
    """Stolen, or broken and mended by somebody else: its certificate is good until the next board takes its place."""
    board.keep(board.enroll(claim_for(gateway)))
    GatewayPassword.objects.create(gateway=gateway, hash="$7$x")
    successor = Board(board.server, tmp_path / "successor", gateway.code)
    successor.keep(successor.enroll(claim_for(gateway)))
    refused(board.reenroll(), 403, "revoked")
    assert successor.reenroll().status == 200
    assert not GatewayPassword.objects.filter(gateway=gateway).exists()
    former = Certificate.objects.filter(gateway=gateway).earliest("id")
    assert former.revocation_reason == "superseded"
    assert audit.of_gateway(gateway).filter(action=AuditAction.CERTIFICATE_REVOKED).count() == 1


def issuing_ca(board: Board) -> Path:
    """Out of /cacerts, as a board finds it."""
    der = openssl("base64", "-d", stdin=board.curl(f"{EST}/cacerts").body)
    file = board.folder / "cacerts.pem"
    openssl("pkcs7", "-inform", "DER", "-print_certs", "-out", str(file), stdin=der)
    return file


def test_a_renewal_may_come_with_a_new_key(board: Board, gateway: Gateway, tmp_path: Path) -> None:
    board.given(board.server.authorities.device(), gateway)
    other = Board(board.server, tmp_path / "next", gateway.code)
    answer = board.reenroll(other.request())
    other.keep(answer)
    renewed = x509.load_pem_x509_certificate(other.certificate.read_bytes())
    assert renewed.public_key() == keys.read_key(other.key).public_key()


def test_the_authorities_are_handed_out_to_anybody(board: Board) -> None:
    answer = board.curl(f"{EST}/cacerts")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/pkcs7-mime")
    names = openssl("storeutl", "-noout", "-text", "-certs", str(issuing_ca(board))).decode()
    assert [each for each in ("TDS root", "TDS device-1", "TDS service-1") if each in names] == [
        "TDS root",
        "TDS device-1",
        "TDS service-1",
    ]


def test_the_attributes_of_a_request_are_told(board: Board) -> None:
    answer = board.curl(f"{EST}/csrattrs")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/csrattrs")
    assert "prime256v1" in openssl("asn1parse", "-inform", "DER", stdin=base64.b64decode(answer.body)).decode()


def test_a_claim_code_may_be_typed_in_small_letters_and_without_dashes(board: Board, gateway: Gateway) -> None:
    typed = claim_for(gateway).replace("-", "").lower().replace("0", "o").replace("1", "i")
    assert board.enroll(typed).status == 200


def test_a_content_transfer_encoding_is_ignored(board: Board, gateway: Gateway) -> None:
    claim = claim_for(gateway)
    header = ("--header", "Content-Transfer-Encoding: 8bit")  # RFC 8951, 3: base64 it is all the same
    answer = board.curl(
        f"{EST}/simpleenroll", "--user", f"{gateway.code}:{claim}", *PKCS10, *header, body=base64_of(board.request())
    )
    assert answer.status == 200


# TLS, as openssl sees it


def test_tls_asks_for_a_gateway_certificate_and_shows_a_chain_to_the_root(board: Board) -> None:
    seen = board.s_client("-verify_hostname", "localhost", "-brief")
    assert "Protocol version: TLSv1.3" in seen
    assert "Verification: OK" in seen
    assert "Requested Signature Algorithms" in board.s_client()  # of a client's certificate


def test_tls_below_1_2_and_ciphers_without_forward_secrecy_are_refused(board: Board) -> None:
    assert "alert protocol version" in board.s_client("-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert "alert handshake failure" in board.s_client("-tls1_2", "-cipher", "AES128-GCM-SHA256")
    assert "Protocol version: TLSv1.2" in board.s_client("-tls1_2", "-brief")


# Claim codes


@pytest.mark.django_db  # pytest-django makes a database when a test of the run is marked so; the others commit
def test_of_a_claim_code_only_the_hash_is_kept() -> None:
    gateway = seeding.gateway(seeding.tenant("other"), "GW-HASH")
    secret = claim_for(gateway).replace("-", "")
    kept = ClaimCode.objects.filter(gateway=gateway).values().get()
    assert kept["sha256"] == hashlib.sha256(secret.encode()).hexdigest()
    assert secret[:4] == kept["hint"]
    assert not any(secret[4:] in str(value) for value in kept.values())


def test_a_claim_code_tried_twice_is_refused_the_second_time(board: Board, gateway: Gateway, tmp_path: Path) -> None:
    claim = claim_for(gateway)
    assert board.enroll(claim).status == 200
    refused(Board(board.server, tmp_path / "second", gateway.code).enroll(claim), 401, "was used at")
    assert given_to(gateway) == 1


def test_a_claim_whose_answer_was_lost_can_be_asked_again_with_the_same_key(board: Board, gateway: Gateway) -> None:
    """The board is sure of nothing but its key: what it had before is revoked, and its code is used up."""
    former = Board(board.server, board.folder / "former", gateway.code)
    former.given(board.server.authorities.device(), gateway)
    claim = claim_for(gateway)
    lost = board.enroll(claim)
    again = board.enroll(claim)  # a request of its own: ECDSA signs differently each time
    assert (lost.status, again.status, again.body) == (200, 200, lost.body)
    board.keep(again)
    assert board.reenroll().status == 200
    refused(former.reenroll(), 403, "is revoked")
    assert Certificate.objects.filter(gateway=gateway, how=How.CLAIM).count() == 1
    entries = audit.of_gateway(gateway).filter(action=AuditAction.CERTIFICATE_ISSUED, detail__how=How.CLAIM)
    assert entries.count() == 1
    wait_until(lambda: board.server.says("once more, with a claim code"), "the line in the log")


def test_a_simulated_gateway_whose_answers_are_lost_gets_its_certificates_at_the_second_try(
    server: RunningServer, gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = http.client.HTTPConnection.getresponse

    def lost(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        assert answer(connection).status == 200  # issued, and written down
        raise ConnectionResetError(104, "Connection reset by peer")

    folder, claim, platform = tmp_path / gateway.code, claim_for(gateway), device.Server("localhost", server.port)
    folder.mkdir()
    (folder / "ca.pem").write_bytes(server.server_ca.read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr(http.client.HTTPConnection, "getresponse", lost)
        with pytest.raises(device.EnrolmentError, match="Connection reset by peer"):
            device.claim(platform, gateway.code, claim, folder)
    device.claim(platform, gateway.code, claim, folder)
    present = load(tmp_path, gateway.code)
    with monkeypatch.context() as patch:
        patch.setattr(http.client.HTTPConnection, "getresponse", lost)
        with pytest.raises(device.EnrolmentError, match="Connection reset by peer"):
            device.renew(platform, present)
    issued = device.renew(platform, present)
    keep(folder, issued.key_pem, issued.chain_pem)
    assert load(tmp_path, gateway.code).certificate.public_key() != present.certificate.public_key()
    assert given_to(gateway) == 2


def test_a_claim_that_is_sent_twice_at_the_same_moment_is_answered_twice_with_one_certificate(
    board: Board, gateway: Gateway, tmp_path: Path
) -> None:
    """As a modem does that sends anew on another connection, while the first request is still under way."""
    claim, twin = claim_for(gateway), Board(board.server, tmp_path / "twin", gateway.code)
    board.make_key()
    twin.key.write_bytes(board.key.read_bytes())
    answers = at_the_same_moment(gateway, lambda: board.enroll(claim), lambda: twin.enroll(claim))
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].body == answers[1].body
    assert given_to(gateway) == 1


def test_a_used_code_with_another_key_is_refused(board: Board, gateway: Gateway) -> None:
    claim = claim_for(gateway)
    board.keep(board.enroll(claim))
    board.make_key()
    refused(board.enroll(claim), 401, "was used at")
    assert given_to(gateway) == 1


def test_a_used_code_with_the_same_key_is_refused_for_another_gateway(board: Board, gateway: Gateway) -> None:
    claim = claim_for(gateway)
    assert board.enroll(claim).status == 200
    other = new_gateway().code
    refused(board.enroll(claim, board.request(subject=f"/CN={other}")), 400, f"but you are {gateway.code}")
    refused(board.enroll(claim, user=other), 401, "no claim code of this gateway")


def test_a_used_code_is_answered_again_for_a_quarter_of_an_hour_and_no_longer(board: Board, gateway: Gateway) -> None:
    claim = claim_for(gateway)
    assert board.enroll(claim).status == 200
    past = timezone.now() - timedelta(seconds=claims.CLAIM_ANSWER_S)
    ClaimCode.objects.filter(gateway=gateway).update(used_at=past + timedelta(seconds=30))
    assert board.enroll(claim).status == 200
    ClaimCode.objects.filter(gateway=gateway).update(used_at=past)
    refused(board.enroll(claim), 401, "was used at")


@pytest.mark.parametrize("end", ["another claim", "a revocation", "disabled", "retired"])
def test_a_used_code_brings_nothing_back_that_was_taken_away(
    board: Board, gateway: Gateway, tmp_path: Path, end: str
) -> None:
    claim = claim_for(gateway)
    assert board.enroll(claim).status == 200
    match end:
        case "another claim":
            assert Board(board.server, tmp_path / "successor", gateway.code).enroll(claim_for(gateway)).status == 200
        case "a revocation":
            row = Certificate.objects.get(gateway=gateway)
            certificates.revoke(row, "keyCompromise", by="tests", now=timezone.now())
        case _:
            change(gateway, GatewayStatus(end))
    answer = board.enroll(claim)
    refused(answer, 403 if end in set(GatewayStatus) else 401, "" if end in set(GatewayStatus) else "was used at")


def test_of_two_who_try_a_claim_code_at_the_same_moment_one_is_given_a_certificate(
    board: Board, gateway: Gateway, tmp_path: Path
) -> None:
    claim = claim_for(gateway)
    second = Board(board.server, tmp_path / "second", gateway.code)
    answers = at_the_same_moment(gateway, lambda: board.enroll(claim), lambda: second.enroll(claim))
    assert sorted(answer.status for answer in answers) == [200, 401]
    assert given_to(gateway) == 1


def at_the_same_moment(gateway: Gateway, *tries: Callable[[], Answer]) -> list[Answer]:
    """What they are answered when all of them came as far as the gateway's lock before the first went on."""
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda each=each: answers.append(each())) for each in tries]
    with seeding.own_connection() as connection, seeding.own_connection() as looking:
        with connection.transaction():
            connection.execute("SELECT 1 FROM tds_new_gateway WHERE id = %s FOR UPDATE", [gateway.pk])
            for thread in threads:
                thread.start()
            wait_until(lambda: waiting_for_a_lock(looking) == len(tries), "all at the same point")
        for thread in threads:
            thread.join()
    return answers


def waiting_for_a_lock(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone()
    return int(row[0]) if row else 0


def test_a_claim_code_that_is_guessed_at_is_refused_by_source_and_its_owner_elsewhere_gets_in(
    board: Board, gateway: Gateway
) -> None:
    claim, request = claim_for(gateway), board.request()
    guesses = [board.enroll(claims.new_secret(), request) for _ in range(OF_A_CODE.tries)]
    assert {guess.status for guess in guesses} == {401}
    assert guesses[0].headers["www-authenticate"].startswith("Basic realm=")
    # From here on even the right code is not looked at, or a guess would cost nothing.
    limited = board.enroll(claim, request)
    refused(limited, 429, "wait before the next")
    assert 0 < int(limited.headers["retry-after"]) <= OF_A_CODE.every_s
    assert board.enroll(claim, request, source=new_source()).status == 200


def test_a_claim_code_that_expired_is_refused(board: Board, gateway: Gateway) -> None:
    refused(board.enroll(claim_for(gateway, days=-1)), 401, "This claim code expired at")


def test_a_claim_code_used_for_another_gateway_is_refused_and_stays_good(
    board: Board, gateway: Gateway, tmp_path: Path
) -> None:
    claim = claim_for(gateway)
    refused(
        Board(board.server, tmp_path / "other", new_gateway().code).enroll(claim), 401, "no claim code of this gateway"
    )
    assert board.enroll(claim).status == 200


def test_nobody_learns_from_a_refusal_which_gateways_there_are(board: Board, gateway: Gateway) -> None:
    claim_for(gateway)
    request = board.request()
    known = board.enroll(claims.new_secret(), request)
    unknown = board.enroll(claims.new_secret(), request, user="GW-9999")
    assert (known.status, known.body) == (unknown.status, unknown.body)


def test_a_new_claim_code_ends_the_one_before(board: Board, gateway: Gateway) -> None:
    before, after = claim_for(gateway), claim_for(gateway)
    refused(board.enroll(before), 401, "replaced by a newer one")
    assert board.enroll(after).status == 200


def test_a_revoked_claim_code_is_refused(board: Board, gateway: Gateway) -> None:
    claim = claim_for(gateway)
    assert claims.revoke(gateway, now=timezone.now(), by="tests") == 1
    refused(board.enroll(claim), 401, "was revoked")


def test_a_disabled_gateway_is_given_nothing_and_keeps_its_claim_code(board: Board, gateway: Gateway) -> None:
    claim = claim_for(gateway)
    change(gateway, GatewayStatus.DISABLED)
    refused(board.enroll(claim), 403, f"Gateway {gateway.code} is disabled")
    change(gateway, GatewayStatus.ACTIVE)
    assert board.enroll(claim).status == 200


def test_a_claim_code_of_a_retired_gateway_is_not_good_for_its_successor(board: Board, gateway: Gateway) -> None:
    claim = claim_for(gateway)
    change(gateway, GatewayStatus.RETIRED)
    new_gateway(gateway.code)
    refused(board.enroll(claim), 401, "was revoked")
    assert Certificate.objects.filter(gateway__code=gateway.code).count() == 0


def test_credentials_that_are_missing_or_malformed_are_refused(board: Board) -> None:
    body = base64_of(board.request())
    for header in ((), ("--header", "Authorization: Basic %%%"), ("--header", "Authorization: Bearer x")):
        refused(board.curl(f"{EST}/simpleenroll", *PKCS10, *header, body=body), 401, "HTTP Basic")


def change(gateway: Gateway, status: GatewayStatus) -> None:
    lifecycle.change(gateway, status, by="tests", now=timezone.now())


# Certification requests


@pytest.mark.parametrize(
    ("algorithm", "option"),
    [
        ("RSA", "rsa_keygen_bits:1024"),
        ("EC", "ec_paramgen_curve:prime192v1"),
        ("EC", "ec_paramgen_curve:secp256k1"),
        ("EC", "ec_paramgen_curve:P-384"),
    ],
)
def test_a_request_with_a_weak_or_another_key_is_refused_and_uses_no_claim_code_up(
    board: Board, gateway: Gateway, algorithm: str, option: str
) -> None:
    claim = claim_for(gateway)
    board.make_key(algorithm, option)
    assert board.enroll(claim).status == 400
    board.make_key()
    assert board.enroll(claim).status == 200


@pytest.mark.parametrize("subject", ["/CN=GW-X", "/CN=gw-{}", "/CN=_consumer", "/O=acme/CN=GW-{}", "/CN=GW-{}/CN=GW-X"])
def test_a_request_with_another_subject_is_refused(board: Board, gateway: Gateway, subject: str) -> None:
    subject = subject.replace("{}", gateway.code.removeprefix("GW-"))
    answer = board.enroll(claim_for(gateway), board.request(subject=subject))
    assert (answer.status, given_to(gateway)) == (400, 0)


def test_a_request_with_a_broken_signature_is_refused(board: Board, gateway: Gateway) -> None:
    der = bytearray(board.request())
    der[-1] ^= 1
    refused(board.enroll(claim_for(gateway), bytes(der)), 400, "signature")


def test_a_request_with_extra_extensions_is_refused(board: Board, gateway: Gateway) -> None:
    for extension in ("basicConstraints=CA:TRUE", "extendedKeyUsage=serverAuth", "subjectAltName=DNS:tds.example.org"):
        refused(board.enroll(claim_for(gateway), board.request("-addext", extension)), 400, "asks for extensions")


def test_a_body_that_is_no_request_is_refused(board: Board, gateway: Gateway) -> None:
    def post(body: bytes, *header: str) -> Answer:
        user = ("--user", f"{gateway.code}:{claim_for(gateway)}")
        return board.curl(f"{EST}/simpleenroll", *user, *(header or PKCS10), body=body, source=new_source())

    refused(post(b"junk %%%"), 400, "no base64")
    refused(post(base64_of(b"\x30\x03\x02\x01\x00")), 400, "PKCS #10")
    refused(post(base64_of(board.request()), "--header", "Content-Type: text/plain"), 415, "application/pkcs10")
    refused(post(openssl("req", "-inform", "DER", stdin=board.request())), 400, "PEM")


def test_a_megabyte_of_junk_is_refused_and_not_read(board: Board, gateway: Gateway) -> None:
    user = ("--user", f"{gateway.code}:{claim_for(gateway)}")
    refused(board.curl(f"{EST}/simpleenroll", *user, *PKCS10, body=b"A" * 10**6), 413, "65536 bytes")
    chunked = ("--header", "Transfer-Encoding: chunked")
    refused(board.curl(f"{EST}/simpleenroll", *user, *PKCS10, *chunked, body=b"A" * 10**6), 413, "65536 bytes")


def test_a_body_that_would_unpack_to_much_more_is_not_unpacked(board: Board) -> None:
    packed = ("--header", "Content-Encoding: gzip")
    answer = board.curl(f"{EST}/simpleenroll", "--user", "GW-1:x", *PKCS10, *packed, body=gzip.compress(b"A" * 10**7))
    refused(answer, 400, "no base64")


# Certificates that are presented


def test_without_a_certificate_there_is_no_renewal(board: Board) -> None:
    answer = board.curl(f"{EST}/simplereenroll", *PKCS10, body=base64_of(board.request()))
    refused(answer, 401, "needs the gateway's certificate")


def test_a_certificate_of_another_authority_is_refused_in_the_handshake(
    board: Board, gateway: Gateway, tmp_path: Path
) -> None:
    stranger = AuthorityFolder(tmp_path / "strangers")
    stranger.init(timezone.now())
    board.given(stranger.device(), gateway)
    assert board.reenroll().status == 0
    assert "alert unknown ca" in presented(board)


def test_an_expired_certificate_is_refused_in_the_handshake_and_told_so(board: Board, gateway: Gateway) -> None:
    board.given(board.server.authorities.device(), gateway, now=timezone.now() - timedelta(days=3), days=2)
    assert board.reenroll().status == 0
    assert "alert certificate expired" in presented(board)


def test_a_certificate_that_is_not_yet_valid_is_refused_in_the_handshake(board: Board, gateway: Gateway) -> None:
    board.given(board.server.authorities.device(), gateway, now=timezone.now() + timedelta(days=3))
    assert board.reenroll().status == 0
    assert "alert bad certificate" in presented(board)


def test_a_revoked_certificate_is_refused(board: Board, gateway: Gateway) -> None:
    board.given(board.server.authorities.device(), gateway)
    Certificate.objects.filter(gateway=gateway).update(revoked_at=timezone.now(), revocation_reason="keyCompromise")
    refused(board.reenroll(), 403, "is revoked")


def test_a_certificate_that_nobody_wrote_down_is_refused(board: Board, gateway: Gateway) -> None:
    board.given(board.server.authorities.device(), None)
    refused(board.reenroll(), 403, "is not known here")


def test_a_disabled_gateway_is_refused_at_once_and_let_in_again_as_fast(board: Board, gateway: Gateway) -> None:
    board.given(board.server.authorities.device(), gateway)
    assert board.reenroll().status == 200
    change(gateway, GatewayStatus.DISABLED)
    refused(board.reenroll(), 403, f"Gateway {gateway.code} is disabled")
    change(gateway, GatewayStatus.ACTIVE)
    assert board.reenroll().status == 200


def test_a_retired_gateway_is_refused_also_when_its_code_is_anothers(board: Board, gateway: Gateway) -> None:
    board.given(board.server.authorities.device(), gateway)
    change(gateway, GatewayStatus.RETIRED)
    new_gateway(gateway.code)
    refused(board.reenroll(), 403, "is retired")


def test_a_server_certificate_is_refused_as_a_client(board: Board) -> None:
    service = board.server.authorities.service()
    board.make_key()
    certificate = service.issue_server(keys.read_key(board.key).public_key(), ["localhost"], timezone.now())
    keep_with_chain(board, certificate, service.certificate)
    assert board.reenroll().status == 0
    assert "alert unknown ca" in presented(board)


def test_a_service_that_brings_its_authority_along_is_refused(board: Board, gateway: Gateway) -> None:
    service = board.server.authorities.service()
    board.make_key()
    certificate = service.issue_service(keys.read_key(board.key).public_key(), "_consumer", timezone.now())
    keep_with_chain(board, certificate, service.certificate, board.server.authorities.root().certificate)
    assert board.reenroll().status == 0
    assert "alert unknown ca" in presented(board)


def test_a_renewal_for_another_subject_is_refused(board: Board, gateway: Gateway) -> None:
    board.given(board.server.authorities.device(), gateway)
    refused(board.reenroll(board.request(subject=f"/CN={new_gateway().code}")), 400, f"but you are {gateway.code}")


def test_a_gateway_that_renews_without_end_is_held_up(board: Board, gateway: Gateway, tmp_path: Path) -> None:
    device = board.server.authorities.device()
    board.given(device, gateway)
    request = requests.read_request(board.request())
    now = timezone.now()
    for _ in range(enrol.MAX_RENEWALS):
        issuing.issue(device, gateway, requests.public_key(request), How.RENEWAL, now=now - timedelta(hours=1))
    answer = board.reenroll(Board(board.server, tmp_path / "next key", gateway.code).request())
    refused(answer, 429, "it should keep the last one")
    assert int(answer.headers["retry-after"]) == pytest.approx(23 * 3600, abs=60)


def test_a_disabled_gateway_that_knocks_without_end_is_held_up_and_others_of_its_address_are_not(
    board: Board, gateway: Gateway, tmp_path: Path
) -> None:
    device = board.server.authorities.device()
    board.given(device, gateway)
    change(gateway, GatewayStatus.DISABLED)
    request = board.request()
    assert {board.reenroll(request).status for _ in range(OF_A_CODE.tries)} == {403}
    limited = board.reenroll(request)
    refused(limited, 429, "wait before the next")
    assert 0 < int(limited.headers["retry-after"]) <= OF_A_CODE.every_s
    other = Board(board.server, tmp_path / "other", new_gateway().code)
    other.source = board.source
    other.given(device, Gateway.objects.get(code=other.code))
    assert other.reenroll().status == 200


def test_renewals_that_succeed_are_not_counted_as_tries(board: Board, gateway: Gateway, tmp_path: Path) -> None:
    board.given(board.server.authorities.device(), gateway)
    keys_lost = [Board(board.server, tmp_path / f"key {n}", gateway.code) for n in range(enrol.MAX_RENEWALS + 1)]
    assert OF_A_CODE.tries <= enrol.MAX_RENEWALS
    assert {board.reenroll(each.request()).status for each in keys_lost[1:]} == {200}
    refused(board.reenroll(keys_lost[0].request()), 429, "it should keep the last one")


def test_a_renewal_whose_answer_was_lost_can_be_asked_again_and_adds_nothing(
    board: Board, gateway: Gateway, tmp_path: Path
) -> None:
    board.given(board.server.authorities.device(), gateway)
    next_key = Board(board.server, tmp_path / "next", gateway.code)
    lost = board.reenroll(next_key.request())
    assert {board.reenroll(next_key.request()).body for _ in range(3)} == {lost.body}
    assert given_to(gateway) == 2
    # With what it was given it is answered anew: it asks for the next one.
    next_key.keep(lost)
    assert next_key.reenroll().body != lost.body
    assert given_to(gateway) == 3


def test_a_renewal_that_is_asked_for_again_and_again_is_turned_away_before_it_takes_the_others_turns(
    board: Board, gateway: Gateway
) -> None:
    board.given(board.server.authorities.device(), gateway)
    request = board.request()
    assert {board.reenroll(request).status for _ in range(1 + OF_A_CODE.tries)} == {200}
    refused(board.reenroll(request), 429, "")
    assert given_to(gateway) == 2


def test_renewals_do_not_pile_up_beyond_a_bound_over_the_years(board: Board, gateway: Gateway, tmp_path: Path) -> None:
    device = board.server.authorities.device()
    board.given(device, gateway)
    public, past = keys.read_key(board.key).public_key(), timezone.now() - timedelta(days=300)
    issuing.issue_many(device, [issuing.Wanted(gateway, public)] * enrol.MAX_GOOD, How.RENEWAL, now=past)
    refused(board.reenroll(), 403, "are good, and should keep the last one")
    assert Board(board.server, tmp_path / "anew", gateway.code).enroll(claim_for(gateway)).status == 200
    assert Certificate.objects.filter(gateway=gateway, revoked_at=None).count() == 1


def test_a_gateway_that_is_disabled_is_refused_on_the_connection_that_it_has(board: Board, gateway: Gateway) -> None:
    board.given(board.server.authorities.device(), gateway)
    body, kind = base64_of(board.request()), {"Content-Type": "application/pkcs10"}
    context = ssl.create_default_context(cafile=board.server.server_ca)
    context.load_cert_chain(board.certificate, board.key)
    with closing(http.client.HTTPSConnection("localhost", board.server.port, context=context)) as connection:
        connection.request("POST", f"{EST}/simplereenroll", body, kind)
        assert read(connection) == 200
        used = connection.sock
        change(gateway, GatewayStatus.DISABLED)
        connection.request("POST", f"{EST}/simplereenroll", body, kind)
        assert read(connection) == 403
        assert connection.sock is used


def read(connection: http.client.HTTPSConnection) -> int:
    response = connection.getresponse()
    response.read()
    return response.status


def keep_with_chain(board: Board, *chain: x509.Certificate) -> None:
    board.certificate.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in chain))


def presented(board: Board) -> str:
    """What openssl says of a connection with the board's certificate."""
    chain = ("-cert_chain", str(board.certificate)) if board.certificate.read_text().count("BEGIN") > 1 else ()
    return board.s_client("-cert", str(board.certificate), "-key", str(board.key), *chain, "-ign_eof")


def test_the_heartbeat_counts_what_was_given_and_what_was_refused(board: Board, gateway: Gateway) -> None:
    assert board.enroll(claim_for(gateway)).status == 200
    assert board.enroll(claims.new_secret()).status == 401

    def counted() -> Any:
        return Heartbeat.objects.get(process="ota").facts["requests"]

    wait_until(lambda: counted().keys() >= {"claimed", "status_401"}, "the next heartbeat")


# Rotations; they come last, for the authorities of all tests are the same ones


def test_certificates_of_the_old_authority_are_taken_in_the_overlap_and_refused_after_it(
    board: Board, gateway: Gateway
) -> None:
    authorities, now = board.server.authorities, timezone.now()
    board.given(authorities.device(), gateway)
    authorities.rotate(Kind.DEVICE, now)
    wait_until(lambda: board.server.says("gateways are trusted of: device-1, device-2"), "the rotation")
    assert board.reenroll().status == 200
    assert Certificate.objects.filter(gateway=gateway).latest("id").issuer == "device-2"

    authorities.rotate(Kind.DEVICE, now - timedelta(days=2), overlap_days=1)
    wait_until(lambda: board.server.says("gateways are trusted of: device-3"), "the end of the overlap")
    assert board.reenroll().status == 0
    assert "alert unknown ca" in presented(board)
    assert board.enroll(claim_for(gateway)).status == 200  # the way back


def test_a_rotation_of_the_servers_authority_takes_no_restart(board: Board) -> None:
    shown = board.s_client("-showcerts")
    assert "TDS service-1" in shown
    board.server.authorities.rotate(Kind.SERVICE, timezone.now())
    wait_until(lambda: "TDS service-2" in board.s_client("-showcerts"), "another certificate")
    assert "Verification: OK" in board.s_client("-brief", "-verify_hostname", "localhost")
