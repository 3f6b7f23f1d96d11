"""Certificate authorities and what they issue (RFC 5280). Pure: keys and times in, certificates out.

A root signs two kinds of issuing authorities, one for devices and one for servers and services. What verifies devices
trusts the device authority's *anchor*, a self-signed certificate of the same name and key, and not the root: otherwise
a service could present the service authority's certificate along with its own and pass for a device.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tds.identity import names

ORGANIZATION: Final = "TDS"
ROOT: Final = "root"
ROOT_DAYS: Final = 20 * 365
ISSUING_DAYS: Final = 10 * 365
DEVICE_DAYS: Final = 2 * 365  # a gateway renews from two thirds on; one that lay in a box for a year still gets in
SERVER_DAYS: Final = 397  # what browsers take at most (CA/Browser Forum baseline requirements, 6.3.2)
SERVICE_DAYS: Final = 397
BACKDATED: Final = timedelta(minutes=5)  # a device whose clock is a little behind can use it at once


class Kind(StrEnum):
    """What an issuing authority issues."""

    DEVICE = "device"
    SERVICE = "service"


USAGES: Final = {
    Kind.DEVICE: (ExtendedKeyUsageOID.CLIENT_AUTH,),
    Kind.SERVICE: (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
}


@dataclass(frozen=True, slots=True)
class Root:
    """The top of the hierarchy. Its key is needed to make an issuing authority, and never else."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | None = None


@dataclass(frozen=True, slots=True)
class Authority:
    """An issuing authority: `certificate` is signed by the root, `anchor` by itself."""

    name: str  # device-1, service-1, device-2 …
    certificate: x509.Certificate
    anchor: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def issue_device(
        self, public_key: ec.EllipticCurvePublicKey, code: str, now: datetime, *, days: float = DEVICE_DAYS
    ) -> x509.Certificate:
        """For a gateway: its code is the common name, and it may only be a TLS client. Raises NameRefusedError."""
        subject = _name(names.gateway_name(code))
        return self._sign(_leaf(public_key, subject, now, self._end(now, days)), ExtendedKeyUsageOID.CLIENT_AUTH)

    def issue_server(
        self, public_key: ec.EllipticCurvePublicKey, hosts: Sequence[str], now: datetime, *, days: float = SERVER_DAYS
    ) -> x509.Certificate:
        """For a server that is reached by these names and addresses (RFC 6125). It may not be a TLS client."""
        alternatives = x509.SubjectAlternativeName([_host(host) for host in hosts])
        subject = _name(hosts[0][:64])  # RFC 5280, ub-common-name: clients look at the alternative names
        builder = _leaf(public_key, subject, now, self._end(now, days)).add_extension(alternatives, critical=False)
        return self._sign(builder, ExtendedKeyUsageOID.SERVER_AUTH)

    def issue_service(
        self, public_key: ec.EllipticCurvePublicKey, name: str, now: datetime, *, days: float = SERVICE_DAYS
    ) -> x509.Certificate:
        """For one of the platform's own processes, as a TLS client. Raises NameRefusedError."""
        subject = _name(names.service_name(name))
        return self._sign(_leaf(public_key, subject, now, self._end(now, days)), ExtendedKeyUsageOID.CLIENT_AUTH)

    def _end(self, now: datetime, days: float) -> datetime:
        """A certificate that outlived its authority would be refused before its gateway thought of renewing it."""
        return min(now + timedelta(days=days), self.certificate.not_valid_after_utc)

    def _sign(self, builder: x509.CertificateBuilder, usage: x509.ObjectIdentifier) -> x509.Certificate:
        return (
            builder.issuer_name(self.certificate.subject)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(_authority_identifier(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )


def make_root(key: ec.EllipticCurvePrivateKey, label: str, now: datetime) -> Root:
    """`label` tells installations apart where people see names."""
    name = _authority_name(ROOT, label)
    builder = _authority_builder(name, name, key.public_key(), now, ROOT_DAYS, path_length=1)
    return Root(builder.sign(key, hashes.SHA256()), key)


def make_issuing(  # noqa: PLR0913  # all of what a certificate says
    root: Root, key: ec.EllipticCurvePrivateKey, kind: Kind, number: int, *, label: str, now: datetime
) -> Authority:
    """The `number`th authority of a kind, from 1. It lives no longer than its root. Raises ValueError without a key."""
    if root.key is None:
        raise ValueError("The root's key is not here.")
    name = f"{kind}-{number}"
    subject = _authority_name(name, label)
    days = min(ISSUING_DAYS, (root.certificate.not_valid_after_utc - now).days)
    usage = x509.ExtendedKeyUsage(USAGES[kind])
    by_root = (
        _authority_builder(subject, root.certificate.subject, key.public_key(), now, days, path_length=0)
        .add_extension(usage, critical=False)
        .add_extension(_authority_identifier(root.key.public_key()), critical=False)
        .sign(root.key, hashes.SHA256())
    )
    anchor = (
        _authority_builder(subject, subject, key.public_key(), now, days, path_length=0)
        .add_extension(usage, critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(name, by_root, anchor, key)


def serial_text(certificate: x509.Certificate) -> str:
    """40 hexadecimal digits, as our tables and commands have it."""
    return f"{certificate.serial_number:040x}"


def fingerprint_text(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _authority_name(name: str, label: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, f"TDS {name} {label}"),
        ]
    )


def _leaf(
    public_key: ec.EllipticCurvePublicKey, subject: x509.Name, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(_subject_identifier(public_key), critical=False)
    )


def _authority_builder(  # noqa: PLR0913  # all of what a certificate says
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
    days: float,
    *,
    path_length: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(_subject_identifier(public_key), critical=False)
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _subject_identifier(public_key: ec.EllipticCurvePublicKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(public_key)


def _authority_identifier(public_key: ec.EllipticCurvePublicKey) -> x509.AuthorityKeyIdentifier:
    """By key alone: with issuer and serial number it would fit the certificate by the root and not the anchor."""
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(public_key)


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
