"""`tds rollout start | list | show | watch | pause | resume | cancel | retry | replace | check-now`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tds.fleet.commands import Json, fail, find_tenant, say
from tds.fleet.counted import counted

if TYPE_CHECKING:
    from tds.updates.models import Release, Rollout

rollout_app = typer.Typer(no_args_is_help=True, help="A release on its way to gateways, in waves that stop themselves.")

MAX_LISTED: Final = 200
Number = Annotated[int, typer.Argument(metavar="ROLLOUT", help="Its number, as in ./tds rollout list.")]
NumberOrNewest = Annotated[
    int | None, typer.Argument(metavar="ROLLOUT", help="Its number, as in ./tds rollout list; the newest without one.")
]


@rollout_app.command("start")
def start(  # noqa: PLR0913  # one option each
    release: Annotated[str, typer.Argument(metavar="RELEASE", help="Its number, its version, or PRODUCT@VERSION.")],
    *,
    tenant: Annotated[str, typer.Option(metavar="SLUG", help="Only gateways of this tenant.")] = "",
    family: Annotated[list[str] | None, typer.Option(help="Only this device family. May be repeated.")] = None,
    site: Annotated[list[int] | None, typer.Option(metavar="ID", help="Only this site. May be repeated.")] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only with this tag. May be repeated.")] = None,
    gateway: Annotated[list[str] | None, typer.Option(metavar="CODE", help="This gateway. May be repeated.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All gateways that can take it.")] = False,
    waves: Annotated[str, typer.Option(help="How many are in by then: numbers or percentages.")] = (
        "1, 5 %, 25 %, 100 %"
    ),
    success: Annotated[float, typer.Option(metavar="PERCENT", help="So many must succeed before the next wave.")] = 95,
    failure: Annotated[float, typer.Option(metavar="PERCENT", help="So many failures halt it …")] = 10,
    failure_min: Annotated[int, typer.Option(metavar="N", help="… of at least N finished.")] = 5,
    soak_min: Annotated[float, typer.Option(metavar="MINUTES", help="Watch a wave for so long before the next.")] = 60,
    concurrency: Annotated[int, typer.Option(metavar="N", help="So many gateways at once.")] = 500,
    spread_min: Annotated[float, typer.Option(metavar="MINUTES", help="Spread a wave over so long.")] = 0,
    wait_hours: Annotated[float, typer.Option(metavar="HOURS", help="Wait so long for those that are away.")] = 24,
    window: Annotated[
        str, typer.Option(metavar="HH:MM-HH:MM", help="Only then, in the time zone of each gateway's site.")
    ] = "",
    site_at_once: Annotated[
        bool, typer.Option("--site-at-once", help="Let several gateways of one site be updated at the same time.")
    ] = False,
    gate: Annotated[bool, typer.Option(help="Halt when gateways deliver less than before.")] = True,
    name: Annotated[str, typer.Option(help="What to call it.")] = "",
    preview: Annotated[
        bool, typer.Option("--preview", "--dry-run", help="Only say who would be in, and who not and why.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Start a rollout; or, with --preview, say what would happen."""
    from django.utils import timezone

    from tds.updates.rollouts import desk, showing
    from tds.updates.rollouts.asker import COMMAND_LINE
    from tds.updates.rollouts.limits import Limits
    from tds.updates.rollouts.plan import Plan
    from tds.updates.rollouts.plan import preview as look
    from tds.updates.rollouts.target import Target
    from tds.updates.rollouts.windows import read

    if tenant:
        find_tenant(tenant)
    with refused():
        limits = Limits(
            success,
            failure,
            failure_min,
            round(soak_min * 60),
            concurrency,
            round(spread_min * 60),
            round(wait_hours * 3_600),
            read(window),
            not site_at_once,
            gate,
        )
        target = Target(
            tenant, tuple(family or ()), tuple(site or ()), tuple(gateway or ()), everything, tuple(tag or ())
        )
        plan = Plan(found_release(release), target, waves, limits, name)
        now = timezone.now()
        if preview:
            found = look(COMMAND_LINE, plan, now=now)
            say(showing.preview_document(found), showing.preview_text(plan, found), as_json=as_json)
            return
        rollout, started = desk.launch(COMMAND_LINE, plan, now=now)
    sizes = ", ".join(f"{wave.label}: {wave.size}" for wave in started.waves)
    say(
        described(rollout) | {"gateways": started.gateways, "left_out": started.left_out},
        f"Rollout #{rollout.pk} of {plan.release} runs: {counted(started.gateways, 'gateway')} in waves ({sizes}), "
        f"{started.left_out} left out. Next: ./tds rollout watch {rollout.pk}",
        as_json=as_json,
    )


