"""Who owns what: tenants, the people in them, their gateways, devices and what these measure."""

from datetime import datetime
from typing import Final

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from tds.fleet.codes import CODE_PATTERN, is_reserved
from tds.fleet.limits import MAX_CODE_CHARS, MAX_REGISTER, MAX_TAG_CHARS, MAX_TIPO_CHARS, MAX_UNIDADE_CHARS
from tds.fleet.zones import validate_time_zone

validate_code = RegexValidator(CODE_PATTERN, _("Use 1 to 64 letters, digits, dots, dashes or underscores."))


def validate_not_reserved(code: str) -> None:
    if is_reserved(code):
        raise ValidationError(_("Codes that begin with “tds-” are kept for the platform itself."))


def validate_register(value: float) -> None:
    if not 0 < value <= MAX_REGISTER:  # nor NaN, which Django's own validators let through
        raise ValidationError(_("The size of a register is a number above 0, at most 1e290."))


def validate_time_zone_or_none(name: str) -> None:
    if name:
        validate_time_zone(name)


class User(AbstractUser):
    """A person. `is_superuser` is the platform operator: `/admin/`, releases and unknown gateways."""

    @property
    def is_platform_operator(self) -> bool:
        return self.is_active and self.is_superuser


class Tenant(models.Model):
    """A company whose people see its gateways and nobody else's."""

    slug = models.SlugField(_("slug"), max_length=50, unique=True)
    name = models.CharField(_("name"), max_length=200)
    time_zone = models.CharField(
        _("time zone"), max_length=64, default="America/Sao_Paulo", validators=[validate_time_zone]
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ("name", "id")
        verbose_name = _("tenant")
        verbose_name_plural = _("tenants")

    def __str__(self) -> str:
        return self.name


class Site(models.Model):
    """A place where gateways stand."""

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="sites")
    name = models.CharField(_("name"), max_length=200)
    time_zone = models.CharField(
        _("time zone"), max_length=64, blank=True, default="", validators=[validate_time_zone_or_none]
    )  # empty: the tenant's
    # Sites that stand in for one another: of all their gateways one is updated at a time.
    redundancy_group = models.CharField(_("redundancy group"), max_length=64, blank=True, default="")

    class Meta:
        ordering = ("name", "id")
        constraints = (models.UniqueConstraint(fields=("tenant", "name"), name="site_name_once_a_tenant"),)
        verbose_name = _("site")
        verbose_name_plural = _("sites")

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    """What a member may do. Each holds the rights of the ones before it."""

    VIEWER = "viewer", _("viewer")
    OPERATOR = "operator", _("operator")
    ADMIN = "admin", _("admin")


class Membership(models.Model):
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="memberships")
    role = models.CharField(_("role"), max_length=16, choices=Role.choices, default=Role.VIEWER)

    class Meta:
        ordering = ("tenant__name", "id")
        constraints = (models.UniqueConstraint(fields=("user", "tenant"), name="membership_once_a_tenant"),)
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")

    def __str__(self) -> str:
        return f"{self.user} · {self.tenant} · {self.role}"


class GatewayStatus(models.TextChoices):
    ACTIVE = "active", _("active")
    DISABLED = "disabled", _("disabled")
    RETIRED = "retired", _("retired")


class Gateway(models.Model):
    """One ESP32 gateway of one tenant. On a change of owner it is retired and made anew, so history never moves."""

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="gateways")
    site = models.ForeignKey(Site, models.SET_NULL, related_name="gateways", null=True, blank=True)
    code = models.CharField(_("code"), max_length=MAX_CODE_CHARS, validators=[validate_code, validate_not_reserved])
    name = models.CharField(_("name"), max_length=200, blank=True)
    family = models.CharField(_("family"), max_length=32, blank=True, default="", db_default="")
    hardware = models.CharField(_("hardware revision"), max_length=32, blank=True, default="", db_default="")
    status = models.CharField(_("status"), max_length=16, choices=GatewayStatus.choices, default=GatewayStatus.ACTIVE)
    auto_devices = models.BooleanField(_("registers devices on their first reading"), default=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    retired_at = models.DateTimeField(_("retired"), null=True, blank=True)
    last_seen_at = models.DateTimeField(_("last message"), null=True, blank=True, editable=False)
    last_reading_at = models.DateTimeField(null=True, blank=True, editable=False)  # the newest time of what was stored
    dated_at = models.DateTimeField(null=True, blank=True, editable=False)  # the newest time in its last messages
    retained_seen_at = models.DateTimeField(_("sent a retained message"), null=True, blank=True, editable=False)

    class Meta:
        ordering = ("code", "id")
        constraints = (
            # The topic has no tenant in it, so a code means one gateway on the whole platform.
            models.UniqueConstraint(fields=("code",), condition=~Q(status="retired"), name="gateway_code_once"),
            models.CheckConstraint(
                condition=Q(status="retired", retired_at__isnull=False)
                | (~Q(status="retired") & Q(retired_at__isnull=True)),
                name="gateway_retired_has_a_time",
            ),
        )
        indexes = (models.Index(fields=("code", "retired_at"), name="gateway_code_history"),)
        verbose_name = _("gateway")
        verbose_name_plural = _("gateways")

    def __str__(self) -> str:
        return self.code


class Tag(models.Model):
    """A word that a company sorts its gateways by. It is there while a gateway has it (tags.py)."""

    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="tags")
    name = models.CharField(_("name"), max_length=MAX_TAG_CHARS)  # as whoever gave it first wrote it
    folded = models.CharField(max_length=MAX_TAG_CHARS, editable=False)  # what it is found by: “norte” of “Norte”

    class Meta:
        ordering = ("folded", "id")
        constraints = (models.UniqueConstraint(fields=("tenant", "folded"), name="tag_once_a_tenant"),)
        verbose_name = _("tag")
        verbose_name_plural = _("tags")

    def __str__(self) -> str:
        return self.name


