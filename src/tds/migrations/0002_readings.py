"""The readings' tables and the notices of a changed fleet: SQL that Django's schema editor can't express."""

from django.db import migrations

from tds.environment import ROOT

PACKAGE = ROOT / "src/tds"


class Migration(migrations.Migration):
    dependencies = [("tds_new", "0001_initial")]
    operations = [
        migrations.RunSQL(
            (PACKAGE / "readings/sql/tables.sql").read_text(encoding="utf-8"),
            "DROP TABLE tds_new_leituradispositivo, tds_new_leiturahora, tds_new_horasuja, tds_new_estadorollup",
        ),
        migrations.RunSQL(
            (PACKAGE / "fleet/notify.sql").read_text(encoding="utf-8"),
            """DROP FUNCTION tds_new_gateway_changed, tds_new_device_changed, tds_new_metric_changed CASCADE""",
        ),
    ]
