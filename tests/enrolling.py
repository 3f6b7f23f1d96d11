"""A firmware server, and a board that speaks to it with curl and openssl alone: nothing of ours is on its side."""

import itertools
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from django.utils import timezone

from tds.fleet.models import Gateway
from tds.identity.authorities import keys
from tds.identity.authorities.authority import DEVICE_DAYS, Authority
from tds.identity.authorities.folder import AuthorityFolder
from tds.identity.enrolment import claims
from tds.identity.issued import issuing
from tds.identity.models import How
from tests.consuming import Managed, managed
from tests.running import free_port, wait_until

EST: Final = "/.well-known/est"
LIMIT_S: Final = 30.0

_sources = itertools.count(2)


def new_source() -> str:
    """An address of loopback that no other test comes from: each has its own tries."""
    number = next(_sources)
    return f"127.0.{number // 250}.{number % 250 + 1}"


@dataclass
class Answer:
    """`status` 0: there was none, and `said` is why, in curl's words."""

    status: int
    headers: dict[str, str]
    body: bytes
    said: str

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class RunningServer:
    """`python manage.py ota_server` with authorities of its own."""

    home: Path
    port: int
    process: Managed

    @property
    def authorities(self) -> AuthorityFolder:
        return AuthorityFolder(self.home / "ca")

    @property
    def server_ca(self) -> Path:
        return self.home / "tls" / "server-ca.pem"

    def url(self, path: str) -> str:
        return f"https://localhost:{self.port}{path}"

    def says(self, text: str) -> bool:
        return self.process.says(text)


@contextmanager
def running_server(folder: Path, **variables: str) -> Iterator[RunningServer]:
    port, home = free_port(), folder / "home"
    authorities = AuthorityFolder(home / "ca")
    if not authorities.exists():
        authorities.init(datetime.now(UTC))
    with managed(folder, "ota_server", TDS_OTA_PORT=str(port), **variables) as process:
        wait_until(lambda: process.says("Listening on"), "the firmware server")
        yield RunningServer(home, port, process)


class Board:
    """One board on a bench: its folder holds `gateway.key`, and `gateway.crt` once it has one."""

    def __init__(self, server: RunningServer, folder: Path, code: str = "GW-1") -> None:
        self.server, self.folder, self.code = server, folder, code
        self.source = new_source()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def key(self) -> Path:
        return self.folder / "gateway.key"

    @property
    def certificate(self) -> Path:
        return self.folder / "gateway.crt"

    def make_key(self, algorithm: str = "EC", option: str = "ec_paramgen_curve:P-256") -> None:
        openssl("genpkey", "-algorithm", algorithm, "-pkeyopt", option, "-out", str(self.key))

    def request(self, *words: str, subject: str = "") -> bytes:
        """A certification request in DER."""
        if not self.key.exists():
            self.make_key()
        subject = subject or f"/CN={self.code}"
        return openssl("req", "-new", "-key", str(self.key), "-subj", subject, "-outform", "DER", *words)

    def curl(self, path: str, *words: str, body: bytes | None = None, source: str = "") -> Answer:
        head, out = self.folder / "head", self.folder / "body"
        command = [
            "curl",
            "--silent",
            "--show-error",
            "--cacert",
            str(self.server.server_ca),
            "--dump-header",
            str(head),
        ]
        command += ["--output", str(out), "--write-out", "%{http_code}", "--interface", source or self.source, *words]
        command += ["--data-binary", "@-"] if body is not None else []
        for file in (head, out):
            file.unlink(missing_ok=True)
        ended = subprocess.run(
            [*command, self.server.url(path)], input=body or b"", capture_output=True, check=False, timeout=LIMIT_S
        )
        lines = head.read_text().splitlines() if head.exists() else []
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        contents = out.read_bytes() if out.exists() else b""
        return Answer(int(ended.stdout or 0), headers, contents, ended.stderr.decode())

    def enroll(self, claim: str, der: bytes | None = None, *, user: str = "", source: str = "") -> Answer:
        body = base64_of(self.request() if der is None else der)
        user = f"{user or self.code}:{claim}"
        return self.curl(f"{EST}/simpleenroll", "--user", user, *PKCS10, body=body, source=source)

    def reenroll(self, der: bytes | None = None) -> Answer:
        body = base64_of(self.request() if der is None else der)
        return self.curl(f"{EST}/simplereenroll", *self.presents, *PKCS10, body=body)

    @property
    def presents(self) -> tuple[str, ...]:
        return "--cert", str(self.certificate), "--key", str(self.key)

    def keep(self, answer: Answer) -> None:
        """As the documentation has it."""
        assert answer.status == 200, answer
        certificate_of(answer.body, self.certificate)

    def given(
        self,
        authority: Authority,
        gateway: Gateway | None,
        *,
        now: datetime | None = None,
        days: float = DEVICE_DAYS,
        how: How = How.FACTORY,
    ) -> x509.Certificate:
        """A certificate of `authority` for this board's key; without a gateway nobody writes it down."""
        if not self.key.exists():
            self.make_key()
        public, now = keys.read_key(self.key).public_key(), now or timezone.now()
        if gateway is None:
            certificate = authority.issue_device(public, self.code, now, days=days)
        else:
            certificate = issuing.issue(authority, gateway, public, how, now=now, days=days)
        self.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return certificate

    def s_client(self, *words: str, stdin: bytes = b"") -> str:
        """What `openssl s_client` says of a connection, whether or not it came about."""
        at = f"localhost:{self.server.port}"
        command = ["openssl", "s_client", "-connect", at, "-CAfile", str(self.server.server_ca), *words]
        ended = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=LIMIT_S)
        return (ended.stdout + ended.stderr).decode(errors="replace")


PKCS10: Final = ("--header", "Content-Type: application/pkcs10")


def claim_for(gateway: Gateway, *, days: float = 7.0) -> str:
    return claims.make(gateway, now=timezone.now(), days=days, by="tests")[1]


def openssl(*words: str, stdin: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *words], input=stdin, capture_output=True, check=True, timeout=LIMIT_S).stdout


def base64_of(der: bytes) -> bytes:
    return openssl("base64", stdin=der)


def certificate_of(body: bytes, file: Path) -> None:
    der = openssl("base64", "-d", stdin=body)
    openssl("pkcs7", "-inform", "DER", "-print_certs", "-out", str(file), stdin=der)


def subject_of(file: Path) -> str:
    return openssl("x509", "-in", str(file), "-noout", "-subject", "-nameopt", "RFC2253").decode().strip()
