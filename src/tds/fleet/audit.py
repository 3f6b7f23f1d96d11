"""The audit trail: who did what to which gateway, written in the transaction of the deed.

A deed that is rolled back leaves no entry, and an entry that can't be written undoes the deed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.db.models import QuerySet

from tds.fleet.models import MAX_ACTOR_CHARS, AuditAction, AuditEntry, Gateway, User

COMMAND_LINE: Final = "command line"
THE_GATEWAY: Final = "the gateway itself"  # by EST, with a claim code or its present certificate
GATEWAY: Final = "gateway"
BATCH: Final = 1_000  # entries a statement

Detail = dict[str, str | int | None]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it: a person by name and id, or one of the words above."""

    name: str
    user_id: int | None = None

    @classmethod
    def of(cls, who: "User | str") -> "Actor":
        return cls(who.get_username(), who.pk) if isinstance(who, User) else cls(who[:MAX_ACTOR_CHARS])


def note(action: AuditAction, gateway: Gateway, *, by: "User | str", detail: Detail | None = None) -> AuditEntry:
    """Write one entry. Call it in the transaction of what it tells of. `detail` never holds a secret."""
    entry = _entry(action, gateway, Actor.of(by), detail or {})
    entry.save(force_insert=True)
    return entry


def note_many(action: AuditAction, of: Iterable[tuple[Gateway, Detail]], *, by: "User | str") -> None:
    """The same for a box of gateways, in few statements."""
    actor = Actor.of(by)
    AuditEntry.objects.bulk_create((_entry(action, gateway, actor, detail) for gateway, detail in of), batch_size=BATCH)


def of_gateway(gateway: Gateway) -> "QuerySet[AuditEntry]":
    """What was done to one gateway, the newest first; for a page, filter it by the scope's tenant."""
    return AuditEntry.objects.filter(object_kind=GATEWAY, object_id=gateway.pk)


def _entry(action: AuditAction, gateway: Gateway, actor: Actor, detail: Detail) -> AuditEntry:
    return AuditEntry(
        actor=actor.name,
        actor_id=actor.user_id,
        tenant_id=gateway.tenant_id,
        action=action,
        object_kind=GATEWAY,
        object_id=gateway.pk,
        object_name=gateway.code,
        detail=detail,
    )
