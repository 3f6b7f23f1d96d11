"""One TLS connection of :8070 on asyncio's loop, from its handshake to its farewell. OpenSSL itself has the socket.

asyncio's own TLS keeps what it sends three times above the kernel, copies each byte four times, gives every connection
256 KiB to receive into, tells nobody when the kernel takes no more, and closes before the alert is out that says why a
handshake failed. Here OpenSSL writes to the socket: what is not taken yet is a view of bytes that others send too, and
one record of OpenSSL's.
"""

import asyncio
import contextlib
import socket
import ssl
import sys
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Final

RECORD_BYTES: Final = 16_384  # TLS's most (RFC 8446, 5.1): read at a time
UNSENT_BYTES: Final = 131_072  # that the kernel may hold beside what is on its way; by default 4 MiB
BYTES_ACKED_AT: Final = 120  # tcpi_bytes_acked of struct tcp_info, 8 bytes (linux/tcp.h, since Linux 4.1)
REFUSED_S: Final = 1.0  # for the peer to read why its handshake failed, before the connection ends

Buffer = bytes | bytearray | memoryview


class Phase(Enum):
    HANDSHAKE = auto()
    OPEN = auto()
    FAREWELL = auto()  # ours is said: what still comes is thrown away


class TlsTransport(asyncio.Transport):
    """Speaks to `protocol` as asyncio's does. `refused` is told of a handshake that failed; its time bounds the caller.

    `closing_s` bounds the farewell: until then what the peer still sends is thrown away, for an end that comes while
    something is unread would take the last answer away from the peer.
    """

    def __init__(
        self,
        accepted: socket.socket,
        context: ssl.SSLContext,
        protocol: asyncio.Protocol,
        *,
        refused: Callable[[ssl.SSLError], None],
        closing_s: float,
    ) -> None:
        """Raises OSError when the peer has gone already."""
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._refused = refused
        self._closing_s = closing_s
        self._peer = accepted.getpeername()
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        self._socket = context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
        self._descriptor = self._socket.fileno()
        self._unsent: deque[memoryview] = deque()
        self._unsent_bytes = 0
        self._is_closing = self._is_over = self._is_held_back = False
        self._is_reading = self._is_writing = self._may_read = False
        self._phase = Phase.HANDSHAKE
        self._end: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        self._shake_hands()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name in ("socket", "ssl_object"):
            return self._socket
        if name == "peername":
            return self._peer
        return self._socket.context if name == "sslcontext" else default

    def get_protocol(self) -> asyncio.Protocol:
        return self._protocol

    def is_closing(self) -> bool:
        return self._is_closing

    def is_reading(self) -> bool:
        return self._may_read and not self._is_closing

    def pause_reading(self) -> None:
        self._may_read = False
        if not self._is_closing:
            self._watch_reading(False)

    def resume_reading(self) -> None:
        if self._is_closing or self._may_read:
            return
        self._may_read = True
        self._watch_reading(True)
        self._loop.call_soon(self._receive)  # OpenSSL may hold some, of which the loop knows nothing

    def get_write_buffer_size(self) -> int:
        return self._unsent_bytes

    def acknowledged_bytes(self) -> int:
        """How many the peer has taken since the connection began, handshake and all; 0 once it is over.

        What was written tells less. The kernel takes more only when half of UNSENT_BYTES is gone, minutes on a slow
        link, and OpenSSL says of a whole piece alone that it is taken.
        """
        if self._is_over:
            return 0
        facts = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, BYTES_ACKED_AT + 8)
        return int.from_bytes(facts[BYTES_ACKED_AT:], sys.byteorder)

    def can_write_eof(self) -> bool:
        return False

    def write(self, data: Buffer) -> None:
        """`data` may not change later on. While the kernel has not taken all, the protocol is paused."""
        if self._is_closing or not data:
            return
        self._unsent.append(memoryview(data))
        self._unsent_bytes += len(data)
        if not self._is_writing:
            self._flush()
            if self._unsent and not self._is_over:
                self._protocol.pause_writing()

    def close(self) -> None:
        """After what is unsent, with a farewell."""
        if self._is_closing:
            return
        self._is_closing = True
        if self._end is None:
            self._end = self._loop.call_later(self._closing_s, self._over, None)
        if self._unsent:
            self._watch_reading(False)
        else:
            self._say_farewell()

    def abort(self) -> None:
        self._over(None)

    def _shake_hands(self) -> None:
        if self._is_over:
            return
        try:
            self._socket.do_handshake()
        except ssl.SSLWantReadError:
            self._watch_writing(False)
            self._watch_reading(True)
            return
        except ssl.SSLWantWriteError:
            self._watch_reading(False)
            self._watch_writing(True)
            return
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:  # the peer has gone: nothing of it is refused
            self._over(error)
            return
        except ssl.SSLError as error:  # the alert is out
            self._refused(error)
            self._is_closing = True
            self._linger(REFUSED_S)
            return
        except OSError as error:
            self._over(error)
            return
        self._watch_writing(False)
        self._watch_reading(True)
        self._phase, self._may_read = Phase.OPEN, True
        self._protocol.connection_made(self)
        self._receive()

    def _on_readable(self) -> None:
        if self._phase is Phase.OPEN:
            self._receive()
        elif self._phase is Phase.HANDSHAKE:
            self._shake_hands()
        else:
            self._throw_away()

    def _on_writable(self) -> None:
        if self._phase is Phase.OPEN:
            self._send_more()
        elif self._phase is Phase.HANDSHAKE:
            self._shake_hands()

    def _receive(self) -> None:
        while self._may_read and not self._is_closing:
            try:
                data = self._socket.recv(RECORD_BYTES)
            except ssl.SSLWantReadError:
                return
            except ssl.SSLWantWriteError:  # its own answer to the peer, as to a new key: first that
                self._watch_reading(False)
                self._watch_writing(True)
                return
            except OSError as error:
                self._over(error)
                return
            if not data:
                if self._protocol.eof_received():
                    self._watch_reading(False)
                else:
                    self.close()
                return
            self._protocol.data_received(data)
            if not self._is_over and not self._socket.pending():
                return

    def _send_more(self) -> None:
        if not self._is_reading and self._may_read and not self._is_closing:
            self._watch_reading(True)
        self._flush()
        if self._unsent or self._is_over:
            return
        self._watch_writing(False)
        if self._is_closing:
            self._say_farewell()
        else:
            self._protocol.resume_writing()

    def _flush(self) -> None:
        if self._unsent_bytes > RECORD_BYTES and not self._is_held_back:
            self._hold_back(True)
        self._send()
        if self._is_held_back and not self._unsent and not self._is_over:
            self._loop.call_soon(self._let_go)  # of what is written until then, too

    def _let_go(self) -> None:
        if self._is_held_back and not self._unsent and not self._is_over:
            self._hold_back(False)

    def _hold_back(self, held: bool) -> None:
        """Several records become few large segments, which costs the kernel less: OpenSSL writes one at a time."""
        self._is_held_back = held
        with contextlib.suppress(OSError):  # the next write says it
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, held)

    def _send(self) -> None:
        while self._unsent:
            piece = self._unsent[0]
            try:
                taken = self._socket.send(piece)  # again the same bytes when they were not taken
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                self._watch_writing(True)
                return
            except OSError as error:
                self._over(error)
                return
            self._unsent_bytes -= taken
            if taken < len(piece):
                self._unsent[0] = piece[taken:]
            else:
                self._unsent.popleft()

    def _say_farewell(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # it is out, and the peer's own is not waited for
            self._socket.unwrap()
        if not self._is_over:
            self._linger(self._closing_s)

    def _linger(self, limit_s: float) -> None:
        """Until the peer ends it too."""
        self._phase = Phase.FAREWELL
        self._watch_writing(False)
        self._watch_reading(True)
        try:
            socket.socket.shutdown(self._socket, socket.SHUT_WR)
        except OSError as error:
            self._over(error)
            return
        if self._end is not None:
            self._end.cancel()
        self._end = self._loop.call_later(limit_s, self._over, None)
        self._throw_away()

    def _throw_away(self) -> None:
        try:
            if not socket.socket.recv(self._socket, RECORD_BYTES):
                self._over(None)
        except BlockingIOError:
            pass
        except OSError as error:
            self._over(error)

    def _over(self, error: OSError | None) -> None:
        if self._is_over:
            return
        self._is_closing = self._is_over = True
        self._may_read = False
        self._watch_writing(False)
        self._watch_reading(False)
        if self._end is not None:
            self._end.cancel()
            self._end = None
        self._unsent.clear()
        self._unsent_bytes = 0
        self._socket.close()
        # Soon, for this may be in a call of the protocol's own.
        self._loop.call_soon(self._protocol.connection_lost, error)

    def _watch_reading(self, wanted: bool) -> None:
        if wanted != self._is_reading:
            self._is_reading = wanted
            if wanted:
                self._loop.add_reader(self._descriptor, self._on_readable)
            else:
                self._loop.remove_reader(self._descriptor)

    def _watch_writing(self, wanted: bool) -> None:
        if wanted != self._is_writing:
            self._is_writing = wanted
            if wanted:
                self._loop.add_writer(self._descriptor, self._on_writable)
            else:
                self._loop.remove_writer(self._descriptor)
