"""A guarded command leaves nothing running, whatever ends it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import DEADLINE, eventually

ROOT = Path(__file__).resolve().parents[3]

STUBBORN = "trap '' TERM; sleep 9999.6 & echo started; while :; do sleep 0.1; done"
"""Hears no request to stop, and has a child that hears none either."""


def guarded(folder, *command: str, parent: int | None = None) -> list[str]:
    started_by = str(parent or os.getpid())
    return [sys.executable, "-m", "local.guard", started_by, str(folder), *command]


def in_folder(folder: Path) -> set[str]:
    """Command lines of what runs in a folder."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.add((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # It ended meanwhile.
            continue
    return found


def gone(folder: Path) -> bool:
    return eventually(lambda: not in_folder(folder))


@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 0", 0), ("exit 2", 2), ("kill -9 $$", 137), ("no-such-command", 127)],
)
def test_the_exit_status_is_the_commands(tmp_path, script, status):
    done = subprocess.run(guarded(tmp_path, "sh", "-c", script), cwd=ROOT, check=False)
    assert done.returncode == status


def test_a_command_that_is_not_there_is_told(tmp_path):
    done = subprocess.run(
        guarded(tmp_path, "/no/such/thing"), cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 127
    assert done.stdout == "/no/such/thing cannot be started: No such file or directory\n"


def test_what_a_command_leaves_behind_ends_with_it(tmp_path):
    subprocess.run(guarded(tmp_path, "sh", "-c", "sleep 9999.7 & exit 0"), cwd=ROOT, check=True)
    assert gone(tmp_path)


def test_a_request_to_stop_reaches_the_command(tmp_path):
    with subprocess.Popen(
        guarded(tmp_path, "sh", "-c", "trap 'echo bye; exit 7' TERM; echo on; sleep 9999.8 & wait"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as guard:
        assert guard.stdout.readline() == "on\n"
        guard.send_signal(signal.SIGTERM)
        assert guard.wait(DEADLINE) == 7
        assert guard.stdout.read() == "bye\n"
    assert gone(tmp_path)


def test_a_command_that_does_not_stop_is_killed_with_its_children(tmp_path):
    with subprocess.Popen(
        guarded(tmp_path, "sh", "-c", STUBBORN), cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as guard:
        guard.stdout.readline()
        guard.send_signal(signal.SIGTERM)
        assert guard.wait(DEADLINE) == 137
    assert gone(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="parent-death signals are Linux's")
def test_kill_9_of_who_started_it_leaves_nothing_behind(tmp_path):
    starter = (
        "import os, subprocess, sys;"
        "subprocess.run([sys.executable, '-m', 'local.guard', str(os.getpid()), *sys.argv[1:]])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", starter, str(tmp_path), "sh", "-c", STUBBORN],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout.readline() == "started\n"
        assert in_folder(tmp_path)
        parent.kill()
        parent.wait()
        assert gone(tmp_path)


def test_nothing_is_started_for_somebody_who_is_gone(tmp_path):
    done = subprocess.run(guarded(tmp_path, "touch", "it", parent=1), cwd=ROOT, check=False)
    assert done.returncode == 127
    assert not (tmp_path / "it").exists()
