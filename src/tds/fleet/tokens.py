"""Bearer tokens (RFC 6750): made once, kept as a hash, checked in constant time by looking the hash up."""

import secrets
from datetime import datetime
from hashlib import sha256
from typing import Final

from django.db import transaction

from tds.fleet import audit
from tds.fleet.models import ApiToken, AuditAction, Gateway, GatewayStatus, Tenant, User

PREFIX: Final = "tds_"  # so that people and secret scanners see what it is
SECRET_BYTES: Final = 32  # 256 random bits: a plain hash is enough, there is nothing to guess
HINT_CHARS: Final = 8
MAX_TOKEN_CHARS: Final = 100


@transaction.atomic
def create(
    tenant: Tenant,
    *,
    gateway: Gateway | None = None,
    name: str = "",
    expires_at: datetime | None = None,
    by: "User | str" = audit.COMMAND_LINE,  # the one place where tokens are made
) -> tuple[ApiToken, str]:
    """A new token and its secret, which nothing can show again."""
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    token = ApiToken.objects.create(
        tenant=tenant,
        gateway=gateway,
        name=name,
        hint=secret[:HINT_CHARS],
        sha256=_hash(secret),
        expires_at=expires_at,
    )
    audit.note(AuditAction.TOKEN_MADE, token, by=by, detail=described(token))
    return token, secret


@transaction.atomic
def revoke(number: int, *, by: "User | str", now: datetime) -> ApiToken | None:
    """The token with that primary key, which nothing comes in with any more; None when there is none.

    One that is revoked already stays as it is.
    """
    tokens = ApiToken.objects.select_related("tenant", "gateway").select_for_update(of=("self",))
    found = tokens.filter(pk=number).first()
    if found is not None and found.revoked_at is None:
        found.revoked_at = now
        found.save(update_fields=("revoked_at",))
        audit.note(AuditAction.TOKEN_REVOKED, found, by=by, detail=described(found))
    return found


def described(token: ApiToken) -> audit.Detail:
    """What the audit trail says of a token."""
    return {
        "begins_with": token.hint,
        "gateway": token.gateway.code if token.gateway else None,
        "expires_at": token.expires_at.isoformat() if token.expires_at else None,
    }


def find(secret: str, *, now: datetime) -> ApiToken | None:
    """The valid token of that secret."""
    if len(secret) > MAX_TOKEN_CHARS:
        return None
    token = ApiToken.objects.select_related("tenant", "gateway").filter(sha256=_hash(secret)).first()
    return token if token is not None and token.valid_at(now) else None


def covers(token: ApiToken, gateway_code: str) -> bool:
    """Whether the token may speak for the gateway that has this code now."""
    if token.gateway is not None:
        return token.gateway.code == gateway_code and token.gateway.status != GatewayStatus.RETIRED
    if "\x00" in gateway_code:
        return False  # PostgreSQL's text has no NUL
    return token.tenant.gateways.filter(code=gateway_code).exclude(status=GatewayStatus.RETIRED).exists()


def _hash(secret: str) -> str:
    return sha256(secret.encode(errors="surrogatepass")).hexdigest()
