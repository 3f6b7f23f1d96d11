"""What gateways get of the firmware server and what they do not, with curl and openssl against the real process."""

import contextlib
import hashlib
import itertools
import json
import os
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.utils import timezone

from tds.fleet.models import Gateway, GatewayStatus, Tenant
from tds.heartbeat import Heartbeat
from tds.identity.enrolment.http_refusal import RefusedError
from tds.ota_server import permits
from tds.ota_server.gateways import Asking
from tds.ota_server.permits import Opened, Wanted
from tds.updates.models import Execution, Release, ReleaseKind, RunningFirmware, TrustSet
from tds.updates.releases import desk
from tds.updates.releases.files import Artifacts
from tests import executing, imaging, seeding
from tests.enrolling import Answer, Board, RunningServer, running_server
from tests.releasing import Maker
from tests.running import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

MIB: Final = 1_048_576
PRODUCTION: Final = {
    "TDS_MODE": "production",
    "TDS_SECRET_KEY": "only for tests, and longer than thirty-two characters",
    "TDS_ALLOWED_HOSTS": "localhost",
    "TDS_WEB_ORIGINS": "https://localhost",
}
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("ota")) as running:
        yield running
        assert running.process.errors == ""
        assert not any("A fault of ours" in line for line in running.process.lines)


@pytest.fixture
def maker(server: RunningServer) -> Maker:
    return Maker(server.home / "updates", now=timezone.now())


@pytest.fixture
def gateway() -> Gateway:
    return new_gateway()


@pytest.fixture
def board(server: RunningServer, gateway: Gateway, tmp_path: Path) -> Board:
    return with_certificate(server, gateway, tmp_path)


@pytest.fixture
def released(maker: Maker) -> Release:
    return release(maker)


def new_gateway() -> Gateway:
    tenant = Tenant.objects.filter(slug="acme").first() or seeding.tenant("acme")
    return seeding.gateway(tenant, f"GW-{next(_numbers)}", family="dcu-0080")


def with_certificate(server: RunningServer, gateway: Gateway, folder: Path) -> Board:
    board = Board(server, folder / gateway.code, gateway.code)
    board.given(server.authorities.device(), gateway)
    return board


def release(maker: Maker, version: str = "1.1.0", size: int = MIB, **other: Any) -> Release:
    counter = next(_numbers)
    return maker.released(version, counter, program=counter.to_bytes(4, "big") + os.urandom(size), **other)


def assign(of: Release, gateway: Gateway, **fields: Any) -> Execution:
    """And offer: it has a ticket."""
    return executing.execution(executing.rollout(of), gateway, **{"seq": next(_numbers), "ticket": "t"} | fields)


def path_of(of: Release) -> str:
    return f"/ota/v1/artifacts/{of.sha256}.bin"


def contents(maker: Maker, of: Release) -> bytes:
    return maker.artifacts.path(of.sha256).read_bytes()


def refused(answer: Answer, status: int, said: str) -> None:
    assert (answer.status, answer.headers["content-type"]) == (status, "text/plain; charset=utf-8")
    assert said in answer.text


# Who gets what.


def test_a_gateway_gets_what_it_is_assigned(board: Board, gateway: Gateway, maker: Maker, released: Release) -> None:
    assign(released, gateway)
    answer = board.curl(path_of(released), *board.presents)
    assert answer.status == 200
    assert answer.body == contents(maker, released)
    assert answer.headers["content-length"] == str(released.size)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["etag"] == f'"{released.sha256}"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"


def test_attack_a_gateway_asks_for_what_another_one_is_assigned(
    server: RunningServer, board: Board, released: Release
) -> None:
    assign(released, new_gateway())
    refused(board.curl(path_of(released), *board.presents), 403, f"not assigned to gateway {board.code}")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"status": "IN_PROGRESS", "phase": "downloading"}, 200),
        ({"status": "TIMED_OUT", "reason": "no_answer"}, 200),
        ({"status": "QUEUED", "seq": None, "ticket": ""}, 403),
        ({"status": "CANCELED"}, 403),
        ({"status": "REMOVED"}, 403),
        ({"status": "REJECTED"}, 403),
        ({"status": "FAILED"}, 403),
        ({"status": "SUCCEEDED"}, 403),
    ],
)
def test_only_what_was_offered_and_is_not_over_is_given(
    board: Board, gateway: Gateway, released: Release, fields: dict[str, Any], status: int
) -> None:
    assign(released, gateway, **fields)
    assert board.curl(path_of(released), *board.presents, "--head").status == status


