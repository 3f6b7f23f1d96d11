"""Chips by the number in an image's header, named as esptool names them, and how large an image may be on each."""

from typing import Final

HOST: Final = "host"  # a program of this machine (firmware/tools/pack_image.py)
HOST_CHIP_ID: Final = 0xFFFE

CHIPS: Final = {
    0: "esp32",
    2: "esp32s2",
    5: "esp32c3",
    9: "esp32s3",
    12: "esp32c2",
    13: "esp32c6",
    16: "esp32h2",
    18: "esp32p4",
    20: "esp32c61",
    23: "esp32c5",
    25: "esp32h21",
    28: "esp32h4",
    31: "esp32e22",
    32: "esp32s31",
    HOST_CHIP_ID: HOST,
}

SLOT_BYTES: Final = 0x170000  # ota_0 and ota_1 of firmware/devices/*/partitions.csv
HOST_SLOT_BYTES: Final = 8 * 1024**2
MAX_IMAGE_BYTES: Final = max(SLOT_BYTES, HOST_SLOT_BYTES)


def slot_bytes(chip: str) -> int:
    """What an image for it may have at most: the slot that it goes into."""
    return HOST_SLOT_BYTES if chip == HOST else SLOT_BYTES
