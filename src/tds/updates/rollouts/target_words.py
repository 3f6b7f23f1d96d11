"""How the gateways of a rollout were chosen, for whoever sees it."""

from collections.abc import Sequence
from typing import Final

from django.utils.translation import gettext as _

from tds.fleet.models import Site
from tds.updates.models import Rollout
from tds.updates.rollouts import target
from tds.updates.rollouts.refusals import RolloutRefusedError

NAMED: Final = 20  # of each criterion


def told(rollout: Rollout) -> list[str]:
    """A phrase a criterion; all of them held. Nothing of a target that this version can't read."""
    try:
        of = target.parse(rollout.target)
    except RolloutRefusedError:
        return []
    found = [_("all gateways that it is for")] if of.everything else []
    if of.tenant:
        found.append(_("company: %(names)s") % {"names": of.tenant})
    if of.families:
        found.append(_("family: %(names)s") % {"names": _some(of.families)})
    if of.sites:
        found.append(_("site: %(names)s") % {"names": _some(_sites(rollout, of.sites))})
    if of.tags:
        found.append(_("tag: %(names)s") % {"names": _some(of.tags)})
    if of.codes:
        found.append(_("code: %(names)s") % {"names": _some(of.codes)})
    return found


def _sites(rollout: Rollout, ids: Sequence[int]) -> list[str]:
    """By name where the rollout is of one company: whoever started it may have named sites that are not its own."""
    sites = Site.objects.filter(pk__in=ids[: NAMED + 1])
    if rollout.tenant_id is not None:
        sites = sites.filter(tenant=rollout.tenant_id)
    names = dict(sites.values_list("pk", "name"))
    return [names.get(pk, f"#{pk}") for pk in ids]


def _some(names: Sequence[str]) -> str:
    return ", ".join([*names[:NAMED], "…"] if len(names) > NAMED else names)
