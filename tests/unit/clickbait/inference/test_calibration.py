"""calibration: probabilities that mean what they say."""

import numpy as np
import pytest

from clickbait.inference import calibration
from clickbait.inference.calibration import Calibration

RNG = np.random.default_rng(7)


def drawn(n: int, temperature: float, bias: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose honest probability is sigmoid(logit / temperature + bias), and labels drawn from
    it.
    """
    logits = RNG.normal(0, 4, n)
    return logits, RNG.random(n) < calibration.sigmoid(logits / temperature + bias)


def test_platt_finds_the_temperature_and_bias_that_made_the_labels() -> None:
    fitted = calibration.fit(*drawn(20_000, 2.5, -0.7))
    assert fitted.method == "platt"
    assert fitted.temperature == pytest.approx(2.5, rel=0.05)
    assert fitted.bias == pytest.approx(-0.7, abs=0.06)


@pytest.mark.parametrize(("n", "method"), [(199, "temperature"), (200, "platt")])
def test_below_200_images_only_the_temperature_is_fitted(n: int, method: str) -> None:
    fitted = calibration.fit(*drawn(n, 2.0, 1.0))
    assert fitted.method == method
    assert (fitted.bias == 0) == (method == "temperature")


def test_below_200_images_the_bias_of_the_start_is_kept_and_the_temperature_fitted_around_it() -> (
    None
):
    start = Calibration(1.0, 0.8, "platt")
    made = [calibration.fit(*drawn(199, 2.5, 0.8), start) for _ in range(50)]
    assert {(c.bias, c.method) for c in made} == {(0.8, "temperature")}
    assert np.median([c.temperature for c in made]) == pytest.approx(2.5, rel=0.1)


def test_from_200_images_on_the_start_does_not_matter() -> None:
    logits, labels = drawn(300, 2.0, 0.5)
    start = Calibration(9.0, -3.0, "platt")
    assert calibration.fit(logits, labels, start) == calibration.fit(logits, labels)


@pytest.mark.parametrize("labels", [np.zeros(50), np.ones(50), np.zeros(0)])
def test_what_cannot_be_calibrated_keeps_the_start(labels: np.ndarray) -> None:
    start = Calibration(1.5, 0.2, "platt")
    assert calibration.fit(RNG.normal(0, 1, len(labels)), labels, start) == start
    logits, both = drawn(150, 1.0, 0.0)
    assert calibration.fit(-logits, both, start) == start


def test_calibration_lowers_the_expected_calibration_error() -> None:
    logits, labels = drawn(4_000, 3.0, 0.5)
    before = calibration.expected_calibration_error(calibration.sigmoid(logits), labels)
    after = calibration.expected_calibration_error(
        calibration.fit(logits, labels).apply(logits), labels
    )
    assert after < 0.03 < before


@pytest.mark.parametrize("labels", [np.zeros(50), np.ones(50)])
def test_one_class_is_not_calibrated_at_all(labels: np.ndarray) -> None:
    assert calibration.fit(RNG.normal(0, 1, 50), labels) == Calibration()


def test_logits_that_rank_backwards_are_not_turned_round() -> None:
    logits, labels = drawn(500, 1.0, 0.0)
    assert calibration.fit(-logits, labels) == Calibration()


def test_separated_classes_still_get_a_finite_temperature() -> None:
    fitted = calibration.fit(np.r_[-np.ones(20), np.ones(20)], np.r_[np.zeros(20), np.ones(20)])
    assert 0 < fitted.temperature < np.inf


def test_hardly_spread_logits_do_not_get_a_temperature_that_blows_rounding_up() -> None:
    fitted = calibration.fit(
        np.r_[-np.ones(20), np.ones(20)] / 1e4, np.r_[np.zeros(20), np.ones(20)]
    )
    assert fitted.temperature == calibration.MIN_TEMPERATURE


def test_a_perfect_forecast_has_no_calibration_error_and_a_wrong_one_has_all() -> None:
    labels = np.array([0.0, 1.0, 0.0, 1.0])
    assert calibration.expected_calibration_error(labels, labels) == 0
    assert calibration.expected_calibration_error(1 - labels, labels) == 1


@pytest.mark.parametrize(
    "fields", [{"temperature": 0, "bias": 0}, {"temperature": 1, "bias": "nan"}]
)
def test_a_calibration_that_cannot_be_is_refused(fields: dict) -> None:
    with pytest.raises(ValueError, match="positive temperature"):
        Calibration.from_dict(fields)


def test_extreme_logits_do_not_overflow() -> None:
    assert calibration.sigmoid([-1e9, 0, 1e9]).tolist() == pytest.approx([0, 0.5, 1])


def test_the_uncertain_band_is_where_confidence_is_below_the_promise() -> None:
    assert calibration.uncertain_band(0.75) == (0.25, 0.75)
    with pytest.raises(ValueError, match="promise"):
        calibration.uncertain_band(0.3)
