"""Copies among the labelled images: files with the same bytes, and pictures that look alike."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from clickbait.inference.images import NEAR_HASH_ALONE, hamming

BITS = 64
"""Bits of a perceptual hash."""

PARTS = tuple(
    np.uint64(sum(1 << bit for bit in range(first, BITS, NEAR_HASH_ALONE + 1)))
    for first in range(NEAR_HASH_ALONE + 1)
)
"""The bits of a hash in parts, one more than the bits in which near copies may differ. A part has
bits from all over the image, so that no part is the same for most images."""

Places = npt.NDArray[np.int64]
Image = Mapping[str, Any]
"""An image with its `sha256` and `phash`."""


def identical(images: Iterable[Image]) -> list[list[Image]]:
    """Families of two or more images with the same bytes."""
    families: dict[str, list[Image]] = {}
    for image in images:
        families.setdefault(image["sha256"], []).append(image)
    return [family for family in families.values() if len(family) > 1]


def near(images: Iterable[Image]) -> list[list[Image]]:
    """Families of two or more images with close perceptual hashes and different bytes."""
    distinct = list({image["sha256"]: image for image in images}.values())
    hashes = np.array([int(image["phash"], 16) for image in distinct], np.uint64)
    # Flat images of every colour have hashes of almost only zeros or almost only ones.
    ones = np.bitwise_count(hashes)
    places = np.flatnonzero((ones > NEAR_HASH_ALONE) & (ones < BITS - NEAR_HASH_ALONE))
    families: dict[int, list[Image]] = {}
    for place, family in zip(places, _joined(hashes[places]), strict=True):
        families.setdefault(int(family), []).append(distinct[place])
    return [family for family in families.values() if len(family) > 1]


def copies(images: Sequence[Image]) -> dict[str, list[str]]:
    """The keys of all copies of each image that has some, by its key.

    Copies have the same bytes or look alike.
    """
    same: dict[str, list[str]] = {}
    for image in images:
        same.setdefault(image["sha256"], []).append(image["key"])
    families = [[image["sha256"] for image in family] for family in near(images)]
    alone = same.keys() - {sha256 for family in families for sha256 in family}
    found: dict[str, list[str]] = {}
    for family in [*families, *([sha256] for sha256 in alone)]:
        keys = sorted(key for sha256 in family for key in same[sha256])
        if len(keys) > 1:
            found |= {key: [other for other in keys if other != key] for key in keys}
    return found


def _joined(hashes: npt.NDArray[np.uint64]) -> Places:
    """The number of the family of each of `hashes`, (n,). Neighbours are in one family."""
    unique, which = np.unique(hashes, return_inverse=True)
    parent = np.arange(len(unique))
    for first, second in _neighbours(unique):
        # In a dense cloud of hashes almost every pair is in one family already.
        apart = parent[first] != parent[second]
        for pair in zip(first[apart], second[apart], strict=True):
            low, high = sorted(_root(parent, place) for place in pair)
            parent[high] = low
        while apart.any() and (parent != parent[parent]).any():
            parent = parent[parent]
    return parent[which]


def _root(parent: Places, place: int) -> int:
    while parent[place] != place:
        place = parent[place]
    return place


def _neighbours(hashes: npt.NDArray[np.uint64]) -> Iterator[tuple[Places, Places]]:
    """Places of pairs of different `hashes` that differ in at most NEAR_HASH_ALONE bits, many pairs
    at a time.

    Such a pair agrees in at least one of the PARTS. So only hashes with an equal part are compared:
    each with the next one in the order of that part, then with the one after.
    """
    for mask in PARTS:
        part = hashes & mask
        order = np.argsort(part, kind="stable")
        part, ordered = part[order], hashes[order]
        place = np.arange(len(hashes))
        for step in range(1, len(hashes)):
            place = place[: np.searchsorted(place, len(hashes) - step)]
            place = place[part[place] == part[place + step]]
            if not len(place):
                break
            near = place[hamming(ordered[place], ordered[place + step]) <= NEAR_HASH_ALONE]
            yield order[near], order[near + step]
