"""Drawn images to a finished version: complete, true to the trained network, accepted by the
service's classifier.
"""

import csv
import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from clickbait import LABELS
from clickbait.inference import images
from clickbait.inference.calibration import Calibration
from clickbait.inference.classifier import Classifier
from clickbait.settings import CHECKOUT_BASELINE
from tests.waiting import DEADLINE
from training import export, golden, loop, network, train, version, weights
from training.recipe import Recipe

ARCHITECTURES = ("cnn", "efficientnet_lite0")
Versions = Callable[[str], Path]


def read(path: Path) -> dict:
    def refuse(name: str) -> None:
        raise AssertionError(f"{path} has {name}, which is not JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def manifest(version: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((version / "manifest.csv").read_text().splitlines()))


def rebuilt(version: Path) -> tuple:
    recipe = Recipe(**read(version / "metadata.json")["recipe"])
    model = network.build(recipe)
    weights.load(version / "weights.npz", model)
    return model, recipe


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_version_is_complete_and_the_classifier_takes_it(
    versions: Versions, architecture: str
) -> None:
    version = versions(architecture)
    files = {p.relative_to(version).as_posix() for p in version.rglob("*") if p.is_file()}
    plots = {"loss", "accuracy", "confusion_matrix", "roc", "precision_recall", "reliability"}
    assert files == {
        *("model.tflite", "metadata.json", "metrics.json", "architecture.json", "history.json"),
        *("manifest.csv", "weights.npz", "card.md", "reference.json", "evaluation.json"),
        *(f"plots/{name}.png" for name in plots | {"mistakes"}),
    }
    classifier = Classifier.load(version)
    answer = classifier.predict(golden.images()[0], explain=True)
    assert 0 <= answer.probability <= 1
    assert np.shape(answer.heatmap) == (7, 7)
    assert (version / "model.tflite").stat().st_size <= 16_000_000


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_metadata_has_all_that_was_promised(versions: Versions, architecture: str) -> None:
    metadata = read(versions(architecture) / "metadata.json")
    assert {
        *("model_version", "sha256", "architecture", "labels", "preprocessing", "calibration"),
        *("threshold", "uncertain_band", "golden", "tolerance", "training_date", "training_images"),
        *("validation_images", "test_images", "accuracy", "loss", "epochs_trained", "metrics"),
        *("early_stopping_epoch", "dataset_digest", "libraries", "seconds", "recipe", "from"),
    } <= set(metadata)
    assert metadata["labels"] == list(LABELS)
    assert metadata["model_version"].endswith(metadata["sha256"][:6])
    assert metadata["early_stopping_epoch"] is None
    sides = [metadata[f"{s}_images"] for s in ("training", "validation", "test")]
    assert sum(sides) == 40
    assert min(sides) > 0
    assert metadata["largest_drift_from_keras"] <= export.MAX_DRIFT
    metrics = read(versions(architecture) / "metrics.json")
    assert metrics["images"] == metadata["test_images"]
    assert sum(map(sum, metrics["confusion_matrix"]["counts"])) == metrics["images"]
    assert metrics["intervals"].startswith("95% bootstrap by group")
    assert sum(row["images"] for row in metrics["by_group"]) == metrics["images"]
    evaluation = read(versions(architecture) / "evaluation.json")
    assert evaluation["confusion_matrix"] == metrics["confusion_matrix"]
    assert evaluation["roc"]["auc"] == metrics["auc"]["value"]
    for name in ("accuracy", "precision", "recall", "f1", "auc"):
        metric = metrics[name]
        if metric["value"] is None:
            assert metric["reason"]
        else:
            assert metric["low"] <= metric["value"] <= metric["high"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_file_answers_as_the_network_does_and_the_map_adds_up_to_the_logit(
    versions: Versions, dirty: Path, architecture: str
) -> None:
    model, _ = rebuilt(versions(architecture))
    paths = sorted((dirty / "clickbait_real").glob("0-*.png"))[:6]
    pixels = np.stack([images.model_input(images.read(p.read_bytes())) for p in paths])
    logits, cams = Classifier.load(versions(architecture)).logits(pixels)
    expected = np.ravel(model(pixels.astype(np.float32), training=False))
    calibration = Calibration.from_dict(
        read(versions(architecture) / "metadata.json")["calibration"]
    )
    assert np.abs(calibration.apply(logits) - calibration.apply(expected)).max() <= 0.02
    rest = logits - cams.mean(axis=(1, 2))
    if architecture == "efficientnet_lite0":
        assert rest == pytest.approx(float(model.get_layer("logit").bias[0]), abs=1e-3)
        return
    flat = model.get_layer("flat")
    places = tf.constant(tf.keras.Model(model.input, flat.input)(pixels.astype(np.float32)))
    with tf.GradientTape() as tape:
        tape.watch(places)
        hidden = model.get_layer("hidden")(flat(places))
        logit = model.get_layer("logit")(hidden)
    parts = tf.reduce_sum(tape.gradient(logit, places) * places, axis=-1) * 49
    assert cams == pytest.approx(parts.numpy(), abs=0.02 * float(np.abs(parts).max()))


def test_copies_contradictions_and_broken_images_are_reported_and_not_trained_on(
    versions: Versions,
) -> None:
    rows = {row["file"]: row for row in manifest(versions("cnn"))}
    assert len(rows) == 45
    assert rows["clickbait_fake/copy.png"]["reason"] == "duplicate of clickbait_fake/0-0.png"
    near = rows["clickbait_fake/resaved.jpg"]["reason"]
    assert near == "near-duplicate of clickbait_fake/0-1.png"
    assert "ends early" in rows["clickbait_fake/broken.png"]["reason"]
    for label in LABELS:
        assert "both labels" in rows[f"{label}/both.png"]["reason"]
    assert all(bool(row["side"]) != bool(row["reason"]) for row in rows.values())


def test_a_group_is_never_on_two_sides(versions: Versions) -> None:
    sides: dict[str, set[str]] = {}
    for row in manifest(versions("cnn")):
        if row["side"]:
            sides.setdefault(row["group"], set()).add(row["side"])
    assert len(sides) == 20
    assert all(len(of) == 1 for of in sides.values())


def test_two_members_and_their_student_are_in_the_history(
    versions: Versions,
) -> None:
    story = read(versions("efficientnet_lite0") / "history.json")
    assert [(row["member"], row["epoch"]) for row in story["epochs"]] == [(1, 1), (2, 1), (3, 1)]
    assert [one["role"] for one in story["networks"]] == ["member", "member", "student"]
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "val_auc"} <= set(story["epochs"][0])


def test_a_finished_version_is_refused_in_one_line(
    versions: Versions, dirty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = versions("cnn")
    before = (version / "metadata.json").read_bytes()
    assert train.main(["--data", str(dirty), "--out", str(version)]) == 2
    errors = capsys.readouterr().err
    assert "finished version" in errors
    assert errors.count("\n") == 1
    assert (version / "metadata.json").read_bytes() == before


def test_from_keeps_every_side_and_starts_from_the_weights(
    versions: Versions,
    dirty: Path,
    draw: Callable[..., Path],
    quick: dict[str, list[str]],
    tmp_path: Path,
) -> None:
    parent = versions("cnn")
    sides = {row["sha256"]: row["side"] for row in manifest(parent) if row["side"]}
    data = draw(tmp_path / "data", 8, seed=5)
    for file in ("clickbait_real/0-3.png", "clickbait_fake/0-3.png", "clickbait_fake/0-7.png"):
        (data / file).write_bytes((dirty / file).read_bytes())
    out = tmp_path / "child"
    flags = ["--from", str(parent), *quick["cnn"][2:], "--epochs", "1", "--learning-rate", "1e-8"]
    assert train.main(["--data", str(data), "--out", str(out), *flags]) == 0

    kept = [row for row in manifest(out) if row["sha256"] in sides and row["side"]]
    assert len(kept) == 3
    assert all(row["side"] == sides[row["sha256"]] for row in kept)
    metadata = read(out / "metadata.json")
    assert metadata["from"] == read(parent / "metadata.json")["model_version"]
    with np.load(parent / "weights.npz") as old, np.load(out / "weights.npz") as new:
        assert all(new[name] == pytest.approx(old[name], abs=1e-5) for name in old.files)
    ancestors = csv.DictReader((out / "ancestors.csv").read_text().splitlines())
    gone = {row["sha256"]: row["side"] for row in ancestors}
    assert gone == {
        sha: side for sha, side in sides.items() if sha not in {r["sha256"] for r in kept}
    }


KILLED = """
import os, signal, sys
from training import loop, train

def save_and_die(state, path, save=loop.State.save):
    save(state, path)
    if state.epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)

loop.State.save = save_and_die
loop.SAVED_EVERY = 0
train.main(sys.argv[1:])
"""


def test_a_training_killed_in_the_middle_resumes_where_it_was(
    draw: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "version"
    arguments = ["--data", str(draw(tmp_path / "data", 8)), "--out", str(out)]
    arguments += ["--architecture", "cnn", "--epochs", "4", "--batch-size", "8"]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (out / "metadata.json").exists()
    before = loop.State.load(out / ".checkpoint" / "member-0.npz")
    assert before.epoch == 2

    assert train.main(arguments) == 0
    assert "Resuming from epoch 2" in capsys.readouterr().out
    rows = read(out / "history.json")["epochs"]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert rows[:2] == before.history
    assert not (out / ".checkpoint").exists()
    Classifier.load(out)


def test_the_version_that_ships_can_be_trained_from(dirty: Path, tmp_path: Path) -> None:
    flags = ["--data", str(dirty), "--out", str(tmp_path / "out"), "--from", str(version.BASELINE)]
    run = train.prepare(train.parse([*flags, "--frozen-blocks", "11"]))
    assert run.recipe.architecture == "efficientnet_lite0"
    about = read(run.checkpoint / "about.json")
    assert about["from"] == read(CHECKOUT_BASELINE / "metadata.json")["model_version"]
    assert version.calibration_of(version.BASELINE).method == "platt"
    assert len(run.images.ancestors) > 2_000
    assert run.recipe.size == read(CHECKOUT_BASELINE / "metadata.json")["preprocessing"]["size"]
    model = network.start(run.recipe, run.start)
    assert model.input_shape[1] == run.images.size == run.recipe.size


def test_an_interrupted_training_is_not_continued_with_other_flags(
    dirty: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about = tmp_path / ".checkpoint" / "about.json"
    about.parent.mkdir()
    about.write_text("{}")
    assert train.main(["--data", str(dirty), "--out", str(tmp_path), "--architecture", "cnn"]) == 2
    assert "other images or flags" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--epochs", "0"], "--epochs is from 1"),
        (["--epochs", "many"], "--epochs"),
        (["--learning-rate", "nan"], "--learning-rate is from"),
        (["--architecture", "resnet"], "--architecture is efficientnet_lite0 or cnn"),
        (["--frozen-blocks", "4"], "--frozen-blocks is 0, 3, 5, 8, 11 or 15"),
        (["--architecture", "cnn", "--frozen-blocks", "5"], "no pretrained blocks"),
        (["--layers", "3"], "--layers"),
        (["--from", "nowhere"], "no version folder"),
        (["--groups", "nowhere.csv"], "nowhere.csv"),
        (["--data", "nowhere"], "not a folder"),
        (["--data", "."], "has no images of"),
    ],
)
def test_a_bad_argument_gets_one_line_and_status_2(
    flags: list[str],
    says: str,
    dirty: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    data = [] if "--data" in flags else ["--data", str(dirty)]
    assert train.main([*data, "--out", str(tmp_path / "out"), *flags]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert says in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "out" / "metadata.json").exists()


def test_a_folder_with_other_files_in_it_is_not_written_to(
    dirty: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert train.main(["--data", str(dirty), "--out", str(tmp_path)]) == 2
    assert "other files" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_too_few_images_are_refused_in_one_line(
    draw: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = draw(tmp_path / "data", 1)
    (data / "clickbait_real" / "0-0.png").write_bytes(b"no image")
    assert train.main(["--data", str(data), "--out", str(tmp_path / "out")]) == 2
    assert "no usable image of clickbait_real" in capsys.readouterr().err


def test_golden_images_survive_their_png(tmp_path: Path) -> None:
    import base64

    loud, calm = golden.images()
    assert loud.shape == calm.shape == (224, 224, 3)
    decoded = np.asarray(Image.open(io.BytesIO(base64.b64decode(golden.png(loud)))))
    assert (decoded == loud).all()
    assert float(np.std(loud)) > float(np.std(calm))
