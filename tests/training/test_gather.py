"""Images are found and checked; those that cannot be used are left out, with the reason."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from clickbait import LABELS
from clickbait.inference import images
from clickbait.learning import copies
from tests.samples.classes import drawing
from tests.samples.drawn import encoded, picture
from training import gather
from training.sides import Record


def folder(root: Path, images: dict[str, bytes]) -> Path:
    for name, data in images.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def read(images: Path) -> Any:
    return gather.load(gather.find(images), lambda file: (images / file).read_bytes(), {})[:2]


def test_both_names_of_a_class_are_found_and_dot_files_are_not(tmp_path: Path) -> None:
    names = [
        "clickbait_fake/a.jpg",
        "clickbait/b.jpg",
        "legitimate/c/d.jpg",
        "clickbait_real/.DS_Store",
    ]
    folder(tmp_path, dict.fromkeys(names, b"x"))
    assert gather.find(tmp_path) == [
        ("clickbait/b.jpg", "clickbait_fake"),
        ("clickbait_fake/a.jpg", "clickbait_fake"),
        ("legitimate/c/d.jpg", "clickbait_real"),
    ]


def test_a_folder_without_one_of_the_classes_is_refused_by_name(tmp_path: Path) -> None:
    folder(tmp_path, {"clickbait_fake/a.jpg": b"x", "cats/b.jpg": b"x"})
    with pytest.raises(ValueError, match=r"no images of clickbait_real.*cats"):
        gather.find(tmp_path)


def test_unreadable_and_copied_images_are_reported_and_not_used(tmp_path: Path) -> None:
    one = picture(seed=1)
    folder(
        tmp_path,
        {
            "clickbait_fake/1.png": encoded(one, "PNG"),
            "clickbait_fake/2-same-bytes.png": encoded(one, "PNG"),
            "clickbait_fake/3-same-looks.jpg": encoded(one.resize((500, 281)), quality=80),
            "clickbait_fake/4-broken.jpg": encoded(picture(seed=2))[:2_000],
            "clickbait_fake/5-both.png": encoded(picture(seed=3), "PNG"),
            "clickbait_real/5-both.png": encoded(picture(seed=3), "PNG"),
            "clickbait_real/6.png": encoded(picture(seed=4), "PNG"),
        },
    )
    records, pixels = read(tmp_path)
    reasons = {r.file.split("/")[1][0] + r.label[10]: r.reason for r in records}
    assert reasons["1f"] == reasons["6r"] == ""
    assert reasons["2f"] == "duplicate of clickbait_fake/1.png"
    assert reasons["3f"] == "near-duplicate of clickbait_fake/1.png"
    assert "ends early" in reasons["4f"]
    assert "both labels" in reasons["5f"]
    assert "both labels" in reasons["5r"]
    assert pixels.shape == (2, 224, 224, 3)


def test_flat_drawings_of_different_colours_are_not_each_other_s_copies(tmp_path: Path) -> None:
    colours = {
        "clickbait_fake/red": "red",
        "clickbait_real/navy": "navy",
        "clickbait_real/white": "white",
    }
    files = {
        f"{n}.png": encoded(Image.new("RGB", (300, 200), c), "PNG") for n, c in colours.items()
    }
    records, _ = read(folder(tmp_path, files))
    assert [r.reason for r in records] == ["", "", ""]


def variants(image: Image.Image) -> dict[str, bytes]:
    """Copies of an image, as a user's tools make them."""
    w, h = image.size
    captioned = image.copy()
    ImageDraw.Draw(captioned).rectangle((0, h - h // 5, w, h), "black")
    mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return {
        "resaved": encoded(image, quality=40),
        "resized": encoded(image.resize((w // 2, h // 2)), quality=85),
        "cropped": encoded(image.crop((w // 12, h // 16, w - w // 16, h)), quality=85),
        "mirrored": encoded(mirrored, quality=85),
        "captioned": encoded(captioned, quality=85),
    }


def test_copies_of_exam_images_are_left_out_and_named() -> None:
    stored = {f"{seed}.png": encoded(picture(seed=seed), "PNG") for seed in range(40, 60)}
    exam = [picture(seed=seed) for seed in range(6)]
    for seed, image in enumerate(exam):
        stored |= {f"{seed} {how}.jpg": data for how, data in variants(image).items()}
    found = [(name, LABELS[int(name.split(".")[0].split()[0]) % 2]) for name in stored]
    sketches = [
        (f"exam/{seed}.png", copies.sketch(images.model_input(images.read(encoded(image, "PNG")))))
        for seed, image in enumerate(exam)
    ]
    data = gather.collect(found, stored.__getitem__, {}, exam=sketches)
    assert {r.file for r in data.used} == {f"{seed}.png" for seed in range(40, 60)}
    left_out = [r for r in data.records if not r.side]
    for record in left_out:
        seed = record.file.split()[0]
        near = record.reason.startswith("near-duplicate") and f" {seed} " in record.reason
        assert record.reason == f"{gather.OF_EXAM}exam/{seed}.png" or near, record
    assert len(left_out) == 30
    without = gather.collect(found, stored.__getitem__, {})
    assert {r.file for r in without.used} > {r.file for r in data.used}


def test_mirrored_and_cropped_copies_stay_on_one_side() -> None:
    stored = {f"{seed}.png": encoded(picture(seed=seed), "PNG") for seed in range(40, 60)}
    for seed in (40, 41, 42, 43):
        copied = variants(picture(seed=seed))
        stored |= {f"{seed} {how}.jpg": copied[how] for how in ("mirrored", "cropped")}
    found = [(name, LABELS[int(name.split(".")[0].split()[0]) % 2]) for name in stored]
    data = gather.collect(found, stored.__getitem__, {})
    for seed in (40, 41, 42, 43):
        family = [r for r in data.used if r.file.split(".")[0].split()[0] == str(seed)]
        assert len(family) >= 2
        assert len({r.side for r in family}) == 1 == len({r.group for r in family})


def test_many_images_of_one_template_are_not_one_group() -> None:
    stored = {f"{i}.jpg": drawing(LABELS[i % 2], i) for i in range(60)}
    found = [(name, LABELS[int(name.split(".")[0]) % 2]) for name in stored]
    data = gather.collect(found, stored.__getitem__, {})
    for side in ("train", "validation", "test"):
        assert {r.label for r in data.used if r.side == side} == set(LABELS)


def test_twenty_thousand_flat_images_are_compared_in_seconds() -> None:
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (20_000, 1, 3), np.uint8)
    thumbnails = np.repeat(colours, 256, axis=1).reshape(-1, 16, 16, 3)
    records = [
        Record(f"{i}.png", LABELS[0], sha256=f"{i:064x}", phash="0" * 16) for i in range(20_000)
    ]
    began = time.process_time()
    kept = [r for r in gather._without_copies(records, thumbnails) if not r.reason]
    assert time.process_time() - began < 60
    assert 1 < len(kept) < 20_000


def test_images_are_read_from_anywhere_in_their_order_and_no_name_becomes_a_path() -> None:
    stored = {f"../../{i}": encoded(picture(seed=i), "PNG") for i in range(9)}
    stored["../../4"] = b"no image"
    found = [(name, LABELS[i % 2]) for i, name in enumerate(stored)]
    taken: list[str] = []

    def slow_first(name: str) -> bytes:
        if name == "../../0":
            time.sleep(0.1)
        taken.append(name)
        return stored[name]

    records, pixels, sketches = gather.load(found, slow_first, {"../../1": "g"}, 64)
    assert [(r.file, r.label) for r in records] == found
    assert sorted(taken) == sorted(stored)
    assert [bool(r.reason) for r in records] == [i == 4 for i in range(9)]
    assert records[1].group == "g"
    expected = [gather.check(stored[r.file], 64) for r in records if not r.reason]
    assert (pixels == np.array([one.pixels for one in expected])).all()
    assert [one.hash for one in sketches] == [one.sketch.hash for one in expected]


def test_images_are_recognised_at_any_size_of_the_pixels() -> None:
    data = encoded(picture(seed=7), "PNG")
    large, small = gather.check(data), gather.check(data, 64)
    assert (large.pixels.shape, small.pixels.shape) == ((224, 224, 3), (64, 64, 3))
    assert (large.sketch.hash, large.sketch.mirrored) == (small.sketch.hash, small.sketch.mirrored)
    assert (large.thumbnail == small.thumbnail).all()


def test_a_fault_of_the_network_is_not_a_fault_of_the_image() -> None:
    def broken(name: str) -> bytes:
        raise ConnectionError("down")

    with pytest.raises(ConnectionError):
        gather.load([("a", LABELS[0]), ("b", LABELS[1])], broken, {})


def test_a_data_set_with_a_test_folder_is_measured_on_it(tmp_path: Path) -> None:
    """The old project's layout: data/train and data/test, each with the class folders."""
    for place, start, count in (("train", 0, 40), ("test", 100, 12)):
        for label in LABELS:
            for n in range(start, start + count):
                folder(tmp_path, {f"{place}/{label}/{n}.jpg": drawing(label, n)})
    data = gather.read(tmp_path, None, None, 32)
    tested = {record.file for record in data.records if record.file.startswith("test/")}
    assert {record.side for record in data.records if record.file in tested} <= {"test", ""}
    on_test = [record for record in data.used if record.side == "test"]
    assert len(tested) == 24
    assert sum(record.file in tested for record in on_test) >= 20
    assert {record.side for record in data.used} == {"train", "validation", "test"}


@pytest.mark.parametrize("share", [0.0, 0.9, -1.0])
def test_an_impossible_validation_split_is_one_line(tmp_path: Path, share: float) -> None:
    folder(
        tmp_path,
        {f"{label}/{n}.jpg": drawing(label, n) for label in LABELS for n in range(4)},
    )
    with pytest.raises(gather.Unusable, match="validation share"):
        gather.read(tmp_path, None, None, 32, validation=share)
