"""What the long-running processes have in common."""

import signal
from threading import Event


def stop_on_signal() -> Event:
    """An event that SIGTERM and SIGINT set. Call it on the main thread."""
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    return stopping
