"""What a chip image is made with: partition tables and settings of the four families, which no compiler here checks."""

import re
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

import pack_image

FIRMWARE: Final = Path(__file__).resolve().parents[2] / "firmware"
FAMILIES: Final = ("dcu-0080", "dcu-8000-sim", "dcu-all", "relay-mfr")
SHARED: Final = FIRMWARE / "common/port/esp_idf/sdkconfig.defaults"

FLASH_BYTES: Final = 4 * 1024 * 1024
SECTOR_BYTES: Final = 4096
APP_ALIGNMENT_BYTES: Final = 64 * 1024  # of the chip's memory map
TABLE_END: Final = 0x9000  # the table itself is at 0x8000, one sector
FACTORY_OFFSET: Final = 0x12000  # README: where nvs.bin is flashed to
FACTORY_BYTES: Final = 24 * 1024  # docs/identity.md, "NVS keys"
OUTBOX_MAX_BYTES: Final = 256 * SECTOR_BYTES  # OUTBOX_MAX_SECTORS


@dataclass(frozen=True, slots=True)
class Partition:
    name: str
    type: str
    subtype: str
    offset: int
    size: int

    @property
    def end(self) -> int:
        return self.offset + self.size


def partitions(family: str) -> list[Partition]:
    text = (FIRMWARE / "devices" / family / "partitions.csv").read_text()
    rows = (line.split(",") for line in text.splitlines() if line and not line.startswith("#"))
    fields = ([cell.strip() for cell in row] for row in rows)
    return [Partition(name, kind, sub, int(offset, 16), int(size, 16)) for name, kind, sub, offset, size in fields]


def named(family: str, name: str) -> Partition:
    (found,) = (partition for partition in partitions(family) if partition.name == name)
    return found


def settings(*files: Path) -> dict[str, str]:
    text = "\n".join(file.read_text() for file in files)
    return dict(re.findall(r"^(CONFIG_\w+)=(.+)$", text, re.MULTILINE))


@pytest.mark.parametrize("family", FAMILIES)
def test_partitions_follow_each_other_and_fit_the_flash(family: str) -> None:
    table = partitions(family)
    assert table[0].offset >= TABLE_END
    assert table[-1].end <= FLASH_BYTES
    assert all(one.end <= other.offset for one, other in pairwise(table))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_partition_is_whole_sectors_and_apps_are_where_the_chip_can_map_them(family: str) -> None:
    for partition in partitions(family):
        alignment = APP_ALIGNMENT_BYTES if partition.type == "app" else SECTOR_BYTES
        assert partition.offset % alignment == 0, partition
        assert partition.size % SECTOR_BYTES == 0, partition


@pytest.mark.parametrize("family", FAMILIES)
def test_two_slots_of_one_size_and_none_that_could_not_be_updated(family: str) -> None:
    apps = [partition for partition in partitions(family) if partition.type == "app"]
    assert [app.subtype for app in apps] == ["ota_0", "ota_1"]
    assert apps[0].size == apps[1].size
    assert named(family, "otadata").size == 2 * SECTOR_BYTES  # the boot loader writes them by turns


@pytest.mark.parametrize("family", FAMILIES)
def test_the_image_of_a_unit_goes_where_the_readme_says(family: str) -> None:
    factory = named(family, "fctry")
    assert (factory.type, factory.subtype) == ("data", "nvs")
    assert (factory.offset, factory.size) == (FACTORY_OFFSET, FACTORY_BYTES)
    assert f"{factory.offset:#x} " in (FIRMWARE / "README.md").read_text()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_outbox_uses_all_that_it_has(family: str) -> None:
    # That a day fits is firmware/tests/boards/test_day.c's.
    assert named(family, "outbox").size <= OUTBOX_MAX_BYTES


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_crash_leaves_has_a_place(family: str) -> None:
    assert named(family, "coredump").size >= APP_ALIGNMENT_BYTES


