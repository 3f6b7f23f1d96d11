"""Devices under the launcher for `./tds rehearse`, which starts this, tells it what to do on standard input, and reads
a document a line. Ends when that input does.

    calm    no fault from now on, and what is bad is mended
"""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

from device_fleet import addresses, locks, update_faults
from device_fleet.device import Setting
from device_fleet.launched import Fate, Launched, Trial
from device_fleet.network import Network
from device_fleet.refusal import FleetRefusedError
from device_fleet.runner import DESCRIPTORS_A_DEVICE, STARTS_AT_ONCE, STOP_LIMIT_S, allow_open_files
from device_fleet.units import FAMILIES, Unit, in_box

LOOK_S: Final = 0.02
LOOK_CLOSELY_S: Final = 0.002
SAY_EVERY_S: Final = 0.5
REFUSED: Final = 2
CALM: Final = "calm"


class Rehearsal:
    def __init__(self, units: Sequence[Unit], setting: Setting, trial: Trial, options: argparse.Namespace) -> None:
        self._units = units
        self._setting = setting
        self._trial = trial
        self._options = options
        self._devices: list[Launched] = []
        self._networks: list[Network] = []
        self._stop = asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_reader(sys.stdin.fileno(), self._listen)
        allow_open_files(len(self._units) * 2 * DESCRIPTORS_A_DEVICE)
        try:
            await self._make_devices()
            await self._go_on()
        finally:
            self._say(final=True)
            await self._end_devices()
            await asyncio.gather(*(network.close() for network in self._networks))

    async def _make_devices(self) -> None:
        options = self._options
        blows = update_faults.deal(options.seed, [unit.code for unit in self._units], options.faults)
        for unit in self._units:
            chance = Random(f"{options.seed}/{unit.code}/way")
            ways = (await self._way(options.broker, chance), await self._way(options.ota_url, chance))
            device = Launched(unit, self._setting, self._trial, ways, options.seed)
            device.fates = [Fate(blow) for blow in blows[unit.code]]
            device.install()
            self._devices.append(device)

    async def _way(self, to: str, chance: Random) -> Network:
        _scheme, host, port = addresses.split(to) or ("", "", 0)  # the command line took no other
        network = Network(host, port, chance)
        await network.open()
        self._networks.append(network)
        return network

    async def _go_on(self) -> None:
        waiting = list(reversed(self._devices))
        said_s = 0.0
        while not self._stop.is_set():
            now_s = time.monotonic()
            for _ in range(min(STARTS_AT_ONCE, len(waiting))):
                waiting.pop().start()
            for device in self._devices:
                device.suffer(now_s)
                device.look_after(now_s)
            if now_s >= said_s + SAY_EVERY_S:
                said_s = now_s
                self._say()
            with contextlib.suppress(TimeoutError):
                close = any(device.is_close for device in self._devices)
                await asyncio.wait_for(self._stop.wait(), LOOK_CLOSELY_S if close else LOOK_S)

    def _listen(self) -> None:
        words = sys.stdin.readline()
        if not words:
            self._stop.set()
        elif words.strip() == CALM:
            now_s = time.monotonic()
            for device in self._devices:
                device.calm(now_s)

    def _say(self, *, final: bool = False) -> None:
        for device in self._devices:
            device.read_report()
        document = {"final": final, "devices": [device.document() for device in self._devices]}
        try:
            print(json.dumps(document), flush=True)
        except BrokenPipeError:  # whoever listened has gone
            self._stop.set()

    async def _end_devices(self) -> None:
        """Their goodbyes go through the proxies, which must go on meanwhile."""
        for device in self._devices:
            device.ask_to_end()
        deadline_s = time.monotonic() + STOP_LIMIT_S
        going = self._devices
        while going := [device for device in going if not device.has_ended()]:
            if time.monotonic() > deadline_s:
                break
            await asyncio.sleep(LOOK_S)
        for device in self._devices:
            device.end_at_once()


def main(words: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(words)
    setting = Setting(
        programs=options.programs,
        state=options.state,
        ota_url=options.ota_url,
        interval_s=options.interval,
        sensors="board",
        journal=False,
        log_level="info",
    )
    trial = Trial(options.programs / "launcher", options.base, options.trial, options.spread, options.image_bytes)
    with contextlib.ExitStack() as held:
        try:
            families = (options.family,)
            units = in_box(options.box, named={}, families=families, default_family=options.family, count=None)
            locks.hold(options.state, [unit.code for unit in units], held)
            asyncio.run(Rehearsal(units, setting, trial, options).run())
        except FleetRefusedError as error:
            print(error, file=sys.stderr)
            return REFUSED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="device_fleet.rehearsal", description=__doc__)
    parser.add_argument("--box", type=Path, required=True)
    parser.add_argument("--family", choices=FAMILIES, required=True)
    parser.add_argument("--programs", type=Path, required=True, help="with the launcher")
    parser.add_argument("--base", type=Path, required=True, help="the image that devices have from the factory")
    parser.add_argument("--image-bytes", type=int, required=True, help="of the one that is to come")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--broker", required=True)
    parser.add_argument("--ota-url", required=True)
    parser.add_argument("--interval", type=int, required=True)
    parser.add_argument("--trial", type=int, required=True)
    parser.add_argument("--spread", type=int, required=True, help="within which each asks for trust set and update")
    parser.add_argument("--faults", type=_faults, default=())
    parser.add_argument("--seed", type=int, required=True)
    return parser


def _faults(text: str) -> Any:
    try:
        return update_faults.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
