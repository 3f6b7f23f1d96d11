"""C programs of firmware/tests that tests in Python run, built where they are not yet."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

FIRMWARE: Final = Path(__file__).parents[1] / "firmware"
BUILD: Final = FIRMWARE / "build" / "messages"


def built(target: str) -> Path:
    """The folder with the built tests. Skips the test where nothing can be built."""
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.skip("cmake is not installed; scripts/setup firmware installs it")
    if not any(shutil.which(name) for name in (os.environ.get("CC", "cc"), "gcc", "clang")):
        pytest.skip("there is no C compiler; scripts/setup firmware installs one")
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test files run side by side, and there is one folder
        for command in (
            [cmake, "-S", str(FIRMWARE), "-B", str(BUILD), *generator, "-DPROGRAMS=OFF", "-DCMAKE_BUILD_TYPE=Debug"],
            [cmake, "--build", str(BUILD), "--target", target, "--parallel", "2"],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
    return BUILD / "tests"
