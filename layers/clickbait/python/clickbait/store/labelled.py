"""The labelled images one by one: listed with filters, each with its side and its probability.

A page reads as little of the table as it can. Only the copies of an image need all of it, so they
are computed for all images at once and kept for a while.
"""

import csv
import io
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from threading import Lock
from typing import Any, Literal

from clickbait import LABELS, Label, aws
from clickbait.errors import NotFound
from clickbait.keys import (
    DECIDED,
    EXAM,
    LABEL_OF_FOLDER,
    REASON_SUFFIX,
    REJECTED,
    TRAIN,
    id_of,
    is_decided,
    label_of,
)
from clickbait.store import answers, duplicates
from clickbait.store.dataset_stats import ATTRIBUTES
from clickbait.store.drop_folder import PARTITIONS, prefix_of
from clickbait.store.registry import Registry
from clickbait.store.trained import Trained, read_trained

Folder = Literal["train", "exam"]
Side = Literal["train", "validation", "test", "exam", "none"]
Show = Literal["disagrees", "duplicates", "both_labels", "rejected"]

PREFIXES: dict[Folder, str] = {"train": TRAIN, "exam": EXAM}

MAX_READ = 5_000
"""The most images read for one page: 2.5 MB, half a second. If a filter matches few of them, the
page ends early, with a cursor to continue from."""

COPIES_KEPT = 20.0
"""The copies of all images are kept for this many times as long as it took to compute them: 2 s for
1,000 images, and a minute for 20,000, whose 10 MB take 3 s to read and compare."""

MAX_COMPARED = 50_000
"""The most images whose copies are found, the first by key. It bounds memory and time."""

MANIFESTS = ("manifest.csv", "ancestors.csv")
"""Files of a version that name its images, with their sides, and those of its ancestors."""

BATCH = 100
"""Items that DynamoDB returns at a time."""

READERS = 16
"""Reasons of rejected images that are read at a time."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which images to list. Each filter that is set must match."""

    label: Label | None = None
    side: Side | None = None
    show: Show | None = None
    q: str = ""
    """Text that the name contains, in any case."""


@dataclass(frozen=True, slots=True)
class Live:
    """The live version: its name, its threshold, and the band in which it is unsure."""

    version: str
    threshold: float
    low: float
    high: float
    anchor: str = ""
    """The version whose network it keeps, if it is a small update."""

    def disagrees(self, label: str | None, probability: float | None) -> bool:
        """Whether a known label differs from the one that the probability stands for."""
        if label is None or probability is None:
            return False
        return (probability >= self.threshold) != (label == LABELS[1])


@dataclass(frozen=True, slots=True)
class Facts:
    """The data about images that the table does not have, read once for a page."""

    live: Live
    probabilities: dict[str, float] = field(default_factory=dict)
    sides: Mapping[str, str] = field(default_factory=dict)
    trained: Trained = field(default_factory=Trained)


def sides_of(models_bucket: str, live: Live) -> dict[str, str]:
    """The side of each image that the live version, its anchor or their ancestors used, by SHA-256.

    {} for a version without a manifest in the bucket, such as the baseline.
    """
    sides: dict[str, str] = {}
    for version in filter(None, (live.anchor, live.version)):
        sides |= _sides(models_bucket, version)
    return sides


@lru_cache(maxsize=4)
def _sides(models_bucket: str, version: str) -> dict[str, str]:
    """As `sides_of`, for one version. Its files never change."""
    registry = Registry(models_bucket)
    sides: dict[str, str] = {}
    for name in reversed(MANIFESTS):  # What the version says itself counts for more.
        try:
            text = registry.file(version, name).decode()
        except NotFound:
            continue
        rows = csv.DictReader(io.StringIO(text))
        sides |= {row["sha256"]: row["side"] for row in rows if row.get("side")}
    return sides


