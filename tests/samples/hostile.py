"""Files that people send by mistake or on purpose. Each must get an answer and do no harm."""

import io
import struct
import zlib
from functools import cache

from PIL import Image, PngImagePlugin

from tests.samples import bombs
from tests.samples.drawn import encoded, picture, png_chunk


def flat_png(width: int, height: int, depth: int = 1, colour: int = 0) -> bytes:
    """A PNG of one colour, a thousandth as large as its pixels: 9000 x 9000 takes 10 KB."""
    row = 1 + (width * depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] + 7) // 8
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(bytes(row)) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    palette = png_chunk(b"PLTE", bytes(768)) if colour == 3 else b""
    chunks = (
        png_chunk(b"IHDR", header) + palette + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


def text_bomb(count: int, size: int) -> bytes:
    """A PNG with `count` compressed text chunks that unpack to `size` bytes each."""
    chunk = png_chunk(b"zTXt", b"bomb\0\0" + zlib.compress(b"A" * size, 9))
    whole = encoded(picture((64, 64)), "PNG")
    return whole[:33] + chunk * count + whole[33:]


def animated(kind: str, frames: int = 3) -> bytes:
    first, *others = [picture((80, 60), seed) for seed in range(frames)]
    return encoded(first, kind, save_all=True, append_images=others, duration=50)


def with_exif(orientation: int, junk: bool = False) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = b"Exif\0\0" + b"\xff" * 60 if junk else exif.tobytes()
    return encoded(picture(), "JPEG", exif=data)


def webp_header(width: int, height: int) -> bytes:
    """A lossless WebP header that promises a canvas it does not have."""
    bits = (width - 1) | (height - 1) << 14
    body = b"VP8L" + struct.pack("<I", 20) + b"\x2f" + struct.pack("<I", bits) + bytes(15)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def webp_canvas(width: int, height: int) -> bytes:
    """A WebP whose extended header promises a huge canvas around a small, valid picture."""
    picture_chunk = encoded(picture((64, 64)), "WEBP")[12:]
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + sizes + picture_chunk
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


@cache
def modes() -> dict[str, bytes]:
    """One picture in every mode that a supported format can have."""
    base = picture()
    alpha = base.convert("RGBA")
    alpha.putalpha(base.convert("L"))
    key = base.convert("P")
    key.info["transparency"] = 0
    wide = Image.frombytes("I;16", (64, 64), struct.pack("<4096H", *range(0, 65536, 16)))
    return {
        "mode-1.png": encoded(base.convert("1"), "PNG"),
        "mode-L.png": encoded(base.convert("L"), "PNG"),
        "mode-LA.png": encoded(alpha.convert("LA"), "PNG"),
        "mode-P.png": encoded(base.convert("P"), "PNG"),
        "mode-P-transparent.png": encoded(key, "PNG", transparency=0),
        "mode-RGBA.png": encoded(alpha, "PNG"),
        "mode-I16.png": encoded(wide, "PNG"),
        "mode-RGB48.png": flat_png(64, 64, 16, 2),
        "mode-LA32.png": flat_png(64, 64, 16, 4),
        "mode-RGBA64.png": flat_png(64, 64, 16, 6),
        "mode-L.jpg": encoded(base.convert("L")),
        "mode-CMYK.jpg": encoded(base.convert("CMYK")),
        "mode-YCbCr.jpg": encoded(base.convert("YCbCr")),
        "progressive.jpg": encoded(base, progressive=True),
        "mode-RGBA.webp": encoded(alpha, "WEBP"),
        "lossless.webp": encoded(base, "WEBP", lossless=True),
    }


@cache
def good_or_bad() -> dict[str, tuple[bytes, set[int]]]:
    """name -> (bytes, correct statuses)."""
    base = picture()
    kinds = {"jpg": encoded(base), "png": encoded(base, "PNG"), "webp": encoded(base, "WEBP")}
    fine, bad = {200}, {422}
    files: dict[str, tuple[bytes, set[int]]] = {}
    for end, data in kinds.items():
        for tenth in range(1, 10):
            files[f"truncated-{tenth}0-percent.{end}"] = data[: len(data) * tenth // 10], bad
        files[f"one-byte.{end}"] = data[:1], {415}
        files[f"magic-only.{end}"] = data[:12], {415, 422}
        files[f"zeros-behind.{end}"] = data + bytes(10_000), fine
        files[f"html-behind.{end}"] = data + b"<script>alert(1)</script>", fine
        files[f"zip-behind.{end}"] = data + b"PK\x05\x06" + bytes(18), fine
        files[f"flipped-middle.{end}"] = (
            data[: len(data) // 2] + b"\xff\x00\xff" * 20 + data[len(data) // 2 + 60 :],
            {200, 422},
        )
    files["empty"] = b"", bad
    files["zeros.png"] = bytes(1_000), {415}
    files["png-named-jpg.jpg"] = kinds["png"], fine
    files["gif-named-png.png"] = encoded(base.convert("P"), "GIF"), {415}
    files["bmp-named-jpg.jpg"] = encoded(base, "BMP"), {415}
    files["tiff.jpg"] = encoded(base, "TIFF"), {415}
    files["script.jpg"] = b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", {415}
    files["html.png"] = b"<!DOCTYPE html><html></html>", {415}
    files["pdf.jpg"] = b"%PDF-1.7 " + bytes(100), {415}
    files["zip.png"] = b"PK\x03\x04" + bytes(100), {415}
    files["heic.jpg"] = b"\0\0\0\x18ftypheic" + bytes(100), {415}
    files["gif-polyglot.jpg"] = b"GIF89a" + kinds["jpg"], {415}
    files["jpeg-in-png.png"] = b"\x89PNG\r\n\x1a\n" + kinds["jpg"], bad
    files["riff-not-webp.webp"] = b"RIFF\x24\0\0\0WAVEfmt " + bytes(40), {415}
    files["wide-20000x1.png"] = flat_png(20_000, 1), fine
    files["tall-1x20000.png"] = flat_png(1, 20_000), fine
    files["one-pixel.png"] = flat_png(1, 1), fine
    files["no-pixels.png"] = flat_png(1, 1).replace(struct.pack(">II", 1, 1), bytes(8)), bad
    files["bomb-9000x9000.png"] = flat_png(9_000, 9_000), bad
    files["bomb-65535x65535.png"] = (
        flat_png(65_535, 64)[:16] + struct.pack(">II", 65_535, 65_535),
        bad,
    )
    files["largest-grey-5000x5000.png"] = flat_png(5_000, 5_000), fine
    files["largest-rgba-5000x5000.png"] = flat_png(5_000, 5_000, 8, 6), fine
    files["largest-rgba64-5000x5000.png"] = flat_png(5_000, 5_000, 16, 6), fine
    files["largest-palette-5000x5000.png"] = flat_png(5_000, 5_000, 8, 3), fine
    flat = Image.new("RGB", (4_000, 2_500), "navy")
    files["largest-4000x2500.webp"] = encoded(flat, "WEBP", lossless=True), fine
    files["bomb-5000x5000.webp"] = webp_header(5_000, 5_000), bad
    files["bomb-16383x16383.webp"] = webp_header(16_383, 16_383), bad
    files["bomb-canvas.webp"] = webp_canvas(16_000, 16_000), bad
    files["animated.png"] = animated("PNG"), bad
    files["animated.webp"] = animated("WEBP"), bad
    files["animated.gif"] = animated("GIF"), {415}
    files["text-bomb-60.png"] = text_bomb(60, 1_000_000), {200, 422}
    files["text-bomb-1.png"] = text_bomb(1, 200_000_000), {200, 422}
    files["text-many.png"] = text_bomb(3_000, 1_000), {200, 422}
    files["icc-junk.jpg"] = encoded(base, icc_profile=b"\xde\xad\xbe\xef" * 200), fine
    files["icc-junk.png"] = encoded(base, "PNG", icc_profile=b"\xde\xad" * 500), fine
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "<script>" * 100)
    files["text.png"] = encoded(base, "PNG", pnginfo=info), fine
    files["exif-junk.jpg"] = with_exif(1, junk=True), fine
    files["exif-9.jpg"] = with_exif(9), fine
    files["comment-64k.jpg"] = encoded(base, comment=b"x" * 65_000), fine
    for orientation in range(1, 9):
        files[f"orientation-{orientation}.jpg"] = with_exif(orientation), fine
    for name, data in modes().items():
        files[name] = data, fine
    files |= {f"costly-{name}": (data, bad) for name, data in bombs.refused().items()}
    mpo = io.BytesIO()
    base.save(mpo, "MPO", save_all=True, append_images=[picture(seed=1)])
    files["phone-with-second-picture.jpg"] = mpo.getvalue(), fine
    return files
