"""What each route of :8070 wants to see, in production and in development: the table, the server and the docs agree."""

import asyncio
import http.client
import importlib
import pkgutil
import re
import ssl
from contextlib import closing
from pathlib import Path
from typing import Final
from unittest import mock

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from django.utils import timezone

from tds import ota_server
from tds.identity.authorities.folder import AuthorityFolder
from tds.ota_server import application
from tds.ota_server.admission import ROUTES, Wanted
from tds.ota_server.files import Files
from tds.ota_server.server import Config
from tds.ota_server.service import Service
from tests.enrolling import EST, Answer, Board, running_server
from tests.ota_serving import serving
from tests.running import free_port

pytestmark = pytest.mark.django_db(transaction=True)

PRODUCTION: Final = {
    "TDS_MODE": "production",
    "TDS_SECRET_KEY": "only for tests, and longer than thirty-two characters",
    "TDS_ALLOWED_HOSTS": "localhost",
    "TDS_WEB_ORIGINS": "https://localhost",
}
LIMIT_S: Final = 30.0
DOCS: Final = Path(__file__).parents[3] / "docs"
FILLED: Final = {"sha256": "0" * 64, "product": "dcu", "file": "firmware.bin"}
# What the specification has open, and no more than decision 0029 adds to it.
OPEN: Final = {f"{EST}/cacerts", f"{EST}/simpleenroll"} | {f"{EST}/csrattrs", "/healthz"}
# How the tables of the docs say it.
SAID: Final = {
    Wanted.NOTHING: "anybody",
    Wanted.CLAIM_CODE: "HTTP Basic: gateway code and claim code",
    Wanted.CERTIFICATE: "the gateway's certificate",
    Wanted.PROOF: "gateway",
}


def made() -> web.Application:
    """With the routes of every module that has any: one that nobody named anywhere is among them."""
    modules = [
        importlib.import_module(each.name)
        for each in pkgutil.iter_modules(ota_server.__path__, f"{ota_server.__name__}.")
    ]
    tables = [each.routes for each in modules if isinstance(getattr(each, "routes", None), web.RouteTableDef)]
    return application.make(mock.Mock(spec=Service), *tables)


def routes(app: web.Application) -> list[tuple[str, str]]:
    """Method and path of each, as the table names them."""
    return [(each.method, each.resource.canonical) for each in app.router.routes() if each.resource is not None]


def filled(path: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda part: FILLED[part[1]], path)


def is_as_wanted(wanted: Wanted, answer: Answer, *, production: bool) -> bool:
    """Of a request that shows nothing of who asks."""
    challenge = answer.headers.get("www-authenticate")
    names_a_claim_code = answer.status == 401 and challenge is not None and challenge.startswith("Basic ")
    if wanted is Wanted.CLAIM_CODE:
        return names_a_claim_code
    wants_one = "present it in the TLS handshake" in answer.text
    if wanted is Wanted.CERTIFICATE:
        return names_a_claim_code and wants_one
    refused = answer.status == 403 and challenge is None and wants_one
    if production and wanted is Wanted.PROOF:
        return refused
    return not refused and (wanted is not Wanted.NOTHING or answer.status == 200)


def test_every_route_is_in_the_table_and_every_line_of_the_table_is_a_route() -> None:
    found = routes(made())
    assert len(found) >= 12
    assert {path for _method, path in found} == set(ROUTES)


def test_open_is_what_the_specification_has_open_and_what_decision_0029_adds() -> None:
    assert {path for path, wanted in ROUTES.items() if wanted in {Wanted.NOTHING, Wanted.CLAIM_CODE}} == OPEN


@pytest.mark.parametrize("production", [True, False])
def test_each_route_wants_what_the_table_says(tmp_path: Path, *, production: bool) -> None:
    with running_server(tmp_path, **(PRODUCTION if production else {})) as server:
        board = Board(server, tmp_path / "board")
        for method, path in routes(made()):
            for asked in (filled(path), f"{filled(path)}?gateway=GW-1"):
                words = ("--head",) if method == "HEAD" else ("--header", "Content-Type: application/pkcs10")
                answer = board.curl(asked, *words, body=b"{}" if method == "POST" else None)
                if method != "HEAD":
                    assert is_as_wanted(ROUTES[path], answer, production=production), (method, asked, answer)
                elif production and ROUTES[path] is Wanted.PROOF:
                    assert answer.status == 403, (asked, answer)
        assert server.process.terminate() == 0


@pytest.mark.parametrize("must_prove", [True, False])
def test_a_route_that_the_table_forgot_wants_a_certificate_in_production(tmp_path: Path, *, must_prove: bool) -> None:
    authorities, table, port = AuthorityFolder(tmp_path / "ca"), web.RouteTableDef(), free_port()
    authorities.init(timezone.now())
    files = Files(tmp_path / "tls", authorities, ["localhost"], timezone.now)

    @table.get("/forgotten")
    async def forgotten(request: web.Request) -> web.Response:
        return web.Response(text="a secret")

    at = ("127.0.0.1", port)
    with serving(Config(*at, (table,), files, timezone.now, lambda _facts: None, must_prove=must_prove)):
        context = ssl.create_default_context(cafile=tmp_path / "tls" / "server-ca.pem")
        with closing(http.client.HTTPSConnection("localhost", port, context=context, timeout=LIMIT_S)) as asking:
            asking.request("GET", "/forgotten")
            answer = asking.getresponse()
            assert (answer.status, b"secret" in answer.read()) == ((403, False) if must_prove else (200, True))


def test_the_docs_say_of_each_route_what_it_wants() -> None:
    said: dict[str, set[str]] = {}
    app = made()
    for name in ("identity.md", "firmware-updates.md"):
        for methods, path, who in re.findall(r"^\| `([A-Z, ]+) (/[^`]+)`.*? \| ([^|]+) \|", text(name), re.MULTILINE):
            asked = make_mocked_request(methods.split(",")[0], re.sub(r"<(\w+)>", lambda part: FILLED[part[1]], path))
            resource = asyncio.run(app.router.resolve(asked)).route.resource
            assert resource is not None, (name, path)
            said.setdefault(resource.canonical, set()).add(who)
    assert set(said) == set(ROUTES)
    for path, words in said.items():
        assert all(each.startswith(SAID[ROUTES[path]]) for each in words), (path, words)


def text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")
