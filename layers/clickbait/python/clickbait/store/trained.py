"""Which images the last run examined, and how the images of now differ from them.

`trained.json` in the models bucket names an image by its content (ETag), with its labels and not
its file name: a renamed image is the same, and one in the other class folder is not.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from clickbait import LABELS, aws
from clickbait.keys import EXAM, TRAIN, TRAINED, label_of
from clickbait.observability import logger

Listing = dict[str, str]
"""Images by key, each with its ETag."""

NONE: frozenset[str] = frozenset()

Labels = Mapping[str, frozenset[str]]
"""Images by ETag, each with its labels. Both labels, if the same image lies in both folders. None,
if version 0.1.0 wrote the ETag, which did not store labels."""


def list_images(bucket: str, prefix: str = TRAIN) -> Listing:
    """Every labelled image below `prefix` of the data bucket."""
    return {
        found["Key"]: found["ETag"].strip('"')
        for found in aws.list_objects(bucket, prefix)
        if label_of(found["Key"], prefix)
    }


def digest(images: Listing) -> str:
    """SHA-256 of a listing. The same images under the same names have the same digest."""
    lines = sorted(f"{etag} {key}" for key, etag in images.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def labels_of(images: Listing, prefix: str = TRAIN) -> dict[str, frozenset[str]]:
    """The labels of each different image (ETag) of a listing of `prefix`."""
    found: dict[str, frozenset[str]] = {}
    for key, etag in images.items():
        found[etag] = found.get(etag, NONE) | {label_of(key, prefix) or ""}
    return found


@dataclass(frozen=True)
class News:
    """How many images differ from those that the last run examined.

    new: their content is. moved: they lie in the other class folder. removed: they are gone.
    exam: an image of the exam set is new, moved or removed. decided: a label check rejected them,
    and an admin decided their labels since. total: images that are any of these; an image moved
    from `train/` to `exam/` counts once.
    """

    new: int = 0
    moved: int = 0
    removed: int = 0
    exam: int = 0
    decided: int = 0
    total: int = 0

    def __str__(self) -> str:
        """For example "12 new images, 1 relabelled image and 3 removed images"."""
        counts = {
            "new": self.new,
            "relabelled": self.moved,
            "removed": self.removed,
            "changed exam": self.exam,
            "confirmed": self.decided,
        }
        parts = [f"{n:,} {what} image{'s' * (n != 1)}" for what, n in counts.items() if n]
        return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]])) or "no new image"


@dataclass(frozen=True)
class Trained:
    """The content of `trained.json`. `exam` is None if the last run did not report its exam set.

    rejected: images whose labels a label check rejected. Runs leave them out until their content or
    label changes, or an admin decides.
    """

    train: Labels = field(default_factory=dict)
    exam: Labels | None = None
    rejected: Labels = field(default_factory=dict)

    def news(self, images: Listing, exam: Listing) -> News:
        """How `images` in `train/` and in `exam/` differ from those that the last run examined."""
        now, exams = labels_of(images), labels_of(exam, EXAM)
        new = now.keys() - self.train.keys()
        moved = {etag for etag in now.keys() - new if self.train[etag] not in (now[etag], NONE)}
        removed = {etag for etag in self.train.keys() - now.keys() if self.train[etag]}
        known = exams if self.exam is None else self.exam
        changed = {e for e in exams.keys() | known.keys() if exams.get(e) != known.get(e)}
        total = len(new | moved | removed | changed)
        return News(len(new), len(moved), len(removed), len(changed), total=total)

    def unseen(self, images: Listing) -> list[str]:
        """The keys of `images` that no run has examined under their present label, sorted."""
        known = {etag: labels or frozenset(LABELS) for etag, labels in self.train.items()}
        return sorted(
            key for key, etag in images.items() if label_of(key) not in known.get(etag, NONE)
        )

    def left_out(self, images: Listing) -> set[str]:
        """The keys of `images` whose present label a label check rejected."""
        return {
            key for key, etag in images.items() if label_of(key) in self.rejected.get(etag, NONE)
        }


def read_trained(models_bucket: str) -> Trained:
    """The images that the last run examined. Empty if there was no run, or if the file is damaged:
    then all images are new, and the next run writes the file again."""
    found = aws.get_object(models_bucket, TRAINED)
    if found is None:
        return Trained()
    try:
        return _read(json.loads(found["Body"].read()))
    except (ValueError, TypeError, AttributeError, RecursionError):
        logger.exception("trained.json is damaged, so all images count as new")
        return Trained()


def _read(stored: object) -> Trained:
    match stored:
        case list(etags):  # Version 0.1.0: ETags of all images that a run ever examined.
            return Trained(dict.fromkeys((str(etag) for etag in etags), NONE))
        case {"train": train, "exam": exam, "rejected": rejected}:
            known = None if exam is None else _sets(exam)
            return Trained(_sets(train), known, _sets(rejected))
    raise ValueError("neither a list of ETags nor an object with train, exam and rejected")


def mark_trained(
    models_bucket: str,
    images: Listing,
    exam: Listing | None = None,
    rejected: Iterable[str] | None = None,
) -> None:
    """Record that a run has examined all `images` in `train/`, and all of the exam set.

    rejected: the keys of those that a label check rejects, now or earlier; by default those that
    were rejected and have not changed. `exam` is by default what is recorded. Only the run with the
    lease may do this.
    """
    before = read_trained(models_bucket)
    left_out = before.left_out(images) if rejected is None else rejected
    exams = before.exam if exam is None else labels_of(exam, EXAM)
    document = {
        "train": _lists(labels_of(images)),
        "exam": None if exams is None else _lists(exams),
        "rejected": _lists(labels_of({key: images[key] for key in left_out if key in images})),
    }
    body = json.dumps(document).encode()
    aws.client("s3").put_object(Bucket=models_bucket, Key=TRAINED, Body=body)


def _sets(stored: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    return {etag: frozenset(labels) for etag, labels in stored.items()}


def _lists(labels: Labels) -> dict[str, list[str]]:
    return {etag: sorted(of) for etag, of in sorted(labels.items())}
