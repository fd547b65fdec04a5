"""What labelled images look like, in figures: four numbers an image, and their spread in each
class."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from clickbait import LABELS, aws
from clickbait.inference.appearance import APPEARANCE, DIGITS
from clickbait.inference.images import NEAR_HASH_ALONE, hamming
from clickbait.keys import IMAGE_PARTITION, REASON_SUFFIX, REJECTED, TRAIN

ATTRIBUTES = {"sk", "label", "etag", "bytes", "width", "height", "format", "sha256", "phash", "at"}
ATTRIBUTES.update(APPEARANCE)
"""What an image's item in the table has at least; `sk` is the image's key in the data bucket."""

RANGES = {
    "brightness": (0.0, 255.0),
    "contrast": (0.0, 127.5),
    "saturation": (0.0, 1.0),
    "colourfulness": (0.0, 200.0),
}
"""Where a histogram begins and ends: fixed, so that classes and days can be laid over each other.
A luma's standard deviation is at most 127.5; colourfulness has no such bound, 109 is called
"extremely colourful" by its authors, and what lies above 200 counts in the last bin."""

BINS = 20
PERCENTILES = (5, 25, 50, 75, 95)

FAMILIES_SHOWN = 100
"""Families of duplicates in an answer: a person reads no more, and the count says how many there
are."""
REJECTED_SHOWN = 100
"""Refused images in an answer: each is a call to S3, and a person who reads more uses the bucket.
"""

READERS = 16
"""Reasons read at a time."""

KEYS_SHOWN = 20
"""Keys of one family in an answer."""

LOOKS_SHOWN = 4
"""Images of one family that can be looked at: enough to tell what they have in common, and the
addresses of 200 families are 1 MB."""

SAMPLES = 8
"""Images of each class that can be looked at: a row of them."""

MAX_COMPARED = 20_000
"""Images compared by looks, the newest: each with each, 2 s at this many, four times that at twice
as many."""


def describe(
    images: Sequence[Mapping[str, Any]], look: Callable[[str], str | None]
) -> dict[str, Any]:
    """Counts, classes and duplicates of `images`, each with the attributes of `stored`; `look`
    gives the address at which the image of a key can be looked at."""
    sizes = {name: _array(images, name) for name in ("width", "height", "bytes")}
    ranges = RANGES | {
        name: (0.0, float(values.max()) if len(values) else 1.0) for name, values in sizes.items()
    }
    by_label = {label: [i for i in images if i["label"] == label] for label in LABELS}
    return {
        "images": len(images),
        "counts": {label: len(members) for label, members in by_label.items()},
        "classes": {
            label: _class(members, ranges) | {"samples": _looks(_samples(members), look)}
            for label, members in by_label.items()
        },
        "duplicates": {
            "identical": _families(_identical(images), look),
            "near": _near(images, look),
        },
    }


def _class(images: Sequence[Mapping[str, Any]], ranges: Mapping[str, Any]) -> dict[str, Any]:
    formats: dict[str, int] = {}
    for image in images:
        formats[image["format"]] = formats.get(image["format"], 0) + 1
    spreads = {name: spread(_array(images, name), *ranges[name]) for name in ranges}
    return {"images": len(images), "formats": formats, **spreads}


def _samples(images: Iterable[Mapping[str, Any]]) -> list[str]:
    """The keys of SAMPLES images that differ: those with the smallest hashes, which is a draw that
    comes out the same as long as they are there."""
    drawn = sorted((image["sha256"], image["key"]) for image in images)
    one_each = dict(reversed(drawn))
    return [key for _, key in sorted(one_each.items())[:SAMPLES]]


def _looks(keys: Iterable[str], look: Callable[[str], str | None]) -> list[dict[str, str | None]]:
    return [{"key": key, "url": look(key)} for key in keys]


def _array(images: Sequence[Mapping[str, Any]], name: str) -> npt.NDArray[np.float64]:
    return np.array([image[name] for image in images], np.float64)


def spread(values: npt.NDArray[np.float64], low: float, high: float) -> dict[str, Any]:
    """Mean, standard deviation, percentiles and histogram of `values`; None and zeros where there
    are none.

    The histogram has BINS bins from `low` to `high`; what lies outside counts in the nearest one.
    """
    counts, edges = np.histogram(np.clip(values, low, high), BINS, (low, high))
    some = len(values) > 0
    shares = np.percentile(values, PERCENTILES) if some else [None] * len(PERCENTILES)
    return {
        "mean": _rounded(values.mean() if some else None),
        "sd": _rounded(values.std() if some else None),
        "min": _rounded(values.min() if some else None),
        "max": _rounded(values.max() if some else None),
        "percentiles": {f"p{p}": _rounded(v) for p, v in zip(PERCENTILES, shares, strict=True)},
        "histogram": {"edges": [_rounded(e) for e in edges], "counts": counts.tolist()},
    }


def _rounded(value: Any) -> float | None:
    return None if value is None else round(float(value), DIGITS)


def _identical(images: Iterable[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Families of two and more images with the same bytes."""
    families: dict[str, list[Mapping[str, Any]]] = {}
    for image in images:
        families.setdefault(image["sha256"], []).append(image)
    return [family for family in families.values() if len(family) > 1]