class GatewayTag(models.Model):
    """That a gateway has a tag. Both are of the tenant that is named here: the database holds to it (tags.sql)."""

    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="+", db_constraint=False, db_index=False)
    gateway = models.ForeignKey(Gateway, models.CASCADE, related_name="tagged", db_constraint=False, db_index=False)
    tag = models.ForeignKey(Tag, models.CASCADE, related_name="tagged", db_constraint=False)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("gateway", "tag"), name="gateway_tag_once"),)

    def __str__(self) -> str:
        return f"{self.gateway_id}/{self.tag_id}"


class Device(models.Model):
    """What a gateway reads. It belongs to its gateway for ever, and so never changes tenant."""

    gateway = models.ForeignKey(Gateway, models.PROTECT, related_name="devices")
    code = models.CharField(_("code"), max_length=MAX_CODE_CHARS, validators=[validate_code])
    name = models.CharField(_("name"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ("gateway__code", "code", "id")
        constraints = (models.UniqueConstraint(fields=("gateway", "code"), name="device_code_once_a_gateway"),)
        verbose_name = _("device")
        verbose_name_plural = _("devices")

    def __str__(self) -> str:
        return f"{self.gateway.code}/{self.code}"


class MetricKind(models.TextChoices):
    """How an hour of readings becomes one value."""

    MEAN = "mean", _("mean")
    SUM = "sum", _("sum")
    COUNTER = "counter", _("counter")
    LAST = "last", _("last")


class Metric(models.Model):
    """A kind of reading of one tenant, named as its gateways send it."""

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="metrics")
    tipo = models.CharField(max_length=MAX_TIPO_CHARS)
    unidade = models.CharField(max_length=MAX_UNIDADE_CHARS, blank=True)
    kind = models.CharField(_("aggregation"), max_length=16, choices=MetricKind.choices, default=MetricKind.MEAN)
    rollover_at = models.FloatField(
        _("register size"),
        null=True,
        blank=True,
        validators=[validate_register],
        help_text=_("The value at which a counter's register begins again at 0. Empty: it never does."),
    )
    # Ingest writes none: null is a metric that nobody has touched.
    changed_at = models.DateTimeField(_("changed"), null=True, auto_now=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ("tipo", "unidade", "id")
        constraints = (
            models.UniqueConstraint(fields=("tenant", "tipo", "unidade"), name="metric_once_a_tenant"),
            models.CheckConstraint(
                condition=Q(rollover_at__isnull=True)
                | Q(kind=MetricKind.COUNTER, rollover_at__gt=0, rollover_at__lte=MAX_REGISTER),
                name="metric_register_of_a_counter",
            ),
        )
        verbose_name = _("metric")
        verbose_name_plural = _("metrics")

    def __str__(self) -> str:
        return f"{self.tipo} {self.unidade}".strip()

    def clean(self) -> None:
        if self.rollover_at is not None and self.kind != MetricKind.COUNTER:
            raise ValidationError(
                {"rollover_at": _("Only a counter has a register: leave this empty, or make it one.")}
            )


class DeviceMetric(models.Model):
    """That a device has sent a metric: what charts offer, and what the limits count."""

    device = models.ForeignKey(Device, models.CASCADE, related_name="device_metrics")
    metric = models.ForeignKey(Metric, models.CASCADE, related_name="device_metrics")

    class Meta:
        constraints = (models.UniqueConstraint(fields=("device", "metric"), name="device_metric_once"),)

    def __str__(self) -> str:
        return f"{self.device_id}/{self.metric_id}"


class ApiToken(models.Model):
    """A bearer token for one tenant or one gateway. Only its hash is kept: it is shown once, when it is made."""

    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="tokens")
    gateway = models.ForeignKey(Gateway, models.CASCADE, related_name="tokens", null=True, blank=True)
    name = models.CharField(_("name"), max_length=200, blank=True)
    hint = models.CharField(_("begins with"), max_length=12, editable=False)
    sha256 = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    class Meta:
        ordering = ("-created_at", "id")
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")

    def __str__(self) -> str:
        return f"{self.hint}…"

    def valid_at(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


MAX_ACTOR_CHARS: Final = 150  # Django's bound of a user name
MAX_AUDITED_NAME_CHARS: Final = 200


class AuditAction(models.TextChoices):
    """What was done, in the words of the commands that do it."""

    REGISTERED = "gateway.registered", _("registered")
    CHANGED = "gateway.changed", _("changed")
    DISABLED = "gateway.disabled", _("disabled")
    ENABLED = "gateway.enabled", _("enabled")
    RETIRED = "gateway.retired", _("retired")
    TAGGED = "gateway.tagged", _("tagged")
    UNTAGGED = "gateway.untagged", _("tag taken away")
    PROVISIONED = "gateway.provisioned", _("provisioned")
    CLAIM_MADE = "claim.made", _("claim code made")
    CLAIM_REVOKED = "claim.revoked", _("claim code revoked")
    CERTIFICATE_ISSUED = "certificate.issued", _("certificate issued")
    CERTIFICATE_REVOKED = "certificate.revoked", _("certificate revoked")
    PASSWORD_MADE = "password.made", _("password for the broker made")
    PASSWORD_REMOVED = "password.removed", _("password for the broker removed")
    TENANT_ADDED = "tenant.added", _("tenant added")
    TENANT_CHANGED = "tenant.changed", _("tenant changed")
    TENANT_REMOVED = "tenant.removed", _("tenant removed")
    PERSON_ADDED = "person.added", _("person added")
    PERSON_CHANGED = "person.changed", _("person changed")
    PERSON_REMOVED = "person.removed", _("person removed")
    ROLE_GIVEN = "role.given", _("role given")
    ROLE_CHANGED = "role.changed", _("role changed")
    ROLE_TAKEN = "role.taken", _("role taken away")
    TOKEN_MADE = "token.made", _("API token made")
    TOKEN_CHANGED = "token.changed", _("API token changed")
    TOKEN_REVOKED = "token.revoked", _("API token revoked")
    CA_MADE = "ca.made", _("authorities made")
    CA_ROTATED = "ca.rotated", _("authority rotated")
    CA_ROOT_EXPORTED = "ca.root_exported", _("root's key exported")
    CA_ROOT_REMOVED = "ca.root_removed", _("root's key removed")
    CA_SERVER_ISSUED = "ca.server_issued", _("server certificate issued")
    TRUST_SET_TAKEN = "trust.taken", _("trust set taken in")
    RELEASE_UPLOADED = "release.uploaded", _("release uploaded")
    RELEASE_PUBLISHED = "release.published", _("release published")
    RELEASE_WITHDRAWN = "release.withdrawn", _("release withdrawn")
    RELEASE_FORGIVEN = "release.forgiven", _("known failures forgiven")
    ROLLOUT_STARTED = "rollout.started", _("rollout started")
    ROLLOUT_PAUSED = "rollout.paused", _("rollout paused")
    ROLLOUT_RESUMED = "rollout.resumed", _("rollout resumed")
    ROLLOUT_CANCELED = "rollout.canceled", _("rollout canceled")
    ROLLOUT_HALTED = "rollout.halted", _("rollout halted")
    ROLLOUT_COMPLETED = "rollout.completed", _("rollout completed")
    ROLLOUT_REPLACED = "rollout.replaced", _("rollout replaced")
    UPDATE_RETRIED = "update.retried", _("update tried again")
    UPDATE_CANCELED = "update.canceled", _("update of a gateway canceled")
    UPDATE_CHECKED = "update.checked", _("asked to look for its update")
    FLEET_CHECKED = "fleet.checked", _("all asked to look for their updates")


class AuditEntry(models.Model):
    """Who did what. Written by `audit.note`, never changed: a trigger refuses it (audit.sql).

    It outlives what it tells of. So nothing holds its rows together with theirs: what they were called is written down.
    """

    at = models.DateTimeField(_("when"), db_default=Now(), editable=False)
    actor = models.CharField(_("who"), max_length=MAX_ACTOR_CHARS)
    actor_id = models.BigIntegerField(null=True)  # of a person; their name may change hands
    tenant = models.ForeignKey(
        Tenant, models.DO_NOTHING, null=True, related_name="+", db_constraint=False, verbose_name=_("tenant")
    )
    action = models.CharField(_("what"), max_length=32, choices=AuditAction.choices)
    object_kind = models.CharField(_("object"), max_length=16)
    object_id = models.BigIntegerField(null=True)
    object_name = models.CharField(_("name"), max_length=MAX_AUDITED_NAME_CHARS)
    detail = models.JSONField(_("detail"), default=dict)  # a flat object of short texts and numbers; never a secret

    class Meta:
        ordering = ("-id",)
        indexes = (models.Index(fields=("object_kind", "object_id", "-id"), name="audit_of_an_object"),)
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit trail")

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%dT%H:%M:%SZ} {self.actor}: {self.action} {self.object_name}"
