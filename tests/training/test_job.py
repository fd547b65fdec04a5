"""The batch job, in process and against a cloud in memory: one run from its images to its verdict,
also if it is killed in between."""

import io
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from PIL import Image

from clickbait import LABELS, aws
from clickbait.errors import Conflict
from clickbait.inference.classifier import Classifier
from clickbait.learning import decide
from clickbait.settings import settings
from clickbait.store import answers
from clickbait.store.registry import Registry
from clickbait.store.runs import Parameters, Runs
from tests.busy_s3 import BusyS3, served
from tests.cloud import create_buckets, create_table
from tests.samples.drawn import encoded
from tests.training.conftest import rewrite, write_tiny
from training import (
    attempt,
    bucket,
    golden,
    job,
    recipe,
    retrain,
    sides,
)
from training.run import Run

DATA, MODELS, TABLE = "data", "models", "table"
ENOUGH = 110
"""Images of each class, for a test side of at least 30."""


class Killed(BaseException):
    """kill -9, as far as one process can tell: nothing of ours runs after it."""


class Batch:
    """AWS Batch, as far as asking for a run needs it."""

    def submit_job(self, **_: Any) -> dict[str, Any]:
        return {"jobId": "job"}


# --- a bad model, and images ----------------------------------------------------------------------


@pytest.fixture(scope="session")
def drawings(draw, tmp_path_factory) -> dict[str, list[bytes]]:
    """ENOUGH drawings of each class."""
    folder = draw(tmp_path_factory.mktemp("many"), ENOUGH, seed=5)
    return {label: [p.read_bytes() for p in sorted((folder / label).iterdir())] for label in LABELS}


@pytest.fixture
def few(drawings, monkeypatch) -> dict[str, list[bytes]]:
    """20 drawings of each class, and a gate for which they are enough."""
    for module in (attempt.gate, decide):
        monkeypatch.setattr(module, "MIN_IMAGES", 4)
        monkeypatch.setattr(module, "MIN_OF_CLASS", 1)
    return {label: files[:20] for label, files in drawings.items()}


# --- the cloud ------------------------------------------------------------------------------------


