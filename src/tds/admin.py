"""Django admin: the platform operator's own view, past the tenant filter."""

from contextlib import suppress
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from tds.devicelink.models import BrokerLink, GatewayPresence
from tds.fleet import audit, lifecycle
from tds.fleet.models import (
    ApiToken,
    AuditAction,
    AuditEntry,
    Device,
    Gateway,
    GatewayStatus,
    Membership,
    Metric,
    Site,
    Tenant,
    User,
)
from tds.identity.models import BrokerAccess, Certificate, ClaimCode, GatewayPassword, RevocationList
from tds.ingest.models import LedgerDay, LedgerHour, QuarantineCount, QuarantinedMessage
from tds.readings.models import LedgerDropped

admin.site.site_header = admin.site.site_title = "TDS"


def is_operator(request: HttpRequest) -> bool:
    """Django lets staff in and asks for a right a model; these pages show all tenants, so one right opens too much."""
    return isinstance(request.user, User) and request.user.is_platform_operator


def sign_in(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:  # noqa: ARG001  # Django's signature
    """Only people who are signed in come here: the others were sent to the site's own sign-in."""
    if not is_operator(request):
        raise PermissionDenied
    return HttpResponseRedirect(reverse("admin:index"))


admin.site.has_permission = is_operator  # type: ignore[method-assign]  # one site, one rule


class ReadOnly(admin.ModelAdmin[Any]):
    """Written by the platform alone: a hand on them would break sums, or say what is not so."""

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002  # Django's signature
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002  # Django's signature
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002  # Django's signature
        return False


class MembershipInline(admin.TabularInline[Membership, User]):
    model = Membership
    extra = 0


@admin.register(User)
class PersonAdmin(UserAdmin[User]):
    inlines = (MembershipInline,)


@admin.register(Tenant)
class TenantAdmin(admin.ModelAdmin[Tenant]):
    list_display = ("slug", "name", "time_zone")
    search_fields = ("slug", "name")


@admin.register(Site)
class SiteAdmin(admin.ModelAdmin[Site]):
    list_display = ("name", "tenant")
    list_filter = ("tenant",)
    search_fields = ("name",)


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin[Membership]):
    list_display = ("user", "tenant", "role")
    list_filter = ("tenant", "role")
    autocomplete_fields = ("user", "tenant")


@admin.register(Gateway)
class GatewayAdmin(admin.ModelAdmin[Gateway]):
    """Disabled and enabled by actions, which write down who did it; retired by ./tds gateway, which can't be undone."""

    list_display = ("code", "tenant", "status", "family", "last_seen_at", "retained_seen_at")
    list_filter = ("status", "tenant")
    search_fields = ("code", "name")
    autocomplete_fields = ("tenant", "site")
    readonly_fields = ("status", "retired_at", "last_seen_at", "last_reading_at", "retained_seen_at")
    actions = ("disable", "enable")

    @admin.action(description=_("Disable the selected gateways"))
    def disable(self, request: HttpRequest, chosen: "QuerySet[Gateway]") -> None:
        self._change(request, chosen, GatewayStatus.DISABLED)

    @admin.action(description=_("Enable the selected gateways"))
    def enable(self, request: HttpRequest, chosen: "QuerySet[Gateway]") -> None:
        self._change(request, chosen, GatewayStatus.ACTIVE)

    def _change(self, request: HttpRequest, chosen: "QuerySet[Gateway]", status: GatewayStatus) -> None:
        if not isinstance(request.user, User):  # whom `is_operator` lets through
            raise PermissionDenied
        changed = 0
        for gateway in chosen:
            with suppress(lifecycle.RetiredError):
                changed += lifecycle.change(gateway, status, by=request.user, now=timezone.now())
        said = ngettext("%(count)d gateway was changed.", "%(count)d gateways were changed.", changed)
        self.message_user(request, said % {"count": changed})

    def save_model(self, request: HttpRequest, obj: Gateway, form: ModelForm[Gateway], change: bool) -> None:
        """In the transaction of the form: /admin/ opens one."""
        super().save_model(request, obj, form, change)
        if isinstance(request.user, User) and (form.changed_data or not change):
            action = AuditAction.CHANGED if change else AuditAction.REGISTERED
            audit.note(action, obj, by=request.user, detail={"fields": ", ".join(form.changed_data)} if change else {})

    def get_readonly_fields(self, request: HttpRequest, obj: Gateway | None = None) -> tuple[str, ...]:
        # A gateway never changes tenant or code: it is retired and made anew, so that history never moves.
        fixed = ("tenant", "code") if obj else ()
        return (*super().get_readonly_fields(request, obj), *fixed)

    def has_delete_permission(self, request: HttpRequest, obj: Gateway | None = None) -> bool:  # noqa: ARG002  # Django's signature
        return False  # retired, not deleted: its readings stay


