"""Curves are the textbook's, undefined values are null, and the command writes what the training
wrote."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, precision_score, recall_score, roc_curve

from clickbait import LABELS
from clickbait.inference.appearance import APPEARANCE, appearance
from clickbait.inference.calibration import expected_calibration_error
from clickbait.learning import evaluation, metrics
from clickbait.settings import CHECKOUT_BASELINE
from training import reevaluate
from training.sides import Record

RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 2, 400)
SAID = np.clip(0.25 + 0.5 * TRUTH + RNG.normal(0, 0.25, 400), 0, 1).round(3)
"""Labels and probabilities of 400 images; some probabilities are the same, some 0 or 1."""


def grey(*levels: int) -> np.ndarray:
    """Images of one shade each."""
    return np.stack([np.full((224, 224, 3), level, np.uint8) for level in levels])


def looks(pixels: np.ndarray) -> list[dict[str, float]]:
    return [appearance(one) for one in pixels]


def evaluate(labels: list[int], probabilities: list[float], pixels: np.ndarray) -> dict[str, Any]:
    records = [
        Record(f"{i}.png", LABELS[label], sha256=f"{i:064x}") for i, label in enumerate(labels)
    ]
    return evaluation.evaluation(
        records, looks(pixels), np.array(probabilities), threshold=0.5, band=(0.25, 0.75)
    )


# --- curves --------------------------------------------------------------------------------------


def test_a_roc_curve_is_that_of_sklearn_and_the_area_below_it_the_auc() -> None:
    false, true = evaluation.roc(TRUTH, SAID)
    expected = roc_curve(TRUTH, SAID)
    assert (false == expected[0]).all() and (true == expected[1]).all()
    assert np.trapezoid(true, false) == pytest.approx(metrics.auc(TRUTH, SAID))


def test_a_roc_curve_of_many_images_has_201_points_that_lie_close_to_all_others() -> None:
    labels = np.arange(20_000) % 2
    scores = np.random.default_rng(1).normal(0.7 * labels, 1)
    false, true = evaluation.roc(labels, scores)
    every = np.stack(roc_curve(labels, scores)[:2], axis=1)
    assert 190 < len(false) <= evaluation.POINTS < len(every)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    gaps = np.abs(every[:, None] - np.stack([false, true], axis=1)).sum(axis=2).min(axis=1)
    assert gaps.max() <= 0.01
    assert np.trapezoid(true, false) == pytest.approx(metrics.auc(labels, scores), abs=1e-3)


def test_figures_at_each_threshold_are_those_of_sklearn() -> None:
    table = evaluation.at_thresholds(TRUTH, SAID)
    assert table["threshold"].tolist() == [n / 100 for n in range(101)]
    for i in (0, 1, 37, 50, 99):
        verdicts = table["threshold"][i] <= SAID
        assert table["called"][i] == verdicts.mean()
        assert table["accuracy"][i] == pytest.approx(accuracy_score(TRUTH, verdicts))
        assert table["recall"][i] == pytest.approx(recall_score(TRUTH, verdicts))
        assert table["precision"][i] == pytest.approx(precision_score(TRUTH, verdicts))


def test_bins_are_those_whose_gaps_add_up_to_the_calibration_error() -> None:
    images, mean, share = evaluation.reliability(TRUTH, SAID)
    assert images.sum() == len(SAID)
    full = images > 0
    error = (images * np.abs(mean - share))[full].sum() / len(SAID)
    assert error == pytest.approx(expected_calibration_error(SAID, TRUTH))
    for place in np.flatnonzero(full):
        assert place / 10 <= mean[place] <= (place + 1) / 10


def test_mistakes_are_the_most_confident_ones_and_none_is_right() -> None:
    wrong = evaluation.mistakes(TRUTH, SAID, 0.4)
    assert len(wrong) == evaluation.WORST < np.sum((SAID >= 0.4) != TRUTH)
    assert ((SAID[wrong] >= 0.4) != TRUTH[wrong]).all()
    confidence = np.abs(SAID[wrong] - 0.4)
    assert (np.diff(confidence) <= 0).all()
    others = np.setdiff1d(np.flatnonzero((SAID >= 0.4) != TRUTH), wrong)
    assert np.abs(SAID[others] - 0.4).max() <= confidence[-1]
    # A probability at the threshold is called clickbait, here as in an answer.
    assert evaluation.mistakes(np.array([1, 0]), np.array([0.5, 0.5]), 0.5).tolist() == [1]


def test_effects_are_spearman_s_rank_correlations() -> None:
    pixels = RNG.integers(0, 256, (12, 224, 224, 3), np.uint8) // np.arange(
        1, 13, dtype=np.uint8
    ).reshape(-1, 1, 1, 1)
    found = {one["name"]: one for one in evaluation.effects(looks(pixels), TRUTH[:12], SAID[:12])}
    assert tuple(found) == APPEARANCE
    appearances = [appearance(one) for one in pixels]
    for name, one in found.items():
        values = [each[name] for each in appearances]
        assert one["with_probability"] == round(spearmanr(values, SAID[:12]).statistic, 4)
        assert one["with_label"] == round(spearmanr(values, TRUTH[:12]).statistic, 4)
        assert one["reason"] is None


def test_the_brighter_the_likelier_is_one_and_the_darker_minus_one() -> None:
    pixels = grey(10, 20, 30, 40)
    for probabilities, rho in (([0.1, 0.2, 0.3, 0.4], 1), ([0.4, 0.3, 0.2, 0.1], -1)):
        brightness = evaluation.effects(
            looks(pixels), np.array([0, 0, 1, 1]), np.array(probabilities)
        )[0]
        assert (brightness["name"], brightness["with_probability"]) == ("brightness", rho)


# --- what is undefined ---------------------------------------------------------------------------


def shape(value: Any) -> Any:
    """The names in a document, of the first item of each list."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else []


