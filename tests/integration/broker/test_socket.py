"""The socket of the listener that nobody comes in by: where it is, and whose."""

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tds.identity.authorities.folder import AuthorityFolder
from tds.local import certificates
from tds.local.accounts import service_account
from tds.local.apart import shared_folder
from tds.local.broker import Broker
from tds.local.broker_config import MAX_SOCKET_PATH_BYTES, SOCKET, Listeners, socket_path
from tests.running import SERVICE_PASSWORDS, RunningBroker, free_port, wait_until


@pytest.mark.parametrize("name", ["d" * 120, "a blank"])
def test_nobody_can_take_the_name_of_the_brokers_socket_before_it_starts(
    authorities: AuthorityFolder, name: str
) -> None:
    """However deep its folder is: a name in /tmp that can be reckoned would be taken by any account."""
    with shared_folder("socket") as folder:
        listeners = Listeners(free_port(), tls=free_port())
        broker = Broker(folder / name, listeners, SERVICE_PASSWORDS, service_account("mosquitto"), autosave_s=0)
        broker.create()
        certificates.make(broker.tls, authorities, ["localhost"], datetime.now(UTC))
        running = RunningBroker(broker)
        running.start()
        try:
            found = broker.tls / SOCKET
            assert stat.S_ISSOCK(found.stat().st_mode)
            assert found.stat().st_uid == broker.tls.stat().st_uid
            assert stat.S_IMODE(broker.tls.stat().st_mode) == stat.S_IRWXU
            running.reload()
            wait_until(broker.answers, "an answer after the reload")
        finally:
            running.stop()
        assert not found.exists()


def test_the_sockets_path_is_no_longer_than_a_socket_may_have() -> None:
    longest = Path("/" + "a" * (MAX_SOCKET_PATH_BYTES - 2 - len(SOCKET)))
    assert len(bytes(socket_path(longest))) == MAX_SOCKET_PATH_BYTES
    assert socket_path(longest.with_name(f"{longest.name}b")) == Path(SOCKET)
    assert socket_path(Path("/with a blank")) == Path(SOCKET)
