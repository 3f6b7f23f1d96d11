"""The demo of `./tds up` when the devices' own programs are built: they are its gateways, and its charts go on."""

import contextlib
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg

from device_fleet import slots
from device_fleet.slots import children
from tds.environment import ROOT
from tds.local import demo
from tds.local.prepared import DEMO_FAMILIES
from tds.simulator.series import UNITS, Tipo, value
from tests.devices import built
from tests.running import wait_until
from tests.simulating import connect
from tests.started import Started

WITHOUT: Final = tuple(word for part in ("web", "agent") for word in ("--without", part))
SIMULATED: Final = ("D01", "D02", "D03")
LAST_DIGIT: Final = {"temperatura": 0.1, "umidade": 0.1, "energia": 0.001, "tensao": 0.1}
HISTORY_LIMIT_S: Final = 60.0

Rows = list[tuple[str, str, Tipo, str, datetime, float]]


def rows(connection: psycopg.Connection[Any], since: datetime) -> Rows:
    return connection.execute(
        """SELECT g.code, d.code, m.tipo, m.unidade, r.time, r.value FROM tds_new_leituradispositivo r
           JOIN tds_new_device d ON d.id = r.device_id JOIN tds_new_gateway g ON g.id = d.gateway_id
           JOIN tds_new_metric m ON m.id = r.metric_id WHERE r.time >= %s""",
        (since,),
    ).fetchall()


def devices_of(fleet: int) -> list[str]:
    """The families of the programs that it has launchers run; a process that ends while it is looked at is none."""
    found = []
    for launcher in children(fleet):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{launcher}/exe").readlink().name == demo.LAUNCHER:
                found += [Path(f"/proc/{each}/comm").read_text(encoding="ascii").strip() for each in children(launcher)]
    return found


Running = dict[str, tuple[str, str, int, bool, int]]


def running(connection: psycopg.Connection[Any]) -> Running:
    """Version, hash, slot, whether it is confirmed, and the trust set's version, as the platform was told."""
    rows = connection.execute(
        """SELECT g.code, r.version, r.sha256, r.slot, r.confirmed, r.trust_version
           FROM tds_new_runningfirmware r JOIN tds_new_gateway g ON g.id = r.gateway_id"""
    ).fetchall()
    return {code: tuple(found) for code, *found in rows}


def test_its_gateways_are_the_devices_own_programs_and_what_they_measure_goes_on_where_the_history_ended(
    home: Started,
) -> None:
    built("host")
    home.environment["TDS_RETENTION_DAYS"] = "3"  # of history there are two days then
    began = datetime.now(UTC)
    home.start("--demo", *WITHOUT)
    assert "  Demo        3 gateways, run by the devices' own programs\n" in home.said
    with connect(home) as connection:

        def live() -> Rows:
            """Of the present, by devices that a program alone has."""
            return [row for row in rows(connection, began) if row[1] == "SYS"]

        wait_until(lambda: {row[0] for row in live()} == set(DEMO_FAMILIES), "a live reading of each", HISTORY_LIMIT_S)
        past = [row for row in rows(connection, began - timedelta(days=3)) if row[4] < began]
        now = [row for row in rows(connection, began) if row[1] in SIMULATED]
        families = dict(connection.execute("SELECT code, family FROM tds_new_gateway").fetchall())
        wait_until(
            lambda: {code for code, row in running(connection).items() if row[4]} == set(DEMO_FAMILIES),
            "a report of what each runs, and by which trust set",
            HISTORY_LIMIT_S,
        )
        reported = running(connection)
    state = home.home / "fleet"
    version = (ROOT / "firmware" / "version.txt").read_text().strip()
    assert reported == {code: (version, slots.sha256_of(state / code / "slots", 0), 0, True, 1) for code in families}
    assert families == DEMO_FAMILIES
    assert {row[:4] for row in past} == {row[:4] for row in now}
    assert len(past) > 2 * 24 * 4 * len({row[:4] for row in past}) - 100
    for gateway, device, tipo, unidade, time, stored in now:
        expected = value(1, gateway, device, tipo, round(time.timestamp() * 1000))
        assert abs(stored - expected) < 1.5 * LAST_DIGIT[tipo], (gateway, device, tipo)
        assert unidade == UNITS[tipo]
    fleet = home.pids["demo"]
    assert sorted(devices_of(fleet)) == sorted(DEMO_FAMILIES.values())

    # What the kernel does when memory runs out: the fleet alone is killed, and none of its devices stays behind.
    os.kill(fleet, signal.SIGKILL)
    wait_until(lambda: home.pids.get("demo", fleet) != fleet, "the next fleet")
    wait_until(lambda: sorted(devices_of(home.pids["demo"])) == sorted(DEMO_FAMILIES.values()), "its devices")
    assert "Another device runs" not in (home.home / "fleet" / "GW-DEMO-001" / "log").read_text()
    assert home.stop() < 10
    with_state = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(home.home / "fleet") in _words(path)]
    assert with_state == []


def _words(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
