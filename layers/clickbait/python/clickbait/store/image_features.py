"""Features and sketches of labelled images, computed once for each network and kept.

`features/<version>.npz` in the models bucket has those of one network, whose version is the anchor
of small updates. An image is known by its content, so a new name or another label costs nothing.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from clickbait import aws
from clickbait.errors import PayloadTooLarge, Problem
from clickbait.inference import images
from clickbait.inference.appearance import APPEARANCE, appearance
from clickbait.keys import FEATURES
from clickbait.learning.copies import SIDE, Sketch, sketch
from clickbait.learning.features import STORED, FeatureReader, Outputs
from clickbait.observability import logger
from clickbait.settings import MAX_IMAGE_BYTES

GROUP = "group"
"""`x-amz-meta-group` of an image: images of one group (a channel, a film) count as related."""

READERS = 16
"""Images fetched at a time, and held in memory: 160 MB at most."""

SAVED_EVERY = 8 * READERS
"""New images after which the features are stored. A function that is killed repeats that many."""

CHANGED = frozenset({404, 412})
"""S3's statuses for an image that was deleted or replaced since it was listed."""


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """One image: the SHA-256 of its file, its group or "", its sketch, its appearance, and the
    pooled features (d,) and raw logit that the network computes from it."""

    sha256: str
    group: str
    sketch: Sketch
    appearance: dict[str, float]
    features: npt.NDArray[np.float16]
    logit: float


def outputs_of(images: Sequence[ImageFeatures]) -> Outputs:
    """The network's outputs for n > 0 images."""
    features = np.stack([image.features for image in images])
    return Outputs(features, np.array([image.logit for image in images], np.float64))


