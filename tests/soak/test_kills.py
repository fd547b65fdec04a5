"""A training is killed with -9 at ten moments: the champion keeps serving, no incomplete version is
listed, and the run ends well. `make soak` takes about ten minutes."""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from clickbait import LABELS
from tests.end_to_end.test_retraining import ended, upload, version_that_answers
from tests.local_stack import LocalStack
from tests.waiting import DEADLINE, eventually

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(3600)]

PAIRS = [
    ("with the live model", "Comparing the new model"),
    ("Listing the images", "Publishing the new version"),
    ("Checking images", "Published version"),
    ("Training from", "Exporting"),
    ("Features of", "epoch 1/2"),
]
"""Log texts at the two moments at which a run is killed; a run has three attempts. Only the first
run checks labels with the live model, because all images are new to it."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory) -> Iterator[LocalStack]:
    """A stack with drawings, in which only this test starts runs."""
    folder = tmp_path_factory.mktemp("soak")
    with LocalStack(folder, MIN_NEW_IMAGES="100000", LOCAL_WORKERS="1") as stack:
        upload(stack, 0, 120)
        yield stack


@pytest.fixture(scope="module")
def admin(stack: LocalStack) -> Iterator[httpx.Client]:
    with stack.admin() as client:
        yield client


def training(stack: LocalStack) -> int | None:
    """The process of the training itself, not of its guard."""
    for pid in stack.processes():
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if line[1:3] == [b"-m", b"training.job"]:
            return pid
    return None


def kill_at(stack: LocalStack, run: str, moment: str, after: int) -> int:
    """Kill the training once its log has `moment` after position `after`; returns its length."""
    until = time.monotonic() + DEADLINE
    while not re.search(re.escape(moment), stack.job_log(run)[after:]):
        assert time.monotonic() < until, stack.job_log(run)[-2000:]
        time.sleep(0.005)
    pid = training(stack)
    assert pid, f"no training runs at {moment!r}"
    os.kill(pid, signal.SIGKILL)
    return len(stack.job_log(run))


def everything_serves(admin: httpx.Client) -> None:
    """The champion answers, and every listed version is complete."""
    listed = admin.get("/models").raise_for_status().json()["items"]
    assert version_that_answers(admin) in {m["version"] for m in listed}
    for model in listed:
        record = admin.get(f"/models/{model['version']}").raise_for_status().json()
        assert record["metadata"]["model_version"] == model["version"]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_run_that_is_killed_twice_ends_well(stack, admin, first, second):
    asked = {"skip_label_check": True, "epochs": 2}
    answer = eventually(
        lambda: (got := admin.post("/retrain", json=asked)).status_code == 202 and got
    )
    run = answer.json()["id"]
    place = kill_at(stack, run, first, 0)
    everything_serves(admin)
    kill_at(stack, run, second, place)
    everything_serves(admin)
    record = ended(admin, run)
    assert record["state"] in ("PROMOTED", "REJECTED"), record["reason"]
    assert stack.job_log(run).count("RUNNING") == 3
    everything_serves(admin)
    promoted = [p for p in admin.get("/promotions").json()["items"] if p["by"] == f"run {run}"]
    assert len(promoted) == (record["state"] == "PROMOTED")
    assert admin.post("/predict", content=b"x").status_code in (415, 422)


def test_what_was_killed_left_nothing_behind(stack, admin):
    s3, bucket = stack.cloud("s3"), stack.description()["outputs"]["ModelsBucket"]
    left = s3.list_objects_v2(Bucket=bucket, Prefix="checkpoints/").get("KeyCount", 0)
    assert left == 0
    assert set(LABELS) == set(admin.get("/dataset").json()["counts"])
