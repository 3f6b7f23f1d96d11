"""A name server that answers garbage, of the kind that the first label of a name asks for, until it is mended."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from types import MappingProxyType
from typing import Final

from tests.namespaced import ADDRESS, PrivateNetwork

NOWHERE: Final = "192.0.2.1"  # RFC 5737: nobody has it
MAX_QUERY_BYTES: Final = 512
_A: Final = 1
_CNAME: Final = 5
_IN: Final = 1
_TTL_S: Final = 1
_HEADER_BYTES: Final = 12
_FLAGS: Final = 0x8180  # an answer to a question that wanted recursion, by one who has it
_TRUNCATED: Final = 0x0200
_SERVER_FAILURE: Final = 2
_NAME_ERROR: Final = 3
_REFUSED: Final = 5
_QUESTION_NAME: Final = struct.pack("!H", 0xC000 | _HEADER_BYTES)  # a pointer to it
_WHATEVER: Final = Random(53)


@dataclass(frozen=True, slots=True)
class Query:
    """One question; RFC 1035, 4.1."""

    number: int
    question: bytes
    name: str
    kind: int

    @classmethod
    def read(cls, data: bytes) -> "Query":
        labels, at = [], _HEADER_BYTES
        while data[at]:
            labels.append(data[at + 1 : at + 1 + data[at]].decode("ascii"))
            at += 1 + data[at]
        number, kind = struct.unpack_from("!H", data)[0], struct.unpack_from("!H", data, at + 1)[0]
        return cls(number, data[_HEADER_BYTES : at + 5], ".".join(labels), kind)

    @property
    def label(self) -> str:
        return self.name.partition(".")[0]


def _reply(query: Query, records: bytes = b"", *, count: int = 0, flags: int = _FLAGS, turn: int = 0) -> bytes:
    return struct.pack("!HHHHHH", query.number ^ turn, flags, 1, count, 0, 0) + query.question + records


def _record(data: bytes, *, of: bytes = _QUESTION_NAME, kind: int = _A, said_bytes: int | None = None) -> bytes:
    """`said_bytes`: a length that it only says."""
    length = len(data) if said_bytes is None else said_bytes
    return of + struct.pack("!HHIH", kind, _IN, _TTL_S, length) + data


def _address(query: Query, text: str = ADDRESS) -> bytes:
    """Of IPv4; there is none of IPv6."""
    if query.kind != _A:
        return _reply(query)
    return _reply(query, _record(socket.inet_aton(text)), count=1)


def _of_another_question(query: Query) -> bytes:
    question = b"\x05other\x04test\x00" + query.question[-4:]
    head = struct.pack("!HHHHHH", query.number, _FLAGS, 1, 1, 0, 0)
    return head + question + _record(socket.inet_aton(ADDRESS))


def _loop_of_pointers(query: Query) -> bytes:
    """To itself: the name begins where the answer does."""
    here = struct.pack("!H", 0xC000 | (_HEADER_BYTES + len(query.question)))
    return _reply(query, _record(socket.inet_aton(ADDRESS), of=here), count=1)


def _loop_of_names(query: Query) -> bytes:
    return _reply(query, _record(_QUESTION_NAME, kind=_CNAME), count=1)


def _random_behind_our_number(query: Query) -> bytes:
    return struct.pack("!H", query.number) + _WHATEVER.randbytes(200)


# None: no answer at all.
GARBAGE: Final[Mapping[str, Callable[[Query], bytes | None]]] = MappingProxyType({
    "random-bytes": lambda query: _WHATEVER.randbytes(64),
    "random-behind-our-number": _random_behind_our_number,
    "cut-header": lambda query: _address(query)[:5],
    "cut-answer": lambda query: _address(query)[:-3] if query.kind == _A else _address(query)[:-1],
    "wrong-id": lambda query: _reply(query, _record(socket.inet_aton(ADDRESS)), count=1, turn=1),
    "other-question": _of_another_question,
    "question-sent-back": lambda query: _reply(query, flags=0x0100),
    "pointer-loop": _loop_of_pointers,
    "name-loop": _loop_of_names,
    "nxdomain": lambda query: _reply(query, flags=_FLAGS | _NAME_ERROR),
    "servfail": lambda query: _reply(query, flags=_FLAGS | _SERVER_FAILURE),
    "refused": lambda query: _reply(query, flags=_FLAGS | _REFUSED),
    "no-address": _reply,
    "three-byte-address": lambda query: _reply(query, _record(b"\x7f\x00\x00"), count=1),
    "record-beyond-end": lambda query: _reply(query, _record(socket.inet_aton(ADDRESS), said_bytes=400), count=1),
    "ten-kilobytes": lambda query: _reply(query, b"\xff" * 10_240, count=0xFFFF),
    "truncated": lambda query: _reply(query, flags=_FLAGS | _TRUNCATED),
    "silence": lambda query: None,
})  # fmt: skip


@dataclass
class NameServer:
    """`mended`: first labels that are answered rightly. `asked`: when each name was, by this machine's clock."""

    network: PrivateNetwork
    mended: set[str] = field(default_factory=set)
    asked: list[tuple[str, float]] = field(default_factory=list)

    def _answer(self, query: Query) -> bytes | None:
        if query.label == "nowhere":
            return _address(query, NOWHERE)
        if query.label in self.mended or query.label not in GARBAGE:
            return _address(query)
        return GARBAGE[query.label](query)

    def serve_datagrams(self) -> None:
        while True:
            data, whom = self.network.udp.recvfrom(MAX_QUERY_BYTES)
            if not data:
                return
            query = Query.read(data)
            self.asked.append((query.name, time.time()))
            answer = self._answer(query)
            if answer is not None:
                self.network.udp.sendto(answer, whom)

    def serve_connections(self) -> None:
        """Who was told that an answer was cut asks again here, and is answered with a length and less than that."""
        while True:
            try:
                visitor, _ = self.network.tcp.accept()
            except OSError:
                return
            with visitor, contextlib.suppress(OSError):
                visitor.recv(MAX_QUERY_BYTES)
                visitor.sendall(struct.pack("!H", 0xFFFF) + _WHATEVER.randbytes(64))

    def whenever(self, name: str) -> list[float]:
        """When it was asked for, or a name below it."""
        return [when for each, when in list(self.asked) if each == name or each.startswith(f"{name}.")]


@contextlib.contextmanager
def name_server(network: PrivateNetwork) -> Iterator[NameServer]:
    server = NameServer(network)
    threads = [threading.Thread(target=serve) for serve in (server.serve_datagrams, server.serve_connections)]
    for thread in threads:
        thread.start()
    try:
        yield server
    finally:
        network.udp.sendto(b"", network.udp.getsockname())
        network.tcp.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
