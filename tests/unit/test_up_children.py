"""Back-off, order of the stop, identity of a process, logs: the small rules behind `tds up`."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tds.local import logs
from tds.local.backoff import MAX_S, Backoff
from tds.local.leftovers import STAGES, only_one, recover, run_file, stage_of, stop_in_order
from tds.local.processes import OPEN_FILES, Identity, boot_id, identity_of, recall, remember, start
from tds.local.refusal import CannotStartError
from tds.local.supervisor import Child, Supervisor, ending
from tests.running import wait_until

SLEEP = [sys.executable, "-c", "import time; time.sleep(300)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(300)",
]


def test_the_pause_doubles_up_to_its_limit_and_a_long_life_resets_it() -> None:
    backoff = Backoff()
    assert [backoff.after(1) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, MAX_S]
    assert backoff.after(61) == 0.5
    assert backoff.after(1) == 1


def test_who_talks_stops_before_who_listens() -> None:
    names = ["database", "broker", "worker", "consumer-2", "consumer", "ota", "web", "demo"]
    expected = ["demo", "web", "ota", "consumer-2", "consumer", "worker", "broker", "database"]
    assert sorted(names, key=stage_of) == expected
    assert STAGES[-1][1] < 10


def test_an_ending_is_said_in_words() -> None:
    assert ending(3) == "exit code 3"
    assert ending(-9) == "killed by SIGKILL"
    assert ending(-64) in {"killed by SIGRTMAX", "killed by signal 64"}


def test_a_pid_alone_is_nobody() -> None:
    me = identity_of(os.getpid())
    assert me
    assert me.boot_id == boot_id()
    assert identity_of(2**22 + 1) is None


def test_a_zombie_counts_as_ended() -> None:
    with subprocess.Popen(["true"]) as process:
        wait_until(lambda: identity_of(process.pid) is None, "the end")


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"pid": "x"}', "\x00"])
def test_a_broken_run_file_speaks_of_nobody(tmp_path: Path, text: str) -> None:
    file = tmp_path / "web.json"
    file.write_text(text)
    assert recall(file) is None
    assert recall(tmp_path / "missing.json") is None


def test_a_run_file_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "web.json"
    remember(file, Identity(1, 2, "3"))
    assert recall(file) == Identity(1, 2, "3")
    assert file.stat().st_mode & 0o077 == 0


def test_recovery_stops_ours_and_spares_a_stranger_with_an_old_pid(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "ready.json").write_text("{}")
    ours = start(SLEEP, log=subprocess.DEVNULL)
    stranger = start(SLEEP, log=subprocess.DEVNULL)
    try:
        identity, other = identity_of(ours.pid), identity_of(stranger.pid)
        assert identity
        assert other
        remember(run_file(tmp_path, "web"), identity)
        remember(run_file(tmp_path, "worker"), Identity(other.pid, other.start_ticks - 5, other.boot_id))
        assert recover(tmp_path) == ["web"]
        assert ours.wait(timeout=5) == -signal.SIGTERM
        assert stranger.poll() is None
        assert list((tmp_path / "run").glob("*.json")) == []
        assert not (tmp_path / "ready.json").exists()
    finally:
        for process in (ours, stranger):
            process.kill()
            process.wait()


def test_a_child_that_does_not_listen_is_killed_at_its_deadline_or_at_once_when_in_a_hurry(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("ab") as file:
        process = start(STUBBORN, log=file)
    wait_until(lambda: "deaf" in log.read_text(), "its start")
    identity = identity_of(process.pid)
    assert identity
    began = time.monotonic()
    stop_in_order({"worker": identity}, hurry=[signal.SIGINT])
    assert time.monotonic() - began < 1.5
    assert process.wait(timeout=1) == -signal.SIGKILL


def test_one_home_has_one_supervisor(tmp_path: Path) -> None:
    with only_one(tmp_path), pytest.raises(CannotStartError, match=f"pid {os.getpid()}"), only_one(tmp_path):
        pass
    with only_one(tmp_path):
        pass


def test_a_home_that_is_a_file_is_a_sentence(tmp_path: Path) -> None:
    home = tmp_path / "file"
    home.write_text("")
    with pytest.raises(CannotStartError, match="set TDS_HOME"), only_one(home):
        pass


def test_a_child_that_is_done_is_followed_by_its_successor(tmp_path: Path) -> None:
    live = Child("demo", SLEEP)
    first = Child("demo", ["true"], then=lambda: live)
    changes: list[dict[str, int]] = []
    supervisor = Supervisor(tmp_path, lambda changed: changes.append(changed.pids()))
    (tmp_path / "run").mkdir()
    supervisor.start(first)
    supervisor.children["demo"].process.wait()
    supervisor._look_after(supervisor.children["demo"])
    assert supervisor.children["demo"].child is live
    assert changes == [supervisor.pids()]
    supervisor.stop_all()


def test_a_child_that_is_done_may_have_no_successor_and_dismiss_whom_it_needed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    changes: list[dict[str, int]] = []
    supervisor = Supervisor(tmp_path, lambda changed: changes.append(changed.pids()))
    supervisor.start(Child("broker-2", SLEEP))
    broker = supervisor.children["broker-2"].process
    supervisor.start(Child("consumer-2", ["true"], then=lambda: supervisor.dismiss("broker-2")))
    supervisor.children["consumer-2"].process.wait()
    supervisor._look_after(supervisor.children["consumer-2"])
    assert broker.poll() == -signal.SIGTERM
    assert changes == [{}]
    assert list((tmp_path / "run").glob("*.json")) == []


def test_a_child_whose_work_failed_is_started_again_and_keeps_whom_it_needs(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    supervisor = Supervisor(tmp_path)
    supervisor.start(Child("broker-2", SLEEP))
    supervisor.start(Child("consumer-2", ["false"], then=lambda: supervisor.dismiss("broker-2")))
    running = supervisor.children["consumer-2"]
    running.process.wait()
    supervisor._look_after(running)
    assert running.again_at is not None
    assert "broker-2" in supervisor.pids()
    supervisor.stop_all()


def test_a_full_disk_stops_neither_the_supervisor_nor_its_other_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_room(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "run").mkdir()
    supervisor = Supervisor(tmp_path, no_room)
    supervisor.start(Child("broker", SLEEP))
    supervisor.start(Child("web", SLEEP))
    web = supervisor.children["web"]
    web.child = Child("web", SLEEP, before=no_room)
    web.process.kill()
    web.process.wait()
    supervisor._look_after(web)
    web.again_at = 0.0
    supervisor._look_after(web)
    assert web.again_at > 0
    assert "web can't be started (No space left on device); trying again in 1 s" in capsys.readouterr().out
    # The process starts, but nothing can be written down about it.
    web.child, web.again_at = Child("web", SLEEP), 0.0
    monkeypatch.setattr("tds.local.leftovers.remember", no_room)
    supervisor._look_after(web)
    assert set(supervisor.pids()) == {"broker", "web"}
    assert "What runs now can't be written down" in capsys.readouterr().out
    supervisor.stop_all()


def test_a_child_that_ends_at_its_start_is_named_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    supervisor = Supervisor(tmp_path)
    supervisor.start(Child("web", ["sh", "-c", "echo the reason; exit 3"], healthy=lambda: False))
    with pytest.raises(CannotStartError) as refusal:
        supervisor.wait_healthy("web")
    assert str(refusal.value).startswith(f"web ended at its start (exit code 3); its log is {tmp_path}/log/web.log.")
    assert "the reason" in str(refusal.value)


def test_a_child_that_never_becomes_healthy_is_named_at_its_limit(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    supervisor = Supervisor(tmp_path)
    supervisor.start(Child("web", SLEEP, healthy=lambda: False, limit_s=0.1))
    with pytest.raises(CannotStartError, match="was not healthy within"):
        supervisor.wait_healthy("web")
    supervisor.stop_all()


def test_a_log_is_cut_at_its_bound_and_its_writer_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_LOG_BYTES", 100)
    with logs.open_log(tmp_path, "web") as log:
        log.write(b"x" * 200 + b"\n")
        path = logs.path_of(tmp_path, "web")
        logs.keep_bounded(path)
        log.write(b"after\n")
    assert path.read_bytes() == b"after\n"
    assert path.with_name("web.log.1").stat().st_size == 201
    assert logs.tail(path) == "after"
    assert logs.tail(tmp_path / "none") == ""


def test_the_environment_of_another_postgresql_does_not_reach_a_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "1")
    with (tmp_path / "log").open("ab") as log:
        start([sys.executable, "-c", "import os, json; print(json.dumps(dict(os.environ)))"], log=log).wait()
    assert "PGPORT" not in json.loads((tmp_path / "log").read_text())


def test_a_child_may_have_as_many_files_open_as_the_hard_limit_lets_it(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
        with (tmp_path / "log").open("ab") as log:
            start(["sh", "-c", "ulimit -Sn; ulimit -Hn"], log=log).wait()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    allowed, most = (tmp_path / "log").read_text().split()
    assert allowed == (str(OPEN_FILES) if most == "unlimited" or int(most) > OPEN_FILES else most)
