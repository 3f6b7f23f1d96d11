"""A connection in the making, TCP and then TLS, in steps that never wait.

paho's own way waits for the handshake, up to seconds when a broker is busy: with 500 gateways in one thread, each would
wait for all.
"""

import errno
import os
import re
import socket
import ssl
from collections import deque
from typing import Final

_UNDER_WAY: Final = {errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK}
# What a server says of a certificate that it refuses (RFC 8446, 6.2), in OpenSSL's names.
_ABOUT_CERTIFICATES: Final = re.compile(r"ALERT_(?:\w*CERTIFICATE\w*|UNKNOWN_CA|ACCESS_DENIED|DECRYPT_ERROR)$")


class Opening:
    """OSError, here and from `step`: it came to nothing. ssl.SSLCertVerificationError: the server is another one."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None, turn: int = 0) -> None:
        """`turn` says with which of the host's addresses to begin: one may lead nowhere without a word."""
        self._host = host
        self._context = context
        try:
            found = deque(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except UnicodeError as error:  # a label that is empty or too long
            raise OSError(f"{host!r} is no name of a host") from error
        found.rotate(-turn)
        self._addresses = found
        self._is_connected = False
        self.wants_write = True
        self.socket = self._begin()

    @property
    def waits_for(self) -> str:
        return "no end of the TLS handshake" if self._is_connected else "no connection"

    def step(self) -> socket.socket | None:
        """The socket once it can be used; it never blocks."""
        if not self._is_connected:
            if trouble := self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.socket.close()
                if not self._addresses:
                    raise OSError(trouble, os.strerror(trouble))
                self.socket = self._begin()
                return None
            try:
                self.socket.getpeername()
            except OSError:  # not yet
                return None
            self._is_connected = True
            if self._context is not None:
                self.socket = self._context.wrap_socket(
                    self.socket, server_hostname=self._host, do_handshake_on_connect=False
                )
        return self._shake_hands()

    def close(self) -> None:
        self.socket.close()

    def _begin(self) -> socket.socket:
        """Knocks at the next address; those that say no at once are passed over."""
        while True:
            family, kind, protocol, _, address = self._addresses.popleft()
            sock = socket.socket(family, kind, protocol)
            sock.setblocking(False)
            trouble = sock.connect_ex(address)
            if trouble == 0 or trouble in _UNDER_WAY:
                return sock
            sock.close()
            if not self._addresses:
                raise OSError(trouble, os.strerror(trouble))

    def _shake_hands(self) -> socket.socket | None:
        if isinstance(self.socket, ssl.SSLSocket):
            try:
                self.socket.do_handshake()
            except ssl.SSLWantReadError:
                self.wants_write = False
                return None
            except ssl.SSLWantWriteError:
                self.wants_write = True
                return None
        return self.socket


def reason(error: OSError) -> str:
    """What went wrong, as a few words for a sentence."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message.rstrip(".") or "it can't be verified"
    if isinstance(error, ssl.SSLEOFError):
        return "it hung up during the TLS handshake"
    if isinstance(error, ssl.SSLError):
        return in_words(error.reason or str(error))
    return error.strerror or str(error)


def in_words(openssl_reason: str) -> str:
    """`SSLV3_ALERT_CERTIFICATE_REVOKED` → `certificate revoked`."""
    return re.sub(r"^(?:SSLV3|TLSV1|TLSV13)_ALERT_", "", openssl_reason).lower().replace("_", " ")


def refuses_certificate(openssl_reason: str) -> bool:
    """Whether that is the server's word about the certificate that we showed."""
    return _ABOUT_CERTIFICATES.search(openssl_reason) is not None
