"""Whether gateways are connected, how far brokers have been heard, and of when gateways' newest readings are."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tds_new", "0010_identity")]

    operations = [
        migrations.AddField("gateway", "last_reading_at", models.DateTimeField(blank=True, editable=False, null=True)),
        migrations.AddField("gateway", "dated_at", models.DateTimeField(blank=True, editable=False, null=True)),
        migrations.CreateModel(
            name="BrokerLink",
            fields=[
                ("broker", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("heard_until", models.DateTimeField(null=True)),
                ("started_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="GatewayPresence",
            fields=[
                (
                    "gateway",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="presence",
                        serialize=False,
                        to="tds_new.gateway",
                    ),
                ),
                ("online", models.BooleanField()),
                ("brokers", models.JSONField(default=list)),
                ("broker", models.CharField(max_length=32)),
                ("changed_at", models.DateTimeField()),
                ("witnessed", models.BooleanField()),
                ("heard_at", models.DateTimeField(null=True)),
                ("firmware", models.CharField(blank=True, max_length=64)),
                ("clock_ahead", models.DurationField(null=True)),
                ("clock_at", models.DateTimeField(null=True)),
            ],
        ),
    ]
