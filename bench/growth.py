"""How the durable rate holds while the same messages come from ever more gateways."""

from typing import Final

from bench import load
from bench.durable import stored
from bench.figures import Figure
from bench.platform import Platform

GATEWAYS: Final = (1, 10, 100, 1_000, 10_000)
DEVICES: Final = 10  # of each gateway
DEVICES_OF_ONE: Final = 99  # else a run's times for each of its few devices would reach into the next run's
MESSAGES: Final = 300_000
RUNS: Final = 5


def measure(platform: Platform) -> list[Figure]:
    load.register(platform, GATEWAYS[-1])
    rates: dict[int, list[float]] = {gateways: [] for gateways in GATEWAYS}
    with platform.database() as database:
        for run in range(RUNS + 1):
            for gateways in GATEWAYS:
                devices = DEVICES_OF_ONE if gateways == 1 else DEVICES
                rate = stored(platform, database, load.Load(MESSAGES, gateways=gateways, devices=devices))
                if run:  # the first one registers the devices
                    rates[gateways].append(rate)
    return [
        Figure(f"durable messages from {gateways:,} gateways", tuple(runs), "msg/s") for gateways, runs in rates.items()
    ]
