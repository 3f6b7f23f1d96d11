"""A database as an older version left it, to be brought up to date by `manage.py migrate`."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings

from tds.environment import ROOT
from tests import seeding
from tests.consuming import database_url, environment

Connection = psycopg.Connection[Any]


@contextmanager
def database_of(version: str, folder: Path) -> Iterator[tuple[Connection, dict[str, str]]]:
    """A database of its own with the schema of that migration, and the environment of who migrates it."""
    url = f"{database_url()}_before"
    name = url.rpartition("/")[2]
    variables = environment(folder, TDS_DATABASE_URL=url, TDS_STORE=settings.TDS_STORE)
    with seeding.own_connection() as own:
        own.execute(f"CREATE DATABASE {name}")
        try:
            migrate(variables, "tds_new", version)
            with psycopg.connect(url, autocommit=True) as connection:
                yield connection, variables
        finally:
            # Without FORCE, which an owner may not use while autovacuum is in it: a plain one ends that by itself.
            own.execute(f"DROP DATABASE {name}")


def migrate(variables: dict[str, str], *words: str) -> None:
    command = [sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity", "0", *words]
    subprocess.run(command, env=variables, check=True, timeout=120)
