"""Releases for tests: signed manifests of packed programs, and what is needed to take them in."""

import io
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from tds.fleet import audit
from tds.updates.models import Release, ReleaseKind
from tds.updates.releases import desk, image
from tds.updates.releases.files import Artifacts
from tds.updates.signed import manifest as manifests
from tds.updates.signed.keys import PrivateKey
from tds.updates.signed.manifest import Manifest
from tds.updates.signed.trust import TrustedKey, TrustSet, Use
from tests import imaging

NOW: Final = datetime(2026, 11, 26, 12, tzinfo=UTC)


def manifest_of(data: bytes, **other: Any) -> Manifest:
    """As `tds release build-manifest` makes it of an image, but for `other`."""
    facts = image.read(io.BytesIO(data))
    made = Manifest(
        product="dcu",
        families=(facts.project,),
        chip=facts.chip,
        hardware=("*",),
        version=facts.version,
        counter=1,
        size=facts.size,
        sha256=facts.sha256,
        min_source_counter=0,
        released_at=int(NOW.timestamp()),
    )
    return msgspec.structs.replace(made, **other)


@dataclass
class Maker:
    """Who signs, and where the platform keeps what it takes in."""

    folder: Path
    now: datetime = NOW
    key: PrivateKey = field(default_factory=PrivateKey.new)
    revoked: tuple[str, ...] = ()

    @property
    def artifacts(self) -> Artifacts:
        return Artifacts(self.folder / "artifacts")

    @property
    def trusted(self) -> TrustSet:
        until = self.now + timedelta(days=365)
        key = TrustedKey.of(self.key.public, Use.RELEASE, self.now - timedelta(days=30), until)
        return TrustSet(1, int(self.now.timestamp()), int(until.timestamp()), (key,), self.revoked)

    def signed(self, data: bytes, **other: Any) -> str:
        return manifests.make(manifest_of(data, **other), self.key)

    def upload(
        self, data: bytes, text: str = "", *, kind: ReleaseKind = ReleaseKind.APPLICATION, **other: Any
    ) -> Release:
        return self.take(text or self.signed(data, **other), data, kind=kind).release

    def take(self, text: str, data: bytes, **other: Any) -> desk.Uploaded:
        options: dict[str, Any] = {"by": audit.COMMAND_LINE, "now": self.now} | other
        return desk.upload(text, io.BytesIO(data), trusted=self.trusted, artifacts=self.artifacts, **options)

    def publish(self, release: Release, **other: Any) -> Release:
        options: dict[str, Any] = {"by": audit.COMMAND_LINE, "now": self.now} | other
        return desk.publish(release, trusted=self.trusted, artifacts=self.artifacts, **options)

    def released(
        self, version: str = "1.1.0", counter: int = 1, *, program: bytes = b"#!/bin/sh\n", **other: Any
    ) -> Release:
        """Uploaded and published."""
        data = imaging.packed(program, version=version)
        return self.publish(self.upload(data, counter=counter, **other))
