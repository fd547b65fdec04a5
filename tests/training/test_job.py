"""The batch job, in process and against a cloud in memory: one run from its images to its verdict,
and what becomes of it where it is killed in between."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import keras
import numpy as np
import pytest
from moto import mock_aws

from clickbait import LABELS, aws
from clickbait.errors import Conflict
from clickbait.inference import images
from clickbait.inference.calibration import Calibration
from clickbait.inference.classifier import Classifier
from clickbait.settings import settings
from clickbait.store.registry import Registry
from clickbait.store.runs import Parameters, Runs
from tests.cloud import create_buckets, create_table
from tests.samples.drawn import encoded
from training import bucket, export, golden, job, network, recipe, run, sides, weights

DATA, MODELS, TABLE = "data", "models", "table"
ENOUGH = 110
"""Images of each class: a test side of 30 and more."""


class Killed(BaseException):
    """kill -9, as far as one process can tell: nothing of ours runs after it."""


class Batch:
    """AWS Batch, as far as asking for a run needs it."""

    def submit_job(self, **_: Any) -> dict[str, Any]:
        return {"jobId": "job"}


# --- a model that answers, its contrary, and images -----------------------------------------------


def rewrite(folder: Path, **fields: Any) -> Path:
    """The version in `folder` with other metadata, and golden predictions that go with it."""
    told = json.loads((folder / "metadata.json").read_text()) | fields
    made = Calibration.from_dict(told["calibration"])
    file = (folder / "model.tflite").read_bytes()
    logits = export.run(file, golden.images(), ["logit"])["logit"].ravel()
    for stored, p in zip(told["golden"], made.apply(logits), strict=True):
        stored["probability"] = float(p)
    (folder / "metadata.json").write_text(json.dumps(told))
    return folder


@pytest.fixture(scope="session")
def good(versions, draw, tmp_path_factory) -> Path:
    """A model that tells drawings of the two classes apart."""
    folder = tmp_path_factory.mktemp("good") / "version"
    shutil.copytree(versions("cnn"), folder)
    drawings = draw(tmp_path_factory.mktemp("drawings"), 8, seed=77)
    model = Classifier.load(folder)
    real, fake = (
        model.logits(
            np.stack(
                [
                    images.model_input(images.read(p.read_bytes()))
                    for p in (drawings / label).iterdir()
                ]
            )
        )[0]
        for label in LABELS
    )
    assert real.max() < fake.min(), "the tests' model does not rank the tests' drawings"
    middle, spread = (real.mean() + fake.mean()) / 2, fake.mean() - real.mean()
    sharp = Calibration(float(spread / 6), float(-6 * middle / spread), "temperature")
    rewrite(folder, calibration=sharp.as_dict(), accuracy=0.95, model_version="20261101-000000-aaa")
    sides.write_manifest(folder / "manifest.csv", [])
    return folder


@pytest.fixture(scope="session")
def bad(good, tmp_path_factory) -> Path:
    """What a training on swapped labels makes of it: the contrary of each answer."""
    folder = tmp_path_factory.mktemp("bad") / "version"
    shutil.copytree(good, folder)
    model = network.build(recipe.RECIPES["cnn"])
    weights.load(good / "weights.npz", model)
    layer = model.get_layer("logit")
    layer.set_weights([-w for w in layer.get_weights()])
    file = export.classifier(model)
    (folder / "model.tflite").write_bytes(file)
    told = json.loads((folder / "metadata.json").read_text())
    contrary = told["calibration"] | {"bias": -told["calibration"]["bias"]}
    keras.backend.clear_session()
    return rewrite(folder, calibration=contrary, sha256=images.sha256(file))


@pytest.fixture(scope="session")
def drawings(draw, tmp_path_factory) -> dict[str, list[bytes]]:
    """ENOUGH images of each class, in its looks."""
    folder = draw(tmp_path_factory.mktemp("many"), ENOUGH, seed=5)
    return {label: [p.read_bytes() for p in sorted((folder / label).iterdir())] for label in LABELS}


@pytest.fixture
def few(drawings, monkeypatch) -> dict[str, list[bytes]]:
    """A few of them, which the gate takes for enough: for what the job does with any number."""
    monkeypatch.setattr(run.gate, "MIN_IMAGES", 4)
    monkeypatch.setattr(run.gate, "MIN_OF_CLASS", 1)
    return {label: files[:20] for label, files in drawings.items()}


# --- the cloud ------------------------------------------------------------------------------------


@pytest.fixture
def cloud(good, tmp_path, monkeypatch) -> Iterator[Any]:
    """Two buckets and a table, the model `good` as the baseline, and a training of no time."""
    environment = {"DATA_BUCKET": DATA, "MODELS_BUCKET": MODELS, "TABLE": TABLE}
    for name, value in {**environment, "JOB_CACHE": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    bucket.s3.cache_clear()
    monkeypatch.setattr(run, "BASELINE_REST", good)
    monkeypatch.setattr(run, "CHECKOUT_BASELINE", good)
    monkeypatch.setattr(run, "retrain", Training(good))
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
        self.asked: dict[str, Any] = {}
        self.before: Callable[[], None] = lambda: None

    def __call__(self, data, champion, recipe, work, store, watch, *, new, saved) -> Path:
        self.calls += 1
        self.asked = {"champion": champion, "recipe": recipe, "new": new, "images": len(data.used)}
        part = work / ".checkpoint" / "about.json"
        self.found = part.exists()
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text("{}")
        saved(part)
        self.before()
        watch({"member": 1, "epoch": 1, "val_auc": 1.0}, 2)
        watch({"member": 1, "epoch": 2, "val_auc": 1.0}, 2)
        made = work / "version"
        if not made.exists():
            shutil.copytree(self.model, made)
            rewrite(made, model_version=f"20261122-00000{self.calls}-bbb")
            sides.write_manifest(made / "manifest.csv", data.records)
        return made


def upload(s3, drawings, *, swapped: bool = False, prefix: str = "train", count: int = ENOUGH):
    for label, files in drawings.items():
        folder = LABELS[1 - LABELS.index(label)] if swapped else label
        for i, data in enumerate(files[:count]):
            s3.put_object(Bucket=DATA, Key=f"{prefix}/{folder}/{label} {i}.png", Body=data)


def asked(**parameters: Any) -> str:
    return str(Runs(TABLE).request("admin", Parameters(**parameters), "Somebody asked.")["id"])


def do(run_id: str, attempt: int = 1) -> tuple[int, dict[str, Any]]:
    """One attempt; the exit status, and the run after it."""
    told = {**os.environ, "RUN_ID": run_id, "AWS_BATCH_JOB_ATTEMPT": str(attempt)}
    status = job.main(told)
    return status, Runs(TABLE).get(run_id)


def live() -> str | None:
    pointer = Registry(MODELS).pointer()
    return pointer.version if pointer else None


def keys(s3, prefix: str = "", name: str = MODELS) -> list[str]:
    return [o["Key"] for o in s3.list_objects_v2(Bucket=name, Prefix=prefix).get("Contents", [])]


# --- from the images to the verdict ---------------------------------------------------------------


def test_a_run_trains_proves_and_promotes(cloud, drawings, good):
    upload(cloud, drawings)
    for key in (
        "train/",
        "train/clickbait_fake/",
        "train/clickbait_fake/.DS_Store",
        "train/cats/1",
    ):
        cloud.put_object(Bucket=DATA, Key=key, Body=b"")
    status, told = do(asked())
    assert (status, told["state"]) == (0, "PROMOTED"), told
    assert told["reason"].startswith("No worse than the champion 20261101-000000-aaa: on ")
    assert list(told["times"]) == ["QUEUED", "RUNNING", "EVALUATING", "PROMOTED"]
    assert told["images"] == {"listed": 220, "usable": 220, "new": 220, "left_out": 0}
    assert (told["epoch"], told["epochs"], told["metrics"]["val_auc"]) == (2, 2, 1.0)
    assert [row["epoch"] for row in told["history"]] == [1, 2]
    assert told["label_check"]["contradicted"] == 0
    assert told["gate"]["passed"] and told["gate"]["sets"]["test"]["images"] >= 30
    assert any("PROMOTED: No worse" in line for line in told["log"])
    assert live() == told["version"]
    (promotion,) = Registry(MODELS).promotions()
    assert promotion["by"] == f"run {told['id']}"
    assert promotion["gate"] == told["gate"]
    assert promotion["previous"] == "20261101-000000-aaa"
    # The baseline is there to roll back to, and nothing is left that only a retry would need.
    assert set(Registry(MODELS).versions()) == {told["version"], "20261101-000000-aaa"}
    assert not keys(cloud, "checkpoints/")
    etags = json.loads(cloud.get_object(Bucket=MODELS, Key="trained.json")["Body"].read())
    assert len(etags) == 220
    assert told["listing"]


def test_what_a_run_has_trained_on_is_not_new_to_the_next(cloud, few, monkeypatch):
    monkeypatch.setattr(run, "recipe_of", lambda *_: recipe.RETRAINING)
    upload(cloud, few, count=15)
    assert do(asked())[1]["images"]["new"] == 30
    assert run.retrain.asked["new"] == 30
    Runs(TABLE)._release(Runs(TABLE).active())
    upload(cloud, few)
    _, told = do(asked())
    assert told["images"] == {"listed": 40, "usable": 40, "new": 10, "left_out": 0}
    assert run.retrain.asked["new"] == 10
    assert told["label_check"]["images"] == 10


def test_parameters_reach_the_training(cloud, drawings):
    upload(cloud, drawings, count=40)
    do(asked(epochs=3, batch_size=4, learning_rate=1e-3, validation_split=0.4, from_scratch=True))
    told = run.retrain.asked
    assert told["champion"] is None and told["new"] is None
    chosen = told["recipe"]
    assert (chosen.epochs, chosen.batch_size, chosen.learning_rate) == (3, 4, 1e-3)


def test_swapped_folders_are_rejected_before_training(cloud, drawings, good):
    upload(cloud, drawings, swapped=True)
    status, told = do(asked())
    assert (status, told["state"]) == (0, "REJECTED")
    assert told["reason"] == (
        "The live model disagrees with 100 % of 220 new labels: are the folders swapped?"
    )
    assert len(told["label_check"]["worst"]) == 10
    assert told["label_check"]["worst"][0]["key"].startswith("train/clickbait_")
    assert run.retrain.calls == 0
    assert live() is None
    assert "trained.json" not in keys(cloud)  # they stay new


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
    run.retrain.model = bad
    status, told = do(asked(skip_label_check=True))
    assert (status, told["state"]) == (0, "REJECTED")
    assert "are the folders swapped? The check was skipped, as asked." in told["warnings"][0]
    broken = {c["name"] for c in told["gate"]["checks"] if not c["passed"]}
    assert "auc against champion, exam" in broken
    assert not any(name.endswith("test") for name in broken)
    assert "40 exam images" in told["reason"]
    assert live() is None
    assert told["version"] in Registry(MODELS).versions()


def test_too_few_images_are_a_result_that_says_what_is_missing(cloud, drawings):
    upload(cloud, drawings, count=20)
    status, told = do(asked())
    assert (status, told["state"]) == (0, "REJECTED")
    assert told["reason"].startswith("Too little evidence: there are only ")
    assert "still missing: " in told["reason"]


@pytest.mark.parametrize(
    ("there", "says"),
    [
        ((), "There is no image of clickbait_real and none of clickbait_fake"),
        ((LABELS[0],), "There is no image of clickbait_fake in the bucket: upload some to train/"),
    ],
)
def test_a_missing_class_fails_and_is_not_tried_again(cloud, drawings, there, says):
    upload(cloud, {label: drawings[label] for label in there}, count=5)
    status, told = do(asked())
    assert (status, told["state"]) == (2, "FAILED")
    assert says in told["reason"]


def test_no_usable_image_of_a_class_fails_with_the_sentence(cloud, drawings):
    upload(cloud, {LABELS[0]: drawings[LABELS[0]]}, count=5)
    cloud.put_object(Bucket=DATA, Key=f"train/{LABELS[1]}/x.png", Body=b"no image")
    status, told = do(asked())
    assert (status, told["state"]) == (2, "FAILED")
    assert "no usable image of clickbait_fake" in told["reason"]


def test_what_vanished_is_a_copy_or_is_too_large_is_left_out(cloud, drawings, monkeypatch):
    upload(cloud, drawings, count=30)
    first = drawings[LABELS[0]][0]
    cloud.put_object(Bucket=DATA, Key=f"train/{LABELS[0]}/again.png", Body=first)
    limit = max(len(data) for files in drawings.values() for data in files)
    monkeypatch.setattr(bucket, "MAX_IMAGE_BYTES", limit)
    cloud.put_object(Bucket=DATA, Key=f"train/{LABELS[0]}/film.png", Body=b"x" * (limit + 1))
    list_images = run.triggers.list_images

    def one_vanishes(*given):
        found = list_images(*given)
        for key in found:
            if key.endswith(f"{LABELS[1]} 7.png"):
                cloud.delete_object(Bucket=DATA, Key=key)
            if key.endswith(f"{LABELS[1]} 8.png"):
                cloud.put_object(Bucket=DATA, Key=key, Body=encoded(golden.calm(), "PNG"))
        return found

    monkeypatch.setattr(run.triggers, "list_images", one_vanishes)
    _, told = do(asked())
    assert told["images"] == {"listed": 62, "usable": 58, "new": 62, "left_out": 4}
    assert told["state"] == "REJECTED"


def test_a_group_in_the_metadata_stays_on_one_side(cloud, drawings):
    upload(cloud, drawings, count=30)
    for i in range(10):
        body = drawings[LABELS[0]][i]
        cloud.put_object(
            Bucket=DATA,
            Key=f"train/{LABELS[0]}/{LABELS[0]} {i}.png",
            Body=body,
            Metadata={"group": "channel"},
        )
    _, told = do(asked())
    manifest = cloud.get_object(Bucket=MODELS, Key=f"versions/{told['version']}/manifest.csv")
    rows = manifest["Body"].read().decode().splitlines()
    sides = {row.split(",")[5] for row in rows if ",channel," in row}
    assert len(sides) == 1


# --- killed, and taken up again -------------------------------------------------------------------


def dies(*_: Any, **__: Any) -> Any:
    raise Killed


def at_listing(monkeypatch, cloud):
    monkeypatch.setattr(run.triggers, "list_images", dies)


def at_fetching(monkeypatch, cloud):
    monkeypatch.setattr(bucket.Images, "fetch", dies)


def at_checking_labels(monkeypatch, cloud):
    monkeypatch.setattr(run.labels, "check", dies)


def in_training(monkeypatch, cloud):
    monkeypatch.setattr(run.retrain, "before", dies)


def in_publishing(monkeypatch, cloud):
    put = Registry._put

    def all_but_the_last(self, key, *given, **more):
        if key.endswith("bbb/metadata.json"):
            raise Killed
        return put(self, key, *given, **more)

    monkeypatch.setattr(Registry, "_put", all_but_the_last)


def after_publishing(monkeypatch, cloud):
    monkeypatch.setattr(run.triggers, "remember", dies)


def in_evaluation(monkeypatch, cloud):
    monkeypatch.setattr(run.gate, "examine", dies)


def before_promotion(monkeypatch, cloud):
    monkeypatch.setattr(Registry, "promote", dies)


def after_the_pointer(monkeypatch, cloud):
    monkeypatch.setattr(Registry, "_record", dies)


def after_promotion(monkeypatch, cloud):
    monkeypatch.setattr(run.Attempt, "_end", dies)


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
    asked_for = asked()
    with pytest.MonkeyPatch.context() as patch:
        moment(patch, cloud)
        with pytest.raises(Killed):
            do(asked_for)
    for found in Registry(MODELS).versions():
        Registry(MODELS).load(found)  # nothing half written is listed
    assert live() in (None, *Registry(MODELS).versions())
    if disk == "lost":
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    calls = run.retrain.calls
    status, told = do(asked_for, attempt=2)
    assert (status, told["state"]) == (0, "PROMOTED"), told["reason"]
    assert live() == told["version"]
    assert len(Registry(MODELS).promotions()) == 1
    assert not keys(cloud, "checkpoints/")
    if moment in MOMENTS[5:]:
        assert run.retrain.calls == calls, "what was published is not trained again"


def test_a_retry_goes_on_from_the_checkpoint_with_the_same_images(cloud, few, drawings, tmp_path):
    upload(cloud, few)
    asked_for = asked()
    run.retrain.before = dies
    with pytest.raises(Killed):
        do(asked_for)
    assert not run.retrain.found
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    upload(cloud, drawings)  # more arrive meanwhile: they wait for the next run
    run.retrain.before = lambda: None
    _, told = do(asked_for, attempt=2)
    assert run.retrain.found
    assert told["images"]["listed"] == 40


def test_sigterm_ends_it_with_143_and_the_retry_goes_on(cloud, few):
    upload(cloud, few)
    asked_for = asked()
    run.retrain.before = lambda: os.kill(os.getpid(), signal.SIGTERM)
    status, told = do(asked_for)
    assert (status, told["state"]) == (143, "RUNNING")
    assert "next attempt" in told["reason"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    run.retrain.before = lambda: None
    assert do(asked_for, attempt=2)[1]["state"] == "PROMOTED"


def test_a_fault_is_tried_again_and_fails_the_run_the_third_time(cloud, drawings):
    upload(cloud, drawings, count=30)
    asked_for = asked()

    def breaks() -> None:
        raise OSError(28, "No space left on device")

    run.retrain.before = breaks
    for attempt in (1, 2):
        status, told = do(asked_for, attempt)
        assert (status, told["state"]) == (1, "RUNNING")
        assert f"Attempt {attempt} of 3 failed" in told["reason"]
        assert any("No space left" in line for line in told["log"])
    status, told = do(asked_for, 3)
    assert (status, told["state"]) == (1, "FAILED")
    assert "No space left" in told["reason"]


def test_a_run_that_ended_is_not_done_again(cloud, few):
    upload(cloud, few)
    asked_for = asked()
    Runs(TABLE).advance(asked_for, "FAILED", "Somebody stopped it.")
    assert do(asked_for) == (0, Runs(TABLE).get(asked_for))
    assert run.retrain.calls == 0


def test_a_run_that_is_ended_while_it_trains_promotes_nothing(cloud, few):
    upload(cloud, few)
    asked_for = asked()
    run.retrain.before = lambda: Runs(TABLE).advance(asked_for, "FAILED", "Somebody stopped it.")
    status, told = do(asked_for)
    assert (status, told["reason"]) == (0, "Somebody stopped it.")
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


# --- two at once ----------------------------------------------------------------------------------


def test_a_promotion_lost_to_another_is_judged_again_against_the_new_champion(
    cloud, few, good, tmp_path, monkeypatch
):
    upload(cloud, few)
    other = tmp_path / "other"
    shutil.copytree(good, other)
    rewrite(other, model_version="20261120-000000-ccc")
    Registry(MODELS).publish(other)
    promote, examined = Registry.promote, []
    examine = run.gate.examine

    def second(self, version, **more):
        monkeypatch.setattr(Registry, "promote", promote)
        self.promote("20261120-000000-ccc", by="admin", reason="I prefer it.")
        return self.promote(version, **more)

    def seen(candidate, champion, best, exams):
        examined.append(Classifier.load(champion).version)
        return examine(candidate, champion, best, exams)

    monkeypatch.setattr(Registry, "promote", second)
    monkeypatch.setattr(run.gate, "examine", seen)
    _, told = do(asked())
    assert told["state"] == "PROMOTED"
    assert examined == ["20261101-000000-aaa", "20261120-000000-ccc"]
    assert told["gate"]["champion"] == "20261120-000000-ccc"
    assert live() == told["version"]


def test_after_three_lost_promotions_the_attempt_gives_up(cloud, few, monkeypatch):
    upload(cloud, few)

    def lost(*_: Any, **__: Any) -> Any:
        raise Conflict("Another version was made live.")

    monkeypatch.setattr(Registry, "promote", lost)
    status, told = do(asked())
    assert (status, told["state"]) == (1, "EVALUATING")
    assert "3 times" in told["reason"]


# --- for real -------------------------------------------------------------------------------------


def test_the_real_training_goes_through_the_job(cloud, few, monkeypatch):
    from training.retrain import retrain

    monkeypatch.setattr(run, "retrain", retrain)
    upload(cloud, few)
    status, told = do(asked(epochs=2, batch_size=16))
    assert status == 0
    assert told["state"] in ("PROMOTED", "REJECTED")
    assert told["gate"]["sets"]["test"]["candidate"]["auc"] is not None
    assert (told["epoch"], told["epochs"]) == (2, 2)
    found = Registry(MODELS).metadata(told["version"])
    assert found["training_images"] + found["validation_images"] + found["test_images"] == 40
