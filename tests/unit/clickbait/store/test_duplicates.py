"""duplicates: copies are found by their bytes and by their looks."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from clickbait.inference.images import NEAR_HASH_ALONE, hamming
from clickbait.store import duplicates


def images(hashes: npt.NDArray[np.uint64]) -> list[dict[str, Any]]:
    """Different images with these perceptual hashes."""
    return [
        {"key": f"{place:05d}", "sha256": str(place), "phash": f"{int(one):016x}"}
        for place, one in enumerate(hashes)
    ]


def compared_in_pairs(hashes: npt.NDArray[np.uint64]) -> set[frozenset[str]]:
    """The families that comparing every pair finds."""
    family = np.arange(len(hashes))
    for i, one in enumerate(hashes):
        for j in np.flatnonzero(hamming(hashes, one) <= NEAR_HASH_ALONE):
            family[family == family[j]] = family[i]
    members = [[f"{i:05d}" for i in np.flatnonzero(family == number)] for number in set(family)]
    return {frozenset(keys) for keys in members if len(keys) > 1}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("flips", [2, 4, 5, 7])
def test_near_copies_are_those_that_comparing_every_pair_finds(seed: int, flips: int) -> None:
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**63, 100, dtype=np.uint64)
    for _ in range(3):
        bits = [rng.choice(64, flips, replace=False) for _ in hashes[:100]]
        noise = [np.uint64(sum(1 << int(bit) for bit in chosen)) for chosen in bits]
        hashes = np.concatenate([hashes, hashes[:100] ^ np.array(noise)])
    found = {frozenset(i["key"] for i in family) for family in duplicates.near(images(hashes))}
    assert found == compared_in_pairs(hashes)
    assert found or flips > NEAR_HASH_ALONE


def test_flat_images_are_no_copies_of_each_other() -> None:
    flat = np.array([0, 1, 3, 2**64 - 1, 2**64 - 2], np.uint64)
    assert duplicates.near(images(flat)) == []
    assert duplicates.copies(images(flat)) == {}


def test_no_images_have_no_copies() -> None:
    assert duplicates.near([]) == duplicates.identical([]) == []
    assert duplicates.copies([]) == {}


def test_the_copies_of_an_image_are_the_same_files_and_those_that_look_alike() -> None:
    one, other = 0x00FF00FF00FF00FF, 0x0F0F0F0F0F0F0F0F
    found = images(np.array([one, one ^ 1, other, one, other], np.uint64))
    found[3]["sha256"] = found[0]["sha256"]
    found[4]["sha256"] = found[2]["sha256"]
    assert duplicates.copies(found) == {
        "00000": ["00001", "00003"],
        "00001": ["00000", "00003"],
        "00003": ["00000", "00001"],
        "00002": ["00004"],
        "00004": ["00002"],
    }
