"""What the long-running processes have in common."""

import signal
from threading import Event
from typing import Final

SLOT_PREFIX: Final = "consumer-s"
AGENT: Final = "agent"  # of the brokers' access


def stop_on_signal() -> Event:
    """An event that SIGTERM and SIGINT set. Call it on the main thread."""
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    return stopping


def broker_name(number: int) -> str:
    """Of the process of a private broker, from 1."""
    return "broker" if number == 1 else f"broker-{number}"


def consumer_name(number: int, slot: int = 0) -> str:
    """Of the consumer of a broker, or of one slot (from 1) of a shared subscription."""
    if slot:
        return f"{SLOT_PREFIX}{slot}"
    return "consumer" if number == 1 else f"consumer-{number}"


def consumers_of(brokers: int, slots: int) -> list[tuple[int, int]]:
    """The (number of the broker, slot) of every consumer that there should be; slot 0 has a plain subscription."""
    return [(1, slot) for slot in range(1, slots + 1)] if slots else [(n, 0) for n in range(1, brokers + 1)]
