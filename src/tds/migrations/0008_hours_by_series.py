"""The hours of TimescaleDB's store are found by series: the indexes it makes by itself find those of a whole device."""

from typing import Any

from django.db import migrations

from tds.readings import timescale

INDEX = "tds_new_leiturahora_series"


def index_hours(_apps: Any, editor: Any) -> None:
    connection = editor.connection.connection
    if timescale.in_use(connection):
        connection.execute(f"CREATE INDEX IF NOT EXISTS {INDEX} ON tds_new_leiturahora (device_id, metric_id, hour)")


class Migration(migrations.Migration):
    dependencies = [("tds_new", "0007_budget")]
    operations = [migrations.RunPython(index_hours, migrations.RunPython.noop)]