class LabelledImages:
    """The labelled images of a data bucket, as the table describes them.

    Without a models bucket, nothing is known of sides, probabilities and trainings.
    """

    def __init__(self, table: str, data_bucket: str, models_bucket: str, live: Live) -> None:
        self.table = table
        self.bucket = data_bucket
        self.models_bucket = models_bucket
        self.live = live

    def page(
        self, limit: int, after: str | None, wanted: Filters
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Up to `limit` images after the key `after`, in the order of their keys.

        Also returns the `after` of the next page, None at the end. After MAX_READ images the page
        ends with one, even if it is empty.
        """
        if wanted.show == "rejected":
            return self._rejected(limit, after, wanted)
        facts = self._facts()
        filtered = wanted != Filters()
        found: list[dict[str, Any]] = []
        items = self._items(after, wanted, None if filtered else limit)
        for read, item in enumerate(items, 1):
            image = self._describe(item, facts)
            if _matches(image, wanted):
                found.append(image)
            if len(found) == limit or read == MAX_READ:
                return self._with_copies(found), item["sk"]
        return self._with_copies(found), None

    def export(self, most: int, after: str | None) -> tuple[list[dict[str, Any]], str | None]:
        """As `page`, for up to `most` images without filters, and without looking for copies."""
        facts = self._facts()
        found = [
            self._describe(item, facts)
            for item in islice(self._items(after, Filters(), None), most + 1)
        ]
        return found[:most], found[most - 1]["key"] if len(found) > most else None

    def described(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The images with these keys, by key, as far as the table describes them."""
        items = list(self._chosen(sorted(keys)))
        if not items:
            return {}
        facts = self._facts()
        images = self._with_copies([self._describe(item, facts) for item in items])
        return {image["key"]: image for image in images}

    # --- reading ---------------------------------------------------------------------------------

    def _items(
        self, after: str | None, wanted: Filters, ahead: int | None
    ) -> Iterator[dict[str, Any]]:
        """Items after the key `after`, in the order of the keys: of the exam, then of training."""
        if wanted.show in ("duplicates", "both_labels"):
            found = copies(self.table)
            if wanted.show == "both_labels":
                found = {key: others for key, others in found.items() if _has_both(key, others)}
            yield from self._chosen(sorted(key for key in found if after is None or key > after))
            return
        only = wanted.side and (EXAM if wanted.side == "exam" else TRAIN)
        for prefix in (only,) if only else (EXAM, TRAIN):
            if after is None or after < prefix or after.startswith(prefix):
                start = after if after and after.startswith(prefix) else None
                items = aws.query(self.table, PARTITIONS[prefix], after=start, limit=ahead)
                yield from (item for item in items if item.keys() >= ATTRIBUTES)

    def _chosen(self, keys: list[str]) -> Iterator[dict[str, Any]]:
        """The items of `keys`, read as they are now."""
        for prefix in (EXAM, TRAIN):
            below = [key for key in keys if key.startswith(prefix)]
            for some in _batches(below):
                found = aws.get_items(self.table, PARTITIONS[prefix], some)
                items = (found[key] for key in some if key in found)
                yield from (item for item in items if item.keys() >= ATTRIBUTES)

    def _facts(self) -> Facts:
        if not self.models_bucket:
            return Facts(self.live)
        return Facts(
            self.live,
            answers.read(self.models_bucket).by_etag(),
            sides_of(self.models_bucket, self.live),
            read_trained(self.models_bucket),
        )

    def _describe(self, item: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
        """An image as the API returns it, without its copies."""
        key, label = item["sk"], item["label"]
        folder = key.partition("/")[0]
        probability = facts.probabilities.get(item["etag"])
        return {
            "id": id_of(key),
            "key": key,
            "name": name_of(key),
            "label": label,
            "folder": folder,
            "side": "exam" if folder == "exam" else facts.sides.get(item["sha256"], "none"),
            **{name: int(item[name]) for name in ("width", "height", "bytes")},
            **{name: item[name] for name in ("format", "at", "sha256")},
            "probability": probability,
            "disagrees": facts.live.disagrees(label, probability),
            "duplicates": [],
            "trained": _is_trained(key, item["etag"], facts.trained),
            "decided": is_decided(key, item.get(DECIDED)),
            "rejected": None,
        }

    def _with_copies(self, images: list[dict[str, Any]]) -> list[dict[str, Any]]:
        found = copies(self.table) if images else {}
        return [
            image | {"duplicates": [id_of(key) for key in found.get(image["key"], [])]}
            for image in images
        ]

    # --- rejected --------------------------------------------------------------------------------

    def _rejected(
        self, limit: int, after: str | None, wanted: Filters
    ) -> tuple[list[dict[str, Any]], str | None]:
        """As `page`, for the images that were set aside."""
        keys = [
            found["Key"].removesuffix(REASON_SUFFIX)
            for prefix in PARTITIONS
            for found in aws.list_objects(self.bucket, f"{REJECTED}{prefix}")
            if found["Key"].endswith(REASON_SUFFIX)
        ]
        keys = [
            key
            for key in sorted(keys)
            if (after is None or key > after) and _matched(key.removeprefix(REJECTED), wanted)
        ]
        shown = keys[:limit]
        aws.client("s3")  # Threads may share a client, but not create one at the same time.
        with ThreadPoolExecutor(READERS) as pool:
            reasons = list(pool.map(self._reason, shown))
        images = [
            _rejected_image(key, reason)
            for key, reason in zip(shown, reasons, strict=True)
            if reason
        ]
        return images, shown[-1] if len(keys) > limit else None

    def _reason(self, key: str) -> dict[str, Any] | None:
        found = aws.get_object(self.bucket, key + REASON_SUFFIX)
        return json.loads(found["Body"].read()) if found else None


def _rejected_image(key: str, reason: Mapping[str, Any]) -> dict[str, Any]:
    was = str(reason["key"])
    prefix = prefix_of(was) or TRAIN
    unknown = ("width", "height", "format", "sha256", "probability")
    return {
        "id": id_of(key),
        "key": key,
        "name": name_of(was),
        "label": label_of(was, prefix),
        "folder": prefix.rstrip("/"),
        "side": _side_of_rejected(was),
        **dict.fromkeys(unknown),
        "bytes": reason.get("bytes"),
        "at": reason.get("at"),
        "disagrees": False,
        "duplicates": [],
        "trained": False,
        "decided": False,
        "rejected": {"reason": reason["reason"], "detail": reason["detail"]},
    }


def _side_of_rejected(key: str) -> Side:
    return "exam" if key.startswith(EXAM) else "none"


def _matched(key: str, wanted: Filters) -> bool:
    """Whether the rejected image that was at `key` matches."""
    return (
        wanted.label in (None, _label(key))
        and wanted.side in (None, _side_of_rejected(key))
        and _is_in(wanted.q, name_of(key))
    )


def name_of(key: str) -> str:
    """The name of a labelled image: its key below the folder of its label."""
    parts = key.split("/")
    return "/".join(parts[2:] if len(parts) > 2 and parts[1] in LABEL_OF_FOLDER else parts[1:])


def _is_trained(key: str, etag: str, trained: Trained) -> bool:
    """Whether the last run examined this content under this label."""
    if key.startswith(EXAM):
        return _label(key) in (trained.exam or {}).get(etag, ())
    return not trained.unseen({key: etag})


def _label(key: str) -> str | None:
    return label_of(key, prefix_of(key) or TRAIN)


def _has_both(key: str, others: list[str]) -> bool:
    """Whether an image and its copies have both labels."""
    return any(_label(other) != _label(key) for other in others)


def _batches(keys: list[str]) -> Iterator[list[str]]:
    return (keys[start : start + BATCH] for start in range(0, len(keys), BATCH))


def _is_in(text: str, name: str) -> bool:
    return text.casefold() in name.casefold()


def _matches(image: Mapping[str, Any], wanted: Filters) -> bool:
    return (
        wanted.label in (None, image["label"])
        and wanted.side in (None, image["side"])
        and (wanted.show != "disagrees" or image["disagrees"])
        and _is_in(wanted.q, image["name"])
    )


# --- copies of all images ------------------------------------------------------------------------


class _Copies:
    """The copies of all images in one table."""

    def __init__(self) -> None:
        self._table = ""
        self._until = 0.0
        self._keys: dict[str, list[str]] = {}
        self._lock = Lock()

    def of(self, table: str) -> dict[str, list[str]]:
        """The keys of the copies of each image that has some."""
        with self._lock:
            started = time.monotonic()
            if self._table != table or started > self._until:
                self._keys = duplicates.copies(_all_images(table))
                now = time.monotonic()
                self._table, self._until = table, now + COPIES_KEPT * (now - started)
            return dict(self._keys)

    def rename(self, key: str, target: str | None) -> None:
        """Follow an image to its new key, or drop it: it has the same copies as before."""
        with self._lock:
            others = self._keys.pop(key, [])
            for other in others:
                rest = [target if one == key else one for one in self._keys.get(other, [])]
                self._keys[other] = [one for one in rest if one is not None]
            if target and others:
                self._keys[target] = others

    def forget(self) -> None:
        self._table = ""


known_copies = _Copies()
"""Those of this process. It follows its own changes at once, and those of others after a while."""


def copies(table: str) -> dict[str, list[str]]:
    """The keys of the copies of each image that has some: the same bytes, or alike to look at.

    Images of training and exam are compared with each other.
    """
    return {key: others for key, others in known_copies.of(table).items() if others}


def _all_images(table: str) -> list[dict[str, Any]]:
    images: list[dict[str, Any]] = []
    for prefix in (EXAM, TRAIN):
        for item in aws.query(table, PARTITIONS[prefix]):
            if item.keys() >= ATTRIBUTES and len(images) < MAX_COMPARED:
                images.append({"key": item["sk"], "sha256": item["sha256"], "phash": item["phash"]})
    return images
