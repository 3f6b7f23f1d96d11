"""When hours were mended; and TimescaleDB's tables in the place of the native ones, where the server has it."""

from typing import Any

from django.conf import settings
from django.db import migrations, models

from tds.readings import timescale
from tds.readings.sqlstore import query


def choose(_apps: Any, editor: Any) -> None:
    """A database that holds readings keeps the store it has: `tds readings move-to-timescaledb` moves it."""
    connection = editor.connection.connection
    if settings.TDS_STORE == "native":
        return
    if not timescale.available(connection):
        if settings.TDS_STORE == "timescaledb":
            raise RuntimeError(
                "TDS_STORE is timescaledb, and this PostgreSQL has not loaded it: install TimescaleDB, add it to "
                "shared_preload_libraries and restart the server, or set TDS_STORE to auto."
            )
        return
    if connection.execute("SELECT EXISTS (SELECT FROM tds_new_leituradispositivo)").fetchone() == (True,):
        return
    connection.execute("DROP TABLE tds_new_leituradispositivo, tds_new_leiturahora")
    timescale.create(connection)


class Migration(migrations.Migration):
    dependencies = [("tds_new", "0003_spool")]
    operations = [
        migrations.RunSQL(query("mended_table"), migrations.RunSQL.noop),
        migrations.CreateModel(
            name="MendedHour",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "device", "hour", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("hour", models.DateTimeField()),
                ("mended_at", models.DateTimeField()),
            ],
            options={"db_table": "tds_new_horaemendada", "managed": False},
        ),
        migrations.RunPython(choose, migrations.RunPython.noop),
    ]
