"""The platform's own gateway, through which `tds status` sends a message around. Nobody is a member of its tenant."""

from typing import Final

PROBE_TENANT: Final = "tds-status"
PROBE_GATEWAY: Final = "TDS-STATUS"
