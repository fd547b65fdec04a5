"""The gate: simulations of what it passes and what it stops, and each of its conditions."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.stats import norm

from clickbait import LABELS
from clickbait.errors import InvalidModel
from clickbait.inference.calibration import sigmoid
from clickbait.inference.classifier import Classifier
from clickbait.learning.decide import Check, Decision
from tests.training.conftest import write_tiny
from training import gate, golden, sides
from training.gate import Exam

SIZES = (30, 60, 100, 200)
TRIALS = 150
SAME = 0.8
"""Correlation of two equally good models' answers within a class."""
NEAR = 0.12
"""Largest difference of a rate of TRIALS from the published one: three standard errors."""

Warp = Callable[[Any], Any]


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(gate, "RESAMPLES", 200)


def draw(
    rng: np.random.Generator, n: int, auc: float, other: float = 0.92, warp: Warp = lambda z: z
) -> tuple[Any, dict[str, Any]]:
    """n labels, half of each class, and the calibrated answers of two models of such AUCs to them:
    normal scores, SAME-correlated in each class; `warp` bends the candidate's logits."""
    labels = np.arange(n) % 2
    shared = np.sqrt(SAME) * rng.normal(size=n)
    answers = {}
    for name, good in (("candidate", auc), ("champion", other)):
        apart = np.sqrt(2) * norm.ppf(good)
        own = np.sqrt(1 - SAME) * rng.normal(size=n)
        logits = apart * ((2 * labels - 1) * apart / 2 + shared + own)
        answers[name] = sigmoid(warp(logits) if name == "candidate" else logits)
    return labels, answers


def rates(n: int, auc: float, trials: int = TRIALS, warp: Warp = lambda z: z) -> dict[str, float]:
    """Share of trials that pass: the AUC's check alone, the Brier score's alone, all of them."""
    rng = np.random.default_rng([n, int(100 * auc)])
    passed = {"auc": 0, "brier": 0, "all": 0}
    for _ in range(trials):
        labels, answers = draw(rng, n, auc, warp=warp)
        checks = {c.name: c.passed for c in gate.judge("test", labels, [""] * n, answers)}
        passed["auc"] += checks["auc against champion, test"]
        passed["brier"] += checks["brier against champion, test"]
        passed["all"] += all(checks.values())
    return {name: times / trials for name, times in passed.items()}


# --- simulated ------------------------------------------------------------------------------------


def test_equally_good_models_mostly_pass():
    published = dict(zip(SIZES, (0.72, 0.89, 0.97, 0.95), strict=True))
    for n, rate in published.items():
        found = rates(n, 0.92)
        assert found["auc"] == pytest.approx(rate, abs=NEAR), n
        assert found["brier"] >= (0.75 if n == 30 else 0.92), n
        assert found["all"] >= found["auc"] - 0.08, n


def test_a_model_that_is_clearly_worse_rarely_passes_and_never_from_200_images_on():
    published = dict(zip(SIZES, (0.15, 0.14, 0.11, 0.0), strict=True))
    for n, rate in published.items():
        found = rates(n, 0.86)
        assert found["auc"] == pytest.approx(rate, abs=NEAR), n
        assert found["all"] <= found["auc"], n
    assert rates(200, 0.86)["all"] <= 0.02


def test_a_better_model_passes():
    for n in SIZES:
        assert rates(n, 0.96, 60)["all"] >= 0.9, n


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(
    ("warp", "most"),
    [
        (lambda z: -z, 0.0),  # trained on swapped labels
        (lambda z: 0 * z, 0.0),  # the same answer for every image
        (lambda z: z * np.nan, 0.0),
        (lambda z: z + 2, 0.15),  # ranks as well, but is too sure
        (lambda z: z - 2, 0.15),
    ],
    ids=["swapped", "constant", "nan", "towards clickbait", "towards legitimate"],
)
def test_what_must_not_go_live_is_stopped(n, warp, most):
    rng = np.random.default_rng(n)
    passed = 0
    for _ in range(40):
        labels, answers = draw(rng, n, 0.92, warp=warp)
        passed += all(c.passed for c in gate.judge("test", labels, [""] * n, answers))
    assert passed <= most * 40


def test_a_model_four_times_too_timid_is_stopped_by_its_brier_score_alone():
    for n in SIZES:
        found = rates(n, 0.92, 60, lambda z: z / 4)
        assert found["brier"] <= 0.3, n
        assert found["auc"] >= 0.5, n


