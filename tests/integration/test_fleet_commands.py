"""`./tds tenant|user|gateway|token`: what each does, and one sentence for each way to get it wrong."""

import json
import os
import subprocess
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from typer import Typer
from typer.testing import CliRunner

from tds.environment import ROOT
from tds.fleet import tokens
from tds.fleet.commands import tenant_app, user_app
from tds.fleet.models import ApiToken, AuditEntry, Gateway, Membership, Tenant, User
from tds.fleet.token_commands import token_app
from tds.gateway_commands import gateway_app
from tests import seeding
from tests.running import free_port

pytestmark = pytest.mark.django_db

# As `tds.cli` puts them together, but without setting up the Django that the tests run in a second time.
APP: Final = Typer()
for name, group in (("tenant", tenant_app), ("user", user_app), ("gateway", gateway_app), ("token", token_app)):
    APP.add_typer(group, name=name)
PASSWORD: Final = "seis palavras longas que ninguém usa"


def tds(*words: str, stdin: str | None = None) -> Any:
    """A command in this process: its exit code, what it printed, and where."""
    return CliRunner().invoke(APP, words, input=stdin, prog_name="tds")


def done(*words: str, stdin: str | None = None) -> Any:
    """What a script reads of a command that went well."""
    result = tds(*words, "--json", stdin=stdin)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    assert result.stdout.count("\n") == 1
    return json.loads(result.stdout)


def refused(*words: str, stdin: str | None = None, code: int = 1) -> str:
    """The sentence of a command that did not go; with --json it is the same one."""
    before = rows()
    said = set()
    for more in ([], ["--json"]):
        result = tds(*words[:2], *more, *words[2:], stdin=stdin)
        assert isinstance(result.exception, SystemExit), result.exception
        assert (result.exit_code, result.stdout) == (code, ""), result.output
        assert "Traceback" not in result.stderr
        said.add(result.stderr)
    [sentence] = said
    assert rows() == before
    if code == 1:
        assert sentence.count("\n") == 1, sentence
    return str(sentence)


def rows() -> list[Any]:
    models = (Tenant, User, Membership, Gateway, ApiToken)
    return [list(model._default_manager.order_by("pk").values()) for model in models]


@pytest.fixture
def acme() -> Tenant:
    return seeding.tenant("acme")


def test_a_tenant_is_made_and_its_name_is_the_slug_unless_one_is_given() -> None:
    assert done("tenant", "add", "acme") == {"slug": "acme", "name": "acme", "time_zone": "America/Sao_Paulo"}
    assert done("tenant", "add", "b-2", "--name", "Bê & Filhos", "--time-zone", "Asia/Kolkata") == {
        "slug": "b-2",
        "name": "Bê & Filhos",
        "time_zone": "Asia/Kolkata",
    }
    assert set(Tenant.objects.values_list("slug", flat=True)) >= {"acme", "b-2"}
    assert "./tds gateway add CODE --tenant c" in tds("tenant", "add", "c").stdout


@pytest.mark.parametrize("slug", ["", "a b", "é", "a/b", "a" * 51, "a\n"])
def test_a_slug_of_another_form_is_refused(slug: str) -> None:
    assert refused("tenant", "add", slug).startswith("slug: ")


def test_a_tenant_that_is_there_is_refused(acme: Tenant) -> None:
    assert refused("tenant", "add", "acme").startswith("slug: ")


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "america/sao_paulo", "-03:00", "X" * 65])
def test_a_time_zone_that_does_not_exist_is_refused(zone: str) -> None:
    assert refused("tenant", "add", "acme", "--time-zone", zone).startswith("time_zone: ")


def test_a_person_is_made_with_the_password_of_the_first_line(acme: Tenant) -> None:
    words = ("user", "add", "ana", "--tenant", "acme", "--role", "operator", "--password-stdin")
    assert done(*words, stdin=f"{PASSWORD}\r\nmore\n") == {"user": "ana", "tenant": "acme", "role": "operator"}
    user = User.objects.get(username="ana")
    assert user.check_password(PASSWORD)
    assert (user.is_staff, user.is_superuser) == (False, False)
    assert [(m.tenant, m.role) for m in user.memberships.all()] == [(acme, "operator")]


