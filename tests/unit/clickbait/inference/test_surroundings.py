"""A picture is read by its pixels alone, whatever stands around them in its file."""

import base64
import io
import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from clickbait.errors import AnimatedImage, BrokenImage, UnsupportedFormat
from clickbait.inference import images
from clickbait.inference.container import exif, png
from tests.samples import animations
from tests.samples.bombs import segment
from tests.samples.drawn import encoded, picture
from tests.samples.hostile import png_chunk

SIZE = (320, 200)
SCENE = picture(SIZE)
PNG = encoded(SCENE, "PNG")
JPEG = encoded(SCENE, quality=90)
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(images.read(data).rgb)


def tiff(orientation: int, order: str = "<") -> bytes:
    """EXIF data with an orientation and nothing else."""
    start = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}HHIHH", exif.ORIENTATION, 3, 1, orientation, 0)
    return start + struct.pack(f"{order}IH", 8, 1) + entry + bytes(4)


def wrong(kind: bytes, body: bytes) -> bytes:
    """A chunk with a wrong checksum."""
    return png_chunk(kind, body)[:-4] + b"\xde\xad\xbe\xef"


def in_png(*chunks: bytes) -> bytes:
    """The scene's PNG with `chunks` behind its header."""
    return PNG[:33] + b"".join(chunks) + PNG[33:]


def in_jpeg(*segments: bytes) -> bytes:
    return JPEG[:2] + b"".join(segments) + JPEG[2:]


ODD_PNGS = {
    **{
        f"a wrong checksum of {kind.decode()}": in_png(wrong(kind, bytes(9)))
        for kind in (b"pHYs", b"iCCP", b"gAMA", b"tEXt", b"tRNS", b"eXIf", b"acTL", b"tIME")
    },
    **{
        f"a short {kind.decode()}": in_png(png_chunk(kind, bytes(length)))
        for kind in (b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"iCCP", b"tRNS", b"acTL", b"eXIf")
        for length in (0, 1)
    },
    "3 MB of text": in_png(png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(3_000_000)))),
    "200 MB of text": in_png(png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200_000_000), 1))),
    "a profile of 2 MB": in_png(png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(2_000_000)))),
    "an unknown compression": in_png(png_chunk(b"iCCP", b"a\0\x07" + bytes(9))),
    "an odd name": in_png(png_chunk(b"s\x01IT", b"\5\5\5")),
    "a name that is no text": in_png(png_chunk(b"\xff\xfe\xfd\xfc", b"")),
    "two unknown chunks": in_png(png_chunk(b"abCd", b""), png_chunk(b"zzZz", bytes(70_000))),
    "orientation in XMP": in_png(png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)),
    "orientation as text": in_png(
        png_chunk(b"tEXt", b"Raw profile type exif\0\nexif\n32\n" + tiff(6).hex().encode())
    ),
    "no end chunk": PNG[:-12],
    "half an end chunk": PNG[:-6],
    "bytes behind the end": PNG + bytes(5_000),
    "a broken chunk behind the pixels": PNG[:-12] + b"\xff\xff\xff\xfftEXt",
}

ODD_JPEGS = {
    "a short Adobe marker": in_jpeg(segment(0xEE, b"Adobe")),
    "a short JFIF marker": in_jpeg(segment(0xE0, b"JFIF\0")),
    "an empty comment": in_jpeg(segment(0xFE)),
    "a short profile": in_jpeg(segment(0xE2, b"ICC_PROFILE\0")),
    "a broken index of pictures": in_jpeg(segment(0xE2, b"MPF\0II*\0\xff\xff\xff\x7f")),
    "a broken Photoshop block": in_jpeg(segment(0xED, b"Photoshop 3.0\0" + b"8BIM\xff\xff\xff")),
    "EXIF that points outside": in_jpeg(segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\x7f")),
    "EXIF that is no EXIF": in_jpeg(segment(0xE1, b"Exif\0\0" + b"\xff" * 40)),
    "orientation in XMP": in_jpeg(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP)),
    "a marker of an end in a comment": in_jpeg(segment(0xFE, b"\xff\xd9\xff\xda" * 400)),
    "bytes between segments": in_jpeg(segment(0xFE), b"\0\0\xff"),
    "1 MB of segments": in_jpeg(*[segment(0xEB, bytes(60_000))] * 18),
    "no end marker": JPEG[:-2],
    "half an end marker": JPEG[:-1],
    "a film behind it": JPEG + b"\0\0\0\x18ftypmp42" + bytes(3_000),
}


