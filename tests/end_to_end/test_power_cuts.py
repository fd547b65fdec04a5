"""After a power cut, the stack starts again by itself and loses nothing that is 5 s old.

The tests run in order on one stack. A cut kills every process of it at once, emulator and trainings
included.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time

import httpx
import pytest

from local.emulator import newest
from tests.local_stack import ROOT, LocalStack, copy_of_the_checkout
from tests.waiting import DEADLINE, eventually

pytestmark = pytest.mark.end_to_end

SAMPLE = (ROOT / "sample.jpg").read_bytes()


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """A stack that nobody has started yet; its trainings run `act.sh`."""
    folder = tmp_path_factory.mktemp("cut")
    stack = LocalStack(folder / "state", copy_of_the_checkout(folder / "checkout"))
    yield stack
    if stack.process:
        stack.stop()


def cut_the_power(stack: LocalStack) -> None:
    while found := stack.processes():  # Again, because a process may have just started another.
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        if stack.process:
            stack.process.wait(DEADLINE)
    stack.process = None


def cut_a_start(stack: LocalStack, moment: str) -> None:
    """Start the stack and cut the power as soon as `moment`, a pattern of files, matches."""
    stack.process = subprocess.Popen(
        [sys.executable, "-m", "local", "up"],
        cwd=stack.checkout,
        env=stack.environment(),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    until = time.monotonic() + DEADLINE
    while not any(stack.state_dir.glob(moment)):
        assert stack.process.poll() is None, "the start has failed"
        assert time.monotonic() < until, f"never came to {moment!r}"
        time.sleep(0.005)
    cut_the_power(stack)


def is_saved(stack: LocalStack, text: bytes) -> bool:
    """Whether the newest saved state of the cloud has `text`, and so all that came before it."""
    try:
        latest = newest(stack.state_dir / "cloud" / "snapshots")
        return latest is not None and any(text in file.read_bytes() for file in latest.iterdir())
    except FileNotFoundError:  # A newer one has replaced it.
        return False


MOMENTS = [
    "logs/cloud.log",  # The emulator starts.
    "cloud/s3/*/artefacts/template*",  # The deployment begins.
    "cloud/snapshots/1",  # It is saved.
    "stack.json",  # The stack is ready.
]
"""Files that appear in this order in a first start."""


def progress(admin: httpx.Client, batch: str) -> dict:
    """The counts of a batch; its rate changes with the time."""
    shown = admin.get(f"/batches/{batch}").json()
    return {name: value for name, value in shown.items() if name not in ("rate", "seconds_left")}


def test_a_first_start_that_is_cut_anywhere_starts_again(cut):
    for moment in MOMENTS:
        cut_a_start(cut, moment)
    cut.start()
    with cut.client() as client:
        assert client.get("/status").json()["status"] == "ready"


def test_a_second_start_in_the_folder_says_so_in_one_line(cut):
    output = cut.refused(API_PORT="1025", SITE_PORT="1026")
    assert "already runs in" in output
    assert output.count("\n") == 1


def test_a_cut_in_a_training_and_a_batch_loses_nothing_that_is_five_seconds_old(cut):
    (cut.checkout / "act.sh").write_text("exec sleep 600\n")
    outputs, s3 = cut.description()["outputs"], cut.cloud("s3")
    token = (cut.state_dir / "admin-token").read_text()
    with cut.admin() as admin:
        run = admin.post("/retrain", json={"method": "fine_tuning"}).raise_for_status().json()["id"]
        s3.put_object(Bucket=outputs["DataBucket"], Key="inbox/done/a.jpg", Body=SAMPLE)
        assert eventually(lambda: "attempt 1" in cut.job_log(run)), cut.job_log(run)
        assert eventually(lambda: progress(admin, "done").get("state") == "finished")
        before = progress(admin, "done")
    assert before["done"] == 1
    # What is saved is safe. An idle machine needs less than the five seconds, a busy one more.
    cut.cloud("sqs").create_queue(QueueName="saved-from-here-on")
    assert eventually(lambda: is_saved(cut, b"saved-from-here-on")), "the state was not saved"
    for number in range(20):
        s3.put_object(Bucket=outputs["DataBucket"], Key=f"inbox/cut/{number}.jpg", Body=SAMPLE)
    cut_the_power(cut)

    (cut.state_dir / "stack.json").unlink()
    cut_a_start(cut, "cloud/tmp/*")
    cut.start()
    assert (cut.state_dir / "admin-token").read_text() == token
    with cut.admin() as admin:
        assert progress(admin, "done") == before
        assert admin.get(f"/runs/{run}").status_code == 200
        # The two attempts that were cut count as interruptions; a third one may follow.
        assert eventually(lambda: "attempt 2" in cut.job_log(run)), cut.job_log(run)
    # The newest objects are on disk, whatever became of their messages.
    pages = cut.cloud("s3").get_paginator("list_objects_v2")
    listed = pages.paginate(Bucket=outputs["DataBucket"], Prefix="inbox/cut/")
    assert sum(page["KeyCount"] for page in listed) == 20
