"""The loop: starts the devices, looks after them, puts them through what was asked for, ends them all."""

import asyncio
import contextlib
import heapq
import itertools
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Final

from device_fleet import addresses
from device_fleet.device import Device, Setting
from device_fleet.faults import OF_NETWORK, Fault, Schedule, Strike
from device_fleet.network import Network
from device_fleet.screen import Screen
from device_fleet.table import Faults, Row
from device_fleet.units import Unit

LOOK_S: Final = 0.1
REPORT_EVERY_S: Final = 1.0
PSS_EVERY_S: Final = 5.0
# In a look: a machine that is given 400 programs in one breath does nothing else for a while.
STARTS_AT_ONCE: Final = 20
STOP_LIMIT_S: Final = 10.0
DESCRIPTORS_A_DEVICE: Final = 8


@dataclass(frozen=True, slots=True)
class Plan:
    units: Sequence[Unit]
    setting: Setting
    brokers: Sequence[str]
    shares: Mapping[Fault, float]
    fault_every_s: float
    faults_for_s: float | None  # None: to the end
    seed: int
    for_s: float | None  # None: until it is told to end


class Fleet:
    def __init__(self, plan: Plan, screen: Screen) -> None:
        self._plan = plan
        self._screen = screen
        self._devices: list[Device] = []
        self._networks: dict[str, tuple[Network, ...]] = {}  # each device's ways, to broker and firmware server
        self._schedules = {unit.code: Schedule(plan.seed, unit.code, plan.shares) for unit in plan.units}
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._struck: Counter[str] = Counter()
        self._round = 0
        self._faults_from_s: float | None = None  # when all were started
        self._faults_go_on = bool(plan.shares)
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Devices that ended by themselves."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup` ignores the hang-up on purpose
                loop.add_signal_handler(number, self._stop.set)
        allow_open_files(len(self._plan.units) * DESCRIPTORS_A_DEVICE)
        began_s = time.monotonic()
        try:
            await self._make_devices()
            await self._go_on(began_s)
        finally:
            self._end_faults()
            self._measure()
            for device in self._devices:
                device.read_report()
            rows = self._rows()
            await self._end_devices()
            await asyncio.gather(*(network.close() for network in self._ways))
        self._screen.end(rows, self._faults)
        return sum(device.ends for device in self._devices)

    async def _make_devices(self) -> None:
        plan = self._plan
        proxied = any(plan.shares.get(kind) for kind in (Fault.NETWORK, *OF_NETWORK))
        for unit, broker in zip(plan.units, itertools.cycle(plan.brokers), strict=False):
            address, http_via = broker, ""
            if proxied:
                chance = Random(f"{plan.seed}/{unit.code}")
                ways = [await _way(to, chance) for to in (broker, plan.setting.ota_url) if to]
                self._networks[unit.code] = tuple(ways)
                scheme, *_ = addresses.split(broker) or ("",)
                address = f"{scheme}://127.0.0.1:{ways[0].port}"
                http_via = f"127.0.0.1:{ways[1].port}" if len(ways) > 1 else ""
            device = Device(unit, plan.setting, address, http_via)
            device.install()
            self._devices.append(device)

    async def _go_on(self, began_s: float) -> None:
        waiting = list(reversed(self._devices))
        plan = self._plan
        reports_s = pss_s = 0.0
        while not self._stop.is_set():
            now_s = time.monotonic()
            if plan.for_s is not None and now_s >= began_s + plan.for_s:
                break
            for _ in range(min(STARTS_AT_ONCE, len(waiting))):
                waiting.pop().start()
            if not waiting:
                self._strike(now_s)
            for device in self._devices:
                self._look_after(device, now_s)
            if now_s >= reports_s:
                reports_s = now_s + REPORT_EVERY_S
                for device in self._devices:
                    device.read_report()
            if now_s >= pss_s:
                pss_s = now_s + PSS_EVERY_S
                self._measure()
            if self._screen.is_due(now_s):
                self._screen.show(self._rows(), self._faults)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), LOOK_S)

    def _look_after(self, device: Device, now_s: float) -> None:
        before = device.ends
        device.look_after(now_s)
        if device.ends > before:
            self._screen.say(f"{device.unit.code} {device.state}, and is started again: {device.last_words()}")

    def _measure(self) -> None:
        for device in self._devices:
            device.read_pss()
            device.keep_log_bounded()

    # Faults.

    def _strike(self, now_s: float) -> None:
        plan = self._plan
        if self._faults_from_s is None:
            self._faults_from_s = now_s
        went_s = now_s - self._faults_from_s
        if self._faults_go_on and plan.faults_for_s is not None and went_s >= plan.faults_for_s:
            self._faults_go_on = False
            self._end_faults()
        if self._faults_go_on and went_s >= self._round * plan.fault_every_s:
            for device in self._devices:
                strikes = self._schedules[device.unit.code].strikes(self._round, time.time(), plan.fault_every_s)
                for strike in strikes:
                    self._at(now_s + strike.after_s, partial(self._begin, device, strike))
            self._round += 1
        while self._due and self._due[0][0] <= now_s:
            heapq.heappop(self._due)[2]()

    def _at(self, at_s: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._due, (at_s, next(self._order), do))

    def _begin(self, device: Device, strike: Strike) -> None:
        now_s = time.monotonic()
        self._struck[strike.fault] += 1
        match strike.fault:
            case Fault.KILL:
                device.kill(now_s, strike.lasts_s)
            case Fault.CLOCK:
                device.jump(strike.clock_s)
                self._at(now_s + strike.lasts_s, lambda: device.jump(0))
            case _:
                for network in self._networks[device.unit.code]:
                    network.spoil(strike.fault)
                    self._at(now_s + strike.lasts_s, network.mend)

    def _end_faults(self) -> None:
        """Those that go on, and those that are to come."""
        self._due.clear()
        for network in self._ways:
            network.mend()
        for device in self._devices:
            if device.clock_s:
                device.jump(0)

    @property
    def _ways(self) -> Iterator[Network]:
        return itertools.chain.from_iterable(self._networks.values())

    @property
    def _faults(self) -> Faults:
        return Faults(asked_for=bool(self._plan.shares), go_on=self._faults_go_on, struck=self._struck)

    # Their end, and how they are.

    async def _end_devices(self) -> None:
        """Their goodbyes go through the proxies, which must go on meanwhile."""
        for device in self._devices:
            device.ask_to_end()
        deadline_s = time.monotonic() + STOP_LIMIT_S
        going = self._devices
        while going := [device for device in going if not device.has_ended()]:
            if time.monotonic() > deadline_s:
                break
            await asyncio.sleep(LOOK_S / 2)
        for device in going:
            device.end_at_once()

    def _rows(self) -> list[Row]:
        now_s = time.monotonic()
        return [
            Row(
                code=device.unit.code,
                family=device.unit.family,
                state=device.state,
                last_failure=device.last_failure,
                sent=device.counted("sent"),
                acknowledged=device.counted("acknowledged"),
                unacknowledged=device.unacknowledged,
                outbox=device.outbox_depth,
                dropped=device.counted("dropped"),
                reconnects=device.counted("reconnects"),
                published_ago_s=None if device.published_s is None else round(now_s - device.published_s, 1),
                first_publish_ms=device.first_publish_ms,
                pss_kib=device.pss_kib,
                kills=device.kills,
                ends=device.ends,
                rollbacks=device.rollbacks,
                **_update(device),
            )
            for device in self._devices
        ]


def _update(device: Device) -> dict[str, Any]:
    said = device.update
    if not said:
        return {}
    running, last, size = said["running"], said["last"], said["size"]
    return {
        "version": running["version"],
        "slot": running["slot"],
        "on_trial": not running["confirmed"],
        "update_to": said["version"],
        "update_phase": said["phase"],
        "update_percent": said["bytes"] * 100 // size if size else None,
        "last_update": " ".join(filter(None, (last["status"], last["reason"]))) if last else "",
    }


async def _way(to: str, chance: Random) -> Network:
    _scheme, host, port = addresses.split(to) or ("", "", 0)  # the command line took no other
    network = Network(host, port, chance)
    await network.open()
    return network


def allow_open_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )
