"""The figures of GET /dataset: counts, spreads and duplicates of the labelled images."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from clickbait import LABELS, aws
from clickbait.inference.appearance import APPEARANCE, DIGITS
from clickbait.keys import IMAGE_PARTITION, REASON_SUFFIX, REJECTED, TRAIN, label_of
from clickbait.store import duplicates
from clickbait.store.trained import Trained

ATTRIBUTES = {"sk", "label", "etag", "bytes", "width", "height", "format", "sha256", "phash", "at"}
ATTRIBUTES.update(APPEARANCE)
"""Fields that every image's item in the table has; `sk` is the image's key in the data bucket."""

RANGES = {
    "brightness": (0.0, 255.0),
    "contrast": (0.0, 127.5),
    "saturation": (0.0, 1.0),
    "colourfulness": (0.0, 200.0),
}
"""Ends of the histograms. They are fixed, so that classes and days can be compared. The standard
deviation of luma is at most 127.5. Colourfulness has no bound: its authors call 109 "extremely
colourful", and values above 200 count in the last bin."""

BINS = 20
PERCENTILES = (5, 25, 50, 75, 95)

FAMILIES_SHOWN = 100
"""The most families of duplicates in a response. `families` counts all of them."""
KEYS_SHOWN = 20
"""The most keys of one family in a response."""
LINKS_SHOWN = 4
"""The most links to images of one family: enough to compare. Those of 200 families are 1 MB."""
SAMPLES = 8
"""Sample images of each class: one row of the page."""
REJECTED_SHOWN = 100
"""The most rejected images in a response. Each takes a call to S3."""

READERS = 16
"""Reasons read at a time."""

UNPROCESSED = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
"""Attributes of a queue that make up its messages, without delayed ones: those are timers."""

MAX_COMPARED = 20_000
"""The most images that are compared by perceptual hash, the newest."""

ViewUrl = Callable[[str], str | None]
"""Returns a link to view the image of a key, or None if the caller may not view it."""


def describe(images: Sequence[Mapping[str, Any]], view_url: ViewUrl) -> dict[str, Any]:
    """Counts, classes and duplicates of `images`, each as `read_images` returns it."""
    sizes = {name: _array(images, name) for name in ("width", "height", "bytes")}
    ranges = RANGES | {
        name: (0.0, float(values.max()) if len(values) else 1.0) for name, values in sizes.items()
    }
    newest = sorted(images, key=lambda i: str(i["at"]), reverse=True)[:MAX_COMPARED]
    by_label = {label: [i for i in images if i["label"] == label] for label in LABELS}
    return {
        "images": len(images),
        "counts": {label: len(members) for label, members in by_label.items()},
        "classes": {
            label: _class(members, ranges) | {"samples": _links(_samples(members), view_url)}
            for label, members in by_label.items()
        },
        "duplicates": {
            "identical": _families(duplicates.identical(images), view_url),
            "near": _families(duplicates.near(newest), view_url) | {"compared": len(newest)},
        },
    }


def _class(images: Sequence[Mapping[str, Any]], ranges: Mapping[str, Any]) -> dict[str, Any]:
    formats = Counter(image["format"] for image in images)
    spreads = {name: spread(_array(images, name), *ranges[name]) for name in ranges}
    return {"images": len(images), "formats": dict(formats), **spreads}


def _samples(images: Iterable[Mapping[str, Any]]) -> list[str]:
    """The keys of SAMPLES different images: those with the smallest hashes, so that the same ones
    are drawn each time."""
    ordered = sorted((image["sha256"], image["key"]) for image in images)
    first_key = dict(reversed(ordered))
    return [key for _, key in sorted(first_key.items())[:SAMPLES]]


def _links(keys: Iterable[str], view_url: ViewUrl) -> list[dict[str, str | None]]:
    return [{"key": key, "url": view_url(key)} for key in keys]


def _array(images: Sequence[Mapping[str, Any]], name: str) -> npt.NDArray[np.float64]:
    return np.array([image[name] for image in images], np.float64)