@pytest.mark.parametrize("name", ODD_PNGS)
def test_a_png_with_odd_surroundings_is_the_same_picture(name: str) -> None:
    assert np.array_equal(pixels(ODD_PNGS[name]), pixels(PNG))


@pytest.mark.parametrize("name", ODD_JPEGS)
def test_a_jpeg_with_odd_surroundings_is_the_same_picture(name: str) -> None:
    assert np.array_equal(pixels(ODD_JPEGS[name]), pixels(JPEG))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 3}])
@pytest.mark.parametrize("missing", [2, 1])
def test_a_jpeg_without_its_end_marker_is_whole(options: dict, missing: int) -> None:
    data = encoded(SCENE, quality=90, **options)
    assert np.array_equal(pixels(data[:-missing]), pixels(data))


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
@pytest.mark.parametrize("missing", [6, 10, 40, 400, 4_000])
def test_a_jpeg_without_its_last_pixels_is_refused(options: dict, missing: int) -> None:
    data = encoded(SCENE, quality=90, **options)
    with pytest.raises(BrokenImage, match="ends early"):
        images.read(data[:-missing])


def test_a_jpeg_without_its_last_scan_is_refused() -> None:
    data = encoded(SCENE, quality=90, progressive=True)
    with pytest.raises(BrokenImage, match="ends early"):
        images.read(data[: data.rindex(b"\xff\xda")])


@pytest.mark.parametrize(
    "data",
    [
        PNG[:29] + b"\0\0\0\0" + PNG[33:],
        in_png(wrong(b"PLTE", bytes(3))),
        in_png(png_chunk(b"ABCD", b"")),
        PNG[:-500],
        in_png(png_chunk(b"IDAT", b"")[:8]),
    ],
    ids=["IHDR", "PLTE", "unknown critical", "missing pixels", "missing checksum"],
)
def test_what_the_pixels_need_is_not_ignored(data: bytes) -> None:
    with pytest.raises(BrokenImage):
        images.read(data)


def stored(levels: np.ndarray, depth: int, colour: int, passes: tuple, rows: int = 0) -> bytes:
    """A PNG of `levels` in its `passes`, from which `rows` are missing at the end. Its stream of
    pixels is sound."""
    height, width = levels.shape[:2]
    lines = [
        b"\0" + line.tobytes()
        for x, y, across, down in passes
        if (part := levels[y::down, x::across]).size
        for line in (np.packbits(part, axis=1) if depth == 1 else part)
    ]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, len(passes) > 1)
    body = zlib.compress(b"".join(lines[: len(lines) - rows]))
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    return png.SIGNATURE + b"".join(png_chunk(*chunk) for chunk in chunks)


