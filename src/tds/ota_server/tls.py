"""The TLS side of :8070: who we are, whom we ask for a certificate, and that a refused one is told so.

A client certificate is asked for and not demanded: a new board has none yet. Each route says whether it must have one.
"""

import asyncio
import socket
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

UNSENT_BYTES: Final = 65_536  # that the kernel may hold beside what is on its way

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


def keep_little_unsent(transport: asyncio.BaseTransport) -> None:
    """Of a connection that sends for long: what its peer has not taken is held once below TLS, and little above it.

    By default asyncio holds 512 KiB and 64 KiB of it for each client that does not read, and the kernel up to 4 MiB.
    """
    of_kernel = transport.get_extra_info("socket")
    if of_kernel is not None:
        of_kernel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    if isinstance(transport, asyncio.WriteTransport):
        transport.set_write_buffer_limits(high=1, low=0)  # at 0 its side of TLS pauses for ever
    if (below := _below(transport)) is not None:
        below.set_write_buffer_limits(high=0)


def has_unsent(transport: asyncio.BaseTransport) -> bool:
    """Whether the kernel has not taken all; when it has, asyncio tells TLS alone."""
    below = _below(transport)
    return below is not None and below.get_write_buffer_size() > 0


def _below(transport: asyncio.BaseTransport) -> asyncio.WriteTransport | None:
    found = getattr(getattr(transport, "_ssl_protocol", None), "_transport", None)
    return found if isinstance(found, asyncio.WriteTransport) else None


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
