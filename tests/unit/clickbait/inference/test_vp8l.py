"""The blocks of lossless WebPs: counted in files of libwebp, refused above the limit."""

import struct

import pytest
from PIL import Image

from clickbait.errors import BrokenImage, TooComplex
from clickbait.inference import images
from clickbait.inference.container import vp8l
from tests.samples.bombs import lossless_blocks
from tests.samples.drawn import encoded, grainy, picture

SIZE = (480, 432)  # More than MAX_BLOCKS blocks of 4 x 4 would fit.


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of blocks that were compared with the limit."""
    found: list[int] = []
    check = vp8l.check_count

    def noted(title: str, parts: str, value: int, limit: int) -> None:
        if parts.startswith("blocks"):
            found.append(value)
        check(title, parts, value, limit)

    monkeypatch.setattr(vp8l, "check_count", noted)
    return found


def photograph(mode: str) -> Image.Image:
    image = grainy(picture(SIZE, seed=5))
    if mode == "palette":
        return image.quantize(12).convert("RGB")
    if mode == "RGBA":
        image.putalpha(grainy(picture(SIZE, seed=6)).convert("L"))
    return image


@pytest.mark.parametrize("method", [0, 3, 4, 6])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "palette"])
def test_files_of_libwebp_are_followed_to_their_blocks_and_read(
    mode: str, method: int, counted: list[int]
) -> None:
    data = encoded(photograph(mode), "WEBP", lossless=True, method=method)
    read = images.read(data)
    assert (read.width, read.height) == SIZE
    # A picture cut into squares of 2 ** n pixels has as many blocks as squares.
    width = SIZE[0] if mode != "palette" else SIZE[0] // 2
    squares = {-(-width >> n) * -(-SIZE[1] >> n) for n in range(2, 10)}
    if mode != "palette" or method > 0:  # Else one set of codes is enough for libwebp.
        assert len(counted) == 1
    assert set(counted) <= squares
    assert max(counted, default=0) <= 2_600


def test_more_blocks_than_the_limit_are_refused_with_their_number() -> None:
    with pytest.raises(TooComplex, match=r"has 16,384 blocks .* the limit is 10,000"):
        images.read(lossless_blocks(128, 128))
    assert images.read(lossless_blocks(100, 100)).width == 400


def test_blocks_are_counted_in_frames_and_in_alpha_channels() -> None:
    picture_chunk = lossless_blocks(128, 128)[12:]
    sides = struct.pack("<I", 511)[:3] * 2
    frame = chunk(b"ANMF", bytes(6) + sides + bytes(4) + picture_chunk)
    animated = riff(
        chunk(b"VP8X", b"\2\0\0\0" + sides), chunk(b"ANIM", b"\xff" * 4 + bytes(2)), frame
    )
    lossy = encoded(Image.new("RGB", (512, 512), "navy"), "WEBP")[12:]
    alpha = chunk(b"ALPH", b"\1" + picture_chunk[8 + 5 :])
    with_alpha = riff(chunk(b"VP8X", b"\x10\0\0\0" + sides), alpha, lossy)
    for data in (animated, with_alpha):
        with pytest.raises(TooComplex, match="16,384 blocks"):
            images.read(data)


def test_transforms_of_too_many_pixels_are_refused() -> None:
    with pytest.raises(TooComplex, match=r"131,072 pixels of transforms; the limit is 100,000"):
        images.read(lossless_blocks(256, 256))


@pytest.mark.parametrize("end", [40, 5_000, 60_000])
def test_a_file_that_ends_in_between_is_damaged(end: int) -> None:
    body = lossless_blocks(128, 128)[20:][:end]
    with pytest.raises(BrokenImage):
        images.read(riff(chunk(b"VP8L", body + bytes(40_000))[: 8 + end]))
