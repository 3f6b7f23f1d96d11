"""The audit trail: who did what to which gateway, person or authority, written in the transaction of the deed.

A deed that is rolled back leaves no entry, and an entry that can't be written undoes the deed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, assert_never

from django.db.models import QuerySet

from tds.fleet.models import (
    MAX_ACTOR_CHARS,
    MAX_AUDITED_NAME_CHARS,
    ApiToken,
    AuditAction,
    AuditEntry,
    Gateway,
    Membership,
    Tenant,
    User,
)

COMMAND_LINE: Final = "command line"
THE_GATEWAY: Final = "the gateway itself"  # by EST, with a claim code or its present certificate
GATEWAY: Final = "gateway"  # kinds of what was acted on
TENANT: Final = "tenant"
PERSON: Final = "person"
API_ACCESS: Final = "token"
AUTHORITY: Final = "authority"
TRUST_SET: Final = "trust set"
RELEASE: Final = "release"
ROLLOUT: Final = "rollout"
BATCH: Final = 1_000  # entries a statement

Detail = dict[str, str | int | None]
Audited = Gateway | Tenant | User | Membership | ApiToken


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it: a person by name and id, or one of the words above."""

    name: str
    user_id: int | None = None

    @classmethod
    def of(cls, who: "User | str") -> "Actor":
        return cls(who.get_username(), who.pk) if isinstance(who, User) else cls(who[:MAX_ACTOR_CHARS])


@dataclass(frozen=True, slots=True)
class Subject:
    """What was acted on. Of a role it is the person, in that role's tenant."""

    kind: str
    name: str
    id: int | None = None
    tenant_id: int | None = None

    @classmethod
    def of(cls, what: "Audited | Subject") -> "Subject":
        match what:
            case Subject():
                return what
            case Gateway():
                return cls(GATEWAY, what.code, what.pk, what.tenant_id)
            case Tenant():
                return cls(TENANT, what.slug, what.pk, what.pk)
            case User():
                return cls(PERSON, what.get_username(), what.pk)
            case Membership():
                return cls(PERSON, what.user.get_username(), what.user_id, what.tenant_id)
            case ApiToken():
                return cls(API_ACCESS, what.name or what.hint, what.pk, what.tenant_id)
            case _:
                assert_never(what)


def authority(name: str) -> Subject:
    """One of the files of the authorities' folder; no tenant has it."""
    return Subject(AUTHORITY, name)


def note(action: AuditAction, of: Audited | Subject, *, by: "User | str", detail: Detail | None = None) -> AuditEntry:
    """Write one entry. Call it in the transaction of what it tells of. `detail` never holds a secret."""
    entry = _entry(action, Subject.of(of), Actor.of(by), detail or {})
    entry.save(force_insert=True)
    return entry


def note_many(action: AuditAction, of: Iterable[tuple[Gateway, Detail]], *, by: "User | str") -> None:
    """The same for a box of gateways, in few statements."""
    actor = Actor.of(by)
    entries = (_entry(action, Subject.of(gateway), actor, detail) for gateway, detail in of)
    AuditEntry.objects.bulk_create(entries, batch_size=BATCH)


def of_gateway(gateway: Gateway) -> "QuerySet[AuditEntry]":
    """What was done to one gateway, the newest first; for a page, filter it by the scope's tenant."""
    return AuditEntry.objects.filter(object_kind=GATEWAY, object_id=gateway.pk)


def _entry(action: AuditAction, of: Subject, actor: Actor, detail: Detail) -> AuditEntry:
    return AuditEntry(
        actor=actor.name,
        actor_id=actor.user_id,
        tenant_id=of.tenant_id,
        action=action,
        object_kind=of.kind,
        object_id=of.id,
        object_name=of.name[:MAX_AUDITED_NAME_CHARS],
        detail=detail,
    )
