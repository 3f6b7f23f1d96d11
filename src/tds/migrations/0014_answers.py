"""What a board was given is kept, so that it may ask again; and the audit trail tells of people and authorities too."""

import django.db.models.deletion
from django.db import migrations, models

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
]


class Migration(migrations.Migration):
    dependencies = [("tds_new", "0013_retired")]

    operations = [
        migrations.AddField("certificate", "der", models.BinaryField(null=True)),
        migrations.AddField(
            "claimcode",
            "certificate",
            models.ForeignKey(
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="tds_new.certificate",
            ),
        ),
        migrations.AlterField(
            "auditentry", "action", models.CharField(choices=ACTIONS, max_length=32, verbose_name="what")
        ),
    ]
