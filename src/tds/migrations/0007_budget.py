"""The cut-off that bytes or a person decided."""

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
    ]