def test_a_withdrawn_release_is_gone(board: Board, gateway: Gateway, released: Release) -> None:
    assign(released, gateway)
    desk.withdraw(released, "It burns.", by="command line", now=timezone.now())
    for words in (board.presents, ()):
        refused(board.curl(path_of(released), *words), 410, "was withdrawn")


def test_what_is_not_published_or_not_there_is_not_found(board: Board, maker: Maker) -> None:
    uploaded = maker.upload(imaging.packed(b"x" * 1_000), counter=next(_numbers))
    refused(board.curl(path_of(uploaded)), 404, "not published")
    refused(board.curl(f"/ota/v1/artifacts/{'0' * 64}.bin"), 404, "no release with this image")


def test_an_image_whose_file_is_lost_says_so(board: Board, maker: Maker, released: Release) -> None:
    maker.artifacts.path(released.sha256).unlink()
    refused(board.curl(path_of(released)), 404, "upload it once more")


def test_a_gateway_that_is_disabled_gets_nothing(board: Board, gateway: Gateway, released: Release) -> None:
    assign(released, gateway)
    Gateway.objects.filter(pk=gateway.pk).update(status=GatewayStatus.DISABLED)
    for path in (path_of(released), "/ota/v1/assignment", "/ota/v1/trust", "/ota/dcu/firmware.bin"):
        refused(board.curl(path, *board.presents), 403, "is disabled")


def test_in_development_a_gateway_may_say_who_it_is_and_anybody_may_download(
    board: Board, gateway: Gateway, released: Release
) -> None:
    assert board.curl(path_of(released), "--head").status == 200
    assert board.curl(f"{path_of(released)}?gateway={gateway.code}", "--head").status == 200
    refused(board.curl(f"{path_of(released)}?gateway=NOBODY"), 403, "no active gateway with that code")
    assert board.curl(f"/ota/v1/assignment?gateway={gateway.code}").status == 204
    refused(board.curl("/ota/v1/assignment"), 403, "Say which gateway asks")


def test_attack_a_gateway_with_a_certificate_says_that_it_is_another_one(
    board: Board, gateway: Gateway, released: Release
) -> None:
    other = new_gateway()
    assign(released, other)
    refused(board.curl(f"{path_of(released)}?gateway={other.code}", *board.presents), 403, "not assigned")


def test_in_production_every_route_needs_a_certificate(tmp_path: Path, gateway: Gateway) -> None:
    with running_server(tmp_path, **PRODUCTION) as server:
        maker = Maker(server.home / "updates", now=timezone.now())
        of, board = release(maker, size=5_000), with_certificate(server, gateway, tmp_path)
        assign(of, gateway)
        for path in (path_of(of), "/ota/v1/assignment", "/ota/v1/trust", "/ota/dcu/firmware.bin", "/ota/dcu/hello.bin"):
            for asked in (path, f"{path}?gateway={gateway.code}"):
                refused(board.curl(asked), 403, "present it in the TLS handshake")
        refused(board.curl(f"/ota/v1/report?gateway={gateway.code}", body=b"{}"), 403, "present it")
        assert board.curl(path_of(of), *board.presents).body == contents(maker, of)
        assert board.curl("/ota/dcu/firmware.bin", *board.presents).status == 200
        assert server.process.terminate() == 0


# Parts of files.


def test_a_part_is_given(board: Board, maker: Maker, released: Release) -> None:
    data = contents(maker, released)
    answer = board.curl(path_of(released), "--range", "1000-1999")
    assert (answer.status, answer.body) == (206, data[1_000:2_000])
    assert answer.headers["content-range"] == f"bytes 1000-1999/{released.size}"
    answer = board.curl(path_of(released), "--range", f"{released.size - 5}-", *if_range(released))
    assert (answer.status, answer.body) == (206, data[-5:])
    answer = board.curl(path_of(released), "--range", "-7")
    assert (answer.status, answer.body) == (206, data[-7:])


def if_range(of: Release) -> tuple[str, str]:
    return "--header", f'If-Range: "{of.sha256}"'


def test_the_head_alone_says_what_there_is(board: Board, released: Release) -> None:
    answer = board.curl(path_of(released), "--head")
    assert (answer.status, answer.headers["content-length"]) == (200, str(released.size))
    assert board.curl("/ota/dcu/firmware.bin", "--head").headers["etag"] == f'"{released.sha256}"'


