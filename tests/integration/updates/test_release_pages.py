"""The pages of releases: taken in, published and withdrawn by the platform's operator; uploads that are none."""

import io
import re
import secrets
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any, Final

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from tds.dashboard.updates.upload import FORM_BYTES
from tds.fleet.models import AuditEntry, Role, Tenant, User
from tds.updates import models
from tds.updates.models import KnownBad, Release, ReleaseKind, RunningFirmware, UnsignedFetch
from tds.updates.releases.chips import MAX_IMAGE_BYTES
from tds.updates.signed import trust
from tds.updates.signed.keys import PrivateKey
from tests import imaging, rolling_out, seeding
from tests.refusing import level_and_notice, signed_in, text_of
from tests.releasing import Maker

pytestmark = pytest.mark.django_db

LIST: Final = "/tds_new/versoes/"
UPLOAD: Final = f"{LIST}enviar/"
DATA: Final = imaging.packed(version="1.1.0")
GIGABYTE: Final = 1024**3


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, settings: Any) -> None:
    settings.ENV = replace(settings.ENV, home=tmp_path)


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    """Whose trust set the platform has."""
    made = Maker(tmp_path / "updates", now=timezone.now())
    document = trust.make(made.trusted, PrivateKey.new())
    models.TrustSet.objects.create(version=1, document=document, expires_at=made.trusted.expires_at)
    return made


@pytest.fixture
def chief() -> Client:
    return signed_in(User.objects.create_superuser("chefe", password="correct horse"))


def admin_of(tenant: Tenant, **client: Any) -> Client:
    return signed_in(seeding.person("ana", tenant, role=Role.ADMIN), **client)


def send(client: Client, data: bytes | None, manifest: str | bytes | None, **fields: Any) -> Any:
    form: dict[str, Any] = dict(fields)
    if data is not None:
        form["imagem"] = SimpleUploadedFile("app.bin", data)
    if manifest is not None:
        form["manifesto"] = SimpleUploadedFile("m.jws", manifest if isinstance(manifest, bytes) else manifest.encode())
    return client.post(UPLOAD, form)


def refusals(answer: Any) -> list[str]:
    assert answer.status_code == 400, text_of(answer)
    return [unescape(said) for said in re.findall(r'data-level="error" role="alert">([^<]*)</p>', text_of(answer))]


def left(maker: Maker) -> tuple[int, int, list[Path]]:
    folder = maker.artifacts.folder
    return Release.objects.count(), AuditEntry.objects.count(), sorted(folder.glob("*")) if folder.exists() else []


def act(client: Client, release: Release, action: str, **fields: Any) -> tuple[str, str]:
    answer = client.post(f"{LIST}{release.pk}/acao/", {"acao": action, **fields}, follow=True)
    assert answer.status_code == 200, text_of(answer)
    return level_and_notice(text_of(answer))


# Taken in


def test_a_release_is_taken_in_published_and_withdrawn_on_the_page(maker: Maker, chief: Client) -> None:
    answer = send(chief, DATA, maker.signed(DATA), notas="Menos ruído <b>", teste="")
    release = Release.objects.get()
    assert answer["Location"] == f"{LIST}{release.pk}/"
    page = text_of(chief.get(answer["Location"]))
    assert "dcu 1.1.0 is taken in. Nobody gets it before it is published." in page
    assert "Menos ruído &lt;b&gt;" in page
    assert (release.status, release.kind, release.uploaded_by.username) == ("uploaded", "application", "chefe")  # type: ignore[union-attr]  # somebody
    assert maker.artifacts.has(release.sha256)
    assert act(chief, release, "publicar") == ("success", "dcu 1.1.0 is published: it can be rolled out.")
    level, notice = act(chief, release, "retirar", motivo=" ")
    assert (level, "Say why" in notice) == ("error", True)
    assert act(chief, release, "retirar", motivo="It <i>burns")[0] == "success"
    page = text_of(chief.get(f"{LIST}{release.pk}/"))
    assert "Withdrawn: It &lt;i&gt;burns" in page
    level, notice = act(chief, release, "publicar")
    assert (level, "withdrawn for good" in notice) == ("error", True)
    actions = list(AuditEntry.objects.order_by("pk").values_list("action", "actor"))
    assert actions == [(f"release.{deed}", "chefe") for deed in ("uploaded", "published", "withdrawn")]


