"""A fitted calibration finds what made the labels, and never makes wild guesses."""

import numpy as np
import pytest

from clickbait.inference.calibration import Calibration, expected_calibration_error, sigmoid
from training.calibrate import MIN_TEMPERATURE, Collection, fit, honest, strangers
from training.version import BASELINE

RNG = np.random.default_rng(7)


def drawn(n: int, temperature: float, bias: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose true probability is sigmoid(logit / temperature + bias), and labels drawn from
    it."""
    logits = RNG.normal(0, 4, n)
    return logits, RNG.random(n) < sigmoid(logits / temperature + bias)


def test_platt_finds_the_temperature_and_bias_that_made_the_labels() -> None:
    fitted = fit(*drawn(20_000, 2.5, -0.7))
    assert fitted.method == "platt"
    assert fitted.temperature == pytest.approx(2.5, rel=0.05)
    assert fitted.bias == pytest.approx(-0.7, abs=0.06)


@pytest.mark.parametrize(("n", "part"), [(8, 0.35), (100, 0.75), (2_000, 0.98)])
def test_the_more_images_the_further_the_bias_leaves_that_of_the_start(n: int, part: float) -> None:
    start = Calibration(1.0, 0.8, "platt")
    fitted = [fit(*drawn(n, 2.5, -0.7), start) for _ in range(40)]
    moved = np.median([(0.8 - c.bias) / 1.5 for c in fitted])
    assert moved == pytest.approx(part, abs=0.15)


def test_a_right_start_stays_and_only_the_temperature_is_fitted_around_it() -> None:
    start = Calibration(1.0, 0.8, "platt")
    fitted = [fit(*drawn(100, 2.5, 0.8), start) for _ in range(50)]
    assert np.median([c.bias for c in fitted]) == pytest.approx(0.8, abs=0.1)
    assert np.std([c.bias for c in fitted]) < np.std(
        [fit(*drawn(100, 2.5, 0.8)).bias for _ in fitted]
    )
    assert np.median([c.temperature for c in fitted]) == pytest.approx(2.5, rel=0.15)


@pytest.mark.parametrize("labels", [np.zeros(50), np.ones(50), np.zeros(0)])
def test_what_cannot_be_calibrated_keeps_the_start(labels: np.ndarray) -> None:
    start = Calibration(1.5, 0.2, "platt")
    assert fit(RNG.normal(0, 1, len(labels)), labels, start) == start
    logits, both = drawn(150, 1.0, 0.0)
    assert fit(-logits, both, start) == start


def test_calibration_lowers_the_expected_calibration_error() -> None:
    logits, labels = drawn(4_000, 3.0, 0.5)
    before = expected_calibration_error(sigmoid(logits), labels)
    after = expected_calibration_error(fit(logits, labels).apply(logits), labels)
    assert after < 0.03 < before


@pytest.mark.parametrize("labels", [np.zeros(50), np.ones(50)])
def test_one_class_is_not_calibrated_at_all(labels: np.ndarray) -> None:
    assert fit(RNG.normal(0, 1, 50), labels) == Calibration()


def test_logits_that_rank_backwards_are_not_turned_round() -> None:
    logits, labels = drawn(500, 1.0, 0.0)
    assert fit(-logits, labels) == Calibration()


def test_separated_classes_still_get_a_finite_temperature() -> None:
    fitted = fit(np.r_[-np.ones(20), np.ones(20)], np.r_[np.zeros(20), np.ones(20)])
    assert 0 < fitted.temperature < np.inf


def test_hardly_spread_logits_do_not_get_a_temperature_that_blows_rounding_up() -> None:
    fitted = fit(np.r_[-np.ones(20), np.ones(20)] / 1e4, np.r_[np.zeros(20), np.ones(20)])
    assert fitted.temperature == MIN_TEMPERATURE


def test_new_collections_that_contradict_make_the_model_less_sure_and_not_biased() -> None:
    """One has more clickbait than its logits say and one has less: only the slope should follow."""
    logits, labels = drawn(4_000, 1.0, 0.0)
    home = fit(logits, labels)
    z, more = drawn(4_000, 2.5, 1.0)
    other, less = drawn(4_000, 2.5, -1.0)
    elsewhere = [Collection(z, more.astype(float)), Collection(other, less.astype(float))]
    widened = honest(logits, labels, elsewhere)
    assert home.temperature * 1.2 < widened.temperature < 2.5
    assert widened.bias == pytest.approx(0.0, abs=0.1)
    assert honest(logits, labels, elsewhere, 0.95).temperature > widened.temperature
    assert honest(logits, labels, elsewhere, 0.0).temperature == pytest.approx(
        home.temperature, rel=0.01
    )
    assert honest(logits, labels, []) == home


def test_the_kept_logits_of_new_collections_say_that_the_model_is_too_sure_there() -> None:
    found = strangers(BASELINE.parent / "students" / "loso.npz")
    assert [len(one.logits) for one in found] == [435, 1893]
    for one in found:
        assert fit(one.logits, one.labels).temperature > 1.1
