"""dataset: what is found, what is left out and why, and sides that nobody ever changes."""

import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clickbait import LABELS
from tests.samples.drawn import encoded, picture
from training import sides
from training.sides import SHARES, SIDES, Record


def many(n: int, start: int = 0, group_of: int = 0) -> list[Record]:
    """`n` records of both classes, all different; `group_of` images share a group."""
    rng = np.random.default_rng(start)
    return [
        Record(
            f"{i}.jpg",
            LABELS[i % 2],
            sha256=f"{i:064x}",
            phash=rng.bytes(8).hex(),
            group=str(i // group_of) if group_of else "",
        )
        for i in range(start, start + n)
    ]


def folder(root: Path, images: dict[str, bytes]) -> Path:
    for name, data in images.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def test_both_names_of_a_class_are_found_and_dot_files_are_not(tmp_path: Path) -> None:
    names = [
        "clickbait_fake/a.jpg",
        "clickbait/b.jpg",
        "legitimate/c/d.jpg",
        "clickbait_real/.DS_Store",
    ]
    folder(tmp_path, dict.fromkeys(names, b"x"))
    assert sides.find(tmp_path) == [
        ("clickbait/b.jpg", "clickbait_fake"),
        ("clickbait_fake/a.jpg", "clickbait_fake"),
        ("legitimate/c/d.jpg", "clickbait_real"),
    ]


def test_a_folder_without_one_of_the_classes_is_refused_by_name(tmp_path: Path) -> None:
    folder(tmp_path, {"clickbait_fake/a.jpg": b"x", "cats/b.jpg": b"x"})
    with pytest.raises(ValueError, match=r"no images of clickbait_real.*cats"):
        sides.find(tmp_path)


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
    records, pixels = sides.load(tmp_path, {})
    reasons = {r.file.split("/")[1][0] + r.label[10]: r.reason for r in records}
    assert reasons["1f"] == reasons["6r"] == ""
    assert reasons["2f"] == "duplicate of clickbait_fake/1.png"
    assert reasons["3f"] == "near-duplicate of clickbait_fake/1.png"
    assert "does not decode" in reasons["4f"]
    assert "both labels" in reasons["5f"]
    assert "both labels" in reasons["5r"]
    assert pixels.shape == (2, 224, 224, 3)


def test_flat_drawings_of_different_colours_are_not_each_other_s_copies(tmp_path: Path) -> None:
    from PIL import Image

    colours = {
        "clickbait_fake/red": "red",
        "clickbait_real/navy": "navy",
        "clickbait_real/white": "white",
    }
    files = {
        f"{n}.png": encoded(Image.new("RGB", (300, 200), c), "PNG") for n, c in colours.items()
    }
    records, _ = sides.load(folder(tmp_path, files), {})
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

    records, pixels = sides.load(Path("nowhere"), {"../../1": "g"}, found, slow_first)
    assert [(r.file, r.label) for r in records] == found
    assert sorted(taken) == sorted(stored)
    assert [bool(r.reason) for r in records] == [i == 4 for i in range(9)]
    assert records[1].group == "g"
    expected = [sides.check(stored[r.file])[2] for r in records if not r.reason]
    assert (pixels == np.array(expected)).all()


def test_what_is_no_fault_of_an_image_is_not_taken_for_one() -> None:
    def broken(name: str) -> bytes:
        raise ConnectionError("down")

    with pytest.raises(ConnectionError):
        sides.load(Path(), {}, [("a", LABELS[0]), ("b", LABELS[1])], broken)


@pytest.mark.parametrize(("n", "group_of"), [(400, 0), (2_400, 20), (24, 0)])
def test_sides_have_their_shares_of_each_class(n: int, group_of: int) -> None:
    records = sides.assign_sides(many(n, group_of=group_of))
    counts = sides.counts(records)
    for side in SIDES:
        for label in LABELS:
            target = SHARES[side] * n / 2
            assert abs(counts[side][label] - target) <= max(0.2 * target, 1)


def test_a_group_is_never_split() -> None:
    sides = defaultdict(set)
    for record in sides.assign_sides(many(600, group_of=7)):
        sides[record.group].add(record.side)
    assert all(len(s) == 1 for s in sides.values())


def test_nobody_changes_sides_when_images_are_added() -> None:
    first = sides.assign_sides(many(300))
    again = sides.assign_sides([replace(r, side="") for r in first] + many(200, 300), first)
    assert [r.side for r in again[:300]] == [r.side for r in first]


def test_nobody_changes_sides_even_without_a_manifest() -> None:
    first = sides.assign_sides(many(2_000))
    again = sides.assign_sides(many(2_000) + many(300, 2_000))
    assert [r.side for r in again[:2_000]] == [r.side for r in first]


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_the_validation_share_is_that_of_what_gets_a_side_now(share: float) -> None:
    first = sides.assign_sides(many(1_000))
    again = sides.assign_sides(
        [replace(r, side="") for r in first] + many(1_000, 1_000), first, share
    )
    assert [r.side for r in again[:1_000]] == [r.side for r in first]
    new = sides.counts(again[1_000:])
    for label in LABELS:
        assert new["validation"][label] / 500 == pytest.approx(share, abs=0.06)
        assert new["test"][label] / 500 == pytest.approx(0.15, abs=0.06)


@pytest.mark.parametrize("share", [0, 0.85, float("nan")])
def test_a_validation_share_that_leaves_a_side_empty_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"between 0 and 0\.85"):
        sides.assign_sides(many(4), (), share)


def test_a_new_image_takes_the_side_of_its_relative() -> None:
    old = [replace(r, side=side) for r, side in zip(many(3), SIDES, strict=True)]
    new = [replace(r, sha256=f"new{i}", side="") for i, r in enumerate(old)]
    assert [r.side for r in sides.assign_sides(new, old)] == list(SIDES)


def test_flat_images_are_nobody_s_relatives() -> None:
    flat = [replace(r, phash="0" * 16) for r in many(2)]
    old = [replace(flat[0], side="test"), replace(flat[1], side="train")]
    (new,) = sides.assign_sides([replace(flat[0], sha256="new")], old)
    assert new.reason == ""
    assert new.side


def test_a_new_group_that_touches_two_sides_is_left_out() -> None:
    old = [replace(r, side=side) for r, side in zip(many(2), ("train", "test"), strict=True)]
    new = [replace(r, sha256=f"new{i}", side="", group="both") for i, r in enumerate(old)]
    for record in sides.assign_sides(new, old):
        assert record.side == ""
        assert record.reason == "related to images of two sides: test and train"


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    records = [
        *sides.assign_sides(many(20)),
        Record('a,"b"\n.jpg', "clickbait_real", reason="ü, broken"),
    ]
    sides.write_manifest(tmp_path / "manifest.csv", records)
    assert list(sides.read_manifest(tmp_path / "manifest.csv")) == records


def test_the_digest_changes_with_a_label_and_not_with_the_order() -> None:
    records = sides.assign_sides(many(20))
    assert sides.digest(records[::-1]) == sides.digest(records)
    assert sides.digest([replace(records[0], label=LABELS[1]), *records[1:]]) != sides.digest(
        records
    )


def test_groups_without_their_columns_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text("file,cluster\na,1\n")
    with pytest.raises(ValueError, match="lacks the column group"):
        sides.read_groups(tmp_path / "g.csv")