def test_a_release_that_rolled_back_is_forgiven_on_its_page(chief: Client) -> None:
    release = rolling_out.release()
    for hardware in "AB":
        KnownBad.objects.create(
            release=release, family="dcu-0080", hardware=hardware, rolled_back=2, last_at=rolling_out.T0
        )
    assert text_of(chief.get(f"{LIST}{release.pk}/")).count('value="perdoar"') == 2
    where = {"familia": "dcu-0080", "hardware": "B"}
    level, notice = act(chief, release, "perdoar", motivo=" ", **where)
    assert (level, "Say why" in notice) == ("error", True)
    assert act(chief, release, "perdoar", motivo="A bad cable.", **where) == (
        "success",
        "dcu 1.1.0 is forgiven on dcu-0080 B: rollouts take it there again.",
    )
    page = text_of(chief.get(f"{LIST}{release.pk}/"))
    assert (page.count('value="perdoar"'), "· forgiven " in page) == (1, True)
    assert act(chief, release, "perdoar", motivo="x", **where)[0] == "error"
    assert AuditEntry.objects.values_list("action", "actor").get() == ("release.forgiven", "chefe")


def test_attack_a_companys_admin_may_not_forgive_a_release(tenant: Tenant) -> None:
    release = rolling_out.release()
    KnownBad.objects.create(release=release, family="dcu-0080", hardware="B", rolled_back=2, last_at=rolling_out.T0)
    fields = {"acao": "perdoar", "familia": "dcu-0080", "hardware": "B", "motivo": "x"}
    assert admin_of(tenant).post(f"{LIST}{release.pk}/acao/", fields).status_code == 403
    assert KnownBad.objects.get().forgiven_at is None


def test_the_same_files_again_are_no_error(maker: Maker, chief: Client) -> None:
    text = maker.signed(DATA)
    send(chief, DATA, text)
    answer = send(chief, DATA, text)
    assert "dcu 1.1.0 was there already." in text_of(chief.get(answer["Location"]))
    assert Release.objects.count() == 1


def test_a_test_image_is_taken_in_as_one(maker: Maker, chief: Client) -> None:
    send(chief, DATA, maker.signed(DATA), teste="1")
    assert Release.objects.get().kind == ReleaseKind.HELLO
    assert "Roll it out" not in text_of(chief.get(f"{LIST}{Release.objects.get().pk}/"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (imaging.tiny_elf("esp32", imaging.described()), "ELF"),
        (b"PK\x03\x04" + bytes(100), "zip"),
        (DATA[:-1], "cut off"),
        (b"\x00" * 4_096, "image"),
        (bytes(MAX_IMAGE_BYTES + 1), "8,388,608"),
    ],
    ids=["0 bytes", "an ELF", "a zip", "truncated", "zeros", "a byte too large"],
)
def test_what_is_no_image_is_refused_with_a_sentence_and_nothing_is_left(
    maker: Maker, chief: Client, data: bytes, said: str
) -> None:
    before = left(maker)
    [sentence] = refusals(send(chief, data, maker.signed(DATA)))
    assert said in sentence, sentence
    assert left(maker) == before


def test_another_image_than_the_manifests_is_refused_with_all_that_is_wrong(maker: Maker, chief: Client) -> None:
    said = refusals(send(chief, imaging.packed(b"#!/bin/other\n", version="1.2.0"), maker.signed(DATA)))
    assert len(said) >= 2
    assert Release.objects.count() == 0


@pytest.mark.parametrize(
    "manifest",
    [b"", b"nonsense", b"\xff\xfe\x00", b"x" * 1_000_000, b"a.b.c"],
    ids=["empty", "text", "bytes", "1 MB", "dots"],
)
def test_what_is_no_manifest_is_refused(maker: Maker, chief: Client, manifest: bytes) -> None:
    before = left(maker)
    assert len(refusals(send(chief, DATA, manifest))) == 1
    assert left(maker) == before


def test_attack_a_manifest_signed_by_a_stranger_is_refused(maker: Maker, chief: Client, tmp_path: Path) -> None:
    before = left(maker)
    [sentence] = refusals(send(chief, DATA, Maker(tmp_path).signed(DATA)))
    assert "key" in sentence
    assert left(maker) == before


def test_a_platform_without_a_trust_set_believes_nobody_and_says_what_to_do(chief: Client, tmp_path: Path) -> None:
    assert "./tds trust --help" in text_of(chief.get(LIST))
    [sentence] = refusals(send(chief, DATA, Maker(tmp_path).signed(DATA)))
    assert "trust set" in sentence


@pytest.mark.parametrize(("data", "manifest"), [(None, "x"), (DATA, None), (None, None)])
def test_a_missing_file_is_a_sentence(maker: Maker, chief: Client, data: bytes | None, manifest: str | None) -> None:
    assert refusals(send(chief, data, manifest)) == ["Choose both files: the image, and its signed manifest."]


def test_files_sent_as_text_are_missing_files(maker: Maker, chief: Client) -> None:
    assert refusals(chief.post(UPLOAD, {"imagem": "x", "manifesto": "y"})) == [
        "Choose both files: the image, and its signed manifest."
    ]


# Bounds