@pytest.fixture
def cloud(tiny, timid, tmp_path, monkeypatch) -> Iterator[Any]:
    """Two buckets and a table, a timid model as the baseline, and a training of no time to a better
    one."""
    environment = {"DATA_BUCKET": DATA, "MODELS_BUCKET": MODELS, "TABLE": TABLE}
    for name, value in {**environment, "JOB_CACHE": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    bucket.s3.cache_clear()
    monkeypatch.setattr(attempt, "BASELINE", timid)
    monkeypatch.setattr(attempt, "CHECKOUT_BASELINE", timid)
    monkeypatch.setattr(attempt, "retrain", Training(tiny))
    original = aws.client
    monkeypatch.setattr(aws, "client", lambda s: Batch() if s == "batch" else original(s))
    with mock_aws():
        create_buckets(DATA, MODELS)
        create_table(TABLE)
        yield boto3.client("s3")
    settings.cache_clear()
    bucket.s3.cache_clear()


class Training:
    """Stands in for `retrain.retrain`: the version is `model`, with a manifest of the images."""

    def __init__(self, model: Path) -> None:
        self.model, self.calls = model, 0
        self.before: Callable[[], None] = lambda: None

    def __call__(self, run: Run, *, new: int | None) -> Path:
        self.calls += 1
        self.run, self.new = run, new
        part = run.checkpoint / "about.json"
        self.found = part.exists()
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text("{}")
        run.saved(part)
        self.before()
        run.watch({"member": 1, "epoch": 1, "val_auc": 1.0}, 2)
        run.watch({"member": 1, "epoch": 2, "val_auc": 1.0}, 2)
        version = run.folder / "version"
        if not version.exists():
            part = run.folder / "part"
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(self.model, part)
            part.rename(version)
            rewrite(version, model_version=f"20261122-00000{self.calls}-bbb")
            sides.write_manifest(version / "manifest.csv", run.images.records)
        return version


def upload(
    s3, drawings, *, swapped: bool = False, prefix: str = "train", count: int = ENOUGH, start=0
):
    for label, files in drawings.items():
        folder = LABELS[1 - LABELS.index(label)] if swapped else label
        for i, data in enumerate(files[:count], start):
            s3.put_object(Bucket=DATA, Key=f"{prefix}/{folder}/{label} {i}.png", Body=data)


def request(**parameters: Any) -> str:
    return str(Runs(TABLE).request("admin", Parameters(**parameters), "Somebody asked.")["id"])


def do(run: str, number: int = 1) -> tuple[int, dict[str, Any]]:
    """One attempt; the exit status, and the run after it."""
    environment = {**os.environ, "RUN_ID": run, "AWS_BATCH_JOB_ATTEMPT": str(number)}
    status = job.main(environment)
    return status, Runs(TABLE).get(run)


def live() -> str | None:
    pointer = Registry(MODELS).pointer()
    return pointer.version if pointer else None


def keys(s3, prefix: str = "", name: str = MODELS) -> list[str]:
    return [o["Key"] for o in s3.list_objects_v2(Bucket=name, Prefix=prefix).get("Contents", [])]


# --- from the images to the verdict ---------------------------------------------------------------


def test_a_run_trains_proves_and_promotes(cloud, drawings, monkeypatch):
    fetched: list[str] = []
    monkeypatch.setattr(Registry, "fetch", lambda self, version, folder: fetched.append(version))
    upload(cloud, drawings)
    for key in (
        "train/",
        "train/clickbait_fake/",
        "train/clickbait_fake/.DS_Store",
        "train/cats/1",
    ):
        cloud.put_object(Bucket=DATA, Key=key, Body=b"")
    status, record = do(request())
    assert (status, record["state"]) == (0, "PROMOTED"), record
    assert record["reason"] == "Right on 70 of 70 of your images, before on 70."
    assert list(record["times"]) == ["QUEUED", "RUNNING", "EVALUATING", "PROMOTED"]
    assert record["images"] == {"listed": 220, "usable": 220, "new": 220, "left_out": 0}
    assert (record["epoch"], record["epochs"], record["metrics"]["val_auc"]) == (2, 2, 1.0)
    assert [row["epoch"] for row in record["history"]] == [1, 2]
    assert record["label_check"]["contradicted"] == 0
    assert record["gate"]["passed"] and record["gate"]["sets"]["own"]["images"] == 70
    assert record["gate"]["own"]["candidate"]["right"] == 70 and record["gate"]["advice"] == ""
    assert any("PROMOTED: Right on 70" in line for line in record["log"])
    assert live() == record["version"]
    assert fetched == [], "neither the baseline nor the new version was downloaded to be judged"
    (promotion,) = Registry(MODELS).promotions()
    assert promotion["by"] == f"run {record['id']}"
    assert promotion["gate"] == record["gate"]
    assert promotion["previous"] == "20261101-000000-aaa"
    # The baseline is there to roll back to, and nothing is left that only a retry would need.
    assert set(Registry(MODELS).versions()) == {record["version"], "20261101-000000-aaa"}
    assert not keys(cloud, "checkpoints/")
    assert len(attempt.trained.read_trained(MODELS).train) == 220
    assert record["listing"]
    # What is stored of an image comes from a model that did not learn from it.
    found = answers.read(MODELS)
    assert found.version == live() and len(found.images) == 220
    side = {r.file: r.side for r in attempt.retrain.run.images.used}
    sure = {key for key, (_, p) in found.images.items() if abs(p - 0.5) > 0.3}
    assert sure == {key for key, where in side.items() if where != "train"}


def test_a_live_version_of_another_size_is_compared_on_its_own_input(cloud, drawings, tmp_path):
    small = write_tiny(tmp_path / "small", "20261102-000000-ccc", 0.2, size=192)
    Registry(MODELS).publish(small)
    Registry(MODELS).promote("20261102-000000-ccc", by="admin", reason="It is faster.")
    upload(cloud, drawings)
    upload(cloud, drawings, prefix="exam", count=4)
    _, record = do(request())
    assert record["state"] == "PROMOTED", record
    assert record["gate"]["champion"] == "20261102-000000-ccc"
    assert record["gate"]["own"]["champion"]["auc"] == 1
    assert record["label_check"]["contradicted"] == 0
    assert Registry(MODELS).load(live()).size == 224


@pytest.mark.parametrize(("scratch", "size"), [(False, 192), (True, 224)])
def test_a_fine_tuning_has_the_size_of_the_live_version(
    cloud, few, tmp_path, monkeypatch, scratch, size
):
    small = write_tiny(tmp_path / "small", "20261102-000000-ccc", 0.2, size=192)
    rewrite(small, architecture="efficientnet_lite0")
    Registry(MODELS).publish(small)
    Registry(MODELS).promote("20261102-000000-ccc", by="admin", reason="It is faster.")
    upload(cloud, few)
    _, record = do(request(from_scratch=scratch))
    assert record["state"] == "PROMOTED", record
    run = attempt.retrain.run
    assert (run.recipe.size, run.images.size, run.start is None) == (size, size, scratch)


def test_what_a_run_has_trained_on_is_not_new_to_the_next(cloud, few, monkeypatch):
    monkeypatch.setattr(attempt, "recipe_of", lambda *_: recipe.RETRAINING)
    upload(cloud, few, count=15)
    assert do(request())[1]["images"]["new"] == 30
    assert attempt.retrain.new == 30
    Runs(TABLE)._release(Runs(TABLE).active())
    upload(cloud, few)
    _, record = do(request())
    assert record["images"] == {"listed": 40, "usable": 40, "new": 10, "left_out": 0}
    assert attempt.retrain.new == 10
    assert record["label_check"]["images"] == 10


def test_parameters_reach_the_training(cloud, few, drawings):
    upload(cloud, drawings, count=40)
    do(request(epochs=3, batch_size=4, learning_rate=1e-3, validation_split=0.4, from_scratch=True))
    assert attempt.retrain.run.start is None and attempt.retrain.new is None
    chosen = attempt.retrain.run.recipe
    assert (chosen.epochs, chosen.batch_size, chosen.learning_rate) == (3, 4, 1e-3)


def test_a_model_that_is_not_better_stays_out_with_counts_and_advice(cloud, drawings, bad):
    attempt.retrain.model = bad
    upload(cloud, drawings)
    status, record = do(request())
    assert (status, record["state"]) == (0, "REJECTED")
    assert record["reason"].startswith("Right on 0 of 70 of your images, before on 70. ")
    assert "not clearly closer to your labels" in record["reason"]
    assert record["gate"]["advice"].startswith("Upload about ")
    assert live() is None


def test_swapped_folders_are_rejected_before_training_and_do_not_block_later_uploads(
    cloud, drawings
):
    upload(cloud, {k: v[:30] for k, v in drawings.items()}, swapped=True)
    status, record = do(request())
    assert (status, record["state"]) == (0, "REJECTED")
    assert record["reason"].startswith(
        "The live model ranks your 60 new images the wrong way round"
    )
    assert record["reason"].endswith("Are the folders swapped?")
    assert len(record["label_check"]["worst"]) == 10
    assert record["label_check"]["worst"][0]["key"].startswith("train/clickbait_")
    assert attempt.retrain.calls == 0
    assert live() is None
    said = answers.read(MODELS).images
    assert len(said) == 60 and said[f"train/{LABELS[0]}/{LABELS[1]} 0.png"][1] > 0.5
    Runs(TABLE)._release(Runs(TABLE).active())
    upload(cloud, {k: v[30:] for k, v in drawings.items()}, start=30)
    _, record = do(request())
    assert record["state"] == "PROMOTED", record["reason"]
    assert record["label_check"]["images"] == 160
    used = [r.file.split("/") for r in attempt.retrain.run.images.used]
    assert len(used) == 160
    assert all(name.startswith(folder) for _, folder, name in used)


def test_rejected_labels_that_an_admin_confirms_are_trained_on(cloud, drawings):
    """A confirmation changes the metadata of an image, and neither its key nor its content."""
    upload(cloud, drawings, swapped=True)
    _, record = do(request())
    assert record["state"] == "REJECTED" and attempt.retrain.calls == 0
    Runs(TABLE)._release(Runs(TABLE).active())
    rejected = keys(cloud, "train/", DATA)
    assert attempt.trained.read_trained(MODELS).left_out(attempt.trained.list_images(DATA)) == set(
        rejected
    )
    for key in rejected[1:]:
        cloud.copy_object(
            Bucket=DATA,
            Key=key,
            CopySource={"Bucket": DATA, "Key": key},
            Metadata={"decided": "admin"},
            MetadataDirective="REPLACE",
        )
    _, record = do(request())
    assert attempt.retrain.calls == 1, record["reason"]
    assert len(attempt.retrain.run.images.used) == 2 * ENOUGH - 1
    left = attempt.trained.read_trained(MODELS).left_out(attempt.trained.list_images(DATA))
    assert left == {rejected[0]}


def test_labels_that_an_admin_decided_are_not_checked(cloud, drawings, few):
    for label, files in drawings.items():
        other = LABELS[1 - LABELS.index(label)]
        for i, data in enumerate(files[:20]):
            name = f"feedback-20261101-0000{i:02}-0123456789ab.png"
            cloud.put_object(Bucket=DATA, Key=f"train/{other}/{name}", Body=data)
        for i, data in enumerate(files[20:40]):
            key, mark = f"train/{other}/{i}.png", {"decided": "admin"}
            cloud.put_object(Bucket=DATA, Key=key, Body=data, Metadata=mark)
    _, record = do(request())
    assert record["label_check"]["images"] == 0
    assert attempt.retrain.calls == 1


def test_copies_of_exam_images_are_told_and_left_out(cloud, drawings, few):
    upload(cloud, drawings, count=40)
    for label, files in drawings.items():
        for i in range(3):
            image = Image.open(io.BytesIO(files[i])).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            body = encoded(image, "JPEG", quality=80)
            cloud.put_object(Bucket=DATA, Key=f"exam/{label}/{i}.jpg", Body=body)
    _, record = do(request())
    assert record["images"]["in_exam"] == 6
    assert record["images"]["usable"] == 74
    assert "6 images of train/ are copies of images in exam/" in record["warnings"][0]
    assert record["gate"]["own"]["candidate"]["images"] > 6


def test_with_the_check_skipped_the_exam_set_rejects_a_model_of_swapped_labels(
    cloud, drawings, bad, draw, tmp_path
):
    upload(cloud, drawings, swapped=True)
    exam = draw(tmp_path / "exam", 20, seed=6)
    upload(
        cloud,
        {k: [p.read_bytes() for p in (exam / k).iterdir()] for k in LABELS},
        prefix="exam",
        count=20,
    )
    attempt.retrain.model = bad
    status, record = do(request(skip_label_check=True))
    assert (status, record["state"]) == (0, "REJECTED")
    assert "Are the folders swapped? The run was asked to skip this check." in record["warnings"][0]
    broken = {c["name"] for c in record["gate"]["checks"] if not c["passed"]}
    assert "auc against champion, exam" in broken
    assert live() is None
    assert record["version"] in Registry(MODELS).versions()


def test_too_few_images_end_the_run_before_it_trains_and_say_what_is_missing(cloud, drawings):
    upload(cloud, drawings, count=20)
    status, record = do(request())
    assert (status, record["state"]) == (0, "REJECTED")
    assert record["reason"] == (
        "You have 20 clickbait and 20 legitimate images. Learning needs at least 50, with 15 of "
        "each kind. Upload 10 more images."
    )
    Runs(TABLE)._release(Runs(TABLE).active())
    upload(cloud, drawings, count=40)
    _, record = do(request())
    assert record["reason"].startswith("Fine-tuning keeps 35% of your images back")
    assert record["reason"].endswith("or upload about 143 in all.")
    assert attempt.retrain.calls == 0


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        ((), "There is no image of clickbait_real and none of clickbait_fake"),
        ((LABELS[0],), "There is no image of clickbait_fake in the bucket. Upload some to train/"),
    ],
)
def test_a_missing_class_fails_and_is_not_tried_again(cloud, drawings, there, reason):
    upload(cloud, {label: drawings[label] for label in there}, count=5)
    status, record = do(request())
    assert (status, record["state"]) == (2, "FAILED")
    assert reason in record["reason"]


