"""What the vectors of signed documents share: keys, a good document of each kind, and how a case is written."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.update_signing import Document, Key, base64url

RUN_MIN_GROUPS: Final = 20  # shorter ones are written out

NOW: Final = 1_764_115_200  # 2025-11-26T00:00:00Z
DAY_S: Final = 86_400
MANIFEST, TICKET, TRUST = "tds-manifest+jws", "tds-ticket+jws", "tds-trust+jws"

ROOT, OTHER_ROOT = Key("root"), Key("other root")
RELEASE, ASSIGNMENT, STRANGER = Key("release"), Key("assignment"), Key("stranger")
FORMER, FUTURE, REVOKED = Key("former release"), Key("future release"), Key("revoked release")

Claims = dict[str, Any]


def trusted(key: Key, use: str, nbf: int = NOW - 100 * DAY_S, exp: int = NOW + 100 * DAY_S) -> Claims:
    x, y = base64url(key.point[:32]), base64url(key.point[32:])
    return {"kid": key.kid, "use": use, "x": x, "y": y, "nbf": nbf, "exp": exp}


TRUST_SET: Final[Claims] = {
    "version": 2,
    "iat": NOW - DAY_S,
    "exp": NOW + 90 * DAY_S,
    "keys": [
        trusted(RELEASE, "release"),
        trusted(ASSIGNMENT, "assignment"),
        trusted(FORMER, "release", exp=NOW),
        trusted(FUTURE, "release", nbf=NOW + 1),
        trusted(REVOKED, "release"),
    ],
    "revoked": [REVOKED.kid],
}
MANIFEST_CLAIMS: Final[Claims] = {
    "product": "dcu",
    "families": ["dcu-0080", "dcu-all"],
    "chip": "esp32",
    "hardware": ["A", "B.2"],
    "version": "1.1.0",
    "counter": 7,
    "size": 1_048_576,
    "sha256": hashlib.sha256(b"an image").hexdigest(),
    "min_source_counter": 0,
    "released_at": NOW - DAY_S,
}
TICKET_CLAIMS: Final[Claims] = {
    "execution_id": "0d6c4c1e-8f55-4d0a-9f0e-3d6b6a6f2c11",
    "gateway_code": "GW-001",
    "manifest_sha256": hashlib.sha256(b"a manifest").hexdigest(),
    "seq": 42,
    "iat": NOW - 60,
    "exp": NOW + DAY_S,
    "not_before": NOW,
}


@dataclass(frozen=True)
class Case:
    name: str
    kind: str
    text: str
    refused: str = ""
    accepted: Claims | None = None
    now: int | None = NOW
    there: str | None = None  # trust sets: the one that was taken before
    by_devices: bool = False  # a bound of devices: the platform may take it

    def as_json(self) -> Claims:
        verdict: Claims = {"refused": self.refused} if self.refused else {"accepted": self.accepted}
        kind: Claims = {"there": self.there} if self.kind == "trust" else {"kind": self.kind}
        bound = {"by_devices": True} if self.by_devices else {}
        return {"case": self.name} | kind | {"now": self.now, "jws": parts(self.text)} | verdict | bound


def parts(text: str) -> list[Claims]:
    """To be joined. Long runs of the same four characters are counted, and no text has U+0000 in it: C's end there."""
    found: list[Claims] = []
    end = 0
    for run in re.finditer(rf"(.{{4}})\1{{{RUN_MIN_GROUPS},}}|\0", text):
        if run.start() > end:
            found.append({"text": text[end : run.start()]})
        found.append({"hex": "00"} if run[1] is None else {"text": run[1], "times": len(run[0]) // 4})
        end = run.end()
    return [*found, {"text": text[end:]}] if end < len(text) else found


def manifest(name: str, claims: Mapping[str, Any] | bytes = MANIFEST_CLAIMS, key: Key = RELEASE, **case: Any) -> Case:
    return Case(name, "manifest", str(Document.of(MANIFEST, claims, key)), **case)


def ticket(name: str, claims: Mapping[str, Any] | bytes = TICKET_CLAIMS, key: Key = ASSIGNMENT, **case: Any) -> Case:
    return Case(name, "ticket", str(Document.of(TICKET, claims, key)), **case)


def forged(name: str, document: Document | str, refused: str = "malformed", kind: str = "manifest") -> Case:
    return Case(name, kind, str(document), refused)
