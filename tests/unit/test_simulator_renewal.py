"""When a gateway renews its certificate, and what is left of a renewal that a power cut interrupts."""

import os
import ssl
from collections.abc import Callable
from concurrent.futures import Executor, Future
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from tds.identity.authorities import keys
from tds.simulator import est
from tds.simulator.credential import CredentialError, begin_renewal, gateways_in, keep, load, renewing
from tds.simulator.renewal import MIN_BETWEEN_MS, MIN_PAUSE_MS, renew_at_ms, try_again_at_ms
from tds.simulator.renewer import NotRenewed, Renewed, Renewer
from tests.boxes import Maker

DAY_MS = 86_400_000
CODE = "GW-1"
SERVER = est.Server("localhost", 8070)
Answer = TypeVar("Answer")


class AtOnce(Executor):
    """Does its work when it is handed over."""

    def submit(self, work: Callable[..., Answer], /, *arguments: Any, **named: Any) -> Future[Answer]:
        done: Future[Answer] = Future()
        try:
            done.set_result(work(*arguments, **named))
        except (est.EnrolmentError, OSError) as error:
            done.set_exception(error)
        return done


class Never(Executor):
    """Never gets to its work."""

    def __init__(self) -> None:
        self.asked = 0

    def submit(self, work: Callable[..., Answer], /, *arguments: Any, **named: Any) -> Future[Answer]:
        self.asked += 1
        return Future()


class PowerCut(BaseException):
    """Nothing of the program runs on after it."""


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker.new(tmp_path)


def issued(maker: Maker, code: str = CODE, *, days: float = 900) -> est.Issued:
    key, device = keys.new_key(), maker.authorities.device()
    leaf = device.issue_device(key.public_key(), code, datetime.now(UTC), days=days)
    return est.Issued(keys.pem(key), leaf.public_bytes(Encoding.PEM))


def serial(pem: bytes) -> int:
    return x509.load_pem_x509_certificates(pem)[0].serial_number


def is_usable(box: Path) -> int:
    """The serial number of a pair that a server would take; an error when key and certificate don't fit."""
    found = load(box, CODE)
    found.context()  # OpenSSL's own check of the pair
    key = load_pem_private_key(found.key_file.read_bytes(), None)
    assert key.public_key() == found.certificate.public_key()
    return found.certificate.serial_number


@given(st.integers(0, 2**42), st.integers(1, 20 * 365 * DAY_MS), st.floats(0, 1, exclude_max=True))
def test_a_certificate_is_renewed_between_two_thirds_and_three_quarters_of_its_lifetime(
    begins_ms: int, lifetime_ms: int, place: float
) -> None:
    at_ms = renew_at_ms(begins_ms, begins_ms + lifetime_ms, place)
    assert begins_ms + lifetime_ms * 2 // 3 - 1 <= at_ms <= begins_ms + lifetime_ms * 3 // 4


def test_a_box_that_was_provisioned_at_once_does_not_renew_at_once() -> None:
    at_ms = sorted(renew_at_ms(0, 730 * DAY_MS, place / 500) for place in range(500))
    assert at_ms[-1] - at_ms[0] > 60 * DAY_MS
    assert max(later - earlier for earlier, later in pairwise(at_ms)) < DAY_MS


@pytest.mark.parametrize(
    ("left_ms", "pause_s", "waited_ms"),
    [
        (DAY_MS, 30.0, 30_000),
        (40_000, 3_600.0, 10_000),  # a quarter of what is left
        (40_000, 0.0, MIN_PAUSE_MS),
        (0, 3_600.0, 3_600_000),  # nothing is left to hurry for
        (-DAY_MS, 3_600.0, 3_600_000),
    ],
)
def test_after_a_failure_it_tries_the_sooner_the_less_time_is_left(
    left_ms: int, pause_s: float, waited_ms: int
) -> None:
    now_ms = 1_000_000
    assert try_again_at_ms(now_ms + left_ms, pause_s, now_ms=now_ms) == now_ms + waited_ms