def test_no_usable_image_of_a_class_fails_with_the_sentence(cloud, drawings):
    upload(cloud, {LABELS[0]: drawings[LABELS[0]]}, count=5)
    cloud.put_object(Bucket=DATA, Key=f"train/{LABELS[1]}/x.png", Body=b"no image")
    status, record = do(request())
    assert (status, record["state"]) == (2, "FAILED")
    assert "no usable image of clickbait_fake" in record["reason"]


def test_an_image_that_vanished_is_a_copy_or_is_too_large_is_left_out(cloud, drawings, monkeypatch):
    upload(cloud, drawings, count=30)
    first = drawings[LABELS[0]][0]
    cloud.put_object(Bucket=DATA, Key=f"train/{LABELS[0]}/again.png", Body=first)
    limit = max(len(data) for files in drawings.values() for data in files)
    monkeypatch.setattr(bucket, "MAX_IMAGE_BYTES", limit)
    cloud.put_object(Bucket=DATA, Key=f"train/{LABELS[0]}/film.png", Body=b"x" * (limit + 1))
    list_images = attempt.trained.list_images

    def one_vanishes(*given):
        found = list_images(*given)
        for key in found:
            if key.endswith(f"{LABELS[1]} 7.png"):
                cloud.delete_object(Bucket=DATA, Key=key)
            if key.endswith(f"{LABELS[1]} 8.png"):
                cloud.put_object(Bucket=DATA, Key=key, Body=encoded(golden.calm(), "PNG"))
        return found

    monkeypatch.setattr(attempt.trained, "list_images", one_vanishes)
    _, record = do(request())
    assert record["images"] == {"listed": 62, "usable": 58, "new": 62, "left_out": 4}
    assert record["state"] == "REJECTED"


