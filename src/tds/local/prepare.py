"""What must be in the database and on disk before the web starts. A program of its own: Django's memory is freed.

Every step asks first whether it is still to be done: a warm start costs one look each.
"""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import django
from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from tds.environment import Mode, kept_secret
from tds.identity.access import reached
from tds.identity.authorities.folder import AuthorityFolder, FolderUnusableError
from tds.identity.authorities.keys import KeyUnusableError
from tds.local.prepared import (
    ADMIN,
    ADMIN_SECRET,
    ADMIN_SECRET_BYTES,
    DEMO,
    DEMO_BOX,
    DEMO_FAMILIES,
    DEMO_GATEWAYS,
    RELEASE_KEYS,
)
from tds.processes import broker_name
from tds.updates.folders import UpdatesFolder, roots_text
from tds.updates.signed.refusal import DocumentRefusedError


def migrate() -> None:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=1)
    call_command("createcachetable")


def collect_static() -> None:
    stamp = Path(settings.STATIC_ROOT).with_name("static.stamp")
    now = sha256("\n".join(static_files()).encode()).hexdigest()
    with contextlib.suppress(OSError):
        if stamp.read_text(encoding="ascii") == now and Path(settings.STATIC_ROOT).is_dir():
            return
    call_command("collectstatic", interactive=False, clear=True, verbosity=1)
    stamp.write_text(now, encoding="ascii")


def static_files() -> Iterator[str]:
    yield settings.STORAGES["staticfiles"]["BACKEND"]
    for finder in get_finders():
        for path, storage in finder.list([]):
            found = Path(storage.path(path)).stat()
            yield f"{getattr(storage, 'prefix', '')} {path} {found.st_size} {found.st_mtime_ns}"


def ensure_admin() -> None:
    """The first platform operator. Made once: a password that a person changed later stays changed."""
    from django.db import transaction

    from tds.fleet import audit
    from tds.fleet.models import AuditAction, User

    if not User.objects.filter(username=ADMIN).exists():
        password = kept_secret(settings.ENV.home, ADMIN_SECRET, ADMIN_SECRET_BYTES)
        with transaction.atomic():
            admin = User.objects.create_superuser(ADMIN, password=password)
            audit.note(AuditAction.PERSON_ADDED, admin, by=audit.COMMAND_LINE)


def ensure_demo() -> None:
    """Something to look at. Its only person is the admin above: there is no well-known password."""
    from django.db import transaction

    from tds.fleet import audit, lifecycle, people
    from tds.fleet.models import AuditAction, Gateway, Role, Tenant, User

    with transaction.atomic():
        tenant, made = Tenant.objects.get_or_create(slug=DEMO, defaults={"name": "Demo"})
        if made:
            audit.note(AuditAction.TENANT_ADDED, tenant, by=audit.COMMAND_LINE)
        admin = User.objects.get(username=ADMIN)
        if not admin.memberships.filter(tenant=tenant).exists():
            people.give_role(admin, tenant, Role.ADMIN, by=audit.COMMAND_LINE)
        for code, family in DEMO_FAMILIES.items():
            if not Gateway.objects.filter(code=code).exists():
                lifecycle.register(Gateway(tenant=tenant, code=code, family=family), by=audit.COMMAND_LINE)


def fill_demo_box() -> None:
    """Each of its gateways comes in by a certificate. Without an authority the broker is somebody else's."""
    from tds.fleet.models import Gateway
    from tds.local import demo_box

    authorities = AuthorityFolder(settings.ENV.ca_folder)
    if authorities.exists():
        gateways = Gateway.objects.filter(tenant__slug=DEMO, code__in=DEMO_GATEWAYS).order_by("code")
        roots = UpdatesFolder(settings.ENV.home / "updates").roots()
        demo_box.fill(settings.ENV.home / DEMO_BOX, authorities, gateways, datetime.now(UTC), roots_text(roots))


def ensure_desk_keys() -> None:
    """On a desk releases can be signed and rolled out without a ceremony. Production is asked to hold one."""
    from tds.updates.releases import trust_sets

    if settings.ENV.mode is Mode.DEVELOPMENT:
        home = settings.ENV.home
        trust_sets.ensure_desk(home / RELEASE_KEYS, UpdatesFolder(home / "updates"), datetime.now(UTC))


def expect_brokers() -> None:
    """Those of this machine: a gateway that is put out counts as cut off when each of them has said so."""
    names = [broker_name(number) for number in range(1, len(settings.ENV.mqtt_urls) + 1)]
    made = [name for name in names if (settings.ENV.home / name).is_dir()]
    if not settings.ENV.mqtt_urls_given:
        connection.ensure_connection()
        reached.expect(connection.connection, made)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--demo", action="store_true")
    options = parser.parse_args()
    django.setup()
    migrate()
    collect_static()
    expect_brokers()
    with transaction.atomic():
        ensure_admin()
        try:
            ensure_desk_keys()
            if options.demo:
                ensure_demo()
                fill_demo_box()
        except (FolderUnusableError, KeyUnusableError, DocumentRefusedError) as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main()
