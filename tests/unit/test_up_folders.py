"""Where the data goes, which PostgreSQL runs it, and what the broker is told."""

import os
from pathlib import Path

import pytest

from tds.local import accounts
from tds.local.accounts import Account, can_enter, data_folder, outside_folder
from tds.local.broker import Broker
from tds.local.broker_config import Listeners
from tds.local.cluster import find_programs, shared_buffers_mib
from tds.local.refusal import CannotStartError

GIB = 1024**3
STRANGER = Account("stranger", 54_321, 54_321)


@pytest.fixture
def opened(tmp_path: Path) -> Path:
    """A folder that everybody may enter, as far as it is up to us."""
    for folder in (tmp_path, *tmp_path.parents):
        folder.chmod(0o755)
        if folder.name.startswith("pytest-of-"):
            break  # what is above is not pytest's
    return tmp_path


def test_one_closed_folder_on_the_way_keeps_an_account_out(opened: Path) -> None:
    home = opened / "closed" / "home"
    home.mkdir(parents=True)
    assert can_enter(STRANGER, home)
    home.parent.chmod(0o700)
    assert not can_enter(STRANGER, home)
    assert can_enter(None, home)


def test_the_owner_and_the_group_count_before_the_others(opened: Path) -> None:
    opened.chmod(0o677)
    found = opened.stat()
    assert not can_enter(Account("owner", found.st_uid, 54_321), opened)
    opened.chmod(0o767)
    assert not can_enter(Account("group", 54_321, found.st_gid), opened)


def test_data_stays_in_the_home_where_the_account_can_reach_it(opened: Path) -> None:
    assert data_folder(opened / "home", "database", STRANGER) == (opened / "home/database").resolve()


def test_data_goes_outside_and_a_link_leads_there(opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "OUTSIDE", opened / "var")
    home = opened / "home"
    home.mkdir(mode=0o700)
    real = data_folder(home, "database", STRANGER)
    assert real == outside_folder(home) / "database"
    assert (home / "database").resolve() == real
    assert data_folder(home, "database", STRANGER) == real


def test_data_of_a_home_that_was_deleted_is_kept_aside(opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "OUTSIDE", opened / "var")
    home = opened / "home"
    home.mkdir(mode=0o700)
    (data_folder(home, "database", STRANGER) / "rows").write_text("precious")
    (home / "database").unlink()
    fresh = data_folder(home, "database", STRANGER)
    assert list(fresh.iterdir()) == []
    assert (fresh.with_name("database.old-1") / "rows").read_text() == "precious"


def test_data_that_can_no_longer_be_reached_is_a_sentence_and_no_new_database(opened: Path) -> None:
    home = opened / "home"
    data_folder(home, "database", STRANGER)
    home.chmod(0o700)
    with pytest.raises(CannotStartError, match="chmod a\\+x"):
        data_folder(home, "database", STRANGER)


def programs(folder: Path, *majors: int) -> Path:
    for major in majors:
        (folder / f"{major}/bin").mkdir(parents=True)
        (folder / f"{major}/bin/initdb").touch()
    return folder


@pytest.fixture
def no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")


@pytest.mark.usefixtures("no_path")
def test_a_new_cluster_gets_the_newest_postgresql(tmp_path: Path) -> None:
    assert find_programs(tmp_path, programs(tmp_path, 9, 15, 17)).parent.name == "17"


@pytest.mark.usefixtures("no_path")
def test_a_cluster_is_run_by_the_version_that_made_it(tmp_path: Path) -> None:
    (tmp_path / "PG_VERSION").write_text("15\n")
    assert find_programs(tmp_path, programs(tmp_path / "lib", 15, 17)).parent.name == "15"
    with pytest.raises(CannotStartError, match="install postgresql-15"):
        find_programs(tmp_path, programs(tmp_path / "other", 17))


@pytest.mark.usefixtures("no_path")
def test_an_old_postgresql_is_none(tmp_path: Path) -> None:
    with pytest.raises(CannotStartError, match="make setup"):
        find_programs(tmp_path, programs(tmp_path, 13))


def test_postgresql_takes_a_modest_share_of_memory() -> None:
    assert [shared_buffers_mib(gib * GIB) for gib in (1, 6, 64)] == [128, 192, 256]


def test_the_broker_listens_on_loopback_and_drops_nothing(tmp_path: Path) -> None:
    lines = Broker(tmp_path, Listeners(1884, 8883, 1883, 9001), {}).configuration_text().splitlines()
    assert [line for line in lines if line.startswith("listener ")] == [
        "listener 1884 127.0.0.1",
        "listener 8883 127.0.0.1",
        f"listener 0 {tmp_path}/tls/nobody.sock",
        "listener 1883 127.0.0.1",
        "listener 9001 127.0.0.1",
    ]
    # Only with socket_domain does a websockets listener heed its address.
    assert lines[lines.index("listener 9001 127.0.0.1") + 1 :][:2] == ["protocol websockets", "socket_domain ipv4"]
    for setting in (
        "max_queued_messages 2147483647",
        "max_inflight_messages 0",
        "message_size_limit 262144",
        "max_packet_size 393216",
        # What a kill -9 loses must be well within what gateways send again, 90 s.
        "autosave_interval 15",
        "autosave_on_changes false",
    ):
        assert setting in lines
    assert f"persistence_location {tmp_path}/data{os.sep}" in lines
