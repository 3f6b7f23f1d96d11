"""What scripts send about rollouts, and how it becomes a plan. Durations are seconds, as they are inside."""

from typing import Annotated, Final, Literal, Self

from ninja import Field, Schema
from pydantic import ConfigDict

from tds.updates.models import Release
from tds.updates.rollouts import limits as bounds
from tds.updates.rollouts import target as targets
from tds.updates.rollouts import waves, windows
from tds.updates.rollouts.limits import Limits
from tds.updates.rollouts.plan import Plan
from tds.updates.rollouts.target import Target

MAX_ID: Final = 2**63 - 1
STANDARD: Final = bounds.STANDARD

Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Text = Annotated[str, Field(max_length=targets.MAX_TEXT_CHARS, pattern="^[^\x00]*$")]
Whole = Annotated[int, Field(ge=0, le=2**31 - 1)]
Percent = Annotated[float, Field(ge=0, le=100)]


class Strict(Schema):
    # A word that is misspelt would choose more, or do other, than was meant.
    model_config = ConfigDict(extra="forbid")


class WantedGateways(Strict):
    """All criteria that are given must hold; without any, `todos` must be true. `locais` are ids of sites, `cliente` is
    a company: for the platform operator, who sees several."""

    todos: bool = False
    cliente: Text = ""
    familias: tuple[Text, ...] = ()
    locais: tuple[Id, ...] = ()
    etiquetas: tuple[Text, ...] = ()
    codigos: tuple[Text, ...] = ()

    @classmethod
    def of(cls, target: Target) -> Self:
        return cls(
            todos=target.everything,
            cliente=target.tenant,
            familias=target.families,
            locais=target.sites,
            etiquetas=target.tags,
            codigos=target.codes,
        )

    def target(self) -> Target:
        """Raises RolloutRefusedError."""
        return targets.checked(
            Target(
                tenant=self.cliente,
                families=tuple(dict.fromkeys(self.familias)),
                sites=tuple(dict.fromkeys(self.locais)),
                tags=tuple(dict.fromkeys(self.etiquetas)),
                codes=tuple(dict.fromkeys(self.codigos)),
                everything=self.todos,
            )
        )


class WantedLimits(Strict):
    """`janela` as in "22:00-04:00", in the time zone of each gateway's site; "" for any time."""

    sucesso_percentual: Percent = STANDARD.success_percent
    falha_percentual: Percent = STANDARD.failure_percent
    falha_minimo: Whole = STANDARD.failure_min_finished
    observacao_s: Whole = STANDARD.soak_s
    ao_mesmo_tempo: Whole = STANDARD.concurrency
    espalhar_s: Whole = STANDARD.spread_s
    ausentes_s: Whole = STANDARD.offer_limit_s
    janela: Text = ""
    um_por_local: bool = STANDARD.one_per_site
    telemetria: bool = STANDARD.gate

    @classmethod
    def of(cls, limits: Limits) -> Self:
        return cls(
            sucesso_percentual=limits.success_percent,
            falha_percentual=limits.failure_percent,
            falha_minimo=limits.failure_min_finished,
            observacao_s=limits.soak_s,
            ao_mesmo_tempo=limits.concurrency,
            espalhar_s=limits.spread_s,
            ausentes_s=limits.offer_limit_s,
            janela=windows.written(limits.window),
            um_por_local=limits.one_per_site,
            telemetria=limits.gate,
        )

    def limits(self) -> Limits:
        """Raises RolloutRefusedError."""
        return Limits(
            self.sucesso_percentual,
            self.falha_percentual,
            self.falha_minimo,
            self.observacao_s,
            self.ao_mesmo_tempo,
            self.espalhar_s,
            self.ausentes_s,
            windows.read(self.janela),
            self.um_por_local,
            self.telemetria,
        )


class WantedRollout(Strict):
    """`cliente`: refuse unless that is the person's company now. `plataforma`: over all companies."""

    versao: Id
    alvo: WantedGateways
    ondas: Text = waves.STANDARD
    limites: WantedLimits = WantedLimits()
    nome: Text = ""
    cliente: str | None = None
    plataforma: bool = False

    def plan(self, release: Release) -> Plan:
        """Raises RolloutRefusedError."""
        return Plan(release, self.alvo.target(), self.ondas, self.limites.limits(), self.nome)


class WantedDeed(Strict):
    """`gateway`: its code, for `repetir` and `cancelar-um`. `versao`: for `substituir`."""

    acao: Literal["pausar", "continuar", "cancelar", "substituir", "repetir-falhas", "repetir", "cancelar-um"]
    gateway: Text = ""
    versao: Id | None = None
    cliente: str | None = None