@admin.register(Device)
class DeviceAdmin(admin.ModelAdmin[Device]):
    list_display = ("code", "gateway", "name")
    search_fields = ("code", "name", "gateway__code")
    autocomplete_fields = ("gateway",)
    list_select_related = ("gateway",)

    def has_delete_permission(self, request: HttpRequest, obj: Device | None = None) -> bool:  # noqa: ARG002  # Django's signature
        return False  # its readings stay, and would be nobody's

    def get_readonly_fields(self, request: HttpRequest, obj: Device | None = None) -> tuple[str, ...]:  # noqa: ARG002  # Django's signature
        return ("gateway", "code") if obj else ()


@admin.register(Metric)
class MetricAdmin(admin.ModelAdmin[Metric]):
    list_display = ("tipo", "unidade", "kind", "rollover_at", "tenant")
    list_filter = ("kind", "tenant")
    search_fields = ("tipo",)

    def get_readonly_fields(self, request: HttpRequest, obj: Metric | None = None) -> tuple[str, ...]:  # noqa: ARG002  # Django's signature
        return ("tenant", "tipo", "unidade") if obj else ()


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin[ApiToken]):
    """Tokens are made by `./tds token add`, which shows the secret once; here they are looked at and revoked."""

    list_display = ("hint", "name", "tenant", "gateway", "created_at", "expires_at", "revoked_at")
    list_filter = ("tenant",)
    readonly_fields = ("hint", "tenant", "gateway", "created_at")

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002  # Django's signature
        return False


@admin.register(QuarantinedMessage)
class QuarantinedMessageAdmin(ReadOnly):
    list_display = ("received_at", "reason", "gateway_code", "topic", "detail")
    list_filter = ("reason", "tenant")
    search_fields = ("gateway_code",)
    show_full_result_count = False


@admin.register(QuarantineCount)
class QuarantineCountAdmin(ReadOnly):
    list_display = ("reason", "gateway", "tenant", "total", "kept", "kept_bytes", "last_at")
    list_filter = ("reason",)


@admin.register(LedgerHour)
class LedgerHourAdmin(ReadOnly):
    list_display = ("hour", "tenant", "received", "accepted", "quarantined", "readings", "stored", "duplicate")
    list_filter = ("tenant",)


@admin.register(LedgerDay)
class LedgerDayAdmin(ReadOnly):
    list_display = ("day", "tenant", "received", "accepted", "quarantined", "readings", "stored", "duplicate")
    list_filter = ("tenant",)


@admin.register(LedgerDropped)
class LedgerDroppedAdmin(ReadOnly):
    list_display = ("day", "tenant", "rows")
    list_filter = ("tenant",)


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly):
    list_display = ("at", "actor", "tenant", "action", "object_name", "detail")
    list_filter = ("action", "tenant")
    search_fields = ("object_name", "actor")
    readonly_fields = ("at",)
    list_select_related = ("tenant",)
    show_full_result_count = False


@admin.register(Certificate)
class CertificateAdmin(ReadOnly):
    """Given by ./tds provision and :8070, revoked by ./tds certificate."""

    list_display = ("serial", "gateway", "issuer", "how", "not_before", "not_after", "revoked_at", "listed_in")
    list_filter = ("how", "issuer")
    search_fields = ("serial", "gateway__code")
    list_select_related = ("gateway",)
    show_full_result_count = False


@admin.register(ClaimCode)
class ClaimCodeAdmin(ReadOnly):
    """Made by ./tds claim and on a gateway's page, which show the code once."""

    list_display = ("hint", "gateway", "created_at", "expires_at", "used_at", "revoked_at")
    search_fields = ("gateway__code",)
    list_select_related = ("gateway",)
    exclude = ("sha256",)


@admin.register(GatewayPassword)
class GatewayPasswordAdmin(ReadOnly):
    list_display = ("gateway", "made_at")
    search_fields = ("gateway__code",)
    list_select_related = ("gateway",)
    exclude = ("hash",)


@admin.register(RevocationList)
class RevocationListAdmin(ReadOnly):
    list_display = ("issuer", "revision", "this_update", "next_update")
    exclude = ("canary",)  # has a key


@admin.register(BrokerAccess)
class BrokerAccessAdmin(ReadOnly):
    list_display = ("broker", "revision", "settled", "applied_at", "as_of", "detail")


@admin.register(GatewayPresence)
class GatewayPresenceAdmin(ReadOnly):
    list_display = ("gateway", "online", "broker", "changed_at", "firmware")
    list_filter = ("online", "broker")
    search_fields = ("gateway__code",)
    list_select_related = ("gateway",)
    show_full_result_count = False


@admin.register(BrokerLink)
class BrokerLinkAdmin(ReadOnly):
    list_display = ("broker", "heard_until", "started_at")
