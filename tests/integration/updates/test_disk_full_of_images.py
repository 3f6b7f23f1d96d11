"""A disk of half a megabyte for images, beside a firmware server that goes on: uploads that do not fit, and then do."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any, Final

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from tds import wiring
from tds.fleet.models import AuditEntry, User
from tds.updates import models
from tds.updates.models import Release
from tds.updates.releases import desk
from tds.updates.signed import trust
from tds.updates.signed.keys import PrivateKey
from tests import imaging
from tests.enrolling import Board, running_server
from tests.refusing import signed_in, text_of
from tests.releasing import Maker

pytestmark = pytest.mark.django_db(transaction=True)

UPLOAD: Final = "/tds_new/versoes/enviar/"
KIB: Final = 1_024


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Of 512 KiB."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(words, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk takes the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def believed(home: Path, settings: Any) -> Maker:
    settings.ENV = replace(settings.ENV, home=home)
    maker = Maker(home / "updates", now=timezone.now())
    document = trust.make(maker.trusted, PrivateKey.new())
    models.TrustSet.objects.create(version=1, document=document, expires_at=maker.trusted.expires_at)
    return maker


def chief() -> Client:
    return signed_in(User.objects.create_superuser("chefe", password="correct horse"))


def image(kib: int, version: str) -> bytes:
    return imaging.packed(os.urandom(kib * KIB), version=version)


def send(client: Client, maker: Maker, data: bytes, counter: int) -> list[str]:
    """What it is refused for."""
    files = {
        "imagem": SimpleUploadedFile("app.bin", data),
        "manifesto": SimpleUploadedFile("m.jws", maker.signed(data, counter=counter).encode()),
    }
    answer = client.post(UPLOAD, files)
    assert answer.status_code in (302, 400), text_of(answer)
    return [unescape(said) for said in re.findall(r'data-level="error" role="alert">([^<]*)</p>', text_of(answer))]


def test_an_upload_that_the_disk_has_no_room_for_leaves_nothing_and_works_when_there_is_room(
    tmp_path: Path, settings: Any
) -> None:
    with running_server(tmp_path) as server, small_disk(server.home / "updates" / "artifacts") as disk:
        maker, client, board = believed(server.home, settings), chief(), Board(server, tmp_path / "board")
        served = image(200, "1.1.0")
        first = maker.publish(maker.upload(served, counter=1))
        other = maker.upload(image(200, "1.1.1"), counter=2)
        before = sorted(disk.iterdir()), AuditEntry.objects.count()

        data = image(200, "1.2.0")
        [sentence] = send(client, maker, data, 3)
        assert sentence == f"The image can't be kept in {disk}: No space left on device. Nothing of it is left."
        assert (sorted(disk.iterdir()), AuditEntry.objects.count()) == before
        assert Release.objects.count() == 2
        assert board.curl(f"/ota/v1/artifacts/{first.sha256}.bin").body == served  # what is there is served all along

        other.delete()
        assert desk.clean(wiring.database_connection(), maker.artifacts, timezone.now()) == [other.sha256]
        assert send(client, maker, data, 3) == []
        release = Release.objects.get(version="1.2.0")
        maker.publish(release)
        assert board.curl(f"/ota/v1/artifacts/{release.sha256}.bin").body == data
        assert server.process.errors == ""
        assert server.process.terminate() == 0


def test_a_disk_for_uploads_that_is_full_while_the_image_comes_is_a_sentence(tmp_path: Path, settings: Any) -> None:
    """Before it is looked at, Django keeps it elsewhere."""
    with small_disk(tmp_path / "uploads") as disk:
        settings.FILE_UPLOAD_TEMP_DIR = str(disk)
        maker, client = believed(tmp_path / "home", settings), chief()
        [sentence] = send(client, maker, image(900, "1.1.0"), 1)
        assert sentence == f"The image can't be kept in {disk}: No space left on device. Nothing of it is left."
        assert list(disk.iterdir()) == []
        assert not Release.objects.exists()
        assert send(client, maker, image(300, "1.1.0"), 1) == []
        assert Release.objects.count() == 1


def test_a_folder_for_uploads_that_is_not_there_is_a_sentence(tmp_path: Path, settings: Any) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path / "nowhere")
    maker = believed(tmp_path / "home", settings)
    [sentence] = send(chief(), maker, image(1, "1.1.0"), 1)
    assert (
        sentence == f"The image can't be kept in {tmp_path}/nowhere: No such file or directory. Nothing of it is left."
    )
