"""What all tests share: a private database for Django's test runner, and a broker for who asks."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import hypothesis
import pytest
from django.conf import settings
from django.core.management.commands import flush
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import translation
from pytest_django import DjangoDbBlocker

from tds.readings import clock
from tests.running import PASSWORD, ROLE, RunningBroker, RunningCluster, running_broker, running_cluster

LEFT_ALONE: Final = frozenset({"auth_permission", "django_content_type"})


def pytest_configure() -> None:
    # A busy machine says nothing of a property, nor does the moment at which the first example is made.
    hypothesis.settings.register_profile("here", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
    hypothesis.settings.load_profile("here")
    # Neither a manifest of hashed files nor slow hashing says anything about the code under test.
    settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    # WhiteNoise warns when it is not there, and a warning fails a test.
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
    # The native store, which every machine has; the contract suite runs against the other as well.
    settings.TDS_STORE = os.environ.get("TDS_TEST_STORE", "native")
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="session")
def cluster() -> Iterator[RunningCluster]:
    """A real PostgreSQL, made for this run and gone after it."""
    with running_cluster() as running:
        yield running


@pytest.fixture(scope="session")
def django_db_modify_db_settings(cluster: RunningCluster) -> None:
    """pytest-django asks for this before it makes the test database: it goes into the private cluster."""
    settings.DATABASES["default"].update(
        HOST="127.0.0.1", PORT=str(cluster.port), USER=ROLE, PASSWORD=PASSWORD, NAME="tds"
    )


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Between tests Django empties all tables with TRUNCATE, which the audit trail refuses.

    Then it would write down anew which models and permissions there are, an eighth of all that the tests do: these two
    tables, which no test changes, are left as they are.
    """
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE tds_new_auditentry DISABLE TRIGGER tds_new_audit_is_not_emptied")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(flush, "sql_flush", emptying)
        patched.setattr(flush, "emit_post_migrate_signal", lambda *_about: None)
        yield


def emptying(style: Any, of: BaseDatabaseWrapper, **how: bool) -> list[str]:
    tables = of.introspection.django_table_names(only_existing=True, include_views=False)
    return of.ops.sql_flush(style, [table for table in tables if table not in LEFT_ALONE], **how)


@pytest.fixture(autouse=True)
def own_language() -> Iterator[None]:
    """Django keeps the language of the last request for the thread: the next test would speak it too."""
    yield
    translation.deactivate()


@pytest.fixture
def english() -> Iterator[None]:
    """As on the command line; the pages' default is Portuguese."""
    with translation.override("en"):
        yield


@pytest.fixture
def believed_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Days are dropped at whatever moment the test says that it is, also when it has readings of no other days."""
    monkeypatch.setattr(clock, "DAYS_SEEN", 0)


@pytest.fixture
def broker() -> Iterator[RunningBroker]:
    """A real mosquitto of this test alone; `broker.kill()`, `broker.start()`, `broker.restart()`, `broker.save()`."""
    with running_broker() as running:
        yield running
