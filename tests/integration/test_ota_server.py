"""The firmware server as a process: how it starts, stops, and goes on while the database is away."""

import socket
from pathlib import Path
from typing import Final

import pytest
from django.test import Client
from django.utils import timezone

from tds.heartbeat import Heartbeat
from tds.identity.authorities.folder import AuthorityFolder
from tds.identity.enrolment.attempts import OF_A_CODE
from tds.status.servers import told_of_ota
from tests.consuming import managed
from tests.enrolling import EST, Board, running_server
from tests.running import START_LIMIT_S, free_port

pytestmark = pytest.mark.django_db


def test_without_an_authority_it_ends_with_a_sentence(tmp_path: Path) -> None:
    with managed(tmp_path, "ota_server", TDS_OTA_PORT=str(free_port())) as process:
        assert process.wait(START_LIMIT_S) == 1
        assert "There is no certificate authority in" in process.errors
        assert "./tds ca init" in process.errors
        assert "Traceback" not in process.errors


def test_on_a_port_that_is_taken_it_ends_with_a_sentence(tmp_path: Path) -> None:
    AuthorityFolder(tmp_path / "home" / "ca").init(timezone.now())
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        with managed(tmp_path, "ota_server", TDS_OTA_PORT=str(port)) as process:
            assert process.wait(START_LIMIT_S) == 1
            assert f"can't start on 127.0.0.1 port {port}: Address already in use" in process.errors
            assert "Traceback" not in process.errors


FACTS: Final = {
    "connections": 3,
    "requests": {"claimed": 2, "renewed": 1, "limited": 4, "status_401": 5},
    "handshakes_refused": {"certificate has expired": 7, "http request": 1},
    "slow": 6,
    "crowded_out": 0,
    "turned_away": 0,
}


def test_status_says_what_it_did_since_its_start() -> None:
    assert told_of_ota({}) == ""
    assert told_of_ota(FACTS) == (
        " 3 certificates given since its start. 8 TLS handshakes failed, most of them with: certificate has expired."
        " 4 tries to enrol came too fast."
    )


def test_the_metrics_count_what_it_did(client: Client) -> None:
    now = timezone.now()
    Heartbeat.objects.create(process="ota", pid=1, started_at=now, beat_at=now, facts=FACTS)
    lines = client.get("/metrics").text.splitlines()
    assert 'tds_est_certificates_total{by="claim"} 2.0' in lines
    assert 'tds_est_certificates_total{by="renewal"} 1.0' in lines
    assert 'tds_ota_refused_total{status="401"} 5.0' in lines
    assert 'tds_ota_handshakes_failed_total{reason="certificate has expired"} 7.0' in lines
    assert 'tds_ota_dropped_total{why="slow"} 6.0' in lines
    assert "tds_ota_connections 3.0" in lines


def test_while_the_database_is_away_it_says_so_counts_nobody_and_stops_cleanly(tmp_path: Path) -> None:
    nowhere = f"postgresql://nobody:nothing@127.0.0.1:{free_port()}/tds"
    with running_server(tmp_path, TDS_DATABASE_URL=nowhere) as server:
        board = Board(server, tmp_path / "board")
        assert board.curl("/healthz").text == "ok\n"
        assert board.curl(f"{EST}/cacerts").status == 200
        request = board.request()
        for _ in range(OF_A_CODE.tries + 1):
            answer = board.enroll("7KQF-2M9D-XW3T-8HBA-4N6P", request)
            assert (answer.status, answer.text) == (503, "The database is away; come again.\n")
            assert answer.headers["retry-after"] == "10"
        with socket.create_connection(("127.0.0.1", server.port)):  # somebody who says nothing holds nothing up
            assert server.process.terminate() == 0
        assert server.process.errors == ""
        assert "7KQF" not in "".join(server.process.lines)