class Endless(io.RawIOBase):
    """The body of a form whose image never ends; how much of it was read."""

    def __init__(self, token: str, boundary: str) -> None:
        token_part = f'--{boundary}\r\nContent-Disposition: form-data; name="csrfmiddlewaretoken"\r\n\r\n{token}\r\n'
        image = f'--{boundary}\r\nContent-Disposition: form-data; name="imagem"; filename="a.bin"\r\n\r\n'
        self.head = (token_part + image).encode()
        self.was_read = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            raise AssertionError("all of an endless body was asked for")
        head, self.head = self.head[:size], self.head[size:]
        self.was_read += size
        return head + bytes(size - len(head))


def endless(client: Client, length: int, *, token: str | None = None) -> tuple[Any, int]:
    """The answer, and how much was read for it."""
    if token is None:
        token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', text_of(client.get(LIST)))[0]
    body = Endless(token, "limit")
    form: dict[str, Any] = {
        "CONTENT_TYPE": "multipart/form-data; boundary=limit",
        "CONTENT_LENGTH": str(length),
        "wsgi.input": body,
    }
    return client.generic("POST", UPLOAD, **form), body.was_read


@pytest.fixture
def strict(chief: Client) -> Client:
    chief.handler.enforce_csrf_checks = True
    return chief


def test_attack_a_gigabyte_is_refused_early_with_a_sentence(maker: Maker, strict: Client) -> None:
    before = left(maker)
    answer, was_read = endless(strict, GIGABYTE)
    assert refusals(answer) == ["The image is larger than 8 MiB, which no device has room for. Nothing was kept."]
    assert was_read <= 2 * FORM_BYTES  # it said itself how long it is
    assert left(maker) == before


def test_attack_an_image_that_is_longer_than_its_form_says_is_not_read_on(maker: Maker, strict: Client) -> None:
    answer, was_read = endless(strict, MAX_IMAGE_BYTES + FORM_BYTES)
    assert answer.status_code == 400
    assert MAX_IMAGE_BYTES < was_read <= MAX_IMAGE_BYTES + 4 * FORM_BYTES


def test_attack_a_form_of_another_site_is_refused_and_not_read_to_its_end(maker: Maker, strict: Client) -> None:
    strict.get(LIST)
    answer, was_read = endless(strict, GIGABYTE, token="x" * 64)
    assert answer.status_code == 403
    assert 0 < was_read <= 2 * FORM_BYTES
    send(strict, DATA, maker.signed(DATA))
    assert not Release.objects.exists()


@pytest.mark.parametrize("who", ["nobody", "an admin of a company"])
def test_attack_nothing_is_read_of_who_may_not_upload(tenant: Tenant, who: str) -> None:
    client = Client() if who == "nobody" else admin_of(tenant)
    answer, was_read = endless(client, GIGABYTE, token="x")
    assert answer.status_code == (302 if who == "nobody" else 403)
    assert was_read == 0


def test_notes_that_are_too_long_are_a_sentence(maker: Maker, chief: Client) -> None:
    [sentence] = refusals(send(chief, DATA, maker.signed(DATA), notas="x" * 20_001))
    assert "20,000" in sentence


def test_a_disk_that_takes_nothing_is_a_sentence(maker: Maker, chief: Client) -> None:
    maker.folder.mkdir()
    (maker.folder / "artifacts").write_text("no folder")
    [sentence] = refusals(send(chief, DATA, maker.signed(DATA)))
    assert "can't be kept" in sentence
    assert not Release.objects.exists()


# Who may


@pytest.mark.parametrize("action", ["publicar", "retirar"])
def test_a_companys_admin_may_neither_upload_nor_publish_nor_withdraw(
    maker: Maker, tenant: Tenant, action: str
) -> None:
    client, release = admin_of(tenant), rolling_out.release()
    assert 'name="imagem"' not in text_of(client.get(LIST))
    assert "acao/" not in text_of(client.get(f"{LIST}{release.pk}/"))
    assert client.post(f"{LIST}{release.pk}/acao/", {"acao": action, "motivo": "x"}).status_code == 403
    assert send(client, DATA, maker.signed(DATA)).status_code == 403
    assert Release.objects.get().status == "published"


