"""How people get in: accounts are made by an administrator, never by a visitor."""

from allauth.account.adapter import DefaultAccountAdapter
from django.db import transaction
from django.http import HttpRequest

from tds.fleet import audit
from tds.fleet.models import AuditAction, User


class ClosedSignup(DefaultAccountAdapter):  # type: ignore[misc]  # allauth ships no types
    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002  # allauth's signature
        return False

    @transaction.atomic
    def set_password(self, user: User, password: str) -> None:
        """A person's own, on the page that allauth has for it."""
        super().set_password(user, password)
        audit.note(AuditAction.PERSON_CHANGED, user, by=user, detail={"fields": "password"})
