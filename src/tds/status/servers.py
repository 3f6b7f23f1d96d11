"""The two that answer over HTTP: the web, and the firmware server."""

import contextlib
from collections import Counter
from typing import Any, Final

from django.db import Error as DatabaseError

from tds.environment import Environment
from tds.fleet.counted import counted
from tds.heartbeat import Heartbeat
from tds.local.parts import ota_trouble, web_trouble
from tds.local.plan import ota_url, web_url
from tds.status.part import Part, State

OTA: Final = "firmware server"


def examine_web(environment: Environment) -> Part:
    url = f"{web_url(environment)}/healthz"
    if trouble := web_trouble(environment):
        action = "Look into log/web.log under TDS_HOME; start it with ./tds up."
        return Part("web", State.UNHEALTHY, f"{url}: {trouble}.", action)
    return Part("web", State.HEALTHY, f"{url} answers.")


def examine_ota(environment: Environment, *, database_there: bool) -> Part:
    url = f"{ota_url(environment)}/healthz"
    if trouble := ota_trouble(environment):
        action = "Look into log/ota.log under TDS_HOME; start it with ./tds up."
        return Part(OTA, State.UNHEALTHY, f"{url}: {trouble}.", action)
    facts: dict[str, Any] = {}
    if database_there:
        with contextlib.suppress(DatabaseError):
            facts = Heartbeat.objects.filter(process="ota").values_list("facts", flat=True).first() or {}
    return Part(OTA, State.HEALTHY, f"{url} answers.{told_of_ota(facts)}")


def told_of_ota(facts: dict[str, Any]) -> str:
    """What the firmware server says of itself since its start, as sentences; empty when that is nothing. Pure."""
    requests, handshakes = Counter(facts.get("requests", {})), Counter(facts.get("handshakes_refused", {}))
    found = []
    if given := requests["claimed"] + requests["renewed"]:
        found.append(f"{counted(given, 'certificate')} given since its start.")
    if handshakes:
        [(reason, _count)] = handshakes.most_common(1)
        found.append(f"{counted(handshakes.total(), 'TLS handshake')} failed, most of them with: {reason}.")
    if limited := requests["limited"]:
        found.append(f"{counted(limited, 'try', 'tries')} to enrol came too fast.")
    return "".join(f" {sentence}" for sentence in found)
