"""Writes testdata/updates: signed documents, good ones and forged ones, and the verdict on each.

    .venv/bin/python -m tests.update_vectors

The verdicts are stated beside the cases, from docs/firmware-updates.md, and not taken from what any code answers.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tests import forged_claims, forged_headers, forged_texts, forged_trust
from tests.update_cases import OTHER_ROOT, ROOT, TRUST, TRUST_SET, Case
from tests.update_signing import Document, Key, base64url

FOLDER: Final = Path(__file__).resolve().parents[1] / "testdata/updates"


def roots(*keys: Key) -> str:
    """As a factory image has them."""
    return ",".join(base64url(key.point) for key in keys)


def document(about: str, cases: Iterable[Case], **shared: Any) -> str:
    found = [case.as_json() for case in cases]
    names = [case["case"] for case in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"Cases are named twice: {sorted(twice)}.")
    # A line a case: what changed shows.
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in found)
    head = json.dumps({"about": about} | shared, ensure_ascii=False)[1:-1]
    return f'{{{head}, "cases": [\n{lines}\n]}}\n'


def documents() -> dict[str, str]:
    trust_set = str(Document.of(TRUST, TRUST_SET, ROOT))
    both = {"roots": roots(ROOT, OTHER_ROOT), "trust": trust_set}
    return {
        "headers.json": document(
            "Manifests and tickets: good ones, wrong keys, forged headers.", forged_headers.cases(), **both
        ),
        "texts.json": document("Manifests whose text or signature is forged.", forged_texts.cases(), **both),
        "claims.json": document("Manifests and tickets that say what they must not.", forged_claims.cases(), **both),
        "trust.json": document(
            "Trust sets, by themselves and after another.", forged_trust.cases(), roots=both["roots"]
        ),
    }


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
