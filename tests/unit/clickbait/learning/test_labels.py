"""The label check lets tastes differ, catches swapped folders, and always lists the doubted."""

import json

import numpy as np
import numpy.typing as npt
import pytest

from clickbait import LABELS
from clickbait.inference.calibration import sigmoid
from clickbait.learning import labels

TRIALS = 300

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def upload(rng: np.random.Generator, n: int, shift: float) -> tuple[Labels, Floats]:
    """n labels, half of each class, and the answers of a model of such a distance between the
    classes: 0 knows nothing of the taste, 0.75 has an AUC of 0.7."""
    truth = np.arange(n) % 2
    return truth, sigmoid(rng.normal(shift * truth, 1))


def check(given: Labels, answers: Floats) -> labels.LabelCheck:
    return labels.check([f"train/x/{i}.jpg" for i in range(len(given))], given, answers)


def rejected(n: int, shift: float, swapped: bool) -> float:
    rng = np.random.default_rng([n, int(100 * shift), swapped])
    drawn = [upload(rng, n, shift) for _ in range(TRIALS)]
    return sum(check(1 - y if swapped else y, p).rejected for y, p in drawn) / TRIALS


@pytest.mark.parametrize("n", [30, 60, 120, 200])
def test_honest_labels_of_another_taste_are_not_blocked(n: int) -> None:
    assert rejected(n, 0.75, swapped=False) == 0
    assert rejected(n, 0.3, swapped=False) <= 0.01


@pytest.mark.parametrize(("n", "caught"), [(60, 0.6), (120, 0.9), (200, 0.99)])
def test_swapped_folders_are_caught(n: int, caught: float) -> None:
    assert rejected(n, 0.75, swapped=True) >= caught


def test_the_sentence_asks_about_the_folders() -> None:
    given = np.arange(200) % 2
    result = check(given, np.where(given == 1, 0.2, 0.7))
    assert result.rejected and result.warnings == [] and result.auc == 0
    assert result.reason == (
        "The live model ranks your 200 new images the wrong way round: in 100% of pairs of one "
        "clickbait and one legitimate image, it rates the legitimate one higher. Are the folders "
        "swapped?"
    )
    json.dumps(result.as_dict(), allow_nan=False)


def test_a_class_that_the_model_mostly_contradicts_is_a_warning() -> None:
    given = np.array([1] * 40 + [0] * 40)
    answers = np.concatenate([np.linspace(0.1, 0.45, 40), np.linspace(0.0, 0.3, 40)])
    result = check(given, answers)
    assert not result.rejected
    assert len(result.warnings) == 1
    assert result.warnings[0].startswith("The live model disagrees with 40 of 40 new images in ")
    assert result.classes[LABELS[1]] == {"images": 40, "contradicted": 40}
    assert check(given[26:], answers[26:]).warnings == []  # 14 of it are too few


@pytest.mark.parametrize("answers", [np.zeros(40), np.ones(40)])
def test_one_class_is_never_rejected(answers: Floats) -> None:
    for label in (0, 1):
        assert not check(np.full(40, label), answers).rejected


def test_the_ten_that_contradict_most_are_listed_whether_rejected_or_not() -> None:
    given = np.array([1] * 12 + [0] * 40)
    answers = np.concatenate([np.linspace(0.31, 0.42, 12), np.linspace(0.0, 0.3, 40)])
    result = check(given, answers)
    assert not result.rejected and len(result.worst) == 10
    assert result.worst[0] == {"key": "train/x/0.jpg", "label": LABELS[1], "probability": 0.31}
    swapped = check(1 - given, 1 - given + 0.0)
    assert not swapped.worst
    assert len(check(given, 1.0 - given).worst) == 10


def test_without_new_images_there_is_no_objection() -> None:
    result = check(np.zeros(0, np.int64), np.zeros(0))
    assert (result.rejected, result.warnings, result.worst) == (False, [], [])