def spread(values: npt.NDArray[np.float64], low: float, high: float) -> dict[str, Any]:
    """Mean, standard deviation, range, percentiles and histogram of `values`, (n,).

    The histogram has BINS bins from `low` to `high`; values outside count in the nearest bin.
    Without values the figures are None and the counts 0.
    """
    counts, edges = np.histogram(np.clip(values, low, high), BINS, (low, high))
    names = ("mean", "sd", "min", "max")
    figures: dict[str, float | None] = dict.fromkeys(names)
    percentiles: dict[str, float | None] = dict.fromkeys(f"p{p}" for p in PERCENTILES)
    if len(values):
        exact = (values.mean(), values.std(), values.min(), values.max())
        figures = dict(zip(names, _rounded(exact), strict=True))
        percentiles = dict(
            zip(percentiles, _rounded(np.percentile(values, PERCENTILES)), strict=True)
        )
    histogram = {"edges": _rounded(edges), "counts": counts.tolist()}
    return {**figures, "percentiles": percentiles, "histogram": histogram}


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), DIGITS) for value in values]


def _families(families: list[list[Mapping[str, Any]]], view_url: ViewUrl) -> dict[str, Any]:
    """The largest families first. In a family with both labels, one of them is wrong."""
    items = []
    for family in sorted(families, key=len, reverse=True)[:FAMILIES_SHOWN]:
        keys = sorted(image["key"] for image in family)[:KEYS_SHOWN]
        items.append(
            {
                "images": len(family),
                "labels": sorted({image["label"] for image in family}),
                "keys": keys,
                "looks": _links(keys[:LINKS_SHOWN], view_url),
            }
        )
    return {
        "families": len(families),
        "images": sum(len(family) for family in families),
        "items": items,
    }


def waiting(images: Iterable[Mapping[str, Any]], trained: Trained) -> dict[str, Any]:
    """The number of `images` that no run has examined under their present label."""
    etags = {str(image["key"]): str(image["etag"]) for image in images}
    unseen = trained.unseen(etags)
    counts = {label: sum(label_of(key) == label for key in unseen) for label in LABELS}
    return {"images": len(unseen), "counts": counts}


def counting(queue: str) -> int | None:
    """About how many messages of the uploads `queue` are not processed. Most are uploads or
    removals that the table does not describe yet; a timer that is due counts too. None if SQS does
    not answer, or without a queue.

    Call it before the table is read, so that no image is missing from both. On AWS the number may
    be a minute old.
    """
    if not queue:
        return None
    try:
        found = aws.quick_client("sqs", 1, 2).get_queue_attributes(
            QueueUrl=queue, AttributeNames=UNPROCESSED
        )["Attributes"]
    except aws.faults() as error:
        aws.reason(error)
        return None
    return sum(int(found[name]) for name in UNPROCESSED)


def rejected(bucket: str, view_url: ViewUrl) -> dict[str, Any]:
    """The number of rejected images, and the first REJECTED_SHOWN of them by key.

    Each has its reason, and a link that is None if the image no longer exists.
    """
    existing = {found["Key"] for found in aws.list_objects(bucket, REJECTED)}
    keys = sorted(key for key in existing if key.endswith(REASON_SUFFIX))
    shown = keys[:REJECTED_SHOWN]

    def read(key: str) -> dict[str, Any]:
        body = aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        document: dict[str, Any] = json.loads(body)
        return document

    with ThreadPoolExecutor(READERS) as pool:
        reasons = list(pool.map(read, shown))
    # Links are signed in this thread, because only one may create the signing client.
    images = [key.removesuffix(REASON_SUFFIX) for key in shown]
    urls = [view_url(image) if image in existing else None for image in images]
    items = [reason | {"url": url} for reason, url in zip(reasons, urls, strict=True)]
    return {"images": len(keys), "items": items}


def training_images(table: str, keys: Iterable[str]) -> dict[str, str]:
    """Which of `keys` (at most 100) are training images now, each with its SHA-256.

    Raises Unavailable if the table is too busy.
    """
    wanted = [key for key in keys if key.startswith(TRAIN)]
    found = aws.get_items(table, IMAGE_PARTITION, wanted, "sk, sha256")
    return {key: item["sha256"] for key, item in found.items() if "sha256" in item}


def read_images(table: str) -> list[dict[str, Any]]:
    """Every training image, as the drop folder described it in the table.

    Each has key, label, etag, bytes, width, height, format, sha256, phash, at, and the APPEARANCE.
    Items that lack one of these are left out, because another version of this service wrote them.
    """
    items = aws.query(table, IMAGE_PARTITION)
    return [item | {"key": item["sk"]} for item in items if item.keys() >= ATTRIBUTES]
