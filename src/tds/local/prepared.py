"""The names of what a first start makes, for those who refer to it without loading Django."""

from typing import Final

ADMIN: Final = "admin"
ADMIN_SECRET: Final = "admin_password"  # noqa: S105  # the name of its file
ADMIN_SECRET_BYTES: Final = 18
DEMO: Final = "demo"
RELEASE_KEYS: Final = "release-keys"  # a folder of the home, on a desk: root and release key
DEMO_BOX: Final = "demo-box"  # a folder of the home, with the certificates of:
DEMO_FAMILIES: Final = {"GW-DEMO-001": "dcu-0080", "GW-DEMO-002": "dcu-8000-sim", "GW-DEMO-003": "dcu-all"}
DEMO_GATEWAYS: Final = tuple(DEMO_FAMILIES)
