"""Evidence from all images, the gate and the label check."""

import json
from dataclasses import replace

import numpy as np
import pytest

from clickbait.learning import evidence, labels
from clickbait.learning.decide import (
    MIN_IMAGES,
    MIN_OF_CLASS,
    WARN_UNSURE,
    Decision,
    HeldOut,
    decide,
    missing,
    unsure_warning,
)
from clickbait.learning.evidence import Predictions
from clickbait.learning.head import CHOICES, Head

CHANGED = Head(1.0, 0.0, np.zeros(3), (0.0, 1.0, *[0.0] * (len(CHOICES) - 2)))
MOSTLY_UNCHANGED = Head(1.0, 0.0, np.zeros(3), (0.9, 0.1, *[0.0] * (len(CHOICES) - 2)))
USUAL = (0.25, 0.75)


def held_out(
    count: int, candidate: float, champion: float, seed: int = 0, shipped: float | None = None
) -> HeldOut:
    """Images and each model's predictions. A model's signal is half the distance between the class
    means of its logits, in standard deviations."""
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % 2
    noise = rng.standard_normal(count)

    def predictions(signal: float) -> Predictions:
        logits = 2 * signal * (signal * (2 * truth - 1) + noise)  # calibrated: Bayes' log-odds
        return Predictions(logits, logits)

    known = None if shipped is None else predictions(shipped)
    return HeldOut(truth, np.arange(count), predictions(candidate), predictions(champion), known)


def failed(decision: Decision) -> set[str]:
    return {check.name for check in decision.checks if not check.passed}


def test_a_better_model_that_forgets_nothing_passes_with_counts_in_the_reason() -> None:
    decision = decide(held_out(80, 2, 0.3), held_out(300, 1, 1), CHANGED, band=USUAL)
    assert decision.passed and not decision.advice
    right, before = decision.own["candidate"]["right"], decision.own["champion"]["right"]
    assert f"Right on {right} of 80 of your images, before on {before}." in decision.reason
    assert "% right, before" in decision.reason
    json.dumps(decision.as_dict(), allow_nan=False)


def test_the_reason_says_why_a_model_passes_that_is_right_less_often() -> None:
    own = held_out(200, 1, 1)
    too_sure = Predictions(8 * own.champion.logits, own.champion.scores)
    shifted = Predictions(own.candidate.logits - 0.8, own.candidate.scores)
    better = replace(own, candidate=shifted, champion=too_sure)
    decision = decide(better, held_out(300, 1, 1), CHANGED, band=USUAL)
    assert decision.passed, failed(decision)
    assert decision.own["candidate"]["right"] < decision.own["champion"]["right"]
    assert "closer to your labels than the live model's." in decision.reason


def test_corrections_pass_without_a_claim_that_the_probabilities_are_closer() -> None:
    own = replace(held_out(80, 1, 1), corrected=40)
    decision = decide(own, held_out(300, 1, 1), CHANGED, band=USUAL)
    assert decision.passed, failed(decision)
    closer = next(check for check in decision.checks if check.name == "brier, own")
    assert closer.detail.startswith("It learned from your corrections")


def test_an_equal_model_is_refused() -> None:
    decision = decide(held_out(80, 1, 1), held_out(300, 1, 1), CHANGED, band=USUAL)
    assert failed(decision) == {"brier, own"}
    assert "more of each kind" in decision.advice


def test_an_update_is_refused_if_the_images_do_not_call_for_a_change() -> None:
    decision = decide(held_out(80, 2, 0.3), held_out(300, 1, 1), MOSTLY_UNCHANGED, band=USUAL)
    assert failed(decision) == {"a change is called for"}
    later = decide(
        held_out(80, 2, 0.3),
        held_out(300, 1, 1),
        MOSTLY_UNCHANGED,
        band=USUAL,
        champion_is_anchor=False,
    )
    assert later.passed


def test_a_model_that_forgets_is_refused_with_advice_to_change_the_dial() -> None:
    world = held_out(300, 0.8, 1.2)
    decision = decide(held_out(80, 2, 0.3), world, CHANGED, band=USUAL)
    assert failed(decision) == {"auc against champion, world"}
    assert "follow my labels" in decision.advice
    assert decide(
        held_out(80, 2, 0.3), world, CHANGED, band=USUAL, own_weight="follow_labels"
    ).passed


def test_a_less_confident_model_from_swapped_folders_is_refused() -> None:
    own = held_out(80, 1, 2)
    less_confident = Predictions(-own.candidate.logits / 4, -own.candidate.scores)
    live = Predictions(-own.champion.logits, -own.champion.scores)
    swapped = replace(own, candidate=less_confident, champion=live)
    decision = decide(swapped, held_out(300, 1, 1), CHANGED, band=USUAL)
    assert "brier, own" not in failed(decision) and "auc above chance, own" in failed(decision)
    assert "Are the folders swapped?" in decision.reason


def test_many_small_losses_against_the_shipped_model_are_refused() -> None:
    decision = decide(
        held_out(80, 2, 0.3), held_out(300, 0.9, 0.9, shipped=1.3), CHANGED, band=USUAL
    )
    assert failed(decision) == {"auc against shipped, world"}


def test_a_model_that_is_unsure_of_everything_is_refused() -> None:
    own = held_out(80, 2, 2)
    vague = Predictions(own.candidate.logits / 10, own.candidate.scores)
    decision = decide(
        HeldOut(own.labels, own.units, vague, own.champion),
        held_out(300, 1, 1),
        CHANGED,
        band=USUAL,
    )
    assert "unsure, own" in failed(decision)


