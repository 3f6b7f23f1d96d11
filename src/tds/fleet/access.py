"""THE tenant filter. Every view gets its fleet from here and from nowhere else.

Another tenant's object is the same 404 as one that does not exist; 403 is only for a member who lacks a right.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeVar

from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _

from tds.fleet.models import ApiToken, Device, DeviceMetric, Gateway, Membership, Metric, Role, Site, Tag, Tenant, User

SESSION_KEY: Final = "tenant_id"
ATTRIBUTE: Final = "tds_scope"  # of a request
RANK: Final = {Role.VIEWER: 0, Role.OPERATOR: 1, Role.ADMIN: 2}

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Scope:
    """What one signed-in person may see now: the tenant that they picked, in the role they have there.

    `tenant` is None for someone who belongs to no tenant; every queryset is empty then.
    """

    memberships: tuple[Membership, ...]
    membership: Membership | None

    @property
    def tenant(self) -> Tenant | None:
        return self.membership.tenant if self.membership else None

    @cached_property
    def tenants(self) -> tuple[Tenant, ...]:
        return tuple(membership.tenant for membership in self.memberships)

    def may(self, role: Role) -> bool:
        return self.membership is not None and RANK[Role(self.membership.role)] >= RANK[role]

    def require(self, role: Role) -> None:
        if not self.may(role):
            raise PermissionDenied(_("This needs the role “%(role)s” in the company.") % {"role": role.label})

    def filter(self, queryset: QuerySet[M], path_to_tenant: str) -> QuerySet[M]:
        """The tenant's rows of another package's model, as in `filter(alerts, "device__gateway__tenant")`."""
        return queryset.filter(**{path_to_tenant: self.tenant}) if self.tenant else queryset.none()

    def sites(self) -> QuerySet[Site]:
        return self.filter(Site.objects.all(), "tenant")

    def tags(self) -> QuerySet[Tag]:
        return self.filter(Tag.objects.all(), "tenant")

    def gateways(self) -> QuerySet[Gateway]:
        return self.filter(Gateway.objects.all(), "tenant")

    def devices(self) -> QuerySet[Device]:
        return self.filter(Device.objects.select_related("gateway"), "gateway__tenant")

    def metrics(self) -> QuerySet[Metric]:
        return self.filter(Metric.objects.all(), "tenant")

    def device_metrics(self) -> QuerySet[DeviceMetric]:
        return self.filter(DeviceMetric.objects.all(), "device__gateway__tenant")

    def tokens(self) -> QuerySet[ApiToken]:
        return self.filter(ApiToken.objects.all(), "tenant")


def of(request: HttpRequest) -> Scope:
    """The scope of a request; built once and kept on it."""
    scope: Scope | None = getattr(request, ATTRIBUTE, None)
    if scope is None:
        scope = _scope(request)
        setattr(request, ATTRIBUTE, scope)
    return scope


def operates(request: HttpRequest) -> bool:
    """Whether it is the platform operator, who looks after what belongs to all tenants or to none."""
    return isinstance(request.user, User) and request.user.is_platform_operator


def switch(request: HttpRequest, slug: str) -> bool:
    """Make another of the person's tenants the current one; False when they do not belong to it."""
    for tenant in of(request).tenants:
        if tenant.slug == slug:
            request.session[SESSION_KEY] = tenant.pk
            delattr(request, ATTRIBUTE)  # built anew at the next use
            return True
    return False


def _scope(request: HttpRequest) -> Scope:
    if not isinstance(request.user, User) or not request.user.is_active:
        return Scope(memberships=(), membership=None)
    memberships = tuple(request.user.memberships.select_related("tenant"))
    picked = request.session.get(SESSION_KEY)
    current = next((m for m in memberships if m.tenant_id == picked), memberships[0] if memberships else None)
    return Scope(memberships=memberships, membership=current)
