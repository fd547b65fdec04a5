"""python -m local.guard PARENT FOLDER COMMAND...: runs one command that leaves nothing running.

A request to stop, or the end of the process with the id PARENT that started it (by kill -9 too),
reaches the command and every process of its session, which are killed where they do not stop in
time. The exit status is the command's, 128 + n where signal n ended it.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from types import FrameType

STOP_SECONDS = 5
"""From the request to stop to the kill. A training writes its checkpoint at the end of each epoch,
so all that is left to do then is to end; Fargate gives 30 s."""

NOT_STARTED = 127
"""A shell's exit status for a command that it cannot start."""

PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """Have this process asked to stop when its parent ends, also by kill -9. Only Linux can."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def main(parent: int, folder: str, command: list[str]) -> int:
    """Run `command` in `folder` to its end."""
    die_with_parent()
    if os.getppid() != parent:  # It ended before this line.
        return NOT_STARTED
    signals = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # Until there is something to pass them to.
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
    to_all(signal.SIGKILL)  # What it started and did not wait for.
    return code if code >= 0 else 128 - code


def _as_a_command() -> None:
    """The command takes signals as any other, and stops when its guard is killed."""
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    die_with_parent()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
