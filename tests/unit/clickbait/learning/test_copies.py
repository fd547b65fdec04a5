"""Finding copies of an image."""

import time
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from clickbait.inference import images
from clickbait.learning import copies
from tests.samples.drawn import encoded, picture

SIZE = (384, 216)
ORIGINALS = [picture(SIZE, seed) for seed in range(10)]


def sketch(image: Image.Image, quality: int = 90) -> copies.Sketch:
    data = encoded(image, quality=quality)
    return copies.sketch(images.model_input(images.read(data)))


def cropped(image: Image.Image, part: float) -> Image.Image:
    w, h = image.size
    return image.crop((int(w * part / 3), int(h * part / 2), int(w * (1 - part / 2)), h))


def captioned(image: Image.Image) -> Image.Image:
    out = image.copy()
    pen = ImageDraw.Draw(out)
    pen.rectangle((0, 170, 384, 216), "black")
    pen.text((10, 180), "WATCH THIS", "white", font_size=24)
    return out


def versions(image: Image.Image) -> Iterator[tuple[Image.Image, int]]:
    yield image, 35
    yield image.resize((230, 130)), 80
    yield image.resize((1280, 720)), 90
    yield image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 85
    yield cropped(image, 0.1), 85
    yield cropped(image, 0.2), 85
    yield captioned(image), 85
    yield ImageEnhance.Brightness(image).enhance(1.2), 85


def test_every_copy_of_an_exam_image_is_found_and_no_other_image() -> None:
    exam = [sketch(image) for image in ORIGINALS]
    train = [sketch(*version) for image in ORIGINALS for version in versions(image)]
    others = [sketch(picture(SIZE, seed)) for seed in range(100, 140)]
    expected = [(i, 8 * i + k) for i in range(len(exam)) for k in range(8)]
    assert len(expected) == 80
    assert copies.pairs(exam, train + others) == expected


def test_an_exam_image_that_is_a_crop_is_found() -> None:
    whole, part = sketch(ORIGINALS[0]), sketch(cropped(ORIGINALS[0], 0.2))
    assert copies.pairs([part], [whole]) == [(0, 0)]


def test_an_empty_list_has_no_copies() -> None:
    assert copies.pairs([], [sketch(ORIGINALS[0])]) == []
    assert copies.pairs([sketch(ORIGINALS[0])], []) == []


def test_copies_and_named_groups_share_a_number() -> None:
    sketches = [sketch(image) for image in ORIGINALS[:4]] + [sketch(ORIGINALS[1], 35)]
    numbers = copies.groups(sketches, ["", "", "a", "a", ""])
    assert numbers.tolist() == [0, 1, 2, 2, 1]


def test_flat_images_of_different_colours_are_not_copies() -> None:
    red, blue = (sketch(Image.new("RGB", SIZE, colour)) for colour in ("red", "blue"))
    assert copies.pairs([red], [blue]) == []
    assert copies.pairs([red], [red]) == [(0, 0)]


@pytest.mark.parametrize("colours", [1, 20_000])
def test_twenty_thousand_flat_images_take_seconds(colours: int) -> None:
    rng = np.random.default_rng(0)
    flat = rng.integers(0, 256, (colours, 1, 3)).repeat(20_000 // colours, axis=0)
    thumbnails = flat.repeat(copies.THUMBNAIL**2, axis=1).reshape(20_000, -1).astype(np.uint8)
    started = time.process_time()
    families = copies.families(np.zeros(20_000, np.uint64), thumbnails)
    assert time.process_time() - started < 60
    assert families[0] == 0
    if colours == 1:
        assert (families == 0).all()


def test_families_have_close_hashes_and_colours() -> None:
    hashes = np.array([0, 0b111, 2**40 - 1, 0], np.uint64)
    thumbnails = np.array([[100] * 768, [104] * 768, [100] * 768, [140] * 768], np.uint8)
    assert copies.families(hashes, thumbnails).tolist() == [0, 0, 1, 2]
