"""The appearance of an image in four numbers: brightness, contrast, saturation, colourfulness."""

import numpy as np
import numpy.typing as npt

APPEARANCE = ("brightness", "contrast", "saturation", "colourfulness")
"""The names of the numbers, in the table and in the API."""

DIGITS = 4
"""Decimals that are kept. Saving an image as JPEG once more changes more than this."""


def appearance(pixels: npt.NDArray[np.uint8]) -> dict[str, float]:
    """The APPEARANCE of an image, (height, width, 3) uint8 RGB, at the model's input size.

    brightness: mean luma (ITU-R BT.601), 0 to 255. contrast: its standard deviation, 0 to 127.5.
    saturation: mean S of HSV, 0 to 1; black counts as 0. colourfulness: Hasler and Suesstrunk,
    "Measuring colourfulness in natural images", 2003, equation 6 (M3). All are within 0.01 of
    exact arithmetic. float32 takes a tenth of the time, and every prediction computes them.
    """
    red, green, blue = (
        np.ascontiguousarray(pixels[..., channel]).astype(np.float32) for channel in range(3)
    )
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    red_green, yellow_blue = red - green, 0.5 * (red + green) - blue
    most = np.maximum(np.maximum(red, green), blue)
    least = np.minimum(np.minimum(red, green), blue)
    spread = np.hypot(red_green.std(), yellow_blue.std())
    centre = np.hypot(red_green.mean(), yellow_blue.mean())
    numbers = (
        luma.mean(),
        luma.std(),
        ((most - least) / np.maximum(most, 1)).mean(),
        spread + 0.3 * centre,
    )
    return {
        name: round(float(value), DIGITS) for name, value in zip(APPEARANCE, numbers, strict=True)
    }