@rollout_app.command("list")
def list_rollouts(
    *,
    tenant: Annotated[str, typer.Option(metavar="SLUG", help="Only of this tenant.")] = "",
    as_json: Json = False,
) -> None:
    """The newest ones."""
    from tds.updates.models import Rollout

    rollouts = Rollout.objects.select_related("release", "tenant")
    if tenant:
        rollouts = rollouts.filter(tenant=find_tenant(tenant))
    shown = list(rollouts[:MAX_LISTED])
    lines = [f"#{each.pk}  {each.status:9}  {each.release}  {owner(each)}  {each.name}".rstrip() for each in shown]
    say(
        {"rollouts": [described(each) for each in shown]},
        "\n".join(lines) or "There is no rollout yet.",
        as_json=as_json,
    )


@rollout_app.command("show")
def show(number: NumberOrNewest = None, *, as_json: Json = False) -> None:
    """How it stands: its waves, and what happened."""
    from tds.updates.rollouts import showing

    rollout = found_rollout(number)
    say(showing.document(rollout), showing.text(rollout), as_json=as_json)


@rollout_app.command("watch")
def watch(number: NumberOrNewest = None, *, as_json: Json = False) -> None:
    """Follow it until it is over; with --json a document a line, whenever something changed. Ctrl-C ends the watching,
    not the rollout. Exit 0: completed, 1: halted or canceled."""
    from tds.updates.models import RolloutStatus
    from tds.updates.rollouts import showing

    rollout = found_rollout(number)
    if showing.follow(rollout, as_json=as_json) != RolloutStatus.COMPLETED:
        raise typer.Exit(1)


@rollout_app.command("pause")
def pause(number: Number, *, as_json: Json = False) -> None:
    """Offer it to nobody more; those that are under way go on."""
    deed("pause", number, "is paused", as_json=as_json)


@rollout_app.command("resume")
def resume(number: Number, *, as_json: Json = False) -> None:
    """Let it go on. Of one that halted, the failures until now are accepted."""
    deed("resume", number, "runs again", as_json=as_json)


@rollout_app.command("cancel")
def cancel(
    number: Number,
    *,
    gateway: Annotated[str, typer.Option(metavar="CODE", help="Only this one's update [default: all of it].")] = "",
    as_json: Json = False,
) -> None:
    """End it for good, also for gateways that are away."""
    if not gateway:
        deed("cancel", number, "is canceled", as_json=as_json)
        return
    from django.utils import timezone

    from tds.updates.rollouts import gateway_desk
    from tds.updates.rollouts.asker import COMMAND_LINE

    with refused():
        gateway_desk.cancel(COMMAND_LINE, execution_of(found_rollout(number), gateway), now=timezone.now())
    say(described(found_rollout(number)), f"The update of {gateway} is canceled.", as_json=as_json)


