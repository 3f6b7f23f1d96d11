"""The TLS side of :8070: who we are, whom we ask for a certificate, and that a refused one is told so.

A client certificate is asked for and not demanded: a new board has none yet. Each route says whether it must have one.
"""

import ssl
from asyncio import sslproto
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Final

# TLS 1.2 for boards whose mbedTLS has no 1.3 yet: forward secrecy and an AEAD alone (RFC 9325, 4.2). 1.3 has no others.
CIPHERS_OF_TLS_1_2: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"

# A TLS record's most (RFC 8446, 5.1), and a little. asyncio gives every connection 256 KiB to receive into, before it
# has sent a byte: a thousand silent ones took 280 MB.
RECEIVE_BYTES: Final = 20_480

on_refusal: ContextVar[Callable[[ssl.SSLError], None]] = ContextVar("on_refusal")


class TellingSSLObject(ssl.SSLObject):
    """Lets the alert out that says why a handshake failed, as "certificate expired".

    asyncio closes a connection whose handshake raised before it has sent what OpenSSL left in the buffer (shown with
    Python 3.11: the device sees a reset and nothing else). So a failure is told to `on_refusal`, and asyncio only that
    more is wanted from the peer: then it sends what there is. Whoever is told ends the connection.
    """

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            on_refusal.get()(error)
            raise ssl.SSLWantReadError from error


def take_small_buffers() -> None:
    """Of TLS connections of this process that begin from now on."""
    sslproto.SSLProtocol.max_size = RECEIVE_BYTES


def server_context(chain: Path, key: Path, anchors_pem: bytes) -> ssl.SSLContext:
    """Raises OSError (ssl.SSLError is one) when the files do not fit together, as between their two replacements."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS_OF_TLS_1_2)
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(chain, key)
    context.load_verify_locations(cadata=anchors_pem.decode("ascii"))
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.sslobject_class = TellingSSLObject
    return context


def reason_of(error: ssl.SSLError) -> str:
    """Why a handshake failed, in few words that count well: `certificate has expired`."""
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_message:
        return error.verify_message
    return (error.reason or "unknown").lower().replace("_", " ")