def test_a_person_who_is_there_keeps_the_password_and_gets_the_new_role(acme: Tenant) -> None:
    seeding.person("ana", acme)
    seeding.tenant("outra")
    done("user", "add", "ana", "--tenant", "acme", "--role", "admin")
    done("user", "add", "ana", "--tenant", "outra")
    user = User.objects.get(username="ana")
    assert user.check_password("correct horse")
    assert {(m.tenant.slug, m.role) for m in user.memberships.all()} == {("acme", "admin"), ("outra", "viewer")}
    done("user", "add", "ana", "--tenant", "acme", "--password-stdin", stdin=PASSWORD)
    assert User.objects.get(username="ana").check_password(PASSWORD)


@pytest.mark.parametrize("stdin", ["", "\n", "\r\n", "\nthe second line\n"])
def test_a_password_that_does_not_come_is_refused(acme: Tenant, stdin: str) -> None:
    said = refused("user", "add", "ana", "--tenant", "acme", "--password-stdin", stdin=stdin)
    assert said.startswith("Standard input holds no password;")


@pytest.mark.parametrize("password", ["abc", "12345678", "password", "ana-maria"])
def test_a_weak_password_is_taken_with_a_warning(acme: Tenant, password: str) -> None:
    # Whoever may run this owns the machine; a demonstration may well have a short password.
    result = tds("user", "add", "ana-maria", "--tenant", "acme", "--password-stdin", stdin=f"{password}\n")
    assert (result.exit_code, result.stdout) == (0, "ana-maria is viewer in acme.\n")
    assert result.stderr.startswith("Warning: the password is weak.")
    assert result.stderr.count("\n") == 1
    assert User.objects.get().check_password(password)


def test_a_new_person_needs_a_password(acme: Tenant) -> None:
    assert "--password-stdin" in refused("user", "add", "ana", "--tenant", "acme")


@pytest.mark.parametrize("role", ["owner", "", "Viewer"])
def test_a_role_that_does_not_exist_is_refused(acme: Tenant, role: str) -> None:
    words = ("user", "add", "ana", "--tenant", "acme", "--role", role, "--password-stdin")
    assert "viewer, operator, admin" in refused(*words, stdin=PASSWORD)


@pytest.mark.parametrize("name", ["", "a b", "a" * 151, "ana\n"])
def test_a_user_name_of_another_form_is_refused(acme: Tenant, name: str) -> None:
    words = ("user", "add", name, "--tenant", "acme", "--password-stdin")
    assert refused(*words, stdin=PASSWORD).startswith("username: ")


@pytest.mark.parametrize(
    "words",
    [
        ("user", "add", "ana", "--tenant", "nenhum", "--password-stdin"),
        ("gateway", "add", "GW-1", "--tenant", "nenhum"),
        ("gateway", "list", "--tenant", "nenhum"),
        ("token", "add", "--tenant", "nenhum"),
        ("token", "list", "--tenant", "nenhum"),
    ],
    ids=" ".join,
)
def test_a_tenant_that_does_not_exist_is_refused_with_the_way_to_make_it(words: tuple[str, ...]) -> None:
    assert refused(*words, stdin=PASSWORD) == "There is no tenant 'nenhum'; make it with: ./tds tenant add nenhum\n"


@pytest.mark.parametrize(
    "words",
    [("gateway", "disable"), ("gateway", "enable"), ("gateway", "retire"), ("token", "add", "--gateway")],
    ids=" ".join,
)
def test_a_gateway_that_does_not_exist_or_is_retired_is_refused(acme: Tenant, words: tuple[str, ...]) -> None:
    seeding.gateway(acme, "GW-1", status="retired", retired_at=timezone.now())
    for code in ("GW-1", "GW-2", "a'; --"):
        assert refused(*words, code) == f"There is no gateway {code!r}; ./tds gateway list shows all.\n"


def test_a_gateways_life_from_the_command_line(acme: Tenant) -> None:
    made = done("gateway", "add", "GW-1", "--tenant", "acme", "--name", "Portão", "--no-auto-devices")
    assert made == {
        "code": "GW-1",
        "tenant": "acme",
        "name": "Portão",
        "status": "active",
        "auto_devices": False,
        "last_seen_at": None,
        "retired_at": None,
        "retained_seen": False,
        "retained_seen_at": None,
    }
    assert done("gateway", "disable", "GW-1")["status"] == "disabled"
    assert done("gateway", "enable", "GW-1")["status"] == "active"
    retired = done("gateway", "retire", "GW-1")
    assert retired["status"] == "retired"
    assert abs(datetime.fromisoformat(retired["retired_at"]) - timezone.now()) < timedelta(minutes=1)
    # The code is free, and the history stays where it was.
    seeding.tenant("outra")
    assert done("gateway", "add", "GW-1", "--tenant", "outra")["tenant"] == "outra"
    listed = done("gateway", "list")
    assert [(row["tenant"], row["status"]) for row in listed] == [("acme", "retired"), ("outra", "active")]