@pytest.mark.parametrize("labels", [[], [1], [0, 0, 0, 0], [1, 1, 1, 1]])
def test_an_empty_side_and_one_of_one_class_are_evaluated_without_a_fault(
    labels: list[int],
) -> None:
    shades = grey(*range(10, 10 + 20 * len(labels), 20)) if labels else grey(0)[:0]
    found = evaluate(labels, [0.1, 0.6, 0.7, 0.9][: len(labels)], shades)
    json.dumps(found, allow_nan=False)
    assert found["images"] == len(labels)
    assert found["roc"] == {"auc": None, "reason": metrics.UNDEFINED["auc"], "points": []}
    assert len(found["thresholds"]) == 101 and len(found["reliability"]) == 10
    assert sum(one["images"] for one in found["reliability"]) == len(labels)
    assert all(one["reason"] for one in found["features"])
    assert all(one["with_label"] is None for one in found["features"])
    whole = json.loads((CHECKOUT_BASELINE / "evaluation.json").read_text())
    for name in ("thresholds", "reliability", "features", "confusion_matrix", "uncertain_band"):
        assert shape(found[name]) == shape(whole[name])
    if not labels:
        assert found["thresholds"][50] == {
            "threshold": 0.5, "precision": None, "recall": None, "accuracy": None, "called": None,
        }  # fmt: skip


def test_a_constant_feature_correlates_with_nothing_and_has_a_reason() -> None:
    labels, verdicts = np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.2, 0.8])
    brightness, contrast, *_ = evaluation.effects(looks(grey(10, 20, 30, 40)), labels, verdicts)
    assert brightness["with_probability"] is not None and brightness["reason"] is None
    assert contrast["with_probability"] is contrast["with_label"] is None
    assert contrast["reason"] == "every image on this side has the same contrast"
    brightness, *_ = evaluation.effects(looks(grey(10, 20, 30, 40)), labels, np.full(4, 0.5))
    assert brightness["with_probability"] is None and brightness["with_label"] is not None
    assert brightness["reason"].startswith("the model gives every image")
    few, *_ = evaluation.effects(looks(grey(10, 20)), labels[:2], verdicts[:2])
    assert few["with_probability"] is None and few["reason"].startswith("this side has 2 images")


def test_a_mistake_names_its_image() -> None:
    found = evaluate([0, 1, 1, 0], [0.9, 0.4, 0.8, 0.6], grey(1, 2, 3, 4))["mistakes"]
    assert [(one["file"], one["label"], one["probability"]) for one in found] == [
        ("0.png", LABELS[0], 0.9),
        ("1.png", LABELS[1], 0.4),
        ("3.png", LABELS[0], 0.6),
    ]
    assert found[0]["sha256"] == f"{0:064x}"


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def older(versions: Callable[[str], Path], tmp_path: Path) -> Iterator[Path]:
    """A version as trainings left it before they wrote an evaluation."""
    folder = tmp_path / "version"
    shutil.copytree(versions("cnn"), folder)
    (folder / "evaluation.json").unlink()
    yield folder


def test_the_command_writes_what_the_training_wrote_whatever_the_images_are_called(
    older: Path, versions: Callable[[str], Path], dirty: Path, tmp_path: Path
) -> None:
    renamed = tmp_path / "elsewhere"
    renamed.mkdir()
    for number, file in enumerate(sorted(dirty.rglob("*.png"))):
        shutil.copy(file, renamed / f"{number}.bin")
    for data in (dirty, renamed):
        assert reevaluate.main([str(older), "--data", str(data)]) == 0
        written = json.loads((older / "evaluation.json").read_text())
        assert written == json.loads((versions("cnn") / "evaluation.json").read_text())
    assert str(tmp_path) not in (older / "evaluation.json").read_text()


def test_the_command_writes_nothing_if_an_image_or_the_version_is_missing(
    older: Path, dirty: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, message in (
        ([str(older), "--data", str(tmp_path / "nowhere")], "is not a folder"),
        ([str(older), "--data", str(older / "plots")], "test images are not below"),
        ([str(tmp_path), "--data", str(dirty)], "is not a finished version"),
    ):
        assert reevaluate.main(arguments) == 2
        errors = capsys.readouterr().err
        assert errors.startswith("error: ") and message in errors
        assert errors.count("\n") == 1
    assert not (older / "evaluation.json").exists()
