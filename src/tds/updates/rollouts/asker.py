"""Who asks for something, and what they may: the tenant filter, and the roles, of everything about rollouts."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext as _

from tds.fleet import audit
from tds.fleet.access import Scope
from tds.fleet.models import Gateway, Role, Tenant, User
from tds.updates.models import Execution, Rollout

if TYPE_CHECKING:
    from django.db.models import QuerySet


@dataclass(frozen=True, slots=True)
class Asker:
    """`scope`: they act in one tenant, in their role there. None: over all tenants, which only the platform operator
    and the command line do. `by` is who the audit trail names."""

    by: "User | str"
    scope: Scope | None = None

    @property
    def tenant(self) -> Tenant | None:
        return self.scope.tenant if self.scope else None

    @property
    def name(self) -> str:
        return audit.Actor.of(self.by).name

    def require_operator(self) -> None:
        """Raises PermissionDenied unless they may act here."""
        if self.scope is not None:
            self.scope.require(Role.OPERATOR)
        elif isinstance(self.by, User) and not self.by.is_platform_operator:
            raise PermissionDenied(_("A rollout over several companies is the platform operator's."))

    def gateways(self) -> "QuerySet[Gateway]":
        return Gateway.objects.all() if self._sees_all else self._scoped.gateways()

    def rollouts(self) -> "QuerySet[Rollout]":
        """A tenant sees its own; one over several is seen by whoever operates the platform."""
        return Rollout.objects.all() if self._sees_all else self._scoped.filter(Rollout.objects.all(), "tenant")

    def executions(self) -> "QuerySet[Execution]":
        """Of its own gateways."""
        found = Execution.objects.all()
        return found if self._sees_all else self._scoped.filter(found, "gateway__tenant")

    @property
    def _sees_all(self) -> bool:
        return self.scope is None and (not isinstance(self.by, User) or self.by.is_platform_operator)

    @property
    def _scoped(self) -> Scope:
        return self.scope if self.scope is not None else Scope(memberships=(), membership=None)


COMMAND_LINE = Asker(audit.COMMAND_LINE)
