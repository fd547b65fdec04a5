"""Features, the patched file and the whole small update, on the shipped model."""

import hashlib
import json

import numpy as np
import pytest

from clickbait.errors import InvalidModel
from clickbait.inference.calibration import sigmoid
from clickbait.inference.classifier import Classifier
from clickbait.learning import head, patch, replay
from clickbait.learning.features import FeatureReader, Outputs
from clickbait.learning.replay import Part, Replay
from clickbait.learning.update import FORGETTING, Champion, Version, small_update
from clickbait.settings import CHECKOUT_BASELINE
from tests.samples.drawn import picture
from tests.samples.shipped import SIZE

MODEL = (CHECKOUT_BASELINE / "model.tflite").read_bytes()
METADATA = json.loads((CHECKOUT_BASELINE / "metadata.json").read_text())
ANCHOR = Version(MODEL, METADATA)
STORED = replay.read((CHECKOUT_BASELINE / replay.FILE).read_bytes())
DRAWN = np.stack(
    [np.asarray(picture((SIZE, SIZE), seed).convert("RGB"), np.uint8) for seed in range(6)]
)
DIMENSIONS = STORED.train.outputs.features.shape[1]


def owner(count: int, seed: int = 0, taste: float = 3.0) -> Part:
    """Stored images with labels drawn from a random direction of the features."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(STORED.train.labels), count, replace=False)
    outputs = Outputs(STORED.train.outputs.features[chosen], STORED.train.outputs.logits[chosen])
    features = STORED.train.outputs.features.astype(np.float64)
    projected = features @ np.random.default_rng(7).standard_normal(DIMENSIONS)
    rule = taste * (projected[chosen] - projected.mean()) / projected.std()
    labels = (rng.random(count) < sigmoid(rule)).astype(np.int64)
    return Part(outputs, labels, np.arange(count))


@pytest.fixture(scope="module")
def reader() -> FeatureReader:
    return FeatureReader(MODEL)


def test_features_times_the_kernel_plus_the_bias_equal_the_logit(reader: FeatureReader) -> None:
    outputs = reader.read(DRAWN)
    assert outputs.features.shape == (6, DIMENSIONS) and outputs.features.dtype == np.float16
    logits = outputs.features.astype(np.float64) @ reader.last_layer.kernel + reader.bias
    assert logits == pytest.approx(outputs.logits, abs=0.01)
    assert outputs.logits == pytest.approx(Classifier(MODEL, METADATA).logits(DRAWN)[0], abs=1e-3)


def test_a_file_that_is_not_a_model_raises_invalid_model() -> None:
    with pytest.raises(InvalidModel):
        FeatureReader(b"no model")


def test_a_patched_file_predicts_like_the_layer_and_its_map_gives_its_logit(
    reader: FeatureReader,
) -> None:
    taste = np.random.default_rng(0).standard_normal(DIMENSIONS) / 50
    layer = head.Head(0.6, -0.4, taste, (0.0,) * len(head.CHOICES))
    patched = patch.patch(MODEL, ANCHOR.calibration, layer)
    outputs = reader.read(DRAWN)
    assert patch.verify(patched, layer, ANCHOR.calibration, outputs, DRAWN) < patch.TOLERANCE
    metadata = patch.describe(patched, METADATA, {"model_version": "20261126-000000-abcdef"})
    served = Classifier(patched.model, metadata)  # checks digest and golden predictions
    logits, maps = served.logits(DRAWN)
    assert logits == pytest.approx(maps.mean(axis=(1, 2)) + reader.bias, abs=1e-3)
    assert served.calibration.apply(logits) == pytest.approx(
        sigmoid(layer.logits(outputs.features, outputs.calibrated(ANCHOR.calibration))), abs=0.005
    )
    assert len(patched.model) == len(MODEL)


def test_an_unchanged_layer_leaves_every_prediction_unchanged() -> None:
    patched = patch.patch(MODEL, ANCHOR.calibration, head.unchanged(DIMENSIONS))
    before = Classifier(MODEL, METADATA)
    after = Classifier(patched.model, patch.describe(patched, METADATA, {}))
    for pixels in DRAWN:
        expected = before.predict(pixels).probability
        assert after.predict(pixels).probability == pytest.approx(expected, abs=0.002)


def test_a_layer_that_half_precision_cannot_hold_is_refused() -> None:
    layer = head.Head(1.0, 0.0, np.full(DIMENSIONS, 1e6), (0.0,) * len(head.CHOICES))
    with pytest.raises(InvalidModel, match="half precision"), np.errstate(over="ignore"):
        patch.patch(MODEL, ANCHOR.calibration, layer)


def test_a_patched_file_that_differs_from_the_layer_is_refused() -> None:
    layer = head.unchanged(DIMENSIONS)
    patched = patch.patch(MODEL, ANCHOR.calibration, layer)
    other = head.Head(1.0, 1.0, layer.taste, layer.shares)
    with pytest.raises(InvalidModel, match="off by up to"):
        patch.verify(
            patched, other, ANCHOR.calibration, FeatureReader(MODEL).read(DRAWN[:1]), DRAWN[:1]
        )


def test_120_images_of_a_clear_taste_give_a_better_version() -> None:
    update = small_update(ANCHOR, owner(120), STORED)
    assert update.decision.passed, update.decision.reason
    assert update.patched is not None and update.band is not None
    metadata = patch.describe(update.patched, METADATA, update.changes())
    assert metadata["sha256"] == hashlib.sha256(update.patched.model).hexdigest()
    assert metadata["uncertain_band"] == update.band
    json.dumps(metadata, allow_nan=False)
    Classifier(update.patched.model, metadata)


def test_an_update_keeps_only_as_much_of_a_taste_as_the_dial_allows_it_to_forget() -> None:
    kept = {}
    for own_weight, limit in FORGETTING.items():
        update = small_update(ANCHOR, owner(200), STORED, own_weight=own_weight)
        world = update.decision.world
        assert world["champion"]["auc"] - world["candidate"]["auc"] <= limit
        kept[own_weight] = update.kept
    assert kept["balanced"] < kept["follow_labels"]
    assert update.changes()["small_update"]["kept"] == update.kept


def test_too_few_images_are_refused_without_learning() -> None:
    update = small_update(ANCHOR, owner(20), STORED)
    assert update.patched is None and "Upload" in update.decision.reason
    with pytest.raises(ValueError, match="nothing was learned"):
        update.changes()


def test_exam_images_count_as_evidence_and_are_not_learned_from() -> None:
    own = owner(60)
    with_exam = small_update(ANCHOR, own, STORED, exam=owner(60, seed=5))
    assert with_exam.decision.own["candidate"]["images"] == 120
    alone = small_update(ANCHOR, own, STORED)
    assert with_exam.head is not None and alone.head is not None
    assert np.array_equal(with_exam.head.taste, alone.head.taste)


def test_exam_images_alone_are_not_enough_to_learn_from() -> None:
    update = small_update(ANCHOR, owner(6), STORED, exam=owner(120, seed=5))
    assert update.patched is None and "outside the exam set" in update.decision.reason


def test_the_same_images_are_not_promoted_twice() -> None:
    own = owner(120)
    first = small_update(ANCHOR, own, STORED)
    assert first.patched is not None
    metadata = patch.describe(first.patched, METADATA, first.changes())
    live = Champion(Version(first.patched.model, metadata), np.ones(120, bool))
    again = small_update(ANCHOR, own, STORED, champion=live)
    assert not again.decision.passed
    assert {c.name for c in again.decision.checks if not c.passed} == {"brier, own"}
    assert any(c.name == "auc against shipped, world" for c in again.decision.checks)


def test_stored_features_are_the_same_after_writing_and_reading() -> None:
    again = replay.read(replay.write(STORED))
    assert again.network == hashlib.sha256(MODEL).hexdigest()
    assert np.array_equal(again.test.outputs.features, STORED.test.outputs.features)
    assert np.array_equal(again.train.labels, STORED.train.labels)
    assert len(STORED.train.labels) == replay.REPLAYED
    with pytest.raises(InvalidModel):
        replay.read(b"no archive")


def test_the_world_reproduces_the_accuracy_of_the_shipped_model() -> None:
    p = sigmoid(STORED.test.outputs.calibrated(ANCHOR.calibration))
    accuracy = np.mean((p >= 0.5) == (STORED.test.labels == 1))
    assert accuracy == pytest.approx(METADATA["accuracy"], abs=0.005)
    assert FeatureReader(MODEL).size == SIZE
    assert isinstance(STORED, Replay)
