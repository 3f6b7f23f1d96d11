"""Releases, rollouts with their waves, and one execution a gateway (docs/firmware-updates.md)."""

from typing import Final

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from tds.fleet.models import Gateway, Tenant, User

HASH_CHARS: Final = 64  # SHA-256 in hexadecimal digits
KID_CHARS: Final = 43  # a JWK thumbprint (RFC 7638) in base64url
MAX_VERSION_CHARS: Final = 31
MAX_NAME_CHARS: Final = 31  # of a product, a family, a chip, a revision
MAX_REASON_CHARS: Final = 32
MAX_DETAIL_CHARS: Final = 200
MAX_EXECUTION_ID_CHARS: Final = 36
MAX_ORDER_CHARS: Final = 48  # of a report: life, boot and number with spaces between


class TrustSet(models.Model):
    """Which keys devices believe, signed by a root key. The one with the highest version is given out."""

    version = models.BigIntegerField(_("version"), unique=True)
    document = models.TextField()  # the JWS
    expires_at = models.DateTimeField(_("expires"))
    received_at = models.DateTimeField(_("received"), auto_now_add=True)

    class Meta:
        ordering = ("-version",)
        verbose_name = _("trust set")
        verbose_name_plural = _("trust sets")

    def __str__(self) -> str:
        return str(self.version)


class ReleaseKind(models.TextChoices):
    APPLICATION = "application", _("firmware")
    HELLO = "hello", _("test image")  # `hello.bin`: never rolled out


class ReleaseStatus(models.TextChoices):
    UPLOADED = "uploaded", _("uploaded")
    PUBLISHED = "published", _("published")
    WITHDRAWN = "withdrawn", _("withdrawn")


class Release(models.Model):
    """One image for one product, as its signed manifest says. What the manifest says never changes."""

    product = models.CharField(_("product"), max_length=MAX_NAME_CHARS)
    version = models.CharField(_("version"), max_length=MAX_VERSION_CHARS)
    counter = models.BigIntegerField(_("counter"))  # higher than of all before it for one of its families and its chip
    kind = models.CharField(_("kind"), max_length=16, choices=ReleaseKind.choices, default=ReleaseKind.APPLICATION)
    families = models.JSONField(_("families"))
    chip = models.CharField(_("chip"), max_length=MAX_NAME_CHARS)
    hardware = models.JSONField(_("hardware revisions"))
    size = models.BigIntegerField(_("size"))
    sha256 = models.CharField("SHA-256", max_length=HASH_CHARS)
    min_source_counter = models.BigIntegerField(_("from counter"), default=0)
    released_at = models.DateTimeField(_("released"))
    manifest = models.TextField()  # the JWS
    manifest_sha256 = models.CharField(max_length=HASH_CHARS, unique=True)
    key_id = models.CharField(_("signed with"), max_length=KID_CHARS)
    image = models.JSONField(default=dict)  # what the image says of itself: project, version, built, secure version
    notes = models.TextField(_("notes"), blank=True)
    status = models.CharField(_("status"), max_length=16, choices=ReleaseStatus.choices, default=ReleaseStatus.UPLOADED)
    uploaded_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    uploaded_at = models.DateTimeField(_("uploaded"), auto_now_add=True)
    published_at = models.DateTimeField(_("published"), null=True, blank=True)
    withdrawn_at = models.DateTimeField(_("withdrawn"), null=True, blank=True)
    withdrawn_why = models.CharField(_("why"), max_length=MAX_DETAIL_CHARS, blank=True)

    class Meta:
        ordering = ("product", "-counter", "-id")
        indexes = (models.Index(fields=("sha256",), name="release_by_file"),)
        verbose_name = _("release")
        verbose_name_plural = _("releases")

    def __str__(self) -> str:
        return f"{self.product} {self.version}"


class RolloutStatus(models.TextChoices):
    DRAFT = "draft", _("draft")
    RUNNING = "running", _("running")
    PAUSED = "paused", _("paused")  # by a person
    HALTED = "halted", _("halted")  # by a rule
    COMPLETED = "completed", _("completed")
    CANCELED = "canceled", _("canceled")


