"""The models of all packages, gathered where Django looks for them."""

from tds.devicelink.models import BrokerLink, GatewayPresence
from tds.disk import DiskSample
from tds.fleet.models import (
    ApiToken,
    AuditEntry,
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
from tds.identity.models import BrokerAccess, Certificate, ClaimCode, GatewayPassword, RevocationList
from tds.ingest.models import LedgerDay, LedgerHour, QuarantineCount, QuarantinedMessage, SpoolState
from tds.readings.models import DirtyHour, HourRollup, KeptSince, LedgerDropped, MendedHour, Reading, RollupState

__all__ = [
    "ApiToken",
    "AuditEntry",
    "BrokerAccess",
    "BrokerLink",
    "Certificate",
    "ClaimCode",
    "Device",
    "DeviceMetric",
    "DirtyHour",
    "DiskSample",
    "Gateway",
    "GatewayPassword",
    "GatewayPresence",
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
    "RevocationList",
    "RollupState",
    "Site",
    "SpoolState",
    "Tenant",
    "User",
]
