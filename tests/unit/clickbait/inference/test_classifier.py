"""classifier: the shipped model, and every way in which a model is refused."""

import base64
import copy
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clickbait import LABELS
from clickbait.errors import InvalidModel
from clickbait.inference import images
from clickbait.inference.classifier import Classifier, evidence, heatmap
from clickbait.inference.prediction import answer
from clickbait.settings import CHECKOUT_BASELINE
from tests.samples import small
from tests.samples.drawn import encoded, picture
from tests.samples.shipped import SIDE, SIZE

ROOT = Path(__file__).resolve().parents[4]
MODEL = (CHECKOUT_BASELINE / "model.tflite").read_bytes()
METADATA = json.loads((CHECKOUT_BASELINE / "metadata.json").read_bytes())


@pytest.fixture
def metadata() -> dict[str, Any]:
    return copy.deepcopy(METADATA)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(CHECKOUT_BASELINE)


def pixels(seed: int = 0) -> np.ndarray:
    return images.model_input(images.read(encoded(picture(seed=seed))), SIZE)


def test_a_prediction_is_complete_and_consistent(classifier: Classifier) -> None:
    for seed in range(5):
        verdict = classifier.predict(pixels(seed))
        assert verdict.prediction == LABELS[verdict.is_clickbait]
        assert verdict.is_clickbait == (verdict.probability >= 0.5)
        assert verdict.confidence == max(verdict.probability, 1 - verdict.probability)
        low, high = METADATA["uncertain_band"]["low"], METADATA["uncertain_band"]["high"]
        assert verdict.uncertain == (low < verdict.probability < high)
        assert verdict.heatmap is None
        assert verdict.evidence is None


def test_another_threshold_moves_the_verdict_and_neither_probability_nor_uncertain(
    classifier: Classifier,
) -> None:
    sample = images.model_input(images.read((ROOT / "sample.jpg").read_bytes()), SIZE)
    for image in (sample, pixels(1), pixels(2)):
        own = classifier.predict(image, explain=True)
        for threshold in (0.05, 0.95):
            other = classifier.at(threshold).predict(image, explain=True)
            assert (other.threshold, own.threshold) == (threshold, METADATA["threshold"])
            assert other.is_clickbait == (own.probability >= threshold)
            assert other.confidence == pytest.approx(
                own.probability if other.is_clickbait else 1 - own.probability
            )
            assert (other.probability, other.uncertain) == (own.probability, own.uncertain)
            assert (other.heatmap == own.heatmap) == (other.is_clickbait == own.is_clickbait)
            assert other.evidence == own.evidence
    assert classifier.at(None) is classifier


@pytest.mark.parametrize("threshold", [0.04, 0.96, float("nan")])
def test_a_threshold_out_of_range_is_refused(classifier: Classifier, threshold: float) -> None:
    with pytest.raises(ValueError, match=r"from 0\.05 to 0\.95"):
        classifier.at(threshold)


def test_the_logit_is_the_mean_of_its_class_activation_map_up_to_a_constant(
    classifier: Classifier,
) -> None:
    logits, cams = classifier.logits(np.stack([pixels(seed) for seed in range(4)]))
    assert np.ptp(logits - cams.mean((1, 2))) < 0.01


def test_explain_adds_a_heat_map_with_a_cell_for_each_32_pixels(classifier: Classifier) -> None:
    cells = np.array(classifier.predict(pixels(), explain=True).heatmap)
    assert cells.shape == (SIDE, SIDE)
    assert cells.min() >= 0
    assert cells.max() == 1


def test_the_mean_of_the_signed_evidence_is_the_log_odds_of_the_probability(
    classifier: Classifier,
) -> None:
    for seed in range(4):
        verdict = classifier.predict(pixels(seed), explain=True)
        log_odds = np.log(verdict.probability / (1 - verdict.probability))
        assert np.mean(verdict.evidence) == pytest.approx(log_odds, abs=0.01)


def test_evidence_keeps_the_differences_of_the_class_activation_map() -> None:
    assert evidence(np.array([[2, -4], [1, 1]], np.float32), 1.0) == [[3, -3], [2, 2]]


def test_the_heat_map_shows_evidence_for_the_verdict_only() -> None:
    cam = np.array([[2.0, -4.0], [1.0, 0.0]], np.float32)
    assert heatmap(cam, True) == [[1, 0], [0.5, 0]]
    assert heatmap(cam, False) == [[0, 1], [0, 0]]
    assert heatmap(-np.ones((7, 7), np.float32), True) == [[0] * 7] * 7


def test_a_network_of_another_size_gets_its_own_input_and_has_its_own_map() -> None:
    model = Classifier(small.MODEL, small.metadata("small"))
    assert model.size == small.SIZE != SIZE
    data = encoded(picture(seed=1))
    found = answer(model, data, explain=True).prediction
    alone = model.predict(images.model_input(images.read(data), small.SIZE))
    assert found["probability"] == alone.probability
    assert np.shape(found["heatmap"]) == np.shape(found["evidence"]) == (small.SIDE, small.SIDE)
    logits, cams = model.logits(np.zeros((2, small.SIZE, small.SIZE, 3), np.uint8))
    assert logits.shape == (2,) and cams.shape == (2, small.SIDE, small.SIDE)


