"""Passwords of gateways, for boards on a bench that have no certificate yet. A broker takes them only when told to."""

import secrets
from typing import TYPE_CHECKING, Final

from django.db import transaction
from django.utils import timezone

from tds.fleet import audit
from tds.fleet.codes import RESERVED_PREFIX, is_reserved
from tds.fleet.models import AuditAction, Gateway, GatewayStatus
from tds.identity.access import broker_rules
from tds.identity.models import GatewayPassword

if TYPE_CHECKING:
    from tds.fleet.models import User

PASSWORD_BYTES: Final = 18  # 144 random bits: they are hashed in few rounds


class PasswordRefusedError(Exception):
    """No password for this gateway; the text is a sentence."""


@transaction.atomic
def make(gateway: Gateway, *, by: "User | str") -> str:
    """A new one, in place of the one that it may have. Nothing can show it again. Raises PasswordRefusedError."""
    present = Gateway.objects.select_for_update(no_key=True).get(pk=gateway.pk)
    if present.status != GatewayStatus.ACTIVE:
        raise PasswordRefusedError(f"Gateway {present.code} is {present.status}, and no broker lets it in.")
    if is_reserved(present.code):
        raise PasswordRefusedError(
            f"Codes that begin with {RESERVED_PREFIX} are the platform's; register the gateway with another one."
        )
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    changed = {"hash": broker_rules.hashed(password), "made_at": timezone.now()}
    GatewayPassword.objects.update_or_create(gateway=present, defaults=changed)
    audit.note(AuditAction.PASSWORD_MADE, present, by=by)
    return password


@transaction.atomic
def remove(gateway: Gateway, *, by: "User | str") -> bool:
    """False when it had none."""
    removed, _ = GatewayPassword.objects.filter(gateway=gateway).delete()
    if removed:
        audit.note(AuditAction.PASSWORD_REMOVED, gateway, by=by)
    return bool(removed)
