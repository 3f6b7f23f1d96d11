"""Django admin: the platform operator's own view, past the tenant filter."""

from contextlib import suppress
from typing import Any, Final

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Count, QuerySet
from django.forms import CharField, ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from tds.devicelink.models import BrokerLink, GatewayPresence
from tds.fleet import audit, lifecycle, people, tag_names, tags, tokens
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
    Tag,
    Tenant,
    User,
)
from tds.identity.models import BrokerAccess, Certificate, ClaimCode, GatewayPassword, RevocationList
from tds.identity.revocation import handover
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


def person(request: HttpRequest) -> User:
    if not isinstance(request.user, User):  # whom `is_operator` lets through
        raise PermissionDenied
    return request.user


class Audited(admin.ModelAdmin[Any]):
    """What is done here is written down, in the transaction of the deed."""

    added: AuditAction
    changed: AuditAction
    removed: AuditAction

    def detail(self, obj: Any) -> audit.Detail:  # noqa: ARG002  # of some
        return {}

    def action_of(self, obj: Any, fields: list[str]) -> AuditAction:  # noqa: ARG002  # of some
        """What a change of these fields is."""
        return self.changed

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        """In the transaction of the form: /admin/ opens one."""
        super().save_model(request, obj, form, change)
        if not change:
            audit.note(self.added, obj, by=person(request), detail=self.detail(obj))
        elif fields := form.changed_data:
            detail = self.detail(obj) | {"fields": ", ".join(fields)}
            audit.note(self.action_of(obj, fields), obj, by=person(request), detail=detail)

    @transaction.atomic
    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        audit.note(self.removed, obj, by=person(request), detail=self.detail(obj))
        super().delete_model(request, obj)

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> None:
        for obj in queryset:
            audit.note(self.removed, obj, by=person(request), detail=self.detail(obj))
        super().delete_queryset(request, queryset)


class MembershipInline(admin.TabularInline[Membership, User]):
    model = Membership
    extra = 0


@admin.register(User)
class PersonAdmin(Audited, UserAdmin[User]):
    added, changed, removed = AuditAction.PERSON_ADDED, AuditAction.PERSON_CHANGED, AuditAction.PERSON_REMOVED
    inlines = (MembershipInline,)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        before = people.roles(form.instance)
        super().save_formset(request, form, formset, change)
        people.note_roles(form.instance, before, by=person(request))

    @transaction.atomic
    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002  # Django's name
        of = User.objects.filter(pk=id) if id.isdecimal() else User.objects.none()
        before = of.values_list("password", flat=True).first()
        answer = super().user_change_password(request, id, form_url)
        changed = of.first()
        if changed is not None and changed.password != before:
            audit.note(AuditAction.PERSON_CHANGED, changed, by=person(request), detail={"fields": "password"})
        return answer


@admin.register(Tenant)
class TenantAdmin(Audited):
    added, changed, removed = AuditAction.TENANT_ADDED, AuditAction.TENANT_CHANGED, AuditAction.TENANT_REMOVED
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

    def get_readonly_fields(self, request: HttpRequest, obj: Membership | None = None) -> tuple[str, ...]:  # noqa: ARG002  # Django's signature
        return ("user", "tenant") if obj else ()  # another person's role, or in another tenant, is another role

    def save_model(self, request: HttpRequest, obj: Membership, form: ModelForm[Membership], change: bool) -> None:
        before = people.roles(obj.user)
        super().save_model(request, obj, form, change)
        people.note_roles(obj.user, before, by=person(request))

    @transaction.atomic
    def delete_model(self, request: HttpRequest, obj: Membership) -> None:
        self.delete_queryset(request, Membership.objects.filter(pk=obj.pk))

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[Membership]") -> None:
        before = {user: people.roles(user) for user in User.objects.filter(memberships__in=queryset)}
        super().delete_queryset(request, queryset)
        for user, roles in before.items():
            people.note_roles(user, roles, by=person(request))


CODE_HELD_UP: Final = _(
    "This code was another company's, and brokers may still let that gateway in. Try again in two minutes; if it stays "
    "so, ./tds gateway add says what is in the way, and how to pass it."
)


