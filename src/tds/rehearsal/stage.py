"""The platform of a rehearsal, apart from the person's own: what is done there is done by its own command line."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import psycopg

from tds.environment import ROOT, read
from tds.local.apart import Apart, NotReadyError, dies_with_us
from tds.local.plan import mqtts_url
from tds.local.prepared import RELEASE_KEYS
from tds.rehearsal import beliefs
from tds.rehearsal.candidate import Candidate
from tds.rehearsal.devices import PROGRAMS, Devices
from tds.rehearsal.plan import INTERVAL_S, SUCCESS_PERCENT, Plan
from tds.rehearsal.refusal import RehearsalFailedError, RehearsalRefusedError
from tds.updates.releases.signing_commands import KEY_FILE

TENANT: Final = "rehearsal"
COLUMNS: Final = ("gateway_code", "tenant", "family")
BASE_VERSION: Final = "0.0.1"
PACK: Final = ROOT / "firmware" / "tools" / "pack_image.py"
SPREAD_S: Final = 2  # within which a device asks for the trust set
SECONDS_A_MINUTE: Final = 60
SECONDS_AN_HOUR: Final = 3_600
HOME: Final = "home"


class Stage:
    """`folder` is empty, and anybody's account may pass through it."""

    def __init__(self, folder: Path, ports: Iterator[int]) -> None:
        self.folder = folder
        self.platform = Apart(folder / HOME, partial(next, ports), within=dies_with_us())
        self._connection: psycopg.Connection[Any] | None = None

    def start(self) -> None:
        """Raises RehearsalFailedError."""
        try:
            self.platform.start("--no-demo")
        except NotReadyError as error:
            raise RehearsalFailedError(f"The platform of the rehearsal did not start: {error}") from error

    def stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self.platform.stop()

    @property
    def connection(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            self._connection = beliefs.connect(read(self.platform.environment).database_url)
        return self._connection

    # Its devices.

    def provision(self, count: int, family: str) -> None:
        codes = [f"R-{number:04d}" for number in range(1, count + 1)]
        table = self.folder / "units.csv"
        with table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows([code, TENANT, family] for code in codes)
        self.tds("tenant", "add", TENANT)
        self.tds("provision", str(table), "--out", str(self.folder / "box"), "--broker", "127.0.0.1")

    def devices(self, plan: Plan, candidate: Candidate) -> Devices:
        environment = read(self.platform.environment)
        family = candidate.facts.project
        words = {
            "box": self.folder / "box",
            "state": self.folder / "devices",
            "family": family,
            "programs": PROGRAMS,
            "base": plan.base or self._base(family),
            "image-bytes": candidate.facts.size,
            "broker": mqtts_url(environment),
            "ota-url": f"https://localhost:{environment.ports.ota}",
            "interval": INTERVAL_S,
            "trial": plan.trial_s,
            "spread": SPREAD_S,
            "faults": ",".join(plan.faults),
            "seed": plan.seed,
        }
        return Devices([word for name, value in words.items() for word in (f"--{name}", str(value))])

    def _base(self, family: str) -> Path:
        image = self.folder / "base.bin"
        words = [str(PROGRAMS / family), str(image), "--project", family, "--version", BASE_VERSION]
        words += ["--secure-version", "0", "--strip"]
        self._run([sys.executable, str(PACK), *words], os.environ)
        return image

    # The release.

    def publish(self, candidate: Candidate) -> int:
        """Its number here."""
        manifest = self.folder / "manifest.jws"
        if candidate.manifest:
            manifest.write_text(f"{candidate.manifest}\n", encoding="ascii")
        else:
            self._sign(candidate, manifest)
        told = self.tds("release", "upload", str(candidate.image), str(manifest), "--publish", "--json")
        return int(json.loads(told)["id"])

    def trust(self, candidate: Candidate) -> None:
        """Its own key, so that its own manifest is what devices judge."""
        if candidate.key is None:
            return
        public, former, new = (self.folder / name for name in ("release.pub", "former.jws", "trust.jws"))
        public.write_bytes(candidate.key.pem())
        row = self.connection.execute("SELECT document FROM tds_new_trustset ORDER BY version DESC LIMIT 1").fetchone()
        former.write_text(row[0] if row else "", encoding="ascii")
        root = self._key(root=True)
        self.tds(*("trust", "make", str(new), "--root", str(root), "--former", str(former), "--release", str(public)))
        self.tds("trust", "upload", str(new))

    def _sign(self, candidate: Candidate, manifest: Path) -> None:
        claims = self.folder / "manifest.json"
        counter = str(max(candidate.facts.secure_version, candidate.base_counter + 1))
        self.tds(
            *("release", "build-manifest", str(candidate.image), str(claims)),
            *("--product", candidate.product, "--counter", counter),
        )
        self.tds("release", "sign", str(claims), "--key", str(self._key(root=False)), "--out", str(manifest))

    def _key(self, *, root: bool) -> Path:
        return self.platform.home / RELEASE_KEYS / KEY_FILE[root]

    # The rollout.

    def roll_out(self, release: int, plan: Plan) -> int:
        """Its number."""
        words = [
            *("rollout", "start", str(release), "--all", "--waves", plan.waves, "--site-at-once"),
            *("--success", str(SUCCESS_PERCENT), "--soak-min", str(plan.soak_s / SECONDS_A_MINUTE)),
            *("--wait-hours", str(plan.limit_s / SECONDS_AN_HOUR), "--gate" if plan.gate else "--no-gate"),
        ]
        try:
            return int(json.loads(self.tds(*words, "--json"))["rollout"])
        except RehearsalFailedError as error:
            raise RehearsalRefusedError(f"{error} {self.tds(*words, '--preview').strip()}") from error

    def retry(self, rollout: int) -> None:
        """As a person does who knows what had happened."""
        self.tds("rollout", "retry", str(rollout))
        self.tds("rollout", "resume", str(rollout))

    def tds(self, *words: str) -> str:
        """A command of the platform's; what it printed. Raises RehearsalFailedError."""
        return self._run([str(ROOT / "tds"), *words], self.platform.environment)

    def _run(self, words: list[str], environment: Mapping[str, str]) -> str:
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            named = " ".join(words[:3])
            raise RehearsalFailedError(f"{named} … ended with {done.returncode}: {done.stderr or done.stdout}".strip())
        return done.stdout
