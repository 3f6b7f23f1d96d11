"""The command line of the fleet."""

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final, TypeVar

from device_fleet import addresses, boot, boot_options, faults, locks, platform_home, spans
from device_fleet.device import Setting
from device_fleet.faults import Fault
from device_fleet.platform_home import ROOT, Servers
from device_fleet.refusal import FleetRefusedError
from device_fleet.runner import Fleet, Plan
from device_fleet.screen import LINE_EVERY_S, Screen
from device_fleet.units import FAMILIES, Unit, in_box

T = TypeVar("T")

PROGRAMS: Final = ROOT / "firmware" / "build" / "host"
DEFAULT_COUNT: Final = 3
MAX_DEVICES: Final = 500  # each is a program: more are another machine's
ENDED_BY_THEMSELVES: Final = 1
REFUSED: Final = 2

ABOUT: Final = """\
Runs devices as programs, each with its own identity, against the platform that runs on this machine.

  make up                                              in one terminal
  make firmware                                        once
  firmware/tools/fleet --family dcu-0080 --count 3     in another; Ctrl-C ends them
"""
AFTERWARDS: Final = """\
faults, each as --fault NAME=SHARE, any number of times; the share of devices that it strikes in each round:
{faults}
With --fault network=10% --fault kill=5%, of 100 devices in each round of 10 s about 10 have trouble with the network
for 3 to 12 s, and 5 lose power. With the same --seed the same devices are struck by the same, at the same second.
Faults of the network go through a proxy on loopback: the broker's certificate must name 127.0.0.1, as the platform's
does.

Ends with 0; with 1 when a device ended by itself, which none should; with 2 when it can't begin.
A device's files are in $TDS_HOME/fleet/CODE: state, log, report.json, and journal.jsonl with --journal.
"""