def test_the_best_version_is_compared_too():
    rng = np.random.default_rng(7)
    passed = 0
    for _ in range(40):
        labels, answers = draw(rng, 200, 0.86, other=0.86)
        _, better = draw(rng, 200, 0.93)
        answers["best"] = better["candidate"]
        checks = gate.judge("test", labels, [""] * 200, answers)
        assert {c.name for c in checks} >= {"auc against best, test", "brier against best, test"}
        passed += all(c.passed for c in checks)
    assert passed <= 4


def test_images_of_one_group_count_as_one():
    rng = np.random.default_rng(3)
    labels, answers = draw(rng, 120, 0.92)
    channels = [f"channel {i // 4}" for i in range(120)]
    # Four copies of each image, in groups of their own, hold no more than the image itself.
    copied = {name: np.repeat(p, 4) for name, p in answers.items()}
    groups = [f"image {i // 4}" for i in range(480)]
    one = gate.bounds(labels, [""] * 120, answers["candidate"], answers["champion"])
    four = gate.bounds(np.repeat(labels, 4), groups, copied["candidate"], copied["champion"])
    alone = gate.bounds(np.repeat(labels, 4), [""] * 480, *copied.values())
    assert four[1] == pytest.approx(one[1], abs=0.006)
    assert alone[1] > four[1] + 0.004
    by_channel = gate.bounds(labels, channels, answers["candidate"], answers["champion"])
    assert np.isfinite(by_channel).all()


def test_a_single_group_does_not_make_a_model_certain():
    rng = np.random.default_rng(5)
    labels, answers = draw(rng, 60, 0.92)
    difference, low, *_ = gate.bounds(labels, ["a"] * 60, *answers.values())
    assert low < difference - 0.005


def test_draws_without_both_classes_do_not_count():
    labels = np.array([1] * 10 + [0] * 20)
    groups = ["fake"] * 10 + ["real"] * 20
    answers = np.linspace(1, 0, 30)
    assert np.isfinite(gate.bounds(labels, groups, answers, answers)).all()


# --- evidence -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("real", "fake", "enough", "detail"),
    [
        (20, 10, True, "20 clickbait_real, 10 clickbait_fake"),
        (19, 10, False, "Still missing: 1 more images ("),
        (21, 9, False, "Still missing: 1 clickbait_fake ("),
        (
            0,
            5,
            False,
            "Still missing: 25 more images, 10 clickbait_real, 5 clickbait_fake (",
        ),
    ],
)
def test_too_little_evidence_says_what_is_missing(real, fake, enough, detail):
    check = gate.evidence("test", np.array([0] * real + [1] * fake))
    assert check.passed is enough
    assert check.detail.startswith("There are" if enough else "Too little evidence")
    assert detail in check.detail


def test_margins_become_narrow_at_200_images():
    limits = {}
    for n in (199, 200):
        labels = np.arange(n) % 2
        answers = np.linspace(0.1, 0.9, n)
        checks = gate.judge("test", labels, [""] * n, {"candidate": answers, "champion": answers})
        limits[n] = [c.limit for c in checks if "against" in c.name]
    assert limits == {199: [-0.05, 0.05], 200: [-0.03, 0.025]}


# --- versions -------------------------------------------------------------------------------------


@pytest.fixture
def folders(tiny, tmp_path) -> tuple[Path, Path]:
    """The same version twice: a candidate, and a champion under another name."""
    copies = []
    for name in ("candidate", "champion"):
        folder = tmp_path / name
        shutil.copytree(tiny, folder)
        change(folder, model_version=name)
        copies.append(folder)
    return copies[0], copies[1]


def change(folder: Path, **fields: Any) -> None:
    metadata = json.loads((folder / "metadata.json").read_text()) | fields
    (folder / "metadata.json").write_text(json.dumps(metadata))


def exam(name: str = "test", n: int = 40, seed: int = 0, known: str = "") -> Exam:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    tint = np.where(labels[:, None] == 1, [210, 70, 20], [20, 60, 110])
    small = (rng.integers(0, 256, (n, 14, 14, 3)) + tint[:, None, None]) // 2
    pixels = small.astype(np.uint8).repeat(16, axis=1).repeat(16, axis=2)
    sha = [known if known and i == 0 else f"{name} {i}" for i in range(n)]
    return Exam(name, pixels, labels, [""] * n, sha)


def failed(result: gate.Result) -> list[str]:
    return [c.name for c in result.checks if not c.passed]


def test_a_model_is_no_worse_than_itself(folders):
    result = gate.examine(*folders, None, [exam(), exam("exam", seed=1)])
    assert result.passed, failed(result)
    assert (result.candidate, result.champion, result.best) == ("candidate", "champion", "champion")
    assert result.auc_difference == 0
    assert result.reason.startswith("No worse than the live model champion: on 40 test images AUC ")
    assert "on 40 exam images" in result.reason
    assert set(result.sets) == {"test", "exam"}
    json.dumps(asdict(result), allow_nan=False)


