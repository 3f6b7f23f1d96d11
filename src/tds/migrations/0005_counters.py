from typing import Any

from django.db import migrations, models

import tds.fleet.models
from tds.readings import timescale
from tds.readings.sqlstore import query


def count_falls(_apps: Any, editor: Any) -> None:
    """TimescaleDB's hours count them from the beginning."""
    connection = editor.connection.connection
    if not timescale.in_use(connection):
        connection.execute(query("counters"))


class Migration(migrations.Migration):
    dependencies = [("tds_new", "0004_stores")]
    operations = [
        migrations.RunPython(count_falls, migrations.RunPython.noop),
        migrations.AddField(
            model_name="metric",
            name="changed_at",
            field=models.DateTimeField(auto_now=True, null=True, verbose_name="changed"),
        ),
        migrations.AddField(
            model_name="metric",
            name="rollover_at",
            field=models.FloatField(
                blank=True,
                help_text="The value at which a counter's register begins again at 0. Empty: it never does.",
                null=True,
                validators=[tds.fleet.models.validate_register],
                verbose_name="register size",
            ),
        ),
        migrations.AddConstraint(
            model_name="metric",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("rollover_at__isnull", True),
                    models.Q(("kind", "counter"), ("rollover_at__gt", 0), ("rollover_at__lte", 1e290)),
                    _connector="OR",
                ),
                name="metric_register_of_a_counter",
            ),
        ),
    ]