def test_a_group_in_the_metadata_stays_on_one_side(cloud, few, drawings):
    upload(cloud, drawings, count=30)
    for i in range(10):
        body = drawings[LABELS[0]][i]
        cloud.put_object(
            Bucket=DATA,
            Key=f"train/{LABELS[0]}/{LABELS[0]} {i}.png",
            Body=body,
            Metadata={"group": "channel"},
        )
    _, record = do(request())
    manifest = cloud.get_object(Bucket=MODELS, Key=f"versions/{record['version']}/manifest.csv")
    rows = manifest["Body"].read().decode().splitlines()
    sides = {row.split(",")[5] for row in rows if ",channel," in row}
    assert len(sides) == 1


# --- killed, and taken up again -------------------------------------------------------------------


def dies(*_: Any, **__: Any) -> Any:
    raise Killed


def at_listing(monkeypatch, cloud):
    monkeypatch.setattr(attempt.trained, "list_images", dies)


def at_fetching(monkeypatch, cloud):
    monkeypatch.setattr(bucket.Images, "fetch", dies)


def at_checking_labels(monkeypatch, cloud):
    monkeypatch.setattr(attempt.labels, "check", dies)


def in_training(monkeypatch, cloud):
    monkeypatch.setattr(attempt.retrain, "before", dies)


