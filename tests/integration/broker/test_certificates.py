"""Which certificates a broker takes from gateways, and which it shows them: one real mosquitto, real TLS."""

import os
import socket
import ssl
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from tds.environment import read
from tds.identity.access import broker_files
from tds.identity.access.broker_files import Access
from tds.identity.access.broker_rules import CONSUMER
from tds.identity.authorities import keys, tls_files
from tds.identity.authorities.authority import Authority
from tds.identity.authorities.folder import AuthorityFolder
from tds.identity.authorities.tls_files import CHAIN, DEVICE_ANCHORS, KEY, REVOKED, SERVER_CA
from tds.local import broker_tls, certificates
from tds.local.accounts import service_account
from tests.connecting import (
    DAY,
    NOBODY,
    A,
    B,
    Credential,
    context_for,
    device,
    gateway,
    raw,
    served,
    tls_alert,
)
from tests.running import RunningBroker, running_broker, wait_until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to another account")

# Which certificates are taken


def test_without_a_certificate_nobody_comes_in(broker: RunningBroker) -> None:
    assert tls_alert(broker, None) == "TLSV13_ALERT_CERTIFICATE_REQUIRED"


def test_a_certificate_of_the_wrong_ca_is_refused(broker: RunningBroker, folder: Path) -> None:
    other = AuthorityFolder(folder / "another-ca")
    other.init(datetime.now(UTC))
    assert tls_alert(broker, device(folder, other.device(), A)) == "TLSV1_ALERT_UNKNOWN_CA"


def test_an_expired_certificate_is_refused(broker: RunningBroker, authorities: AuthorityFolder, folder: Path) -> None:
    then = datetime.now(UTC) - 2 * DAY
    expired = device(folder, authorities.device(), A, now=then, days=1.9)
    assert tls_alert(broker, expired) == "SSLV3_ALERT_CERTIFICATE_EXPIRED"


def test_a_certificate_that_is_not_yet_valid_is_refused(
    broker: RunningBroker, authorities: AuthorityFolder, folder: Path
) -> None:
    early = device(folder, authorities.device(), A, now=datetime.now(UTC) + DAY)
    assert tls_alert(broker, early) == "SSLV3_ALERT_BAD_CERTIFICATE"


def test_a_server_certificate_is_refused_as_a_client(
    broker: RunningBroker, authorities: AuthorityFolder, folder: Path
) -> None:
    services, key = authorities.service(), keys.new_key()
    certificate = services.issue_server(key.public_key(), [A], datetime.now(UTC))
    assert tls_alert(broker, Credential.write(folder, key, certificate)) == "TLSV1_ALERT_UNKNOWN_CA"
    # With its authority along, and the root that signed the device authority as well.
    chain = (certificate, services.certificate, authorities.root().certificate)
    assert tls_alert(broker, Credential.write(folder, key, *chain)) == "TLSV1_ALERT_UNKNOWN_CA"
    # And one for servers that the device authority signed.
    wrong = raw(folder, authorities.device(), A, usage=ExtendedKeyUsageOID.SERVER_AUTH)
    assert tls_alert(broker, wrong) == "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE"


def test_a_service_certificate_is_refused_where_gateways_come_in(
    broker: RunningBroker, authorities: AuthorityFolder, folder: Path
) -> None:
    services, key = authorities.service(), keys.new_key()
    certificate = services.issue_service(key.public_key(), CONSUMER, datetime.now(UTC))
    chain = (certificate, services.certificate, authorities.root().certificate)
    assert tls_alert(broker, Credential.write(folder, key, *chain)) == "TLSV1_ALERT_UNKNOWN_CA"


def test_a_certificate_that_a_gateway_signed_is_refused(
    broker: RunningBroker, authorities: AuthorityFolder, folder: Path
) -> None:
    """With its own certificate as if that were an authority's."""
    key = keys.new_key()
    own = authorities.device().issue_device(key.public_key(), B, datetime.now(UTC))
    forged = raw(folder, Authority("forged", own, own, key), A, along=[own])
    assert tls_alert(broker, forged) == "TLSV1_ALERT_UNKNOWN_CA"


