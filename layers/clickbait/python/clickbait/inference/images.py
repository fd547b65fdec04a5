"""From bytes to checked RGB pixels to the model's input, the same in training and in serving.

- The content decides the format, never the file name. Every limit is checked from the headers,
  before anything is decoded (`inference.container`): pixels, and the steps of a decoder.
- The decoder gets the parts of a file that decide its pixels, and nothing else.
- The orientation of EXIF is applied, and no other; the reported width and height are those of the
  upright image.
- Grey, palette and bilevel images are converted to RGB. Channels of 16 bits keep their high byte.
  CMYK is converted by Pillow's formula. ICC profiles and gamma are ignored.
- Transparent pixels and those of a PNG's key colour are drawn over white, as on a page.
- Black bars at both ends are cut off (`inference.bars`); the reported size includes them.
- From a JPEG with several pictures (a phone's MPO), the first is used. Animations are refused.
"""

import hashlib
import io
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from clickbait.errors import EmptyImage, PayloadTooLarge, TooComplex, UnsupportedFormat
from clickbait.inference import bars
from clickbait.inference.bars import Bars
from clickbait.inference.container import jpeg, png, unknown, webp
from clickbait.inference.container.core import Core, broken
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

JPEG_DRAFT = 336
"""The smallest side, in pixels, to which libjpeg may shrink an image while decoding it. 1.5 x
INPUT_SIZE keeps the predictions, and decodes a 12-megapixel photo in a fifth of the time."""

HEAD_SEARCHED = 4_096
"""Bytes in which an image behind other bytes is looked for, to say so."""

MAX_SECONDS = 1.5
"""The most time that a decoder may take of one processor. Usual photos take a tenth of it. Counting
refuses nearly every file that would take longer; this is for those that nobody thought of."""

NEAR_HASH_ALONE = 4
"""The most bits, of 64, in which the perceptual hashes of two copies may differ if nothing else can
be compared. Saving an image again changes 0 to 4 bits."""

BAND_PIXELS = 1_000_000
"""Pixels converted at a time. Converting 25 million at once would take 300 MB."""

MOST_PIXELS_KEPT = 4_000_000
"""Above it, the longer side is shrunk more than the shorter one: the model sees a square anyway. A
16:9 image never has more, as both of its sides are shrunk to less than 4 x JPEG_DRAFT."""

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

CORES = {"JPEG": jpeg.core, "PNG": png.core, "WEBP": webp.core}

# The container's limit replaces Pillow's own, which only warns at 89 million pixels.
Image.MAX_IMAGE_PIXELS = None


Mask = npt.NDArray[np.bool_]
WHITE = 255
MARK = 0x5B
"""The level of a pixel that is not decoded yet: rarely that of a picture's corner."""


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
    found = unknown.named(data)
    *titles, last = (each.title for each in FORMATS.values())
    supported = f"{', '.join(titles)} and {last} are supported."
    if found is None:
        finding, advice = "The content is not an image", unknown.CONVERT
        if any(data.find(part, 1, HEAD_SEARCHED) > 0 for part in (b"\xff\xd8\xff", png.SIGNATURE)):
            finding = "The content does not begin with an image, although one follows later"
            advice = "Send the image's own bytes."
    else:
        finding, advice = f"The content looks like {found.kind}", found.advice
    raise UnsupportedFormat(f"{finding}; {supported} {advice}", supported=list(MEDIA_TYPES))


def sha256(data: bytes) -> str:
    """The identity of an image's bytes, in predictions, the cache and manifests."""
    return hashlib.sha256(data).hexdigest()


def read(data: bytes, max_bytes: int = MAX_IMAGE_BYTES) -> CheckedImage:
    """Check and decode one image.

    data: the file's bytes. Returns upright RGB pixels with the original's size and format.
    Raises PayloadTooLarge, EmptyImage, UnsupportedFormat, TooManyPixels, TooComplex, AnimatedImage
    or BrokenImage.
    """
    check_bytes(len(data), max_bytes)
    kind = format_of(data)
    core = CORES[kind](data)
    clock = _Clock(FORMATS[kind].title)
    try:
        rgb = _decoded(core, kind, core.endings[0], clock)
        for ending in core.endings[1:]:
            if _decoded(core, kind, ending, clock) != rgb:
                raise broken(FORMATS[kind].title, ends_early=True)
    except DECODER_ERRORS as error:
        ends_early = "truncated" in str(error).lower()
        raise broken(FORMATS[kind].title, ends_early=ends_early) from error
    width, height = core.width, core.height
    turn = UPRIGHT.get(core.orientation)
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


def _decoded(core: Core, kind: str, ending: bytes, clock: "_Clock") -> Image.Image:
    """The pixels of `core`, not yet upright, as RGB over white."""
    image = _opened(core.data + ending, kind, clock)
    image.draft(None, (JPEG_DRAFT, JPEG_DRAFT))
    low = None
    if core.key is not None and core.depth == 16 and image.mode == "RGB":
        low = _low_bytes(core, clock)
    if core.last is None:
        image.load()
    else:
        image = _whole(image, core, clock)
    return _to_rgb(image, core, low)


