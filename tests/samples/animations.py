"""Moving and still pictures that the service and the page have to tell apart in the same way.

`python -m tests.samples.animations` draws them into `animations.json`, which tests of both read.
"""

import json
import struct
from base64 import b64encode
from io import BytesIO
from pathlib import Path

from PIL import Image

from tests.samples.drawn import png_chunk

FILE = Path(__file__).parent / "animations.json"
SIDE = 8
TEXT = b"a\0" + b"b" * 4_200


def _png(*before: bytes, behind: bytes = b"") -> bytes:
    """A PNG with chunks before and behind its pixels."""
    whole = _encoded("PNG")
    pixels, end = whole.index(b"IDAT") - 4, len(whole) - 12
    return whole[:pixels] + b"".join(before) + whole[pixels:end] + behind + whole[end:]


def _encoded(kind: str, **options: bool) -> bytes:
    out = BytesIO()
    Image.new("RGB", (SIDE, SIDE), "navy").save(out, kind, **options)
    return out.getvalue()


def _control(frames: int) -> bytes:
    return png_chunk(b"acTL", struct.pack(">II", frames, 0))


def _frame(number: int) -> bytes:
    return png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, SIDE, SIDE, 0, 0, 1, 10, 0, 0))


def _second() -> bytes:
    whole = _encoded("PNG")
    start, end = whole.index(b"IDAT") + 4, len(whole) - 16
    return _frame(1) + png_chunk(b"fdAT", struct.pack(">I", 2) + whole[start:end])


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def _webp(flags: int, *chunks: bytes) -> bytes:
    size = struct.pack("<I", SIDE - 1)[:3]
    body = b"WEBP" + _chunk(b"VP8X", bytes([flags, 0, 0, 0]) + size + size) + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def draw() -> dict[str, tuple[str, bool, bytes]]:
    """name -> (format, whether it moves, bytes)."""
    still = _encoded("WEBP", lossless=True)[12:]
    size = struct.pack("<I", SIDE - 1)[:3]
    moving = _chunk(b"ANIM", b"\xff\xff\xff\xff\0\0")
    frame = _chunk(b"ANMF", bytes(6) + size + size + struct.pack("<I", 100)[:3] + b"\0" + still)
    profile = _chunk(b"ICCP", bytes(4_200))
    png, webp = "png", "webp"
    return {
        "PNG": (png, False, _png()),
        "PNG with a long text": (png, False, _png(png_chunk(b"tEXt", TEXT))),
        "PNG of one frame": (png, False, _png(_control(1), _frame(0))),
        "PNG of two frames": (png, True, _png(_control(2), _frame(0), behind=_second())),
        "PNG of two frames behind a long text": (
            png,
            True,
            _png(png_chunk(b"tEXt", TEXT), _control(2), _frame(0), behind=_second()),
        ),
        "PNG with one frame beside its picture": (png, True, _png(_control(1), behind=_second())),
        "PNG of no frames": (png, False, _png(_control(0))),
        "PNG with a control chunk behind its pixels": (png, False, _png(behind=_control(2))),
        "WebP": (webp, False, _encoded("WEBP")),
        "WebP without loss": (webp, False, _encoded("WEBP", lossless=True)),
        "WebP with an extended header": (webp, False, _webp(0, still)),
        "WebP with a long profile": (webp, False, _webp(0x20, profile, still)),
        "WebP of one frame": (webp, False, _webp(2, moving, frame)),
        "WebP of two frames": (webp, True, _webp(2, moving, frame, frame)),
        "WebP of two frames behind a long profile": (
            webp,
            True,
            _webp(0x22, profile, moving, frame, frame),
        ),
        "JPEG": ("jpeg", False, _encoded("JPEG")),
    }


if __name__ == "__main__":
    files = [
        {"name": name, "format": kind, "moves": moves, "base64": b64encode(data).decode()}
        for name, (kind, moves, data) in draw().items()
    ]
    FILE.write_text(json.dumps(files, indent=1) + "\n")
