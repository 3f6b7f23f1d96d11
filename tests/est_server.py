"""A stand-in for the platform's EST server (RFC 7030), which signs what it is asked to, or answers as a test says."""

import base64
import contextlib
import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from tds.identity.authorities import tls_files
from tests.boxes import Maker


@dataclass(slots=True)
class Answer:
    """What every request gets; None: a certificate."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class EstServer:
    """`asked`: the path, the common name of the client's certificate ("" without one), and what it authorized with."""

    url: str
    maker: Maker
    answer: Answer | None = None
    code: str | None = None  # of the certificate, where it is not the one that was asked for
    key: ec.EllipticCurvePublicKey | None = None  # the same
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)  # what the platform takes for now
    loses: bool = False  # what it issued: the connection ends before the answer
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    keys: list[ec.EllipticCurvePublicKey] = field(default_factory=list)  # that it certified, or was to

    def certificate(self, body: bytes) -> bytes:
        request = x509.load_der_x509_csr(base64.b64decode(body))
        assert request.is_signature_valid
        key = request.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        self.keys.append(key)
        asked_for = request.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
        leaf = self.maker.authorities.device().issue_device(self.key or key, self.code or str(asked_for), self.clock())
        return base64.encodebytes(pkcs7.serialize_certificates([leaf], Encoding.DER))


@contextlib.contextmanager
def est_server(maker: Maker, tls: Path) -> Iterator[EstServer]:
    """`tls`: a folder as `Maker.server_files` fills it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.asked.append((self.path, _client(self.connection), self.headers.get("Authorization", "")))
            answer = found.answer or Answer(200, found.certificate(body), {"Content-Type": "application/pkcs7-mime"})
            if found.loses:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(answer.body)

        def log_message(self, *_: Any) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls / tls_files.CHAIN, tls / tls_files.KEY)
    context.load_verify_locations(tls / tls_files.DEVICE_ANCHORS)
    context.verify_mode = ssl.CERT_OPTIONAL
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a refused handshake is the client's to tell
    found = EstServer(f"https://localhost:{server.server_address[1]}", maker)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _client(connection: Any) -> str:
    certificate = connection.getpeercert()
    names = dict(pair for each in certificate.get("subject", ()) for pair in each) if certificate else {}
    return str(names.get("commonName", ""))
