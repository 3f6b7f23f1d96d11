"""A process of ours on another machine: by a tunnel whose end is on its own loopback (docs/operations.md)."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tds.environment import read
from tds.identity.access.broker_rules import CONSUMER
from tds.mqtt import address
from tds.mqtt.once import publish_once
from tds.service_access import broker_url
from tests.running import PASSWORD, RunningBroker

CHUNK_BYTES = 65_536


def pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other half hung up
        while some := source.recv(CHUNK_BYTES):
            target.sendall(some)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def tunnel(to_port: int) -> Iterator[int]:
    """As `ssh -L` makes one; its port on loopback. It ends when all who came in have left."""

    class Door(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", to_port)) as far:
                back = threading.Thread(target=pass_on, args=(far, self.request))
                back.start()
                pass_on(self.request, far)
                back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Door) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.02,))
        serving.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            serving.join()


def test_a_consumer_elsewhere_comes_in_by_a_tunnel_and_its_password(broker: RunningBroker, tmp_path: Path) -> None:
    assert broker.broker.open_session()  # the consumer's: without one a publish is told that nobody hears it
    with tunnel(broker.broker.listeners.services) as port:
        environment = read({"TDS_HOME": str(tmp_path), "TDS_MQTT_SERVICES_PORT": str(port)})
        (tmp_path / f"secrets/mqtt{CONSUMER}").write_text(f"{PASSWORD}{CONSUMER}\n")
        door = address.parse(broker_url(environment, 1, CONSUMER))
        assert door.port == port
        publish_once(door, "telemetry/GW-TUNNEL/D1/data", b"{}")
