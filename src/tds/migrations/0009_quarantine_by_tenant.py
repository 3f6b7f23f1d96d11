"""A bucket of quarantine is a tenant's: what its tokens bring without a code, nobody else pushes out.

Topics and sentences count among its bytes from now on.
"""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

# What can break before a gateway's code is read; else a token did not get so far.
WITHOUT_A_CODE = ("not_json", "too_large", "missing_field")

BUCKETS_OF_GATEWAYS = """
    UPDATE tds_new_quarantinecount AS c SET tenant_id = g.tenant_id FROM tds_new_gateway AS g
    WHERE g.id = c.gateway_id AND c.reason <> 'previous_owner'"""

BUCKETS_OF_TOKENS = """
    WITH moved AS (
        INSERT INTO tds_new_quarantinecount (reason, tenant_id, total, kept, kept_bytes, last_at)
        SELECT reason, tenant_id, count(*) FILTER (WHERE replayed_at IS NULL), count(*), sum(octet_length(payload)),
               max(received_at)
        FROM tds_new_quarantinedmessage WHERE gateway_id IS NULL AND tenant_id IS NOT NULL GROUP BY 1, 2
        RETURNING reason, total, kept, kept_bytes
    ), sums AS (
        SELECT reason, sum(total) AS total, sum(kept) AS kept, sum(kept_bytes) AS kept_bytes FROM moved GROUP BY 1)
    UPDATE tds_new_quarantinecount AS c SET total = c.total - sums.total, kept = c.kept - sums.kept,
        kept_bytes = c.kept_bytes - sums.kept_bytes
    FROM sums WHERE sums.reason = c.reason AND c.gateway_id IS NULL AND c.tenant_id IS NULL"""

MISSING = """
    SELECT l.tenant_id, l.n - COALESCE(c.n, 0)
    FROM (SELECT tenant_id, sum(quarantined)::int8 AS n FROM (
              SELECT tenant_id, quarantined FROM tds_new_ledgerhour
              UNION ALL SELECT tenant_id, quarantined FROM tds_new_ledgerday) AS spans GROUP BY 1) AS l
    LEFT JOIN (SELECT tenant_id, sum(total)::int8 AS n FROM tds_new_quarantinecount GROUP BY 1) AS c USING (tenant_id)
    WHERE l.tenant_id IS NOT NULL AND l.n > COALESCE(c.n, 0) ORDER BY 1"""

STRANGERS = """
    SELECT c.reason, c.total - waiting.n, c.last_at
    FROM tds_new_quarantinecount AS c CROSS JOIN LATERAL (
        SELECT count(*) AS n FROM tds_new_quarantinedmessage AS m
        WHERE m.reason = c.reason AND m.gateway_id IS NULL AND m.tenant_id IS NULL AND m.replayed_at IS NULL) AS waiting
    WHERE c.gateway_id IS NULL AND c.tenant_id IS NULL AND c.total > waiting.n
    ORDER BY c.reason = ANY(%s) DESC, 2 DESC, 1"""

BYTES = """
    UPDATE tds_new_quarantinecount AS c SET kept_bytes = m.size
    FROM (SELECT reason, COALESCE(gateway_id, 0) AS gateway, COALESCE(tenant_id, 0) AS tenant,
                 sum(octet_length(payload) + octet_length(topic) + octet_length(detail)) AS size
          FROM tds_new_quarantinedmessage GROUP BY 1, 2, 3) AS m
    WHERE m.reason = c.reason AND m.gateway = COALESCE(c.gateway_id, 0) AND m.tenant = COALESCE(c.tenant_id, 0)"""

MOVE = """
    WITH given AS (
        UPDATE tds_new_quarantinecount SET total = total - %(n)s
        WHERE reason = %(reason)s AND gateway_id IS NULL AND tenant_id IS NULL)
    INSERT INTO tds_new_quarantinecount AS c (reason, tenant_id, total, kept, kept_bytes, last_at)
    VALUES (%(reason)s, %(tenant)s, %(n)s, 0, 0, %(last_at)s)
    ON CONFLICT (reason, gateway_id, tenant_id) DO UPDATE SET total = c.total + EXCLUDED.total"""


def divide_buckets(_apps: Any, editor: Any) -> None:
    connection = editor.connection.connection
    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")  # rows that wait to be checked would forbid the indexes to come
    connection.execute(BUCKETS_OF_GATEWAYS)
    connection.execute(BUCKETS_OF_TOKENS)
    # Those that are not kept any more: how many they were of a tenant only the ledger knows, and nobody of which
    # reason. The sums by tenant are right, as `ledger check` wants them.
    for tenant, missing in connection.execute(MISSING).fetchall():
        left = missing
        for reason, spare, last_at in connection.execute(STRANGERS, (list(WITHOUT_A_CODE),)).fetchall():
            n = min(left, spare)
            if n:
                connection.execute(MOVE, {"n": n, "reason": reason, "tenant": tenant, "last_at": last_at})
                left -= n
    connection.execute(BYTES)


class Migration(migrations.Migration):
    dependencies = [("tds_new", "0008_hours_by_series")]

    operations = [
        migrations.RemoveConstraint(model_name="quarantinecount", name="quarantine_count_once"),
        migrations.RemoveIndex(model_name="quarantinedmessage", name="quarantine_bucket"),
        migrations.AddField(
            model_name="quarantinecount",
            name="tenant",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tds_new.tenant"
            ),
        ),
        migrations.AddField(model_name="quarantinedmessage", name="counted_at", field=models.DateTimeField(null=True)),
        migrations.AddConstraint(
            model_name="quarantinecount",
            constraint=models.UniqueConstraint(
                fields=("reason", "gateway", "tenant"), name="quarantine_count_once", nulls_distinct=False
            ),
        ),
        migrations.AddIndex(
            model_name="quarantinedmessage",
            index=models.Index(fields=["reason", "gateway", "tenant", "id"], name="quarantine_bucket"),
        ),
        migrations.RunPython(divide_buckets, migrations.RunPython.noop),
    ]
