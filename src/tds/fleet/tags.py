"""Tags of gateways, given and taken away: the one door for the page, the command line and /admin/.

A tag is there while a gateway has it. Nobody has to tidy up: a word that no gateway has any more would only stand in
lists, choose nothing, and count against the company's bound.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from tds.fleet import audit
from tds.fleet.limits import MAX_TAG_CHARS, MAX_TAGS_A_GATEWAY, MAX_TAGS_A_TENANT
from tds.fleet.models import AuditAction, Gateway, GatewayStatus, GatewayTag, Tag, Tenant, User
from tds.fleet.tag_names import folded, name_of

MAX_TOLD_CHARS: Final = 40  # of a name that is none
BATCH: Final = 1_000  # rows a statement


class TagRefusedError(Exception):
    """What could not be done, as a sentence."""


def names(texts: Iterable[str]) -> dict[str, str]:
    """Names in their one form, by what they are found by. Raises TagRefusedError."""
    texts = list(texts)
    if len(texts) > MAX_TAGS_A_TENANT:
        raise TagRefusedError(
            _("These are %(given)d tags; a company has at most %(most)d.")
            % {"given": len(texts), "most": MAX_TAGS_A_TENANT}
        )
    found: dict[str, str] = {}
    for text in texts:
        name = name_of(text)
        if name is None:
            raise TagRefusedError(
                _(
                    "“%(text)s” can't be a tag: use letters, digits, dashes, underscores and dots, beginning with a "
                    "letter or digit, at most %(most)d characters."
                )
                % {"text": text[:MAX_TOLD_CHARS].replace("\x00", ""), "most": MAX_TAG_CHARS}
            )
        found.setdefault(folded(name), name)
    return found


@transaction.atomic
def tag(gateways: Sequence[Gateway], texts: Iterable[str], *, by: "User | str") -> int:
    """Give each gateway these tags; how many had not all of them. A name that the company has stays as it is written
    there. Raises TagRefusedError, and then nothing was done."""
    wanted = names(texts)
    present = _locked(gateways)
    of_tenant: dict[int, list[Gateway]] = defaultdict(list)
    for gateway in present:
        of_tenant[gateway.tenant_id].append(gateway)
    added: list[GatewayTag] = []
    told: list[tuple[Gateway, audit.Detail]] = []
    for tenant_id, own in of_tenant.items():
        known = _known(tenant_id, wanted)
        had = _had(own)
        for gateway in own:
            new = [each for each in known if each.pk not in had[gateway.pk]]
            if new and len(had[gateway.pk]) + len(new) > MAX_TAGS_A_GATEWAY:
                raise _too_many(gateway)
            added += [GatewayTag(tenant_id=tenant_id, gateway=gateway, tag=each) for each in new]
            if new:
                told.append((gateway, _detail(new)))
    GatewayTag.objects.bulk_create(added, batch_size=BATCH)
    audit.note_many(AuditAction.TAGGED, told, by=by)
    return len(told)


@transaction.atomic
def untag(gateways: Sequence[Gateway], texts: Iterable[str], *, by: "User | str") -> int:
    """Take these tags away from each gateway; how many had one of them. Raises TagRefusedError."""
    present = _locked(gateways)
    rows = GatewayTag.objects.filter(gateway__in=present, tag__folded__in=names(texts))
    of_gateway: dict[int, list[Tag]] = defaultdict(list)
    for row in rows.select_related("tag").order_by("tag__folded"):
        of_gateway[row.gateway_id].append(row.tag)
    rows.delete()
    _tidy({each.pk for some in of_gateway.values() for each in some})
    told = [(gateway, _detail(of_gateway[gateway.pk])) for gateway in present if gateway.pk in of_gateway]
    audit.note_many(AuditAction.UNTAGGED, told, by=by)
    return len(told)


def check(texts: Iterable[str], gateway: Gateway) -> None:
    """Before `replace`, for a form: what can be known without a lock. Raises TagRefusedError."""
    if len(names(texts)) > MAX_TAGS_A_GATEWAY:
        raise _too_many(gateway)
    if gateway.status == GatewayStatus.RETIRED:
        raise _retired(gateway)


@transaction.atomic
def replace(gateway: Gateway, texts: Iterable[str], *, by: "User | str") -> None:
    """Have a gateway have these tags and no others. Raises TagRefusedError."""
    wanted = names(texts)
    untag([gateway], [name for name in of([gateway.pk])[gateway.pk] if folded(name) not in wanted], by=by)
    tag([gateway], wanted.values(), by=by)


def drop(gateway: Gateway) -> str:
    """Of one that retires, in its transaction and under its lock: it can't be given one any more. What it had."""
    rows = GatewayTag.objects.filter(gateway=gateway)
    had = [row.tag for row in rows.select_related("tag").order_by("tag__folded")]
    if had:
        _lock_tenants({gateway.tenant_id})
        rows.delete()
        _tidy({each.pk for each in had})
    return _told(had)