def test_a_renewal_is_asked_for_once_and_not_before_its_time(maker: Maker) -> None:
    maker.provision(CODE, days=300)
    present, pool = load(maker.box, CODE), Never()
    gateway = Renewer(CODE, SERVER, pool, seed=1)
    assert gateway.step(present, present.not_before_ms + 199 * DAY_MS) is None
    assert pool.asked == 0
    for _ in range(3):
        assert gateway.step(present, present.not_before_ms + 226 * DAY_MS) is None
    assert pool.asked == 1


def test_what_is_renewed_on_request_is_renewed_whatever_its_age_and_then_left_in_peace(
    maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker.provision(CODE)
    new = issued(maker, days=0.001)  # due again when it is issued
    monkeypatch.setattr(est, "renew", lambda *_: new)
    present = load(maker.box, CODE)
    gateway = Renewer(CODE, SERVER, AtOnce(), seed=1, at_once=True)
    now_ms = present.not_before_ms + 1
    assert gateway.step(present, now_ms) is None
    outcome = gateway.step(present, now_ms)
    assert isinstance(outcome, Renewed)
    assert outcome.credential.certificate.serial_number == serial(new.chain_pem)
    assert not gateway.wanted
    for later_ms in range(0, MIN_BETWEEN_MS, 10_000):
        assert gateway.step(outcome.credential, now_ms + later_ms) is None
    assert gateway._asking is None


def test_a_failure_is_told_and_tried_again_later(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> est.Issued:
        raise est.EnrolmentError("host:8070 issues no certificate (status 503: later)", retry_after_s=120)

    maker.provision(CODE, days=300)
    present = load(maker.box, CODE)
    monkeypatch.setattr(est, "renew", refuse)
    gateway = Renewer(CODE, SERVER, AtOnce(), seed=1)
    due_ms = present.not_before_ms + 226 * DAY_MS
    gateway.step(present, due_ms)
    outcome = gateway.step(present, due_ms)
    assert outcome == NotRenewed(
        "its certificate was not renewed: host:8070 issues no certificate (status 503: later); trying again"
    )
    monkeypatch.setattr(est, "renew", lambda *_: issued(maker))
    for wait_ms in (0, 60_000, 119_999):  # the server said when to come again
        assert gateway.step(present, due_ms + wait_ms) is None
        assert gateway._asking is None
    gateway.step(present, due_ms + 120_000)
    assert isinstance(gateway.step(present, due_ms + 120_000), Renewed)


@pytest.mark.parametrize("at_once", [False, True])
def test_with_a_certificate_that_ran_out_no_renewal_is_asked_for_and_it_is_said_once_what_to_do(
    maker: Maker, at_once: bool
) -> None:
    maker.provision(CODE, now=datetime.now(UTC) - timedelta(days=10), days=3)
    present, pool = load(maker.box, CODE), Never()
    gateway = Renewer(CODE, SERVER, pool, seed=1, at_once=at_once)
    outcome = gateway.step(present, present.not_after_ms)
    assert isinstance(outcome, NotRenewed)
    assert "ran out at " in outcome.why
    assert "provision it anew, or have it enrol with a claim code" in outcome.why
    for later_ms in range(0, 30 * DAY_MS, DAY_MS // 4):
        assert gateway.step(present, present.not_after_ms + later_ms) is None
    assert pool.asked == 0
    maker.provision(CODE)  # somebody did
    assert gateway.step(load(maker.box, CODE), present.not_after_ms + 7 * DAY_MS) is None
    assert pool.asked == int(at_once)


def test_a_renewal_under_way_when_the_certificate_runs_out_is_still_taken(
    maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker.provision(CODE)
    present = load(maker.box, CODE)
    monkeypatch.setattr(est, "renew", lambda *_: issued(maker))
    gateway = Renewer(CODE, SERVER, AtOnce(), seed=1)
    gateway.step(present, present.not_after_ms - 1)
    assert isinstance(gateway.step(present, present.not_after_ms), Renewed)


class Cutting:
    """Cuts the power at the nth of the calls that change a file system."""

    CALLS = ("open", "replace", "fsync")

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        self.left = at
        for name in self.CALLS:
            monkeypatch.setattr(os, name, self._cutting(getattr(os, name)))
        monkeypatch.setattr(Path, "unlink", self._cutting(Path.unlink))

    def _cutting(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def maybe(*arguments: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise PowerCut
            return call(*arguments, **named)

        return maybe


def test_power_cut_at_any_step_of_a_renewal_leaves_one_usable_pair(
    maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = []
    for step in range(1, 100):
        folder = maker.provision(CODE)
        former = is_usable(maker.box)
        new = issued(maker)
        begin_renewal(load(maker.box, CODE), new.key_pem)
        cut = False
        with monkeypatch.context() as patch:
            Cutting(patch, step)
            try:
                keep(folder, new.key_pem, new.chain_pem)
            except PowerCut:
                cut = True
        found = is_usable(maker.box)
        assert found in {former, serial(new.chain_pem)}
        outcomes.append(found == serial(new.chain_pem))
        # It is whole in its two files, for programs that know no third one; and what was tried before is cleared away.
        assert serial((folder / "gateway.crt").read_bytes()) == found
        assert not (folder / "renewed.pem").exists()
        # The key is asked for again exactly when its certificate was not kept.
        assert (renewing(load(maker.box, CODE)) is None) == outcomes[-1] != (folder / "renewing.pem").exists()
        if not cut:
            break
    assert outcomes == sorted(outcomes)  # the former one up to some step, the new one from there on
    assert outcomes.count(False) >= 3
    assert outcomes.count(True) >= 8


def test_power_cut_while_an_interrupted_renewal_is_finished_leaves_the_new_pair(
    maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(1, 100):
        folder = maker.provision(CODE)
        new = issued(maker)
        (folder / "renewed.pem").write_bytes(new.key_pem + new.chain_pem)
        cut = False
        with monkeypatch.context() as patch:
            Cutting(patch, step)
            try:
                load(maker.box, CODE)
            except PowerCut:
                cut = True
        assert is_usable(maker.box) == serial(new.chain_pem)
        if not cut:
            break
    assert step > 8


def test_on_a_disk_that_takes_no_more_an_interrupted_renewal_is_used_from_where_it_is(
    maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    folder = maker.provision(CODE)
    new = issued(maker)
    (folder / "renewed.pem").write_bytes(new.key_pem + new.chain_pem)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert is_usable(maker.box) == serial(new.chain_pem)
        with pytest.raises(OSError, match="No space"):
            keep(folder, new.key_pem, new.chain_pem)
    assert is_usable(maker.box) == serial(new.chain_pem)


def test_a_torn_renewal_counts_for_nothing(maker: Maker) -> None:
    folder = maker.provision(CODE)
    former = is_usable(maker.box)
    new = issued(maker)
    whole = new.key_pem + new.chain_pem
    for end in (0, 1, 40, len(new.key_pem), len(new.key_pem) + 60, len(whole) - 40):
        (folder / "renewed.pem").write_bytes(whole[:end])
        assert is_usable(maker.box) == former


def test_the_key_of_a_renewal_that_a_power_cut_interrupts_is_the_former_or_the_new_one(
    maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker.provision(CODE)
    present, began = load(maker.box, CODE), [keys.new_key()]
    begin_renewal(present, keys.pem(began[0]))
    for step in range(1, 100):
        began.append(keys.new_key())
        cut = False
        with monkeypatch.context() as patch:
            Cutting(patch, step)
            try:
                begin_renewal(present, keys.pem(began[-1]))
            except PowerCut:
                cut = True
        found = renewing(present)
        assert found is not None
        assert found.public_key() in [each.public_key() for each in began]
        if not cut:
            assert found.public_key() == began[-1].public_key()
            break
    assert step > 3


def test_the_key_of_a_renewal_counts_only_with_the_certificate_that_it_began_with(maker: Maker) -> None:
    """Whoever provisions a gateway anew, because its key was stolen, does not want the stolen one certified."""
    folder = maker.provision(CODE)
    began_with = load(maker.box, CODE)
    begin_renewal(began_with, keys.pem(keys.new_key()))
    assert renewing(began_with) is not None
    maker.provision(CODE)
    assert renewing(load(maker.box, CODE)) is None
    for rubbish in (b"", b"rubbish", (folder / "gateway.crt").read_bytes()):
        (folder / "renewing.pem").write_bytes(rubbish)
        assert renewing(load(maker.box, CODE)) is None


def test_an_old_renewal_does_not_undo_a_gateway_that_was_provisioned_anew(maker: Maker) -> None:
    folder = maker.provision(CODE, days=900)
    old = issued(maker, days=30)
    (folder / "renewed.pem").write_bytes(old.key_pem + old.chain_pem)
    assert is_usable(maker.box) == serial((folder / "gateway.crt").read_bytes()) != serial(old.chain_pem)
    assert not (folder / "renewed.pem").exists()


def test_a_key_is_readable_by_its_owner_alone(maker: Maker) -> None:
    folder = maker.provision(CODE)
    new = issued(maker)
    keep(folder, new.key_pem, new.chain_pem)
    assert (folder / "gateway.key").stat().st_mode & 0o077 == 0
    assert (folder / "gateway.crt").stat().st_mode & 0o777 == 0o644
    assert list(folder.glob(".*")) == []


def test_a_key_and_a_certificate_that_do_not_belong_together_are_refused(maker: Maker) -> None:
    folder = maker.provision(CODE)
    (folder / "gateway.key").write_bytes(keys.pem(keys.new_key()))
    with pytest.raises(CredentialError, match=r"no gateway.key and gateway.crt that belong together; provision GW-1"):
        load(maker.box, CODE)


def test_the_certificate_of_another_gateway_is_refused(maker: Maker) -> None:
    maker.provision("GW-2").rename(maker.box / CODE)
    with pytest.raises(CredentialError, match="is not of GW-1"):
        load(maker.box, CODE)


def test_without_the_servers_authorities_there_is_no_connection(maker: Maker) -> None:
    folder = maker.provision(CODE)
    (folder / "ca.pem").write_text("rubbish")
    with pytest.raises(CredentialError, match=r"ca.pem can't be read"):
        load(maker.box, CODE).context()


def test_the_box_says_which_gateways_there_are(maker: Maker) -> None:
    for code in ("GW-2", "GW-1"):
        maker.provision(code)
    (maker.box / "index.html").write_text("")
    (maker.box / "no certificate").mkdir()
    (maker.box / "GW-3").mkdir()
    assert gateways_in(maker.box) == ("GW-1", "GW-2")


def test_an_empty_or_missing_box_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match="No gateway has a certificate"):
        gateways_in(tmp_path)
    with pytest.raises(CredentialError, match="can't be read: No such file"):
        gateways_in(tmp_path / "missing")


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("https://tds.example", est.Server("tds.example", 443)),
        ("https://[::1]:8070/", est.Server("::1", 8070)),
    ],
)
def test_the_server_that_renews_is_read_from_a_url(url: str, server: est.Server) -> None:
    assert est.Server.parse(url) == server


@pytest.mark.parametrize(
    "url", ["", "http://h", "https://", "https://h:0", "https://h:x", "https://u:p@h", "https://h/e"]
)
def test_what_is_no_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"https://host\[:port\]"):
        est.Server.parse(url)


def test_only_tls_1_2_and_newer_are_spoken(maker: Maker) -> None:
    maker.provision(CODE)
    context = load(maker.box, CODE).context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
