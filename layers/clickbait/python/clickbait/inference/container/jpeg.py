"""JPEG (ITU T.81): segments before the first scan, then scans up to the end marker."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from clickbait.errors import TooComplex, UnsupportedFormat
from clickbait.inference.container import exif
from clickbait.inference.container.core import (
    MAX_PARTS,
    Core,
    broken,
    check_count,
    check_pixels,
)

TITLE = "JPEG"

MAX_SCANS = 100
"""The most scans. A progressive JPEG has 10, and 42 bytes are enough for one more."""

MAX_STEPS = 500_000_000
"""The most coefficients that all scans may visit: a second of one core. The usual scans of a
progressive JPEG visit each sample four times, a photo of 24 megapixels 290 million."""

STEPS_PER_BLOCK = 16
"""Cost of a scan for each block of 64 coefficients, beside them, in coefficients."""

MAX_COEFFICIENTS = 85_000_000
"""The most coefficients that a decoder keeps, at 2 bytes each, until the last scan. A progressive
photo of 25 megapixels without subsampling has 75 million."""

# The parser asks for a marker that a decoder acts on: no filling, no restart, no escaped byte.
MARKER = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")
SOI, EOI, SOS = b"\xff\xd8", b"\xff\xd9", b"\xff\xda"
_IS_MARKER = np.array([bool(MARKER.match(bytes([0xFF, value]))) for value in range(256)])
END, SCAN, TABLES = 0xD9, 0xDA, {0xC4, 0xDB, 0xDD}
FRAMES = {0xC0, 0xC1, 0xC2}
PROGRESSIVE = 0xC2
ODD_FRAMES = {
    **dict.fromkeys((0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xCC), "arithmetic coding"),
    **dict.fromkeys((0xC3, 0xC7), "lossless coding"),
    **dict.fromkeys((0xC5, 0xC6, 0xC8, 0xDE, 0xDF), "hierarchical coding"),
}

PADDINGS = (b"\0" * 64 + EOI, b"\x55" * 64 + EOI)
"""Two ends for a file without an end marker. Missing pixels would be made of the padding, and
differ."""


class Frame(NamedTuple):
    """The fields of a frame header."""

    width: int
    height: int
    blocks: dict[int, int]
    """Blocks of 8 x 8 samples of each component, by its identifier."""
    progressive: bool


class Scan(NamedTuple):
    """The fields of a scan header: component identifiers, and the coefficients that it refines."""

    components: tuple[int, ...]
    first: int
    last: int
    low_bit: int


def core(data: bytes) -> Core:
    """The picture of a JPEG file, which ends at its own end marker.

    Raises BrokenImage, UnsupportedFormat, TooManyPixels or TooComplex.
    """
    kept, orientation, frame = [SOI], 0, None
    at = 2
    for _ in range(MAX_PARTS):
        start, at = _segment(data, at)
        marker, body = data[start + 1], data[start + 4 : at]
        if marker in ODD_FRAMES:
            raise _unsupported(ODD_FRAMES[marker])
        if marker in FRAMES:
            if frame is not None:
                raise broken(TITLE)
            frame = _frame(body, progressive=marker == PROGRESSIVE)
        if marker == 0xE1 and not orientation and body.startswith(exif.PREFIX):
            orientation = exif.orientation(body)
        if marker == SCAN:
            break
        if marker in TABLES | FRAMES or _decides_colours(marker, body):
            kept.append(data[start:at])
    else:
        check_count(TITLE, "segments", MAX_PARTS + 1)
    if frame is None:
        raise broken(TITLE)
    end, more_scans = _end(data, at)
    check_count(TITLE, "scans", 1 + more_scans, MAX_SCANS)
    pixels = data[start:end].rstrip(b"\xff") if end is None else data[start:end]
    scans = list(_scans(pixels, frame)) if more_scans else [_scan(pixels, 0, frame)]
    _check_steps(scans, frame)
    endings: tuple[bytes, ...] = (b"",)
    if end is None:
        if not _covered(scans, frame):
            raise broken(TITLE, ends_early=True)
        endings = PADDINGS
    kept.append(pixels)
    return Core(b"".join(kept), frame.width, frame.height, orientation or 1, endings=endings)


def _segment(data: bytes, at: int) -> tuple[int, int]:
    """Start and end of the next segment from `at` on. Bytes between segments are skipped."""
    match = MARKER.search(data, at)
    if match is None:
        raise broken(TITLE, ends_early=True)
    start = match.start()
    length = int.from_bytes(data[start + 2 : start + 4])
    end = start + 2 + length
    if end > len(data) or start + 4 > len(data):
        raise broken(TITLE, ends_early=True)
    if length < 2 or data[start + 1] == END:
        raise broken(TITLE)
    return start, end


def _decides_colours(marker: int, body: bytes) -> bool:
    """Whether a decoder chooses the colour space by this segment. A shorter one is ignored."""
    return (marker == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 14) or (
        marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12
    )


def _frame(body: bytes, *, progressive: bool) -> Frame:
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise broken(TITLE)
    bits, components = body[0], body[5]
    height, width = int.from_bytes(body[1:3]), int.from_bytes(body[3:5])
    if bits != 8:
        raise _unsupported(f"{bits} bits a sample")
    if components not in (1, 3, 4):
        raise _unsupported(f"{components} components")
    check_pixels(width, height)
    parts = [body[at : at + 3] for at in range(6, 6 + 3 * components, 3)]
    factors = {part[0]: (part[1] >> 4, part[1] & 15) for part in parts}
    most = [max(factor[axis] for factor in factors.values()) for axis in (0, 1)]
    if not all(1 <= factor <= 4 for pair in factors.values() for factor in pair):
        raise broken(TITLE)
    blocks = {
        name: -(-width * pair[0] // (8 * most[0])) * -(-height * pair[1] // (8 * most[1]))
        for name, pair in factors.items()
    }
    return Frame(width, height, blocks, progressive)


def _markers(data: bytes, at: int) -> npt.NDArray[np.intp]:
    """Where a decoder could find a marker from `at` on: a tenth of the time of a search."""
    values = np.frombuffer(data, np.uint8, offset=at)
    starts = np.flatnonzero(values[:-1] == 0xFF)
    found: npt.NDArray[np.intp] = starts[_IS_MARKER[values[starts + 1]]] + at
    return found


def _end(data: bytes, at: int) -> tuple[int | None, int]:
    """The end of the picture whose first scan's pixels begin at `at`, None without an end marker;
    and the most scans that a decoder can find after the first.

    Raises TooComplex if there are too many segments.
    """
    markers = _markers(data, at)
    values = np.frombuffer(data, np.uint8)
    for _ in range(MAX_PARTS):
        place = int(np.searchsorted(markers, at))
        if place == len(markers):
            return None, int((values[markers + 1] == SCAN).sum())
        start = int(markers[place])
        if data[start + 1] == END:
            return start + 2, int((values[markers[:place] + 1] == SCAN).sum())
        at = start + 2 + int.from_bytes(data[start + 2 : start + 4])
    check_count(TITLE, "segments", MAX_PARTS + 1)
    return None, 0


def _check_steps(scans: list[Scan], frame: Frame) -> None:
    """Raises TooComplex if a decoder would take long with the scans, or much memory.

    Every pair of bytes that a decoder could take for a scan counts, whatever stands round it: a
    decoder that loses its way in a damaged file looks for the next marker.
    """
    steps = sum(
        frame.blocks.get(name, 0) * (scan.last - scan.first + 1 + STEPS_PER_BLOCK)
        for scan in scans
        for name in scan.components
    )
    check_count(TITLE, "coefficients to read in all of its scans", steps, MAX_STEPS)
    kept = 64 * sum(frame.blocks.values()) if len(scans) > 1 or frame.progressive else 0
    if kept > MAX_COEFFICIENTS:
        raise TooComplex(
            f"The JPEG has several scans and {kept:,} coefficients, which a decoder keeps all at "
            f"once; the limit is {MAX_COEFFICIENTS:,}. Shrink it, or save it without "
            '"progressive".',
            limit=MAX_COEFFICIENTS,
            value=kept,
        )


def _scans(pixels: bytes, frame: Frame) -> Iterator[Scan]:
    at = 0
    while at >= 0:
        yield _scan(pixels, at, frame)
        at = pixels.find(SOS, at + 2)


def _scan(pixels: bytes, at: int, frame: Frame) -> Scan:
    """The scan whose marker stands at `at`. Its header may be damaged: then it counts as whole."""
    count = pixels[at + 4] if at + 4 < len(pixels) else 0
    names = tuple(pixels[at + 5 : at + 5 + 2 * count : 2][:4])
    choice = pixels[at + 5 + 2 * count : at + 8 + 2 * count]
    if frame.progressive and len(choice) == 3:
        first, last = min(choice[0], 63), min(choice[1], 63)
        return Scan(names, first, max(first, last), choice[2] & 15)
    return Scan(names, 0, 63, 0)


def _covered(scans: list[Scan], frame: Frame) -> bool:
    """Whether the scans give every coefficient of every component down to its last bit."""
    given = {
        (name, place)
        for scan in scans
        if scan.low_bit == 0
        for name in scan.components
        for place in range(scan.first, scan.last + 1)
    }
    return all((name, place) in given for name in frame.blocks for place in range(64))


def _unsupported(finding: str) -> UnsupportedFormat:
    return UnsupportedFormat(
        f"The JPEG has {finding}, which browsers do not show either. Save it as a usual JPEG: "
        "baseline or progressive, 8 bits a sample."
    )
