"""Take every address out of package-lock.json: a package is its name, version and hash, wherever it comes from."""

import json
from pathlib import Path

LOCK = Path(__file__).resolve().parents[1] / "package-lock.json"

content = json.loads(LOCK.read_text(encoding="utf-8"))
for package in content["packages"].values():
    package.pop("resolved", None)
    package.pop("funding", None)
LOCK.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