def test_metadata_without_a_size_means_224() -> None:
    described = small.metadata("small")
    assert Classifier(small.MODEL, described).size == images.INPUT_SIZE == 224
    del described["preprocessing"]
    assert Classifier(small.MODEL, described).size == images.INPUT_SIZE


@pytest.mark.parametrize(
    ("size", "why"),
    [(192, "golden image"), (True, "size"), (224.0, "size"), ("224", "size"), (0, "size"),
     (31, "size"), (4096, "size"), (None, "size")],
)  # fmt: skip
def test_a_size_that_is_not_the_networks_is_refused(size: object, why: str) -> None:
    described = small.metadata("small")
    described["preprocessing"] = {"size": size}
    with pytest.raises(InvalidModel, match=why):
        Classifier(small.MODEL, described)
    with pytest.raises(InvalidModel, match=r"input is float32\[1, 224, 224, 3\]"):
        Classifier(small.MODEL, METADATA | {"sha256": described["sha256"]})


def test_several_threads_get_the_same_predictions_as_one(classifier: Classifier) -> None:
    inputs = [pixels(seed) for seed in range(8)]
    alone = [classifier.predict(one).probability for one in inputs]
    with ThreadPoolExecutor(8) as pool:
        together = list(
            pool.map(lambda i: classifier.predict(inputs[i % 8]).probability, range(80))
        )
    assert together == alone * 10


def test_a_model_with_another_sha256_is_refused(metadata: dict) -> None:
    with pytest.raises(InvalidModel, match="sha256"):
        Classifier(MODEL[:-1] + b"\0", metadata)


def test_swapped_labels_are_refused(metadata: dict) -> None:
    metadata["labels"].reverse()
    with pytest.raises(InvalidModel, match="labels"):
        Classifier(MODEL, metadata)


def test_a_golden_prediction_that_is_off_by_more_than_its_tolerance_is_refused(
    metadata: dict,
) -> None:
    stored = metadata["golden"][0]["probability"]
    metadata["golden"][0]["probability"] = stored + 0.019
    Classifier(MODEL, metadata)
    metadata["golden"][0]["probability"] = stored + 0.021
    with pytest.raises(InvalidModel, match="golden image 0"):
        Classifier(MODEL, metadata)


def test_a_model_without_golden_predictions_is_refused(metadata: dict) -> None:
    metadata["golden"] = []
    with pytest.raises(InvalidModel, match="no golden"):
        Classifier(MODEL, metadata)


@pytest.mark.parametrize(
    "golden",
    [
        {"png": "!", "probability": 0.5},
        {"png": base64.b64encode(b"x").decode(), "probability": 0.5},
        {},
    ],
)
def test_a_golden_image_that_does_not_decode_is_refused(metadata: dict, golden: dict) -> None:
    metadata["golden"] = [golden]
    with pytest.raises(InvalidModel):
        Classifier(MODEL, metadata)


@pytest.mark.parametrize(
    "missing", ["model_version", "calibration", "threshold", "uncertain_band", "labels"]
)
def test_metadata_that_lacks_a_field_is_refused_and_the_field_is_named(
    metadata: dict, missing: str
) -> None:
    del metadata[missing]
    with pytest.raises(InvalidModel, match=missing):
        Classifier(MODEL, metadata)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("calibration", None),
        ("calibration", {"temperature": float("nan"), "bias": 0}),
        ("calibration", {"temperature": "1e400", "bias": 0}),
        ("calibration", {"temperature": 1, "bias": float("nan")}),
        ("calibration", {"temperature": 0, "bias": 0}),
        ("threshold", float("nan")),
        ("threshold", 7),
        ("threshold", 0),
        ("threshold", "high"),
        ("threshold", None),
        ("uncertain_band", {"low": float("nan"), "high": 0.8}),
        ("uncertain_band", {"low": 0.8, "high": 0.2}),
        ("uncertain_band", {"low": -1, "high": 0.8}),
        ("uncertain_band", [0.2, 0.8]),
        ("golden", 7),
        ("golden", [7]),
        ("golden", None),
        ("labels", ["clickbait_fake", "clickbait_real"]),
        ("sha256", "0" * 64),
        ("sha256", None),
        ("preprocessing", None),
        ("preprocessing", [224]),
    ],
)
def test_a_damaged_field_of_the_metadata_is_refused(
    metadata: dict, field: str, value: object
) -> None:
    metadata[field] = value
    with pytest.raises(InvalidModel):
        Classifier(MODEL, metadata)


def test_a_golden_prediction_that_is_no_number_is_refused(metadata: dict) -> None:
    metadata["golden"][0]["probability"] = float("nan")
    with pytest.raises(InvalidModel, match="golden"):
        Classifier(MODEL, metadata)


def test_bytes_that_are_not_a_model_are_refused_without_a_crash(metadata: dict) -> None:
    for broken in (b"", b"no model", MODEL[: len(MODEL) // 2]):
        metadata["sha256"] = hashlib.sha256(broken).hexdigest()
        with pytest.raises(InvalidModel):
            Classifier(broken, metadata)


def test_a_folder_without_a_model_is_refused_and_its_path_is_named(tmp_path) -> None:
    with pytest.raises(InvalidModel, match=r"metadata\.json|model\.tflite"):
        Classifier.load(tmp_path)
