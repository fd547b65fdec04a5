"""Images are found and checked; those that cannot be used are left out, with the reason."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clickbait import LABELS
from tests.samples.drawn import encoded, picture
from training import gather


def folder(root: Path, images: dict[str, bytes]) -> Path:
    for name, data in images.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def read(images: Path) -> Any:
    return gather.load(gather.find(images), lambda file: (images / file).read_bytes(), {})


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

    records, pixels = gather.load(found, slow_first, {"../../1": "g"})
    assert [(r.file, r.label) for r in records] == found
    assert sorted(taken) == sorted(stored)
    assert [bool(r.reason) for r in records] == [i == 4 for i in range(9)]
    assert records[1].group == "g"
    expected = [gather.check(stored[r.file])[2] for r in records if not r.reason]
    assert (pixels == np.array(expected)).all()


def test_a_fault_of_the_network_is_not_a_fault_of_the_image() -> None:
    def broken(name: str) -> bytes:
        raise ConnectionError("down")

    with pytest.raises(ConnectionError):
        gather.load([("a", LABELS[0]), ("b", LABELS[1])], broken, {})
