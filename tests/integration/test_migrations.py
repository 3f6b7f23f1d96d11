"""A platform that has run for a while, brought up to date: what it had is there, and all that holds for a new one."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from tds import wiring
from tds.readings.store import Rows
from tests import seeding
from tests.migrating import Connection, database_of, migrate

pytestmark = pytest.mark.django_db(transaction=True)

NOW: Final = datetime.now(UTC).replace(microsecond=0)
OLD: Final = """
    INSERT INTO tds_new_tenant (id, slug, name, time_zone, created_at)
    SELECT n, 'tenant-' || n, 'Tenant ' || n, 'UTC', now() FROM generate_series(1, 2) AS n;
    INSERT INTO tds_new_user (id, username, password, is_superuser, is_staff, is_active, first_name, last_name, email,
                              date_joined)
    VALUES (3, 'ana', 'x', false, false, true, '', '', '', now());
    INSERT INTO tds_new_membership (user_id, tenant_id, role) VALUES (3, 1, 'admin');
    INSERT INTO tds_new_site (id, tenant_id, name) VALUES (4, 1, 'Galpão');
    INSERT INTO tds_new_gateway (id, tenant_id, site_id, code, name, status, retired_at, auto_devices, created_at)
    VALUES (7, 1, 4, 'GW-7', 'Portão', 'active', NULL, true, now()),
           (8, 1, NULL, 'GW-8', '', 'disabled', NULL, false, now()),
           (9, 1, NULL, 'GW-9', '', 'retired', now(), true, now()),
           (10, 2, NULL, 'GW-9', '', 'active', NULL, true, now()),
           (11, 2, NULL, 'tds-old', '', 'active', NULL, true, now());
    INSERT INTO tds_new_device (id, gateway_id, code, name, created_at) VALUES (20, 7, 'D01', 'Medidor', now());
    INSERT INTO tds_new_metric (id, tenant_id, tipo, unidade, kind, created_at)
    VALUES (30, 1, 'energia', 'kWh', 'counter', now());
    INSERT INTO tds_new_devicemetric (device_id, metric_id) VALUES (20, 30);
    INSERT INTO tds_new_apitoken (tenant_id, gateway_id, name, hint, sha256, created_at)
    VALUES (1, 7, 'coletor', 'tds_abcd', repeat('a', 64), now());
"""
# What each table had is compared column by column: whatever was added since is not asked for.
TABLES: Final = ("tenant", "user", "membership", "site", "gateway", "device", "metric", "devicemetric", "apitoken")


@pytest.fixture
def before(tmp_path: Path) -> Iterator[tuple[Connection, dict[str, str]]]:
    with database_of("0009", tmp_path) as (connection, variables):
        connection.execute(OLD)
        store = wiring.reading_store()
        store.prepare(connection, now=NOW)
        rows = Rows()
        for minute in range(90):
            rows.add(20, [30], NOW - timedelta(minutes=minute), [float(minute)])
        with connection.transaction():
            store.insert(connection, rows)
        yield connection, variables


def contents(connection: Connection) -> dict[str, list[Any]]:
    found = {}
    for table in TABLES:
        cursor = connection.execute(f"SELECT to_jsonb(t) FROM tds_new_{table} AS t ORDER BY 1")
        found[table] = [row[0] for row in cursor]
    found["readings"] = connection.execute("SELECT count(*), sum(value) FROM tds_new_leituradispositivo").fetchall()
    return found


def schema(connection: Connection) -> dict[str, set[tuple[Any, ...]]]:
    """All that holds: columns, constraints, indexes, triggers. Partitions are of days, and differ; Django's cache is no
    matter of migrations."""
    ours = "c.relname LIKE 'tds\\_new\\_%' AND c.relname <> 'tds_new_cache' AND NOT c.relispartition"
    asked = {
        "columns": f"""SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                              pg_get_expr(d.adbin, d.adrelid)
                       FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
                       LEFT JOIN pg_attrdef AS d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
                       WHERE {ours} AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped""",
        "constraints": f"""SELECT c.relname, n.conname, pg_get_constraintdef(n.oid), n.convalidated
                           FROM pg_constraint AS n JOIN pg_class AS c ON c.oid = n.conrelid WHERE {ours}""",
        "indexes": f"""SELECT c.relname, pg_get_indexdef(i.indexrelid), i.indisvalid
                       FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid WHERE {ours}""",
        "triggers": f"""SELECT c.relname, pg_get_triggerdef(t.oid), pg_get_functiondef(t.tgfoid)
                        FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
                        WHERE {ours} AND NOT t.tgisinternal""",
    }
    return {name: set(connection.execute(query).fetchall()) for name, query in asked.items()}


def test_what_a_platform_has_survives_all_migrations_and_every_constraint_holds(
    before: tuple[Connection, dict[str, str]],
) -> None:
    connection, variables = before
    had = contents(connection)
    assert had["readings"][0][0] == 90

    migrate(variables)

    has = contents(connection)
    for table in TABLES:
        kept = [
            {name: row[name] for name in old}
            for old, row in zip(had[table], by_id(has[table], had[table]), strict=True)
        ]
        assert kept == had[table], table
    assert has["readings"] == had["readings"]
    with seeding.own_connection() as fresh:
        for what, expected in schema(fresh).items():
            assert schema(connection)[what] == expected, what
    assert not [row for row in schema(connection)["constraints"] if not row[-1]]


def by_id(rows: list[Any], order: list[Any]) -> list[Any]:
    """Rows with more columns sort otherwise."""
    found = {row["id"]: row for row in rows}
    return [found[row["id"]] for row in order]


def test_the_rules_of_today_hold_for_gateways_of_before(before: tuple[Connection, dict[str, str]]) -> None:
    connection, variables = before
    migrate(variables)
    migrate(variables)  # as at every start
    certificate = """INSERT INTO tds_new_certificate
        (gateway_id, serial, issuer, fingerprint, how, not_before, not_after, issued_at, revocation_reason)
        VALUES (7, repeat('ab', 20), 'device-1', '', 'claim', now(), now(), now(), '')"""
    connection.execute(certificate)
    connection.execute("UPDATE tds_new_gateway SET status = 'retired', retired_at = now() WHERE id = 7")
    row = connection.execute("SELECT revocation_reason, revoked_at IS NOT NULL FROM tds_new_certificate").fetchone()
    assert row == ("cessationOfOperation", True)
    connection.execute("INSERT INTO tds_new_tag (id, tenant_id, name, folded) VALUES (40, 2, 'norte', 'norte')")
    of_another = "INSERT INTO tds_new_gatewaytag (tenant_id, gateway_id, tag_id) VALUES (%s, 8, 40)"
    for statement, refusal in (
        (of_another % 1, psycopg.errors.ForeignKeyViolation),
        (of_another % 2, psycopg.errors.ForeignKeyViolation),
        (certificate, psycopg.errors.UniqueViolation),
        ("UPDATE tds_new_gateway SET retired_at = now() WHERE id = 8", psycopg.errors.CheckViolation),
        ("UPDATE tds_new_gateway SET code = 'GW-8' WHERE id = 10", psycopg.errors.UniqueViolation),
        ("DELETE FROM tds_new_gateway WHERE id = 7", psycopg.errors.ForeignKeyViolation),
        ("DELETE FROM tds_new_auditentry", psycopg.errors.InsufficientPrivilege),
    ):
        with pytest.raises(refusal):  # in a transaction of its own: Django's foreign keys wait for the commit
            connection.execute(statement)