@pytest.mark.parametrize("passes", [png.WHOLE, png.INTERLACED], ids=["rows", "interlaced"])
@pytest.mark.parametrize("size", [(360, 640), (1, 5), (5, 1), (1, 1), (2, 2)])
@pytest.mark.parametrize("level", [0, 1, images.MARK, 255])
@pytest.mark.parametrize(("depth", "colour"), [(1, 0), (8, 0), (8, 2), (8, 6)])
def test_a_png_without_its_last_rows_is_refused_although_its_stream_is_sound(
    passes: tuple, size: tuple[int, int], level: int, depth: int, colour: int
) -> None:
    """Pillow would leave them black. A picture whose last pixels have any level is whole."""
    channels = {0: (), 2: (3,), 6: (4,)}[colour]
    levels = np.full(size + channels, min(level, 1) if depth == 1 else level, np.uint8)
    levels[: size[0] // 2] //= 2
    assert images.read(stored(levels, depth, colour, passes)).width == size[1]
    for rows in (1, 200) if size == (360, 640) else (1,):
        with pytest.raises(BrokenImage, match="ends early"):
            images.read(stored(levels, depth, colour, passes, rows))


@pytest.mark.parametrize("behind", [b"", b"junk" * 9])
@pytest.mark.parametrize("passes", [png.WHOLE, png.INTERLACED], ids=["rows", "interlaced"])
def test_a_wrong_checksum_of_the_pixels_is_ignored(passes: tuple, behind: bytes) -> None:
    sound = stored(np.asarray(SCENE), 8, 2, passes)
    at = sound.index(b"IDAT")
    body = sound[at + 4 : -16 - 4] + b"\1\2\3\4" + behind
    data = sound[: at - 4] + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    assert np.array_equal(pixels(data), pixels(PNG))


def test_all_decoders_of_one_picture_share_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture may have to be decoded twice."""
    clocks = set()

    def check(clock: images._Clock) -> None:
        clocks.add(clock)

    monkeypatch.setattr(images._Clock, "check", check)
    assert images.read(JPEG[:-2]).width == SCENE.width
    assert len(clocks) == 1


def test_what_the_one_frame_of_an_animation_leaves_free_is_white() -> None:
    """Chromium and Firefox show the same."""
    whole = encoded(SCENE, "WEBP", lossless=True)
    sides = (SCENE.width - 1).to_bytes(3, "little") + (SCENE.height - 1).to_bytes(3, "little")
    canvas = (SCENE.width + 59).to_bytes(3, "little") + (SCENE.height + 39).to_bytes(3, "little")
    frame = bytes([20, 0, 0, 10, 0, 0]) + sides + bytes([100, 0, 0, 0]) + whole[12:]
    chunks = ((b"VP8X", b"\2\0\0\0" + canvas), (b"ANIM", b"\xff" + bytes(5)), (b"ANMF", frame))
    inside = b"WEBP" + b"".join(
        name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2) for name, body in chunks
    )
    read = pixels(b"RIFF" + struct.pack("<I", len(inside)) + inside)
    expected = np.full((SCENE.height + 40, SCENE.width + 60, 3), 255, np.uint8)
    expected[20 : 20 + SCENE.height, 40 : 40 + SCENE.width] = SCENE
    assert np.array_equal(read, expected)


def test_the_first_orientation_that_there_is_counts() -> None:
    """A value that means nothing hides none behind it, as in Chromium."""
    entries = [struct.pack("<HHIHH", exif.ORIENTATION, 3, 1, value, 0) for value in (77, 6, 3)]
    two = b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(4)
    assert exif.orientation(two) == 6


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_profiles_texts_and_previews_do_not_change_a_picture(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    bare = encoded(SCENE, kind, **options)
    more = {"exif": b"Exif\0\0" + tiff(1), "icc_profile": bytes(300_000), "xmp": XMP}
    dressed = encoded(SCENE, kind, **options, **more)
    assert np.array_equal(pixels(dressed), pixels(bare))


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_exif_of_a_png_turns_it_wherever_it_stands(order: str) -> None:
    turned = np.rot90(pixels(PNG), -1)
    chunk = png_chunk(b"eXIf", tiff(6, order))
    assert np.array_equal(pixels(in_png(chunk)), turned)
    assert np.array_equal(pixels(PNG[:-12] + chunk + PNG[-12:]), turned)


def test_the_smallest_lossless_webp_is_read() -> None:
    fields = [(0x2F, 8), (639, 14), (359, 14), (0, 1), (0, 3), (0, 1), (0, 1), (0, 1)]
    # Green, red, blue, alpha and distance each have a code of one symbol: 0.
    fields += [(0b0001, 4)] * 5
    text = "".join(f"{value:0{length}b}"[::-1] for value, length in fields).ljust(64, "0")
    body = bytes(int(text[i : i + 8][::-1], 2) for i in range(0, 64, 8))
    data = b"RIFF" + struct.pack("<I", 20) + b"WEBPVP8L" + struct.pack("<I", 8) + body
    assert len(data) == 28
    image = images.read(data)
    assert (image.width, image.height) == (640, 360)
    assert not np.asarray(image.rgb).any()


def test_an_animation_is_found_behind_other_chunks() -> None:
    control = png_chunk(b"acTL", struct.pack(">II", 2, 0)) + png_chunk(b"fcTL", bytes(26))
    text = png_chunk(b"tEXt", b"a\0" + b"b" * 6_000)
    with pytest.raises(AnimatedImage, match="2 frames"):
        images.read(in_png(text, control))


@pytest.mark.parametrize(
    "file", json.loads(animations.FILE.read_text()), ids=lambda file: file["name"]
)
def test_the_page_and_the_service_agree_on_which_pictures_move(file: dict) -> None:
    data = base64.b64decode(file["base64"])
    assert images.format_of(data).lower() == file["format"]
    if file["moves"]:
        with pytest.raises(AnimatedImage, match="2 frames"):
            images.read(data)
    else:
        assert images.read(data).width == animations.SIDE


def packed(levels: np.ndarray, depth: int, colour: int, transparent: bytes) -> bytes:
    """A PNG of `levels`, (height, width) or (height, width, 3), with a tRNS chunk."""
    height, width = levels.shape[:2]
    flat = levels.reshape(height, -1).astype(">u2")
    bits = np.unpackbits(flat.view(np.uint8).reshape(height, -1, 2), axis=2)[..., 16 - depth :]
    rows = np.packbits(bits.reshape(height, -1), axis=1)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        png_chunk(*chunk)
        for chunk in ((b"IHDR", header), (b"tRNS", transparent), (b"IDAT", body), (b"IEND", b""))
    )


@pytest.mark.parametrize("high_bits", [0, 1])
@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_the_key_colour_of_a_grey_png_is_white(depth: int, high_bits: int) -> None:
    most = (1 << depth) - 1
    levels = np.arange(40 * 40).reshape(40, 40) * 97 % (most + 1)
    key = int(levels[1, 1])
    # Bits above the depth have no meaning.
    stored = key | (high_bits << depth if depth < 16 else 0)
    read = pixels(packed(levels, depth, 0, struct.pack(">H", stored)))
    shown = levels >> 8 if depth == 16 else levels * 255 // most
    expected = np.where(levels == key, 255, shown)
    assert np.array_equal(read, np.dstack([expected] * 3))


@pytest.mark.parametrize("depth", [8, 16])
def test_the_key_colour_of_an_rgb_png_is_white(depth: int) -> None:
    unit = 257 if depth == 16 else 1
    levels = np.asarray(SCENE).astype(int) * unit
    levels[:, :100] = (1 * unit, 2 * unit, 3 * unit)
    key = struct.pack(">HHH", *levels[0, 0])
    expected = np.asarray(SCENE).copy()
    expected[:, :100] = 255
    assert np.array_equal(pixels(packed(levels, depth, 2, key)), expected)


def test_a_key_of_16_bits_is_compared_with_all_of_them() -> None:
    levels = np.full((64, 64, 3), 0x0A0B)
    levels[:, 32:] = 0x0A0C
    read = pixels(packed(levels, 16, 2, struct.pack(">HHH", *[0x0A0B] * 3)))
    assert read[0, 0].tolist() == [255] * 3
    assert read[0, 63].tolist() == [0x0A] * 3
    grey = pixels(packed(levels[..., 0], 16, 0, struct.pack(">H", 0x0A0B)))
    assert (grey[0, 0].tolist(), grey[0, 63].tolist()) == ([255] * 3, [0x0A] * 3)


@pytest.mark.parametrize(
    ("data", "kind", "advice"),
    [
        (b"\xff\x0a" + bytes(50), "a JPEG XL", "Convert"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50), "a JPEG XL", "Convert"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(50), "a JPEG 2000", "Convert"),
        (b"\xff\x4f\xff\x51" + bytes(50), "a JPEG 2000", "Convert"),
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1miaf", "an AVIF", "Convert"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "an AVIF", "Convert"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC", "Convert"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic", "a HEIC", "Convert"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isomavc1", "an MP4 film", "single frame"),
        (b"/9j/4AAQSkZJRgABAQAAAQ", "the base64 text of a JPEG", "Decode"),
        (b'"iVBORw0KGgoAAAANSUhEUg', "the base64 text of a PNG", "Decode"),
        (b"UklGRiQAAABXRUJQVlA4", "the base64 text of a WebP", "Decode"),
        (b"data:image/png;base64,iVBORw0KGgo", "a data URL", "comma"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "gzip data", "Unpack"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS", "git lfs"),
        (b"<!doctype html><html></html>", "HTML", "not the page"),
        (b"\xef\xbb\xbf\r\n<HTML>", "HTML", "not the page"),
        (b"\n  <svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG", "Convert"),
        (b"<?xml version='1.0'?>\n<!-- a -->\n<svg xmlns=''/>", "an SVG", "Convert"),
        (b"<!-- a --><!DOCTYPE svg PUBLIC ''>", "an SVG", "Convert"),
        (b'  {"file": "abc"}', "JSON", "image itself"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "a WAVE sound", "image itself"),
        (b"8BPS\0\1", "a Photoshop document", "Convert"),
        (b"P6\n640 360\n255\n", "a Netpbm", "Convert"),
        (b"P4# a comment\n8 8\n", "a Netpbm", "Convert"),
        (b"qoif\0\0\2\x80\0\0\1\x68\3\0", "a QOI", "Convert"),
        (b"icns\0\0\1\0ic10\0\0\0\x10" + PNG, "an icon of macOS", "Convert"),
        (b"\0\0\2\0\1\0\x20\x20", "a cursor", "Convert"),
        (b"DDS \x7c\0\0\0", "a DDS texture", "Convert"),
        (b"v/1\x01\2\0\0\0", "an OpenEXR", "Convert"),
        (b"#?RADIANCE\nFORMAT=", "a Radiance HDR", "Convert"),
        (b"\xef\xbb\xbf" + JPEG, "does not begin with an image", "own bytes"),
        (b"\0\1\2\3", "is not an image", "Convert"),
    ],
)
def test_other_files_are_named_for_what_they_are(data: bytes, kind: str, advice: str) -> None:
    with pytest.raises(UnsupportedFormat) as caught:
        images.read(data)
    assert kind in caught.value.detail
    assert advice in caught.value.detail


def test_a_jpeg_that_no_browser_shows_is_named() -> None:
    at = JPEG.index(b"\xff\xc0")
    for marker, bits, says in (
        (0xC9, 8, "arithmetic"),
        (0xC3, 8, "lossless"),
        (0xC0, 12, "12 bits"),
    ):
        data = JPEG[: at + 1] + bytes([marker]) + JPEG[at + 2 : at + 4] + bytes([bits])
        with pytest.raises(UnsupportedFormat, match=says):
            images.read(data + JPEG[at + 5 :])


def jpeg_of(samples: np.ndarray, markers: bytes, ids: bytes) -> bytes:
    """A JPEG of `samples`, (height, width, 3 or 4), with these component ids, and with `markers`
    instead of those of its encoder."""
    channels = samples.shape[2]
    # Pillow stores CMYK inverted, as Photoshop does.
    image = Image.fromarray(samples) if channels == 3 else Image.fromarray(255 - samples, "CMYK")
    data = bytearray(encoded(image, quality=95, subsampling=0, keep_rgb=True))
    first = 4 + int.from_bytes(data[4:6])
    assert data[2:4] == b"\xff\xee"
    frame, scan = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    data[frame + 10 : frame + 10 + 3 * channels : 3] = ids
    data[scan + 5 : scan + 5 + 2 * channels : 2] = ids
    return bytes(data[:2] + markers + data[first:])


def adobe(transform: int) -> bytes:
    return segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform]))


JFIF = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
NUMBERED, LETTERED = b"\1\2\3", b"RGB"
NEAR = 3
"""Mean levels by which rounding may change a picture. Wrong colours differ by 50 and more."""


@pytest.mark.parametrize("ids", [NUMBERED, LETTERED], ids=["1 2 3", "R G B"])
@pytest.mark.parametrize(
    ("markers", "space"),
    [
        (JFIF, "YCbCr"),
        (JFIF + adobe(0), "YCbCr"),
        (adobe(0), "RGB"),
        (adobe(1), "YCbCr"),
        (adobe(2), "YCbCr"),
        (b"", None),
        (segment(0xEE, b"Adobe"), None),
    ],
    ids=["JFIF", "JFIF and Adobe 0", "Adobe 0", "Adobe 1", "Adobe 2", "none", "short Adobe"],
)
def test_three_components_are_the_colours_that_a_browser_shows(
    markers: bytes, space: str | None, ids: bytes
) -> None:
    """Without a marker the ids decide. Chromium shows the same pixels for each of these files."""
    space = space or ("RGB" if ids == LETTERED else "YCbCr")
    samples = np.asarray(SCENE.convert(space) if space == "YCbCr" else SCENE)
    read = pixels(jpeg_of(samples, markers, ids)).astype(int)
    assert np.abs(read - np.asarray(SCENE)).mean() < NEAR


@pytest.mark.parametrize(
    "markers",
    [b"", JFIF, adobe(0), adobe(2), JFIF + adobe(2)],
    ids=["none", "JFIF", "Adobe 0", "Adobe 2", "JFIF and Adobe 2"],
)
def test_four_components_are_the_colours_that_a_browser_shows(markers: bytes) -> None:
    """CMYK and YCCK are inverted, with and without a marker of Photoshop. Black 255 is none."""
    rgb = np.asarray(SCENE)
    if adobe(2) in markers:
        rgb = np.asarray(Image.fromarray(255 - rgb).convert("YCbCr"))
    samples = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
    read = pixels(jpeg_of(samples, markers, b"\1\2\3\4")).astype(int)
    assert np.abs(read - np.asarray(SCENE)).mean() < NEAR


def test_the_same_damage_gets_the_same_words() -> None:
    for data in (PNG[:400], JPEG[:400], encoded(SCENE, "WEBP")[:400], JPEG[:200]):
        said = set()
        for _ in range(3):
            with pytest.raises(BrokenImage) as caught:
                images.read(bytes(io.BytesIO(data).read()))
            said.add(caught.value.detail)
        assert len(said) == 1
        assert "0x" not in said.pop()
