"""The form of a new rollout: what a person typed, and the plan that it means. Typed in minutes, kept in seconds."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from django.http import QueryDict
from django.utils.translation import gettext as _

from tds.updates.models import Release
from tds.updates.rollouts import limits as bounds
from tds.updates.rollouts import target as targets
from tds.updates.rollouts import waves, windows
from tds.updates.rollouts.limits import Limits
from tds.updates.rollouts.plan import Plan
from tds.updates.rollouts.refusals import RolloutRefusedError
from tds.updates.rollouts.target import Target
from tds.updates.rollouts.windows import Window

MINUTE_S: Final = 60
HOUR_S: Final = 3_600
MAX_CODES_CHARS: Final = 700_000  # 10,000 codes of 64 characters, and what stands between
NUMBER: Final = re.compile(r"[0-9]{1,9}([.,][0-9]{1,3})?")
STANDARD: Final = bounds.STANDARD
WHO_AND_WHEN: Final = ("versao", "quem", "cliente", "familias", "locais", "etiquetas", "codigos", "ondas", "plataforma")
SEVERAL: Final = ("locais", "etiquetas")  # of which a person picks as many as they like
SEEN_DIGITS: Final = 16


@dataclass(slots=True)
class PlanForm:
    """As it is typed, in the words of the page's fields."""

    versao: str = ""
    nome: str = ""
    quem: str = "todos"  # all of the company, or by what follows
    cliente: str = ""  # a company: the platform operator's alone
    familias: str = ""
    locais: tuple[str, ...] = ()
    etiquetas: tuple[str, ...] = ()
    codigos: str = ""
    ondas: str = waves.STANDARD
    sucesso: str = f"{STANDARD.success_percent:g}"
    falha: str = f"{STANDARD.failure_percent:g}"
    minimo: str = str(STANDARD.failure_min_finished)
    observar: str = str(STANDARD.soak_s // MINUTE_S)
    ao_mesmo_tempo: str = str(STANDARD.concurrency)
    espalhar: str = str(STANDARD.spread_s // MINUTE_S)
    ausentes: str = str(STANDARD.offer_limit_s // HOUR_S)
    das: str = ""
    ate: str = ""
    um_por_local: bool = STANDARD.one_per_site
    medir: bool = STANDARD.gate
    plataforma: bool = False  # over all companies: the platform operator's alone

    @property
    def shown(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def seen(self) -> str:
        """Of all that says who is in and when, in a short word: whoever starts it has looked at just that."""
        chosen = [self.shown[name] for name in WHO_AND_WHEN]
        return hashlib.sha256(json.dumps(chosen).encode()).hexdigest()[:SEEN_DIGITS]


def read(posted: QueryDict) -> PlanForm:
    """What was typed, whatever it is."""
    form = PlanForm()
    for field in fields(form):
        if field.name in SEVERAL:
            setattr(form, field.name, tuple(posted.getlist(field.name)))
        elif isinstance(getattr(form, field.name), bool):
            setattr(form, field.name, field.name in posted)
        else:
            setattr(form, field.name, posted.get(field.name, "").strip())
    return form


def plan(form: PlanForm, release: Release) -> Plan:
    """Raises RolloutRefusedError with a sentence."""
    limits = Limits(
        success_percent=_number(form.sucesso, "success_percent"),
        failure_percent=_number(form.falha, "failure_percent"),
        failure_min_finished=_whole(form.minimo, "failure_min_finished"),
        soak_s=round(_number(form.observar, "soak_s") * MINUTE_S),
        concurrency=_whole(form.ao_mesmo_tempo, "concurrency"),
        spread_s=round(_number(form.espalhar, "spread_s") * MINUTE_S),
        offer_limit_s=round(_number(form.ausentes, "offer_limit_s") * HOUR_S),
        window=_window(form.das, form.ate),
        one_per_site=form.um_por_local,
        gate=form.medir,
    )
    return Plan(release, _target(form), form.ondas, limits, form.nome)


def _target(form: PlanForm) -> Target:
    if form.quem == "todos":
        return targets.checked(Target(tenant=form.cliente, everything=not form.cliente))
    if len(form.codigos) > MAX_CODES_CHARS:
        raise RolloutRefusedError(_("The list of codes is too long; use at most 10,000."))
    return targets.checked(
        Target(
            tenant=form.cliente,
            families=tuple(dict.fromkeys(form.familias.replace(",", " ").split())),
            sites=tuple(dict.fromkeys(_site(text) for text in form.locais)),
            tags=tuple(dict.fromkeys(filter(None, form.etiquetas))),
            codes=tuple(dict.fromkeys(form.codigos.replace(",", " ").replace(";", " ").split())),
        )
    )


def _site(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise RolloutRefusedError(_("A site is chosen from the list."))
    return int(text)


def _number(text: str, name: str) -> float:
    """With a comma or a point; its bounds are the limits' own to judge."""
    if not NUMBER.fullmatch(text):
        raise RolloutRefusedError(_("“%(name)s” is not a number.") % {"name": bounds.NAMES[name]})
    return float(text.replace(",", "."))


def _whole(text: str, name: str) -> int:
    number = _number(text, name)
    if not number.is_integer():
        raise RolloutRefusedError(_("“%(name)s” is not a whole number.") % {"name": bounds.NAMES[name]})
    return int(number)


def _window(start: str, end: str) -> Window | None:
    if not start and not end:
        return None
    if not start or not end:
        raise RolloutRefusedError(_("The maintenance window needs both times, from and until; or leave both empty."))
    return windows.read(f"{start}-{end}")
