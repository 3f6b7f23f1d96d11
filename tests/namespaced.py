"""A network of a test's own, with name servers of its own: on its loopback are only those that the test puts there.

A process holds it (`python -m tests.namespaced`, as below); programs enter it by nsenter(1), and the sockets of the
name server's port come out of it. Nothing of this machine is touched: mounts and addresses are the namespaces'.
"""

import contextlib
import fcntl
import os
import shlex
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tds.environment import ROOT

ADDRESS: Final = "127.0.0.1"
DNS_PORT: Final = 53
READY: Final = b"ready"
START_LIMIT_S: Final = 20.0
_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP: Final = 0x1
# A second is what an answer that does not count takes, and not five, twice.
_RESOLV_CONF: Final = f"nameserver {ADDRESS}\noptions timeout:1 attempts:1\n"
_NSSWITCH_CONF: Final = "hosts: files dns\n"


@dataclass(frozen=True, slots=True)
class PrivateNetwork:
    """Its loopback is up. `udp` and `tcp` are bound to the port of its name server."""

    pid: int
    udp: socket.socket
    tcp: socket.socket

    def within(self, **environment: str) -> tuple[str, ...]:
        """What a command starts with to run in there."""
        variables = [f"{name}={value}" for name, value in environment.items()]
        enter = ("nsenter", f"--target={self.pid}", "--user", "--mount", "--net", "--preserve-credentials")
        return (*enter, "env", *variables)


@contextlib.contextmanager
def private_network(folder: Path) -> Iterator[PrivateNetwork]:
    """Skips the test where this account may not make one."""
    (folder / "resolv.conf").write_text(_RESOLV_CONF, encoding="ascii")
    (folder / "nsswitch.conf").write_text(_NSSWITCH_CONF, encoding="ascii")
    mounts = [
        shlex.join(["mount", "--bind", str(folder / name), f"/etc/{name}"]) for name in ("resolv.conf", "nsswitch.conf")
    ]
    ours, theirs = socket.socketpair()
    words = ["unshare", "--user", "--map-root-user", "--mount", "--net", "sh", "-c"]
    words += [" && ".join([*mounts, 'exec "$@"']), "sh", sys.executable, "-m", "tests.namespaced", str(theirs.fileno())]
    with ours, (folder / "holder.log").open("w+b") as log:
        try:
            holder = subprocess.Popen(words, stderr=log, cwd=ROOT, pass_fds=[theirs.fileno()], env=_environment())
        except FileNotFoundError as error:
            pytest.skip(f"a network of its own takes unshare(1): {error}")
        finally:
            theirs.close()
        ours.settimeout(START_LIMIT_S)
        try:
            said, descriptors, _, _ = socket.recv_fds(ours, len(READY), 2)
            if said != READY:
                log.seek(0)
                pytest.skip(f"no network of its own here: {log.read().decode().strip()}")
            udp, tcp = (socket.socket(fileno=descriptor) for descriptor in descriptors)
            with udp, tcp:
                yield PrivateNetwork(holder.pid, udp, tcp)
        finally:
            ours.close()  # which ends it
            holder.wait(START_LIMIT_S)


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}


def _hold(descriptor: int) -> None:
    """Until the other end is closed, be it by a kill."""
    with socket.socket(fileno=descriptor) as other:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            socket.create_server((ADDRESS, DNS_PORT)) as tcp,
        ):
            udp.bind((ADDRESS, DNS_PORT))
            socket.send_fds(other, [READY], [udp.fileno(), tcp.fileno()])
        other.recv(1)


if __name__ == "__main__":
    _hold(int(sys.argv[1]))