def test_who_has_it_already_is_told_so(board: Board, released: Release) -> None:
    known = ("--header", f'If-None-Match: "{released.sha256}"')
    for path in (path_of(released), "/ota/dcu/firmware.bin"):
        answer = board.curl(path, *known)
        assert (answer.status, answer.body) == (304, b"")


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("bytes=0-0,0-0,0-0,0-0", 200),
        ("bytes=0-,0-,0-,0-,0-", 200),
        ("bytes=-", 200),
        ("bytes=5-1", 200),
        ("bytes=99999999999999999999999-", 416),
        ("bytes=-0", 416),
        ("bytes=0-99999999999999999999999", 206),
    ],
    ids=["overlapping", "overlapping to the end", "nothing", "negative", "huge", "no bytes", "huge end"],
)
def test_range_games_are_answered_once_or_not_at_all(board: Board, released: Release, asked: str, status: int) -> None:
    answer = board.curl(path_of(released), "--header", f"Range: {asked}")
    assert answer.status == status
    if status == 416:
        assert answer.headers["content-range"] == f"bytes */{released.size}"
    else:
        assert len(answer.body) == released.size


def test_thousands_of_ranges_are_refused_before_they_are_looked_at(board: Board, released: Release) -> None:
    many = ",".join(f"{n}-{n}" for n in range(3_000))
    answer = board.curl(path_of(released), "--header", f"Range: bytes={many}")
    assert answer.status == 400
    assert len(answer.body) < 1_000


@pytest.mark.parametrize(
    "path",
    [
        "/ota/v1/artifacts/../../../../etc/passwd",
        "/ota/v1/artifacts/..%2f..%2f..%2fetc%2fpasswd",
        "/ota/v1/artifacts/%2e%2e/%2e%2e/assignment.key",
        f"/ota/v1/artifacts/{'0' * 64}.bin/../../assignment.key",
        "/ota/v1/artifacts//etc/passwd",
        f"/ota/v1/artifacts/{'A' * 64}.bin",
        f"/ota/v1/artifacts/{'0' * 64}%00.bin",
        "/ota/dcu/../../assignment.key",
        "/ota/../updates/assignment.key",
        "/ota/dcu/firmware.bin/",
        "/ota/dcu/other.bin",
        "/ota/DCU/firmware.bin",
    ],
)
def test_attack_path_traversal(board: Board, released: Release, path: str) -> None:
    answer = board.curl(path, "--path-as-is")
    assert answer.status == 404
    assert b"root:" not in answer.body
    assert b"PRIVATE" not in answer.body


# The newest of a product.


def test_the_newest_published_release_of_a_family_is_given(board: Board, maker: Maker) -> None:
    first, newest = release(maker, "1.1.0"), release(maker, "1.2.0")
    other = maker.publish(
        maker.upload(imaging.packed(b"y" * 5_000, "dcu-all", "1.3.0"), counter=next(_numbers), families=("dcu-all",))
    )
    maker.upload(imaging.packed(b"z" * 5_000, version="1.4.0"), counter=next(_numbers))  # nobody published it
    assert board.curl("/ota/dcu/firmware.bin").body == contents(maker, newest)
    assert board.curl("/ota/dcu/firmware.bin?family=dcu-0080").body == contents(maker, newest)
    assert board.curl("/ota/dcu/firmware.bin?family=dcu-all").body == contents(maker, other)
    refused(board.curl("/ota/dcu/firmware.bin?family=relay-mfr"), 404, "No such release of dcu")
    refused(board.curl("/ota/relay/firmware.bin"), 404, "No such release of relay")
    refused(board.curl("/ota/toaster/firmware.bin"), 404, "There is no such product")
    assert board.curl("/ota/dcu/firmware.bin", *board.presents).body == contents(maker, newest)
    assert board.curl("/ota/dcu/firmware.bin?family=dcu-all", *board.presents).body == contents(maker, newest)
    desk.withdraw(newest, "It burns.", by="command line", now=timezone.now())
    assert board.curl("/ota/dcu/firmware.bin").body == contents(maker, first)


