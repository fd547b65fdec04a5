"""The parts of a training keep their promises one by one."""

import itertools
import pickle
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import roc_auc_score

from clickbait.inference.calibration import Calibration
from clickbait.learning import metrics
from tests.training.conftest import NO_IMAGES, train_network
from training import Unusable, export, loop, network, weights
from training.augment import augment
from training.features import Draw, from_images
from training.progress import Epochs
from training.recipe import RECIPES, Recipe
from training.run import Run

STILL = {"rotation": 0, "flip": 0, "zoom": 0, "shift": 0, "colour": 0, "grey": 0, "erasing": 0}


def numbers(rows: np.ndarray) -> Draw:
    """Draws the same rows each time."""
    return lambda indices, rng: rows[indices]


def recipe(**knobs: object) -> Recipe:
    plain = {"averaging": 0.0, "label_smoothing": 0.0, "weight_decay": 0.0, "batch_size": 40}
    plain |= {"dropout": 0.0}
    return Recipe(**{**plain, **knobs})


def unit(inputs: int, dropout: float = 0.0) -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential([keras.Input((inputs,)), layers.Dropout(dropout), layers.Dense(1)])


def trained(rows, labels, held_out, knobs: Recipe, folder: Path) -> tuple[keras.Model, loop.State]:
    model = unit(rows.shape[1], knobs.dropout)
    return model, train_network(model, numbers(rows), labels, held_out, knobs, folder)


def test_auc_is_that_of_sklearn_also_with_ties() -> None:
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 300), rng.integers(0, 12, 300) / 12
    assert metrics.auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
    assert metrics.auc(np.ones(3, int), np.arange(3.0)) is None


def test_intervals_by_group_are_wider_if_a_group_is_right_or_wrong_as_a_whole() -> None:
    rng = np.random.default_rng(1)
    right = np.repeat(rng.random(40) < 0.8, 10)
    labels = rng.integers(0, 2, 400)
    probabilities = np.where(right == (labels == 1), 0.9, 0.1)
    groups = [str(i // 10) for i in range(400)]
    alone = metrics.with_intervals(labels, probabilities, [""] * 400, 0.5)["accuracy"]
    grouped = metrics.with_intervals(labels, probabilities, groups, 0.5)["accuracy"]
    assert alone["value"] == grouped["value"] == pytest.approx(right.mean())
    assert grouped["high"] - grouped["low"] > 2 * (alone["high"] - alone["low"])


def test_an_undefined_metric_is_null_with_a_reason() -> None:
    for labels in (np.zeros(0, int), np.zeros(3, int)):
        measured = metrics.evaluate(
            np.full(len(labels), -1.0), labels, [""] * len(labels),
            calibrated=Calibration(), threshold=0.5, band=(0.25, 0.75),
        )  # fmt: skip
        assert measured["auc"]["value"] is None
        assert measured["precision"]["reason"]


def test_a_perfectly_calibrated_model_shows_the_error_that_was_simulated_for_400_images() -> None:
    probabilities = np.random.default_rng(2).beta(0.5, 0.5, 430)
    assert 0.02 < metrics.perfect_calibration_error(probabilities) < 0.06


@pytest.mark.parametrize("size", [64, 224])
def test_augmentation_keeps_shape_and_range_and_changes_every_image(size: int) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (4, size, size, 3), np.uint8)
    strong = Recipe(colour=0.5, grey=0.5, erasing=1.0)
    out = augment(pixels, tf.random.Generator.from_seed(1), strong).numpy()
    assert out.shape == pixels.shape
    assert out.min() >= 0
    assert out.max() <= 255
    assert (np.abs(out - pixels).mean(axis=(1, 2, 3)) > 5).all()


def test_augmentation_with_every_knob_at_zero_changes_nothing_and_flip_alone_mirrors() -> None:
    pixels = np.random.default_rng(4).integers(0, 256, (2, 224, 224, 3), np.uint8)
    generator = tf.random.Generator.from_seed(1)
    assert augment(pixels, generator, Recipe(**STILL)).numpy() == pytest.approx(pixels, abs=0.01)
    mirrored = augment(pixels, generator, Recipe(**{**STILL, "flip": 1})).numpy()
    assert mirrored == pytest.approx(pixels[:, :, ::-1], abs=0.01)


def test_an_image_of_half_the_side_gets_half_the_shift_and_half_the_rectangle() -> None:
    moved = Recipe(**{**STILL, "shift": 0.2, "erasing": 1})
    ramp = np.linspace(0, 255, 112)[None, None, :, None] * np.ones((3, 112, 1, 3))
    small, large = (
        augment(ramp.repeat(n, 1).repeat(n, 2), tf.random.Generator.from_seed(1), moved).numpy()
        for n in (1, 2)
    )
    assert np.abs(large[:, ::2, ::2] - small).mean() < 5


def test_the_same_draw_gives_the_same_views() -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (2, 224, 224, 3), np.uint8)
    draws = [
        from_images(pixels, Recipe())(np.arange(2), np.random.default_rng([0, v])).numpy()
        for v in (1, 1, 2)
    ]
    assert (draws[0] == draws[1]).all()
    assert (draws[0] != draws[2]).any()


