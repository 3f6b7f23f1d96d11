"""One simulated gateway: measures, keeps what it owes, and reconnects. `step` never waits."""

from concurrent.futures import Executor
from enum import Enum, auto
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector
from socket import socket
from typing import Final, Protocol, assert_never

from tds.simulator.backoff import Backoff
from tds.simulator.broker import Broker, BrokerError
from tds.simulator.config import FleetConfig
from tds.simulator.credential import Credential, CredentialError, load
from tds.simulator.faults import FaultPlan, payload
from tds.simulator.link import Link
from tds.simulator.message import Kind, Message, topic
from tds.simulator.noise import noise_key
from tds.simulator.opening import reason as reason_of
from tds.simulator.outbox import NOBODY_SUBSCRIBED, Outbox, acknowledges
from tds.simulator.renewer import NotRenewed, Renewed, Renewer, until
from tds.simulator.timeline import Timeline, phase_ms

CONNACK_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 2.0  # for the broker's word on the last presence message
RECONNECT_FIRST_S: Final = 1.0
RECONNECT_MAX_S: Final = 60.0
REFUSED_FIRST_S: Final = 0.5
REFUSED_MAX_S: Final = 15.0

_AHEAD_MESSAGES: Final = 200  # made ahead of sending while catching up; more would only take memory
_BURST_MESSAGES: Final = 50  # sent in one step, so that one gateway does not hold up the others


class State(Enum):
    WAITING = auto()  # for the next try to connect
    CONNECTING = auto()
    ONLINE = auto()
    CLOSING = auto()
    CLOSED = auto()


class Observer(Protocol):
    def acknowledged(self, gateway: str, message: Message) -> None: ...
    def notice(self, gateway: str, text: str) -> None: ...


def refusal_notice(reason_code: int, reason: str) -> str:
    if reason_code == NOBODY_SUBSCRIBED:
        return (
            "nobody subscribes to telemetry, so nothing is acknowledged (is the MQTT consumer running?); trying again"
        )
    return f"the broker refuses a message ({reason}); trying again"


