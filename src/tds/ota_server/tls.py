"""The TLS side of :8070: who we are, whom we ask for a certificate, and that a refused one is told so.

A client certificate is asked for and not demanded: a new board has none yet. Each route says whether it must have one.
"""

import ssl
from pathlib import Path
from typing import Final

# TLS 1.2 for boards whose mbedTLS has no 1.3 yet: forward secrecy and an AEAD alone (RFC 9325, 4.2). 1.3 has no others.
CIPHERS_OF_TLS_1_2: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


def server_context(chain: Path, key: Path, anchors_pem: bytes) -> ssl.SSLContext:
    """Raises OSError (ssl.SSLError is one) when the files do not fit together, as between their two replacements.

    Sessions of TLS 1.3 are not resumed: no device of ours asks for it, and a ticket, which holds all that the client
    has shown, costs a fifth of a handshake.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS_OF_TLS_1_2)
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(chain, key)
    context.load_verify_locations(cadata=anchors_pem.decode("ascii"))
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0
    return context


def reason_of(error: ssl.SSLError) -> str:
    """Why a handshake failed, in few words that count well: `certificate has expired`."""
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_message:
        return error.verify_message
    return (error.reason or "unknown").lower().replace("_", " ")
