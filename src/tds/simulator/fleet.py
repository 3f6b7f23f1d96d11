"""All gateways of one run, their sockets driven by one thread."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import Final, Protocol

from tds.simulator.config import FleetConfig
from tds.simulator.gateway import Gateway, State
from tds.simulator.message import Message
from tds.simulator.renewer import MAX_AT_ONCE

DRAIN_LIMIT_S: Final = 60.0  # after the last reading: for what is not yet acknowledged
STOP_LIMIT_S: Final = 5.0  # the same after a signal: people wait
_FIRST_TRIES: Final = 10  # gateways turned away one after another: then it is not they who are wrong
_ROUND_S: Final = 0.02  # each gateway looks at its clock this often; one whose socket is ready, at once
_WATCH_EVERY_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Progress:
    history_done: int
    history_total: int


@dataclass(frozen=True, slots=True)
class Summary:
    gateways: int
    devices: int
    sent: int  # messages, each counted once
    acknowledged: int  # messages, each counted once
    refused: int  # PUBACKs that acknowledge nothing: 0x80 and above, or 0x10 (nobody subscribed)
    resent: int  # sendings of messages that had been sent before
    dropped: int  # messages that an outbox had no room for
    unacknowledged: int  # messages given up at the end
    connections: int
    seconds: float
    renewed: int = 0  # certificates
    never_connected: int = 0  # gateways


class Watcher(Protocol):
    """Sees a run from outside; every method is called from the thread that runs the fleet."""

    def acknowledged(self, gateway: str, message: Message) -> None: ...
    def notice(self, gateway: str, text: str) -> None: ...
    def progress(self, progress: Progress) -> None: ...


class Silent:
    """A watcher that does not look."""

    def acknowledged(self, gateway: str, message: Message) -> None:
        pass

    def notice(self, gateway: str, text: str) -> None:
        pass

    def progress(self, progress: Progress) -> None:
        pass


class Fleet:
    """`Fleet(config).run(stop)` sends until all is sent or `stop` is set; BrokerError when nobody answers at first."""

    def __init__(
        self,
        config: FleetConfig,
        watcher: Watcher | None = None,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._config = config
        self._watcher = watcher or Silent()
        self._monotonic_s = monotonic_s
        self._wall_ms = wall_ms
        self._selector = selectors.DefaultSelector()
        self._gateways: list[Gateway] = []
        self._awake: set[Gateway] = set()  # to be stepped in the next turn, whatever the time
        self._next_round_s = 0.0
        self._history_total = 0
        self._history_done = 0
        self._watched_at_s = 0.0

    def run(self, stop: Event | None = None) -> Summary:
        stop = stop or Event()
        started_s = self._monotonic_s()
        started_ms = self._wall_ms()
        renewals = ThreadPoolExecutor(MAX_AT_ONCE, thread_name_prefix="renewal")
        self._gateways = [
            Gateway(code, self._config, started_ms, self._selector, self._watcher, renewals=renewals)
            for code in self._config.gateways
        ]
        self._history_total = sum(gateway.history_messages for gateway in self._gateways)
        try:
            self._make_contact(stop)
            self._send_all(stop)
            self._watch_progress(now_s=float("inf"))
            self._say_goodbye()
            return self._summary(started_s)
        finally:
            for gateway in self._gateways:
                gateway.abandon()
            self._selector.close()
            renewals.shutdown(wait=False, cancel_futures=True)

    def _make_contact(self, stop: Event) -> None:
        """With the first gateway alone: a broker that is not there is said once, not once a gateway.

        A gateway that is turned away is another matter: the next one may be welcome.
        """
        turned_away: list[Gateway] = []
        for first in self._gateways:
            while not stop.is_set() and first.connections == 0 and first.failure is None:
                self._turn([first])
            if first.failure is None:
                break
            if not first.failure_is_its_own or len(turned_away) + 1 == min(_FIRST_TRIES, len(self._gateways)):
                raise (turned_away[0].failure if turned_away else None) or first.failure
            turned_away.append(first)
        for gateway in turned_away:
            self._watcher.notice(gateway.code, str(gateway.failure))
        for gateway in self._gateways:
            gateway.has_begun = True

    def _send_all(self, stop: Event) -> None:
        give_up_s: float | None = None
        while True:
            now_s = self._turn(self._gateways)
            self._watch_progress(now_s)
            if stop.is_set():
                for gateway in self._gateways:
                    gateway.stop_measuring()
            if not all(gateway.has_measured_all for gateway in self._gateways):
                continue
            is_done = all(gateway.outbox.is_empty for gateway in self._gateways)
            if is_done and (stop.is_set() or not any(gateway.is_to_renew for gateway in self._gateways)):
                return
            limit_s = now_s + (STOP_LIMIT_S if stop.is_set() else DRAIN_LIMIT_S)
            give_up_s = limit_s if give_up_s is None else min(give_up_s, limit_s)
            if now_s >= give_up_s:
                return

    def _say_goodbye(self) -> None:
        for gateway in self._gateways:
            gateway.close()
        # Ends by itself: each gateway has a deadline for its goodbye.
        while any(gateway.state is State.CLOSING for gateway in self._gateways):
            self._turn(self._gateways)

    def _turn(self, gateways: Iterable[Gateway]) -> float:
        now_s = self._monotonic_s()
        if now_s >= self._next_round_s:
            self._next_round_s = now_s + _ROUND_S
        else:
            # Hundreds of gateways, each with a few messages a second: to step all for every PUBACK would cost a core.
            gateways = self._awake
        wall_ms = self._wall_ms()
        for gateway in gateways:
            gateway.step(now_s, wall_ms)
        self._awake = {gateway for gateway in gateways if gateway.can_send}
        wait_s = 0.0 if self._awake else max(0.0, self._next_round_s - self._monotonic_s())
        for key, events in self._selector.select(wait_s):
            gateway = key.data
            gateway.on_ready(events, now_s)
            self._awake.add(gateway)
        return now_s

    def _watch_progress(self, now_s: float) -> None:
        if now_s < self._watched_at_s + _WATCH_EVERY_S:
            return
        self._watched_at_s = now_s
        # Resending after a cut makes more owed again; a bar that runs backwards would only confuse.
        done = sum(min(gateway.history_done, gateway.history_messages) for gateway in self._gateways)
        self._history_done = max(self._history_done, done)
        self._watcher.progress(Progress(self._history_done, self._history_total))

    def _summary(self, started_s: float) -> Summary:
        counts = [gateway.outbox.counts for gateway in self._gateways]
        return Summary(
            gateways=len(self._config.gateways),
            devices=len(self._config.gateways) * len(self._config.devices),
            sent=sum(count.sent for count in counts),
            acknowledged=sum(count.acknowledged for count in counts),
            refused=sum(count.refused for count in counts),
            resent=sum(count.resent for count in counts),
            dropped=sum(count.dropped for count in counts),
            unacknowledged=sum(gateway.outbox.unacknowledged() for gateway in self._gateways),
            connections=sum(gateway.connections for gateway in self._gateways),
            seconds=round(self._monotonic_s() - started_s, 3),
            renewed=sum(gateway.renewals for gateway in self._gateways),
            never_connected=sum(gateway.connections == 0 for gateway in self._gateways),
        )