def in_publishing(monkeypatch, cloud):
    put = Registry._put

    def all_but_the_last(self, key, *given, **more):
        if key.endswith("bbb/metadata.json"):
            raise Killed
        return put(self, key, *given, **more)

    monkeypatch.setattr(Registry, "_put", all_but_the_last)


def after_publishing(monkeypatch, cloud):
    monkeypatch.setattr(attempt.trained, "mark_trained", dies)


def in_evaluation(monkeypatch, cloud):
    monkeypatch.setattr(attempt.gate, "examine", dies)


def before_promotion(monkeypatch, cloud):
    monkeypatch.setattr(Registry, "promote", dies)


def after_the_pointer(monkeypatch, cloud):
    monkeypatch.setattr(Registry, "_record", dies)


def after_promotion(monkeypatch, cloud):
    monkeypatch.setattr(attempt.Attempt, "_end", dies)


def in_cleaning_up(monkeypatch, cloud):
    monkeypatch.setattr(bucket.Checkpoint, "delete", dies)


MOMENTS = [
    at_listing,
    at_fetching,
    at_checking_labels,
    in_training,
    in_publishing,
    after_publishing,
    in_evaluation,
    before_promotion,
    after_the_pointer,
    after_promotion,
    in_cleaning_up,
]


KEPT = [in_training, in_publishing, after_publishing]
"""Moments where it matters whether the retry finds the killed one's files, as on one machine."""


