"""What became of every message: the ledger counts them all, quarantine keeps the refused ones for a while."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class LedgerCounters(models.Model):
    """Messages: received = accepted + quarantined. Readings of the accepted: readings = stored + duplicate."""

    tenant = models.ForeignKey("tds_new.Tenant", models.PROTECT, null=True, related_name="+")
    received = models.BigIntegerField(_("received"), default=0)
    accepted = models.BigIntegerField(_("accepted"), default=0)
    quarantined = models.BigIntegerField(_("quarantined"), default=0)
    readings = models.BigIntegerField(_("readings"), default=0)
    stored = models.BigIntegerField(_("stored"), default=0)
    duplicate = models.BigIntegerField(_("duplicate"), default=0)

    class Meta:
        abstract = True


class LedgerHour(LedgerCounters):
    """Counters of one tenant and hour, written in the transaction of the rows they count."""

    hour = models.DateTimeField(_("hour"))

    class Meta:
        ordering = ("-hour", "tenant_id")
        constraints = (
            models.UniqueConstraint(fields=("tenant", "hour"), name="ledger_hour_once", nulls_distinct=False),
        )
        indexes = (models.Index(fields=("hour",), name="ledger_hour_of_all"),)
        verbose_name = _("ledger hour")
        verbose_name_plural = _("ledger hours")

    def __str__(self) -> str:
        return f"{self.tenant_id or '–'} {self.hour:%Y-%m-%dT%H}"


class LedgerDay(LedgerCounters):
    """The hours of one tenant and UTC day, added up when they are old (tds/ingest/ledger.py)."""

    day = models.DateTimeField(_("day"))

    class Meta:
        ordering = ("-day", "tenant_id")
        constraints = (models.UniqueConstraint(fields=("tenant", "day"), name="ledger_day_once", nulls_distinct=False),)
        verbose_name = _("ledger day")
        verbose_name_plural = _("ledger days")

    def __str__(self) -> str:
        return f"{self.tenant_id or '–'} {self.day:%Y-%m-%d}"


class QuarantinedMessage(models.Model):
    """A message that broke a rule, byte for byte as it came."""

    id = models.BigAutoField(primary_key=True)
    reason = models.CharField(_("reason"), max_length=32)
    detail = models.TextField(_("detail"))
    gateway = models.ForeignKey("Gateway", models.SET_NULL, null=True, related_name="+")
    tenant = models.ForeignKey("Tenant", models.SET_NULL, null=True, related_name="+")
    gateway_code = models.CharField(_("gateway code as sent"), max_length=200, blank=True)
    topic = models.TextField(_("topic"), blank=True)
    payload = models.BinaryField(_("payload"))
    received_at = models.DateTimeField(_("received"))
    counted_at = models.DateTimeField(null=True)  # in the ledger; later for what waited in a spool. Null: the same
    replayed_at = models.DateTimeField(_("replayed"), null=True)

    class Meta:
        ordering = ("-id",)
        indexes = (models.Index(fields=("reason", "gateway", "tenant", "id"), name="quarantine_bucket"),)
        verbose_name = _("quarantined message")
        verbose_name_plural = _("quarantined messages")

    def __str__(self) -> str:
        return f"{self.reason} {self.gateway_code}"


class QuarantineCount(models.Model):
    """How many messages of a bucket (tds/ingest/quarantine.py) there ever were and are still kept."""

    reason = models.CharField(_("reason"), max_length=32)
    # Protected: a gateway or tenant that is deleted would take counts along that the ledger has.
    gateway = models.ForeignKey("Gateway", models.PROTECT, null=True, related_name="+")
    tenant = models.ForeignKey("Tenant", models.PROTECT, null=True, related_name="+")
    total = models.BigIntegerField(_("total"), default=0)
    kept = models.BigIntegerField(_("kept"), default=0)
    kept_bytes = models.BigIntegerField(_("kept bytes"), default=0)
    last_at = models.DateTimeField(_("last"))

    class Meta:
        ordering = ("-last_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("reason", "gateway", "tenant"), name="quarantine_count_once", nulls_distinct=False
            ),
        )
        verbose_name = _("quarantine count")
        verbose_name_plural = _("quarantine counts")

    def __str__(self) -> str:
        return f"{self.reason} {self.total}"


class SpoolState(models.Model):
    """How far a consumer's spool is in the database, and how many messages a damaged disk cost it."""

    id = models.UUIDField(primary_key=True)
    consumer = models.CharField(max_length=100)
    segment = models.BigIntegerField()
    offset = models.BigIntegerField()
    sequence = models.BigIntegerField()
    lost = models.BigIntegerField(_("lost"), default=0)
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "tds_new_spool"

    def __str__(self) -> str:
        return self.consumer
