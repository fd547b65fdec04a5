"""The probability that a model gives each labelled image: one object, written at the end of a run.

If the model learned from an image, its probability is out of fold: from a model that did not see
the image. So a wrong label shows even if the live model has learned it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from clickbait import aws
from clickbait.keys import ANSWERS
from clickbait.observability import logger

DIGITS = 4
"""Decimals of a stored probability. 20,000 images are 2 MB."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Probabilities of clickbait, 0 to 1, for images by key, each with the ETag of its content.

    `version` made the newest of them.
    """

    version: str = ""
    images: dict[str, tuple[str, float]] = field(default_factory=dict)

    def by_etag(self) -> dict[str, float]:
        """Probabilities by ETag. An image keeps its probability when its label or name changes."""
        return dict(self.images.values())


def read(models_bucket: str) -> Answers:
    """The stored answers. Empty before the first run, or if the object is damaged, because the next
    run writes it again."""
    found = aws.get_object(models_bucket, ANSWERS)
    if found is None:
        return Answers()
    try:
        document = json.loads(found["Body"].read())
        images = {
            key: (str(etag), float(probability))
            for key, (etag, probability) in document["images"].items()
        }
        return Answers(str(document["version"]), images)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        logger.error("answers are damaged", key=ANSWERS, reason=repr(error))
        return Answers()


def write(
    models_bucket: str,
    version: str,
    images: Mapping[str, tuple[str, float]],
    listing: Mapping[str, str] | None = None,
) -> Answers:
    """Add the answers of `version` to the stored ones, and return all of them.

    images: key -> (ETag, probability of clickbait). A new answer replaces the old one of its key.
    listing: key -> ETag of all labelled images, as `triggers.list_images` returns it. With it,
    answers of images that no longer exist, or have other content, are dropped.

    Only the run with the lease may call this, because nothing stops two writers.
    """
    merged = read(models_bucket).images | dict(images)
    if listing is not None:
        merged = {key: found for key, found in merged.items() if listing.get(key) == found[0]}
    rounded = {key: (etag, round(p, DIGITS)) for key, (etag, p) in sorted(merged.items())}
    body = json.dumps({"version": version, "images": rounded}).encode()
    aws.client("s3").put_object(
        Bucket=models_bucket, Key=ANSWERS, Body=body, ContentType="application/json"
    )
    return Answers(version, rounded)
