"""Tables of readings. Those of rows are made by SQL in the migrations: Django knows no partitions."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Reading(models.Model):
    """One value of one metric of one device at one instant. The first one stored wins."""

    pk = models.CompositePrimaryKey("device", "metric", "time")
    device = models.ForeignKey("Device", models.DO_NOTHING, db_constraint=False)
    metric = models.ForeignKey("Metric", models.DO_NOTHING, db_constraint=False)
    time = models.DateTimeField()
    value = models.FloatField()

    class Meta:
        managed = False
        db_table = "tds_new_leituradispositivo"

    def __str__(self) -> str:
        return f"{self.time:%Y-%m-%dT%H:%M:%S} {self.value}"


class HourRollup(models.Model):
    """The readings of one metric of one device in one UTC hour, aggregated."""

    pk = models.CompositePrimaryKey("device", "metric", "hour")
    device = models.ForeignKey("Device", models.DO_NOTHING, db_constraint=False)
    metric = models.ForeignKey("Metric", models.DO_NOTHING, db_constraint=False)
    hour = models.DateTimeField()
    n = models.IntegerField()
    minimum = models.FloatField()
    maximum = models.FloatField()
    total = models.FloatField()
    first = models.FloatField()
    last = models.FloatField()
    last_time = models.DateTimeField()
    increase = models.FloatField()
    falls = models.IntegerField(default=0)
    fell_from = models.FloatField(default=0)

    class Meta:
        managed = False
        db_table = "tds_new_leiturahora"

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%dT%H} n={self.n}"


class DirtyHour(models.Model):
    """A closed hour of a device that got rows later: charts read it raw until it is aggregated again."""

    id = models.BigAutoField(primary_key=True)
    device = models.ForeignKey("Device", models.DO_NOTHING, db_constraint=False)
    hour = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "tds_new_horasuja"

    def __str__(self) -> str:
        return f"{self.device_id} {self.hour:%Y-%m-%dT%H}"


class MendedHour(models.Model):
    """When a closed hour of a device that got rows later was aggregated again."""

    pk = models.CompositePrimaryKey("device", "hour")
    device = models.ForeignKey("Device", models.DO_NOTHING, db_constraint=False)
    hour = models.DateTimeField()
    mended_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "tds_new_horaemendada"

    def __str__(self) -> str:
        return f"{self.device_id} {self.hour:%Y-%m-%dT%H}"


class RollupState(models.Model):
    """Hours before `closing_before` mark late rows dirty; those before `complete_before` are in the rollup."""

    id = models.SmallIntegerField(primary_key=True)
    closing_before = models.DateTimeField()
    complete_before = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "tds_new_estadorollup"

    def __str__(self) -> str:
        return f"{self.complete_before:%Y-%m-%dT%H}"


class KeptSince(models.Model):
    """Readings before the newest of these are gone, and no more are stored; one row a decision."""

    since = models.DateTimeField(primary_key=True)
    decided_at = models.DateTimeField()
    why = models.CharField(max_length=16)  # bytes, or person

    class Meta:
        db_table = "tds_new_keptsince"

    def __str__(self) -> str:
        return f"{self.since:%Y-%m-%d} {self.why}"


class LedgerDropped(models.Model):
    """How many readings of a tenant were dropped on a UTC day: the ledger's stored ones = those there + these.

    Tenant null: rows of devices that were deleted, which belong to nobody any more.
    """

    tenant = models.ForeignKey("Tenant", models.PROTECT, null=True, related_name="+")
    day = models.DateField(_("dropped on"))
    rows = models.BigIntegerField(_("readings"))

    class Meta:
        ordering = ("-day", "tenant_id")
        constraints = (
            models.UniqueConstraint(fields=("tenant", "day"), name="ledger_dropped_once", nulls_distinct=False),
        )
        verbose_name = _("dropped readings")
        verbose_name_plural = _("dropped readings")

    def __str__(self) -> str:
        return f"{self.tenant_id or '–'} {self.day} {self.rows}"
