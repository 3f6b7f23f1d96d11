"""`tds gateway add|list|show`: registered, when no broker lets a former owner's in; and shown with their presence.

Of presence three facts are shown, each by itself.
"""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tds.fleet.commands import (
    Code,
    Json,
    TenantSlug,
    described,
    fail,
    find_gateway,
    find_tenant,
    iso,
    say,
    sentences,
)
from tds.fleet.counted import counted
from tds.fleet.tag_commands import gateway_app

if TYPE_CHECKING:
    from tds.devicelink.health import Health
    from tds.fleet.models import Gateway

__all__ = ["gateway_app"]

RETAINED = "sent a retained message"


@gateway_app.command("add")
def add_gateway(  # noqa: PLR0913  # each is an option of the command
    code: Code,
    *,
    tenant: TenantSlug,
    name: Annotated[str, typer.Option(help="Name for people.")] = "",
    auto_devices: Annotated[
        bool, typer.Option(help="Register devices on their first reading; otherwise they are quarantined.")
    ] = True,
    although_not_cut: Annotated[
        bool,
        typer.Option(
            "--although-not-cut",
            help="Register a former owner's code although a broker may still let that one's gateway in, as with one "
            "that is gone for good or that is not the platform's. Written down in the audit trail.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Register a gateway. A code that was another tenant's is free when every broker keeps that one's gateway out."""
    from django.utils import timezone

    from tds.fleet import audit, lifecycle
    from tds.fleet.models import Gateway
    from tds.identity.revocation import handover

    gateway = Gateway(tenant=find_tenant(tenant), code=code, name=name, auto_devices=auto_devices)
    with sentences(
        gateway_code_once=f"Gateway {code} is registered already; codes are unique on the whole platform. "
        f"If it changes owner, retire it first: ./tds gateway retire {code}"
    ):
        gateway.full_clean()
    in_the_way = handover.obstacles({code: gateway.tenant_id}, now=timezone.now()).get(code)
    if in_the_way and not although_not_cut:
        fail(in_the_way)
    # Who was in the way is not for the new owner, whose people read these entries.
    detail: audit.Detail | None = {"although_not_cut": "yes"} if in_the_way else None
    lifecycle.register(gateway, by=audit.COMMAND_LINE, detail=detail)
    say(described(gateway), f"Gateway {code} of {tenant} is registered.", as_json=as_json)


@gateway_app.command("list")
def list_gateways(
    *,
    tenant: Annotated[str, typer.Option(metavar="SLUG", help="Only this tenant's.")] = "",
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only those that have this tag. May be repeated: any of them."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List gateways: whether they are connected, when they were last heard, and what is worth a look."""
    from django.db.models import Count
    from django.utils import timezone

    from tds.devicelink import fleet_health
    from tds.devicelink.health import Session
    from tds.fleet import tags
    from tds.fleet.models import Device, Gateway
    from tds.fleet.probe import PROBE_TENANT

    registered = Gateway.objects.exclude(tenant__slug=PROBE_TENANT)
    gateways = registered.select_related("tenant").order_by("code", "id")
    if tenant:
        gateways = gateways.filter(tenant=find_tenant(tenant))
    if tag:
        gateways = gateways.filter(tags.having(tag))
    tags_of = tags.of(gateways.order_by())
    devices = dict(Device.objects.order_by().values_list("gateway_id").annotate(Count("id")))
    now = timezone.now()
    rows = [
        described(gateway)
        | {"devices": devices.get(gateway.pk, 0), "tags": tags_of.get(gateway.pk, [])}
        | _presence(gateway, health, now)
        for gateway, health in fleet_health.walk(gateways, now=now)
    ]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    if not rows:
        typer.echo("No gateway has that tag." if tag else "No gateway yet: ./tds gateway add CODE --tenant SLUG")
        return
    from rich.console import Console
    from rich.table import Column, Table

    from tds.devicelink import words

    names = ("code", "tenant", "status", "devices")
    columns = [Column(name, overflow="fold") for name in (*names, "session", "message", "reading")]
    table = Table(*columns, box=None, padding=(0, 2, 0, 0))
    for row in rows:
        seen = (_age(row["last_seen_at"], now), _age(row["last_reading_at"], now))
        session = words.SESSIONS[Session(row["session"])]
        table.add_row(*(str(row[name]) for name in names), session, *seen)
    Console().print(table)
    for row in rows:  # below: beside seven columns there is no room for sentences
        tagged = [f"tags {', '.join(row['tags'])}"] if row["tags"] else []
        if said := [*tagged, *row["notes"]]:
            typer.echo(f"{row['code']}: {'; '.join(said)}.")


@gateway_app.command("show")
def show_gateway(code: Code, *, as_json: Json = False) -> None:
    """Show one gateway: its session with the broker, its last message and its last reading."""
    from django.utils import timezone

    from tds.devicelink import fleet_health, words
    from tds.fleet import tags

    gateway, now = find_gateway(code), timezone.now()
    health = fleet_health.of([gateway], now=now)[gateway.pk]
    has = {"devices": gateway.devices.count(), "tags": tags.of([gateway.pk])[gateway.pk]}
    document = described(gateway) | has | _presence(gateway, health, now)
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    lines = {
        "Gateway": f"{code}, {gateway.status}, of {gateway.tenant.slug}, {counted(document['devices'], 'device')}",
        "Session": words.sentence(health, now=now),
        "Last message": _told(gateway.last_seen_at, now, "No message of it has come yet."),
        "Last reading": _told(gateway.last_reading_at, now, "No reading of it has been stored yet."),
        "Firmware": health.firmware,
        "Tags": ", ".join(document["tags"]),
        "Notes": "; ".join(document["notes"]),
    }
    for name, text in lines.items():
        if text:
            typer.echo(f"{name + ':':<14}{text}")


def _presence(gateway: "Gateway", health: "Health", now: datetime) -> dict[str, Any]:
    from tds.devicelink import words

    off = health.clock_off
    return {
        "session": str(health.session),
        "online": health.online,
        "presence_since": iso(health.since),
        "presence_since_exact": health.since_exact,
        "broker": health.broker or None,
        "firmware": health.firmware or None,
        "last_reading_at": iso(gateway.last_reading_at),
        "silent_since": iso(health.silent_since),
        "clock_off_s": None if off is None else round(off.total_seconds()),
        "troubles": [str(trouble) for trouble in health.troubles],
        "notes": [*words.notes(health, now=now), *([RETAINED] if gateway.retained_seen_at else [])],
    }


def _told(at: datetime | None, now: datetime, otherwise: str) -> str:
    from tds.devicelink import words

    return f"{words.moment(at)} ({words.ago(at, now=now)})" if at else otherwise


def _age(at: str | None, now: datetime) -> str:
    from tds.devicelink import words

    return words.ago(datetime.fromisoformat(at), now=now) if at else "never"
