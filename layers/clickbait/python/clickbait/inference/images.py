"""From bytes to checked RGB pixels to the model's input, the same in training and in serving.

- The content decides the format, never the file name. Every limit is checked from the header,
  before anything is decoded.
- EXIF orientation is applied; the reported width and height are those of the upright image.
- Grey, palette and bilevel images are converted to RGB. Channels of 16 bits keep their high byte.
  CMYK is converted by Pillow's formula. ICC profiles are ignored.
- Transparent pixels are drawn over white, as on a page.
- Black bars at both ends are cut off (`inference.bars`); the reported size includes them.
- From a JPEG with several pictures (a phone's MPO), the first is used. Animations are refused.
"""

import hashlib
import io
import struct
import zlib
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from clickbait.errors import (
    AnimatedImage,
    BrokenImage,
    EmptyImage,
    PayloadTooLarge,
    TooManyPixels,
    UnsupportedFormat,
)
from clickbait.inference import bars
from clickbait.inference.bars import Bars
from clickbait.settings import MAX_IMAGE_BYTES


class Format(NamedTuple):
    """One accepted image format."""

    title: str
    """The name that people read."""
    media_type: str
    extensions: tuple[str, ...]
    """Endings of file names, in lower case. New files get the first one."""
    magic: dict[int, bytes]
    """The bytes that identify the format, by their offset in the file."""


FORMATS = {
    "JPEG": Format("JPEG", "image/jpeg", ("jpg", "jpeg"), {0: b"\xff\xd8\xff"}),
    "PNG": Format("PNG", "image/png", ("png",), {0: b"\x89PNG\r\n\x1a\n"}),
    "WEBP": Format("WebP", "image/webp", ("webp",), {0: b"RIFF", 8: b"WEBP"}),
}
"""Every accepted format, by Pillow's name. To accept another one, add it here."""

MEDIA_TYPES = {each.media_type: each for each in FORMATS.values()}

if TYPE_CHECKING:  # A type checker cannot read the table.
    FormatName = str
    MediaType = str
else:
    FormatName = Literal[tuple(FORMATS)]
    MediaType = Literal[tuple(MEDIA_TYPES)]

INPUT_SIZE = 224
"""Side of the square that a model sees, in pixels, unless its metadata has another."""

MAX_PIXELS = 25_000_000
"""The most pixels decoded. A 24-megapixel phone photo passes, and a worker of 300 MB survives."""

MAX_WEBP_PIXELS = 10_000_000
"""The most pixels of a WebP. Pillow's decoder holds four copies at 4 bytes per pixel, and a file of
1 KB can announce that many pixels."""

JPEG_DRAFT = 336
"""The smallest side, in pixels, to which libjpeg may shrink an image while decoding it. 1.5 x
INPUT_SIZE keeps the predictions, and decodes a 12-megapixel photo in a fifth of the time."""

NEAR_HASH_ALONE = 4
"""The most bits, of 64, in which the perceptual hashes of two copies may differ if nothing else can
be compared. Saving an image again changes 0 to 4 bits."""

BAND_ROWS = 256
"""Rows converted at a time when a large image is shrunk. Converting MAX_PIXELS at once would take
100 MB."""

ORIENTATION_TAG = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to the transposition that undoes it (CIPA DC-008, table 6)."""

DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    LookupError,
    EOFError,
    struct.error,
    zlib.error,
)
"""The exceptions that Pillow's decoders raise on damaged files, found by mutating valid ones."""

# MAX_PIXELS replaces Pillow's own limit, which only warns at 89 million pixels.
Image.MAX_IMAGE_PIXELS = None


class CheckedImage(NamedTuple):
    """An image that passed every check.

    `rgb` is upright and without bars. With them, its sides would be at least JPEG_DRAFT if those of
    the original were. `format` is a key of FORMATS. `trimmed` is what was cut off, in pixels of the
    upright original; None without bars.
    """

    rgb: Image.Image
    width: int
    height: int
    format: str
    trimmed: Bars | None = None


def format_of(data: bytes) -> str:
    """The key of FORMATS for `data`, by its first bytes.

    Raises EmptyImage, or UnsupportedFormat naming the format that the bytes seem to have.
    """
    if not data:
        raise EmptyImage("The image has zero bytes. Send the file's content.", value=0)
    for name, each in FORMATS.items():
        if all(data.startswith(part, offset) for offset, part in each.magic.items()):
            return name
    guess = _guess(data)
    finding = f"looks like {guess}" if guess else "is not an image"
    *titles, last = (each.title for each in FORMATS.values())
    raise UnsupportedFormat(
        f"The content {finding}; {', '.join(titles)} and {last} are supported. "
        "Convert the image first.",
        supported=list(MEDIA_TYPES),
    )


def _guess(data: bytes) -> str:
    """The kind of file that `data` seems to be; empty if it is unknown."""
    known = {
        b"GIF8": "a GIF",
        b"BM": "a BMP",
        b"II*\x00": "a TIFF",
        b"MM\x00*": "a TIFF",
        b"%PDF": "a PDF",
        b"PK\x03\x04": "a ZIP archive",
        b"<svg": "an SVG",
        b"<?xml": "XML",
        b"<!DOCTYPE": "HTML",
        b"<html": "HTML",
    }
    if data[4:8] == b"ftyp":
        return "a HEIC, AVIF or MP4 file"
    return next((name for magic, name in known.items() if data.startswith(magic)), "")


def sha256(data: bytes) -> str:
    """The identity of an image's bytes, in predictions, the cache and manifests."""
    return hashlib.sha256(data).hexdigest()


