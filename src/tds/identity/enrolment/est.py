"""EST on the wire (RFC 7030, made clear by RFC 8951): what is in a request, and what goes into an answer. Pure.

Bodies are DER in base64, whatever a Content-Transfer-Encoding says (RFC 8951, 3). Errors are a sentence in text/plain
(RFC 7030, 4.2.3). One path, without labels (RFC 7030, 3.2.2): there is one authority behind it.
"""

import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from tds.identity.enrolment.http_refusal import RefusedError

PATH: Final = "/.well-known/est"
REQUEST_TYPE: Final = "application/pkcs10"
CERTIFICATES_TYPE: Final = "application/pkcs7-mime"
ISSUED_TYPE: Final = "application/pkcs7-mime; smime-type=certs-only"
ATTRIBUTES_TYPE: Final = "application/csrattrs"
TRANSFER_ENCODING: Final = {"Content-Transfer-Encoding": "base64"}  # of answers, for clients from before RFC 8951
REALM: Final = "TDS enrolment"

MAX_CREDENTIALS_CHARS: Final = 512  # of the header; a code of 64 and a claim code take about 130

# CsrAttrs (RFC 8951, 4.1): the key is id-ecPublicKey on prime256v1, the signature ecdsa-with-SHA256.
CSR_ATTRIBUTES: Final = bytes.fromhex("3021 3015 06072a8648ce3d0201 310a 06082a8648ce3d030107 06082a8648ce3d040302")

_WHITESPACE: Final = b" \t\r\n"  # RFC 8951, 3.1
_PEM: Final = b"-----BEGIN"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of HTTP Basic (RFC 7617). The secret is in no repr: those end up in logs."""

    user: str
    secret: str = field(repr=False)


def unauthorized(sentence: str) -> RefusedError:
    """The answer names what it wants in WWW-Authenticate, see `REALM`."""
    return RefusedError(HTTPStatus.UNAUTHORIZED, sentence)


def credentials(header: str | None) -> Credentials:
    """What an Authorization header says. Raises RefusedError (401)."""
    wanted = "Send the gateway's code as user name and its claim code as password, by HTTP Basic."
    scheme, _, text = (header or "").strip().partition(" ")
    if scheme.lower() != "basic":
        raise unauthorized(wanted)
    if len(text) > MAX_CREDENTIALS_CHARS:
        raise unauthorized(f"The credentials are longer than {MAX_CREDENTIALS_CHARS} characters. {wanted}")
    try:
        user, colon, secret = binascii.a2b_base64(text.strip(), strict_mode=True).decode("utf-8").partition(":")
    except ValueError:  # also of base64 and of UTF-8
        raise unauthorized(f"The credentials are no base64 of user:password. {wanted}") from None
    if not colon:
        raise unauthorized(f"The credentials have no colon between user name and password. {wanted}")
    return Credentials(user, secret)


def check_type(content_type: str) -> None:
    """That of an enrolment's body, without its parameters. Raises RefusedError (415)."""
    if content_type.strip().lower() != REQUEST_TYPE:
        raise RefusedError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send the certification request with Content-Type: {REQUEST_TYPE}."
        )


def decoded(body: bytes) -> bytes:
    """The DER in a body. Raises RefusedError (400) with a sentence for whoever writes the device's firmware."""
    if body.lstrip(_WHITESPACE).startswith(_PEM):
        raise RefusedError(
            HTTPStatus.BAD_REQUEST, "The body is PEM; send the base64 alone, without the BEGIN and END lines."
        )
    text = body.translate(None, _WHITESPACE)
    if not text:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "The body is empty; send a certification request: DER in base64.")
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise RefusedError(
            HTTPStatus.BAD_REQUEST, "The body is no base64 (RFC 4648, 4); send a certification request: DER in base64."
        ) from None


def encoded(der: bytes) -> bytes:
    """In lines, which RFC 8951 lets a receiver expect and `openssl base64` needs."""
    width = 57  # 76 characters
    return b"".join(binascii.b2a_base64(der[at : at + width]) for at in range(0, len(der), width))


def certificates(chain: Sequence[x509.Certificate]) -> bytes:
    """A certs-only PKCS #7 (RFC 5652, 5.1 with no signer), as a body."""
    return encoded(pkcs7.serialize_certificates(list(chain), Encoding.DER))
