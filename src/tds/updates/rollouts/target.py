"""Which gateways a rollout is for: all criteria that are given must hold. As a value, and as `Rollout.target` keeps it.

Of several values of a criterion any will do. Of tags the name counts: over several companies, each one's of that name.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from tds.fleet import tags
from tds.fleet.models import Gateway, GatewayStatus, Site
from tds.updates.rollouts.refusals import RolloutRefusedError

MAX_CODES: Final = 10_000
MAX_NAMED: Final = 1_000  # families, sites or tags
MAX_TEXT_CHARS: Final = 200  # of a company, a family, a tag or a code; none that there is has as many
MAX_ID: Final = 2**63 - 1
KEYS: Final = frozenset({"all", "tenant", "families", "sites", "tags", "codes"})


@dataclass(frozen=True, slots=True)
class Target:
    """`tenant` is a slug; `sites` are ids. `everything` has to be said: nobody means a whole fleet by an empty form."""

    tenant: str = ""
    families: tuple[str, ...] = ()
    sites: tuple[int, ...] = ()
    codes: tuple[str, ...] = ()
    everything: bool = False
    tags: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """As it is kept, and as the API takes it."""
        found = {
            "all": self.everything,
            "tenant": self.tenant,
            "families": list(self.families),
            "sites": list(self.sites),
            "tags": list(self.tags),
            "codes": list(self.codes),
        }
        return {key: value for key, value in found.items() if value}

    def select(self, gateways: "QuerySet[Gateway]") -> "QuerySet[Gateway]":
        """Of those that somebody may see. Retired ones only where they are called by their code."""
        found = Q()
        if self.tenant:
            found &= Q(tenant__slug=self.tenant)
        if self.families:
            # What it reports is nearer to the truth than what it was registered as.
            reported = Q(running__family__in=self.families)
            found &= reported | (Q(family__in=self.families) & (Q(running=None) | Q(running__family="")))
        if self.sites:
            found &= Q(site__in=self.sites)
        if self.tags:
            found &= tags.having(self.tags)
        found &= Q(code__in=self.codes) if self.codes else ~Q(status=GatewayStatus.RETIRED)
        return gateways.filter(found)

    def narrowed(self, tenant_id: int) -> "Target":
        """What of it is of that company, for its people to read. The rest has chosen nobody there."""
        own = Gateway.objects.filter(tenant=tenant_id)
        sites = set(Site.objects.filter(tenant=tenant_id, pk__in=self.sites).values_list("pk", flat=True))
        unknown = {*self.unknown_codes(own), *self.unknown_tags(own)}
        return replace(
            self,
            sites=tuple(pk for pk in self.sites if pk in sites),
            tags=tuple(name for name in self.tags if name not in unknown),
            codes=tuple(code for code in self.codes if code not in unknown),
        )

    def unknown_tags(self, gateways: "QuerySet[Gateway]") -> list[str]:
        """Tags that none of those has, as with codes."""
        if not self.tags:
            return []
        return tags.unknown(self.tags, gateways.filter(tenant__slug=self.tenant) if self.tenant else gateways)

    def unknown_codes(self, gateways: "QuerySet[Gateway]") -> list[str]:
        """Codes that none of those has: another tenant's is as unknown as a misspelt one."""
        if not self.codes:
            return []
        known = set(gateways.filter(code__in=self.codes).values_list("code", flat=True))
        return [code for code in self.codes if code not in known]


def parse(document: Any) -> Target:
    """From JSON. Raises RolloutRefusedError."""
    if not isinstance(document, dict):
        raise RolloutRefusedError(_("A target is an object with families, sites, tags, codes or “all”."))
    if unknown := sorted(map(str, document.keys() - KEYS)):
        raise RolloutRefusedError(
            _("“%(key)s” is nothing to choose gateways by; use %(keys)s.")
            % {"key": unknown[0][:32], "keys": ", ".join(sorted(KEYS))}
        )
    return checked(
        Target(
            _text(document, "tenant"),
            _texts(document, "families"),
            _ids(document, "sites"),
            _texts(document, "codes"),
            document.get("all") is True,
            _texts(document, "tags"),
        )
    )


def checked(target: Target) -> Target:
    """The same. Raises RolloutRefusedError when it says nothing, or too much."""
    named = bool(target.tenant or target.families or target.sites or target.tags or target.codes)
    if not named and not target.everything:
        raise RolloutRefusedError(_("Say which gateways: by family, site, tag or code; or say that all are meant."))
    texts = (target.tenant, *target.families, *target.tags, *target.codes)
    if any("\x00" in text for text in texts):
        raise RolloutRefusedError(_("A family, a tag or a code has a character that none can have."))
    if too_long := next((text for text in texts if len(text) > MAX_TEXT_CHARS), ""):
        raise RolloutRefusedError(
            _("“%(text)s…” is no family, tag or code: none is longer than %(most)d characters.")
            % {"text": too_long[:32], "most": MAX_TEXT_CHARS}
        )
    for key, most in (("families", MAX_NAMED), ("sites", MAX_NAMED), ("tags", MAX_NAMED), ("codes", MAX_CODES)):
        if (given := len(getattr(target, key))) > most:
            raise RolloutRefusedError(
                _("“%(key)s” has %(given)d entries; use at most %(most)d.") % {"key": key, "given": given, "most": most}
            )
    return target


def _text(document: dict[str, Any], key: str) -> str:
    value = document.get(key, "")
    if not isinstance(value, str):
        raise _wrong(key)
    return value


def _texts(document: dict[str, Any], key: str) -> tuple[str, ...]:
    value = document.get(key, [])
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise _wrong(key)
    return tuple(dict.fromkeys(value))


def _ids(document: dict[str, Any], key: str) -> tuple[int, ...]:
    value = document.get(key, [])
    if not isinstance(value, list) or not all(type(each) is int and 0 < each <= MAX_ID for each in value):
        raise _wrong(key)
    return tuple(dict.fromkeys(value))


def _wrong(key: str) -> RolloutRefusedError:
    return RolloutRefusedError(_("“%(key)s” of the target does not have the right form.") % {"key": key})
