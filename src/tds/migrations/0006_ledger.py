"""The ledger for years: old hours are added up into days, and what is dropped is counted."""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

COUNTERS = ("received", "accepted", "quarantined", "readings", "stored", "duplicate")


def tenant() -> "models.ForeignKey[Any, Any]":
    return models.ForeignKey(
        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tds_new.tenant"
    )


class Migration(migrations.Migration):
    dependencies = [("tds_new", "0005_counters")]

    operations = [
        migrations.CreateModel(
            name="LedgerDay",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                *((name, models.BigIntegerField(default=0, verbose_name=name)) for name in COUNTERS),
                ("day", models.DateTimeField(verbose_name="day")),
                ("tenant", tenant()),
            ],
            options={
                "verbose_name": "ledger day",
                "verbose_name_plural": "ledger days",
                "ordering": ("-day", "tenant_id"),
                "constraints": (
                    models.UniqueConstraint(fields=("tenant", "day"), name="ledger_day_once", nulls_distinct=False),
                ),
            },
        ),
        migrations.CreateModel(
            name="LedgerDropped",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField(verbose_name="dropped on")),
                ("rows", models.BigIntegerField(verbose_name="readings")),
                ("tenant", tenant()),
            ],
            options={
                "verbose_name": "dropped readings",
                "verbose_name_plural": "dropped readings",
                "ordering": ("-day", "tenant_id"),
                "constraints": (
                    models.UniqueConstraint(fields=("tenant", "day"), name="ledger_dropped_once", nulls_distinct=False),
                ),
            },
        ),
        migrations.AlterField(
            model_name="quarantinecount",
            name="gateway",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tds_new.gateway"
            ),
        ),
        migrations.AddIndex(model_name="ledgerhour", index=models.Index(fields=["hour"], name="ledger_hour_of_all")),
    ]
