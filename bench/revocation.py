"""How fast gateways are put out at 10,000 registered ones, and what their lists cost the broker."""

import contextlib
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psycopg
from cryptography.hazmat.primitives import serialization

from bench.figures import Figure
from bench.platform import TENANT, Platform
from tds.identity.authorities import keys
from tds.identity.authorities.authority import fingerprint_text, serial_text
from tds.identity.authorities.folder import AuthorityFolder
from tests import certified
from tests.certified import Session, Unit

REGISTERED: Final = 10_000
AT_ONCE: Final = 20
ROUNDS: Final = 5
ONE_BY_ONE: Final = 60
PROMISE_S: Final = 5.0
RETRY_S: Final = 0.2
CODE: Final = "REVOKE-"


def measure(platform: Platform) -> list[Figure]:
    home, broker_pid = Path(platform.environment["TDS_HOME"]), platform.ready["processes"]["broker"]
    with platform.database() as connection, tempfile.TemporaryDirectory() as folder:
        [(tenant_id,)] = connection.execute("SELECT id FROM tds_new_tenant WHERE slug = %s", (TENANT,)).fetchall()
        empty = certified.resident_mib(broker_pid)
        certified.register(connection, tenant_id, REGISTERED, refused=0)
        units = [_unit(connection, home, Path(folder), tenant_id, number) for number in range(AT_ONCE + 1)]
        *victims, bystander = units
        port = int(platform.environment["TDS_MQTT_TLS_PORT"])
        with contextlib.closing(_Others(bystander, port)) as others:
            rounds = [_round(connection, victims, port) for _ in range(ROUNDS)]
            half = _disable_half(connection)
            full = certified.resident_mib(broker_pid)
            with_list = [_round(connection, victims, port) for _ in range(ROUNDS)]
            before = certified.resident_mib(broker_pid)
            _one_by_one(connection, victims[0], port)
            after = certified.resident_mib(broker_pid)
            undisturbed = others.session.ups == 1 and not others.session.ended.is_set()
    cut, back = zip(*rounds, strict=True)
    cut_again, _ = zip(*with_list, strict=True)
    return [
        Figure(f"{AT_ONCE} of {REGISTERED:,} gateways put out at once: until the last is cut off", cut, "s", "≤ 5 s")
        .judged(max(cut) <= PROMISE_S and undisturbed),
        Figure("the same with 5,000 on the list", cut_again, "s", "≤ 5 s").judged(max(cut_again) <= PROMISE_S),
        Figure(f"{AT_ONCE} enabled again: until the last is let in", back, "s", "≤ 5 s").judged(max(back) <= PROMISE_S),
        Figure("5,000 of 10,000 disabled in one statement: until in force", (half,), "s"),
        Figure("memory of the broker, before anybody was put out", (empty,), "MiB"),
        Figure("memory of the broker with 5,000 on its list", (full,), "MiB"),
        Figure(f"the same after {ONE_BY_ONE} more lists, a session open since each", (after - before,), "MiB more"),
    ]  # fmt: skip


class _Others:
    """One that nobody puts out."""

    def __init__(self, unit: Unit, port: int) -> None:
        self.session = Session(unit, port).start()
        if not self.session.up.wait(PROMISE_S):
            raise RuntimeError("A gateway with a good certificate was not let in.")

    def close(self) -> None:
        self.session.stop()


def _unit(connection: psycopg.Connection[Any], home: Path, folder: Path, tenant_id: int, number: int) -> Unit:
    authority, key, now = AuthorityFolder(home / "ca").device(), keys.new_key(), datetime.now(UTC)
    code = f"{CODE}{number}"
    certificate = authority.issue_device(key.public_key(), code, now)
    connection.execute(
        """WITH made AS (
               INSERT INTO tds_new_gateway (tenant_id, code, name, status, auto_devices, created_at, family, hardware)
               VALUES (%s, %s, '', 'active', true, now(), '', '') RETURNING id)
           INSERT INTO tds_new_certificate (gateway_id, serial, issuer, fingerprint, how, not_before, not_after,
                                            issued_at, revocation_reason)
           SELECT id, %s, %s, %s, 'factory', %s, %s, now(), '' FROM made""",
        (
            tenant_id,
            code,
            serial_text(certificate),
            authority.name,
            fingerprint_text(certificate),
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
        ),
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM) + keys.pem(key)
    return Unit.write(folder, code, pem, home / "tls/server-ca.pem")


def _round(connection: psycopg.Connection[Any], victims: Sequence[Unit], port: int) -> tuple[float, float]:
    """Seconds until the last was cut off, and until the last was let in again."""
    sessions = [Session(unit, port).start() for unit in victims]
    if not all(session.up.wait(PROMISE_S) for session in sessions):
        raise RuntimeError("Not all gateways were let in.")
    codes = [unit.code for unit in victims]
    began = time.monotonic()
    _give(connection, codes, "disabled")
    if not all(session.ended.wait(2 * PROMISE_S) for session in sessions):
        raise RuntimeError("Not all gateways were cut off.")
    cut = max(session.ended_at for session in sessions) - began
    for session in sessions:
        session.stop()
    again = [Session(unit, port, retry_s=RETRY_S).start() for unit in victims]
    began = time.monotonic()
    _give(connection, codes, "active")
    if not all(session.up.wait(2 * PROMISE_S) for session in again):
        raise RuntimeError("Not all gateways were let in again.")
    back = time.monotonic() - began
    for session in again:
        session.stop()
    return cut, back


def _disable_half(connection: psycopg.Connection[Any]) -> float:
    began = time.monotonic()
    connection.execute("UPDATE tds_new_gateway SET status = 'disabled' WHERE code LIKE 'BULK-%' AND id % 2 = 0")
    _wait_in_force(connection, REGISTERED // 2)
    return time.monotonic() - began


def _one_by_one(connection: psycopg.Connection[Any], unit: Unit, port: int) -> None:
    """So many lists, between each of them a connection that stays: the broker keeps what it was made with."""
    with contextlib.ExitStack() as stack:
        for _ in range(ONE_BY_ONE):
            stack.enter_context(certified.opened_at(unit, port))
            connection.execute(
                """UPDATE tds_new_gateway SET status = 'disabled' WHERE id = (
                       SELECT id FROM tds_new_gateway WHERE code LIKE 'BULK-%' AND status = 'active' LIMIT 1)"""
            )
            _wait_in_force(connection, REGISTERED // 2)


def _give(connection: psycopg.Connection[Any], codes: Sequence[str], status: str) -> None:
    connection.execute("UPDATE tds_new_gateway SET status = %s WHERE code = ANY(%s)", (status, list(codes)))


def _wait_in_force(connection: psycopg.Connection[Any], at_least: int) -> None:
    deadline = time.monotonic() + 6 * PROMISE_S
    while time.monotonic() < deadline:
        [(listed, missing, behind)] = connection.execute(
            """SELECT count(*) FILTER (WHERE listed_in IS NOT NULL),
                      count(*) FILTER (WHERE listed_in IS NULL AND g.status <> 'active'),
                      (SELECT max(l.revision) FROM tds_new_revocationlist AS l)
                      <> (SELECT min(b.revision) FROM tds_new_brokeraccess AS b)
               FROM tds_new_certificate AS c JOIN tds_new_gateway AS g ON g.id = c.gateway_id"""
        ).fetchall()
        if listed >= at_least and not missing and not behind:
            return
        time.sleep(0.02)
    raise RuntimeError("The brokers did not take the lists.")