def read(data: bytes, max_bytes: int = MAX_IMAGE_BYTES) -> CheckedImage:
    """Check and decode one image.

    data: the file's bytes. Returns upright RGB pixels with the original's size and format.
    Raises PayloadTooLarge, EmptyImage, UnsupportedFormat, TooManyPixels, AnimatedImage or
    BrokenImage.
    """
    check_bytes(len(data), max_bytes)
    kind = format_of(data)
    if kind == "WEBP":  # Pillow allocates the whole canvas when it opens a WebP.
        _check_pixels(*_webp_size(data), MAX_WEBP_PIXELS)
    try:
        image = Image.open(io.BytesIO(data), formats=(kind,))
        width, height = image.size
        _check_pixels(width, height)
        if kind != "JPEG" and getattr(image, "is_animated", False):
            frames = getattr(image, "n_frames", 2)
            raise AnimatedImage(
                f"The {FORMATS[kind].title} has {frames} frames; one is supported. "
                "Send a single frame.",
                limit=1,
                value=frames,
            )
        image.draft(None, (JPEG_DRAFT, JPEG_DRAFT))
        image.load()
        turn = UPRIGHT.get(_orientation(image))
        rgb = _to_rgb(image)
    except DECODER_ERRORS as error:
        raise _broken(kind, ends_early="truncated" in str(error).lower()) from error
    if turn is not None:
        rgb = rgb.transpose(turn)
        if turn >= Image.Transpose.ROTATE_90 and turn != Image.Transpose.ROTATE_180:
            width, height = height, width
    found = bars.find(rgb)
    if found is None:
        return CheckedImage(rgb, width, height, kind)
    scale = (width / rgb.width, height / rgb.height)
    trimmed = Bars(*(round(pixels * scale[i % 2]) for i, pixels in enumerate(found)))
    return CheckedImage(bars.cut(rgb, found), width, height, kind, trimmed)


def model_input(image: CheckedImage, size: int = INPUT_SIZE) -> npt.NDArray[np.uint8]:
    """The input of a model of that size, (size, size, 3) uint8 RGB: stretched to a square by
    Pillow's bilinear filter."""
    return np.asarray(image.rgb.resize((size, size), Image.Resampling.BILINEAR))


def perceptual_hash(pixels: npt.NDArray[np.uint8]) -> str:
    """64-bit difference hash of `pixels`, (height, width, 3) uint8 RGB, as 16 hex digits.

    Each bit says whether a cell of a 9 x 8 grey image is brighter than its left neighbour.
    Source: N. Krawetz, "Kind of Like That", 2013.
    """
    grey = np.asarray(
        Image.fromarray(pixels).convert("L").resize((9, 8), Image.Resampling.BOX), np.int16
    )
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes().hex()


def hamming(
    hashes: npt.NDArray[np.uint64], others: npt.NDArray[np.uint64] | np.uint64
) -> npt.NDArray[np.uint8]:
    """The number of bits in which each of `hashes`, (n,), differs from `others`: one, or (n,)."""
    differing: npt.NDArray[np.uint8] = np.bitwise_count(hashes ^ others)
    return differing


def check_bytes(size: int, limit: int) -> None:
    """Raises PayloadTooLarge if an image of `size` bytes has more than `limit`."""
    if size > limit:
        raise PayloadTooLarge(
            f"The image has {size:,} bytes; the limit is {limit:,}. Shrink it or save it as JPEG.",
            limit=limit,
            value=size,
        )


def _check_pixels(width: int, height: int, limit: int = MAX_PIXELS) -> None:
    if width < 1 or height < 1:
        raise BrokenImage(f"The header says {width} x {height} pixels. Save the image again.")
    if width * height > limit:
        instead = "Shrink it." if limit == MAX_PIXELS else "Shrink it, or save it as JPEG."
        raise TooManyPixels(
            f"The image has {width} x {height} = {width * height:,} pixels; "
            f"the limit is {limit:,}. {instead}",
            limit=limit,
            value=width * height,
        )


def _webp_size(data: bytes) -> tuple[int, int]:
    """Canvas width and height from a WebP header (RFC 9649, sections 2.5 to 2.7).

    Raises BrokenImage if the header is damaged.
    """
    chunk, body = data[12:16], data[20:30]
    if len(body) < 10:
        raise _broken("WEBP", ends_early=True)
    if chunk == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if chunk == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        width, height = (int.from_bytes(body[i : i + 2], "little") for i in (6, 8))
        return width & 0x3FFF, height & 0x3FFF
    raise _broken("WEBP")


def _orientation(image: ImageFile.ImageFile) -> int:
    """The EXIF orientation, by default 1. Damaged EXIF is no error, as the pixels may be fine."""
    try:
        return int(image.getexif().get(ORIENTATION_TAG, 1))
    except DECODER_ERRORS:
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """`image` as RGB. A large one is shrunk band by band, so that memory holds one copy of it."""
    factor = min(image.width // (2 * JPEG_DRAFT), image.height // (2 * JPEG_DRAFT))
    if factor < 2:
        return _band_to_rgb(image)
    small = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)))
    rows = BAND_ROWS // factor * factor or factor
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        small.paste(_band_to_rgb(band).reduce(factor), (0, top // factor))
    return small


def _band_to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):  # 16-bit grey: Pillow would clip values above 255 to white.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _broken(kind: str, ends_early: bool = False) -> BrokenImage:
    """The problem of a damaged image. Pillow's own messages differ between identical files."""
    if ends_early:
        return BrokenImage(f"The {FORMATS[kind].title} ends early. Send the whole file.")
    return BrokenImage(
        f"The {FORMATS[kind].title} is damaged. Save it again, or send another copy."
    )
