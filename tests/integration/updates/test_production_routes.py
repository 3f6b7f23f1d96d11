"""In production a stranger gets nothing of :8070 that is not meant for everybody: each route that there is."""

import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web

from tds import ota_server
from tests.enrolling import EST, Board, running_server

pytestmark = pytest.mark.django_db(transaction=True)

PRODUCTION: Final = {
    "TDS_MODE": "production",
    "TDS_SECRET_KEY": "only for tests, and longer than thirty-two characters",
    "TDS_ALLOWED_HOSTS": "localhost",
    "TDS_WEB_ORIGINS": "https://localhost",
}
# What a new board needs, which has no certificate yet; and whether the process lives, which is not among the tables.
FOR_EVERYBODY: Final = {f"{EST}/cacerts", f"{EST}/csrattrs", f"{EST}/simpleenroll"}
FILLED: Final = {"sha256": "0" * 64, "product": "dcu", "file": "firmware.bin"}


def routes() -> list[tuple[str, str]]:
    """Of every module that has any, with something for each of their parts."""
    found: list[tuple[str, str]] = []
    for module in pkgutil.iter_modules(ota_server.__path__, f"{ota_server.__name__}."):
        table: Any = getattr(importlib.import_module(module.name), "routes", ())
        found += [(each.method, filled(each.path)) for each in table if isinstance(each, web.RouteDef)]
    return found


def filled(path: str) -> str:
    return re.sub(r"\{(\w+)(?::(?:[^{}]|\{[^{}]*\})*)?\}", lambda part: FILLED[part[1]], path)


def test_no_route_but_those_for_everybody_answers_without_a_certificate(tmp_path: Path) -> None:
    found = routes()
    assert len(found) >= 9
    assert {path for _method, path in found} > FOR_EVERYBODY
    with running_server(tmp_path, **PRODUCTION) as server:
        board = Board(server, tmp_path / "board")
        for method, path in found:
            body = b"{}" if method == "POST" else None
            for asked in (path, f"{path}?gateway=GW-1"):
                answer = board.curl(asked, body=body)
                wanted = {200, 415, 401} if path in FOR_EVERYBODY else {401}
                assert answer.status in wanted, (method, asked, answer)
        assert server.process.terminate() == 0