def of(gateways: "QuerySet[Gateway] | Iterable[int]") -> dict[int, list[str]]:
    """The names of each gateway's tags, in their order; an empty list for one that has none."""
    rows = GatewayTag.objects.filter(gateway__in=gateways).order_by("tag__folded")
    found: dict[int, list[str]] = defaultdict(list)
    for gateway_id, name in rows.values_list("gateway_id", "tag__name"):
        found[gateway_id].append(name)
    return found


def having(texts: Iterable[str]) -> Q:
    """Gateways that have one of these tags, each its own company's of that name."""
    rows = GatewayTag.objects.filter(gateway=OuterRef("pk"), tag__folded__in=[folded(text) for text in texts])
    return Q(Exists(rows))


def unknown(texts: Iterable[str], gateways: "QuerySet[Gateway]") -> list[str]:
    """Names that none of these gateways has as a tag: another company's is as unknown as a misspelt one."""
    asked = {text: folded(text) for text in texts}
    rows = GatewayTag.objects.filter(gateway__in=gateways, tag__folded__in=set(asked.values()))
    known = set(rows.values_list("tag__folded", flat=True).distinct())
    return [text for text, found in asked.items() if found not in known]


def everybodys() -> "QuerySet[Tag]":
    """Of all companies: for a page, filter it by the scope."""
    return Tag.objects.all()


def _locked(gateways: Sequence[Gateway]) -> list[Gateway]:
    """As they are now, and their tenants, until the transaction ends: bounds are counted under it. Gateways first, as
    whoever registers devices does it, each in the order of the ids: no two can wait for one another."""
    rows = Gateway.objects.select_for_update(no_key=True).filter(pk__in=[gateway.pk for gateway in gateways])
    present = list(rows.order_by("pk"))
    for gateway in present:
        if gateway.status == GatewayStatus.RETIRED:
            raise _retired(gateway)
    _lock_tenants({gateway.tenant_id for gateway in present})
    return present


def _lock_tenants(ids: set[int]) -> None:
    list(Tenant.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk").values_list("pk", flat=True))


def _known(tenant_id: int, wanted: dict[str, str]) -> list[Tag]:
    """The company's tags of these names; those that it had not are made."""
    own = Tag.objects.filter(tenant=tenant_id)
    known = {each.folded: each for each in own.filter(folded__in=wanted)}
    missing = wanted.keys() - known.keys()
    if missing and own.count() + len(missing) > MAX_TAGS_A_TENANT:
        raise TagRefusedError(
            _("The company would have more than %(most)d tags; take those away that nobody needs.")
            % {"most": MAX_TAGS_A_TENANT}
        )
    made = Tag.objects.bulk_create(Tag(tenant_id=tenant_id, name=wanted[each], folded=each) for each in sorted(missing))
    known |= {each.folded: each for each in made}
    return [known[each] for each in wanted]


def _had(gateways: Sequence[Gateway]) -> dict[int, set[int]]:
    found: dict[int, set[int]] = defaultdict(set)
    for gateway_id, tag_id in GatewayTag.objects.filter(gateway__in=gateways).values_list("gateway_id", "tag_id"):
        found[gateway_id].add(tag_id)
    return found


def _tidy(tag_ids: set[int]) -> None:
    """Those of them that no gateway has any more go. Under the tenant's lock, so that nobody is giving one just now."""
    Tag.objects.filter(~Exists(GatewayTag.objects.filter(tag=OuterRef("pk"))), pk__in=tag_ids).delete()


def _too_many(gateway: Gateway) -> TagRefusedError:
    return TagRefusedError(
        _("%(code)s would have more than %(most)d tags; take some away first.")
        % {"code": gateway.code, "most": MAX_TAGS_A_GATEWAY}
    )


def _retired(gateway: Gateway) -> TagRefusedError:
    return TagRefusedError(_("%(code)s is retired, and has no tags any more.") % {"code": gateway.code})


def _detail(some: Sequence[Tag]) -> audit.Detail:
    return {"tags": _told(some)}


def _told(some: Sequence[Tag]) -> str:
    return ", ".join(each.name for each in some)