@pytest.mark.parametrize(
    ("moment", "disk"),
    [*((m, "lost") for m in MOMENTS), *((m, "kept") for m in KEPT)],
    ids=lambda given: given if isinstance(given, str) else given.__name__,
)
def test_killed_at_any_moment_the_retry_ends_well(cloud, few, tmp_path, moment, disk):
    upload(cloud, few)
    run = request()
    with pytest.MonkeyPatch.context() as patch:
        moment(patch, cloud)
        with pytest.raises(Killed):
            do(run)
    for found in Registry(MODELS).versions():
        Registry(MODELS).load(found)  # nothing half written is listed
    assert live() in (None, *Registry(MODELS).versions())
    if disk == "lost":
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    calls = attempt.retrain.calls
    status, record = do(run, 2)
    assert (status, record["state"]) == (0, "PROMOTED"), record["reason"]
    assert live() == record["version"]
    assert len(list(Registry(MODELS).promotions())) == 1
    assert not keys(cloud, "checkpoints/")
    if moment in MOMENTS[5:]:
        assert attempt.retrain.calls == calls, "what was published is not trained again"


def test_a_retry_resumes_from_the_checkpoint_with_the_same_images(cloud, few, drawings, tmp_path):
    upload(cloud, few)
    run = request()
    attempt.retrain.before = dies
    with pytest.raises(Killed):
        do(run)
    assert not attempt.retrain.found
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    upload(cloud, drawings)  # more arrive meanwhile: they wait for the next run
    attempt.retrain.before = lambda: None
    _, record = do(run, 2)
    assert attempt.retrain.found
    assert record["images"]["listed"] == 40