def test_a_device_certificate_is_refused_as_a_server(broker: RunningBroker, a: Credential) -> None:
    """By a gateway, which pins the authorities of servers."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(a.chain, a.key)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    pinned = context_for(broker, None)
    pinned.check_hostname = False  # a device's certificate has no host: it must fall for another reason
    theirs = server.wrap_bio(outgoing, incoming, server_side=True)
    ours = pinned.wrap_bio(incoming, outgoing)
    for side in (ours, theirs):
        with pytest.raises(ssl.SSLWantReadError):
            side.do_handshake()
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer certificate"):
        ours.do_handshake()


def test_tls_below_1_2_is_refused(broker: RunningBroker, a: Credential) -> None:
    context = context_for(broker, a)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", broker.broker.listeners.tls)) as plain,
        pytest.raises(ssl.SSLError, match="TLSV1_ALERT_PROTOCOL_VERSION"),
    ):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


# The broker's own certificate


def test_the_brokers_certificate_is_renewed_while_it_runs_and_no_session_notices(
    authorities: AuthorityFolder, b: Credential, tmp_path: Path
) -> None:
    with running_broker(authorities=authorities) as broker:
        (tmp_path / "broker").symlink_to(broker.broker.folder)
        environment = read({"TDS_HOME": str(tmp_path), "TDS_CA_DIR": str(authorities.path)})
        now = datetime.now(UTC)
        certificates.make(broker.broker.tls, authorities, broker_tls.hosts(environment), now)
        broker.reload()
        with gateway(broker, b) as found:
            first = served(broker.broker.listeners.tls)
            assert certificates.renew(environment, now + 200 * DAY) == []
            broker_files.mark(broker.broker.tls, Access(1, {}, ()))
            assert certificates.renew(environment, now + 300 * DAY) == ["broker"]
            assert certificates.renew(environment, now + 300 * DAY) == []
            # The agent sees that the broker has not taken in what is there.
            assert broker_files.marked(broker.broker.tls)[1] == ""
            broker.reload()
            wait_until(lambda: served(broker.broker.listeners.tls) != first, "another certificate")
            assert found.publish(f"status/{B}") in {0, NOBODY}
            assert not found.gone.is_set()


# Whose its files are


def owners(folder: Path) -> dict[str, int]:
    return {name: (folder / name).stat().st_uid for name in (KEY, CHAIN, DEVICE_ANCHORS, SERVER_CA, REVOKED)}


@as_root
def test_files_of_a_broker_are_its_accounts_while_an_agent_writes_there_as_well(
    authorities: AuthorityFolder, folder: Path
) -> None:
    """The agent's drafts come and go at any moment."""
    account, tls = service_account("mosquitto"), folder / "busy" / "tls"
    assert account
    certificates.make(tls, authorities, ["localhost"], datetime.now(UTC))
    lists, stop = (tls / REVOKED).read_bytes(), threading.Event()

    def write() -> None:
        while not stop.is_set():
            broker_files.put(tls, Access(1, {REVOKED: lists}, ()), [REVOKED])

    agent = threading.Thread(target=write)
    agent.start()
    try:
        for _ in range(20):
            certificates.make(tls, authorities, ["localhost"], datetime.now(UTC))
            assert set(owners(tls).values()) == {account.uid}
    finally:
        stop.set()
        agent.join()


@as_root
def test_a_start_that_is_killed_at_any_file_leaves_the_broker_no_key_that_it_can_not_read(
    authorities: AuthorityFolder, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, tls = service_account("mosquitto"), folder / "killed" / "tls"
    assert account
    real, left = Path.replace, [0]

    def replace(draft: str, path: Path) -> None:
        if not left[0]:
            raise OSError("killed")
        left[0] -= 1
        real(Path(draft), path)

    monkeypatch.setattr(os, "replace", replace)
    for files in range(6):
        left[0] = files
        with pytest.raises(OSError, match="killed"):
            certificates.make(tls, authorities, ["localhost"], datetime.now(UTC))
        assert {path.stat().st_uid for path in (tls, *tls.iterdir())} == {account.uid}
        assert not tls_files.fit(tls, authorities.stamp(), ["localhost"], datetime.now(UTC))


@as_root
def test_a_key_that_root_took_for_itself_is_made_anew(authorities: AuthorityFolder, folder: Path) -> None:
    account, tls, now = service_account("mosquitto"), folder / "taken" / "tls", datetime.now(UTC)
    assert account
    certificates.make(tls, authorities, ["localhost"], now)
    assert broker_tls.to_make([tls], authorities.path, ["localhost"], now=now) == []
    os.chown(tls / KEY, 0, 0)
    assert broker_tls.to_make([tls], authorities.path, ["localhost"], now=now) == [tls]
    certificates.make(tls, authorities, ["localhost"], now)
    assert set(owners(tls).values()) == {account.uid}
