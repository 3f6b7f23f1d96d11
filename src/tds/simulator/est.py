"""Enrolment over Secure Transport (RFC 7030) as a device speaks it. The private key is made here and never leaves.

A key is kept from before the first request until its certificate is kept, or the server refused it for good. Whoever
asks again meanwhile asks with the same key: what the server gave, and the network lost, it then gives once more.
"""

import base64
import contextlib
import http.client
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs7
from cryptography.x509.oid import NameOID

from tds.simulator.credential import (
    CA_FILE,
    Credential,
    begin_renewal,
    give_up_renewal,
    keep_reserved,
    release,
    renewing,
    reserve,
    reserved,
    trusting,
)
from tds.simulator.opening import reason

PATH: Final = "/.well-known/est/"
TIMEOUT_S: Final = 10.0  # of each wait: to connect, for the answer
MAX_ANSWER_BYTES: Final = 65_536
MAX_SHOWN_CHARS: Final = 200  # of what a server says when it refuses
MAX_RETRY_AFTER_S: Final = 86_400
HTTPS_PORT: Final = 443
CLOCK_TOLERANCE: Final = timedelta(days=1)
KEY_KEPT: Final = "its key is kept: ask again with the same claim code, within a quarter of an hour"
# Of the other refusals the same request may have another end later.
FOR_GOOD: Final = frozenset({http.client.BAD_REQUEST, http.client.UNAUTHORIZED, http.client.FORBIDDEN})


class EnrolmentError(Exception):
    """A sentence. `retry_after_s` is what the server asks for, None when it says nothing of it.

    `for_good`: whoever asks again for the same key gets nothing else.
    """

    def __init__(self, sentence: str, retry_after_s: float | None = None, *, for_good: bool = False) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s
        self.for_good = for_good


@dataclass(frozen=True, slots=True)
class Issued:
    """A new pair, as it goes into files."""

    key_pem: bytes
    chain_pem: bytes


@dataclass(frozen=True, slots=True)
class Server:
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> "Server":
        """From `https://host[:port]`; a ValueError says what is wrong with it."""
        try:
            parts = urlsplit(url)
            port = HTTPS_PORT if parts.port is None else parts.port
            usable = parts.scheme == "https" and bool(parts.hostname) and port > 0 and not parts.username
        except ValueError:
            usable = False
        if not usable or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("The server that renews certificates must be given as https://host[:port].")
        return cls(parts.hostname or "", port)


def renew(server: Server, present: Credential) -> Issued:
    """`simplereenroll`, with the present certificate. Waits for the server. EnrolmentError, CredentialError.

    After an error, what is asked the next time is for the same key, unless the error is `for_good`.
    """
    context = present.context()
    request = x509.CertificateSigningRequestBuilder().subject_name(present.certificate.subject)
    with contextlib.suppress(x509.ExtensionNotFound):  # RFC 7030, 4.2.2: the same names as before
        names = present.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        request = request.add_extension(names.value, critical=names.critical)
    key = renewing(present)
    if key is None:
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            begin_renewal(present, _pem(key))
        except OSError as error:
            raise EnrolmentError(f"{str(present.folder)!r} takes no key ({reason(error)}); make room for it") from error
    try:
        answer = _post(server, "simplereenroll", context, request.sign(key, hashes.SHA256()))
        issued, leaf = _taken(answer, key, present.code, present.issuers)
        _refuse_out_of_time(leaf, datetime.now(UTC))
    except EnrolmentError as error:
        if error.for_good:
            give_up_renewal(present)
        raise
    return issued


