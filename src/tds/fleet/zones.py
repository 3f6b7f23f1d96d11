"""IANA time zones of tenants."""

from zoneinfo import ZoneInfo, available_timezones

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _


def validate_time_zone(name: str) -> None:
    if name not in available_timezones():
        raise ValidationError(
            _("%(name)s is not a time zone; use a name such as America/Sao_Paulo."), params={"name": name}
        )


def zone_of(name: str) -> ZoneInfo:
    return ZoneInfo(name)
