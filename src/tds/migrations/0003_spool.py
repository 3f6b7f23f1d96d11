from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tds_new", "0002_readings"),
    ]

    operations = [
        migrations.CreateModel(
            name="SpoolState",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("consumer", models.CharField(max_length=100)),
                ("segment", models.BigIntegerField()),
                ("offset", models.BigIntegerField()),
                ("sequence", models.BigIntegerField()),
                ("lost", models.BigIntegerField(default=0, verbose_name="lost")),
                ("updated_at", models.DateTimeField()),
            ],
            options={
                "db_table": "tds_new_spool",
            },
        ),
    ]
