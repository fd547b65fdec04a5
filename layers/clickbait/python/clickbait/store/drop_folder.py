"""The folders of labelled images, `train/` and `exam/`: each object is described in the table, or
rejected with its reason.

An event only names the key to process. S3 may send events more than once, in any order, and after
an object was replaced or deleted. So each attempt writes its outcome, and then checks whether the
object is still the same. The last writer has therefore seen the last state, and every order of
events ends in the same state.
"""

import json
from collections.abc import Callable
from contextlib import nullcontext
from threading import Lock
from typing import Any

from clickbait import aws
from clickbait.errors import PayloadTooLarge, Problem, UnknownLabel
from clickbait.inference import images
from clickbait.inference.appearance import appearance
from clickbait.inference.images import perceptual_hash
from clickbait.keys import (
    DECIDED,
    EXAM,
    EXAM_PARTITION,
    IMAGE_PARTITION,
    LABEL_OF_FOLDER,
    REASON_SUFFIX,
    REJECTED,
    TRAIN,
    UNADDRESSABLE,
    is_litter,
    label_of,
)
from clickbait.observability import logger
from clickbait.settings import MAX_IMAGE_BYTES
from clickbait.store.reading import reading

PARTITIONS = {TRAIN: IMAGE_PARTITION, EXAM: EXAM_PARTITION}
"""The partition that describes the images below each prefix."""

MAX_KEY_BYTES = 1_024
"""S3's limit, in UTF-8. It is DynamoDB's limit for a sort key too, so any key fits the table."""

LARGEST_COPY = 5 * 1024**3
"""The most bytes that S3 copies in one request. A film uploaded by mistake is copied in parts."""
COPY_PART = 1024**3
"""Bytes of such a part: the largest possible object, 5 TB, has fewer than S3's 10,000 parts."""

LIMIT_MEMBERS = ("limit", "value")
"""Members of a Problem about an exceeded limit, which the stored reason repeats."""

MAX_CAUGHT_UP = 200
"""The most images that one call of `catch_up` processes: 20 s. The next one goes on."""

MAX_ATTEMPTS = 5
"""Attempts in one call at an object that keeps changing. Then SQS delivers its message again."""

CHANGED = frozenset({404, 409, 412})
"""S3's statuses for copying or deleting an object that is no longer the one that was read."""


def prefix_of(key: str) -> str | None:
    """TRAIN or EXAM if `key` is below it, else None."""
    return next((prefix for prefix in PARTITIONS if key.startswith(prefix)), None)


def unlabelled(key: str, prefix: str = TRAIN) -> UnknownLabel:
    """The problem of a key below `prefix` for which `label_of` finds no label."""
    folder, *name = key.removeprefix(prefix).split("/")
    known = ", ".join(sorted(LABEL_OF_FOLDER))
    if not UNADDRESSABLE.isdisjoint([folder, *name]):
        return UnknownLabel("The key has a part '.' or '..', which addresses leave out. Rename it.")
    if folder not in LABEL_OF_FOLDER and name:
        return UnknownLabel(f"The folder {folder!r} is not a label. Use one of {known}.")
    return UnknownLabel(f"The key is not a file in a folder of {prefix}. Use one of {known}.")


def rejected_key(key: str) -> str:
    """The key to which a rejected object is moved. The key of its reason adds REASON_SUFFIX.

    It is `rejected/<key>`. A key that would be too long is cut and ends in a hash of the whole key.
    A key that ends in REASON_SUFFIX also gets the hash, so that it is not mistaken for a reason.
    """
    target = f"{REJECTED}{key}".encode()
    most = MAX_KEY_BYTES - len(REASON_SUFFIX)
    if len(target) <= most and not key.endswith(REASON_SUFFIX):
        return target.decode()
    mark = f"-{images.sha256(key.encode())[:16]}"
    return target[: most - len(mark)].decode(errors="ignore") + mark


def set_aside(
    bucket: str, key: str, found: Any, problem: Problem, forget: Callable[[], None] = lambda: None
) -> bool:
    """Move the object that was `found` to `rejected_key`, with the reason beside it.

    It is copied first and deleted last; `forget` is called in between. False if it has changed.
    """
    from botocore.exceptions import ClientError

    target, etag = rejected_key(key), found["ETag"]
    members = {n: problem.members[n] for n in LIMIT_MEMBERS if n in problem.members}
    reason = {
        "key": key,
        "reason": problem.slug(),
        "detail": problem.detail,
        **members,
        "at": found["LastModified"].isoformat(),
        "bytes": found["ContentLength"],
        "etag": etag.strip('"'),
    }
    s3 = aws.client("s3")
    try:
        _copy(bucket, key, target, etag, found["ContentLength"])
        s3.put_object(
            Bucket=bucket,
            Key=target + REASON_SUFFIX,
            Body=json.dumps(reason, indent=2, ensure_ascii=False).encode(),
            ContentType="application/json",
        )
        forget()
        s3.delete_object(Bucket=bucket, Key=key, IfMatch=etag)
    except ClientError as error:
        if aws.status_of(error) in CHANGED:
            return False
        raise
    logger.info("image rejected", key=key, reason=problem.slug(), detail=problem.detail)
    return True