def test_the_family_that_a_gateway_runs_counts(board: Board, gateway: Gateway, maker: Maker) -> None:
    other = maker.publish(
        maker.upload(imaging.packed(b"y" * 5_000, "dcu-all", "1.3.0"), counter=next(_numbers), families=("dcu-all",))
    )
    now = timezone.now()
    runs = {"version": "1.0.0", "sha256": "0" * 64, "slot": 0, "counter": 1, "confirmed": True, "life": "0" * 8}
    runs |= {"boot": 1, "number": 1, "started_at": now, "reported_at": now, "family": "dcu-all", "chip": "host"}
    RunningFirmware.objects.create(gateway=gateway, **runs)
    assert board.curl("/ota/dcu/firmware.bin", *board.presents).body == contents(maker, other)
    RunningFirmware.objects.update(chip="esp32")
    assert board.curl("/ota/dcu/firmware.bin", *board.presents).status == 404


def test_the_test_image_is_another_file(board: Board, maker: Maker, released: Release) -> None:
    refused(board.curl("/ota/dcu/hello.bin"), 404, "No such release")
    hello = imaging.packed(b"hello", version="0.0.1")
    maker.publish(maker.upload(hello, counter=1, kind=ReleaseKind.HELLO))
    answer = board.curl("/ota/dcu/hello.bin")
    assert (answer.status, answer.body) == (200, hello)
    assert answer.headers["cache-control"] == "private, no-cache"
    assert board.curl("/ota/dcu/firmware.bin").body == contents(maker, released)


# Assignment, report, trust.


def test_a_gateway_with_nothing_to_do_is_told_so(board: Board) -> None:
    answer = board.curl("/ota/v1/assignment", *board.presents)
    assert (answer.status, answer.body) == (204, b"")


def test_a_gateway_is_given_the_command_that_is_pushed_too(board: Board, gateway: Gateway, released: Release) -> None:
    execution = assign(released, gateway)  # with a ticket that is over: a new one is signed
    answer = board.curl("/ota/v1/assignment", *board.presents)
    assert answer.status == 200
    document = json.loads(answer.body)
    assert answer.headers["content-type"].startswith("application/json")
    assert document["execution_id"] == execution.public_id
    assert document["url"].endswith(path_of(released))
    assert document["manifest"] == released.manifest


def test_a_report_is_kept(board: Board, gateway: Gateway) -> None:
    said = executing.as_bytes(executing.report(gateway.code, 1, 1, executing.running()))
    assert board.curl("/ota/v1/report", *board.presents, body=said).status == 204
    assert RunningFirmware.objects.get(gateway=gateway).version == "1.0.0"


def test_a_report_of_another_gateway_is_refused(board: Board) -> None:
    other = new_gateway()
    said = executing.as_bytes(executing.report(other.code, 1, 1, executing.running()))
    refused(board.curl("/ota/v1/report", *board.presents, body=said), 403, "was sent by")
    assert not RunningFirmware.objects.exists()


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 400), (b"{}", 400), (b"\xff" * 100, 400), (b" " * 2_049, 413), (bytes(70_000), 413)]
)
def test_a_report_that_is_none_is_refused_with_a_sentence(board: Board, body: bytes, status: int) -> None:
    refused(board.curl("/ota/v1/report", *board.presents, body=body), status, ".")


def test_the_trust_set_is_given_out_once(board: Board) -> None:
    refused(board.curl("/ota/v1/trust", *board.presents), 404, "no trust set yet")
    until = timezone.now() + timedelta(days=365)
    TrustSet.objects.create(version=6, document="a.b.c", expires_at=until)
    TrustSet.objects.create(version=7, document="d.e.f", expires_at=until)
    answer = board.curl("/ota/v1/trust", *board.presents)
    assert (answer.status, answer.text, answer.headers["etag"]) == (200, "d.e.f", '"7"')
    assert answer.headers["content-type"] == "application/jose"
    assert board.curl("/ota/v1/trust", "--header", 'If-None-Match: "7"').status == 304
    assert board.curl("/ota/v1/trust", "--header", 'If-None-Match: "6"').status == 200


# Downloads that go wrong.


