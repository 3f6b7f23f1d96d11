"""What a simulated fleet is to do, checked once."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tds.simulator.broker import Broker
from tds.simulator.est import Server
from tds.simulator.faults import Fault
from tds.simulator.message import CODE
from tds.simulator.outbox import MAX_WAITING_MESSAGES, RESEND_WINDOW_S

MAX_GATEWAYS: Final = 500  # one thread drives all sockets: about 10,000 messages a second in all
MAX_DEVICES: Final = 256  # a gateway: the platform's own limit
MIN_INTERVAL_S: Final = 0.01
MAX_MOMENTS: Final = 10_000_000  # of history, a gateway: more is a slip of the finger

DEFAULT_BROKER: Final = "mqtt://127.0.0.1:1883"
DEFAULT_TLS_BROKER: Final = "mqtts://127.0.0.1:8883"
DEFAULT_GATEWAYS: Final = 3
DEFAULT_DEVICES: Final = 3
DEFAULT_INTERVAL_S: Final = 5.0
DEFAULT_STEP: Final = "15m"
DEFAULT_PREFIX: Final = "SIM"
DEFAULT_FAULT_RATE: Final = 0.01
CUT_SPACING_S: Final = 1.0  # from a connection to its being cut; more while a gateway has much to resend


@dataclass(frozen=True, slots=True)
class FleetConfig:
    """A ValueError says in a sentence what does not fit."""

    gateways: tuple[str, ...]
    devices: tuple[str, ...]
    broker: Broker
    more_brokers: tuple[Broker, ...] = ()  # the gateways are spread over all
    box: Path | None = None  # a folder for each gateway, with its key and certificate
    est: Server | None = None  # who renews the certificates; None: nobody does
    renew_now: frozenset[str] = frozenset()  # whatever the age of their certificates
    interval_ms: int = round(DEFAULT_INTERVAL_S * 1000)
    history_ms: int = 0
    history_step_ms: int = 900_000
    # After the history, counted from the start: None is for ever, 0 is history only.
    live_ms: int | None = None
    seed: int = 1
    faults: frozenset[Fault] = field(default_factory=frozenset)
    fault_rate: float = DEFAULT_FAULT_RATE
    resend_window_s: float = RESEND_WINDOW_S
    outbox_capacity: int = MAX_WAITING_MESSAGES
    cut_spacing_s: float = CUT_SPACING_S

    def __post_init__(self) -> None:
        if not 1 <= len(self.gateways) <= MAX_GATEWAYS:
            raise ValueError(f"{len(self.gateways)} gateways: one process simulates 1 to {MAX_GATEWAYS}.")
        if not 1 <= len(self.devices) <= MAX_DEVICES:
            raise ValueError(f"{len(self.devices)} devices: a gateway has 1 to {MAX_DEVICES}.")
        for code in (*self.gateways, *self.devices):
            if not CODE.fullmatch(code):
                raise ValueError(
                    f"{code!r} is no code: a letter or digit, then up to 63 letters, digits, '.', '_', '-'."
                )
        if len(set(self.gateways)) < len(self.gateways):
            raise ValueError("A gateway is named twice: the broker would let only one of the two stay connected.")
        self._refuse_brokers_of_another_kind()
        if self.interval_ms < MIN_INTERVAL_S * 1000:
            raise ValueError(f"The interval is too short: at least {MIN_INTERVAL_S} s.")
        if self.history_step_ms < 1 or self.history_ms // self.history_step_ms > MAX_MOMENTS:
            raise ValueError(f"The history has more than {MAX_MOMENTS:,} steps: take a longer --history-step.")
        if not 0 <= self.fault_rate <= 1:
            raise ValueError(f"The fault rate is {self.fault_rate}: a share from 0 to 1 is needed.")

    def _refuse_brokers_of_another_kind(self) -> None:
        for broker in self.brokers:
            if broker.tls and self.box is None:
                raise ValueError(
                    f"mqtts://{broker.address} wants certificates: name the box that has them, with --box DIR."
                )
            if self.box is not None and not broker.tls:
                raise ValueError(
                    f"mqtt://{broker.address} asks for no certificate, so --box is of no use there; write mqtts://."
                )
        if self.renew_now and self.est is None:
            raise ValueError("Only a gateway of a box can renew its certificate: name the box with --box DIR.")
        if unknown := sorted(self.renew_now - set(self.gateways)):
            raise ValueError(f"{unknown[0]} is to renew its certificate, and is none of the gateways of this run.")

    @property
    def brokers(self) -> tuple[Broker, ...]:
        return (self.broker, *self.more_brokers)


def gateway_codes(prefix: str, count: int) -> tuple[str, ...]:
    return tuple(f"{prefix}-{number:04}" for number in range(1, count + 1))


def device_codes(count: int) -> tuple[str, ...]:
    return tuple(f"D{number:02}" for number in range(1, count + 1))
