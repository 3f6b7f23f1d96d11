"""`make bench`: what README quotes, measured here and now. Takes an hour, most of it for the reads of 100 M rows."""

import argparse
import json
import sys
from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path

from bench import (
    connections,
    dashboard,
    downloads,
    durable,
    growth,
    latency,
    load,
    memory,
    provisioning,
    reads,
    revocation,
    steady,
)
from bench.browser import Browser
from bench.figures import Figure, machine, print_table
from bench.platform import TENANT, Platform, running_platform
from tests.running import running_broker

PARTS = (
    "memory",
    "durable",
    "growth",
    "steady",
    "latency",
    "dashboard",
    "provisioning",
    "downloads",
    "revocation",
    "connections",
    "reads",
)

# They start what they need by themselves.
WITHOUT_PLATFORM: dict[str, Callable[[], list[Figure]]] = {"connections": connections.measure, "reads": reads.measure}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("part", nargs="*", choices=[*PARTS, []], help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument(
        "--store",
        choices=("auto", "native", "timescaledb"),
        default="auto",
        help="of all parts but reads, which measures both (default: auto, TimescaleDB where there is one)",
    )
    options = parser.parse_args()
    wanted = options.part or PARTS
    if set(wanted) & {"durable", "growth", "steady", "latency", "connections", "downloads"}:
        load.build()
    figures: list[Figure] = []
    if set(wanted) - WITHOUT_PLATFORM.keys():
        figures += _of_one_platform(wanted, options.store)
    for name, measure in WITHOUT_PLATFORM.items():
        if name in wanted:
            sys.stderr.write(f"measuring {name} …\n")
            figures += measure()
    print_table(figures)
    if options.json:
        document = {"machine": machine(), "figures": [asdict(figure) for figure in figures]}
        options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return 0 if all(figure.reached is not False for figure in figures) else 1


def _of_one_platform(wanted: Collection[str], store: str) -> list[Figure]:
    figures: list[Figure] = []
    with running_platform(store) as platform, running_broker(autosave_s=15) as other_broker:
        platform.command("tenant", "add", TENANT)
        browser = _viewer(platform)
        steps: dict[str, Callable[[], list[Figure]]] = {
            "memory": lambda: memory.measure(platform),
            "durable": lambda: durable.measure(platform, other_broker),
            "growth": lambda: growth.measure(platform),
            "steady": lambda: steady.measure(platform),
            "latency": lambda: latency.measure(platform, browser),
            "dashboard": lambda: dashboard.measure(platform, browser),
            "provisioning": lambda: provisioning.measure(platform),
            "downloads": lambda: downloads.measure(platform),
            "revocation": lambda: revocation.measure(platform),
        }
        for name, measure in steps.items():
            if name in wanted:
                sys.stderr.write(f"measuring {name} …\n")
                figures += measure()
    return figures


def _viewer(platform: Platform) -> Browser:
    password = Path(platform.ready["admin_password_file"]).read_text(encoding="utf-8").strip()
    platform.command("user", "add", "bench", "--tenant", TENANT, "--password-stdin", stdin=f"{password}\n")
    browser = Browser(platform.web_url)
    browser.sign_in("bench", password)
    return browser


if __name__ == "__main__":
    sys.exit(main())
