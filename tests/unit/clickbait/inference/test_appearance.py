"""appearance: the figures are the textbook's, within 0.01 of exact arithmetic."""

import numpy as np
import pytest

from clickbait.inference.appearance import APPEARANCE, DIGITS, appearance

RED, GREY, BLACK, WHITE = (255, 0, 0), (128, 128, 128), (0, 0, 0), (255, 255, 255)


def filled(*colours: tuple[int, int, int]) -> np.ndarray:
    """An image with the same number of pixels of each colour."""
    return np.array([[colour] * 3 for colour in colours], np.uint8)


@pytest.mark.parametrize(
    ("pixels", "brightness", "contrast", "saturation", "colourfulness"),
    [
        (filled(GREY), 128, 0, 0, 0),
        (filled(BLACK, WHITE), 127.5, 127.5, 0, 0),
        (filled(BLACK), 0, 0, 0, 0),
        # Luma 0.299 * 255; rg = 255, yb = 127.5, no spread: 0.3 * sqrt(255^2 + 127.5^2).
        (filled(RED), 76.245, 0, 1, 85.5296),
        # Mean luma 76.245 / 2, its sd the same; of rg mean and sd are 127.5, of yb 63.75:
        # 1.3 * sqrt(127.5^2 + 63.75^2).
        (filled(RED, BLACK), 38.1225, 38.1225, 0.5, 185.3141),
    ],
)
def test_the_figures_match_a_computation_by_hand(
    pixels: np.ndarray,
    brightness: float,
    contrast: float,
    saturation: float,
    colourfulness: float,
) -> None:
    found = appearance(pixels)
    assert tuple(found) == APPEARANCE
    assert found == pytest.approx(
        {
            "brightness": brightness,
            "contrast": contrast,
            "saturation": saturation,
            "colourfulness": colourfulness,
        },
        abs=0.01,
    )


def test_the_figures_of_photographs_match_exact_arithmetic() -> None:
    rng = np.random.default_rng(0)
    for scale in (1, 3, 40):
        pixels = rng.integers(0, 256, (224, 224, 3), dtype=np.uint8) // scale
        pixels[:100, :, 1] //= 2
        red, green, blue = np.moveaxis(pixels.astype(np.float64), 2, 0)
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        rg, yb = red - green, (red + green) / 2 - blue
        most, least = pixels.max(axis=2).astype(float), pixels.min(axis=2).astype(float)
        exact = {
            "brightness": luma.mean(),
            "contrast": luma.std(),
            "saturation": ((most - least) / np.maximum(most, 1)).mean(),
            "colourfulness": np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()),
        }
        assert appearance(pixels) == pytest.approx(exact, abs=0.01)


def test_the_figures_are_plain_numbers_that_the_table_accepts() -> None:
    for value in appearance(filled(RED, GREY)).values():
        assert type(value) is float
        assert len(str(value).partition(".")[2]) <= DIGITS
