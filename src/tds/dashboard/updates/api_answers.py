"""Rollouts as JSON (docs/http-api.md)."""

from datetime import datetime
from typing import Any

from ninja import Schema

from tds.dashboard.updates.api_forms import WantedGateways, WantedLimits
from tds.updates.models import Execution, Release, Rollout, Wave
from tds.updates.rollouts import plan, target, words
from tds.updates.rollouts.counts import Counts
from tds.updates.rollouts.plan import Preview
from tds.updates.rollouts.refusals import RolloutRefusedError


class Version(Schema):
    id: int
    produto: str
    versao: str
    contador: int
    familias: list[str]
    chip: str
    hardware: list[str]
    tamanho: int
    sha256: str
    publicada_em: datetime | None


class Versions(Schema):
    """`cliente`: the person's company; releases are the platform's."""

    cliente: str | None
    versoes: list[Version]


class Summary(Schema):
    """`cliente` is null when it goes over several companies; `interrompida_por` and `detalhe` say why it halted."""

    id: int
    cliente: str | None
    nome: str
    produto: str
    versao: str
    versao_id: int
    situacao: str
    interrompida_por: str | None
    detalhe: str
    onda_atual: int
    criada_em: datetime
    iniciada_em: datetime | None
    terminada_em: datetime | None
    total: dict[str, int]


class Summaries(Schema):
    """Newest first; ask with `antes=proxima` for the next ones. `cliente`: the person's company."""

    cliente: str | None
    atualizacoes: list[Summary]
    proxima: int | None


class OneWave(Schema):
    numero: int
    rotulo: str
    tamanho: int
    aberta_em: datetime | None
    observada_desde: datetime | None
    concluida_em: datetime | None
    contagem: dict[str, int]


class OneExecution(Schema):
    """`roda`: what the gateway runs by its own report; `confirmada` is false while that is on trial."""

    gateway: str
    execucao: str
    onda: int
    situacao: str
    fase: str
    motivo: str
    detalhe: str
    bytes: int
    tentativa: int
    desde: datetime
    roda: str | None
    confirmada: bool | None


class LeftOutOnes(Schema):
    motivo: str
    detalhe: str
    total: int


class Detail(Summary):
    """`alvo` and `limites`, complete, in the form in which they are sent; `alvo` is null when this version of TDS
    cannot read what it was started with. `execucoes` by wave and place; ask with `apos=proxima` for the next ones."""

    alvo: WantedGateways | None
    limites: WantedLimits
    ondas: list[OneWave]
    deixados_de_fora: list[LeftOutOnes]
    execucoes: list[OneExecution]
    proxima: str | None


class PreviewedWave(Schema):
    rotulo: str
    tamanho: int


class Previewed(Schema):
    """`primeiros`: codes of the first gateways that would get it; `primeiros_de_fora`: by `motivo`, of those that
    would not."""

    gateways: int
    ondas: list[PreviewedWave]
    deixados_de_fora: list[LeftOutOnes]
    codigos_desconhecidos: list[str]
    etiquetas_desconhecidas: list[str]
    primeiros: list[str]
    primeiros_de_fora: dict[str, list[str]]


class Acted(Schema):
    """`atualizacao`: after a replacement, the new one."""

    mensagem: str
    atualizacao: Summary


def version(release: Release) -> dict[str, Any]:
    return {
        "id": release.pk,
        "produto": release.product,
        "versao": release.version,
        "contador": release.counter,
        "familias": release.families,
        "chip": release.chip,
        "hardware": release.hardware,
        "tamanho": release.size,
        "sha256": release.sha256,
        "publicada_em": release.published_at,
    }


def summary(rollout: Rollout, whole: Counts) -> dict[str, Any]:
    return {
        "id": rollout.pk,
        "cliente": rollout.tenant.slug if rollout.tenant else None,
        "nome": rollout.name,
        "produto": rollout.release.product,
        "versao": rollout.release.version,
        "versao_id": rollout.release_id,
        "situacao": rollout.status,
        "interrompida_por": rollout.halted_why or None,
        "detalhe": words.halt(rollout.halted_why) if rollout.halted_why else "",
        "onda_atual": rollout.current_wave,
        "criada_em": rollout.created_at,
        "iniciada_em": rollout.started_at,
        "terminada_em": rollout.finished_at,
        "total": counted(whole),
    }


def asked_for(rollout: Rollout) -> dict[str, Any]:
    try:
        chosen = WantedGateways.of(target.parse(rollout.target))
    except RolloutRefusedError:
        chosen = None
    return {"alvo": chosen, "limites": WantedLimits.of(plan.limits_of(rollout))}


def wave(of: Wave, found: Counts) -> dict[str, Any]:
    return {
        "numero": of.number,
        "rotulo": of.label,
        "tamanho": of.size,
        "aberta_em": of.opened_at,
        "observada_desde": of.soak_from,
        "concluida_em": of.completed_at,
        "contagem": counted(found),
    }


def execution(of: Execution) -> dict[str, Any]:
    running = getattr(of.gateway, "running", None)
    return {
        "gateway": of.gateway.code,
        "execucao": of.public_id,
        "onda": of.wave,
        "situacao": of.status,
        "fase": of.phase,
        "motivo": of.reason,
        "detalhe": of.detail,
        "bytes": of.bytes_done,
        "tentativa": of.attempt,
        "desde": of.changed_at,
        "roda": running.version if running else None,
        "confirmada": running.confirmed if running else None,
    }


def left_out(reason: str, total: int) -> dict[str, Any]:
    return {"motivo": reason, "detalhe": words.reason(reason), "total": total}


def previewed(found: Preview) -> dict[str, Any]:
    return {
        "gateways": found.gateways,
        "ondas": [{"rotulo": wave.label, "tamanho": wave.size} for wave in found.waves],
        "deixados_de_fora": [left_out(reason, total) for reason, total in found.left_out.items()],
        "codigos_desconhecidos": list(found.unknown_codes),
        "etiquetas_desconhecidas": list(found.unknown_tags),
        "primeiros": [candidate.code for candidate in found.page],
        "primeiros_de_fora": {str(reason): [each.code for each in some] for reason, some in found.named.items()},
    }


def counted(found: Counts) -> dict[str, int]:
    """In the words of executions, for scripts; they sum up to the gateways that are in."""
    return {
        "esperando": found.waiting,
        "oferecidas": found.offered,
        "em_andamento": found.in_progress,
        "concluidas": found.succeeded,
        "falharam": found.failed,
        "voltaram": found.rolled_back,
        "sem_resposta": found.timed_out,
        "perdidas": found.lost,
        "recusadas": found.rejected,
        "falhas_aceitas": found.accepted,
        "removidas": found.removed,
        "canceladas": found.canceled,
        "incertas": found.unknown,
    }
