"""What must be refused or survived, each attack by its name, against the device's own program: nothing of its flash is
touched before all checks held, it says the right reason, runs on, and takes a good command behind it."""

import contextlib
import hashlib
import itertools
import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from tests.boxes import Maker
from tests.firmware_server import Document, Signers, firmware_server
from tests.running import running_broker, wait_until
from tests.update_boards import CODE, Around, Board, board, packed, platform_on, runs

SLOT_BYTES: Final = 8 * 1024 * 1024
SMALL_BYTES: Final = 300_000
TOMORROW: Final = int((datetime.now(UTC) + timedelta(days=1)).timestamp())

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def unit(guarded: Path, maker: Maker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """One for all attacks: each leaves it as it was."""
    signers = Signers()
    with (
        running_broker(authorities=maker.authorities) as broker,
        platform_on(broker) as platform,
        firmware_server(signers, maker.server_files()) as server,
        board(guarded, Around(maker, broker, platform, server), tmp_path_factory.mktemp("unit")) as found,
    ):
        platform.wait_for(lambda report: report["running"]["trust_version"] == 1, "a trust set")
        yield found


@pytest.fixture(autouse=True)
def kind_again(unit: Board) -> Iterator[None]:
    yield
    server = unit.server
    server.endless, server.drip_s, server.status = False, 0.0, 0
    server.instead.clear()
    server.assignments.clear()


def touched(unit: Board) -> dict[str, tuple[int, int]]:
    """When anything was last written to slots and boot data."""
    found = {}
    for path in sorted((unit.folder / "slots").glob("*.bin")):
        status = path.stat()
        found[path.name] = status.st_mtime_ns, status.st_blocks
    return found


def image_of(unit: Board, version: str, content: bytes | None = None) -> bytes:
    """In its form an image of the family; it is never to be started."""
    program = unit.folder / f"program-{version}"
    program.write_bytes(content or random.Random(version).randbytes(SMALL_BYTES))
    return packed(program, unit.folder, version)


def offer(
    unit: Board,
    *,
    manifest: dict[str, Any] | None = None,
    ticket: dict[str, Any] | None = None,
    command: dict[str, Any] | None = None,
    signers: Signers | None = None,
    image: bytes | None = None,
) -> Document:
    """A command that is good but for what is said here."""
    signers = signers or unit.server.signers
    execution_id = f"e-{next(_numbers)}"
    image = image or image_of(unit, "1.1.0")
    digest = hashlib.sha256(image).hexdigest()
    unit.server.images[digest] = image
    said = signers.manifest(image, "1.1.0", 7, **(manifest or {}))
    document = {
        "execution_id": execution_id,
        "version": "1.1.0",
        "url": f"{unit.server.url}/ota/v1/artifacts/{digest}.bin",
        "manifest": said,
        "ticket": signers.ticket(said, **{"gateway_code": CODE, "execution_id": execution_id} | (ticket or {})),
    }
    return document | (command or {})


def end_of(unit: Board, execution_id: str, limit_s: float = 15.0) -> Document:
    def is_over(report: Document) -> bool:
        said = report["execution"] or {}
        return bool(said.get("execution_id") == execution_id and said["status"] in {"REJECTED", "FAILED"})

    return unit.platform.wait_for(is_over, f"the end of {execution_id}", limit_s)


def takes_a_good_command(unit: Board) -> None:
    """One whose moment is tomorrow: it is taken, and nothing is erased."""
    good = offer(unit, ticket={"not_before": TOMORROW, "exp": TOMORROW + 86400})
    unit.platform.command(good)
    unit.platform.wait_for(
        lambda report: (
            (report["execution"] or {}).get("execution_id") == good["execution_id"]
            and report["execution"]["status"] == "IN_PROGRESS"
        ),
        "a good command",
    )


def asks_for_an_image(unit: Board, since: int) -> bool:
    return any("artifacts" in line for line, _ in unit.server.asked[since:])


@contextlib.contextmanager
def nothing_is_done(unit: Board) -> Iterator[None]:
    """To its flash, nor asked for; it runs on."""
    before, asked, boot = touched(unit), len(unit.server.asked), unit.platform.reports[-1]["boot"]
    yield
    assert touched(unit) == before
    assert not asks_for_an_image(unit, asked)
    said = unit.platform.reports[-1]
    assert (said["boot"], said["running"]["version"], said["running"]["confirmed"]) == (boot, "1.0.0", True)


def is_refused(unit: Board, document: Document, reason: str) -> Document:
    with nothing_is_done(unit):
        unit.platform.command(document)
        told = end_of(unit, document["execution_id"])
        assert told["execution"]["status"] == "REJECTED"
        assert told["execution"]["reason"] == reason
        assert told["execution"]["detail"].endswith(".")
        takes_a_good_command(unit)
    return told


def publish(unit: Board, payload: bytes) -> None:
    unit.platform.client.publish(f"ota/{CODE}/update", payload, qos=1).wait_for_publish(10)


def is_counted(unit: Board, payloads: list[bytes]) -> None:
    """What nobody signed is refused without an answer."""
    with nothing_is_done(unit):
        before = unit.device.report()["commands_refused"]
        for payload in payloads:
            publish(unit, payload)
        unit.device.wait_for(
            lambda report: report["commands_refused"] >= before + len(payloads), f"{len(payloads)} refusals"
        )
        takes_a_good_command(unit)


def flipped(text: str, at: int) -> str:
    """Another character of the same alphabet there."""
    return text[:at] + ("A" if text[at] != "A" else "Q") + text[at + 1 :]


def test_arbitrary_bytes_are_refused(unit: Board) -> None:
    chance = random.Random(7)
    payloads = [chance.randbytes(chance.randrange(1, 3072)) for _ in range(40)]
    payloads += [b"", b"{", b"[]", b"null", b"{}" * 1500, b'{"a":' * 500, b"\x00" * 3072, b"\xff" * 3073]
    publish(unit, bytes(100_000))  # the broker does not hand it on: the device said how much it takes
    is_counted(unit, payloads)


def test_a_command_that_ends_too_early_is_refused(unit: Board) -> None:
    whole = json.dumps(offer(unit)).encode()
    is_counted(unit, [whole[: len(whole) * i // 16] for i in range(1, 16)])


@pytest.mark.parametrize("document", ["manifest", "ticket"])
@pytest.mark.parametrize("part", [0, 1, 2], ids=["header", "claims", "signature"])
def test_one_flipped_bit_of_a_signed_document_is_refused(unit: Board, document: str, part: int) -> None:
    command = offer(unit)
    parts = command[document].split(".")
    at = len(parts[part]) // 2
    parts[part] = flipped(parts[part], at)
    reasons = {"malformed", "signature_invalid", "key_unknown"} if part == 0 else {"signature_invalid"}
    with nothing_is_done(unit):
        if part == 0:
            # By a header that says another key it may be somebody new: that is asked for first.
            unit.server.assignments[CODE] = command | {document: ".".join(parts)}
        unit.platform.command(command | {document: ".".join(parts)})
        told = end_of(unit, command["execution_id"])
        assert told["execution"]["status"] == "REJECTED"
        assert told["execution"]["reason"] in reasons
        takes_a_good_command(unit)


def test_manifest_and_ticket_in_each_others_place_are_refused(unit: Board) -> None:
    command = offer(unit)
    command["manifest"], command["ticket"] = command["ticket"], command["manifest"]
    is_refused(unit, command, "malformed")


def test_a_release_key_of_somebody_else_is_refused_after_the_trust_set_was_asked_for(unit: Board) -> None:
    stranger = replace(Signers(), assignment=unit.server.signers.assignment, seq=unit.server.signers.seq)
    command = offer(unit, signers=stranger)
    unit.server.signers.seq = stranger.seq
    unit.server.assignments[CODE] = command
    is_refused(unit, command, "key_unknown")


def test_an_assignment_key_can_not_sign_a_manifest(unit: Board) -> None:
    thief = replace(unit.server.signers, release=unit.server.signers.assignment)
    command = offer(unit, signers=thief)
    unit.server.signers.seq = thief.seq
    unit.server.assignments[CODE] = command
    is_refused(unit, command, "key_unknown")


WRONG: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "a_manifest_of_another_product": ("wrong_product", {"manifest": {"product": "relay"}}),
    "a_manifest_of_another_family": ("wrong_family", {"manifest": {"families": ("relay-mfr",)}}),
    "a_manifest_of_another_chip": ("wrong_chip", {"manifest": {"chip": "esp32"}}),
    "a_manifest_of_other_hardware": ("wrong_hardware", {"manifest": {"hardware": ("no-such",)}}),
    "an_image_larger_than_the_slot": ("too_large", {"manifest": {"size": SLOT_BYTES + 1}}),
    "a_release_that_needs_a_newer_one_before_it": ("source_too_old", {"manifest": {"min_source_counter": 5}}),
    "a_ticket_of_another_gateway": ("wrong_gateway", {"ticket": {"gateway_code": "GW-2"}}),
    "a_ticket_for_another_manifest": ("hash_mismatch", {"ticket": {"manifest_sha256": "00" * 32}}),
    "a_ticket_of_another_execution": ("malformed", {"ticket": {"execution_id": "other"}}),
    "an_expired_ticket": ("expired", {"ticket": {"exp": int(datetime.now(UTC).timestamp()) - 1}}),
    "a_seq_lower_than_the_last": ("replayed", {"ticket": {"seq": 1}}),
    "a_url_on_a_foreign_host": ("foreign_url", {"command": {"url": "https://evil.example:8070/x.bin"}}),
    "a_url_on_another_port": ("foreign_url", {"command": {"url": "https://localhost:1/x.bin"}}),
    "another_version_than_the_manifests": ("malformed", {"command": {"version": "9.9.9"}}),
}


@pytest.mark.parametrize("attack", WRONG)
def test_is_refused_before_a_byte_is_erased(unit: Board, attack: str) -> None:
    reason, wrong = WRONG[attack]
    takes_a_good_command(unit)
    is_refused(unit, offer(unit, **wrong), reason)


def test_a_replayed_and_a_reordered_command_change_nothing(unit: Board) -> None:
    older, newer = (offer(unit, ticket={"not_before": TOMORROW, "exp": TOMORROW + 86400}) for _ in range(2))
    with nothing_is_done(unit):
        unit.platform.command(newer)
        unit.platform.wait_for(
            lambda report: (report["execution"] or {}).get("execution_id") == newer["execution_id"], "the newer"
        )
        unit.platform.command(older)
        assert end_of(unit, older["execution_id"])["execution"]["reason"] == "replayed"
        heard = len(unit.platform.reports)
        for _ in range(3):
            unit.platform.command(newer)
        wait_until(lambda: len(unit.platform.reports) > heard, "an answer to a duplicate", 10)
        assert unit.platform.reports[-1]["execution"]["status"] == "IN_PROGRESS"
        assert unit.platform.reports[-1]["execution"]["execution_id"] == newer["execution_id"]
        takes_a_good_command(unit)


def ends_badly(unit: Board, command: Document, reason: str) -> None:
    """Its download began; what it brought is never started."""
    boot_data, boot = touched(unit).get("otadata.bin"), unit.platform.reports[-1]["boot"]
    unit.platform.command(command)
    told = end_of(unit, command["execution_id"], 40)
    assert (told["execution"]["status"], told["execution"]["reason"]) == ("FAILED", reason)
    assert touched(unit).get("otadata.bin") == boot_data
    assert (told["boot"], told["running"]["version"], told["running"]["confirmed"]) == (boot, "1.0.0", True)
    takes_a_good_command(unit)


def erases_nothing(unit: Board, command: Document, reason: str) -> None:
    before = touched(unit)
    ends_badly(unit, command, reason)
    assert touched(unit) == before


def instead(unit: Board, image: bytes, sent: bytes) -> Document:
    command = offer(unit, image=image)
    unit.server.instead[hashlib.sha256(image).hexdigest()] = sent
    return command


def test_a_mix_of_manifest_a_with_image_b_is_refused_before_a_byte_is_erased(unit: Board) -> None:
    erases_nothing(unit, instead(unit, image_of(unit, "1.1.0"), image_of(unit, "6.6.6")), "hash_mismatch")


def test_a_mix_of_manifest_a_with_an_image_b_of_the_same_name_is_never_started(unit: Board) -> None:
    other = image_of(unit, "1.1.0", bytes(SMALL_BYTES))
    ends_badly(unit, instead(unit, image_of(unit, "1.1.0"), other), "hash_mismatch")


def test_an_image_b_of_another_length_is_refused_before_a_byte_is_erased(unit: Board) -> None:
    longer = image_of(unit, "1.1.0", bytes(SMALL_BYTES + 4096))
    erases_nothing(unit, instead(unit, image_of(unit, "1.1.0"), longer), "hash_mismatch")


def test_arbitrary_bytes_for_an_image_are_refused_before_a_byte_is_erased(unit: Board) -> None:
    image = image_of(unit, "1.1.0")
    erases_nothing(unit, instead(unit, image, os.urandom(len(image))), "hash_mismatch")


@pytest.mark.parametrize("at", [0.3, 0.999])
def test_one_flipped_bit_of_the_image_is_noticed(unit: Board, at: float) -> None:
    image = image_of(unit, "1.1.0")
    wrong = bytearray(image)
    wrong[int(len(image) * at)] ^= 4
    ends_badly(unit, instead(unit, image, bytes(wrong)), "hash_mismatch")


def test_a_truncated_image_is_asked_for_again_and_then_given_up(unit: Board) -> None:
    image = image_of(unit, "1.1.0")
    command = instead(unit, image, image[: SMALL_BYTES // 2])
    asked = len(unit.server.asked)
    boot_data = touched(unit).get("otadata.bin")
    unit.platform.command(command)
    wait_until(lambda: sum("artifacts" in line for line, _ in unit.server.asked[asked:]) > 1, "a second try", 15)
    ranges = [wanted for line, wanted in unit.server.asked[asked:] if "artifacts" in line]
    assert ranges[0] == ""
    assert ranges[1] == f"bytes={SMALL_BYTES // 2}-"  # it goes on where it was
    assert touched(unit).get("otadata.bin") == boot_data
    takes_a_good_command(unit)


def test_endless_data_is_cut_where_the_manifest_says_that_it_ends(unit: Board) -> None:
    unit.server.endless = True
    sent = unit.server.sent_bytes
    ends_badly(unit, offer(unit, image=image_of(unit, "1.1.0")), "hash_mismatch")
    assert unit.server.sent_bytes - sent < SMALL_BYTES + 8 * 1024 * 1024  # what sockets hold


def test_a_slow_drip_holds_up_neither_telemetry_nor_a_newer_command(unit: Board) -> None:
    unit.server.drip_s = 0.05
    before, asked = touched(unit), len(unit.server.asked)
    command = offer(unit, image=image_of(unit, "1.1.0", os.urandom(SMALL_BYTES)))  # of which nothing is there yet
    unit.platform.command(command)
    wait_until(lambda: asks_for_an_image(unit, asked), "a request", 10)
    telemetry = unit.platform.telemetry
    wait_until(lambda: unit.platform.telemetry > telemetry, "telemetry", 15)
    takes_a_good_command(unit)
    assert end_of(unit, command["execution_id"])["execution"]["reason"] == "superseded"
    assert touched(unit) == before


def test_a_withdrawn_release_ends_at_once_and_erases_nothing(unit: Board) -> None:
    unit.server.status = 410
    erases_nothing(unit, offer(unit), "withdrawn")


def trust(unit: Board, document: str, *, seen: Callable[[Document], bool]) -> None:
    """It is offered at a start."""
    unit.server.trust_set = document
    boot, asked = unit.platform.reports[-1]["boot"], len(unit.server.asked)
    unit.device.stop()
    unit.device.start()
    wait_until(lambda: any("trust" in line for line, _ in unit.server.asked[asked:]), "a look at the trust set", 20)
    # Not the last one before, which may still be on its way.
    wait_until(lambda: any(each["boot"] > boot and seen(each) for each in unit.platform.reports), "a report of it", 20)


def of_version(version: int) -> Callable[[Document], bool]:
    return lambda report: bool(report["running"]["trust_version"] == version)


def test_a_rotated_out_key_is_refused_and_a_trust_set_that_is_rolled_back_does_not_bring_it_back(unit: Board) -> None:
    signers = unit.server.signers
    former = signers.trust_set(1)
    trust(unit, signers.trust_set(2, revoked=(signers.release.public.kid,)), seen=of_version(2))
    with nothing_is_done(unit):
        command = offer(unit)
        unit.platform.command(command)
        assert end_of(unit, command["execution_id"])["execution"]["reason"] == "key_revoked"
    trust(unit, former, seen=of_version(2))
    with nothing_is_done(unit):
        command = offer(unit)
        unit.platform.command(command)
        assert end_of(unit, command["execution_id"])["execution"]["reason"] == "key_revoked"
    trust(unit, Signers().trust_set(9), seen=of_version(2))  # of another root
    trust(unit, signers.trust_set(3), seen=of_version(3))
    takes_a_good_command(unit)


def test_a_device_whose_clock_is_not_set_refuses_nothing_for_its_time(unit: Board) -> None:
    unit.server.drip_s = 0.05
    unit.device.stop()
    unit.device.start("--no-clock")
    unit.device.wait_for(lambda report: report["state"] == "online" and not report["clock_known"], "a connection", 20)
    boot_data, asked = touched(unit).get("otadata.bin"), len(unit.server.asked)
    image = image_of(unit, "1.1.0", os.urandom(SMALL_BYTES))
    command = offer(unit, image=image, ticket={"not_before": 1, "exp": 2})
    unit.platform.command(command)
    digest = hashlib.sha256(image).hexdigest()
    wait_until(lambda: any(digest in line for line, _ in unit.server.asked[asked:]), "a request", 20)
    unit.device.type("!clock 0")
    assert end_of(unit, command["execution_id"])["execution"]["reason"] == "expired"
    assert touched(unit).get("otadata.bin") == boot_data


def test_after_all_that_a_good_command_updates_it(unit: Board) -> None:
    image = unit.image("1.1.0")
    unit.platform.command(unit.server.offer(CODE, "good", image, "1.1.0", 7))
    done = unit.platform.wait_for(runs("1.1.0"), "1.1.0 confirmed", 60)
    assert done["running"]["counter"] == 7
    unit.platform.command(unit.server.offer(CODE, "older", unit.image("1.0.1"), "1.0.1", 6))
    assert end_of(unit, "older")["execution"]["reason"] == "downgrade_refused"
