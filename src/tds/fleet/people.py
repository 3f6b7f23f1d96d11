"""People and their roles: the door for the command line and /admin/, which writes down who did it."""

from django.db import transaction

from tds.fleet import audit
from tds.fleet.models import AuditAction, Membership, Tenant, User


@transaction.atomic
def save(user: User, *, password_changed: bool, by: "User | str") -> None:
    """A person that is new, or has another password; one of whom nothing changed leaves no entry."""
    new = user.pk is None
    user.save()
    if new:
        audit.note(AuditAction.PERSON_ADDED, user, by=by)
    elif password_changed:
        audit.note(AuditAction.PERSON_CHANGED, user, by=by, detail={"fields": "password"})


@transaction.atomic
def give_role(user: User, tenant: Tenant, role: str, *, by: "User | str") -> None:
    """In that tenant, in place of the one that the person may have there."""
    before = roles(user)
    Membership.objects.update_or_create(user=user, tenant=tenant, defaults={"role": role})
    note_roles(user, before, by=by)


def roles(user: User) -> dict[int, str]:
    """Of a person, by the tenant's id."""
    return dict(Membership.objects.filter(user=user).order_by("tenant").values_list("tenant", "role"))


def note_roles(user: User, before: dict[int, str], *, by: "User | str") -> None:
    """What became of a person's roles since. Call it in the transaction of the deed."""
    after = roles(user)
    for tenant_id in sorted(before.keys() | after.keys()):
        was, now = before.get(tenant_id), after.get(tenant_id)
        if was == now:
            continue
        action = AuditAction.ROLE_CHANGED if was and now else AuditAction.ROLE_GIVEN if now else AuditAction.ROLE_TAKEN
        told: audit.Detail = {"before": was, "role": now}
        of = Membership(user=user, tenant_id=tenant_id)
        audit.note(action, of, by=by, detail={name: role for name, role in told.items() if role})
