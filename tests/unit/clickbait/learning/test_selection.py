"""The images that a small update may learn from."""

import hashlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from clickbait.inference import images
from clickbait.learning import copies, selection
from clickbait.learning.replay import Known
from clickbait.learning.selection import BOTH_LABELS, DUPLICATE, EXAM_COPY, KNOWN, Candidate
from tests.samples.drawn import encoded, picture

REAL, FAKE = 0, 1
NOTHING = Known()


def candidate(
    key: str, label: int, seed: int, width: int = 320, group: str = "", decided: bool = False
) -> Candidate:
    """A drawing, saved at `width`: other widths of one seed are copies with other bytes."""
    data = encoded(picture((320, 180), seed).resize((width, width * 9 // 16)))
    sketch = copies.sketch(images.model_input(images.read(data)))
    return Candidate(key, label, hashlib.sha256(data).hexdigest(), sketch, group, decided)


def known(*candidates: Candidate) -> Known:
    hashes = np.array([one.sketch.hash for one in candidates], np.uint64)
    return Known(tuple(one.sha256 for one in candidates), hashes)


def kinds(found: selection.Selection) -> dict[str, str]:
    """The kind of reason of each image that was left out."""
    return {
        key: next(kind for kind in selection.KINDS if reason.startswith(kind))
        for key, reason in found.left_out.items()
    }


def test_different_images_are_all_used_and_each_is_a_unit() -> None:
    own = [candidate(f"{seed}", seed % 2, seed) for seed in range(6)]
    found = selection.select(own, [candidate("exam", FAKE, 9)], NOTHING)
    assert found.own.tolist() == list(range(6)) and found.exam.tolist() == [0]
    assert len(set(found.own_units.tolist())) == 6 and not found.left_out


def test_images_that_the_network_was_trained_on_are_left_out_and_so_are_their_copies() -> None:
    trained = candidate("before", FAKE, 0)
    own = [candidate("same", FAKE, 0), candidate("copy", FAKE, 0, 200), candidate("new", FAKE, 1)]
    found = selection.select(own, [candidate("exam", FAKE, 0, 260)], known(trained))
    assert kinds(found) == dict.fromkeys(("same", "copy", "exam"), KNOWN)
    assert found.own.tolist() == [2] and not len(found.exam)
    assert found.counts() == {KNOWN: 3}


def test_a_copy_of_an_exam_image_is_not_learned_from() -> None:
    own = [candidate("copy", FAKE, 0), candidate("new", FAKE, 1)]
    found = selection.select(own, [candidate("exam", FAKE, 0, 200)], NOTHING)
    assert kinds(found) == {"copy": EXAM_COPY} and "exam" in found.left_out["copy"]
    assert found.own.tolist() == [1] and found.exam.tolist() == [0]


def test_near_copies_are_one_unit_and_duplicates_count_once() -> None:
    own = [
        candidate("first", FAKE, 0),
        candidate("again", FAKE, 0),
        candidate("smaller", FAKE, 0, 200),
        candidate("other", FAKE, 1),
    ]
    found = selection.select(own, [], NOTHING)
    assert kinds(found) == {"again": DUPLICATE} and found.own.tolist() == [0, 2, 3]
    first, smaller, other = found.own_units
    assert first == smaller != other


def test_images_of_one_group_are_one_unit() -> None:
    own = [candidate(f"{seed}", FAKE, seed, group="g" * (seed < 2)) for seed in range(4)]
    first, second, third, fourth = selection.select(own, [], NOTHING).own_units
    assert first == second and len({int(first), int(third), int(fourth)}) == 3


@pytest.mark.parametrize(
    ("decided", "left"),
    [
        ((False, False), {"real", "fake"}),
        ((False, True), {"real"}),
        ((True, True), {"real", "fake"}),
    ],
)
def test_of_copies_with_both_labels_only_those_that_an_admin_decided_stay(
    decided: tuple[bool, bool], left: set[str]
) -> None:
    own = [
        candidate("real", REAL, 0, decided=decided[0]),
        candidate("fake", FAKE, 0, 200, decided=decided[1]),
    ]
    assert kinds(selection.select(own, [], NOTHING)) == dict.fromkeys(left, BOTH_LABELS)


def test_flat_images_are_known_by_their_bytes_alone() -> None:
    """They share a perceptual hash whatever their colour."""
    flat = images.model_input(
        images.read(encoded(picture((64, 36)).resize((1, 1)).resize((64, 36))))
    )
    sketch = copies.sketch(flat)
    there = Known(("a" * 64,), np.array([sketch.hash], np.uint64))
    assert not there.matches("b" * 64, sketch).any() and there.matches("a" * 64, sketch).all()


def test_images_that_only_resemble_each_other_are_one_unit_and_both_stay() -> None:
    """Words on black share a hash and most of their pixels, whatever they say."""

    def words(key: str, label: int, text: str) -> Candidate:
        image = Image.new("RGB", (320, 180))
        ImageDraw.Draw(image).text((40, 60), text, "white", font_size=14)
        data = encoded(image)
        sketch = copies.sketch(images.model_input(images.read(data)))
        return Candidate(key, label, hashlib.sha256(data).hexdigest(), sketch)

    own = [words("one", REAL, "Requiem for a dream"), words("two", FAKE, "Something from nothing")]
    assert (own[0].sketch.hash ^ own[1].sketch.hash).bit_count() <= 10, "the drawing is too easy"
    found = selection.select(own, [], NOTHING)
    assert not found.left_out and found.own_units[0] == found.own_units[1]
