"""PNG (W3C, third edition): chunks. Only IHDR, PLTE, tRNS and IDAT decide the pixels."""

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from clickbait.inference.container import exif
from clickbait.inference.container.core import (
    MAX_PARTS,
    Core,
    broken,
    check_count,
    check_frames,
    check_pixels,
)

TITLE = "PNG"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE = 0, 2, 3
ANCILLARY = 0x20
"""The bit of a name's first letter that is set if a decoder may ignore the chunk."""
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Bits of a channel that each colour type may have."""


OF_INTEREST = {b"PLTE", b"tRNS", b"eXIf", b"acTL", b"fcTL"}

CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, 4: 2, 6: 4}
"""Values of a pixel by colour type."""

WHOLE = ((0, 0, 1, 1),)
INTERLACED = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""The passes of a picture: its first column and row, and the steps to the next ones."""

UNPACKED_AT_ONCE = 1 << 20


class Header(NamedTuple):
    """The fields of IHDR."""

    width: int
    height: int
    depth: int
    colour: int
    compression: int
    filtering: int
    interlacing: int


class Chunk(NamedTuple):
    """One chunk: its name, and where its content begins and ends."""

    name: bytes
    start: int
    end: int


def core(data: bytes) -> Core:
    """The picture of a PNG file.

    Ancillary chunks with a wrong checksum are ignored, and so are all that no browser shows.
    Raises BrokenImage, TooManyPixels, TooComplex or AnimatedImage.
    """
    chunks = _chunks(data)
    if not chunks:
        raise broken(TITLE, ends_early=True)
    header = _header(data, chunks[0])
    check_pixels(header.width, header.height)
    if header.depth not in DEPTHS.get(header.colour, ()):
        raise broken(TITLE)
    pixels, others = _split(data, chunks[1:])
    _check_animation(others)
    colours, key = _colours(header, others)
    body = [
        SIGNATURE,
        _packed(b"IHDR", data[chunks[0].start : chunks[0].end]),
        colours,
        _packed(b"IDAT", pixels),
        _packed(b"IEND", b""),
    ]
    orientation = exif.orientation(others.get(b"eXIf", b""))
    return Core(
        b"".join(body),
        header.width,
        header.height,
        orientation,
        header.depth,
        key,
        last=list(_passes(header))[-1][2],
    )