def _whole(image: ImageFile.ImageFile, core: Core, clock: "_Clock") -> ImageFile.ImageFile:
    """A PNG after it is decoded, with all of its rows.

    Pillow leaves rows that are missing black, without an error. So the last pixel gets an unlikely
    colour before, and if it still has that, the pixels are counted. They also are if Pillow fails,
    perhaps at nothing but their checksum.
    """
    last, mark = core.last or (0, 0), (MARK,) * len(image.getbands())
    blank = Image.new(image.mode, image.size, None)
    blank.putpixel(last, mark if len(mark) > 1 else MARK)
    image.im = blank.im
    try:
        image.load()
    except DECODER_ERRORS:
        sound = png.whole(core, clock.check)
        if sound is None:
            raise
        image = _opened(sound.data, "PNG", clock)
        image.load()
    else:
        if image.getpixel(last) in {mark, MARK} and png.whole(core, clock.check) is None:
            raise broken(png.TITLE, ends_early=True)
    return image


def _opened(data: bytes, kind: str, clock: "_Clock") -> ImageFile.ImageFile:
    return Image.open(_Timed(data, clock), formats=(kind,))


class _Clock:
    """The time that is left to decode one image: MAX_SECONDS of its thread, however often it is
    begun anew."""

    def __init__(self, title: str) -> None:
        self.title, self.end = title, time.thread_time() + MAX_SECONDS

    def check(self) -> None:
        """Raises TooComplex if no time is left."""
        if time.thread_time() > self.end:
            raise TooComplex(
                f"The {self.title} takes too long to decode: more than {MAX_SECONDS} s of a "
                "processor. Shrink it, or save it again in an image editor.",
                limit=MAX_SECONDS,
            )


class _Timed(io.BytesIO):
    """A file that ends its decoder when the time is over.

    Pillow reads 64 KB at a time. It reads a WebP at once, which takes half a second at most.
    """

    def __init__(self, data: bytes, clock: _Clock) -> None:
        super().__init__(data)
        self.clock = clock

    def read(self, size: int | None = -1, /) -> bytes:
        self.clock.check()
        return super().read(size)


def _low_bytes(core: Core, clock: _Clock) -> Mask:
    """Where the low bytes of an RGB image of 16 bits, (height, width), are those of the key."""
    image = _opened(core.data, "PNG", clock)
    # Pillow keeps the high bytes only. In the other byte order these are the low ones.
    image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]
    image.load()
    key = [part & 0xFF for part in core.key or ()]
    return np.concatenate([_equal(band, key) for _, band in _bands(image, 1)])


def _equal(image: Image.Image, colour: Sequence[int]) -> Mask:
    """Where an RGB image has `colour`, (height, width)."""
    # Three comparisons of a channel take a third of the time of one with an axis of three.
    red, green, blue = (
        np.asarray(channel) == part for channel, part in zip(image.split(), colour, strict=True)
    )
    equal: Mask = red & green & blue
    return equal


def _bands(image: Image.Image, multiple: int) -> Iterator[tuple[int, Image.Image]]:
    """`image` in parts of its full width: first row, and pixels. All but the last have a number of
    rows that is a multiple of `multiple`."""
    rows = max(multiple, BAND_PIXELS // image.width // multiple * multiple)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _to_rgb(image: Image.Image, core: Core, low: Mask | None) -> Image.Image:
    """`image` as RGB over white. A large one is shrunk band by band, so that memory holds one copy
    of it."""
    across, down = (side // (2 * JPEG_DRAFT) or 1 for side in image.size)
    least = min(across, down)
    if image.width * image.height <= MOST_PIXELS_KEPT * least * least:
        across = down = least
    if across == down == 1 and image.width * image.height <= BAND_PIXELS:
        return _band_to_rgb(image, core, low)
    small = Image.new("RGB", (-(-image.width // across), -(-image.height // down)))
    for top, band in _bands(image, down):
        rgb = _band_to_rgb(band, core, None if low is None else low[top : top + band.height])
        small.paste(rgb.reduce((across, down)), (0, top // down))
    return small


def _band_to_rgb(image: Image.Image, core: Core, low: Mask | None) -> Image.Image:
    if core.key is not None:
        return _without_key(image, core.key, core.depth, low)
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):  # 16-bit grey: Pillow would clip values above 255 to white.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _without_key(
    image: Image.Image, key: tuple[int, ...], depth: int, low: Mask | None
) -> Image.Image:
    """RGB with white instead of the colour `key`, which has `depth` bits a channel."""
    if len(key) == 3:
        clear = _equal(image, key if depth == 8 else [part >> 8 for part in key])
        if low is not None:
            clear &= low
        if clear.any():
            image.paste("white", mask=Image.fromarray(clear))
        return image
    greys = np.array(image if depth == 16 else image.convert("L"))
    # Pillow spreads 1, 2 and 4 bits over 0 to 255.
    clear = greys == (key[0] if depth >= 8 else key[0] * WHITE // ((1 << depth) - 1))
    if depth == 16:
        greys = (greys >> 8).astype(np.uint8)
    greys[clear] = WHITE
    return Image.fromarray(greys).convert("RGB")