def claim(server: Server, code: str, secret: str, folder: Path) -> None:
    """`simpleenroll`, with a claim code: what comes is the gateway's from here on, in its folder.

    The code is good for once. So a disk that takes no more is found before it is used, and what comes is kept whatever
    the clock says: a board that was never connected may have any. Waits for the server.

    Raises EnrolmentError, CredentialError. Unless the error is `for_good`, the next call with the same claim code asks
    for the same key, which the server answers also when the code was used up by the former one.
    """
    context = trusting(folder / CA_FILE)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, code)])
    key = reserved(folder)
    if key is None:
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            reserve(folder, _pem(key))
        except OSError as error:
            raise EnrolmentError(
                f"{str(folder)!r} takes no key ({reason(error)}); make room for it, the claim code is still good"
            ) from error
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    basic = base64.b64encode(f"{code}:{secret}".encode()).decode()
    try:
        answer = _post(server, "simpleenroll", context, request, {"Authorization": f"Basic {basic}"})
        issued, _leaf = _taken(answer, key, code)
    except EnrolmentError as error:
        if error.for_good:
            release(folder)
            raise
        raise EnrolmentError(f"{error}; {KEY_KEPT}", error.retry_after_s) from error
    try:
        keep_reserved(folder, issued.key_pem, issued.chain_pem)
    except OSError as error:
        raise EnrolmentError(
            f"its certificate came, but {str(folder)!r} does not take it ({reason(error)}); {KEY_KEPT}"
        ) from error


def _post(
    server: Server,
    operation: str,
    context: ssl.SSLContext,
    request: x509.CertificateSigningRequest,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    at = f"{server.host}:{server.port}"
    body = base64.encodebytes(request.public_bytes(Encoding.DER))
    kinds = {"Content-Type": "application/pkcs10", "Content-Transfer-Encoding": "base64"}
    connection = http.client.HTTPSConnection(server.host, server.port, timeout=TIMEOUT_S, context=context)
    try:
        connection.request("POST", PATH + operation, body, {**headers, **kinds})
        with connection.getresponse() as response:
            answer = response.read(MAX_ANSWER_BYTES + 1)
    except OSError as error:
        raise EnrolmentError(f"{at} can't be asked for a certificate ({reason(error)})") from error
    except (http.client.HTTPException, ValueError) as error:
        raise EnrolmentError(f"{at} does not speak HTTP ({type(error).__name__})") from error
    finally:
        connection.close()
    if response.status != http.client.OK:
        said = " ".join(answer[: 4 * MAX_SHOWN_CHARS].decode("utf-8", "replace").split())[:MAX_SHOWN_CHARS]
        raise EnrolmentError(
            f"{at} issues no certificate (status {response.status}: {said or response.reason})",
            _seconds(response.getheader("Retry-After")),
            for_good=response.status in FOR_GOOD,
        )
    if len(answer) > MAX_ANSWER_BYTES:
        raise EnrolmentError(f"{at} sent more than {MAX_ANSWER_BYTES} bytes for a certificate")
    return answer


def _taken(
    answer: bytes, key: ec.EllipticCurvePrivateKey, code: str, known_issuers: Sequence[x509.Certificate] = ()
) -> tuple[Issued, x509.Certificate]:
    """Ours, and what came with it. What is for another key or another name is not ours, whoever signed it."""
    try:
        certificates = pkcs7.load_der_pkcs7_certificates(base64.b64decode(answer))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise EnrolmentError("what came instead of a certificate can't be read") from error
    ours = [one for one in certificates if one.public_key() == key.public_key()]
    names = [name.value for one in ours[:1] for name in one.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [code]:
        raise EnrolmentError("the certificate that came is not of this gateway")
    issuers = [one for one in certificates if one not in ours]
    chain = [ours[0], *(issuers or [one for one in known_issuers if _issued(one, ours[0])])]
    return Issued(_pem(key), b"".join(one.public_bytes(Encoding.PEM) for one in chain)), ours[0]


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _refuse_out_of_time(leaf: x509.Certificate, now: datetime) -> None:
    """A platform whose clock is wrong must not take from its gateways what they have."""
    begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if not begins - CLOCK_TOLERANCE <= now < ends:
        raise EnrolmentError(
            f"the certificate that came is valid from {begins:%Y-%m-%d} to {ends:%Y-%m-%d}, not now",
            for_good=True,  # for the same key the same comes again; for another one a new one
        )


def _issued(issuer: x509.Certificate, leaf: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _seconds(retry_after: str | None) -> float | None:
    """A date, the other form that HTTP allows, counts as nothing said."""
    if retry_after is None or not (retry_after.isascii() and retry_after.isdecimal()):
        return None
    return min(float(retry_after[:9]), MAX_RETRY_AFTER_S)