def test_classes_weigh_the_same_however_many_images_each_has(tmp_path: Path) -> None:
    labels = np.repeat([0, 1], [36, 4])
    rows = np.zeros((40, 1), np.float32)
    nothing = rows[:0], labels[:0]  # without validation the last epoch is kept
    knobs = recipe(epochs=60, learning_rate=0.1, patience=100)
    model, _ = trained(rows, labels, nothing, knobs, tmp_path)
    assert float(model(rows[:1])[0, 0]) == pytest.approx(0, abs=0.05)


def test_training_stops_when_validation_no_longer_gains_and_keeps_the_best_epoch(
    tmp_path: Path,
) -> None:
    labels = np.tile([0, 1], 20)
    rows = labels[:, None].astype(np.float32)
    knobs = recipe(epochs=9, learning_rate=0.1, patience=2)
    _, state = trained(rows, labels, (rows, labels), knobs, tmp_path)
    assert state.stopped
    assert state.epoch == state.best_epoch + 2 < 9
    assert len(state.history) == state.epoch


def test_a_recipe_may_keep_the_last_epoch_whatever_validation_says(tmp_path: Path) -> None:
    labels = np.tile([0, 1], 20)
    rows = labels[:, None].astype(np.float32)
    knobs = recipe(epochs=6, learning_rate=0.1, patience=2, keep_last=1)
    _, state = trained(rows, labels, (rows, labels), knobs, tmp_path)
    assert not state.stopped
    assert state.epoch == state.best_epoch == 6
    saved = loop.State.load(Run(NO_IMAGES, knobs, tmp_path).state(0))
    assert saved.epoch == 6, "a short training writes one checkpoint, at its end"


def test_a_stopped_training_resumes_as_if_it_had_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SAVED_EVERY", 0)
    rng = np.random.default_rng(6)
    rows = rng.normal(size=(40, 5)).astype(np.float32)
    labels = (rows[:, 0] + rng.normal(size=40) > 0).astype(int)
    knobs = recipe(
        epochs=6, learning_rate=0.05, patience=100, batch_size=8, averaging=0.9, dropout=0.5
    )
    whole, straight = trained(rows, labels, (rows, labels), knobs, tmp_path / "whole")

    class Killed(Exception):
        pass

    calls = itertools.count(1)

    def dies(indices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if next(calls) > 17:  # in the fourth of six epochs of five steps
            raise Killed
        return rows[indices]

    model = unit(5, 0.5)
    with pytest.raises(Killed):
        train_network(model, dies, labels, (rows, labels), knobs, tmp_path)
    assert loop.State.load(Run(NO_IMAGES, knobs, tmp_path).state(0)).epoch == 3
    resumed, state = trained(rows, labels, (rows, labels), knobs, tmp_path)
    assert [row["epoch"] for row in state.history] == [1, 2, 3, 4, 5, 6]
    losses = [row["loss"] for row in straight.history]
    assert [row["loss"] for row in state.history] == pytest.approx(losses)
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        assert a == pytest.approx(b, abs=1e-5)


def test_the_same_seed_gives_the_same_model_and_another_seed_another(tmp_path: Path) -> None:
    pixels = np.random.default_rng(8).integers(0, 256, (8, 224, 224, 3), np.uint8)
    labels = np.tile([0, 1], 4)

    def weights_of(seed: int, name: str) -> np.ndarray:
        knobs = replace(RECIPES["cnn"], seed=seed, epochs=1, batch_size=4)
        model = network.build(knobs)
        train_network(
            model, from_images(pixels, knobs), labels, (pixels, labels), knobs, tmp_path / name
        )
        return model.get_layer("hidden").get_weights()[0]

    first = weights_of(0, "first")
    assert weights_of(0, "again") == pytest.approx(first, abs=1e-5)
    assert np.abs(weights_of(1, "other") - first).max() > 1e-3


def test_the_learning_rate_warms_up_over_one_epoch_and_ends_at_zero() -> None:
    knobs = Recipe(epochs=4, learning_rate=0.1)
    rates = [loop.rate(knobs, step, 50) for step in range(200)]
    assert rates[0] == pytest.approx(0.002)
    assert rates.index(max(rates)) == 49
    assert max(rates) == pytest.approx(0.1, rel=0.2)
    assert rates[-1] < 0.001
    assert loop.rate(knobs, 0, 1) == pytest.approx(0.1 / loop.WARMUP_STEPS)


def test_plain_progress_names_epoch_loss_validation_auc_and_time_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Epochs(10) as progress:
        progress.step(0.7)
        progress.epoch({"member": 1, "epoch": 1, "loss": 0.7, "val_auc": 0.91234}, 2)
    line = capsys.readouterr().out
    assert line.startswith("member 1 epoch 1/2 loss 0.7000 validation AUC 0.9123 time left 0:0")


def test_a_file_of_weights_cannot_run_code() -> None:
    class Attack:
        def __reduce__(self):
            return print, ("gotcha",)

    with pytest.raises(pickle.UnpicklingError, match="does not need"):
        weights.read_torch(pickle.dumps(Attack()))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    weights.save(tmp_path / "w.npz", keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))
    with pytest.raises(Unusable, match="another network"):
        weights.load(tmp_path / "w.npz", network.build(RECIPES["cnn"]))
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(Unusable, match="holds no weights"):
        weights.load(tmp_path / "broken.npz", network.build(RECIPES["cnn"]))