class Rollout(models.Model):
    """A release on its way to a snapshot of gateways. `tenant` is null when it goes over several."""

    tenant = models.ForeignKey(Tenant, models.PROTECT, null=True, blank=True, related_name="rollouts")
    release = models.ForeignKey(Release, models.PROTECT, related_name="rollouts")
    name = models.CharField(_("name"), max_length=200, blank=True)
    status = models.CharField(_("status"), max_length=16, choices=RolloutStatus.choices, default=RolloutStatus.DRAFT)
    target = models.JSONField(default=dict)  # how it was chosen, as rollouts/target.py writes it
    # Limits: rollouts/limits.py has their meaning, bounds and defaults.
    success_percent = models.FloatField()
    failure_percent = models.FloatField()
    failure_min_finished = models.IntegerField()
    soak_s = models.IntegerField()
    concurrency = models.IntegerField()
    spread_s = models.IntegerField()
    offer_limit_s = models.IntegerField()
    window_start = models.TimeField(null=True, blank=True)  # in the time zone of each gateway's site
    window_end = models.TimeField(null=True, blank=True)
    one_per_site = models.BooleanField(default=True)
    gate = models.BooleanField(default=True)  # the telemetry gate
    current_wave = models.IntegerField(default=0)  # from 1; 0: none is open
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True)  # paused or halted, since when
    # A person went on in spite of what a rule had halted it for: the gate judges what succeeded from then on.
    accepted_until = models.DateTimeField(null=True, blank=True)
    halted_why = models.CharField(max_length=MAX_REASON_CHARS, blank=True)  # a word of rollouts/rules.py
    replaces = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="replaced_by")

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=("tenant", "-id"), name="rollout_of_tenant"),
            models.Index(fields=("status",), name="rollout_under_way", condition=Q(status="running")),
        )
        verbose_name = _("rollout")
        verbose_name_plural = _("rollouts")

    def __str__(self) -> str:
        return self.name or f"{self.release}"


class Wave(models.Model):
    """A part of a rollout's gateways. It is complete when its rule of success held for the whole soak."""

    rollout = models.ForeignKey(Rollout, models.CASCADE, related_name="waves")
    number = models.IntegerField()  # from 1
    size = models.IntegerField()  # executions
    label = models.CharField(max_length=32)  # as it was asked for: "1", "5 %"
    opened_at = models.DateTimeField(null=True)
    offers_until = models.DateTimeField(null=True)  # who is away until then is not waited for any longer
    soak_from = models.DateTimeField(null=True)  # since when enough have succeeded
    completed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("rollout", "number")
        constraints = (models.UniqueConstraint(fields=("rollout", "number"), name="wave_number_once"),)

    def __str__(self) -> str:
        return f"{self.rollout_id}/{self.number}"


class LeftOut(models.Model):
    """Who was in the target and is not in the rollout, and why (rollouts/eligibility.py)."""

    rollout = models.ForeignKey(Rollout, models.CASCADE, related_name="left_out")
    gateway = models.ForeignKey(Gateway, models.CASCADE, related_name="+")
    reason = models.CharField(max_length=MAX_REASON_CHARS)

    class Meta:
        ordering = ("id",)
        constraints = (models.UniqueConstraint(fields=("rollout", "gateway"), name="left_out_once"),)

    def __str__(self) -> str:
        return f"{self.gateway_id}: {self.reason}"


class ExecutionStatus(models.TextChoices):
    """AWS IoT Jobs' eight, so that scripts know them."""

    QUEUED = "QUEUED", _("waiting")
    IN_PROGRESS = "IN_PROGRESS", _("under way")
    SUCCEEDED = "SUCCEEDED", _("succeeded")
    FAILED = "FAILED", _("failed")
    TIMED_OUT = "TIMED_OUT", _("timed out")
    REJECTED = "REJECTED", _("refused by the gateway")
    REMOVED = "REMOVED", _("removed")
    CANCELED = "CANCELED", _("canceled")