def _copy(bucket: str, key: str, target: str, etag: str, size: int) -> None:
    """Copy the object if it has `etag`. Copying its tags too would take two permissions."""
    source = {"Bucket": bucket, "Key": key}
    only = {"CopySourceIfMatch": etag, "TaggingDirective": "REPLACE"}
    s3 = aws.client("s3")
    if size <= LARGEST_COPY:
        s3.copy_object(Bucket=bucket, Key=target, CopySource=source, **only)
        return
    from boto3.s3.transfer import TransferConfig

    parts = TransferConfig(multipart_threshold=LARGEST_COPY, multipart_chunksize=COPY_PART)
    s3.copy(source, bucket, target, ExtraArgs=only, Config=parts)


class DropFolder:
    """The labelled images of a data bucket, and the table that describes them.

    Several threads may use it. They read objects in parallel and decode one at a time, because an
    image can take 100 MB while it is decoded.
    """

    def __init__(self, data_bucket: str, table: str) -> None:
        self.bucket = data_bucket
        self.table = table
        self._decoding = Lock()

    def process(self, key: str, again: bool = False) -> str:
        """Process the object `key` as it is now, and return the outcome.

        `again`: an earlier attempt may have been killed, so an image that ended two is rejected.

        "kept": the image is usable, and the table describes it. "rejected": the object was moved to
        `rejected_key` with its reason. "gone": neither the object nor its item exists. "ignored":
        the key is a folder, litter, or outside `train/` and `exam/`.

        Raises the errors of S3 and DynamoDB, and RuntimeError if the object changes during every
        attempt. Nothing is lost, because the next call finishes the work.
        """
        if not prefix_of(key) or is_litter(key):
            return "ignored"
        for _ in range(MAX_ATTEMPTS):
            outcome = self._attempt(key, again)
            if outcome:
                return outcome
        raise RuntimeError(f"{key} changed {MAX_ATTEMPTS} times while it was processed")

    def catch_up(self) -> int:
        """Process up to MAX_CAUGHT_UP images whose items do not match them, and return their
        number.

        An event may be lost, and version 0.1.0 did not describe the images of the exam.
        """
        behind: list[str] = []
        for prefix, partition in PARTITIONS.items():
            images = {o["Key"]: o["ETag"].strip('"') for o in aws.list_objects(self.bucket, prefix)}
            described = {i["sk"]: i.get("etag") for i in aws.query(self.table, partition)}
            behind += [key for key in images if images[key] != described.pop(key, None)]
            behind += described  # Their objects are gone.
        behind = [key for key in behind if not is_litter(key) and not key.endswith("/")]
        for key in behind[:MAX_CAUGHT_UP]:
            self.process(key, again=True)
        return len(behind[:MAX_CAUGHT_UP])

    def _attempt(self, key: str, again: bool) -> str:
        """The outcome of one attempt, as in `process`.

        Empty if the object changed in the meantime.
        """
        found = aws.get_object(self.bucket, key)
        if found is None:
            self._delete_item(key)
            return "gone" if aws.head_object(self.bucket, key) is None else ""
        if found["ContentLength"] == 0 and key.endswith("/"):
            self._delete_item(key)
            return "ignored" if self._is_same(key, found) else ""
        try:
            item = self._describe(key, found, again)
        except Problem as problem:
            return "rejected" if self._reject(key, found, problem) else ""
        aws.put_item(self.table, item)
        return "kept" if self._is_same(key, found) else ""

    def _describe(self, key: str, found: Any, again: bool) -> dict[str, Any]:
        """The fields of an image's item; raises a Problem if the object is not a usable image."""
        size, body = found["ContentLength"], found["Body"]
        prefix = prefix_of(key) or TRAIN
        with body:  # Bytes that are not read are not fetched.
            label = label_of(key, prefix)
            if label is None:
                raise unlabelled(key, prefix)
            if size > MAX_IMAGE_BYTES:
                raise PayloadTooLarge(
                    f"The object has {size:,} bytes; the limit is {MAX_IMAGE_BYTES:,}. "
                    "Shrink the image or save it as JPEG.",
                    limit=MAX_IMAGE_BYTES,
                    value=size,
                )
            data = body.read()
        mark = reading(self.table, key, found["ETag"]) if again else nullcontext()
        with self._decoding, mark:
            image = images.read(data)
            pixels = images.model_input(image)
        return {
            "pk": PARTITIONS[prefix],
            "sk": key,
            "label": label,
            DECIDED: found["Metadata"].get(DECIDED),
            "etag": found["ETag"].strip('"'),
            "format": image.format,
            "sha256": images.sha256(data),
            "phash": perceptual_hash(pixels),
            "at": found["LastModified"].isoformat(),
            "bytes": size,
            "width": image.width,
            "height": image.height,
            **appearance(pixels),
        }

    def _reject(self, key: str, found: Any, problem: Problem) -> bool:
        """Move an unusable object: copy it first, delete it last. False if it has changed."""
        return set_aside(self.bucket, key, found, problem, lambda: self._delete_item(key))

    def _delete_item(self, key: str) -> None:
        aws.delete_item(self.table, PARTITIONS[prefix_of(key) or TRAIN], key)

    def _is_same(self, key: str, found: Any) -> bool:
        """Whether the object is still the one that was `found`. The version tells two objects apart
        that differ only in their metadata."""
        head = aws.head_object(self.bucket, key) or {}
        return all(head.get(name) == found.get(name) for name in ("ETag", "VersionId"))
