"""How fast a factory's list becomes a box, and how fast by the commands that people use for one unit after another."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

from bench.figures import Figure
from bench.platform import ROOT, TENANT, Platform

UNITS: Final = 10_000
RUNS: Final = 3
BY_HAND: Final = 20  # units a run: each takes seconds
TO_REACH: Final = 100.0  # units/s
PARTITION: Final = "0x6000"
COLUMNS: Final = "gateway_code;tenant;site;family;hardware;wifi_ssid;wifi_password;apn;broker"


def measure(platform: Platform) -> list[Figure]:
    ours: list[float] = []
    by_hand: list[float] = []
    again: list[float] = []
    peaks: list[float] = []
    costs: list[float] = []
    with tempfile.TemporaryDirectory(prefix="tds-bench-box-") as name:
        folder = Path(name)
        for run in range(RUNS):  # one after the other, so that both see the same machine
            box = folder / f"box-{run}"
            first, second = (_provisioned(platform, folder, box, run) for _ in range(2))
            ours.append(first.rate)
            peaks.append(first.peak_mb)
            costs.append(first.processor_ms)
            again.append(second.rate)
            subprocess.run(["rm", "-rf", box], check=True)
            by_hand.append(_by_hand(folder / f"hand-{run}"))
    middle = Figure("", tuple(ours), "").middle
    return [
        Figure(f"units provisioned, {UNITS:,} in one list", tuple(ours), "units/s", f">= {TO_REACH:.0f}").judged(
            middle >= TO_REACH
        ),
        Figure("… by openssl, the generator of images and a maker of labels, unit by unit", tuple(by_hand), "units/s"),
        Figure("… ours over theirs", tuple(o / t for o, t in zip(ours, by_hand, strict=True)), "×"),
        Figure("… the same list once more, all units there", tuple(again), "units/s"),
        Figure("processor time of the command, a unit", tuple(costs), "ms"),
        Figure(f"memory of the command at its peak, {UNITS:,} units", tuple(peaks), "MB"),
    ]


class Provisioned(NamedTuple):
    """`rate` in units a second, from the start of the command to its end; processor time a unit."""

    rate: float
    peak_mb: float
    processor_ms: float


def _provisioned(platform: Platform, folder: Path, box: Path, run: int) -> Provisioned:
    units = folder / f"units-{run}.csv"
    rows = (
        f"BOX{run}-{number:05};{TENANT};Line {number % 7};dcu-0080;C;factory;secret {number:05};;mqtt.example.com"
        for number in range(UNITS)
    )
    units.write_text("\n".join([COLUMNS, *rows]), encoding="utf-8")
    began = time.monotonic()
    with (folder / "said").open("w+", encoding="utf-8") as said:
        words = [ROOT / "tds", "provision", units, "--out", box, "--json"]
        process = subprocess.Popen(words, env=platform.environment, stdout=said, stderr=subprocess.DEVNULL)
        _pid, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        said.seek(0)
        report = json.loads(said.read())
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or report["made"] + report["kept"] != UNITS:
        raise RuntimeError(f"tds provision ended with {process.returncode}: {report}")
    return Provisioned(UNITS / seconds, usage.ru_maxrss / 1024, (usage.ru_utime + usage.ru_stime) / UNITS * 1_000)


def _by_hand(folder: Path) -> float:
    """Key, request, certificate, image and label of one unit after another; nothing of it is recorded anywhere."""
    folder.mkdir()
    _call(folder, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
          "-subj", "/CN=CA", "-days", "3650", "-keyout", "ca.key", "-out", "ca.crt")  # fmt: skip
    began = time.monotonic()
    for number in range(BY_HAND):
        code = f"HAND-{number:05}"
        _call(
            folder,
            "openssl",
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-out",
            f"{code}.key",
        )
        _call(folder, "openssl", "req", "-new", "-key", f"{code}.key", "-subj", f"/CN={code}", "-out", f"{code}.csr")
        _call(folder, "openssl", "x509", "-req", "-in", f"{code}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
              "-CAcreateserial", "-days", "730", "-out", f"{code}.crt")  # fmt: skip
        (folder / f"{code}.csv").write_text(_image_list(code), encoding="ascii")
        _call(
            folder,
            sys.executable,
            "-m",
            "esp_idf_nvs_partition_gen",
            "generate",
            f"{code}.csv",
            f"{code}.bin",
            PARTITION,
        )
        _call(
            folder,
            sys.executable,
            "-m",
            "segno.cli",
            "--output",
            f"{code}.svg",
            f"tds:{code}?family=dcu-0080&hardware=C",
        )
    return BY_HAND / (time.monotonic() - began)


def _image_list(code: str) -> str:
    texts = {"gateway_code": code, "wifi_ssid": "factory", "wifi_password": f"secret {code}"}
    files = {"server_ca": "ca.crt", "device_cert": f"{code}.crt", "device_key": f"{code}.key"}
    rows = [
        "key,type,encoding,value",
        "tds_factory,namespace,,",
        *(f"{key},data,string,{value}" for key, value in texts.items()),
        *(f"{key},file,string,{value}" for key, value in files.items()),
    ]
    return "\n".join(rows) + "\n"


def _call(folder: Path, *words: str) -> None:
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