def test_a_version_that_is_unsure_much_more_often_passes_with_a_warning(folders):
    candidate, champion = folders
    assert gate.examine(candidate, champion, None, [exam()]).warnings == []
    change(candidate, uncertain_band={"low": 0.001, "high": 0.999})
    result = gate.examine(candidate, champion, None, [exam()])
    assert result.passed, failed(result)
    assert result.warnings == [
        "It says 'unsure' much more often: about 100% of the test images, before about 0%."
    ]
    assert result.reason.endswith(result.warnings[0])
    figures = {"right": 40, "accuracy": 1.0}
    assert result.sets["test"]["candidate"] | figures == result.sets["test"]["candidate"]
    assert result.sets["test"]["champion"]["unsure"] == 0.0
    json.dumps(asdict(result), allow_nan=False)


def test_versions_of_two_sizes_are_compared_each_on_its_own_input(folders, tmp_path):
    other = write_tiny(tmp_path / "small", "small", size=192)
    both = exam()
    resized = [np.asarray(Image.fromarray(one).resize((192, 192))) for one in both.pixels]
    both = replace(both, others={192: np.stack(resized)})
    for candidate, champion in ((other, folders[1]), (folders[0], other)):
        result = gate.examine(candidate, champion, None, [both])
        assert result.passed, failed(result)
        assert result.sets["test"]["images"] == 40
        assert result.auc_difference == 0
    without = both.without({"test 0"})
    assert without.at(192).shape == (39, 192, 192, 3) and without.at(224).shape[0] == 39
    worse = write_tiny(tmp_path / "worse", "worse", -1, size=192)
    assert not gate.examine(worse, folders[1], folders[0], [both]).passed


def test_both_sets_must_have_enough(folders):
    result = gate.examine(*folders, None, [exam(), exam("exam", n=29)])
    assert failed(result) == ["evidence, exam"]
    assert result.reason.startswith("Too little evidence: there are only 29 exam images")


@pytest.mark.parametrize("file", ["manifest.csv", "ancestors.csv"])
@pytest.mark.parametrize("whose", [0, 1])
def test_what_a_model_or_its_ancestor_trained_on_is_not_measured_on(folders, file, whose):
    seen = {
        side: sides.Record("x.png", LABELS[0], sha256=f"test {i}", side=side)
        for i, side in enumerate(("train", "validation", "test"))
    }
    path = folders[whose] / file
    known = list(sides.read_manifest(path)) if path.exists() else []
    sides.write_manifest(path, [*known, *seen.values()])
    result = gate.examine(*folders, None, [exam()])
    assert result.sets["test"]["images"] == 38  # all but the first two


def test_a_corrupt_candidate_is_stopped_and_a_corrupt_champion_is_an_error(folders):
    candidate, champion = folders
    (candidate / "model.tflite").write_bytes(b"TFL3 or so")
    result = gate.examine(candidate, champion, None, [exam()])
    assert failed(result) == ["loads"]
    assert "sha256" in result.reason
    with pytest.raises(InvalidModel):
        gate.examine(champion, candidate, None, [exam()])


def test_another_label_order_is_stopped(folders):
    change(folders[0], labels=list(reversed(LABELS)))
    result = gate.examine(*folders, None, [exam()])
    assert failed(result) == ["loads"]
    assert "labels" in result.reason


def test_a_file_above_the_limit_is_stopped(folders, monkeypatch):
    size = (folders[0] / "model.tflite").stat().st_size
    monkeypatch.setattr(gate, "MAX_FILE_BYTES", size)
    assert gate.examine(*folders, None, [exam()]).passed
    monkeypatch.setattr(gate, "MAX_FILE_BYTES", size - 1)
    assert failed(gate.examine(*folders, None, [exam()])) == ["file size"]


FIGURES = {"images": 90, "right": 80, "auc": 0.9, "brier": 0.1, "accuracy": 0.89}
BETTER = Decision(
    True,
    "Right on 80 of 90 of your images, before on 71.",
    "",
    [Check("brier, own", True, -0.1, 0.0, "It is closer.")],
    own={"candidate": FIGURES, "champion": FIGURES | {"auc": 0.7}},
)


def test_the_owner_s_images_decide_in_place_of_the_test_side(folders):
    result = gate.examine(*folders, None, [exam("own", n=4)], lambda: BETTER)
    assert result.passed, failed(result)
    assert (result.reason, result.advice) == (BETTER.reason, "")
    assert set(result.sets) == {"own"} and result.sets["own"]["images"] == 90
    assert result.auc_difference == pytest.approx(0.2)
    json.dumps(asdict(result), allow_nan=False)