class Execution(models.Model):
    """One gateway's way to one release. Only executions/transitions.py says how it changes."""

    id = models.BigAutoField(primary_key=True)
    public_id = models.CharField(max_length=MAX_EXECUTION_ID_CHARS)  # `execution_id` on the wire
    # Its index and the gateway's are those below: a hundred thousand rows are written at once.
    rollout = models.ForeignKey(Rollout, models.CASCADE, related_name="executions", db_index=False)
    wave = models.IntegerField()  # its number
    place = models.IntegerField()  # in its wave: the order in which it is offered
    gateway = models.ForeignKey(Gateway, models.PROTECT, related_name="executions", db_index=False)
    # Of its gateway when the rollout started, which its later reports do not change: where a rollback counts.
    family = models.CharField(max_length=MAX_NAME_CHARS, blank=True, default="", db_default="")
    hardware = models.CharField(max_length=MAX_NAME_CHARS, blank=True, default="", db_default="")
    site_group = models.CharField(max_length=80, blank=True)  # at its start; sides.py looks at the present one
    time_zone = models.CharField(max_length=64)  # of its maintenance window
    status = models.CharField(max_length=16, choices=ExecutionStatus.choices, default=ExecutionStatus.QUEUED)
    phase = models.CharField(max_length=16, blank=True)
    reason = models.CharField(max_length=MAX_REASON_CHARS, blank=True)
    detail = models.CharField(max_length=MAX_DETAIL_CHARS, blank=True)
    seq = models.BigIntegerField(null=True)  # of its newest ticket; null: it was never offered
    ticket = models.TextField(blank=True)
    ticket_until = models.DateTimeField(null=True)  # when that one ends, also of an attempt that a person ended
    from_version = models.CharField(max_length=MAX_VERSION_CHARS, blank=True)
    from_sha256 = models.CharField(max_length=HASH_CHARS, blank=True)
    bytes_done = models.BigIntegerField(default=0)
    attempt = models.IntegerField(default=1)
    queued_at = models.DateTimeField(auto_now_add=True)
    offered_at = models.DateTimeField(null=True)
    pushed_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField()  # status, phase or reason
    heard_at = models.DateTimeField(null=True)  # the last report of it
    # That report, by its life, boot and number; and the first one by which the new image was or is to be booted.
    heard_in = models.CharField(max_length=MAX_ORDER_CHARS, blank=True, default="", db_default="")
    tried_in = models.CharField(max_length=MAX_ORDER_CHARS, blank=True, default="", db_default="")
    deadline_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    installing_at = models.DateTimeField(null=True)  # it first said, of this try, that it installs or is beyond that
    rebooting_at = models.DateTimeField(null=True)  # it said that it goes to boot the new image
    succeeded_at = models.DateTimeField(null=True)  # what the telemetry gate counts from
    restarts = models.BigIntegerField(null=True)  # of its gateway, when it succeeded
    accepted = models.BooleanField(default=False)  # its failure: a person went on in spite of it

    class Meta:
        ordering = ("rollout", "wave", "place")
        constraints = (
            models.UniqueConstraint(fields=("public_id",), name="execution_public_id_once"),
            models.UniqueConstraint(
                fields=("gateway",), condition=Q(status__in=("QUEUED", "IN_PROGRESS")), name="execution_one_open"
            ),
            models.UniqueConstraint(fields=("rollout", "wave", "place"), name="execution_place_once"),
        )
        indexes = (
            models.Index(fields=("rollout", "wave", "status", "place"), name="execution_of_wave"),
            models.Index(fields=("gateway", "-id"), name="execution_of_gateway"),
            models.Index(fields=("deadline_at",), name="execution_due", condition=Q(deadline_at__isnull=False)),
            models.Index(
                fields=("gateway",),
                name="execution_under_way",
                condition=Q(offered_at__isnull=False, status__in=("QUEUED", "IN_PROGRESS")),
            ),
            models.Index(
                fields=("gateway", "ticket_until"),
                name="execution_ticket_out",
                condition=Q(ticket_until__isnull=False, status__in=("QUEUED", "TIMED_OUT", "REMOVED", "CANCELED")),
            ),
        )

    def __str__(self) -> str:
        return f"{self.public_id} {self.status}"


class WaveCount(models.Model):
    """How many executions of a wave are of a kind (counts.sql), so that nobody counts a hundred thousand."""

    rollout = models.ForeignKey(Rollout, models.CASCADE, related_name="+")
    wave = models.IntegerField()
    kind = models.CharField(max_length=16)
    executions = models.BigIntegerField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("rollout", "wave", "kind"), name="wave_count_once"),)

    def __str__(self) -> str:
        return f"{self.rollout_id}/{self.wave} {self.kind}: {self.executions}"


class WaveCountChange(models.Model):
    """What is to be added to a count: a log that a trigger writes, so that who writes executions waits for nobody."""

    id = models.BigAutoField(primary_key=True)
    rollout_id = models.BigIntegerField()  # no key: it may be deleted
    wave = models.IntegerField()
    kind = models.CharField(max_length=16)
    executions = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.rollout_id}/{self.wave} {self.kind}: {self.executions:+}"


