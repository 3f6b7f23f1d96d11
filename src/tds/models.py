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
from tds.updates.models import (
    Execution,
    KnownBad,
    LeftOut,
    Release,
    Rollout,
    RolloutEvent,
    RunningFirmware,
    TrustSet,
    Wave,
    WaveCount,
    WaveCountChange,
)

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
    "Execution",
    "Gateway",
    "GatewayPassword",
    "GatewayPresence",
    "Heartbeat",
    "HourRollup",
    "KeptSince",
    "KnownBad",
    "LedgerDay",
    "LedgerDropped",
    "LedgerHour",
    "LeftOut",
    "Membership",
    "MendedHour",
    "Metric",
    "QuarantineCount",
    "QuarantinedMessage",
    "Reading",
    "Release",
    "RevocationList",
    "Rollout",
    "RolloutEvent",
    "RollupState",
    "RunningFirmware",
    "Site",
    "SpoolState",
    "Tenant",
    "TrustSet",
    "User",
    "Wave",
    "WaveCount",
    "WaveCountChange",
]