class Gateway:
    def __init__(  # noqa: PLR0913  # what a gateway is, and what a fleet gives to all of its gateways
        self,
        code: str,
        config: FleetConfig,
        started_ms: int,
        selector: BaseSelector,
        observer: Observer,
        *,
        renewals: Executor,
    ) -> None:
        self.code = code
        self.state = State.WAITING
        self.failure: BrokerError | None = None  # of the latest try to connect
        self.failure_is_its_own = False  # and says nothing about other gateways
        self.has_begun = False  # else the fleet speaks for it
        self.connections = 0
        self.renewals = 0
        self.outbox = Outbox(capacity=config.outbox_capacity, resend_window_s=config.resend_window_s)
        self._config = config
        # Spread by their place in the fleet, so that a few gateways use all brokers.
        self._broker_number = config.gateways.index(code) % len(config.brokers)
        self._selector = selector
        self._observer = observer
        self._plan = FaultPlan.of(config.faults, config.fault_rate, config.seed, code)
        timeline = Timeline(
            history_from_ms=started_ms - config.history_ms,
            live_from_ms=started_ms,
            live_until_ms=None if config.live_ms is None else started_ms + config.live_ms,
            history_step_ms=config.history_step_ms,
            interval_ms=config.interval_ms,
            phase_ms=phase_ms(config.seed, code, config.interval_ms, config.history_step_ms),
        )
        self.history_messages = timeline.history_length() * len(config.devices)
        self._live_from_ms = started_ms
        self._moments = timeline.moments()
        self._next_ms = next(self._moments, None)
        self._caught_up = False
        self._history_made = 0
        self._link: Link | None = None
        self._watched: tuple[socket, int] | None = None
        self._tries = 0
        self._credential: Credential | None = None
        self._renewer = (
            Renewer(code, config.est, renewals, config.seed, at_once=code in config.renew_now) if config.est else None
        )
        self._shows_old_certificate = False
        self._window = 1
        self._now_s = 0.0
        self._wall_ms = started_ms
        self._deadline_s = 0.0  # of the state: next try, CONNACK, close
        self._paused_until_s = 0.0
        self._online_since_s = 0.0
        self._cut_spacing_s = config.cut_spacing_s
        self._cut_due = self._move_due = False
        self._farewell: int | None = None
        self._reconnect = Backoff(RECONNECT_FIRST_S, RECONNECT_MAX_S, noise_key("reconnect", config.seed, code))
        self._refusal = Backoff(REFUSED_FIRST_S, REFUSED_MAX_S, noise_key("refusal", config.seed, code))

    # What the fleet asks.

    @property
    def broker(self) -> Broker:
        return self._config.brokers[self._broker_number]

    @property
    def history_done(self) -> int:
        """Messages of history that the broker has, as far as one can tell from what is still owed."""
        return max(0, self._history_made - self.outbox.waiting - self.outbox.in_flight)

    @property
    def has_measured_all(self) -> bool:
        return self._next_ms is None

    @property
    def is_to_renew(self) -> bool:
        """Whether somebody asked for a renewal that has not come."""
        return self._renewer is not None and self._renewer.wanted

    @property
    def can_send(self) -> bool:
        return (
            self.state is State.ONLINE
            and self.outbox.waiting > 0
            and self.outbox.in_flight < self._window
            and self._now_s >= self._paused_until_s
        )

    def stop_measuring(self) -> None:
        self._next_ms = None

    # What the fleet's loop drives.

    def step(self, now_s: float, wall_ms: int) -> None:
        self._now_s = now_s
        self._wall_ms = wall_ms
        self._measure(wall_ms)
        self._renew()
        match self.state:
            case State.WAITING:
                if now_s >= self._deadline_s:
                    self._connect()
            case State.CONNECTING:
                if now_s >= self._deadline_s:
                    why = self._link.waits_for if self._link is not None else "no connection"
                    self._drop()
                    self.on_lost(why)
            case State.ONLINE:
                self._work()
            case State.CLOSING:
                if now_s >= self._deadline_s:
                    self._hang_up()
            case State.CLOSED:
                pass
            case _:
                assert_never(self.state)
        self._watch()

    def on_ready(self, events: int, now_s: float) -> None:
        self._now_s = now_s
        if events & EVENT_READ and self._link is not None:
            self._link.read()
        if events & EVENT_WRITE and self._link is not None:
            self._link.write()

    def close(self) -> None:
        """Says goodbye when there is somebody to hear it."""
        if self.state is State.ONLINE and self._link is not None:
            self._farewell = self._say(self._link, online=False)
            if self._farewell is not None:
                self.state = State.CLOSING
                self._deadline_s = self._now_s + CLOSE_TIMEOUT_S
                return
        self._drop()
        self.state = State.CLOSED

    def _say(self, link: Link, *, online: bool) -> int | None:
        interval_s = max(1, round(self._config.interval_ms / 1000))
        return link.publish_presence(online=online, at_ms=self._wall_ms, interval_s=interval_s)

    def abandon(self) -> None:
        self._drop()
        self.state = State.CLOSED

    # What the link reports.

    def on_connected(self, max_in_flight: int) -> None:
        self.state = State.ONLINE
        self.failure = None
        self.connections += 1
        self._online_since_s = self._now_s
        self._window = max_in_flight
        self._paused_until_s = 0.0
        if self._link is not None:
            self._say(self._link, online=True)

    def on_turned_away(self, why: str) -> None:
        if self._credential is not None and self._credential.not_after_ms <= self._wall_ms:
            why = f"{why}; the certificate was valid until {until(self._credential)}"
        self._drop()
        self.outbox.connection_lost(self._now_s)
        self._wait(f"turned away: {why}", self.broker.refused(why), its_own=True)

    def on_untrusted(self, why: str) -> None:
        self._drop()
        self._wait(f"the broker is not trusted: {why}", self.broker.not_trusted(why))

    def on_puback(self, packet_id: int, reason_code: int, reason: str) -> None:
        if packet_id == self._farewell:
            # Hang up at the next step: paho holds a lock during its callbacks that sending DISCONNECT needs.
            self._deadline_s = self._now_s
            return
        if not acknowledges(reason_code):
            # Presence has no entry in the outbox and mostly no subscriber: only telemetry is worth a pause.
            if self.outbox.refused(packet_id) and self._now_s >= self._paused_until_s:
                self._paused_until_s = self._now_s + self._refusal.after_failure()
                self._observer.notice(self.code, refusal_notice(reason_code, reason))
            return
        self._reconnect.succeeded()
        self._refusal.succeeded()
        message = self.outbox.acknowledged(packet_id, self._now_s)
        if message is not None and message.kind is not Kind.BAD:
            self._observer.acknowledged(self.code, message)

    def on_lost(self, why: str) -> None:
        self._unwatch()
        self._link = None
        self.outbox.connection_lost(self._now_s)
        if self.state is State.CLOSING:
            self.state = State.CLOSED
            return
        self._wait(f"connection lost: {why}", self.broker.unreachable(why))

    # Steps.

    def _measure(self, wall_ms: int) -> None:
        while self._next_ms is not None and self._next_ms <= wall_ms:
            # Until it has caught up with the clock a gateway makes no more than it can send: nothing is dropped.
            # From then on it measures at its times, whether or not there is a connection, as a real one does.
            if not self._caught_up and self.outbox.waiting >= _AHEAD_MESSAGES:
                return
            for number, device in enumerate(self._config.devices):
                self.outbox.put(self._plan.messages(device, number, self._next_ms))
            if self._next_ms < self._live_from_ms:
                self._history_made += len(self._config.devices)
            self._cut_due = self._cut_due or self._plan.cuts_connection(self._next_ms)
            self._move_due = self._move_due or self._plan.moves(self._next_ms)
            self._next_ms = next(self._moments, None)
        self._caught_up = True

    def _connect(self) -> None:
        self._tries += 1
        context = None
        try:
            if self._config.box is not None:
                # Anew each time: somebody may have provisioned the gateway anew.
                self._credential = load(self._config.box, self.code)
                context = self._credential.context()
                self._shows_old_certificate = False
            self._link = Link(self.code, self.broker, self, context, turn=self._tries - 1)
        except CredentialError as error:
            self._wait(str(error), BrokerError(str(error)), its_own=True)
            return
        except OSError as error:
            self._wait(f"no connection: {reason_of(error)}", self.broker.unreachable(reason_of(error)))
            return
        self.state = State.CONNECTING
        self._deadline_s = self._now_s + CONNACK_TIMEOUT_S

    def _renew(self) -> None:
        if self._renewer is None or self._credential is None or self.state in {State.CLOSING, State.CLOSED}:
            return
        match self._renewer.step(self._credential, self._wall_ms):
            case Renewed(credential):
                self._shows_old_certificate = credential.certificate != self._credential.certificate
                self._credential = credential
                self.renewals += 1
                self._observer.notice(self.code, f"renewed its certificate, valid until {until(credential)}")
            case NotRenewed(why):
                self._observer.notice(self.code, why)

    def _show_new_certificate(self) -> None:
        """As with every reconnect, what was acknowledged within the window is sent again."""
        self._unwatch()
        if self._link is not None:
            self._link.disconnect()
            self._link = None
        self.outbox.connection_lost(self._now_s)
        self._connect()

    def _work(self) -> None:
        if self._shows_old_certificate:
            self._show_new_certificate()
            return
        if self.outbox.is_empty:
            self._cut_spacing_s = self._config.cut_spacing_s
        if (self._cut_due or self._move_due) and self._now_s - self._online_since_s >= self._cut_spacing_s:
            if self._move_due:  # what the last broker acknowledged within the window goes to the next one as well
                self._broker_number = (self._broker_number + 1) % len(self._config.brokers)
            self._cut_due = self._move_due = False
            # Each cut makes it resend all of the last 90 s. Cut at a steady pace while it sends history,
            # a gateway would soon do nothing else; doubled, each connection gets as far again as all before.
            self._cut_spacing_s *= 2
            self._drop()
            self.outbox.connection_lost(self._now_s)
            self._wait("connection cut, as asked for", None)
            return
        if self._link is not None:
            self._link.keep_alive()
        self._send()

    def _send(self) -> None:
        for _ in range(_BURST_MESSAGES):
            if not self.can_send or self._link is None:
                return
            entry = self.outbox.next_to_send(self._now_s)
            if entry is None:
                return
            message = entry.message
            body = payload(self._config.seed, self.code, message)
            packet_id = self._link.publish(topic(self.code, message.device), body)
            if packet_id is None:
                self.outbox.put_back(entry)
                return
            self.outbox.sent(packet_id, entry)

    def _wait(self, why: str, failure: BrokerError | None, *, its_own: bool = False) -> None:
        self.state = State.WAITING
        self.failure, self.failure_is_its_own = failure, its_own
        self._deadline_s = self._now_s + self._reconnect.after_failure()
        if self.has_begun:
            self._observer.notice(self.code, why)

    def _hang_up(self) -> None:
        self._unwatch()
        if self._link is not None:
            self._link.disconnect()
            self._link = None
        self.state = State.CLOSED

    def _drop(self) -> None:
        self._unwatch()
        if self._link is not None:
            self._link.drop()
            self._link = None

    def _watch(self) -> None:
        """Tells the selector what this gateway's socket waits for, when that has changed."""
        sock = self._link.socket if self._link is not None else None
        if sock is None or self._link is None:
            return
        if self._watched is not None and self._watched[0] is not sock:
            self._unwatch()  # TLS took the socket over, or another address is tried
        events = EVENT_READ | (EVENT_WRITE if self._link.wants_write else 0)
        if self._watched is None:
            self._selector.register(sock, events, self)
        elif self._watched[1] != events:
            self._selector.modify(sock, events, self)
        self._watched = (sock, events)

    def _unwatch(self) -> None:
        """Before another socket can get the same descriptor; the selector also finds one that is already closed."""
        if self._watched is not None:
            self._selector.unregister(self._watched[0])
            self._watched = None
