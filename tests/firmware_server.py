"""A stand-in for the platform's firmware server (docs/firmware-updates.md), which is as bad as a test wants it."""

import contextlib
import hashlib
import http.server
import json
import re
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from tds.identity.authorities import tls_files
from tds.updates.signed import manifest as manifests
from tds.updates.signed import ticket as tickets
from tds.updates.signed import trust
from tds.updates.signed.keys import PrivateKey
from tds.updates.signed.manifest import Manifest
from tds.updates.signed.ticket import Ticket
from tds.updates.signed.trust import TrustedKey, TrustSet, Use

Document = dict[str, Any]

DAY: Final = timedelta(days=1)
BACKLOG: Final = 128


@dataclass(slots=True)
class Signers:
    """The keys of one platform: root, release, assignment."""

    root: PrivateKey = field(default_factory=PrivateKey.new)
    release: PrivateKey = field(default_factory=PrivateKey.new)
    assignment: PrivateKey = field(default_factory=PrivateKey.new)
    seq: int = 0

    @property
    def roots(self) -> str:
        """As a factory image has it."""
        return self.root.public.text

    def trust_set(self, version: int = 1, *, revoked: tuple[str, ...] = ()) -> str:
        now = datetime.now(UTC)
        keys = tuple(
            TrustedKey.of(key.public, use, now - DAY, now + 365 * DAY)
            for key, use in ((self.release, Use.RELEASE), (self.assignment, Use.ASSIGNMENT))
        )
        stamps = int(now.timestamp()), int((now + 90 * DAY).timestamp())
        return trust.make(TrustSet(version, *stamps, keys, revoked), self.root)

    def manifest(self, image: bytes, version: str, counter: int, **others: Any) -> str:
        said = Manifest(
            product="dcu",
            families=("dcu-0080",),
            chip="host",
            hardware=("*",),
            version=version,
            counter=counter,
            size=len(image),
            sha256=hashlib.sha256(image).hexdigest(),
            min_source_counter=0,
            released_at=int(datetime.now(UTC).timestamp()),
        )
        return manifests.make(_with(said, others), self.release)

    def ticket(self, manifest: str, gateway_code: str, execution_id: str, **others: Any) -> str:
        self.seq += 1
        now = datetime.now(UTC)
        said = Ticket(
            execution_id=execution_id,
            gateway_code=gateway_code,
            manifest_sha256=manifests.hash_of(manifest),
            seq=self.seq,
            iat=int(now.timestamp()),
            exp=int((now + DAY).timestamp()),
            not_before=int(now.timestamp()),
        )
        return tickets.make(_with(said, others), self.assignment)


def _with(said: Any, others: dict[str, Any]) -> Any:
    return msgspec.structs.replace(said, **others)


@dataclass(slots=True)
class FirmwareServer:
    """`asked`: each request's line and the range that it wanted."""

    url: str
    signers: Signers
    images: dict[str, bytes] = field(default_factory=dict)
    assignments: dict[str, Document] = field(default_factory=dict)
    trust_set: str | None = None
    cut_after: list[int] = field(default_factory=list)  # of the next answers with an image: the connection ends there
    instead: dict[str, bytes] = field(default_factory=dict)  # other bytes for an image's; they say to be as long as it
    status: int = 0  # instead of an image
    endless: bool = False  # an image has no end, and no length
    drip_s: float = 0.0  # a byte of an image each
    reports: list[Document] = field(default_factory=list)  # that were posted
    asked: list[tuple[str, str]] = field(default_factory=list)
    sent_bytes: int = 0  # of images

    def offer(self, gateway_code: str, execution_id: str, image: bytes, version: str, counter: int) -> Document:
        """The command, which is also the gateway's assignment from now on."""
        digest = hashlib.sha256(image).hexdigest()
        self.images[digest] = image
        manifest = self.signers.manifest(image, version, counter)
        command = {
            "execution_id": execution_id,
            "version": version,
            "url": f"{self.url}/ota/v1/artifacts/{digest}.bin",
            "manifest": manifest,
            "ticket": self.signers.ticket(manifest, gateway_code, execution_id),
        }
        self.assignments[gateway_code] = command
        return command


@contextlib.contextmanager
def firmware_server(signers: Signers, tls: Path) -> Iterator[FirmwareServer]:
    """`tls`: a folder as `Maker.server_files` fills it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found.asked.append((f"GET {self.path}", self.headers.get("Range", "")))
            if self.path == "/ota/v1/trust":
                self._trust()
            elif self.path == "/ota/v1/assignment":
                command = found.assignments.get(_client(self.connection))
                self._answer(200, json.dumps(command).encode()) if command else self._answer(204)
            elif match := re.fullmatch(r"/ota/v1/artifacts/([0-9a-f]{64})\.bin", self.path):
                self._image(match[1])
            else:
                self._answer(404)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.asked.append((f"POST {self.path}", ""))
            found.reports.append(json.loads(body))
            self._answer(204)

        def _trust(self) -> None:
            if found.trust_set is None:
                self._answer(404)
            else:
                self._answer(200, found.trust_set.encode(), {"Content-Type": "application/jose"})

        def _image(self, digest: str) -> None:
            image = found.images.get(digest)
            if image is None or found.status:
                self._answer(found.status or 404)
                return
            if found.endless or found.drip_s:
                self._without_end(image)
                return
            start = int(match[1]) if (match := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))) else 0
            etag = f'"{digest}"'
            part = start > 0 and self.headers.get("If-Range", etag) == etag
            sent = found.instead.get(digest, image)
            body = sent[start:] if part else sent
            headers = {"ETag": etag}
            if len(body) < len(image) - start:
                headers["Content-Length"] = str(len(image) - start)
                self.close_connection = True
            if part:
                headers["Content-Range"] = f"bytes {start}-{len(image) - 1}/{len(image)}"
            self._answer(206 if part else 200, body, headers, cut=found.cut_after.pop(0) if found.cut_after else None)

        def _without_end(self, image: bytes) -> None:
            """In chunks, for as long as somebody listens and the test lets it."""
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.close_connection = True
            size, at = (1 if found.drip_s else 4096), 0
            with contextlib.suppress(OSError):
                while found.endless or found.drip_s:
                    self.wfile.write(b"%x\r\n%s\r\n" % (size, image[at : at + size]))
                    found.sent_bytes += size
                    at = (at + size) % (len(image) - size)
                    time.sleep(found.drip_s)

        def _answer(
            self, status: int, body: bytes = b"", headers: dict[str, str] | None = None, cut: int | None = None
        ) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            if status != http.HTTPStatus.NO_CONTENT and "Content-Length" not in (headers or {}):
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body[:cut])
                found.sent_bytes += len(body[:cut]) if "artifacts" in self.path else 0
            if cut is not None:
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls / tls_files.CHAIN, tls / tls_files.KEY)
    context.load_verify_locations(tls / tls_files.DEVICE_ANCHORS)
    context.verify_mode = ssl.CERT_OPTIONAL
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket.listen(BACKLOG)
    # Handshakes are the threads': whoever dawdles over one holds up nobody else.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # who hangs up is the client's to tell
    found = FirmwareServer(f"https://localhost:{server.server_address[1]}", signers, trust_set=signers.trust_set())
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
