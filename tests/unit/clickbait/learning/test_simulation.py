"""Simulated owners, from the shipped features. `loadtest/owners.py` runs larger simulations."""

import json
from dataclasses import replace

import numpy as np
import pytest

from clickbait.inference.calibration import sigmoid
from clickbait.learning import evidence, labels, patch, replay
from clickbait.learning.features import Outputs
from clickbait.learning.replay import Part, Replay
from clickbait.learning.update import Champion, Update, Version, small_update
from clickbait.settings import CHECKOUT_BASELINE

METADATA = json.loads((CHECKOUT_BASELINE / "metadata.json").read_text())
ANCHOR = Version((CHECKOUT_BASELINE / "model.tflite").read_bytes(), METADATA)
STORED = replay.read((CHECKOUT_BASELINE / replay.FILE).read_bytes())
DRAWS = 4


def cut(part: Part, chosen: np.ndarray, truth: np.ndarray | None = None) -> Part:
    outputs = Outputs(part.outputs.features[chosen], part.outputs.logits[chosen])
    known = part.labels if truth is None else truth
    return Part(outputs, known[chosen], np.arange(len(chosen)))


def taste(part: Part) -> np.ndarray:
    """Labels (n,) by an invented rule: partly the model's opinion, partly features it ignores."""
    features = part.outputs.features.astype(np.float64)
    centred = features - features.mean(axis=0)
    projected = np.linalg.svd(centred, full_matrices=False)[0][:, 1:6].sum(axis=1)
    opinion = part.outputs.logits.argsort().argsort() / len(part.labels)
    rule = projected.argsort().argsort() / len(part.labels)
    mixed = opinion + 0.8 * rule
    return (mixed > np.median(mixed)).astype(np.int64)


def other_taste(draw: int) -> tuple[Part, np.ndarray, Replay]:
    """400 images labelled by `taste`, their order, and a replay of the other images."""
    order = np.random.default_rng(draw).permutation(len(STORED.train.labels))
    own = cut(STORED.train, order[:400], taste(STORED.train))
    return own, np.arange(400), replace(STORED, train=cut(STORED.train, order[400:]))


def same_taste(draw: int, count: int) -> tuple[Part, Part, Replay]:
    """`count` shipped test images as the owner's. The others are held out and are the world."""
    order = np.random.default_rng(draw).permutation(len(STORED.test.labels))
    kept = cut(STORED.test, order[count:])
    return cut(STORED.test, order[:count]), kept, Replay(STORED.network, STORED.train, kept)


def improvement(update: Update, kept: Part) -> float:
    """Improvement of the Brier score over the anchor's on `kept`; positive is better."""
    examples = kept.examples(ANCHOR.calibration)
    assert update.head is not None
    after = sigmoid(update.head.logits(examples.features, examples.logits))
    return float(
        np.mean((sigmoid(examples.logits) - kept.labels) ** 2) - np.mean((after - kept.labels) ** 2)
    )


def test_owners_with_the_shipped_taste_mostly_keep_their_model_and_never_get_a_worse_one() -> None:
    promoted = 0
    for draw in range(DRAWS):
        own, kept, stored = same_taste(draw, 60)
        update = small_update(ANCHOR, own, stored)
        promoted += update.decision.passed
        assert improvement(update, kept) > -0.005
    assert promoted <= 2


def test_owners_with_another_taste_get_a_better_model() -> None:
    for draw in range(DRAWS):
        own, order, stored = other_taste(draw)
        update = small_update(ANCHOR, cut(own, order[:120]), stored)
        assert update.decision.passed, update.decision.reason
        assert improvement(update, cut(own, order[120:])) > 0.01


def test_swapped_folders_and_a_single_class_are_refused() -> None:
    own, _, stored = same_taste(0, 120)
    keys = [str(i) for i in range(120)]
    p = sigmoid(own.examples(ANCHOR.calibration).logits)
    assert not labels.check(keys, own.labels, p).rejected
    assert labels.check(keys, 1 - own.labels, p).rejected
    one = small_update(ANCHOR, cut(own, np.flatnonzero(own.labels == 1)), stored)
    assert not one.decision.passed and "15 more legitimate" in one.decision.reason


def test_repeated_updates_do_not_add_up_to_forgetting() -> None:
    own, order, stored = other_taste(1)
    champion, live, home = None, ANCHOR, {}
    for count in range(60, 160, 25):
        update = small_update(ANCHOR, cut(own, order[:count]), stored, champion=champion)
        if update.decision.passed:
            assert update.patched is not None
            metadata = patch.describe(update.patched, METADATA, update.changes())
            live, home = Version(update.patched.model, metadata), update.decision.world
            learned = np.zeros(count + 25, bool)
            learned[:count] = True
            champion = Champion(live, learned)
        elif champion is not None:
            champion = Champion(live, np.append(champion.learned, np.zeros(25, bool)))
    assert champion is not None
    assert home["candidate"]["auc"] > METADATA["metrics"]["auc"]["value"] - 0.06


def test_corrections_added_to_sixty_images_are_learned() -> None:
    own, order, stored = other_taste(2)
    first = small_update(ANCHOR, cut(own, order[:60]), stored)
    assert first.head is not None
    rest = cut(own, order[60:]).examples(ANCHOR.calibration)
    predicted = first.head.logits(rest.features, rest.logits) >= 0
    wrong = order[60:][predicted != (rest.labels == 1)][:40]
    both = cut(own, np.append(order[:60], wrong))
    both = Part(both.outputs, both.labels, both.units, np.arange(len(both.labels)) >= 60)
    update = small_update(ANCHOR, both, stored)
    assert update.head is not None
    examples = both.examples(ANCHOR.calibration)
    right = (update.head.logits(examples.features, examples.logits) >= 0) == (both.labels == 1)
    assert right[60:].sum() >= 0.75 * len(wrong)


def test_the_evidence_shows_no_gain_if_there_is_none() -> None:
    """For owners with nothing to gain, out-of-fold predictions show almost no gain in AUC."""
    gains = []
    for draw in range(DRAWS):
        own, _, stored = same_taste(draw, 60)
        examples = own.examples(ANCHOR.calibration)
        known = stored.train.examples(ANCHOR.calibration)
        after = evidence.out_of_fold(examples, known)
        gains.append(
            (evidence.auc(own.labels, after.scores) or 0)
            - (evidence.auc(own.labels, examples.logits) or 0)
        )
    assert np.mean(gains) == pytest.approx(0, abs=0.015)
