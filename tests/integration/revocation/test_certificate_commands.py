"""`./tds gateway disable|enable|retire` with brokers to wait for, and `./tds certificate`."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from typer import Context, Typer
from typer.testing import CliRunner

from tds.fleet.models import AuditEntry, Gateway, GatewayStatus, Tenant
from tds.gateway_commands import gateway_app
from tds.identity.authorities import keys
from tds.identity.authorities.authority import Authority
from tds.identity.authorities.folder import AuthorityFolder
from tds.identity.issued import issuing
from tds.identity.issued.certificate_commands import certificate_app
from tds.identity.models import BrokerAccess, Certificate, How, RevocationList
from tds.identity.revocation import in_force
from tests import seeding
from tests.certified import Unit, gets_in, session
from tests.revoking import PROMISE_S, give, guarded, provision
from tests.running import RunningBroker

pytestmark = pytest.mark.django_db(transaction=True)


# Commands


def tds(*words: str, follow: Callable[[Gateway], object] = in_force.follow) -> Any:
    """A command as `tds.cli` puts it together."""

    def load(context: Context) -> None:
        context.obj = follow

    app = Typer()
    app.add_typer(gateway_app, name="gateway", callback=load)
    app.add_typer(certificate_app, name="certificate", callback=load)
    return CliRunner().invoke(app, words, prog_name="tds")


def test_the_commands_wait_for_the_broker_and_say_how_long_it_took(
    broker: RunningBroker, authorities: AuthorityFolder, unit: Unit, acme: Tenant
) -> None:
    seeding.gateway(acme, "GW-BARE")
    with guarded(broker, authorities), session(unit, broker) as cut:
        done = tds("gateway", "disable", "GW-1")
        assert re.fullmatch(r"Gateway GW-1 is disabled: cut off after \d\.\d\d? s\.\n", done.stdout), done.output
        assert cut.ended.is_set()
        done = tds("gateway", "enable", "GW-1")
        assert re.fullmatch(r"Gateway GW-1 is active: let in after \d\.\d\d? s\.\n", done.stdout), done.output
        assert gets_in(unit, broker)
        document = json.loads(tds("gateway", "disable", "GW-1", "--json").stdout)
        assert (document["in_force"], document["trouble"]) == (True, "")
        assert document["in_force_after_s"] < PROMISE_S
        # One without a certificate has nothing that a broker could refuse.
        assert tds("gateway", "disable", "GW-BARE").stdout == "Gateway GW-BARE is disabled.\n"
        assert json.loads(tds("gateway", "enable", "GW-BARE", "--json").stdout)["in_force"] is None


def test_a_command_that_nobody_acts_on_says_who_should_and_what_to_do(gateway: Gateway, unit: Unit) -> None:
    @dataclass
    class Impatient:
        following: in_force.Following

        def wait(self) -> in_force.Outcome:
            return self.following.wait(limit_s=0.1)

    def impatient(of: Gateway) -> Impatient:
        return Impatient(in_force.follow(of))

    said = tds("gateway", "disable", "GW-1", follow=impatient).stdout
    assert said == (
        "Gateway GW-1 is disabled, but the brokers have not taken it within 0 s, and go on trying: "
        "the worker has not signed a new revocation list; see ./tds status.\n"
    )
    Certificate.objects.update(listed_in=1)
    RevocationList.objects.create(
        issuer="device-1",
        revision=1,
        this_update=timezone.now(),
        next_update=timezone.now(),
        pem="",
        anchor="",
        canary="",
    )
    assert "no broker's agent has ever run; start it" in tds("gateway", "disable", "GW-1", follow=impatient).stdout
    BrokerAccess.objects.create(broker="broker-2", applied_at=timezone.now(), as_of=timezone.now(), detail="It sleeps.")
    said = tds("gateway", "disable", "GW-1", follow=impatient).stdout
    assert said.endswith("go on trying: broker-2: It sleeps.\n")
    assert tds("gateway", "enable", "GW-1", "--no-wait").stdout == "Gateway GW-1 is active.\n"


def test_certificates_are_listed_and_one_is_revoked_with_its_reason_in_the_audit_trail(
    *, gateway: Gateway, unit: Unit, acme: Tenant, tmp_path: Path, device: Authority, broker: RunningBroker
) -> None:
    ending = seeding.gateway(acme, "GW-2")
    provision(tmp_path, device, ending, broker, now=timezone.now() - timedelta(days=720))
    renewed = seeding.gateway(acme, "GW-3")
    provision(tmp_path, device, renewed, broker, now=timezone.now() - timedelta(days=720))
    provision(tmp_path, device, renewed, broker)
    rows = json.loads(tds("certificate", "list", "--json").stdout)
    assert [row["gateway"] for row in rows] == ["GW-2", "GW-3", "GW-1", "GW-3"]
    assert {row["state"] for row in rows} == {"good"}
    [row] = json.loads(tds("certificate", "list", "--expiring", "30", "--json").stdout)
    assert row["gateway"] == "GW-2"
    [row] = json.loads(tds("certificate", "list", "--gateway", "GW-1", "--json").stdout)
    assert len(row["serial"]) == 40
    typed = ":".join(re.findall("..", row["serial"].upper()))
    done = tds("certificate", "revoke", typed, "--reason", "keyCompromise", "--no-wait")
    assert done.stdout == f"Certificate {row['serial']} of gateway GW-1 is revoked.\n"
    [row] = json.loads(tds("certificate", "list", "--gateway", "GW-1", "--json").stdout)
    assert (row["state"], row["reason"]) == ("revoked", "keyCompromise")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.object_name, entry.detail["serial"]) == ("certificate.revoked", "GW-1", row["serial"])
    said = tds("certificate", "list").stdout.splitlines()
    assert f"{row['serial']}  GW-1  device-1   until {row['not_after'][:10]}  revoked" in said
    give(gateway, GatewayStatus.DISABLED)
    Certificate.objects.update(revoked_at=None)
    [row] = json.loads(tds("certificate", "list", "--gateway", "GW-1", "--json").stdout)
    assert row["state"] == "gateway disabled"


def test_what_a_thief_renewed_with_a_stolen_certificate_is_named_and_revoked_with_it(
    gateway: Gateway, unit: Unit, device: Authority
) -> None:
    stolen, public = Certificate.objects.get(), keys.new_key().public_key()
    for _ in range(2):
        issuing.issue(device, gateway, public, How.RENEWAL, now=timezone.now())
    renewed = [each.serial for each in Certificate.objects.order_by("id")[1:]]
    words = ("certificate", "revoke", stolen.serial, "--reason", "keyCompromise")
    said = tds(*words, "--no-wait").stdout
    assert said == (
        f"Certificate {stolen.serial} of gateway GW-1 is revoked. Whoever had it may have renewed with it: still good "
        f"are {', '.join(renewed)}. To revoke that as well: ./tds {' '.join(words)} --with-renewed\n"
    )
    assert Certificate.objects.filter(revoked_at=None).count() == 2
    document = json.loads(tds(*words, "--with-renewed", "--no-wait", "--json").stdout)
    assert (document["also_revoked"], document["left"]) == (renewed, [])
    assert not Certificate.objects.filter(revoked_at=None).exists()
    entries = AuditEntry.objects.filter(action="certificate.revoked").order_by("id")
    assert [entry.detail["serial"] for entry in entries] == [stolen.serial, *renewed]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("revoke", "00", "--reason", "keyCompromise"), "There is no certificate '00'; "),
        (("revoke", "00", "--reason", "because"), "--reason is 'because'; use one of: keyCompromise, "),
        (("list", "--gateway", "GW-9"), "There is no gateway 'GW-9'; "),
    ],
)
def test_what_can_not_be_done_to_a_certificate_is_a_sentence(words: tuple[str, ...], sentence: str) -> None:
    done = tds("certificate", *words)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(sentence)


def test_without_a_certificate_the_list_says_how_to_get_one() -> None:
    assert "./tds provision" in tds("certificate", "list").stdout
