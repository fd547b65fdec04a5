"""python -m local.guard PARENT FOLDER COMMAND...: runs a command that leaves nothing running.

A stop signal, or the end of the process PARENT that started the guard (even by kill -9), stops the
command and every process of its session; those that do not stop in time are killed. The exit status
is the command's, or 128 + n if signal n ended it.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from types import FrameType

STOP_SECONDS = 5
"""Time between the stop signal and the kill. A training saves its checkpoint after each epoch, so
it can end at once; Fargate waits 30 s."""

NOT_STARTED = 127
"""A shell's exit status for a command that it cannot start."""

PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """Send SIGTERM to this process when its parent ends, even by kill -9. Linux only."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def main(parent: int, folder: str, command: list[str]) -> int:
    """Run `command` in `folder` to its end."""
    die_with_parent()
    if os.getppid() != parent:  # The parent has ended already.
        return NOT_STARTED
    signals = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # Until the command runs.
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            start_new_session=True,
            preexec_fn=_as_a_command,  # noqa: PLW1509 - no thread runs here
        )
    except OSError as error:
        print(f"{command[0]} cannot be started: {error.strerror}", flush=True)
        return NOT_STARTED

    def to_all(number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)

    def stop(number: int, frame: FrameType | None) -> None:
        to_all(signal.SIGTERM)
        signal.alarm(STOP_SECONDS)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    signal.signal(signal.SIGALRM, lambda number, frame: to_all(signal.SIGKILL))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    code = process.wait()
    to_all(signal.SIGKILL)  # Processes that the command left behind.
    return code if code >= 0 else 128 - code


def _as_a_command() -> None:
    """Unblock signals in the command, and stop it when its guard is killed."""
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    die_with_parent()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
