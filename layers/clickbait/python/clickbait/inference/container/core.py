"""The result of reading a container, its limits, and the problems that all formats share."""

from typing import NamedTuple

from clickbait.errors import AnimatedImage, BrokenImage, TooComplex, TooManyPixels

MAX_PIXELS = 25_000_000
"""The most pixels decoded. A 24-megapixel phone photo passes, and a worker of 300 MB survives."""

MAX_SIDE = 30_000
"""The most pixels of a side. Decoders have a cost for each row; the longest screenshots have 20,000
rows."""

MAX_PARTS = 10_000
"""The most segments or chunks of a file. A PNG of 4 MiB has 512 of the usual 8 KB."""


class Core(NamedTuple):
    """One picture without its surroundings."""

    data: bytes
    """A file of the same format with the parts that decide the pixels."""
    width: int
    height: int
    orientation: int = 1
    """Of EXIF alone: browsers read it nowhere else."""
    depth: int = 8
    """Bits of a PNG's channel."""
    key: tuple[int, ...] | None = None
    """The colour of a PNG's transparent pixels, in `depth` bits: one number if it is grey."""
    last: tuple[int, int] | None = None
    """The pixel of a PNG that its decoder writes last, by column and row."""
    endings: tuple[bytes, ...] = (b"",)
    """Ends of `data`. A picture with several is whole if all of them give the same pixels."""


def broken(title: str, *, ends_early: bool = False) -> BrokenImage:
    """The problem of a damaged image. Pillow's own messages differ between identical files."""
    if ends_early:
        return BrokenImage(f"The {title} ends early. Send the whole file.")
    return BrokenImage(f"The {title} is damaged. Save it again, or send another copy.")


def check_pixels(width: int, height: int, limit: int = MAX_PIXELS) -> None:
    """Raises TooManyPixels above `limit` or MAX_SIDE, and BrokenImage for a side of 0."""
    if width < 1 or height < 1:
        raise BrokenImage(f"The header says {width} x {height} pixels. Save the image again.")
    instead = "Shrink it." if limit == MAX_PIXELS else "Shrink it, or save it as JPEG."
    if width * height > limit:
        raise TooManyPixels(
            f"The image has {width} x {height} = {width * height:,} pixels; "
            f"the limit is {limit:,}. {instead}",
            limit=limit,
            value=width * height,
        )
    if max(width, height) > MAX_SIDE:
        raise TooManyPixels(
            f"The image has {width} x {height} pixels; the limit for a side is {MAX_SIDE:,}. "
            "Shrink it, or cut it into parts.",
            limit=MAX_SIDE,
            value=max(width, height),
        )


def check_count(title: str, parts: str, value: int, limit: int = MAX_PARTS) -> None:
    """Raises TooComplex if a file has more than `limit` of its `parts`."""
    if value > limit:
        raise TooComplex(
            f"The {title} has {value:,} {parts}; the limit is {limit:,}. "
            "Save it again in an image editor.",
            limit=limit,
            value=value,
        )


def check_frames(title: str, frames: int) -> None:
    """Raises AnimatedImage if a file has more than one frame."""
    if frames > 1:
        raise AnimatedImage(
            f"The {title} has {frames} frames; one is supported. Send a single frame.",
            limit=1,
            value=frames,
        )
