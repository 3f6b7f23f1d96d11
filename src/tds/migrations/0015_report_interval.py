"""How often a gateway sends, as it says when it connects."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tds_new", "0014_answers")]

    operations = [migrations.AddField("gatewaypresence", "report_interval", models.DurationField(null=True))]
