"""Small files that cost a decoder much time or memory, at the limits of the service and past them.

Each is drawn from scratch. Sides are those of 25 million pixels, the limit, unless it is said.
"""

import struct
import zlib
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image

from clickbait.inference.container import jpeg, vp8l
from tests.samples.drawn import encoded, picture, png_chunk

SIDE = 4_992
"""Pixels of a side that blocks of 8 and 16 fill."""
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Values of a pixel by a PNG's colour type."""
RUN = 32_767
"""Blocks that one code of a progressive JPEG can end at most."""


def _empty_blocks() -> bytes:
    """Four blocks of deflate (RFC 1951) without content, each of which has its own two tables."""
    fields = [(0, 1), (2, 2), (0, 5), (0, 5), (14, 4)]
    # The code of lengths: 18, which repeats zeros, and 1 have a bit each.
    fields += [(int(symbol in {18, 1}), 3) for symbol in LENGTH_ORDER[:18]]
    fields += [(1, 1), (127, 7), (1, 1), (107, 7), (0, 1), (0, 1), (0, 1)]
    text = "".join(f"{value:0{length}b}"[::-1] for value, length in fields) * 4
    return bytes(int(text[i : i + 8][::-1], 2) for i in range(0, len(text), 8))


LENGTH_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
EMPTY_BLOCKS = _empty_blocks()


def segment(marker: int, body: bytes = b"") -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def bits(*codes: tuple[int, int]) -> bytes:
    """Entropy-coded data of the `codes`, (value, length), filled up with ones."""
    text = "".join(f"{value:0{length}b}" for value, length in codes)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8).replace(b"\xff", b"\xff\0")


def runs(blocks: int) -> bytes:
    """An AC scan that ends `blocks` blocks. Its table has one code: a run of 16,384 or more."""
    full, rest = divmod(blocks, RUN)
    lengths = [RUN] * full + ([rest] if rest else [])
    if lengths[-1] < 16_384:
        lengths[-2:] = [lengths[-2] - 16_384 + lengths[-1], 16_384]
    return bits(*((length - 16_384, 15) for length in lengths))


