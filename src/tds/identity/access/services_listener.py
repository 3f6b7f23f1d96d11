"""The agent's own conversations with a broker, over the listener of the platform's processes (MQTT 5)."""

import contextlib
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import mqtt5

from tds.fleet.codes import is_code, is_reserved

ANSWER_S: Final = 3.0  # to connect, and for each answer: a broker that writes its database of 1 M messages takes one
# What a signal told it to do. It is still to come for a broker that is busy for long, and must not come later than what
# is prepared for it (reloading.py) is taken back.
SIGNAL_S: Final = 60.0
AT_ONCE: Final = 50  # connections, when sessions are taken over
READ_BYTES: Final = 4_096
KEEP_ALIVE_S: Final = 60
# mosquitto takes a signal while it waits for events and acts on it when it is through with what came. The answer to a
# first ping may come from before that, to a second from the same round; to a third only from after it.
PINGS_AFTER_SIGNAL: Final = 3
REFUSALS: Final = (
    mqtt5.ConnAckReasonCode.NOT_AUTHORIZED,
    mqtt5.ConnAckReasonCode.BAD_USER_NAME_OR_PASSWORD,
)


class BrokerSilentError(Exception):
    """The broker does not answer, or refuses the agent; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class ServicesListener:
    """Where a broker lets the platform's processes in, and as whom."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)

    @contextlib.contextmanager
    def watch(self, client_id: str) -> Iterator["Watch"]:
        """A connection to see with that the broker is through with something. Raises BrokerSilentError."""
        with self._sentences(), contextlib.closing(self._open(client_id)) as connection:
            connection.answer_to_connect()
            yield Watch(connection)
            connection.send(mqtt5.DisconnectPacket())

    def take_over(self, codes: Sequence[str]) -> None:
        """End the sessions with these client ids, live or kept, and any wills are published. Raises BrokerSilentError.

        None that is no gateway's: a session of the platform's own holds what nobody has stored yet.

        To the broker it is the same client on a new connection, which wants nothing of its past and leaves at once
        (MQTT 5, 3.1.4 and 3.1.2.4).
        """
        gateways = [code for code in codes if is_code(code) and not is_reserved(code)]
        with self._sentences():
            for start in range(0, len(gateways), AT_ONCE):
                with contextlib.ExitStack() as stack:
                    some = gateways[start : start + AT_ONCE]
                    opened = [stack.enter_context(contextlib.closing(self._open(code))) for code in some]
                    for connection in opened:
                        connection.answer_to_connect()
                        connection.send(mqtt5.DisconnectPacket())

    def _open(self, client_id: str) -> "_Connection":
        connection = _Connection(socket.create_connection((self.host, self.port), timeout=ANSWER_S))
        connection.send(
            mqtt5.ConnectPacket(
                client_id,
                username=self.username,
                password=self.password.encode(),
                clean_start=True,
                keep_alive=KEEP_ALIVE_S,
                session_expiry_interval=0,
            )
        )
        return connection

    @contextlib.contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            raise BrokerSilentError(
                f"The broker does not answer on its port for services, {self.host}:{self.port} ({error})."
            ) from error


class Watch:
    """An open connection of ours."""

    def __init__(self, connection: "_Connection") -> None:
        self._connection = connection

    def signalled(self) -> None:
        """Returns when the broker has done what a signal, sent before this call, told it to do: up to SIGNAL_S each."""
        self._connection.wait_up_to(SIGNAL_S)
        for _ in range(PINGS_AFTER_SIGNAL):
            self._connection.send(mqtt5.PingReqPacket())
            while not isinstance(self._connection.receive(), mqtt5.PingRespPacket):
                pass


class _Connection:
    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._rest = b""

    def wait_up_to(self, seconds: float) -> None:
        """From now on, for each answer."""
        self._sock.settimeout(seconds)

    def send(self, packet: Any) -> None:
        self._sock.sendall(packet.write())

    def receive(self) -> Any:
        """The next packet. Raises OSError, ValueError."""
        while True:
            with contextlib.suppress(IndexError):  # the codec's word for: not all here yet
                packet, size = mqtt5.read(memoryview(self._rest))
                self._rest = self._rest[size:]
                return packet
            data = self._sock.recv(READ_BYTES)
            if not data:
                raise ConnectionResetError("it closed the connection")
            self._rest += data

    def answer_to_connect(self) -> None:
        packet = self.receive()
        if not isinstance(packet, mqtt5.ConnAckPacket):
            raise ConnectionResetError("it did not answer to CONNECT")
        if packet.reason_code in REFUSALS:
            raise BrokerSilentError(
                "The broker does not know the agent's password; start it again with ./tds up, which writes that down."
            )
        if packet.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
            raise ConnectionRefusedError(f"it refused the connection: {packet.reason_code.name}")

    def close(self) -> None:
        self._sock.close()