def test_a_gateway_that_is_there_is_refused_whoever_has_it(acme: Tenant) -> None:
    seeding.gateway(seeding.tenant("outra"), "GW-1")
    said = refused("gateway", "add", "GW-1", "--tenant", "acme")
    assert said == (
        "Gateway GW-1 is registered already; codes are unique on the whole platform. "
        "If it changes owner, retire it first: ./tds gateway retire GW-1\n"
    )


@pytest.mark.parametrize("code", ["", "-GW", "GW 1", "GW/1", "GW+", "#", "é", "G" * 65, "GW-1\n"])
def test_a_code_of_another_form_is_refused(acme: Tenant, code: str) -> None:
    assert refused("gateway", "add", "--tenant", "acme", "--", code).startswith("code: ")


def test_gateways_are_listed_with_their_devices_and_what_to_look_at(acme: Tenant) -> None:
    assert "No gateway yet" in tds("gateway", "list").stdout
    assert done("gateway", "list") == []
    seeding.series(seeding.gateway(acme, "GW-2", retained_seen_at=timezone.now()), "D01", "t")
    seeding.gateway(seeding.tenant("outra"), "GW-1")
    listed = done("gateway", "list")
    assert [(row["code"], row["devices"], row["retained_seen"]) for row in listed] == [
        ("GW-1", 0, False),
        ("GW-2", 1, True),
    ]
    assert [row["code"] for row in done("gateway", "list", "--tenant", "acme")] == ["GW-2"]
    shown = tds("gateway", "list").stdout
    assert {"GW-1", "GW-2"} <= set(shown.replace("│", " ").split())


