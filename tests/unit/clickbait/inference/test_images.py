"""images: the accepted formats, how each kind is read, and every limit."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from clickbait.errors import (
    AnimatedImage,
    BrokenImage,
    EmptyImage,
    PayloadTooLarge,
    Problem,
    TooManyPixels,
    UnsupportedFormat,
)
from clickbait.inference import images
from clickbait.inference.container import webp
from clickbait.inference.container.exif import ORIENTATION
from tests.samples import hostile
from tests.samples.drawn import encoded, picture

UNDO = images.UPRIGHT
INVERSE = {
    Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270,
    Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90,
}


def oriented(orientation: int, kind: str) -> bytes:
    """The same upright picture, stored rotated so that `orientation` restores it."""
    image = picture((640, 352))
    if orientation > 1:
        image = image.transpose(INVERSE.get(UNDO[orientation], UNDO[orientation]))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    return encoded(image, kind, exif=exif, **options)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_eight_orientations_of_one_image_are_the_same_pixels(orientation: int) -> None:
    upright = images.read(oriented(1, "PNG"))
    turned = images.read(oriented(orientation, "PNG"))
    assert (turned.width, turned.height) == (640, 352)
    assert np.array_equal(images.model_input(turned), images.model_input(upright))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_to_jpeg_too(orientation: int) -> None:
    upright = images.model_input(images.read(oriented(1, "JPEG"))).astype(int)
    turned = images.model_input(images.read(oriented(orientation, "JPEG"))).astype(int)
    assert np.abs(turned - upright).mean() < 1.0


@pytest.mark.parametrize("kind", images.FORMATS)
def test_the_content_decides_the_format(kind: str) -> None:
    assert images.read(encoded(picture(), kind)).format == kind


def test_the_model_sees_224_by_224_rgb() -> None:
    pixels = images.model_input(images.read(encoded(picture())))
    assert pixels.shape == (224, 224, 3)
    assert pixels.dtype == np.uint8


@pytest.mark.parametrize("name", hostile.modes())
def test_every_mode_is_converted_to_rgb(name: str) -> None:
    image = images.read(hostile.modes()[name])
    assert image.rgb.mode == "RGB"


def test_sixteen_bit_grey_keeps_its_greys() -> None:
    half = Image.frombytes("I;16", (64, 64), struct.pack("<4096H", *[32_768] * 4_096))
    assert images.model_input(images.read(encoded(half, "PNG")))[0, 0].tolist() == [128] * 3


def test_transparent_pixels_are_drawn_over_white() -> None:
    clear = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    assert images.model_input(images.read(encoded(clear, "PNG")))[0, 0].tolist() == [255] * 3


def test_a_transparent_palette_colour_is_drawn_over_white() -> None:
    image = Image.new("P", (64, 64), 0)
    image.putpalette([10, 20, 30] + [0] * 765)
    data = encoded(image, "PNG", transparency=0)
    assert images.model_input(images.read(data))[0, 0].tolist() == [255] * 3


def test_cmyk_white_is_white() -> None:
    white = encoded(Image.new("CMYK", (64, 64), (0, 0, 0, 0)))
    assert images.model_input(images.read(white)).min() >= 250


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA"])
def test_shrinking_a_large_image_in_bands_gives_the_same_result(mode: str) -> None:
    large = picture((3_000, 2_100)).convert("RGB")
    banded = images.model_input(images.read(encoded(large.convert(mode), "PNG"))).astype(int)
    whole = large.convert(mode).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
    assert np.abs(banded - np.asarray(whole, int)).mean() < 2.5


def test_drafting_a_large_jpeg_changes_the_model_input_little() -> None:
    data = encoded(picture((4_000, 3_000)), quality=92)
    drafted = images.model_input(images.read(data)).astype(int)
    with Image.open(io.BytesIO(data)) as full:
        exact = np.asarray(full.resize((224, 224), Image.Resampling.BILINEAR), int)
    assert np.abs(drafted - exact).mean() < 2.0


def test_the_first_picture_of_a_phone_photo_with_two_is_used() -> None:
    data, _ = hostile.good_or_bad()["phone-with-second-picture.jpg"]
    assert images.read(data).width == 640


def test_pixels_at_the_limit_pass_and_one_row_more_does_not() -> None:
    assert images.read(hostile.flat_png(5_000, 5_000)).width == 5_000
    with pytest.raises(TooManyPixels) as caught:
        images.read(hostile.flat_png(5_000, 5_001))
    assert caught.value.members == {"limit": 25_000_000, "value": 25_005_000}


def test_webp_pixels_at_the_limit_pass_and_one_row_more_does_not() -> None:
    at = encoded(Image.new("RGB", (4_000, 2_500)), "WEBP", lossless=True)
    past = encoded(Image.new("RGB", (4_000, 2_501)), "WEBP", lossless=True)
    assert images.read(at).height == 2_500
    with pytest.raises(TooManyPixels, match="save it as JPEG"):
        images.read(past)


@pytest.mark.parametrize("size", [(37, 53), (1, 1), (300, 2)])
@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\0\0" + bytes(8)}])
def test_the_webp_header_is_read_as_the_decoder_reads_it(
    size: tuple[int, int], options: dict
) -> None:
    data = encoded(picture(size), "WEBP", **options)
    assert webp.size(data) == size


def test_bytes_at_the_limit_pass_and_one_more_does_not() -> None:
    data = encoded(picture(), "PNG")
    assert images.read(data, max_bytes=len(data)).format == "PNG"
    with pytest.raises(PayloadTooLarge) as caught:
        images.read(data, max_bytes=len(data) - 1)
    assert caught.value.members == {"limit": len(data) - 1, "value": len(data)}


@pytest.mark.parametrize(
    ("data", "problem", "says"),
    [
        (b"", EmptyImage, "zero bytes"),
        (b"GIF89a" + bytes(20), UnsupportedFormat, "a GIF"),
        (b"\0\0\0\x18ftypheic" + bytes(20), UnsupportedFormat, "HEIC"),
        (encoded(picture())[:-2_000], BrokenImage, "The JPEG ends early"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), BrokenImage, "The PNG is damaged"),
        (b"RIFF\0\0\0\0WEBP", BrokenImage, "The WebP ends early"),
        (b"RIFF\0\0\0\0WEBP" + bytes(20), BrokenImage, "The WebP is damaged"),
        (hostile.animated("PNG"), AnimatedImage, "3 frames"),
        (hostile.animated("WEBP"), AnimatedImage, "3 frames"),
    ],
)
def test_a_bad_image_gets_its_own_problem(data: bytes, problem: type, says: str) -> None:
    with pytest.raises(problem, match=says):
        images.read(data)


@pytest.mark.parametrize("name", hostile.good_or_bad())
def test_a_hostile_file_is_read_or_refused_as_it_should_be(name: str) -> None:
    data, right = hostile.good_or_bad()[name]
    try:
        images.model_input(images.read(data))
        status = 200
    except Problem as problem:
        status = problem.status
        assert "0x" not in problem.detail, "an address of memory"
    assert status in right
