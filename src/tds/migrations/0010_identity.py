"""Certificates, claim codes and passwords of gateways; what a gateway is; and notices of a changed identity."""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

import tds.fleet.models
from tds.environment import ROOT
from tds.fleet.codes import CODE_PATTERN

NOTIFY = ROOT / "src/tds/identity/notify.sql"


def number() -> "models.BigAutoField[int, int]":
    return models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


class Migration(migrations.Migration):
    dependencies = [("tds_new", "0009_quarantine_by_tenant")]

    operations = [
        migrations.AddField(
            "gateway",
            "family",
            models.CharField(blank=True, db_default="", default="", max_length=32, verbose_name="family"),
        ),
        migrations.AddField(
            "gateway",
            "hardware",
            models.CharField(blank=True, db_default="", default="", max_length=32, verbose_name="hardware revision"),
        ),
        migrations.AlterField(
            "gateway",
            "code",
            models.CharField(
                max_length=64,
                validators=[
                    django.core.validators.RegexValidator(
                        CODE_PATTERN, "Use 1 to 64 letters, digits, dots, dashes or underscores."
                    ),
                    tds.fleet.models.validate_not_reserved,
                ],
                verbose_name="code",
            ),
        ),
        migrations.CreateModel(
            name="Certificate",
            fields=[
                ("id", number()),
                ("serial", models.CharField(max_length=40, unique=True, verbose_name="serial number")),
                ("issuer", models.CharField(max_length=32, verbose_name="authority")),
                ("fingerprint", models.CharField(max_length=64, verbose_name="SHA-256")),
                (
                    "how",
                    models.CharField(
                        choices=[("factory", "factory"), ("claim", "claim code"), ("renewal", "renewal")],
                        max_length=16,
                        verbose_name="given by",
                    ),
                ),
                ("not_before", models.DateTimeField(verbose_name="valid from")),
                ("not_after", models.DateTimeField(verbose_name="valid until")),
                ("issued_at", models.DateTimeField(verbose_name="issued")),
                ("revoked_at", models.DateTimeField(blank=True, null=True, verbose_name="revoked")),
                ("revocation_reason", models.CharField(blank=True, max_length=32, verbose_name="reason")),
                ("listed_in", models.BigIntegerField(editable=False, null=True, verbose_name="refused since revision")),
                (
                    "gateway",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="certificates", to="tds_new.gateway"
                    ),
                ),
            ],
            options={
                "verbose_name": "certificate",
                "verbose_name_plural": "certificates",
                "ordering": ("-issued_at", "-id"),
                "indexes": [
                    models.Index(fields=["gateway", "-not_after"], name="certificate_of_gateway"),
                    models.Index(fields=["not_after"], name="certificate_end"),
                    models.Index(
                        condition=models.Q(("listed_in__isnull", False)),
                        fields=["listed_in"],
                        name="certificate_listed",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RevocationList",
            fields=[
                ("id", number()),
                ("issuer", models.CharField(max_length=32, unique=True, verbose_name="authority")),
                ("revision", models.BigIntegerField()),
                ("this_update", models.DateTimeField()),
                ("next_update", models.DateTimeField()),
                ("pem", models.TextField()),
                ("anchor", models.TextField()),
                ("canary", models.TextField()),
            ],
            options={
                "verbose_name": "revocation list",
                "verbose_name_plural": "revocation lists",
                "ordering": ("issuer",),
            },
        ),
        migrations.CreateModel(
            name="BrokerAccess",
            fields=[
                ("id", number()),
                ("broker", models.CharField(max_length=32, unique=True)),
                ("revision", models.BigIntegerField(default=0)),
                ("settled", models.BigIntegerField(default=0)),
                ("applied_at", models.DateTimeField()),
                ("as_of", models.DateTimeField()),
                ("detail", models.CharField(blank=True, max_length=500)),
            ],
            options={
                "verbose_name": "broker's access files",
                "verbose_name_plural": "brokers' access files",
                "ordering": ("broker",),
            },
        ),
        migrations.CreateModel(
            name="ClaimCode",
            fields=[
                ("id", number()),
                ("sha256", models.CharField(editable=False, max_length=64, unique=True)),
                ("hint", models.CharField(editable=False, max_length=12, verbose_name="begins with")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created")),
                ("expires_at", models.DateTimeField(verbose_name="expires")),
                ("used_at", models.DateTimeField(blank=True, null=True, verbose_name="used")),
                ("revoked_at", models.DateTimeField(blank=True, null=True, verbose_name="revoked")),
                (
                    "gateway",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="claim_codes", to="tds_new.gateway"
                    ),
                ),
            ],
            options={
                "verbose_name": "claim code",
                "verbose_name_plural": "claim codes",
                "ordering": ("-created_at", "-id"),
            },
        ),
        migrations.CreateModel(
            name="GatewayPassword",
            fields=[
                ("id", number()),
                ("hash", models.CharField(editable=False, max_length=200)),
                ("made_at", models.DateTimeField(auto_now_add=True, verbose_name="created")),
                (
                    "gateway",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="password", to="tds_new.gateway"
                    ),
                ),
            ],
            options={"verbose_name": "gateway password", "verbose_name_plural": "gateway passwords"},
        ),
        migrations.RunSQL(
            NOTIFY.read_text(encoding="utf-8"),
            "DROP FUNCTION tds_new_certificate_changed, tds_new_access_changed CASCADE",
        ),
    ]
