"""Calibration turns logits into probabilities without overflow, and knows the uncertain band."""

import numpy as np
import pytest

from clickbait.inference import calibration
from clickbait.inference.calibration import Calibration


def test_a_perfect_forecast_has_no_calibration_error_and_a_wrong_one_has_all() -> None:
    labels = np.array([0.0, 1.0, 0.0, 1.0])
    assert calibration.expected_calibration_error(labels, labels) == 0
    assert calibration.expected_calibration_error(1 - labels, labels) == 1


@pytest.mark.parametrize(
    "fields", [{"temperature": 0, "bias": 0}, {"temperature": 1, "bias": "nan"}]
)
def test_an_impossible_calibration_is_refused(fields: dict) -> None:
    with pytest.raises(ValueError, match="positive temperature"):
        Calibration.from_dict(fields)


def test_extreme_logits_do_not_overflow() -> None:
    assert calibration.sigmoid([-1e9, 0, 1e9]).tolist() == pytest.approx([0, 0.5, 1])


def test_a_prediction_is_uncertain_if_its_confidence_is_below_the_promise() -> None:
    assert calibration.uncertain_band(0.75) == (0.25, 0.75)
    with pytest.raises(ValueError, match="promise"):
        calibration.uncertain_band(0.3)
