"""Whether a broker really refuses whom its revocation list names: it is asked with a certificate that every list names.

A mosquitto 2.0.11 that can't read its list at a SIGHUP says so in its log and then lets everybody in; with a list that
is too old it lets nobody in. Only the answer to a certificate tells. The key of this one is no secret worth a theft:
its name is none that a gateway can have, no table of certificates has it, and it is refused from its first moment on.
"""

import os
import socket
import ssl
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import mqtt5
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tds.identity.authorities import keys
from tds.identity.authorities.authority import SERVICE_DAYS, Authority
from tds.identity.authorities.crl import Reason, Revoked

NAME: Final = "_canary"
RENEWED: Final = timedelta(days=60)  # before its end: one that ran out is refused for another reason
ANSWER_S: Final = 3.0
READ_BYTES: Final = 1_024
REVOKED: Final = "CERTIFICATE_REVOKED"  # TLS alert 44 (RFC 8446, 6.2)
WHAT_ALERTS_MEAN: Final = {
    "CERTIFICATE_EXPIRED": "it holds its revocation list for outdated",
    "UNKNOWN_CA": "it lacks the authority or its revocation list",
    "BAD_CERTIFICATE": "for it the certificate or the revocation list is not valid yet; compare the clocks",
}


class NotEnforcedError(Exception):
    """The broker does not go by its revocation list; the text is a sentence."""


def make(authority: Authority, now: datetime) -> str:
    """Certificate and key of a device authority's canary, in PEM."""
    key = keys.new_key()
    certificate = authority.issue_service(key.public_key(), NAME, now, days=SERVICE_DAYS)
    return (certificate.public_bytes(serialization.Encoding.PEM) + keys.pem(key)).decode("ascii")


def usable(canary: str, authority: Authority, now: datetime) -> bool:
    """Whether it still serves, and is this authority's own."""
    try:
        certificate = _certificate(canary)
        certificate.verify_directly_issued_by(authority.anchor)
    except Exception:  # noqa: BLE001  # whatever is wrong with it, another is made
        return False
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - RENEWED


def entry(canary: str) -> Revoked:
    certificate = _certificate(canary)
    return Revoked(certificate.serial_number, certificate.not_valid_before_utc, Reason.cessation_of_operation)


def client(canary: str) -> ssl.SSLContext:
    """A client that has it. Raises OSError when this machine has no memory or no file left for that."""
    # A file in memory: a disk that is full says nothing of the broker, and a key stays off it.
    descriptor = os.memfd_create(NAME)
    try:
        os.write(descriptor, canary.encode("ascii"))
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # In TLS 1.3 a client is done before the server has looked at its certificate, and writes to one that has gone.
        made.maximum_version = ssl.TLSVersion.TLSv1_2
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE  # it is told nothing that is secret
        made.load_cert_chain(Path(f"/proc/self/fd/{descriptor}"))
    finally:
        os.close(descriptor)
    return made


def ask(client: ssl.SSLContext, host: str, port: int) -> None:
    """Returns when the broker refused it as revoked. Raises NotEnforcedError, or OSError when nobody answers."""
    with socket.create_connection((host, port), timeout=ANSWER_S) as plain:
        try:
            with client.wrap_socket(plain) as connection:
                connection.sendall(mqtt5.ConnectPacket(NAME, clean_start=True).write())
                answer = connection.recv(READ_BYTES)
        except ssl.SSLError as error:
            _judge(error)
            return
    if answer:
        raise NotEnforcedError(
            "The broker lets in whom its revocation list names: it could not read the list. Look into its log."
        )
    raise OSError("the broker closed the connection without a word")


def _judge(error: ssl.SSLError) -> None:
    reason = error.reason or ""
    if REVOKED in reason:
        return
    meaning = next((meaning for alert, meaning in WHAT_ALERTS_MEAN.items() if alert in reason), reason or str(error))
    raise NotEnforcedError(f"The broker turns every gateway away: {meaning}.")


def _certificate(canary: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(canary.encode("ascii"))