def main(words: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(words)
    with contextlib.ExitStack() as held:
        try:
            plan = _plan(options, held)
        except FleetRefusedError as error:
            print(error, file=sys.stderr)
            return REFUSED
        return _run(plan, options)


def _run(plan: Plan, options: argparse.Namespace) -> int:
    screen = Screen(as_json=options.json, line_every_s=options.every)
    try:
        screen.say(_begin(plan))
        ended = asyncio.run(Fleet(plan, screen).run())
    except FleetRefusedError as error:
        print(error, file=sys.stderr)
        return REFUSED
    except BrokenPipeError:  # whoever looked has gone; the devices have ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return ENDED_BY_THEMSELVES if ended else 0


def _begin(plan: Plan) -> str:
    counts = {family: sum(unit.family == family for unit in plan.units) for family in FAMILIES}
    told = ", ".join(f"{count:,} × {family}" for family, count in counts.items() if count)
    where = ", ".join(plan.brokers)
    end = "Ctrl-C ends them" if plan.for_s is None else f"for {spans.shown(plan.for_s)}"
    return f"{told} at {where}; their files are in {plan.setting.state}; {end}."


def _plan(options: argparse.Namespace, held: contextlib.ExitStack) -> Plan:
    home = platform_home.home()
    families = FAMILIES if "all" in options.family else tuple(dict.fromkeys(options.family or FAMILIES[:1]))
    servers = _servers(options, home)
    state = options.state or home / platform_home.STATE
    if options.box:
        units = _of_box(options, families)
        _check(options, [unit.family for unit in units])
        locks.hold(state, [unit.code for unit in units], held)
        started_by = boot_options.read(options, state, {unit.family for unit in units})
    else:
        wanted = _wanted(options, families)
        _check(options, wanted.values())
        locks.hold(state, wanted, held)
        started_by = boot_options.read(options, state, set(wanted.values()))
        # The last that can refuse: it registers gateways, and those stay.
        units = platform_home.own_units(home, wanted, tenant=options.tenant, broker=servers.brokers[0])
    setting = Setting(
        programs=options.programs,
        state=state,
        ota_url=servers.ota_url,
        interval_s=options.interval,
        sensors=options.sensors,
        journal=options.journal,
        log_level=options.log_level,
        boot=started_by,
    )
    return Plan(
        units=units,
        setting=setting,
        brokers=servers.brokers,
        shares=dict(options.fault),
        fault_every_s=options.fault_every,
        faults_for_s=options.faults_for,
        seed=options.seed,
        for_s=getattr(options, "for"),
    )


def _servers(options: argparse.Namespace, home: Path) -> Servers:
    if options.broker:
        return Servers(tuple(options.broker), options.ota_url)
    found = platform_home.servers(home)
    return Servers(found.brokers, options.ota_url or found.ota_url)


def _check(options: argparse.Namespace, families: Collection[str]) -> None:
    if len(families) > MAX_DEVICES:
        raise FleetRefusedError(f"{len(families):,} devices are more than {MAX_DEVICES:,}; take less with --count.")
    needed = [*families, *([] if options.no_slots else [boot.LAUNCHER])]
    missing = [name for name in dict.fromkeys(needed) if not (options.programs / name).is_file()]
    if missing:
        told = " and no ".join(missing)
        raise FleetRefusedError(f"There is no {told} in {options.programs}; `make firmware` builds it.")


def _of_box(options: argparse.Namespace, families: Sequence[str]) -> list[Unit]:
    named: dict[str, str | None] = {}
    for text in options.unit:
        code, _, family = text.partition("=")
        named[code] = family or None
    chosen = families if options.family else FAMILIES
    return in_box(options.box, named=named, families=chosen, default_family=families[0], count=options.count)


def _wanted(options: argparse.Namespace, families: Sequence[str]) -> dict[str, str]:
    """The family of each code, of the fleet's own units."""
    if options.unit:
        raise FleetRefusedError("--unit chooses from a box; say which with --box.")
    count = options.count or DEFAULT_COUNT
    numbers = range(1, count + 1)
    return {f"{options.prefix}-{family}-{number:04d}": family for family in families for number in numbers}


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, Fault))
    listed = "\n".join(f"  {name:<{width}}  {what}" for name, what in faults.WHAT.items())
    parser = argparse.ArgumentParser(
        prog="firmware/tools/fleet",
        description=ABOUT,
        epilog=AFTERWARDS.format(faults=listed),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_who(parser.add_argument_group("who they are"))
    _add_how(parser.add_argument_group("how they run"))
    boot_options.add(parser.add_argument_group("how they are updated"))
    _add_faults(parser.add_argument_group("what they are put through"))
    _add_looks(parser.add_argument_group("how one looks at them"))
    return parser


def _add_who(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--family", action="append", default=[], choices=[*FAMILIES, "all"], help="(dcu-0080) repeat it for several"
    )
    group.add_argument(
        "--count",
        type=_whole(1, MAX_DEVICES),
        metavar="N",
        help=f"({DEFAULT_COUNT}) of each family; with --box at most",
    )
    group.add_argument(
        "--box",
        type=Path,
        metavar="FOLDER",
        help="units that ./tds provision made; without it the fleet provisions its own, in $TDS_HOME/fleet-box",
    )
    group.add_argument(
        "--unit",
        action="append",
        default=[],
        metavar="CODE[=FAMILY]",
        help="of --box; repeat it. Without a family as the box says, or else --family",
    )
    group.add_argument("--tenant", default="demo", help="(demo) of units of its own")
    group.add_argument("--prefix", default="FLEET", help="(FLEET) of their codes: FLEET-dcu-0080-0001")


def _add_how(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--broker",
        action="append",
        default=[],
        type=_broker,
        metavar="URI",
        help="mqtts://host:port, repeated to spread them; (the platform's that runs in $TDS_HOME, by default .tds)",
    )
    group.add_argument(
        "--ota-url",
        default="",
        type=_ota_url,
        metavar="URL",
        help="who renews certificates and has firmware (the same platform's)",
    )
    group.add_argument(
        "--interval", type=_whole(5, 86_400), metavar="SECONDS", help="(60, or what is set) between two publishes"
    )
    group.add_argument(
        "--sensors", choices=["board", "demo"], default="board", help="(board) demo: what ./tds simulate measures"
    )
    group.add_argument("--programs", type=Path, default=PROGRAMS, metavar="FOLDER", help="(firmware/build/host)")
    group.add_argument("--state", type=Path, metavar="FOLDER", help="($TDS_HOME/fleet) what boards have in their flash")
    group.add_argument("--for", type=_span, metavar="SPAN", help="ends after 60s, 5m … (never)")


def _add_faults(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--fault",
        action="append",
        default=[],
        type=_fault,
        metavar="NAME=SHARE",
        help="see below; repeat it for several",
    )
    every = f"({faults.EVERY_S:.0f}s) a round: each device may be struck once by each"
    group.add_argument("--fault-every", type=_span, default=faults.EVERY_S, metavar="SPAN", help=every)
    group.add_argument(
        "--faults-for", type=_span, metavar="SPAN", help="(to the end) once all run; then all is well again"
    )
    group.add_argument("--seed", type=int, default=1, metavar="N", help="(1)")


def _add_looks(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--json", action="store_true", help='a document a line, the last with "final": true')
    group.add_argument(
        "--every",
        type=_span,
        default=LINE_EVERY_S,
        metavar="SPAN",
        help="(5s) between two lines; no line on a terminal",
    )
    group.add_argument(
        "--journal", action="store_true", help="each device writes down what it kept, and for which time"
    )
    group.add_argument("--log-level", choices=["error", "warning", "info", "debug"], default="info", help="(info)")


def _checked(read: Callable[[str], T]) -> Callable[[str], T]:
    def checked(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


_span = _checked(spans.seconds)
_fault = _checked(faults.parse)
_broker = _checked(addresses.broker)
_ota_url = _checked(addresses.firmware_server)


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not good; give a whole number from {low} to {high}.")
        return int(text)

    return read
