"""Black bars round a picture: YouTube's 4:3 thumbnails, films, and upright videos.

YouTube serves `default`, `hqdefault` and `sddefault` as a 16:9 picture between black bars. With the
bars the shipped model finds 54% of the clickbait among 474 such thumbnails, and 79% without them.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

DARK = 24
"""Luma, 0 to 255, of the brightest pixel of a bar. JPEG leaves noise near its edge."""
BRIGHTER = 0.02
"""Share of a row's pixels that may be brighter: a speck of noise, or a frame's corner."""
LEAST, MOST = 0.04, 0.35
"""Least and most share of a side that one bar takes. Wider, it is a dark picture."""
UNEVEN = 0.01
"""Most difference of two bars, as a share of the side, beside UNEVEN_PIXELS. A bar has 11.25 rows
in a thumbnail of 120 x 90."""
UNEVEN_PIXELS = 2
MIN_SIDE = 48
"""In a smaller picture a bar has one row or none."""


class Bars(NamedTuple):
    """Rows and columns of bars on each side, in pixels."""

    left: int
    top: int
    right: int
    bottom: int


def find(rgb: Image.Image) -> Bars | None:
    """The bars of an RGB image at both ends of its rows or columns, or of both; None without any.

    Two bars are equally thick. Dark pictures keep their dark edges unless both ends are black from
    side to side.
    """
    if min(rgb.size) < MIN_SIDE:
        return None
    rows = _pair(rgb, upright=True)
    columns = _pair(rgb, upright=False)
    if not rows and not columns:
        return None
    top, bottom = rows or (0, 0)
    left, right = columns or (0, 0)
    return Bars(left, top, right, bottom)


def cut(rgb: Image.Image, bars: Bars) -> Image.Image:
    """The picture inside of its bars."""
    return rgb.crop((bars.left, bars.top, rgb.width - bars.right, rgb.height - bars.bottom))


def _pair(rgb: Image.Image, *, upright: bool) -> tuple[int, int] | None:
    """The thickness of the bars above and below or, unless `upright`, left and right."""
    width, height = rgb.size
    side = height if upright else width
    # Nearly every picture ends here: two lines of pixels show that there are no bars.
    ends = (
        [(0, 0, width, 1), (0, height - 1, width, height)]
        if upright
        else [(0, 0, 1, height), (width - 1, 0, width, height)]
    )
    if not all(_is_dark(rgb.crop(end)) for end in ends):
        return None
    luma = np.asarray(rgb.convert("L"))
    lines = luma if upright else luma.T
    most = int(MOST * side)
    before, after = _run(lines[: most + 1]), _run(lines[::-1][: most + 1])
    even = abs(before - after) <= UNEVEN_PIXELS + UNEVEN * side
    if even and min(before, after) >= LEAST * side and max(before, after) <= most:
        return before, after
    return None


def _run(lines: npt.NDArray[np.uint8]) -> int:
    """The number of dark lines before the first that is not."""
    dark = _dark(lines)
    return len(dark) if dark.all() else int(np.argmin(dark))


def _is_dark(line: Image.Image) -> bool:
    """`_dark` of one line, without an array: every picture pays for this."""
    brightness = line.convert("L").histogram()
    return sum(brightness[DARK + 1 :]) <= BRIGHTER * line.width * line.height


def _dark(lines: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which of the lines (n, pixels) are black from end to end."""
    found: npt.NDArray[np.bool_] = (lines > DARK).mean(axis=1) <= BRIGHTER
    return found
