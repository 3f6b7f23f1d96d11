"""A gateway that is retired takes its certificates, claim codes and password along."""

from django.db import migrations

from tds.environment import ROOT


class Migration(migrations.Migration):
    dependencies = [("tds_new", "0012_audit")]

    operations = [
        migrations.RunSQL(
            (ROOT / "src/tds/identity/retired.sql").read_text(encoding="utf-8"),
            "DROP FUNCTION tds_new_gateway_retired CASCADE",
        ),
    ]