def test_a_download_goes_on_where_a_restart_of_the_server_broke_it(tmp_path: Path) -> None:
    out, folder = tmp_path / "out.bin", tmp_path / "server"
    with running_server(folder) as server:
        maker = Maker(server.home / "updates", now=timezone.now())
        of = release(maker, size=7 * MIB)
        words = ["curl", "--silent", "--cacert", str(server.server_ca), "--output", str(out), "--limit-rate", "500K"]
        with subprocess.Popen([*words, server.url(path_of(of))]) as broken:
            wait_until(lambda: out.exists() and out.stat().st_size > 100_000, "the first part")
            assert server.process.terminate() == 0
            assert broken.wait(20) != 0
    got = out.stat().st_size
    assert 0 < got < of.size
    with running_server(folder) as server:
        words = ["curl", "--silent", "--cacert", str(server.server_ca), "--output", str(out), "--continue-at", "-"]
        said = subprocess.run(
            [*words, "--write-out", "%{http_code} %{size_download}", server.url(path_of(of))],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        assert said.stdout == f"206 {of.size - got}"
    assert hashlib.sha256(out.read_bytes()).hexdigest() == of.sha256


def test_a_client_that_reads_slowly_gets_all_of_it(board: Board, maker: Maker, released: Release) -> None:
    answer = board.curl(path_of(released), "--limit-rate", "700K")
    assert answer.body == contents(maker, released)


def test_many_at_once_each_get_all_of_it(board: Board, maker: Maker, released: Release, tmp_path: Path) -> None:
    words = ["curl", "--silent", "--cacert", str(board.server.server_ca), "--parallel", "--parallel-immediate"]
    words += ["--parallel-max", "40"]
    for number in range(40):
        words += ["--output", str(tmp_path / f"{number}.bin"), board.server.url(path_of(released))]
    subprocess.run(words, check=True, timeout=60)
    hashes = {hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.glob("*.bin")}
    assert hashes == {released.sha256}


def test_of_those_who_ask_at_the_same_moment_each_is_judged_alone(
    server: RunningServer, maker: Maker, released: Release, tmp_path: Path
) -> None:
    given, not_given, disabled = (new_gateway() for _ in range(3))
    boards = [with_certificate(server, each, tmp_path) for each in (given, not_given, disabled, given)]
    assign(released, given)
    assign(released, disabled)
    Gateway.objects.filter(id=disabled.id).update(status=GatewayStatus.DISABLED)
    unknown = "0" * 64
    trusted, now = {server.authorities.device().name}, timezone.now()
    asking = [Asking(der_of(each), "", trusted, now, must_prove=True) for each in boards]
    wanted = [Wanted(each, released.sha256) for each in asking] + [Wanted(asking[0], unknown)]
    wanted += [Wanted(Asking(None, "", trusted, now, must_prove=True), released.sha256)]
    answers = permits.permitted(Artifacts(server.home / "updates/artifacts"), wanted)
    try:
        sentences = [each.sentence if isinstance(each, RefusedError) else each.who for each in answers]
        assert sentences[0] == sentences[3] == given.code
        assert sentences[1] == f"This image is not assigned to gateway {not_given.code}."
        assert f"Gateway {disabled.code} is disabled." in sentences[2]
        assert "no release with this image" in sentences[4]
        assert "needs the gateway's certificate" in sentences[5]
        opened = [each for each in answers if isinstance(each, Opened)]
        assert [os.pread(each.descriptor, MIB * 2, 0) for each in opened] == [contents(maker, released)] * 2
    finally:
        permits.close(answers)


def der_of(board: Board) -> bytes:
    return x509.load_pem_x509_certificates(board.certificate.read_bytes())[0].public_bytes(Encoding.DER)


def test_a_client_that_hangs_up_leaves_nothing_open(server: RunningServer, board: Board, released: Release) -> None:
    def opened() -> list[str]:
        found = []
        for link in Path(f"/proc/{server.process.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed while it is looked at
                found.append(str(link.readlink()))
        return found

    for _ in range(5):
        words = ("--limit-rate", "100K", "--max-time", "2")
        assert board.curl(path_of(released), *words).body != b""
    wait_until(lambda: not any(released.sha256 in name for name in opened()), "the end of the downloads")


def test_what_was_downloaded_is_told_by_the_heartbeat(server: RunningServer, board: Board, released: Release) -> None:
    def done() -> int:
        facts = Heartbeat.objects.filter(process="ota").values_list("facts", flat=True).first() or {}
        return int(facts.get("downloads", {}).get("done", 0))

    wait_until(lambda: Heartbeat.objects.filter(process="ota").exists(), "a heartbeat")
    before = done()
    board.curl(path_of(released))
    wait_until(lambda: done() == before + 1, "the count of it")
