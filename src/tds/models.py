"""The models of all packages, gathered where Django looks for them."""

from tds.disk import DiskSample
from tds.fleet.models import (
    ApiToken,
    Device,
    DeviceMetric,
    Gateway,
    Membership,
    Metric,
    Site,
    Tenant,
    User,
)
from tds.heartbeat import Heartbeat
from tds.ingest.models import LedgerDay, LedgerHour, QuarantineCount, QuarantinedMessage, SpoolState
from tds.readings.models import DirtyHour, HourRollup, KeptSince, LedgerDropped, MendedHour, Reading, RollupState

__all__ = [
    "ApiToken",
    "Device",
    "DeviceMetric",
    "DirtyHour",
    "DiskSample",
    "Gateway",
    "Heartbeat",
    "HourRollup",
    "KeptSince",
    "LedgerDay",
    "LedgerDropped",
    "LedgerHour",
    "Membership",
    "MendedHour",
    "Metric",
    "QuarantineCount",
    "QuarantinedMessage",
    "Reading",
    "RollupState",
    "Site",
    "SpoolState",
    "Tenant",
    "User",
]
