"""Tags of gateways, each of one tenant."""

import django.db.models.deletion
from django.db import migrations, models

from tds.environment import ROOT


class Migration(migrations.Migration):
    dependencies = [("tds_new", "0016_updates")]

    operations = [
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
                    ("gateway.tagged", "tagged"),
                    ("gateway.untagged", "tag taken away"),
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
            name="Tag",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=32, verbose_name="name")),
                ("folded", models.CharField(editable=False, max_length=32)),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="tags", to="tds_new.tenant"
                    ),
                ),
            ],
            options={"verbose_name": "tag", "verbose_name_plural": "tags", "ordering": ("folded", "id")},
        ),
        migrations.CreateModel(
            name="GatewayTag",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tds_new.tenant",
                    ),
                ),
                (
                    "gateway",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tagged",
                        to="tds_new.gateway",
                    ),
                ),
                (
                    "tag",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tagged",
                        to="tds_new.tag",
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="tag",
            constraint=models.UniqueConstraint(fields=("tenant", "folded"), name="tag_once_a_tenant"),
        ),
        migrations.AddConstraint(
            model_name="gatewaytag",
            constraint=models.UniqueConstraint(fields=("gateway", "tag"), name="gateway_tag_once"),
        ),
        migrations.RunSQL(
            (ROOT / "src/tds/fleet/tags.sql").read_text(encoding="utf-8"),
            "ALTER TABLE tds_new_gatewaytag DROP CONSTRAINT tds_new_gatewaytag_gateway,"
            " DROP CONSTRAINT tds_new_gatewaytag_tag;"
            " ALTER TABLE tds_new_gateway DROP CONSTRAINT tds_new_gateway_of_tenant;"
            " ALTER TABLE tds_new_tag DROP CONSTRAINT tds_new_tag_of_tenant;",
        ),
    ]