@rollout_app.command("retry")
def retry(
    number: Number,
    *,
    gateway: Annotated[str, typer.Option(metavar="CODE", help="Only this one [default: all that failed].")] = "",
    as_json: Json = False,
) -> None:
    """Let gateways that failed try again."""
    from django.utils import timezone

    from tds.updates.rollouts import gateway_desk
    from tds.updates.rollouts.asker import COMMAND_LINE

    rollout = found_rollout(number)
    with refused():
        if gateway:
            gateway_desk.retry(COMMAND_LINE, execution_of(rollout, gateway), now=timezone.now())
            again = 1
        else:
            again = gateway_desk.retry_failed(COMMAND_LINE, number, now=timezone.now())
    rollout.refresh_from_db()
    then = "" if rollout.status == "running" else f" The rollout is {rollout.status}: ./tds rollout resume {number}"
    tries = counted(again, "gateway tries", "gateways try")
    say(described(rollout) | {"retried": again}, f"{tries} again.{then}", as_json=as_json)


@rollout_app.command("replace")
def replace(
    number: Number,
    release: Annotated[str, typer.Argument(metavar="RELEASE", help="The newer one: number, version, PRODUCT@VERSION.")],
    *,
    as_json: Json = False,
) -> None:
    """Cancel it, and start another for the same target, chosen anew, in the same waves, with a newer release."""
    from django.utils import timezone

    from tds.updates.rollouts import desk
    from tds.updates.rollouts.asker import COMMAND_LINE

    found_rollout(number)
    with refused():
        new, started = desk.replace(COMMAND_LINE, number, found_release(release), now=timezone.now())
    say(
        described(new) | {"gateways": started.gateways, "left_out": started.left_out, "replaces": number},
        f"Rollout #{new.pk} of {new.release} takes the place of #{number}: {counted(started.gateways, 'gateway')}.",
        as_json=as_json,
    )


@rollout_app.command("check-now")
def check_now(*, as_json: Json = False) -> None:
    """Have all gateways that are connected ask now for their updates and for newer keys, each after a random while.

    They ask by themselves too: this is for when nobody wants to wait. Nothing goes out that would not go anyway."""
    from tds.updates.rollouts import checking
    from tds.updates.rollouts.asker import COMMAND_LINE

    checking.check_all(by=COMMAND_LINE.by)
    say({"told": True}, "The worker tells all gateways that are connected to ask now.", as_json=as_json)


def deed(name: str, number: int, became: str, *, as_json: bool) -> None:
    from django.utils import timezone

    from tds.updates.rollouts import desk
    from tds.updates.rollouts.asker import COMMAND_LINE

    found_rollout(number)
    with refused():
        getattr(desk, name)(COMMAND_LINE, number, now=timezone.now())
    rollout = found_rollout(number)
    say(described(rollout), f"Rollout #{number} {became}.", as_json=as_json)


@contextmanager
def refused() -> Iterator[None]:
    """The sentence of a refusal ends the command."""
    from tds.updates.rollouts.refusals import RolloutRefusedError

    try:
        yield
    except RolloutRefusedError as error:
        fail(str(error))


def found_release(text: str) -> "Release":
    from tds.updates.releases import finding

    try:
        return finding.find(text)
    except finding.NotFoundError as error:
        fail(str(error))


def found_rollout(number: int | None) -> "Rollout":
    """The newest one without a number."""
    from tds.updates.models import Rollout

    rollouts = Rollout.objects.select_related("release", "tenant").order_by("-pk")
    rollout = (rollouts if number is None else rollouts.filter(pk=number)).first()
    if rollout is None and number is None:
        fail("There is no rollout yet; ./tds rollout start begins one.")
    if rollout is None:
        fail(f"There is no rollout #{number}; ./tds rollout list shows all.")
    return rollout


def execution_of(rollout: "Rollout", code: str) -> int:
    found = rollout.executions.filter(gateway__code=code).first()
    if found is None:
        fail(f"{code} is not in rollout #{rollout.pk}.")
    return found.pk


def owner(rollout: "Rollout") -> str:
    return rollout.tenant.slug if rollout.tenant else "several tenants"


def described(rollout: "Rollout") -> dict[str, Any]:
    return {
        "rollout": rollout.pk,
        "release": str(rollout.release),
        "tenant": rollout.tenant.slug if rollout.tenant else None,
        "name": rollout.name,
        "status": str(rollout.status),
        "halted_why": rollout.halted_why or None,
        "current_wave": rollout.current_wave,
    }