def progressive(
    scans: int,
    *,
    size: tuple[int, int] = (SIDE, SIDE),
    components: int = 1,
    low: int = 0,
    high: int = 0,
) -> bytes:
    """A progressive JPEG of one colour whose AC scan is there `scans` times.

    `high` above 0 makes scans that refine: they visit every coefficient.
    """
    width, height = size
    blocks = -(-width // 8) * -(-height // 8)
    names = range(1, components + 1)
    parts = b"".join(bytes([name, 0x11, 0]) for name in names)
    head = b"\xff\xd8" + segment(0xDB, b"\0" + b"\1" * 64)
    head += segment(0xC2, struct.pack(">BHHB", 8, height, width, components) + parts)
    head += segment(0xC4, b"\x00" + bytes([1] + [0] * 15) + b"\x00")
    head += segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\xe0")
    flat = bytes(-(-blocks // 8))
    body = b"".join(segment(0xDA, bytes([1, name, 0, 0, 0, 0])) + flat for name in names)
    spectral = bytes([1, 63, high << 4 | low])
    ends = runs(blocks)
    body += b"".join(
        segment(0xDA, bytes([1, names[i % components], 0]) + spectral) + ends for i in range(scans)
    )
    return head + body + b"\xff\xd9"


def repeated_scans(times: int) -> bytes:
    """A baseline JPEG whose components stand in scans of their own, the first one `times` times."""
    blocks = (SIDE // 8) ** 2
    parts = b"".join(bytes([name, 0x11, 0]) for name in (1, 2, 3))
    head = b"\xff\xd8" + segment(0xDB, b"\0" + b"\1" * 64)
    head += segment(0xC0, struct.pack(">BHHB", 8, SIDE, SIDE, 3) + parts)
    for table in (0x00, 0x10):
        head += segment(0xC4, bytes([table]) + bytes([1] + [0] * 15) + b"\x00")
    scan = bytes(-(-2 * blocks // 8))
    scans = [segment(0xDA, bytes([1, name, 0, 0, 63, 0])) + scan for name in [1] * times + [2, 3]]
    return head + b"".join(scans) + b"\xff\xd9"


def baseline(width: int, height: int, components: int = 3) -> bytes:
    """A baseline JPEG of one colour, without subsampling."""
    blocks = -(-width // 8) * -(-height // 8) * components
    names = range(1, components + 1)
    parts = b"".join(bytes([name, 0x11, 0]) for name in names)
    head = b"\xff\xd8" + segment(0xDB, b"\0" + b"\1" * 64)
    head += segment(0xC0, struct.pack(">BHHB", 8, height, width, components) + parts)
    for table in (0x00, 0x10):
        head += segment(0xC4, bytes([table]) + bytes([1] + [0] * 15) + b"\x00")
    scan = bytes([components]) + b"".join(bytes([name, 0]) for name in names) + bytes([0, 63, 0])
    return head + segment(0xDA, scan) + bytes(-(-2 * blocks // 8)) + b"\xff\xd9"


def restarts(interval: int) -> bytes:
    """A JPEG that promises restart markers and has none."""
    data = encoded(Image.new("RGB", (SIDE, SIDE), "navy"), quality=50)
    at = data.index(b"\xff\xda")
    return data[:at] + segment(0xDD, struct.pack(">H", interval)) + data[at:]


def odd_scans(count: int, body: bytes = b"") -> bytes:
    """A JPEG with `count` comments between its scans."""
    data = encoded(picture((640, 360)), progressive=True)
    at = data.rindex(b"\xff\xda")
    return data[:at] + segment(0xFE, body) * count + data[at:]


def many_segments(count: int, marker: int = 0xE1, body: bytes = b"") -> bytes:
    data = encoded(picture((640, 360)))
    return data[:2] + segment(marker, body) * count + data[2:]


def png(
    width: int,
    height: int,
    depth: int = 8,
    colour: int = 6,
    *,
    row_filter: int = 0,
    interlaced: bool = False,
    before: bytes = b"",
    empty_blocks: int = 0,
) -> bytes:
    """A PNG with a pattern that repeats in every row."""
    row = (
        bytes([row_filter])
        + (bytes(range(256)) * (width // 8 + 1))[: -(-width * CHANNELS[colour] * depth // 8)]
    )
    if interlaced:
        packed = b"\x78\x9c" + _passes(width, height, depth * CHANNELS[colour], row)
    else:
        # Equal rows are compressed once: a decoder does the same work, and drawing takes no time.
        packer = zlib.compressobj(6)
        groups, rest = divmod(height, 8)
        packed = packer.compress(row * rest) + packer.flush(zlib.Z_FULL_FLUSH)
        again = packer.compress(row * 8) + packer.flush(zlib.Z_FULL_FLUSH)
        packed += again * groups + b"\x03\0"
    if empty_blocks:
        packed = packed[:2] + EMPTY_BLOCKS * (empty_blocks // 4) + packed[2:]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    palette = png_chunk(b"PLTE", bytes(range(256)) * 3) if colour == 3 else b""
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            png_chunk(b"IHDR", header),
            palette,
            before,
            png_chunk(b"IDAT", packed),
            png_chunk(b"IEND", b""),
        ]
    )


def _passes(width: int, height: int, depth: int, row: bytes) -> bytes:
    """The seven passes of an interlaced PNG, `depth` bits a pixel, but for the first row."""
    packer = zlib.compressobj(6, wbits=-15)
    packed = b""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
    for left, top, across, down in (*passes, (0, 1, 1, 2)):
        part = row[: 1 + -(-max(0, -(-(width - left) // across)) * depth // 8)]
        for _ in range(top, height, down):
            packed += packer.compress(part)
    return packed + packer.flush()


def tiny_pixel_chunks(count: int) -> bytes:
    """A PNG with `count` empty chunks of pixels before the full one."""
    data = encoded(picture((64, 64)), "PNG")
    at = data.index(b"IDAT") - 4
    return data[:at] + png_chunk(b"IDAT", b"") * count + data[at:]


def webp_chunks(count: int) -> bytes:
    """An extended WebP with `count` empty unknown chunks before its picture."""
    inside = encoded(picture((64, 64)), "WEBP", exif=b"Exif\0\0" + bytes(8))[12:]
    first, rest = inside[:18], inside[18:]
    body = b"WEBP" + first + (b"ODD " + bytes(4)) * count + rest
    return b"RIFF" + struct.pack("<I", len(body)) + body


def lossless_blocks(across: int, down: int) -> bytes:
    """A lossless WebP of blocks of 4 x 4 pixels behind two transforms. Each block has prefix codes
    of its own."""

    def number(value: int, width: int) -> str:
        return f"{value:0{width}b}"[::-1]

    def two(first: int, second: int) -> str:
        """The code of two symbols of one bit each."""
        return "111" + number(first, 8) + number(second, 8)

    zero = "1000"  # The code of symbol 0 alone, without a bit.
    # Symbols 0 to 255 have eight bits each: of the code lengths only 0 and 8 are used.
    order = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8)
    bytes_alone = "0" + number(len(order) - 4, 4)
    bytes_alone += "".join(number(int(length in {0, 8}), 3) for length in order) + "0" + "1" * 256
    green, red = bytes_alone + "0" * vp8l.LENGTHS, bytes_alone
    small = across * down
    predictor = "1" + number(0, 2) + number(0, 3) + "0" + two(1, 2) + zero * 4 + "01" * (small // 2)
    predictor += "0" * (small % 2)
    colours = "1" + number(1, 2) + number(0, 3) + "0" + zero * 5
    green_subtracted = "1" + number(2, 2)
    blocks = number(0, 3) + "0" + green + red + zero * 3
    blocks += "".join(f"{block & 255:08b}{block >> 8:08b}" for block in range(small))
    text = number(4 * across - 1, 14) + number(4 * down - 1, 14) + "0" + "000"
    text += predictor + colours + green_subtracted + "0" + "0" + "1" + blocks + zero * 5 * small
    text += "0" * (-len(text) % 8)
    body = b"\x2f" + int(text[::-1], 2).to_bytes(len(text) // 8, "little") + bytes(64)
    chunk = b"VP8L" + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def flat_webp(mode: str, size: tuple[int, int], *, lossless: bool) -> bytes:
    image = Image.new(mode, size, (200, 90, 30, 128)[: len(mode)])
    return encoded(image, "WEBP", lossless=lossless, method=0)


def noise(side: tuple[int, int], levels: int) -> Image.Image:
    values = np.random.default_rng(1).integers(0, levels, (side[1], side[0], 3), np.uint8)
    return Image.fromarray(values)


def refused() -> dict[str, bytes]:
    """Files that would take a decoder long. Each is above a limit of the service."""
    return {
        "scans-101.jpg": progressive(100, size=(1_600, 1_600)),
        "scans-2400.jpg": progressive(2_400),
        "scans-100-refining.jpg": progressive(99, high=1),
        "scans-99-of-three.jpg": progressive(96, components=3, high=1),
        "scans-repeated-baseline.jpg": repeated_scans(20),
        "progressive-cmyk.jpg": progressive(4, components=4),
        "segments-1000000.jpg": many_segments(1_000_000),
        "comments-between-scans.jpg": odd_scans(20_000),
        "chunks-300000.png": tiny_pixel_chunks(300_000),
        "chunks-300000.webp": webp_chunks(300_000),
        "blocks-65536.webp": lossless_blocks(256, 256),
        "tall-1x25000000.png": png(1, 1)[:8]
        + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 25_000_000, 8, 6, 0, 0, 0)),
        "side-30001.png": png(30_001, 1),
        "tall-30001.jpg": baseline(8, 30_001),
    }


MODES = {
    "rgba": (8, 6), "rgba64": (16, 6), "rgb48": (16, 2), "la32": (16, 4), "grey16": (16, 0),
    "rgb": (8, 2), "grey": (8, 0), "palette": (8, 3), "bilevel": (1, 0), "la": (8, 4),
}  # fmt: skip
"""Depth and colour type of PNGs."""
SHAPES = {"square": (5_000, 5_000), "tall": (834, 29_950), "flat": (29_950, 834)}
WEBP_SHAPES = {"square": (3_160, 3_160), "tall": (610, 16_380), "flat": (16_380, 610)}


def largest() -> dict[str, Callable[[], bytes]]:
    """Every mode in every shape, with as many pixels as the service reads."""
    key = png_chunk(b"tRNS", struct.pack(">HHH", 1, 515, 1029))
    grey_key = png_chunk(b"tRNS", struct.pack(">H", 515))
    alphas = png_chunk(b"tRNS", bytes(range(256)))
    files: dict[str, Callable[[], bytes]] = {}
    for shape, size in SHAPES.items():
        for mode, kind in MODES.items():
            files[f"{mode}-{shape}.png"] = partial(png, *size, *kind)
        files |= {
            f"rgb48-key-{shape}.png": partial(png, *size, 16, 2, before=key),
            f"rgb-key-{shape}.png": partial(png, *size, 8, 2, before=key),
            f"grey16-key-{shape}.png": partial(png, *size, 16, 0, before=grey_key),
            f"palette-alpha-{shape}.png": partial(png, *size, 8, 3, before=alphas),
            f"progressive-{shape}.jpg": partial(progressive, 3, size=size, components=3),
        }
        for components in (1, 3, 4):
            files[f"jpeg-{components}-{shape}.jpg"] = partial(baseline, *size, components)
    for shape, size in WEBP_SHAPES.items():
        for mode in ("RGB", "RGBA"):
            for lossless in (True, False):
                name = f"{'lossless' if lossless else 'lossy'}-{mode}-{shape}.webp"
                files[name] = partial(flat_webp, mode, size, lossless=lossless)
    files["lossless-blocks.webp"] = partial(lossless_blocks, 100, vp8l.MAX_BLOCKS // 100)
    return files


def slow() -> dict[str, Callable[[], bytes]]:
    """Files that take a decoder as long as the limits allow."""
    scans = jpeg.MAX_STEPS // ((64 + jpeg.STEPS_PER_BLOCK) * (SIDE // 8) ** 2)
    return {
        "filters-paeth-rgba64.png": partial(png, 5_000, 5_000, 16, 6, row_filter=4),
        "filters-average-rgba64.png": partial(png, 5_000, 5_000, 16, 6, row_filter=3),
        "interlaced-rgba64.png": partial(png, 5_000, 5_000, 16, 6, row_filter=4, interlaced=True),
        "deflate-tables.png": partial(png, 1_000, 1_000, empty_blocks=340_000),
        "chunks-9000.png": partial(tiny_pixel_chunks, 9_000),
        "scans-refining.jpg": partial(progressive, scans - 1, high=1),
        "scans-refining-small.jpg": partial(progressive, 99, size=(1_600, 1_600), high=1),
        "scans-refining-of-three.jpg": partial(progressive, scans - 3, components=3, high=1),
        "scans-repeated-baseline.jpg": partial(repeated_scans, 10),
        "restarts.jpg": partial(restarts, 1),
        "segments-9000.jpg": partial(many_segments, 9_000, body=bytes(400)),
        "noise.webp": lambda: encoded(noise((2_000, 1_600), 256), "WEBP", method=0),
        "noise-lossless.webp": lambda: encoded(
            noise((2_600, 2_600), 3), "WEBP", lossless=True, method=0, quality=0
        ),
    }