def test_a_better_model_that_fails_another_check_says_both(folders, monkeypatch):
    monkeypatch.setattr(gate, "MAX_FILE_BYTES", 1)
    result = gate.examine(*folders, None, [], lambda: BETTER)
    assert failed(result) == ["file size"]
    assert result.reason.startswith(f"{BETTER.reason} Even so it did not go live. model.tflite has")
    assert result.advice


def test_the_best_version_ever_and_a_large_exam_set_still_count(folders, bad):
    candidate, champion = folders
    exams = [exam("own"), exam("exam", seed=1)]
    assert gate.examine(candidate, champion, bad, exams, lambda: BETTER).passed
    result = gate.examine(bad, champion, candidate, exams, lambda: BETTER)
    assert {"auc against best, own", "auc against champion, exam"} <= set(failed(result))


def test_a_calibration_that_inverts_or_lies_is_stopped(folders):
    candidate, champion = folders
    bent = Classifier.load(candidate).calibration
    metadata = json.loads((candidate / "metadata.json").read_text())
    wrong = replace(bent, bias=bent.bias - 4)
    stored = [
        {**g, "probability": float(wrong.apply(Classifier.load(champion).logits(p[None])[0])[0])}
        for g, p in zip(metadata["golden"], golden.images(), strict=True)
    ]
    change(candidate, calibration=wrong.as_dict(), golden=stored)
    result = gate.examine(candidate, champion, None, [exam()])
    assert "brier against champion, test" in failed(result)
    assert "golden images" in failed(result) or len(failed(result)) == 1


class Fixed:
    """A classifier with fixed answers for the loud and the calm image."""

    size = 224

    def __init__(self, loud: float, calm: float) -> None:
        self.answers = [loud, calm]

    def predict(self, pixels: Any) -> Any:
        p = self.answers[int(pixels.mean() < golden.images()[0].mean())]

        class Prediction:
            probability, is_clickbait, uncertain = p, p >= 0.5, 0.25 < p < 0.75

        return Prediction


@pytest.mark.parametrize(
    ("champion", "candidate", "passes"),
    [
        ((0.9, 0.1), (0.8, 0.2), True),
        ((0.9, 0.1), (0.4, 0.2), False),  # the loud one was surely clickbait
        ((0.9, 0.1), (0.8, 0.6), False),  # the calm one was surely legitimate
        ((0.7, 0.3), (0.4, 0.6), True),  # the champion was not sure
        ((0.1, 0.1), (0.9, 0.1), True),  # the champion is wrong about the loud one
        ((0.1, 0.1), (0.1, 0.9), False),
    ],
)
def test_a_golden_image_does_not_leave_its_side(champion, candidate, passes):
    check = gate._golden(Fixed(*candidate), Fixed(*champion))
    assert check.passed is passes


# --- the best version ever promoted ---------------------------------------------------------------


def promotion(version: str, champion: str | None, difference: float | None) -> dict[str, Any]:
    decision = {"champion": champion, "auc_difference": difference}
    return {"version": version, "previous": champion, "gate": decision if difference else None}


def test_the_best_version_is_the_one_with_the_highest_standing():
    assert gate.best([]) is None
    steps = [promotion("v1", "v0", 0.02), promotion("v2", "v1", -0.03)]
    assert gate.best(reversed(steps)) == "v1"
    steps.append(promotion("v3", "v2", 0.04))
    assert gate.best(reversed(steps)) == "v3"


def test_what_was_live_before_the_first_promotion_can_be_the_best():
    assert gate.best([promotion("v1", "v0", -0.02)]) == "v0"
    assert gate.best([promotion("v1", "v0", None)]) == "v1"


def test_a_roll_back_changes_no_standing():
    back = {"version": "v1", "previous": "v2", "gate": None}
    steps = [promotion("v1", "v0", 0.05), promotion("v2", "v1", -0.02), back]
    assert gate.best(reversed(steps)) == "v1"
    steps.append(promotion("v3", "v1", -0.01))
    assert gate.best(reversed(steps)) == "v1"


def test_a_new_threshold_is_no_promotion():
    again = {"version": "v2", "previous": "v2", "gate": None, "change": "threshold"}
    steps = [promotion("v1", "v0", 0.05), promotion("v2", "v1", -0.05), promotion("v1", "v2", None)]
    assert gate.best(reversed([*steps, again])) == gate.best(reversed(steps)) == "v1"
    assert gate.best([again]) is None
