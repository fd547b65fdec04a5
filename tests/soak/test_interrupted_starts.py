"""Ctrl-C, SIGHUP and SIGTERM at every second of a start: nothing is left running, the output has no
traceback, and the next start succeeds."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.local_stack import LocalStack
from tests.waiting import DEADLINE, eventually

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(3600)]

SECONDS = [0.2, *range(1, 13)]
STOPPED = {0, 1, 130, *(-number for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM))}
"""A start that has not yet come to its own handlers ends as the signal itself ends a process."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    stack = LocalStack(tmp_path_factory.mktemp("interrupted"))
    yield stack
    if stack.process:
        stack.stop()


def written(stack: LocalStack) -> int:
    """When the log of the cloud was written last; a start writes it once its handlers are there."""
    log = stack.state_dir / "logs" / "cloud.log"
    return log.stat().st_mtime_ns if log.exists() else 0


@pytest.mark.parametrize("seconds", SECONDS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGTERM], ids=str)
def test_a_start_that_is_interrupted_leaves_nothing_running(stack, number, seconds):
    before = written(stack)
    process = subprocess.Popen(
        [sys.executable, "-m", "local", "up"],
        cwd=stack.checkout,
        env=stack.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    time.sleep(seconds)  # The moment itself is what is tested.
    process.send_signal(number)
    output, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode in STOPPED, output
    if written(stack) > before:  # Until then Python itself is starting, however long that takes.
        assert "Traceback" not in output
    assert eventually(lambda: not stack.processes()), stack.processes()


def test_the_next_start_succeeds(stack):
    stack.start()
    with stack.client() as client:
        assert client.get("/status").json()["status"] == "ready"