def _near(images: Sequence[Mapping[str, Any]], look: Callable[[str], str | None]) -> dict[str, Any]:
    """Families of images that look alike and differ in their bytes, by perceptual hash alone."""
    newest = sorted(images, key=lambda i: str(i["at"]), reverse=True)[:MAX_COMPARED]
    one_each = list({image["sha256"]: image for image in newest}.values())
    hashes = np.array([int(image["phash"], 16) for image in one_each], np.uint64)
    # Next to no edges, or nothing but: flat images of any colour share such a hash.
    ones = np.bitwise_count(hashes)
    telling = np.flatnonzero((ones > NEAR_HASH_ALONE) & (ones < 64 - NEAR_HASH_ALONE))
    hashes = hashes[telling]
    left = np.ones(len(telling), bool)
    families = []
    for seed in range(len(telling)):
        if not left[seed]:
            continue
        left[seed] = False
        family = [seed]
        for place in family:  # It grows by the neighbours of its members until none is new.
            alike = np.flatnonzero(left & (hamming(hashes, hashes[place]) <= NEAR_HASH_ALONE))
            left[alike] = False
            family.extend(alike)
        if len(family) > 1:
            families.append([one_each[telling[place]] for place in family])
    return {**_families(families, look), "compared": len(newest)}


def _families(
    families: list[list[Mapping[str, Any]]], look: Callable[[str], str | None]
) -> dict[str, Any]:
    """The largest families first; those under both labels say so: one of their labels is wrong."""
    families = sorted(families, key=len, reverse=True)
    items = []
    for family in families[:FAMILIES_SHOWN]:
        keys = sorted(image["key"] for image in family)[:KEYS_SHOWN]
        items.append(
            {
                "images": len(family),
                "labels": sorted({image["label"] for image in family}),
                "keys": keys,
                "looks": _looks(keys[:LOOKS_SHOWN], look),
            }
        )
    return {
        "families": len(families),
        "images": sum(len(family) for family in families),
        "items": items,
    }


def waiting(images: Iterable[Mapping[str, Any]], trained: set[str]) -> dict[str, Any]:
    """How many of `images` no run has trained on yet; `trained` has the ETags of those that one
    has."""
    new = [image for image in images if image["etag"] not in trained]
    counts = {label: sum(image["label"] == label for image in new) for label in LABELS}
    return {"images": len(new), "counts": counts}


def rejected(bucket: str, look: Callable[[str], str | None]) -> dict[str, Any]:
    """How many images were refused, and the first REJECTED_SHOWN by key, each with the reason and
    its address, by `look`; None where it is there no more."""
    pages = (
        aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=REJECTED)
    )
    there = {found["Key"] for page in pages for found in page.get("Contents", [])}
    keys = sorted(key for key in there if key.endswith(REASON_SUFFIX))
    shown = keys[:REJECTED_SHOWN]

    def why(key: str) -> dict[str, Any]:
        body = aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        told: dict[str, Any] = json.loads(body)
        return told

    with ThreadPoolExecutor(READERS) as pool:
        told = list(pool.map(why, shown))
    images = [key.removesuffix(REASON_SUFFIX) for key in shown]
    return {
        "images": len(keys),
        "items": [
            reason | {"url": look(image) if image in there else None}
            for reason, image in zip(told, images, strict=True)
        ],
    }


def here(table: str, keys: Iterable[str]) -> dict[str, str]:
    """Those of `keys`, at most 100, that are training images now, each with the SHA-256 of its
    bytes; one call to the table.

    One that the table is too busy to tell of is left out.
    """
    asked = [
        {"pk": {"S": IMAGE_PARTITION}, "sk": {"S": key}}
        for key in sorted(set(keys))
        if key.startswith(TRAIN)
    ]
    if not asked:
        return {}
    found = aws.client("dynamodb").batch_get_item(
        RequestItems={table: {"Keys": asked, "ProjectionExpression": "sk, sha256"}}
    )["Responses"][table]
    return {item["sk"]["S"]: item["sha256"]["S"] for item in found if "sha256" in item}


def stored(table: str) -> list[dict[str, Any]]:
    """The description of every training image, as the drop folder put it into the table.

    Each has key, label, etag, bytes, width, height, format, sha256, phash, the APPEARANCE and at.
    Items that lack some are left out: they were written by another version of this service.
    """
    pages = (
        aws.client("dynamodb")
        .get_paginator("query")
        .paginate(
            TableName=table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": IMAGE_PARTITION}},
        )
    )
    # Not boto3's deserializer: its Decimals take most of the time of 10,000 items.
    read = [
        {name: _read(value) for name, value in item.items()} for p in pages for item in p["Items"]
    ]
    return [item | {"key": item["sk"]} for item in read if set(item) >= ATTRIBUTES]


def _read(value: Mapping[str, str]) -> float | str | None:
    return float(value["N"]) if "N" in value else value.get("S")