def test_a_model_that_is_unsure_much_more_often_passes_with_a_warning() -> None:
    own, world = held_out(80, 2, 0.3), held_out(300, 1, 1)
    usual = decide(own, world, CHANGED, band=USUAL)
    assert usual.passed and usual.warnings == []
    wide = decide(own, world, CHANGED, band=(0.01, 0.99), champion_band=USUAL)
    assert wide.passed, failed(wide)
    sure, before = (wide.world[model]["unsure"] for model in ("candidate", "champion"))
    assert sure > before + WARN_UNSURE
    assert wide.warnings[-1] == (
        f"It says 'unsure' much more often: about {100 * sure:.0f}% of thumbnails of the kind it "
        f"was shipped for, before about {100 * before:.0f}%."
    )
    assert wide.reason.endswith(wide.warnings[-1])


@pytest.mark.parametrize(("rise", "warned"), [(WARN_UNSURE, False), (WARN_UNSURE + 0.01, True)])
def test_the_warning_begins_above_the_limit(rise: float, warned: bool) -> None:
    assert bool(unsure_warning("your images", {"unsure": rise}, {"unsure": 0.0})) == warned


@pytest.mark.parametrize(
    ("clickbait", "legitimate", "expected"),
    [
        (MIN_OF_CLASS, MIN_IMAGES - MIN_OF_CLASS, ""),
        (MIN_OF_CLASS - 3, 40, "Upload 3 more clickbait images."),
        (24, 25, "Upload 1 more image."),
        (20, 10, "Upload 5 more legitimate images and 15 more of either kind."),
        (
            0,
            0,
            "Upload 15 more legitimate images, 15 more clickbait images and 20 more of either "
            "kind.",
        ),
    ],
)
def test_an_owner_with_too_few_images_reads_how_many_to_add(
    clickbait: int, legitimate: int, expected: str
) -> None:
    sentence = missing(np.array([1] * clickbait + [0] * legitimate))
    assert sentence.endswith(expected) and bool(sentence) == bool(expected)


def test_too_few_images_are_refused_without_measuring() -> None:
    decision = decide(held_out(30, 2, 0), held_out(300, 1, 1), CHANGED, band=USUAL)
    assert not decision.passed and decision.own == {} and "Upload" in decision.reason


def test_standardised_scores_rank_together_across_folds() -> None:
    truth, z = np.arange(60) % 2, np.random.default_rng(0).standard_normal(60)
    scores = np.empty(60)
    for fold in range(5):
        at = np.arange(60) % 5 == fold
        layer = (0.3 + 0.2 * fold) * z + fold
        scores[at] = ((layer - layer.mean()) / layer.std())[at]
    assert evidence.auc(truth, scores) == evidence.auc(truth, z)


def test_the_band_narrows_and_promises_less_if_too_many_predictions_are_unsure() -> None:
    rng = np.random.default_rng(0)
    anchor, vague = 3 * rng.standard_normal(400), 0.6 * rng.standard_normal(400)
    confident = Predictions(anchor, anchor)
    low, high, promise = evidence.band(Predictions(vague, vague), confident)
    assert evidence.LEAST_PROMISE <= promise < evidence.PROMISE
    rise = evidence.unsure(vague, low, high) - evidence.unsure(anchor, *USUAL)
    assert rise <= evidence.UNSURE_RISE + 0.01 or promise == evidence.LEAST_PROMISE
    assert evidence.band(confident, confident)[2] == evidence.PROMISE


def test_auc_needs_both_classes_and_counts_ties_half() -> None:
    assert evidence.auc(np.array([1, 1]), np.array([0.0, 1.0])) is None
    assert evidence.auc(np.array([0, 1, 1]), np.array([0.0, 0.0, 1.0])) == 0.75


def probabilities(count: int, signal: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % 2
    return truth, 1 / (1 + np.exp(-(signal * (2 * truth - 1) + rng.standard_normal(count))))


def test_swapped_folders_are_rejected_and_a_different_taste_is_not() -> None:
    keys = [f"train/{i}" for i in range(120)]
    honest, swapped = 0, 0
    for seed in range(50):
        truth, p = probabilities(120, 0.35, seed)  # AUC 0.69, as on data/owner
        honest += labels.check(keys, truth, p).rejected
        swapped += labels.check(keys, 1 - truth, p).rejected
    assert honest == 0 and swapped >= 40


def test_a_champion_that_ranks_at_random_blocks_about_one_owner_in_a_hundred() -> None:
    keys = [str(i) for i in range(60)]
    stopped = sum(labels.check(keys, *probabilities(60, 0.0, seed)).rejected for seed in range(500))
    assert stopped <= 12


def test_the_worst_are_always_listed_and_each_doubtful_class_gets_a_warning() -> None:
    truth, p = probabilities(80, 2.0, 0)
    p[truth == 0] = 0.9
    result = labels.check([str(i) for i in range(80)], truth, p)
    assert not result.rejected
    assert len(result.warnings) == 1 and "clickbait_real" in result.warnings[0]
    assert len(result.worst) == labels.SHOWN
    single = labels.check(["a", "b"], np.array([0, 1]), np.array([0.6, 0.9]))
    assert [w["key"] for w in single.worst] == ["a"]


def test_labels_of_one_class_are_never_rejected() -> None:
    result = labels.check([str(i) for i in range(60)], np.ones(60, np.int64), np.full(60, 0.1))
    assert not result.rejected and result.auc is None and result.warnings