def test_a_company_sees_what_was_published_and_its_own_gateways_counted(tenant: Tenant, chief: Client) -> None:
    published = rolling_out.release(sha256=rolling_out.OLD, version="1.0.0", counter=1)
    uploaded = rolling_out.release(version="2.0.0", counter=9, status="uploaded", published_at=None)
    withdrawn = rolling_out.release(version="1.5.0", counter=5, status="withdrawn")
    rolling_out.gateways(tenant, 3)
    rolling_out.gateways(seeding.tenant("other"), 2, "THEIRS")
    client = admin_of(tenant)
    page = text_of(client.get(LIST))
    assert re.findall(r">dcu ([0-9.]+)</a>", page) == ["1.5.0", "1.0.0"]
    assert re.search(r"dcu 1\.0\.0.*?<span>3</span>", page, re.DOTALL)
    assert re.search(r"dcu 1\.0\.0.*?<span>5</span>", text_of(chief.get(LIST)), re.DOTALL)
    assert client.get(f"{LIST}{uploaded.pk}/").status_code == 404
    assert client.get(f"{LIST}{withdrawn.pk}/").status_code == 200
    assert client.get(f"{LIST}{published.pk}/").status_code == 200
    assert chief.get(f"{LIST}{uploaded.pk}/").status_code == 200
    for number in (987_654_321, 10**30):
        assert client.get(f"{LIST}{number}/").status_code == 404


def test_who_belongs_to_no_company_sees_no_release() -> None:
    release = rolling_out.release()
    client = signed_in(User.objects.create_user("ana", password="correct horse"))
    assert ">dcu " not in text_of(client.get(LIST))
    assert client.get(f"{LIST}{release.pk}/").status_code == 404


def test_a_release_names_the_companys_rollouts_alone(tenant: Tenant) -> None:
    release = rolling_out.release()
    rolling_out.gateways(tenant, 1)
    mine = rolling_out.launched(release)
    rolling_out.gateways(seeding.tenant("other"), 1, "THEIRS")
    theirs = rolling_out.launched(release)
    assert theirs.tenant != mine.tenant
    page = text_of(admin_of(tenant).get(f"{LIST}{release.pk}/"))
    assert f"/tds_new/atualizacoes/{mine.pk}/" in page
    assert f"/tds_new/atualizacoes/{theirs.pk}/" not in page


def test_gateways_that_take_the_unsigned_file_alone_are_listed(tenant: Tenant, chief: Client) -> None:
    release = rolling_out.release()
    page = f"{LIST}{release.pk}/"
    client = admin_of(tenant)
    assert "without a signature" not in text_of(client.get(page))
    old, new = rolling_out.gateways(tenant, 2)
    [theirs] = rolling_out.gateways(seeding.tenant("other"), 1, "THEIRS")
    RunningFirmware.objects.exclude(gateway=new).update(trust_version=0)
    for gateway in (old, new, theirs):
        UnsignedFetch.objects.create(gateway=gateway, release=release, fetched_at=timezone.now())
    said = text_of(client.get(page))
    assert "1 gateway takes the unsigned file alone" in said
    assert f'href="/tds_new/gateways/{old.code}/"' in said
    assert new.code not in said
    assert theirs.code not in said
    said = text_of(chief.get(page))
    assert "2 gateways take the unsigned file alone" in said
    assert f'<span class="code">{theirs.code}</span>' in said
    assert f"/gateways/{theirs.code}/" not in said  # another company's page, which is not picked


def test_refusals_are_in_the_language_of_who_reads_them(maker: Maker) -> None:
    chief = signed_in(User.objects.create_superuser("chefe", password="correct horse"), "pt-BR")
    said = refusals(send(chief, imaging.packed(b"x", version="1.2.0"), maker.signed(DATA)))
    assert said[0].startswith("O arquivo tem 336 bytes, e o manifesto é de um com 352: ")
    assert refusals(send(chief, b"", maker.signed(DATA))) == ["O arquivo está vazio."]
    assert refusals(send(chief, DATA, "nonsense")) == [
        "O manifesto não é um JWS na forma compacta: três partes com pontos entre elas."
    ]
    [sentence] = refusals(send(chief, DATA, Maker(maker.folder).signed(DATA)))
    assert "não é de release no conjunto de confiança 1: assine com uma que seja" in sentence


def test_an_unknown_deed_is_a_sentence(chief: Client) -> None:
    release = rolling_out.release()
    answer = chief.post(f"{LIST}{release.pk}/acao/", {"acao": "nonsense"})
    assert answer.status_code == 400
    assert "The form does not say what to do" in text_of(answer)
    assert chief.get(f"{LIST}{release.pk}/acao/").status_code == 405
    assert chief.get(UPLOAD).status_code == 405


def test_pages_are_turned(chief: Client) -> None:
    for n in range(51):
        rolling_out.release(counter=n + 1, version=f"1.{n}.0", sha256=secrets.token_hex(32))
    first, second = (text_of(chief.get(LIST, {"pagina": page})) for page in ("1", "2"))
    assert len(re.findall(r">dcu ([0-9.]+)</a>", first)) == 50
    assert re.findall(r">dcu ([0-9.]+)</a>", second) == ["1.0.0"]
    assert 'rel="next" href="?pagina=2"' in first
    assert chief.get(LIST, {"pagina": "x"}).status_code == 400
