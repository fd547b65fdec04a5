"""The label check passes honest uploads and rejects swapped ones, with the reason."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from clickbait import LABELS
from training import labels

TRIALS = 400


def upload(rng, n, right, swapped=False):
    """n labels, and a model's answers that agree with their truth in a share `right` of them."""
    truth = rng.integers(0, 2, n)
    verdict = np.where(rng.random(n) < right, truth, 1 - truth)
    answers = np.where(verdict == 1, 0.5 + rng.random(n) / 2, rng.random(n) / 2)
    return (1 - truth if swapped else truth), answers


def check(given, answers, accuracy=0.8):
    return labels.check(
        [f"train/x/{i}.jpg" for i in range(len(given))], given, answers, 0.5, accuracy
    )


def rejected(n, right, swapped):
    rng = np.random.default_rng([n, int(100 * right), swapped])
    return sum(check(*upload(rng, n, right, swapped)).rejected for _ in range(TRIALS)) / TRIALS


@pytest.mark.parametrize("n", [10, 30, 100, 200, 1000])
def test_honest_uploads_of_another_collection_are_not_blocked(n):
    assert rejected(n, 0.65, swapped=False) <= 0.005


@pytest.mark.parametrize(("n", "right", "caught"), [(30, 0.85, 0.97), (200, 0.65, 0.98)])
def test_swapped_folders_are_caught(n, right, caught):
    assert rejected(n, right, swapped=True) == pytest.approx(caught, abs=0.03)


def test_the_sentence_says_how_many_and_asks_about_the_folders():
    given = np.array([0, 1] * 100)
    answers = np.where(np.arange(200) < 168, 1 - given, given) * 0.8 + 0.1
    result = check(given, answers)
    assert result.rejected
    assert result.reason == (
        "The live model disagrees with 84% of 200 new labels: are the folders swapped?"
    )
    assert (result.images, result.contradicted, result.warning) == (200, 168, "")
    json.dumps(asdict(result), allow_nan=False)


def test_one_class_of_30_is_judged_by_itself():
    given = np.array([1] * 30 + [0] * 300)
    answers = np.zeros(330)  # all legitimate: every clickbait label is contradicted
    result = check(given, answers)
    assert result.rejected
    assert result.reason.startswith("The live model disagrees with 100% of 30 new labels for ")
    assert result.classes[LABELS[1]] == {"images": 30, "contradicted": 30}
    assert not check(given[1:], answers[1:]).rejected  # 29 of it are too few


def test_more_than_its_own_error_is_a_warning():
    given = np.array([0, 1] * 100)
    answers = np.where(np.arange(200) < 60, 1 - given, given).astype(float)
    result = check(given, answers, accuracy=0.8)
    assert not result.rejected
    assert "disagrees with 30% of 200 new labels" in result.warning
    assert "20%" in result.warning
    assert not check(given, answers, accuracy=0.65).warning
    assert not check(given, answers, accuracy=None).warning


def test_the_ten_that_contradict_most_are_named():
    given = np.array([1] * 12 + [0] * 12)
    answers = np.concatenate([np.linspace(0.01, 0.12, 12), np.linspace(0.0, 0.4, 12)])
    worst = check(given, answers).worst
    assert len(worst) == 10
    assert worst[0] == {"key": "train/x/0.jpg", "label": LABELS[1], "probability": 0.01}
    assert [w["probability"] for w in worst] == sorted(w["probability"] for w in worst)


def test_without_new_images_there_is_no_objection():
    result = check(np.zeros(0, np.int64), np.zeros(0))
    assert not result.rejected
    assert (result.warning, result.worst) == ("", [])
