"""What a certification request (PKCS #10, RFC 2986) must be before anything in it is believed. Pure."""

from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AttributeOID, NameOID

from tds.identity import names

MAX_REQUEST_BYTES: Final = 8_192  # one on P-256 with nothing but a name takes about 250
SIGNED_WITH: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
ATTRIBUTES: Final = (AttributeOID.CHALLENGE_PASSWORD,)  # RFC 7030, 3.5; it proves nothing here and is not looked at


class RequestRefusedError(Exception):
    """No certificate for this request; the text is a sentence that says what is wrong with it."""


def read_request(der: bytes) -> x509.CertificateSigningRequest:
    """A request that holds a gateway's code, a P-256 key, proof of its possession, and nothing else.

    Raises RequestRefusedError.
    """
    if len(der) > MAX_REQUEST_BYTES:
        raise RequestRefusedError(f"The request has {len(der)} bytes; at most {MAX_REQUEST_BYTES} are read.")
    try:
        request = x509.load_der_x509_csr(der)
        _check_key(request)
        _check_proof(request)
        _check_nothing_else(request)
        common_name(request)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise RequestRefusedError("The request is no certification request of PKCS #10 in DER.") from error
    return request


def common_name(request: x509.CertificateSigningRequest) -> str:
    """The gateway code that it asks for. Raises RequestRefusedError."""
    attributes = list(request.subject)
    if len(attributes) != 1 or attributes[0].oid != NameOID.COMMON_NAME:
        raise RequestRefusedError("The request's subject must be CN=<gateway code> and nothing else.")
    value = attributes[0].value
    try:
        return names.gateway_name(value if isinstance(value, str) else "")
    except names.NameRefusedError as error:
        raise RequestRefusedError(str(error)) from error


def public_key(request: x509.CertificateSigningRequest) -> ec.EllipticCurvePublicKey:
    """Of a request that `read_request` took."""
    key = request.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise RequestRefusedError("The request's key must be ECDSA on P-256.")
    return key


def _check_key(request: x509.CertificateSigningRequest) -> None:
    key = request.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise RequestRefusedError("The request's key must be ECDSA on P-256 (secp256r1, prime256v1).")


def _check_proof(request: x509.CertificateSigningRequest) -> None:
    if not isinstance(request.signature_hash_algorithm, SIGNED_WITH):
        raise RequestRefusedError("The request must be signed with ECDSA and SHA-256, SHA-384 or SHA-512.")
    if not request.is_signature_valid:
        raise RequestRefusedError("The request's signature does not fit its key: it is damaged, or the key another's.")


def _check_nothing_else(request: x509.CertificateSigningRequest) -> None:
    if extensions := [extension.oid for extension in request.extensions]:
        asked = ", ".join(f"{oid._name} ({oid.dotted_string})" for oid in extensions)  # noqa: SLF001  # its only name
        raise RequestRefusedError(f"The request asks for extensions, which the authority alone sets: {asked}.")
    if any(attribute.oid not in ATTRIBUTES for attribute in request.attributes):
        raise RequestRefusedError("The request has attributes that are not known here; leave them out.")