class FeatureStore:
    """The features that the network of `anchor`, read by `reader`, computes of labelled images."""

    def __init__(
        self, data_bucket: str, models_bucket: str, anchor: str, reader: FeatureReader
    ) -> None:
        self.data_bucket, self.models_bucket = data_bucket, models_bucket
        self.key = f"{FEATURES}{anchor}.npz"
        self.reader = reader
        self.problems: dict[str, str] = {}
        """The reasons why images of the last `read` have no features, by key."""

    def read(
        self, listing: Mapping[str, str], progress: Callable[[int, int], None] = lambda *_: None
    ) -> dict[str, ImageFeatures]:
        """The features of the images in `listing` (key -> ETag), by key.

        Fetches and decodes only images whose features are not stored, and stores those, without
        the features of images that are not in `listing` any more. Images that are unreadable, or
        that were deleted or replaced since they were listed, are left out; `problems` has the
        reasons. `progress` is called with the number of images done and the number to do.
        """
        self.problems = {}
        known = self._load()
        keys: dict[str, str] = {}
        for key, etag in listing.items():
            keys.setdefault(etag, key)
        new = [(key, etag) for etag, key in keys.items() if etag not in known]
        failed: dict[str, str] = {}
        done = 0
        for some in (new[at : at + READERS] for at in range(0, len(new), READERS)):
            for etag, found in self._read_all(some):
                if isinstance(found, ImageFeatures):
                    known[etag] = found
                else:
                    failed[etag] = found
            done += len(some)
            progress(done, len(new))
            if done % SAVED_EVERY == 0 or done == len(new):
                self._save({etag: known[etag] for etag in keys if etag in known})
        self.problems = {key: failed[etag] for key, etag in listing.items() if etag in failed}
        return {key: known[etag] for key, etag in listing.items() if etag in known}

    def _read_all(
        self, some: Sequence[tuple[str, str]]
    ) -> Iterator[tuple[str, ImageFeatures | str]]:
        """The ETag of each image with its features, or with the reason why it has none."""
        aws.client("s3")  # Threads may share a client, but not create one at the same time.
        with ThreadPoolExecutor(READERS) as pool:
            fetched = list(pool.map(lambda image: self._fetch(*image), some))
        for (_, etag), found in zip(some, fetched, strict=True):
            if found is None:
                yield etag, "it was deleted or replaced while the images were read"
                continue
            try:
                yield etag, self._describe(*found)
            except Problem as problem:
                yield etag, problem.detail

    def _fetch(self, key: str, etag: str) -> tuple[bytes, str] | None:
        """An image's bytes and group; None if the object has changed."""
        from botocore.exceptions import ClientError

        try:
            found = aws.client("s3").get_object(
                Bucket=self.data_bucket, Key=key, IfMatch=f'"{etag}"'
            )
        except ClientError as error:
            if aws.status_of(error) in CHANGED:
                return None
            raise
        with found["Body"] as body:
            # One byte more than allowed is enough to see that there are too many.
            return body.read(MAX_IMAGE_BYTES + 1), found["Metadata"].get(GROUP, "")

    def _describe(self, data: bytes, group: str) -> ImageFeatures:
        if len(data) > MAX_IMAGE_BYTES:
            raise PayloadTooLarge(f"The image has more than {MAX_IMAGE_BYTES:,} bytes.")
        image = images.read(data)
        outputs = self.reader.read([images.model_input(image, self.reader.size)])
        # Sketches are compared with those of other networks' images: all are of one size.
        pixels = images.model_input(image)
        return ImageFeatures(
            images.sha256(data),
            group,
            sketch(pixels),
            appearance(pixels),
            outputs.features[0],
            float(outputs.logits[0]),
        )

    def _load(self) -> dict[str, ImageFeatures]:
        """The stored features by ETag; none if they are damaged or have other dimensions."""
        found = aws.get_object(self.models_bucket, self.key)
        if found is None:
            return {}
        try:
            with np.load(io.BytesIO(found["Body"].read()), allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            if arrays["features"].shape[1:] != (self.reader.dimensions,):
                raise ValueError(f"features of shape {arrays['features'].shape}")
            return _unpacked(arrays)
        except (ValueError, KeyError, OSError, EOFError) as error:
            logger.error("stored features are damaged", key=self.key, reason=repr(error))
            return {}

    def _save(self, known: Mapping[str, ImageFeatures]) -> None:
        file = io.BytesIO()
        np.savez(file, **_packed(known, self.reader.dimensions))  # type: ignore[arg-type]
        aws.client("s3").put_object(Bucket=self.models_bucket, Key=self.key, Body=file.getvalue())


def _packed(known: Mapping[str, ImageFeatures], dimensions: int) -> dict[str, npt.NDArray[Any]]:
    """The arrays that are stored: 6 KB an image."""
    rows = list(known.values())
    n = len(rows)
    return {
        "etags": np.array(list(known), np.str_),
        "sha256": np.array([row.sha256 for row in rows], np.str_),
        "groups": np.array([row.group for row in rows], np.str_),
        "hashes": np.array([row.sketch.hash for row in rows], np.uint64),
        "mirrored": np.array([row.sketch.mirrored for row in rows], np.uint64),
        "small": np.array([row.sketch.small for row in rows], np.uint8).reshape(n, SIDE, SIDE, 3),
        "appearances": np.array([[row.appearance[a] for a in APPEARANCE] for row in rows]),
        "features": np.array([row.features for row in rows], STORED).reshape(n, dimensions),
        "logits": np.array([row.logit for row in rows], np.float64),
    }


def _unpacked(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, ImageFeatures]:
    columns = (
        *("etags", "sha256", "groups", "hashes", "mirrored"),
        *("small", "appearances", "features", "logits"),
    )
    return {
        str(etag): ImageFeatures(
            str(sha256),
            str(group),
            Sketch(int(hashed), int(mirrored), small),
            dict(zip(APPEARANCE, looks.tolist(), strict=True)),
            features,
            float(logit),
        )
        for etag, sha256, group, hashed, mirrored, small, looks, features, logit in zip(
            *(arrays[name] for name in columns), strict=True
        )
    }
