"""Makes the NVS images of test_nvs_image.c, always the same bytes: `PYTHONPATH=src .venv/bin/python` and this file.

`nvs_unit.bin` is as `./tds provision` writes it for a unit, by the same function; its texts open nothing.
`nvs_types.bin` has every type of NVS and a second namespace, by the library alone. `--check` only compares.
"""

import io
import sys
from pathlib import Path

from esp_idf_nvs_partition_gen.nvs_partition_gen import Page, nvs_close, nvs_open, write_entry

from tds.identity.factory import nvs

HERE = Path(__file__).parent
NUMBERS = {
    "a_u8": ("u8", 200),
    "a_i8": ("i8", -100),
    "a_u16": ("u16", 60_000),
    "a_i16": ("i16", -30_000),
    "a_u32": ("u32", 4_000_000_000),
    "a_i32": ("i32", -2_000_000_000),
    "a_u64": ("u64", 2**63 + 5),
    "a_i64": ("i64", -(2**62)),
}


def lines(what: str, size: int) -> str:
    """A text of this many bytes in lines of 64, as PEM has them."""
    text = "".join(f"{what} {number:061d}\n"[-65:] for number in range(size // 65 + 1))
    return text[: size - 1] + "\n"


def unit() -> bytes:
    return nvs.image(
        nvs.Facts(
            gateway_code="GW-0001",
            broker_uri="mqtts://broker.example:8883",
            server_ca=lines("authority", 3_900),
            device_cert=lines("certificate", 1_400),
            device_key=lines("key", 241),
            family="dcu-0080",
            hardware="C",
            wifi_ssid="Rede São João",
            wifi_password="not-a-secret",
        )
    )


def types() -> bytes:
    written = io.BytesIO()
    image = nvs_open(written, 5 * nvs.PAGE_BYTES, Page.VERSION2)
    write_entry(image, "other", "namespace", "", "")
    write_entry(image, "gateway_code", "data", "string", "WRONG")
    write_entry(image, nvs.NAMESPACE, "namespace", "", "")
    for key, (encoding, value) in NUMBERS.items():
        write_entry(image, key, "data", encoding, value)
    write_entry(image, "a_text", "data", "string", "text")
    write_entry(image, "a_blob", "data", "hex2bin", bytes(range(40)).hex())
    write_entry(image, "a_long_blob", "data", "hex2bin", bytes(i * 7 % 251 for i in range(9_000)).hex())
    write_entry(image, "fifteen_chars_x", "data", "string", "z")
    nvs_close(image)
    return written.getvalue()


def main() -> int:
    different = 0
    for name, content in {"nvs_unit.bin": unit(), "nvs_types.bin": types()}.items():
        path = HERE / name
        if "--check" not in sys.argv[1:]:
            path.write_bytes(content)
        elif path.read_bytes() != content:
            print(f"{path} is not what make_nvs.py makes; run it again.")
            different += 1
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