class LastTurn(models.Model):
    """One row: when somebody last looked after deadlines (executions/absence.py)."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    at = models.DateTimeField()
    back_at = models.DateTimeField()  # … and since when, after the last time that nobody did

    class Meta:
        constraints = (models.CheckConstraint(condition=Q(id=1), name="last_turn_is_one"),)

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%dT%H:%M:%SZ}"


class RolloutEvent(models.Model):
    """What happened in a rollout, for its timeline: append-only. `words` fill the sentence of `kind`."""

    rollout = models.ForeignKey(Rollout, models.CASCADE, related_name="events")
    at = models.DateTimeField()
    kind = models.CharField(max_length=32)
    actor = models.CharField(max_length=150, blank=True)  # who; "": a rule
    execution = models.ForeignKey(Execution, models.CASCADE, null=True, related_name="events")
    words = models.JSONField(default=dict)

    class Meta:
        ordering = ("-id",)
        indexes = (models.Index(fields=("rollout", "-id"), name="rollout_timeline"),)

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%dT%H:%M:%SZ} {self.kind}"


class RunningFirmware(models.Model):
    """What a gateway runs, by its own report after a start: the newest in the order of `life`, `boot`, `number`."""

    gateway = models.OneToOneField(Gateway, models.CASCADE, primary_key=True, related_name="running")
    version = models.CharField(max_length=MAX_VERSION_CHARS)
    sha256 = models.CharField(max_length=HASH_CHARS)
    slot = models.SmallIntegerField()
    counter = models.BigIntegerField()
    confirmed = models.BooleanField()
    boot_reason = models.CharField(max_length=32, blank=True)
    chip = models.CharField(max_length=MAX_NAME_CHARS, blank=True)
    family = models.CharField(max_length=MAX_NAME_CHARS, blank=True)
    hardware = models.CharField(max_length=MAX_NAME_CHARS, blank=True)
    trust_version = models.BigIntegerField(default=0)
    trust_expired = models.BooleanField(default=False)
    life = models.CharField(max_length=8)
    boot = models.BigIntegerField()
    number = models.BigIntegerField()
    former_lives = models.JSONField(default=list)  # of its memory: executions/orders.py
    restarts = models.BigIntegerField(default=0)  # starts that were seen
    started_at = models.DateTimeField()  # the first report of this start
    reported_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.gateway_id}: {self.version}"


class UnsignedFetch(models.Model):
    """The last time a gateway asked for a file that comes without a signature (`/ota/<product>/…`): a row a gateway."""

    gateway = models.OneToOneField(Gateway, models.CASCADE, primary_key=True, related_name="unsigned_fetch")
    release = models.ForeignKey(Release, models.CASCADE, related_name="unsigned_fetches")
    fetched_at = models.DateTimeField()

    class Meta:
        ordering = ("-fetched_at",)

    def __str__(self) -> str:
        return f"{self.gateway_id}: {self.release_id}"


class RolledBack(models.Model):
    """A release that rolled back on a gateway, and where that counts: once, however often it does."""

    release = models.ForeignKey(Release, models.CASCADE, related_name="+", db_index=False)
    gateway = models.ForeignKey(Gateway, models.CASCADE, related_name="+")
    family = models.CharField(max_length=MAX_NAME_CHARS)
    hardware = models.CharField(max_length=MAX_NAME_CHARS, blank=True)
    at = models.DateTimeField()  # the last time

    class Meta:
        constraints = (models.UniqueConstraint(fields=("release", "gateway"), name="rolled_back_once"),)

    def __str__(self) -> str:
        return f"{self.release_id} on {self.gateway_id}"


class KnownBad(models.Model):
    """A release that rolled back on a hardware, and on how many gateways of all companies. On whose it is left out
    there: rollouts/eligibility.py, by RolledBack and whether it was forgiven."""

    release = models.ForeignKey(Release, models.CASCADE, related_name="known_bad")
    family = models.CharField(max_length=MAX_NAME_CHARS)
    hardware = models.CharField(max_length=MAX_NAME_CHARS, blank=True)
    rolled_back = models.IntegerField(default=0)
    last_at = models.DateTimeField()
    forgiven_at = models.DateTimeField(null=True)  # by a person

    class Meta:
        constraints = (models.UniqueConstraint(fields=("release", "family", "hardware"), name="known_bad_once"),)

    def __str__(self) -> str:
        return f"{self.release_id} on {self.family} {self.hardware}: {self.rolled_back}"

    @property
    def is_forgiven(self) -> bool:
        return self.forgiven_at is not None and self.forgiven_at >= self.last_at
