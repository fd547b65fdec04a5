"""Learning a last layer from few images."""

from dataclasses import replace

import numpy as np
import pytest

from clickbait.learning import evidence
from clickbait.learning.folds import FOLDS, folds
from clickbait.learning.head import (
    CHOICES,
    REPLAY_WEIGHTS,
    Examples,
    Replayed,
    Space,
    _fits,
    learn,
    learn_each,
    unchanged,
    weigh,
)

DIMENSIONS = 40


def owner(count: int, taste: float = 0.0, opinion: float = 1.0, seed: int = 0) -> Examples:
    """Images with labels from the anchor's logit times `opinion` and one feature times `taste`."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((count, DIMENSIONS)).astype(np.float16)
    logits = 2 * rng.standard_normal(count)
    truth = opinion * logits + taste * features[:, 0] * 2
    labels = (rng.random(count) < 1 / (1 + np.exp(-truth))).astype(np.int64)
    return Examples(features, logits, labels, np.arange(count))


REPLAY = owner(200, seed=9)


def test_a_taste_is_learned() -> None:
    own, later = owner(200, taste=2, opinion=0.2), owner(2000, taste=2, opinion=0.2, seed=1)
    head = learn(own, REPLAY)
    before = evidence.auc(later.labels, later.logits)
    after = evidence.auc(later.labels, head.logits(later.features, later.logits))
    assert head.choice.startswith("taste")
    assert after is not None and before is not None and after > before + 0.1


def test_an_owner_who_agrees_with_the_anchor_barely_changes_the_layer() -> None:
    later = owner(2000, seed=1)
    for seed in range(2, 7):
        head = learn(owner(60, seed=seed), REPLAY)
        before = np.mean((1 / (1 + np.exp(-later.logits)) - later.labels) ** 2)
        logits = head.logits(later.features, later.logits)
        assert np.mean((1 / (1 + np.exp(-logits)) - later.labels) ** 2) < before + 0.005


def test_noisy_labels_lower_the_slope_and_are_not_learned_as_a_taste() -> None:
    head = learn(owner(120, opinion=0.2), REPLAY)
    assert head.slope < 0.6
    later = owner(2000, opinion=0.2, seed=1)
    after = evidence.auc(later.labels, head.logits(later.features, later.logits))
    before = evidence.auc(later.labels, later.logits)
    assert after is not None and before is not None and after > before - 0.02


def test_the_same_images_give_the_same_layer() -> None:
    first, again = learn(owner(60, taste=1), REPLAY), learn(owner(60, taste=1), REPLAY)
    assert np.array_equal(first.taste, again.taste)
    assert (first.slope, first.bias, first.shares) == (again.slope, again.bias, again.shares)


def test_every_choice_has_a_share_and_the_shares_sum_to_one() -> None:
    head = learn(owner(60), REPLAY)
    assert len(head.shares) == len(CHOICES)
    assert sum(head.shares) == pytest.approx(1)


def test_images_of_one_class_leave_the_anchor_unchanged() -> None:
    own = owner(60)
    head = learn(own[own.labels == 1], REPLAY)
    assert np.array_equal(head.taste, unchanged(DIMENSIONS).taste)
    assert np.array_equal(head.logits(own.features, own.logits), own.logits)


def test_more_weight_on_the_replay_stays_closer_to_the_anchor() -> None:
    own, home = owner(120, taste=3, opinion=-0.5), owner(1000, seed=5)
    aucs = [
        evidence.auc(home.labels, learn(own, REPLAY, dial).logits(home.features, home.logits)) or 0
        for dial in REPLAY_WEIGHTS
    ]
    assert aucs == sorted(aucs, reverse=True)


def test_the_less_of_a_taste_is_kept_the_less_is_forgotten() -> None:
    own, home = owner(120, taste=3, opinion=-0.5), owner(1000, seed=5)
    layers = list(learn_each(own, REPLAY, kept=(1.0, 0.5, 0.0)))
    aucs = [evidence.auc(home.labels, h.logits(home.features, home.logits)) or 0 for h in layers]
    assert aucs == sorted(aucs)
    assert all(sum(h.shares) == pytest.approx(1) for h in layers)
    assert not layers[2].taste.any()
    assert aucs[2] == evidence.auc(home.labels, home.logits)


def test_a_feature_that_is_constant_on_the_replayed_images_is_harmless() -> None:
    own, replay = owner(60), owner(200, seed=9)
    replay.features[:, 3] = 0
    assert np.isfinite(learn(own, replay).taste).all()


def test_one_step_leave_one_out_logits_match_real_refits() -> None:
    units = np.arange(40)
    units[:4] = 0  # near-copies are left out together
    own = replace(owner(40, taste=1), units=units)
    space = Space(own, REPLAY)
    rows, replayed = space.rows(own), Replayed(space.replayed, REPLAY.labels, 0.05)
    _, quick = _fits(rows, own, replayed)
    for out in (np.arange(4), np.array([17])):
        kept = np.setdiff1d(np.arange(len(own)), out)
        thetas, _ = _fits(rows[kept], own[kept], replayed)
        for choice in range(len(CHOICES) - 1):
            assert rows[out] @ thetas[choice] == pytest.approx(quick[choice][out], abs=0.15)


def corrections(count: int) -> Examples:
    """Sixty images of an owner, then `count` corrections of the anchor's errors."""
    own, more = owner(60, opinion=0.5), owner(400, opinion=0.5, seed=3)
    wrong = more[np.flatnonzero((more.logits >= 0) != (more.labels == 1))[:count]]
    return Examples(
        np.concatenate([own.features, wrong.features]),
        np.append(own.logits, wrong.logits),
        np.append(own.labels, wrong.labels),
        np.arange(60 + count),
        corrected=np.arange(60 + count) >= 60,
    )


