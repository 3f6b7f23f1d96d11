import errno
import os
import socket
import subprocess
import sys
from dataclasses import replace

import pytest

from tds.environment import Ports
from tds.local.ports import for_url, is_loopback, reachable, refuse_taken, sentence, services_port, trouble
from tds.local.refusal import CannotStartError
from tests.running import free_port

PORTS = Ports(web=8000, database=5442, mqtt=1883, mqtt_tls=8883, mqtt_ws=9001, ota=8070)


@pytest.mark.parametrize(
    ("bind", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2"),
        ("::1", "::1"),
        ("192.0.2.7", "192.0.2.7"),
    ],
)
def test_where_this_machine_reaches_what_it_binds(bind: str, address: str) -> None:
    assert reachable(bind) == address


def test_an_ipv6_address_stands_in_brackets_in_a_url() -> None:
    assert for_url("::1") == "[::1]"
    assert for_url("127.0.0.1") == "127.0.0.1"


def test_what_counts_as_loopback() -> None:
    assert is_loopback("127.0.0.9")
    assert is_loopback("::1")
    assert is_loopback("localhost")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("example.org")


def test_each_trouble_names_the_port_its_purpose_and_the_variable() -> None:
    taken = sentence("mqtt", 1883, "127.0.0.1", errno.EADDRINUSE)
    assert taken == "Port 1883 (MQTT) is taken; stop what uses it or set TDS_MQTT_PORT."
    assert "TDS_WEB_PORT to one from 1024 up" in sentence("web", 80, "127.0.0.1", errno.EACCES)
    assert "TDS_BIND is '192.0.2.7'" in sentence("web", 80, "192.0.2.7", errno.EADDRNOTAVAIL)


def test_a_taken_port_is_seen_and_a_free_one_is_not() -> None:
    ports = replace(PORTS, web=free_port())
    refuse_taken(ports, {"web": "127.0.0.1"})
    with (
        socket.create_server(("127.0.0.1", ports.web)),
        pytest.raises(CannotStartError, match=f"Port {ports.web}"),
    ):
        refuse_taken(ports, {"web": "127.0.0.1"})


def test_the_port_of_our_own_processes_stays_the_same_unless_it_is_taken() -> None:
    remembered, neighbour = free_port(), free_port()
    assert services_port(0, remembered, [neighbour]) == remembered
    assert services_port(0, remembered, [remembered]) != remembered
    with socket.create_server(("127.0.0.1", remembered)):
        found = services_port(0, remembered, [])
        assert found != remembered
        assert trouble("127.0.0.1", found) == 0


def test_the_port_of_our_own_processes_that_a_person_named_is_used_or_refused() -> None:
    named = free_port()
    assert services_port(named, 1, []) == named
    with pytest.raises(CannotStartError, match="TDS_MQTT_SERVICES_PORT"):
        services_port(named, 1, [named])
    with (
        socket.create_server(("127.0.0.1", named)),
        pytest.raises(CannotStartError, match=f"Port {named}"),
    ):
        services_port(named, 1, [])


def test_an_address_of_another_machine_is_no_place_to_listen() -> None:
    assert trouble("192.0.2.7", free_port()) == errno.EADDRNOTAVAIL
    assert trouble("no such name.invalid", free_port()) == errno.EADDRNOTAVAIL


def test_an_address_of_ipv6_where_that_is_switched_off_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """By `ipv6.disable=1` there is no such kind of socket at all."""

    class Unsupported:
        def __init__(self, family: int) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", Unsupported)
    assert trouble("::1", 8000) == errno.EAFNOSUPPORT
    with pytest.raises(CannotStartError, match="IPv6 is switched off on this machine"):
        refuse_taken(PORTS, {"web": "::1"})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a network of its own")
def test_an_address_of_ipv6_that_this_machine_does_not_have_is_a_sentence() -> None:
    """In a network of its own, whose loopback has no address before somebody sets it up."""
    program = "from tds.local.ports import *; print(sentence('web', 8000, '::1', trouble('::1', 8000)))"
    words = ("unshare", "--net", sys.executable, "-c", program)
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    said = subprocess.run(words, capture_output=True, text=True, check=True, env=variables)
    assert said.stdout == "TDS_BIND is '::1', which is no address of this machine; correct it.\n"
