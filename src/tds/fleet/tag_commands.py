"""`tds gateway tag`: give gateways tags, and take tags away."""

from typing import Annotated

import typer

from tds.fleet.commands import Json, fail, find_gateway, gateway_app, say

__all__ = ["gateway_app"]


@gateway_app.command("tag")
def tag_gateways(
    codes: Annotated[list[str], typer.Argument(metavar="CODE...", help="The gateways' codes.")],
    *,
    add: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Give them this tag. May be repeated.")] = None,
    remove: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Take this tag away. May be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Give gateways tags, and take tags away: for ./tds gateway list --tag and ./tds rollout start --tag.

    A tag is made when it is first given, and goes with the last gateway that has it."""
    from django.db import transaction

    from tds.fleet import audit, tags

    if not add and not remove:
        fail("Say which tag: --add NAME, --remove NAME, or both.")
    gateways = [find_gateway(code) for code in dict.fromkeys(codes)]
    try:
        if both := tags.names(add or ()).keys() & tags.names(remove or ()).keys():
            fail(f"{min(both)} is to be given and taken away at once; leave one out.")
        with transaction.atomic():
            untagged = tags.untag(gateways, remove or (), by=audit.COMMAND_LINE)
            tagged = tags.tag(gateways, add or (), by=audit.COMMAND_LINE)
    except tags.TagRefusedError as error:
        fail(str(error))
    has = tags.of([gateway.pk for gateway in gateways])
    shown = [{"code": gateway.code, "tags": has[gateway.pk]} for gateway in gateways]
    say(
        {"gateways": shown, "tagged": tagged, "untagged": untagged},
        "\n".join(f"{gateway.code}: {', '.join(has[gateway.pk]) or 'no tags'}" for gateway in gateways),
        as_json=as_json,
    )
