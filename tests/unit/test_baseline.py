"""The built-in model: complete, consistent with its training, and quoted correctly."""

import hashlib
import json
from collections import defaultdict
from pathlib import Path

import pytest

from clickbait.inference.classifier import Classifier
from clickbait.inference.prediction import answer
from clickbait.learning import manifest, replay
from clickbait.settings import CHECKOUT_BASELINE
from training import card, sides

ROOT = Path(__file__).resolve().parents[2]
BASELINE = ROOT / "training/baseline"
METADATA = json.loads((CHECKOUT_BASELINE / "metadata.json").read_text())
MOST_BYTES = 16_000_000


def test_the_baseline_loads_and_is_small_enough_to_ship() -> None:
    model = CHECKOUT_BASELINE / "model.tflite"
    assert Classifier.load(CHECKOUT_BASELINE).version == METADATA["model_version"]
    assert model.stat().st_size <= MOST_BYTES
    assert METADATA["model_version"].endswith(hashlib.sha256(model.read_bytes()).hexdigest()[:6])


def test_no_file_of_the_baseline_is_stored_twice() -> None:
    assert (BASELINE / "weights.npz").exists()
    assert not {p.name for p in BASELINE.iterdir()} & {p.name for p in CHECKOUT_BASELINE.iterdir()}


def test_the_manifest_has_all_three_sides_and_splits_no_group() -> None:
    records = list(sides.read_manifest(BASELINE / "manifest.csv"))
    assert sides.counts(records) == METADATA["images"]
    assert manifest.digest(records) == METADATA["dataset_digest"]
    of_group = defaultdict(set)
    for record in records:
        if record.side:
            of_group[record.group].add(record.side)
    assert all(len(found) == 1 for found in of_group.values())


def test_the_stored_features_are_of_this_network_and_know_all_its_images() -> None:
    stored = replay.read((CHECKOUT_BASELINE / replay.FILE).read_bytes())
    assert stored.network == METADATA["sha256"]
    sides_of = defaultdict(set)
    for record in sides.read_manifest(BASELINE / "manifest.csv"):
        sides_of[record.side].add(record.sha256)
    assert set(stored.learned.sha256) == sides_of["train"] | sides_of["validation"]
    assert set(stored.measured.sha256) == sides_of["test"]
    assert len(stored.measured.sha256) == len(stored.test.labels)


def test_the_evaluation_and_the_metrics_agree() -> None:
    evaluation = json.loads((CHECKOUT_BASELINE / "evaluation.json").read_text())
    metrics = json.loads((BASELINE / "metrics.json").read_text())
    assert evaluation["images"] == metrics["images"]
    assert evaluation["confusion_matrix"] == metrics["confusion_matrix"]
    assert evaluation["roc"]["auc"] == metrics["auc"]["value"]
    assert evaluation["threshold"] == METADATA["threshold"]
    at = next(one for one in evaluation["thresholds"] if one["threshold"] == METADATA["threshold"])
    for name in ("accuracy", "precision", "recall"):
        assert at[name] == pytest.approx(metrics[name]["value"], abs=5e-5)


def test_the_mistakes_are_images_of_the_test_side() -> None:
    evaluation = json.loads((CHECKOUT_BASELINE / "evaluation.json").read_text())
    tested = {
        (r.file, r.sha256, r.label)
        for r in sides.read_manifest(BASELINE / "manifest.csv")
        if r.side == "test"
    }
    named = {(m["file"], m["sha256"], m["label"]) for m in evaluation["mistakes"]}
    assert len(named) == 24
    assert named <= tested


@pytest.mark.parametrize("document", ["README.md", "MODEL_CARD.md", "training/README.md"])
@pytest.mark.parametrize("metric", ["accuracy", "auc"])
def test_the_documents_quote_the_figures_of_the_baseline(document: str, metric: str) -> None:
    figure = METADATA["metrics"][metric]
    quoted = f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"
    assert quoted in (ROOT / document).read_text(encoding="utf-8")


def test_the_model_card_is_the_version_s_card_and_what_is_known_of_its_images() -> None:
    collections = (ROOT / "training/collections.md").read_text(encoding="utf-8")
    assert (ROOT / "MODEL_CARD.md").read_text("utf-8") == card.write(METADATA) + collections


def test_the_prediction_in_readme_is_real() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    quoted = json.loads(readme.split("```json\n")[1].split("```")[0])
    actual = answer(
        Classifier.load(CHECKOUT_BASELINE), (ROOT / "sample.jpg").read_bytes()
    ).prediction
    assert quoted["image"] == actual["image"]
    assert quoted["model_version"] == actual["model_version"]
    assert quoted["prediction"] == actual["prediction"]
    assert quoted["probability"] == pytest.approx(actual["probability"], abs=0.02)
