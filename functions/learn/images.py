"""The owner's images as they are listed, and what is known about them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from clickbait import LABELS, aws
from clickbait.keys import DECIDED, EXAM, IMAGE_PARTITION, is_decided, label_of
from clickbait.learning.manifest import Record
from clickbait.learning.replay import Part
from clickbait.learning.selection import Candidate
from clickbait.settings import Settings
from clickbait.store.image_features import ImageFeatures, outputs_of
from clickbait.store.trained import Listing, list_images, read_trained


@dataclass
class Images:
    """Images by key, each with its ETag: those to learn from, `train`, and the `exam` set."""

    train: Listing
    exam: Listing
    decided: set[str] = field(default_factory=set)
    """Keys of the images whose label an admin decided."""
    unseen: list[str] = field(default_factory=list)
    """Keys of the images that no run has examined under their present label."""
    aside: set[str] = field(default_factory=set)
    """Keys of the images whose labels the label check rejected, now or earlier."""
    features: dict[str, ImageFeatures] = field(default_factory=dict)
    """Features of the images that could be read, by key."""

    @classmethod
    def listed(cls, config: Settings) -> "Images":
        """The images in the data bucket now."""
        return cls(list_images(config.data_bucket), list_images(config.data_bucket, EXAM))

    def __len__(self) -> int:
        return len(self.train) + len(self.exam)

    def look_up(self, config: Settings, *, all_labels: bool) -> None:
        """Read what admins decided and what earlier runs found out about the images. With
        `all_labels`, none is set aside because of its label."""
        trained = read_trained(config.models_bucket)
        marks = {
            item["sk"]: item.get(DECIDED)
            for item in aws.query(config.table, IMAGE_PARTITION)
            if item["etag"] == self.train.get(item["sk"])
        }
        self.decided = {key for key in self.train if is_decided(key, marks.get(key))}
        self.unseen = trained.unseen(self.train)
        self.aside = set() if all_labels else trained.left_out(self.train) - self.decided

    def usable(self) -> list[str]:
        """Keys of the images in `train/` that are not set aside, sorted."""
        return sorted(self.train.keys() - self.aside)

    def unchecked(self) -> list[str]:
        """Keys of the new images whose labels nobody has checked or decided."""
        known = self.decided | self.aside
        return [key for key in self.unseen if key in self.features and key not in known]

    def candidate(self, key: str) -> Candidate:
        found = self.features[key]
        label = int(labels_of([key])[0])
        decided = key in self.decided
        return Candidate(key, label, found.sha256, found.sketch, found.group, decided)

    def part(self, keys: Sequence[str], units: npt.NDArray[np.int64]) -> Part:
        """The images `keys` (n,), n > 0, with their units (n,), to learn from or to measure on."""
        corrected = np.array([key in self.decided for key in keys], bool)
        return Part(
            outputs_of([self.features[key] for key in keys]), labels_of(keys), units, corrected
        )

    def record(self, key: str, side: str, reason: str = "") -> Record:
        """The line of an image in the version's manifest."""
        found = self.features[key]
        label = LABELS[labels_of([key])[0]]
        phash = f"{found.sketch.hash:016x}"
        return Record(key, label, found.sha256, phash, found.group, side, reason)

    def counts(self, used: int = 0) -> dict[str, int]:
        """The numbers of images that a run shows, if it learned from `used` of them."""
        return {
            "listed": len(self.train),
            "usable": used,
            "new": len(self.unseen),
            "left_out": len(self.train) - used,
            "exam": len(self.exam),
        }


def labels_of(keys: Sequence[str]) -> npt.NDArray[np.int64]:
    """The labels (n,) of listed images: 1 is clickbait."""
    found = [label_of(key) or label_of(key, EXAM) or "" for key in keys]
    return np.array([LABELS.index(label) for label in found], np.int64)
