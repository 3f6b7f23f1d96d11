"""`tds metric`: how the readings of a metric become one value an hour, from the command line."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tds.fleet.commands import Json, TenantSlug, fail, find_tenant, say, sentences

if TYPE_CHECKING:
    from tds.fleet.models import Metric, Tenant

metric_app = typer.Typer(no_args_is_help=True, help="What gateways measure, and how an hour of it becomes one value.")


@metric_app.command("list")
def list_metrics(
    *,
    tenant: Annotated[str, typer.Option(metavar="SLUG", help="Only this tenant's.")] = "",
    as_json: Json = False,
) -> None:
    """List metrics: they are made with their first reading."""
    from tds.fleet.models import Metric

    metrics = Metric.objects.select_related("tenant").order_by("tenant__slug", "tipo", "unidade", "id")
    if tenant:
        metrics = metrics.filter(tenant=find_tenant(tenant))
    rows = [described(metric) for metric in metrics.iterator(chunk_size=2_000)]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    if not rows:
        typer.echo("No metric yet: each is made with its first reading.")
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("tenant", "tipo", "unidade", "kind", "rollover at")
    for row in rows:
        register = "" if row["rollover_at"] is None else f"{row['rollover_at']:.15g}"
        # A gateway chose the words.
        table.add_row(*(escape(row[key]) for key in ("tenant", "tipo", "unidade", "kind")), register)
    Console().print(table)


@metric_app.command("set")
def set_metric(  # noqa: PLR0913  # one option a thing to set
    *,
    tenant: TenantSlug,
    tipo: Annotated[str, typer.Option(help="As gateways send it.")],
    unidade: Annotated[
        str | None, typer.Option(help="As gateways send it; needed when a tipo comes in several.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="mean, sum, counter (last − first) or last.")] = None,
    rollover_at: Annotated[
        float | None, typer.Option(help="Where a counter's register begins again at 0, such as 100000.")
    ] = None,
    no_rollover: Annotated[bool, typer.Option("--no-rollover", help="A value that falls is a reset.")] = False,
    as_json: Json = False,
) -> None:
    """Say how a metric is aggregated. Charts follow at once, of the past too."""
    from tds.fleet.models import MetricKind

    if kind is None and rollover_at is None and not no_rollover:
        fail("Say what to set: --kind, --rollover-at or --no-rollover.")
    if rollover_at is not None and no_rollover:
        fail("--rollover-at and --no-rollover contradict each other; give one of them.")
    if kind is not None and kind not in MetricKind.values:
        fail(f"--kind is {kind!r}; use one of: {', '.join(MetricKind.values)}.")
    metric = find_metric(find_tenant(tenant), tipo, unidade)
    if kind is not None:
        metric.kind = MetricKind(kind)
    if rollover_at is not None:
        metric.rollover_at = rollover_at
    elif no_rollover or metric.kind != MetricKind.COUNTER:  # nothing else has a register
        metric.rollover_at = None
    with sentences():
        metric.full_clean()
        metric.save()
    register = (
        "" if metric.rollover_at is None else f", and begins again at 0 where it reaches {metric.rollover_at:.15g}"
    )
    say(described(metric), f"{metric} of {tenant} is a {metric.kind}{register}.", as_json=as_json)


def find_metric(of_tenant: "Tenant", tipo: str, unidade: str | None) -> "Metric":
    from tds.fleet.models import Metric

    found = list(Metric.objects.filter(tenant=of_tenant, tipo=tipo).order_by("unidade"))
    chosen = found if unidade is None else [metric for metric in found if metric.unidade == unidade]
    if len(chosen) > 1:
        fail(f"{tipo!r} comes in several units; say which with --unidade: {units(chosen)}.")
    if not chosen:
        wanted = repr(tipo) if unidade is None else f"{tipo!r} in {unidade!r}"
        known = f" It comes in: {units(found)}." if found else ""
        fail(
            f"{of_tenant.slug} has no metric {wanted} yet; each is made with its first reading.{known} "
            f"./tds metric list --tenant {of_tenant.slug} shows all."
        )
    return chosen[0]


def units(metrics: "list[Metric]") -> str:
    return ", ".join(repr(metric.unidade) for metric in metrics)


def described(metric: "Metric") -> dict[str, Any]:
    return {
        "tenant": metric.tenant.slug,
        "tipo": metric.tipo,
        "unidade": metric.unidade,
        "kind": str(metric.kind),
        "rollover_at": metric.rollover_at,
    }