def everything_in_the_database() -> str:
    """Each row of each table, as text."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            found += [row[0] for row in cursor.fetchall()]
    return "\n".join(found)


@pytest.mark.parametrize("of", [("--tenant", "acme"), ("--gateway", "GW-1")], ids=" ".join)
def test_a_token_is_shown_once_and_kept_as_a_hash(acme: Tenant, of: tuple[str, str]) -> None:
    gateway = seeding.gateway(acme, "GW-1")
    result = tds("token", "add", *of, "--name", "forno")
    assert result.exit_code == 0
    # A script reads standard output, and nothing but the token may be there.
    secret = result.stdout.removesuffix("\n")
    assert len(secret) > 40
    assert "\n" not in secret
    assert secret not in result.stderr
    token = tokens.find(secret, now=timezone.now())
    assert token is not None
    assert (token.tenant, token.gateway) == (acme, gateway if "--gateway" in of else None)
    assert token.sha256 == sha256(secret.encode()).hexdigest()
    everything = everything_in_the_database()
    assert token.sha256 in everything
    assert secret not in everything
    assert secret[len(token.hint) :] not in everything


def test_a_password_is_in_the_database_as_a_hash_alone(acme: Tenant) -> None:
    done("user", "add", "ana", "--tenant", "acme", "--password-stdin", stdin=PASSWORD)
    assert PASSWORD not in everything_in_the_database()


def test_a_token_ends_after_a_year_unless_told_otherwise(acme: Tenant) -> None:
    now = timezone.now()
    for words, days in (((), 365), (("--days", "1"), 1), (("--days", "3650"), 3650)):
        document = done("token", "add", "--tenant", "acme", *words)
        assert sorted(document) == ["expires_at", "gateway", "number", "tenant", "token"]
        ends = datetime.fromisoformat(document["expires_at"])
        assert abs(ends - now - timedelta(days=days)) < timedelta(minutes=1)
        assert tokens.find(document["token"], now=ends - timedelta(seconds=1))
        assert not tokens.find(document["token"], now=ends)
    assert done("token", "add", "--tenant", "acme", "--days", "0")["expires_at"] is None


def test_a_token_is_revoked_at_once_and_once(acme: Tenant) -> None:
    made = done("token", "add", "--tenant", "acme", "--name", "forno")
    other = done("token", "add", "--tenant", "acme")
    revoked = done("token", "revoke", str(made["number"]))
    assert (revoked["number"], revoked["status"]) == (made["number"], "revoked")
    now = timezone.now()
    assert tokens.find(made["token"], now=now) is None
    assert tokens.find(other["token"], now=now)
    again = done("token", "revoke", str(made["number"]))
    assert again == revoked
    [entry] = AuditEntry.objects.filter(action="token.revoked")
    assert (entry.object_id, entry.actor) == (made["number"], "command line")


def test_a_token_that_does_not_exist_can_not_be_revoked(acme: Tenant) -> None:
    done("token", "add", "--tenant", "acme")
    assert refused("token", "revoke", "999999999") == "There is no token 999999999; ./tds token list shows all.\n"
    assert "Invalid value" in refused("token", "revoke", "0", code=2)
    assert "Invalid value" in refused("token", "revoke", "tds_abcd", code=2)


def test_tokens_are_listed_without_their_secrets(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "No token yet" in tds("token", "list").stdout
    seeding.gateway(acme, "GW-1")
    first = done("token", "add", "--gateway", "GW-1", "--name", "[bold]forno")
    second = done("token", "add", "--tenant", "acme", "--days", "1")
    ApiToken.objects.filter(pk=second["number"]).update(expires_at=timezone.now() - timedelta(seconds=1))
    seeding.tenant("other")
    done("token", "add", "--tenant", "other")
    rows = done("token", "list", "--tenant", "acme")
    assert [(row["number"], row["gateway"], row["status"]) for row in rows] == [
        (second["number"], None, "expired"),
        (first["number"], "GW-1", "valid"),
    ]
    assert len(done("token", "list")) == 3
    monkeypatch.setenv("COLUMNS", "200")
    shown = tds("token", "list", "--tenant", "acme").stdout
    assert "[bold]forno" in shown
    assert first["token"] not in shown + json.dumps(rows)


@pytest.mark.parametrize("words", [(), ("--tenant", "acme", "--gateway", "GW-1")], ids=["neither", "both"])
def test_a_token_is_for_a_gateway_or_for_a_tenant(acme: Tenant, words: tuple[str, ...]) -> None:
    seeding.gateway(acme, "GW-1")
    assert "either --gateway CODE or --tenant SLUG" in refused("token", "add", *words)


@pytest.mark.parametrize("days", ["-1", "3651", "x", "1.5", ""])
def test_a_token_for_another_number_of_days_is_refused(acme: Tenant, days: str) -> None:
    assert "--days" in refused("token", "add", "--tenant", "acme", "--days", days, code=2)


@pytest.mark.parametrize(
    "words",
    [("tenant", "add"), ("user", "add", "ana"), ("gateway", "add", "GW-1"), ("gateway", "disable")],
    ids=" ".join,
)
def test_what_is_left_out_is_named(words: tuple[str, ...]) -> None:
    assert "Missing" in refused(*words, code=2)


def shell(home: Path, *words: str, stdin: str = "", url: str = "") -> subprocess.CompletedProcess[str]:
    """`./tds` as a person runs it."""
    of = settings.DATABASES["default"]
    database = url or f"postgresql://{of['USER']}:{of['PASSWORD']}@{of['HOST']}:{of['PORT']}/{of['NAME']}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TDS_", "DJANGO_"))}
    return subprocess.run(
        [ROOT / "tds", *words],
        env=kept | {"TDS_HOME": str(home), "TDS_DATABASE_URL": database},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.django_db(transaction=True)
def test_a_whole_fleet_is_made_from_a_shell(tmp_path: Path) -> None:
    steps = [
        ("tenant", "add", "acme", "--name", "Acme"),
        ("user", "add", "ana", "--tenant", "acme", "--password-stdin"),
        ("gateway", "add", "GW-1", "--tenant", "acme"),
        ("token", "add", "--gateway", "GW-1"),
    ]
    for words in steps:
        result = shell(tmp_path, *words, "--json", stdin=f"{PASSWORD}\n")
        assert (result.returncode, result.stderr) == (0, "")
        json.loads(result.stdout)
    [token] = ApiToken.objects.all()
    assert (token.gateway, token.tenant.slug) == (Gateway.objects.get(code="GW-1"), "acme")
    again = shell(tmp_path, *steps[2])
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.startswith("Gateway GW-1 is registered already;")
    weak = shell(tmp_path, *steps[1], stdin="abc\n")
    # In one language, although Django has its half of the sentence in the pages' as well.
    assert weak.stderr.startswith("Warning: the password is weak. This password is too short.")


def test_a_database_that_is_away_is_one_sentence(tmp_path: Path) -> None:
    password = "secreta-de-verdade"
    away = f"postgresql://tds:{password}@127.0.0.1:{free_port()}/tds"
    result = shell(tmp_path, "gateway", "list", url=away)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert "./tds up" in result.stderr
    assert password not in result.stderr