def test_sigterm_ends_it_with_143_and_the_retry_resumes(cloud, few):
    upload(cloud, few)
    run = request()
    attempt.retrain.before = lambda: os.kill(os.getpid(), signal.SIGTERM)
    status, record = do(run)
    assert (status, record["state"]) == (143, "RUNNING")
    assert "next attempt" in record["reason"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    attempt.retrain.before = lambda: None
    assert do(run, 2)[1]["state"] == "PROMOTED"


def test_a_second_sigterm_changes_nothing(cloud, few, monkeypatch):
    upload(cloud, few)
    run = request()
    attempt.retrain.before = lambda: os.kill(os.getpid(), signal.SIGTERM)
    report = Runs.report

    def report_and_be_hurried(*args: Any, **fields: Any) -> bool:
        if "interrupted" in fields["reason"]:
            os.kill(os.getpid(), signal.SIGTERM)
        return report(*args, **fields)

    monkeypatch.setattr(Runs, "report", report_and_be_hurried)
    status, record = do(run)
    assert (status, record["state"]) == (143, "RUNNING")
    assert "next attempt" in record["reason"]
    attempt.retrain.before = lambda: None
    assert do(run, 2)[1]["state"] == "PROMOTED"


def test_a_disk_that_takes_no_more_costs_one_attempt_and_leaves_no_version(cloud, few):
    """The limit of the process's files stands for the disk: writes fail in the same places."""
    upload(cloud, few)
    run = request()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    attempt.retrain.before = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, before[1]))
    try:
        status, record = do(run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (status, record["state"]) == (1, "RUNNING")
    assert "File too large" in record["reason"]
    assert live() is None
    attempt.retrain.before = lambda: None
    assert do(run, 2)[1]["state"] == "PROMOTED"


class Outage:
    """AWS answers every call of a service with an error, from `begin` on for a number of seconds.
    Stands in for the module `time` too: the seconds pass in the pauses of the job."""

    def __init__(self, service: str, code: str, seconds: float) -> None:
        self.code, self.left, self.begun = code, seconds, False
        for client in (aws.client(service), *([bucket.s3()] if service == "s3" else [])):
            client.meta.events.register(f"before-call.{service}", self.refuse)

    def begin(self) -> None:
        self.begun = True

    def sleep(self, seconds: float) -> None:
        self.left -= seconds

    def refuse(self, **_: Any) -> None:
        if self.begun and self.left > 0:
            error = {"Error": {"Code": self.code, "Message": "Please reduce your request rate."}}
            raise ClientError(error, "Operation")


THROTTLED = "ProvisionedThroughputExceededException"


@pytest.mark.parametrize(
    ("service", "code", "moment"),
    [
        ("s3", "SlowDown", "at the start"),
        ("s3", "SlowDown", "in the training"),
        ("s3", "SlowDown", "at the promotion"),
        ("dynamodb", THROTTLED, "at the start"),
        ("dynamodb", THROTTLED, "in the training"),
    ],
)
def test_a_cloud_that_refuses_for_a_minute_costs_no_attempt(
    cloud, few, monkeypatch, service, code, moment
):
    upload(cloud, few)
    run, outage = request(), Outage(service, code, 60)
    monkeypatch.setattr(job, "time", outage)
    promote = Registry.promote

    def fails_then_promotes(*args: Any, **fields: Any) -> Any:
        outage.begin()
        return promote(*args, **fields)

    if moment == "at the start":
        outage.begin()
    elif moment == "in the training":
        attempt.retrain.before = outage.begin
    else:
        monkeypatch.setattr(Registry, "promote", fails_then_promotes)
    status, record = do(run)
    assert (status, record["state"]) == (0, "PROMOTED"), record["reason"]
    assert outage.left == 0
    assert any(code in line for line in record["log"])
    assert len(list(Registry(MODELS).promotions())) == 1
    assert live() == record["version"]


@pytest.fixture
def busy_s3(monkeypatch) -> Iterator[BusyS3]:
    with served(monkeypatch) as server:
        yield server


@pytest.mark.parametrize("moment", ["at the start", "in the training"])
def test_an_s3_that_answers_503_over_the_network_is_waited_for(
    busy_s3, cloud, few, monkeypatch, moment
):
    upload(cloud, few)
    run, pauses = request(), []

    def begin() -> None:  # Also when the attempt trains again, after the outage.
        busy_s3.busy = len(pauses) < 3

    class Time:
        @staticmethod
        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            begin()

    monkeypatch.setattr(job, "time", Time)
    if moment == "at the start":
        begin()
    else:
        attempt.retrain.before = begin
    status, record = do(run)
    assert (status, record["state"]) == (0, "PROMOTED"), record["reason"]
    assert pauses == [job.PAUSE_SECONDS] * 3
    assert busy_s3.answered.count(503) > 3, "botocore tries more than once before each pause"
    assert any("SlowDown" in line for line in record["log"])
    assert live() == record["version"]


def test_a_cloud_that_goes_on_refusing_costs_the_attempt_and_the_next_one_resumes(
    cloud, few, monkeypatch
):
    upload(cloud, few)
    run, outage = request(), Outage("s3", "SlowDown", 2 * job.OUTAGE_SECONDS)
    monkeypatch.setattr(job, "time", outage)
    attempt.retrain.before = outage.begin
    status, record = do(run)
    assert (status, record["state"]) == (1, "RUNNING")
    assert record["reason"].startswith("Attempt 1 of 3 failed: ")
    assert "SlowDown" in record["reason"]
    outage.left = 0
    assert do(run, 2)[1]["state"] == "PROMOTED"


def test_a_refusal_for_good_is_not_waited_for(cloud, few, monkeypatch):
    upload(cloud, few)
    run, outage = request(), Outage("s3", "AccessDenied", 60)
    monkeypatch.setattr(job, "time", outage)
    attempt.retrain.before = outage.begin
    status, record = do(run)
    assert (status, record["state"], outage.left) == (1, "RUNNING", 60)
    assert "AccessDenied" in record["reason"]


def test_a_fault_is_tried_again_and_fails_the_run_the_third_time(cloud, few, drawings):
    upload(cloud, drawings, count=30)
    run = request()

    def breaks() -> None:
        raise OSError(28, "No space left on device")

    attempt.retrain.before = breaks
    for number in (1, 2):
        status, record = do(run, number)
        assert (status, record["state"]) == (1, "RUNNING")
        assert f"Attempt {number} of 3 failed" in record["reason"]
        assert any("No space left" in line for line in record["log"])
    status, record = do(run, 3)
    assert (status, record["state"]) == (1, "FAILED")
    assert "No space left" in record["reason"]


def test_a_run_that_ended_is_not_done_again(cloud, few):
    upload(cloud, few)
    run = request()
    Runs(TABLE).advance(run, "FAILED", "Somebody stopped it.")
    assert do(run) == (0, Runs(TABLE).get(run))
    assert attempt.retrain.calls == 0


def test_a_run_that_is_ended_while_it_trains_promotes_nothing(cloud, few):
    upload(cloud, few)
    run = request()
    attempt.retrain.before = lambda: Runs(TABLE).advance(run, "FAILED", "Somebody stopped it.")
    status, record = do(run)
    assert (status, record["reason"]) == (0, "Somebody stopped it.")
    assert live() is None


def test_a_run_that_is_cancelled_in_the_last_moment_promotes_nothing(cloud, few, monkeypatch):
    upload(cloud, few)
    run = request()
    examine = attempt.Attempt._examine

    def then_cancel(*given, **options):
        result = examine(*given, **options)
        assert result.passed
        Runs(TABLE).advance(run, "CANCELLED", "Somebody stopped it.")
        return result

    monkeypatch.setattr(attempt.Attempt, "_examine", then_cancel)
    status, record = do(run)
    assert (status, record["state"]) == (0, "CANCELLED")
    assert live() is None


def test_an_unknown_run_or_a_missing_variable_is_one_line(cloud, monkeypatch, capsys):
    assert job.main({"RUN_ID": "20260101-000000-abcdef"}) == 2
    assert "There is no run" in capsys.readouterr().err
    assert job.main({}) == 2
    assert capsys.readouterr().err == "error: RUN_ID must be set\n"
    monkeypatch.delenv("TABLE")
    settings.cache_clear()
    assert job.main({"RUN_ID": "x"}) == 2
    assert capsys.readouterr().err == "error: TABLE must be set\n"


def test_a_missing_region_is_one_line():
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("AWS_")
    } | {
        "RUN_ID": "20260101-000000-abcdef",
        "AWS_CONFIG_FILE": os.devnull,
        **{name.upper(): "x" for name in job.NEEDED},
    }
    done = subprocess.run(
        [sys.executable, "-m", "training.job"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (
        2,
        "error: no region: AWS_DEFAULT_REGION must be set\n",
    )


# --- two at once ----------------------------------------------------------------------------------


def test_a_promotion_lost_to_another_is_judged_again_against_the_new_champion(
    cloud, few, timid, tmp_path, monkeypatch
):
    upload(cloud, few)
    other = tmp_path / "other"
    shutil.copytree(timid, other)
    rewrite(other, model_version="20261120-000000-ccc")
    Registry(MODELS).publish(other)
    promote, examined = Registry.promote, []
    examine = attempt.gate.examine

    def second(self, version, **more):
        monkeypatch.setattr(Registry, "promote", promote)
        self.promote("20261120-000000-ccc", by="admin", reason="I prefer it.")
        return self.promote(version, **more)

    def seen(candidate, champion, *rest):
        examined.append(Classifier.load(champion).version)
        return examine(candidate, champion, *rest)

    monkeypatch.setattr(Registry, "promote", second)
    monkeypatch.setattr(attempt.gate, "examine", seen)
    _, record = do(request())
    assert record["state"] == "PROMOTED"
    assert examined == ["20261101-000000-aaa", "20261120-000000-ccc"]
    assert record["gate"]["champion"] == "20261120-000000-ccc"
    assert live() == record["version"]


def test_after_three_lost_promotions_the_attempt_gives_up(cloud, few, monkeypatch):
    upload(cloud, few)

    def lost(*_: Any, **__: Any) -> Any:
        raise Conflict("Another version went live.")

    monkeypatch.setattr(Registry, "promote", lost)
    status, record = do(request())
    assert (status, record["state"]) == (1, "EVALUATING")
    assert "3 times" in record["reason"]


# --- for real -------------------------------------------------------------------------------------


def test_the_real_training_goes_through_the_job(cloud, few, monkeypatch):
    monkeypatch.setattr(attempt, "retrain", retrain.retrain)
    upload(cloud, few)
    status, record = do(request(epochs=2, batch_size=16))
    assert status == 0
    assert record["state"] in ("PROMOTED", "REJECTED")
    assert record["gate"]["sets"]["own"]["candidate"]["auc"] is not None
    assert (record["epoch"], record["epochs"]) == (2, 2)
    found = Registry(MODELS).metadata(record["version"])
    assert found["training_images"] + found["validation_images"] + found["test_images"] == 40
