"""The cut-off that bytes or a person decided, and how the disks filled."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tds_new", "0006_ledger")]

    operations = [
        migrations.CreateModel(
            name="KeptSince",
            fields=[
                ("since", models.DateTimeField(primary_key=True, serialize=False)),
                ("decided_at", models.DateTimeField()),
                ("why", models.CharField(max_length=16)),
            ],
            options={"db_table": "tds_new_keptsince"},
        ),
        migrations.CreateModel(
            name="DiskSample",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("folder", models.TextField()),
                ("hour", models.DateTimeField()),
                ("taken_at", models.DateTimeField()),
                ("free_bytes", models.BigIntegerField()),
                ("readings_bytes", models.BigIntegerField()),
                ("to_grow_bytes", models.BigIntegerField()),
                ("over_bytes", models.BigIntegerField()),
            ],
            options={
                "constraints": (models.UniqueConstraint(fields=("folder", "hour"), name="disk_sample_once_an_hour"),),
            },
        ),
    ]