class GatewayForm(ModelForm[Gateway]):
    tags = CharField(label=_("tags"), required=False, help_text=_("With a space between them."))

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        if self.instance.pk:
            self.initial["tags"] = " ".join(tags.of([self.instance.pk])[self.instance.pk])

    def clean_tags(self) -> tuple[str, ...]:
        wanted = tag_names.split(self.cleaned_data["tags"])
        if "tags" in self.changed_data:
            try:
                tags.check(wanted, self.instance)
            except tags.TagRefusedError as error:
                raise ValidationError(str(error)) from error
        return wanted

    def clean(self) -> dict[str, Any]:
        found = super().clean() or self.cleaned_data
        if not self.instance.pk and {"code", "tenant"} <= found.keys():
            try:
                handover.check(found["code"], found["tenant"].pk, now=timezone.now())
            except handover.HandoverRefusedError as error:
                raise ValidationError({"code": CODE_HELD_UP}) from error
        return found


@admin.register(Gateway)
class GatewayAdmin(admin.ModelAdmin[Gateway]):
    """Disabled and enabled by actions, which write down who did it; retired by ./tds gateway, which can't be undone."""

    form = GatewayForm
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
        changed = 0
        for gateway in chosen:
            with suppress(lifecycle.RetiredError):
                changed += lifecycle.change(gateway, status, by=person(request), now=timezone.now())
        said = ngettext("%(count)d gateway was changed.", "%(count)d gateways were changed.", changed)
        self.message_user(request, said % {"count": changed})

    def save_model(self, request: HttpRequest, obj: Gateway, form: ModelForm[Gateway], change: bool) -> None:
        """In the transaction of the form: /admin/ opens one."""
        if not change:
            lifecycle.register(obj, by=person(request))
        else:
            super().save_model(request, obj, form, change)
        fields = [name for name in form.changed_data if name != "tags"]
        if change and fields:
            audit.note(AuditAction.CHANGED, obj, by=person(request), detail={"fields": ", ".join(fields)})
        if "tags" in form.changed_data:
            try:
                tags.replace(obj, form.cleaned_data["tags"], by=person(request))
            except tags.TagRefusedError as error:  # of what only shows under the lock: the company has too many
                self.message_user(request, str(error), messages.ERROR)

    def get_readonly_fields(self, request: HttpRequest, obj: Gateway | None = None) -> tuple[str, ...]:
        # A gateway never changes tenant or code: it is retired and made anew, so that history never moves.
        fixed = ("tenant", "code") if obj else ()
        return (*super().get_readonly_fields(request, obj), *fixed)

    def has_delete_permission(self, request: HttpRequest, obj: Gateway | None = None) -> bool:  # noqa: ARG002  # Django's signature
        return False  # retired, not deleted: its readings stay


@admin.register(Tag)
class TagAdmin(ReadOnly):
    """Given and taken away on a gateway's page, here and by ./tds gateway tag; one that no gateway has is gone."""

    list_display = ("name", "tenant", "gateways")
    list_filter = ("tenant",)
    search_fields = ("name",)
    list_select_related = ("tenant",)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        found: QuerySet[Any] = super().get_queryset(request).annotate(worn=Count("tagged"))
        return found

    @admin.display(description=_("gateways"))
    def gateways(self, obj: Any) -> int:
        return int(obj.worn)


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
class ApiTokenAdmin(Audited):
    """Tokens are made by `./tds token add`, which shows the secret once; here they are looked at and revoked."""

    added, changed, removed = AuditAction.TOKEN_MADE, AuditAction.TOKEN_CHANGED, AuditAction.TOKEN_REVOKED

    list_display = ("hint", "name", "tenant", "gateway", "created_at", "expires_at", "revoked_at")
    list_filter = ("tenant",)
    readonly_fields = ("hint", "tenant", "gateway", "created_at")

    def detail(self, obj: ApiToken) -> audit.Detail:
        return tokens.described(obj)

    def action_of(self, obj: ApiToken, fields: list[str]) -> AuditAction:
        return self.removed if "revoked_at" in fields and obj.revoked_at else self.changed

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
    list_display = ("at", "actor", "tenant", "action", "object_kind", "object_name", "detail")
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