@pytest.mark.parametrize("family", FAMILIES)
def test_settings_have_what_safety_needs(family: str) -> None:
    found = settings(SHARED, FIRMWARE / "devices" / family / "sdkconfig.defaults")
    wanted = {
        "CONFIG_IDF_TARGET": '"esp32"',
        "CONFIG_ESPTOOLPY_FLASHSIZE_4MB": "y",
        "CONFIG_PARTITION_TABLE_CUSTOM": "y",
        "CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE": "y",  # an image that does not confirm itself goes
        "CONFIG_MBEDTLS_HAVE_TIME_DATE": "y",  # certificates out of their time are refused
        "CONFIG_ESP_TLS_INSECURE": "n",
        "CONFIG_ESP_TASK_WDT_PANIC": "y",  # a hang restarts the device
        "CONFIG_ESP_COREDUMP_ENABLE_TO_FLASH": "y",
        "CONFIG_ESP_BROWNOUT_DET": "y",
        "CONFIG_MQTT_PROTOCOL_5": "y",  # the reason of a PUBACK
    }
    assert wanted.items() <= found.items()
    assert int(found["CONFIG_ESP_MAIN_TASK_STACK_SIZE"]) <= 6 * 1024


@pytest.mark.parametrize("family", FAMILIES)
def test_the_watchdog_waits_longer_than_a_turn_of_the_loop(family: str) -> None:
    header = (FIRMWARE / "common/port/esp_idf/chip_events.h").read_text()
    wait_ms = int(re.findall(r"#define CHIP_EVENTS_WAIT_MAX_MS (\d+)", header)[0])
    found = settings(SHARED, FIRMWARE / "devices" / family / "sdkconfig.defaults")
    assert int(found["CONFIG_ESP_TASK_WDT_TIMEOUT_S"]) * 1000 >= 3 * wait_ms


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_takes_its_own_settings_after_the_shared_ones(family: str) -> None:
    cmake = (FIRMWARE / "devices" / family / "CMakeLists.txt").read_text()
    assert f"project({family})" in cmake
    assert re.search(r"SDKCONFIG_DEFAULTS \S+/port/esp_idf/sdkconfig\.defaults \S+/sdkconfig\.defaults", cmake)


def test_no_component_is_read_with_what_esp_idf_refuses() -> None:
    # It reads each CMakeLists.txt in CMake's script mode first, where CONFIGURE_DEPENDS is an error.
    for component in ("core", "app", "drivers", "port/esp_idf"):
        lines = (FIRMWARE / "common" / component / "CMakeLists.txt").read_text()
        on_the_chip = lines.split("else()")[0] if "if(ESP_PLATFORM)" in lines else lines
        assert "file(GLOB sources ${CMAKE_CURRENT_LIST_DIR}/*.c)" in on_the_chip, component
        assert "GLOB sources CONFIGURE_DEPENDS" not in on_the_chip, component


@pytest.mark.parametrize("family", FAMILIES)
def test_the_counter_of_an_image_is_put_into_every_family(family: str) -> None:
    cmake = (FIRMWARE / "devices" / family / "CMakeLists.txt").read_text()
    assert re.search(r"project\(\S+\)\s+include\(\S+/port/esp_idf/counter\.cmake\)", cmake)


@pytest.mark.parametrize(
    ("said", "counter"),
    [
        *(
            ((f"-DPROJECT_VER={version}",), pack_image.counter_of(version))
            for version in ("0.1.0", "1.2.3", "2100.0.999")
        ),
        (("-DPROJECT_VER=1.2.3-rc.1",), None),
        (("-DPROJECT_VER=1.2.3-rc.1", "-DCOUNTER=7"), 7),
        (("-DPROJECT_VER=1.2.3", "-DCONFIG_BOOTLOADER_APP_ANTI_ROLLBACK=y"), None),
    ],
)
def test_the_counter_of_an_image_is_that_of_its_version(
    tmp_path: Path, said: tuple[str, ...], counter: int | None
) -> None:
    """With stand-ins for the two commands that only a build of ESP-IDF has."""
    script = tmp_path / "counter.cmake"
    script.write_text(
        "function(idf_component_get_property)\nendfunction()\n"
        "function(target_compile_definitions)\n  message(${ARGN})\nendfunction()\n"
        f"include({FIRMWARE}/common/port/esp_idf/counter.cmake)\n"
    )
    done = subprocess.run(["cmake", *said, "-P", script], capture_output=True, text=True, check=True)
    found = re.findall(r"CONFIG_BOOTLOADER_APP_SECURE_VERSION=(.*)", done.stderr)
    assert found == ([] if counter is None else [str(counter)])
