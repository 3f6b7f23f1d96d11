"""Firmware updates: releases, rollouts, executions and what gateways run."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import tds.fleet.models
from tds.environment import ROOT


class Migration(migrations.Migration):
    dependencies = [
        ("tds_new", "0015_report_interval"),
    ]

    operations = [
        migrations.CreateModel(
            name="RunningFirmware",
            fields=[
                (
                    "gateway",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="running",
                        serialize=False,
                        to="tds_new.gateway",
                    ),
                ),
                ("version", models.CharField(max_length=31)),
                ("sha256", models.CharField(max_length=64)),
                ("slot", models.SmallIntegerField()),
                ("counter", models.BigIntegerField()),
                ("confirmed", models.BooleanField()),
                ("boot_reason", models.CharField(blank=True, max_length=32)),
                ("chip", models.CharField(blank=True, max_length=31)),
                ("family", models.CharField(blank=True, max_length=31)),
                ("hardware", models.CharField(blank=True, max_length=31)),
                ("trust_version", models.BigIntegerField(default=0)),
                ("trust_expired", models.BooleanField(default=False)),
                ("life", models.CharField(max_length=8)),
                ("boot", models.BigIntegerField()),
                ("number", models.BigIntegerField()),
                ("former_lives", models.JSONField(default=list)),
                ("restarts", models.BigIntegerField(default=0)),
                ("started_at", models.DateTimeField()),
                ("reported_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="TrustSet",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("version", models.BigIntegerField(unique=True, verbose_name="version")),
                ("document", models.TextField()),
                ("expires_at", models.DateTimeField(verbose_name="expires")),
                ("received_at", models.DateTimeField(auto_now_add=True, verbose_name="received")),
            ],
            options={
                "verbose_name": "trust set",
                "verbose_name_plural": "trust sets",
                "ordering": ("-version",),
            },
        ),
        migrations.AddField(
            model_name="site",
            name="redundancy_group",
            field=models.CharField(blank=True, default="", max_length=64, verbose_name="redundancy group"),
        ),
        migrations.AddField(
            model_name="site",
            name="time_zone",
            field=models.CharField(
                blank=True,
                default="",
                max_length=64,
                validators=[tds.fleet.models.validate_time_zone_or_none],
                verbose_name="time zone",
            ),
        ),
        migrations.AlterField(
            model_name="auditentry",
            name="action",
            field=models.CharField(
                choices=[
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
                    ("tenant.added", "tenant added"),
                    ("tenant.changed", "tenant changed"),
                    ("tenant.removed", "tenant removed"),
                    ("person.added", "person added"),
                    ("person.changed", "person changed"),
                    ("person.removed", "person removed"),
                    ("role.given", "role given"),
                    ("role.changed", "role changed"),
                    ("role.taken", "role taken away"),
                    ("token.made", "API token made"),
                    ("token.changed", "API token changed"),
                    ("token.revoked", "API token revoked"),
                    ("ca.made", "authorities made"),
                    ("ca.rotated", "authority rotated"),
                    ("ca.root_exported", "root's key exported"),
                    ("ca.root_removed", "root's key removed"),
                    ("ca.server_issued", "server certificate issued"),
                    ("trust.taken", "trust set taken in"),
                    ("release.uploaded", "release uploaded"),
                    ("release.published", "release published"),
                    ("release.withdrawn", "release withdrawn"),
                    ("release.forgiven", "known failures forgiven"),
                    ("rollout.started", "rollout started"),
                    ("rollout.paused", "rollout paused"),
                    ("rollout.resumed", "rollout resumed"),
                    ("rollout.canceled", "rollout canceled"),
                    ("rollout.halted", "rollout halted"),
                    ("rollout.completed", "rollout completed"),
                    ("rollout.replaced", "rollout replaced"),
                    ("update.retried", "update tried again"),
                    ("update.canceled", "update of a gateway canceled"),
                    ("update.checked", "asked to look for its update"),
                    ("fleet.checked", "all asked to look for their updates"),
                ],
                max_length=32,
                verbose_name="what",
            ),
        ),
        migrations.CreateModel(
            name="Release",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("product", models.CharField(max_length=31, verbose_name="product")),
                ("version", models.CharField(max_length=31, verbose_name="version")),
                ("counter", models.BigIntegerField(verbose_name="counter")),
                (
                    "kind",
                    models.CharField(
                        choices=[("application", "firmware"), ("hello", "test image")],
                        default="application",
                        max_length=16,
                        verbose_name="kind",
                    ),
                ),
                ("families", models.JSONField(verbose_name="families")),
                ("chip", models.CharField(max_length=31, verbose_name="chip")),
                ("hardware", models.JSONField(verbose_name="hardware revisions")),
                ("size", models.BigIntegerField(verbose_name="size")),
                ("sha256", models.CharField(max_length=64, verbose_name="SHA-256")),
                ("min_source_counter", models.BigIntegerField(default=0, verbose_name="from counter")),
                ("released_at", models.DateTimeField(verbose_name="released")),
                ("manifest", models.TextField()),
                ("manifest_sha256", models.CharField(max_length=64, unique=True)),
                ("key_id", models.CharField(max_length=43, verbose_name="signed with")),
                ("image", models.JSONField(default=dict)),
                ("notes", models.TextField(blank=True, verbose_name="notes")),
                (
                    "status",
                    models.CharField(
                        choices=[("uploaded", "uploaded"), ("published", "published"), ("withdrawn", "withdrawn")],
                        default="uploaded",
                        max_length=16,
                        verbose_name="status",
                    ),
                ),
                ("uploaded_at", models.DateTimeField(auto_now_add=True, verbose_name="uploaded")),
                ("published_at", models.DateTimeField(blank=True, null=True, verbose_name="published")),
                ("withdrawn_at", models.DateTimeField(blank=True, null=True, verbose_name="withdrawn")),
                ("withdrawn_why", models.CharField(blank=True, max_length=200, verbose_name="why")),
                (
                    "uploaded_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "release",
                "verbose_name_plural": "releases",
                "ordering": ("product", "-counter", "-id"),
            },
        ),
        migrations.CreateModel(
            name="KnownBad",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("family", models.CharField(max_length=31)),
                ("hardware", models.CharField(blank=True, max_length=31)),
                ("rolled_back", models.IntegerField(default=0)),
                ("last_at", models.DateTimeField()),
                ("forgiven_at", models.DateTimeField(null=True)),
                (
                    "release",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="known_bad", to="tds_new.release"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Rollout",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(blank=True, max_length=200, verbose_name="name")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("draft", "draft"),
                            ("running", "running"),
                            ("paused", "paused"),
                            ("halted", "halted"),
                            ("completed", "completed"),
                            ("canceled", "canceled"),
                        ],
                        default="draft",
                        max_length=16,
                        verbose_name="status",
                    ),
                ),
                ("target", models.JSONField(default=dict)),
                ("success_percent", models.FloatField()),
                ("failure_percent", models.FloatField()),
                ("failure_min_finished", models.IntegerField()),
                ("soak_s", models.IntegerField()),
                ("concurrency", models.IntegerField()),
                ("spread_s", models.IntegerField()),
                ("offer_limit_s", models.IntegerField()),
                ("window_start", models.TimeField(blank=True, null=True)),
                ("window_end", models.TimeField(blank=True, null=True)),
                ("one_per_site", models.BooleanField(default=True)),
                ("gate", models.BooleanField(default=True)),
                ("current_wave", models.IntegerField(default=0)),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created")),
                ("started_at", models.DateTimeField(blank=True, null=True, verbose_name="started")),
                ("finished_at", models.DateTimeField(blank=True, null=True, verbose_name="finished")),
                ("stopped_at", models.DateTimeField(blank=True, null=True)),
                ("accepted_until", models.DateTimeField(blank=True, null=True)),
                ("halted_why", models.CharField(blank=True, max_length=32)),
                (
                    "created_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "release",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="rollouts", to="tds_new.release"
                    ),
                ),
                (
                    "replaces",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="replaced_by",
                        to="tds_new.rollout",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rollouts",
                        to="tds_new.tenant",
                    ),
                ),
            ],
            options={
                "verbose_name": "rollout",
                "verbose_name_plural": "rollouts",
                "ordering": ("-id",),
            },
        ),
        migrations.CreateModel(
            name="UnsignedFetch",
            fields=[
                (
                    "gateway",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="unsigned_fetch",
                        serialize=False,
                        to="tds_new.gateway",
                    ),
                ),
                ("fetched_at", models.DateTimeField()),
                (
                    "release",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="unsigned_fetches",
                        to="tds_new.release",
                    ),
                ),
            ],
            options={
                "ordering": ("-fetched_at",),
            },
        ),
        migrations.CreateModel(
            name="LeftOut",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("reason", models.CharField(max_length=32)),
                (
                    "gateway",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="tds_new.gateway"
                    ),
                ),
                (
                    "rollout",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="left_out", to="tds_new.rollout"
                    ),
                ),
            ],
            options={
                "ordering": ("id",),
            },
        ),
        migrations.CreateModel(
            name="Execution",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("public_id", models.CharField(max_length=36)),
                ("wave", models.IntegerField()),
                ("place", models.IntegerField()),
                ("family", models.CharField(blank=True, db_default="", default="", max_length=31)),
                ("hardware", models.CharField(blank=True, db_default="", default="", max_length=31)),
                ("site_group", models.CharField(blank=True, max_length=80)),
                ("time_zone", models.CharField(max_length=64)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("QUEUED", "waiting"),
                            ("IN_PROGRESS", "under way"),
                            ("SUCCEEDED", "succeeded"),
                            ("FAILED", "failed"),
                            ("TIMED_OUT", "timed out"),
                            ("REJECTED", "refused by the gateway"),
                            ("REMOVED", "removed"),
                            ("CANCELED", "canceled"),
                        ],
                        default="QUEUED",
                        max_length=16,
                    ),
                ),
                ("phase", models.CharField(blank=True, max_length=16)),
                ("reason", models.CharField(blank=True, max_length=32)),
                ("detail", models.CharField(blank=True, max_length=200)),
                ("seq", models.BigIntegerField(null=True)),
                ("ticket", models.TextField(blank=True)),
                ("ticket_until", models.DateTimeField(null=True)),
                ("from_version", models.CharField(blank=True, max_length=31)),
                ("from_sha256", models.CharField(blank=True, max_length=64)),
                ("bytes_done", models.BigIntegerField(default=0)),
                ("attempt", models.IntegerField(default=1)),
                ("queued_at", models.DateTimeField(auto_now_add=True)),
                ("offered_at", models.DateTimeField(null=True)),
                ("pushed_at", models.DateTimeField(null=True)),
                ("changed_at", models.DateTimeField()),
                ("heard_at", models.DateTimeField(null=True)),
                ("heard_in", models.CharField(blank=True, db_default="", default="", max_length=48)),
                ("tried_in", models.CharField(blank=True, db_default="", default="", max_length=48)),
                ("deadline_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                ("installing_at", models.DateTimeField(null=True)),
                ("rebooting_at", models.DateTimeField(null=True)),
                ("succeeded_at", models.DateTimeField(null=True)),
                ("restarts", models.BigIntegerField(null=True)),
                ("accepted", models.BooleanField(default=False)),
                (
                    "gateway",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="executions",
                        to="tds_new.gateway",
                    ),
                ),
                (
                    "rollout",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="executions",
                        to="tds_new.rollout",
                    ),
                ),
            ],
            options={
                "ordering": ("rollout", "wave", "place"),
            },
        ),
        migrations.CreateModel(
            name="RolloutEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                ("kind", models.CharField(max_length=32)),
                ("actor", models.CharField(blank=True, max_length=150)),
                ("words", models.JSONField(default=dict)),
                (
                    "execution",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="events",
                        to="tds_new.execution",
                    ),
                ),
                (
                    "rollout",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="events", to="tds_new.rollout"
                    ),
                ),
            ],
            options={
                "ordering": ("-id",),
            },
        ),
        migrations.CreateModel(
            name="Wave",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.IntegerField()),
                ("size", models.IntegerField()),
                ("label", models.CharField(max_length=32)),
                ("opened_at", models.DateTimeField(null=True)),
                ("offers_until", models.DateTimeField(null=True)),
                ("soak_from", models.DateTimeField(null=True)),
                ("completed_at", models.DateTimeField(null=True)),
                (
                    "rollout",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="waves", to="tds_new.rollout"
                    ),
                ),
            ],
            options={
                "ordering": ("rollout", "number"),
            },
        ),
        migrations.CreateModel(
            name="WaveCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("wave", models.IntegerField()),
                ("kind", models.CharField(max_length=16)),
                ("executions", models.BigIntegerField()),
                (
                    "rollout",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="tds_new.rollout"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="WaveCountChange",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("rollout_id", models.BigIntegerField()),
                ("wave", models.IntegerField()),
                ("kind", models.CharField(max_length=16)),
                ("executions", models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="LastTurn",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
                ("back_at", models.DateTimeField()),
            ],
            options={
                "constraints": (models.CheckConstraint(condition=models.Q(("id", 1)), name="last_turn_is_one"),),
            },
        ),
        migrations.CreateModel(
            name="RolledBack",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("family", models.CharField(max_length=31)),
                ("hardware", models.CharField(blank=True, max_length=31)),
                ("at", models.DateTimeField()),
                (
                    "gateway",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="tds_new.gateway"
                    ),
                ),
                (
                    "release",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tds_new.release",
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="rolledback",
            constraint=models.UniqueConstraint(fields=("release", "gateway"), name="rolled_back_once"),
        ),
        migrations.AddConstraint(
            model_name="wavecount",
            constraint=models.UniqueConstraint(fields=("rollout", "wave", "kind"), name="wave_count_once"),
        ),
        migrations.AddIndex(
            model_name="release",
            index=models.Index(fields=["sha256"], name="release_by_file"),
        ),
        migrations.AddConstraint(
            model_name="knownbad",
            constraint=models.UniqueConstraint(fields=("release", "family", "hardware"), name="known_bad_once"),
        ),
        migrations.AddIndex(
            model_name="rollout",
            index=models.Index(fields=["tenant", "-id"], name="rollout_of_tenant"),
        ),
        migrations.AddIndex(
            model_name="rollout",
            index=models.Index(condition=models.Q(("status", "running")), fields=["status"], name="rollout_under_way"),
        ),
        migrations.AddConstraint(
            model_name="leftout",
            constraint=models.UniqueConstraint(fields=("rollout", "gateway"), name="left_out_once"),
        ),
        migrations.AddIndex(
            model_name="execution",
            index=models.Index(fields=["rollout", "wave", "status", "place"], name="execution_of_wave"),
        ),
        migrations.AddIndex(
            model_name="execution",
            index=models.Index(fields=["gateway", "-id"], name="execution_of_gateway"),
        ),
        migrations.AddIndex(
            model_name="execution",
            index=models.Index(
                condition=models.Q(("deadline_at__isnull", False)), fields=["deadline_at"], name="execution_due"
            ),
        ),
        migrations.AddIndex(
            model_name="execution",
            index=models.Index(
                condition=models.Q(("offered_at__isnull", False), ("status__in", ("QUEUED", "IN_PROGRESS"))),
                fields=["gateway"],
                name="execution_under_way",
            ),
        ),
        migrations.AddIndex(
            model_name="execution",
            index=models.Index(
                condition=models.Q(
                    ("status__in", ("QUEUED", "TIMED_OUT", "REMOVED", "CANCELED")), ("ticket_until__isnull", False)
                ),
                fields=["gateway", "ticket_until"],
                name="execution_ticket_out",
            ),
        ),
        migrations.AddConstraint(
            model_name="execution",
            constraint=models.UniqueConstraint(fields=("public_id",), name="execution_public_id_once"),
        ),
        migrations.AddConstraint(
            model_name="execution",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status__in", ("QUEUED", "IN_PROGRESS"))),
                fields=("gateway",),
                name="execution_one_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="execution",
            constraint=models.UniqueConstraint(fields=("rollout", "wave", "place"), name="execution_place_once"),
        ),
        migrations.AddIndex(
            model_name="rolloutevent",
            index=models.Index(fields=["rollout", "-id"], name="rollout_timeline"),
        ),
        migrations.AddConstraint(
            model_name="wave",
            constraint=models.UniqueConstraint(fields=("rollout", "number"), name="wave_number_once"),
        ),
        migrations.RunSQL(
            (ROOT / "src" / "tds" / "updates" / "timeline.sql").read_text(encoding="utf-8"),
            "DROP TRIGGER tds_new_timeline_only_grows ON tds_new_rolloutevent;"
            " DROP FUNCTION tds_new_timeline_refuse(); DROP SEQUENCE tds_new_ticket_seq;",
        ),
        migrations.RunSQL(
            (ROOT / "src" / "tds" / "updates" / "counts.sql").read_text(encoding="utf-8"),
            "DROP TRIGGER tds_new_execution_added ON tds_new_execution;"
            " DROP TRIGGER tds_new_execution_changed ON tds_new_execution;"
            " DROP TRIGGER tds_new_execution_turned ON tds_new_execution; DROP FUNCTION tds_new_execution_turned();"
            " DROP FUNCTION tds_new_execution_count_added(); DROP FUNCTION tds_new_execution_count_changed();"
            " DROP FUNCTION tds_new_execution_kind(text, text, boolean, boolean, boolean);",
        ),
    ]