def whole(core: Core, check: Callable[[], None]) -> Core | None:
    """The picture without the checksum behind its pixels; None if pixels are missing.

    A decoder takes a wrong checksum for damage, and does not miss rows at the end. `check` is
    called for each UNPACKED_AT_ONCE bytes, and may raise.
    """
    first, *_, last = _chunks(core.data)
    header = _header(core.data, first)
    bits = header.depth * CHANNELS[header.colour]
    missing = sum(rows * (1 + -(-columns * bits // 8)) for columns, rows, _ in _passes(header))
    packer = zlib.decompressobj(-zlib.MAX_WBITS)
    at = last.start + 2  # Behind the header of zlib.
    try:
        while missing > 0 and not packer.eof:
            check()
            part = packer.unconsumed_tail
            if not part:
                part = core.data[at : min(at + UNPACKED_AT_ONCE, last.end)]
                at += len(part)
            if not part:
                break
            missing -= len(packer.decompress(part, UNPACKED_AT_ONCE))
    except zlib.error:
        return None
    if missing > 0:
        return None
    end = at - len(packer.unconsumed_tail) - len(packer.unused_data)
    pixels = _packed(b"IDAT", core.data[last.start : end])
    return core._replace(data=core.data[: last.start - 8] + pixels + _packed(b"IEND", b""))


def _passes(header: Header) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """Columns and rows of each pass, and the place of its last pixel."""
    for x, y, across, down in INTERLACED if header.interlacing else WHOLE:
        columns, rows = -(-(header.width - x) // across), -(-(header.height - y) // down)
        if columns > 0 and rows > 0:
            yield columns, rows, (x + (columns - 1) * across, y + (rows - 1) * down)


def _header(data: bytes, chunk: Chunk) -> Header:
    if chunk.name != b"IHDR" or chunk.end - chunk.start != 13 or not _sound(data, chunk):
        raise broken(TITLE)
    header = Header(*struct.unpack_from(">IIBBBBB", data, chunk.start))
    if header.compression or header.filtering or header.interlacing > 1:
        raise broken(TITLE)
    return header


def _split(data: bytes, chunks: list[Chunk]) -> tuple[bytes, dict[bytes, bytes]]:
    """The compressed pixels, and the first sound one of each other chunk of interest, by name."""
    names = [chunk.name for chunk in chunks]
    first = names.index(b"IDAT") if b"IDAT" in names else len(chunks)
    # Pixels that go on behind another chunk are shown by no browser.
    last = next((i for i in range(first, len(chunks)) if names[i] != b"IDAT"), len(chunks))
    others: dict[bytes, bytes] = {}
    for chunk in chunks[:first]:
        if chunk.end > len(data):
            raise broken(TITLE, ends_early=True)
        critical = not chunk.name[0] & ANCILLARY
        if critical and (chunk.name != b"PLTE" or not _sound(data, chunk)):
            raise broken(TITLE)
        if chunk.name in OF_INTEREST and chunk.name not in others and _sound(data, chunk):
            others[chunk.name] = data[chunk.start : chunk.end]
    if first == len(chunks):
        raise broken(TITLE, ends_early=True)
    for chunk in chunks[last:]:
        if chunk.name == b"eXIf" and _sound(data, chunk):
            others.setdefault(b"eXIf", data[chunk.start : chunk.end])
    return b"".join(data[chunk.start : chunk.end] for chunk in chunks[first:last]), others


def _check_animation(others: dict[bytes, bytes]) -> None:
    frames = int.from_bytes(others.get(b"acTL", b"")[:4])
    if 0 < frames < 1 << 31:
        # Without a control chunk before it, the first picture stands beside the animation.
        check_frames(TITLE, frames + (b"fcTL" not in others))


def _colours(header: Header, others: dict[bytes, bytes]) -> tuple[bytes, tuple[int, ...] | None]:
    """The chunks of a palette, and the colour key of a picture without a palette."""
    transparent = others.get(b"tRNS", b"")
    if header.colour == PALETTE:
        palette = others.get(b"PLTE", b"")
        if not palette or len(palette) % 3:
            raise broken(TITLE)
        chunks = _packed(b"PLTE", palette[:768])
        if 0 < len(transparent) <= len(palette) // 3:
            chunks += _packed(b"tRNS", transparent)
        return chunks, None
    channels = {GREY: 1, RGB: 3}.get(header.colour)
    if channels is None or len(transparent) < 2 * channels:
        return b"", None
    values = struct.unpack_from(f">{channels}H", transparent)
    # Bits above the depth are ignored, as in libpng.
    return b"", tuple(value & ((1 << header.depth) - 1) for value in values)


def _chunks(data: bytes) -> list[Chunk]:
    """All chunks up to IEND. The last one may end behind the file. Raises TooComplex."""
    chunks: list[Chunk] = []
    at = len(SIGNATURE)
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name == b"IEND":
            break
        chunks.append(Chunk(name, at + 8, at + 8 + length))
        check_count(TITLE, "chunks", len(chunks), MAX_PARTS)
        at += 12 + length
    return chunks


def _sound(data: bytes, chunk: Chunk) -> bool:
    """Whether the checksum of a chunk is right."""
    stored = data[chunk.end : chunk.end + 4]
    return len(stored) == 4 and zlib.crc32(data[chunk.start - 4 : chunk.end]) == int.from_bytes(
        stored
    )


def _packed(name: bytes, body: bytes) -> bytes:
    # The decoder checks no checksum of pixels, and this one costs more than the copy.
    checksum = 0 if name == b"IDAT" else zlib.crc32(name + body)
    return struct.pack(">I4s", len(body), name) + body + struct.pack(">I", checksum)
