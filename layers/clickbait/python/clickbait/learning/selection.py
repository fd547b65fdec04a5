"""Select the images to learn from: none that the network knows, and no copies of exam images.

Every image that is left out gets a reason, which the version's manifest keeps.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from clickbait.inference.images import NEAR_HASH_ALONE
from clickbait.learning import copies
from clickbait.learning.copies import FLAT, SAME_BAND, Sketch
from clickbait.learning.replay import Known

KNOWN = "already learned by the network"
EXAM_COPY = "a copy of an exam image"
BOTH_LABELS = "the same image under both labels"
DUPLICATE = "a duplicate"
KINDS = (KNOWN, EXAM_COPY, BOTH_LABELS, DUPLICATE)
"""How each reason begins."""


@dataclass(frozen=True)
class Candidate:
    """One labelled image. `group` is "" if it has none; `decided` if an admin chose its label."""

    key: str
    label: int
    sha256: str
    sketch: Sketch
    group: str = ""
    decided: bool = False


@dataclass(frozen=True)
class Selection:
    """Indices of the images to learn from, `own` (n,), with their units (n,), and of the exam
    images to measure on, `exam` (m,), with their units (m,). Images of one unit are near copies or
    members of one group. `left_out` has the reason of every other image by its key."""

    own: npt.NDArray[np.int64]
    own_units: npt.NDArray[np.int64]
    exam: npt.NDArray[np.int64]
    exam_units: npt.NDArray[np.int64]
    left_out: dict[str, str]

    def counts(self) -> dict[str, int]:
        """Return the number of images that were left out, by kind of reason."""
        return {
            kind: n
            for kind in KINDS
            if (n := sum(reason.startswith(kind) for reason in self.left_out.values()))
        }


def select(own: Sequence[Candidate], exam: Sequence[Candidate], known: Known) -> Selection:
    """Select from images for learning, `own`, and the exam set. `known` are the images that the
    network was trained on.

    Of duplicates the first is kept. If copies have different labels, those whose label an admin
    decided are kept, or none if their labels differ too or if no label was decided.
    """
    left_out: dict[str, str] = {}
    exam_kept, exam_families = _usable(exam, known, left_out)
    own_kept, families = _usable(own, known, left_out)
    in_exam = copies.pairs([own[i].sketch for i in own_kept], [exam[i].sketch for i in exam_kept])
    for i, j in in_exam:
        left_out[own[own_kept[i]].key] = f"{EXAM_COPY}, {exam[exam_kept[j]].key}"
    stay = np.array([own[i].key not in left_out for i in own_kept], bool)
    own_kept, families = own_kept[stay], families[stay]
    return Selection(
        own_kept,
        _joined(families, [own[i].group for i in own_kept]),
        exam_kept,
        _joined(exam_families, [exam[i].group for i in exam_kept]),
        left_out,
    )


def _usable(
    images: Sequence[Candidate], known: Known, left_out: dict[str, str]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Indices (n,) of the images that are unknown and consistent, and the number (n,) of each one's
    family of copies. Adds the reasons of the others to `left_out`."""
    kept = []
    for i, image in enumerate(images):
        if known.matches(image.sha256, image.sketch).any():
            left_out[image.key] = f"{KNOWN}, which was trained on it or on a copy"
        else:
            kept.append(i)
    families = copies.groups([images[i].sketch for i in kept])
    members: dict[int, list[int]] = defaultdict(list)
    for i, family in zip(kept, families, strict=True):
        members[int(family)].append(i)
    for of_family in members.values():
        for same in _same_images([images[i] for i in of_family]):
            _reconcile(same, left_out)
    stay = [k for k, i in enumerate(kept) if images[i].key not in left_out]
    return np.array(kept, np.int64)[stay], families[stay]


def _same_images(family: Sequence[Candidate]) -> list[list[Candidate]]:
    """The members of a family that show the same image, together.

    `copies` also joins images that only resemble each other, such as white words on black: of 350
    thumbnails, 16 were in such families. That is right for units, which cost nothing. But to leave
    images out, they must be the same file, or one saved or resized again.
    """
    found: list[list[Candidate]] = []
    for image in family:
        same = [one for one in found if any(_is_same(image, other) for other in one)]
        found = [one for one in found if one not in same] + [[*chain.from_iterable(same), image]]
    return found


def _is_same(one: Candidate, other: Candidate) -> bool:
    if one.sha256 == other.sha256:
        return True
    if (one.sketch.hash ^ other.sketch.hash).bit_count() > NEAR_HASH_ALONE:
        return False
    first, second = (image.sketch.small.ravel().astype(np.float64) for image in (one, other))
    if min(first.std(), second.std()) < FLAT:
        return False
    return bool(np.corrcoef(first, second)[0, 1] >= SAME_BAND)


def _reconcile(family: Sequence[Candidate], left_out: dict[str, str]) -> None:
    """Leave out the members of a family of copies that contradict or repeat others."""
    if len({image.label for image in family}) > 1:
        decided = [image for image in family if image.decided]
        right = decided if len({image.label for image in decided}) == 1 else []
        names = ", ".join(image.key for image in family[:4])
        label = {image.label for image in right}
        for image in family:
            if image.label not in label:
                left_out[image.key] = f"{BOTH_LABELS}: {names}"
        family = [image for image in family if image.label in label]
    first: dict[str, str] = {}
    for image in sorted(family, key=lambda one: not one.decided):
        if image.sha256 in first:
            left_out[image.key] = f"{DUPLICATE} of {first[image.sha256]}"
        first.setdefault(image.sha256, image.key)


def _joined(families: npt.NDArray[np.int64], groups: Iterable[str]) -> npt.NDArray[np.int64]:
    """Units (n,) of images: families that share a group become one."""
    units = families.copy()
    of_group: dict[str, list[int]] = defaultdict(list)
    for i, group in enumerate(groups):
        if group:
            of_group[group].append(i)
    for members in of_group.values():
        same = units[members]
        units[np.isin(units, same)] = same.min()
    return units