def test_a_file_that_drifted_from_its_network_is_not_published() -> None:
    model = keras.Sequential([keras.Input((224, 224, 3)), keras.layers.Flatten(),
                              keras.layers.Dense(1, kernel_initializer="zeros")])  # fmt: skip
    pixels = np.zeros((1, 224, 224, 3), np.uint8)
    assert export.drift(model, pixels, np.array([0.01]), Calibration()) < 0.01
    with pytest.raises(Unusable, match="differs from the trained network"):
        export.drift(model, pixels, np.array([0.5]), Calibration())


def test_every_pretrained_cut_gives_two_halves_that_make_the_whole() -> None:
    model = network.build(Recipe())
    image = np.random.default_rng(7).uniform(0, 255, (1, 224, 224, 3)).astype(np.float32)
    whole = float(model(image)[0, 0])
    for blocks, side in ((3, 56), (5, 28), (8, 14), (11, 14)):
        stem, tail = network.split(model, blocks)
        features = stem(image)
        assert features.shape[1] == side
        assert float(tail(features)[0, 0]) == pytest.approx(whole, abs=1e-4)
    assert not any(
        w.trainable for layer in model.layers if layer.name.endswith("_bn") for w in layer.weights
    )


def test_imagenet_weights_are_read_by_name_and_shape() -> None:
    stem = network.build(Recipe()).get_layer("stem_conv").get_weights()[0]
    assert stem.shape == (3, 3, 3, 32)
    assert float(np.abs(stem).mean()) > 0.05


STUDENTS = Path(__file__).parents[2] / "training/students"


@pytest.mark.parametrize(
    ("name", "size", "side", "channels", "logits"),
    [
        ("w56_192", 192, 6, 704, [-2.123252, -2.153085]),
    ],
)
def test_a_student_answers_as_it_did_in_pytorch(
    name: str, size: int, side: int, channels: int, logits: list[float]
) -> None:
    small = np.random.default_rng(6).integers(0, 256, (2, size // 8, size // 8, 3), np.uint8)
    pixels = small.repeat(8, 1).repeat(8, 2).astype(np.float32)
    model = network.student(STUDENTS / f"{name}.npz")
    assert model(pixels)[:, 0].numpy() == pytest.approx(logits, abs=1e-3)
    out = network.outputs(model)(pixels[:1])
    assert out["cam"].shape == (1, side, side, 1)
    assert out["features"].shape == (1, channels)
    mean = float(tf.reduce_mean(out["cam"])) + float(model.get_layer("logit").bias[0])
    assert mean == pytest.approx(logits[0], abs=1e-3)


def test_a_file_that_is_not_a_students_is_refused(tmp_path: Path) -> None:
    for content in (b"no archive", b"PK\x03\x04"):
        (tmp_path / "w.npz").write_bytes(content)
        with pytest.raises(Unusable, match="not a student's file"):
            network.student(tmp_path / "w.npz")
    with pytest.raises(Unusable, match="not a student's file"):
        network.student(STUDENTS / "loso.npz")
    with np.load(STUDENTS / "w56_192.npz") as stored:
        tensors = dict(stored)
    np.savez(tmp_path / "other.npz", **tensors | {"fc.weight": tensors["fc.weight"][:, :-1]})
    with pytest.raises(Unusable, match="another network's"):
        network.student(tmp_path / "other.npz")
    del tensors["stem.bn.bias"]
    np.savez(tmp_path / "less.npz", **tensors)
    with pytest.raises(Unusable, match="another network's"):
        network.student(tmp_path / "less.npz")
