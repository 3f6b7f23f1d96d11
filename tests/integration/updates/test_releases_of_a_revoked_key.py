"""A key is revoked after what it signed was published: from then on the server hands that out to nobody."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from django.utils import timezone
from typer.testing import CliRunner

from tds.fleet import audit
from tds.fleet.models import AuditEntry, Tenant
from tds.updates.executions import delivery
from tds.updates.models import Release
from tds.updates.releases import trust_sets
from tds.updates.releases.trust_commands import trust_app
from tds.updates.rollouts import desk
from tds.updates.rollouts.asker import COMMAND_LINE
from tds.updates.rollouts.refusals import RolloutRefusedError
from tds.updates.signed import trust
from tds.updates.signed.keys import PrivateKey
from tds.updates.signed.trust import TrustedKey, TrustSet, Use
from tests import imaging, rolling_out
from tests.enrolling import Board, running_server
from tests.releasing import Maker
from tests.rolling_out import QUICK, Stage, standing, statuses

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("english")]

FILE: Final = "/ota/dcu/firmware.bin"


def trust_set(root: PrivateKey, version: int, revoked: tuple[str, ...]) -> str:
    """It names another key."""
    now = timezone.now()
    until = now + timedelta(days=1)
    key = TrustedKey.of(PrivateKey.new().public, Use.RELEASE, now - timedelta(days=1), until)
    return trust.make(TrustSet(version, int(now.timestamp()), int(until.timestamp()), (key,), revoked), root)


def revoke(maker: Maker) -> None:
    root = PrivateKey.new()
    text = trust_set(root, 1, (maker.key.kid,))
    trust_sets.take(text, [root.public], by=audit.COMMAND_LINE, now=timezone.now())


def test_the_command_says_what_is_withdrawn_and_has_gateways_ask_for_the_set(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ENV = replace(settings.ENV, home=tmp_path / "home")
    maker, root, file = Maker(tmp_path, now=timezone.now()), PrivateKey.new(), tmp_path / "set.jws"
    release, told = published(maker, "1.1.0", 2_000), list[object]()
    monkeypatch.setattr(delivery, "check_now_all", told.append)
    (tmp_path / "root.pub").write_bytes(root.public.pem())
    for version, revoked, said in ((1, (), 0), (2, (maker.key.kid,), 1), (3, (maker.key.kid,), 1)):
        file.write_text(trust_set(root, version, revoked), encoding="ascii")
        done = CliRunner().invoke(trust_app, ["upload", str(file), "--root", str(tmp_path / "root.pub")])
        assert done.exit_code == 0, done.stderr
        assert (f"Withdrawn, for a revoked key signed them: {release}." in done.stdout) is (version == 2)
        assert len(told) == said


def published(maker: Maker, version: str, counter: int) -> Release:
    return maker.publish(maker.upload(imaging.packed(version.encode() * 100, version=version), counter=counter))


def test_it_is_withdrawn_for_that_reason_and_others_are_not(tmp_path: Path) -> None:
    stolen, good = (Maker(tmp_path, now=timezone.now()) for _ in range(2))
    release, other = published(stolen, "1.1.0", 2_000), published(good, "1.2.0", 3_000)
    revoke(stolen)
    release.refresh_from_db()
    other.refresh_from_db()
    assert (release.status, release.withdrawn_why) == ("withdrawn", "Its key is revoked by trust set 1.")
    assert other.status == "published"
    [entry] = AuditEntry.objects.filter(action="release.withdrawn")
    assert (entry.object_id, entry.actor) == (release.pk, "command line")


def test_a_rollout_of_it_halts_before_its_next_wave_and_none_begins(
    tmp_path: Path, stage: Stage, tenant: Tenant
) -> None:
    maker = Maker(tmp_path, now=timezone.now())
    release = published(maker, "1.1.0", 2_000)
    rolling_out.gateways(tenant, 4)
    rollout = rolling_out.launched(release, waves="2, 100 %", limits=QUICK)
    stage.turn()
    revoke(maker)
    stage.finish()
    stage.turn(1, turns=3)
    assert standing(rollout) == ("halted", 1, "withdrawn")
    assert statuses(rollout)[2] == {"CANCELED": 2}
    with pytest.raises(RolloutRefusedError, match="was withdrawn"):
        rolling_out.launched(release)
    with pytest.raises(RolloutRefusedError, match="was withdrawn"):
        desk.resume(COMMAND_LINE, rollout.pk, now=stage.now)


def test_who_checks_no_signature_gets_the_one_before_it(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        board = Board(server, tmp_path / "board")
        good, stolen = (Maker(server.home / "updates", now=timezone.now()) for _ in range(2))
        former, latest = published(good, "1.0.0", 1), published(stolen, "1.1.0", 2)
        assert board.curl(FILE, "--head").headers["etag"] == f'"{latest.sha256}"'
        revoke(stolen)
        assert board.curl(FILE, "--head").headers["etag"] == f'"{former.sha256}"'
        assert server.process.terminate() == 0
