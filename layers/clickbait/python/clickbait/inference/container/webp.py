"""WebP (RFC 9649): chunks in a RIFF container. Only the picture's own are kept."""

import struct
from collections.abc import Iterator

from clickbait.inference.container import exif, vp8l
from clickbait.inference.container.core import (
    MAX_PARTS,
    Core,
    broken,
    check_count,
    check_frames,
    check_pixels,
)

TITLE = "WebP"

MAX_WEBP_PIXELS = 10_000_000
"""The most pixels of a WebP. Pillow's decoder holds four copies at 4 bytes per pixel, and a file of
1 KB can announce that many pixels."""

ANIMATED, ALPHA = 0x02, 0x10
"""Flags of the extended header that the picture needs. The others announce chunks that are left
out."""

COMPRESSED = 0x01
"""The flag of an alpha channel that is stored as a lossless picture."""


def core(data: bytes) -> Core:
    """The picture of a WebP file.

    Raises BrokenImage, TooManyPixels, TooComplex or AnimatedImage.
    """
    width, height = size(data)
    check_pixels(width, height, MAX_WEBP_PIXELS)
    parts: list[bytes] = []
    frames, orientation, at = 0, 1, 12
    whole = 8 + int.from_bytes(data[4:8], "little")
    extended = data[12:16] == b"VP8X"
    drawn = False
    for _ in range(MAX_PARTS):
        if at + 8 > min(len(data), whole):
            break
        name = data[at : at + 4]
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        body = data[at + 8 : end]
        kept = name in {b"VP8X", b"ANIM", b"ANMF"} or (
            name in {b"VP8 ", b"VP8L", b"ALPH"} and not drawn
        )
        if kept and end > len(data):
            raise broken(TITLE, ends_early=True)
        if kept and end > whole:
            raise broken(TITLE)
        if name == b"VP8X":
            # Browsers show what an animation leaves free as transparent, whatever its flags say.
            alpha = body[0] & ANIMATED and ALPHA
            body = bytes([body[0] & (ANIMATED | ALPHA) | alpha]) + body[1:]
        frames += name == b"ANMF"
        drawn |= name in {b"VP8 ", b"VP8L"}
        if name == b"EXIF" and extended:
            orientation = exif.orientation(body)
        if kept:
            for picture in _lossless(name, body, width, height):
                vp8l.check(picture)
            parts.append(name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2))
        if drawn and not extended:
            break
        at = end + end % 2
    else:
        check_count(TITLE, "chunks", MAX_PARTS + 1)
    check_frames(TITLE, frames)
    if not drawn and not frames:
        raise broken(TITLE, ends_early=True)
    inside = b"WEBP" + b"".join(parts)
    core = b"RIFF" + struct.pack("<I", len(inside)) + inside
    return Core(core, width, height, orientation)


def _lossless(name: bytes, body: bytes, width: int, height: int) -> Iterator[vp8l.Lossless]:
    """The lossless pictures of a chunk. The sides are those of the frame that it belongs to."""
    if name == b"VP8L" and len(body) > 5:
        bits = int.from_bytes(body[1:5], "little")
        yield vp8l.Lossless(body[5:], (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    elif name == b"ALPH" and body[:1] and body[0] & COMPRESSED:
        yield vp8l.Lossless(body[1:], width, height)
    elif name == b"ANMF":
        width, height = (int.from_bytes(body[i : i + 3], "little") + 1 for i in (6, 9))
        at = 16
        while at + 8 <= len(body):
            end = at + 8 + int.from_bytes(body[at + 4 : at + 8], "little")
            if body[at : at + 4] != b"ANMF":
                yield from _lossless(body[at : at + 4], body[at + 8 : end], width, height)
            at = end + end % 2


def size(data: bytes) -> tuple[int, int]:
    """Canvas width and height from a WebP header (RFC 9649, sections 2.5 to 2.7).

    Raises BrokenImage if the header is damaged.
    """
    chunk, body = data[12:16], data[20:30]
    if len(body) < (5 if chunk == b"VP8L" else 10):
        raise broken(TITLE, ends_early=True)
    if chunk == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if chunk == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        width, height = (int.from_bytes(body[i : i + 2], "little") for i in (6, 8))
        return width & 0x3FFF, height & 0x3FFF
    raise broken(TITLE)
