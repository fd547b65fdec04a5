"""Sides keep their shares, groups stay together, and no image ever changes sides."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clickbait import LABELS
from clickbait.learning.manifest import digest
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


@pytest.mark.parametrize(("n", "group_of"), [(400, 0), (2_400, 20), (24, 0)])
def test_sides_have_their_shares_of_each_class(n: int, group_of: int) -> None:
    records = sides.assign_sides(many(n, group_of=group_of))
    counts = sides.counts(records)
    for side in SIDES:
        for label in LABELS:
            target = SHARES[side] * n / 2
            assert abs(counts[side][label] - target) <= max(0.2 * target, 1)


def test_a_group_is_never_split() -> None:
    of_group = defaultdict(set)
    for record in sides.assign_sides(many(600, group_of=7)):
        of_group[record.group].add(record.side)
    assert all(len(found) == 1 for found in of_group.values())


def test_no_image_changes_sides_when_images_are_added() -> None:
    first = sides.assign_sides(many(300))
    again = sides.assign_sides([replace(r, side="") for r in first] + many(200, 300), first)
    assert [r.side for r in again[:300]] == [r.side for r in first]


def test_no_image_changes_sides_even_without_a_manifest() -> None:
    first = sides.assign_sides(many(2_000))
    again = sides.assign_sides(many(2_000) + many(300, 2_000))
    assert [r.side for r in again[:2_000]] == [r.side for r in first]


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_the_validation_share_applies_to_images_that_get_a_side_now(share: float) -> None:
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


def test_flat_images_have_no_relatives() -> None:
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
    assert digest(records[::-1]) == digest(records)
    assert digest([replace(records[0], label=LABELS[1]), *records[1:]]) != digest(records)


def test_groups_without_their_columns_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text("file,cluster\na,1\n")
    with pytest.raises(ValueError, match="lacks the column group"):
        sides.read_groups(tmp_path / "g.csv")
