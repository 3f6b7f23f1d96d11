"""Products, each with the families of devices that it runs on. A family is an image's `project`."""

from typing import Final

from tds.updates.models import ReleaseKind

PRODUCTS: Final = {
    "dcu": ("dcu-0080", "dcu-8000-sim", "dcu-all"),
    "relay": ("relay-mfr",),
}
FILES: Final = {"firmware.bin": ReleaseKind.APPLICATION, "hello.bin": ReleaseKind.HELLO}


def product_of(family: str) -> str | None:
    return next((product for product, families in PRODUCTS.items() if family in families), None)


def default_family(product: str) -> str:
    """Of who does not say what it is."""
    return PRODUCTS[product][0]