def test_all_errors_together_weigh_one_more_than_the_uncorrected_errors() -> None:
    own = corrections(40)
    weighed = weigh(own, own.logits)
    wrong = (own.logits >= 0) != (own.labels == 1)
    errors = int(wrong[:60].sum())
    assert weighed.counts[wrong].sum() == pytest.approx(errors + 1)
    assert (weighed.counts[~wrong] == 1).all()
    assert weigh(owner(60), owner(60).logits).weights is None


def test_most_corrections_are_learned_and_the_slope_stays_positive() -> None:
    own = weigh(corrections(40), corrections(40).logits)
    head = learn(own, REPLAY)
    right = (head.logits(own.features, own.logits) >= 0) == (own.labels == 1)
    assert right[60:].sum() >= 30
    assert head.slope > 0
    later = owner(2000, opinion=0.5, seed=1)
    after = evidence.auc(later.labels, head.logits(later.features, later.logits))
    before = evidence.auc(later.labels, later.logits)
    assert after is not None and before is not None and after > 0.6


def test_corrections_alone_keep_the_slope_positive() -> None:
    own = corrections(40)
    assert learn(own[own.corrected], REPLAY).slope > 0


def test_arrays_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        Examples(np.zeros((3, 2)), np.zeros(3), np.zeros(2, np.int64), np.zeros(3, np.int64))


def test_folds_keep_units_together_and_balance_both_classes() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random(101) < 0.4).astype(np.int64)
    units = np.concatenate([np.repeat(np.arange(7), 3), np.arange(7, 87)])
    fold = folds(labels, units)
    assert set(fold) == set(range(FOLDS))
    assert all(len(set(fold[units == unit])) == 1 for unit in units)
    for label in (0, 1):
        counts = np.bincount(fold[labels == label], minlength=FOLDS)
        assert counts.max() - counts.min() <= 3


def test_folds_depend_on_the_seed_alone() -> None:
    labels, units = np.arange(60) % 2, np.arange(60)
    assert np.array_equal(folds(labels, units), folds(labels, units))
    assert not np.array_equal(folds(labels, units), folds(labels, units, seed=1))
