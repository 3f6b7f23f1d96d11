"""The demo's gateways: first their past, by the simulator; then what goes on now, by the devices' own programs where
they are built, and by the simulator where not. Both measure the same, so that a chart goes on either way.
"""

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from tds.environment import ROOT, BrokerPorts, Environment, firmware_url
from tds.local.parts import variables
from tds.local.plan import ota_url
from tds.local.ports import for_url, reachable
from tds.local.prepared import DEMO_BOX, DEMO_FAMILIES
from tds.local.supervisor import Child

NAME: Final = "demo"
HISTORY_DAYS: Final = 30
INTERVAL_S: Final = 5  # the simulator's own; a chart that is looked at should move
FLEET: Final = ROOT / "firmware" / "tools" / "fleet"
PROGRAMS: Final = ROOT / "firmware" / "build" / "host"  # where `make firmware` puts them
LAUNCHER: Final = "launcher"  # starts them from slots, so that they can be updated
LOOK_LIMIT_S: Final = 5.0
TRIAL_S: Final = 60  # a person who watches a bad image being given up need not wait for the 300 s of a board


def has_programs(folder: Path = PROGRAMS) -> bool:
    """Whether those of the demo's families are there, and start: a library may have gone since they were built."""
    programs = [folder / family for family in sorted(set(DEMO_FAMILIES.values()))]
    return os.access(folder / LAUNCHER, os.X_OK) and all(
        os.access(program, os.X_OK) and _starts(program) for program in programs
    )


def _starts(program: Path) -> bool:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, check=False, timeout=LOOK_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def told(*, programs: bool) -> str:
    count = len(DEMO_FAMILIES)
    if programs:
        return f"{count} gateways, run by the devices' own programs"
    return f"{count} simulated gateways; after `make firmware` the devices' own programs run them"


def child(environment: Environment, brokers: Iterable[BrokerPorts], *, programs: bool) -> Child:
    """First the history, and once that is all acknowledged, only what goes on now."""
    host, box = for_url(reachable(environment.bind)), str(environment.home / DEMO_BOX)
    to_brokers = [word for places in brokers for word in ("--broker", f"mqtts://{host}:{places.mqtt_tls}")]
    simulate = [sys.executable, "-m", "tds.cli", "simulate", "--box", box, "--est", ota_url(environment), *to_brokers]
    words = _fleet(environment, box, to_brokers) if programs else simulate
    live = Child(NAME, words, cwd=ROOT, environment=variables(environment))
    # The marker is inside the home: a new database comes with a new home.
    done = environment.home / "demo-history-sent"
    days = min(HISTORY_DAYS, environment.retention_days - 1)
    if days < 1 or done.exists():
        return live

    def then() -> Child:
        done.touch()
        return live

    return replace(live, command=[*simulate, "--history", f"{days}d", "--history-only"], then=then)


def _fleet(environment: Environment, box: str, to_brokers: list[str]) -> list[str]:
    words = [sys.executable, str(FLEET), "--box", box, "--ota-url", firmware_url(environment), *to_brokers]
    words += [word for code, family in DEMO_FAMILIES.items() for word in ("--unit", f"{code}={family}")]
    words += ["--trial", str(TRIAL_S)]
    return [*words, "--sensors", "demo", "--interval", str(INTERVAL_S), "--every", "60s"]
