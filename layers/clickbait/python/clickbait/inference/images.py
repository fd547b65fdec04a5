"""Bytes to checked RGB pixels to the model's input; training and serving both come through here, so
there is no skew.

How each kind of image is taken:

- Format by content (JPEG, PNG, WebP), never by name; every limit is checked from the header, before
any decode.
- EXIF orientation is applied; the reported width and height are those of the upright image.
- Grey, palette and bilevel images become RGB; 16 bits a channel keep their high byte; CMYK is
converted by Pillow's
  formula; ICC profiles are ignored. Transparency is laid over white, as on a page.
- A JPEG that carries further pictures behind the first (a phone's MPO) is its first picture.
Animations are refused.
"""

import hashlib
import io
import struct
import zlib
from dataclasses import dataclass

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
from clickbait.settings import MAX_IMAGE_BYTES

INPUT_SIZE = 224
"""Side of the square that the model sees, in pixels."""

MAX_PIXELS = 25_000_000
"""Most pixels decoded: every phone's 24-megapixel photo passes, a worker of 300 MB survives."""

MAX_WEBP_PIXELS = 10_000_000
"""The same for WebP: Pillow's only decoder of it holds four copies of 4 bytes a pixel, and a file
of 1 KB can have them all."""

JPEG_DRAFT = 336
"""libjpeg may shrink while decoding as long as both sides stay at or above this: 1.5 x INPUT_SIZE
keeps the answers of full decoding and takes a fifth of the time on a 12-megapixel photo."""

NEAR_HASH_ALONE = 4
"""Bits of 64 in which the perceptual hashes of two copies may differ if nothing else is left to
compare: saving an image again changes 0 to 4."""

BAND_ROWS = 256
"""Rows converted at a time when a large image is shrunk: a whole converted copy of MAX_PIXELS would
be 100 MB."""

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
"""What Pillow's decoders raise on bytes that nobody wrote on purpose (seen by mutating valid
files)."""

# Our own limit, lower and checked from the header, replaces Pillow's: that one warns at 89 million
# pixels first.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True, slots=True)
class CheckedImage:
    """An image that passed every check: `rgb` is upright and at least `JPEG_DRAFT` on a side if the
    original was."""

    rgb: Image.Image
    width: int
    height: int
    format: str


def format_of(data: bytes) -> str:
    """JPEG, PNG or WEBP by the first bytes of `data`.

    Raises EmptyImage for no bytes, UnsupportedFormat naming what the bytes look like.
    """
    if not data:
        raise EmptyImage("The image has zero bytes. Send the file's content.", value=0)
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    raise UnsupportedFormat(
        f"The content looks like {_guess(data)}; JPEG, PNG and WebP are supported. "
        "Convert the image first.",
        supported=["image/jpeg", "image/png", "image/webp"],
    )


def _guess(data: bytes) -> str:
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
    return next((name for magic, name in known.items() if data.startswith(magic)), "no image")


def sha256(data: bytes) -> str:
    """The name by which an image's bytes are known everywhere: in answers, the cache and
    manifests."""
    return hashlib.sha256(data).hexdigest()


def read(data: bytes, max_bytes: int = MAX_IMAGE_BYTES) -> CheckedImage:
    """Check and decode one image.

    data: the file's bytes. Returns upright RGB pixels with the original's size and format.
    Raises PayloadTooLarge, EmptyImage, UnsupportedFormat, TooManyPixels, AnimatedImage or
    BrokenImage.
    """
    if len(data) > max_bytes:
        raise PayloadTooLarge(
            f"The image has {len(data):,} bytes; the limit is {max_bytes:,}. "
            "Shrink it or save it as JPEG.",
            limit=max_bytes,
            value=len(data),
        )
    kind = format_of(data)
    if kind == "WEBP":  # Pillow allocates the whole WebP canvas on opening: look before
        _check_pixels(*_webp_size(data), MAX_WEBP_PIXELS)
    try:
        image = Image.open(io.BytesIO(data), formats=(kind,))
        width, height = image.size
        _check_pixels(width, height)
        if kind != "JPEG" and getattr(image, "is_animated", False):
            frames = getattr(image, "n_frames", 2)
            raise AnimatedImage(
                f"The {kind} has {frames} frames; one is supported. Send the frame you mean.",
                limit=1,
                value=frames,
            )
        image.draft(None, (JPEG_DRAFT, JPEG_DRAFT))
        image.load()
        turn = UPRIGHT.get(_orientation(image))
        rgb = _to_rgb(image)
    except DECODER_ERRORS as error:
        raise BrokenImage(
            f"The {kind} does not decode ({_reason(error)}). Save it again, or send another copy."
        ) from error
    if turn is not None:
        rgb = rgb.transpose(turn)
        if turn >= Image.Transpose.ROTATE_90 and turn != Image.Transpose.ROTATE_180:
            width, height = height, width
    return CheckedImage(rgb, width, height, kind)


def model_input(image: CheckedImage) -> npt.NDArray[np.uint8]:
    """The model's view: 224 x 224 x 3, uint8 RGB, stretched to the square with Pillow's bilinear
    filter."""
    side = (INPUT_SIZE, INPUT_SIZE)
    return np.asarray(image.rgb.resize(side, Image.Resampling.BILINEAR))


def perceptual_hash(pixels: npt.NDArray[np.uint8]) -> str:
    """64-bit difference hash as 16 hex digits: is each cell of a 9 x 8 grey image brighter than its
    left neighbour?

    Source: N. Krawetz, "Kind of Like That", 2013.
    """
    grey = np.asarray(
        Image.fromarray(pixels).convert("L").resize((9, 8), Image.Resampling.BOX), np.int16
    )
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes().hex()


def hamming(hashes: npt.NDArray[np.uint64], one: np.uint64) -> npt.NDArray[np.uint8]:
    """Differing bits between each of `hashes` (n,) and `one`."""
    differing: npt.NDArray[np.uint8] = np.bitwise_count(hashes ^ one)
    return differing


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
    """Canvas width and height from a WebP header (RFC 9649, sections 2.5 to 2.7); 0 x 0 where there
    is none."""
    chunk, body = data[12:16], data[20:30]
    if len(body) < 10:
        return 0, 0
    if chunk == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if chunk == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(
            body[8:10], "little"
        ) & 0x3FFF
    return 0, 0


def _orientation(image: ImageFile.ImageFile) -> int:
    """The EXIF orientation, 1 where there is none; damaged EXIF says nothing about the pixels, so
    it is no error."""
    try:
        return int(image.getexif().get(ORIENTATION_TAG, 1))
    except DECODER_ERRORS:
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """RGB of any mode; a large image is shrunk on the way, band by band, to keep one copy of it in
    memory."""
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
    if image.mode.startswith(
        "I"
    ):  # 16-bit grey: Pillow's own conversion would clip all above 255 to white
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _reason(error: BaseException) -> str:
    return str(error).split("\n")[0][:100] or type(error).__name__
