"""Who did what: a table that only grows."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from tds.environment import ROOT

ACTIONS = [
    ("gateway.registered", "registered"),
    ("gateway.changed", "changed"),
    ("gateway.disabled", "disabled"),
    ("gateway.enabled", "enabled"),
    ("gateway.retired", "retired"),
    ("gateway.provisioned", "provisioned"),
    ("claim.made", "claim code made"),
    ("claim.revoked", "claim code revoked"),
    ("certificate.issued", "certificate issued"),
    ("certificate.revoked", "certificate revoked"),
    ("password.made", "password for the broker made"),
    ("password.removed", "password for the broker removed"),
]


class Migration(migrations.Migration):
    dependencies = [("tds_new", "0011_presence")]

    operations = [
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name="when"
                    ),
                ),
                ("actor", models.CharField(max_length=150, verbose_name="who")),
                ("actor_id", models.BigIntegerField(null=True)),
                ("action", models.CharField(choices=ACTIONS, max_length=32, verbose_name="what")),
                ("object_kind", models.CharField(max_length=16, verbose_name="object")),
                ("object_id", models.BigIntegerField(null=True)),
                ("object_name", models.CharField(max_length=200, verbose_name="name")),
                ("detail", models.JSONField(default=dict, verbose_name="detail")),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tds_new.tenant",
                        verbose_name="tenant",
                    ),
                ),
            ],
            options={
                "verbose_name": "audit entry",
                "verbose_name_plural": "audit trail",
                "ordering": ("-id",),
                "indexes": [models.Index(fields=["object_kind", "object_id", "-id"], name="audit_of_an_object")],
            },
        ),
        migrations.RunSQL(
            (ROOT / "src/tds/fleet/audit.sql").read_text(encoding="utf-8"), "DROP FUNCTION tds_new_audit_refuse CASCADE"
        ),
    ]
