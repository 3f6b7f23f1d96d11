"""Code and memory of the device code by module and feature, from a build at -Os: `make firmware-size`.

The host's instructions are not the chip's; where its compiler is on PATH, the same sources are compiled with that too.
"""

import argparse
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FIRMWARE: Final = Path(__file__).resolve().parents[1]
COMMON: Final = FIRMWARE / "common"
CHIP_COMPILER: Final = "xtensa-esp32-elf-gcc"
PORTABLE: Final = ("core", "app", "drivers")
OPTIONS: Final = ("-std=c11", "-Os", "-ffunction-sections", "-fdata-sections", f"-I{COMMON}")

# By how a module's name begins; the first that fits. What fits nothing is a feature of its own.
FEATURES: Final = {
    "outbox in flash": ("outbox", "flash_log", "record", "crc32"),
    "sending and its window": ("sender", "telemetry", "wall_time"),
    "connection and recovery": ("connection", "backoff", "presence"),
    "settings and console": ("config", "console", "app_console", "app_settings"),
    "commands": ("command", "json_in", "json_char", "json_value"),
    "certificates, and their renewal": ("renewal", "est", "certs_only", "pair_choice", "app_pair"),
    "signatures and keys": ("base64url", "digest", "jws", "kid", "signed", "trust"),
    "what is signed": ("claims", "manifest", "semver", "ticket"),
    "images": ("image",),
    "an update, from command to proof": ("update", "app_update"),
    "requests to the firmware server": ("http",),
    "measuring and health": ("sampl", "health", "sensor_", "app_samples"),
    "text and numbers": ("json_out", "decimal", "utf8", "code"),
    "clock": ("wall_clock",),
    "the whole, and its loop": ("app", "loop", "step", "power_up"),
}
# What a device that can't update itself would not have.
UPDATES: Final = (
    "signatures and keys",
    "what is signed",
    "images",
    "an update, from command to proof",
    "requests to the firmware server",
)
FORMER: Final = (
    "The former build of dcu-8000-sim, without MQTT, TLS and updates: RAM 40,256 of 327,680 bytes, flash 551,440 of "
    "1,310,720. Those are whole images with ESP-IDF in them; what is above is our code alone."
)


@dataclass(frozen=True, slots=True)
class Module:
    folder: str
    name: str
    text: int
    data: int
    bss: int

    @property
    def feature(self) -> str:
        fitting = (name for name, begins in FEATURES.items() if self.name.startswith(begins))
        return next(fitting, self.name)


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def modules(objects: Iterable[tuple[str, Path]], size: str = "size") -> Iterator[Module]:
    for folder, path in objects:
        text, data, bss = (int(number) for number in run(size, str(path)).splitlines()[1].split()[:3])
        yield Module(folder, path.name.split(".")[0], text, data, bss)


def built(build: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(build.glob("common/**/*.c.o")):
        yield path.relative_to(build / "common").as_posix().split("/CMakeFiles/")[0], path


def compiled(compiler: str, into: Path) -> Iterator[tuple[str, Path]]:
    for folder in PORTABLE:
        for source in sorted((COMMON / folder).glob("*.c")):
            path = into / f"{source.stem}.o"
            run(compiler, *OPTIONS, "-c", str(source), "-o", str(path))
            yield folder, path


def table(title: str, rows: Iterable[tuple[str, int, int, int]]) -> None:
    rows = list(rows)
    total = ("together", sum(row[1] for row in rows), sum(row[2] for row in rows), sum(row[3] for row in rows))
    print(f"\n{title:<34}{'code':>9}{'data':>8}{'bss':>8}")
    for name, text, data, bss in (*rows, total):
        print(f"{name:<34}{text:>9,}{data:>8,}{bss:>8,}")


def by_feature(found: list[Module]) -> Iterator[tuple[str, int, int, int]]:
    for feature in (*FEATURES, *sorted({module.feature for module in found} - FEATURES.keys())):
        of = [module for module in found if module.feature == feature]
        if of:
            yield feature, sum(m.text for m in of), sum(m.data for m in of), sum(m.bss for m in of)


def report(machine: str, found: list[Module]) -> None:
    for folder in dict.fromkeys(module.folder for module in found):
        of = (module for module in found if module.folder == folder)
        table(f"{folder} ({machine})", ((module.name, module.text, module.data, module.bss) for module in of))
    portable = [module for module in found if module.folder in PORTABLE]
    table(f"by feature, portable ({machine})", by_feature(portable))
    table(f"of that updates ({machine})", (row for row in by_feature(portable) if row[0] in UPDATES))


def struct_sizes(title: str, *words: str) -> None:
    """Core has no memory of its own: a device's is in its app_t, which the edge declares."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sizes.o"
        # Freestanding: the widths of another machine's types need none of its libraries.
        run(*words, *OPTIONS, "-ffreestanding", "-c", str(FIRMWARE / "tools/struct_sizes.c"), "-o", str(path))
        lines = [line.split() for line in run("nm", "-S", "--size-sort", "-r", str(path)).splitlines()]
    print(f"\n{title}")
    for _, size, _, name in lines:
        print(f"{name.removeprefix('sizeof_'):<34}{int(size, 16):>9,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path, help="a build of type MinSizeRel")
    build = parser.parse_args().build
    report("this machine, -Os", list(modules(built(build))))
    struct_sizes("memory of a device, where pointers have 32 bits", "gcc", "-m32", "-malign-double")
    if shutil.which(CHIP_COMPILER):
        with tempfile.TemporaryDirectory() as folder:
            objects = compiled(CHIP_COMPILER, Path(folder))
            report("ESP32, -Os", list(modules(objects, CHIP_COMPILER.replace("gcc", "size"))))
        struct_sizes("memory of a device on the ESP32", CHIP_COMPILER)
    else:
        print(f"\nThe chip's compiler, {CHIP_COMPILER}, is not here: no figures of the chip.")
    print(f"\n{FORMER}")


if __name__ == "__main__":
    main()
