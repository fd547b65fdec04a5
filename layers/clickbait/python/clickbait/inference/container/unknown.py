"""Names for files that are no accepted image, and what to do with each."""

import re
from typing import NamedTuple

MARK = b"\xef\xbb\xbf"
"""The byte order mark that text editors and some servers put before a file."""
HEAD = 4_096
"""Bytes that are looked at."""


class Finding(NamedTuple):
    """The kind that a file seems to be, and a sentence with what to do."""

    kind: str
    advice: str


CONVERT = "Convert it to JPEG, PNG or WebP first."
UNPACK = "Unpack it first, and send the image itself."
ITSELF = "Send the image itself."
DECODE = "Decode it, and send the image's own bytes."

MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"GIF8", "a GIF", CONVERT),
    (b"BM", "a BMP", CONVERT),
    (b"II*\0", "a TIFF or a camera's raw image", CONVERT),
    (b"MM\0*", "a TIFF or a camera's raw image", CONVERT),
    (b"II+\0", "a TIFF", CONVERT),
    (b"MM\0+", "a TIFF", CONVERT),
    (b"\0\0\1\0", "an icon (ICO)", CONVERT),
    (b"\0\0\2\0", "a cursor (CUR)", CONVERT),
    (b"icns", "an icon of macOS (ICNS)", CONVERT),
    (b"qoif", "a QOI", CONVERT),
    (b"DDS ", "a DDS texture", CONVERT),
    (b"v/1\x01", "an OpenEXR", CONVERT),
    (b"#?RADIANCE", "a Radiance HDR", CONVERT),
    (b"\x8aMNG\r\n\x1a\n", "an MNG", CONVERT),
    (b"\x8bJNG\r\n\x1a\n", "a JNG", CONVERT),
    (b"BPG\xfb", "a BPG", CONVERT),
    (b"AT&TFORM", "a DjVu document", CONVERT),
    (b"FLIF", "a FLIF", CONVERT),
    (b"8BPS", "a Photoshop document", CONVERT),
    (b"gimp xcf", "a GIMP document", CONVERT),
    (b"\xff\x0a", "a JPEG XL", CONVERT),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL", CONVERT),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000", CONVERT),
    (b"\xff\x4f\xff\x51", "a JPEG 2000", CONVERT),
    (b"II\xbc", "a JPEG XR", CONVERT),
    (b"%PDF", "a PDF", CONVERT),
    (b"%!PS", "a PostScript document", CONVERT),
    (b"PK\x03\x04", "a ZIP archive", UNPACK),
    (b"PK\x05\x06", "an empty ZIP archive", ITSELF),
    (b"\x1f\x8b", "gzip data", UNPACK),
    (b"BZh", "bzip2 data", UNPACK),
    (b"\xfd7zXZ\0", "xz data", UNPACK),
    (b"\x28\xb5\x2f\xfd", "zstd data", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", UNPACK),
    (b"\x1aE\xdf\xa3", "a WebM or Matroska film", "Send a single frame of it as an image."),
)

TEXTS: tuple[tuple[bytes, str, str], ...] = (
    (
        b"version https://git-lfs.github.com/spec/",
        "a Git LFS pointer",
        'Run "git lfs pull", and send the file that it points to.',
    ),
    (b"data:", "a data URL", "Decode what follows its comma, and send these bytes."),
    (b"/9j/", "the base64 text of a JPEG", DECODE),
    (b"ivborw0kggo", "the base64 text of a PNG", DECODE),
    (b"uklgr", "the base64 text of a WebP", DECODE),
    (b"r0lgod", "the base64 text of a GIF", CONVERT),
    (b"ffd8ff", "the hexadecimal text of a JPEG", DECODE),
    (b"89504e470d0a1a0a", "the hexadecimal text of a PNG", DECODE),
    (b"<svg", "an SVG", CONVERT),
    (b"<!doctype svg", "an SVG", CONVERT),
    (b"<!doctype", "HTML", "Send the image itself, not the page."),
    (b"<html", "HTML", "Send the image itself, not the page."),
    (b"<head", "HTML", "Send the image itself, not the page."),
    (b"<?xml", "XML", ITSELF),
    (b"<error", "XML", ITSELF),
    (b"{", "JSON", ITSELF),
    (b"[", "JSON", ITSELF),
    (b"http://", "an address", "Send the image itself; the service fetches nothing."),
    (b"https://", "an address", "Send the image itself; the service fetches nothing."),
)
"""Beginnings of texts in lower case, behind white space, comments and quotation marks."""

BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), ("an AVIF", CONVERT)),
    **dict.fromkeys(
        (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
        ("a HEIC", CONVERT),
    ),
    **dict.fromkeys((b"mif1", b"msf1"), ("a HEIF", CONVERT)),
    b"crx ": ("a camera's raw image", CONVERT),
    b"qt  ": ("a QuickTime film", "Send a single frame of it as an image."),
}
"""Brands of files that begin with an `ftyp` box (ISO 14496-12)."""
FILM = ("an MP4 film", "Send a single frame of it as an image.")

_NETPBM = re.compile(rb"P[1-7][\s#]")
_SKIPPED = re.compile(rb"(?:\xef\xbb\xbf|\s|<!--.*?-->)*[\"']?", re.DOTALL)
_SVG = re.compile(rb"<(?:!doctype\s+)?svg[\s>]")


def named(data: bytes) -> Finding | None:
    """The kind of `data` by its first bytes; None if it is unknown. Never raises."""
    if data[4:8] == b"ftyp":
        return Finding(*_brand(data))
    for magic, kind, advice in MAGIC:
        if data.startswith(magic):
            return Finding(kind, advice)
    if _NETPBM.match(data):
        return Finding("a Netpbm (PBM, PGM, PPM or PAM)", CONVERT)
    if data[:4] == b"RIFF":
        kind = {b"WAVE": "a WAVE sound", b"AVI ": "an AVI film"}.get(data[8:12], "a RIFF file")
        return Finding(kind, CONVERT if kind == "a RIFF file" else ITSELF)
    head = data[:HEAD].lower()
    match = _SKIPPED.match(head)
    text = head[match.end() :] if match else head
    for start, kind, advice in TEXTS:
        if text.startswith(start):
            if kind in {"XML", "HTML"} and _SVG.search(text):
                return Finding("an SVG", CONVERT) if kind == "XML" else Finding(kind, advice)
            return Finding(kind, advice)
    return None


def _brand(data: bytes) -> tuple[str, str]:
    """By the main brand, or else by the first compatible one that is known."""
    length = min(int.from_bytes(data[:4]), 256)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, length, 4))]
    # "mif1" says only that there is a picture inside, the others say which.
    known = [BRANDS[brand] for brand in brands if brand in BRANDS]
    general = BRANDS[b"mif1"]
    return next((each for each in known if each != general), known[0] if known else FILM)
