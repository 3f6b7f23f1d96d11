"""The launcher from end to end, with tiny programs: `test_launcher.py LAUNCHER FOLDER_OF_TINY_PROGRAMS`."""

import hashlib
import os
import pwd
import resource
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2] / "tools"
LAUNCHER, PROGRAMS = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
CONFIRMS, EXITS, CRASHES, GOES_BACK, REBOOTS, UPDATES, LOOPS, RECOVERS = range(8)
NEW, PENDING, VALID, INVALID, ABORTED, UNDEFINED = range(6)
POWER_ON, SOFTWARE, RECOVERY, CONSOLE, UPDATE, ROLLBACK = 1, 3, 8, 9, 10, 11
OWN_EXIT, NO_IMAGE, STORAGE, NOT_STARTED, BY_SIGNAL = 7, 80, 81, 127, 128
OWN_MOUNTS = ("unshare", "--mount", "--propagation", "private")
REBOOTS_PER_S = 10
SLOT_BYTES = 4 * 1024 * 1024
WAIT_S = 20


class LauncherTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.slots = self.folder / "slots"

    def image(self, program: str, *options: str, version: str = "1.0.0") -> Path:
        path = self.folder / f"{program}.bin"
        command = [sys.executable, TOOLS / "pack_image.py", PROGRAMS / program, path, "--project", "dcu-0080"]
        subprocess.run([*command, "--version", version, *options], check=True)
        return path

    def image_of(self, content: bytes) -> Path:
        program, path = self.folder / "program", self.folder / "program.bin"
        program.write_bytes(content)
        command = [sys.executable, TOOLS / "pack_image.py", program, path, "--project", "dcu-0080"]
        subprocess.run([*command, "--version", "2.0.0"], check=True)
        return path

    def launch(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [LAUNCHER, "--slot-bytes", SLOT_BYTES, *arguments]
        return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60, check=False)

    def install(self, image: Path) -> None:
        done = self.launch("--install", image, self.slots)
        assert (done.returncode, done.stderr) == (0, "")

    def ran(self) -> list[str]:
        return (self.slots / "log").read_text().splitlines()

    def said(self, behaviour: int, slot: int, reason: int, state: int, *words: object) -> str:
        return " ".join([f"{behaviour} slot={slot} reason={reason} state={state} --launched", *map(str, words)])

    def update_to(self, program: str) -> tuple[Path, subprocess.CompletedProcess[str]]:
        update = self.image(program, version="2.0.0")
        self.install(self.image("tiny_updates"))
        return update, self.launch(self.slots, update)

    def test_an_installed_image_runs_with_its_arguments_and_its_end_is_the_launchers(self) -> None:
        self.install(self.image("tiny_exits"))
        done = self.launch(self.slots, "--gateway", "GW-1")
        assert done.returncode == OWN_EXIT
        assert done.stderr == "launcher: slot 0, dcu-0080 1.0.0.\n"
        assert self.ran() == [self.said(EXITS, 0, POWER_ON, UNDEFINED, "--gateway", "GW-1")]
        assert (self.slots / "slot0.run").stat().st_mode & 0o777 == 0o500

    def test_a_new_image_boots_on_trial_and_confirms_and_boots_again(self) -> None:
        update, done = self.update_to("tiny_confirms")
        assert done.returncode == OWN_EXIT
        assert "slot 1, dcu-0080 2.0.0, on trial." in done.stderr
        assert self.launch(self.slots, update).returncode == OWN_EXIT
        assert self.ran() == [
            self.said(UPDATES, 0, POWER_ON, UNDEFINED, update),
            self.said(CONFIRMS, 1, UPDATE, PENDING, update),
            self.said(CONFIRMS, 1, POWER_ON, VALID, update),
        ]

    def test_a_new_image_that_exits_is_rolled_back(self) -> None:
        update, done = self.update_to("tiny_exits")
        assert done.returncode == OWN_EXIT
        after = [
            self.said(UPDATES, 0, POWER_ON, UNDEFINED, update),
            self.said(EXITS, 1, UPDATE, PENDING, update),
            self.said(UPDATES, 0, ROLLBACK, UNDEFINED, update),
        ]
        assert self.ran() == after
        self.launch(self.slots, update)  # and is not tried again
        assert self.ran() == [*after, self.said(UPDATES, 0, POWER_ON, UNDEFINED, update)]

    def test_a_new_image_that_crashes_is_rolled_back(self) -> None:
        update, done = self.update_to("tiny_crashes")
        assert done.returncode == OWN_EXIT
        assert self.ran()[-1] == self.said(UPDATES, 0, ROLLBACK, UNDEFINED, update)

    def test_a_new_image_that_goes_back_itself_is_left(self) -> None:
        update, done = self.update_to("tiny_goes_back")
        assert done.returncode == OWN_EXIT
        assert self.ran()[1:] == [
            self.said(GOES_BACK, 1, UPDATE, PENDING, update),
            self.said(UPDATES, 0, ROLLBACK, UNDEFINED, update),
        ]

    def test_power_that_goes_while_a_new_image_is_on_trial_rolls_it_back(self) -> None:
        update = self.image("tiny_reboots")
        self.install(self.image("tiny_updates"))
        process = self.start(update)
        self.wait_for(lambda: len(self.ran()) == 2)
        process.kill()  # its program goes with it
        process.wait(WAIT_S)
        self.launch(self.slots, update)
        assert self.ran()[-1] == self.said(UPDATES, 0, ROLLBACK, UNDEFINED, update)

    def test_an_update_that_was_damaged_on_its_way_is_never_started(self) -> None:
        update = self.image("tiny_confirms")
        damaged = bytearray(update.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        update.write_bytes(damaged)
        self.install(self.image("tiny_updates"))
        done = self.launch(self.slots, update)
        assert done.returncode == OWN_EXIT
        assert "slot 1 holds an image that is damaged" in done.stderr
        assert self.ran()[-1] == self.said(UPDATES, 0, ROLLBACK, UNDEFINED, update)

    def test_a_confirmed_image_that_rots_leaves_the_former_one(self) -> None:
        update, _ = self.update_to("tiny_confirms")
        with (self.slots / "slot1.bin").open("r+b") as slot:
            slot.seek(5000)
            slot.write(b"rot")
        done = self.launch(self.slots, update)
        assert done.returncode == OWN_EXIT
        assert self.ran()[-1] == self.said(UPDATES, 0, POWER_ON, UNDEFINED, update)

    def test_a_program_that_asks_for_a_reboot_is_started_again_and_a_stop_ends_both(self) -> None:
        self.install(self.image("tiny_reboots"))
        process = self.start()
        self.wait_for(lambda: len(self.ran()) == 2)
        assert self.ran()[1] == self.said(REBOOTS, 0, CONSOLE, UNDEFINED)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 128 + signal.SIGTERM
        assert len(self.ran()) == 2

    def test_each_reboot_says_why_and_one_that_nobody_knows_is_software(self) -> None:
        self.install(self.image("tiny_recovers"))
        assert self.launch(self.slots).returncode == OWN_EXIT
        assert self.ran() == [self.said(RECOVERS, 0, reason, UNDEFINED) for reason in (POWER_ON, RECOVERY, SOFTWARE)]

    def test_a_program_that_reboots_at_once_for_ever_is_held_back_and_a_stop_ends_it(self) -> None:
        self.install(self.image("tiny_loops"))
        began = time.monotonic()
        process = self.start()
        self.wait_for(lambda: len(self.ran()) > REBOOTS_PER_S // 2)
        assert len(self.ran()) <= (time.monotonic() - began) * REBOOTS_PER_S + 1
        process.send_signal(signal.SIGTERM)
        process.wait(WAIT_S)
        after = len(self.ran())
        time.sleep(3 / REBOOTS_PER_S)
        assert len(self.ran()) == after

    def test_a_new_image_that_reboots_before_it_is_confirmed_is_rolled_back(self) -> None:
        update, done = self.update_to("tiny_loops")
        assert done.returncode == OWN_EXIT
        assert self.ran()[1:] == [
            self.said(LOOPS, 1, UPDATE, PENDING, update),
            self.said(UPDATES, 0, ROLLBACK, UNDEFINED, update),
        ]

    def test_a_factorys_program_that_crashes_is_the_launchers_end_with_its_signal(self) -> None:
        self.install(self.image("tiny_crashes"))
        assert self.launch(self.slots).returncode == BY_SIGNAL + signal.SIGABRT
        assert len(self.ran()) == 1

    def test_a_new_image_that_hangs_and_is_killed_is_rolled_back(self) -> None:
        """As by a watchdog: it says nothing of itself."""
        update = self.image("tiny_reboots")
        self.install(self.image("tiny_updates"))
        process = self.start(update)
        self.wait_for(lambda: len(self.ran()) == 2)
        assert self.ran()[1] == self.said(REBOOTS, 1, UPDATE, PENDING, update)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        assert process.wait(WAIT_S) == OWN_EXIT
        assert self.ran()[-1] == self.said(UPDATES, 0, ROLLBACK, UNDEFINED, update)

    def test_devices_of_a_fleet_have_a_program_once_by_the_hash_of_its_image(self) -> None:
        image = self.image("tiny_exits")
        programs = self.folder / "programs"
        shared = programs / hashlib.sha256(image.read_bytes()).hexdigest()
        inodes = set()
        for number in range(2):
            self.slots = self.folder / f"slots{number}"
            self.install(image)
            assert self.launch("--programs", programs, self.slots).returncode == OWN_EXIT
            assert self.ran() == [self.said(EXITS, 0, POWER_ON, UNDEFINED)]
            assert not (self.slots / "slot0.run").exists()
            inodes.add(shared.stat().st_ino)
        assert list(programs.iterdir()) == [shared]
        assert shared.stat().st_mode & 0o777 == 0o500
        assert len(inodes) == 1

    def test_a_shared_program_that_somebody_changed_is_not_started(self) -> None:
        self.install(self.image("tiny_exits"))
        programs = self.folder / "programs"
        self.launch("--programs", programs, self.slots)
        (shared,) = programs.iterdir()
        good = shared.read_bytes()
        elsewhere = self.folder / "elsewhere"
        elsewhere.write_bytes(good)
        elsewhere.chmod(0o500)

        def changed() -> None:
            shared.chmod(0o700)
            shared.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
            shared.chmod(0o500)

        def writable() -> None:
            shared.chmod(0o702)

        def link() -> None:
            shared.unlink()
            shared.symlink_to(elsewhere)

        def pipe() -> None:
            shared.unlink()
            os.mkfifo(shared, 0o500)

        def longer() -> None:
            shared.chmod(0o700)
            shared.write_bytes(good + b"more")
            shared.chmod(0o500)

        for harm in (changed, writable, link, pipe, longer):
            harm()
            with self.subTest(harm.__name__):
                assert self.launch("--programs", programs, self.slots).returncode == OWN_EXIT
                assert not shared.is_symlink()
                assert (shared.read_bytes(), shared.stat().st_mode & 0o777) == (good, 0o500)
        assert list(programs.iterdir()) == [shared]

    def test_a_program_of_another_account_is_not_started(self) -> None:
        """Whoever may write to the folder could put theirs there, and change it between look and start."""
        if os.geteuid() != 0:
            self.skipTest("it takes root to give a file away")
        self.install(self.image("tiny_exits"))
        programs = self.folder / "programs"
        self.launch("--programs", programs, self.slots)
        (shared,) = programs.iterdir()
        os.chown(shared, pwd.getpwnam("nobody").pw_uid, -1)
        assert self.launch("--programs", programs, self.slots).returncode == OWN_EXIT
        assert shared.stat().st_uid == 0

    def test_what_is_no_program_can_not_be_started_and_the_launcher_says_so(self) -> None:
        self.install(self.image_of(b"\x7fELF and nothing more"))
        done = self.launch(self.slots)
        assert done.returncode == NOT_STARTED
        assert "slot0.run can't be started: Exec format error." in done.stderr

    def test_a_new_image_of_what_is_no_program_is_rolled_back(self) -> None:
        update = self.image_of(b"#!/no/such/interpreter\n")
        self.install(self.image("tiny_updates"))
        done = self.launch(self.slots, update)
        assert done.returncode == OWN_EXIT
        assert "slot1.run can't be started: No such file or directory." in done.stderr
        assert self.ran()[-1] == self.said(UPDATES, 0, ROLLBACK, UNDEFINED, update)

    def test_where_no_process_can_be_made_there_is_a_sentence_and_an_exit_code(self) -> None:
        """By a limit of processes, which root is not held to."""
        self.install(self.image("tiny_exits"))
        user: dict[str, object] = {}
        if os.geteuid() == 0:
            user = {"user": pwd.getpwnam("nobody").pw_uid}
            self.folder.chmod(0o755)
            for path in (self.slots, *self.slots.iterdir()):
                os.chown(path, int(str(user["user"])), -1)
        command = [str(LAUNCHER), "--slot-bytes", str(SLOT_BYTES), str(self.slots)]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                env=os.environ | {"ASAN_OPTIONS": "detect_leaks=0"},  # who looks for leaks is a process too
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (0, 0)),
                **user,
            )
        except PermissionError as error:
            self.skipTest(f"nobody can run the launcher here: {error}")
        assert done.returncode == STORAGE, done.stderr
        assert "no program can be started: Resource temporarily unavailable." in done.stderr
        assert not (self.slots / "log").exists()

    def test_an_image_that_went_back_runs_where_there_is_no_other(self) -> None:
        update, _ = self.update_to("tiny_exits")
        with (self.slots / "slot0.bin").open("r+b") as slot:
            slot.seek(5000)
            slot.write(b"rot")
        done = self.launch(self.slots, update)
        assert done.returncode == OWN_EXIT
        assert "slot 1, dcu-0080 2.0.0, which went back once: there is no other." in done.stderr
        assert self.ran()[-1] == self.said(EXITS, 1, POWER_ON, ABORTED, update)

    def test_a_folder_that_can_not_be_used_is_said_and_nothing_starts(self) -> None:
        missing = self.launch(self.folder / "none" / "slots")
        assert (missing.returncode, "can't be made" in missing.stderr) == (STORAGE, True)
        for name in ("otadata.bin", "slot0.bin", "slot1.bin"):
            folder = self.folder / f"without-{name}"
            (folder / name).mkdir(parents=True)
            done = self.launch(folder)
            with self.subTest(name):
                assert done.returncode == STORAGE
                assert f"launcher: {name} of {folder} can't be opened: Is a directory." in done.stderr

    def test_a_program_that_can_not_be_taken_out_of_its_slot_is_said(self) -> None:
        self.install(self.image("tiny_exits"))
        (self.slots / "slot0.run" / "in the way").mkdir(parents=True)
        done = self.launch(self.slots)
        assert done.returncode == STORAGE
        assert "the program of slot 0 can't be written" in done.stderr
        assert [path.name for path in self.slots.iterdir() if ".run." in path.name] == []

    def test_nor_one_that_finds_no_room_and_with_room_it_runs(self) -> None:
        image = self.image("tiny_exits")
        if subprocess.run([*OWN_MOUNTS, "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("nobody may have mounts of their own here")
        room_kib = image.stat().st_size * 3 // 2 // 1024
        disk = self.folder / "disk"
        disk.mkdir()
        script = """
            mount -t tmpfs -o "size=$2k" full "$0" && "$1" --slot-bytes "$3" --install "$4" "$0/slots" || exit 1
            "$1" --slot-bytes "$3" "$0/slots"
            echo "full: $?"
            ls "$0/slots"
            mount -o remount,size=64m "$0" && exec "$1" --slot-bytes "$3" "$0/slots"
        """
        words = [*OWN_MOUNTS, "sh", "-c", script, disk, LAUNCHER, room_kib, SLOT_BYTES, image]
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == OWN_EXIT, done.stderr
        assert f"full: {STORAGE}" in done.stdout
        assert ".run" not in done.stdout  # whole or not at all
        assert "the program of slot 0 can't be written" in done.stderr
        assert "No space left on device." in done.stderr

    def test_a_hang_up_ends_both_and_an_interrupt_is_left_to_the_terminal(self) -> None:
        self.install(self.image("tiny_reboots"))
        process = self.start()
        self.wait_for(lambda: len(self.ran()) == 2)
        process.send_signal(signal.SIGINT)  # the program gets its own from the terminal; here it gets none
        time.sleep(0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGHUP)
        assert process.wait(WAIT_S) == BY_SIGNAL + signal.SIGHUP

    def test_without_an_image_there_is_a_sentence_and_an_exit_code(self) -> None:
        done = self.launch(self.slots)
        assert done.returncode == NO_IMAGE
        assert "no slot of" in done.stderr

    def test_what_is_no_image_for_a_host_is_refused(self) -> None:
        good = self.image("tiny_exits").read_bytes()
        wrongs = {
            "holds no image": b"#!/bin/sh\n" + bytes(400),
            "can't be read": b"",
            "its checksums": good[:-20],
            "image that is damaged": good[:-1] + bytes([good[-1] ^ 1]),
            "without an app descriptor": good[:32] + b"\0" + good[33:],
            "of another form": good[:1] + b"\3" + good[2:],
            "for a chip": self.image("tiny_exits", "--chip-id", "0").read_bytes(),
            "too small": bytes(SLOT_BYTES + 1),
        }
        # A segment that says it is longer than the slot.
        wrongs["a segment that is too long"] = good[:292] + b"\xff\xff\xff\x7f" + good[296:]
        for sentence, content in wrongs.items():
            image = self.folder / "wrong.bin"
            image.write_bytes(content)
            done = self.launch("--install", image, self.slots)
            with self.subTest(sentence):
                assert done.returncode == 1
                if content:
                    assert sentence in done.stderr
        assert self.launch(self.slots).returncode == NO_IMAGE

    def test_the_packer_makes_the_very_image_that_the_c_tests_read(self) -> None:
        program, image = self.folder / "hello", self.folder / "hello.bin"
        program.write_bytes(b"#!/bin/sh\necho hello\n")
        command = [sys.executable, TOOLS / "pack_image.py", program, image, "--project", "dcu-0080"]
        facts = ["--version", "1.2.3", "--secure-version", "7", "--built-at", "1780000000"]
        subprocess.run([*command, *facts], check=True)
        assert image.read_bytes() == (TOOLS.parent / "tests" / "data" / "host_image.bin").read_bytes()

    def test_the_packer_refuses_what_does_not_fit(self) -> None:
        program = self.folder / "program"
        program.write_bytes(b"")
        good = ["--project", "dcu-0080", "--version", "1.0.0"]
        for arguments in (
            [program, *good],
            [self.folder / "none", *good],
            [PROGRAMS / "tiny_exits", "--project", "x" * 32, "--version", "1"],
            [PROGRAMS / "tiny_exits", "--project", "dcu-0080", "--version", "é"],
            [PROGRAMS / "tiny_exits", *good, "--chip-id", "0x10000"],
            [PROGRAMS / "tiny_exits", *good, "--secure-version", "-1"],
        ):
            command = [sys.executable, TOOLS / "pack_image.py", arguments[0], self.folder / "image.bin", *arguments[1:]]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr[:12]) == (1, "pack_image: ")

    def test_arguments_that_make_no_sense_are_refused(self) -> None:
        assert self.launch().returncode == 1
        for size in ("4097", "0", "x", str(65 * 1024 * 1024)):
            assert self.launch("--slot-bytes", size, self.slots).returncode == 1
        assert self.launch("--unknown", self.slots).returncode == 1
        assert self.launch("--install", self.folder / "none", self.slots).returncode == 1
        self.install(self.image("tiny_exits"))
        assert self.launch("--install", self.folder / "tiny_exits.bin", self.slots, "more").returncode == 1
        assert self.launch(self.slots, *range(64)).returncode == OWN_EXIT
        too_many = self.launch(self.slots, *range(65))
        assert (too_many.returncode, "at most 64 arguments" in too_many.stderr) == (1, True)
        assert self.ran() == [self.said(EXITS, 0, POWER_ON, UNDEFINED, *range(64))]

    def start(self, *arguments: object) -> "subprocess.Popen[bytes]":
        command = [LAUNCHER, "--slot-bytes", SLOT_BYTES, self.slots, *arguments]
        process = subprocess.Popen([str(word) for word in command], stderr=subprocess.DEVNULL)
        self.addCleanup(process.kill)
        return process

    def wait_for(self, condition) -> None:  # noqa: ANN001
        deadline = time.monotonic() + WAIT_S
        while not ((self.slots / "log").exists() and condition()):
            assert time.monotonic() < deadline
            time.sleep(0.02)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
